"""Roles, grants and scopes: the rule that checks is the rule that lists."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import access
from dashboard.access import ACTIONS, EVERYTHING, SYSTEM, Actor, Grant, NotAllowed, Role, Scope, can
from geodata.errors import DudaoError

COUNTY, TOWN = "C/A/", "C/A/A1/"
DAY = date(2026, 11, 21)

paths = st.lists(st.sampled_from(["C", "A", "B", "A1", "A10", "B1"]), min_size=1, max_size=4).map(
    lambda parts: "/".join(parts) + "/"
)
grants = st.builds(
    Grant,
    st.sampled_from(list(Role)),
    st.just("P"),
    st.lists(paths, max_size=2).map(tuple),
    st.sampled_from([date(2026, 1, 1), date(2027, 1, 1)]),
    st.sampled_from([None, date(2026, 6, 1), date(2028, 1, 1)]),
)


def user(*held: Grant) -> Actor:
    return Actor("u", "张三", grants=held)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.id)
def test_every_action_is_a_whole_row(action: access.Action) -> None:
    subject, verb = action.id.split(".")
    assert subject and verb and action.title
    assert action.audited or not action.person or action.id == "persons.view"
    for role in Role:
        held = user(Grant(role, "A", (COUNTY,)))
        allowed = (not action.roles or role in action.roles) and not action.everywhere
        assert can(held, action.id, TOWN, DAY) == (allowed or not action.roles)
        everywhere = user(Grant(role))
        assert can(everywhere, action.id, TOWN, DAY) == (not action.roles or role in action.roles)
        assert can(held, action.id, "C/B/", DAY) == (not action.roles)


@given(st.lists(grants, max_size=4), paths, st.sampled_from(sorted(ACTIONS)))
def test_checking_and_listing_agree(held: list[Grant], path: str, action_id: str) -> None:
    actor = user(*held)
    action = ACTIONS[action_id]
    if not action.roles:
        return
    expected = not action.everywhere and any(
        grant.active(DAY)
        and grant.role in action.roles
        and any(path.startswith(prefix) for prefix in grant.paths)
        for grant in held
    )
    assert can(actor, action_id, path, DAY) == expected
    assert actor.scope(action_id, DAY).covers(path) == expected


@given(st.lists(paths, max_size=5), st.lists(paths, max_size=5))
def test_scopes_of_other_places_have_other_keys(first: list[str], second: list[str]) -> None:
    one, two = (
        user(Grant(Role.VIEWER, "P", tuple(found))).scope("places.view", DAY)
        for found in (first, second)
    )
    assert (one.key == two.key) == (one.paths == two.paths)
    assert one.key != EVERYTHING.key


def test_a_prefix_is_a_whole_step() -> None:
    assert not Scope(paths=("C/A1/",)).covers("C/A10/")


def test_a_grant_holds_from_its_day_and_ends_before_its_last() -> None:
    held = Grant(Role.CLERK, "A", (COUNTY,), date(2026, 11, 21), date(2026, 11, 22))
    days = [date(2026, 11, day) for day in (20, 21, 22)]
    assert [user(held).may("data.load", day) for day in days] == [False, True, False]


def test_who_has_no_role_may_only_come_and_go() -> None:
    nobody = user()
    may = {action_id for action_id in ACTIONS if nobody.may(action_id)}
    assert may == {action.id for action in ACTIONS.values() if not action.roles}
    assert {action_id.split(".")[0] for action_id in may} <= {"session", "gate"}
    with pytest.raises(NotAllowed) as told:
        access.check(nobody, "places.view")
    assert told.value.code == "NOT_ALLOWED" and "查看地图" in told.value.message


def test_the_operator_and_the_program_may_everything() -> None:
    for actor in (SYSTEM, access.operator("root")):
        assert all(actor.scope(action_id) == EVERYTHING for action_id in ACTIONS)


def test_no_one_role_sees_persons_and_manages_accounts() -> None:
    manages = ACTIONS["accounts.grant"].roles
    assert not manages & ACTIONS["persons.view"].roles
    assert not manages & ACTIONS["persons.reveal"].roles


def test_roles_are_read_by_id_and_title() -> None:
    assert Role.parse("clerk") is Role.CLERK and Role.parse("督查组") is Role.INSPECTION_TEAM
    with pytest.raises(DudaoError) as told:
        Role.parse("皇帝")
    assert told.value.code == "ROLE_UNKNOWN"


def test_an_undeclared_action_cannot_be_used() -> None:
    with pytest.raises(KeyError):
        access.acts("places.burn")
    with pytest.raises(KeyError):
        SYSTEM.scope("places.burn")

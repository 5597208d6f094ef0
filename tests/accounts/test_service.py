"""Accounts and grants: who may do what to whom, and what a change ends."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from dashboard.access import Actor, NotAllowed, Role
from dashboard.accounts import service
from dashboard.accounts.model import Change, ChangedMeanwhile, State
from dashboard.store import Store
from dashboard.store.tables import account as account_table
from dashboard.store.tables import audit, sign_in_link
from geodata.errors import DudaoError
from tests.accounts.conftest import OPERATOR, PASSWORD, enrol, entered

TODAY = date.today()


def code_of(function: Any, *given: Any, **named: Any) -> str:
    """The code of the error a call ends with."""
    with pytest.raises(DudaoError) as caught:
        function(*given, **named)
    return caught.value.code


def audited(store: Store, action: str) -> list[tuple[str, str]]:
    """Outcome and subject of every audit row of an action."""
    with store.engine.connect() as connection:
        rows = connection.execute(
            select(audit.c.outcome, audit.c.subject)
            .where(audit.c.action == action)
            .order_by(audit.c.seq)
        )
        return [(row.outcome, row.subject) for row in rows]


@pytest.fixture
def chief(county: Store) -> Actor:
    """Administers everything."""
    return enrol(county, "chief", Role.ADMINISTRATOR)


@pytest.fixture
def keeper(county: Store, chief: Actor) -> Actor:
    """Administers county A."""
    return enrol(county, "keeper", Role.ADMINISTRATOR, "A")


def test_a_new_account_enters_by_its_link_once(either: Store) -> None:
    link = service.add_account(
        either, OPERATOR, "Wang.Min", "王敏 数据员", role=Role.CLERK, place_id="A1"
    )
    assert code_of(service.sign_in, either, "wang.min", "", "192.0.2.7", "") == "SIGN_IN_FAILED"
    assert service.link_login(either, link.token) == "wang.min"
    assert code_of(service.set_password, either, link.token, "太短") == "PASSWORD_SHORT"
    service.set_password(either, link.token, PASSWORD)
    assert code_of(service.set_password, either, link.token, PASSWORD) == "LINK_INVALID"
    assert code_of(service.link_login, either, link.token) == "LINK_INVALID"
    actor = entered(either, "WANG.MIN")
    assert actor.roles() == (Role.CLERK,)
    assert actor.scope("data.load").paths == ("C/A/A1/",)
    seen = service.account(either, OPERATOR, "wang.min")
    assert (seen.has_password, seen.grants[0].place_name) == (True, "平舒镇")
    assert audited(either, "accounts.add") == [("done", seen.id)]


def test_a_link_ends_after_a_day(county: Store) -> None:
    link = service.add_account(county, OPERATOR, "wang", "王某")
    with county.engine.begin() as connection:
        connection.execute(update(sign_in_link).values(expires=sign_in_link.c.expires - 86_401))
    assert code_of(service.link_login, county, link.token) == "LINK_INVALID"
    assert code_of(service.set_password, county, link.token, PASSWORD) == "LINK_INVALID"


def test_neither_link_nor_password_is_stored(county: Store) -> None:
    link = service.add_account(county, OPERATOR, "wang", "王某")
    service.set_password(county, link.token, PASSWORD)
    token = service.sign_in(county, "wang", PASSWORD, "192.0.2.7", "")
    with county.engine.connect() as connection:
        held = str([
            connection.execute(select(table)).all()
            for table in account_table.metadata.sorted_tables
        ])  # fmt: skip
    assert [secret for secret in (link.token, PASSWORD, token) if secret in held] == []


def test_names_are_checked(county: Store) -> None:
    enrol(county, "wang")
    assert code_of(service.add_account, county, OPERATOR, "ＷANG", "另一人") == "LOGIN_TAKEN"
    assert code_of(service.add_account, county, OPERATOR, "a b", "某") == "LOGIN_INVALID"
    assert code_of(service.add_account, county, OPERATOR, "ab", "") == "TITLE_INVALID"


def test_the_administrator_of_a_county_stays_in_it(county: Store, keeper: Actor) -> None:
    new = service.add_account
    assert code_of(new, county, keeper, "x1", "某") == "NOT_ALLOWED"
    everywhere = {"role": Role.CLERK}
    assert code_of(new, county, keeper, "x2", "某", **everywhere) == "NOT_ALLOWED"
    beyond = {"role": Role.CLERK, "place_id": "B1"}
    assert code_of(new, county, keeper, "x3", "某", **beyond) == "PLACE_NOT_FOUND"
    above = {"role": Role.CLERK, "place_id": "C"}
    assert code_of(new, county, keeper, "x4", "某", **above) == "PLACE_NOT_FOUND"
    new(county, keeper, "mine", "某", role=Role.CLERK, place_id="A1")
    seen = service.account(county, keeper, "mine")
    assert code_of(service.grant, county, keeper, seen, Role.CLERK, None) == "NOT_ALLOWED"
    assert code_of(service.grant, county, keeper, seen, Role.CLERK, "B") == "PLACE_NOT_FOUND"
    after = service.grant(county, keeper, seen, Role.REVIEWER, "A2")
    assert [each.role for each in after.grants] == [Role.CLERK, Role.REVIEWER]
    assert [outcome for outcome, _ in audited(county, "accounts.grant")] == [
        "denied",
        "denied",
        "done",
    ]


def test_accounts_beyond_the_county_are_not_there(county: Store, keeper: Actor) -> None:
    enrol(county, "far", Role.CLERK, "B1")
    enrol(county, "none")
    enrol(county, "near", Role.CLERK, "A1")
    far = service.account(county, OPERATOR, "far")
    assert [each.login for each in service.list_accounts(county, keeper)] == ["keeper", "near"]
    for login in ("far", "chief", "none", "nobody"):
        assert code_of(service.account, county, keeper, login) == "ACCOUNT_NOT_FOUND"
    assert code_of(service.close_account, county, keeper, far) == "ACCOUNT_NOT_FOUND"
    assert code_of(service.reset, county, keeper, far.id) == "ACCOUNT_NOT_FOUND"
    assert code_of(service.grant, county, keeper, far, Role.CLERK, "A1") == "ACCOUNT_NOT_FOUND"
    ids = [each.id for each in far.grants]
    assert code_of(service.revoke, county, keeper, far, ids) == "ACCOUNT_NOT_FOUND"
    assert {outcome for outcome, _ in audited(county, "accounts.reset")} == {"denied"}
    assert service.account(county, OPERATOR, "far") == far
    assert {each.login for each in service.sessions(county, keeper)} == {"keeper", "near"}


def test_an_account_with_roles_on_both_sides_is_seen_and_not_touched(
    county: Store, keeper: Actor
) -> None:
    enrol(county, "both", Role.CLERK, "A1")
    whole = service.grant(
        county, OPERATOR, service.account(county, OPERATOR, "both"), Role.CLERK, "B1"
    )
    seen = service.account(county, keeper, "both")
    assert seen.elsewhere
    assert [each.place_id for each in seen.grants] == ["A1"]
    assert code_of(service.close_account, county, keeper, seen) == "ACCOUNT_ELSEWHERE"
    assert code_of(service.reset, county, keeper, seen.id) == "ACCOUNT_ELSEWHERE"
    ids = [each.id for each in whole.grants]
    assert code_of(service.revoke, county, keeper, seen, ids) == "ACCOUNT_ELSEWHERE"
    entered(county, "both")
    (open_now,) = (each for each in service.sessions(county, OPERATOR) if each.login == "both")
    assert "both" not in {each.login for each in service.sessions(county, keeper)}
    assert code_of(service.end_session, county, keeper, open_now.id) == "SESSION_NOT_FOUND"


def test_others_than_administrators_see_and_change_nothing(county: Store) -> None:
    clerk = enrol(county, "clerk", Role.CLERK)
    target = service.account(county, OPERATOR, "clerk")
    for function, given in (
        (service.list_accounts, ()),
        (service.account, ("clerk",)),
        (service.sessions, ()),
        (service.add_account, ("new", "某")),
        (service.change_accounts, ([Change(target, title="某")],)),
        (service.grant, (target, Role.ADMINISTRATOR, None)),
        (service.revoke, (target, [1])),
        (service.reset, (target.id,)),
        (service.end_session, ("x",)),
    ):
        with pytest.raises(NotAllowed):
            function(county, clerk, *given)
    assert service.account(county, OPERATOR, "clerk") == target
    for action in ("accounts.view", "accounts.add", "accounts.grant", "sessions.end"):
        assert audited(county, action)[-1][0] == "denied"


def test_grants_are_dated_and_not_given_twice(either: Store) -> None:
    enrol(either, "wang")
    seen = service.account(either, OPERATOR, "wang")
    soon, later = TODAY + timedelta(days=10), TODAY + timedelta(days=20)
    seen = service.grant(either, OPERATOR, seen, Role.CLERK, "A1", soon, later)
    assert not entered(either, "wang").may("data.load")
    assert entered(either, "wang").may("data.load", soon)
    assert not entered(either, "wang").may("data.load", later)
    again = (either, OPERATOR, seen, Role.CLERK, "A1")
    assert code_of(service.grant, *again, TODAY, later) == "GRANT_HELD"
    assert code_of(service.grant, *again, later, later) == "GRANT_PERIOD"
    seen = service.grant(*again, later)
    assert len(seen.grants) == 2
    seen = service.revoke(either, OPERATOR, seen, [each.id for each in seen.grants])
    assert seen.grants == ()
    assert not entered(either, "wang").may("data.load", later)
    assert code_of(service.revoke, either, OPERATOR, seen, [1]) == "GRANT_NOT_FOUND"
    assert code_of(service.revoke, either, OPERATOR, seen, []) == "GRANT_NOT_FOUND"


@pytest.mark.parametrize("change", ["grant", "revoke", "close", "reset", "password", "link"])
def test_every_change_of_what_one_may_ends_every_session(county: Store, change: str) -> None:
    enrol(county, "wang", Role.CLERK, "A1")
    tokens = [service.sign_in(county, "wang", PASSWORD, "192.0.2.7", "") for _ in range(2)]
    who = service.signed_in(county, tokens[0])
    assert who is not None
    seen = service.account(county, OPERATOR, "wang")
    if change == "grant":
        service.grant(county, OPERATOR, seen, Role.REVIEWER, "A1")
    elif change == "revoke":
        service.revoke(county, OPERATOR, seen, [seen.grants[0].id])
    elif change == "close":
        service.close_account(county, OPERATOR, seen)
    elif change == "reset":
        service.reset(county, OPERATOR, seen.id)
    elif change == "password":
        service.change_password(county, who, PASSWORD, "另一句只有我知道的话吧", "192.0.2.7")
    else:
        link = service.reset(county, OPERATOR, seen.id)
        service.set_password(county, link.token, PASSWORD)
    assert [service.signed_in(county, token) for token in tokens] == [None, None]
    assert not service.session_alive(county, who.session_id)
    assert service.actor_of_session(county, who.session_id) is None
    assert code_of(service.session, county, who.session_id) == "SESSION_ENDED"


def test_a_new_title_ends_no_session_and_shows_at_once(county: Store) -> None:
    enrol(county, "wang", Role.CLERK, "A1")
    token = service.sign_in(county, "wang", PASSWORD, "192.0.2.7", "")
    seen = service.account(county, OPERATOR, "wang")
    service.change_account(county, OPERATOR, Change(seen, title="王敏 副主任"))
    who = service.signed_in(county, token)
    assert who is not None
    assert who.actor.name == "王敏 副主任"


def test_a_closed_account_cannot_enter_and_can_be_reopened(county: Store) -> None:
    enrol(county, "wang", Role.CLERK, "A1")
    closed = service.close_account(county, OPERATOR, service.account(county, OPERATOR, "wang"))
    assert code_of(entered, county, "wang") == "SIGN_IN_FAILED"
    assert code_of(county.actor, "wang") == "ACCOUNT_NOT_FOUND"
    assert code_of(service.reset, county, OPERATOR, closed.id) == "ACCOUNT_CLOSED"
    service.change_account(county, OPERATOR, Change(closed, state=State.ACTIVE))
    assert entered(county, "wang").roles() == (Role.CLERK,)


def test_a_link_of_a_closed_account_is_void(county: Store) -> None:
    link = service.add_account(county, OPERATOR, "wang", "王某")
    seen = service.account(county, OPERATOR, "wang")
    closed = service.close_account(county, OPERATOR, seen)
    assert code_of(service.set_password, county, link.token, PASSWORD) == "LINK_INVALID"
    service.change_account(county, OPERATOR, Change(closed, state=State.ACTIVE))
    assert code_of(service.set_password, county, link.token, PASSWORD) == "LINK_INVALID"


def test_a_reset_voids_the_old_password_and_the_old_link(county: Store) -> None:
    enrol(county, "wang")
    seen = service.account(county, OPERATOR, "wang")
    first = service.reset(county, OPERATOR, seen.id)
    assert code_of(entered, county, "wang") == "SIGN_IN_FAILED"
    second = service.reset(county, OPERATOR, seen.id)
    assert code_of(service.set_password, county, first.token, PASSWORD) == "LINK_INVALID"
    service.set_password(county, second.token, PASSWORD)
    entered(county, "wang")


def test_the_last_administrator_of_everything_stays(county: Store, chief: Actor) -> None:
    seen = service.account(county, OPERATOR, "chief")
    ids = [each.id for each in seen.grants]
    assert code_of(service.close_account, county, chief, seen) == "LAST_ADMINISTRATOR"
    assert code_of(service.revoke, county, OPERATOR, seen, ids) == "LAST_ADMINISTRATOR"
    assert entered(county, "chief").may("backup.make")
    link = service.add_account(county, chief, "second", "第二人", role=Role.ADMINISTRATOR)
    # Who has no password yet cannot take over.
    assert code_of(service.close_account, county, chief, seen) == "LAST_ADMINISTRATOR"
    service.set_password(county, link.token, PASSWORD)
    service.revoke(county, chief, seen, ids)
    second = service.account(county, OPERATOR, "second")
    assert code_of(service.close_account, county, OPERATOR, second) == "LAST_ADMINISTRATOR"
    assert ("failed", second.id) in audited(county, "accounts.change")


def test_both_last_administrators_cannot_be_closed_in_one_go(county: Store, chief: Actor) -> None:
    enrol(county, "second", Role.ADMINISTRATOR)
    both = [service.account(county, OPERATOR, login) for login in ("chief", "second")]
    changes = [Change(each, state=State.CLOSED) for each in both]
    assert code_of(service.change_accounts, county, chief, changes) == "LAST_ADMINISTRATOR"
    assert [each.state for each in service.list_accounts(county, chief)] == [State.ACTIVE] * 2


def test_an_account_comes_once_in_a_change(county: Store) -> None:
    enrol(county, "wang")
    seen = service.account(county, OPERATOR, "wang")
    changes = [Change(seen, title="甲"), Change(seen, title="乙")]
    assert code_of(service.change_accounts, county, OPERATOR, changes) == "ACCOUNT_TWICE"


def test_an_administrator_ends_a_session(county: Store, keeper: Actor) -> None:
    enrol(county, "near", Role.CLERK, "A1")
    (target,) = (each for each in service.sessions(county, keeper) if each.login == "near")
    service.end_session(county, keeper, target.id)
    assert not service.session_alive(county, target.id)
    assert code_of(service.end_session, county, keeper, target.id) == "SESSION_NOT_FOUND"
    assert audited(county, "sessions.end")[0] == ("done", target.id)


def test_changing_ones_own_password_needs_the_old_one(county: Store) -> None:
    enrol(county, "wang", Role.CLERK, "A1")
    who = service.signed_in(county, service.sign_in(county, "wang", PASSWORD, "192.0.2.7", ""))
    assert who is not None
    change = service.change_password
    new = "另一句只有我知道的话吧"
    assert code_of(change, county, who, "不是原来的口令呀", new, "192.0.2.7") == "SIGN_IN_FAILED"
    assert code_of(change, county, who, PASSWORD, "太短", "192.0.2.7") == "PASSWORD_SHORT"
    assert service.session_alive(county, who.session_id)
    change(county, who, PASSWORD, new, "192.0.2.7")
    assert code_of(entered, county, "wang") == "SIGN_IN_FAILED"
    entered(county, "wang", new)


def test_a_conflict_names_who_and_what(either: Store) -> None:
    enrol(either, "wang", Role.CLERK, "A1")
    seen = service.account(either, OPERATOR, "wang")
    service.grant(either, OPERATOR, seen, Role.REVIEWER, "A2")
    with pytest.raises(ChangedMeanwhile) as caught:
        service.change_account(either, OPERATOR, Change(seen, title="另一个人"))
    (conflict,) = caught.value.conflicts
    assert (conflict.account_id, conflict.login) == (seen.id, "wang")
    assert "审核员" in caught.value.message
    assert "旺村镇" in caught.value.message

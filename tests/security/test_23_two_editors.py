"""Attack 23: two editors of one account, single and bulk. The second is told, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from dashboard.access import SYSTEM, Role, operator
from dashboard.accounts import service
from dashboard.accounts.model import Account, Change, ChangedMeanwhile, State
from dashboard.store import Store
from dashboard.store.commit import commit
from tests.conftest import OpenStore
from tests.store import world

FIRST, SECOND = operator("first"), operator("second")
LOGINS = tuple(f"user{number}" for number in range(4))


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """Four clerks of the small county, on either database."""
    store = open_store()
    commit(store, SYSTEM, world.places_change(drawn=False), world.PAIRS)
    for login in LOGINS:
        service.add_account(store, FIRST, login, f"原名 {login}", role=Role.CLERK, place_id="A1")
    return store


def seen(store: Store) -> list[Account]:
    """What a form shows."""
    return service.list_accounts(store, FIRST)


Edit = Callable[[Store, Account], object]
EDITS: dict[str, Edit] = {
    "title": lambda store, it: service.change_account(store, SECOND, Change(it, title="第二人改")),
    "close": lambda store, it: service.close_account(store, SECOND, it),
    "grant": lambda store, it: service.grant(store, SECOND, it, Role.REVIEWER, "B"),
    "revoke": lambda store, it: service.revoke(store, SECOND, it, [it.grants[0].id]),
}
FIRST_EDITS: dict[str, tuple[Edit, str]] = {
    "title": (
        lambda store, it: service.change_account(store, FIRST, Change(it, title="第一人改")),
        "第一人改",
    ),
    "close": (lambda store, it: service.close_account(store, FIRST, it), "停用"),
    "grant": (lambda store, it: service.grant(store, FIRST, it, Role.VIEWER, "A2"), "查看人员"),
    "revoke": (
        lambda store, it: service.revoke(store, FIRST, it, [it.grants[0].id]),
        "收回角色",
    ),
}


@pytest.mark.parametrize("second", EDITS)
@pytest.mark.parametrize("first", FIRST_EDITS)
def test_the_second_is_told_what_the_first_did(store: Store, first: str, second: str) -> None:
    form = seen(store)[0]
    edit, word = FIRST_EDITS[first]
    edit(store, form)
    after = seen(store)
    with pytest.raises(ChangedMeanwhile) as caught:
        EDITS[second](store, form)
    assert caught.value.code == "CHANGED_MEANWHILE"
    assert word in caught.value.message
    assert form.login in caught.value.message
    assert seen(store) == after
    # Having looked again, the second may; what the first did stays.
    again = after[0]
    if again.grants:
        EDITS[second](store, again)
        nothing_left = first == second == "close"
        assert seen(store)[0].version == again.version + (0 if nothing_left else 1)


def test_a_bulk_change_is_all_or_nothing_and_names_every_conflict(store: Store) -> None:
    form = seen(store)
    service.change_account(store, FIRST, Change(form[1], title="第一人改"))
    service.close_account(store, FIRST, form[3])
    after = seen(store)
    with pytest.raises(ChangedMeanwhile) as caught:
        service.change_accounts(
            store, SECOND, [Change(each, state=State.CLOSED, title="批量") for each in form]
        )
    assert [conflict.login for conflict in caught.value.conflicts] == ["user1", "user3"]
    assert [conflict.account_id for conflict in caught.value.conflicts] == [form[1].id, form[3].id]
    assert seen(store) == after
    changed = service.change_accounts(
        store, SECOND, [Change(each, state=State.CLOSED) for each in seen(store)]
    )
    assert {each.state for each in changed} == {State.CLOSED}
    assert [each.title for each in changed] == [each.title for each in after]


def test_a_bulk_change_meets_a_bulk_change(store: Store) -> None:
    form = seen(store)
    service.change_accounts(store, FIRST, [Change(each, title="甲") for each in form[:3]])
    with pytest.raises(ChangedMeanwhile) as caught:
        service.change_accounts(store, SECOND, [Change(each, title="乙") for each in form[1:]])
    assert [conflict.login for conflict in caught.value.conflicts] == ["user1", "user2"]
    assert [each.title for each in seen(store)] == ["甲", "甲", "甲", "原名 user3"]


def test_at_the_very_same_time_exactly_one_wins(open_store: OpenStore, store: Store) -> None:
    """Eight editors in eight connections, all from the same form, let loose together."""
    stores = [open_store() for _ in range(8)]
    form, together = seen(store)[0], Barrier(len(stores))

    def edit(number: int) -> str:
        together.wait()
        try:
            change = Change(form, title=f"第 {number} 人")
            return service.change_account(stores[number], operator(f"n{number}"), change).title
        except ChangedMeanwhile as error:
            return error.code

    with ThreadPoolExecutor(len(stores)) as pool:
        outcomes = list(pool.map(edit, range(len(stores))))
    assert outcomes.count("CHANGED_MEANWHILE") == len(stores) - 1
    (won,) = (outcome for outcome in outcomes if outcome != "CHANGED_MEANWHILE")
    now = seen(store)[0]
    assert (now.title, now.version) == (won, form.version + 1)


def test_two_grants_at_the_very_same_time_are_not_both_given(
    open_store: OpenStore, store: Store
) -> None:
    stores = [open_store() for _ in range(4)]
    form, together = seen(store)[0], Barrier(len(stores))

    def give(other: Store) -> bool:
        together.wait()
        try:
            service.grant(other, FIRST, form, Role.REVIEWER, "A2")
        except ChangedMeanwhile:
            return False
        return True

    with ThreadPoolExecutor(len(stores)) as pool:
        given = list(pool.map(give, stores))
    assert given.count(True) == 1
    assert len(seen(store)[0].grants) == 2

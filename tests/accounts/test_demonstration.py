"""Demonstration accounts: real accounts, marked, and of no use next to real data."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from dashboard.access import ACTIONS, Role
from dashboard.accounts import service
from dashboard.accounts.model import Demonstrated
from dashboard.demo import accounts as demonstration
from dashboard.store import Store
from dashboard.store.tables import account
from geodata.errors import DudaoError
from tests.accounts.conftest import OPERATOR, PASSWORD, enrol

HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"
CLERK = demonstration.login_of(Role.CLERK)


def refused(store: Store, login: str = CLERK, address: str = HERE, remote: bool = False) -> str:
    """The code entering ends with."""
    with pytest.raises(DudaoError) as caught:
        service.sign_in_demonstration(store, login, address, "", remote)
    return caught.value.code


@pytest.fixture
def shown(county: Store) -> Store:
    """The small county as a demonstration."""
    county.set_meta("demonstration", "1")
    demonstration.ensure(county)
    return county


def test_there_is_one_for_every_role_at_a_place_that_suits_it(shown: Store) -> None:
    found = {each.grants[0].role: each for each in service.demonstration_accounts(shown)}
    assert list(found) == list(Role)
    assert all(each.demonstration and each.title.startswith("演示·") for each in found.values())
    places = {role.value: each.grants[0].place_id for role, each in found.items()}
    assert places == {
        "administrator": None,
        "county_leader": "A",
        "reviewer": "A",
        "inspection_team": "C",
        "township_head": "A1",
        "clerk": "A",
        "viewer": "A1",
    }


def test_making_them_again_changes_nothing(shown: Store) -> None:
    before = service.list_accounts(shown, OPERATOR)
    demonstration.ensure(shown)
    assert service.list_accounts(shown, OPERATOR) == before


def test_a_demonstration_made_before_there_were_accounts_gets_them(county: Store) -> None:
    county.set_meta("demonstration", "1")
    assert service.demonstration_accounts(county) == []
    demonstration.ensure(county)
    assert len(service.demonstration_accounts(county)) == len(Role)


def test_one_enters_without_a_password_from_this_machine_only(shown: Store) -> None:
    who = service.signed_in(shown, service.sign_in_demonstration(shown, CLERK, HERE, ""))
    assert who is not None
    assert who.demonstration
    assert who.actor.roles() == (Role.CLERK,)
    assert refused(shown, address=ELSEWHERE) == "DEMONSTRATION_LOCAL"
    assert refused(shown, address="") == "DEMONSTRATION_LOCAL"
    assert service.sign_in_demonstration(shown, CLERK, "::1", "")
    assert service.sign_in_demonstration(shown, CLERK, ELSEWHERE, "", True)


def test_no_password_opens_one(shown: Store) -> None:
    for password in ("", "demo", PASSWORD):
        with pytest.raises(DudaoError) as caught:
            service.sign_in(shown, CLERK, password, HERE, "")
        assert caught.value.code == "SIGN_IN_FAILED"
    who = service.account(shown, OPERATOR, CLERK)
    with pytest.raises(DudaoError) as caught:
        service.reset(shown, OPERATOR, who.id)
    assert caught.value.code == "DEMONSTRATION_ACCOUNT"


def test_a_real_account_cannot_be_entered_that_way(shown: Store) -> None:
    enrol(shown, "wang", Role.CLERK, "A")
    assert refused(shown, "wang") == "SIGN_IN_FAILED"
    assert refused(shown, "nobody") == "SIGN_IN_FAILED"


def test_next_to_real_data_they_are_not_made(county: Store) -> None:
    demonstration.ensure(county)
    assert service.list_accounts(county, OPERATOR) == []
    with pytest.raises(DudaoError) as caught:
        service.ensure_demonstration(county, [Demonstrated("x-demo", "演示", Role.CLERK, None)])
    assert caught.value.code == "DEMONSTRATION_REFUSED"
    assert service.list_accounts(county, OPERATOR) == []


def test_next_to_real_data_none_enters_and_open_sign_ins_end(shown: Store) -> None:
    token = service.sign_in_demonstration(shown, CLERK, HERE, "")
    who = service.signed_in(shown, token)
    assert who is not None
    shown.set_meta("demonstration", "0")
    assert service.signed_in(shown, token) is None
    assert not service.session_alive(shown, who.session_id)
    assert service.demonstration_accounts(shown) == []
    assert refused(shown) == "DEMONSTRATION_REFUSED"
    assert refused(shown, remote=True) == "DEMONSTRATION_REFUSED"


def test_a_real_account_marked_later_by_hand_does_not_help(county: Store) -> None:
    enrol(county, "wang", Role.ADMINISTRATOR)
    with county.engine.begin() as connection:
        connection.execute(update(account).values(demonstration=True))
    assert refused(county, "wang") == "DEMONSTRATION_REFUSED"


def test_a_demonstration_needs_no_first_administrator(shown: Store) -> None:
    assert service.first_link(shown, "http://127.0.0.1:8501") is None


def test_every_action_has_somebody_in_the_demonstration(shown: Store) -> None:
    found = [each.login for each in service.demonstration_accounts(shown)]
    actors = [shown.actor(login) for login in found]
    assert [each for each in ACTIONS if not any(actor.may(each) for actor in actors)] == []

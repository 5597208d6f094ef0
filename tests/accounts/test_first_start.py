"""The first administrator's link."""

from __future__ import annotations

import pytest

from dashboard.access import Role
from dashboard.accounts import service
from dashboard.accounts.model import Change, State
from dashboard.store import Store
from geodata.errors import DudaoError
from tests.accounts.conftest import OPERATOR, PASSWORD, enrol, entered

BASE = "https://dudao.example.gov.cn/"


def token_of(link: str | None) -> str:
    assert link is not None
    assert link.startswith("https://dudao.example.gov.cn/login/link/")
    return link.rpartition("/")[2]


def test_each_start_without_an_administrator_makes_a_new_link_and_voids_the_old(
    either: Store,
) -> None:
    first, second = (token_of(service.first_link(either, BASE)) for _ in range(2))
    with pytest.raises(DudaoError) as caught:
        service.set_password(either, first, PASSWORD)
    assert caught.value.code == "LINK_INVALID"
    assert service.set_password(either, second, PASSWORD) == "admin"
    assert service.first_link(either, BASE) is None
    assert entered(either, "admin").may("backup.make")
    assert [each.login for each in service.list_accounts(either, OPERATOR)] == ["admin"]


def test_the_administrator_of_a_county_is_not_enough(county: Store) -> None:
    enrol(county, "keeper", Role.ADMINISTRATOR, "A")
    assert service.first_link(county, BASE) is not None


def test_somebody_called_admin_is_not_made_administrator(county: Store) -> None:
    enrol(county, "admin", Role.VIEWER, "A1")
    token = token_of(service.first_link(county, BASE))
    assert service.set_password(county, token, PASSWORD) == "admin-2"
    assert entered(county, "admin").roles() == (Role.VIEWER,)


def test_a_closed_admin_stays_closed(county: Store) -> None:
    enrol(county, "admin", Role.ADMINISTRATOR)
    enrol(county, "other", Role.ADMINISTRATOR)
    seen = service.account(county, OPERATOR, "admin")
    service.change_account(county, OPERATOR, Change(seen, state=State.CLOSED))
    assert service.first_link(county, BASE) is None
    service.reset(county, OPERATOR, service.account(county, OPERATOR, "other").id)
    token = token_of(service.first_link(county, BASE))
    assert service.set_password(county, token, PASSWORD) == "admin-2"
    assert service.account(county, OPERATOR, "admin").state is State.CLOSED

"""A store with the small county of ``tests.store.world``, and people who administer it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.access import SYSTEM, Actor, Role, operator
from dashboard.accounts import service
from dashboard.store import Store
from dashboard.store.commit import commit
from tests.store import world

OPERATOR = operator("tests")
PASSWORD = "秋收之后修村路口三里"


def enrol(store: Store, login: str, role: Role | None = None, place_id: str | None = None) -> Actor:
    """A new account with a password, as an actor of the pages."""
    link = service.add_account(
        store, OPERATOR, login, f"测试 {login}", role=role, place_id=place_id
    )
    service.set_password(store, link.token, PASSWORD)
    return entered(store, login)


def entered(store: Store, login: str, password: str = PASSWORD) -> Actor:
    """The actor of a new sign-in."""
    token = service.sign_in(store, login, password, "192.0.2.7", "tests")
    found = service.signed_in(store, token)
    assert found is not None
    return found.actor


def _with_places(store: Store) -> Store:
    commit(store, SYSTEM, world.places_change(drawn=False), world.PAIRS)
    return store


@pytest.fixture
def either(store: Store) -> Store:
    """The small county's places, on either database."""
    return _with_places(store)


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Store]:
    """The small county's places."""
    store = Store.open(tmp_path / "county")
    yield _with_places(store)
    store.close()

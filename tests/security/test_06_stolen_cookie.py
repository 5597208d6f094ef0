"""Attack 6: a stolen cookie after sign-out, unused for too long, and after its last hour."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from dashboard.store.tables import session
from tests.security.client import COOKIE, Client
from tests.security.served import Served


def _sign_out(served: Served, owner: Client) -> None:
    answer = Client(owner.address, dict(owner.cookies)).request(
        "POST", "/logout", {"Origin": owner.address}, b""
    )
    assert answer.status == 303
    assert answer.headers["location"] == "/login?out=1"


def _shift(served: Served, owner: Client, column: str, seconds: float) -> None:
    """Move a time of the session, as if it had passed."""
    wanted = session.c.id == served.session_id(owner)
    with served.store.engine.begin() as connection:
        connection.execute(
            update(session).where(wanted).values({column: session.c[column] + seconds})
        )


def _idle(served: Served, owner: Client) -> None:
    _shift(served, owner, "last_seen", -(60 * 60 + 1))


def _absolute(served: Served, owner: Client) -> None:
    _shift(served, owner, "expires", -(12 * 3600 + 1))


ENDS: dict[str, Callable[[Served, Client], None]] = {
    "signed out": _sign_out,
    "unused for an hour": _idle,
    "after twelve hours": _absolute,
}
PATHS = ("/map", "/", "/layers/x/y/z/1", "/download/abcdef", "/_stcore/health", "/static/js/x.js")


@pytest.mark.parametrize("ending", ENDS)
def test_the_thief_gets_nothing(small: Served, ending: str) -> None:
    owner = small.sign_in("viewer")
    thief = Client(owner.address, dict(owner.cookies))
    page = thief.socket()
    page.run()
    assert thief.get("/map").status == 200
    ENDS[ending](small, owner)
    for path in PATHS:
        assert thief.request("GET", path, keep=False).status == 401, path
    seen = thief.request("GET", "/map", {"Accept": "text/html"}, keep=False)
    assert (seen.status, seen.headers["location"]) == (303, "/login?next=%2Fmap")
    assert thief.refused() == 403
    assert page.closed_with() == 4401
    assert thief.request("POST", "/logout", {"Origin": thief.address}, b"").status == 401


def test_use_does_not_outlive_the_last_hour(small: Served) -> None:
    owner = small.sign_in("viewer")
    _shift(small, owner, "expires", -(12 * 3600 - 3))
    page = owner.socket()
    page.run()
    # Watched while it is open, the page is closed without a message of its own.
    assert page.closed_with() == 4401
    assert owner.get("/map").status == 401


def test_signing_in_again_gives_another_token_and_ends_the_old(small: Served) -> None:
    owner = small.sign_in("viewer")
    before = owner.cookies[COOKIE]
    # A token planted before signing in is worth nothing afterwards either.
    owner.sign_in(**small.form("viewer"))
    assert owner.cookies[COOKIE] != before
    assert Client(owner.address, {COOKIE: before}).get("/map").status == 401
    assert owner.get("/map").status == 200


@pytest.mark.parametrize("made_up", ["", "x", "0" * 43, "../../etc", "a" * 4_000, "\x80\xff"])
def test_a_made_up_token_is_nobody(small: Served, made_up: str) -> None:
    assert Client(small.address, {COOKIE: made_up}).get("/map").status in (400, 401)


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(small: Served) -> None:
    answer = small.stranger().post("/login", small.form("viewer"))
    (cookie,) = answer.headers.get_all("set-cookie", [])
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "path=/", "samesite=lax"}
    assert answer.headers["cache-control"] == "no-store"

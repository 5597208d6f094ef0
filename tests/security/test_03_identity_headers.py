"""Attack 3: headers that say one is somebody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dashboard.accounts import service as accounts
from tests.browser.serving import serving
from tests.security.served import OPERATOR, Served

SPOOFS = (
    "x-dudao-session", "X-Dudao-Session", "x-dudao-actor", "x-streamlit-user", "x-forwarded-user",
    "x-forwarded-email", "remote-user", "x-remote-user", "x-auth-request-user", "x-user",
    "forwarded", "authorization", "x-forwarded-for", "x-real-ip", "x-original-url",
)  # fmt: skip


@pytest.mark.parametrize("name", SPOOFS)
def test_true_identity_on_the_page(small: Served, name: str) -> None:
    mine, other = small.as_viewer(), small.as_administrator()
    victim = other.socket()
    victim.run()
    page = mine.socket(headers={name: small.session_of("administrator")})
    page.run()
    said = page.texts()
    assert f"actor={small.actor_of('viewer')}" in said
    assert f"actor={small.actor_of('administrator')}" not in said
    if name.lower() not in ("x-dudao-session",):
        assert f"'{name.lower()}'" not in said
    assert small.session_of("administrator") not in said
    victim.close()
    page.close()


def test_two_spellings_at_once(small: Served) -> None:
    page = small.as_viewer().socket(
        headers={
            "X-DUDAO-SESSION": small.session_of("administrator"),
            "x-dudao-session": small.session_of("administrator"),
        }
    )
    page.run()
    assert f"actor={small.actor_of('viewer')}" in page.texts()
    page.close()


def test_a_header_alone_opens_nothing(small: Served) -> None:
    stranger = small.stranger()
    for name in SPOOFS:
        value = small.session_of("administrator")
        assert stranger.request("GET", "/map", {name: value}).status == 401
        assert stranger.refused(headers={name: value}) == 403


def test_pages_are_not_told_the_token(small: Served) -> None:
    page = small.as_viewer().socket()
    page.run()
    assert "cookies=['_streamlit_xsrf']" in page.texts()
    page.close()


def test_a_proxys_word_is_not_believed_from_anybody(small: Served) -> None:
    answer = small.stranger().request(
        "GET", "/map", {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
                        "Accept": "text/html"},
    )  # fmt: skip
    assert answer.status == 303
    assert answer.headers["location"].startswith("/login")
    assert "evil.example" not in str(answer.headers)


def _address_kept(served: Served) -> str:
    """Where a sign-in came from, as the server noted it, when a proxy before it says so."""
    client = served.stranger()
    chain = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Real-IP": "198.51.100.7"}
    assert client.post("/login", served.form("clerk"), chain).status == 303
    session_id = served.session_id(client)
    (found,) = [
        each.address for each in accounts.sessions(served.store, OPERATOR) if each.id == session_id
    ]
    return found


def test_an_address_told_by_anybody_is_not_believed(small: Served) -> None:
    assert _address_kept(small) == "127.0.0.1"


def test_an_address_told_by_the_trusted_proxy_is(small: Served, tmp_path: Path) -> None:
    """The one the proxy itself saw: the last of the chain, not what the client wrote before it."""
    trusting = {
        "DUDAO_TEST_EFFECTS": str(tmp_path / "effects"),
        "DUDAO_TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    with serving(small.data, tmp_path, trusting, "tests.security.small_server") as address:
        assert _address_kept(replace(small, address=address)) == "203.0.113.9"

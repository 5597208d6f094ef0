"""The gate around a small application: what passes, and what it looks like on the other side."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from dashboard.access import Role, operator
from dashboard.accounts import service as accounts
from dashboard.gate import cookies
from dashboard.gate.middleware import SESSION_HEADER, Gate
from dashboard.gate.refusals import REFUSALS
from dashboard.settings import Settings
from dashboard.store import Store
from tests.gate.asgi import Answer, Header, ask

LAPTOP = Settings(host="127.0.0.1", port=8501)
CITY = Settings(host="0.0.0.0", port=8501, public_url="https://dudao.example.cn")
PASSWORD = "巡查-7-straw-Kettle"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the headers it saw, and with some nobody should see."""
    seen = sorted({key.decode(): value.decode() for key, value in scope["headers"]}.items())
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"application/json"),
                (b"server", b"secret/1.0"),
                (b"access-control-allow-origin", b"*"),
                (b"x-frame-options", b"ALLOWALL"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": json.dumps(dict(seen)).encode()})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(tmp_path_factory.mktemp("gate"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def token(store: Store) -> str:
    """Of a viewer who is signed in."""
    link = accounts.add_account(store, operator("tests"), "viewer", "查看", role=Role.VIEWER)
    accounts.set_password(store, link.token, PASSWORD)
    return accounts.sign_in(store, "viewer", PASSWORD, "127.0.0.1", "tests")


def _ask(
    store: Store, settings: Settings, path: str, *headers: Header, method: str = "GET"
) -> Answer:
    return ask(Gate(echo, settings, lambda: store), path, headers, method)


def _from(settings: Settings, token: str) -> tuple[Header, Header]:
    host = b"dudao.example.cn" if settings.secure else b"127.0.0.1:8501"
    return (b"host", host), (b"cookie", f"a=1; {cookies.name(settings)}={token}".encode())


@pytest.mark.parametrize("settings", [LAPTOP, CITY], ids=["plain", "tls"])
def test_the_session_and_not_the_token_is_told(
    store: Store, token: str, settings: Settings
) -> None:
    spoofed = [(SESSION_HEADER, b"x"), (b"x-forwarded-user", b"root"), (b"origin", b"http://a")]
    answer = _ask(store, settings, "/layers/a", *_from(settings, token), *spoofed)
    assert answer.status == 200
    seen = json.loads(answer.body)
    found = accounts.signed_in(store, token)
    assert found is not None
    assert seen[SESSION_HEADER.decode()] == found.session_id
    assert seen["cookie"] == "a=1"
    assert "x-forwarded-user" not in seen and "origin" not in seen


def test_one_identity_header_even_when_several_came(store: Store, token: str) -> None:
    seen: list[bytes] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(value for key, value in scope["headers"] if key == SESSION_HEADER)
        await echo(scope, receive, send)

    spoofed = [(SESSION_HEADER, b"x"), (SESSION_HEADER, b"y")]
    ask(Gate(look, LAPTOP, lambda: store), "/layers/a", [*_from(LAPTOP, token), *spoofed])
    assert len(seen) == 1 and seen[0] not in (b"x", b"y")


def test_headers_the_application_set_do_not_weaken_ours(store: Store, token: str) -> None:
    answer = _ask(store, LAPTOP, "/layers/a", *_from(LAPTOP, token))
    assert answer.header("x-frame-options") == "DENY"
    assert answer.header("server") == "" and answer.header("access-control-allow-origin") == ""
    assert answer.header("strict-transport-security") == ""


def test_under_tls_the_browser_is_told_to_stay_there(store: Store, token: str) -> None:
    answer = _ask(store, CITY, "/", *_from(CITY, token))
    assert answer.header("strict-transport-security").startswith("max-age=31536000")
    assert "wss://dudao.example.cn" in answer.header("content-security-policy")
    assert "ws://" not in answer.header("content-security-policy")


def test_the_plain_cookie_opens_nothing_under_tls(store: Store, token: str) -> None:
    cookie = (b"cookie", f"dudao={token}".encode())
    assert _ask(store, CITY, "/layers/a", (b"host", b"dudao.example.cn"), cookie).status == 401


def test_two_hosts_are_none(store: Store, token: str) -> None:
    host, cookie = _from(LAPTOP, token)
    assert _ask(store, LAPTOP, "/layers/a", host, host, cookie).status == 421


def test_a_root_path_moves_nothing(store: Store) -> None:
    """The router strips it from the path; the gate must look at the same path."""
    seen: list[str] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["root_path"])
        await echo(scope, receive, send)

    ask(Gate(look, LAPTOP, lambda: store), "/healthz", [(b"host", b"127.0.0.1:8501")])
    assert seen == [""]


def test_tiles_may_be_loaded_when_the_settings_ask(store: Store, token: str) -> None:
    tiled = Settings(host="127.0.0.1", port=8501, tiles="tianditu", tianditu_key="k")
    policy = _ask(store, tiled, "/", *_from(tiled, token)).header("content-security-policy")
    images = policy.partition("img-src ")[2].partition(";")[0]
    assert "https://t0.tianditu.gov.cn" in images and "https://t7.tianditu.gov.cn" in images
    assert "k" not in images.split()
    plain = _ask(store, LAPTOP, "/", *_from(LAPTOP, token)).header("content-security-policy")
    assert "https:" not in plain


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_says_what_and_what_to_do(code: str) -> None:
    status, message, remedy = REFUSALS[code]
    assert 400 <= status < 500
    assert message.endswith("。") and remedy.endswith("。")


def test_a_file_of_the_page_gets_the_page_policy_only(store: Store, token: str) -> None:
    strict = _ask(store, LAPTOP, "/login", (b"host", b"127.0.0.1:8501"))
    assert strict.header("content-security-policy").startswith("default-src 'none'")
    framed = _ask(store, LAPTOP, "/component/a/index.html", *_from(LAPTOP, token))
    assert framed.header("x-frame-options") == "SAMEORIGIN"
    assert "script-src-attr 'none'" in framed.header("content-security-policy")

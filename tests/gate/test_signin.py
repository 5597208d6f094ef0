"""The sign-in pages behind the real gate: forms, links, languages, where one goes next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.access import SYSTEM, Role, operator
from dashboard.accounts import service as accounts
from dashboard.demo import accounts as demonstration
from dashboard.gate import signin
from dashboard.gate.middleware import Gate
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store.commit import commit
from tests.store import world

SITE = "http://127.0.0.1:8501"
OPERATOR = operator("tests")
PASSWORD = "秋收之后修村路口三里"
CLERK = demonstration.login_of(Role.CLERK)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path)
    commit(store, SYSTEM, world.places_change(drawn=False), world.PAIRS)
    link = accounts.add_account(store, OPERATOR, "wang", "王敏", role=Role.CLERK, place_id="A1")
    accounts.set_password(store, link.token, PASSWORD)
    yield store
    store.close()


def browser(
    store: Store, settings: Settings | None = None, address: str = "127.0.0.1", site: str = SITE
) -> TestClient:
    """A browser at an address, in front of the gate and the sign-in pages."""
    chosen = settings or Settings(data=store.directory)
    app = Gate(Starlette(routes=signin.routes(store, chosen)), chosen, lambda: store)
    return TestClient(
        app, site, follow_redirects=False, client=(address, 50_000), headers={"Origin": site}
    )


def form(**fields: str) -> dict[str, str]:
    return {"login": "wang", "password": PASSWORD, **fields}


def test_the_page_has_no_script_and_the_strictest_policy(store: Store) -> None:
    answer = browser(store).get("/login")
    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert not re.search(r"<[^>]*\son\w+=", answer.text)
    assert "style=" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    for address in re.findall(r'(?:href|src)="([^"]+)"', answer.text):
        assert not re.match(r"\w+:|//", address), address


def test_signing_in_leads_on_and_a_second_visit_too(store: Store) -> None:
    client = browser(store)
    answer = client.post("/login", data=form(next="/map?place=A1&lang=en"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/map?place=A1&lang=en")
    assert client.get("/login").headers["location"] == "/"
    assert client.get("/login?next=/data").headers["location"] == "/data"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil.example",
        "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "evil", "", "/login",
        "/login/link/x", "/logout", "/oidc/login", "http:evil", "/\u2028/x",
    ],
)  # fmt: skip
def test_one_is_never_sent_elsewhere(store: Store, target: str) -> None:
    assert browser(store).post("/login", data=form(next=target)).headers["location"] == "/"
    page = browser(store).get(f"/login?next={quote(target)}").text
    assert 'name="next" value="/"' in page


def test_a_form_of_another_site_signs_nobody_in(store: Store) -> None:
    client = browser(store)
    for origin in ("https://evil.example", "null", "http://127.0.0.1:8502", SITE + ".evil.example"):
        for path in ("/login", "/login/demonstration", "/login/link/x", "/login/password"):
            answer = client.post(path, data=form(), headers={"Origin": origin})
            assert (answer.status_code, client.cookies.get("dudao")) == (403, None)
    del client.headers["Origin"]
    assert client.post("/login", data=form()).status_code == 403


def test_an_error_says_what_and_how_in_the_chosen_language(store: Store) -> None:
    client = browser(store)
    told = client.post("/login", data=form(password="x", login=" Wang"))
    assert told.status_code == 401
    assert "账号或口令不正确。请核对后重试" in told.text
    assert 'value=" Wang"' in told.text
    english = client.post("/login", data=form(password="x", lang="en"))
    assert "Account or password is wrong" in english.text
    assert '<html lang="en">' in english.text
    for page in (client.get("/login?lang=en"), client.get("/login?next=/map%3Flang%3Den"), english):
        text = re.sub(r"<[^>]+>|中文", "", page.text)
        assert not re.search("[\u4e00-\u9fff]", text)


def test_forms_that_are_none(store: Store) -> None:
    client = browser(store)
    assert client.post("/login", data={}).status_code == 401
    plain = client.post("/login", content=b"{", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 401
    file = client.post("/login", files={"password": ("x", b"x")}, data={"login": "wang"})
    assert file.status_code == 400
    assert client.post("/login", data=form(password="x" * 70_000)).status_code == 413
    assert client.put("/login").status_code == 405


def test_a_link_is_looked_at_often_and_used_once(store: Store) -> None:
    link = accounts.add_account(store, OPERATOR, "li", "李某", role=Role.VIEWER, place_id="A")
    client = browser(store)
    for _ in range(3):
        page = client.get(link.path)
        assert page.status_code == 200 and 'value="li"' in page.text
    new = "另一句只有我知道的话吧"
    differs = client.post(link.path, data={"new": new, "again": new + "x"})
    assert (differs.status_code, "PASSWORDS_DIFFER" in differs.text) == (400, True)
    weak = client.post(link.path, data={"new": "1234567890", "again": "1234567890", "lang": "en"})
    assert (weak.status_code, "easily guessed" in weak.text) == (400, True)
    done = client.post(link.path, data={"new": new, "again": new})
    assert (done.status_code, done.headers["location"]) == (303, "/login?set=1&lang=zh")
    assert "口令已设置" in client.get("/login?set=1").text
    assert client.get(link.path).status_code == 404
    assert client.post(link.path, data={"new": new, "again": new}).status_code == 404
    assert client.get("/login/link/made-up").status_code == 404
    assert client.post("/login", data={"login": "li", "password": new}).status_code == 303


def test_changing_the_own_password_signs_out_everywhere(store: Store) -> None:
    client, other = browser(store), browser(store)
    assert client.get("/login/password").headers["location"] == "/login?next=/login/password"
    for each in (client, other):
        each.post("/login", data=form(next="/login/password"))
    assert 'value="wang"' in client.get("/login/password").text
    new = "另一句只有我知道的话吧"
    wrong = client.post("/login/password", data={"old": "x", "new": new, "again": new})
    assert (wrong.status_code, "SIGN_IN_FAILED" in wrong.text) == (401, True)
    done = client.post("/login/password", data={"old": PASSWORD, "new": new, "again": new})
    assert done.headers["location"] == "/login?set=1&lang=zh"
    assert other.get("/login/password").status_code == 303
    assert client.post("/login", data=form(password=new)).status_code == 303


def test_demonstration_accounts_show_only_in_a_demonstration(store: Store) -> None:
    assert "person" not in browser(store).get("/login").text
    assert browser(store).post("/login/demonstration", data={"login": CLERK}).status_code == 403
    store.set_meta("demonstration", "1")
    demonstration.ensure(store)
    client = browser(store)
    page = client.get("/login").text
    assert re.findall(r'name="login" value="(demo-[a-z-]+)"', page) == [
        demonstration.login_of(role) for role in Role
    ]
    done = client.post("/login/demonstration", data={"login": CLERK, "next": "/data"})
    assert (done.status_code, done.headers["location"]) == (303, "/data")


def test_demonstration_accounts_are_for_this_machine(store: Store, tmp_path: Path) -> None:
    store.set_meta("demonstration", "1")
    demonstration.ensure(store)
    named = Settings(data=store.directory, public_url="http://map.example")
    # From elsewhere; and through a proxy on this machine, which asks for the public name.
    for client in (
        browser(store, address="192.0.2.7"),
        browser(store, named, site="http://map.example"),
    ):
        assert 'class="person"' not in client.get("/login").text
        refused = client.post("/login/demonstration", data={"login": CLERK})
        assert (refused.status_code, "DEMONSTRATION_LOCAL" in refused.text) == (403, True)
    opened = named.model_copy(update={"demonstration_remote": True})
    remote = browser(store, opened, address="192.0.2.7", site="http://map.example")
    assert 'class="person"' in remote.get("/login").text
    assert remote.post("/login/demonstration", data={"login": CLERK}).status_code == 303


def test_passwords_can_be_switched_off(store: Store) -> None:
    settings = Settings(
        data=store.directory,
        password_sign_in=False,
        oidc_issuer="https://id.example",
        oidc_client_id="dudao",
        oidc_roles={"groups": ({"value": "a", "role": "clerk", "place": "A"},)},  # type: ignore[dict-item]
    )
    client = browser(store, settings)
    page = client.get("/login").text
    assert 'type="password"' not in page and 'href="/oidc/login?' in page
    refused = client.post("/login", data=form())
    assert (refused.status_code, "PASSWORD_SIGN_IN_OFF" in refused.text) == (403, True)
    assert client.cookies.get("dudao") is None


def test_over_tls_the_cookie_is_bound_to_the_host(store: Store) -> None:
    settings = Settings(data=store.directory, public_url="https://map.example")
    client = browser(store, settings, site="https://map.example")
    cookie = client.post("/login", data=form()).headers["set-cookie"]
    assert cookie.startswith("__Host-dudao=")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {
        part.strip().lower() for part in cookie.split(";")
    }


def test_the_settings_for_how_long_reach_the_sessions(store: Store) -> None:
    settings = Settings(data=store.directory, session_idle_minutes=7, session_hours=3)
    browser(store, settings).post("/login", data=form())
    (open_now,) = accounts.sessions(store, OPERATOR)
    assert round(open_now.expires - open_now.created) == 3 * 3600
    with store.unit(SYSTEM) as unit:
        assert unit.meta("session_idle_minutes") == "7"

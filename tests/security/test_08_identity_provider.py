"""Attack 8: OpenID Connect against a real provider. Whatever is not right gives no session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import func, select

from dashboard.access import SYSTEM, Role, operator
from dashboard.accounts import service as accounts
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.tables import audit, session
from tests.browser.serving import free_port, serving
from tests.security.provider import Visitor, providing
from tests.store import world

OPERATOR = operator("tests")
SETTINGS = """
oidc_issuer = "http://127.0.0.1:{port}"
oidc_client_id = "dudao"
oidc_client_secret = "only-for-this-test"
oidc_scope = "openid profile dudao"

[[oidc_roles.groups]]
value = "dudao-clerks"
role = "clerk"
place_claim = "division"

[[oidc_roles.groups]]
value = "dudao-leaders"
role = "county_leader"
place = "A"
"""


class Place:
    """A site, its store and its provider."""

    def __init__(self, site: str, issuer: str, store: Store) -> None:
        self.site, self.issuer, self.store = site, issuer, store

    def visitor(self) -> Visitor:
        """A new browser."""
        return Visitor(self.site, self.issuer)

    def sessions(self) -> int:
        """How many sessions there ever were."""
        with self.store.engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(session)).scalar_one())

    def denials(self) -> list[str]:
        """The errors of sign-ins that were denied."""
        with self.store.engine.connect() as connection:
            rows = connection.execute(
                select(audit.c.details)
                .where(audit.c.action == "session.sign_in", audit.c.outcome == "denied")
                .order_by(audit.c.seq)
            )
            return [json.loads(row.details)["error"] for row in rows]

    def says(self, name: str, claims: dict[str, object]) -> None:
        """Let the provider say something else about somebody."""
        assert httpx2.post(f"{self.issuer}/people/{name}", json=claims).text == "ok"

    def clock(self, seconds: int) -> None:
        """Put the provider's clock so many seconds off."""
        assert httpx2.post(f"{self.issuer}/clock", json=seconds).text == "ok"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A site of real data that people enter through the provider."""
    elsewhere, port = tmp_path_factory.mktemp("oidc"), free_port()
    data = elsewhere / "data"
    store = Store.open(data)
    commit(store, SYSTEM, world.places_change(drawn=False), world.PAIRS)
    Path(data, "dudao.toml").write_text(SETTINGS.format(port=port), encoding="utf-8")
    with serving(data, elsewhere) as site, providing(port, site) as issuer:
        yield Place(site, issuer, store)
    store.close()


@pytest.fixture
def no_session(place: Place) -> Iterator[None]:
    """The test ends with no session more than it began with, and a denial in the audit."""
    before, denied = place.sessions(), len(place.denials())
    yield
    assert place.sessions() == before
    assert len(place.denials()) > denied


def test_who_has_a_role_enters_as_what_the_claims_say(place: Place) -> None:
    visitor = place.visitor()
    answer = visitor.enter("clerk")
    assert (answer.status_code, answer.headers["location"]) == (303, "/data")
    assert visitor.token is not None
    who = accounts.signed_in(place.store, visitor.token)
    assert who is not None
    assert who.actor.name == "王敏 数据员"
    seen = accounts.account(place.store, OPERATOR, who.login)
    assert seen.external and not seen.has_password
    assert [(each.role, each.place_id, each.granted_by) for each in seen.grants] == [
        (Role.CLERK, "A1", "oidc")
    ]
    assert visitor.get("/map").status_code == 200


def test_the_request_carries_state_nonce_and_pkce(place: Place) -> None:
    asked = parse_qs(urlsplit(place.visitor().start()).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert min(len(asked[name][0]) for name in ("state", "nonce", "code_challenge")) >= 20
    again = parse_qs(urlsplit(place.visitor().start()).query)
    assert [
        name for name in ("state", "nonce", "code_challenge") if asked[name] == again[name]
    ] == []


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("state", ["forged", "", None])
def test_a_forged_state(place: Place, state: str | None) -> None:
    visitor = place.visitor()
    back = urlsplit(visitor.come_back("clerk"))
    query = {name: values[0] for name, values in parse_qs(back.query).items()} | {"state": state}
    sent = {name: value for name, value in query.items() if value is not None}
    answer = visitor.browser.get(f"{place.site}/oidc/callback", params=sent)
    assert answer.status_code == 403
    assert "OIDC_REFUSED" in answer.text
    assert visitor.token is None


@pytest.mark.usefixtures("no_session")
def test_an_answer_meant_for_another_browser(place: Place) -> None:
    """Signing the victim in as the attacker: the address is good, the browser another."""
    back = place.visitor().come_back("clerk")
    victim = place.visitor()
    assert victim.get(back).status_code == 403
    busy = place.visitor()
    busy.start()
    assert busy.get(back).status_code == 403
    assert victim.token is busy.token is None


@pytest.mark.usefixtures("no_session")
def test_a_code_of_another_sign_in_with_the_own_state(place: Place) -> None:
    attacker, victim = place.visitor(), place.visitor()
    stolen = parse_qs(urlsplit(victim.come_back("clerk")).query)["code"][0]
    own = parse_qs(urlsplit(attacker.come_back("stranger")).query)
    sent = {name: values[0] for name, values in own.items()} | {"code": stolen}
    answer = attacker.browser.get(f"{place.site}/oidc/callback", params=sent)
    assert answer.status_code == 403
    assert attacker.token is None


def test_a_replayed_code(place: Place) -> None:
    visitor = place.visitor()
    back = visitor.come_back("clerk")
    kept = httpx2.Cookies(visitor.browser.cookies)
    assert visitor.get(back).status_code == 303
    before, denied = place.sessions(), len(place.denials())
    # In the same browser, and in a copy of it as it was before the code was used.
    assert visitor.get(back).status_code == 403
    copy = place.visitor()
    copy.browser.cookies.update(kept)
    assert copy.get(back).status_code == 403
    assert copy.token is None
    assert place.sessions() == before
    assert len(place.denials()) == denied + 2


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("name", ["stranger", "elsewhere"])
def test_a_missing_role_and_a_place_that_is_not_here(place: Place, name: str) -> None:
    visitor = place.visitor()
    answer = visitor.enter(name)
    assert answer.status_code == 403
    assert "OIDC_NO_ROLE" in answer.text
    assert visitor.token is None
    logins = {each.login for each in accounts.list_accounts(place.store, OPERATOR)}
    assert logins.isdisjoint({"wai", "bie"})


@pytest.mark.usefixtures("no_session")
def test_an_expired_token(place: Place) -> None:
    """The provider's clock is an hour behind, so what it signs is over when it arrives."""
    visitor = place.visitor()
    back = visitor.come_back("clerk")
    place.clock(-3_600)
    try:
        answer = visitor.get(back)
    finally:
        place.clock(0)
    assert answer.status_code == 403
    assert "OIDC_REFUSED" in answer.text
    assert visitor.token is None
    assert place.denials()[-1] == "ExpiredTokenError"


@pytest.mark.usefixtures("no_session")
def test_the_provider_says_no(place: Place) -> None:
    visitor = place.visitor()
    state = parse_qs(urlsplit(visitor.start()).query)["state"][0]
    answer = visitor.get(f"/oidc/callback?error=access_denied&state={state}")
    assert answer.status_code == 403
    assert visitor.token is None


@pytest.mark.usefixtures("no_session")
def test_an_answer_of_another_issuer(place: Place) -> None:
    visitor = place.visitor()
    back = visitor.come_back("clerk")
    assert "iss=" in back
    mixed = back.replace("iss=http", "iss=https")
    assert visitor.get(mixed).status_code == 403
    assert visitor.token is None


def test_another_role_at_the_provider_ends_the_old_sign_in(place: Place) -> None:
    claims: dict[str, object] = {"name": "赵某", "groups": ["dudao-leaders"], "division": "B1"}
    place.says("zhao", claims)
    before = place.visitor()
    assert before.enter("zhao").status_code == 303
    assert before.get("/map").status_code == 200
    place.says("zhao", {**claims, "groups": ["dudao-clerks"]})
    after = place.visitor()
    assert after.enter("zhao").status_code == 303
    assert before.get("/map").status_code == 401
    assert after.token is not None
    who = accounts.signed_in(place.store, after.token)
    assert who is not None
    assert who.actor.roles() == (Role.CLERK,)
    assert who.actor.scope("data.load").paths == ("C/B/B1/",)
    place.says("zhao", {**claims, "groups": []})
    last = place.visitor()
    assert last.enter("zhao").status_code == 403


def test_a_closed_account_stays_out(place: Place) -> None:
    place.says("qian", {"name": "钱某", "groups": ["dudao-leaders"]})
    assert place.visitor().enter("qian").status_code == 303
    seen = next(
        each for each in accounts.list_accounts(place.store, OPERATOR) if each.title == "钱某"
    )
    accounts.close_account(place.store, OPERATOR, seen)
    answer = place.visitor().enter("qian")
    assert answer.status_code == 403
    assert "OIDC_CLOSED" in answer.text


def test_it_never_takes_over_a_local_account_of_the_same_name(place: Place) -> None:
    accounts.add_account(place.store, OPERATOR, "sun", "本地账号", role=Role.ADMINISTRATOR)
    place.says("sun", {"name": "孙某", "preferred_username": "sun", "groups": ["dudao-leaders"]})
    visitor = place.visitor()
    assert visitor.enter("sun").status_code == 303
    assert visitor.token is not None
    who = accounts.signed_in(place.store, visitor.token)
    assert who is not None
    assert who.login == "sun-2"
    assert who.actor.roles() == (Role.COUNTY_LEADER,)


def test_signing_out_here_and_there(place: Place) -> None:
    visitor = place.visitor()
    visitor.enter("leader")
    token = visitor.token
    assert token is not None
    assert visitor.post("/logout").headers["location"] == "/login?out=1"
    assert accounts.signed_in(place.store, token) is None
    assert 'href="/oidc/logout"' in visitor.get("/login?out=1").text
    away = visitor.get("/oidc/logout").headers["location"]
    assert away.startswith(f"{place.issuer}/session/end?")
    assert parse_qs(urlsplit(away).query)["post_logout_redirect_uri"] == [
        f"{place.site}/login?out=1"
    ]
    asked = visitor.browser.get(away)
    assert asked.status_code == 200
    assert f"{place.issuer}/session/end/confirm" in asked.text

"""Signing in through an identity provider: OpenID Connect, authorization code with PKCE.

Authlib speaks the protocol. Here is what it leaves open: the state is good once and only in the
browser that asked, the provider must be the one of the settings, the token must be signed with a
public key of its and be for this site, and the claims become roles.
"""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx2
from authlib.integrations.starlette_client import OAuth, OAuthError, StarletteOAuth2App
from joserfc.errors import JoseError
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.access import ACTIONS
from dashboard.accounts import service as accounts
from dashboard.accounts.model import Identity, Wanted
from dashboard.accounts.sessions import VISITOR
from dashboard.gate.signin import SignInPages, client, local
from dashboard.settings import RoleRule, Settings
from dashboard.store import Store
from dashboard.store.audit import Outcome
from dashboard.store.keys import SIGN_IN
from geodata.errors import DudaoError

_log = logging.getLogger(__name__)

CALLBACK = "/oidc/callback"
WAIT_S = 10
"""How long the provider may take to answer."""

STATES_KEPT_S = 600
STATES_MOST = 10_000
LEEWAY_S = 60
"""How far the provider's clock may be off."""

SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
              "Ed25519", "EdDSA")  # fmt: skip
"""With a public key only: a secret shared with every client would prove nothing."""

_COOKIE = "dudao-oidc"


def routes(store: Store, settings: Settings) -> list[BaseRoute]:
    """The routes under ``/oidc``; none when the settings name no provider."""
    if settings.oidc_issuer is None:
        return []
    door = _Provider(store, settings)
    session = Middleware(
        SessionMiddleware,
        secret_key=store.keys.mac(SIGN_IN, "the cookie of a sign-in under way"),
        session_cookie=_COOKIE,
        max_age=STATES_KEPT_S,
        path="/oidc",
        same_site="lax",
        https_only=settings.secure,
    )
    return [
        Route("/oidc/login", door.start, methods=["GET"], middleware=[session]),
        Route(CALLBACK, door.finish, methods=["GET"], middleware=[session]),
        Route("/oidc/logout", door.leave, methods=["GET"]),
    ]


class Refused(Exception):
    """What came back from the provider cannot be taken; says why, for the log."""


class States:
    """The sign-ins under way, in memory: each is answered once, within ten minutes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def get(self, key: str) -> str | None:
        """What was kept under a key, None when nothing is or no longer; once."""
        until, value = self._kept.pop(key, (0.0, ""))
        return value if time.monotonic() < until else None

    async def set(self, key: str, value: str, expires: int) -> None:
        """Keep a value, the oldest given up when there are too many."""
        self._kept[key] = (time.monotonic() + min(expires, STATES_KEPT_S), value)
        while len(self._kept) > STATES_MOST:
            self._kept.popitem(last=False)

    async def delete(self, key: str) -> None:
        """Forget a value."""
        self._kept.pop(key, None)


class _Provider:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._issuer = str(settings.oidc_issuer)
        self._pages = SignInPages(store, settings)
        self._oauth = OAuth(cache=States())
        secret = settings.oidc_client_secret
        self._oauth.register(
            "provider",
            server_metadata_url=f"{self._issuer.rstrip('/')}/.well-known/openid-configuration",
            client_id=settings.oidc_client_id,
            client_secret=secret.get_secret_value() if secret else None,
            client_kwargs={
                "scope": settings.oidc_scope,
                "code_challenge_method": "S256",
                "token_endpoint_auth_method": "client_secret_basic" if secret else "none",
                "timeout": WAIT_S,
            },
        )

    @property
    def _client(self) -> StarletteOAuth2App:
        return self._oauth.create_client("provider")

    async def start(self, request: Request) -> Response:
        """Send a person to the provider."""
        asked = request.query_params
        request.session["next"] = local(asked.get("next"))
        request.session["lang"] = asked.get("lang", "")
        try:
            await self._metadata()
            away: Response = await self._client.authorize_redirect(
                request, self._site(request) + CALLBACK
            )
        except _FAILURES as error:
            return await self._failed(request, error)
        return away

    async def finish(self, request: Request) -> Response:
        """Take a person back from the provider."""
        try:
            claims = await self._claims(request)
        except _FAILURES as error:
            return await self._failed(request, error)
        address, agent = client(request)
        identity = Identity(
            subject=f"{self._issuer}#{claims['sub']}",
            login=next(
                (str(claims[name]) for name in ("preferred_username", "email") if claims.get(name)),
                str(claims["sub"]),
            ),
            title=str(claims.get("name") or claims.get("preferred_username") or claims["sub"]),
            grants=grants_of(claims, self._settings.oidc_roles),
        )
        enter = partial(accounts.sign_in_identity, self._store, identity, address, agent)
        return await self._pages.enter(request, self._sent(request), enter)

    async def leave(self, request: Request) -> Response:
        """End the person's sign-in at the provider too, where it offers that."""
        home = f"{self._site(request)}/login?out=1"
        try:
            metadata = await self._metadata()
            if not metadata.get("end_session_endpoint"):
                return RedirectResponse("/login?out=1", 303, {"Cache-Control": "no-store"})
            found = await self._client.create_logout_url(
                post_logout_redirect_uri=home, client_id=self._settings.oidc_client_id
            )
        except _FAILURES as error:
            return await self._failed(request, error)
        return RedirectResponse(found["url"], 303, {"Cache-Control": "no-store"})

    async def _metadata(self) -> Mapping[str, Any]:
        """What the provider says about itself.

        Raises:
            Refused: it says to be another one.
        """
        metadata: dict[str, Any] = await self._client.load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != self._issuer.rstrip("/"):
            metadata.pop("_loaded_at", None)
            raise Refused(f"the provider calls itself {metadata.get('issuer')!r}")
        offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        metadata["id_token_signing_alg_values_supported"] = [
            name for name in offered if name in SIGNATURES
        ]
        return metadata

    async def _claims(self, request: Request) -> dict[str, Any]:
        """What the provider says about the person who came back with this request.

        Raises:
            Refused, OAuthError, JoseError, httpx2.HTTPError, ValueError
        """
        metadata = await self._metadata()
        said = request.query_params.get("iss")
        if said != metadata["issuer"] and (
            said is not None or metadata.get("authorization_response_iss_parameter_supported")
        ):
            raise Refused("the answer names another provider")
        token = await self._client.authorize_access_token(
            request,
            leeway=LEEWAY_S,
            claims_options={
                "iss": {"essential": True, "value": metadata["issuer"]},
                "aud": {"essential": True, "value": self._settings.oidc_client_id},
            },
        )
        if not token.get("userinfo"):
            raise Refused("there is no identity token")
        claims = dict(token["userinfo"])
        wanted = {"name", *self._settings.oidc_roles}
        if wanted - claims.keys() and metadata.get("userinfo_endpoint"):
            further = await self._client.userinfo(token=token)
            if further.get("sub") != claims["sub"]:
                raise Refused("the user info is about somebody else")
            claims = {**further, **claims}
        return claims

    def _site(self, request: Request) -> str:
        """The site's own address; the gate has checked ``Host``."""
        return self._settings.site(request.headers["host"])

    def _sent(self, request: Request) -> dict[str, str]:
        kept = request.scope.get("session", {})
        return {"next": kept.pop("next", "/"), "lang": kept.pop("lang", "")}

    async def _failed(self, request: Request, error: Exception) -> Response:
        """Tell the person that it did not work; why exactly is for the log."""
        _log.warning("sign-in through the provider failed: %s: %s", type(error).__name__, error)
        unreachable = isinstance(error, (httpx2.HTTPError, json.JSONDecodeError))
        told = (
            DudaoError(
                "OIDC_UNREACHABLE",
                "统一身份认证系统没有应答。",
                "请稍后再试；若一直如此，请联系系统管理员。",
            )
            if unreachable
            else DudaoError(
                "OIDC_REFUSED",
                "统一身份认证没有完成。",
                "请重新登录；若一直如此，请联系系统管理员。",
            )
        )
        address, _agent = client(request)

        def refuse() -> str:
            self._store.record(
                VISITOR,
                ACTIONS["session.sign_in"].id,
                details={"address": address, "way": "oidc", "error": type(error).__name__},
                outcome=Outcome.DENIED,
            )
            raise told

        return await self._pages.enter(request, self._sent(request), refuse)


_FAILURES = (OAuthError, JoseError, Refused, httpx2.HTTPError, ValueError, RuntimeError)
"""What Authlib and httpx2 raise when a provider or a browser does not keep to the protocol."""


def grants_of(
    claims: Mapping[str, Any], roles: Mapping[str, tuple[RoleRule, ...]]
) -> tuple[Wanted, ...]:
    """The grants a person's claims map to, each once."""
    found: dict[Wanted, None] = {}
    for claim, rules in roles.items():
        held = _values(claims.get(claim))
        for rule in rules:
            if rule.value not in held:
                continue
            if rule.everywhere:
                found[Wanted(rule.role, None)] = None
            elif rule.place is not None:
                found[Wanted(rule.role, rule.place)] = None
            else:
                for place_id in _values(claims.get(rule.place_claim or "")):
                    found[Wanted(rule.role, place_id)] = None
    return tuple(found)


def _values(claim: Any) -> tuple[str, ...]:
    """A claim's value or values as text; what is neither text nor number counts as none."""
    listed = claim if isinstance(claim, list) else [claim]
    return tuple(
        str(each)
        for each in listed
        if isinstance(each, (str, int)) and not isinstance(each, bool) and str(each)
    )

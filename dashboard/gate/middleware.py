"""The gate: one ASGI application around everything, closed unless a rule opens it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.web.server.starlette import starlette_app_utils as tokens
from streamlit.web.server.starlette.starlette_server_config import XSRF_COOKIE_NAME

from dashboard.accounts import service as accounts
from dashboard.accounts.service import SignedIn
from dashboard.gate import cookies, page, rules
from dashboard.gate.door import Door
from dashboard.gate.headers import HEADERS_DROPPED, HEADERS_DROPPED_PREFIX, Headers
from dashboard.gate.refusals import navigates, refused
from dashboard.gate.rules import Policy, Rule
from dashboard.gate.sockets import WATCH_EVERY_S, Pages, Socket, Sockets
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store.audit import Outcome
from dashboard.ui import downloads

_log = logging.getLogger(__name__)

SESSION_HEADER = b"x-dudao-session"
"""Tells the pages whose request it is. Only the gate writes it: what a client sends is dropped."""

_IDENTITY = frozenset(
    {
        b"forwarded", b"from", b"authorization", b"proxy-authorization", b"remote-user",
        b"remote_user", b"x-remote-user", b"x-user", b"x-email", b"x-real-ip",
        b"x-client-ip", b"x-original-url", b"x-rewrite-url", b"x-http-method-override",
    }
)  # fmt: skip
_IDENTITY_PREFIXES = (
    b"x-dudao-", b"x-streamlit-", b"x-forwarded-", b"x-auth-", b"x-remote-", b"x-ms-",
    b"x-goog-", b"x-amzn-",
)  # fmt: skip

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class _TooLarge(Exception):
    """More came than may."""


class Gate:
    """Stands before an application: who asks, from where, for what, and what may be answered.

    Args:
        store: gives the store sign-ins are looked up in.
    """

    def __init__(self, app: ASGIApp, settings: Settings, store: Callable[[], Store]) -> None:
        self._app = app
        self._settings = settings
        self._store = store
        self._door = Door.of(settings)
        self._headers = Headers(settings, self._door)
        self._pages = Pages()
        self._sockets = Sockets()
        self._watch: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one websocket, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "root_path": "", "state": dict(scope.get("state", {}))}
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    def end(self, session_ids: Iterable[str]) -> None:
        """Close the open pages of sign-ins that ended; may be called from any thread."""
        ended = list(session_ids)
        for session_id in ended:
            self._pages.forget(session_id)
            downloads.forget(session_id)
        self._sockets.end(ended)

    # Requests

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, host = scope["path"], _only(scope, b"host") or ""
        rule = None if rules.malformed(path) else rules.rule_of(path)
        refusal, signed_in = await self._judge(scope, path, host, rule)
        if refusal is not None or rule is None:
            send = self._finish(send, Policy.PLAIN, host)
            await (refusal or refused("NOT_FOUND", scope))(scope, receive, send)
            return
        send = self._finish(send, rule.policy, host)
        if path == rules.HOST_CONFIG:
            await page.host_config()(scope, receive, send)
            return
        if signed_in is not None:
            scope["state"]["signed_in"] = signed_in
        scope["state"]["gate"] = self
        if path == rules.HEALTH:
            send = self._with_xsrf(send, scope)
        scope["headers"] = self._clean(
            scope["headers"], host, signed_in, keep_token=rule.path in _OWN
        )
        await self._pass_on(scope, receive, send, self._limit(rule))

    async def _judge(
        self, scope: Scope, path: str, host: str, rule: Rule | None
    ) -> tuple[Response | None, SignedIn | None]:
        """The refusal, or who is signed in (None where nobody need be)."""
        method = scope["method"]
        if rules.malformed(path):
            return refused("BAD_PATH", scope), None
        if not self._door.knows(host):
            return refused("HOST_UNKNOWN", scope), None
        if method not in _SAFE and not self._door.same_origin(_only(scope, b"origin"), host):
            return refused("ORIGIN_REFUSED", scope), None
        signed_in = None
        if rule is None or not rule.open:
            signed_in = await run_in_threadpool(self._who, scope)
            if signed_in is None:
                return self._sign_in_first(scope), None
        if rule is None or rule.path == rules.STREAM or _no_bundle(rule, path):
            return refused("NOT_FOUND", scope), None
        if method not in rule.methods:
            return refused("METHOD_REFUSED", scope), None
        limit = self._limit(rule)
        if _length(scope) > limit:
            return refused("TOO_LARGE", scope), None
        if rule.path == rules.UPLOADS and not self._may_upload(scope, path, signed_in):
            return refused("UPLOAD_REFUSED", scope), None
        return None, signed_in

    def _who(self, scope: Scope) -> SignedIn | None:
        token = cookies.token(scope["headers"], self._settings)
        return accounts.signed_in(self._store(), token) if token else None

    def _sign_in_first(self, scope: Scope) -> Response:
        """Send a person who opens a page to the sign-in page; tell a script what is the matter."""
        if not navigates(scope):
            return refused("SIGN_IN_REQUIRED", scope)
        rule = rules.rule_of(scope["path"])
        target = "/login"
        if rule is not None and rule.policy is Policy.PAGE:
            query = scope["query_string"].decode("latin-1")
            wanted = scope["path"] + (f"?{query}" if query else "")
            target = f"/login?next={quote(wanted, safe='')}" if wanted != "/" else target
        return RedirectResponse(target, 303, {"Cache-Control": "no-store"})

    def _may_upload(self, scope: Scope, path: str, signed_in: SignedIn | None) -> bool:
        """Whether the page uploaded to is the person's own and the request came from it."""
        parts = path.removeprefix(rules.UPLOADS).split("/")
        token = cookies.token(scope["headers"], self._settings)
        if len(parts) != 2 or signed_in is None or token is None:
            return False
        told, _ = tokens.decode_xsrf_token_string(_only(scope, b"x-xsrftoken") or "")
        return (
            self._pages.belongs(parts[0], signed_in.session_id)
            and told is not None
            and hmac.compare_digest(told, _xsrf(token))
        )

    def _limit(self, rule: Rule) -> int:
        if rule.body is not None:
            return rule.body
        # A form around the file takes a little more than the file.
        return self._settings.max_upload_mb * 2**20 + 2**20

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        came, started, over = 0, False, False

        async def limited() -> Message:
            nonlocal came, over
            message = await receive()
            if message["type"] == "http.request":
                came += len(message.get("body", b""))
                if came > limit:
                    over = True
                    raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            if started or not over:
                started = True
                await send(message)

        try:
            await self._app(scope, limited, noted)
        except _TooLarge:
            _log.warning("a request carried more than %d bytes", limit)
        if over and not started:
            await refused("TOO_LARGE", scope)(scope, receive, send)

    # Websockets

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _only(scope, b"host") or ""
        signed_in = None
        if (
            scope["path"] == rules.STREAM
            and self._door.knows(host)
            and self._door.same_origin(_only(scope, b"origin"), host)
        ):
            signed_in = await run_in_threadpool(self._who, scope)
        if signed_in is None:
            # A close before the handshake is answered with 403.
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        self._start_watching()
        scope["headers"] = self._resumable(
            self._clean(scope["headers"], host, signed_in, socket=True), signed_in
        )
        socket = Socket(
            signed_in.session_id,
            receive,
            send,
            self._pages,
            partial(self._alive, signed_in.session_id),
            partial(self._note_dropped, signed_in),
        )
        self._sockets.add(socket)
        try:
            await socket.run(self._app, scope)
        finally:
            self._sockets.remove(socket)

    def _alive(self, session_id: str) -> bool:
        return accounts.session_alive(self._store(), session_id)

    def _note_dropped(self, signed_in: SignedIn, kind: str) -> None:
        _log.warning("dropped message %s of session %s", kind, signed_in.session_id)
        self._store().record(
            signed_in.actor, "gate.refused", subject=f"message:{kind}", outcome=Outcome.DENIED
        )

    def _resumable(
        self, headers: list[tuple[bytes, bytes]], signed_in: SignedIn
    ) -> list[tuple[bytes, bytes]]:
        """Leave the page to be resumed in the handshake only when this sign-in opened it."""
        kept = []
        for key, value in headers:
            if key == b"sec-websocket-protocol":
                entries = [entry.strip() for entry in value.decode("latin-1").split(",")]
                if len(entries) < 3 or not self._pages.belongs(entries[2], signed_in.session_id):
                    entries = entries[:2]
                value = ", ".join(entries[:3]).encode("latin-1")
            kept.append((key, value))
        return kept

    def _start_watching(self) -> None:
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._watch_sessions())

    async def _watch_sessions(self) -> None:
        """Close pages whose sign-in ended elsewhere or ran out, while any is open."""
        while open_now := self._sockets.sessions():
            try:
                self.end(await run_in_threadpool(self._ended_of, open_now))
            except Exception:
                _log.exception("sign-ins could not be looked up")
            await asyncio.sleep(WATCH_EVERY_S)

    def _ended_of(self, session_ids: list[str]) -> list[str]:
        return [session_id for session_id in session_ids if not self._alive(session_id)]

    # Headers

    def _clean(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        host: str,
        signed_in: SignedIn | None,
        keep_token: bool = False,
        socket: bool = False,
    ) -> list[tuple[bytes, bytes]]:
        """What the application sees: no identity but ours, and to pages not even the token.

        ``Origin`` has been judged; Streamlit would ask other machines for our own address to judge
        it again, so it sees it only on a websocket and spelt as ``Host`` is.
        """
        kept = []
        for key, value in headers:
            if key in _IDENTITY or key.startswith(_IDENTITY_PREFIXES):
                continue
            if key == b"cookie" and not keep_token:
                value = cookies.without(value, self._settings)
            if key == b"origin":
                if not socket:
                    continue
                value = f"{self._door.scheme}://{host}".encode("latin-1")
            kept.append((key, value))
        if signed_in is not None:
            kept.append((SESSION_HEADER, signed_in.session_id.encode("ascii")))
        return kept

    def _finish(self, send: Send, policy: Policy, host: str) -> Send:
        """Give every answer the headers of its policy."""
        ours = self._headers.of(policy, host)
        names = {name for name, _ in ours}

        async def finished(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    (key, value)
                    for key, value in message.get("headers", [])
                    if key.lower() not in names
                    and key.lower() not in HEADERS_DROPPED
                    and not key.lower().startswith(HEADERS_DROPPED_PREFIX)
                ]
                message = {**message, "headers": [*kept, *ours]}
            await send(message)

        return finished

    def _with_xsrf(self, send: Send, scope: Scope) -> Send:
        """Replace Streamlit's upload token by one that belongs to the sign-in.

        Streamlit takes any token that equals the cookie beside it, so one made up would do.
        """
        token = cookies.token(scope["headers"], self._settings) or ""
        value = tokens.generate_xsrf_token_string(_xsrf(token), None)
        secure = "; Secure" if self._settings.secure else ""
        cookie = f"{XSRF_COOKIE_NAME}={value}; Path=/; SameSite=Strict{secure}".encode("ascii")

        async def with_ours(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    (key, text)
                    for key, text in message.get("headers", [])
                    if key.lower() != b"set-cookie"
                ]
                message = {**message, "headers": [*kept, (b"set-cookie", cookie)]}
            await send(message)

        return with_ours


_OWN = frozenset({"/login", "/login/", "/oidc/", "/logout"})
"""Rules whose routes need the token itself."""


def _no_bundle(rule: Rule, path: str) -> bool:
    return rule.path == rules.STATIC and path not in page.bundles()


def _xsrf(token: str) -> bytes:
    return hmac.new(token.encode("latin-1"), b"xsrf", hashlib.sha256).digest()[:16]


def _only(scope: Scope, name: bytes) -> str | None:
    """The value of a header that may come once; None when it is missing or comes twice."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else None


def _length(scope: Scope) -> int:
    with suppress(ValueError):
        return int(_only(scope, b"content-length") or 0)
    return 0

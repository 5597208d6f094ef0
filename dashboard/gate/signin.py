"""The sign-in page, the page behind a one-time link, and the page to change one's own password.

None of them runs a script. A form made elsewhere cannot be sent here, not even to sign somebody
in as somebody else: the gate takes no POST whose ``Origin`` is not this site, and browsers always
say it, so the forms need no token of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from anyio import CapacityLimiter, to_thread
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboard.accounts import service as accounts
from dashboard.accounts.model import Account, SignedIn, Throttled
from dashboard.accounts.passwords import LONGEST, SHORTEST
from dashboard.accounts.sessions import is_loopback
from dashboard.gate import cookies
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store import accounts as rows
from dashboard.ui import texts
from dashboard.ui.assets import asset_url
from dashboard.ui.blocks import environment
from dashboard.ui.texts import _
from geodata.errors import DudaoError, SystemProblem

TEMPLATES = Path(__file__).with_name("templates")

AT_ONCE = 4
"""Threads for sign-ins, so that a burst of them leaves the others to the pages."""
WAITING_MOST = 500

_HEADERS = {"Cache-Control": "no-store"}
_STATUS = {
    "SIGN_IN_FAILED": 401,
    "SIGN_IN_THROTTLED": 429,
    "SIGN_IN_BUSY": 503,
    "DEMONSTRATION_REFUSED": 403,
    "DEMONSTRATION_LOCAL": 403,
    "PASSWORD_SIGN_IN_OFF": 403,
    "LINK_INVALID": 404,
    "OIDC_REFUSED": 403,
    "OIDC_UNREACHABLE": 502,
    "OIDC_NO_ROLE": 403,
    "OIDC_CLOSED": 403,
}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell above a form.

    Attributes:
        code: of an error; empty for good news.
    """

    text: str
    code: str = ""


@cache
def _environment() -> Environment:
    return environment(TEMPLATES, asset=asset_url)


def routes(store: Store, settings: Settings) -> list[BaseRoute]:
    """The routes under ``/login``; sign-ins last from now on as the settings say."""
    _keep_lasting(store, settings)
    door = SignInPages(store, settings)
    return [
        Route("/login", door.form, methods=["GET"]),
        Route("/login", door.sign_in, methods=["POST"]),
        Route("/login/demonstration", door.demonstration, methods=["POST"]),
        Route("/login/link/{token}", door.link, methods=["GET", "POST"]),
        Route("/login/password", door.password, methods=["GET", "POST"]),
    ]


def _keep_lasting(store: Store, settings: Settings) -> None:
    """Keep what the settings say beside the sessions, so that looking one up is one query."""
    wanted = {
        rows.SESSION_IDLE_MINUTES: str(settings.session_idle_minutes),
        rows.SESSION_HOURS: str(settings.session_hours),
    }
    with store.engine.connect() as connection:
        known = rows.lasting(connection)
    for key, value in wanted.items():
        if known.get(key) != value:
            store.set_meta(key, value)


def render(template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """One of the gate's pages, in the language of ``values["lang"]``."""
    texts.use(values["lang"])
    page = _environment().get_template(template).render(**values)
    return HTMLResponse(page, status, _HEADERS)


def refusal(error: DudaoError) -> Notice:
    """An error in the words of the page's language."""
    told = _words(error)
    return Notice(told, error.code)


def local(target: str | None) -> str:
    """Where to go after signing in: a path of this site, else its start."""
    if not target or not target.startswith("/") or target.startswith("//"):
        return "/"
    if any(sign == "\\" or not sign.isprintable() for sign in target):
        return "/"
    parts = urlsplit(target)
    first = parts.path.split("/")[1]
    if parts.scheme or parts.netloc or (first in _OUTSIDE and parts.path != "/login/password"):
        return "/"
    return target


_OUTSIDE = frozenset({"login", "logout", "oidc"})


def client(request: Request) -> tuple[str, str]:
    """Address and browser of a request, as kept beside its session."""
    address = request.client.host if request.client else ""
    return address, request.headers.get("user-agent", "")


class SignInPages:
    """What people who are not signed in see, and their way in."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._threads = CapacityLimiter(AT_ONCE)

    # /login

    async def form(self, request: Request) -> Response:
        """Answer ``GET /login``."""
        target, lang = local(request.query_params.get("next")), self._language(request)
        if await to_thread.run_sync(self._who, request) is not None:
            return RedirectResponse(target, 303, _HEADERS)
        return await self.page(request, target, lang, self._news(request, lang))

    def _news(self, request: Request, lang: str) -> Notice | None:
        texts.use(lang)
        told = {
            "ended": _("登录已失效，请重新登录。"),
            "out": _("您已退出登录。"),
            "set": _("口令已设置，请用新口令登录。"),
        }
        return next((Notice(told[key]) for key in told if key in request.query_params), None)

    async def sign_in(self, request: Request) -> Response:
        """Answer ``POST /login``."""
        sent = await _fields(request)
        login, password = sent.get("login", ""), sent.get("password", "")
        address, agent = client(request)

        def enter() -> str:
            if not self._settings.password_sign_in:
                raise DudaoError(
                    "PASSWORD_SIGN_IN_OFF",
                    "本系统已关闭口令登录。",
                    "请使用统一身份认证登录。",
                )
            return accounts.sign_in(self._store, login, password, address, agent)

        return await self.enter(request, sent, enter)

    async def demonstration(self, request: Request) -> Response:
        """Answer ``POST /login/demonstration``."""
        sent = await _fields(request)
        address, agent = client(request)
        remote = self._settings.demonstration_remote
        # A proxy on this machine makes everybody's address local, so the name asked for counts too.
        if not remote and not _local_name(request):
            address = ""

        def enter() -> str:
            return accounts.sign_in_demonstration(
                self._store, sent.get("login", ""), address, agent, remote
            )

        return await self.enter(request, sent, enter)

    async def enter(
        self, request: Request, sent: Mapping[str, str], enter: Callable[[], str]
    ) -> Response:
        """Sign somebody in and send them where they wanted to go, or say why not.

        Args:
            sent: ``next``, ``lang`` and ``login`` as the form sent them.
            enter: gives the token of a new session; run in a thread.
        """
        target, lang = local(sent.get("next")), self._language(request, sent)
        try:
            token = await self._run(self._replacing, request, enter)
        except DudaoError as error:
            response = await self.page(
                request, target, lang, error, sent.get("login", ""), _STATUS.get(error.code, 400)
            )
            if isinstance(error, Throttled):
                response.headers["Retry-After"] = str(error.retry_after)
            return response
        response = RedirectResponse(target, 303, _HEADERS)
        cookies.issue(response, self._settings, token)
        return response

    def _replacing(self, request: Request, enter: Callable[[], str]) -> str:
        """Sign in; what this browser was signed in as before ends."""
        token = enter()
        before = self._who(request)
        if before is not None:
            accounts.sign_out(self._store, before.session_id)
        return token

    async def page(
        self,
        request: Request,
        target: str,
        lang: str,
        told: Notice | DudaoError | None,
        login: str = "",
        status: int = 200,
    ) -> Response:
        """The sign-in page, with something to tell."""
        shown = await to_thread.run_sync(accounts.demonstration_accounts, self._store)
        address, _agent = client(request)
        allowed = self._settings.demonstration_remote or (
            is_loopback(address) and _local_name(request)
        )
        return render(
            "login.html",
            status,
            lang=lang,
            notice=_told(told, lang),
            next=target,
            login=login[:64],
            password_sign_in=self._settings.password_sign_in,
            provider=self._settings.oidc_title if self._settings.oidc_issuer else None,
            signed_out="out" in request.query_params,
            demonstration=shown,
            demonstration_allowed=allowed,
            where=_where,
            other=_switch("/login", target, lang),
        )

    # /login/link/{token}

    async def link(self, request: Request) -> Response:
        """Answer ``/login/link/{token}``; looking does not use the link up."""
        token, lang = request.path_params["token"], self._language(request)
        login, told, status = "", None, 200
        try:
            login = await self._run(accounts.link_login, self._store, token)
            if request.method == "POST":
                sent = await _fields(request)
                lang = self._language(request, sent)
                await self._run(accounts.set_password, self._store, token, _twice(sent))
                return RedirectResponse(f"/login?set=1&lang={lang}", 303, _HEADERS)
        except DudaoError as error:
            told, status = error, _STATUS.get(error.code, 400)
        return render(
            "password.html", status, lang=lang, notice=_told(told, lang), login=login, own=False,
            usable=bool(login) and status != 404, shortest=SHORTEST, longest=LONGEST,
            other=_switch(request.url.path, "/", lang),
        )  # fmt: skip

    # /login/password

    async def password(self, request: Request) -> Response:
        """Answer ``/login/password``."""
        lang = self._language(request)
        who = await to_thread.run_sync(self._who, request)
        if who is None:
            return RedirectResponse("/login?next=/login/password", 303, _HEADERS)
        told, status = None, 200
        if request.method == "POST":
            sent = await _fields(request)
            lang = self._language(request, sent)
            try:
                new = _twice(sent)
                await self._run(
                    accounts.change_password, self._store, who, sent.get("old", ""), new,
                    client(request)[0],
                )  # fmt: skip
                request.state.gate.end([who.session_id])
                response = RedirectResponse(f"/login?set=1&lang={lang}", 303, _HEADERS)
                cookies.withdraw(response, self._settings)
                return response
            except DudaoError as error:
                told, status = error, _STATUS.get(error.code, 400)
        page = render(
            "password.html", status, lang=lang, notice=_told(told, lang), login=who.login,
            own=True, usable=True, shortest=SHORTEST, longest=LONGEST,
            other=_switch("/login/password", "/", lang),
        )  # fmt: skip
        if isinstance(told, Throttled):
            page.headers["Retry-After"] = str(told.retry_after)
        return page

    # Both

    def _who(self, request: Request) -> SignedIn | None:
        token = cookies.token(request.scope["headers"], self._settings)
        return accounts.signed_in(self._store, token) if token else None

    async def _run(self, function: Callable[..., Result], *given: Any) -> Result:
        if self._threads.statistics().tasks_waiting >= WAITING_MOST:
            raise SystemProblem("SIGN_IN_BUSY", "登录的人太多。", "请一分钟后再试。")
        return await to_thread.run_sync(function, *given, limiter=self._threads)

    def _language(self, request: Request, sent: Mapping[str, str] | None = None) -> str:
        """What the form or address asks for, else what the page to go to asks for."""
        asked = {**request.query_params, **(sent or {})}
        after = parse_qs(urlsplit(asked.get("next", "")).query).get("lang", [""])
        for wanted in (asked.get("lang", ""), after[-1]):
            if wanted in texts.LANGUAGES:
                return wanted
        return self._settings.lang


async def _fields(request: Request) -> dict[str, str]:
    """The text fields of a form; a file sent in place of one is not one."""
    async with request.form(max_files=0, max_fields=20) as form:
        return {key: value for key, value in form.items() if isinstance(value, str)}


def _twice(sent: Mapping[str, str]) -> str:
    new = sent.get("new", "")
    if new != sent.get("again", ""):
        raise DudaoError("PASSWORDS_DIFFER", "两次输入的口令不一致。", "请重新输入。")
    return new


def _local_name(request: Request) -> bool:
    name = (urlsplit(f"//{request.headers.get('host', '')}").hostname) or ""
    return name == "localhost" or is_loopback(name)


def _switch(path: str, target: str, lang: str) -> tuple[str, str]:
    """Address and name of the same page in the other language."""
    other = next(code for code in texts.LANGUAGES if code != lang)
    asked = {"lang": other} | ({"next": target} if target != "/" else {})
    return f"{path}?{urlencode(asked)}", texts.LANGUAGES[other]


def _where(account: Account) -> str:
    """The places of a demonstration account, in words."""
    names = [each.place_name or each.place_id or _("全部地区") for each in account.grants]
    return "、".join(names)


def _told(told: Notice | DudaoError | None, lang: str) -> Notice | None:
    texts.use(lang)
    return refusal(told) if isinstance(told, DudaoError) else told


def _words(error: DudaoError) -> str:
    """What an error of these pages says in the page's language."""
    if texts.language() == "zh":
        return f"{error.message}{error.remedy}"
    minutes = -(-error.retry_after // 60) if isinstance(error, Throttled) else 0
    known = {
        "SIGN_IN_FAILED": _("账号或口令不正确，请核对后重试。"),
        "SIGN_IN_THROTTLED": _("登录失败次数过多，请在 {minutes} 分钟后再试。"),
        "SIGN_IN_BUSY": _("登录的人太多，请一分钟后再试。"),
        "PASSWORD_SIGN_IN_OFF": _("本系统已关闭口令登录，请使用统一身份认证登录。"),
        "DEMONSTRATION_REFUSED": _("这个数据目录不是演示数据，演示账号不能使用。"),
        "DEMONSTRATION_LOCAL": _("演示账号只能在运行本系统的电脑上使用。"),
        "DEMONSTRATION_ACCOUNT": _("演示账号不用口令。"),
        "ACCOUNT_EXTERNAL": _("该账号通过统一身份认证登录，没有本系统的口令。"),
        "LINK_INVALID": _("这个登录链接无效、已用过或已过期，请联系系统管理员重新发给您一个。"),
        "PASSWORDS_DIFFER": _("两次输入的口令不一致，请重新输入。"),
        "PASSWORD_SHORT": _("口令太短，至少 {shortest} 个字符。"),
        "PASSWORD_LONG": _("口令太长，最多 {longest} 个字符。"),
        "PASSWORD_IS_LOGIN": _("口令不能与账号名称相同。"),
        "PASSWORD_COMMON": _("这个口令太常见，容易被猜中，请换一句只有您知道的话。"),
        "OIDC_REFUSED": _("统一身份认证没有完成，请重新登录。"),
        "OIDC_UNREACHABLE": _("统一身份认证系统没有应答，请稍后再试或联系系统管理员。"),
        "OIDC_NO_ROLE": _("统一身份认证没有给您本系统中的角色，请联系系统管理员。"),
        "OIDC_CLOSED": _("您在本系统的账号已停用，请联系系统管理员。"),
    }
    told = known.get(error.code, f"{error.message}{error.remedy}")
    return told.format(minutes=minutes, shortest=SHORTEST, longest=LONGEST)

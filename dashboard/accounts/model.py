"""What accounts, grants, links and sessions are, and how a change meets another. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from unicodedata import normalize

from dashboard.access import Actor, Role
from geodata.errors import DudaoError

LOGIN_LONGEST = 64
TITLE_LONGEST = 100

_LOGIN_SIGN = re.compile(r"[\w.@-]")
_LOGIN = re.compile(r"\w[\w.@-]*")


class State(StrEnum):
    """Whether an account can be used."""

    ACTIVE = "active"
    CLOSED = "closed"

    @property
    def words(self) -> str:
        """Its name in Chinese."""
        return {State.ACTIVE: "在用", State.CLOSED: "停用"}[self]


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant of an account that holds or will hold.

    Attributes:
        place_id, place_name: None for everywhere.
        valid_from, valid_to: half-open.
        granted_by: id of the actor who gave it.
    """

    id: int
    role: Role
    place_id: str | None
    place_name: str | None
    valid_from: date
    valid_to: date | None
    granted_by: str

    @property
    def words(self) -> str:
        """Role, place and days in words."""
        where = "全部地区" if self.place_id is None else f"{self.place_name or self.place_id}"
        until = f"至 {self.valid_to}(不含)" if self.valid_to else "起"
        return f"{self.role.title}·{where}({self.valid_from} {until})"


@dataclass(frozen=True, slots=True)
class Account:
    """An account as somebody who administers it sees it.

    Attributes:
        title: name and office.
        version: counts up with every change of the record or its grants.
        external: signs in through the identity provider.
        has_password: whether a password was set.
        grants: those in the viewer's places that hold or will hold.
        elsewhere: it holds further grants outside the viewer's places, so others must change it.
        created: UTC, ISO 8601.
    """

    id: str
    login: str
    title: str
    state: State
    version: int
    demonstration: bool
    external: bool
    has_password: bool
    created: str
    grants: tuple[HeldGrant, ...]
    elsewhere: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What a form asks for.

    Attributes:
        seen: the account as the form showed it.
        title, state: the new value; None leaves it.
    """

    seen: Account
    title: str | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """An account that was changed since the form showed it.

    Attributes:
        differences: what differs now from what the form showed, in words.
    """

    account_id: str
    login: str
    differences: tuple[str, ...]


class ChangedMeanwhile(DudaoError):
    """CHANGED_MEANWHILE: somebody else changed the account; nothing was changed now.

    Attributes:
        conflicts: every account concerned.
    """

    def __init__(self, conflicts: Iterable[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        told = "；".join(
            f"“{conflict.login}”{'，'.join(conflict.differences)}" for conflict in self.conflicts
        )
        super().__init__(
            "CHANGED_MEANWHILE",
            f"在您打开之后已有人修改：{told}。您的修改均未保存。",
            "请核对现在的内容，仍需修改的请重新提交。",
        )


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link with which a person sets a password.

    Attributes:
        token: told once; only its hash is kept.
        expires: seconds since 1970.
    """

    account_id: str
    login: str
    token: str
    expires: float

    @property
    def path(self) -> str:
        """The link's address under the site's."""
        return f"/login/link/{self.token}"


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A sign-in that holds; times in seconds since 1970."""

    id: str
    account_id: str
    login: str
    title: str
    created: float
    last_seen: float
    expires: float
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a request or a page belongs to.

    Attributes:
        session_id: not the token.
        demonstration: whether the account is one of the demonstration's.
    """

    session_id: str
    login: str
    actor: Actor
    demonstration: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A grant an identity provider's claims map to; ``place_id`` None: everywhere."""

    role: Role
    place_id: str | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody an identity provider vouches for.

    Attributes:
        subject: issuer and subject; names the person for good.
        login: what the provider calls the person; made unique here.
        grants: exactly what the person may.
    """

    subject: str
    login: str
    title: str
    grants: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """An account of the demonstration; ``place_id`` None: everywhere."""

    login: str
    title: str
    role: Role
    place_id: str | None


class Throttled(DudaoError):
    """SIGN_IN_THROTTLED: too many wrong tries.

    Attributes:
        retry_after: seconds until the next try is judged.
    """

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__(
            "SIGN_IN_THROTTLED",
            "登录失败次数过多，已暂停登录。",
            f"请在 {-(-retry_after // 60)} 分钟后再试；忘记口令请联系系统管理员重置。",
        )


class Hidden(DudaoError):
    """ACCOUNT_NOT_FOUND, for an account outside the actor's places and for none alike."""

    def __init__(self, named: str, exists: bool) -> None:
        super().__init__(
            "ACCOUNT_NOT_FOUND",
            f"没有账号“{named}”。",
            "请核对账号名称。",
        )
        self.denied = exists


class SessionHidden(DudaoError):
    """SESSION_NOT_FOUND, for a sign-in of others' accounts and for none alike."""

    def __init__(self, exists: bool) -> None:
        super().__init__(
            "SESSION_NOT_FOUND", "没有这个登录会话，或已结束。", "请刷新后查看现有的登录会话。"
        )
        self.denied = exists


class Elsewhere(DudaoError):
    """ACCOUNT_ELSEWHERE: the account has roles outside the actor's places too."""

    denied = True

    def __init__(self, login: str) -> None:
        super().__init__(
            "ACCOUNT_ELSEWHERE",
            f"账号“{login}”在您的管理范围之外也有角色，您不能修改。",
            "请联系管理范围更大的系统管理员。",
        )


def normal_login(typed: str) -> str:
    """A login name as it is kept: full-width characters narrowed, lower case, no space around."""
    return normalize("NFKC", typed).strip().casefold()


def checked_login(typed: str) -> str:
    """A login name fit for a new account.

    Raises:
        DudaoError: LOGIN_INVALID.
    """
    login = normal_login(typed)
    if not _LOGIN.fullmatch(login) or not 2 <= len(login) <= LOGIN_LONGEST:
        raise DudaoError(
            "LOGIN_INVALID",
            f"账号名称“{typed[:LOGIN_LONGEST]}”不合要求。",
            f"请用 2 至 {LOGIN_LONGEST} 个汉字、字母、数字，或 . _ - @，不含空格。",
        )
    return login


def fitting_login(text: str) -> str:
    """A login name made from what an identity provider calls somebody."""
    fitting = "".join(_LOGIN_SIGN.findall(normal_login(text)))[: LOGIN_LONGEST - 8]
    return fitting if _LOGIN.fullmatch(fitting) and len(fitting) >= 2 else f"oidc-{fitting}"


def checked_title(typed: str) -> str:
    """A person's name and office fit to be shown.

    Raises:
        DudaoError: TITLE_INVALID.
    """
    title = " ".join(typed.split())
    if not title or len(title) > TITLE_LONGEST or not title.isprintable():
        raise DudaoError(
            "TITLE_INVALID",
            "姓名职务不合要求。",
            f"请填写 1 至 {TITLE_LONGEST} 个字，例如“张某 县卫健委副主任”。",
        )
    return title


def differences(seen: Account, now: Account) -> tuple[str, ...]:
    """What differs between the account a form showed and the account now, in words."""
    found = []
    if seen.title != now.title:
        found.append(f"姓名职务现为“{now.title}”(原为“{seen.title}”)")
    if seen.state != now.state:
        found.append(f"状态现为“{now.state.words}”(原为“{seen.state.words}”)")
    before = {grant.id: grant for grant in seen.grants}
    after = {grant.id: grant for grant in now.grants}
    found += [f"新增角色“{after[key].words}”" for key in after if key not in before]
    found += [f"收回角色“{before[key].words}”" for key in before if key not in after]
    found += [
        f"角色现为“{after[key].words}”(原为“{before[key].words}”)"
        for key in after
        if key in before and after[key].words != before[key].words
    ]
    return tuple(found) or ("已修改过并又改回",)

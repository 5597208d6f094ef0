"""Who may do what, where: roles, actions, grants and the one rule that checks and lists. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from hashlib import blake2b
from typing import TypeVar

from geodata.errors import DudaoError


class Role(StrEnum):
    """What somebody is in one place and everything beneath it."""

    ADMINISTRATOR = "administrator"
    COUNTY_LEADER = "county_leader"
    REVIEWER = "reviewer"
    INSPECTION_TEAM = "inspection_team"
    TOWNSHIP_HEAD = "township_head"
    CLERK = "clerk"
    VIEWER = "viewer"

    @property
    def title(self) -> str:  # type: ignore[override]  # nobody capitalises a role
        """The role's name in Chinese."""
        return _TITLES[self]

    @classmethod
    def parse(cls, text: str) -> Role:
        """The role of an id or a Chinese title.

        Raises:
            DudaoError: ROLE_UNKNOWN lists the roles.
        """
        for role in cls:
            if text in (role.value, role.title):
                return role
        known = "、".join(f"{role.value}({role.title})" for role in cls)
        raise DudaoError("ROLE_UNKNOWN", f"没有角色“{text}”。", f"可用的角色：{known}。")


_TITLES = {
    Role.ADMINISTRATOR: "系统管理员",
    Role.COUNTY_LEADER: "县级领导",
    Role.REVIEWER: "审核员",
    Role.INSPECTION_TEAM: "督查组",
    Role.TOWNSHIP_HEAD: "乡镇负责人",
    Role.CLERK: "数据员",
    Role.VIEWER: "查看人员",
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done.

    Attributes:
        id: ``subject.verb``, as the audit names it.
        title: what it is, in Chinese.
        roles: the roles that may, in the places of their grants; empty: everybody signed in.
        everywhere: whether it needs a grant without a place, because it touches everything.
        audited: whether each use leaves an audit row; a denial always does.
        person: whether it touches data of single persons.
    """

    id: str
    title: str
    roles: frozenset[Role]
    everywhere: bool = False
    audited: bool = True
    person: bool = False


_ALL = frozenset(Role)
_NOBODY: frozenset[Role] = frozenset()
_ADMIN = frozenset({Role.ADMINISTRATOR})
_LOADERS = frozenset({Role.ADMINISTRATOR, Role.CLERK})
_FIELD = frozenset({Role.INSPECTION_TEAM, Role.TOWNSHIP_HEAD, Role.CLERK})
_WATCH = frozenset({Role.ADMINISTRATOR, Role.REVIEWER})

_ROWS = (
    Action("places.view", "查看地图、区划和数据", _ALL, audited=False),
    Action("figures.export", "导出数据表", _ALL - {Role.VIEWER}),
    Action("data.check", "检查上传的文件", _LOADERS, audited=False),
    Action("data.load", "导入文件", _LOADERS),
    Action("data.load_places", "导入区划", _LOADERS, everywhere=True),
    Action("data.undo", "撤销一次导入", _LOADERS),
    Action("data.batches", "查看导入记录", _LOADERS | {Role.REVIEWER}, audited=False),
    Action("data.publish", "重新汇总", _ADMIN, everywhere=True),
    Action("data.demonstrate", "准备演示数据", _ADMIN, everywhere=True),
    Action("records.view", "查看台账", _ALL, audited=False),
    Action("records.persons", "查看涉及个人的台账(脱敏)", _FIELD, person=True),
    Action("persons.view", "查看人员名单(脱敏)", _FIELD, audited=False, person=True),
    Action("persons.reveal", "查看人员完整信息", _FIELD, person=True),
    Action("persons.trace", "查看个人数据路径", _WATCH, person=True),
    Action("persons.erase", "删除个人数据", _ADMIN, person=True),
    Action("persons.admit", "恢复登记已删除的人员", _ADMIN, everywhere=True, person=True),
    Action("persons.expire", "清除超过保存期限的个人数据", _ADMIN, everywhere=True, person=True),
    Action("accounts.view", "查看账号", _ADMIN, audited=False),
    Action("accounts.add", "新建账号", _ADMIN),
    Action("accounts.change", "修改账号", _ADMIN),
    Action("accounts.grant", "授予角色", _ADMIN),
    Action("accounts.revoke", "收回角色", _ADMIN),
    Action("accounts.reset", "重置登录", _ADMIN),
    Action("sessions.view", "查看登录会话", _ADMIN, audited=False),
    Action("sessions.end", "结束他人登录", _ADMIN),
    Action("session.sign_in", "登录", _NOBODY),
    Action("session.sign_out", "退出登录", _NOBODY),
    Action("session.password", "修改本人口令", _NOBODY),
    Action("gate.refused", "向服务器发送不允许的请求", _NOBODY),
    Action("audit.search", "查询审计记录", _WATCH),
    Action("audit.verify", "核验审计记录", _WATCH, everywhere=True),
    Action("backup.make", "备份", _ADMIN, everywhere=True),
    Action("backup.restore", "恢复备份", _ADMIN, everywhere=True),
    Action("store.check", "检查数据完整性", _ADMIN, everywhere=True),
    Action("store.status", "查看数据目录概况", _ADMIN | {Role.REVIEWER}, audited=False),
)
ACTIONS = {action.id: action for action in _ROWS}


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in a place and everything beneath it.

    Attributes:
        place_id: None: everywhere.
        paths: every path the place has or had, each ending in ``/``; empty for everywhere.
        valid_from, valid_to: half-open.
    """

    role: Role
    place_id: str | None = None
    paths: tuple[str, ...] = ()
    valid_from: date = date.min
    valid_to: date | None = None

    def active(self, on: date) -> bool:
        """Whether it holds on a day."""
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)


@dataclass(frozen=True, slots=True)
class Scope:
    """The places an actor may do one action in.

    Attributes:
        everything: no limit at all.
        paths: prefixes of the places' paths, ascending, none beneath another.
    """

    everything: bool = False
    paths: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        """Whether a place with this path lies in the scope."""
        return self.everything or any(path.startswith(prefix) for prefix in self.paths)

    @property
    def is_empty(self) -> bool:
        """Whether it covers nothing."""
        return not self.everything and not self.paths

    @property
    def key(self) -> str:
        """Names the scope in cache keys: equal for equal scopes, different for others."""
        if self.everything:
            return "*"
        return blake2b("\n".join(self.paths).encode(), digest_size=12).hexdigest()


EVERYTHING = Scope(everything=True)
NOTHING = Scope()


class Kind(StrEnum):
    """What an actor is: a person with an account, who owns the data directory, the program."""

    USER = "user"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who reads or writes.

    Attributes:
        id: account id, ``operator:NAME`` or ``system``; what the audit keeps.
        name: for people to read.
        grants: of an account; the operator and the program may do everything.
        via: ``web``, ``cli`` or ``system``.
    """

    id: str
    name: str
    kind: Kind = Kind.USER
    grants: tuple[Grant, ...] = field(default=())
    via: str = "web"

    def scope(self, action_id: str, on: date | None = None) -> Scope:
        """Where this actor may do an action on a day (today when None).

        Raises:
            KeyError: an action that is not declared.
        """
        action = ACTIONS[action_id]
        if self.kind is not Kind.USER:
            return EVERYTHING
        day = on or date.today()
        held = [
            grant
            for grant in self.grants
            if grant.active(day) and (not action.roles or grant.role in action.roles)
        ]
        if any(grant.place_id is None for grant in held):
            return EVERYTHING
        if action.everywhere:
            return NOTHING
        return Scope(paths=_outermost(path for grant in held for path in grant.paths))

    def may(self, action_id: str, on: date | None = None) -> bool:
        """Whether this actor may do an action anywhere at all."""
        action = ACTIONS[action_id]
        return not action.roles or not self.scope(action_id, on).is_empty

    def roles(self, on: date | None = None) -> tuple[Role, ...]:
        """The roles held on a day, in the order of ``Role``."""
        day = on or date.today()
        held = {grant.role for grant in self.grants if grant.active(day)}
        return tuple(role for role in Role if role in held)


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not kept or not path.startswith(kept[-1]):
            kept.append(path)
    return tuple(kept)


SYSTEM = Actor("system", "系统", Kind.SYSTEM, via="system")
"""The program itself: healing, rolling up at start, housekeeping."""


def operator(name: str) -> Actor:
    """The operator of the data directory: who can read its files may do everything."""
    return Actor(f"operator:{name}", name, Kind.OPERATOR, via="cli")


def can(actor: Actor, action_id: str, path: str | None = None, on: date | None = None) -> bool:
    """Whether an actor may do an action at a place; without a path: anywhere at all."""
    if path is None:
        return actor.may(action_id, on)
    return not ACTIONS[action_id].roles or actor.scope(action_id, on).covers(path)


class NotAllowed(DudaoError):
    """NOT_ALLOWED: the actor's roles do not include the action in any place."""

    def __init__(self, action_id: str) -> None:
        super().__init__(
            "NOT_ALLOWED",
            f"您没有“{ACTIONS[action_id].title}”的权限。",
            "如确需使用，请联系系统管理员授权。",
        )
        self.action_id = action_id


def check(actor: Actor, action_id: str) -> None:
    """Refuse an actor who may not do an action anywhere.

    Raises:
        NotAllowed
    """
    if not actor.may(action_id):
        raise NotAllowed(action_id)


Function = TypeVar("Function", bound=Callable[..., object])

DECLARED: dict[str, str] = {}
"""Public service functions (``module.name``) and the action each is; filled by ``acts``."""


def acts(action_id: str) -> Callable[[Function], Function]:
    """Declare that a public service function is an action; a test fails on one that is not.

    Raises:
        KeyError: an action that is not in ``ACTIONS``.
    """
    if action_id not in ACTIONS:
        raise KeyError(action_id)

    def declare(function: Function) -> Function:
        DECLARED[f"{function.__module__}.{function.__name__}"] = action_id
        return function

    return declare

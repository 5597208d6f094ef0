"""Accounts: who has one, what it may where, one-time links, and the sign-ins that are open.

Signing in and out is in ``sessions`` and offered here too.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

from dashboard.access import (
    EVERYTHING,
    SYSTEM,
    Actor,
    Kind,
    Role,
    Scope,
    acts,
)
from dashboard.accounts import passwords
from dashboard.accounts.model import (
    Account,
    Change,
    ChangedMeanwhile,
    Conflict,
    Demonstrated,
    Elsewhere,
    HeldGrant,
    Hidden,
    Identity,
    Link,
    SessionHidden,
    SessionInfo,
    SignedIn,
    State,
    Wanted,
    checked_login,
    checked_title,
    differences,
    fitting_login,
    normal_login,
)
from dashboard.accounts.sessions import (
    IDLE_MINUTES,
    VISITOR,
    actor_of_session,
    demonstration_refused,
    hash_of,
    new_token,
    open_session,
    prove,
    session,
    session_alive,
    sign_in,
    sign_in_demonstration,
    sign_out,
    signed_in,
)
from dashboard.store import Store, accounts, database
from dashboard.store.audit import Outcome
from dashboard.store.store import Command
from geodata.errors import DudaoError

__all__ = [
    "SignedIn",
    "account",
    "actor_of_session",
    "add_account",
    "change_account",
    "change_accounts",
    "change_password",
    "close_account",
    "demonstration_accounts",
    "end_session",
    "ensure_demonstration",
    "first_link",
    "grant",
    "link_login",
    "list_accounts",
    "reset",
    "revoke",
    "session",
    "session_alive",
    "sessions",
    "set_password",
    "sign_in",
    "sign_in_demonstration",
    "sign_in_identity",
    "sign_out",
    "signed_in",
]

OIDC = Actor("oidc", "统一身份认证", Kind.SYSTEM, via="web")
"""Who gave the grants that an identity provider's claims map to."""

LINK_HOURS = 24
FIRST_LOGIN = "admin"
FIRST_TITLE = "系统管理员"


# Reading


@acts("accounts.view")
def list_accounts(store: Store, actor: Actor) -> list[Account]:
    """The accounts with a grant in the actor's places, by login name; all for who sees everything.

    Raises:
        NotAllowed
    """
    with _reading(store, actor, "accounts.view") as (connection, scope):
        return _visible(connection, scope)


@acts("accounts.view")
def account(store: Store, actor: Actor, login: str) -> Account:
    """One account by its login name.

    Raises:
        NotAllowed
        DudaoError: ACCOUNT_NOT_FOUND, there is none the actor may see.
    """
    with _reading(store, actor, "accounts.view") as (connection, scope):
        row = accounts.by_login(connection, normal_login(login))
        found = _visible(connection, scope, [row.id]) if row is not None else []
    if not found:
        if row is not None:
            store.record(actor, "accounts.view", subject=row.id, outcome=Outcome.DENIED)
        raise Hidden(login, row is not None)
    return found[0]


@acts("sessions.view")
def sessions(store: Store, actor: Actor) -> list[SessionInfo]:
    """The open sign-ins of the accounts the actor administers, the latest used first.

    Raises:
        NotAllowed
    """
    now = time.time()
    with _reading(store, actor, "sessions.view") as (connection, scope):
        idle = accounts.lasting(connection).get(accounts.SESSION_IDLE_MINUTES, IDLE_MINUTES)
        rows = accounts.open_sessions(connection, now, 60.0 * int(idle))
        seen = {each.id: each for each in _visible(connection, scope)}
    return [
        SessionInfo(
            row.id, row.account_id, row.login, row.title, row.created, row.last_seen, row.expires,
            row.address, row.agent,
        )
        for row in rows
        if row.account_id in seen and not seen[row.account_id].elsewhere
    ]  # fmt: skip


@contextmanager
def _reading(store: Store, actor: Actor, action_id: str) -> Iterator[tuple[Any, Scope]]:
    store.require(actor, action_id)
    with database.reading(store.engine, EVERYTHING) as connection:
        yield connection, actor.scope(action_id)


def _visible(connection: Any, scope: Scope, ids: Sequence[str] | None = None) -> list[Account]:
    """The accounts with a grant, held or ended, in a scope."""
    today = date.today()
    grants: dict[str, list[Any]] = {}
    for row in accounts.held(connection, ids):
        grants.setdefault(row.account_id, []).append(row)
    found = []
    for row in accounts.rows(connection, ids):
        own = grants.get(row.id, [])
        inside = [each for each in own if _covers(scope, each)]
        if not inside and not scope.everything:
            continue
        found.append(
            Account(
                row.id, row.login, row.title, State(row.state), row.version, row.demonstration,
                row.subject is not None, row.password_hash is not None, row.created,
                tuple(_grant(each) for each in inside if _counts(each, today)),
                elsewhere=any(_counts(each, today) and not _covers(scope, each) for each in own),
            )
        )  # fmt: skip
    return found


def _covers(scope: Scope, row: Any) -> bool:
    return scope.everything or (row.path is not None and scope.covers(row.path))


def _counts(row: Any, today: date) -> bool:
    return row.valid_to is None or (row.valid_to > today and row.valid_to > row.valid_from)


def _grant(row: Any) -> HeldGrant:
    return HeldGrant(
        row.id, Role(row.role), row.place_id, row.name, row.valid_from, row.valid_to, row.granted_by
    )


# Changing


@contextmanager
def _changing(
    store: Store, actor: Actor, action_id: str, *, at: str | None = None, subject: str = ""
) -> Iterator[Command]:
    """A command no other change of accounts runs beside."""
    with store.command(actor, action_id, at=at, subject=subject) as command:
        accounts.serialise(command.connection)
        yield command


def _one(command: Command, account_id: str, named: str) -> Account:
    """An account the command's actor may change.

    Raises:
        Hidden, Elsewhere
    """
    scope = command.actor.scope(command.action.id)
    found = _visible(command.connection, scope, [account_id])
    if not found:
        raise Hidden(named, bool(accounts.rows(command.connection, [account_id])))
    if found[0].elsewhere:
        raise Elsewhere(found[0].login)
    return found[0]


def _unchanged(command: Command, seen: Iterable[Account]) -> dict[str, Account]:
    """The accounts as they are now, when none was changed since a form showed them.

    Raises:
        ChangedMeanwhile
        Hidden, Elsewhere
    """
    now = {each.id: _one(command, each.id, each.login) for each in seen}
    conflicts = [
        Conflict(each.id, now[each.id].login, differences(each, now[each.id]))
        for each in seen
        if each.version != now[each.id].version
    ]
    if conflicts:
        raise ChangedMeanwhile(conflicts)
    return now


class _LastAdministrator:
    """Refuses a change after which nobody who can sign in administers everything."""

    def __init__(self, command: Command) -> None:
        self._connection = command.connection
        self._before = self._count()

    def _count(self) -> int:
        shown = accounts.is_demonstration(self._connection)
        return len(accounts.administrators(self._connection, date.today(), shown))

    def check(self) -> None:
        """Raises: DudaoError LAST_ADMINISTRATOR."""
        if self._before and not self._count():
            raise DudaoError(
                "LAST_ADMINISTRATOR",
                "这是最后一个管理全部地区的系统管理员，不能停用或收回。",
                "请先把该角色授予另一个可以登录的账号。",
            )


@acts("accounts.add")
def add_account(
    store: Store,
    actor: Actor,
    login: str,
    title: str,
    *,
    role: Role | None = None,
    place_id: str | None = None,
    valid_from: date | None = None,
    valid_to: date | None = None,
) -> Link:
    """A new account and the link with which its owner sets a password within 24 hours.

    Who does not administer everything must give a role in one of their places, else the account
    would be out of everybody's sight but the highest administrators'.

    Args:
        role: its first role; ``place_id`` None then means everywhere.

    Raises:
        NotAllowed
        DudaoError: LOGIN_INVALID, LOGIN_TAKEN, TITLE_INVALID, GRANT_PERIOD, PLACE_NOT_FOUND.
    """
    checked, name = checked_login(login), checked_title(title)
    period = _period(valid_from, valid_to)
    account_id = _new_id()
    with _changing(store, actor, "accounts.add", at=place_id, subject=account_id) as command:
        if place_id is None:
            command.must_cover(None)
        if accounts.by_login(command.connection, checked) is not None:
            raise DudaoError("LOGIN_TAKEN", f"账号“{checked}”已存在。", "请换一个账号名称。")
        _insert(command.connection, account_id, checked, name)
        command.details |= {"login": checked, "title": name}
        if role is not None:
            _insert_grant(command, account_id, role, place_id, period)
        return _new_link(command.connection, account_id, checked)


def _new_id() -> str:
    return secrets.token_hex(8)


def _insert(
    connection: Any, account_id: str, login: str, title: str, **further: str | bool | None
) -> None:
    accounts.add(
        connection,
        {
            "id": account_id,
            "login": login,
            "title": title,
            "password_hash": None,
            "subject": None,
            "demonstration": False,
            "state": State.ACTIVE.value,
            "created": _now(),
            "version": 1,
            **further,
        },
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _period(valid_from: date | None, valid_to: date | None) -> tuple[date, date | None]:
    begin = valid_from or date.today()
    if valid_to is not None and valid_to <= begin:
        raise DudaoError(
            "GRANT_PERIOD",
            f"角色的起止日期不对：从 {begin} 起，到 {valid_to} 止(不含)。",
            "止日须晚于起日。",
        )
    return begin, valid_to


def _insert_grant(
    command: Command,
    account_id: str,
    role: Role,
    place_id: str | None,
    period: tuple[date, date | None],
) -> None:
    accounts.add_grant(
        command.connection,
        {
            "account_id": account_id,
            "role": role.value,
            "place_id": place_id,
            "valid_from": period[0],
            "valid_to": period[1],
            "granted_by": command.actor.id,
            "created": _now(),
        },
    )
    command.details |= {
        "role": role.value,
        "place": place_id,
        "from": period[0].isoformat(),
        "to": period[1].isoformat() if period[1] else None,
    }


def _new_link(connection: Any, account_id: str, login: str) -> Link:
    token, now = new_token(), time.time()
    expires = now + 3600 * LINK_HOURS
    accounts.put_link(
        connection,
        {
            "token_hash": hash_of(token),
            "account_id": account_id,
            "created": now,
            "expires": expires,
        },
    )
    return Link(account_id, login, token, expires)


@acts("accounts.change")
def change_account(store: Store, actor: Actor, change: Change) -> Account:
    """Change one account; gives it as it is now.

    Raises:
        as ``change_accounts``.
    """
    return change_accounts(store, actor, [change])[0]


@acts("accounts.change")
def change_accounts(store: Store, actor: Actor, changes: Sequence[Change]) -> list[Account]:
    """Change accounts, all or none; gives them as they are now, in the order asked.

    One whose state changes is signed out everywhere.

    Raises:
        NotAllowed
        ChangedMeanwhile: names every account somebody else changed since the form showed it.
        DudaoError: TITLE_INVALID, ACCOUNT_NOT_FOUND, ACCOUNT_ELSEWHERE, LAST_ADMINISTRATOR,
            ACCOUNT_TWICE.
    """
    ids = [change.seen.id for change in changes]
    if len(set(ids)) != len(ids):
        raise DudaoError("ACCOUNT_TWICE", "同一账号在一次修改中出现两次。", "请每个账号只选一次。")
    subject = ids[0] if len(ids) == 1 else ""
    with _changing(store, actor, "accounts.change", subject=subject) as command:
        now = _unchanged(command, [change.seen for change in changes])
        last, told = _LastAdministrator(command), []
        for change in changes:
            told.append(_apply(command.connection, now[change.seen.id], change))
        last.check()
        command.details["changes"] = told
        return [_one(command, each, each) for each in ids]


def _apply(connection: Any, now: Account, change: Change) -> dict[str, Any]:
    values: dict[str, str] = {}
    if change.title is not None and (title := checked_title(change.title)) != now.title:
        values["title"] = title
    if change.state is not None and change.state != now.state:
        values["state"] = change.state.value
        accounts.end_sessions(connection, time.time(), "state", account_id=now.id)
        accounts.drop_links(connection, now.id)
    if values:
        accounts.change(connection, now.id, values)
    return {"account": now.id, "login": now.login, **values}


@acts("accounts.change")
def close_account(store: Store, actor: Actor, seen: Account) -> Account:
    """Close an account and sign it out everywhere; its history stays.

    Raises:
        as ``change_accounts``.
    """
    return change_account(store, actor, Change(seen, state=State.CLOSED))


@acts("accounts.grant")
def grant(
    store: Store,
    actor: Actor,
    seen: Account,
    role: Role,
    place_id: str | None,
    valid_from: date | None = None,
    valid_to: date | None = None,
) -> Account:
    """Give an account a role in a place and everything beneath it; it is signed out everywhere.

    Args:
        seen: the account as the form showed it.
        place_id: None: everywhere; only for who administers everything.
        valid_from: today when None. ``valid_to`` is the first day it holds no longer.

    Raises:
        NotAllowed
        ChangedMeanwhile
        DudaoError: PLACE_NOT_FOUND, GRANT_PERIOD, GRANT_HELD, ACCOUNT_NOT_FOUND,
            ACCOUNT_ELSEWHERE.
    """
    period = _period(valid_from, valid_to)
    with _changing(store, actor, "accounts.grant", at=place_id, subject=seen.id) as command:
        if place_id is None:
            command.must_cover(None)
        now = _unchanged(command, [seen])[seen.id]
        for each in now.grants:
            overlaps = (each.valid_to is None or period[0] < each.valid_to) and (
                period[1] is None or each.valid_from < period[1]
            )
            if (each.role, each.place_id) == (role, place_id) and overlaps:
                raise DudaoError(
                    "GRANT_HELD",
                    f"账号“{now.login}”已有这个角色：{each.words}。",
                    "如需改变起止日期，请先收回再授予。",
                )
        _insert_grant(command, seen.id, role, place_id, period)
        return _granted(command, seen.id)


@acts("accounts.revoke")
def revoke(store: Store, actor: Actor, seen: Account, grant_ids: Sequence[int]) -> Account:
    """Take roles back from an account as of today; it is signed out everywhere.

    Args:
        seen: the account as the form showed it.
        grant_ids: of ``seen.grants``.

    Raises:
        NotAllowed
        ChangedMeanwhile
        DudaoError: GRANT_NOT_FOUND, ACCOUNT_NOT_FOUND, ACCOUNT_ELSEWHERE, LAST_ADMINISTRATOR.
    """
    with _changing(store, actor, "accounts.revoke", subject=seen.id) as command:
        now = _unchanged(command, [seen])[seen.id]
        held = {each.id: each for each in now.grants}
        last = _LastAdministrator(command)
        for grant_id in grant_ids:
            if grant_id not in held:
                raise _no_grant(now.login)
            accounts.end_grant(command.connection, grant_id, date.today())
        if not grant_ids:
            raise _no_grant(now.login)
        last.check()
        taken = [held[grant_id] for grant_id in grant_ids]
        command.details["grants"] = [
            {"role": each.role.value, "place": each.place_id} for each in taken
        ]
        if len(taken) == 1 and taken[0].place_id is not None:
            command.place_id = taken[0].place_id
            command.path = command.must_cover(taken[0].place_id)
        return _granted(command, seen.id)


def _no_grant(login: str) -> DudaoError:
    return DudaoError(
        "GRANT_NOT_FOUND", f"账号“{login}”没有这个角色。", "请刷新后核对该账号现有的角色。"
    )


def _granted(command: Command, account_id: str) -> Account:
    accounts.change(command.connection, account_id, {})
    accounts.end_sessions(command.connection, time.time(), "grants", account_id=account_id)
    return _one(command, account_id, account_id)


@acts("accounts.reset")
def reset(store: Store, actor: Actor, account_id: str) -> Link:
    """Take an account's password away and make a link to set a new one within 24 hours.

    It is signed out everywhere; earlier links are of no use any more.

    Raises:
        NotAllowed
        DudaoError: ACCOUNT_NOT_FOUND, ACCOUNT_ELSEWHERE, ACCOUNT_CLOSED, ACCOUNT_EXTERNAL when the
            identity provider keeps its password, DEMONSTRATION_ACCOUNT when it needs none.
    """
    with _changing(store, actor, "accounts.reset", subject=account_id) as command:
        now = _one(command, account_id, account_id)
        _refuse_no_password(now)
        command.details["login"] = now.login
        accounts.set_password(command.connection, account_id, None)
        accounts.end_sessions(command.connection, time.time(), "reset", account_id=account_id)
        return _new_link(command.connection, account_id, now.login)


def _refuse_no_password(now: Account) -> None:
    if now.state is State.CLOSED:
        raise DudaoError(
            "ACCOUNT_CLOSED", f"账号“{now.login}”已停用。", "如需使用，请先恢复该账号。"
        )
    if now.external:
        raise DudaoError(
            "ACCOUNT_EXTERNAL",
            f"账号“{now.login}”通过统一身份认证登录，没有本系统的口令。",
            "请在统一身份认证系统中重置。",
        )
    if now.demonstration:
        raise DudaoError(
            "DEMONSTRATION_ACCOUNT",
            f"演示账号“{now.login}”不用口令。",
            "请在登录页点选该演示账号。",
        )


@acts("sessions.end")
def end_session(store: Store, actor: Actor, session_id: str) -> None:
    """End somebody's sign-in, for every tab at once.

    Raises:
        NotAllowed
        DudaoError: SESSION_NOT_FOUND, there is none open the actor may see.
    """
    with _changing(store, actor, "sessions.end", subject=session_id) as command:
        row = accounts.session_row(command.connection, session_id=session_id)
        if row is None:
            raise SessionHidden(exists=False)
        owner = _visible(command.connection, actor.scope("sessions.end"), [row.account_id])
        if not owner or owner[0].elsewhere:
            raise SessionHidden(exists=True)
        command.details |= {"account": row.account_id, "login": row.login}
        if not accounts.end_sessions(
            command.connection, time.time(), "ended", session_id=session_id
        ):
            raise SessionHidden(exists=False)


# Passwords


@acts("session.password")
def link_login(store: Store, token: str) -> str:
    """The login name a one-time link is for.

    Raises:
        DudaoError: LINK_INVALID.
    """
    with store.engine.connect() as connection:
        row = accounts.link_row(connection, hash_of(token), time.time())
    if row is None or row.state != State.ACTIVE:
        raise _bad_link()
    return str(row.login)


def _bad_link() -> DudaoError:
    return DudaoError(
        "LINK_INVALID",
        "这个登录链接无效、已用过或已过期。",
        "请联系系统管理员重新发给您一个。",
    )


@acts("session.password")
def set_password(store: Store, token: str, password: str) -> str:
    """Set the password of the account a one-time link is for; gives its login name.

    The link is used up, and the account is signed out everywhere.

    Raises:
        DudaoError: LINK_INVALID; PASSWORD_… when the password is guessed too easily: the link then
            stays good.
    """
    login, token_hash = link_login(store, token), hash_of(token)
    passwords.check(password, login)
    password_hash = passwords.hashed(password)
    with database.reading(store.engine, EVERYTHING) as connection:
        actor = accounts.actor_by_login(connection, login, via="web")
    if actor is None:
        raise _bad_link()
    with _changing(store, actor, "session.password", subject=actor.id) as command:
        row = accounts.link_row(command.connection, token_hash, time.time())
        if row is None or row.state != State.ACTIVE:
            raise _bad_link()
        command.details["way"] = "link"
        accounts.use_link(command.connection, token_hash, time.time())
        accounts.set_password(command.connection, row.id, password_hash)
        accounts.end_sessions(command.connection, time.time(), "password", account_id=row.id)
    return login


@acts("session.password")
def change_password(store: Store, who: SignedIn, old: str, new: str, address: str) -> None:
    """Change one's own password, knowing the old one; signed out everywhere, here too.

    Raises:
        Throttled: as ``sign_in``.
        DudaoError: SIGN_IN_FAILED when the old one is wrong; PASSWORD_…; ACCOUNT_EXTERNAL,
            DEMONSTRATION_ACCOUNT when there is no password.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        (own,) = _visible(connection, EVERYTHING, [who.actor.id])
    _refuse_no_password(own)
    passwords.check(new, own.login)
    prove(store, own.login, old, address)
    password_hash = passwords.hashed(new)
    with _changing(store, who.actor, "session.password", subject=own.id) as command:
        command.details["way"] = "own"
        accounts.set_password(command.connection, own.id, password_hash)
        accounts.end_sessions(command.connection, time.time(), "password", account_id=own.id)


# First start


@acts("accounts.add")
def first_link(store: Store, base_url: str) -> str | None:
    """The address at which the first administrator sets a password, None when there is one.

    Each call without an administrator makes a new link, good for 24 hours, and voids the one
    before. In a demonstration the demonstration's administrator is enough.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        shown = accounts.is_demonstration(connection)
        if accounts.administrators(connection, date.today(), shown):
            return None
    with _changing(store, SYSTEM, "accounts.add") as command:
        connection = command.connection
        row = _unused_administrator(connection)
        if row is None:
            account_id, login = _new_id(), _free_login(connection, FIRST_LOGIN)
            _insert(connection, account_id, login, FIRST_TITLE)
            _insert_grant(command, account_id, Role.ADMINISTRATOR, None, (date.today(), None))
        else:
            account_id, login = row.id, row.login
        command.subject = account_id
        command.details |= {"login": login, "link": "first"}
        link = _new_link(connection, account_id, login)
    return base_url.rstrip("/") + link.path


def _unused_administrator(connection: Any) -> Any:
    """The first administrator's account, made at an earlier start and never used."""
    row = accounts.by_login(connection, FIRST_LOGIN)
    if row is None or row.state != State.ACTIVE or row.password_hash or row.subject:
        return None
    today = date.today()
    holds = any(
        each.role == Role.ADMINISTRATOR and each.place_id is None and each.valid_from <= today
        for each in accounts.held(connection, [row.id])
        if _counts(each, today)
    )
    return row if holds else None


def _free_login(connection: Any, wanted: str) -> str:
    login, number = wanted, 1
    while accounts.by_login(connection, login) is not None:
        number += 1
        login = f"{wanted}-{number}"
    return login


# The demonstration's accounts


@acts("data.demonstrate")
def ensure_demonstration(store: Store, wanted: Sequence[Demonstrated]) -> None:
    """Make the demonstration's accounts that are not there yet; there is nothing to sign in with.

    Raises:
        DudaoError: DEMONSTRATION_REFUSED next to real data; LOGIN_TAKEN by a real account.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        known = {row.login for row in accounts.rows(connection) if row.demonstration}
        shown = accounts.is_demonstration(connection)
    missing = [each for each in wanted if each.login not in known]
    if not missing and shown:
        return
    with _changing(store, SYSTEM, "data.demonstrate") as command:
        if not accounts.is_demonstration(command.connection):
            raise demonstration_refused()
        for each in missing:
            row = accounts.by_login(command.connection, each.login)
            if row is not None and row.demonstration:
                continue
            if row is not None:
                raise DudaoError("LOGIN_TAKEN", f"账号“{each.login}”已存在。", "请换一个账号名称。")
            account_id = _new_id()
            _insert(command.connection, account_id, each.login, each.title, demonstration=True)
            _insert_grant(command, account_id, each.role, each.place_id, (date.today(), None))
        command.details = {"accounts": [each.login for each in missing]}


@acts("session.sign_in")
def demonstration_accounts(store: Store) -> list[Account]:
    """The demonstration's accounts, in the order they were made; none next to real data."""
    with database.reading(store.engine, EVERYTHING) as connection:
        if not accounts.is_demonstration(connection):
            return []
        found = [
            each
            for each in _visible(connection, EVERYTHING)
            if each.demonstration and each.state is State.ACTIVE and each.grants
        ]
    return sorted(found, key=lambda each: each.grants[0].id)


# Identity providers


@acts("session.sign_in")
def sign_in_identity(store: Store, identity: Identity, address: str, agent: str) -> str:
    """The token of a new session of somebody an identity provider vouches for.

    The account is made at the first sign-in; at each it gets exactly the roles the provider's
    claims map to. When they changed, its other sessions end.

    Raises:
        DudaoError: OIDC_NO_ROLE, nothing the claims map to is known here; OIDC_CLOSED, the account
            was closed here.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        grants = {
            each
            for each in identity.grants
            if each.place_id is None or accounts.known_place(connection, each.place_id)
        }
        row = accounts.by_subject(connection, identity.subject)
    if not grants:
        raise _refuse_identity(
            store, row, address, "OIDC_NO_ROLE", "统一身份认证没有给您本系统中的角色。",
            "请联系系统管理员，在统一身份认证系统中为您分配角色和地区。",
        )  # fmt: skip
    if row is not None and row.state != State.ACTIVE:
        raise _refuse_identity(
            store, row, address, "OIDC_CLOSED", "您在本系统的账号已停用。",
            "如需使用，请联系系统管理员恢复。",
        )  # fmt: skip
    if row is None or _differs(store, row, identity, grants):
        row = _take_over(store, identity, grants)
    return open_session(store, row, address, agent, "oidc")


def _refuse_identity(
    store: Store, row: Any, address: str, code: str, message: str, remedy: str
) -> DudaoError:
    store.record(
        VISITOR,
        "session.sign_in",
        subject=row.id if row is not None else "",
        details={"address": address, "way": "oidc", "error": code},
        outcome=Outcome.DENIED,
    )
    return DudaoError(code, message, remedy)


def _title_of(identity: Identity) -> str:
    shown = "".join(sign for sign in identity.title if sign.isprintable())
    return " ".join(shown.split())[:100] or "未具名"


def _now_held(connection: Any, account_id: str) -> dict[Wanted, list[int]]:
    """The grants that hold today and on, as claims map to them; others count as foreign."""
    today = date.today()
    found: dict[Wanted, list[int]] = {}
    for each in accounts.held(connection, [account_id]):
        if _counts(each, today):
            found.setdefault(Wanted(Role(each.role), each.place_id), []).append(each.id)
    return found


def _differs(store: Store, row: Any, identity: Identity, grants: set[Wanted]) -> bool:
    with database.reading(store.engine, EVERYTHING) as connection:
        held = set(_now_held(connection, row.id))
    return held != grants or row.title != _title_of(identity)


def _take_over(store: Store, identity: Identity, grants: set[Wanted]) -> Any:
    """Make or change the account so that it is what the provider says; gives its row."""
    title = _title_of(identity)
    with _changing(store, OIDC, "accounts.grant") as command:
        connection = command.connection
        row = accounts.by_subject(connection, identity.subject)
        if row is None:
            account_id = _new_id()
            login = _free_login(connection, fitting_login(identity.login))
            _insert(connection, account_id, login, title, subject=identity.subject)
        else:
            account_id, login = row.id, row.login
            accounts.change(connection, account_id, {"title": title})
        held = _now_held(connection, account_id)
        for wanted, ids in held.items():
            if wanted not in grants:
                for grant_id in ids:
                    accounts.end_grant(connection, grant_id, date.today())
        for wanted in sorted(grants - held.keys(), key=str):
            _insert_grant(command, account_id, wanted.role, wanted.place_id, (date.today(), None))
        if grants != held.keys():
            accounts.end_sessions(connection, time.time(), "grants", account_id=account_id)
        command.subject = account_id
        command.details = {
            "login": login,
            "grants": sorted(f"{each.role.value}:{each.place_id or '*'}" for each in grants),
        }
        return accounts.rows(connection, [account_id])[0]

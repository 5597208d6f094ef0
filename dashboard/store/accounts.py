"""Accounts, grants and sessions as rows: reads and writes on an open connection, no rules."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)  # fmt: skip

from dashboard.access import Actor, Grant, Role
from dashboard.store.tables import (
    access_grant,
    account,
    meta,
    place,
    session,
    sign_in_attempt,
    sign_in_link,
)
from dashboard.store.unit import DEMONSTRATION, PLACES_VERSION

SESSION_IDLE_MINUTES, SESSION_HOURS = "session_idle_minutes", "session_hours"
"""Meta entries: how long a sign-in lasts unused and at the most, as the settings said last."""

_LOCK = 7385133
"""PostgreSQL advisory lock: one transaction at a time judges and changes accounts."""

_ATTEMPTS_KEPT_S = 24 * 3600
_SESSIONS_KEPT_S = 30 * 24 * 3600


def serialise(connection: Connection) -> None:
    """Let no other change of accounts run until this write transaction ends.

    On SQLite a write transaction is alone from its beginning.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


# Who they are


def grants_of(connection: Connection, account_id: str) -> tuple[Grant, ...]:
    """The grants of an account, past and coming ones too, each with every path its place had."""
    rows = connection.execute(
        select(
            access_grant.c.id,
            access_grant.c.role,
            access_grant.c.place_id,
            access_grant.c.valid_from,
            access_grant.c.valid_to,
            place.c.path,
        )
        .outerjoin(place, place.c.id == access_grant.c.place_id)
        .where(access_grant.c.account_id == account_id)
        .order_by(access_grant.c.id, place.c.valid_from)
    ).all()
    paths: dict[int, list[str]] = {}
    for row in rows:
        paths.setdefault(row.id, [])
        if row.path is not None and row.path not in paths[row.id]:
            paths[row.id].append(row.path)
    unique = {row.id: row for row in rows}
    return tuple(
        Grant(Role(row.role), row.place_id, tuple(paths[number]), row.valid_from, row.valid_to)
        for number, row in unique.items()
    )


def actor_of(connection: Connection, account_id: str, via: str) -> Actor | None:
    """The actor an active account is; None when there is no such account or it is closed."""
    row = connection.execute(
        select(account.c.id, account.c.title).where(
            account.c.id == account_id, account.c.state == "active"
        )
    ).first()
    if row is None:
        return None
    return Actor(row.id, row.title, grants=grants_of(connection, account_id), via=via)


def actor_by_login(connection: Connection, login: str, via: str) -> Actor | None:
    """The actor of an active account by its login name, None when there is none."""
    found = connection.execute(select(account.c.id).where(account.c.login == login)).scalar()
    return None if found is None else actor_of(connection, found, via)


def rows(connection: Connection, ids: Collection[str] | None = None) -> list[Row[Any]]:
    """Accounts by login name: all of them, or those of some ids."""
    query = select(account).order_by(account.c.login)
    if ids is not None:
        query = query.where(account.c.id.in_(ids))
    return list(connection.execute(query))


def by_login(connection: Connection, login: str) -> Row[Any] | None:
    """The account of a login name."""
    return connection.execute(select(account).where(account.c.login == login)).first()


def by_subject(connection: Connection, subject: str) -> Row[Any] | None:
    """The account of somebody an identity provider names."""
    return connection.execute(select(account).where(account.c.subject == subject)).first()


def held(connection: Connection, ids: Collection[str] | None = None) -> list[Row[Any]]:
    """The grants of all accounts or of some, oldest first, with the place's latest name and path.

    ``name`` and ``path`` are None for a grant everywhere and for a place that is gone.
    """
    latest = (
        select(place.c.id, func.max(place.c.valid_from).label("valid_from"))
        .where(place.c.id.in_(select(access_grant.c.place_id)))
        .group_by(place.c.id)
        .subquery()
    )
    named = (
        select(place.c.id, place.c.name, place.c.path)
        .join(latest, (latest.c.id == place.c.id) & (latest.c.valid_from == place.c.valid_from))
        .subquery()
    )
    query = (
        select(access_grant, named.c.name, named.c.path)
        .outerjoin(named, named.c.id == access_grant.c.place_id)
        .order_by(access_grant.c.id)
    )
    if ids is not None:
        query = query.where(access_grant.c.account_id.in_(ids))
    return list(connection.execute(query))


def add(connection: Connection, values: dict[str, Any]) -> None:
    """Insert an account."""
    connection.execute(insert(account).values(**values))


def change(connection: Connection, account_id: str, values: dict[str, Any]) -> None:
    """Change an account's record and count its version up."""
    connection.execute(
        update(account)
        .where(account.c.id == account_id)
        .values(**values, version=account.c.version + 1)
    )


def set_password(connection: Connection, account_id: str, password_hash: str | None) -> None:
    """Keep or take away the hash of a password; the record's version stays."""
    connection.execute(
        update(account).where(account.c.id == account_id).values(password_hash=password_hash)
    )


def add_grant(connection: Connection, values: dict[str, Any]) -> None:
    """Insert a grant."""
    connection.execute(insert(access_grant).values(**values))


def end_grant(connection: Connection, grant_id: int, on: date) -> None:
    """Let a grant hold no longer from a day on; one that begins later never begins."""
    begins = access_grant.c.valid_from
    connection.execute(
        update(access_grant)
        .where(access_grant.c.id == grant_id)
        .values(valid_to=case((begins > on, begins), else_=on))
    )


def administrators(connection: Connection, on: date, demonstration: bool) -> set[str]:
    """Active accounts that administer everywhere on a day and have a way to sign in.

    Args:
        demonstration: whether demonstration accounts count.
    """
    enters = or_(account.c.password_hash.is_not(None), account.c.subject.is_not(None))
    if demonstration:
        enters = or_(enters, account.c.demonstration)
    found = connection.execute(
        select(account.c.id)
        .join(access_grant, access_grant.c.account_id == account.c.id)
        .where(
            account.c.state == "active",
            access_grant.c.role == Role.ADMINISTRATOR.value,
            access_grant.c.place_id.is_(None),
            access_grant.c.valid_from <= on,
            or_(access_grant.c.valid_to.is_(None), access_grant.c.valid_to > on),
            enters,
        )
    )
    return set(found.scalars())


def is_demonstration(connection: Connection) -> bool:
    """Whether the data directory holds a demonstration."""
    found = connection.execute(select(meta.c.value).where(meta.c.key == DEMONSTRATION)).scalar()
    return found == "1"


def known_place(connection: Connection, place_id: str) -> bool:
    """Whether there is or was a place of this id."""
    found = connection.execute(select(place.c.id).where(place.c.id == place_id).limit(1))
    return found.first() is not None


# Sessions


def _meta(key: str) -> Any:
    return select(meta.c.value).where(meta.c.key == key).scalar_subquery()


_SESSION: tuple[Any, ...] = (
    session.c.id,
    session.c.account_id,
    session.c.last_seen,
    session.c.expires,
    session.c.ended,
    account.c.login,
    account.c.state,
    account.c.version,
    account.c.demonstration,
    _meta(DEMONSTRATION).label("in_demonstration"),
    _meta(PLACES_VERSION).label("places_version"),
    _meta(SESSION_IDLE_MINUTES).label("idle_minutes"),
)


_WANTED = select(*_SESSION).join(account, account.c.id == session.c.account_id)
# Built once: every request and every rerun asks, and building takes longer than the answer.
_BY_SESSION = _WANTED.where(session.c.id == bindparam("wanted"))
_BY_TOKEN = _WANTED.where(session.c.token_hash == bindparam("wanted"))


def session_row(
    connection: Connection, *, token_hash: str | None = None, session_id: str | None = None
) -> Row[Any] | None:
    """A session with its account and what its validity hangs on, in one statement.

    Exactly one of the two must be given.
    """
    statement = _BY_SESSION if token_hash is None else _BY_TOKEN
    return connection.execute(statement, {"wanted": session_id or token_hash}).first()


def lasting(connection: Connection) -> dict[str, str]:
    """What the meta table says about how long a sign-in lasts."""
    found = connection.execute(
        select(meta.c.key, meta.c.value).where(
            meta.c.key.in_((SESSION_IDLE_MINUTES, SESSION_HOURS))
        )
    )
    return {row.key: row.value for row in found}


def open_session(connection: Connection, values: dict[str, Any]) -> None:
    """Insert a session; those that were over long ago are forgotten."""
    connection.execute(
        delete(session).where(session.c.expires < values["created"] - _SESSIONS_KEPT_S)
    )
    connection.execute(insert(session).values(**values))


def touch(connection: Connection, session_id: str, now: float) -> None:
    """Note that a session was used."""
    connection.execute(update(session).where(session.c.id == session_id).values(last_seen=now))


def end_sessions(
    connection: Connection,
    now: float,
    reason: str,
    *,
    account_id: str | None = None,
    session_id: str | None = None,
) -> int:
    """End one session, or all of an account; how many were still open."""
    wanted = (
        session.c.id == session_id if account_id is None else session.c.account_id == account_id
    )
    ended = connection.execute(
        update(session)
        .where(wanted, session.c.ended.is_(None))
        .values(ended=now, ended_reason=reason)
    )
    return ended.rowcount


def open_sessions(connection: Connection, now: float, idle_s: float) -> list[Row[Any]]:
    """The sessions that still hold, the latest used first."""
    return list(
        connection.execute(
            select(session, account.c.login, account.c.title)
            .join(account, account.c.id == session.c.account_id)
            .where(
                session.c.ended.is_(None),
                session.c.expires > now,
                session.c.last_seen > now - idle_s,
                account.c.state == "active",
            )
            .order_by(session.c.last_seen.desc())
        )
    )


# Links and attempts


def put_link(connection: Connection, values: dict[str, Any]) -> None:
    """Insert a one-time link; earlier ones of the account are of no use any more."""
    drop_links(connection, values["account_id"])
    connection.execute(insert(sign_in_link).values(**values))


def drop_links(connection: Connection, account_id: str) -> None:
    """Forget the one-time links of an account."""
    connection.execute(delete(sign_in_link).where(sign_in_link.c.account_id == account_id))


def link_row(connection: Connection, token_hash: str, now: float) -> Row[Any] | None:
    """The account a link that is unused and in time stands for."""
    return connection.execute(
        select(account)
        .join(sign_in_link, sign_in_link.c.account_id == account.c.id)
        .where(
            sign_in_link.c.token_hash == token_hash,
            sign_in_link.c.used.is_(None),
            sign_in_link.c.expires > now,
        )
    ).first()


def use_link(connection: Connection, token_hash: str, now: float) -> None:
    """Note that a link was used."""
    connection.execute(
        update(sign_in_link).where(sign_in_link.c.token_hash == token_hash).values(used=now)
    )


def failures(
    connection: Connection, since: float, *, login: str | None = None, address: str | None = None
) -> list[float]:
    """When sign-ins failed since a moment, for a login's keyed hash or an address, oldest first."""
    wanted = (
        sign_in_attempt.c.address == address if login is None else sign_in_attempt.c.login == login
    )
    found = connection.execute(
        select(sign_in_attempt.c.at)
        .where(wanted, sign_in_attempt.c.at > since, sign_in_attempt.c.succeeded.is_(False))
        .order_by(sign_in_attempt.c.at)
    )
    return list(found.scalars())


def note_attempt(
    connection: Connection, login: str, address: str, now: float, succeeded: bool
) -> None:
    """Keep an attempt for a day. One that succeeded clears what failed for its login before."""
    connection.execute(
        insert(sign_in_attempt).values(login=login, address=address, at=now, succeeded=succeeded)
    )
    if succeeded:
        connection.execute(
            delete(sign_in_attempt).where(
                or_(
                    sign_in_attempt.c.at < now - _ATTEMPTS_KEPT_S,
                    (sign_in_attempt.c.login == login) & sign_in_attempt.c.succeeded.is_(False),
                )
            )
        )

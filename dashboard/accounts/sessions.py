"""Signing in and out, and whose a request is."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from dashboard.access import EVERYTHING, Actor, acts
from dashboard.accounts import passwords
from dashboard.accounts.model import SignedIn, State, Throttled, normal_login
from dashboard.store import Store, accounts, database
from dashboard.store.audit import Outcome
from dashboard.store.keys import SIGN_IN
from geodata.errors import DudaoError

IDLE_MINUTES, HOURS = 60, 12
"""How long a sign-in lasts unused and at the most, until the settings say otherwise."""

WINDOW_S = 15 * 60
TRIES_OF_LOGIN, TRIES_OF_ADDRESS = 5, 30
"""Wrong tries within the window after which no further one is judged.

An office shares one address, so that one has more. Success clears only the login's.
"""

TOUCH_EVERY_S = 60.0
AGENT_LONGEST = 200

VISITOR = Actor("visitor", "未登录", via="web")
"""Who tried to sign in and did not."""

_ACTORS_KEPT = 2_000


class _Turns:
    """Judges one try of a login after the other, so that tries at once cannot outrun the count."""

    def __init__(self, size: int = 256) -> None:
        self._locks = [Lock() for _ in range(size)]

    def of(self, typed: str) -> Lock:
        return self._locks[int(typed[:8], 16) % len(self._locks)]


class _Memory:
    """The actors of one store by what they are made from, and when its sessions were touched."""

    def __init__(self) -> None:
        self._actors: OrderedDict[Hashable, Actor] = OrderedDict()
        self._touched: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def actor(self, key: Hashable) -> Actor | None:
        with self._lock:
            return self._actors.get(key)

    def keep(self, key: Hashable, actor: Actor) -> None:
        with self._lock:
            self._actors[key] = actor
            if len(self._actors) > _ACTORS_KEPT:
                self._actors.popitem(last=False)

    def claim_touch(self, session_id: str, now: float) -> bool:
        """Whether nobody in this process has touched the session lately; the caller then does."""
        with self._lock:
            if now - self._touched.get(session_id, 0.0) < TOUCH_EVERY_S:
                return False
            self._touched[session_id] = now
            self._touched.move_to_end(session_id)
            if len(self._touched) > _ACTORS_KEPT:
                self._touched.popitem(last=False)
            return True


_turns = _Turns()
_memories: WeakKeyDictionary[Store, _Memory] = WeakKeyDictionary()
_memories_lock = Lock()


def _memory(store: Store) -> _Memory:
    with _memories_lock:
        return _memories.setdefault(store, _Memory())


def hash_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """32 random bytes, fit for an address."""
    return secrets.token_urlsafe(32)


# Whose a request is


@acts("session.sign_in")
def signed_in(store: Store, token: str) -> SignedIn | None:
    """Whose token this is; None when it is nobody's or the sign-in is over. Counts as use."""
    return _holding(store, use=True, token_hash=hash_of(token))


@acts("session.sign_in")
def session(store: Store, session_id: str) -> SignedIn:
    """Whose session this is. Counts as use.

    Raises:
        DudaoError: SESSION_ENDED.
    """
    found = _holding(store, use=True, session_id=session_id)
    if found is None:
        raise DudaoError("SESSION_ENDED", "您尚未登录或登录已失效。", "请重新登录。")
    return found


@acts("session.sign_in")
def session_alive(store: Store, session_id: str) -> bool:
    """Whether a session still holds; asking does not count as use."""
    with store.engine.connect() as connection:
        row = accounts.session_row(connection, session_id=session_id)
    return row is not None and _holds(row, time.time())


@acts("session.sign_in")
def actor_of_session(store: Store, session_id: str) -> Actor | None:
    """Who a session acts as; None when it is over. Asking does not count as use."""
    found = _holding(store, use=False, session_id=session_id)
    return found.actor if found else None


def _holds(row: Any, now: float) -> bool:
    idle_s = 60 * int(row.idle_minutes or IDLE_MINUTES)
    return bool(
        row.ended is None
        and row.state == State.ACTIVE
        and now < row.expires
        and now < row.last_seen + idle_s
        and (not row.demonstration or row.in_demonstration == "1")
    )


def _holding(store: Store, use: bool, **wanted: str) -> SignedIn | None:
    now = time.time()
    with store.engine.connect() as connection:
        row = accounts.session_row(connection, **wanted)
    if row is None or not _holds(row, now):
        return None
    memory = _memory(store)
    key = (row.account_id, row.version, row.places_version)
    actor = memory.actor(key)
    if actor is None:
        with database.reading(store.engine, EVERYTHING) as connection:
            actor = accounts.actor_of(connection, row.account_id, via="web")
        if actor is None:
            return None
        memory.keep(key, actor)
    if use and now - row.last_seen >= TOUCH_EVERY_S and memory.claim_touch(row.id, now):
        with database.writing(store.engine) as connection:
            accounts.touch(connection, row.id, now)
    return SignedIn(row.id, row.login, actor, row.demonstration)


# Signing in


@dataclass(frozen=True, slots=True)
class _Try:
    """One try to sign in: the keyed hash of what was typed, and from where."""

    typed: str
    address: str


@acts("session.sign_in")
def sign_in(store: Store, login: str, password: str, address: str, agent: str) -> str:
    """The token of a new session.

    The sixth try within 15 minutes after five wrong ones is not judged, whether or not there is
    such an account. What was typed is never kept, only its keyed hash: it may be a password.

    Raises:
        Throttled: SIGN_IN_THROTTLED.
        DudaoError: SIGN_IN_FAILED, whatever of the two was wrong.
    """
    attempt = _attempt(store, login, address)
    with _turns.of(attempt.typed):
        row = _judge(store, attempt, normal_login(login), password)
        newer = passwords.hashed(password) if passwords.outdated(row.password_hash) else None
        return open_session(store, row, address, agent, "password", attempt, newer)


@acts("session.password")
def prove(store: Store, login: str, password: str, address: str) -> None:
    """Let somebody who is signed in prove it anew; a wrong try counts like one to sign in.

    Raises:
        Throttled, DudaoError: as ``sign_in``.
    """
    attempt = _attempt(store, login, address)
    with _turns.of(attempt.typed):
        _judge(store, attempt, normal_login(login), password)


def _attempt(store: Store, login: str, address: str) -> _Try:
    return _Try(store.keys.mac(SIGN_IN, normal_login(login)), network(address))


def _judge(store: Store, attempt: _Try, login: str, password: str) -> Any:
    """The account of a login whose password this is; a wrong try is noted and audited."""
    now = time.time()
    with database.reading(store.engine, EVERYTHING) as connection:
        wait = _wait(connection, attempt, now)
        row = accounts.by_login(connection, login)
    if wait:
        raise Throttled(wait)
    usable = row is not None and row.state == State.ACTIVE and not row.demonstration
    known = row.password_hash if row is not None and usable else None
    if passwords.matches(known, password):
        return row
    with database.writing(store.engine) as connection:
        accounts.note_attempt(connection, attempt.typed, attempt.address, now, False)
        locked = _wait(connection, attempt, now) > 0
    store.record(
        VISITOR,
        "session.sign_in",
        subject=row.id if row is not None else "",
        details={"typed": attempt.typed[:16], "address": attempt.address, "locked": locked},
        outcome=Outcome.DENIED,
    )
    raise _failed()


def _failed() -> DudaoError:
    return DudaoError(
        "SIGN_IN_FAILED",
        "账号或口令不正确。",
        f"请核对后重试；连续输错 {TRIES_OF_LOGIN} 次将暂停登录 {WINDOW_S // 60} 分钟。",
    )


def _wait(connection: Any, attempt: _Try, now: float) -> int:
    """Seconds until a try may be judged, 0 when it may be now."""
    waits = [0.0]
    for found, most in (
        (accounts.failures(connection, now - WINDOW_S, login=attempt.typed), TRIES_OF_LOGIN),
        (accounts.failures(connection, now - WINDOW_S, address=attempt.address), TRIES_OF_ADDRESS),
    ):
        if len(found) >= most:
            waits.append(found[-most] + WINDOW_S - now)
    longest = max(waits)
    return int(longest) + 1 if longest > 0 else 0


@acts("session.sign_in")
def open_session(
    store: Store,
    row: Any,
    address: str,
    agent: str,
    way: str,
    attempt: _Try | None = None,
    newer_hash: str | None = None,
) -> str:
    """Open a session for an account that proved who it is, unless it changed since ``row``.

    Args:
        row: the account as it was judged.
        way: how it was proved: ``password``, ``demonstration`` or ``oidc``.
        attempt: the try to note as one that succeeded.
        newer_hash: the same password's hash with today's parameters.

    Raises:
        DudaoError: SIGN_IN_FAILED, DEMONSTRATION_REFUSED.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        actor = accounts.actor_of(connection, row.id, via="web")
    if actor is None:
        raise _failed()
    token, session_id, now = new_token(), secrets.token_hex(16), time.time()
    details = {"session": session_id, "address": address, "way": way}
    with store.command(actor, "session.sign_in", subject=row.id, details=details) as command:
        accounts.serialise(command.connection)
        current = accounts.rows(command.connection, [row.id])[0]
        if current.state != State.ACTIVE or current.password_hash != row.password_hash:
            raise _failed()
        if row.demonstration and not accounts.is_demonstration(command.connection):
            raise demonstration_refused()
        if newer_hash is not None:
            accounts.set_password(command.connection, row.id, newer_hash)
        if attempt is not None:
            accounts.note_attempt(command.connection, attempt.typed, attempt.address, now, True)
        hours = int(accounts.lasting(command.connection).get(accounts.SESSION_HOURS, HOURS))
        accounts.open_session(
            command.connection,
            {
                "id": session_id,
                "token_hash": hash_of(token),
                "account_id": row.id,
                "created": now,
                "last_seen": now,
                "expires": now + 3600 * hours,
                "address": address,
                "agent": agent[:AGENT_LONGEST],
            },
        )
    return token


def network(address: str) -> str:
    """What counts as one address: an IPv6 network of a household or office, else the address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)


# The demonstration's accounts


def demonstration_refused() -> DudaoError:
    """DEMONSTRATION_REFUSED."""
    return DudaoError(
        "DEMONSTRATION_REFUSED",
        "这个数据目录不是演示数据，演示账号不能使用。",
        "请用系统管理员发给您的账号登录。",
    )


@acts("session.sign_in")
def sign_in_demonstration(
    store: Store, login: str, address: str, agent: str, remote: bool = False
) -> str:
    """The token of a new session of a demonstration account, without a password.

    Args:
        remote: whether other machines may do so too.

    Raises:
        DudaoError: DEMONSTRATION_REFUSED next to real data, DEMONSTRATION_LOCAL from elsewhere,
            SIGN_IN_FAILED when it is no demonstration account.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        row = accounts.by_login(connection, normal_login(login))
        shown = accounts.is_demonstration(connection)
    error = None
    if not shown:
        error = demonstration_refused()
    elif not (remote or is_loopback(address)):
        error = DudaoError(
            "DEMONSTRATION_LOCAL",
            "演示账号只能在运行本系统的电脑上使用。",
            "如需从其他电脑查看演示，请在设置中打开 demonstration_remote。",
        )
    elif row is None or not row.demonstration or row.state != State.ACTIVE:
        error = _failed()
    if error is not None or row is None:
        store.record(
            VISITOR,
            "session.sign_in",
            subject=row.id if row is not None and row.demonstration else "",
            details={"address": address, "way": "demonstration"},
            outcome=Outcome.DENIED,
        )
        raise error or _failed()
    return open_session(store, row, address, agent, "demonstration")


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return (mapped or parsed).is_loopback


# Leaving


@acts("session.sign_out")
def sign_out(store: Store, session_id: str) -> None:
    """End a session, for every tab at once. One that is over already stays so."""
    with database.reading(store.engine, EVERYTHING) as connection:
        row = accounts.session_row(connection, session_id=session_id)
        if row is None or row.ended is not None:
            return
        actor = accounts.actor_of(connection, row.account_id, via="web")
    if actor is None:
        return
    with store.command(
        actor, "session.sign_out", subject=row.account_id, details={"session": session_id}
    ) as command:
        accounts.end_sessions(command.connection, time.time(), "sign_out", session_id=session_id)

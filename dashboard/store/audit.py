"""The audit: rows chained by HMACs, appended in the transaction of what they tell, never changed.

Two things outside the database keep it honest: the key, without which no row can be made, and the
anchor, the sealed note of the last row, without which a tail cut off would not be missed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Engine, Select, func, insert, or_, select, text
from sqlalchemy.exc import OperationalError

from dashboard.access import EVERYTHING, Actor, Scope
from dashboard.store import database
from dashboard.store.keys import AUDIT, Keys
from dashboard.store.tables import audit
from loaders.masking import mask_text

_log = logging.getLogger(__name__)

_LOCK = 7385132
"""PostgreSQL advisory lock: one transaction appends at a time, so the chain cannot fork."""

START = "0" * 64
"""What the first row names as the row before."""

ANCHOR_FILE = "audit.anchor"

_CHUNK = 5_000
_DIGEST = re.compile(r"(?=.*[a-f])[0-9a-f]{16,}")

Mac = Callable[[str], str]


class Outcome(StrEnum):
    """How an action ended."""

    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """What one audit row tells.

    Attributes:
        place_id, path: where, None when it concerns no place.
        subject: id of what it was done to.
        details: JSON-ready; never a patient's name or number. Numbers that look like one are
            masked all the same.
    """

    actor: Actor
    action: str
    subject: str = ""
    place_id: str | None = None
    path: str | None = None
    outcome: Outcome = Outcome.DONE
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """The last row of the chain.

    Attributes:
        continues: whether the chain before it agreed with the anchor, so that the anchor may
            follow; where it did not, the anchor stays as evidence.
    """

    seq: int
    mac: str
    continues: bool = True


# Appending


def append(connection: Connection, keys: Keys, entry: Entry) -> Link:
    """Append a row in this write transaction; it becomes visible with the transaction.

    Hand the link to ``anchor`` after the commit.

    Raises:
        SystemProblem: KEY_MISSING.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    found = connection.execute(
        select(audit.c.seq, audit.c.mac).order_by(audit.c.seq.desc()).limit(1)
    ).first()
    last = Link(found.seq, found.mac) if found else Link(0, START)
    row: dict[str, Any] = {
        "seq": last.seq + 1,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "actor": entry.actor.id,
        "actor_name": entry.actor.name,
        "via": entry.actor.via,
        "action": entry.action,
        "place_id": entry.place_id,
        "path": entry.path,
        "subject": masked(entry.subject),
        "outcome": entry.outcome.value,
        "details": json.dumps(masked(entry.details), ensure_ascii=False, sort_keys=True),
        "previous": last.mac,
    }
    row["mac"] = mac_of(keys, row)
    connection.execute(insert(audit).values(**row))
    return Link(row["seq"], row["mac"], _continues(connection, keys, last))


def masked(found: Any) -> Any:
    """A JSON value with what looks like an identity or mobile number masked in every text.

    Network addresses and digests, which may look alike, stay.
    """
    if isinstance(found, str):
        return found if _DIGEST.fullmatch(found) or _is_address(found) else mask_text(found)
    if isinstance(found, dict):
        return {masked(key): masked(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [masked(value) for value in found]
    if type(found) is int and mask_text(str(found)) != str(found):
        return mask_text(str(found))
    return found


def _is_address(found: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(found)
        return True
    return False


SEALED = (
    "seq", "at", "actor", "actor_name", "via", "action", "place_id", "path", "subject", "outcome",
    "details", "previous",
)  # fmt: skip
"""The columns a row's mac covers, in this order."""

_encode = json.JSONEncoder(ensure_ascii=False).encode


def mac_of(keys: Keys, row: dict[str, Any]) -> str:
    """The mac a row must carry: HMAC-SHA256 over its columns as a JSON array."""
    return _sealer(keys)(_encode([row[name] for name in SEALED]))


def _sealer(keys: Keys) -> Mac:
    """Makes macs with the key scheduled once."""
    start = hmac.new(keys.read(AUDIT), digestmod=hashlib.sha256)

    def seal(written: str) -> str:
        made = start.copy()
        made.update(written.encode())
        return made.hexdigest()

    return seal


# The anchor


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is noted outside the database.

    Attributes:
        seq, mac: of the last row; 0 and ``START`` before the first.
        cut: the first row that was found missing from the end of the chain, None when none ever
            was. It stays, although new rows were appended since.
    """

    seq: int
    mac: str
    cut: int | None = None

    def seal(self, keys: Keys) -> str:
        """The mac that shows this program wrote it."""
        return _sealer(keys)(_encode(["anchor", self.seq, self.mac, self.cut]))


class AnchorUnusable(Exception):
    """The anchor's file is missing, or this program did not write what is in it."""

    def __init__(self, kind: Break) -> None:
        super().__init__(kind.value)
        self.kind = kind


def read_anchor(keys: Keys) -> Anchor:
    """What is noted outside the database.

    Raises:
        AnchorUnusable: ANCHOR_MISSING or ANCHOR_ALTERED.
        SystemProblem: KEY_MISSING.
    """
    try:
        found = json.loads((keys.directory / ANCHOR_FILE).read_bytes())
        noted = Anchor(found["seq"], found["mac"], found["cut"])
        known = hmac.compare_digest(noted.seal(keys), found["seal"])
    except FileNotFoundError:
        raise AnchorUnusable(Break.ANCHOR_MISSING) from None
    except (ValueError, KeyError, TypeError):
        raise AnchorUnusable(Break.ANCHOR_ALTERED) from None
    if not known:
        raise AnchorUnusable(Break.ANCHOR_ALTERED)
    return noted


def anchor(keys: Keys, link: Link) -> None:
    """Note the last link outside the database, so that a tail cut off later is missed.

    A crash between commit and this note leaves it behind the chain by a few rows, never before
    it; so does a disk that is full, which is only logged, for the change itself is done.
    """
    if not link.continues:
        return
    try:
        with _anchor_lock(keys):
            noted = read_anchor(keys)
            if noted.cut is None and noted.seq < link.seq:
                _write(keys, Anchor(link.seq, link.mac))
    except AnchorUnusable as error:
        _log.error("the audit's anchor does not follow: %s", error.kind.value)
    except OSError:
        _log.exception("the audit's anchor could not be written")


def reset_anchor(engine: Engine, keys: Keys) -> None:
    """Note the chain as it stands, whatever was noted: after a backup was put in its place."""
    with database.writing(engine) as connection, _anchor_lock(keys):
        last = connection.execute(
            select(audit.c.seq, audit.c.mac).order_by(audit.c.seq.desc()).limit(1)
        ).first()
        _write(keys, Anchor(last.seq, last.mac) if last else Anchor(0, START))


def _continues(connection: Connection, keys: Keys, last: Link) -> bool:
    """Whether the chain so far is the one that was noted.

    A chain shorter than its note was cut: that is noted at once, before new rows hide it.
    """
    try:
        with _anchor_lock(keys):
            try:
                noted = read_anchor(keys)
            except AnchorUnusable as error:
                if error.kind is Break.ANCHOR_ALTERED or last.seq:
                    return False
                noted = Anchor(0, START)
                _write(keys, noted)
            if noted.cut is None and noted.seq > last.seq:
                noted = replace(noted, cut=last.seq + 1)
                _write(keys, noted)
    except OSError:
        _log.exception("the audit's anchor could not be read or written")
        return False
    if noted.cut is not None:
        return False
    if noted.seq in (0, last.seq):
        return noted.seq == 0 or noted.mac == last.mac
    return noted.mac == connection.scalar(select(audit.c.mac).where(audit.c.seq == noted.seq))


def _anchor_lock(keys: Keys) -> FileLock:
    return FileLock(keys.directory / f"{ANCHOR_FILE}.lock", fallback_to_soft=False)


def _write(keys: Keys, noted: Anchor) -> None:
    """Put the note in the place of the one before, whole or not at all. Under its lock."""
    path = keys.directory / ANCHOR_FILE
    part = path.with_suffix(".part")
    with part.open("w", encoding="ascii") as file:
        json.dump(
            {"seq": noted.seq, "mac": noted.mac, "cut": noted.cut, "seal": noted.seal(keys)}, file
        )
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


# Verifying


class Break(StrEnum):
    """What is wrong with a link."""

    EDITED = "edited"
    ADDED = "added"
    DELETED = "deleted"
    REORDERED = "reordered"
    REPLACED = "replaced"
    TRUNCATED = "truncated"
    EMPTIED = "emptied"
    ANCHOR_MISSING = "anchor_missing"
    ANCHOR_ALTERED = "anchor_altered"


_BREAKS = {
    Break.EDITED: "第 {seq} 条记录的内容与封印不符：被改动过，或不是本程序写入的。",
    Break.ADDED: "第 {seq} 条记录是多出来的，不是本程序写入的。",
    Break.DELETED: "第 {seq} 条记录被删除，连续缺少 {count} 条。",
    Break.REORDERED: "第 {seq} 条记录的位置被换过，它原来是第 {other} 条。",
    Break.REPLACED: "第 {seq} 条记录不是当时写入的那一条：到这一条为止的记录被整段替换过。",
    Break.TRUNCATED: "第 {seq} 条及其后的记录被截去；库外的记号记到第 {other} 条。",
    Break.EMPTIED: "审计记录被整体清空；库外的记号记到第 {other} 条。",
    Break.ANCHOR_MISSING: "库外的记号文件不见了，无法判断第 {seq} 条之后是否被截去。",
    Break.ANCHOR_ALTERED: "库外的记号文件被改动或损坏，无法判断第 {seq} 条之后是否被截去。",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """The first link that does not hold.

    Attributes:
        seq: the row it is about.
        other: a second row the kind speaks of, None when it speaks of none.
        count: rows missing in a gap.
    """

    seq: int
    kind: Break
    other: int | None = None
    count: int = 0

    @property
    def message(self) -> str:
        """What was found, in plain Chinese."""
        return _BREAKS[self.kind].format(seq=self.seq, other=self.other, count=self.count)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along the chain found.

    Attributes:
        rows: rows that hold, counted from the first.
        anchored: the row noted outside the database, None where the note is not usable.
        broken: the first link that does not hold, None when all do.
    """

    rows: int
    anchored: int | None
    broken: Broken | None

    @property
    def intact(self) -> bool:
        """Whether every link holds."""
        return self.broken is None


def verify(engine: Engine, keys: Keys, progress: Callable[[int], None] | None = None) -> Verified:
    """Walk the whole chain and name its first broken link. Memory does not grow with the rows.

    Args:
        progress: told the number of rows that hold so far, now and then.

    Raises:
        SystemProblem: KEY_MISSING.
    """
    noted, unusable = None, None
    try:
        # Before the rows: what is appended meanwhile must not look like a tail cut off.
        noted = read_anchor(keys)
    except AnchorUnusable as error:
        unusable = error.kind
    walk = _Walk(_sealer(keys), noted)
    with database.reading(engine, EVERYTHING) as connection:
        for rows in _chunks(connection):
            walk.follow(rows)
            if walk.broken is not None:
                if walk.broken.kind is Break.EDITED:
                    walk.look_for_origin(connection)
                break
            if progress is not None:
                progress(walk.seq)
    if unusable is Break.ANCHOR_MISSING and walk.seq and walk.broken is None:
        # The first row ever may have come in between; the anchor is written before it.
        with suppress(AnchorUnusable):
            read_anchor(keys)
            return verify(engine, keys, progress)
    broken = walk.broken or walk.end(unusable)
    return Verified(walk.seq, noted.seq if noted else None, broken)


@dataclass(slots=True)
class _Walk:
    """Where a walk along the chain stands."""

    seal: Mac
    noted: Anchor | None
    seq: int = 0
    mac: str = START
    broken: Broken | None = None
    suspect: Sequence[Any] = ()

    def follow(self, rows: Sequence[Sequence[Any]]) -> None:
        """Go along some rows, up to the first that does not hold."""
        cut = self.noted.cut if self.noted else None
        noted = self.noted.seq if self.noted else 0
        for row in rows:
            seq, expected = row[0], self.seq + 1
            if type(seq) is not int or seq < expected:
                self.broken = Broken(self.seq, Break.ADDED)
            elif cut is not None and seq >= cut == expected:
                self.broken = Broken(cut, Break.TRUNCATED, noted)
            elif seq > expected:
                self.broken = Broken(expected, Break.DELETED, count=seq - expected)
            elif not self._holds(row):
                self.broken, self.suspect = Broken(seq, Break.EDITED), row
            elif row[-2] != self.mac or (self.noted and seq == noted and row[-1] != self.noted.mac):
                self.broken = Broken(seq, Break.REPLACED)
            if self.broken is not None:
                return
            self.seq, self.mac = seq, row[-1]

    def _holds(self, row: Sequence[Any]) -> bool:
        try:
            return hmac.compare_digest(self.seal(_encode(row[:-1])), row[-1])
        except (TypeError, UnicodeEncodeError):
            return False

    def look_for_origin(self, connection: Connection) -> None:
        """Find out whether a row that does not hold is another row's, moved here."""
        row = self.suspect
        last = connection.scalar(select(func.max(audit.c.seq))) or 0
        upper = max(last, self.noted.seq if self.noted else 0)
        if row[-2] != self.mac:
            for seq in range(1, upper + 1):
                if self._holds((seq, *row[1:])):
                    self.broken = Broken(row[0], Break.REORDERED, seq)
                    return

    def end(self, unusable: Break | None) -> Broken | None:
        """What is missing behind the last row, or cannot be told."""
        if unusable is not None:
            fresh = unusable is Break.ANCHOR_MISSING and self.seq == 0
            return None if fresh else Broken(self.seq, unusable)
        noted = self.noted
        if noted is None or (noted.cut is None and noted.seq <= self.seq):
            return None
        kind = Break.TRUNCATED if self.seq else Break.EMPTIED
        return Broken(self.seq + 1, kind, noted.seq)


def _chunks(connection: Connection) -> Iterator[Sequence[Sequence[Any]]]:
    """All rows in order, some thousand at a time: the sealed columns and the mac.

    Raises nothing for a row that SQLite cannot read as text: its columns come as None.
    """
    columns = [audit.c[name] for name in (*SEALED, "mac")]
    statement = select(*columns).order_by(audit.c.seq)
    last: Any = None
    size = _CHUNK
    while True:
        # From the last row on, which is dropped: so one more row of its number shows.
        wanted = statement if last is None else statement.where(audit.c.seq >= last)
        try:
            rows = connection.execute(wanted.limit(size + 1)).all()
        except OperationalError:
            if connection.dialect.name != "sqlite":
                raise
            if size == 1:
                yield [(_next_seq(connection, last), *[None] * (len(columns) - 1))]
                return
            size = 1
            continue
        fresh = rows if last is None else rows[1:]
        if not fresh:
            return
        yield fresh
        last = fresh[-1][0]


def _next_seq(connection: Connection, last: Any) -> Any:
    statement = select(func.min(audit.c.seq))
    return connection.scalar(statement if last is None else statement.where(audit.c.seq > last))


# Reading


@dataclass(frozen=True, slots=True)
class Record:
    """One audit row as it is shown.

    Attributes:
        at: when, in UTC; None in a row that was tampered with.
        outcome: of ``Outcome``, unless the row was tampered with.
    """

    seq: int
    at: datetime | None
    actor: str
    actor_name: str
    via: str
    action: str
    place_id: str | None
    subject: str
    outcome: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows are wanted; what is None or empty does not limit.

    Attributes:
        since, until: days of this machine's time zone, both included.
        actor: part of the name, or the whole id.
        action: id of the action, or its part before the dot.
        paths: of the place, which stands for everything beneath it.
        text: part of the subject or the details.
    """

    since: date | None = None
    until: date | None = None
    actor: str = ""
    action: str = ""
    paths: tuple[str, ...] = ()
    outcome: Outcome | None = None
    text: str = ""


def find(
    connection: Connection,
    filters: Filters,
    scope: Scope,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """The newest rows that match and whose place lies in the scope, at most ``limit``.

    Args:
        before: only rows with a smaller number; how the next page is asked for.
    """
    wanted = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(audit.c.seq < before)
    if not scope.everything:
        wanted = _beneath(wanted, scope.paths)
    if filters.paths:
        wanted = _beneath(wanted, filters.paths)
    if filters.since is not None:
        wanted = wanted.where(audit.c.at >= _utc(filters.since))
    if filters.until is not None:
        wanted = wanted.where(audit.c.at < _utc(filters.until + timedelta(days=1)))
    if filters.actor:
        wanted = wanted.where(
            or_(
                audit.c.actor == filters.actor,
                audit.c.actor_name.icontains(filters.actor, autoescape=True),
            )
        )
    if filters.action:
        wanted = wanted.where(
            audit.c.action == filters.action
            if "." in filters.action
            else audit.c.action.startswith(f"{filters.action}.", autoescape=True)
        )
    if filters.outcome is not None:
        wanted = wanted.where(audit.c.outcome == filters.outcome.value)
    if filters.text:
        wanted = wanted.where(
            or_(
                audit.c.subject.icontains(filters.text, autoescape=True),
                audit.c.details.icontains(filters.text, autoescape=True),
            )
        )
    return [_record(row) for row in connection.execute(wanted)]


def _beneath(wanted: Select[Any], paths: tuple[str, ...]) -> Select[Any]:
    """Only rows whose path begins with one of these; none for no paths."""
    return wanted.where(
        or_(
            False,
            *(
                (audit.c.path >= path) & (audit.c.path < path[:-1] + chr(ord(path[-1]) + 1))
                for path in paths
            ),
        )
    )


def _utc(day: date) -> str:
    """Midnight of this machine's time zone as the column holds it."""
    local = datetime.combine(day, time()).astimezone()
    return local.astimezone(UTC).isoformat(timespec="milliseconds")


def _record(row: Any) -> Record:
    return Record(
        row.seq,
        _moment(row.at),
        row.actor,
        row.actor_name,
        row.via,
        row.action,
        row.place_id,
        row.subject,
        row.outcome,
        _details(row.details),
    )


def _moment(written: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(written)
    return None


def _details(written: str) -> dict[str, Any]:
    """The details of a row; of one that was tampered with, whatever stands there."""
    with suppress(ValueError):
        found = json.loads(written)
        if isinstance(found, dict):
            return found
    return {"": written}


def last_done(connection: Connection, action: str, subjects: Iterable[str]) -> dict[str, datetime]:
    """When something was last done to each of some subjects; those never are left out."""
    rows = connection.execute(
        select(audit.c.subject, func.max(audit.c.at))
        .where(
            audit.c.subject.in_(list(subjects)),
            audit.c.action == action,
            audit.c.outcome == Outcome.DONE.value,
        )
        .group_by(audit.c.subject)
    )
    return {subject: at for subject, written in rows if (at := _moment(written)) is not None}

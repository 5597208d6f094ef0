"""What a load and an undo share: the lock, the roll-up into new snapshots, their publication."""

from __future__ import annotations

import errno
import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, String, cast, delete, func, insert, select, update

from dashboard.access import EVERYTHING
from dashboard.store import database, engines, places
from dashboard.store.engine import FORMAT, VALUES
from dashboard.store.model import (
    STALE,
    BatchState,
    Compute,
    Pair,
    Progress,
    Snapshot,
    Underway,
)
from dashboard.store.partial import Part, Touched, joined, known, parts
from dashboard.store.periods import month_trees
from dashboard.store.store import Store, heal, put_meta, snapshot_files
from dashboard.store.tables import batch, meta, place, snapshot
from dashboard.store.unit import PLACES_VERSION, Unit, frame, with_dates
from geodata.errors import SystemProblem

LOAD_TIMEOUT_S = 600.0
"""How long a load waits for another one to end."""

KEPT_VERSIONS = 6
"""Snapshot versions of a month that stay readable, the published one among them: what was shown
before a correction can still be looked at."""

STATE = "state"
"""Meta entry that counts up with every load and undo that became visible."""

_LAST_VERSION = "last_version"
"""Meta entry: versions of a month without snapshot go on above it, so no cache meets an old one."""

_NODES_AT_ONCE = 800_000
"""Places times months rolled up in one go: bounds memory."""

_log = logging.getLogger(__name__)


def quiet(_line: str) -> None:
    """Progress nobody watches."""


def now() -> str:
    """This second, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


# The lock, and what can go wrong


@contextmanager
def loading(store: Store, tell: Progress, timeout: float) -> Iterator[None]:
    """Hold the load lock over healed data; on failure clean up and name a full disk.

    Raises:
        SystemProblem: LOAD_BUSY, DISK_FULL.
    """
    with store.load_lock(timeout=0) as free:
        if free:
            with _cleaning(store):
                yield
            return
    tell("另一个导入正在进行，等待其完成")
    with store.load_lock(timeout=timeout) as free:
        if not free:
            raise SystemProblem(
                "LOAD_BUSY",
                f"另一个导入一直在进行，等待 {timeout:.0f} 秒后放弃。",
                "请等它完成后再试；未作任何改动。",
            )
        with _cleaning(store):
            yield


@contextmanager
def _cleaning(store: Store) -> Iterator[None]:
    try:
        heal(store)
        yield
    except BaseException as error:
        try:
            heal(store)
        except Exception:
            # What could not be removed now is removed by the next load or start.
            _log.warning("cleaning up after a failed load did not finish", exc_info=True)
        if is_disk_full(error):
            raise SystemProblem(
                "DISK_FULL",
                f"磁盘空间不足，数据目录 {store.directory} 写不下。",
                "请腾出空间后重新导入；已有数据没有变化。",
            ) from error
        raise


_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_WORDS = (
    "no space left on device",
    "database or disk is full",
    "disk quota exceeded",
    "file too large",
)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is the disk being full; every engine says it its way."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL_ERRNOS:
            return True
        if getattr(error, "sqlstate", None) == "53100":
            return True
        if any(word in str(error).lower() for word in _FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


# What is stored, whole


def state_of(unit: Unit) -> int:
    """The number of the state a unit reads; a load or an undo raises it by one."""
    return int(unit.meta(STATE) or 0)


def current_state(connection: Connection) -> int:
    """The number of the state now."""
    return _number(connection, STATE)


def next_state(connection: Connection) -> int:
    """Count a load or an undo in its promoting transaction; returns the new state."""
    state = current_state(connection) + 1
    put_meta(connection, STATE, str(state))
    return state


def places_changed(connection: Connection) -> None:
    """Tell every cache of places that they changed."""
    put_meta(connection, PLACES_VERSION, str(_number(connection, PLACES_VERSION) + 1))


def _number(connection: Connection, key: str) -> int:
    found = connection.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    return int(found or 0)


def committed_batches(connection: Connection) -> set[int]:
    """Ids of the batches that count."""
    counts = batch.c.state == BatchState.COMMITTED.value
    return {*connection.execute(select(batch.c.id).where(counts)).scalars()}


def reported_months(connection: Connection, without: int | None = None) -> list[str]:
    """The months any batch that counts brought figures for, ascending; one batch left out."""
    counts = batch.c.state == BatchState.COMMITTED.value
    listed = connection.execute(select(batch.c.months).where(counts, batch.c.id != (without or 0)))
    return sorted({month for months in listed.scalars() for month in months.split()})


def read_pieces(connection: Connection) -> pd.DataFrame:
    """The table ``place`` in ``places.PIECE`` columns."""
    dates = ("valid_from", "valid_to", "declared_from", "declared_to")
    columns = [
        cast(place.c[name], String) if name in dates else place.c[name] for name in places.PIECE
    ]
    rows = connection.execute(select(*columns)).all()
    return typed_pieces(with_dates(frame(rows, places.PIECE), *dates))


def typed_pieces(pieces: pd.DataFrame) -> pd.DataFrame:
    """Numbers of pieces as numbers, also where all are missing."""
    return pieces.astype({"level": "int64", "lon": "float64", "lat": "float64"})


# The roll-up and its publication


@dataclass(frozen=True, slots=True)
class _Entry:
    snapshot: Snapshot
    flags: int


@dataclass(frozen=True, slots=True)
class Made:
    """New snapshot files, not yet published."""

    entries: list[_Entry]
    pairs_hash: str

    @property
    def snapshots(self) -> tuple[Snapshot, ...]:
        """The new snapshots, by month."""
        return tuple(entry.snapshot for entry in self.entries)


def pairs_hash(pairs: Iterable[Pair]) -> str:
    """Names what a snapshot holds: its pairs and the format of the roll-up."""
    listed = sorted((pair.numerator, pair.denominator) for pair in set(pairs))
    return sha256(json.dumps([FORMAT, listed]).encode()).hexdigest()[:16]


def roll_up(
    store: Store,
    months: Sequence[str],
    pairs: Sequence[Pair],
    tree: pd.DataFrame | None,
    tell: Progress,
    *,
    with_batch: int | None = None,
    without_batch: int | None = None,
    compute: Compute | None = None,
    touched: Touched | None = None,
) -> Made:
    """Write new snapshot versions of some months, not yet published.

    Args:
        tree: the places in ``places.PIECE`` columns; None: as stored.
        with_batch: counts although it is not committed yet.
        without_batch: does not count although it is.
        compute: what does it; None: as the store is set.
        touched: nothing else differs from the published versions; None: anything may.
    """
    made = Made([], pairs_hash(pairs))
    if not months or not pairs:
        return made
    with database.reading(store.engine, EVERYTHING) as connection:
        committed = committed_batches(connection)
        floor = _number(connection, _LAST_VERSION)
        highest: dict[str, int] = {
            month: version
            for month, version in connection.execute(
                select(snapshot.c.month, func.max(snapshot.c.version)).group_by(snapshot.c.month)
            )
        }
        versions = {month: highest.get(month, floor) + 1 for month in months}
        some = (
            {}
            if touched is None
            else parts(connection, store.snapshots, months, touched, made.pairs_hash)
        )
    if with_batch is not None:
        committed.add(with_batch)
    committed.discard(without_batch or 0)
    compute = compute or store.compute
    entries = _partly(store, some, pairs, committed, versions, tell, compute) if some else {}
    whole = [month for month in months if month not in entries]
    if whole and tree is None:
        with database.reading(store.engine, EVERYTHING) as connection:
            tree = read_pieces(connection)
    if whole and tree is not None:
        for month, rows, resolved in rolled(
            store, whole, pairs, tree, committed, tell, store.scratch, compute
        ):
            flagged: set[str] = set()
            noted = _noting_flags(rows, flagged)
            written = store.snapshots.write(month, versions[month], noted, resolved)
            entries[month] = _Entry(written, len(flagged))
    made.entries.extend(entries[month] for month in sorted(entries))
    return made


def _partly(
    store: Store,
    some: Mapping[str, Part],
    pairs: Sequence[Pair],
    committed: Collection[int],
    versions: Mapping[str, int],
    tell: Progress,
    compute: Compute,
) -> dict[str, _Entry]:
    """Roll up parts of months. A month where a pair came or went is left out: it has other rows
    everywhere.
    """
    entries: dict[str, _Entry] = {}
    with engines.opened(compute, store.scratch) as engine:
        groups = list(_groups({month: len(part.tree) for month, part in some.items()}))
        for at, group in enumerate(groups):
            told = _telling(tell, group, at, len(groups))
            tree, given = joined(group, some)
            counties = {one for month in group for one in some[month].counties}
            found = engine.roll_up(
                store.facts.observations(group),
                committed,
                tree,
                pairs,
                store.records.of_months(group, committed, counties),
                group,
                given,
                told,
            )
            for month, rows in _by_month(found.values, group):
                part = some[month]
                top, rows = _top(rows)
                if known(top) != part.known:
                    deque(rows, maxlen=0)
                    continue
                flagged: set[str] = set()
                written = store.snapshots.write(
                    month,
                    versions[month],
                    _noting_flags(rows, flagged),
                    pa.concat_tables([part.kept, found.resolved_of(month)]),
                    part.over,
                )
                entries[month] = _Entry(written, part.flags + len(flagged))
            told(1)
    return entries


def _top(rows: Iterator[pa.RecordBatch]) -> tuple[pa.Table, Iterator[pa.RecordBatch]]:
    """The first of a month's rows, those of the top among them, and all of them again."""
    first: list[pa.RecordBatch] = []
    for part in rows:
        first.append(part)
        if part["parent_id"][-1].as_py():
            break
    return pa.Table.from_batches(first, VALUES), chain(first, rows)


def _groups(nodes: Mapping[str, int]) -> Iterator[list[str]]:
    """Months, ascending, rolled up in one go: as many as memory allows."""
    group: list[str] = []
    for month in sorted(nodes):
        if group and sum(nodes[one] for one in (*group, month)) > _NODES_AT_ONCE:
            yield group
            group = []
        group.append(month)
    if group:
        yield group


def _telling(tell: Progress, group: Sequence[str], at: int, groups: int) -> Callable[[float], None]:
    """What tells how much of the roll-up of one of some groups of months is done."""
    line = "正在汇总 " + " 至 ".join(dict.fromkeys((group[0], group[-1])))

    def told(share: float) -> None:
        tell(Underway(line, (at + share) / groups))

    told(0)
    return told


def rolled(
    store: Store,
    months: Sequence[str],
    pairs: Sequence[Pair],
    tree: pd.DataFrame,
    committed: Collection[int],
    tell: Progress,
    scratch: Path | None = None,
    compute: Compute | None = None,
) -> Iterator[tuple[str, Iterator[pa.RecordBatch], pa.Table]]:
    """The values of some months from figures and records, whole: the month, its rows in a
    snapshot's order, and its measures to be kept with them (``RESOLVED``).

    The rows of a month are to be read before the next month is asked for.

    Raises:
        DudaoError: ENGINE_UNKNOWN.
        SystemProblem: ENGINE_MISSING, SPARK_NO_JAVA, SPARK_UNREACHABLE.
    """
    with engines.opened(compute or store.compute, scratch) as engine:
        groups = list(_groups(dict.fromkeys(months, len(tree))))
        for at, group in enumerate(groups):
            told = _telling(tell, group, at, len(groups))
            found = engine.roll_up(
                store.facts.observations(group),
                committed,
                month_trees(tree, group),
                pairs,
                store.records.of_months(group, committed),
                group,
                told=told,
            )
            for month, rows in _by_month(found.values, group):
                yield month, rows, found.resolved_of(month)
            told(1)


def _by_month(
    rows: Iterator[pa.RecordBatch], months: Sequence[str]
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """Split rows that lie month by month."""
    left: list[pa.RecordBatch] = []

    def of(month: str) -> Iterator[pa.RecordBatch]:
        while (part := left.pop() if left else next(rows, None)) is not None:
            here = pc.sum(pc.equal(part["month"], month)).as_py() or 0
            if here < len(part):
                left.append(part.slice(here))
            if here:
                yield part.slice(0, here)
            if left:
                return

    for month in months:
        yield month, of(month)


def _noting_flags(rows: Iterable[pa.RecordBatch], flagged: set[str]) -> Iterator[pa.RecordBatch]:
    """Hand rows on and collect the places whose own figures differ from the sums shown."""
    for part in rows:
        differs = pc.or_(pc.is_valid(part["own_numerator"]), pc.is_valid(part["own_denominator"]))
        flagged.update(part["place_id"].filter(differs).to_pylist())
        yield part


def put_snapshots(connection: Connection, made: Made, months: Collection[str] = ()) -> list[str]:
    """Publish new versions and forget the oldest; returns the forgotten files.

    Args:
        months: where nothing was made, the months that wait for ``ensure_snapshots``.
    """
    if not made.entries:
        waiting = snapshot.c.month.in_(list(months))
        connection.execute(update(snapshot).where(waiting).values(pairs_hash=STALE))
    before = snapshot_files(connection)
    for entry in made.entries:
        month, version = entry.snapshot.month, entry.snapshot.version
        connection.execute(
            insert(snapshot).values(
                month=month,
                version=version,
                file=" ".join(entry.snapshot.files),
                pairs_hash=made.pairs_hash,
                flags=entry.flags,
                created=now(),
            )
        )
        old = (snapshot.c.month == month) & (snapshot.c.version <= version - KEPT_VERSIONS)
        connection.execute(delete(snapshot).where(old))
    # A file may hold families that a version which is kept is still read from.
    return sorted(before - snapshot_files(connection))


def withdraw_months(connection: Connection, months: Sequence[str]) -> list[str]:
    """Take months off that no batch reports any more; returns their files."""
    theirs = snapshot.c.month.in_(list(months))
    highest = connection.execute(select(func.max(snapshot.c.version)).where(theirs)).scalar()
    if highest is None:
        return []
    if highest > _number(connection, _LAST_VERSION):
        put_meta(connection, _LAST_VERSION, str(highest))
    before = snapshot_files(connection)
    connection.execute(delete(snapshot).where(theirs))
    return sorted(before - snapshot_files(connection))

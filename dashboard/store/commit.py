"""The one way to write: a load is diffed, staged, rolled up and promoted, whole or not at all."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from sqlalchemy import (
    Connection,
    String,
    Table,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from dashboard.store import database, places, shapes
from dashboard.store.engine import FORMAT, Engine
from dashboard.store.facts import SCHEMA
from dashboard.store.model import (
    FIGURE_KEY,
    INSTITUTION_COLUMNS,
    BatchState,
    Change,
    CommitResult,
    Geometries,
    Pair,
    Progress,
    Snapshot,
    month_end,
)
from dashboard.store.periods import days, month_trees
from dashboard.store.pinyin import fold, readings
from dashboard.store.store import Store, heal, put_meta
from dashboard.store.tables import batch, boundary, institution, meta, place, snapshot
from dashboard.store.unit import PLACES_VERSION, ROOT, Unit, frame, with_dates
from geodata.errors import DudaoError, SystemProblem
from geodata.model import Level

LOAD_TIMEOUT_S = 600.0
"""How long a load waits for another one to end."""

KEPT_VERSIONS = 3
"""Snapshot versions of a month that stay readable, the published one among them."""

_NODES_AT_ONCE = 800_000
"""Places times months rolled up in one go: bounds memory."""

_SQL_ROWS = 10_000
_SHAPE_CHUNK = 400
_SHOWN = 5

_log = logging.getLogger(__name__)


def _quiet(_line: str) -> None:
    """Progress nobody watches."""


def commit(
    store: Store,
    change: Change,
    pairs: Iterable[Pair],
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
) -> CommitResult:
    """Write the rows of one file, or nothing.

    Rows equal to what is stored are dropped; when none is left there is no batch and no new
    snapshot. Figures are staged in the facts, the months they touch (and those whose places
    changed) are rolled up into new snapshot versions, then one short SQL transaction makes all of
    it visible. A crash before that transaction leaves everything as it was.

    Args:
        pairs: what the snapshots hold; every layer's numerator and denominator.
        progress: told about each step, and about waiting for another load.
        timeout: seconds to wait for another load.

    Raises:
        DudaoError: PLACES_INVALID, FIGURES_INVALID, INSTITUTIONS_INVALID, MONTH_FORM.
        SystemProblem: LOAD_BUSY, DISK_FULL.
    """
    tell = progress or _quiet
    with _loading(store, tell, timeout):
        tell("正在与已有数据比较")
        plan = _PLANNERS[change.dataset](store, change, tell)
        unchanged = len(change.frame) - plan.changed
        if plan.changed == 0:
            return CommitResult(batch=None, changed=0, unchanged=unchanged)
        number = _open_batch(store, change, plan)
        if plan.facts is not None:
            tell(f"正在写入 {plan.changed:,} 行数据")
            numbers = pa.repeat(pa.scalar(number, SCHEMA.field("batch").type), len(plan.facts))
            store.facts.append(plan.facts.append_column("batch", numbers))
        made = _roll_up(store, plan.months, tuple(pairs), plan.tree, number, tell)
        tell("正在发布")
        doomed = _promote(store, plan, number, made)
        store.snapshots.remove(doomed)
        if plan.facts is not None:
            store.facts.tidy(plan.months)
    return CommitResult(
        batch=number,
        changed=plan.changed,
        unchanged=unchanged,
        snapshots=tuple(entry.snapshot for entry in made.entries),
    )


def ensure_snapshots(
    store: Store,
    pairs: Iterable[Pair],
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
) -> tuple[Snapshot, ...]:
    """Roll up every month whose published snapshot was made for other pairs, or has none.

    Call it at start: after a layer was added or removed the snapshots follow.

    Returns:
        The new snapshots.

    Raises:
        SystemProblem: LOAD_BUSY, DISK_FULL.
    """
    wanted = tuple(pairs)
    if not _stale_months(store, wanted):
        return ()
    tell = progress or _quiet
    with _loading(store, tell, timeout):
        months = _stale_months(store, wanted)
        if not months:
            return ()
        made = _roll_up(store, months, wanted, None, None, tell)
        with database.writing(store.engine) as connection:
            doomed = _put_snapshots(connection, made)
        store.snapshots.remove(doomed)
    return tuple(entry.snapshot for entry in made.entries)


def pairs_hash(pairs: Iterable[Pair]) -> str:
    """Names what a snapshot holds: its pairs and the format of the roll-up."""
    listed = sorted((pair.numerator, pair.denominator) for pair in set(pairs))
    return sha256(json.dumps([FORMAT, listed]).encode()).hexdigest()[:16]


def _stale_months(store: Store, pairs: Sequence[Pair]) -> list[str]:
    wanted = pairs_hash(pairs)
    with database.reading(store.engine) as connection:
        rows = connection.execute(
            select(snapshot.c.month, snapshot.c.pairs_hash).order_by(snapshot.c.version)
        )
        published = {month: known for month, known in rows}
        loaded = connection.execute(
            select(batch.c.months).where(batch.c.state == BatchState.COMMITTED.value)
        ).scalars()
        months = {month for listed in loaded for month in listed.split()}
    return [month for month in sorted(months) if published.get(month) != wanted]


# The lock, and what can go wrong


@contextmanager
def _loading(store: Store, tell: Progress, timeout: float) -> Iterator[None]:
    """Hold the load lock over healed data; on failure clean up and name a full disk."""
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
                "请等它完成后再导入；未作任何改动。",
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
        if _is_disk_full(error):
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


def _is_disk_full(error: BaseException | None) -> bool:
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


# Plans: what a change would write


@dataclass(slots=True)
class _Plan:
    """Everything a change will write, worked out before anything is written."""

    changed: int
    months: list[str]
    """Months to roll up."""
    reported: list[str] = field(default_factory=list)
    """Months the file itself brought figures for."""
    facts: pa.Table | None = None
    tree: pd.DataFrame | None = None
    """Places after the change, when it changes them."""
    delete_places: pd.DataFrame | None = None
    insert_places: pd.DataFrame | None = None
    boundaries: pd.DataFrame | None = None
    institutions: pd.DataFrame | None = None
    root: str | None = None

    @property
    def changes_places(self) -> bool:
        """Whether places, boundaries or institutions change."""
        return self.facts is None


def _plan_figures(store: Store, change: Change, _tell: Progress) -> _Plan:
    rows = change.frame
    months = sorted(rows["month"].unique())
    for month in months:
        month_end(month)
    if rows["value"].isna().any() or rows[list(FIGURE_KEY)].isna().any().any():
        raise DudaoError("FIGURES_INVALID", "数据行中有空的键或数值。", "请补全或删去这些行。")
    with store.unit() as unit:
        committed = unit.committed()
        _known_places(unit, rows["place_id"], "FIGURES_INVALID")
    columns = [name for name in SCHEMA.names if name != "batch"]
    incoming = pa.Table.from_pandas(
        rows[columns], schema=pa.schema([SCHEMA.field(name) for name in columns]),
        preserve_index=False,
    )  # fmt: skip
    keys = incoming.group_by(list(FIGURE_KEY), use_threads=False).aggregate([([], "count_all")])
    if len(keys) != len(incoming):
        raise DudaoError(
            "FIGURES_INVALID",
            "同一地区、月份、指标和来源出现了多行。",
            "请只保留一行。",
        )
    with Engine(store.scratch) as engine:
        changed = engine.changed_figures(incoming, store.facts.observations(months), committed)
    touched = sorted(changed["month"].unique().to_pylist())
    return _Plan(len(changed), months=touched, reported=touched, facts=changed)


def _plan_institutions(store: Store, change: Change, _tell: Progress) -> _Plan:
    rows = change.frame[list(INSTITUTION_COLUMNS)].reset_index(drop=True)
    if rows["id"].duplicated().any():
        twice = rows.loc[rows["id"].duplicated(), "id"].iloc[0]
        raise DudaoError("INSTITUTIONS_INVALID", f"机构代码 {twice} 出现了多行。", "请只保留一行。")
    with store.unit() as unit:
        _known_places(unit, rows["place_id"], "INSTITUTIONS_INVALID")
        stored = unit.institution_frame()
    same = rows[["id"]].merge(stored, on="id", how="left", indicator=True)
    differs = (same["_merge"] == "left_only").to_numpy()
    for column in INSTITUTION_COLUMNS:
        if column in ("lon", "lat"):
            rows[column] = rows[column].where(rows[column].notna(), same[column])
        left, right = rows[column], same[column]
        equal = (left == right) | (left.isna() & right.isna())
        differs = differs | ~equal.to_numpy(dtype=bool, na_value=False)
    changed = rows[differs].reset_index(drop=True)
    return _Plan(len(changed), months=[], institutions=changed)


def _known_places(unit: Unit, place_ids: pd.Series, code: str) -> None:
    """Refuse ids no place ever had.

    Raises:
        DudaoError: ``code``.
    """
    wanted = place_ids.unique()
    unknown = sorted(set(wanted) - unit.known_ids(wanted))
    if unknown:
        more = f"等共 {len(unknown)} 个" if len(unknown) > _SHOWN else ""
        raise DudaoError(
            code,
            f"区划中没有这些代码：{'、'.join(unknown[:_SHOWN])}{more}。",
            "请先导入区划文件，或改正代码。",
        )


def _plan_places(store: Store, change: Change, tell: Progress) -> _Plan:
    with database.reading(store.engine) as connection:
        before = _read_pieces(connection)
        stored = _declared(before)
        merged = places.merge(stored, change.frame)
        after = places.pieces(merged.declared)
        removed, added = places.compare(before, after)
        redrawn, boundaries = _plan_boundaries(connection, change, merged, tell)
    changed = merged.changed | redrawn
    months = places.affected_months(removed, added, store.facts.months())
    return _Plan(
        changed=int(changed.sum()),
        months=months,
        tree=after,
        delete_places=removed,
        insert_places=_searchable(added),
        boundaries=boundaries,
        root=places.root_of(merged.declared),
    )


def _read_pieces(connection: Connection) -> pd.DataFrame:
    """The table ``place`` in ``places.PIECE`` columns."""
    dates = ("valid_from", "valid_to", "declared_from", "declared_to")
    columns = [
        cast(place.c[name], String) if name in dates else place.c[name] for name in places.PIECE
    ]
    rows = connection.execute(select(*columns)).all()
    found = with_dates(frame(rows, places.PIECE), *dates)
    return found.astype({"level": "int64", "lon": "float64", "lat": "float64"})


def _declared(pieces: pd.DataFrame) -> pd.DataFrame:
    """Stored pieces put together again as their files declared them."""
    first = pieces.drop_duplicates(["id", "declared_from"])
    return first.assign(valid_from=first["declared_from"], valid_to=first["declared_to"])[
        places.DECLARED
    ]


def _searchable(pieces: pd.DataFrame) -> pd.DataFrame:
    """Add what search compares."""
    folded = pieces["name"].map(fold)
    read = readings(folded)
    return pieces.assign(
        folded=folded,
        initials=[read[name][0] for name in folded],
        pinyin=[read[name][1] for name in folded],
    )


# Boundaries


def _plan_boundaries(
    connection: Connection, change: Change, merged: places.Merged, tell: Progress
) -> tuple[npt.NDArray[np.bool_], pd.DataFrame | None]:
    """Which incoming rows bring a new polygon, and the boundary rows that makes."""
    nothing = np.zeros(len(change.frame), dtype=bool)
    if change.geometries is None:
        return nothing, None
    hashes = shapes.source_hashes(change.geometries)
    indicative = change.frame["indicative"].fillna(False).to_numpy(dtype=bool)
    stored = _read_boundaries(connection)
    incoming = merged.incoming[["id", "valid_from", "level"]].rename(columns={"id": "place_id"})
    incoming = incoming.assign(source_hash=hashes, indicative=indicative)
    known = incoming[["place_id", "valid_from"]].merge(
        stored[["place_id", "valid_from", "source_hash", "indicative"]],
        on=["place_id", "valid_from"],
        how="left",
    )
    brings = incoming["source_hash"].notna().to_numpy()
    same = (known["source_hash"] == incoming["source_hash"].to_numpy()) & (
        known["indicative"] == incoming["indicative"].to_numpy()
    )
    redrawn = brings & ~same.to_numpy(dtype=bool, na_value=False)
    if not redrawn.any():
        return nothing, None
    changed = incoming[redrawn].assign(geometry=change.geometries[redrawn])
    rows = _with_periods(_overlay(changed, stored), merged.declared)
    parts = []
    for level in sorted(changed["level"].unique()):
        tell(f"正在处理{Level(level).title}级边界")
        here = rows[rows["level"] == level]
        parts.append(
            shapes.build(
                Level(level),
                here[here["geometry"].notna()],
                here[here["geometry"].isna()],
                lambda wanted: _read_shapes(connection, wanted),
            )
        )
    return redrawn, pd.concat(parts, ignore_index=True)


def _overlay(changed: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Stored boundaries, without geometry, with the changed ones in their places."""
    both = pd.concat([changed, stored.assign(geometry=None)], ignore_index=True)
    return both.drop_duplicates(["place_id", "valid_from"], keep="first", ignore_index=True)


def _with_periods(rows: pd.DataFrame, declared: pd.DataFrame) -> pd.DataFrame:
    """Add level, start and end: a polygon holds until the next one of its place, or its end."""
    ends = declared.assign(end=days(declared["valid_to"])).groupby("id")["end"].max()
    levels = declared.set_index(["id", "valid_from"])["level"]
    rows = rows.sort_values(["place_id", "valid_from"], ignore_index=True)
    start = days(rows["valid_from"])
    following = np.append(start[1:], 0)
    goes_on = np.append(rows["place_id"].to_numpy()[1:] == rows["place_id"].to_numpy()[:-1], False)
    end = np.where(goes_on, following, rows["place_id"].map(ends).to_numpy())
    keys = pd.MultiIndex.from_frame(rows[["place_id", "valid_from"]])
    return rows.assign(level=levels.reindex(keys).to_numpy(), start=start, end=end)


def _read_boundaries(connection: Connection) -> pd.DataFrame:
    """Every boundary without its polygons."""
    names = [
        "place_id", "valid_from", "indicative", "source_hash", "west", "south", "east", "north",
    ]  # fmt: skip
    columns = [
        cast(boundary.c[name], String) if name == "valid_from" else boundary.c[name]
        for name in names
    ]
    rows = connection.execute(select(*columns)).all()
    return with_dates(frame(rows, names), "valid_from")


def _read_shapes(connection: Connection, wanted: pd.DataFrame) -> Geometries:
    """The repaired polygons of some boundaries, in order."""
    keys = list(zip(wanted["place_id"], wanted["valid_from"].dt.date, strict=True))
    found: dict[tuple[Any, ...], bytes] = {}
    for start in range(0, len(keys), _SHAPE_CHUNK):
        statement = select(boundary.c.place_id, boundary.c.valid_from, boundary.c.shape).where(
            tuple_(boundary.c.place_id, boundary.c.valid_from).in_(
                keys[start : start + _SHAPE_CHUNK]
            )
        )
        for place_id, valid_from, wkb in connection.execute(statement):
            found[place_id, valid_from] = bytes(wkb)
    return shapely.from_wkb(np.array([found[key] for key in keys], dtype=object))


_PLANNERS = {
    "places": _plan_places,
    "institutions": _plan_institutions,
    "figures": _plan_figures,
}


# Writing


@dataclass(frozen=True, slots=True)
class _Entry:
    snapshot: Snapshot
    flags: int


@dataclass(frozen=True, slots=True)
class _Made:
    """New snapshot files, not yet published."""

    entries: list[_Entry]
    pairs_hash: str


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _open_batch(store: Store, change: Change, plan: _Plan) -> int:
    """Register the batch before its facts are staged, so that what a crash leaves has a number."""
    staged = store.facts.last_batch()
    with database.writing(store.engine) as connection:
        highest = connection.execute(select(func.max(batch.c.id))).scalar() or 0
        number = max(int(highest), staged) + 1
        connection.execute(
            insert(batch).values(
                id=number,
                file=change.file,
                sha256=change.sha256,
                dataset=change.dataset,
                rows=plan.changed,
                months=" ".join(plan.reported),
                started=_now(),
                operator=change.operator,
                state=BatchState.OPEN.value,
            )
        )
    return number


def _roll_up(
    store: Store,
    months: Sequence[str],
    pairs: Sequence[Pair],
    tree: pd.DataFrame | None,
    number: int | None,
    tell: Progress,
) -> _Made:
    """Write new snapshot versions of some months; batch ``number`` counts as committed."""
    made = _Made([], pairs_hash(pairs))
    if not months or not pairs:
        return made
    with database.reading(store.engine) as connection:
        committed = {
            *connection.execute(
                select(batch.c.id).where(batch.c.state == BatchState.COMMITTED.value)
            ).scalars()
        }
        versions = {
            month: version
            for month, version in connection.execute(
                select(snapshot.c.month, func.max(snapshot.c.version)).group_by(snapshot.c.month)
            )
        }
        if tree is None:
            tree = _read_pieces(connection)
    if number is not None:
        committed.add(number)
    ordered = sorted(set(pairs))
    at_once = max(1, _NODES_AT_ONCE // max(1, len(tree)))
    with Engine(store.scratch) as engine:
        for start in range(0, len(months), at_once):
            group = months[start : start + at_once]
            tell("正在汇总 " + " 至 ".join(dict.fromkeys((group[0], group[-1]))))
            observations = store.facts.observations(group)
            rows = engine.roll_up(observations, committed, month_trees(tree, group), ordered)
            for month in group:
                own = rows.filter(pc.equal(rows["month"], month))
                written = store.snapshots.write(month, versions.get(month, 0) + 1, own)
                made.entries.append(_Entry(written, _count_flags(own)))
    return made


def _count_flags(rows: pa.Table) -> int:
    flagged = pc.or_(pc.is_valid(rows["own_numerator"]), pc.is_valid(rows["own_denominator"]))
    return len(rows.filter(flagged)["place_id"].unique())


def _promote(store: Store, plan: _Plan, number: int, made: _Made) -> list[str]:
    """Make everything visible at once; returns snapshot files nothing points to any more."""
    with database.writing(store.engine) as connection:
        if plan.delete_places is not None:
            _delete(connection, place, plan.delete_places[["id", "valid_from"]])
        if plan.insert_places is not None:
            _insert(connection, place, plan.insert_places)
        if plan.boundaries is not None:
            _delete(connection, boundary, plan.boundaries[["place_id", "valid_from"]])
            _insert(connection, boundary, plan.boundaries)
        if plan.institutions is not None:
            _delete(connection, institution, plan.institutions[["id"]])
            _insert(connection, institution, plan.institutions)
        if plan.root is not None:
            put_meta(connection, ROOT, plan.root)
        if plan.changes_places:
            known = connection.execute(
                select(meta.c.value).where(meta.c.key == PLACES_VERSION)
            ).scalar()
            put_meta(connection, PLACES_VERSION, str(int(known or 0) + 1))
        connection.execute(
            update(batch)
            .where(batch.c.id == number)
            .values(state=BatchState.COMMITTED.value, finished=_now())
        )
        return _put_snapshots(connection, made)


def _put_snapshots(connection: Connection, made: _Made) -> list[str]:
    """Publish new versions and forget the oldest; returns the forgotten files."""
    doomed: list[str] = []
    for entry in made.entries:
        month, version, file = entry.snapshot.month, entry.snapshot.version, entry.snapshot.file
        connection.execute(
            insert(snapshot).values(
                month=month,
                version=version,
                file=file,
                pairs_hash=made.pairs_hash,
                flags=entry.flags,
                created=_now(),
            )
        )
        old = (snapshot.c.month == month) & (snapshot.c.version <= version - KEPT_VERSIONS)
        doomed += connection.execute(select(snapshot.c.file).where(old)).scalars()
        connection.execute(delete(snapshot).where(old))
    return doomed


def _delete(connection: Connection, table: Table, keys: pd.DataFrame) -> None:
    """Delete rows by the values of some key columns."""
    if keys.empty:
        return
    statement = delete(table)
    for name in keys.columns:
        statement = statement.where(table.c[name] == bindparam(f"key_{name}"))
    for part in _records(keys.rename(columns=lambda name: f"key_{name}")):
        connection.execute(statement, part)


def _insert(connection: Connection, table: Table, rows: pd.DataFrame) -> None:
    names = [column.name for column in table.c]
    for part in _records(rows[names]):
        connection.execute(insert(table), part)


def _records(rows: pd.DataFrame) -> Iterator[list[dict[str, Any]]]:
    """Rows as dictionaries of Python values, NaN and NaT as None, a bounded number at a time."""
    for start in range(0, len(rows), _SQL_ROWS):
        part = rows.iloc[start : start + _SQL_ROWS]
        columns: dict[str, list[Any]] = {}
        for name in part.columns:
            column = part[name]
            values = column.dt.date if pd.api.types.is_datetime64_any_dtype(column) else column
            listed = values.astype(object)
            columns[name] = listed.where(column.notna(), None).tolist()
        yield [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]

"""The one way to write: a load is diffed, staged, rolled up and promoted, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
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

from dashboard.access import EVERYTHING, SYSTEM, Actor, acts
from dashboard.store import database, images, persons, places, shapes
from dashboard.store.audit import Entry, anchor, append
from dashboard.store.engine import Engine
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
from dashboard.store.partial import Touched
from dashboard.store.periods import days
from dashboard.store.persons import Changes
from dashboard.store.pinyin import fold, readings
from dashboard.store.publish import (
    LOAD_TIMEOUT_S,
    Made,
    current_state,
    loading,
    next_state,
    now,
    pairs_hash,
    places_changed,
    put_snapshots,
    quiet,
    read_pieces,
    reported_months,
    roll_up,
)
from dashboard.store.store import Store, put_meta
from dashboard.store.tables import (
    batch,
    batch_before,
    boundary,
    institution,
    meta,
    person,
    place,
    snapshot,
    target,
)
from dashboard.store.unit import ROOT, Unit, frame, with_dates
from geodata.errors import DudaoError
from geodata.model import Level
from loaders.registry import record_datasets

LOADING = {"places": "data.load_places"}
"""The action a dataset's load is, where it is not ``data.load``."""

_SQL_ROWS = 10_000
_SHAPE_CHUNK = 400
_SHOWN = 5


class StaleCheck(DudaoError):
    """STALE_CHECK: what the rows were checked against has changed; check them again."""

    def __init__(self) -> None:
        super().__init__(
            "STALE_CHECK",
            "检查之后又有别的导入完成，检查结果已不是最新。",
            "请重新检查该文件后再导入；未作任何改动。",
        )


@acts("data.load")
def commit(
    store: Store,
    actor: Actor,
    change: Change,
    pairs: Iterable[Pair],
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
    checked_against: int | None = None,
) -> CommitResult:
    """Write the rows of one file, or nothing; audited in the transaction that makes it visible.

    Rows equal to what is stored are dropped; when none is left there is no batch and no new
    snapshot. Figures are staged in the facts, the months they touch (and those whose places
    changed) are rolled up into new snapshot versions, then one short SQL transaction makes all of
    it visible. A crash before that transaction leaves everything as it was.

    Args:
        actor: who loads; every place the file speaks of must lie in their scope.
        pairs: what the snapshots hold; every layer's numerator and denominator. With none,
            the months touched wait for ``ensure_snapshots``.
        progress: told about each step, and about waiting for another load.
        timeout: seconds to wait for another load.
        checked_against: ``publish.state_of`` the unit the rows were checked with; None: unchecked.

    Raises:
        NotAllowed: the actor may not load this dataset; audited.
        StaleCheck: a load or an undo came in between check and commit.
        DudaoError: PLACES_INVALID, FIGURES_INVALID, INSTITUTIONS_INVALID, MONTH_FORM.
        SystemProblem: LOAD_BUSY, DISK_FULL.
    """
    tell = progress or quiet
    action_id = LOADING.get(change.dataset, "data.load")
    store.require(actor, action_id, details={"dataset": change.dataset})
    with loading(store, tell, timeout):
        if checked_against is not None:
            with database.reading(store.engine, EVERYTHING) as connection:
                if current_state(connection) != checked_against:
                    raise StaleCheck
        tell("正在与已有数据比较")
        plan = planner(change.dataset)(store, actor, change, tell)
        unchanged = len(change.frame) - plan.changed
        if plan.changed == 0:
            return CommitResult(batch=None, changed=0, unchanged=unchanged)
        number = _open_batch(store, actor, change, plan)
        if plan.facts is not None:
            tell(f"正在写入 {plan.changed:,} 行数据")
            numbers = pa.repeat(pa.scalar(number, SCHEMA.field("batch").type), len(plan.facts))
            store.facts.append(plan.facts.append_column("batch", numbers))
        if plan.records is not None:
            tell(f"正在写入 {plan.changed:,} 行数据")
            ledger = store.records.ledgers[change.dataset]
            numbers = pa.repeat(pa.scalar(number, pa.int64()), len(plan.records))
            ledger.append(plan.records.append_column("batch", numbers))
        made = roll_up(
            store, plan.months, tuple(pairs), plan.tree, tell, with_batch=number,
            touched=plan.touched,
        )  # fmt: skip
        tell("正在发布")
        details = {
            "batch": number,
            "dataset": change.dataset,
            "file": change.file,
            "sha256": change.sha256,
            "rows": plan.changed,
            "months": plan.reported,
        }
        told = Entry(actor, action_id, str(number), last_of(plan.path), plan.path, details=details)
        state, doomed = _promote(store, plan, number, made, told)
        store.snapshots.remove(doomed)
        if plan.facts is not None:
            store.facts.tidy()
        if plan.records is not None:
            store.records.ledgers[change.dataset].tidy()
    return CommitResult(
        batch=number,
        changed=plan.changed,
        unchanged=unchanged,
        snapshots=made.snapshots,
        state=state,
    )


@acts("data.publish")
def ensure_snapshots(
    store: Store,
    actor: Actor,
    pairs: Iterable[Pair],
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
) -> tuple[Snapshot, ...]:
    """Roll up every month whose published snapshot was made for other pairs, or has none.

    Call it at start: after a layer was added or removed the snapshots follow.

    Returns:
        The new snapshots.

    Raises:
        NotAllowed: audited.
        SystemProblem: LOAD_BUSY, DISK_FULL.
    """
    store.require(actor, "data.publish")
    wanted = tuple(pairs)
    if not _stale_months(store, wanted):
        return ()
    tell = progress or quiet
    with loading(store, tell, timeout):
        months = _stale_months(store, wanted)
        if not months:
            return ()
        made = roll_up(store, months, wanted, None, tell)
        with store.command(actor, "data.publish", details={"months": months}) as command:
            doomed = put_snapshots(command.connection, made)
        store.snapshots.remove(doomed)
    return made.snapshots


@acts("data.publish")
def reroll(
    store: Store,
    actor: Actor,
    month: str,
    pairs: Iterable[Pair],
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
    engine: str | None = None,
) -> Snapshot:
    """Roll a month up again from what is stored, into a new version, and publish it.

    Args:
        engine: by name; None: as the store is set.

    Raises:
        NotAllowed: audited.
        DudaoError: MONTH_FORM, MONTH_EMPTY, ENGINE_UNKNOWN.
        SystemProblem: LOAD_BUSY, DISK_FULL, ENGINE_MISSING, SPARK_NO_JAVA, SPARK_UNREACHABLE.
    """
    store.require(actor, "data.publish", subject=month)
    month_end(month)
    tell = progress or quiet
    compute = replace(store.compute, engine=engine) if engine else store.compute
    with loading(store, tell, timeout):
        with database.reading(store.engine, EVERYTHING) as connection:
            reported = reported_months(connection)
        if month not in reported:
            raise DudaoError(
                "MONTH_EMPTY",
                f"{month} 没有任何数据，无从汇总。",
                f"有数据的月份：{'、'.join(reported[-_SHOWN:])}。"
                if reported
                else "请先导入数据(load)。",
            )
        made = roll_up(store, [month], tuple(pairs), None, tell, compute=compute)
        tell("正在发布")
        details = {"months": [month], "engine": compute.engine}
        with store.command(actor, "data.publish", subject=month, details=details) as command:
            doomed = put_snapshots(command.connection, made)
        store.snapshots.remove(doomed)
    return made.snapshots[0]


def _stale_months(store: Store, pairs: Sequence[Pair]) -> list[str]:
    wanted = pairs_hash(pairs)
    with database.reading(store.engine, EVERYTHING) as connection:
        rows = connection.execute(
            select(snapshot.c.month, snapshot.c.pairs_hash).order_by(snapshot.c.version)
        )
        published = {month: known for month, known in rows}
        months = reported_months(connection)
    return [month for month in months if published.get(month) != wanted]


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
    records: pa.Table | None = None
    touched: Touched | None = None
    """Whose figures differ in these months; None: anybody's."""
    tree: pd.DataFrame | None = None
    """Places after the change, when it changes them."""
    delete_places: pd.DataFrame | None = None
    insert_places: pd.DataFrame | None = None
    boundaries: pd.DataFrame | None = None
    institutions: pd.DataFrame | None = None
    persons: Changes | None = None
    targets: pd.DataFrame | None = None
    root: str | None = None
    path: str = ""
    """Shared by all places the file speaks of."""

    @property
    def changes_places(self) -> bool:
        """Whether places, boundaries, institutions or targets change."""
        return self.facts is None and self.records is None and self.persons is None


def _plan_figures(store: Store, actor: Actor, change: Change, _tell: Progress) -> _Plan:
    rows = change.frame
    months = sorted(rows["month"].unique())
    for month in months:
        month_end(month)
    if rows["value"].isna().any() or rows[list(FIGURE_KEY)].isna().any().any():
        raise DudaoError("FIGURES_INVALID", "数据行中有空的键或数值。", "请补全或删去这些行。")
    with store.unit(actor, "data.load") as unit:
        committed = unit.committed()
        path = _known_places(unit, rows["place_id"], "FIGURES_INVALID")
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
    return _Plan(
        len(changed),
        months=touched,
        reported=touched,
        touched=Touched(places=frozenset(changed["place_id"].unique().to_pylist())),
        facts=changed,
        path=path,
    )


def _plan_institutions(store: Store, actor: Actor, change: Change, _tell: Progress) -> _Plan:
    rows = change.frame[list(INSTITUTION_COLUMNS)].reset_index(drop=True)
    if rows["id"].duplicated().any():
        twice = rows.loc[rows["id"].duplicated(), "id"].iloc[0]
        raise DudaoError("INSTITUTIONS_INVALID", f"机构代码 {twice} 出现了多行。", "请只保留一行。")
    with store.unit(actor, "data.load") as unit:
        path = _known_places(unit, rows["place_id"], "INSTITUTIONS_INVALID")
        stored = unit.institution_frame()
    _refuse_taken(store, rows, stored)
    same = rows[["id"]].merge(stored, on="id", how="left", indicator=True)
    differs = (same["_merge"] == "left_only").to_numpy()
    for column in INSTITUTION_COLUMNS:
        if column in ("lon", "lat"):
            rows[column] = rows[column].where(rows[column].notna(), same[column])
        left, right = rows[column], same[column]
        equal = (left == right) | (left.isna() & right.isna())
        differs = differs | ~equal.to_numpy(dtype=bool, na_value=False)
    changed = rows[differs].reset_index(drop=True)
    return _Plan(len(changed), months=[], institutions=changed, path=path)


def _refuse_taken(store: Store, rows: pd.DataFrame, seen: pd.DataFrame) -> None:
    """Refuse ids of institutions that stand outside the scope: the load would take them over.

    Raises:
        DudaoError: INSTITUTIONS_INVALID.
    """
    with store.unit(SYSTEM) as unit:
        stored = set(unit.institution_frame()["id"])
    taken = sorted((set(rows["id"]) & stored) - set(seen["id"]))
    if taken:
        raise DudaoError(
            "INSTITUTIONS_INVALID",
            f"这些机构代码已属于其他地区：{'、'.join(taken[:_SHOWN])}。",
            "请核对机构代码；确需调整，请由有权限的人员导入。",
        )


def _plan_persons(store: Store, actor: Actor, change: Change, _tell: Progress) -> _Plan:
    # Who may load here and who may see persons here are not the same: it takes both.
    for action_id in ("data.load", "persons.view"):
        with store.unit(actor, action_id) as unit:
            path = _known_places(unit, change.frame["place_id"], "PERSONS_INVALID")
    changes = persons.plan(store, actor, change)
    return _Plan(len(changes.rows), months=[], persons=changes, path=path)


def _plan_targets(store: Store, actor: Actor, change: Change, _tell: Progress) -> _Plan:
    names = list(change.frame.columns)
    rows = change.frame
    if rows.isna().any().any() or rows.duplicated(images.keys(target)).any():
        raise DudaoError("TARGETS_INVALID", "目标中有空的或重复的行。", "请补全或删去这些行。")
    with store.unit(actor, "data.load") as unit:
        path = _known_places(unit, rows["place_id"], "TARGETS_INVALID")
    with database.reading(store.engine, EVERYTHING) as connection:
        stored = images.read_keyed(connection, target, _keys(target, rows)).to_pandas()
    held = rows.merge(stored[names], on=names, how="left", indicator=True)["_merge"] == "both"
    changed = rows[~held.to_numpy()].reset_index(drop=True)
    return _Plan(len(changed), months=[], targets=changed, path=path)


def _plan_records(store: Store, actor: Actor, change: Change, _tell: Progress) -> _Plan:
    dataset = record_datasets()[change.dataset]
    rows, ledger = change.frame, store.records.ledgers[change.dataset]
    key = list(dataset.canonical_key)
    if rows[[*key, "place_id"]].isna().any().any() or rows.duplicated(key).any():
        raise DudaoError("RECORDS_INVALID", "记录中有空的或重复的键。", "请补全或删去这些行。")
    # Who may load here and who may see persons here are not the same: records of persons take both.
    for action_id in ("data.load", *(["persons.view"] if dataset.of_persons else [])):
        with store.unit(actor, action_id) as unit:
            path = _known_places(unit, rows["place_id"], "RECORDS_INVALID")
            counties = unit.counties(rows["place_id"])
            committed = unit.committed()
    incoming = store.records.stored(dataset, rows, rows["place_id"].map(counties))
    months = set(incoming["month"].to_pylist())
    with Engine(store.scratch) as engine:
        found = engine.changed_records(
            dataset, incoming, ledger.pieces(committed, month=months), committed
        )
    with store.unit(actor, "data.load") as unit:
        held = set(found.replaced["place_id"].to_pylist())
        if held - unit.known_ids(held):
            raise DudaoError(
                "RECORDS_ELSEWHERE",
                f"有 {len(held - unit.known_ids(held))} 个村的记录已登记在您无权导入的地区。",
                "请由上级有权限的人员导入，或核对人员与户编号。",
            )
    changed = sorted({*found.changed["month"].to_pylist(), *found.elsewhere["month"].to_pylist()})
    with database.reading(store.engine, EVERYTHING) as connection:
        reported = reported_months(connection)
    own = changed if dataset.makes_months else changed[-1:] if not reported else []
    written = {*found.changed["county"].to_pylist(), *found.elsewhere["county"].to_pylist()}
    written |= ledger.counties_beside(found.changed)
    return _Plan(
        len(found.changed),
        touched=touched_counties(written),
        months=store.records.reaches(dataset, changed, {*reported, *own}),
        reported=own,
        records=pa.concat_tables([found.changed, _gone(found.elsewhere, found.changed.schema)]),
        path=path,
    )


def touched_counties(written: Collection[str | None]) -> Touched | None:
    """What records in some counties have a part in; in none, above counties: in anything."""
    counties = frozenset(county for county in written if county)
    return Touched(counties=counties) if len(counties) == len(written) else None


def _gone(keys: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows that say a record is not here any more."""
    known = dict(zip(keys.column_names, keys.columns, strict=True))
    known["gone"] = pa.repeat(pa.scalar(True), len(keys))
    columns = [known.get(field.name, pa.nulls(len(keys), field.type)) for field in schema]
    return pa.table(columns, schema=schema)


def _known_places(unit: Unit, place_ids: pd.Series, code: str) -> str:
    """Refuse ids of no place in the scope; returns the path all the places share.

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
    return shared_path(unit.paths(wanted))


def shared_path(paths: Iterable[str]) -> str:
    """The longest path at or above all of some paths; empty for none."""
    steps = zip(*(path.split("/")[:-1] for path in paths), strict=False)
    shared = takewhile(lambda step: len(set(step)) == 1, steps)
    return "".join(f"{step[0]}/" for step in shared)


def last_of(path: str) -> str | None:
    """The place a path ends at."""
    return path.split("/")[-2] if path else None


def _plan_places(store: Store, _actor: Actor, change: Change, tell: Progress) -> _Plan:
    with database.reading(store.engine, EVERYTHING) as connection:
        before = read_pieces(connection)
        stored = _declared(before)
        merged = places.merge(stored, change.frame)
        after = places.pieces(merged.declared)
        removed, added = places.compare(before, after)
        redrawn, boundaries = _plan_boundaries(connection, change, merged, tell)
        reported = reported_months(connection)
    changed = merged.changed | redrawn
    months = places.affected_months(removed, added, reported)
    return _Plan(
        changed=int(changed.sum()),
        months=months,
        tree=after,
        delete_places=removed,
        insert_places=_searchable(added),
        boundaries=boundaries,
        root=places.root_of(merged.declared),
        path=shared_path(added["path"]),
    )


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


Planner = Callable[[Store, Actor, Change, Progress], _Plan]

PLANNERS: dict[str, Planner] = {
    "places": _plan_places,
    "institutions": _plan_institutions,
    "figures": _plan_figures,
    "persons": _plan_persons,
    "targets": _plan_targets,
}


def planner(dataset: str) -> Planner:
    """What works out the change of a dataset: its own, or that of all records."""
    return PLANNERS.get(dataset, _plan_records)


# Writing


def _open_batch(store: Store, actor: Actor, change: Change, plan: _Plan) -> int:
    """Register the batch before its facts are staged, so that what a crash leaves has a number."""
    staged = max(store.facts.last_batch(), store.records.last_batch)
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
                started=now(),
                operator=actor.name,
                actor=actor.id,
                path=plan.path,
                summary=json.dumps(change.summary, ensure_ascii=False),
                state=BatchState.OPEN.value,
            )
        )
    return number


@dataclass(frozen=True, slots=True)
class _Image:
    """What a load takes out of one table and puts into it."""

    table: Table
    removed: pa.Table
    added: pa.Table


def _images(store: Store, plan: _Plan) -> list[_Image]:
    """What undoing the load will need. Under the load lock, so nothing changes before it does."""
    touched = None if plan.persons is None else plan.persons.keys
    parts: list[tuple[Table, pd.DataFrame | None, pd.DataFrame | None]] = [
        (place, plan.delete_places, plan.insert_places),
        (boundary, plan.boundaries, plan.boundaries),
        (institution, plan.institutions, plan.institutions),
        (meta, _root_row(plan), _root_row(plan)),
        (person, touched, touched),
        (target, plan.targets, plan.targets),
    ]
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        return [
            _Image(
                table, images.read_keyed(connection, table, _keys(table, gone)), _keys(table, new)
            )
            for table, gone, new in parts
            if gone is not None and new is not None
        ]


def _root_row(plan: _Plan) -> pd.DataFrame | None:
    return None if plan.root is None else pd.DataFrame({"key": [ROOT]})


def _keys(table: Table, rows: pd.DataFrame) -> pa.Table:
    """The keys of rows of a table."""
    names = images.keys(table)
    return pa.Table.from_pandas(
        rows[names], schema=images.schema(table, names), preserve_index=False
    )


def _promote(
    store: Store, plan: _Plan, number: int, made: Made, told: Entry
) -> tuple[int, list[str]]:
    """Make everything visible at once; returns the new state, and files nothing points to now."""
    before = [
        {
            "batch": number,
            "table_name": image.table.name,
            "removed": images.pack(image.removed),
            "added": images.pack(image.added),
        }
        for image in _images(store, plan)
    ]
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
        if plan.persons is not None:
            persons.write(connection, plan.persons, number)
        if plan.targets is not None:
            _delete(connection, target, plan.targets[images.keys(target)])
            _insert(connection, target, plan.targets.assign(batch=number))
        if plan.root is not None:
            put_meta(connection, ROOT, plan.root)
        if plan.changes_places:
            places_changed(connection)
        if before:
            connection.execute(insert(batch_before), before)
        connection.execute(
            update(batch)
            .where(batch.c.id == number)
            .values(state=BatchState.COMMITTED.value, finished=now())
        )
        doomed = put_snapshots(connection, made, plan.months)
        state = next_state(connection)
        link = append(connection, store.keys, told)
    anchor(store.keys, link)
    return state, doomed


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

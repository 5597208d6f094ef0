"""Undo: a load is taken back as a whole, and everything reads as it did before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from sqlalchemy import Connection, Row, Table, delete, select, update

from dashboard.access import EVERYTHING, Actor, acts
from dashboard.store import database, images, persons, places
from dashboard.store.audit import Entry, Outcome, anchor, append
from dashboard.store.commit import last_of, touched_counties
from dashboard.store.model import BatchState, Pair, Progress, Snapshot
from dashboard.store.partial import Touched
from dashboard.store.publish import (
    LOAD_TIMEOUT_S,
    loading,
    next_state,
    places_changed,
    put_snapshots,
    quiet,
    read_pieces,
    reported_months,
    roll_up,
    typed_pieces,
    withdraw_months,
)
from dashboard.store.store import Store
from dashboard.store.tables import (
    access_grant,
    batch,
    batch_before,
    boundary,
    institution,
    meta,
    person,
    place,
    target,
)
from dashboard.store.unit import with_dates
from geodata.errors import DudaoError
from loaders.registry import record_datasets

ACTION = "data.undo"

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What an undo did.

    Attributes:
        batch: the load taken back.
        rows: how many rows it had changed.
        snapshots: new snapshot versions, by month.
        withdrawn: months no load reports any more.
        later: later loads of figures for the same months. Rows they shared with this load were
            unchanged when they came and so were not kept with them: load those files again.
    """

    batch: int
    rows: int
    snapshots: tuple[Snapshot, ...] = ()
    withdrawn: tuple[str, ...] = ()
    later: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """How loads of one dataset are undone.

    Attributes:
        tables: what is put back from the images of the load, in this order.
        last: whether any later load of the dataset stands in the way, not only one of the same
            rows.
        places: whether caches of places must hear of it.
        restorable: which of the removed rows may come back; None: all.
    """

    tables: tuple[Table, ...] = ()
    last: bool = False
    places: bool = False
    restorable: Callable[[Connection, Table, pa.Table], pa.Table] | None = field(default=None)


RULES: dict[str, Rule] = {
    "places": Rule((place, boundary, meta), last=True, places=True),
    "institutions": Rule((institution,), places=True),
    "figures": Rule(),
    "persons": Rule((person,), restorable=persons.not_erased),
    "targets": Rule((target,), places=True),
}
"""By dataset. A room that loads in its own way adds its row here when it is imported."""
RULES |= {name: Rule() for name in record_datasets()}


@dataclass(frozen=True, slots=True)
class _Image:
    removed: pa.Table
    added: pa.Table


_Images = dict[str, _Image]


@acts("data.undo")
def undo(
    store: Store,
    actor: Actor,
    batch_id: int,
    pairs: Iterable[Pair],
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
) -> UndoResult:
    """Take a load back, whole or not at all; audited in the transaction that makes it visible.

    Figures stay in the facts and stop counting, so that for each key the latest load that still
    counts wins. Places and institutions are put back from what the load kept of them.

    Args:
        actor: may undo loads in all the places this one speaks of.
        pairs: what the snapshots hold; every layer's numerator and denominator.
        progress: told about each step, and about waiting for another load.
        timeout: seconds to wait for another load.

    Raises:
        NotAllowed: the actor may not undo anything; audited.
        DudaoError: BATCH_NOT_FOUND, also for one outside the scope, which is audited;
            BATCH_NOT_COMMITTED, also when it is undone already; UNDO_NOT_LAST names the later
            loads that stand on it; UNDO_IN_USE; UNDO_NOT_KEPT for a load of an older program.
        SystemProblem: LOAD_BUSY, DISK_FULL.
    """
    tell = progress or quiet
    store.require(actor, ACTION, subject=str(batch_id))
    with loading(store, tell, timeout):
        with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
            row = connection.execute(select(batch).where(batch.c.id == batch_id)).first()
            kept = _kept(connection, batch_id)
        if row is None:
            raise _not_found(batch_id)
        if not _covers(store, actor, row, kept):
            store.record(
                actor, ACTION, at=last_of(row.path), subject=str(batch_id), outcome=Outcome.DENIED
            )
            raise _not_found(batch_id)
        if row.state != BatchState.COMMITTED.value:
            raise _not_committed(row)
        tell("正在核对后续导入")
        rule = RULES[row.dataset]
        with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
            found = _Undoing(store, connection, row, rule, kept)
            found.refuse_if_needed()
            months, withdrawn, tree, later, touched = (
                found.months(),
                found.withdrawn,
                found.tree,
                found.later,
                found.touched(),
            )
        made = roll_up(
            store, months, tuple(pairs), tree, tell, without_batch=batch_id, touched=touched
        )
        tell("正在发布")
        details = {
            "batch": batch_id, "dataset": row.dataset, "file": row.file, "sha256": row.sha256,
            "rows": row.rows, "months": row.months.split(),
        }  # fmt: skip
        told = Entry(
            actor, ACTION, str(batch_id), last_of(row.path), row.path or None, details=details
        )
        with database.writing(store.engine) as connection:
            _put_back(connection, rule, kept)
            connection.execute(
                update(batch).where(batch.c.id == batch_id).values(state=BatchState.UNDONE.value)
            )
            connection.execute(delete(batch_before).where(batch_before.c.batch == batch_id))
            doomed = put_snapshots(connection, made, months)
            doomed += withdraw_months(connection, withdrawn)
            if rule.places:
                places_changed(connection)
            next_state(connection)
            link = append(connection, store.keys, told)
        anchor(store.keys, link)
        store.snapshots.remove(doomed)
    return UndoResult(batch_id, row.rows, made.snapshots, tuple(withdrawn), tuple(later))


def _kept(connection: Connection, batch_id: int) -> _Images:
    rows = connection.execute(select(batch_before).where(batch_before.c.batch == batch_id))
    return {
        row.table_name: _Image(images.unpack(row.removed), images.unpack(row.added)) for row in rows
    }


def _covers(store: Store, actor: Actor, row: Row[Any], kept: _Images) -> bool:
    """Whether every place the load speaks of lies where the actor may undo."""
    scope = actor.scope(ACTION)
    if scope.everything:
        return True
    if row.dataset == "places":
        return False
    if row.path and scope.covers(row.path):
        return True
    kept_in = _rows_of(store, row)
    if kept_in is not None:
        speaks_of = set(kept_in.to_table(["place_id"])["place_id"].drop_null().to_pylist())
    else:
        with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
            speaks_of = _homes(connection, RULES[row.dataset], kept)
    with store.unit(actor, ACTION) as unit:
        return bool(speaks_of) and unit.known_ids(speaks_of) == speaks_of


def _rows_of(store: Store, row: Row[Any]) -> ds.Dataset | None:
    """A load's rows, where they are not in SQL."""
    if row.dataset == "figures":
        return store.facts.of_batch(row.id)
    ledger = store.records.ledgers.get(row.dataset)
    return None if ledger is None else ledger.of_batch(row.id)


def _homes(connection: Connection, rule: Rule, kept: _Images) -> set[str]:
    """The places of the rows a load brought and replaced."""
    found: set[str] = set()
    for table in rule.tables:
        image = kept.get(table.name)
        if image is not None:
            now = images.read_keyed(connection, table, image.added)
            for rows in (now, image.removed):
                found |= set(rows["place_id"].to_pylist())
    return found


class _Undoing:
    """What undoing one load means, read from one state.

    Attributes:
        tree: the places as they will be, when they change.
        withdrawn: months that no load will report any more.
        later: later loads of figures for the same months.
    """

    def __init__(
        self, store: Store, connection: Connection, row: Row[Any], rule: Rule, kept: _Images
    ) -> None:
        self._store, self._connection, self._row = store, connection, row
        self._rule, self._kept = rule, kept
        self.tree: pd.DataFrame | None = None
        self.withdrawn: list[str] = []
        self.later: list[int] = []

    def refuse_if_needed(self) -> None:
        """Raise what stands in the way.

        Raises:
            DudaoError: UNDO_NOT_KEPT, UNDO_NOT_LAST, UNDO_IN_USE.
        """
        if not self._rule.tables:
            return
        if not self._kept:
            raise DudaoError(
                "UNDO_NOT_KEPT",
                f"第 {self._row.id} 批由旧版程序导入，没有保留导入前的内容。",
                "请用改正后的文件重新导入。",
            )
        later = set(self._later_of_dataset())
        gone = self._vanishing()
        if len(gone):
            later |= self._later_on(gone)
        if later:
            raise DudaoError(
                "UNDO_NOT_LAST",
                f"第 {self._row.id} 批之后的导入以它为基础：第 {_listed(later)} 批。",
                "请先从最后一批起依次撤销，或用改正后的文件重新导入。",
            )
        if len(gone):
            self._refuse_in_use(gone)

    def months(self) -> list[str]:
        """The months to roll up again; also works out ``tree``, ``withdrawn`` and ``later``."""
        remaining = reported_months(self._connection, without=self._row.id)
        own = self._row.months.split()
        self.withdrawn = sorted(set(own) - set(remaining))
        if own:
            others = select(batch.c.id, batch.c.months).where(
                batch.c.id > self._row.id,
                batch.c.dataset == self._row.dataset,
                batch.c.state == BatchState.COMMITTED.value,
            )
            self.later = sorted(
                number
                for number, listed in self._connection.execute(others)
                if not set(own).isdisjoint(listed.split())
            )
        image = self._kept.get(place.name)
        ledger = self._store.records.ledgers.get(self._row.dataset)
        if ledger is not None:
            written = ledger.counties_of(self._row.id).values()
            changed = {month for months in written for month in months}
            return self._store.records.reaches(ledger.dataset, changed, remaining)
        if image is None:
            return sorted(set(own) & set(remaining))
        before = read_pieces(self._connection)
        added = before.merge(_frame(image.added), on=["id", "valid_from"])
        removed = typed_pieces(_frame(image.removed)[places.PIECE])
        left = before.merge(added[["id", "valid_from"]], how="left", indicator=True)
        stays = before[(left["_merge"] == "left_only").to_numpy()]
        self.tree = pd.concat([stays, removed], ignore_index=True)
        return places.affected_months(added, removed, remaining)

    def touched(self) -> Touched | None:
        """Whose figures differ without the load; None: anybody's."""
        rows = _rows_of(self._store, self._row)
        if rows is None:
            return None
        ledger = self._store.records.ledgers.get(self._row.dataset)
        if ledger is None:
            places = rows.to_table(["place_id"])["place_id"].unique()
            return Touched(places=frozenset(places.to_pylist()))
        table = rows.to_table()
        return touched_counties({*table["county"].to_pylist(), *ledger.counties_beside(table)})

    def _later_of_dataset(self) -> list[int]:
        """Later loads of the dataset that stand in the way."""
        rows = self._connection.execute(
            select(batch.c.id)
            .where(
                batch.c.id > self._row.id,
                batch.c.dataset == self._row.dataset,
                batch.c.state == BatchState.COMMITTED.value,
            )
            .order_by(batch.c.id)
        )
        found = list(rows.scalars())
        if self._rule.last:
            return found
        own = {table.name: self._touched(table, self._kept) for table in self._rule.tables}
        return [
            number
            for number in found
            if any(
                not own[table.name].isdisjoint(
                    self._touched(table, _kept(self._connection, number))
                )
                for table in self._rule.tables
            )
        ]

    def _touched(self, table: Table, kept: _Images) -> set[tuple[object, ...]]:
        """The keys a load deleted or inserted."""
        image = kept.get(table.name)
        if image is None:
            return set()
        names = images.keys(table)
        return {
            key
            for rows in (image.added, image.removed)
            for key in zip(*(rows[name].to_pylist() for name in names), strict=True)
        }

    def _vanishing(self) -> Collection[str]:
        """Places there will not be any more."""
        image = self._kept.get(place.name)
        if image is None:
            return []
        stays = set(image.removed["id"].to_pylist())
        candidates = set(image.added["id"].to_pylist()) - stays
        keys = set(
            zip(image.added["id"].to_pylist(), image.added["valid_from"].to_pylist(), strict=True)
        )
        rows = self._connection.execute(select(place.c.id, place.c.valid_from))
        kept_otherwise = {row.id for row in rows if (row.id, row.valid_from) not in keys}
        return candidates - kept_otherwise

    def _later_on(self, gone: Collection[str]) -> set[int]:
        """Later loads that speak of places that will not be there."""
        wanted = pa.array(sorted(gone), pa.string())
        committed = select(batch.c.id, batch.c.dataset, batch.c.months).where(
            batch.c.state == BatchState.COMMITTED.value
        )
        found: set[int] = set()
        figures: dict[int, list[str]] = {}
        for number, dataset, months in self._connection.execute(committed):
            if dataset == "figures":
                figures[number] = months.split()
            elif dataset in ("institutions", "targets"):
                homes = _homes(self._connection, RULES[dataset], _kept(self._connection, number))
                if not homes.isdisjoint(gone):
                    found.add(number)
        if figures:
            months = sorted({month for listed in figures.values() for month in listed})
            rows = self._store.facts.observations(months).to_table(
                columns=["batch"], filter=pc.field("place_id").isin(wanted)
            )
            found |= set(rows["batch"].unique().to_pylist()) & set(figures)
        return found

    def _refuse_in_use(self, gone: Collection[str]) -> None:
        used = {
            title: len({*self._connection.execute(select(column)).scalars()} & set(gone))
            for title, column in (
                ("账号授权", access_grant.c.place_id),
                ("人员名单", person.c.place_id),
            )
        }
        named = [f"{title}涉及 {count} 个" for title, count in used.items() if count]
        if named:
            raise DudaoError(
                "UNDO_IN_USE",
                f"撤销后将不存在的地区仍在使用：{'、'.join(named)}。",
                "请先收回这些授权或处理相关名单，再撤销。",
            )


def _frame(rows: pa.Table) -> pd.DataFrame:
    """Rows of the table ``place`` with days as pandas keeps them."""
    found: pd.DataFrame = rows.to_pandas()
    dates = [
        name
        for name in ("valid_from", "valid_to", "declared_from", "declared_to")
        if name in found.columns
    ]
    return with_dates(found, *dates)


def _put_back(connection: Connection, rule: Rule, kept: _Images) -> None:
    for table in rule.tables:
        image = kept.get(table.name)
        if image is None:
            continue
        images.remove(connection, table, image.added)
        back = image.removed
        if rule.restorable is not None:
            back = rule.restorable(connection, table, back)
        images.write(connection, table, back.to_batches(images.ROWS))


def _listed(numbers: Collection[int]) -> str:
    shown = "、".join(str(number) for number in sorted(numbers, reverse=True)[:_SHOWN])
    return f"{shown} 等共 {len(numbers)}" if len(numbers) > _SHOWN else shown


def _not_found(batch_id: int) -> DudaoError:
    return DudaoError(
        "BATCH_NOT_FOUND", f"没有第 {batch_id} 批导入。", "请在导入记录中核对批次号。"
    )


def _not_committed(row: Row[Any]) -> DudaoError:
    undone = row.state == BatchState.UNDONE.value
    state = "已经撤销" if undone else "没有完成，未写入任何数据"
    return DudaoError("BATCH_NOT_COMMITTED", f"第 {row.id} 批导入{state}。", "无需再撤销。")

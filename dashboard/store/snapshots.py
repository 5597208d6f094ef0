"""Published values: Parquet files for each month and version, read a few row groups at a time.

A version that follows from a correction holds only the families that changed, a family being the
places directly below one parent. The others are read from the files of the version before.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from heapq import merge
from itertools import groupby
from operator import and_
from pathlib import Path
from threading import Lock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dashboard.store.engine import COLUMNS, VALUES
from dashboard.store.model import Pair, PairValues, Siblings, Snapshot
from geodata.errors import SystemProblem

ROW_GROUP = 2_048
"""Rows in a row group: a view of 300 villages and four pairs reads one or two of them."""

_OPEN_FILES = 256
_REMEMBERED = 1_024
"""Families kept decoded: a trend of 36 months over a few dozen parents."""

_KEY = ("source", "numerator_measure", "denominator_measure")
_NUMBERS = (
    "numerator", "denominator", "reporting", "expected", "own_numerator", "own_denominator",
)  # fmt: skip
_TYPES = {"reporting": pa.int64(), "expected": pa.int64()}
_GROUPS_AT_ONCE = 64
"""Row groups of many families read in one go: what is not wanted of them is dropped at once."""
_SCHEMA = pa.schema([VALUES.field(name) for name in COLUMNS])
_TEMPORARY = ".part"
BESIDE = ".beside"
"""Added to a file's name for what is kept beside it: it follows from the values, goes with them."""
_RESOLVED = ".resolved"
"""Added to a file's name for the measures that the next version needs of what did not change."""
_HOLDS = b"holds"
"""In a file that does not hold every family: the parents whose families it holds, as JSON."""
MOST_FILES = 8
"""Files of one version: before there are more, the upper ones are put together."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Index:
    """A file's footer and, for each row group, the first and last parent it holds.

    ``parents`` are those whose families the file decides, with rows or without; None: all.
    """

    metadata: pq.FileMetaData
    first: list[str]
    last: list[str]
    parents: frozenset[str] | None

    def groups(self, wanted: list[str]) -> list[int]:
        """The row groups that can hold one of some parents, given in order."""
        return [
            group
            for group, (first, last) in enumerate(zip(self.first, self.last, strict=True))
            if bisect_left(wanted, first) < bisect_right(wanted, last)
        ]


@dataclass(frozen=True, slots=True)
class Over:
    """What a version that does not hold every family lies over.

    Attributes:
        before: the version it follows.
        parents: the parents whose families it holds anew.
        stays: those of them below which rows stay.
        anew: the places whose rows are new.
    """

    before: Snapshot
    parents: frozenset[str]
    stays: frozenset[str]
    anew: frozenset[str]


class Snapshots:
    """The directory of snapshot files. Safe to share between threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._indexes: OrderedDict[str, _Index] = OrderedDict()
        self._siblings: OrderedDict[tuple[str, str], Siblings] = OrderedDict()
        self._lock = Lock()

    def write(
        self,
        month: str,
        version: int,
        rows: Iterable[pa.RecordBatch],
        resolved: pa.Table | None = None,
        over: Over | None = None,
    ) -> Snapshot:
        """Write one month's rows (``VALUES``, sorted by parent) as they come, whole or not.

        Args:
            resolved: measures of the places that a correction below them leaves alone.
            over: what the rows lie over; None: they are all there are.
        """
        below: tuple[str, ...] = ()
        schema = _SCHEMA
        if over is not None:
            below, parents = self._below(over)
            schema = schema.with_metadata({_HOLDS: json.dumps(sorted(parents))})
            rows = self._with_kept(rows, over, parents)
        name = f"{month}-v{version:05d}-{secrets.token_hex(4)}.parquet"
        self._directory.mkdir(parents=True, exist_ok=True)
        if resolved is not None:
            self._put(name + _RESOLVED, resolved)
        part = self._directory / (name + _TEMPORARY)
        try:
            with part.open("wb") as file:
                with pq.ParquetWriter(
                    file, schema, compression="zstd", write_statistics=["parent_id"]
                ) as writer:
                    for group in _in_groups(rows):
                        writer.write_table(group.cast(schema), ROW_GROUP)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._directory / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_directory(self._directory)
        return Snapshot(month, version, name, below)

    def _below(self, over: Over) -> tuple[tuple[str, ...], frozenset[str]]:
        """The files a new one lies over, and the parents whose families it has to hold.

        Where there would be too many files it takes in what the upper ones hold.
        """
        files = over.before.files
        if len(files) < MOST_FILES:
            return files, over.parents
        *upper, lowest = files
        held = (self._index(over.before, file).parents or frozenset() for file in upper)
        return (lowest,), over.parents.union(*held)

    def _with_kept(
        self, rows: Iterable[pa.RecordBatch], over: Over, parents: Collection[str]
    ) -> Iterator[pa.RecordBatch]:
        """New rows, and in their order those that stay of the families to be held."""
        both = merge(_families(rows), _families(self._kept(over, parents)), key=_parent)
        for _, parts in groupby(both, key=_parent):
            family = pa.concat_tables(parts)
            # Of one place the rows keep their order.
            yield from family.take(pc.sort_indices(family["place_id"])).to_batches()

    def _kept(self, over: Over, parents: Collection[str]) -> Iterator[pa.RecordBatch]:
        anew = pa.array(sorted(over.anew), pa.string())
        wanted = sorted(over.stays.union(parents) - (over.parents - over.stays))
        for start in range(0, len(wanted), _GROUPS_AT_ONCE):
            rows = self.rows_of(over.before, wanted[start : start + _GROUPS_AT_ONCE])
            stays = rows.filter(pc.invert(pc.is_in(rows["place_id"], anew)))
            yield from stays.combine_chunks().to_batches()

    def resolved(self, snapshot: Snapshot) -> pa.Table | None:
        """The measures kept with a version's values (``RESOLVED``); None where there are none."""
        return self._beside(snapshot.file, _RESOLVED)

    def siblings(self, snapshot: Snapshot, parent_id: str) -> Siblings:
        """Values of the places directly below ``parent_id``, by pair; remembered for a while."""
        key = (snapshot.file, parent_id)
        with self._lock:
            found = self._siblings.get(key)
            if found is not None:
                self._siblings.move_to_end(key)
                return found
        made = _by_pair(self._rows(snapshot, parent_id, coded=True))
        with self._lock:
            self._siblings[key] = made
            while len(self._siblings) > _REMEMBERED:
                self._siblings.popitem(last=False)
        return made

    def families(
        self, snapshot: Snapshot, parent_ids: Collection[str], pairs: Collection[Pair]
    ) -> Siblings:
        """Some pairs' values of the places directly below any of some parents, by source and pair.

        Reads each row group that holds one of them once: for thousands of places of one level.
        """
        chosen = _of(pairs)
        columns = [*_KEY, "place_id", "parent_id", *_NUMBERS]
        rows = self.rows_of(snapshot, parent_ids, columns, chosen)
        found = _by_pair(rows)
        return {key: values for key, values in found.items() if key[1] in pairs}

    def rows_of(
        self,
        snapshot: Snapshot,
        parent_ids: Collection[str],
        columns: Sequence[str] = COLUMNS,
        chosen: pc.Expression | None = None,
    ) -> pa.Table:
        """Rows of the places directly below any of some parents, family by family.

        Reads each row group that holds one of them once.

        Args:
            columns: ``parent_id`` among them.
            chosen: of the rows, those that fulfil it.
        """
        parts = []
        for file, wanted in self._holders(snapshot, parent_ids).items():
            index = self._index(snapshot, file)
            groups = index.groups(sorted(wanted))
            mine = pc.field("parent_id").isin(sorted(wanted))
            condition = mine if chosen is None else mine & chosen
            with self._opened(snapshot, file, metadata=index.metadata) as opened:
                for start in range(0, len(groups), _GROUPS_AT_ONCE):
                    lot = groups[start : start + _GROUPS_AT_ONCE]
                    rows = opened.read_row_groups(lot, columns=columns, use_threads=False)
                    parts.append(rows.filter(condition))
        if not parts:
            return _SCHEMA.empty_table().select(columns)
        return _in_order(snapshot, parts)

    def read(self, snapshot: Snapshot) -> pa.Table:
        """All rows of a month in their order, in ``COLUMNS``; reads every file whole.

        Raises:
            SystemProblem: SNAPSHOT_GONE.
            OSError, pa.ArrowException: a file cannot be read.
        """
        return _in_order(snapshot, self._whole(snapshot, list(COLUMNS), None))

    def flagged(self, snapshot: Snapshot, parent_ids: Collection[str]) -> set[str]:
        """The places below some parents whose own figures differ from the sums shown."""
        columns = ["parent_id", "place_id", "own_numerator", "own_denominator"]
        own = pc.field("own_numerator").is_valid() | pc.field("own_denominator").is_valid()
        return set(self.rows_of(snapshot, parent_ids, columns, own)["place_id"].to_pylist())

    def values(self, snapshot: Snapshot, parent_id: str) -> pd.DataFrame:
        """Rows of the places directly below ``parent_id``, in ``COLUMNS``."""
        return _frame(self._rows(snapshot, parent_id))

    def wholes(
        self, snapshot: Snapshot, source: str, pairs: Collection[Pair]
    ) -> dict[Pair, pd.DataFrame]:
        """Pairs' ``place_id, parent_id, numerator, denominator`` at every place of a month.

        Reads the whole file once and knows no scope: for rules that have to see the whole tree.
        """
        columns = ["place_id", "parent_id", "numerator", "denominator"]
        measures = ["numerator_measure", "denominator_measure"]
        chosen = (pc.field("source") == source) & _of(pairs)
        rows = _in_order(snapshot, self._whole(snapshot, [*columns, *measures], chosen))
        frame = _frame(rows)
        found = {
            Pair(str(top), str(bottom)): part[columns].reset_index(drop=True)
            for (top, bottom), part in frame.groupby(measures, sort=False)
        }
        return {pair: found.get(pair, frame.iloc[:0][columns]) for pair in pairs}

    def sources(self, snapshot: Snapshot) -> list[str]:
        """The sources a month has values of."""
        # A correction that brings or takes a source makes every family anew.
        file = snapshot.files[-1]
        try:
            column = pq.read_table(self._directory / file, columns=["source"], use_threads=False)
        except FileNotFoundError as error:
            raise _gone(snapshot) from error
        return sorted(pc.unique(column["source"]).to_pylist())

    def _whole(
        self, snapshot: Snapshot, columns: list[str], chosen: pc.Expression | None
    ) -> Iterator[pa.Table]:
        """The rows of a month that fulfil a condition, a table a file."""
        above: frozenset[str] = frozenset()
        for file in snapshot.files:
            mine = ~pc.field("parent_id").isin(sorted(above)) if above else None
            both = [one for one in (mine, chosen) if one is not None]
            try:
                rows = pq.read_table(
                    self._directory / file,
                    columns=columns,
                    filters=reduce(and_, both) if both else None,
                    use_threads=False,
                )
            except FileNotFoundError as error:
                raise _gone(snapshot) from error
            yield rows
            above |= self._index(snapshot, file).parents or frozenset()

    def _rows(self, snapshot: Snapshot, parent_id: str, coded: bool = False) -> pa.Table:
        """Rows of one parent; its texts as codes if wanted, which is much faster to read."""
        file = self._holder(snapshot, parent_id)
        index = self._index(snapshot, file)
        wanted = range(bisect_left(index.last, parent_id), bisect_right(index.first, parent_id))
        if not wanted:
            return _SCHEMA.empty_table()
        coding = [*_KEY, "place_id"] if coded else None
        with self._opened(snapshot, file, index.metadata, coding) as opened:
            rows = opened.read_row_groups(list(wanted), use_threads=False)
        return rows.filter(pc.equal(rows["parent_id"], parent_id))

    def _holder(self, snapshot: Snapshot, parent_id: str) -> str:
        """The file that holds a family: the newest that speaks of it."""
        for file in snapshot.files[:-1]:
            if parent_id in (self._index(snapshot, file).parents or ()):
                return file
        return snapshot.files[-1]

    def _holders(self, snapshot: Snapshot, parent_ids: Collection[str]) -> dict[str, list[str]]:
        """Parents by the file that holds their family."""
        found: dict[str, list[str]] = {}
        for parent_id in parent_ids:
            found.setdefault(self._holder(snapshot, parent_id), []).append(parent_id)
        return found

    @contextmanager
    def _opened(
        self,
        snapshot: Snapshot,
        file: str,
        metadata: pq.FileMetaData,
        coded: list[str] | None = None,
    ) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(
                self._directory / file, metadata=metadata, read_dictionary=coded
            ) as opened:
                yield opened
        except FileNotFoundError as error:
            raise _gone(snapshot) from error

    def _index(self, snapshot: Snapshot, file: str) -> _Index:
        with self._lock:
            found = self._indexes.get(file)
            if found is not None:
                self._indexes.move_to_end(file)
                return found
        try:
            metadata = pq.read_metadata(self._directory / file)
        except FileNotFoundError as error:
            raise _gone(snapshot) from error
        column = metadata.schema.names.index("parent_id")
        statistics = [
            metadata.row_group(group).column(column).statistics
            for group in range(metadata.num_row_groups)
        ]
        # An empty snapshot still has one empty row group, without limits.
        limits = [limit for limit in statistics if limit is not None and limit.has_min_max]
        held = (metadata.metadata or {}).get(_HOLDS)
        index = _Index(
            metadata,
            [s.min for s in limits],
            [s.max for s in limits],
            None if held is None else frozenset(json.loads(held)),
        )
        with self._lock:
            self._indexes[file] = index
            while len(self._indexes) > _OPEN_FILES:
                self._indexes.popitem(last=False)
        return index

    def sizes(self, snapshot: Snapshot) -> list[int]:
        """How many rows each file of a month has, the newest first."""
        return [int(self._index(snapshot, file).metadata.num_rows) for file in snapshot.files]

    def rows(self, snapshot: Snapshot) -> int:
        """How many rows a month has, those that newer files stand in place of among them."""
        return sum(self.sizes(snapshot))

    def beside(self, snapshot: Snapshot) -> pa.Table | None:
        """What was kept beside a month's file; None where there is nothing, or nothing whole."""
        return self._beside(snapshot.file, BESIDE)

    def put_beside(self, snapshot: Snapshot, derived: pa.Table) -> None:
        """Keep what follows from a month's values, whole or not at all, until the file goes.

        It can always be made again: where it cannot be written, nothing is kept.
        """
        name = snapshot.file + BESIDE
        try:
            self._put(name, derived)
        except OSError as error:
            _log.warning("%s cannot be written: %s", name, error)

    def _beside(self, file: str, suffix: str) -> pa.Table | None:
        try:
            return pq.read_table(
                self._directory / (file + suffix),
                use_threads=False,
                page_checksum_verification=True,
            )
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException) as error:
            _log.warning("what lies beside %s cannot be read: %s", file, error)
            return None

    def _put(self, name: str, rows: pa.Table) -> None:
        """Write a small file, whole or not at all."""
        part = self._directory / f"{name}.{secrets.token_hex(4)}{_TEMPORARY}"
        try:
            with part.open("wb") as file:
                pq.write_table(rows, file, compression="zstd", write_page_checksum=True)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._directory / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def remove_except(self, files: Collection[str]) -> None:
        """Delete every file that is not in ``files``, what lay beside it and temporary ones too."""
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                kept = owner(path.name) in files
                if not kept and path.suffix in (".parquet", BESIDE, _RESOLVED, _TEMPORARY):
                    path.unlink(missing_ok=True)

    def remove(self, files: Collection[str]) -> None:
        """Delete files by name, and what lies beside them."""
        for name in files:
            for suffix in ("", BESIDE, _RESOLVED):
                (self._directory / (name + suffix)).unlink(missing_ok=True)


def owner(name: str) -> str:
    """The snapshot file that a file lies beside, or is."""
    return name.removesuffix(BESIDE).removesuffix(_RESOLVED)


def _of(pairs: Collection[Pair]) -> pc.Expression:
    """Rows of any of some numerators over any of some denominators."""
    return pc.field("numerator_measure").isin(
        sorted({pair.numerator for pair in pairs})
    ) & pc.field("denominator_measure").isin(sorted({pair.denominator for pair in pairs}))


def _in_order(snapshot: Snapshot, parts: Iterable[pa.Table]) -> pa.Table:
    """Rows of a version's files in the order one file would have."""
    rows = pa.concat_tables(part.replace_schema_metadata(None) for part in parts)
    # Stable: of one parent the rows keep their order.
    return rows.take(pc.sort_indices(rows["parent_id"])) if snapshot.below else rows


def _parent(family: pa.Table) -> str:
    parent: str = family["parent_id"][0].as_py()
    return parent


def _families(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Rows that lie parent by parent, a table a parent."""
    held: list[pa.RecordBatch] = []
    for batch in rows:
        ends = pc.run_end_encode(batch["parent_id"])
        start = 0
        for end in ends.run_ends.to_pylist():
            run = batch.select(COLUMNS).slice(start, end - start)
            if held and held[-1]["parent_id"][0] != run["parent_id"][0]:
                yield pa.Table.from_batches(held)
                held = []
            held.append(run)
            start = end
    if held:
        yield pa.Table.from_batches(held)


def _in_groups(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Rows as they come in pieces of whole row groups, the last one what is left."""
    held = _SCHEMA.empty_table()
    for batch in rows:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).select(COLUMNS)])
        whole = len(held) - len(held) % ROW_GROUP
        if whole:
            yield held.slice(0, whole)
            held = held.slice(whole)
    yield held


def _by_pair(rows: pa.Table) -> Siblings:
    """Split rows by source and pair, each as arrays."""
    if not len(rows):
        return {}
    coded = [rows[name].combine_chunks().dictionary_encode() for name in _KEY]
    names = [column.dictionary.to_pylist() for column in coded]
    kinds = np.zeros(len(rows), dtype=np.int64)
    for column, known in zip(coded, names, strict=True):
        kinds = kinds * len(known) + column.indices.to_numpy()
    order = np.argsort(kinds, kind="stable")
    found, starts = np.unique(kinds[order], return_index=True)
    place = rows["place_id"].combine_chunks().dictionary_encode()
    places, where = place.dictionary.to_pylist(), place.indices.to_numpy()
    # DuckDB counts in 38 digits, which NumPy would take for objects.
    numbers = [rows[name].cast(_TYPES.get(name, pa.float64())).to_numpy() for name in _NUMBERS]
    # Most pairs have the same places: one mapping serves them all.
    positions: dict[bytes, dict[str, int]] = {}
    siblings: dict[tuple[str, Pair], PairValues] = {}
    for kind, chosen in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
        rest, bottom = divmod(kind, len(names[2]))
        source, top = divmod(rest, len(names[1]))
        theirs = where[chosen]
        at = positions.get(key := theirs.tobytes())
        if at is None:
            at = positions[key] = {places[one]: row for row, one in enumerate(theirs.tolist())}
        siblings[names[0][source], Pair(names[1][top], names[2][bottom])] = PairValues(
            at, *(column[chosen] for column in numbers)
        )
    return siblings


def _frame(rows: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = rows.to_pandas()
    return frame


def _gone(snapshot: Snapshot) -> SystemProblem:
    return SystemProblem(
        "SNAPSHOT_GONE",
        f"{snapshot.month} 第 {snapshot.version} 版汇总文件已不在数据目录中。",
        "请刷新页面；若仍出现，请运行 python -m dashboard publish 重新汇总。",
    )


def sync_directory(directory: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

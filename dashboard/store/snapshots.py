"""Published values: a Parquet file for each month and version, read a few row groups at a time."""

from __future__ import annotations

import logging
import os
import secrets
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
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

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Index:
    """A file's footer and, for each row group, the first and last parent it holds."""

    metadata: pq.FileMetaData
    first: list[str]
    last: list[str]


class Snapshots:
    """The directory of snapshot files. Safe to share between threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._indexes: OrderedDict[str, _Index] = OrderedDict()
        self._siblings: OrderedDict[tuple[str, str], Siblings] = OrderedDict()
        self._lock = Lock()

    def write(self, month: str, version: int, rows: Iterable[pa.RecordBatch]) -> Snapshot:
        """Write one month's rows (``VALUES``, sorted by parent) as they come, whole or not."""
        name = f"{month}-v{version:05d}-{secrets.token_hex(4)}.parquet"
        self._directory.mkdir(parents=True, exist_ok=True)
        part = self._directory / (name + _TEMPORARY)
        try:
            with part.open("wb") as file:
                with pq.ParquetWriter(
                    file, _SCHEMA, compression="zstd", write_statistics=["parent_id"]
                ) as writer:
                    for group in _in_groups(rows):
                        writer.write_table(group, ROW_GROUP)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._directory / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_directory(self._directory)
        return Snapshot(month, version, name)

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
        index, wanted = self._index(snapshot), sorted(parent_ids)
        groups = [
            group
            for group, (first, last) in enumerate(zip(index.first, index.last, strict=True))
            if bisect_left(wanted, first) < bisect_right(wanted, last)
        ]
        chosen = (
            pc.field("parent_id").isin(wanted)
            & pc.field("numerator_measure").isin(sorted({pair.numerator for pair in pairs}))
            & pc.field("denominator_measure").isin(sorted({pair.denominator for pair in pairs}))
        )
        columns = [*_KEY, "place_id", "parent_id", *_NUMBERS]
        lots = [
            groups[start : start + _GROUPS_AT_ONCE]
            for start in range(0, len(groups), _GROUPS_AT_ONCE)
        ]
        if not lots:
            return {}
        try:
            with pq.ParquetFile(self._directory / snapshot.file, metadata=index.metadata) as file:
                rows = pa.concat_tables(
                    file.read_row_groups(lot, columns=columns, use_threads=False).filter(chosen)
                    for lot in lots
                )
        except FileNotFoundError as error:
            raise _gone(snapshot) from error
        found = _by_pair(rows)
        return {key: values for key, values in found.items() if key[1] in pairs}

    def values(self, snapshot: Snapshot, parent_id: str) -> pd.DataFrame:
        """Rows of the places directly below ``parent_id``, in ``COLUMNS``."""
        return _frame(self._rows(snapshot, parent_id))

    def wholes(
        self, snapshot: Snapshot, source: str, pairs: Collection[Pair]
    ) -> dict[Pair, pd.DataFrame]:
        """Pairs' ``place_id, parent_id, numerator, denominator`` at every place of a month.

        Reads the whole file once and knows no scope: for rules that have to see the whole tree.
        """
        chosen = (
            (pc.field("source") == source)
            & pc.field("numerator_measure").isin(sorted({pair.numerator for pair in pairs}))
            & pc.field("denominator_measure").isin(sorted({pair.denominator for pair in pairs}))
        )
        columns = ["place_id", "parent_id", "numerator", "denominator"]
        measures = ["numerator_measure", "denominator_measure"]
        try:
            rows = pq.read_table(
                self._directory / snapshot.file,
                columns=[*columns, *measures],
                filters=chosen,
                use_threads=False,
            )
        except FileNotFoundError as error:
            raise _gone(snapshot) from error
        frame = _frame(rows)
        found = {
            Pair(str(top), str(bottom)): part[columns].reset_index(drop=True)
            for (top, bottom), part in frame.groupby(measures, sort=False)
        }
        return {pair: found.get(pair, frame.iloc[:0][columns]) for pair in pairs}

    def sources(self, snapshot: Snapshot) -> list[str]:
        """The sources a month has values of."""
        try:
            column = pq.read_table(
                self._directory / snapshot.file, columns=["source"], use_threads=False
            )["source"]
        except FileNotFoundError as error:
            raise _gone(snapshot) from error
        return sorted(pc.unique(column).to_pylist())

    def _rows(self, snapshot: Snapshot, parent_id: str, coded: bool = False) -> pa.Table:
        """Rows of one parent; its texts as codes if wanted, which is much faster to read."""
        index = self._index(snapshot)
        wanted = range(bisect_left(index.last, parent_id), bisect_right(index.first, parent_id))
        if not wanted:
            return index.metadata.schema.to_arrow_schema().empty_table()
        try:
            with pq.ParquetFile(
                self._directory / snapshot.file,
                metadata=index.metadata,
                read_dictionary=[*_KEY, "place_id"] if coded else None,
            ) as file:
                rows = file.read_row_groups(list(wanted), use_threads=False)
        except FileNotFoundError as error:
            raise _gone(snapshot) from error
        return rows.filter(pc.equal(rows["parent_id"], parent_id))

    def _index(self, snapshot: Snapshot) -> _Index:
        with self._lock:
            found = self._indexes.get(snapshot.file)
            if found is not None:
                self._indexes.move_to_end(snapshot.file)
                return found
        try:
            metadata = pq.read_metadata(self._directory / snapshot.file)
        except FileNotFoundError as error:
            raise _gone(snapshot) from error
        column = metadata.schema.names.index("parent_id")
        statistics = [
            metadata.row_group(group).column(column).statistics
            for group in range(metadata.num_row_groups)
        ]
        # An empty snapshot still has one empty row group, without limits.
        limits = [limit for limit in statistics if limit is not None and limit.has_min_max]
        index = _Index(metadata, [s.min for s in limits], [s.max for s in limits])
        with self._lock:
            self._indexes[snapshot.file] = index
            while len(self._indexes) > _OPEN_FILES:
                self._indexes.popitem(last=False)
        return index

    def rows(self, snapshot: Snapshot) -> int:
        """How many rows a month has."""
        return int(self._index(snapshot).metadata.num_rows)

    def beside(self, snapshot: Snapshot) -> pa.Table | None:
        """What was kept beside a month's file; None where there is nothing, or nothing whole."""
        try:
            return pq.read_table(
                self._beside(snapshot.file), use_threads=False, page_checksum_verification=True
            )
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException) as error:
            _log.warning("what lies beside %s cannot be read: %s", snapshot.file, error)
            return None

    def put_beside(self, snapshot: Snapshot, derived: pa.Table) -> None:
        """Keep what follows from a month's values, whole or not at all, until the file goes.

        It can always be made again: where it cannot be written, nothing is kept.
        """
        place = self._beside(snapshot.file)
        part = place.with_name(f"{place.name}.{secrets.token_hex(4)}{_TEMPORARY}")
        try:
            with part.open("wb") as file:
                pq.write_table(derived, file, compression="zstd", write_page_checksum=True)
                file.flush()
                os.fsync(file.fileno())
            part.replace(place)
        except OSError as error:
            part.unlink(missing_ok=True)
            _log.warning("%s cannot be written: %s", place.name, error)

    def _beside(self, file: str) -> Path:
        return self._directory / (file + BESIDE)

    def remove_except(self, files: Collection[str]) -> None:
        """Delete every file that is not in ``files``, what lay beside it and temporary ones too."""
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                kept = path.name.removesuffix(BESIDE) in files
                if not kept and path.suffix in (".parquet", BESIDE, _TEMPORARY):
                    path.unlink(missing_ok=True)

    def remove(self, files: Collection[str]) -> None:
        """Delete files by name, and what lies beside them."""
        for name in files:
            (self._directory / name).unlink(missing_ok=True)
            self._beside(name).unlink(missing_ok=True)


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

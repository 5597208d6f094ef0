"""Published values: a Parquet file for each month and version, read a few row groups at a time."""

from __future__ import annotations

import os
import secrets
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dashboard.store.engine import COLUMNS
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
_TEMPORARY = ".part"


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

    def write(self, month: str, version: int, rows: pa.Table) -> Snapshot:
        """Write one month's rows (``COLUMNS``, sorted by parent) whole or not at all."""
        name = f"{month}-v{version:05d}-{secrets.token_hex(4)}.parquet"
        self._directory.mkdir(parents=True, exist_ok=True)
        part = self._directory / (name + _TEMPORARY)
        try:
            with part.open("wb") as file:
                pq.write_table(
                    rows.select(COLUMNS),
                    file,
                    row_group_size=ROW_GROUP,
                    compression="zstd",
                    write_statistics=["parent_id"],
                )
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
        made = _by_pair(self._rows(snapshot, parent_id))
        with self._lock:
            self._siblings[key] = made
            while len(self._siblings) > _REMEMBERED:
                self._siblings.popitem(last=False)
        return made

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

    def _rows(self, snapshot: Snapshot, parent_id: str) -> pa.Table:
        index = self._index(snapshot)
        wanted = range(bisect_left(index.last, parent_id), bisect_right(index.first, parent_id))
        if not wanted:
            return index.metadata.schema.to_arrow_schema().empty_table()
        try:
            with pq.ParquetFile(self._directory / snapshot.file, metadata=index.metadata) as file:
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

    def remove_except(self, files: Collection[str]) -> None:
        """Delete every file that is not in ``files``, temporary ones too."""
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if path.name not in files and path.suffix in (".parquet", _TEMPORARY):
                    path.unlink(missing_ok=True)

    def remove(self, files: Collection[str]) -> None:
        """Delete files by name."""
        for name in files:
            (self._directory / name).unlink(missing_ok=True)


def _by_pair(rows: pa.Table) -> Siblings:
    """Split rows by source and pair, each as arrays."""
    places = rows["place_id"].to_pylist()
    positions: dict[tuple[str, str, str], list[int]] = {}
    names = (rows[name].to_pylist() for name in _KEY)
    for position, key in enumerate(zip(*names, strict=True)):
        positions.setdefault(key, []).append(position)
    numbers = [rows[name].to_numpy() for name in _NUMBERS]
    return {
        (source, Pair(top, bottom)): PairValues(
            {places[position]: at for at, position in enumerate(chosen)},
            *(column[chosen] for column in numbers),
        )
        for (source, top, bottom), chosen in positions.items()
    }


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

"""A Delta table that is appended to and never edited.

A row counts only when its batch is committed in SQL (see ``dashboard.store.commit``); this module
knows nothing of that and only keeps the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import and_
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake
from pyarrow.fs import LocalFileSystem

COMPACT_ABOVE_FILES = 24
"""A partition loaded in more pieces than this is rewritten into few files."""


@dataclass(frozen=True, slots=True)
class Added:
    """A file of a table.

    Attributes:
        path: below the table's directory.
        part: the values of the table's partition columns; None stands for an empty one.
        first, last: the lowest and the highest batch it holds rows of.
    """

    path: str
    part: tuple[str | None, ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Between:
    """The months from one to another, both included; of some years only, if given."""

    first: str
    last: str
    years: frozenset[str] | None = None

    def __contains__(self, month: object) -> bool:
        return (
            isinstance(month, str)
            and self.first <= month <= self.last
            and (self.years is None or month[:4] in self.years)
        )


class Appended:
    """One table; its rows carry a ``month`` and a ``batch``.

    Attributes:
        directory: where it lies.
        schema: its columns.
        partitions: the columns it is partitioned by.
    """

    def __init__(self, directory: Path, schema: pa.Schema, partitions: Sequence[str]) -> None:
        self.directory = directory
        self.schema = schema
        self.partitions = tuple(partitions)

    def _table(self) -> DeltaTable | None:
        if not DeltaTable.is_deltatable(str(self.directory)):
            return None
        return DeltaTable(str(self.directory))

    def append(self, rows: pa.Table) -> None:
        """Append rows in ``schema``'s columns; all of them or, after a crash, none."""
        write_deltalake(
            str(self.directory),
            rows.select(self.schema.names).cast(self.schema),
            partition_by=list(self.partitions),
            mode="append",
        )

    def months(self) -> list[str]:
        """Months with any row, ascending."""
        table = self._table()
        return [] if table is None else sorted({part["month"] for part in table.partitions()})

    def rows(self, **only: Container[str | None]) -> ds.Dataset:
        """The rows of some partitions, read lazily and from their files only.

        Args:
            only: by partition column, the values wanted, None the empty one; columns not named
                are not restricted.
        """
        return self._of(self._added(**only))

    def of_batch(self, batch: int) -> ds.Dataset:
        """The rows of a load, read lazily and from files that can hold one of them."""
        files = [file for file in self._added() if file.first <= batch <= file.last]
        return self._of(files).filter(ds.field("batch") == batch)

    def _added(self, **only: Container[str | None]) -> list[Added]:
        """The files of some partitions in the current version."""
        table = self._table()
        if table is None:
            return []
        actions = pa.table(table.get_add_actions(flatten=True)).to_pydict()
        listed = zip(
            actions["path"],
            zip(*(actions[f"partition.{name}"] for name in self.partitions), strict=True),
            actions["min.batch"],
            actions["max.batch"],
            strict=True,
        )
        wanted = [(self.partitions.index(name), values) for name, values in only.items()]
        return [
            Added(unquote(path), part, low, high)
            for path, part, low, high in listed
            if all(part[at] in values for at, values in wanted)
        ]

    def _of(self, files: Iterable[Added]) -> ds.Dataset:
        """The rows of some files, by their place on disk."""
        kind, here = ds.ParquetFileFormat(), LocalFileSystem()
        fragments = [
            kind.make_fragment(
                f"{self.directory}/{file.path}",
                here,
                partition_expression=reduce(and_, map(_lies_in, self.partitions, file.part)),
            )
            for file in files
        ]
        if not fragments:
            return ds.InMemoryDataset(self.schema.empty_table())
        return ds.FileSystemDataset(fragments, self.schema, kind, here)

    def files(self) -> list[Path]:
        """Every file that makes up the current version: its data and the log."""
        table = self._table()
        if table is None:
            return []
        listed = pa.table(table.get_add_actions()).column("path").to_pylist()
        log = (self.directory / "_delta_log").rglob("*")
        return [
            *(self.directory / unquote(path) for path in listed),
            *(path for path in log if path.is_file() and not path.name.startswith(".")),
        ]

    def batches(self) -> dict[int, int]:
        """How many rows each batch has, committed or not; reads every row."""
        table = self._table()
        if table is None:
            return {}
        rows = table.to_pyarrow_dataset(schema=self.schema).to_table(columns=self.schema.names)
        rows.validate(full=True)
        counted = rows.group_by("batch").aggregate([([], "count_all")]).to_pylist()
        return {row["batch"]: row["count_all"] for row in counted}

    def last_batch(self) -> int:
        """The highest batch with a row, committed or not; 0 before any load.

        Read from the files' statistics. A new batch must be above it: after a restore of an
        older SQL backup a lower number would wake rows of a load that database never knew.
        """
        table = self._table()
        if table is None:
            return 0
        highest = pa.table(table.get_add_actions(flatten=True)).column("max.batch")
        return max((int(number) for number in highest.to_pylist()), default=0)

    def remove(self, batches: Iterable[int]) -> None:
        """Delete the rows of batches that never committed."""
        table = self._table()
        doomed = sorted(batches)
        if table is not None and doomed:
            table.delete(f"batch IN ({', '.join(map(str, doomed))})")

    def tidy(self) -> None:
        """Compact partitions that lie in many small files."""
        table = self._table()
        if table is None:
            return
        actions = pa.table(table.get_add_actions(flatten=True))
        columns = [actions.column(f"partition.{name}").to_pylist() for name in self.partitions]
        parts = list(zip(*columns, strict=True))
        crowded = {part for part, files in Counter(parts).items() if files > COMPACT_ABOVE_FILES}
        for part in sorted(crowded):
            filters = [
                (name, "=", value) for name, value in zip(self.partitions, part, strict=True)
            ]
            table.optimize.compact(partition_filters=filters)
        if crowded:
            self.vacuum()

    def vacuum(self) -> None:
        """Drop files no reader can still use: replaced, or left by a crash, over a week ago."""
        table = self._table()
        if table is not None:
            table.vacuum(dry_run=False, full=True)


@cache
def _lies_in(column: str, value: str | None) -> ds.Expression:
    field = ds.field(column)
    return field.is_null() if value is None else field == value


def partitions(rows: ds.FileSystemDataset) -> list[str]:
    """The columns that stand in the paths of a table's files and not in the files."""
    return [name for name in rows.schema.names if f"/{name}=" in rows.files[0]]

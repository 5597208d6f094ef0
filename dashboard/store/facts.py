"""The facts: a Delta table of observations, appended to and never edited.

A row counts only when its batch is committed in SQL (see ``dashboard.store.commit``); this module
knows nothing of that and only keeps the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable, write_deltalake

SCHEMA = pa.schema(
    [
        pa.field("place_id", pa.string(), nullable=False),
        pa.field("month", pa.string(), nullable=False),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
    ]
)

COMPACT_ABOVE_FILES = 24
"""A month loaded in more pieces than this is rewritten into few files."""


class Facts:
    """The Delta table ``observations``, partitioned by month.

    Attributes:
        directory: where it lies.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _table(self) -> DeltaTable | None:
        if not DeltaTable.is_deltatable(str(self.directory)):
            return None
        return DeltaTable(str(self.directory))

    def append(self, rows: pa.Table) -> None:
        """Append rows in ``SCHEMA``'s columns; all of them or, after a crash, none."""
        write_deltalake(
            str(self.directory),
            rows.select(SCHEMA.names).cast(SCHEMA),
            partition_by=["month"],
            mode="append",
        )

    def months(self) -> list[str]:
        """Months with any row, ascending."""
        table = self._table()
        return [] if table is None else sorted({part["month"] for part in table.partitions()})

    def observations(self, months: Collection[str]) -> ds.Dataset:
        """The rows of some months, read lazily and from their partitions only."""
        table = self._table()
        if table is None:
            return ds.InMemoryDataset(SCHEMA.empty_table())
        return table.to_pyarrow_dataset(
            file_pruning_predicate=[("month", "in", sorted(months))], schema=SCHEMA
        )

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
        rows = table.to_pyarrow_dataset(schema=SCHEMA).to_table(columns=SCHEMA.names)
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

    def tidy(self, months: Iterable[str]) -> None:
        """Compact months that lie in many small files."""
        table = self._table()
        if table is None:
            return
        files = pa.table(table.get_add_actions(flatten=True)).column("partition.month").to_pylist()
        crowded = [month for month in months if files.count(month) > COMPACT_ABOVE_FILES]
        if not crowded:
            return
        table.optimize.compact(partition_filters=[("month", "in", crowded)])
        self.vacuum()

    def vacuum(self) -> None:
        """Drop files no reader can still use: replaced, or left by a crash, over a week ago."""
        table = self._table()
        if table is not None:
            table.vacuum(dry_run=False, full=True)

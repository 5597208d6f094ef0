"""Records: one Delta table a dataset, by county and month; its rows name persons by a number.

Where a load moves a record to another county or month, it also leaves a row marked ``gone`` where
the record was, so that the latest row of a key can be found inside each partition.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from dashboard.store.appended import Appended, Between
from loaders.registry import PERSON, Dataset, record_datasets

PARTITIONS = ("county", "month")

_KEY = re.compile("[0-9a-f]{64}")

LATEST = frozenset({"clinic_checks"})
"""Datasets of which the latest row counts, of whatever year."""

_KINDS: dict[str, pa.DataType] = {
    "date": pa.date32(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "id_number": pa.int64(),
}


@cache
def schema_of(dataset: str) -> pa.Schema:
    """The columns of a dataset's table: canonical ones, the partition, and which load wrote it."""
    declared = record_datasets()[dataset]
    names = dict(zip(declared.columns, declared.columns.values(), strict=True))
    fields = {PERSON if one.kind == "id_number" else name: one.kind for name, one in names.items()}
    columns = {name: _KINDS.get(fields[name], pa.string()) for name in declared.canonical}
    return pa.schema(
        [
            *(pa.field(name, kind) for name, kind in columns.items() if name not in PARTITIONS),
            pa.field("county", pa.string()),
            pa.field("month", pa.string()),
            pa.field("gone", pa.bool_()),
            pa.field("batch", pa.int64()),
        ]
    )


def person_number(key: str) -> int:
    """The number a person goes by in records: the first 64 bits of the key."""
    return int.from_bytes(bytes.fromhex(key[:16]), "big", signed=True)


def numbers_of(keys: Iterable[str]) -> list[int]:
    """The numbers of some keys; what is no key, as in a forged proof, has none."""
    return [person_number(key) for key in keys if _KEY.fullmatch(key)]


def person_numbers(keys: pd.Series) -> npt.NDArray[np.int64]:
    """The numbers of many persons."""
    return np.fromiter(map(person_number, keys), np.int64, len(keys))


@dataclass(frozen=True, slots=True)
class Pieces:
    """A dataset's rows in two parts.

    Attributes:
        once: of partitions that one load wrote: no key occurs twice.
        again: of partitions that several loads wrote: of each key the latest load that counts wins.
    """

    once: ds.Dataset
    again: ds.Dataset

    @property
    def any(self) -> bool:
        """Whether there is a file with rows of a load that counts."""
        return any(isinstance(one, ds.FileSystemDataset) for one in (self.once, self.again))


class Ledger(Appended):
    """The Delta table of one dataset."""

    def __init__(self, directory: Path, dataset: Dataset) -> None:
        super().__init__(directory, schema_of(dataset.id), PARTITIONS)
        self.dataset = dataset

    def pieces(self, committed: Collection[int], **only: Container[str | None]) -> Pieces:
        """The rows of some partitions, read lazily; files of loads that do not count are left out.

        Args:
            only: by partition column, the values wanted.
        """
        counts = frozenset(committed)
        parts: dict[tuple[str | None, ...], set[int]] = {}
        files = [
            file for file in self._added(**only) if file.first != file.last or file.first in counts
        ]
        for file in files:
            parts.setdefault(file.part, set()).update((file.first, file.last))
        once, again = (
            self._of(file for file in files if (len(parts[file.part]) == 1) is single)
            for single in (True, False)
        )
        return Pieces(once, again)

    def forget(self, persons: Collection[int]) -> list[str]:
        """Delete all rows of some persons and their bytes; the months they stood in."""
        table = self._table()
        if table is None or not persons:
            return []
        rows = self.rows().to_table(columns=["month"], filter=_theirs(persons))
        months: list[str] = rows["month"].to_pylist()
        if months:
            listed = ", ".join(str(number) for number in sorted(persons))
            table.delete(f"{PERSON} IN ({listed})")
            table.vacuum(
                retention_hours=0, enforce_retention_duration=False, dry_run=False, full=True
            )
        return months

    def counties_of(self, batch: int) -> dict[str, set[str]]:
        """The months of each county that a load wrote rows for."""
        found: dict[str, set[str]] = {}
        rows = self.of_batch(batch).to_table(columns=list(PARTITIONS))
        for row in rows.group_by(list(PARTITIONS)).aggregate([]).to_pylist():
            found.setdefault(row["county"], set()).add(row["month"])
        return found

    def counties_beside(self, rows: pa.Table) -> set[str | None]:
        """Other counties whose figures some rows can change: of a clinic the latest check counts,
        wherever it was.
        """
        if self.dataset.id not in LATEST:
            return set()
        clinic = self.dataset.canonical_key[0]
        theirs = ds.field(clinic).isin(rows[clinic].unique())
        return {*self.rows().to_table(columns=["county"], filter=theirs)["county"].to_pylist()}


def _theirs(persons: Collection[int]) -> ds.Expression:
    return ds.field(PERSON).isin(pa.array(sorted(persons), pa.int64()))


class Records:
    """The directory with one table a dataset.

    Attributes:
        directory: where they lie.
        ledgers: by dataset.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ledgers = {
            name: Ledger(directory / name, dataset) for name, dataset in record_datasets().items()
        }

    def of_months(
        self,
        months: Collection[str],
        committed: Collection[int],
        counties: Collection[str] | None = None,
    ) -> dict[str, Pieces]:
        """The rows that figures of some months are counted from, of the datasets that have any.

        Args:
            counties: what is counted for places of these and above counties is whole; None: all.
                A clinic's latest check may lie anywhere.
        """
        wanted: Collection[str | None] | None = None if counties is None else {*counties, None}
        found = {
            name: self.counted_in(name, months, committed)
            if wanted is None or name in LATEST
            else self.counted_in(name, months, committed, county=wanted)
            for name in self.ledgers
        }
        return {name: pieces for name, pieces in found.items() if pieces.any}

    def counted_in(
        self,
        dataset: str,
        months: Collection[str],
        committed: Collection[int],
        **only: Container[str | None],
    ) -> Pieces:
        """The rows of one dataset that figures of some months are counted from.

        Args:
            only: by partition column, the values wanted.
        """
        ledger = self.ledgers[dataset]
        flows = ledger.dataset.makes_months and dataset not in LATEST
        years = frozenset(month[:4] for month in months) if flows else None
        wanted = Between("", max(months, default=""), years)
        return ledger.pieces(committed, month=wanted, **only)

    @property
    def last_batch(self) -> int:
        """The highest batch with a row in any table."""
        return max(ledger.last_batch() for ledger in self.ledgers.values())

    def remove(self, batches: Collection[int]) -> None:
        """Delete the rows of batches that never committed, and files nobody reads any more."""
        for ledger in self.ledgers.values():
            ledger.remove(batches)
            ledger.vacuum()

    def forget(self, persons: Collection[int]) -> str | None:
        """Delete all rows of some persons and the bytes of them, whatever load brought them.

        Returns:
            The first month a row stood in; None when there was none.
        """
        first: list[str] = []
        for ledger in self.ledgers.values():
            if ledger.dataset.of_persons:
                first += ledger.forget(persons)
        return min(first, default=None)

    def holding(self, persons: Collection[int]) -> dict[str, int]:
        """How many rows some persons have, counting or not, by dataset that has any."""
        found = {
            name: ledger.rows().count_rows(filter=_theirs(persons))
            for name, ledger in self.ledgers.items()
            if ledger.dataset.of_persons
        }
        return {name: count for name, count in found.items() if count}

    def reaches(
        self, dataset: Dataset, changed: Collection[str], reported: Collection[str]
    ) -> list[str]:
        """The months with figures that records of some months have a part in, ascending."""
        if not changed:
            return []
        first = min(changed)
        years = {month[:4] for month in changed}
        yearly = dataset.makes_months and dataset.id not in LATEST
        return sorted(
            month
            for month in set(reported)
            if month >= first and (not yearly or month[:4] in years)
        )

    def files(self) -> dict[Path, Path]:
        """Every file of the current versions: its place here -> its place below the directory."""
        return {
            path: path.relative_to(self.directory)
            for ledger in self.ledgers.values()
            for path in ledger.files()
        }

    def stored(self, dataset: Dataset, frame: pd.DataFrame, counties: pd.Series) -> pa.Table:
        """Checked rows in a table's columns, without the load's number.

        Args:
            frame: in canonical columns, persons by key.
            counties: the county of each row, empty above county level.
        """
        dated = frame[dataset.dated]
        by_month = dataset.columns[dataset.dated].kind == "month"
        rows = frame.assign(
            county=counties.to_numpy(dtype=object),
            month=dated if by_month else dated.dt.strftime("%Y-%m"),
            gone=False,
        )
        if PERSON in rows:
            rows[PERSON] = person_numbers(rows[PERSON])
        schema = schema_of(dataset.id)
        names = [name for name in schema.names if name != "batch"]
        return pa.Table.from_pandas(
            rows[names], schema=pa.schema([schema.field(name) for name in names]),
            preserve_index=False,
        )  # fmt: skip

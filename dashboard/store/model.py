"""Types of the store: months, snapshots, batches, shapes, changes. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from geodata.errors import DudaoError

Progress = Callable[[str], None]
"""Receives one line of text for the person who waits, in Simplified Chinese; ``Underway`` for a
step of which it is known how much is done."""


class Underway(str):
    """A line of progress that comes again and again, with the share of its step done, 0 to 1."""

    done: float

    def __new__(cls, line: str, done: float) -> Self:
        """The line with its share."""
        made = super().__new__(cls, line)
        made.done = done
        return made


Geometries = npt.NDArray[np.object_]
"""Shapely geometries in WGS84 degrees; None where there is none."""

PLACE_COLUMNS = (
    "id", "name", "level", "parent_id", "valid_from", "valid_to", "lon", "lat", "indicative",
)  # fmt: skip
INSTITUTION_COLUMNS = ("id", "name", "kind", "place_id", "lon", "lat")
FIGURE_KEY = ("place_id", "month", "measure", "source")
FIGURE_COLUMNS = (*FIGURE_KEY, "value")


def month_end(month: str) -> date:
    """The day that stands for a month: its last.

    Raises:
        DudaoError: MONTH_FORM when ``month`` is not ``YYYY-MM``.
    """
    year, dash, number = month.partition("-")
    if dash and len(year) == 4 and len(number) == 2 and (year + number).isdecimal():
        numbers = int(year), int(number)
        if numbers[0] >= 1 and 1 <= numbers[1] <= 12:
            return date(*numbers, monthrange(*numbers)[1])
    raise DudaoError("MONTH_FORM", f"月份“{month}”写法不对。", "请写作 YYYY-MM,例如 2026-10。")


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two measures summed together, village by village: numerator over denominator."""

    numerator: str
    denominator: str


STALE = "stale"
"""Instead of the hash of a snapshot's pairs: its month is to be rolled up again."""


@dataclass(frozen=True, slots=True)
class Compute:
    """What a roll-up may use.

    Attributes:
        engine: by name, a row of ``engines.ENGINES``.
        memory: bytes the engine may take; what does not fit lies on disk meanwhile.
        spark: address of a Spark Connect server (``sc://...``); None: Spark runs here.
    """

    engine: str = "duckdb"
    memory: int = 2_000_000_000
    spark: str | None = field(default=None, repr=False)


DEFAULT_COMPUTE = Compute()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The published values of one month; (month, version) is the key of every cache.

    Attributes:
        month: ``YYYY-MM``.
        version: counts up from 1 within the month.
        file: name of the Parquet file in the snapshots directory.
        below: names of the files that hold what ``file`` does not, the newest first.
    """

    month: str
    version: int
    file: str
    below: tuple[str, ...] = ()

    @classmethod
    def listed(cls, month: str, version: int, files: str) -> Snapshot:
        """A snapshot by its files as the table ``snapshot`` lists them."""
        file, *below = files.split()
        return cls(month, version, file, tuple(below))

    @property
    def files(self) -> tuple[str, ...]:
        """All its files, the newest first."""
        return (self.file, *self.below)


@dataclass(frozen=True, slots=True)
class Edition:
    """A version of a month that can be looked at.

    Attributes:
        created: when it was rolled up, UTC, ISO 8601.
    """

    version: int
    created: str


@dataclass(frozen=True, slots=True, eq=False)
class PairValues:
    """One pair's values of sibling places, as arrays; ``at`` gives a place's position in them."""

    at: dict[str, int]
    numerator: npt.NDArray[np.float64]
    denominator: npt.NDArray[np.float64]
    reporting: npt.NDArray[np.int64]
    expected: npt.NDArray[np.int64]
    own_numerator: npt.NDArray[np.float64]
    own_denominator: npt.NDArray[np.float64]


Siblings = Mapping[tuple[str, Pair], PairValues]
"""(source, pair) -> the values of the places below one parent in one snapshot."""


RECOUNT, REPORTED, FOUND, SAMPLED = "@recount", "@reported", "@found", "@sampled"
"""Added to a measure's id for what the field sample says of it: recounted and reported sums of the
units that could be recounted; units that hold what was reported, and units that were judged."""

LEAST_AREA, RESIDENTS_ABOVE = 60, 800
"""A clinic for more residents than this needs at least so many square metres."""


class BatchState(StrEnum):
    """open: being loaded; committed: counts; abandoned: never finished, its rows are removed;
    undone: was taken back, its rows stay and count no more."""

    OPEN = "open"
    COMMITTED = "committed"
    ABANDONED = "abandoned"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Batch:
    """One load.

    Attributes:
        id: counts up; of two figures for one key that of the higher committed batch wins.
        file, sha256: what was loaded; ``rows``: how many rows it changed.
        months: months it brought figures for, ascending.
        started, finished: UTC, ISO 8601.
        summary: what was said of the file (``Change.summary``).
    """

    id: int
    file: str
    sha256: str
    dataset: str
    rows: int
    months: tuple[str, ...]
    started: str
    finished: str | None
    operator: str
    state: BatchState
    summary: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form in ``status --json``."""
        return {
            "id": self.id,
            "file": self.file,
            "sha256": self.sha256,
            "dataset": self.dataset,
            "rows": self.rows,
            "months": list(self.months),
            "started": self.started,
            "finished": self.finished,
            "operator": self.operator,
            "state": self.state.value,
        }


@dataclass(frozen=True, slots=True)
class Shape:
    """What the map draws of one place.

    Attributes:
        wkb: the simplified polygon, WGS84 degrees.
        indicative: whether the polygon is 示意边界, not a surveyed one.
        label_lon, label_lat: where a label fits, degrees; label_radius: room around it, metres.
    """

    wkb: bytes
    indicative: bool
    label_lon: float
    label_lat: float
    label_radius: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Change:
    """The valid rows of one file, as ``loaders.prepare`` hands them over.

    Attributes:
        dataset: ``places``, ``institutions``, ``figures`` or ``persons``.
        frame: the canonical columns of the dataset (``PLACE_COLUMNS``,
            ``INSTITUTION_COLUMNS`` or ``FIGURE_COLUMNS``), one row for each key. An empty cell
            in ``parent_id``, ``valid_to``, ``lon`` or ``lat`` says nothing: what is stored stays.
        geometries: parallel to a places frame, None where the file has no polygon.
        file, sha256: kept with the batch.
        summary: what is to be told of the file later, JSON-ready: rows read, valid and rejected,
            how often each issue.
    """

    dataset: str
    frame: pd.DataFrame
    geometries: Geometries | None = None
    file: str = ""
    sha256: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit did.

    Attributes:
        batch: id of the new batch, None when every row was already stored.
        changed, unchanged: rows of the change.
        state: number of the state it made; None when there is no batch.
        snapshots: new snapshot versions, by month.
    """

    batch: int | None
    changed: int
    unchanged: int
    snapshots: tuple[Snapshot, ...] = field(default=())
    state: int | None = None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One line of a list of persons: name, identity number and phone are masked.

    Attributes:
        key: HMAC of the identity number, 64 hexadecimal characters; names the person in every
            other call.
        name: ``张*``; id_number: ``**************1234``; phone: ``138****5678`` or None.
        sex: ``男``, ``女`` or None.
        held_since: UTC, ISO 8601.
        keep_until: the day the row is erased unless a later register prolongs it.
        batch: the load it comes from.
        version: counts up with every change.
    """

    key: str
    place_id: str
    place_name: str
    name: str
    id_number: str
    phone: str | None
    sex: str | None
    birth_year: int | None
    dataset: str
    held_since: str
    keep_until: date | None
    batch: int
    version: int


@dataclass(frozen=True, slots=True)
class Person:
    """A person in clear text; only a reveal makes one. Its repr names nobody.

    Attributes:
        id_last4: the whole number is not held.
    """

    key: str
    place_id: str
    name: str
    id_last4: str
    phone: str | None
    sex: str | None
    birth_year: int | None

    def __repr__(self) -> str:
        return f"Person({self.key[:8]}…)"


@dataclass(frozen=True, slots=True)
class Erasure:
    """Proof that a person was erased: a row that can only be appended.

    Attributes:
        rows: stored rows removed, copies kept for undo included; 0: the person was admitted
            again, which ends the erasure.
        at: UTC, ISO 8601.
        by: id of the account.
        proof: HMAC over all other fields, under a key outside the database.
    """

    key: str
    dataset: str
    rows: int
    reason: str
    at: str
    by: str
    proof: str

    @property
    def ends(self) -> bool:
        """Whether it ends an earlier erasure."""
        return self.rows == 0


@dataclass(frozen=True, slots=True)
class Filter:
    """What one column of a row must be; what is None or empty asks for nothing.

    Attributes:
        column: canonical.
        flag: of a flag; one that says nothing is not set.
        among: of a choice, the codes it may be; of choices, those of which it must have one.
        without: the codes it must not be; a row that says nothing has none.
        low, high: inclusive bounds of a number, a date or a month.
        text: part of a text or code, in any case.
    """

    column: str
    flag: bool | None = None
    among: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    low: float | date | str | None = None
    high: float | date | str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """A page of a ledger.

    Attributes:
        since, until: the first and the last month of the rows, ``YYYY-MM``; None: no limit.
        in_force: only rows of a register that are in force on this day.
        sort: column to order by; rows alike follow in the order of their keys.
        offset, limit: of the page.
    """

    dataset: str
    since: str | None = None
    until: str | None = None
    in_force: date | None = None
    filters: tuple[Filter, ...] = ()
    sort: str = ""
    descending: bool = False
    offset: int = 0
    limit: int = 0

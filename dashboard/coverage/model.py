"""A layer, and what one view of it shows. Pure types and rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from geodata.model import Institution, InstitutionKind, Level, Place

_SAME = 1e-9
NOISE = 6
"""Decimals a numerator is worked out with: a share times its whole gives back 10 persons as
10.000000000000002, and whoever rounds up would ask for 11."""


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Pace(StrEnum):
    """How a target is to be met: reached over the year, held at all times, or there is none."""

    PROGRESS = "progress"
    LEVEL = "level"
    NONE = "none"


class Source(StrEnum):
    """Who says so: figures as reported, counted from records, or as a recount found them."""

    REPORTED = "reported"
    RECORDS = "records"
    VERIFIED = "verified"


class Part(StrEnum):
    """How the places of one level are compared; id in addresses."""

    RANK = "rank"
    MISS = "miss"
    FUNNEL = "funnel"


class Status(StrEnum):
    """Whether a place has a value to show. None but the first is ever shown as 0."""

    OK = "ok"
    NO_DATA = "no_data"
    NOT_APPLICABLE = "not_applicable"
    SUPPRESSED = "suppressed"
    """Few persons, or left out so that no subtraction tells of few: docs/decisions/0008."""
    TOO_LOW = "too_low"
    """The layer is not shown at this level."""


WITHOUT_VALUE = (Status.NO_DATA, Status.NOT_APPLICABLE, Status.SUPPRESSED, Status.TOO_LOW)
"""Their class codes are -1, -2, -3, -4."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One entry of layers.toml.

    Attributes:
        numerator, denominator: measure ids of loaders/measures.toml; a layer that counts only has
            the same measure in both.
        factor: value = numerator / denominator * factor (100 for percent and per hundred).
        target: in the layer's unit; None where there is none. What holds at a place in a month
            is ``Cell.target``: places have their own (coverage.targets).
        breaks: ascending inner class limits; k breaks make k + 1 classes. A value equal to a
            break belongs to the class above it.
        palette: key of palettes.PALETTES, one colour for each class, low value first.
    """

    id: str
    title: str
    title_en: str
    group: str
    base_level: Level
    numerator: str
    denominator: str
    factor: float
    unit: str
    target: float | None
    direction: Direction
    breaks: tuple[float, ...]
    palette: str
    help: str
    help_en: str
    decimals: int
    """How many its values are shown with."""
    systems: tuple[int, ...]
    """Rows of the source documents' systems (docs/decisions/0007)."""
    pace: Pace
    lowest_level: Level | None = None
    """Below it the layer is shown nowhere, to nobody."""
    protected: bool = False
    """Cells that describe few persons are left out on every screen and in every answer."""
    site_kind: InstitutionKind | None = None
    """The institutions whose marker shows whether their home place meets this layer's target."""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.breaks) + 1

    def written(self, value: float, target: float | None) -> float:
        """What to write of a value with ``decimals``: the nearest number short of the target,
        where rounding would put it on a target that it misses.

        3,999 persons of 4,000 are 99.9 %, not 100.0 %.
        """
        if target is None or abs(value - target) <= _SAME * max(1.0, abs(target)):
            return value
        found, step = round(value, self.decimals), 10.0**-self.decimals
        if self.direction is Direction.HIGHER and value < target <= found:
            return round(found - step, self.decimals)
        if self.direction is Direction.LOWER and value > target >= found:
            return round(found + step, self.decimals)
        return value

    @property
    def is_count(self) -> bool:
        """Whether the value is the numerator itself, divided by nothing."""
        return self.numerator == self.denominator


@dataclass(frozen=True, slots=True)
class Target:
    """What a place is to reach in a year.

    Attributes:
        value: in the layer's unit.
        place_id: the place it was set for, this one or one above it; None: the registry's.
    """

    value: float
    place_id: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What the map shows: the children of ``place_id`` in ``month`` coloured by ``layer_id``."""

    place_id: str
    layer_id: str
    month: str
    """``YYYY-MM``."""
    source: Source = Source.REPORTED


@dataclass(frozen=True, slots=True)
class Cell:
    """One place's value in one layer and month.

    Attributes:
        numerator, denominator: sums over the places below that reported both, or None.
        value: in the layer's unit, None unless status is OK.
        class_index: 0-based class, None unless status is OK.
        rank: 1 is best among the siblings with a value, ties share the better rank; ranked: how
            many those are.
        change: value minus the value of the month before, None unless both exist.
        reporting, expected: base-level places below (or the place itself) with a figure, and
            all of them; "18 of 20 villages reported".
        own_numerator, own_denominator: the place's own reported figures where they differ from
            the sum of its children (a quality flag), else None.
        has_boundary: whether a polygon exists; indicative: whether that polygon is 示意边界.
        target: what it is to reach in the month's year, None where there is none.
    """

    place: Place
    numerator: float | None
    denominator: float | None
    value: float | None
    status: Status
    class_index: int | None
    rank: int | None
    ranked: int
    change: float | None
    reporting: int
    expected: int
    own_numerator: float | None
    own_denominator: float | None
    has_boundary: bool
    indicative: bool
    target: Target | None = None

    @property
    def aim(self) -> float | None:
        """The target's value; None without one."""
        return None if self.target is None else self.target.value

    @property
    def disagrees(self) -> bool:
        """Whether the place's own figure differs from the sum of its children."""
        return self.own_numerator is not None or self.own_denominator is not None

    def wanted(self, layer: Layer) -> float | None:
        """The numerator at which the target is met; None without a target or denominator."""
        if self.target is None or self.denominator is None:
            return None
        if layer.is_count:
            return self.target.value
        return round(self.target.value * self.denominator / layer.factor, NOISE)

    def shortfall(self, layer: Layer) -> float | None:
        """How much numerator separates the place from the target, never below 0.

        For a layer where higher is better: persons still to reach; where lower is better: the
        excess to remove. None without a value or a target.
        """
        wanted = self.wanted(layer)
        if self.numerator is None or self.value is None or wanted is None:
            return None
        gap = wanted - self.numerator
        return max(0.0, gap if layer.direction is Direction.HIGHER else -gap)


@dataclass(frozen=True, slots=True)
class ViewTable:
    """Everything the map and the table under it show.

    Attributes:
        place: whose children are shown; own: its own cell.
        version: the snapshot's version in ``view.month``.
        cells: the children, worst first; places without a value last.
    """

    view: View
    layer: Layer
    place: Place
    version: int
    own: Cell
    cells: tuple[Cell, ...]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """How many children fall in each class, low value first."""
        counts = [0] * self.layer.classes
        for cell in self.cells:
            if cell.class_index is not None:
                counts[cell.class_index] += 1
        return tuple(counts)

    def count(self, status: Status) -> int:
        """How many children have that status."""
        return sum(cell.status is status for cell in self.cells)

    @property
    def without_boundary(self) -> int:
        """How many children have no polygon and so are in the table only."""
        return sum(not cell.has_boundary for cell in self.cells)

    @property
    def indicative(self) -> bool:
        """Whether any polygon shown is 示意边界."""
        return any(cell.indicative for cell in self.cells)


class SiteStatus(StrEnum):
    """How an institution stands on the layer that names its kind."""

    MET = "met"
    UNMET = "unmet"
    NO_DATA = "no_data"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Site:
    """An institution and its status in one month."""

    institution: Institution
    status: SiteStatus


@dataclass(frozen=True, slots=True)
class Profile:
    """The side panel: one place in one month, every layer.

    Attributes:
        ancestors: root first, the place itself not included.
        siblings: how many places share its parent (ranks are among those with a value); 1 when not
            all of them may be seen, for a rank among some would mislead.
        cells: layer id to cell, in registry order.
    """

    place: Place
    month: str
    ancestors: tuple[Place, ...]
    siblings: int
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One layer of a place at a glance.

    Attributes:
        cell: the place's own, ranked among its siblings.
        worst: the cell of the place directly below that has the worst value, None without any.
        trend: the values of the months asked for, oldest first, None where there is none; empty
            for a protected layer.
    """

    layer: Layer
    cell: Cell
    worst: Cell | None
    trend: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One month of one place's trend."""

    month: str
    numerator: float | None
    denominator: float | None
    value: float | None
    status: Status
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    """An encoded answer of ``/layers`` or ``/sites``."""

    body: bytes
    etag: str


def previous_month(month: str) -> str:
    """The calendar month before ``YYYY-MM``."""
    return str(pd.Period(month, freq="M") - 1)

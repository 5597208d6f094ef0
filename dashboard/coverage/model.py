"""A layer, and what one view of it shows. Pure types and rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from geodata.model import Level, Place


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"


class Status(StrEnum):
    """Whether a place has a value. Neither of the last two is ever shown as 0."""

    OK = "ok"
    NO_DATA = "no_data"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Layer:
    """One entry of layers.toml.

    Attributes:
        numerator, denominator: measure ids of loaders/datasets.toml.
        factor: value = numerator / denominator * factor (100 for percent and per hundred).
        target: in the layer's unit; None where there is none.
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

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.breaks) + 1


@dataclass(frozen=True, slots=True)
class View:
    """What the map shows: the children of ``place_id`` in ``month`` coloured by ``layer_id``."""

    place_id: str
    layer_id: str
    month: str
    """``YYYY-MM``."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One place's value in one layer and month.

    Attributes:
        numerator, denominator: sums over the places below that reported both, or None.
        value: in the layer's unit, None unless status is OK.
        class_index: 0-based class, None unless status is OK.
        rank: 1 is best among the siblings with a value, ties share the better rank.
        change: value minus the value of the month before, None unless both exist.
        reporting, expected: base-level places below (or the place itself) with a figure, and
            all of them; "18 of 20 villages reported".
        own_numerator, own_denominator: the place's own reported figures where they differ from
            the sum of its children (a quality flag), else None.
        has_boundary: whether a polygon exists; indicative: whether that polygon is 示意边界.
    """

    place: Place
    numerator: float | None
    denominator: float | None
    value: float | None
    status: Status
    class_index: int | None
    rank: int | None
    change: float | None
    reporting: int
    expected: int
    own_numerator: float | None
    own_denominator: float | None
    has_boundary: bool
    indicative: bool

    @property
    def disagrees(self) -> bool:
        """Whether the place's own figure differs from the sum of its children."""
        return self.own_numerator is not None or self.own_denominator is not None

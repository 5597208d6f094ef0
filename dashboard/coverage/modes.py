"""What the colours of a view say: values, pace, change since another month, or the field sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from dashboard.coverage import palettes, verification
from dashboard.coverage.model import Cell, Direction, Layer, Source, Status, View, ViewTable
from dashboard.coverage.pace import STANDINGS, standing


class Mode(StrEnum):
    """Id in addresses."""

    VALUE = "value"
    PACE = "pace"
    CHANGE = "change"
    GAP = "gap"
    FACTOR = "factor"
    LQAS = "lqas"


SAMPLED = (Mode.FACTOR, Mode.LQAS)
"""What is told of the field sample alone."""
DIFFERENCES = (Mode.CHANGE, Mode.GAP)
"""What is the difference of two values, with a sign."""

POINTS = (-5.0, -1.0, 1.0, 5.0)
"""Class limits of a change in percentage points."""
PER_CENT = (-20.0, -5.0, 5.0, 20.0)
"""Class limits of a change of anything else, in per cent of what it was."""

PACE_COLOURS = ("#d7191c", "#fdae61", "#2c7bb6")
"""Late, behind, ahead: told apart by every kind of colour vision."""


FACTOR_COLOURS = ("#d7191c", "#ffffbf", "#2c7bb6")
"""Over-reported, agreeing, under-reported."""
FACTOR_LIMITS = (verification.OVER_REPORTED_BELOW, verification.UNDER_REPORTED_ABOVE)
LQAS_COLOURS = ("#d7191c", "#2c7bb6")
"""Failed, passed."""


@dataclass(frozen=True, slots=True)
class Shade:
    """What the map says of one place: the number shown and its class, or why there is none."""

    value: float | None
    class_index: int | None
    status: Status


@dataclass(frozen=True, slots=True)
class Sample:
    """What the field sample of a place comes to, from January to the month.

    Attributes:
        recount, reported: sums of the units that could be recounted.
        found, judged: units that hold what was reported, of all that could be judged.
    """

    recount: float
    reported: float
    found: int
    judged: int


def colours(layer: Layer, mode: Mode) -> tuple[str, ...]:
    """One colour a class, low value first."""
    if mode is Mode.VALUE:
        return palettes.colours(layer.palette, layer.classes)
    if mode is Mode.PACE:
        return PACE_COLOURS
    if mode is Mode.FACTOR:
        return FACTOR_COLOURS
    if mode is Mode.LQAS:
        return LQAS_COLOURS
    found = palettes.colours("RdYlBu", len(POINTS) + 1)
    if mode is Mode.GAP:
        # More reported than found is never good, whichever way is better.
        return found[::-1]
    return found if layer.direction is Direction.HIGHER else found[::-1]


def limits(layer: Layer, mode: Mode) -> tuple[float, ...]:
    """Inner class limits, ascending; none where the classes are words."""
    if mode is Mode.VALUE:
        return layer.breaks
    if mode in (Mode.PACE, Mode.LQAS):
        return ()
    if mode is Mode.FACTOR:
        return FACTOR_LIMITS
    return POINTS if layer.unit == "%" else PER_CENT


def unit(layer: Layer, mode: Mode) -> str:
    """The unit of the numbers shown, as registries write it; nothing for a factor."""
    if mode in DIFFERENCES:
        return "个百分点" if layer.unit == "%" else "%"
    return {Mode.FACTOR: "", Mode.LQAS: "户"}.get(mode, layer.unit)


def decimals(layer: Layer, mode: Mode) -> int:
    """How many decimals the numbers are shown with."""
    if mode in DIFFERENCES:
        return 1
    return {Mode.FACTOR: 2, Mode.LQAS: 0}.get(mode, layer.decimals)


def compared(view: View, mode: Mode, against: str | None) -> tuple[View, View | None]:
    """The view a mode's numbers are of, and the one they are measured from.

    Args:
        against: the month a change is measured from.
    """
    if mode is Mode.GAP:
        return replace(view, source=Source.REPORTED), replace(view, source=Source.VERIFIED)
    if mode is Mode.CHANGE and against is not None:
        return view, replace(view, month=against)
    return view, None


def change(layer: Layer, now: float | None, before: float | None) -> float | None:
    """The change between two values: in points of a percentage, else in per cent of ``before``."""
    if now is None or before is None:
        return None
    if layer.unit == "%":
        return now - before
    return None if before == 0 else (now - before) / abs(before) * 100


def shades(
    table: ViewTable,
    mode: Mode,
    other: Mapping[str, Cell],
    samples: Mapping[str, Sample] | None = None,
) -> list[Shade]:
    """What the map says of each of a table's cells.

    Args:
        other: cells by place id of the other month for ``CHANGE``, verified ones for ``GAP``; a
            place that is missing there has no data.
        samples: by place id, for ``SAMPLED`` modes.
    """
    if mode in SAMPLED:
        known = samples or {}
        return [_judged(mode, known.get(cell.place.id)) for cell in table.cells]
    return [_shade(table.layer, cell, mode, table.view.month, other) for cell in table.cells]


def _judged(mode: Mode, sample: Sample | None) -> Shade:
    if sample is None:
        return Shade(None, None, Status.NO_DATA)
    if mode is Mode.LQAS:
        lot = verification.judge(sample.judged, sample.judged - sample.found)
        if lot.passed is None:
            return Shade(None, None, Status.NOT_APPLICABLE)
        return Shade(float(lot.failures), int(lot.passed), Status.OK)
    if sample.reported <= 0:
        return Shade(None, None, Status.NOT_APPLICABLE)
    value = sample.recount / sample.reported
    index = int(np.searchsorted(FACTOR_LIMITS, value, side="right"))
    return Shade(value, index, Status.OK)


def _shade(layer: Layer, cell: Cell, mode: Mode, month: str, others: Mapping[str, Cell]) -> Shade:
    if mode is Mode.VALUE or cell.value is None:
        return Shade(cell.value, cell.class_index, cell.status)
    if mode is Mode.PACE:
        found = standing(layer, cell.target, cell.value, month)
        if found is None:
            return Shade(None, None, Status.NOT_APPLICABLE)
        return Shade(cell.value, STANDINGS.index(found), Status.OK)
    other = others.get(cell.place.id)
    if other is None or other.value is None:
        return Shade(None, None, Status.NO_DATA if other is None else other.status)
    moved = change(layer, cell.value, other.value)
    if moved is None:
        return Shade(None, None, Status.NOT_APPLICABLE)
    index = int(np.searchsorted(limits(layer, mode), moved, side="right"))
    return Shade(moved, index, Status.OK)

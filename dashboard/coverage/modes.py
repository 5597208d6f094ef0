"""What the colours of a view say: the values, their pace, or their change since another month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dashboard.coverage import palettes
from dashboard.coverage.model import Cell, Direction, Layer, Status, ViewTable
from dashboard.coverage.pace import STANDINGS, standing


class Mode(StrEnum):
    """Id in addresses."""

    VALUE = "value"
    PACE = "pace"
    CHANGE = "change"


POINTS = (-5.0, -1.0, 1.0, 5.0)
"""Class limits of a change in percentage points."""
PER_CENT = (-20.0, -5.0, 5.0, 20.0)
"""Class limits of a change of anything else, in per cent of what it was."""

PACE_COLOURS = ("#d7191c", "#fdae61", "#2c7bb6")
"""Late, behind, ahead: told apart by every kind of colour vision."""


@dataclass(frozen=True, slots=True)
class Shade:
    """What the map says of one place: the number shown and its class, or why there is none."""

    value: float | None
    class_index: int | None
    status: Status


def colours(layer: Layer, mode: Mode) -> tuple[str, ...]:
    """One colour a class, low value first."""
    if mode is Mode.VALUE:
        return palettes.colours(layer.palette, layer.classes)
    if mode is Mode.PACE:
        return PACE_COLOURS
    found = palettes.colours("RdYlBu", len(POINTS) + 1)
    return found if layer.direction is Direction.HIGHER else found[::-1]


def limits(layer: Layer, mode: Mode) -> tuple[float, ...]:
    """Inner class limits, ascending; none where the classes are words."""
    if mode is Mode.VALUE:
        return layer.breaks
    if mode is Mode.PACE:
        return ()
    return POINTS if layer.unit == "%" else PER_CENT


def change(layer: Layer, now: float | None, before: float | None) -> float | None:
    """The change between two values: in points of a percentage, else in per cent of ``before``."""
    if now is None or before is None:
        return None
    if layer.unit == "%":
        return now - before
    return None if before == 0 else (now - before) / abs(before) * 100


def shades(table: ViewTable, mode: Mode, before: Mapping[str, Cell]) -> list[Shade]:
    """What the map says of each of a table's cells.

    Args:
        before: cells of the other month by place id, for ``CHANGE``; a place that is missing there
            has no data.
    """
    return [_shade(table.layer, cell, mode, table.view.month, before) for cell in table.cells]


def _shade(layer: Layer, cell: Cell, mode: Mode, month: str, before: Mapping[str, Cell]) -> Shade:
    if mode is Mode.VALUE or cell.value is None:
        return Shade(cell.value, cell.class_index, cell.status)
    if mode is Mode.PACE:
        found = standing(layer, cell.value, month)
        if found is None:
            return Shade(None, None, Status.NOT_APPLICABLE)
        return Shade(cell.value, STANDINGS.index(found), Status.OK)
    other = before.get(cell.place.id)
    if other is None or other.value is None:
        return Shade(None, None, Status.NO_DATA if other is None else other.status)
    moved = change(layer, cell.value, other.value)
    if moved is None:
        return Shade(None, None, Status.NOT_APPLICABLE)
    index = int(np.searchsorted(limits(layer, mode), moved, side="right"))
    return Shade(moved, index, Status.OK)

"""Pace 序时进度: where a place should stand by now, and whether it does. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dashboard.coverage.model import Direction, Layer, Pace, Target, TrendPoint

YEAR = 12
NEARLY = 0.9
"""Down to this share of the pace a place is behind; further down it is late."""
_SAME = 1e-9


class Standing(StrEnum):
    """达到序时, 落后序时, 严重滞后: worst first, as the map's classes are."""

    LATE = "late"
    BEHIND = "behind"
    AHEAD = "ahead"


STANDINGS = tuple(Standing)


@dataclass(frozen=True, slots=True)
class Due:
    """What a layer wants of a place at a month's end.

    Attributes:
        target: of the year, in the layer's unit.
        pace: target * share of the year passed where it is reached over the year, else the target.
    """

    target: float
    pace: float


def due(layer: Layer, target: Target | None, month: str) -> Due | None:
    """What is due at the end of ``YYYY-MM``; None without target, or for a layer without pace."""
    if target is None or layer.pace is Pace.NONE:
        return None
    passed = int(month[5:]) / YEAR if layer.pace is Pace.PROGRESS else 1.0
    return Due(target.value, target.value * passed)


def standing(
    layer: Layer, target: Target | None, value: float | None, month: str
) -> Standing | None:
    """How a value stands at the end of ``YYYY-MM``; None without a value or anything due.

    Higher is better: ahead at the pace or above; behind down to 90 % of it; late below, and once
    the year is over with the target missed. Lower is better: ahead at the target or below,
    behind up to 10 % above it, late beyond.
    """
    wanted = due(layer, target, month)
    if wanted is None or value is None:
        return None
    if layer.direction is Direction.LOWER:
        if value <= wanted.target + _SAME:
            return Standing.AHEAD
        return Standing.BEHIND if value <= wanted.target * (2 - NEARLY) + _SAME else Standing.LATE
    if value >= wanted.pace - _SAME:
        return Standing.AHEAD
    if layer.pace is Pace.PROGRESS and int(month[5:]) == YEAR:
        return Standing.LATE
    return Standing.BEHIND if value >= wanted.pace * NEARLY - _SAME else Standing.LATE


def off_pace_since(layer: Layer, points: Sequence[TrendPoint], month: str) -> str | None:
    """The month from which a place has been off pace without a break up to ``month``.

    A month without a value neither begins nor ends it. None where the place is on pace, or where
    nobody can tell.

    Args:
        points: the months of one place, ascending.
    """
    since = None
    for point in reversed([one for one in points if one.month <= month]):
        found = standing(layer, point.target, point.value, point.month)
        if found is Standing.AHEAD:
            break
        if found is None:
            if point.month == month or point.value is not None:
                break
            continue
        since = point.month
    return since

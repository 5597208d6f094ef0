"""Ranks of all places of one level: ties, small denominators, and the worse end of an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dashboard.coverage import classify
from dashboard.coverage.classify import Floats
from dashboard.coverage.model import Cell, Direction, Layer
from geodata.errors import DudaoError
from loaders.registry import measures

MINIMUM = 30
"""Below this denominator a share is as much chance as work: such places are greyed and named so,
unless another minimum is asked for."""
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Ranked:
    """One place in a ranking.

    Attributes:
        rank: 1 is best, ties share the better rank; None without a value or where it is small.
        small: whether its denominator lies below the minimum; it then takes nobody's rank.
        low, high: Wilson interval at 95 % of a share, in the layer's unit; None for what is none.
    """

    cell: Cell
    rank: int | None
    small: bool
    low: float | None
    high: float | None


def wilson(layer: Layer, numerator: Floats, denominator: Floats) -> tuple[Floats, Floats]:
    """The Wilson score interval of each share, in the layer's unit; NaN without persons.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212, as statsmodels computes it.
    """
    from statsmodels.stats.proportion import proportion_confint  # slow to import

    known = denominator > 0
    low, high = np.full(len(numerator), np.nan), np.full(len(numerator), np.nan)
    if known.any():
        low[known], high[known] = proportion_confint(
            numerator[known], denominator[known], alpha=1 - _CONFIDENCE, method="wilson"
        )
    return low * layer.factor, high * layer.factor


def has_interval(layer: Layer) -> bool:
    """Whether a layer's value is a share of persons or things, so that it has an interval.

    Money is not counted one by one: a share of it has none.
    """
    return layer.unit == "%" and measures()[layer.denominator].integer


def has_minimum(layer: Layer) -> bool:
    """Whether a layer divides by persons or things, so that few of them make its value chance."""
    return not layer.is_count and measures()[layer.denominator].integer


def rank(
    layer: Layer, cells: list[Cell], by_interval: bool = False, minimum: int = MINIMUM
) -> list[Ranked]:
    """Order cells best first; those without a value last, small ones before them.

    Args:
        by_interval: rank on the interval's worse end instead of the value, so that nobody leads
            by luck.
        minimum: a smaller denominator takes no rank.

    Raises:
        DudaoError: RANK_NO_INTERVAL, the layer is no share.
    """
    if by_interval and not has_interval(layer):
        raise DudaoError(
            "RANK_NO_INTERVAL",
            f"图层“{layer.title}”不是比率，不能按置信区间排名。",
            "请去掉 --wilson，按数值排名。",
        )
    value, top, bottom = (
        np.array([getattr(cell, name) for cell in cells], dtype=np.float64)
        for name in ("value", "numerator", "denominator")
    )
    low = high = np.full(len(cells), np.nan)
    small = np.zeros(len(cells), dtype=np.bool_)
    if has_interval(layer):
        low, high = wilson(layer, np.where(np.isnan(value), np.nan, top), bottom)
    if has_minimum(layer):
        small = (bottom < minimum) & ~np.isnan(value)
    worse = low if layer.direction is Direction.HIGHER else high
    measured = np.where(small, np.nan, worse if by_interval else value)
    ranks = classify.ranks(layer, measured)
    order = np.lexsort(
        (
            np.array([cell.place.id for cell in cells]),
            np.where(ranks > 0, ranks, len(cells) + 1),
            np.where(ranks > 0, 0, np.where(np.isnan(value), 2, 1)),
        )
    )
    return [
        Ranked(
            cells[at],
            int(ranks[at]) or None,
            bool(small[at]),
            None if np.isnan(low[at]) else float(low[at]),
            None if np.isnan(high[at]) else float(high[at]),
        )
        for at in order.tolist()
    ]

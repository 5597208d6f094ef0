"""From numerator and denominator to value, class and rank: pure NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dashboard.coverage.model import Direction, Layer

Floats = NDArray[np.float64]


def values(layer: Layer, numerator: Floats, denominator: Floats) -> Floats:
    """The values in the layer's unit; NaN where a number is missing or the denominator is 0.

    numerator / denominator * factor; of a layer that counts only, the numerator.
    """
    if layer.is_count:
        return numerator
    with np.errstate(divide="ignore", invalid="ignore"):
        result = numerator * layer.factor / denominator
    return np.where(denominator == 0, np.nan, result)


def class_indices(layer: Layer, value: Floats) -> NDArray[np.int64]:
    """0-based class of each value, -1 for NaN; a value equal to a break is in the class above."""
    index = np.searchsorted(np.asarray(layer.breaks), value, side="right")
    return np.where(np.isnan(value), -1, index).astype(np.int64)


def ranks(layer: Layer, value: Floats) -> NDArray[np.int64]:
    """1 for the best value, equal values share the better rank (1, 2, 2, 4); 0 for NaN."""
    known = ~np.isnan(value)
    score = value[known] if layer.direction is Direction.LOWER else -value[known]
    result = np.zeros(len(value), dtype=np.int64)
    result[known] = np.searchsorted(np.sort(score), score, side="left") + 1
    return result


def worst_first(layer: Layer, numerator: Floats, denominator: Floats, value: Floats) -> list[int]:
    """Positions ordered worst value first; among equals the larger shortfall; no value last."""
    badness = -value if layer.direction is Direction.HIGHER else value
    size = np.nan_to_num(np.abs(denominator - numerator))
    order = np.lexsort((-size, np.where(np.isnan(value), np.inf, -badness)))
    return [int(position) for position in order]

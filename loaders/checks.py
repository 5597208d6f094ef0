"""Checks on whole columns: figures, repeated keys, parts above their wholes. All on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loaders.model import KnownLayer
from loaders.registry import Column, Measure
from loaders.table import Flags, Rows

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]


def number_text(values: Floats) -> NDArray[np.object_]:
    """Figures for messages: whole ones without a decimal point."""
    return np.array(
        [str(int(one)) if one.is_integer() else f"{one:.12g}" for one in values.tolist()],
        dtype=object,
    )


def combine(*codes_and_sizes: tuple[NDArray[np.integer], int]) -> Keys:
    """Several code columns as one number a row; codes run from 0 to size - 1."""
    key = np.zeros(len(codes_and_sizes[0][0]), dtype=np.int64)
    for codes, size in codes_and_sizes:
        key *= size
        key += codes
    return key


@dataclass(frozen=True, slots=True)
class Repeats:
    """Rows whose key came before: ``at`` the later rows, ``first`` the row each repeats."""

    at: Rows
    first: Rows


def repeats(keys: Keys | NDArray[np.object_]) -> Repeats:
    """Find the rows that repeat an earlier row's key."""
    later = np.flatnonzero(pd.Index(keys).duplicated())
    if len(later) == 0:
        return Repeats(later, later)
    codes, uniques = pd.factorize(keys)
    first = np.full(len(uniques), len(codes), dtype=np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    return Repeats(later, first[codes[later]])


@dataclass(frozen=True, slots=True)
class Bounds:
    """Rows of good numbers that the measure cannot have."""

    negative: Flags
    fraction: Flags
    outside: Flags


def bounds(
    values: Floats, measure: NDArray[np.int32], measures: Sequence[Measure | Column | KnownLayer]
) -> Bounds:
    """Compare figures with the bounds declared for them; NaN is never wrong.

    Args:
        measure: index into ``measures``, one a row.
    """
    lower = np.array([one.lower for one in measures])[measure]
    upper = np.array([one.upper for one in measures])[measure]
    integer = np.array([one.integer for one in measures])[measure]
    with np.errstate(invalid="ignore"):
        negative = (values < 0) & (lower >= 0)
        fraction = integer & (values != np.floor(values)) & ~np.isnan(values) & ~negative
        outside = ((values < lower) | (values > upper)) & ~negative & ~fraction
    return Bounds(negative, fraction, outside)


@dataclass(frozen=True, slots=True)
class Pairing:
    """Rows of one measure beside the rows of another with the same key; ``-1``: none."""

    rows: Rows
    partner: Rows


def pair_up(rows: Rows, others: Rows, keys: Keys) -> Pairing:
    """For each of ``rows`` the one of ``others`` with an equal key; keys of these are unique."""
    if len(others) == 0:
        return Pairing(rows, np.full(len(rows), -1, dtype=np.int64))
    order = others[np.argsort(keys[others], kind="stable")]
    sorted_keys = keys[order]
    at = np.minimum(np.searchsorted(sorted_keys, keys[rows]), len(order) - 1)
    return Pairing(rows, np.where(sorted_keys[at] == keys[rows], order[at], -1))


_YUAN_PER_WAN = 10_000
_ABOUT = 5
"""A sum this many times more or less than 10,000 times last month's is still taken for yuan."""


def yuan_for_wan(values: Floats, before: Floats) -> Rows:
    """Positions of sums that are about 10,000 times those of the month before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        times = values / before / _YUAN_PER_WAN
    return np.flatnonzero((times >= 1 / _ABOUT) & (times <= _ABOUT) & np.isfinite(times))

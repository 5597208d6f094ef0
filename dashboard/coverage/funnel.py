"""Funnel plot: which places differ from a share by more than chance, whatever their size. Pure.

For shares of persons or households only (``suits``): the limits are those of the binomial
distribution. Of many places that do not differ at all, one in 20 at most lies outside
the inner limits and one in 500 outside the outer ones; in 3,000 villages that is still six.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from dashboard.coverage import disclosure
from dashboard.coverage.classify import Floats
from dashboard.coverage.model import Cell, Direction, Layer

INNER = 0.025
"""Probability beyond each limit at 95 %."""
OUTER = 0.001
"""Probability beyond each limit at 99.8 %."""
_TRIMMED = 0.1
"""Share of places at either end whose distance is drawn in before it counts for dispersion."""
ENOUGH = 10
"""Of fewer places none is drawn in, and who stands out would widen the limits until it does not."""


class Standing(StrEnum):
    """Where a place lies; whether above is good is the layer's direction."""

    FAR_BELOW = "far_below"
    BELOW = "below"
    INSIDE = "inside"
    ABOVE = "above"
    FAR_ABOVE = "far_above"


TONES = ("far-worse", "worse", "inside", "better", "far-better")
"""What a standing means in a layer's own sense."""
_OUTSIDE = ("far-worse", "far-better", "worse", "better")
"""In this order: who is clearly different comes before who may be."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the share by denominator, between 0 and 1; NaN where there can be none.

    Attributes:
        low, high: at 95 %.
        far_low, far_high: at 99.8 %.
    """

    low: Floats
    high: Floats
    far_low: Floats
    far_high: Floats


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How much more places scatter than chance lets them.

    Attributes:
        phi: 1 where it is chance alone, 4 where places scatter twice as wide; NaN without places.
        places: how many it stands on.
        beyond_chance: whether phi lies above 1 + 2 sqrt(2 / places). Then places differ in much
            that no one of them is to blame for, and limits are to be widened by phi.
    """

    phi: float
    places: int
    beyond_chance: bool


@dataclass(frozen=True, slots=True)
class Funnel:
    """The places of one level about their common share.

    Attributes:
        cells: those that have a value and limits; what is left out of the layer is not among them
            and counts in nothing.
        stands: where each of them lies, in their order.
        share: of all of them together; NaN without any. Above 1, more done than there is to do,
            there are no limits and no cells.
        phi: what the limits are widened by: 1, or the dispersion of at least 10 places where it is
            beyond chance.
        without: how many more places there are.
    """

    cells: tuple[Cell, ...]
    stands: tuple[Standing, ...]
    share: float
    phi: float
    without: int


def suits(layer: Layer) -> bool:
    """Whether a layer is a share of persons or households, so that chance has binomial limits.

    Money is never counted; institutions are too few at one place for chance to say anything.
    """
    return disclosure.is_share(layer) and disclosure.is_personal(layer.denominator)


def draw(cells: Sequence[Cell], share: float | None = None) -> Funnel:
    """The funnel of the places that have a value; empty where more is done than there is to do.

    Args:
        share: to draw it about; None: about what they come to together.
    """
    known = [cell for cell in cells if cell.value is not None]
    done, whole = (
        np.array([getattr(cell, name) for cell in known], dtype=np.float64)
        for name in ("numerator", "denominator")
    )
    if not known:
        return Funnel((), (), np.nan, 1.0, len(cells))
    share = float(done.sum() / whole.sum()) if share is None else share
    if share > 1:
        return Funnel((), (), share, 1.0, len(cells))
    spread = dispersion(done, whole, share)
    widens = spread.beyond_chance and spread.places >= ENOUGH
    phi = spread.phi if widens else 1.0
    placed = [
        (cell, stands)
        for cell, stands in zip(known, standing(done, whole, share, phi), strict=True)
        if stands is not None
    ]
    return Funnel(
        tuple(cell for cell, _stands in placed),
        tuple(stands for _cell, stands in placed),
        share,
        phi,
        len(cells) - len(placed),
    )


def tone_of(layer: Layer, stands: Standing) -> str:
    """A standing in the layer's own sense: one of ``TONES``."""
    order = TONES if layer.direction is Direction.HIGHER else TONES[::-1]
    return order[tuple(Standing).index(stands)]


def outside(layer: Layer, found: Funnel) -> list[tuple[str, Cell]]:
    """The places outside the limits with their tone, the clearly worse first; large ones first."""
    placed = [
        (tone_of(layer, stands), cell)
        for cell, stands in zip(found.cells, found.stands, strict=True)
        if stands is not Standing.INSIDE
    ]
    return sorted(placed, key=lambda one: (_OUTSIDE.index(one[0]), -(one[1].denominator or 0)))


def limits(share: float, denominators: ArrayLike, phi: float = 1.0) -> Limits:
    """The limits at 95 % and 99.8 % about a share, for places of the given denominators.

    A place lies outside a limit exactly where its count, or one further out, has a probability
    below 2.5 % (0.1 %) by the binomial distribution; nothing is approximated by a normal one.

    Args:
        share: of all places together, 0 to 1.
        denominators: whole and above 0; any other has no limits.
        phi: widens the limits by its square root where it is above 1; see ``dispersion``.

    Raises:
        ValueError: ``share`` is not within 0 and 1.

    Source: D. J. Spiegelhalter, Stat. Med. 24 (2005) 1185-1202, doi 10.1002/sim.1970: exact limits,
    interpolated between counts so that they make a curve. The upper limit is the lower one's mirror
    image (that of the share of those without), so that both ends of a funnel are as strict.
    """
    whole = _whole(denominators)
    with np.errstate(invalid="ignore"):
        return Limits(*(count / whole for count in _counts(share, whole, phi)))


def standing(
    numerators: ArrayLike, denominators: ArrayLike, share: float, phi: float = 1.0
) -> list[Standing | None]:
    """Where each place lies by the limits of ``limits``; None where it has no value or no limits.

    Raises:
        ValueError: ``share`` is not within 0 and 1.
    """
    done, whole = np.broadcast_arrays(
        np.asarray(numerators, dtype=np.float64), _whole(denominators)
    )
    low, high, far_low, far_high = _counts(share, whole, phi)
    # Both comparisons of a side are True where it is far: 2 is INSIDE, 0 FAR_BELOW, 4 FAR_ABOVE.
    outside = (done > high).astype(np.int64) + (done > far_high) - (done < low) - (done < far_low)
    known = ~np.isnan(done) & ~np.isnan(whole)
    names = tuple(Standing)
    return [
        names[2 + at] if there else None
        for at, there in zip(outside.tolist(), known.tolist(), strict=True)
    ]


def dispersion(numerators: ArrayLike, denominators: ArrayLike, share: float) -> Dispersion:
    """How much more places scatter about a share than the binomial distribution says.

    Places without a value or a denominator are left out, and so is all where share is 0 or 1.

    Raises:
        ValueError: ``share`` is not within 0 and 1.

    Source: phi = mean of z², z = (y - share) / sqrt(share (1 - share) / n), with the outermost
    tenth of z at either end drawn in to the next (winsorised), so that those who stand out do not
    excuse themselves: Spiegelhalter (2005), as at ``limits``. Unlike there it is divided by what
    that leaves of a normal distribution's variance (0.68): limits widened by it hold what they say.
    """
    _check(share)
    done, whole = np.broadcast_arrays(
        np.asarray(numerators, dtype=np.float64), _whole(denominators)
    )
    known = ~np.isnan(done) & ~np.isnan(whole)
    variance = share * (1 - share)
    places = int(known.sum()) if variance else 0
    if not places:
        return Dispersion(np.nan, 0, False)
    n = whole[known]
    z = np.sort((done[known] / n - share) / np.sqrt(variance / n))
    cut = int(places * _TRIMMED)
    z = np.clip(z, z[cut], z[places - 1 - cut])
    phi = float((z * z).mean()) / _left(cut / places)
    return Dispersion(phi, places, phi > 1 + 2 * sqrt(2 / places))


def _left(trimmed: float) -> float:
    """The variance of a standard normal distribution winsorised by a share at either end."""
    if not trimmed:
        return 1.0
    normal = NormalDist()
    edge = normal.inv_cdf(1 - trimmed)
    return 1 - 2 * trimmed - 2 * edge * normal.pdf(edge) + 2 * trimmed * edge * edge


def _check(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"share is {share}, not within 0 and 1")


def _whole(denominators: ArrayLike) -> Floats:
    """The denominators, NaN where one is not whole or not above 0."""
    given = np.atleast_1d(np.asarray(denominators, dtype=np.float64))
    return np.where(np.isfinite(given) & (given > 0) & (given == np.floor(given)), given, np.nan)


def _counts(share: float, whole: Floats, phi: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Low, high, far low, far high as counts: what lies strictly outside is unlikely."""
    _check(share)
    middle, wider = share * whole, sqrt(max(1.0, phi))

    def widened(count: Floats) -> Floats:
        return np.clip(middle + (count - middle) * wider, 0.0, whole) if wider > 1 else count

    # Villages share few denominators; each is worked out once.
    different, where = np.unique(whole, return_inverse=True)
    ends = [
        widened(count[where.reshape(whole.shape)])
        for chance in (INNER, OUTER)
        for count in (
            _lowest(share, different, chance),
            different - _lowest(1 - share, different, chance),
        )
    ]
    return ends[0], ends[1], ends[2], ends[3]


def _lowest(share: float, whole: Floats, chance: float) -> Floats:
    """The count such that P(R <= k) < chance for exactly the whole k below it; never below 0.

    r - a, with r the smallest count with P(R <= r) >= chance and
    a = (P(R <= r) - chance) / P(R = r), which lies within 0 and 1.
    """
    from scipy.stats import binom  # slow to import

    r = binom.ppf(chance, whole, share)
    at, before = binom.cdf(r, whole, share), binom.cdf(r - 1, whole, share)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.maximum(0.0, r - (at - chance) / (at - before)))

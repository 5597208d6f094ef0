"""Verification 核查: what a recount on the spot says of reported figures. Pure.

Two answers: a place's class by lot quality assurance sampling (LQAS), which is never a rank, and
the verification factor, recounted over reported, with its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

import numpy as np

from dashboard.coverage.classify import Floats

UPPER = 0.80
"""From this share of good units on a place is good: it should pass."""
LOWER = 0.50
"""Down to this share a place is bad: it should fail. What lies between is grey: either is right."""
DECIDES_FROM = 5
"""Units. With fewer the two risks of the best rule for 80 % against 50 % add up to 0.49 and more (4
units: 18 % of good places failed, 31 % of bad ones passed), so that a class would be chance."""
OVER_REPORTED_BELOW = 0.90
UNDER_REPORTED_ABOVE = 1.10
_CONFIDENCE = 0.95
_LARGE_SHARE = 10
"""A sample of more than a tenth of its village is drawn from what it leaves: hypergeometric."""
_SAME = 1e-9
_TIE = 1e-12


class Sign(StrEnum):
    """多报, 少报, 相符."""

    OVER_REPORTED = "over_reported"
    UNDER_REPORTED = "under_reported"
    AGREES = "agrees"


@dataclass(frozen=True, slots=True)
class Rule:
    """A decision rule: of n units at most d may fail, and the place passes.

    Attributes:
        n: units visited.
        d: the most failures that pass, so n - d successes are wanted.
        alpha: risk that a place at the upper threshold is failed, 0 to 1.
        beta: risk that a place at the lower threshold is passed, 0 to 1.
    """

    n: int
    d: int
    alpha: float
    beta: float


@dataclass(frozen=True, slots=True)
class Lot:
    """One place judged by the best rule for its number of units.

    Attributes:
        n, failures: units visited, and those of them that were not as they should be.
        d, alpha, beta: as in ``Rule``.
        passed: None is undecided, fewer than ``DECIDES_FROM`` units.
    """

    n: int
    failures: int
    d: int
    alpha: float
    beta: float
    passed: bool | None


@dataclass(frozen=True, slots=True)
class Factor:
    """The verification factor of the units visited.

    Attributes:
        n: units visited.
        recount, reported: their sums.
        value: recount / reported; None where nothing was reported.
        low, high: interval of the value at 95 %; None without a value or with one unit.
    """

    n: int
    recount: float
    reported: float
    value: float | None
    low: float | None
    high: float | None

    @property
    def sign(self) -> Sign | None:
        """Over-reported below 0.90, under-reported above 1.10; None without a value."""
        if self.value is None:
            return None
        if self.value < OVER_REPORTED_BELOW - _SAME:
            return Sign.OVER_REPORTED
        if self.value > UNDER_REPORTED_ABOVE + _SAME:
            return Sign.UNDER_REPORTED
        return Sign.AGREES


def _at_most(n: int, share: float, population: int | None) -> Floats:
    """P(at most d of n units fail), d = 0 to n, where ``share`` of all units are good."""
    if population is None or n * _LARGE_SHARE <= population:
        from scipy.special import bdtr  # slow to import

        return np.asarray(bdtr(np.arange(n + 1), n, 1 - share), dtype=np.float64)
    good = math.floor(share * population + 0.5 + _SAME)
    ways = accumulate(
        math.comb(population - good, failed) * math.comb(good, n - failed)
        for failed in range(n + 1)
    )
    of = math.comb(population, n)
    return np.array([way / of for way in ways], dtype=np.float64)


def _risks(n: int, upper: float, lower: float, population: int | None) -> tuple[Floats, Floats]:
    """alpha and beta of every d from 0 to n. Raises ValueError as ``rule`` does."""
    if n < 0:
        raise ValueError(f"a sample of {n} units")
    if not 0 <= lower < upper <= 1:
        raise ValueError(f"thresholds must be 0 <= lower < upper <= 1, not {lower} and {upper}")
    if population is not None and population < n:
        raise ValueError(f"a sample of {n} units out of {population}")
    return 1 - _at_most(n, upper, population), _at_most(n, lower, population)


def rule(n: int, d: int, upper: float, lower: float, population: int | None = None) -> Rule:
    """The risks of letting a place pass with at most d failures of n units.

    Source: E. L. Grant and R. S. Leavenworth, Statistical Quality Control (1988) 391-425, whose
    table of 80 % against 50 % is reprinted at https://pmc.ncbi.nlm.nih.gov/articles/PMC3013262/.

    Args:
        upper, lower: shares of good units, 0 to 1.
        population: units in the village. Where the sample is more than a tenth of it the
            hypergeometric distribution is taken, with thresholds rounded to whole units (half up);
            else, and where it is unknown, the binomial.

    Raises:
        ValueError: n negative, d outside 0 to n, thresholds not 0 <= lower < upper <= 1, or more
            units visited than there are.
    """
    alpha, beta = _risks(n, upper, lower, population)
    if not 0 <= d <= n:
        raise ValueError(f"{d} failures of {n} units")
    return Rule(n, d, float(alpha[d]), float(beta[d]))


def best_rule(n: int, upper: float, lower: float, population: int | None = None) -> Rule:
    """The rule with the least alpha + beta; of equals the one with the smaller beta, the stricter.

    In a village so small that both thresholds round to the same number of units no rule tells them
    apart: alpha + beta is 1.

    Raises:
        ValueError: as ``rule``.
    """
    alpha, beta = _risks(n, upper, lower, population)
    both = alpha + beta
    d = int(np.argmax(both <= both.min() + _TIE))  # the first: beta grows with d
    return Rule(n, d, float(alpha[d]), float(beta[d]))


def judge(
    n: int,
    failures: int,
    upper: float = UPPER,
    lower: float = LOWER,
    population: int | None = None,
) -> Lot:
    """Judge a place by the best rule: at most d failures pass; undecided with too few units.

    Raises:
        ValueError: as ``rule``, or failures outside 0 to n.
    """
    found = best_rule(n, upper, lower, population)
    if not 0 <= failures <= n:
        raise ValueError(f"{failures} failures of {n} units")
    passed = failures <= found.d if n >= DECIDES_FROM else None
    return Lot(n, failures, found.d, found.alpha, found.beta, passed)


def factor(pairs: Sequence[tuple[float, float]], population: int | None = None) -> Factor:
    """The verification factor R of units drawn at random, with Student's interval.

    v(R) = (1 - f) / (n * x̄²) * Σ(y - R x)² / (n - 1), where y is the recount, x the reported figure
    and f = n / population; R ± t(n - 1) * √v, not below 0. With 19 units of very unlike shares it
    covers the truth in 93 rather than 95 of 100. Where all units differ by the same share the
    interval is that one value, however few they are.

    Source: W. G. Cochran, Sampling Techniques, 3rd ed. (1977), theorem 2.5 (eq. 2.39) and ch. 6.

    Args:
        pairs: (recount, reported) of each unit visited, in one unit of measure.
        population: units the sample was drawn from, for the finite population correction.

    Raises:
        ValueError: a figure is negative or not finite, or more units visited than there are.
    """
    n = len(pairs)
    if population is not None and population < n:
        raise ValueError(f"a sample of {n} units out of {population}")
    if not all(math.isfinite(figure) and figure >= 0 for pair in pairs for figure in pair):
        raise ValueError("a figure is negative or not finite")
    recount, reported = math.fsum(y for y, _ in pairs), math.fsum(x for _, x in pairs)
    if reported == 0:
        return Factor(n, recount, reported, None, None, None)
    value = recount / reported
    if n < 2:
        return Factor(n, recount, reported, value, None, None)
    from scipy.special import stdtrit  # slow to import

    sampled = 0.0 if population is None else n / population
    spread = math.fsum((y - value * x) ** 2 for y, x in pairs) / (n - 1)
    error = math.sqrt((1 - sampled) * spread / n) / (reported / n)
    half = float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) * error
    return Factor(n, recount, reported, value, max(0.0, value - half), value + half)

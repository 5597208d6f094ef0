"""Verification: LQAS rules against published and enumerated risks, the factor and its interval."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import combinations, pairwise, product
from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from dashboard.coverage import verification
from dashboard.coverage.classify import Floats
from dashboard.coverage.verification import (
    DECIDES_FROM,
    Factor,
    Lot,
    Rule,
    Sign,
    best_rule,
    factor,
    judge,
    rule,
)

FIGURES = st.integers(0, 500)
PAIRS = st.lists(st.tuples(FIGURES, FIGURES), min_size=2, max_size=30).filter(
    lambda pairs: sum(reported for _, reported in pairs) > 0
)


@st.composite
def thresholds(draw: st.DrawFn) -> tuple[float, float]:
    """Upper and lower, in hundredths."""
    lower = draw(st.integers(0, 99))
    return draw(st.integers(lower + 1, 100)) / 100, lower / 100


@st.composite
def samples(draw: st.DrawFn) -> tuple[int, int | None]:
    """A number of units and of what they were drawn from, or None."""
    n = draw(st.integers(1, 40))
    return n, draw(st.none() | st.integers(n, 20 * n))


# LQAS


def test_nineteen_units_six_failures() -> None:
    found = rule(19, 6, 0.80, 0.50)
    assert (round(1 - found.alpha, 2), round(1 - found.beta, 2)) == (0.93, 0.92)
    assert found.beta == pytest.approx(sum(comb(19, failed) for failed in range(7)) / 2**19)
    assert found.alpha == pytest.approx(0.06760006589711642, abs=1e-12)
    assert best_rule(19, 0.80, 0.50) == found


@pytest.mark.parametrize(
    ("n", "d", "passing_good", "failing_bad"),
    [
        (12, 3, 0.80, 0.93), (12, 4, 0.93, 0.81), (12, 5, 0.98, 0.61),
        (14, 3, 0.70, 0.97), (14, 4, 0.87, 0.91), (14, 5, 0.96, 0.79),
        (19, 4, 0.67, 0.99), (19, 5, 0.84, 0.97), (19, 6, 0.93, 0.92), (19, 7, 0.98, 0.82),
        (28, 8, 0.91, 0.98), (28, 9, 0.96, 0.96), (28, 10, 0.99, 0.90),
    ],
)  # fmt: skip
def test_the_risks_are_the_published_ones(
    n: int, d: int, passing_good: float, failing_bad: float
) -> None:
    """Grant and Leavenworth's as PMC3013262 reprints them, some rounded, some cut to two digits."""
    found = rule(n, d, 0.80, 0.50)
    assert 1 - found.alpha == pytest.approx(passing_good, abs=0.01)
    assert 1 - found.beta == pytest.approx(failing_bad, abs=0.01)


@pytest.mark.parametrize(("n", "d"), [(8, 2), (12, 4), (14, 4), (19, 6), (28, 9)])
def test_the_best_rules_are_the_published_ones(n: int, d: int) -> None:
    assert best_rule(n, 0.80, 0.50).d == d


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_binomial_risks_by_enumeration(share: float) -> None:
    """All 2^6 outcomes of six units, each by its probability."""
    n = 6
    for d in range(n + 1):
        passing = sum(
            float(np.prod([1 - share if fails else share for fails in outcome]))
            for outcome in product([False, True], repeat=n)
            if sum(outcome) <= d
        )
        if share > 0:
            assert rule(n, d, share, 0).alpha == pytest.approx(1 - passing, abs=1e-12)
        if share < 1:
            assert rule(n, d, 1, share).beta == pytest.approx(passing, abs=1e-12)


@pytest.mark.parametrize(("population", "good", "bad"), [(8, 6, 4), (10, 8, 5), (11, 9, 6)])
@pytest.mark.parametrize("n", [2, 5, 8])
def test_hypergeometric_risks_by_enumeration(population: int, good: int, bad: int, n: int) -> None:
    """All samples without replacement; 80 % of 8 is 6.4, half of 11 is 5.5 and rounds up."""

    def passing(successes: int, d: int) -> float:
        drawn = [sum(at >= successes for at in one) for one in combinations(range(population), n)]
        return sum(failures <= d for failures in drawn) / len(drawn)

    for d in range(n + 1):
        found = rule(n, d, 0.80, 0.50, population)
        assert found.alpha == pytest.approx(1 - passing(good, d), abs=1e-12)
        assert found.beta == pytest.approx(passing(bad, d), abs=1e-12)


def test_only_more_than_a_tenth_of_a_village_makes_it_small() -> None:
    assert rule(19, 6, 0.80, 0.50, 190) == rule(19, 6, 0.80, 0.50)
    near = rule(19, 6, 0.80, 0.50, 189)
    assert near != rule(19, 6, 0.80, 0.50)
    assert near.alpha == pytest.approx(0.0676, abs=0.01)
    assert near.beta == pytest.approx(0.0835, abs=0.01)


def test_a_smaller_village_carries_less_risk() -> None:
    sums = [
        one.alpha + one.beta for one in (best_rule(19, 0.8, 0.5, of) for of in (20, 40, 80, 160))
    ]
    assert sums == sorted(sums) and sums[-1] < 0.152


def test_a_village_visited_whole_carries_none() -> None:
    """20 of 20: 4 failures are 80 %, 10 are 50 %; of all rules without risk the strictest."""
    assert best_rule(20, 0.80, 0.50, 20) == Rule(20, 4, 0.0, 0.0)
    assert [rule(20, d, 0.80, 0.50, 20).alpha for d in (3, 4, 9)] == [1.0, 0.0, 0.0]
    assert [rule(20, d, 0.80, 0.50, 20).beta for d in (4, 9, 10)] == [0.0, 0.0, 1.0]


def test_of_equal_sums_the_smaller_beta() -> None:
    """80 % against 20 %: d = 2 and d = 3 of 6 mirror each other."""
    two, three = rule(6, 2, 0.80, 0.20), rule(6, 3, 0.80, 0.20)
    assert two.alpha + two.beta == pytest.approx(three.alpha + three.beta, abs=1e-15)
    assert two.beta < three.beta
    assert best_rule(6, 0.80, 0.20) == two


def test_thresholds_that_round_to_one_number_cannot_be_told_apart() -> None:
    found = best_rule(5, 0.62, 0.60, 5)
    assert found.alpha + found.beta == pytest.approx(1)


def test_a_decimal_half_rounds_up_though_binary_puts_it_below() -> None:
    assert 0.58 * 25 < 14.5
    # 15 good, 10 bad of 25, all visited.
    assert [rule(25, d, 0.58, 0.20, 25).alpha for d in (9, 10)] == [1.0, 0.0]


@given(samples(), thresholds())
def test_a_laxer_rule_trades_alpha_for_beta(
    sample: tuple[int, int | None], shares: tuple[float, float]
) -> None:
    (n, population), (upper, lower) = sample, shares
    rules = [rule(n, d, upper, lower, population) for d in range(n + 1)]
    for stricter, laxer in pairwise(rules):
        assert laxer.alpha <= stricter.alpha + 1e-12
        assert laxer.beta >= stricter.beta - 1e-12
    for one in rules:
        assert 0 <= one.alpha <= 1 and 0 <= one.beta <= 1
        assert one.alpha + one.beta <= 1 + 1e-9
    assert rules[-1].alpha == 0 and rules[-1].beta == 1


@given(samples(), thresholds())
def test_no_rule_is_better_than_the_best(
    sample: tuple[int, int | None], shares: tuple[float, float]
) -> None:
    (n, population), (upper, lower) = sample, shares
    best = best_rule(n, upper, lower, population)
    assert best == rule(n, best.d, upper, lower, population)
    for d in range(n + 1):
        other = rule(n, d, upper, lower, population)
        assert best.alpha + best.beta <= other.alpha + other.beta + 2e-12
        if other.alpha + other.beta == best.alpha + best.beta:
            assert best.beta <= other.beta


@pytest.mark.parametrize(("failures", "passed"), [(0, True), (6, True), (7, False), (19, False)])
def test_a_place_is_judged_by_its_failures(failures: int, passed: bool) -> None:
    found = judge(19, failures)
    best = best_rule(19, 0.80, 0.50)
    assert found == Lot(19, failures, 6, best.alpha, best.beta, passed)


@pytest.mark.parametrize("n", range(DECIDES_FROM))
def test_too_few_units_decide_nothing(n: int) -> None:
    for failures in range(n + 1):
        found = judge(n, failures)
        assert found.passed is None
        assert (found.n, found.failures) == (n, failures)
        assert found.alpha + found.beta > 0.49  # what the constant says


def test_five_units_decide() -> None:
    assert [judge(5, failures).passed for failures in range(6)] == [True] * 2 + [False] * 4
    assert judge(5, 1).alpha + judge(5, 1).beta < 0.46


def test_a_judgement_knows_the_village_and_other_thresholds() -> None:
    assert judge(20, 4, population=20).passed is True
    assert judge(20, 5, population=20).passed is False
    assert judge(20, 5).passed is True
    strict = judge(19, 3, upper=0.95, lower=0.80)
    assert strict.d == best_rule(19, 0.95, 0.80).d and strict.passed is False


@given(samples(), thresholds(), st.data())
def test_more_failures_never_pass_where_fewer_did_not(
    sample: tuple[int, int | None], shares: tuple[float, float], data: st.DataObject
) -> None:
    n, population = sample
    failures = data.draw(st.integers(0, n))
    found = judge(n, failures, *shares, population)
    assert found.passed is (None if n < DECIDES_FROM else failures <= found.d)


@pytest.mark.parametrize(
    ("n", "d", "upper", "lower", "population"),
    [
        (-1, 0, 0.8, 0.5, None), (5, 6, 0.8, 0.5, None), (5, -1, 0.8, 0.5, None),
        (5, 1, 0.5, 0.8, None), (5, 1, 0.5, 0.5, None), (5, 1, 1.1, 0.5, None),
        (5, 1, 0.8, -0.1, None), (5, 1, float("nan"), 0.5, None), (5, 1, 0.8, 0.5, 4),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(
    n: int, d: int, upper: float, lower: float, population: int | None
) -> None:
    with pytest.raises(ValueError):
        rule(n, d, upper, lower, population)
    with pytest.raises(ValueError):
        judge(n, d, upper, lower, population)


# The factor


def test_the_factor_by_hand() -> None:
    """y = 8, 9, 10 and x = 10, 10, 10: R = 0.9, d = -1, 0, 1, v = 1 / (3 * 100) = 1 / 300."""
    found = factor([(8, 10), (9, 10), (10, 10)])
    assert (found.n, found.recount, found.reported, found.value) == (3, 27, 30, 0.9)
    half = 4.302652729911275 * sqrt(1 / 300)  # Student, 2 degrees of freedom
    assert found.low == pytest.approx(0.9 - half) and found.high == pytest.approx(0.9 + half)


def cochran(pairs: list[tuple[int, int]], population: int | None) -> float:
    """v(R) written out with variances and covariance, another road to the same number."""
    y, x = np.array(pairs, dtype=np.float64).T
    ratio = y.sum() / x.sum()
    (yy, xy), (_, xx) = np.cov(y, x)
    fraction = 0 if population is None else len(pairs) / population
    return float(
        (1 - fraction) / (len(pairs) * x.mean() ** 2) * (yy + ratio**2 * xx - 2 * ratio * xy)
    )


@given(PAIRS, st.none() | st.integers(0, 100))
def test_the_interval_is_cochrans_with_students_quantile(
    pairs: list[tuple[int, int]], more: int | None
) -> None:
    population = None if more is None else len(pairs) + more
    found = factor(pairs, population)
    assert found.value is not None and found.low is not None and found.high is not None
    half = student.ppf(0.975, len(pairs) - 1) * sqrt(max(0.0, cochran(pairs, population)))
    assert found.high == pytest.approx(found.value + half, rel=1e-6, abs=1e-5)
    assert found.low == pytest.approx(max(0.0, found.value - half), rel=1e-6, abs=1e-5)
    assert 0 <= found.low <= found.value <= found.high


def draw(rng: np.random.Generator, size: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Recount and reported of units that differ in size, of which 85 % are found again."""
    reported = rng.integers(20, 80, size)
    share = rng.beta(8.5, 1.5, size)  # mean 0.85, and each unit its own
    return rng.binomial(reported, share).astype(np.float64), reported.astype(np.float64)


def covered(found: Factor, truth: float) -> bool:
    assert found.low is not None and found.high is not None
    return found.low <= truth <= found.high


@pytest.mark.parametrize(("n", "least"), [(19, 0.92), (60, 0.935)])
def test_the_interval_covers_the_truth_in_nearly_95_of_100(n: int, least: float) -> None:
    """Shares this skewed cost a small sample two of the hundred, as linearised variances do."""
    recount, reported = draw(np.random.default_rng(20261031), (2000, n))
    hits = [
        covered(factor(list(zip(y, x, strict=True))), 0.85)
        for y, x in zip(recount.tolist(), reported.tolist(), strict=True)
    ]
    assert least <= np.mean(hits) <= 0.965


def test_the_finite_population_correction_keeps_the_promise_in_a_small_village() -> None:
    """20 of 30 units drawn again and again: with the correction 95 %, without it nearly all."""
    rng = np.random.default_rng(7)
    recount, reported = draw(rng, (30,))
    truth = float(recount.sum() / reported.sum())
    hits = {30: 0, None: 0}
    for _ in range(2000):
        at = rng.permutation(30)[:20]
        pairs = list(zip(recount[at].tolist(), reported[at].tolist(), strict=True))
        for population in hits:
            hits[population] += covered(factor(pairs, population), truth)
    assert 0.92 <= hits[30] / 2000 <= 0.975
    assert hits[None] / 2000 > 0.99


def test_a_village_visited_whole_is_known() -> None:
    found = factor([(8, 10), (9, 10), (10, 10)], population=3)
    assert found.value == found.low == found.high == 0.9


def test_the_interval_stops_at_nothing() -> None:
    found = factor([(0, 10), (12, 10)])
    assert found.low == 0.0 and found.high is not None and found.high > 1


def test_one_unit_has_a_factor_but_no_interval() -> None:
    assert factor([(9, 12)]) == Factor(1, 9, 12, 0.75, None, None)
    assert factor([(9, 12)]).sign is Sign.OVER_REPORTED


@pytest.mark.parametrize("pairs", [[], [(0, 0)], [(3, 0)], [(3, 0), (0, 0)]])
def test_where_nothing_was_reported_there_is_no_factor(pairs: list[tuple[float, float]]) -> None:
    found = factor(pairs)
    assert (found.n, found.reported) == (len(pairs), 0)
    assert found.value is found.low is found.high is None
    assert found.sign is None


def test_a_unit_that_reported_nothing_counts() -> None:
    assert factor([(5, 0), (10, 10)]).value == 1.5


@pytest.mark.parametrize(
    ("recount", "sign"),
    [
        (0, Sign.OVER_REPORTED), (899, Sign.OVER_REPORTED), (900, Sign.AGREES),
        (1000, Sign.AGREES), (1100, Sign.AGREES), (1101, Sign.UNDER_REPORTED),
    ],
)  # fmt: skip
def test_the_sign_at_its_edges(recount: int, sign: Sign) -> None:
    assert factor([(recount, 1000)]).sign is sign


@pytest.mark.parametrize(("recount", "reported"), [(0.09, 0.1), (1.1099, 1.009)])
def test_decimals_that_binary_puts_over_an_edge_agree(recount: float, reported: float) -> None:
    assert not 0.90 <= recount / reported <= 1.10
    assert factor([(recount, reported)]).sign is Sign.AGREES


def test_signs_are_their_names() -> None:
    assert [str(sign) for sign in Sign] == ["over_reported", "under_reported", "agrees"]


@given(PAIRS, st.integers(2, 9))
def test_the_factor_knows_no_unit_of_measure_and_no_order(
    pairs: list[tuple[int, int]], times: int
) -> None:
    found = factor(pairs)
    for other in (factor([(y * times, x * times) for y, x in pairs]), factor(pairs[::-1])):
        assert other.value == pytest.approx(found.value)
        assert other.low == pytest.approx(found.low, abs=1e-6)
        assert other.high == pytest.approx(found.high, abs=1e-6)


@given(st.lists(st.integers(1, 500), min_size=2, max_size=20))
def test_where_all_agree_the_factor_is_one(figures: list[int]) -> None:
    found = factor([(figure, figure) for figure in figures])
    assert found.value == found.low == found.high == 1.0
    assert found.sign is Sign.AGREES


@pytest.mark.parametrize(
    ("pairs", "population"),
    [
        ([(-1, 10)], None), ([(1, -10)], None), ([(float("nan"), 10)], None),
        ([(1, float("inf"))], None), ([(1, 1), (2, 2)], 1),
    ],
)  # fmt: skip
def test_broken_figures_are_refused(
    pairs: list[tuple[float, float]], population: int | None
) -> None:
    with pytest.raises(ValueError):
        factor(pairs, population)


def test_what_was_found_cannot_be_changed() -> None:
    for found in (rule(19, 6, 0.8, 0.5), judge(19, 6), factor([(1, 1), (1, 1)])):
        with pytest.raises((FrozenInstanceError, AttributeError)):
            found.n = 20  # type: ignore[misc]


def test_the_thresholds_are_those_of_the_decision() -> None:
    """docs/decisions/0007."""
    assert (verification.UPPER, verification.LOWER) == (0.80, 0.50)
    assert verification.OVER_REPORTED_BELOW == 0.90
    assert verification.UNDER_REPORTED_ABOVE == 1.10

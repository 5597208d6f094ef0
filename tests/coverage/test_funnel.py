"""Funnel limits: against sums of binomial probabilities in fractions, mirror, order, dispersion."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from fractions import Fraction
from math import comb, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from dashboard.coverage import registry
from dashboard.coverage.funnel import (
    Standing,
    dispersion,
    draw,
    limits,
    outside,
    standing,
)
from dashboard.coverage.model import Cell, Status
from geodata.model import Level, Place

SHARES = st.sampled_from([0.0, 0.001, 0.05, 0.3, 0.5, 0.77, 0.9, 0.985, 1.0])


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def by_hand(done: int, due: int, share: float) -> Standing | None:
    """From the tails summed up in fractions; None where one equals its limit to the last digits."""
    q = Fraction(str(share))
    chances = [comb(due, k) * q**k * (1 - q) ** (due - k) for k in range(due + 1)]
    down, up = sum(chances[: done + 1]), sum(chances[done:])
    edges = (Fraction(1, 40), Fraction(1, 1000))
    if any(abs(tail - edge) < Fraction(1, 10**12) for tail in (down, up) for edge in edges):
        return None
    for tail, far, near in (
        (down, Standing.FAR_BELOW, Standing.BELOW),
        (up, Standing.FAR_ABOVE, Standing.ABOVE),
    ):
        if tail < edges[0]:
            return far if tail < edges[1] else near
    return Standing.INSIDE


@given(SHARES, st.integers(1, 60))
def test_a_place_stands_where_the_tail_of_its_count_says(share: float, due: int) -> None:
    found = standing(np.arange(due + 1), due, share)
    for done, place in enumerate(found):
        wanted = by_hand(done, due, share)
        assert wanted is None or place is wanted


@given(st.floats(0, 1), st.integers(1, 3000), st.data())
def test_what_is_drawn_outside_the_limits_stands_outside(
    share: float, due: int, data: st.DataObject
) -> None:
    done = data.draw(st.integers(0, due))
    found, (place,) = limits(share, [due]), standing([done], [due], share)
    value = done / due
    edges = (found.far_low[0], found.low[0], found.high[0], found.far_high[0])
    if min(abs(value - edge) for edge in edges) < 1e-9:
        return
    assert (value < found.low[0]) == (place in (Standing.BELOW, Standing.FAR_BELOW))
    assert (value < found.far_low[0]) == (place is Standing.FAR_BELOW)
    assert (value > found.high[0]) == (place in (Standing.ABOVE, Standing.FAR_ABOVE))
    assert (value > found.far_high[0]) == (place is Standing.FAR_ABOVE)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.83, 0.99])
def test_the_limits_are_interpolated_between_the_counts(share: float) -> None:
    due = np.arange(1, 400)
    found = limits(share, due)
    for chance, low, high in (
        (0.025, found.low, found.high),
        (0.001, found.far_low, found.far_high),
    ):
        for n, lower, upper in zip(due.tolist(), low, high, strict=True):
            tail = binom.cdf(np.arange(n + 1), n, share)
            r = int(np.argmax(tail >= chance))
            a = (tail[r] - chance) / binom.pmf(r, n, share)
            assert lower == pytest.approx(max(0.0, r - a) / n, abs=1e-9)
            tail = binom.sf(np.arange(n + 1) - 1, n, share)  # P(R >= k)
            r = n - int(np.argmax(tail[::-1] >= chance))
            a = (tail[r] - chance) / binom.pmf(r, n, share)
            assert upper == pytest.approx(min(float(n), r + a) / n, abs=1e-9)


@given(st.integers(0, 1024), st.integers(1, 500))
def test_both_ends_are_as_strict(of: int, due: int) -> None:
    share = of / 1024  # so that 1 - share is exact
    one, other = limits(share, [due]), limits(1 - share, [due])
    assert one.high[0] == pytest.approx(1 - other.low[0])
    assert one.far_high[0] == pytest.approx(1 - other.far_low[0])
    assert 0 <= one.far_low[0] <= one.low[0] <= one.high[0] <= one.far_high[0] <= 1


def test_the_funnel_closes_on_the_share() -> None:
    found = limits(0.8, [20, 200, 2_000, 200_000])
    assert (np.diff(found.low) > 0).all() and (np.diff(found.high) < 0).all()
    # Among very many it is the normal distribution's interval.
    normal = 1.959963984540054 * sqrt(0.8 * 0.2 / 200_000)
    assert found.low[-1] == pytest.approx(0.8 - normal, abs=1e-5)
    assert found.high[-1] == pytest.approx(0.8 + normal, abs=1e-5)


def test_three_of_three_are_not_conspicuous_but_three_hundred_are() -> None:
    found = standing([3, 300, 0, 0, 24, 19], [3, 300, 3, 300, 30, 30], 0.8)
    assert found == [
        Standing.INSIDE, Standing.FAR_ABOVE, Standing.BELOW, Standing.FAR_BELOW, Standing.INSIDE,
        Standing.INSIDE,
    ]  # fmt: skip


def test_where_all_or_none_are_reached_one_other_stands_out() -> None:
    assert standing([50, 49], [50, 50], 1.0) == [Standing.INSIDE, Standing.FAR_BELOW]
    assert standing([0, 1], [50, 50], 0.0) == [Standing.INSIDE, Standing.FAR_ABOVE]
    assert limits(0.0, [50]).low[0] == 0 and limits(1.0, [50]).high[0] == 1


def test_without_value_or_persons_there_is_no_standing() -> None:
    odd = [0.0, -3.0, 2.5, np.nan, np.inf]
    found = limits(0.5, [*odd, 10.0])
    for ends in (found.low, found.high, found.far_low, found.far_high):
        assert np.isnan(ends).tolist() == [True] * 5 + [False]
    assert standing([1.0] * 5, odd, 0.5) == [None] * 5
    assert standing([np.nan, 5.0], [10.0, 10.0], 0.5) == [None, Standing.INSIDE]
    assert standing([], [], 0.5) == [] and len(limits(0.5, []).low) == 0
    assert standing([11], [10], 0.8) == [Standing.FAR_ABOVE]  # more than all: doubted elsewhere


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_within_0_and_1(share: float) -> None:
    for call in (
        lambda: limits(share, [10]),
        lambda: standing([5], [10], share),
        lambda: dispersion([5], [10], share),
    ):
        with pytest.raises(ValueError, match="share"):
            call()


def test_places_that_do_not_differ_are_left_in_peace() -> None:
    random = np.random.default_rng(5)
    due = random.integers(5, 800, 20_000)
    found = standing(random.binomial(due, 0.85), due, 0.85)
    outside = sum(place is not Standing.INSIDE for place in found) / len(found)
    far = sum(place in (Standing.FAR_BELOW, Standing.FAR_ABOVE) for place in found) / len(found)
    assert 0.02 < outside < 0.05 and far < 0.002


def test_dispersion_tells_chance_from_more() -> None:
    random = np.random.default_rng(6)
    due = random.integers(200, 800, 3_000)
    chance = dispersion(random.binomial(due, 0.8), due, 0.8)
    assert chance.phi == pytest.approx(1, abs=0.05)
    assert not chance.beyond_chance and chance.places == 3_000
    done = random.binomial(due, random.beta(40, 10, 3_000))
    more = dispersion(done, due, done.sum() / due.sum())
    assert more.phi > 5 and more.beyond_chance
    # Widened by it the limits hold what they say again; who stands out does not hide in it.
    widened = standing(done, due, 0.8, phi=more.phi)
    outside = sum(place is not Standing.INSIDE for place in widened) / 3_000
    assert outside == pytest.approx(0.05, abs=0.015)
    assert standing([0], [500], 0.8, phi=more.phi) == [Standing.FAR_BELOW]


def test_dispersion_by_hand() -> None:
    # z = -2, 0, 1 at n = 25, 100, 400 about a half; nothing is trimmed of three.
    found = dispersion([7.5, 50, 210, np.nan, 3], [25, 100, 400, 10, 0], 0.5)
    assert (found.phi, found.places, found.beyond_chance) == (pytest.approx(5 / 3), 3, False)
    # Of ten the outermost at either end is drawn in to the next: a normal one's 1 becomes 0.6787.
    ten = dispersion([50 + 5 * z for z in (-9, -1, 0, 0, 0, 0, 0, 0, 1, 9)], [100] * 10, 0.5)
    assert ten.phi == pytest.approx(0.4 / 0.6786545589528744)
    assert isnan(dispersion([], [], 0.5).phi) and dispersion([5], [5], 1.0).places == 0


def test_phi_widens_about_the_share_and_never_narrows() -> None:
    plain, wide = limits(0.5, [1_000]), limits(0.5, [1_000], phi=4.0)
    assert 0.5 - wide.low[0] == pytest.approx(2 * (0.5 - plain.low[0]))
    assert wide.far_high[0] - 0.5 == pytest.approx(2 * (plain.far_high[0] - 0.5))
    assert limits(0.5, [1_000], phi=0.3).low[0] == plain.low[0]
    assert limits(0.5, [4], phi=9.0).low[0] == 0


def test_all_villages_of_a_province_stand_where_each_stands_alone() -> None:
    random = np.random.default_rng(8)
    due = random.integers(1, 5_000, 100_000)
    done = random.binomial(due, 0.8)
    every = standing(done, due, 0.8)
    assert set(every) == set(Standing)
    for at in range(0, len(due), 997):
        assert standing(done[at : at + 1], due[at : at + 1], 0.8) == [every[at]]


def test_a_funnel_may_be_drawn_about_a_share_known_otherwise() -> None:
    cells = [
        Cell(
            Place(str(at), f"{at}村", Level.VILLAGE, None, f"{at}/", date(2020, 1, 1), None),
            float(done), 100.0, float(done), Status.OK, None, None, 3, None, 1, 1, None, None,
            False, False,
        )
        for at, done in enumerate((80, 81, 79))
    ]  # fmt: skip
    assert set(draw(cells).stands) == {Standing.INSIDE} and draw(cells).share == 0.8
    about = draw(cells, 0.95)
    assert set(about.stands) == {Standing.FAR_BELOW} and about.share == 0.95
    assert draw([], 0.95).cells == ()
    for above in (draw(cells, 1.2), draw([replace(cell, numerator=150.0) for cell in cells])):
        assert above.share > 1 and above.cells == () and above.without == 3
    layer = registry.layer("contract_coverage")
    assert [cell.value for _tone, cell in outside(layer, about)] == [80.0, 81.0, 79.0]
    assert {tone for tone, _cell in outside(layer, about)} == {"far-worse"}

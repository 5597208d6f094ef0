"""Forecasts: the closed form against statsmodels, bounds, gaps, restarts, speed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.coverage import forecast
from dashboard.coverage.forecast import Forecast, missed, needed, path, willmiss
from dashboard.coverage.model import Direction

SERIES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=30)


def year_end(*args: Any, **options: Any) -> Forecast | None:
    found = path(*args, **options)
    return found[-1] if found else None


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_a_line_is_drawn_on() -> None:
    found = year_end([0.30, 0.35, 0.40, 0.45, 0.50, 0.55], 3)
    assert found is not None and found.months == 6
    assert [found.value, found.low, found.high] == pytest.approx([0.70] * 3)


def test_the_interval_is_that_of_the_textbook() -> None:
    # Changes 1 and 2: drift 1.5, s² = 1/2, over T = 2 months; two months ahead.
    found = year_end([1.0, 2.0, 4.0], 2, restarts=True, bounded=False)
    assert found == year_end([None] * 7 + [1.0, 2.0, 4.0], 2, restarts=True, bounded=False)
    half = 3.0776835371752536 * np.sqrt(1 / 2 * 2 * (1 + 2 / 2))
    assert found is not None and found.months == 3
    assert (found.value, found.high) == pytest.approx((7.0, 7.0 + half))
    assert found.low == 4.0  # 7 - half lies below what is reached


@given(SERIES, st.integers(0, 11), st.booleans(), st.booleans(), st.sampled_from([1.0, 100.0]))
def test_one_place_and_thousands_never_disagree(
    values: list[float | None], left: int, restarts: bool, bounded: bool, factor: float
) -> None:
    scaled = [None if value is None else value * factor for value in values]
    one = year_end(scaled, left, restarts=restarts, bounded=bounded, factor=factor)
    table = np.array([scaled], dtype=np.float64)
    many = willmiss(table, left, 0.5 * factor, restarts=restarts, bounded=bounded, factor=factor)
    if one is None:
        assert np.isnan([many.value[0], many.low[0], many.high[0]]).all() and not many.misses[0]
        return
    assert [many.value[0], many.low[0], many.high[0]] == pytest.approx(
        [one.value, one.low, one.high], rel=1e-9, abs=1e-9 * factor
    )
    assert many.months[0] == one.months
    assert one.low <= one.value <= one.high and one.low >= 0
    if bounded:
        assert one.high <= factor
    assert not many.surely[0] or many.misses[0]


def test_thousands_with_gaps_equal_statsmodels_one_by_one() -> None:
    from statsmodels.regression.linear_model import WLS

    random = np.random.default_rng(1)
    table = np.cumsum(random.normal(0, 5, (200, 24)), axis=1) + 1_000_000.0
    table[random.random(table.shape) < 0.3] = np.nan
    found = willmiss(table, 5, np.nan, bounded=False)
    for at, row in enumerate(table[:, -12:]):
        months = np.flatnonzero(~np.isnan(row))
        assert found.months[at] == len(months)
        if len(months) < 6:
            assert np.isnan(found.value[at])
            continue
        over, ahead = np.diff(months).astype(float), 16.0 - months[-1]
        fit = WLS(np.diff(row[months]), over, weights=1 / over).fit()
        wanted = fit.get_prediction([[ahead]], weights=1 / ahead)
        ends = [wanted.predicted_mean[0], *wanted.conf_int(obs=True, alpha=0.2)[0]]
        assert [found.value[at], found.low[at], found.high[at]] == pytest.approx(
            row[months[-1]] + np.array(ends), rel=1e-12
        )


def test_without_gaps_it_is_the_mean_of_the_changes_by_ordinary_least_squares() -> None:
    from statsmodels.regression.linear_model import OLS

    row = np.cumsum(np.random.default_rng(2).normal(1, 3, 12)) + 100
    fit = OLS(np.diff(row), np.ones(11)).fit()
    found = year_end(row.tolist(), 4, bounded=False)
    assert found is not None and found.value == pytest.approx(row[-1] + 4 * fit.params[0])
    # Four changes to come and four times the mean change's own error; t(0.9, 10).
    half = 1.3721836411102863 * np.sqrt(4 * fit.scale + 16 * fit.bse[0] ** 2)
    assert (found.value - found.low, found.high - found.value) == pytest.approx((half, half))


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 0.7, 1.0])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_constant_stays_itself_without_width(value: float, restarts: bool) -> None:
    values: list[float | None] = [value] * 9
    values[2] = None
    wanted = Forecast(value, value, value, 8)
    assert year_end(values, 3, restarts=restarts) == wanted
    many = willmiss(np.array([values], dtype=np.float64), 3, value, restarts=restarts)
    assert (many.value[0], many.low[0], many.high[0], many.months[0]) == (value, value, value, 8)
    assert not many.misses[0]


def test_fewer_months_than_needed_give_none() -> None:
    rising: list[float | None] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert year_end(rising, 1) is not None and year_end(rising[1:], 1) is None
    # Six values, but one of them older than the last twelve months.
    assert year_end([0.1, *[None] * 7, *rising[1:]], 1) is None
    assert year_end([], 4) is None and year_end([None] * 12, 4) is None
    assert year_end(rising[:3], 9, restarts=True) is not None
    assert year_end(rising[:2], 10, restarts=True) is None
    assert (needed(False), needed(True)) == (6, 3)


def test_what_restarts_in_january_knows_this_year_only() -> None:
    values = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 0.05, 0.10, 0.15]  # March
    found = year_end(values, 9, restarts=True)
    assert found is not None and found.months == 3 and found.value == pytest.approx(0.6)
    assert year_end(values, 10, restarts=True) is None  # were it February


def test_what_adds_up_never_ends_below_what_is_reached() -> None:
    corrected: list[float | None] = [0.4, 0.6, 0.5, 0.3]  # April's file took something back
    found = year_end(corrected, 8, restarts=True)
    assert found is not None and found.value == found.low == 0.3 < found.high
    many = willmiss(np.array([corrected], dtype=np.float64), 8, 0.3, restarts=True)
    assert not many.misses[0]


def test_a_late_month_counts_from_the_latest_that_reported() -> None:
    values = [0.1, 0.2, 0.25, 0.4, 0.5, 0.55]
    assert year_end([*values, None, None], 1) == year_end(values, 3)


def test_shares_stay_shares_and_nothing_is_negative() -> None:
    up, down = [0.5, 0.6, 0.7, 0.8, 0.9, 0.97], [60.0, 50.0, 40.0, 30.0, 20.0, 11.0]
    found = year_end(up, 6)
    assert found is not None and (found.value, found.high) == (1.0, 1.0)
    found = year_end(up, 6, bounded=False)
    assert found is not None and found.value > 1.4
    found = year_end([100 * value for value in up], 6, factor=100.0)
    assert found is not None and found.value == 100.0
    found = year_end(down, 6, bounded=False)
    assert found is not None and (found.value, found.low) == (0.0, 0.0)


def test_in_december_nothing_is_left_to_forecast() -> None:
    values: list[float | None] = [0.1, 0.5, 0.2, 0.6, 0.3, 0.7]
    assert year_end(values, 0) == Forecast(0.7, 0.7, 0.7, 6)
    assert year_end([0.7], 0) == Forecast(0.7, 0.7, 0.7, 1)
    found = year_end([*values, None], 0)  # December did not report
    assert found is not None and found.low < found.value < found.high


@pytest.mark.parametrize("left", [-1, 12])
def test_a_year_has_twelve_months(left: int) -> None:
    with pytest.raises(ValueError, match="months_left"):
        year_end([0.5] * 12, left)
    with pytest.raises(ValueError, match="months_left"):
        willmiss(np.zeros((1, 12)), left, 1.0)


def test_each_place_misses_its_own_target_on_the_wrong_side() -> None:
    steady = np.tile([50.0, 52.0, 50.0, 52.0, 50.0, 52.0], (4, 1))
    targets = np.array([40.0, 54.0, 90.0, np.nan])  # 53.2, between 45.8 and 60.6
    found = willmiss(steady, 3, targets, factor=100.0)
    assert found.misses.tolist() == [False, True, True, False]
    assert found.surely.tolist() == [False, False, True, False]
    found = willmiss(steady, 3, targets, Direction.LOWER, factor=100.0)
    assert found.misses.tolist() == [True, False, False, False]
    assert found.surely.tolist() == [True, False, False, False]


def test_a_target_that_is_just_met_is_met() -> None:
    line = 0.1 * np.arange(6.0)[None]  # ends at 0.8, give or take a rounding
    assert not willmiss(line, 3, 0.8).misses[0]
    assert not willmiss(line, 3, 0.8, Direction.LOWER).misses[0]
    assert missed([0.8, 0.79, np.nan], 0.8, Direction.HIGHER).tolist() == [False, True, False]


@pytest.mark.parametrize("left", [1, 4])
def test_four_decembers_in_five_lie_within(left: int) -> None:
    random = np.random.default_rng(7)
    adding_up = 5000 + np.cumsum(random.normal(30, 50, (20_000, 16)), axis=1)
    about_a_line = 5000 + 30 * np.arange(16.0) + random.normal(0, 50, (20_000, 16))

    def within(series: np.ndarray) -> float:
        found = willmiss(series[:, :12], left, np.nan, bounded=False)
        december = series[:, 11 + left]
        return float(((found.low <= december) & (december <= found.high)).mean())

    assert within(adding_up) == pytest.approx(forecast.CONFIDENCE, abs=0.01)
    assert within(about_a_line) >= forecast.CONFIDENCE - 0.01


def test_no_places_at_all() -> None:
    found = willmiss(np.empty((0, 24)), 3, 1.0)
    assert len(found.value) == len(found.misses) == 0
    assert np.isnan(willmiss(np.empty((2, 0)), 3, 1.0).value).all()


def test_three_thousand_villages_are_forecast_as_each_is_alone() -> None:
    table = np.random.default_rng(3).random((3_000, 24))
    every = willmiss(table, 3, 0.8)
    for at in range(0, len(table), 97):
        alone = willmiss(table[at : at + 1], 3, 0.8)
        for name in ("value", "low", "high"):
            assert getattr(alone, name)[0] == pytest.approx(getattr(every, name)[at], nan_ok=True)
        assert alone.misses[0] == every.misses[at]

"""Forecast of a year's last value: 按最近 12 个月的平均每月变化直线外推. Pure.

One model for one place and for thousands, the random walk with drift: from the latest value a
straight line with the months' mean change, and an interval that widens with every month ahead.
``path`` has it from statsmodels, ``willmiss`` computes the same in closed form. It knows no
season and no plan. A regression line is no alternative: values that add up carry each month's luck
on, and four months ahead its interval at 80 % then holds less than half of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dashboard.coverage import disclosure
from dashboard.coverage.classify import Floats
from dashboard.coverage.model import NOISE, Cell, Direction, Layer, Pace, Status
from dashboard.coverage.pace import YEAR

CONFIDENCE = 0.8
"""Four Decembers in five lie within the interval, more where months only scatter about a line."""
MINIMUM = 6
"""Of the last 12 months so many need a value: fewer show half a season's change at most."""
MINIMUM_RESTARTED = 3
"""Of this year's months: two show one change, so nothing tells how much changes differ."""
_SAME = 1e-9
GOES_ON = (Status.OK, Status.NO_DATA)
"""Who is late to report goes on; who is left out, or to whom it does not apply, does not."""
_OUTLOOK = ("value", "low", "high", "months", "misses", "surely")


@dataclass(frozen=True, slots=True)
class Forecast:
    """A place's value in one month to come, in the unit of the values given.

    Attributes:
        low, high: prediction interval at 80 %; both are the value where all changes are the same.
        months: how many months with a value it stands on.
    """

    value: float
    low: float
    high: float
    months: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """Forecasts of many places in the order given, and which of them miss their target.

    Attributes:
        value, low, high: as in ``Forecast``; NaN where there is none.
        misses: whether the value lies on the target's wrong side; False without a forecast.
        surely: whether the interval's better end lies there too.
    """

    value: Floats
    low: Floats
    high: Floats
    months: NDArray[np.int64]
    misses: NDArray[np.bool_]
    surely: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class YearEnd:
    """Where a place will stand in December against its target, told from one month.

    Attributes:
        cell: the place in that month.
        target: of the year, in the layer's unit; None where it has none.
        ahead: month after month, the last of them December; of one place among many December
            alone. Empty without a target, without months enough, or where the month's value is left
            out or does not apply.
        months: how many months with a value there were to go by.
        misses, surely: as in ``Outlook``.
        short: how much numerator will lack in December, at the month's denominator (where lower is
            better: how much will be too much); 0 for who does not miss, None without a forecast.
        monthly: how much has to be added (taken away) in each month left to reach the target; None
            in December.
    """

    cell: Cell
    month: str
    target: float | None
    ahead: tuple[Forecast, ...]
    months: int
    misses: bool
    surely: bool
    short: float | None
    monthly: float | None

    @property
    def december(self) -> Forecast | None:
        """The year's end."""
        return self.ahead[-1] if self.ahead else None


@dataclass(frozen=True, slots=True)
class _Window:
    """The months that count, places × months, the last of them this month.

    Attributes:
        last: the latest value, NaN without any.
        ahead: months from the latest value to December.
        change: from the value before, NaN for a month that has none or is the first to have one.
        over: how many months that change took.
        enough: whether there are months enough.
    """

    known: NDArray[np.bool_]
    last: Floats
    ahead: Floats
    change: Floats
    over: Floats
    enough: NDArray[np.bool_]


def needed(restarts: bool) -> int:
    """How many months with a value a forecast takes."""
    return MINIMUM_RESTARTED if restarts else MINIMUM


def path(
    values: Sequence[float | None],
    months_left: int,
    *,
    restarts: bool = False,
    bounded: bool = True,
    factor: float = 1.0,
) -> list[Forecast]:
    """Where one place stands in every month up to December, if it goes on as it did.

    Args:
        values: of consecutive months, oldest first; None or NaN for a month without.
        months_left: from the last of them to December, 0 to 11. At 0 there is nothing to forecast:
            December's own value is the answer, without width.
        restarts: the values add up from January on. Then only this year's months count, and the
            forecast never lies below what is reached.
        bounded: the values are shares; the forecast stays within 0 and ``factor``. It is never
            negative in any case, for no measure is.
        factor: what a share is multiplied with, as ``Layer.factor``: 100 for per cent.

    Returns:
        One for each month after the latest value, December's last. None at all when fewer than 6 of
        the last 12 months have a value, or fewer than 3 of this year's.

    Raises:
        ValueError: ``months_left`` is none of 0 to 11.

    Source: drift method (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd
    ed., sections 5.2 and 5.5). It is the regression of the changes on the months they took, through
    0 with the weights 1 / months, and its prediction of one more change: statsmodels computes it.
    """
    window = _window(np.array([values], dtype=np.float64), months_left, restarts)
    ends = np.full((3, 1), np.nan)
    if window.enough[0] and window.ahead[0]:
        from statsmodels.regression.linear_model import WLS  # slow to import

        there = ~np.isnan(window.change[0])
        change, over = window.change[0, there], window.over[0, there]
        ahead = np.arange(1.0, window.ahead[0] + 1)
        fit = WLS(change, over, weights=1 / over).fit()
        found = fit.get_prediction(ahead[:, None], weights=1 / ahead)
        ends = np.array([found.predicted_mean, *found.conf_int(obs=True, alpha=1 - CONFIDENCE).T])
        ends += window.last
    settled = _settle(ends, window, months_left, restarts, bounded, factor).T.tolist()
    months = int(window.known[0].sum())
    return (
        []
        if isnan(settled[-1][0])
        else [Forecast(value, low, high, months) for value, low, high in settled]
    )


def prepare() -> None:
    """Import what a first forecast would wait for."""
    path([0.0] * MINIMUM, 1)


def willmiss(
    values: Floats,
    months_left: int,
    target: ArrayLike,
    direction: Direction = Direction.HIGHER,
    *,
    restarts: bool = False,
    bounded: bool = True,
    factor: float = 1.0,
) -> Outlook:
    """Which of many places will miss their target in December: the end of ``path`` for all at once.

    Args:
        values: places × consecutive months, NaN for a month without.
        target: of all places or one for each, in the values' unit; NaN where there is none.

    The other arguments are those of ``path``.

    Raises:
        ValueError: ``months_left`` is none of 0 to 11.

    Source: with n values over T months, h months ahead and changes c over g months each: drift
    d = (last - first) / T, value = last + h d, and value ± t(0.9, n - 2) s sqrt(h (1 + h / T)) with
    s² = Σ (c - g d)² / g / (n - 2).
    """
    window = _window(np.asarray(values, dtype=np.float64), months_left, restarts)
    ends = _settle(_closed(window), window, months_left, restarts, bounded, factor)
    value, low, high = ends
    better = high if direction is Direction.HIGHER else low
    return Outlook(
        value,
        low,
        high,
        window.known.sum(axis=1),
        missed(value, target, direction),
        missed(better, target, direction),
    )


def months_left(month: str) -> int:
    """From ``YYYY-MM`` to its December."""
    return YEAR - int(month[5:])


def last_months(month: str) -> list[str]:
    """The 12 calendar months up to ``YYYY-MM``, oldest first."""
    last = int(month[:4]) * YEAR + int(month[5:]) - 1
    return [f"{at // YEAR:04}-{at % YEAR + 1:02}" for at in range(last - YEAR + 1, last + 1)]


def rests_on(layer: Layer, month: str) -> list[str]:
    """The calendar months whose values a forecast told from ``YYYY-MM`` may stand on."""
    return [one for one in last_months(month) if not adds_up(layer) or one[:4] == month[:4]]


def adds_up(layer: Layer) -> bool:
    """Whether a layer's values add up from January on."""
    return layer.pace is Pace.PROGRESS


def of_place(
    layer: Layer, cell: Cell, month: str, values: Sequence[float | None], target: float | None
) -> YearEnd:
    """One place's year, month after month.

    Args:
        values: of ``last_months(month)``, None for a month without.
    """
    known = np.array([values], dtype=np.float64)
    (end,) = of_places(
        layer, [cell], month, known, np.array([np.nan if target is None else target])
    )
    if end.december is None:
        return end
    ahead = path(
        values,
        months_left(month),
        restarts=adds_up(layer),
        bounded=disclosure.is_share(layer),
        factor=layer.factor,
    )
    return replace(end, ahead=tuple(ahead))


def of_places(
    layer: Layer, cells: Sequence[Cell], month: str, values: Floats, targets: Floats
) -> list[YearEnd]:
    """Each place's year, in the order of ``cells``.

    Args:
        values: cells × ``last_months(month)``, NaN for a month without.
        targets: NaN for a place without one.
    """
    left = months_left(month)
    silent = [cell.status not in GOES_ON for cell in cells]
    values = np.where(np.array(silent, dtype=np.bool_)[:, None], np.nan, values)
    found = willmiss(
        values,
        left,
        targets,
        layer.direction,
        restarts=adds_up(layer),
        bounded=disclosure.is_share(layer),
        factor=layer.factor,
    )
    rows = zip(
        cells,
        targets.tolist(),
        *(getattr(found, name).tolist() for name in _OUTLOOK),
        strict=True,
    )
    return [_year_end(layer, month, left, *row) for row in rows]


def _year_end(
    layer: Layer,
    month: str,
    left: int,
    cell: Cell,
    target: float,
    value: float,
    low: float,
    high: float,
    months: int,
    misses: bool,
    surely: bool,
) -> YearEnd:
    if isnan(target) or isnan(value):
        return YearEnd(
            cell, month, None if isnan(target) else target, (), months, False, False, None, None
        )
    lacking = _lacking(layer, cell, target, cell.value)
    return YearEnd(
        cell,
        month,
        target,
        (Forecast(value, low, high, months),),
        months,
        misses,
        surely,
        _lacking(layer, cell, target, value) if misses else 0.0,
        None if lacking is None or not left else lacking / left,
    )


def _lacking(layer: Layer, cell: Cell, target: float, value: float | None) -> float | None:
    """How much numerator lies between a value and a target at the cell's denominator."""
    if value is None or cell.denominator is None:
        return None
    gap = (target - value) * cell.denominator / layer.factor
    return max(0.0, round(gap if layer.direction is Direction.HIGHER else -gap, NOISE))


def missed(value: ArrayLike, target: ArrayLike, direction: Direction) -> NDArray[np.bool_]:
    """Whether values lie on the wrong side of their target; False where either is NaN."""
    wanted = np.asarray(target, dtype=np.float64)
    short = wanted - np.asarray(value, dtype=np.float64)
    if direction is Direction.LOWER:
        short = -short
    return np.asarray(short > _SAME * np.maximum(1.0, np.abs(wanted)))


def _window(values: Floats, months_left: int, restarts: bool) -> _Window:
    if not 0 <= months_left < YEAR:
        raise ValueError(f"months_left is {months_left}, not one of 0 to {YEAR - 1}")
    width = YEAR - months_left if restarts else YEAR
    given = values[:, max(0, values.shape[1] - width) :]
    kept = np.full((len(values), width), np.nan)
    kept[:, width - given.shape[1] :] = given
    known = np.isfinite(kept)
    # By each month the latest that has a value up to it, -1 before the first.
    latest = np.maximum.accumulate(np.where(known, np.arange(width), -1), axis=1)
    before = np.concatenate((np.full((len(kept), 1), -1), latest[:, :-1]), axis=1)
    pairs = known & (before >= 0)
    last = np.take_along_axis(kept, np.maximum(latest[:, -1:], 0), axis=1)[:, 0]
    return _Window(
        known,
        np.where(latest[:, -1] >= 0, last, np.nan),
        (months_left + width - 1 - latest[:, -1]).astype(np.float64),
        np.where(pairs, kept - np.take_along_axis(kept, np.maximum(before, 0), axis=1), np.nan),
        np.where(pairs, np.arange(width) - before, np.nan),
        known.sum(axis=1) >= needed(restarts),
    )


def _closed(window: _Window) -> Floats:
    """Value, low and high, one row each; NaN for places without months enough."""
    from scipy.stats import t  # slow to import

    at = window.enough
    ends = np.full((3, len(at)), np.nan)
    change, over, ahead = window.change[at], window.over[at], window.ahead[at]
    passed = np.nansum(over, axis=1)
    drift = np.nansum(change, axis=1) / passed
    free = window.known[at].sum(axis=1) - 2
    spread = np.nansum((change - over * drift[:, None]) ** 2 / over, axis=1) / free
    half = t.ppf((1 + CONFIDENCE) / 2, free) * np.sqrt(spread * ahead * (1 + ahead / passed))
    value = window.last[at] + ahead * drift
    ends[:, at] = value, value - half, value + half
    return ends


def _settle(
    ends: Floats, window: _Window, months_left: int, restarts: bool, bounded: bool, factor: float
) -> Floats:
    """The ends within what can be: December itself once it is there, floor and ceiling."""
    if months_left == 0:
        ends = np.where(window.known[:, -1], window.last, ends)
    if restarts:
        ends = np.maximum(ends, window.last)
    return np.clip(ends, 0.0, factor if bounded else np.inf)

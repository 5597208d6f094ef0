"""The trend: one place and layer over the published months, with the target line.

Drawn as SVG by a template, not with Vega-Lite: Streamlit's Vega bundle costs the browser about half
a second before the map can start, and every layer switch a redraw on the thread the map draws on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10

from dashboard.coverage.model import Layer, TrendPoint
from dashboard.ui import blocks, format, targetwords
from dashboard.ui.texts import _, layer_title

ACCENT = "#a8322a"
"""The one accent colour: what is selected, and the target."""

MONTHS_SHOWN = 24
WIDTH, HEIGHT = 340, 170
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 20, 24
_TICKS = 4
_MONTH_LABELS = 4
_LABEL_WIDTH = 70


@dataclass(frozen=True, slots=True)
class Mark:
    """One month with a value, in the drawing's pixels; ``words`` say it in full."""

    x: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of the target line, from x to x at y.

    Attributes:
        label: what is wanted; empty where there is no room for it.
        at_end: whether the label ends where the stretch does, instead of beginning with it.
    """

    left: float
    right: float
    at: float
    label: str
    at_end: bool


@dataclass(frozen=True, slots=True)
class Trend:
    """A drawing.

    Attributes:
        lines: one list of marks for each run of months with values; a month without breaks the
            line, it is never joined across or drawn as 0.
        silent: x of the months without a value, with their words.
        steps: the target line, one for each run of months that want the same.
    """

    lines: tuple[tuple[Mark, ...], ...]
    silent: tuple[Mark, ...]
    values: tuple[Tick, ...]
    months: tuple[Tick, ...]
    steps: tuple[Step, ...]


def _step(span: float) -> float:
    """The 1-2-5 step that cuts ``span`` into about ``_TICKS`` parts."""
    rough = span / _TICKS
    power = 10.0 ** floor(log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def trend(layer: Layer, points: Sequence[TrendPoint]) -> Trend | None:
    """The last 24 months; None when none of them has a value."""
    shown = points[-MONTHS_SHOWN:]
    known = [point.value for point in shown if point.value is not None]
    if not known:
        return None
    known += [point.target.value for point in shown if point.target is not None]
    low, high = min(known), max(known)
    step = _step(high - low or abs(high) or 1.0)
    low, high = floor(low / step) * step, ceil(high / step) * step
    high = high if high > low else low + step

    def x(index: int) -> float:
        width = WIDTH - LEFT - RIGHT
        return round(LEFT + width * (index / max(len(shown) - 1, 1)), 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    lines: list[list[Mark]] = [[]]
    silent: list[Mark] = []
    for index, point in enumerate(shown):
        words = _words(layer, point)
        if point.value is None:
            silent.append(Mark(x(index), HEIGHT - BOTTOM, words))
            lines.append([])
        else:
            lines[-1].append(Mark(x(index), y(point.value), words))
    every = max(1, ceil(len(shown) / _MONTH_LABELS))
    suffix = "%" if layer.unit == "%" else ""
    return Trend(
        tuple(tuple(line) for line in lines if line),
        tuple(silent),
        tuple(
            Tick(y(low + step * count), f"{format.limit(round(low + step * count, 6))}{suffix}")
            for count in range(round((high - low) / step) + 1)
        ),
        tuple(
            Tick(x(index), shown[index].month.replace("-", "/")[2:])
            for index in range(len(shown) - 1, -1, -every)
        ),
        _steps(layer, shown, x, y),
    )


def _steps(
    layer: Layer,
    shown: Sequence[TrendPoint],
    x: Callable[[int], float],
    y: Callable[[float], float],
) -> tuple[Step, ...]:
    """The target line: it changes half way between two months, and reaches both edges."""
    steps = []
    start = 0
    for value, run in groupby(shown, lambda point: point.target and point.target.value):
        months = list(run)
        end, target = start + len(months), months[0].target
        if value is not None and target is not None:
            left = LEFT if start == 0 else (x(start - 1) + x(start)) / 2
            right = WIDTH - RIGHT if end == len(shown) else (x(end - 1) + x(end)) / 2
            narrow = right - left < _LABEL_WIDTH
            words = _("目标 {target}").format(target=targetwords.amount(layer, target))
            label = "" if narrow and end < len(shown) else words
            steps.append(Step(round(left, 1), round(right, 1), y(value), label, narrow))
        start = end
    return tuple(steps)


def _words(layer: Layer, point: TrendPoint) -> str:
    month = format.month(point.month)
    if point.value is None:
        return _("{month}：没有数值").format(month=month)
    value = format.value(layer, point.value)
    counted = format.fraction(layer, point.numerator, point.denominator)
    if not counted:
        return _("{month}：{value}").format(month=month, value=value)
    return _("{month}：{value}，{counted}").format(month=month, value=value, counted=counted)


SPARK_WIDTH, SPARK_HEIGHT = 96, 26
_SPARK_EDGE = 3


def spark(values: Sequence[float | None]) -> tuple[str, ...]:
    """A line of a few centimetres: the ``points`` of one polyline for each run of values."""
    known = [value for value in values if value is not None]
    if not known:
        return ()
    low, span = min(known), (max(known) - min(known)) or 1.0
    wide, high = SPARK_WIDTH - 2 * _SPARK_EDGE, SPARK_HEIGHT - 2 * _SPARK_EDGE
    runs: list[list[str]] = [[]]
    for at, value in enumerate(values):
        if value is None:
            runs.append([])
            continue
        x = _SPARK_EDGE + wide * at / max(len(values) - 1, 1)
        y = _SPARK_EDGE + high * (1 - (value - low) / span)
        runs[-1].append(f"{x:.1f},{y:.1f}")
    return tuple(" ".join(run) for run in runs if run)


def markup(layer: Layer, points: Sequence[TrendPoint]) -> str:
    """The drawing with its heading and the line that says the month pointed at."""
    drawn = trend(layer, points)
    return blocks.render(
        "trend.html",
        title=layer_title(layer),
        trend=drawn,
        readout=_words(layer, points[-1]) if points else "",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
    )

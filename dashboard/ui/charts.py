"""The trend of one place over the published months and on to December; the funnel of a level.

Drawn as SVG by a template, not with Vega-Lite: Streamlit's Vega bundle costs the browser about half
a second before the map can start, and every layer switch a redraw on the thread the map draws on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10

import numpy as np
from markupsafe import Markup

from dashboard.coverage import disclosure, forecast, palettes, wording
from dashboard.coverage.forecast import Forecast, YearEnd
from dashboard.coverage.funnel import TONES, Funnel, limits, tone_of
from dashboard.coverage.model import Cell, Layer, TrendPoint
from dashboard.ui import blocks, escape, format, outlook, targetwords
from dashboard.ui.tables import measure_title, measure_unit
from dashboard.ui.texts import _, layer_title, unit_name

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
    month: str = ""


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
            line, it is never joined across or drawn as 0, and so does January where values add up
            over the year.
        silent: x of the months without a value, with their words.
        steps: the target line, one for each run of months that want the same.
        ahead: the months to come as forecast, after the latest value.
        begin: where their line begins, at the latest value, as one of SVG's ``points``.
        band: corners of the forecast's interval, as SVG's ``points``.
    """

    lines: tuple[tuple[Mark, ...], ...]
    silent: tuple[Mark, ...]
    values: tuple[Tick, ...]
    months: tuple[Tick, ...]
    steps: tuple[Step, ...]
    ahead: tuple[Mark, ...] = ()
    begin: str = ""
    band: str = ""


def _step(span: float) -> float:
    """The 1-2-5 step that cuts ``span`` into about ``_TICKS`` parts."""
    rough = span / _TICKS
    power = 10.0 ** floor(log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def trend(layer: Layer, points: Sequence[TrendPoint], end: YearEnd | None = None) -> Trend | None:
    """The last 24 months and those to come; None when none of the past ones has a value."""
    shown = points[-MONTHS_SHOWN:]
    known = [point.value for point in shown if point.value is not None]
    if not known:
        return None
    axis = {point.month: index for index, point in enumerate(shown)}
    told = _told(end)
    for month in told:
        if month > shown[-1].month:
            axis.setdefault(month, len(axis))
    told = {month: one for month, one in told.items() if month in axis}
    known += [edge for one in told.values() for edge in (one.low, one.high)]
    known += [point.target.value for point in shown if point.target is not None]
    low, high = min(known), max(known)
    step = _step(high - low or abs(high) or 1.0)
    low, high = floor(low / step) * step, ceil(high / step) * step
    if high == low:
        # Above the whole there is no room: a share that is 100 % in all months is the top line.
        whole = disclosure.is_share(layer) and high >= layer.factor
        low, high = (low - step, high) if whole else (low, high + step)

    def x(index: int) -> float:
        width = WIDTH - LEFT - RIGHT
        return round(LEFT + width * (index / max(len(axis) - 1, 1)), 1)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    restarts = forecast.adds_up(layer)
    lines: list[list[Mark]] = [[]]
    silent: list[Mark] = []
    for index, point in enumerate(shown):
        words = _words(layer, point)
        if restarts and point.month.endswith("-01"):
            lines.append([])
        if point.value is None:
            silent.append(Mark(x(index), HEIGHT - BOTTOM, words))
            lines.append([])
        else:
            lines[-1].append(Mark(x(index), y(point.value), words, point.month))
    # The dashed line and its band begin where the values end.
    first = next(iter(told), "")
    begin = [
        f"{x(axis[point.month])},{y(point.value)}"
        for point in shown
        if point.value is not None and point.month < first
    ][-1:]
    tops = [f"{x(axis[month])},{y(one.high)}" for month, one in told.items()]
    feet = [f"{x(axis[month])},{y(one.low)}" for month, one in told.items()]
    every = max(1, ceil(len(axis) / _MONTH_LABELS))
    suffix = "%" if layer.unit == "%" else ""
    months = list(axis)
    target = None if end is None else end.target
    return Trend(
        tuple(tuple(line) for line in lines if line),
        tuple(silent),
        tuple(
            Tick(y(low + step * count), f"{format.limit(round(low + step * count, 6))}{suffix}")
            for count in range(round((high - low) / step) + 1)
        ),
        tuple(
            Tick(x(index), months[index].replace("-", "/")[2:])
            for index in range(len(months) - 1, -1, -every)
        ),
        _steps(layer, shown, x, y),
        tuple(
            Mark(x(axis[month]), y(one.value), _told_words(layer, month, one, target))
            for month, one in told.items()
        ),
        "".join(begin),
        " ".join([*begin, *tops, *feet[::-1]]),
    )


def _told(end: YearEnd | None) -> dict[str, Forecast]:
    """The forecasts by month, where there is anything to come."""
    if end is None or not forecast.months_left(end.month):
        return {}
    months = range(13 - len(end.ahead), 13)
    return {
        f"{end.month[:4]}-{number:02}": one for number, one in zip(months, end.ahead, strict=True)
    }


def _told_words(layer: Layer, month: str, told: Forecast, target: float | None) -> str:
    return _("{month}预测：{value}（80% 区间 {range}）").format(
        month=format.month(month),
        value=format.value(layer, told.value, target),
        range=format.between(layer, told.low, told.high, target),
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
    value = format.value(layer, point.value, None if point.target is None else point.target.value)
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


def _around(points: Sequence[TrendPoint], month: str) -> Sequence[TrendPoint]:
    """The months, without the later ones where the month in view is too long ago to be shown."""
    if any(point.month == month for point in points[-MONTHS_SHOWN:]):
        return points
    return [point for point in points if point.month <= month] or points


def markup(
    layer: Layer, points: Sequence[TrendPoint], month: str, end: YearEnd | None = None
) -> str:
    """The drawing with its heading, the line that says the month pointed at, and the forecast.

    Args:
        month: the month in view, said until another is pointed at.
        end: the forecast, where the layer can have one.
    """
    drawn = trend(layer, _around(points, month), end)
    now = next((point for point in points if point.month == month), None)
    told = end if drawn is not None and end is not None and end.target is not None else None
    return blocks.render(
        "trend.html",
        title=layer_title(layer),
        trend=drawn,
        readout="" if now is None else _words(layer, now),
        now=month,
        since=outlook.since(layer, points, month),
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        bottom=HEIGHT - BOTTOM,
        told=None if told is None else outlook.sentence(layer, told),
        method="" if told is None else wording.forecast_method(layer, _),
    )


FUNNEL_WIDTH, FUNNEL_HEIGHT = 480, 300
_F_LEFT, _F_RIGHT, _F_TOP, _F_BOTTOM = 44, 8, 10, 33
_CURVE = 160
"""Denominators at which a limit is worked out for drawing."""
_ROOM = 0.06
"""Of the height, left free above and below the points."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One limit, as SVG's ``points``; ``style`` is ``inner`` or ``outer``."""

    style: str
    points: str


@dataclass(frozen=True, slots=True)
class FunnelDrawing:
    """Limits and points of a funnel, in the drawing's pixels.

    Attributes:
        share: y of the line of the common share, with its label.
        marks: the points as markup, those outside the limits last, so that nothing hides them.
    """

    values: tuple[Tick, ...]
    counts: tuple[Tick, ...]
    share: Tick
    curves: tuple[Curve, ...]
    marks: Markup


def funnel(layer: Layer, found: Funnel, ways: Mapping[str, str]) -> FunnelDrawing:
    """The drawing of a funnel that has points.

    Args:
        ways: the names of the places above each place, by its id.
    """
    whole = [float(cell.denominator or 0) for cell in found.cells]
    value = [float(cell.value or 0) for cell in found.cells]
    share = found.share * layer.factor
    most = max(whole)
    low, high = min([*value, share]), max([*value, share])
    room = max((high - low) * _ROOM, 0.5)
    low, high = max(0.0, low - room), min(layer.factor, high + room)
    step, wide = _step(high - low), _step(most / 2)

    def x(count: float) -> float:
        return round(_F_LEFT + (FUNNEL_WIDTH - _F_LEFT - _F_RIGHT) * count / most, 1)

    def y(amount: float) -> float:
        inner = FUNNEL_HEIGHT - _F_TOP - _F_BOTTOM
        return round(_F_TOP + inner * (high - amount) / (high - low), 1)

    grid = np.unique(np.round(np.geomspace(1, most, _CURVE)))
    drawn = limits(found.share, grid, found.phi)
    curves = tuple(
        Curve(
            style,
            " ".join(
                f"{x(count)},{y(at * layer.factor)}" for count, at in zip(grid, line, strict=True)
            ),
        )
        for style, line in (
            ("inner", drawn.low),
            ("inner", drawn.high),
            ("outer", drawn.far_low),
            ("outer", drawn.far_high),
        )
    )
    tones = [tone_of(layer, stands) for stands in found.stands]
    order = sorted(range(len(tones)), key=lambda at: (tones[at] != "inside", "far" in tones[at]))
    marks = [
        _point(layer, found.cells[at], tones[at], x(whole[at]), y(value[at]), ways) for at in order
    ]
    suffix = "%" if layer.unit == "%" else ""
    return FunnelDrawing(
        tuple(
            Tick(y(step * count), f"{format.limit(round(step * count, 6))}{suffix}")
            for count in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
        ),
        tuple(
            Tick(x(wide * count), format.limit(wide * count))
            for count in range(floor(most / wide) + 1)
        ),
        Tick(y(share), _("整体 {value}").format(value=format.value(layer, share))),
        curves,
        Markup("\n".join(marks)),
    )


_SHAPES = {"worse": "l5,0l-2.5,5z", "better": "l5,0l-2.5,-5z"}
"""From the left end of a triangle's level side; with the colours they say which side it is."""


def _point(layer: Layer, cell: Cell, tone: str, x: float, y: float, ways: Mapping[str, str]) -> str:
    name = " ".join(part for part in (ways.get(cell.place.id, ""), cell.place.name) if part)
    words = escape.html(
        _("{name}：{value}，{counted}，{standing}").format(
            name=name,
            value=format.value(layer, cell.value, cell.aim),
            counted=format.fraction(layer, cell.numerator, cell.denominator),
            standing=wording.funnel_name(tone, _),
        )
    )
    if tone == "inside":
        return f'<circle class="inside" cx="{x}" cy="{y}" data-words="{words}"/>'
    side = tone.removeprefix("far-")
    top = round(y + (-1.7 if side == "worse" else 1.7), 1)
    return (
        f'<path class="{tone}" d="M{round(x - 2.5, 1)},{top}{_SHAPES[side]}" data-words="{words}"/>'
    )


def funnel_colours() -> dict[str, str]:
    """The colour of each tone."""
    outside = palettes.colours("RdYlBu", 4)
    return dict(zip(("far-worse", "worse", "better", "far-better"), outside, strict=True))


def funnel_markup(layer: Layer, found: Funnel, ways: Mapping[str, str]) -> str:
    """The funnel with its legend and the line that says the place pointed at."""
    tones = [tone_of(layer, stands) for stands in found.stands]
    return blocks.render(
        "funnel.html",
        title=layer_title(layer),
        drawn=funnel(layer, found, ways),
        colours=funnel_colours(),
        legend=[
            (tone, wording.funnel_name(tone, _), format.number(tones.count(tone))) for tone in TONES
        ],
        axis=_("{measure}（{unit}）").format(
            measure=measure_title(layer.denominator),
            unit=unit_name(measure_unit(layer.denominator)),
        ),
        widened=wording.widened(found.phi, _),
        width=FUNNEL_WIDTH,
        height=FUNNEL_HEIGHT,
        left=_F_LEFT,
        right=FUNNEL_WIDTH - _F_RIGHT,
        top=_F_TOP,
        bottom=FUNNEL_HEIGHT - _F_BOTTOM,
    )

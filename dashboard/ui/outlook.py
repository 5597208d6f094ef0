"""What a forecast says, in one plain sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from dashboard.coverage import forecast, pace
from dashboard.coverage.forecast import YearEnd
from dashboard.coverage.model import Direction, Layer, TrendPoint
from dashboard.coverage.pace import Standing
from dashboard.ui import format
from dashboard.ui.tables import measure_unit
from dashboard.ui.texts import _, unit_name


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words and their tone: ``good``, ``warn``, ``bad`` or nothing."""

    words: str
    tone: str = ""


def sentence(layer: Layer, end: YearEnd) -> Sentence:
    """Where the place will stand, what lacks, whether it will do; or why nobody can tell."""
    december = end.december
    if end.target is None:
        return Sentence(_("这个图层未设目标，不作年末预测。"))
    if december is None:
        return Sentence(_why(layer, end))
    target = format.with_unit(format.limit(end.target), layer.unit)
    lacks = lacking(layer, end.short)
    parts = {
        "year": end.month[:4],
        "month": format.month(end.month),
        "value": format.value(layer, december.value, end.target),
        "range": format.between(layer, december.low, december.high, end.target),
        "target": target,
    }
    if forecast.months_left(end.month) == 0:
        words, tone = (
            (_("{year} 年末为 {value}，未完成目标 {target}"), "bad")
            if end.misses
            else (_("{year} 年末为 {value}，已完成目标 {target}"), "good")
        )
    elif end.surely:
        words = _(
            "截至{month}，照此下去，年末约 {value}（80% 区间 {range}），将完不成目标 {target}"
        )
        tone = "bad"
    elif end.misses:
        words = _(
            "截至{month}，照此下去，年末约 {value}（80% 区间 {range}），可能完不成目标 {target}"
        )
        tone = "warn"
    else:
        words = _(
            "截至{month}，照此下去，年末约 {value}（80% 区间 {range}），预计能完成目标 {target}"
        )
        tone = "good"
    said = [words.format(**parts)]
    if end.misses and lacks:
        said.append(lacks)
    if end.misses and end.monthly:
        said.append(monthly(layer, end.monthly))
    return Sentence(_("，").join(said) + _("。"), tone)


def since(layer: Layer, points: Sequence[TrendPoint], month: str) -> Sentence | None:
    """From which month a place has been off pace without a break; None where it is not."""
    first = pace.off_pace_since(layer, points, month)
    if first is None:
        return None
    words = _("{month}起一直未达序时。")
    if first == month:
        words = _("本月起未达序时。")
    elif first == next(point.month for point in points if point.value is not None):
        words = _("有数据以来（{month}起）一直未达序时。")
    now = next(point for point in points if point.month == month)
    late = pace.standing(layer, now.target, now.value, month) is Standing.LATE
    return Sentence(words.format(month=format.month(first)), "bad" if late else "warn")


def _why(layer: Layer, end: YearEnd) -> str:
    """Why a layer with a target has no forecast."""
    restarts = forecast.adds_up(layer)
    needed = forecast.needed(restarts)
    if end.months >= needed or end.cell.status not in forecast.GOES_ON:
        return _("本月没有可用的数值，不作年末预测。")
    if restarts:
        return _("今年只有 {months} 个月有数据，满 {needed} 个月才能预测年末。").format(
            months=end.months, needed=needed
        )
    return _("最近 12 个月只有 {months} 个月有数据，满 {needed} 个月才能预测年末。").format(
        months=end.months, needed=needed
    )


def rounded(amount: float | None) -> str:
    """Persons are not lacking in parts: rounded up."""
    return format.number(None if amount is None else ceil(amount))


def lacking(layer: Layer, short: float | None) -> str:
    """``差 312 人``; nothing where it is not known or nothing lacks."""
    if not short:
        return ""
    words = (
        _("差 {count} {unit}") if layer.direction is Direction.HIGHER else _("超出 {count} {unit}")
    )
    return words.format(count=rounded(short), unit=unit_name(measure_unit(layer.numerator)))


def monthly(layer: Layer, each: float) -> str:
    """What each month left has to bring."""
    words = (
        _("今后每月需新增 {count} {unit}才能完成")
        if layer.direction is Direction.HIGHER
        else _("今后每月需减少 {count} {unit}才能完成")
    )
    return words.format(count=rounded(each), unit=unit_name(measure_unit(layer.numerator)))

"""Every system of a place in one table: what it reached, against what, and how it moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.coverage import pace, wording
from dashboard.coverage.disclosure import Pattern
from dashboard.coverage.model import Cell as Value
from dashboard.coverage.model import Indicator, Layer, Status, ViewTable
from dashboard.coverage.systems import State, System
from dashboard.coverage.targets import Targets
from dashboard.privacy.suppress import Shown
from dashboard.reports import tables
from dashboard.reports.model import Cell, Column, Sheet
from dashboard.reports.tables import HIDDEN
from geodata.model import Place
from loaders.registry import measures


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """All indicators of a place in a month, and what may be shown of them.

    Attributes:
        targets: of the place in the month's year.
        found: by layer; a layer without figures is missing.
        below: by layer, the places directly below, worst first.
        months: of the trends, ascending, the month itself last.
        patterns: what is left out by layer, for each of ``months``.
    """

    place: Place
    version: int
    targets: Targets
    found: Mapping[str, Indicator]
    below: Mapping[str, ViewTable]
    months: Sequence[str]
    patterns: Sequence[Mapping[str, Pattern]]

    def shown(self, layer: Layer, cell: Value) -> Shown:
        """What may be shown of a place this month."""
        if cell.status is Status.SUPPRESSED:
            return Shown.NOTHING
        return self.patterns[-1][layer.id].get(cell.place.id, Shown.ALL)


def sheet(
    seen: Overview,
    systems: Sequence[System],
    *,
    threshold: int,
    leaving: bool,
    by: str,
    at: datetime,
) -> Sheet:
    """One row for each layer of each system; a system without layers has a row that says so."""
    month = tables.month_words(seen.months[-1])
    rows: list[Sequence[Cell]] = []
    for system in systems:
        head = (system.number, system.title)
        rows += [(*head, *_row(seen, layer)) for layer in system.layers]
        if not system.layers:
            note = "后续建设" if system.state is State.LATER else "无图层"
            rows.append((*head, *[None] * (len(_COLUMNS) + len(seen.months) - 3), note))
    trend = tuple(Column(one, 2, whole=True) for one in seen.months)
    return Sheet(
        title=f"{seen.place.name} 各项指标 {month}",
        columns=(*_COLUMNS[:-1], *trend, _COLUMNS[-1]),
        rows=rows,
        notes=(
            f"地区：{seen.place.name}({seen.place.id})；月份：{month}(第 {seen.version} 版汇总)",
            f"导出人：{by}；导出时间：{at:%Y-%m-%d %H:%M}",
            tables.rule(threshold, leaving),
            "序时应达：目标 × 当年已过月份 ÷ 12(全年均应保持的指标即目标本身)；"
            "最差下级只在可以列出的单位中比较，未列出的可能更差。",
        ),
    )


_COLUMNS = (
    Column("序号", 0),
    Column("系统", width=24),
    Column("指标", width=24),
    Column("数值", 2, whole=True),
    Column("单位"),
    Column("分子", 2, whole=True),
    Column("分母", 2, whole=True),
    Column("分子单位"),
    Column("分母单位"),
    Column("目标", 2, whole=True),
    Column("序时应达", 2, whole=True),
    Column("进度"),
    Column("可列出的最差下级", width=18),
    Column("其数值", 2, whole=True),
    Column("备注"),
)


def _row(seen: Overview, layer: Layer) -> Sequence[Cell]:
    target = seen.targets.of(layer, seen.place)
    wanted = pace.due(layer, target, seen.months[-1])
    top, bottom = measures()[layer.numerator], measures()[layer.denominator]
    units = (None, None) if layer.is_count else (top.unit, bottom.unit)
    goals = (
        target and target.value,
        None if wanted is None else round(wanted.pace, layer.decimals),
    )
    one = seen.found.get(layer.id)
    if one is None:
        nothing = [None] * len(seen.months)
        return (
            *(layer.title, None, layer.unit, None, None, *units),
            *(*goals, None, None, None, *nothing, "无数据"),
        )
    shown = seen.shown(layer, one.cell)
    whole = shown is Shown.ALL
    standing = pace.standing(layer, target, one.cell.value, seen.months[-1]) if whole else None
    worst = _worst(seen, layer)
    return (
        layer.title,
        _value(layer, one.cell.value, one.cell.aim) if whole else HIDDEN,
        layer.unit,
        *_counts(layer, one.cell, shown),
        *units,
        *goals,
        None if standing is None else wording.standing_name(standing),
        *((None, None) if worst is None else _named(layer, worst)),
        *_trend(seen, one),
        tables.STATUS[one.cell.status],
    )


def _named(layer: Layer, cell: Value) -> tuple[Cell, Cell]:
    return cell.place.name, _value(layer, cell.value, cell.aim)


def _counts(layer: Layer, cell: Value, shown: Shown) -> tuple[Cell, Cell]:
    if layer.is_count:
        return None, None
    top = cell.numerator if shown is Shown.ALL else HIDDEN
    return top, HIDDEN if shown is Shown.NOTHING else cell.denominator


def _worst(seen: Overview, layer: Layer) -> Value | None:
    """The worst of the places below whose value may be shown; none where they only count."""
    if layer.is_count:
        return None
    return next(
        (
            cell
            for cell in seen.below[layer.id].cells
            if cell.value is not None and seen.shown(layer, cell) is Shown.ALL
        ),
        None,
    )


def _trend(seen: Overview, one: Indicator) -> list[Cell]:
    """The values of the months; a protected layer has none on the screen either."""
    if not one.trend:
        return [None] * len(seen.months)
    return [
        HIDDEN
        if patterns[one.layer.id].get(one.cell.place.id, Shown.ALL) is not Shown.ALL
        else _value(one.layer, value, one.cell.aim)
        for patterns, value in zip(seen.patterns, one.trend, strict=True)
    ]


def _value(layer: Layer, value: float | None, target: float | None) -> float | None:
    return None if value is None else round(layer.written(value, target), layer.decimals)

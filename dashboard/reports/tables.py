"""The table of a view as it may leave the program: suppressed, with a heading that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from dashboard.coverage import classify
from dashboard.coverage.disclosure import Pattern
from dashboard.coverage.model import Cell as Value
from dashboard.coverage.model import Layer, Source, Status, View, ViewTable
from dashboard.privacy.suppress import Shown
from dashboard.reports.model import Cell, Column, Sheet
from loaders.registry import Measure, measures

HIDDEN = "*"
"""Stands for a count left out, be it small itself or left out for the sake of a small one."""

STATUS = {
    Status.OK: "",
    Status.NO_DATA: "无数据",
    Status.NOT_APPLICABLE: "不适用",
    Status.SUPPRESSED: "人数过少，不予显示",
    Status.TOO_LOW: "本级不显示",
}


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What may be shown.

    Attributes:
        threshold: the least count shown besides 0.
        now, before, other: ``Shown`` by place id in the month of the view, before it, and in the
            month that is compared with it; a place that is missing is shown whole.
    """

    threshold: int
    now: Pattern
    before: Pattern = field(default_factory=dict)
    other: Pattern = field(default_factory=dict)

    def of(self, value: Value) -> Shown:
        """What may be shown of a place."""
        if value.status is Status.SUPPRESSED:
            return Shown.NOTHING
        return self.now.get(value.place.id, Shown.ALL)

    def whole(self, value: Value) -> bool:
        """Whether a place's ratio may be shown, and whatever rests on it."""
        return self.of(value) is Shown.ALL


@dataclass(frozen=True, slots=True)
class Last:
    """Columns that stand at a table's end, before the remarks.

    Attributes:
        cells: by place id, one for each of ``columns``.
        notes: lines under the title that explain them.
    """

    columns: tuple[Column, ...] = ()
    cells: Mapping[str, Sequence[Cell]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def rule(threshold: int, leaving: bool) -> str:
    """The suppression rule in words."""
    where = "带出本县" if leaving else "县内使用"
    return (
        f"本表{where}：少于 {threshold} 的人数、户数(含未完成的差额)不列出，以“{HIDDEN}”代替；"
        "为防止由合计倒推，另有部分数字一并以“*”隐去。0 照常列出。"
    )


SOURCES = {Source.REPORTED: "上报", Source.RECORDS: "台账", Source.VERIFIED: "核实(抽样推算)"}


def children(
    table: ViewTable,
    disclosure: Disclosure,
    *,
    by: str,
    at: datetime,
    leaving: bool,
    last: Last | None = None,
) -> Sheet:
    """The place and the places directly below it: worst first, then those left out, by code.

    Neither order nor rank tells anything of a place whose ratio is left out: ranks count the
    ratios shown only.
    """
    last = last or Last()
    layer = table.layer
    listed = [cell for cell in table.cells if _ratio(cell, disclosure) is not None]
    others = [cell for cell in table.cells if _ratio(cell, disclosure) is None]
    others.sort(key=lambda cell: (disclosure.whole(cell), cell.place.id))
    ratios = np.array([_ratio(cell, disclosure) for cell in listed], dtype=np.float64)
    ranks: list[int | None] = [None] * len(listed)
    if table.view.source is not Source.VERIFIED:  # a sample ranks nobody
        ranks = [int(rank) for rank in classify.ranks(layer, ratios)]
    ranks += [None] * len(others)
    rows = [_row(table.own, layer, disclosure, None, f"{table.place.name}(合计)", last)]
    rows += [
        _row(cell, layer, disclosure, rank, cell.place.name, last)
        for cell, rank in zip([*listed, *others], ranks, strict=True)
    ]
    wanted = table.own.target
    target = "" if wanted is None else f"；目标 {wanted.value:g}{layer.unit}"
    place = f"{table.place.name}({table.place.id})"
    return Sheet(
        title=f"{table.place.name} {layer.title} {month_words(table.view.month)}",
        columns=_columns(layer, last.columns),
        rows=rows,
        notes=(
            about(place, f"{layer.title}{target}", table.view, table.version),
            f"导出人：{by}；导出时间：{at:%Y-%m-%d %H:%M}",
            rule(disclosure.threshold, leaving),
            *last.notes,
            layer.help,
        ),
        totals=1,
    )


def about(place: str, layer: str, view: View, version: int) -> str:
    """The line under a title that says what the table is of.

    Args:
        place, layer: as they are to be named.
    """
    source = "" if view.source is Source.REPORTED else f"；来源：{SOURCES[view.source]}"
    return (
        f"地区：{place}；图层：{layer}；"
        f"月份：{month_words(view.month)}(第 {version} 版汇总){source}"
    )


def left_out(sheet: Sheet) -> int:
    """How many rows have something left out."""
    return sum(HIDDEN in row for row in sheet.rows)


def counted(layer: Layer, value: str = "数值") -> tuple[Column, ...]:
    """The columns of a place's numbers and, named so, of what they come to."""
    top, bottom = measures()[layer.numerator], measures()[layer.denominator]
    if layer.is_count:
        return (Column(f"{top.title}({top.unit})", layer.decimals),)
    return (
        Column(f"{top.title}({top.unit})", _whole(top)),
        Column(f"{bottom.title}({bottom.unit})", _whole(bottom)),
        Column(f"{value}({layer.unit})", layer.decimals),
    )


def numbers(cell: Value, layer: Layer, disclosure: Disclosure) -> tuple[Cell, ...]:
    """What may be shown of a place in the columns of ``counted``."""
    shown = disclosure.of(cell)
    if layer.is_count:
        return (cell.value if shown is Shown.ALL else HIDDEN,)
    if shown is Shown.ALL:
        return cell.numerator, cell.denominator, written(layer, cell.value, cell.aim)
    return HIDDEN, cell.denominator if shown is Shown.DENOMINATOR else HIDDEN, HIDDEN


def written(layer: Layer, value: float | None, target: float | None) -> float | None:
    """A value as ``Layer.written``, as the screens write it."""
    return None if value is None else layer.written(value, target)


def status(cell: Value, disclosure: Disclosure) -> str:
    """Why a place has no value; that a denominator is 0 is not said where it is left out."""
    unsaid = cell.status is Status.NOT_APPLICABLE and not disclosure.whole(cell)
    return "" if unsaid else STATUS[cell.status]


def _columns(layer: Layer, last: Sequence[Column]) -> tuple[Column, ...]:
    points = "百分点" if layer.unit == "%" else layer.unit
    return (
        Column("地区"),
        Column("代码", width=18),
        *counted(layer),
        Column(f"较上月({points})", layer.decimals),
        Column("名次", 0),
        Column("上报单位", 0),
        Column("应报单位", 0),
        *last,
        Column("备注"),
    )


def _ratio(cell: Value, disclosure: Disclosure) -> float | None:
    return cell.value if disclosure.whole(cell) else None


def _row(
    cell: Value, layer: Layer, disclosure: Disclosure, rank: int | None, name: str, last: Last
) -> Sequence[Cell]:
    notes = [status(cell, disclosure)]
    if cell.disagrees:
        notes.append("本级填报与下级合计不一致")
    if not cell.has_boundary:
        notes.append("无边界")
    return (
        name,
        cell.place.id,
        *numbers(cell, layer, disclosure),
        _change(cell, layer, disclosure) if disclosure.whole(cell) else None,
        rank,
        cell.reporting,
        cell.expected,
        *last.cells.get(cell.place.id, ()),
        "；".join(filter(None, notes)),
    )


def _change(cell: Value, layer: Layer, disclosure: Disclosure) -> float | None:
    """The change between the two ratios as shown; none where last month's is left out."""
    if cell.change is None or cell.value is None:
        return None
    if disclosure.before.get(cell.place.id, Shown.ALL) is not Shown.ALL:
        return None
    places = layer.decimals
    now, before = layer.written(cell.value, cell.aim), cell.value - cell.change
    # Never a minus in front of nothing.
    return round(round(now, places) - round(before, places), places) or 0.0


def _whole(measure: Measure) -> int:
    return 0 if measure.integer else 2


def month_words(month: str) -> str:
    """``2026年10月``."""
    year, number = month.split("-")
    return f"{year}年{int(number)}月"

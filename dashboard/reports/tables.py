"""The table of a view as it may leave the program: suppressed, with a heading that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from dashboard.coverage import classify
from dashboard.coverage.model import Cell as Value
from dashboard.coverage.model import Layer, Source, Status, ViewTable
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
        now, before: ``Shown`` by place id in the month of the view and the month before; a place
            that is missing is shown whole.
    """

    threshold: int
    now: dict[str, Shown]
    before: dict[str, Shown]

    def of(self, value: Value) -> Shown:
        """What may be shown of a place."""
        return self.now.get(value.place.id, Shown.ALL)


def rule(threshold: int, leaving: bool) -> str:
    """The suppression rule in words."""
    where = "带出本县" if leaving else "县内使用"
    return (
        f"本表{where}：少于 {threshold} 的人数、户数(含未完成的差额)不列出，以“{HIDDEN}”代替；"
        "为防止由合计倒推，另有部分数字一并以“*”隐去。0 照常列出。"
    )


SOURCES = {Source.REPORTED: "上报", Source.RECORDS: "台账", Source.VERIFIED: "核实(抽样推算)"}


def children(
    table: ViewTable, disclosure: Disclosure, *, by: str, at: datetime, leaving: bool
) -> Sheet:
    """The place and the places directly below it: worst first, then those left out, by code.

    Neither order nor rank tells anything of a place whose ratio is left out: ranks count the
    ratios shown only.
    """
    layer = table.layer
    listed = [cell for cell in table.cells if _ratio(cell, disclosure) is not None]
    others = [cell for cell in table.cells if _ratio(cell, disclosure) is None]
    others.sort(key=lambda cell: (cell.status is not Status.OK, cell.place.id))
    ratios = np.array([_ratio(cell, disclosure) for cell in listed], dtype=np.float64)
    ranks: list[int | None] = [int(rank) for rank in classify.ranks(layer, ratios)]
    ranks += [None] * len(others)
    rows = [_row(table.own, layer, disclosure, None, f"{table.place.name}(合计)")]
    rows += [
        _row(cell, layer, disclosure, rank, cell.place.name)
        for cell, rank in zip([*listed, *others], ranks, strict=True)
    ]
    title = f"{table.place.name} {layer.title} {month_words(table.view.month)}"
    source = "" if table.view.source is Source.REPORTED else f"；来源：{SOURCES[table.view.source]}"
    wanted = table.own.target
    target = "" if wanted is None else f"；目标 {wanted.value:g}{layer.unit}"
    return Sheet(
        title=title,
        columns=_columns(layer),
        rows=rows,
        notes=(
            f"地区：{table.place.name}({table.place.id})；图层：{layer.title}{target}；"
            f"月份：{month_words(table.view.month)}(第 {table.version} 版汇总){source}",
            f"导出人：{by}；导出时间：{at:%Y-%m-%d %H:%M}",
            rule(disclosure.threshold, leaving),
            layer.help,
        ),
        totals=1,
    )


def left_out(sheet: Sheet) -> int:
    """How many rows have something left out."""
    return sum(HIDDEN in row for row in sheet.rows)


def _columns(layer: Layer) -> tuple[Column, ...]:
    top, bottom = measures()[layer.numerator], measures()[layer.denominator]
    decimals = layer.decimals
    points = "百分点" if layer.unit == "%" else layer.unit
    counts = (
        (Column(f"{top.title}({top.unit})", decimals),)
        if layer.is_count
        else (
            Column(f"{top.title}({top.unit})", _whole(top)),
            Column(f"{bottom.title}({bottom.unit})", _whole(bottom)),
            Column(f"数值({layer.unit})", decimals),
        )
    )
    return (
        Column("地区"),
        Column("代码", width=18),
        *counts,
        Column(f"较上月({points})", decimals),
        Column("名次", 0),
        Column("上报单位", 0),
        Column("应报单位", 0),
        Column("备注"),
    )


def _ratio(cell: Value, disclosure: Disclosure) -> float | None:
    return cell.value if disclosure.of(cell) is Shown.ALL else None


def _row(
    cell: Value, layer: Layer, disclosure: Disclosure, rank: int | None, name: str
) -> Sequence[Cell]:
    shown = Shown.NOTHING if cell.status is Status.SUPPRESSED else disclosure.of(cell)
    counts: tuple[Cell, ...]
    change = _change(cell, layer, disclosure) if shown is Shown.ALL else None
    if layer.is_count:
        counts = (cell.value if shown is Shown.ALL else HIDDEN,)
    elif shown is Shown.ALL:
        counts = (cell.numerator, cell.denominator, cell.value)
    elif shown is Shown.DENOMINATOR:
        counts = (HIDDEN, cell.denominator, HIDDEN)
    else:
        counts = (HIDDEN, HIDDEN, HIDDEN)
    notes = [STATUS[cell.status]]
    if cell.disagrees:
        notes.append("本级填报与下级合计不一致")
    if not cell.has_boundary:
        notes.append("无边界")
    return (
        name,
        cell.place.id,
        *counts,
        change,
        rank,
        cell.reporting,
        cell.expected,
        "；".join(filter(None, notes)),
    )


def _change(cell: Value, layer: Layer, disclosure: Disclosure) -> float | None:
    """The change between the two ratios as shown; none where last month's is left out."""
    if cell.change is None or cell.value is None:
        return None
    if disclosure.before.get(cell.place.id, Shown.ALL) is not Shown.ALL:
        return None
    places = layer.decimals
    change = round(cell.value, places) - round(cell.value - cell.change, places)
    # Never a minus in front of nothing.
    return round(change, places) or 0.0


def _whole(measure: Measure) -> int:
    return 0 if measure.integer else 2


def month_words(month: str) -> str:
    """``2026年10月``."""
    year, number = month.split("-")
    return f"{year}年{int(number)}月"

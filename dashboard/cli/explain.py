"""``explain``: what one value stands on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    LayerOption,
    MonthOption,
    PlaceOption,
    print_json,
    reading,
    reporting,
    source_of,
)
from dashboard.coverage import service
from dashboard.coverage.explain import (
    LISTED,
    Absent,
    Counted,
    Explanation,
    Lack,
    Load,
    Method,
    Recount,
    Row,
)
from dashboard.coverage.model import Cell, Source, Status, View
from dashboard.coverage.plausibility import Flag
from geodata.model import Place
from loaders.registry import datasets, measures

_SOURCES = {Source.REPORTED: "上报", Source.RECORDS: "台账", Source.VERIFIED: "核实"}
_STATUSES = {
    Status.NO_DATA: "无数据",
    Status.NOT_APPLICABLE: "不适用(分母为 0)",
    Status.SUPPRESSED: "人数过少，不予显示，也不作说明",
    Status.TOO_LOW: "这个图层在本级不显示，也不作说明",
}
_METHODS = {
    Method.SUM: "下级各单位数字相加",
    Method.OWN: "本级自己的数字",
    Method.ESTIMATE: "按入户核实折算",
}
_LACKS = {
    Lack.NO_FIGURE: "分子分母都没有",
    Lack.ONLY_NUMERATOR: "只有分子，没有分母",
    Lack.ONLY_DENOMINATOR: "只有分母，没有分子",
}


def explain(
    layer: LayerOption,
    place: PlaceOption,
    month: MonthOption,
    source: Annotated[
        str, typer.Option(help="来源：reported、records 或 verified。")
    ] = Source.REPORTED.value,
    limit: Annotated[int, typer.Option(min=0, help="各类单位最多列出几个。")] = LISTED,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """一个数是怎么来的：分子分母、来源、批次、谁何时导入、算法、未计入的。"""
    with reporting(as_json), reading(data, login) as unit:
        found = service.explain(unit, View(place, layer, month, source_of(source)), limit)
    if as_json:
        print_json(as_dict(found))
    else:
        for line in _lines(found):
            typer.echo(line)


# JSON


def as_dict(found: Explanation) -> dict[str, Any]:
    """The JSON form."""
    layer, cell = found.layer, found.cell
    shown = cell.status not in (Status.SUPPRESSED, Status.TOO_LOW)
    return {
        "layer": layer.id,
        "place": cell.place.id,
        "name": cell.place.name,
        "level": cell.place.level.key,
        "month": found.month,
        "version": found.version,
        "source": found.source.value,
        "status": cell.status.value,
        "value": cell.value,
        "unit": layer.unit,
        "method": found.method.value,
        "formula": found.formula.zh,
        "formula_en": found.formula.en,
        "numerator": _number(layer.numerator, cell.numerator, found.numerator),
        "denominator": None
        if layer.is_count
        else _number(layer.denominator, cell.denominator, found.denominator),
        "missing": None if found.missing is None else list(found.missing),
        "reporting": cell.reporting if shown else None,
        "expected": cell.expected if shown else None,
        "rows": [_row(row) for row in found.rows],
        "rows_total": found.rows_total,
        "near": found.near,
        "without": [_absent(one) for one in found.absent],
        "without_total": found.absent_total,
        "differing": [_differing(one) for one in found.differing],
        "differing_total": found.differing_total,
        "hidden": found.hidden,
        "floor": found.floor,
        "records": [_counted(one) for one in found.records],
        "sample": _sample(found.sample),
        "reported": None
        if found.reported is None
        else {
            "numerator": found.reported.numerator,
            "denominator": found.reported.denominator,
        },
        "batches": None if found.loads is None else [_load(one) for one in found.loads],
        "replaced": found.replaced,
        "doubts": [_doubt(flag) for flag in found.doubts],
    }


def _number(measure: str, value: float | None, rule: Any) -> dict[str, Any]:
    return {
        "measure": measure,
        "title": measures()[measure].title,
        "unit": measures()[measure].unit,
        "value": value,
        "rule": rule.zh,
        "rule_en": rule.en,
    }


def _place(place: Place) -> dict[str, Any]:
    return {"id": place.id, "name": place.name, "level": place.level.key}


def _row(row: Row) -> dict[str, Any]:
    cell = row.cell
    return {
        **_place(cell.place),
        "status": cell.status.value,
        "numerator": cell.numerator,
        "denominator": cell.denominator,
        "value": cell.value,
        "batches": list(row.loads),
        "records": [_counted(one) for one in row.counted],
        "sample": _sample(row.sample),
    }


def _absent(one: Absent) -> dict[str, Any]:
    return {**_place(one.place), "expected": one.expected, "lack": one.lack.value}


def _differing(cell: Cell) -> dict[str, Any]:
    return {
        **_place(cell.place),
        "numerator": cell.numerator,
        "denominator": cell.denominator,
        "own_numerator": cell.own_numerator,
        "own_denominator": cell.own_denominator,
    }


def _counted(one: Counted) -> dict[str, Any]:
    return {"part": one.part.value, "dataset": one.dataset, "rows": one.rows}


def _sample(one: Recount | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "units": one.units,
        "recount": one.recount,
        "reported": one.reported,
        "no_service": one.no_service,
        "missing_source": one.missing_source,
    }


def _load(one: Load) -> dict[str, Any]:
    return {
        "id": one.id,
        "file": one.file,
        "dataset": one.dataset,
        "operator": one.operator,
        "finished": one.finished,
        "rows": one.rows,
    }


def _doubt(flag: Flag) -> dict[str, Any]:
    return {
        "code": flag.code,
        "place": flag.place_id,
        "reason": flag.reason(),
        "reason_en": flag.reason(english=True),
    }


# Text


def _lines(found: Explanation) -> list[str]:
    layer, cell = found.layer, found.cell
    value = _STATUSES.get(cell.status, "")
    if cell.value is not None:
        value = f"{cell.value:,.{layer.decimals}f}{layer.unit}"
    lines = [
        f"{cell.place.name} {found.month} {layer.title}({_SOURCES[found.source]})：{value}",
        f"算法：{found.formula.zh}",
    ]
    numbers = [(layer.numerator, cell.numerator, found.numerator)]
    if not layer.is_count:
        numbers.append((layer.denominator, cell.denominator, found.denominator))
    for measure, number, rule in numbers:
        lines.append(f"  {measures()[measure].title} {_amount(measure, number)}：{rule.zh}")
    if found.missing is None:
        lines.append("这个图层没有此来源的数据。")
    elif found.missing:
        lines.append(f"尚未导入：{'、'.join(map(_title, found.missing))}")
    if cell.status in (Status.SUPPRESSED, Status.TOO_LOW):
        return lines
    if found.method is not Method.NONE:
        lines.append(f"{_METHODS[found.method]}；{cell.reporting}/{cell.expected} 个基层单位有数")
    lines += [f"  {_told(layer.numerator, layer.denominator, row)}" for row in found.rows]
    lines += _more(len(found.rows), found.rows_total)
    if found.near:
        lines.append("  下级很多，这里只列下一级；批次请到下级查看。")
    if found.floor:
        lines.append("  再往下的单位不显示。")
    if found.hidden:
        lines.append(f"  其中 {found.hidden} 个单位人数过少，不予显示。")
    if found.absent_total:
        lines.append(f"未计入 {found.absent_total} 个单位：")
        lines += [f"  {one.place.name} {_LACKS[one.lack]}" for one in found.absent]
        lines += _more(len(found.absent), found.absent_total)
    if found.differing_total:
        lines.append(f"本级填报与下级合计不一致 {found.differing_total} 处，按下级合计：")
        lines += [
            f"  {one.place.name} 本级 {_both(one.own_numerator, one.own_denominator)}，"
            f"下级合计 {_both(one.numerator, one.denominator)}"
            for one in found.differing
        ]
    if found.sample is not None:
        lines.append(
            f"入户核实 {found.sample.units} 户：复核数 {found.sample.recount:g}，上报数 "
            f"{found.sample.reported:g}；未计入无服务 {found.sample.no_service} 户、"
            f"无原始记录 {found.sample.missing_source} 户"
        )
    lines += [
        f"台账：{_title(one.dataset)} {one.rows:,} 条"
        for one in found.records
        if one.rows is not None
    ]
    if found.loads is None and not found.near:
        lines.append("涉及少数患者，不列出批次和记录条数。")
    for load in found.loads or ():
        named = f" {load.file}" if load.file else ""
        lines.append(
            f"第 {load.id} 批{named}({_title(load.dataset)})：{load.operator} 于 {load.finished} "
            f"导入，计入 {load.rows:,} 行"
        )
    if found.replaced:
        lines.append(f"其中 {found.replaced:,} 个数字是更正，取代了以前的批次。")
    lines += [f"存疑：{found.names[flag.place_id]} {flag.reason()}" for flag in found.doubts]
    return lines


def _title(dataset: str) -> str:
    return datasets()[dataset].title


def _amount(measure: str, value: float | None) -> str:
    if value is None:
        return "—"
    decimals = 0 if measures()[measure].integer and value.is_integer() else 2
    return f"{value:,.{decimals}f} {measures()[measure].unit}"


def _both(numerator: float | None, denominator: float | None) -> str:
    return " / ".join("—" if one is None else f"{one:,g}" for one in (numerator, denominator))


def _told(numerator: str, denominator: str, row: Row) -> str:
    cell = row.cell
    if cell.numerator is None:
        return f"{cell.place.name} {_STATUSES[cell.status]}"
    counts = _amount(numerator, cell.numerator)
    if denominator != numerator:
        counts += f" / {_amount(denominator, cell.denominator)}"
    batches = f" 批次 {'、'.join(map(str, row.loads))}" if row.loads else ""
    return f"{cell.place.name} {counts}{batches}"


def _more(listed: int, total: int) -> list[str]:
    return [f"  共 {total:,} 个，列出 {listed:,} 个。"] if total > listed else []

"""The table under the map: the same cells, classes and colours, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from dashboard.coverage.model import Cell, Direction, Layer, Status, ViewTable
from dashboard.coverage.pace import Standing, due, standing
from dashboard.coverage.palettes import colours
from dashboard.ui import blocks, escape, format, targetwords
from dashboard.ui.state import Address, quoted
from dashboard.ui.texts import (
    _,
    language,
    layer_help,
    layer_title,
    level_name,
    standing_name,
    status_name,
    unit_name,
)
from loaders.registry import measures

ROWS_LISTED = 100
"""The worst so many are listed at first; a longer table holds up the map."""

SWATCHES = {
    Status.NO_DATA: "no-data",
    Status.NOT_APPLICABLE: "not-applicable",
    Status.SUPPRESSED: "suppressed",
    Status.TOO_LOW: "not-applicable",
}


def measure_title(measure_id: str) -> str:
    """A measure's name in the language in use."""
    measure = measures()[measure_id]
    return measure.title_en if language() == "en" else measure.title


def measure_unit(measure_id: str) -> str:
    """A measure's unit, as the registry writes it."""
    return measures()[measure_id].unit


def tone(layer: Layer, change: float | None) -> str:
    """``good`` or ``bad`` for a change in the layer's own sense; nothing for none."""
    if not change:
        return ""
    return "good" if (change > 0) is (layer.direction is Direction.HIGHER) else "bad"


def disagreement(layer: Layer, cell: Cell) -> str:
    """How a place's own figures differ from the sum of those below it."""
    own = [
        _("{measure} {own}(下级合计 {total})").format(
            measure=measure_title(measure),
            own=format.amount(measure, amount),
            total=format.amount(measure, total),
        )
        for measure, amount, total in (
            (layer.numerator, cell.own_numerator, cell.numerator),
            (layer.denominator, cell.own_denominator, cell.denominator),
        )[: 1 if layer.is_count else 2]
        if amount is not None and amount != total
    ]
    return _("本级填报与下级合计不一致：{differences}。图上按下级合计。").format(
        differences=";".join(own)
    )


def _rows(
    table: ViewTable, address: Address, limit: int | None, last: Mapping[str, str] | None
) -> Iterator[str]:
    """The table's rows; written here, for a template takes ten times as long over 300 of them."""
    layer = table.layer
    link = address.links()
    why = escape.html(address.explained("", place=table.place.id))
    asked = escape.html(_("这个数怎么来的"))
    palette = colours(layer.palette, layer.classes)
    classes = [
        f'<span class="dd-swatch" style="background:{colour}"></span>'
        f"{escape.html(format.class_label(layer, index))}"
        for index, colour in enumerate(palette)
    ]
    missing = {
        status: f'<span class="dd-swatch {swatch}"></span>{escape.html(status_name(status))}'
        for status, swatch in SWATCHES.items()
    }
    # No column at all where nothing is due.
    column = _has_pace(table)
    pace_cells = dict.fromkeys(
        (None, *Standing), f'<td class="dd-pace">{format.MISSING}' if column else ""
    )
    if column:
        for one in Standing:
            words = escape.html(standing_name(one))
            pace_cells[one] = f'<td class="dd-pace {one.value}">{words}'
    doubtful, undrawn = escape.html(_("合计不符")), escape.html(_("无边界"))
    ends = last or {
        cell.place.id: missing[cell.status]
        if cell.class_index is None
        else classes[cell.class_index]
        for cell in table.cells[:limit]
    }
    # Numbers with our own units need no escaping; what came from a file does.
    for cell in table.cells[:limit]:
        place_id, name = escape.html(cell.place.id), escape.html(cell.place.name)
        flag = (
            f'<abbr class="dd-flag" title="{escape.html(disagreement(layer, cell))}">'
            f"{doubtful}</abbr>"
            if cell.disagrees
            else ""
        )
        note = "" if cell.has_boundary else f"<small>{undrawn}</small>"
        change = format.moved(layer, cell)
        counts = (
            ""
            if layer.is_count
            else f'<td class="n dd-counted">{format.amount(layer.numerator, cell.numerator)}</td>'
            f'<td class="n dd-counted">{format.amount(layer.denominator, cell.denominator)}</td>'
        )
        yield (
            f'<tr data-id="{place_id}">'
            f'<th scope="row"><a href="{link(cell.place.id)}">{name}</a>{flag}{note}</th>'
            f"{counts}"
            f'<td class="n dd-value"><a class="dd-why" href="{why}{quoted(cell.place.id)}"'
            f' title="{asked}">{format.value(layer, cell.value, cell.aim)}</a></td>'
            f'<td class="n {tone(layer, change)}">{format.change(layer, change)}</td>'
            f"{pace_cells[standing(layer, cell.target, cell.value, table.view.month)]}"
            f"{_lacking(layer, cell) if column else ''}"
            f'<td class="n">{format.number(cell.rank)}</td>'
            f'<td class="dd-class">{ends[cell.place.id]}</td>'
            "</tr>"
        )


def _lacking(layer: Layer, cell: Cell) -> str:
    """The end of a pace's cell: the target a place has of its own, and how much is short."""
    words = targetwords.lacking(layer, cell)
    if cell.target is not None and cell.target.place_id == cell.place.id:
        own = _("目标 {target}").format(target=targetwords.amount(layer, cell.target))
        words = f"{own} · {words}" if words else own
    return f"<small>{escape.html(words)}</small></td>" if words else "</td>"


def _has_pace(table: ViewTable) -> bool:
    """Whether anything is due of any place listed."""
    return any(due(table.layer, cell.target, table.view.month) for cell in table.cells)


def heading(measure_id: str) -> str:
    """A column of a measure's figures, with their unit."""
    return _("{title}({unit})").format(
        title=measure_title(measure_id), unit=unit_name(measure_unit(measure_id))
    )


def markup(
    table: ViewTable,
    address: Address,
    limit: int | None = None,
    last: tuple[str, Mapping[str, str]] | None = None,
) -> str:
    """The children of the drawn place as a table whose rows lead to them: the worst ``limit``.

    Args:
        last: heading and cells, by place id, of the last column, where the map's colours say
            something else than the classes of the values.
    """
    levels = {cell.place.level for cell in table.cells}
    level = level_name(levels.pop()) if len(levels) == 1 else _("下级单位")
    return blocks.render(
        "table.html",
        title=_("{place}各{level}：{layer}").format(
            place=table.place.name, level=level, layer=layer_title(table.layer)
        ),
        subtitle=targetwords.worst_first(table.layer, len(table.cells)),
        help=layer_help(table.layer),
        counts=[]
        if table.layer.is_count
        else [heading(table.layer.numerator), heading(table.layer.denominator)],
        pace=_has_pace(table),
        rule=targetwords.rule(table.layer),
        value=_("数值({unit})").format(unit=unit_name(table.layer.unit)),
        rows=Markup("\n".join(_rows(table, address, limit, last and last[1]))),
        last=_("等级") if last is None else last[0],
        empty=_("{place}没有下级单位。请从上方路径返回上级。").format(place=table.place.name),
    )

"""The table under the map: the same cells, classes and colours, worst first."""

from __future__ import annotations

from typing import Any

from dashboard.coverage.model import Cell, Direction, Layer, Status, ViewTable
from dashboard.coverage.palettes import colours
from dashboard.ui import blocks, format
from dashboard.ui.state import Address
from dashboard.ui.texts import _, language, layer_title, level_name, status_name, unit_name
from loaders.registry import measures

ROWS_LISTED = 300
"""A longer table helps nobody and holds up the map."""

_SWATCHES = {Status.OK: "", Status.NO_DATA: "no-data", Status.NOT_APPLICABLE: "not-applicable"}


def measure_title(measure_id: str) -> str:
    """A measure's name in the language in use."""
    measure = measures()[measure_id]
    return measure.title_en if language() == "en" else measure.title


def measure_unit(measure_id: str) -> str:
    """A measure's unit, as the registry writes it."""
    return measures()[measure_id].unit


def tone(layer: Layer, change: float | None) -> str:
    """``good`` or ``bad`` for a change in the layer's own sense; nothing for none."""
    if change is None or round(change, format.decimals(layer)) == 0:
        return ""
    return "good" if (change > 0) is (layer.direction is Direction.HIGHER) else "bad"


def disagreement(layer: Layer, cell: Cell) -> str:
    """How a place's own figures differ from the sum of those below it."""
    own = [
        _("{measure} {own}(下级合计 {total})").format(
            measure=measure_title(measure),
            own=format.number(amount),
            total=format.number(total),
        )
        for measure, amount, total in (
            (layer.numerator, cell.own_numerator, cell.numerator),
            (layer.denominator, cell.own_denominator, cell.denominator),
        )
        if amount is not None and amount != total
    ]
    return _("本级填报与下级合计不一致:{differences}。图上按下级合计。").format(
        differences=";".join(own)
    )


def _row(table: ViewTable, cell: Cell, address: Address) -> dict[str, Any]:
    layer = table.layer
    index = cell.class_index
    return {
        "id": cell.place.id,
        "href": address.href(place=cell.place.id),
        "name": cell.place.name,
        "flag": disagreement(layer, cell) if cell.disagrees else "",
        "note": "" if cell.has_boundary else _("无边界"),
        "numerator": format.number(cell.numerator),
        "denominator": format.number(cell.denominator),
        "value": format.value(layer, cell.value),
        "change": format.change(layer, cell.change),
        "tone": tone(layer, cell.change),
        "rank": format.number(cell.rank),
        "swatch": _SWATCHES[cell.status],
        "colour": "" if index is None else colours(layer.palette, layer.classes)[index],
        "label": status_name(cell.status) if index is None else format.class_label(layer, index),
    }


def _heading(measure_id: str) -> str:
    return f"{measure_title(measure_id)}({unit_name(measure_unit(measure_id))})"


def markup(table: ViewTable, address: Address) -> str:
    """The children of the drawn place as a table whose rows lead to them."""
    listed = table.cells[:ROWS_LISTED]
    rest = len(table.cells) - len(listed)
    levels = {cell.place.level for cell in table.cells}
    level = level_name(levels.pop()) if len(levels) == 1 else _("下级单位")
    return blocks.render(
        "table.html",
        title=_("{place}各{level}:{layer}").format(
            place=table.place.name, level=level, layer=layer_title(table.layer)
        ),
        subtitle=_("{count} 个单位,由差到好").format(count=format.number(len(table.cells))),
        numerator=_heading(table.layer.numerator),
        denominator=_heading(table.layer.denominator),
        value=_("数值({unit})").format(unit=unit_name(table.layer.unit)),
        rows=[_row(table, cell, address) for cell in listed],
        rest=_("其余 {count} 个较好的单位未列出,可在图上点选或搜索。").format(
            count=format.number(rest)
        )
        if rest
        else "",
        empty=_("{place}没有下级单位。请从上方路径返回上级。").format(place=table.place.name),
    )

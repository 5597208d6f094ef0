"""``funnel``: which places of one level differ from their common share by more than chance."""

from __future__ import annotations

import typer

from dashboard.cli.common import (
    AboveOption,
    AsOption,
    DataOption,
    JsonOption,
    LayerOption,
    LevelOption,
    MonthOption,
    level_of,
    print_json,
    reading,
    reporting,
)
from dashboard.coverage import service
from dashboard.coverage.funnel import Standing
from dashboard.coverage.model import View

_WORDS = {
    Standing.FAR_BELOW: "低于 99.8% 界限",
    Standing.BELOW: "低于 95% 界限",
    Standing.ABOVE: "高于 95% 界限",
    Standing.FAR_ABOVE: "高于 99.8% 界限",
}


def funnel(
    layer: LayerOption,
    place: AboveOption,
    level: LevelOption,
    month: MonthOption,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """漏斗图的读数：整体比率，以及超出偶然范围的单位。"""
    with reporting(as_json), reading(data, login) as unit:
        wanted = level_of(level)
        found = service.funnel(unit, View(place, layer, month), wanted)
    placed = list(zip(found.cells, found.stands, strict=True))
    if as_json:
        print_json(
            {
                "layer": layer,
                "place": place,
                "level": wanted.key,
                "month": month,
                "share": found.share if found.cells else None,
                "phi": found.phi,
                "without": found.without,
                "places": [
                    {
                        "id": cell.place.id,
                        "name": cell.place.name,
                        "numerator": cell.numerator,
                        "denominator": cell.denominator,
                        "value": cell.value,
                        "standing": stands.value,
                    }
                    for cell, stands in placed
                ],
            }
        )
        return
    for cell, stands in placed:
        if stands in _WORDS:
            typer.echo(
                f"{cell.place.id}\t{cell.place.name}\t"
                f"{cell.numerator:,.0f}/{cell.denominator:,.0f}\t{_WORDS[stands]}"
            )

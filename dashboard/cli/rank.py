"""``rank``: all places of one level below a place, best first."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from dashboard.cli.common import (
    AboveOption,
    AsOption,
    DataOption,
    JsonOption,
    LayerOption,
    LevelOption,
    MonthOption,
    actor,
    level_of,
    open_store,
    print_json,
    reporting,
)
from dashboard.coverage import registry, service
from dashboard.coverage.model import View
from dashboard.coverage.ranking import MINIMUM, Ranked


def rank(
    layer: LayerOption,
    place: AboveOption,
    level: LevelOption,
    month: MonthOption,
    wilson: Annotated[
        bool, typer.Option("--wilson", help="按 95% 置信区间(Wilson)较差的一端排名。")
    ] = False,
    minimum: Annotated[int, typer.Option(min=0, help="分母小于此数的不排名。")] = MINIMUM,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """一地以下某一级所有单位的排名；并列者名次相同，分母过小的不排名。"""
    with reporting(as_json), closing(open_store(data)) as store:
        wanted = level_of(level)
        with store.unit(actor(store, login)) as unit:
            version = unit.snapshot(month).version
            found = service.ranking(unit, View(place, layer, month), wanted, wilson, minimum)
    if as_json:
        print_json(
            {
                "layer": layer,
                "place": place,
                "level": wanted.key,
                "month": month,
                "version": version,
                "by": "wilson" if wilson else "value",
                "minimum": minimum,
                "places": [_ranked(one) for one in found],
            }
        )
        return
    shown = registry.layer(layer)
    for one in found:
        value = one.cell.value
        words = (
            one.cell.status.value if value is None else f"{value:,.{shown.decimals}f}{shown.unit}"
        )
        note = f"\t分母小于 {minimum}，不排名" if one.small else ""
        typer.echo(f"{one.rank or '—'}\t{one.cell.place.id}\t{one.cell.place.name}\t{words}{note}")


def _ranked(one: Ranked) -> dict[str, Any]:
    return {
        "rank": one.rank,
        "id": one.cell.place.id,
        "name": one.cell.place.name,
        "numerator": one.cell.numerator,
        "denominator": one.cell.denominator,
        "value": one.cell.value,
        "status": one.cell.status.value,
        "small": one.small,
        "low": one.low,
        "high": one.high,
    }

"""``forecast``: where a place will stand at the end of the year, and who below it will miss."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    LayerOption,
    PlaceOption,
    level_of,
    print_json,
    reading,
    reporting,
)
from dashboard.coverage import service
from dashboard.coverage.forecast import CONFIDENCE, YearEnd
from dashboard.coverage.model import View


def forecast(
    layer: LayerOption,
    place: PlaceOption,
    month: Annotated[
        str | None, typer.Option(help="据以预测的月份 YYYY-MM；默认最近一月。")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="另列出该级别中将完不成的单位，如 township、village。")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """年末预测：按平均每月变化外推到 12 月，附 80% 区间；可列出将完不成的下级单位。"""
    with reporting(as_json), reading(data, login) as unit:
        wanted = None if level is None else level_of(level)
        view = View(place, layer, month or (unit.months() or [""])[-1])
        own = service.forecast(unit, view)
        below = [] if wanted is None else service.forecasts(unit, view, wanted)
    missing = [one for one in below if one.misses]
    if as_json:
        print_json(
            {
                "layer": layer,
                "place": place,
                "month": view.month,
                "confidence": CONFIDENCE,
                **_told(own),
                "level": None if wanted is None else wanted.key,
                "judged": sum(bool(one.ahead) for one in below),
                "missing": [
                    {"id": one.cell.place.id, "name": one.cell.place.name, **_told(one)}
                    for one in missing
                ],
            }
        )
        return
    for one in (own, *missing):
        typer.echo(f"{one.cell.place.id}\t{one.cell.place.name}\t{_words(one)}")


def _told(one: YearEnd) -> dict[str, Any]:
    december = one.december
    return {
        "target": one.target,
        "value": None if december is None else december.value,
        "low": None if december is None else december.low,
        "high": None if december is None else december.high,
        "months": one.months,
        "misses": one.misses,
        "surely": one.surely,
        "short": one.short,
        "monthly": one.monthly,
    }


def _words(one: YearEnd) -> str:
    december = one.december
    if december is None:
        return "未设目标" if one.target is None else f"没有预测：有数据的月份 {one.months} 个"
    verdict = "将完不成" if one.surely else "可能完不成" if one.misses else "预计能完成"
    between = f"{december.low:,.1f}–{december.high:,.1f}"
    return f"年末 {december.value:,.1f}(80% 区间 {between})\t目标 {one.target:,g}\t{verdict}"

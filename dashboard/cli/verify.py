"""``verify``: what the field sample of a place says of a layer."""

from __future__ import annotations

from typing import Annotated

import typer

from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    LayerOption,
    print_json,
    reading,
    reporting,
)
from dashboard.coverage import service
from dashboard.coverage.model import View
from dashboard.coverage.service import Verified

_CLASSES = {True: "pass", False: "fail", None: None}
_WORDS = {True: "达标", False: "不达标", None: "样本不足，不作判定"}
_SIGNS = {"over_reported": "上报偏多", "under_reported": "上报偏少", "agrees": "基本一致"}


def verify(
    layer: LayerOption,
    place: Annotated[str, typer.Option(help="区划代码，含它的所有下级。")],
    month: Annotated[str | None, typer.Option(help="年初至该月 YYYY-MM；默认最近一月。")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """入户核实的结果：LQAS 判定和核实系数。LQAS 只作判定，不作排名。"""
    with reporting(as_json), reading(data, login) as unit:
        chosen = month or (unit.months() or [""])[-1]
        found = service.verify(unit, View(place, layer, chosen))
    if as_json:
        print_json(_as_dict(layer, place, found))
        return
    lot, factor = found.lot, found.factor
    typer.echo(
        f"{found.place.name} {found.month}：核实 {lot.n} 户，不符 {lot.failures} 户，"
        f"允许 {lot.d} 户 — {_WORDS[lot.passed]}(α={lot.alpha:.2f}，β={lot.beta:.2f})"
    )
    if factor.value is None:
        typer.echo("核实系数：没有可比的户。")
        return
    between = "" if factor.low is None else f"(95% 区间 {factor.low:.2f}–{factor.high:.2f})"
    typer.echo(f"核实系数 {factor.value:.2f}{between}：{_SIGNS[factor.sign or 'agrees']}")
    typer.echo(f"未计入：无服务 {found.no_service} 户，无原始记录 {found.missing_source} 户")


def _as_dict(layer: str, place: str, found: Verified) -> dict[str, object]:
    lot, factor = found.lot, found.factor
    return {
        "layer": layer,
        "place": place,
        "month": found.month,
        "n": lot.n,
        "failures": lot.failures,
        "d": lot.d,
        "alpha": lot.alpha,
        "beta": lot.beta,
        "class": _CLASSES[lot.passed],
        "recounted": factor.n,
        "recount": factor.recount,
        "reported": factor.reported,
        "factor": factor.value,
        "low": factor.low,
        "high": factor.high,
        "sign": factor.sign,
        "excluded": {"no_service": found.no_service, "missing_source": found.missing_source},
    }

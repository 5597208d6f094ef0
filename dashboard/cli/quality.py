"""``quality``: what is doubtful in the figures of a place and of all below it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    MonthOption,
    print_json,
    reading,
    reporting,
)
from dashboard.coverage import service
from dashboard.coverage.plausibility import Flag


def quality(
    place: Annotated[str, typer.Option(help="区划代码，检查它和它以下的各级。")],
    month: MonthOption,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """一地数据中不合常理之处，各附理由；只提示，不改数。"""
    with reporting(as_json), reading(data, login) as unit:
        version = unit.snapshot(month).version
        found = service.quality(unit, place, month)
    if as_json:
        flags = [_flag(flag) for flag in found]
        print_json({"place": place, "month": month, "version": version, "flags": flags})
        return
    for flag in found:
        about = "、".join(flag.measures)
        typer.echo(f"{flag.place_id}\t{flag.rule.title}\t{about}\t{flag.reason()}")


def _flag(flag: Flag) -> dict[str, Any]:
    return {
        "code": flag.code,
        "place": flag.place_id,
        "measures": list(flag.measures),
        "layer": flag.layer_id,
        "values": list(flag.values),
        "reason": flag.reason(),
        "reason_en": flag.reason(english=True),
    }

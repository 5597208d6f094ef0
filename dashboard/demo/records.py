"""Invented records of one township: who is registered, contracted, served, and who was revisited.

They tell much the same as the township's reported figures, but not in every village: some report
contracts that the records do not hold, and the field sample finds it out.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dashboard.demo.streams import stream
from loaders.persons import check_character

TOWNSHIP = "131025100"
"""First digits of the township (平舒镇) the records are of."""
EMBELLISHED = 0.2
"""Share of its villages that report contracts nobody has."""

_HOUSEHOLD = 3
_REVISITED = 6
_DISEASES = ("高血压", "糖尿病", "冠心病")
_TIERS = (("县级", 2, 0.6), ("乡级", 4, 0.75), ("村级", 6, 0.85))
"""Tier, follow-ups a year, share of them that take place."""

Row = dict[str, Any]


def records(
    figures: pd.DataFrame, span: tuple[str, ...], seed: int, registered: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """The rows of each file by dataset, Chinese headings; empty where the township is not there.

    Args:
        figures: wide, as the villages report them, with ``place_id, month``.
        span: the months, ascending; records begin in January of the last one's year.
        registered: by village the identity number of somebody in the register of persons.
    """
    last = figures[(figures["month"] == span[-1]) & figures["place_id"].str.startswith(TOWNSHIP)]
    last = last[last["place_id"].str[9:] != "000"].dropna(
        subset=["registered_persons", "contracted_persons"]
    )
    found: dict[str, list[Row]] = {
        name: [] for name in ("residents", "households", "contracts", "services", "revisits")
    }
    listed = zip(
        last["place_id"], last["registered_persons"], last["contracted_persons"], strict=True
    )
    for place_id, persons, contracted in listed:
        _village(
            found, place_id, int(persons), int(contracted), span[-1], seed, registered.get(place_id)
        )
    return {name: pd.DataFrame(rows) for name, rows in found.items() if rows}


def _village(
    found: dict[str, list[Row]],
    place_id: str,
    persons: int,
    contracted: int,
    month: str,
    seed: int,
    registered: str | None,
) -> None:
    draw = stream(seed, place_id, "records")
    year = month[:4]
    invented = 1 + int(draw.integers(2)) if draw.random() < EMBELLISHED else 0
    really = max(0, contracted - invented)
    for number in range(persons):
        person, household = (
            _number(place_id, number, draw),
            f"{place_id}-{number // _HOUSEHOLD:02d}",
        )
        if number == 0 and registered is not None:
            person = registered
        at = {"村代码": place_id}
        ill = draw.random() < 0.4
        found["residents"].append(
            {
                "身份证号": person, "识别日期": f"{year}-01-01", **at, "户编号": household,
                "因病致贫": "是" if draw.random() < 0.4 else "否",
                "病种": str(draw.choice(_DISEASES)) if ill else "",
            }
        )  # fmt: skip
        if number % _HOUSEHOLD == 0:
            size = min(_HOUSEHOLD, persons - number)
            found["households"].append(
                {
                    "户编号": household, "识别日期": f"{year}-01-01", **at, "家庭人口": size,
                    **{name: "是" if draw.random() < 0.8 else "否" for name in ("健康APP", "药箱")},
                }
            )  # fmt: skip
            if number // _HOUSEHOLD < _REVISITED:
                found["revisits"].append(
                    _revisit(place_id, household, number, size, contracted, really, month, draw)
                )
        if number < really:
            found["contracts"].append(
                {
                    "身份证号": person, "签约日期": f"{year}-01-01",
                    "到期日期": f"{int(year) + 1}-01-01", "团队编号": f"{TOWNSHIP}-T1", **at,
                    "代缴签约费": "是",
                }
            )  # fmt: skip
        for kind, tier, day in _services(number < really, month, draw):
            found["services"].append(
                {"身份证号": person, "服务日期": day, "服务类别": kind, "服务层级": tier, **at}
            )


def _number(place_id: str, number: int, draw: np.random.Generator) -> str:
    """An identity number of nobody: it begins with 99, and no two persons share one."""
    birth = f"{draw.integers(1936, 2006)}{draw.integers(1, 13):02d}{draw.integers(1, 29):02d}"
    body = f"99{int(place_id[9:]):03d}{number % 10}{birth}{number // 10:03d}"
    return body + check_character(body)


def _services(
    contracted: bool, month: str, draw: np.random.Generator
) -> Iterator[tuple[str, str, str]]:
    """Kind, tier and day of what one person got this year, follow-ups under a contract only."""
    until = int(month[5:])
    for kind, share in (("体检", 0.75), ("建立健康档案", 0.9), ("健康促进方案", 0.6)):
        if draw.random() < share:
            yield kind, "乡级", _day(month, int(draw.integers(1, until + 1)), draw)
    if not contracted:
        return
    for tier, times, share in _TIERS:
        span = 12 // times
        for window in range(times):
            at = window * span + 1 + int(draw.integers(span))
            if at <= until and draw.random() < share:
                yield "随访", tier, _day(month, at, draw)


def _day(month: str, number: int, draw: np.random.Generator) -> str:
    days = calendar.monthrange(int(month[:4]), number)[1]
    return f"{month[:4]}-{number:02d}-{int(draw.integers(1, days + 1)):02d}"


def _revisit(
    place_id: str,
    household: str,
    number: int,
    size: int,
    contracted: int,
    really: int,
    month: str,
    draw: np.random.Generator,
) -> Row:
    """What was found of a household's contracts: as many as the records hold."""
    told = max(0, min(size, contracted - number))
    held = max(0, min(told, really - number))
    lost = draw.random() < 0.04
    return {
        "户编号": household, "核实日期": _day(month, int(month[5:]), draw), "核实指标": "签约人数",
        "村代码": place_id, "核实结果": "无原始记录" if lost else "已核实", "上报数": told,
        "核实数": "" if lost else held,
    }  # fmt: skip

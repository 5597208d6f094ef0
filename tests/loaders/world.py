"""A small stored city: two counties, townships, villages whose names recur, one merged village."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import shapely

from geodata.tree import arrange
from loaders.model import FIGURE_COLUMNS, INSTITUTION_COLUMNS, Known, Prepared

CITY, ANCI, GUANGYANG = "131000000000", "131002000000", "131003000000"
LUOFA, GEYUCHENG, NANJIANTA = "131002101000", "131002102000", "131003101000"
DONGGUAN, XIGUAN, OLD_VILLAGE = "131002101201", "131002101202", "131002101203"
DONGGUAN_2, NANZHUANG, BEIZHUANG = "131002102201", "131002102202", "131003101201"

_PLACES = [
    (CITY, "廊坊市", 2, None, None),
    (ANCI, "安次区", 3, CITY, None),
    (GUANGYANG, "广阳区", 3, CITY, None),
    (LUOFA, "落垡镇", 4, ANCI, None),
    (GEYUCHENG, "葛渔城镇", 4, ANCI, None),
    (NANJIANTA, "南尖塔镇", 4, GUANGYANG, None),
    (DONGGUAN, "东关村", 5, LUOFA, None),
    (XIGUAN, "西关村", 5, LUOFA, None),
    (OLD_VILLAGE, "老庄村", 5, LUOFA, "2026-01-01"),
    (DONGGUAN_2, "东关村", 5, GEYUCHENG, None),
    (NANZHUANG, "南庄村民委员会", 5, GEYUCHENG, None),
    (BEIZHUANG, "北庄村", 5, NANJIANTA, None),
]

SHAPES = {
    CITY: shapely.box(116.0, 39.0, 117.0, 40.0),
    ANCI: shapely.box(116.0, 39.0, 116.5, 40.0),
    GUANGYANG: shapely.box(116.5, 39.0, 117.0, 40.0),
}


def stored_places() -> pd.DataFrame:
    """The stored places with their paths."""
    frame = pd.DataFrame(_PLACES, columns=["id", "name", "level", "parent_id", "valid_to"])
    frame["valid_from"] = pd.Timestamp("1900-01-01")
    frame["valid_to"] = pd.to_datetime(frame["valid_to"])
    return arrange(frame).frame


def known_with(figures: list[tuple[Any, ...]] | None = None) -> Known:
    """The stored county with some stored figures."""
    table = pd.DataFrame(figures or [], columns=list(FIGURE_COLUMNS))

    def stored_figures(
        place_ids: Sequence[str], months: Sequence[str], measures: Sequence[str]
    ) -> pd.DataFrame:
        return table[
            table["place_id"].isin(place_ids)
            & table["month"].isin(months)
            & table["measure"].isin(measures)
        ]

    def shapes(place_ids: Sequence[str]) -> Mapping[str, Any]:
        return {one: SHAPES[one] for one in place_ids if one in SHAPES}

    return Known(
        places=stored_places(),
        institutions=pd.DataFrame(columns=list(INSTITUTION_COLUMNS)),
        figures=stored_figures,
        shapes=shapes,
    )


def codes(prepared: Prepared) -> dict[str, int]:
    """How many issues of each code."""
    return dict(prepared.report.issues.counts())


def rows_of(prepared: Prepared, code: str) -> list[int | None]:
    """The row numbers of a code's issues."""
    return [issue.row for issue in prepared.report.issues if issue.code == code]

"""Targets of one county's own, as its clerk would send them."""

from __future__ import annotations

import pandas as pd

COUNTY = "131025000000"
TOWNSHIP = "131025100000"

_ROWS = (
    ("宫颈癌筛查率", COUNTY, "大城县", "2025", "80%"),
    ("宫颈癌筛查率", COUNTY, "大城县", "2026", "95%"),
    ("宫颈癌筛查率", TOWNSHIP, "平舒镇", "2026", "100%"),
    ("义诊活动", COUNTY, "大城县", "2026", "420"),
)


def targets(places: pd.DataFrame) -> pd.DataFrame:
    """The targets of the places that are there: ``指标, 区划代码, 地区, 年度, 目标值``."""
    rows = pd.DataFrame(_ROWS, columns=["指标", "区划代码", "地区", "年度", "目标值"])
    return rows[rows["区划代码"].isin(places["id"])]

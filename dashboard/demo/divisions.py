"""The shipped division lists and county outlines. Sources: data/SOURCES.md."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import geopandas as gpd
import pandas as pd

from geodata.errors import DudaoError
from geodata.model import Level
from geodata.thiessen import Region

_DATA = Path(__file__).parent / "data"

INVENTED = {"xcounty": "990001000000"}
"""Roots that are no real place, by the name a person types; ids begin with 99, no region's code."""

NAMED = {"langfang": "131000000000", **INVENTED}
"""Roots that go by a name as well as by their code."""


@cache
def _shipped() -> pd.DataFrame:
    lists = [pd.read_csv(path, dtype=str) for path in sorted(_DATA.glob("divisions_*.csv"))]
    table = pd.concat(lists, ignore_index=True).rename(
        columns={"code": "id", "parent": "parent_id"}
    )
    table["level"] = table["level"].map({level.key: int(level) for level in Level})
    return table.sort_values("id", ignore_index=True)


def county_shapes() -> dict[str, Region]:
    """Published county outlines by 12-digit code: shapely polygons, WGS84 degrees."""
    frames = [gpd.read_file(path) for path in sorted(_DATA.glob("counties_*.geojson"))]
    return {
        adcode.ljust(12, "0"): shape
        for frame in frames
        for adcode, shape in zip(frame["adcode"], frame.geometry, strict=True)
    }


def code_of(root: str) -> str:
    """The code of a root given by its name or its code."""
    return NAMED.get(root, root)


def under(root: str) -> pd.DataFrame:
    """The shipped places from ``root`` down: ``id,name,level,parent_id``, sorted by id.

    The root's own ``parent_id`` is empty, because the tree starts there.

    Raises:
        DudaoError: DEMO_ROOT_UNKNOWN, the code is not in the shipped lists.
    """
    root = code_of(root)
    table = _shipped()
    at = table.loc[table["id"] == root]
    if at.empty:
        raise DudaoError(
            "DEMO_ROOT_UNKNOWN",
            f"演示数据中没有代码为“{root}”的地区。",
            "请改用廊坊市 131000000000、宿州市 341300000000,或其下任一县、乡镇的 12 位代码。",
        )
    digits = {Level.CITY: 4, Level.COUNTY: 6, Level.TOWNSHIP: 9, Level.VILLAGE: 12}
    prefix = root[: digits[Level(int(at["level"].iloc[0]))]]
    found = table.loc[table["id"].str.startswith(prefix)].reset_index(drop=True)
    found["parent_id"] = found["parent_id"].mask(found["id"] == root)
    return found


def is_invented(place_id: str) -> bool:
    """Whether a place belongs to an invented county, whose outline is invented too."""
    return any(place_id.startswith(county[:6]) for county in INVENTED.values())


def counties_of(places: pd.DataFrame) -> list[str]:
    """Codes of the counties that ``places`` touch, whole, so that any root draws the same lines."""
    low = places.loc[places["level"] >= Level.COUNTY, "id"]
    return sorted((low.str[:6] + "000000").unique())


def whole_county(county: str) -> pd.DataFrame:
    """The places of one county, itself included: ``id,name,level,parent_id``."""
    table = _shipped()
    return table.loc[table["id"].str.startswith(county[:6])].reset_index(drop=True)

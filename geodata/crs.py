"""Coordinate systems: any EPSG code, China's obfuscated GCJ-02 and BD-09, all into WGS84 degrees.

GCJ-02 (火星坐标, 高德) and BD-09 (百度) follow the publicly known formulas on the Krasovsky 1940
ellipsoid. Both apply inside a longitude-latitude box around China; outside it points pass
unshifted. Inverses are found by fixed-point iteration to far below a micrometre.

Near the edge of the box the forward map jumps by several hundred metres. There the inverse returns
the preimage inside the box where one exists, else the point itself outside the box; a shifted
coordinate that no point has is continued smoothly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import pyproj
import shapely
from numpy.typing import ArrayLike, NDArray

from geodata.errors import DudaoError
from geodata.plane import Geometries, as_geometries

Array = NDArray[np.float64]
Pair = tuple[Array, Array]

_A = 6_378_245.0
_EE = 0.00669342162296594323
_WEST, _EAST, _SOUTH, _NORTH = 72.004, 137.8347, 0.8293, 55.8271
_BD_WAVE = np.pi * 3000.0 / 180.0
_SETTLED_DEGREES = 1e-13
_MOST_STEPS = 40


def in_china_box(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
    """Whether points lie in the box in which GCJ-02 and BD-09 apply (its edge included)."""
    x, y = np.asarray(lon, float), np.asarray(lat, float)
    return np.asarray((x >= _WEST) & (x <= _EAST) & (y >= _SOUTH) & (y <= _NORTH))


def _to_gcj(lon: Array, lat: Array) -> Pair:
    """The GCJ-02 formula without the box."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    wave = (20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + wave
    north += (20.0 * np.sin(np.pi * y) + 40.0 * np.sin(np.pi * y / 3.0)) * 2.0 / 3.0
    north += (160.0 * np.sin(np.pi * y / 12.0) + 320.0 * np.sin(np.pi * y / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + wave
    east += (20.0 * np.sin(np.pi * x) + 40.0 * np.sin(np.pi * x / 3.0)) * 2.0 / 3.0
    east += (150.0 * np.sin(np.pi * x / 12.0) + 300.0 * np.sin(np.pi * x / 30.0)) * 2.0 / 3.0
    phi = np.radians(lat)
    magic = 1.0 - _EE * np.sin(phi) ** 2
    north = north * 180.0 / ((_A * (1.0 - _EE)) / (magic * np.sqrt(magic)) * np.pi)
    east = east * 180.0 / (_A / np.sqrt(magic) * np.cos(phi) * np.pi)
    return lon + east, lat + north


def _to_bd(lon: Array, lat: Array) -> Pair:
    """The step from GCJ-02 to BD-09 without the box."""
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_WAVE)
    theta = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_WAVE)
    return radius * np.cos(theta) + 0.0065, radius * np.sin(theta) + 0.006


def _to_bd_from_wgs(lon: Array, lat: Array) -> Pair:
    return _to_bd(*_to_gcj(lon, lat))


def _forward(shift: Callable[[Array, Array], Pair], lon: ArrayLike, lat: ArrayLike) -> Pair:
    x, y = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
    inside = in_china_box(x, y)
    moved_x, moved_y = shift(np.where(inside, x, 105.0), np.where(inside, y, 35.0))
    return np.where(inside, moved_x, x), np.where(inside, moved_y, y)


def _inverse(shift: Callable[[Array, Array], Pair], lon: ArrayLike, lat: ArrayLike) -> Pair:
    """Solve shift(w) = (lon, lat) by w <- w + (target - shift(w)); the shift contracts 50-fold."""
    x, y = np.broadcast_arrays(np.asarray(lon, float), np.asarray(lat, float))
    # Shifts are under 0.03 degrees: farther out nothing inside the box maps here.
    near = (x > _WEST - 0.05) & (x < _EAST + 0.05) & (y > _SOUTH - 0.05) & (y < _NORTH + 0.05)
    target_x, target_y = x[near], y[near]
    found_x, found_y = target_x.copy(), target_y.copy()
    for _ in range(_MOST_STEPS):
        if found_x.size == 0:
            break
        there_x, there_y = shift(found_x, found_y)
        step_x, step_y = target_x - there_x, target_y - there_y
        found_x, found_y = found_x + step_x, found_y + step_y
        if max(np.abs(step_x).max(), np.abs(step_y).max()) < _SETTLED_DEGREES:
            break
    keep = in_china_box(target_x, target_y) | _in_box_with_slack(found_x, found_y)
    result_x, result_y = x.copy(), y.copy()
    result_x[near] = np.where(keep, found_x, target_x)
    result_y[near] = np.where(keep, found_y, target_y)
    return result_x, result_y


def _in_box_with_slack(lon: Array, lat: Array) -> NDArray[np.bool_]:
    """The box widened by a rounding error, so that points on its very edge come back."""
    slack = 1e-11
    clipped_x = np.clip(lon, _WEST, _EAST)
    clipped_y = np.clip(lat, _SOUTH, _NORTH)
    return (np.abs(lon - clipped_x) < slack) & (np.abs(lat - clipped_y) < slack)


def wgs84_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> Pair:
    """WGS84 degrees to GCJ-02 degrees; outside the China box unchanged."""
    return _forward(_to_gcj, lon, lat)


def gcj02_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> Pair:
    """GCJ-02 degrees to WGS84 degrees, the exact inverse of `wgs84_to_gcj02`."""
    return _inverse(_to_gcj, lon, lat)


def gcj02_to_bd09(lon: ArrayLike, lat: ArrayLike) -> Pair:
    """GCJ-02 degrees to BD-09 degrees; outside the China box unchanged."""
    return _forward(_to_bd, lon, lat)


def bd09_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> Pair:
    """BD-09 degrees to GCJ-02 degrees, the exact inverse of `gcj02_to_bd09`."""
    return _inverse(_to_bd, lon, lat)


def wgs84_to_bd09(lon: ArrayLike, lat: ArrayLike) -> Pair:
    """WGS84 degrees to BD-09 degrees; outside the China box unchanged."""
    return _forward(_to_bd_from_wgs, lon, lat)


def bd09_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> Pair:
    """BD-09 degrees to WGS84 degrees, the exact inverse of `wgs84_to_bd09`."""
    return _inverse(_to_bd_from_wgs, lon, lat)


@dataclass(frozen=True, slots=True)
class CrsWarning:
    """Something a person must know about a coordinate system that is accepted all the same."""

    code: str
    text: str
    text_en: str


_NAMES = {
    "gcj02": "gcj02",
    "gcj": "gcj02",
    "火星坐标": "gcj02",
    "火星坐标系": "gcj02",
    "国测局坐标": "gcj02",
    "高德": "gcj02",
    "高德坐标": "gcj02",
    "腾讯": "gcj02",
    "bd09": "bd09",
    "bd09ll": "bd09",
    "百度": "bd09",
    "百度坐标": "bd09",
    "百度坐标系": "bd09",
    "wgs84": "EPSG:4326",
    "crs84": "EPSG:4326",
    "cgcs2000": "EPSG:4490",
    "国家2000": "EPSG:4490",
    "大地2000": "EPSG:4490",
    "2000国家大地坐标系": "EPSG:4490",
    "xian80": "EPSG:4610",
    "西安80": "EPSG:4610",
    "beijing54": "EPSG:4214",
    "北京54": "EPSG:4214",
}

# Datum names as EPSG and as Esri's .prj files write them, letters and digits only.
_OLD_DATUMS = {
    "xian1980": CrsWarning(
        "CRS_XIAN80_NO_SHIFT",
        "文件采用西安80坐标系。该坐标系到WGS84没有公开的转换参数，已按原经纬度直接使用，位置可能偏差几十至一百多米。",
        "The file is in Xian 1980. No public datum shift to WGS84 exists; longitudes and latitudes "
        "were used as they are and may be off by some tens of metres to over a hundred.",
    ),
    "beijing1954": CrsWarning(
        "CRS_BEIJING54_NO_SHIFT",
        "文件采用北京54坐标系。该坐标系到WGS84没有全国通用的转换参数，已按原经纬度直接使用，位置可能偏差几十至一百多米。",
        "The file is in Beijing 1954. No datum shift to WGS84 holds for the whole country; "
        "longitudes and latitudes were used as they are and may be off by some tens of metres to "
        "over a hundred.",
    ),
}
_OLD_DATUMS["newbeijing"] = _OLD_DATUMS["beijing1954"]


@dataclass(frozen=True, slots=True)
class CoordinateSystem:
    """What the numbers of a file mean.

    Attributes:
        key: ``gcj02``, ``bd09``, ``EPSG:n`` or, for a system without a code, its WKT.
        name: for people.
    """

    key: str
    name: str

    @classmethod
    def parse(cls, text: str | int | pyproj.CRS) -> Self:
        """Read a coordinate system as a person, a command line or a file writes it.

        Accepts ``EPSG:4490``, ``4490``, ``gcj02``, ``BD-09``, ``CGCS2000``, ``西安80``, WKT, PROJ
        text and pyproj objects.

        Raises:
            DudaoError: ``CRS_UNKNOWN``, no such system; ``CRS_NOT_HORIZONTAL``, a system that
                gives no positions on the earth (a height or a local engineering system).
        """
        if isinstance(text, pyproj.CRS):
            crs = text
        else:
            written = str(text).strip()
            folded = "".join(c for c in written.casefold() if c not in " -_()（）")
            named = _NAMES.get(folded, written)
            if named == "gcj02":
                return cls("gcj02", "GCJ-02（火星坐标）")
            if named == "bd09":
                return cls("bd09", "BD-09（百度坐标）")
            crs = _read(named)
        if crs.is_bound and crs.source_crs is not None:
            # TOWGS84 numbers written into a file are the shift its author meant: keep them.
            geodetic = crs.source_crs
        else:
            crs = crs.to_2d()
            geodetic = crs
        if not (geodetic.is_geographic or geodetic.is_projected):
            raise DudaoError(
                "CRS_NOT_HORIZONTAL",
                f"坐标系“{crs.name}”不是平面或经纬度坐标系。",
                "请把文件转换为 CGCS2000（EPSG:4490）或 WGS84（EPSG:4326）后重新导入。",
            )
        number = _epsg(crs)
        return cls(f"EPSG:{number}" if number else crs.to_wkt(), crs.name)

    @property
    def is_wgs84(self) -> bool:
        """Whether coordinates can be used as they are, WGS84 or CGCS2000 degrees."""
        return self.key in ("EPSG:4326", "EPSG:4490")

    def warnings(self) -> tuple[CrsWarning, ...]:
        """What to tell the person: the datum shift that Xian 1980 and Beijing 1954 lack."""
        if self.key in ("gcj02", "bd09"):
            return ()
        found = _old_datum(_read(self.key))
        return () if found is None else (found,)


def _epsg(crs: pyproj.CRS) -> int | None:
    """The EPSG number; axis order does not count, x comes first in every file anyway."""
    if crs.is_bound:
        return None
    for number in (4326, 4490):
        if crs.equals(pyproj.CRS(number), ignore_axis_order=True):
            return number
    found: int | None = crs.to_epsg()
    return found


def _old_datum(crs: pyproj.CRS) -> CrsWarning | None:
    """The warning for a system on a datum without a published shift; None for all others."""
    geodetic = None if crs.is_bound else crs.geodetic_crs
    if geodetic is None or geodetic.datum is None:
        return None
    datum = "".join(c for c in geodetic.datum.name.casefold() if c.isalnum())
    return next((found for part, found in _OLD_DATUMS.items() if part in datum), None)


def _read(text: str) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(int(text) if text.isdecimal() else text)
    except pyproj.exceptions.CRSError as error:
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise DudaoError(
            "CRS_UNKNOWN",
            f"无法识别坐标系“{shown}”。",
            "请选定坐标系（命令行用 --crs），例如 EPSG:4490（CGCS2000）、EPSG:4326（WGS84）、"
            "gcj02 或 bd09。",
        ) from error


@lru_cache(maxsize=32)
def _transformer(key: str) -> pyproj.Transformer:
    crs = _read(key)
    # Published Beijing 1954 shifts hold for a few basins only, and pyproj would pick one point by
    # point and tear neighbours apart: the old datums keep their own longitudes and latitudes.
    target = crs.geodetic_crs if _old_datum(crs) and crs.geodetic_crs is not None else 4326
    return pyproj.Transformer.from_crs(crs, target, always_xy=True)


def to_wgs84(geometries: Any, crs: CoordinateSystem) -> Geometries:
    """Geometries of `crs` as WGS84 degrees, x longitude and y latitude; heights are dropped.

    CGCS2000 counts as WGS84 (they agree within survey accuracy). None stays None, and coordinates
    that are not numbers stay so, for `coverage_shapes.repair` to name. A coordinate that has no
    place on the earth becomes NaN.

    Raises:
        DudaoError: ``CRS_DOES_NOT_FIT``, most coordinates have no place on the earth in `crs`.
    """
    array = as_geometries(geometries)
    counted = misfit = 0

    def convert(coordinates: Array) -> Array:
        nonlocal counted, misfit
        x, y = coordinates.T
        if crs.key == "gcj02":
            lon, lat = gcj02_to_wgs84(x, y)
        elif crs.key == "bd09":
            lon, lat = bd09_to_wgs84(x, y)
        elif crs.is_wgs84:
            lon, lat = x, y
        else:
            lon, lat = (np.asarray(c, float) for c in _transformer(crs.key).transform(x, y))
        given = np.isfinite(x) & np.isfinite(y)
        with np.errstate(invalid="ignore"):
            fits = (np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0)
        counted, misfit = int(given.sum()), int((given & ~fits).sum())
        return np.where(fits[:, None], np.column_stack([lon, lat]), np.nan)

    flat = shapely.force_2d(array)
    moved = np.asarray(shapely.transform(flat, convert))
    if misfit * 2 > counted:
        raise DudaoError(
            "CRS_DOES_NOT_FIT",
            f"坐标与坐标系“{crs.name}”不符：{counted} 个坐标点中有 {misfit} 个"
            "换算后不在经纬度范围内。",
            "请核对文件的坐标系（经纬度是否颠倒、投影带号是否正确），"
            "选定坐标系（命令行用 --crs）后重新导入。",
        )
    return moved

"""Coordinates of a file: their system, points from columns or shapes, points off their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.crs import CoordinateSystem, to_wgs84
from geodata.detect import offset_kind
from geodata.errors import DudaoError
from geodata.plane import LocalPlane
from loaders import parse
from loaders.issues import make
from loaders.known import KnownPlaces
from loaders.model import Known, Request
from loaders.rows import FileRows
from loaders.table import Factor, Flags, Rows, Words

MOST_VERTICES = 200_000
"""Vertices of one geometry; a detailed county outline has some 20,000."""

_FAR_M, _LOST_M = 5_000.0, 100_000.0
POINT_TYPES = (shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT)
_SAMPLE = 2_000
# A "latitude" in China's longitudes beside a "longitude" in China's latitudes: columns swapped.
_CHINA_LON, _CHINA_LAT = (73.0, 136.0), (3.0, 54.0)
_SYSTEM_NAMES = {"gcj02": "GCJ-02（火星坐标）", "bd09": "BD-09（百度坐标）"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Points:
    """WGS84 degrees, NaN in both where a row has no point."""

    lon: Floats
    lat: Floats

    @property
    def present(self) -> Flags:
        """Rows with a point."""
        return ~np.isnan(self.lon)


def coordinate_system(rows: FileRows, request: Request, shapes: bool) -> CoordinateSystem | None:
    """The system of the file's coordinates: what the person said, what the layer states, WGS84.

    Returns None, with an issue, when it is unknown; all rows are bad then.
    """
    stated = next((one.table.crs for one in rows.maps if one.table.crs is not None), None)
    if request.crs is None and stated is None and shapes:
        rows.report.issues.append(make("CRS_MISSING"))
    written = request.crs or stated or "EPSG:4326"
    try:
        crs = CoordinateSystem.parse(written)
    except DudaoError:
        rows.report.issues.append(make("CRS_UNKNOWN", value=written[:60]))
        rows.bad[:] = True
        return None
    rows.report.crs = crs.key if len(crs.key) < 20 else crs.name
    for warning in crs.warnings():
        rows.report.issues.append(
            make("CRS_WARNING", crs=crs.name, detail=warning.text, detail_en=warning.text_en)
        )
    return crs


def layer_shapes(
    rows: FileRows, request: Request, label: str
) -> tuple[NDArray[Any], CoordinateSystem] | None:
    """The layers' geometries in WGS84, None where a feature has none, and their own system.

    Returns None, with an issue, when the coordinate system is unknown or does not fit.

    Args:
        label: canonical column naming a feature in messages.
    """
    tables = [one.table for one in rows.maps]
    shapes = np.concatenate(
        [np.full(len(t), None) if t.geometries is None else t.geometries for t in tables]
    )
    unreadable = np.concatenate(
        [np.zeros(len(t), bool) if t.unreadable is None else t.unreadable for t in tables]
    )
    rows.flag(
        "GEOMETRY_BAD",
        np.flatnonzero(unreadable),
        heading="geometry",
        value=rows.columns[label].take(unreadable).texts(),
        detail="坐标无法读取",
        detail_en="its coordinates cannot be read",
    )
    # Before anything is computed with them.
    shapes = _refused(shapes, _too_detailed(rows, shapes, label))
    crs = coordinate_system(rows, request, shapes=True)
    if crs is not None and _in_degrees(crs):
        shapes = _refused(shapes, _swapped_shapes(rows, shapes))
        shapes = _refused(shapes, _off_the_earth(rows, shapes, label))
    moved = None if crs is None else converted(rows, shapes, crs)
    if moved is not None:
        moved = _refused(moved, _report_outside(rows, moved, label))
    return None if crs is None or moved is None else (moved, crs)


def _too_detailed(rows: FileRows, shapes: NDArray[Any], label: str) -> Rows:
    count = np.where(shapely.is_missing(shapes), 0, shapely.get_num_coordinates(shapes))
    at = np.flatnonzero(count > MOST_VERTICES)
    rows.flag(
        "GEOMETRY_TOO_DETAILED",
        at,
        heading="geometry",
        value=rows.columns[label].take(at).texts(),
        count=count[at],
        most=MOST_VERTICES,
    )
    return at


def _swapped_shapes(rows: FileRows, shapes: NDArray[Any]) -> Rows:
    west, south, east, north = shapely.bounds(shapes).T
    with np.errstate(invalid="ignore"):
        swapped = _within(west, _CHINA_LAT) & _within(east, _CHINA_LAT)
        swapped &= _within(south, _CHINA_LON) & _within(north, _CHINA_LON)
    at = np.flatnonzero(swapped)
    lon, lat = _text((west[at] + east[at]) / 2), _text((south[at] + north[at]) / 2)
    rows.flag("COORDINATES_SWAPPED", at, heading="geometry", lon=lon, lat=lat)
    return at


def _off_the_earth(rows: FileRows, shapes: NDArray[Any], label: str) -> Rows:
    """Shapes that reach beyond all degrees; where most do, the system is wrong and not they."""
    bounds = shapely.bounds(shapes)
    with np.errstate(invalid="ignore"):
        off = (np.abs(bounds) > (180.0, 90.0, 180.0, 90.0)).any(axis=1) & np.isfinite(bounds).all(1)
    if 2 * off.sum() > (~shapely.is_missing(shapes)).sum():
        return np.empty(0, dtype=np.int64)
    at = np.flatnonzero(off)
    _flag_outside(rows, at, bounds, label)
    return at


def _report_outside(rows: FileRows, shapes: NDArray[Any], label: str) -> Rows:
    """WGS84 shapes that have no part in China: wrong system, wrong units, or a slip of the pen."""
    bounds = shapely.bounds(shapes)
    west, south, east, north = bounds.T
    with np.errstate(invalid="ignore"):
        outside = (west > _CHINA_LON[1]) | (east < _CHINA_LON[0])
        outside |= (south > _CHINA_LAT[1]) | (north < _CHINA_LAT[0])
    at = np.flatnonzero(outside)
    _flag_outside(rows, at, bounds, label)
    return at


def _flag_outside(rows: FileRows, at: Rows, bounds: Floats, label: str) -> None:
    west, south, east, north = bounds[at].T
    rows.flag(
        "COORDINATES_OUTSIDE",
        at,
        heading="geometry",
        value=rows.columns[label].take(at).texts() if label in rows.columns else None,
        lon=_text((west + east) / 2),
        lat=_text((south + north) / 2),
    )


def _refused(shapes: NDArray[Any], at: Rows) -> NDArray[Any]:
    """The shapes with None where one was refused; its row is bad already."""
    if len(at) == 0:
        return shapes
    kept = shapes.copy()
    kept[at] = None
    return kept


def _in_degrees(crs: CoordinateSystem) -> bool:
    return crs.key in ("gcj02", "bd09") or crs.is_wgs84


def converted(rows: FileRows, shapes: NDArray[Any], crs: CoordinateSystem) -> NDArray[Any] | None:
    """Geometries in WGS84; None, with an issue, when they do not fit the system.

    Shapes with coordinates that are not numbers stay as they are, for ``repair`` to name.
    """
    coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
    finite = np.ones(len(shapes), dtype=bool)
    finite[owner[~np.isfinite(coordinates).all(axis=1)]] = False
    result = shapes.copy()
    try:
        result[finite] = to_wgs84(shapes[finite], crs)
        return result
    except (DudaoError, shapely.errors.GEOSException):
        # GEOS refuses a ring whose closing point has no place on the earth.
        rows.report.issues.append(make("COORDINATES_UNUSABLE", crs=crs.name))
        rows.bad[:] = True
        return None


def points_of_shapes(shapes: NDArray[Any]) -> Points:
    """The points among WGS84 geometries; a multipoint counts as its middle."""
    lon, lat = np.full(len(shapes), np.nan), np.full(len(shapes), np.nan)
    kinds = shapely.get_type_id(shapes)
    at = np.flatnonzero(np.isin(kinds, POINT_TYPES) & ~shapely.is_empty(shapes))
    middle = shapely.centroid(shapes[at])
    lon[at], lat[at] = shapely.get_x(middle), shapely.get_y(middle)
    whole = np.isfinite(lon) & np.isfinite(lat)
    return Points(np.where(whole, lon, np.nan), np.where(whole, lat, np.nan))


def points_of_columns(rows: FileRows, crs: CoordinateSystem | None, label: str) -> Points:
    """The points of the ``lon`` and ``lat`` columns.

    Nonsense is an error; a point given half or as 0, 0 is a warning and taken as none.

    Args:
        label: canonical column naming a row in messages.
    """
    nothing = np.full(len(rows), np.nan)
    if crs is None or not {"lon", "lat"} & rows.columns.keys():
        return Points(nothing, nothing)
    degrees = _in_degrees(crs)
    lon, lon_bad = _column(rows, "lon", 180.0 if degrees else np.inf)
    lat, lat_bad = _column(rows, "lat", 90.0 if degrees else np.inf)
    with np.errstate(invalid="ignore"):
        swapped = degrees & _within(lon, _CHINA_LAT) & _within(lat, _CHINA_LON)
        swapped &= np.abs(lat) <= 180.0
    for column, bad in (("lon", lon_bad), ("lat", lat_bad)):
        rows.flag("BAD_COORDINATE", np.flatnonzero(bad & ~swapped), column)
    at = np.flatnonzero(swapped)
    rows.flag("COORDINATES_SWAPPED", at, lon=_text(lon[at]), lat=_text(lat[at]))
    half = (np.isnan(lon) ^ np.isnan(lat)) | ((lon == 0) & (lat == 0))
    half &= ~(lon_bad | lat_bad)
    at = np.flatnonzero(half)
    rows.flag("COORDINATE_INCOMPLETE", at, label if label in rows.columns else None)
    whole = ~(np.isnan(lon) | np.isnan(lat) | lon_bad | lat_bad | swapped | half)
    shapes = np.full(len(rows), None, dtype=object)
    shapes[whole] = shapely.points(lon[whole], lat[whole])
    moved = converted(rows, shapes, crs)
    if moved is None:
        return Points(nothing, nothing)
    return points_of_shapes(_refused(moved, _report_outside(rows, moved, label)))


def _column(rows: FileRows, name: str, most: float) -> tuple[Floats, Flags]:
    column = rows.columns.get(name, Factor.constant("", len(rows)))
    numbers = parse.numbers(column.words)
    values = numbers.values[column.codes]
    with np.errstate(invalid="ignore"):
        bad = column.where(numbers.bad | numbers.percent) | (np.abs(values) > most)
    return values, bad


def _within(values: Floats, bounds: tuple[float, float]) -> Flags:
    return np.asarray((values >= bounds[0]) & (values <= bounds[1]))


def _text(values: Floats) -> Words:
    return np.array([f"{one:g}" for one in values.tolist()], dtype=object)


def home_shapes(known: Known, stored: KnownPlaces, ids: Words) -> NDArray[Any]:
    """Each place's stored polygon, or that of the lowest ancestor that has one, or None."""
    homes = np.full(len(ids), None, dtype=object)
    if known.shapes is None or len(ids) == 0:
        return homes
    lines = [stored.path(row)[::-1] if row >= 0 else [] for row in stored.positions(ids).tolist()]
    shapes = known.shapes(sorted({one for line in lines for one in line}))
    for index, line in enumerate(lines):
        homes[index] = next((shapes[one] for one in line if shapes.get(one) is not None), None)
    return homes


def report_shift(rows: FileRows, shapes: NDArray[Any], homes: NDArray[Any]) -> None:
    """Warn when shapes labelled WGS84 lie off their homes by the GCJ-02 or BD-09 shift."""
    at = np.flatnonzero(~shapely.is_missing(shapes) & ~shapely.is_missing(homes))
    if len(at) > _SAMPLE:
        at = at[np.linspace(0, len(at) - 1, _SAMPLE).astype(np.int64)]
    finding = offset_kind(shapes[at], homes[at])
    if finding is not None:
        rows.report.issues.append(
            make(
                "PROBABLY_SHIFTED",
                metres=round(float(np.hypot(finding.east_m, finding.north_m))),
                system=_SYSTEM_NAMES[finding.kind],
                option=finding.kind,
            )
        )


def report_far(
    rows: FileRows, at: Rows, shapes: NDArray[Any], homes: NDArray[Any], ids: Words, label: str
) -> None:
    """Report shapes that lie off the polygon of their place.

    A point more than 5 km outside is a warning; anything more than 100 km outside an error.

    Args:
        at: row positions, parallel to ``shapes``, ``homes`` and ``ids``.
    """
    compared = np.flatnonzero(~shapely.is_missing(shapes) & ~shapely.is_missing(homes))
    if len(compared) == 0:
        return
    plane = LocalPlane.around(homes[compared])
    metres = shapely.distance(plane.forward(shapes[compared]), plane.forward(homes[compared]))
    point = np.isin(shapely.get_type_id(shapes[compared]), POINT_TYPES)
    lost = metres > _LOST_M
    for code, found in (
        ("POINT_FAR_FROM_PARENT", point & (metres > _FAR_M) & ~lost),
        ("LOST_FROM_PARENT", lost),
    ):
        far = np.flatnonzero(found)
        rows.flag(
            code,
            at[compared[far]],
            label,
            place=ids[compared[far]],
            km=np.array([f"{one / 1000:.0f}" for one in metres[far].tolist()], dtype=object),
        )

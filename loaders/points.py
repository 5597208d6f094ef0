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

_FAR_M = 5_000.0
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
    crs = coordinate_system(rows, request, shapes=True)
    moved = None if crs is None else converted(rows, shapes, crs)
    return None if crs is None or moved is None else (moved, crs)


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
    degrees = crs.key in ("gcj02", "bd09") or crs.is_wgs84
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
    return Points(nothing, nothing) if moved is None else points_of_shapes(moved)


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


def report_far_points(
    rows: FileRows, at: Rows, points: NDArray[Any], homes: NDArray[Any], ids: Words, label: str
) -> None:
    """Warn of points more than 5 km outside the polygon of their place.

    Args:
        at: row positions, parallel to ``points``, ``homes`` and ``ids``.
    """
    compared = np.flatnonzero(~shapely.is_missing(points) & ~shapely.is_missing(homes))
    if len(compared) == 0:
        return
    plane = LocalPlane.around(homes[compared])
    metres = shapely.distance(plane.forward(points[compared]), plane.forward(homes[compared]))
    far = np.flatnonzero(metres > _FAR_M)
    rows.flag(
        "POINT_FAR_FROM_PARENT",
        at[compared[far]],
        label,
        place=ids[compared[far]],
        km=np.array([f"{one / 1000:.0f}" for one in metres[far].tolist()], dtype=object),
    )

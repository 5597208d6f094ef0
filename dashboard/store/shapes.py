"""Boundaries as they are stored: repaired, simplified for display, with a label point."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from dashboard.store.model import Geometries
from geodata.coverage_shapes import repair, simplify
from geodata.labels import label_points
from geodata.model import Level

TOLERANCE_M = {
    Level.NATION: 2_000.0,
    Level.PROVINCE: 1_000.0,
    Level.CITY: 500.0,
    Level.COUNTY: 150.0,
    Level.TOWNSHIP: 50.0,
    Level.VILLAGE: 15.0,
}
"""Detail smaller than this does not show where places of the level fill the map, in metres."""

_BOX = ["west", "south", "east", "north"]
_MARGIN_DEG = 0.002
"""Neighbours may lie a drawing error apart (about 200 m) and still share a border."""

Bools = npt.NDArray[np.bool_]


def source_hashes(geometries: Geometries) -> npt.NDArray[np.object_]:
    """A fingerprint of each polygon as a file brought it; None where there is none."""
    wkb = shapely.to_wkb(geometries, byte_order=1)
    return np.array(
        [None if part is None else blake2b(part, digest_size=16).hexdigest() for part in wkb],
        dtype=object,
    )


def build(
    level: Level,
    changed: pd.DataFrame,
    stored: pd.DataFrame,
    read_shapes: Callable[[pd.DataFrame], Geometries],
) -> pd.DataFrame:
    """Fit the changed polygons of one level into the stored ones.

    Polygons of one day form one coverage: they are repaired and simplified together with the
    neighbours of that day, so borders stay shared. Only polygons that touch a changed one are
    computed anew; those around them take part so that their borders come out the same as before.

    Args:
        changed: ``place_id, valid_from, start, end, geometry, indicative, source_hash``; start
            and end are the days since 1970 between which the polygon holds.
        stored: ``place_id, valid_from, start, end, west, south, east, north, indicative,
            source_hash`` of the level's stored polygons, without those in ``changed``.
        read_shapes: the repaired polygons of some rows of ``stored``.

    Returns:
        Rows of the table ``boundary`` to write. A polygon of which nothing usable is left has no
        row.
    """
    columns = ["place_id", "valid_from", "start", "end", "indicative", "source_hash"]
    rows = pd.concat([changed[columns], stored[columns]], ignore_index=True)
    count = len(changed)
    shapes = np.full(len(rows), None, dtype=object)
    shapes[:count] = changed["geometry"].to_numpy(dtype=object)
    boxes = np.vstack([shapely.bounds(shapes[:count]).reshape(-1, 4), stored[_BOX].to_numpy(float)])
    start, end = rows["start"].to_numpy(np.int64), rows["end"].to_numpy(np.int64)

    display = np.full(len(rows), None, dtype=object)
    due = np.zeros(len(rows), dtype=bool)
    due[:count] = np.isfinite(boxes[:count]).all(axis=1)
    done = np.zeros(len(rows), dtype=bool)
    while due.any():
        day = start[due].max()
        living = (start <= day) & (day < end) & np.isfinite(boxes).all(axis=1)
        fresh = due & living
        near = _touching(boxes, fresh, living)
        around = _touching(boxes, near, living)
        _fill(shapes, around, stored, count, read_shapes)
        together = np.flatnonzero(around)
        repaired = repair(shapes[together]).geometries
        simple = simplify(repaired, TOLERANCE_M[level])
        # What an earlier round settled for a later day stays as it is.
        settle = (near & ~done)[together]
        shapes[together[settle]] = repaired[settle]
        display[together[settle]] = simple[settle]
        done[together[settle]] = True
        due &= ~living
    written = np.flatnonzero(done & ~shapely.is_missing(shapes) & ~shapely.is_missing(display))
    result = rows.iloc[written][["place_id", "valid_from", "indicative", "source_hash"]].copy()
    result["shape"] = shapely.to_wkb(shapes[written])
    result["display"] = shapely.to_wkb(display[written])
    lon, lat, radius = label_points(display[written])
    result["label_lon"], result["label_lat"], result["label_radius"] = lon, lat, radius
    result[_BOX] = shapely.bounds(shapes[written]).reshape(-1, 4)
    return result


def _touching(boxes: npt.NDArray[np.float64], of: Bools, among: Bools) -> Bools:
    """Those of ``among`` whose boxes meet a box of ``of``, and ``of`` itself."""
    found = of.copy()
    candidates = np.flatnonzero(among)
    tree = shapely.STRtree(_boxes(boxes[candidates]))
    grown = _boxes(boxes[of] + np.array([-1, -1, 1, 1]) * _MARGIN_DEG)
    found[candidates[np.unique(tree.query(grown)[1])]] = True
    return found


def _boxes(bounds: npt.NDArray[np.float64]) -> Geometries:
    west, south, east, north = bounds.T
    return np.asarray(shapely.box(west, south, east, north), dtype=object)


def _fill(
    shapes: Geometries,
    wanted: Bools,
    stored: pd.DataFrame,
    count: int,
    read_shapes: Callable[[pd.DataFrame], Geometries],
) -> None:
    """Read the stored polygons that take part and are not in memory yet."""
    missing = np.flatnonzero(wanted & shapely.is_missing(shapes))
    missing = missing[missing >= count]
    if len(missing):
        shapes[missing] = read_shapes(stored.iloc[missing - count])

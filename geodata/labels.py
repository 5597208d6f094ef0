"""Where a label fits: the centre of the largest circle inside each polygon."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.plane import Geometries, LocalPlane, as_geometries

Column = NDArray[np.float64]

# The centre is found to this share of the polygon's size: a label needs no more.
_TOLERANCE_SHARE = 0.01


def label_points(geometries: Any) -> tuple[Column, Column, Column]:
    """Label position and room of each polygon.

    Returns:
        lon, lat in degrees and the radius in metres of the largest circle inside the polygon, of a
        multi-part polygon inside its largest part; NaN for None, empty and anything without area.
    """
    array = as_geometries(geometries)
    lon, lat, radius = (np.full(len(array), np.nan) for _ in range(3))
    planes = LocalPlane.around(array)
    part = _largest_parts(planes.forward(array))
    has = shapely.area(part) > 0
    if not has.any():
        return lon, lat, radius
    minx, miny, maxx, maxy = shapely.bounds(part[has]).T
    size = np.minimum(maxx - minx, maxy - miny)
    circles = shapely.maximum_inscribed_circle(part[has], tolerance=size * _TOLERANCE_SHARE)
    centre = planes.back(shapely.get_point(circles, 0))
    lon[has], lat[has] = shapely.get_x(centre), shapely.get_y(centre)
    radius[has] = shapely.length(circles)
    return lon, lat, radius


def _largest_parts(geometries: Geometries) -> Geometries:
    """The largest polygon of each geometry; None where it has none."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    polygonal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, owner = parts[polygonal], owner[polygonal]
    largest = np.full(len(geometries), None, dtype=object)
    by_size = np.argsort(shapely.area(parts), kind="stable")
    largest[owner[by_size]] = parts[by_size]
    return largest

"""Indicative outlines: seeded seats inside a county, Thiessen cells around them.

Townships first, inside the county's published outline, then villages inside each township. Nothing
here claims to be where a village is; every outline made here is marked ``indicative``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from dashboard.demo import divisions
from dashboard.demo.model import TroubleKind
from dashboard.demo.streams import stream
from dashboard.demo.troubles import of_kind
from geodata import thiessen
from geodata.model import Level
from geodata.plane import Geometries

_TOWNSHIP_CLUSTERING = 8.0
"""How much denser townships sit around the county town; see thiessen.seeded_points."""
_COUNTY_TOWN = 100
"""Number of the county town's township, digits 7 to 9 of its code; subdistricts are below it."""
_FEW_VILLAGES = 0.2
"""A township with fewer villages than this share of the county's median is a mere zone."""


def outlines_of(county: str, shape: thiessen.Region, seed: int) -> pd.DataFrame:
    """Seats and cells of every township and village of one county.

    Returns:
        Columns ``id, lon, lat, geometry``, the townships first, each township's villages in
        order of their codes.
    """
    places = divisions.whole_county(county)
    townships = places.loc[places["level"] == Level.TOWNSHIP, "id"].to_numpy()
    villages = places.loc[places["level"] == Level.VILLAGE]
    members = {key: rows["id"].to_numpy() for key, rows in villages.groupby("parent_id")}

    rng = stream(seed, county, "seats")
    seats = thiessen.seeded_points(shape, len(townships), rng, _TOWNSHIP_CLUSTERING)
    cells = thiessen.cells(seats, shape)
    sizes = np.array([len(members.get(key, ())) for key in townships])
    order = _who_sits_where(townships, sizes, seats, cells)
    seats, cells = seats[order], cells[order]

    parts = [_frame(townships, seats, cells)]
    for township, cell in zip(townships, cells, strict=True):
        if township in members:
            ids = members[township]
            points = thiessen.seeded_points(cell, len(ids), stream(seed, township, "villages"))
            points = _neighbours_before_merging(ids, points)
            parts.append(_frame(ids, points, thiessen.cells(points, cell)))
    return pd.concat(parts, ignore_index=True)


def _frame(ids: NDArray[np.object_], points: Geometries, cells: Geometries) -> pd.DataFrame:
    return pd.DataFrame(
        {"id": ids, "lon": shapely.get_x(points), "lat": shapely.get_y(points), "geometry": cells}
    )


def _who_sits_where(
    ids: NDArray[np.object_], sizes: NDArray[np.int_], seats: Geometries, cells: Geometries
) -> NDArray[np.int_]:
    """Index of the seat each township gets.

    Subdistricts, the county town and zones of a village or two share the seats around the smallest
    cell, the others the rest; in both, the one with more villages gets the larger cell.
    """
    numbers = np.array([int(code[6:9]) for code in ids])
    central = (numbers <= _COUNTY_TOWN) | (sizes < _FEW_VILLAGES * np.median(sizes))
    areas = shapely.area(cells)
    by_distance = np.argsort(shapely.distance(seats, seats[areas.argmin()]), kind="stable")
    order = np.empty(len(ids), dtype=int)
    for group, free in (
        (np.flatnonzero(central), by_distance[: central.sum()]),
        (np.flatnonzero(~central), by_distance[central.sum() :]),
    ):
        fewer_first = group[np.argsort(sizes[group], kind="stable")]
        order[fewer_first] = free[np.argsort(areas[free], kind="stable")]
    return order


def _neighbours_before_merging(ids: NDArray[np.object_], points: Geometries) -> Geometries:
    """Seat a village that will merge nearest to the one that takes it: their cells then touch."""
    points = points.copy()
    for trouble in of_kind(TroubleKind.MERGED):
        if trouble.id in ids and trouble.other_id in ids:
            leaving, taking = (int(np.argmax(ids == key)) for key in (trouble.id, trouble.other_id))
            distance = shapely.distance(points, points[taking])
            distance[taking] = np.inf
            nearest = int(distance.argmin())
            points[[leaving, nearest]] = points[[nearest, leaving]]
    return points

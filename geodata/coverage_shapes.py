"""Polygons that share borders: repair, simplify and measure them as one coverage.

Everything here takes the places of one level at one date. A county and its townships together are
no coverage, they cover each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.plane import Geometries, LocalPlane, as_geometries

RepairKind = Literal[
    "nan_coordinates", "empty", "not_polygon", "repaired_self_intersection", "lost_area"
]

GAP_WIDTH_M = 100.0
"""Enclosed gaps narrower than this are drawing errors; wider ones are real (a lake, another
city)."""

_NOTICEABLE_LOSS = 0.01
_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


@dataclass(frozen=True, slots=True)
class RepairProblem:
    """What was wrong with one geometry.

    Attributes:
        index: position in the given sequence.
        kind: ``nan_coordinates``: vertices that are not numbers were left out (detail:
            ``bad/all``); ``empty``; ``not_polygon`` (detail: the type);
            ``repaired_self_intersection`` (GEOS's reason with the place in degrees);
            ``lost_area``: it overlapped its neighbours and lost at least 1 % (detail: the lost
            percentage).
        detail: see `kind`.
        dropped: nothing usable was left; the geometry is None.
    """

    index: int
    kind: RepairKind
    detail: str
    dropped: bool


@dataclass(frozen=True, slots=True)
class Repaired:
    """Valid polygons without overlaps, None where there is none, parallel to the input."""

    geometries: Geometries
    problems: list[RepairProblem]


def repair(geometries: Any, gap_width_m: float = GAP_WIDTH_M) -> Repaired:
    """Make a clean coverage of polygons as they come from files.

    None stays None and is no problem. Vertices that are not numbers are left out; rings that cross
    themselves are made valid, keeping the polygons; overlaps go to one of the two neighbours and
    enclosed gaps narrower than `gap_width_m` metres to the neighbour with the longest border, so
    shared borders are identical vertex by vertex afterwards. Heights are dropped.
    """
    shapes = shapely.force_2d(as_geometries(geometries))
    problems: list[RepairProblem] = []
    shapes = _finite(shapes, problems)
    shapes = _polygons_only(shapes, problems)
    present = np.flatnonzero(~shapely.is_missing(shapes))
    if len(present):
        plane = LocalPlane.around(shapes)
        flat = plane.forward(shapes[present])
        clean = np.asarray(
            shapely.coverage_clean(flat, gap_width=gap_width_m)  # type: ignore[attr-defined]
        )
        before, after = shapely.area(flat), shapely.area(clean)
        lost = np.divide(before - after, before, out=np.ones_like(before), where=before > 0)
        shapes[present] = plane.back(clean)
        for i in np.flatnonzero((lost >= _NOTICEABLE_LOSS) | (after == 0)):
            gone = bool(after[i] == 0)
            problems.append(RepairProblem(int(present[i]), "lost_area", f"{lost[i]:.0%}", gone))
            if gone:
                shapes[present[i]] = None
    problems.sort(key=lambda problem: problem.index)
    return Repaired(shapes, problems)


def _finite(shapes: Geometries, problems: list[RepairProblem]) -> Geometries:
    """Leave out vertices that are not numbers, then rings and polygons that lost their shape."""
    coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
    bad = np.asarray(~np.isfinite(coordinates).all(axis=1))
    if not bad.any():
        return shapes
    result = shapes.copy()
    for i in np.unique(owner[bad]):
        total = int((owner == i).sum())
        polygons = [_finite_polygon(part) for part in shapely.get_parts(shapes[i])]
        kept = [polygon for polygon in polygons if polygon is not None]
        result[i] = shapely.multipolygons(kept) if kept else None
        detail = f"{int(bad[owner == i].sum())}/{total}"
        problems.append(RepairProblem(int(i), "nan_coordinates", detail, not kept))
    return result


def _finite_polygon(part: shapely.Geometry) -> shapely.Polygon | None:
    if not isinstance(part, shapely.Polygon):
        return None
    rings = [_finite_ring(ring) for ring in (part.exterior, *part.interiors)]
    if rings[0] is None:
        return None
    return shapely.Polygon(rings[0], [ring for ring in rings[1:] if ring is not None])


def _finite_ring(ring: shapely.LinearRing) -> NDArray[np.float64] | None:
    coordinates = shapely.get_coordinates(ring)
    kept = coordinates[np.isfinite(coordinates).all(axis=1)]
    return kept if len(np.unique(kept, axis=0)) >= 3 else None


def _polygons_only(shapes: Geometries, problems: list[RepairProblem]) -> Geometries:
    """Valid polygonal geometries; None for what has no polygon."""
    result = shapes.copy()
    given = ~shapely.is_missing(shapes)
    empty = given & shapely.is_empty(shapes)
    for i in np.flatnonzero(empty):
        problems.append(RepairProblem(int(i), "empty", shapes[i].geom_type, True))
        result[i] = None
    invalid = np.asarray(given & ~empty & ~shapely.is_valid(shapes))
    reasons = np.asarray(shapely.is_valid_reason(shapes))
    result[invalid] = shapely.make_valid(shapes[invalid], method="structure", keep_collapsed=False)
    mixed = given & ~empty & ~np.isin(shapely.get_type_id(result), _POLYGONAL)
    for i in np.flatnonzero(mixed):
        parts = shapely.get_parts(shapely.get_parts(result[i]))
        kept = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        result[i] = shapely.union_all(kept) if len(kept) else None
    usable = given & ~empty & (shapely.area(result) > 0)
    for i in np.flatnonzero(invalid):
        problems.append(
            RepairProblem(int(i), "repaired_self_intersection", reasons[i], not usable[i])
        )
    for i in np.flatnonzero(given & ~empty & ~invalid & ~usable):
        problems.append(RepairProblem(int(i), "not_polygon", shapes[i].geom_type, True))
    result[~usable] = None
    return result


def simplify(geometries: Any, tolerance_m: float) -> Geometries:
    """A clean coverage with fewer vertices and still without gaps or overlaps.

    Shared borders are simplified once (Visvalingam-Whyatt, `shapely.coverage_simplify`): detail
    smaller than about `tolerance_m` metres goes, borders' meeting points stay. Where a polygon
    would vanish, be invalid or break the coverage, the whole is simplified less: with half the
    tolerance, and so on, at last not at all. None stays None.

    Args:
        geometries: what `repair` gave.
    """
    shapes = as_geometries(geometries)
    present = np.flatnonzero(~shapely.is_missing(shapes))
    if len(present) == 0 or tolerance_m <= 0:
        return shapes
    plane = LocalPlane.around(shapes)
    flat = plane.forward(shapes[present])
    holds = bool(shapely.coverage_is_valid(flat))
    for halving in range(6):
        simple = np.asarray(shapely.coverage_simplify(flat, tolerance_m / 2**halving))
        sound = (shapely.area(simple) > 0) & shapely.is_valid(simple)
        if sound.all() and (not holds or shapely.coverage_is_valid(simple)):
            shapes[present] = plane.back(simple)
            return shapes
    return shapes


def gaps_and_overlaps(
    geometries: Any, real_gap_width_m: float | None = None
) -> tuple[float, float]:
    """How far polygons are from a coverage, in square metres on the ground.

    Returns:
        gap: area enclosed by the polygons' union and belonging to none of them. Holes in which a
            circle wider than `real_gap_width_m` fits are real and not counted; None counts every
            hole.
        overlap: area of the intersection of every pair, summed.
    """
    shapes = as_geometries(geometries)
    shapes = shapes[~shapely.is_missing(shapes)]
    if len(shapes) == 0:
        return 0.0, 0.0
    plane = LocalPlane.around(shapes)
    flat = plane.forward(shapes)
    left, right = shapely.STRtree(flat).query(flat, predicate="intersects")
    once = left < right
    overlaps = shapely.intersection(flat[left[once]], flat[right[once]])
    union = shapely.get_parts(shapely.union_all(flat))
    rings, owner = shapely.get_rings(union, return_index=True)
    inner = np.append(False, owner[1:] == owner[:-1])
    holes = shapely.polygons(rings[inner])
    if real_gap_width_m is not None and len(holes):
        radius = shapely.length(shapely.maximum_inscribed_circle(holes))
        holes = holes[2 * radius <= real_gap_width_m]
    return _ground_area(holes, plane), _ground_area(overlaps, plane)


def _ground_area(flat: Geometries, plane: LocalPlane) -> float:
    area = shapely.area(flat)
    flat, area = flat[area > 0], area[area > 0]
    if len(flat) == 0:
        return 0.0
    return float(np.sum(area * plane.true_area_factor(shapely.get_y(shapely.centroid(flat)))))

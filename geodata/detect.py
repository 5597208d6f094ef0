"""Recognise coordinates that lie off by the GCJ-02 or BD-09 shift although labelled WGS84.

Children (points or polygons) are compared with the polygons they belong to, as given and after
undoing each shift. Chance is ruled out twice: a shift must beat equally long shifts in three other
directions, and improve clearly more children than it worsens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.crs import bd09_to_wgs84, gcj02_to_wgs84
from geodata.distance import metres_per_degree
from geodata.plane import Geometries, LocalPlane, as_geometries

Kind = Literal["gcj02", "bd09"]
Column = NDArray[np.float64]

_UNDO: dict[Kind, Callable[[Column, Column], tuple[Column, Column]]] = {
    "gcj02": gcj02_to_wgs84,
    "bd09": bd09_to_wgs84,
}
# Turned by 25 degrees each way, half and one and a half times as long.
_NEARBY = (0.906 + 0.423j, 0.906 - 0.423j, 0.5, 1.5)
# Polygons cost an intersection each; this many decide as well as all.
_MOST_POLYGONS = 400
_SAME_SIZE = 2.0
_CHANGE = 1e-3
_MARGIN = 1.5
_Z = 2.6
_CHANCE = 0.001
_CLEAR_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class OffsetFinding:
    """Children lie off their parents by a known shift.

    Attributes:
        kind: the coordinate system the numbers are really in.
        compared: children with a parent that were looked at.
        better, worse: children that fit their parent better, or worse, once the shift is undone.
        fit_before, fit_after: mean fit 0..1 as given and once undone; for points the share inside.
        east_m, north_m: mean shift, how far east and north of their true position the children lie.
    """

    kind: Kind
    compared: int
    better: int
    worse: int
    fit_before: float
    fit_after: float
    east_m: float
    north_m: float


def offset_kind(points: Any, parents: Any) -> OffsetFinding | None:
    """Judge whether children labelled WGS84 are really GCJ-02 or BD-09.

    Args:
        points: shapely points or polygons in degrees; None and empty are passed over.
        parents: as many WGS84 polygons, each child's parent, or the known polygon of the same
            place; None where unknown.

    Returns:
        The finding, or None where the evidence does not speak clearly for a shift.

    Raises:
        ValueError: the two differ in length.
    """
    children, homes = as_geometries(points), as_geometries(parents)
    if len(children) != len(homes):
        raise ValueError(f"{len(children)} children but {len(homes)} parents")
    children, homes = _comparable(children, homes)
    if len(children) == 0:
        return None
    lon, lat = _middles(children)
    per_lon, per_lat = metres_per_degree(lat)
    shift: dict[Kind, NDArray[np.complex128]] = {}
    for name, undo in _UNDO.items():
        true_lon, true_lat = undo(lon, lat)
        shift[name] = (lon - true_lon) * per_lon + 1j * (lat - true_lat) * per_lat
    if max(float(np.abs(s).max()) for s in shift.values()) < 1.0:
        return None

    plane = LocalPlane.around(homes)
    scale = plane.metres_east / per_lon, plane.metres_north / per_lat
    flat, flat_homes = plane.forward(children), plane.forward(homes)
    shapely.prepare(flat_homes)

    def fit(moved: NDArray[np.complex128]) -> Column:
        return _fit(_displaced(flat, -moved.real * scale[0], -moved.imag * scale[1]), flat_homes)

    given = fit(np.zeros(len(flat), dtype=np.complex128))
    undone = {name: fit(moved) for name, moved in shift.items()}
    turned = {name: [fit(m * turn) for turn in (1j, -1, -1j)] for name, m in shift.items()}
    elsewhere = [float(t.sum()) for several in turned.values() for t in several]
    # BD-09 contains the GCJ-02 shift: the better of the two is the one to judge.
    kind: Kind = "gcj02" if undone["gcj02"].sum() >= undone["bd09"].sum() else "bd09"
    if undone[kind].sum() <= max(float(given.sum()), *elsewhere):
        return None
    change = undone[kind] - given
    points_only = bool((shapely.get_dimensions(children) == 0).all())
    # Outlines are sharp enough to tell the shift from one that is only like it.
    if not points_only and undone[kind].sum() < max(fit(shift[kind] * n).sum() for n in _NEARBY):
        return None
    if not _clear(change, given, turned[kind], points_only):
        return None
    return OffsetFinding(
        kind,
        len(children),
        int((change > _CHANGE).sum()),
        int((change < -_CHANGE).sum()),
        float(given.mean()),
        float(undone[kind].mean()),
        float(shift[kind].real.mean()),
        float(shift[kind].imag.mean()),
    )


def _comparable(children: Geometries, homes: Geometries) -> tuple[Geometries, Geometries]:
    """Pairs with finite coordinates and valid shapes, polygons thinned to a bounded number."""
    dimension = shapely.get_dimensions(children)
    usable = (dimension == 0) | (dimension == 2)
    usable &= shapely.is_valid(children) & ~shapely.is_empty(children)
    usable &= np.isfinite(shapely.bounds(children)).all(axis=1)
    usable &= (shapely.get_dimensions(homes) == 2) & shapely.is_valid(homes)
    usable &= np.isfinite(shapely.bounds(homes)).all(axis=1)
    chosen = np.flatnonzero(usable)
    polygons = chosen[dimension[chosen] == 2]
    if len(polygons) > _MOST_POLYGONS:
        kept = polygons[np.linspace(0, len(polygons) - 1, _MOST_POLYGONS).astype(int)]
        chosen = np.sort(np.concatenate([chosen[dimension[chosen] == 0], kept]))
    return children[chosen], homes[chosen]


def _middles(geometries: Geometries) -> tuple[Column, Column]:
    centre = shapely.centroid(geometries)
    return shapely.get_x(centre), shapely.get_y(centre)


def _displaced(geometries: Geometries, east: Column, north: Column) -> Geometries:
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    coordinates += np.column_stack([east, north])[owner]
    return np.asarray(shapely.set_coordinates(geometries.copy(), coordinates))


def _fit(children: Geometries, homes: Geometries) -> Column:
    """How well each child fits its home, from 0 to 1.

    Points: inside or not. Polygons: the share of their area inside the home, or intersection over
    union where both are of about one size, as the same place drawn twice is.
    """
    result = np.zeros(len(children))
    is_point = shapely.get_dimensions(children) == 0
    result[is_point] = shapely.intersects(homes[is_point], children[is_point])
    child, home = children[~is_point], homes[~is_point]
    if len(child):
        common = shapely.area(shapely.intersection(child, home))
        own, other = shapely.area(child), shapely.area(home)
        whole = np.where(other < _SAME_SIZE * own, own + other - common, own)
        result[~is_point] = common / whole
    return result


def _clear(change: Column, given: Column, elsewhere: list[Column], points_only: bool) -> bool:
    """Whether the change is no chance: gains far above losses, and many or telling enough."""
    gain, loss = float(change[change > 0].sum()), float(-change[change < 0].sum())
    if gain == 0 or gain < _MARGIN * loss:
        return False
    # Were the shift wrong, the sign of every change would be a coin's.
    if (gain - loss) / math.sqrt(float((change**2).sum())) >= _Z:
        return True
    misfit = float((1.0 - given).sum())
    if not points_only:
        # Few polygons: each carries a whole outline, and its wrong turns have been beaten.
        return gain - loss >= _CLEAR_SHARE * misfit
    # Few points change sides. Then also ask how likely a wrong shift is to put so few outside.
    left_out = misfit - (gain - loss)
    expected = float(np.mean([(1.0 - turned).sum() for turned in elsewhere]))
    by_chance = 0.5 ** float((change != 0).sum()) if loss == 0 else 1.0
    return by_chance * _poisson_below(round(left_out), expected) < _CHANCE


def _poisson_below(count: int, mean: float) -> float:
    """Probability of at most `count` events where `mean` are expected."""
    terms = [math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(count + 1)]
    return min(1.0, sum(terms))

"""Thiessen (Voronoi) cells: indicative outlines for places that have a point but no boundary."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.plane import Geometries, LocalPlane, as_geometries

Region = shapely.Polygon | shapely.MultiPolygon

# Samples per point when spreading points: enough that a cell's centre is known to a few percent.
_SAMPLES_PER_POINT = 60
_SETTLEMENTS_PER_POINTS = 12
_RELAXATIONS = 4


def cells(points: Any, region: Region) -> Geometries:
    """Divide `region` among `points`: each gets the part nearest to it, in the points' order.

    The cells tile the region exactly: shared borders are identical vertex by vertex. A piece of a
    cell that the region's outline cuts off from its point is given to the neighbour with the
    longest border, so cells are in one piece, except where a part of the region holds no point at
    all: such an island belongs to its nearest point, and that cell is a MultiPolygon.

    Args:
        points: distinct shapely points in degrees, inside the region.
        region: a valid Polygon or MultiPolygon in degrees.

    Raises:
        ValueError: no points, a point twice, a point outside the region, or no region.
    """
    array = as_geometries(points)
    if len(array) == 0:
        raise ValueError("there are no points to divide the region among")
    if region.is_empty or not isinstance(region, Region):
        raise ValueError("the region is no polygon")
    if len(np.unique(shapely.get_coordinates(array), axis=0)) != len(array):
        raise ValueError("points are missing or coincide")
    if not shapely.intersects(array, region).all():
        raise ValueError("a point lies outside the region")
    if len(array) == 1:
        return as_geometries([region])

    plane = LocalPlane.around(as_geometries([region]))
    flat_region = plane.forward(as_geometries([region]))[0]
    seeds = plane.forward(array)
    faces = _faces(seeds, flat_region)
    owner = _owners(faces, seeds)
    return plane.back(_merge(faces, owner, len(seeds)))


def _faces(seeds: Geometries, region: Region) -> Geometries:
    """The pieces into which the cells' edges cut the region; noded once, so neighbours agree."""
    edges = shapely.voronoi_polygons(shapely.multipoints(seeds), extend_to=region, only_edges=True)
    lines = shapely.union_all(as_geometries([edges, shapely.boundary(region)]))
    pieces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    shapely.prepare(region)
    return np.asarray(pieces[shapely.contains(region, shapely.point_on_surface(pieces))])


def _owners(faces: Geometries, seeds: Geometries) -> NDArray[np.int64]:
    """Which point each face goes to."""
    nearest = shapely.STRtree(seeds).nearest(shapely.point_on_surface(faces)).astype(np.int64)
    tree = shapely.STRtree(faces)
    seed, face = tree.query(seeds, predicate="intersects")
    home = np.zeros(len(faces), dtype=bool)
    home[face[nearest[face] == seed]] = True
    stray = np.flatnonzero(~home)
    left, right = tree.query(faces[stray], predicate="touches")
    left = stray[left]
    border = shapely.length(shapely.intersection(faces[left], faces[right]))
    left, right, border = left[border > 0], right[border > 0], border[border > 0]
    owner = np.where(home, nearest, -1)
    while (owner < 0).any():
        frontier = (owner[left] < 0) & (owner[right] >= 0)
        if not frontier.any():
            break
        # Longest border last, so that it is the one that stays assigned.
        by_border = np.flatnonzero(frontier)[np.argsort(border[frontier], kind="stable")]
        owner[left[by_border]] = owner[right[by_border]]
    return np.where(owner < 0, nearest, owner)


def _merge(faces: Geometries, owner: NDArray[np.int64], count: int) -> Geometries:
    by_owner = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[by_owner], np.arange(count + 1))
    merged = np.empty(count, dtype=object)
    for i in range(count):
        merged[i] = shapely.coverage_union_all(faces[by_owner[ends[i] : ends[i + 1]]])
    return merged


def seeded_points(
    region: Region, count: int, rng: np.random.Generator, clustering: float = 2.0
) -> Geometries:
    """Points spread over `region` the way villages are: denser around a few settlements, never
    crowded.

    Random points are moved to the middle of their cells a few times (Lloyd's relaxation, on a
    sample of the region), cells weighing more near settlements. The same generator state gives the
    same points.

    Args:
        region: Polygon or MultiPolygon in degrees.
        count: how many points, at least 1.
        clustering: how much denser the settlements' surroundings are; 0 spreads evenly.

    Returns:
        `count` distinct shapely points inside the region.

    Raises:
        ValueError: count below 1, or a region without area.
    """
    if count < 1:
        raise ValueError("at least one point is needed")
    if not region.area > 0:
        raise ValueError("the region has no area")
    plane = LocalPlane.around(as_geometries([region]))
    flat = plane.forward(as_geometries([region]))[0]
    sample = _sample(flat, max(400, _SAMPLES_PER_POINT * count), rng)
    weight = np.ones(len(sample))
    settlements = sample[rng.integers(len(sample), size=-(-count // _SETTLEMENTS_PER_POINTS))]
    reach = np.sqrt(flat.area / len(settlements)) / 3
    for settlement in settlements:
        squared = ((sample - settlement) ** 2).sum(axis=1)
        weight += clustering * np.exp(-squared / (2 * reach**2))
    seeds = sample[rng.choice(len(sample), size=count, replace=False, p=weight / weight.sum())]
    samples = _points(sample)
    for _ in range(_RELAXATIONS):
        nearest = shapely.STRtree(_points(seeds)).nearest(samples)
        total = np.bincount(nearest, weight, count)
        middle = np.column_stack(
            [np.bincount(nearest, weight * sample[:, axis], count) for axis in (0, 1)]
        )
        held = total > 0
        seeds[held] = middle[held] / total[held, None]
    # A middle can fall outside a hollow region: every point moves to a sample of its own.
    outside = ~shapely.contains_xy(flat, seeds[:, 0], seeds[:, 1])
    if outside.any():
        seeds[outside] = sample[shapely.STRtree(samples).nearest(_points(seeds[outside]))]
    while len(twins := _repeated(seeds)):
        seeds[twins] = sample[rng.integers(len(sample), size=len(twins))]
    return plane.back(_points(seeds))


def _points(places: NDArray[np.float64]) -> Geometries:
    return np.asarray(shapely.points(places))


def _repeated(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of places that occur earlier already."""
    first = np.unique(places, axis=0, return_index=True)[1]
    return np.setdiff1d(np.arange(len(places)), first)


def _sample(region: Region, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` uniform points inside the region, shape (count, 2)."""
    minx, miny, maxx, maxy = region.bounds
    shapely.prepare(region)
    found = np.empty((0, 2))
    while len(found) < count:
        draw = rng.uniform((minx, miny), (maxx, maxy), size=(count * 2, 2))
        found = np.concatenate([found, draw[shapely.contains_xy(region, draw[:, 0], draw[:, 1])]])
    return found[:count]

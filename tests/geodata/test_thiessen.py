import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from geodata.coverage_shapes import gaps_and_overlaps
from geodata.plane import LocalPlane, as_geometries
from geodata.thiessen import cells, seeded_points

REGION = box(116, 39, 116.4, 39.3)
ISLANDS = MultiPolygon([box(116, 39, 116.1, 39.1), box(116.3, 39, 116.4, 39.1)])


def assert_tiles(pieces, region):
    assert shapely.coverage_is_valid(pieces)
    assert gaps_and_overlaps(pieces)[1] == 0
    assert shapely.area(pieces).sum() == pytest.approx(region.area, rel=1e-12)
    assert shapely.area(shapely.symmetric_difference(shapely.union_all(pieces), region)) < 1e-12
    assert shapely.is_valid(pieces).all()


def test_one_point_gets_everything():
    assert cells([Point(116.1, 39.1)], ISLANDS).tolist() == [ISLANDS]


def test_two_points_and_points_in_a_row():
    for points in (
        [Point(116.1, 39.1), Point(116.3, 39.1)],
        [Point(116.1, 39.1), Point(116.2, 39.1), Point(116.3, 39.1)],
        [Point(116.1, 39.1), Point(116.1 + 1e-7, 39.1)],
    ):
        pieces = cells(points, REGION)
        assert len(pieces) == len(points)
        assert_tiles(pieces, REGION)
        assert shapely.intersects(pieces, points).all()


def test_cells_are_the_nearest_ground_in_the_points_order(langfang):
    county = langfang[1]
    points = seeded_points(county, 25, np.random.default_rng(4))
    pieces = cells(points, county)
    assert_tiles(pieces, county)
    assert shapely.contains(pieces, points).all()
    plane = LocalPlane.around(as_geometries([county]))
    rng = np.random.default_rng(5)
    minx, miny, maxx, maxy = county.bounds
    probes = shapely.points(rng.uniform((minx, miny), (maxx, maxy), (4000, 2)))
    probes = probes[shapely.contains(county, probes)]
    owner = shapely.STRtree(pieces).query(probes, predicate="within")
    flat = shapely.get_coordinates(plane.forward(as_geometries(points)))
    at = shapely.get_coordinates(plane.forward(as_geometries(probes[owner[0]])))
    nearest = ((at[:, None] - flat) ** 2).sum(axis=2).argmin(axis=1)
    # All but the pieces the winding border cuts off, which went to a neighbour.
    assert (nearest == owner[1]).mean() > 0.97


def test_a_cut_off_piece_goes_to_the_neighbour_and_cells_stay_in_one_piece():
    comb = box(116, 39, 116.4, 39.2).difference(box(116.1, 39.02, 116.3, 39.2))
    points = [Point(116.05, 39.19), Point(116.2, 39.01), Point(116.35, 39.19), Point(116.02, 39.1)]
    pieces = cells(points, comb)
    assert_tiles(pieces, comb)
    assert [piece.geom_type for piece in pieces] == ["Polygon"] * 4


@pytest.mark.parametrize("index", range(10))
def test_real_counties_are_tiled_by_connected_cells(langfang, index):
    county = langfang[index]
    points = seeded_points(county, 30, np.random.default_rng(index))
    pieces = cells(points, county)
    assert_tiles(pieces, county)
    assert shapely.contains(pieces, points).all()
    assert (shapely.get_num_geometries(pieces) == 1).all()


def test_an_island_without_a_point_belongs_to_its_nearest():
    pieces = cells([Point(116.02, 39.05), Point(116.09, 39.05)], ISLANDS)
    assert_tiles(pieces, ISLANDS)
    assert [piece.geom_type for piece in pieces] == ["Polygon", "MultiPolygon"]


def test_a_hole_stays_a_hole():
    region = Polygon(REGION.exterior.coords, [box(116.1, 39.1, 116.2, 39.2).exterior.coords])
    pieces = cells(seeded_points(region, 12, np.random.default_rng(0)), region)
    assert_tiles(pieces, region)


@pytest.mark.parametrize(
    ("points", "region", "reason"),
    [
        ([], REGION, "no points"),
        ([Point(116.1, 39.1), Point(116.1, 39.1)], REGION, "coincide"),
        ([Point(116.1, 39.1), Point()], REGION, "missing"),
        ([Point(116.1, 39.1), None], REGION, "missing"),
        ([Point(116.1, 39.1), Point(100, 39)], REGION, "outside"),
        ([Point(116.1, 39.1)], Polygon(), "no polygon"),
        ([Point(116.1, 39.1)], Point(116, 39), "no polygon"),
    ],
)
def test_what_cannot_be_divided_is_refused(points, region, reason):
    with pytest.raises(ValueError, match=reason):
        cells(points, region)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(1, 399), st.integers(1, 299)), min_size=1, max_size=30, unique=True
    )
)
def test_any_points_tile_the_region(grid):
    """Points on a grid: rows, squares and other ties a Voronoi diagram can stumble over."""
    points = [Point(116 + x / 1000, 39 + y / 1000) for x, y in grid]
    pieces = cells(points, REGION)
    assert_tiles(pieces, REGION)
    assert shapely.contains(pieces, points).all()


@pytest.mark.parametrize("count", [1, 2, 3, 30, 120])
def test_seeded_points_are_inside_distinct_and_repeatable(langfang, count):
    for region in (langfang[4], ISLANDS):
        first = seeded_points(region, count, np.random.default_rng(9))
        again = seeded_points(region, count, np.random.default_rng(9))
        other = seeded_points(region, count, np.random.default_rng(10))
        assert len(first) == count
        assert shapely.contains(region, first).all()
        assert len(np.unique(shapely.get_coordinates(first), axis=0)) == count
        assert shapely.equals(first, again).all()
        assert not shapely.equals(first, other).all()


def test_seeded_points_are_spread_and_cluster_on_demand(langfang):
    county = langfang[0]

    def sizes(clustering):
        points = seeded_points(county, 60, np.random.default_rng(3), clustering)
        return np.sort(shapely.area(cells(points, county)))

    even, clustered = sizes(0), sizes(8)
    # Purely random points leave cells a hundred times smaller than others.
    assert even[-1] / even[0] < 8
    assert clustered[-1] / clustered[0] < 60
    assert np.std(clustered) / np.mean(clustered) > 1.3 * np.std(even) / np.mean(even)


def test_seeded_points_refuse_nonsense():
    with pytest.raises(ValueError, match="at least one"):
        seeded_points(REGION, 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="area"):
        seeded_points(Polygon(), 3, np.random.default_rng(0))

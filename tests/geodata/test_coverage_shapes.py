import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from geodata.coverage_shapes import gaps_and_overlaps, repair, simplify
from geodata.plane import LocalPlane
from geodata.thiessen import cells, seeded_points

METRE = 1 / 111_000


def problems(repaired):
    return [(p.index, p.kind, p.dropped) for p in repaired.problems]


def square(x, y, size=0.1):
    return box(116 + x * size, 39 + y * size, 116 + (x + 1) * size, 39 + (y + 1) * size)


def villages(region, count, seed=0):
    rng = np.random.default_rng(seed)
    return cells(seeded_points(region, count, rng), region)


def test_a_clean_coverage_stays_as_it_is(langfang):
    repaired = repair(langfang)
    assert repaired.problems == []
    assert shapely.equals_exact(
        shapely.normalize(repaired.geometries), shapely.normalize(langfang), tolerance=1e-12
    ).all()


def test_places_without_a_polygon_stay_without_one(langfang):
    repaired = repair([*langfang, None])
    assert repaired.geometries[-1] is None
    assert repaired.problems == []
    assert repair([None, None]).geometries.tolist() == [None, None]
    assert repair([]).geometries.tolist() == []


def test_the_given_array_is_left_alone():
    given_shapes = np.array([Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), None], dtype=object)
    before = given_shapes.copy()
    repair(given_shapes)
    simplify(given_shapes[1:], 100)
    assert given_shapes[0] is before[0]


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_vertices_that_are_not_numbers_are_left_out_and_named():
    corners = shapely.get_coordinates(square(0, 0))
    with_nan = Polygon(np.insert(corners, 2, [np.nan, 39.05], axis=0))
    with_inf = Polygon(np.insert(shapely.get_coordinates(square(1, 0)), 1, [np.inf, 39.0], axis=0))
    hopeless = shapely.from_wkt("POLYGON ((116 39, NaN NaN, 116 39.1, 116 39))")
    repaired = repair([with_nan, with_inf, hopeless, Point(np.nan, np.nan)])
    assert problems(repaired) == [
        (0, "nan_coordinates", False),
        (1, "nan_coordinates", False),
        (2, "nan_coordinates", True),
        (3, "nan_coordinates", True),
    ]
    assert repaired.problems[0].detail == "1/6"
    assert repaired.geometries[0].equals(square(0, 0))
    assert repaired.geometries[1].equals(square(1, 0))
    assert repaired.geometries[2] is None
    assert repaired.geometries[3] is None


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_holes_and_parts_survive_a_bad_vertex_elsewhere():
    hole = [(116.02, 39.02), (116.04, 39.02), (116.04, 39.04)]
    bad_hole = [(116.06, 39.06), (np.nan, 39.06), (116.08, 39.08), (116.06, 39.06)]
    shape = Polygon(square(0, 0).exterior.coords, [hole, bad_hole])
    two_parts = MultiPolygon([shape, square(3, 0)])
    repaired = repair([two_parts])
    assert problems(repaired) == [(0, "nan_coordinates", False)]
    expected = square(0, 0).area * 2 - Polygon(hole).area
    assert repaired.geometries[0].area == pytest.approx(expected)


def test_what_is_no_polygon_is_named():
    line = shapely.LineString([(116, 39), (116.1, 39)])
    mixed = shapely.GeometryCollection([square(0, 0), MultiPolygon([square(2, 0)]), line])
    flat = Polygon([(116, 39), (116.1, 39), (116.2, 39), (116, 39)])
    repaired = repair([Point(116, 39), line, mixed, flat, Polygon(), MultiPolygon()])
    assert problems(repaired) == [
        (0, "not_polygon", True),
        (1, "not_polygon", True),
        (3, "repaired_self_intersection", True),
        (4, "empty", True),
        (5, "empty", True),
    ]
    assert [p.detail for p in repaired.problems[:2]] == ["Point", "LineString"]
    assert repaired.geometries[2].area == pytest.approx(2 * square(0, 0).area)


def test_self_intersections_are_repaired_and_named():
    bow_tie = Polygon([(116, 39), (116.1, 39.1), (116.1, 39), (116, 39.1)])
    repaired = repair([bow_tie, square(2, 0)])
    assert problems(repaired) == [(0, "repaired_self_intersection", False)]
    assert "Self-intersection" in repaired.problems[0].detail
    assert repaired.geometries[0].is_valid
    assert repaired.geometries[0].area == pytest.approx(square(0, 0).area / 2)


def test_heights_are_dropped():
    repaired = repair([shapely.force_3d(square(0, 0), 12.5)])
    assert not repaired.geometries[0].has_z


def test_narrow_gaps_close_and_wide_ones_stay():
    """A ring of four around a hole: 60 m wide is a drawing error, 600 m is a lake."""
    for width_m, closes in ((60, True), (600, False)):
        half = width_m * METRE / 2
        hole = box(116.05 - half, 39.05 - half, 116.05 + half, 39.05 + half)
        quarters = [
            box(116 + i * 0.05, 39 + j * 0.05, 116.05 + i * 0.05, 39.05 + j * 0.05).difference(hole)
            for i in (0, 1)
            for j in (0, 1)
        ]
        gap, _ = gaps_and_overlaps(quarters)
        assert gap == pytest.approx(width_m**2, rel=0.3)
        repaired = repair(quarters)
        assert repaired.problems == []
        left, overlap = gaps_and_overlaps(repaired.geometries)
        assert overlap == 0
        assert left == pytest.approx(0 if closes else gap, rel=1e-6, abs=1e-6)


def test_overlaps_go_to_one_neighbour_and_a_real_loss_is_named():
    left, right = square(0, 0), square(1, 0)
    sloppy = shapely.union(right, box(116.0995, 39, 116.1, 39.1))
    thief = shapely.union(square(1, 2), box(116.05, 39.2, 116.1, 39.3))
    given_shapes = [left, sloppy, square(0, 2), thief, square(5, 5), square(5, 5)]
    before = gaps_and_overlaps(given_shapes)[1]
    assert before > 1e6
    repaired = repair(given_shapes)
    kept = [g for g in repaired.geometries if g is not None]
    assert gaps_and_overlaps(kept) == (0.0, 0.0)
    assert shapely.coverage_is_valid(kept)
    assert {p.kind for p in repaired.problems} == {"lost_area"}
    lost = {p.index: (p.detail, p.dropped) for p in repaired.problems}
    # Half a percent is no news; half of a square is; a polygon given twice is kept once.
    assert 0 not in lost
    assert 1 not in lost
    assert lost.keys() & {2, 3}
    assert ("100%", True) in [lost.get(4), lost.get(5)]
    assert sum(g.area for g in kept) == pytest.approx(shapely.union_all(given_shapes).area)


def test_naive_simplification_tears_langfang_and_ours_does_not(langfang):
    """Ten counties at 500 m: polygon by polygon against as a coverage."""
    plane = LocalPlane.around(langfang)
    naive = plane.back(shapely.simplify(plane.forward(langfang), 500))
    gap, overlap = gaps_and_overlaps(naive)
    assert gap > 1_000_000
    assert overlap > 1_000_000
    ours = simplify(langfang, 500)
    assert gaps_and_overlaps(ours) == (0.0, 0.0)
    assert shapely.coverage_is_valid(ours)
    assert shapely.get_num_coordinates(ours).sum() < shapely.get_num_coordinates(langfang).sum()


@pytest.mark.parametrize("tolerance", [10, 100, 1_000, 20_000, 1_000_000])
def test_no_tolerance_makes_gaps_overlaps_or_loses_a_place(langfang, tolerance):
    for coverage in (langfang, villages(langfang[0], 60)):
        simple = simplify([*coverage, None], tolerance)
        assert simple[-1] is None
        simple = simple[:-1]
        assert (shapely.area(simple) > 0).all()
        assert shapely.is_valid(simple).all()
        assert gaps_and_overlaps(simple) == (0.0, 0.0)
        assert shapely.coverage_is_valid(simple)


def test_simplification_is_about_its_tolerance(langfang):
    fine = shapely.segmentize(langfang, 0.001)
    simple = simplify(fine, 200)
    plane = LocalPlane.around(langfang)
    moved = shapely.hausdorff_distance(plane.forward(simple), plane.forward(langfang))
    assert 0 < moved.max() < 1_000
    assert shapely.get_num_coordinates(simple).sum() < shapely.get_num_coordinates(fine).sum() / 4


def test_no_tolerance_is_no_change(langfang):
    assert simplify(langfang, 0).tolist() == langfang.tolist()
    assert simplify([None], 100).tolist() == [None]


def test_shapes_that_are_no_coverage_are_still_simplified():
    circle = Point(116, 39).buffer(0.1, quad_segs=90)
    other = Point(116.1, 39).buffer(0.1, quad_segs=90)
    simple = simplify([circle, other], 500)
    assert (shapely.get_num_coordinates(simple) < 100).all()


@settings(max_examples=25)
@given(st.integers(2, 40), st.integers(0, 10**6), st.floats(10, 5_000))
def test_random_cells_stay_a_coverage(count, seed, tolerance):
    region = Polygon([(116, 39), (116.4, 39.02), (116.3, 39.3), (116.15, 39.1), (116, 39.28)])
    simple = simplify(villages(region, count, seed), tolerance)
    assert (shapely.area(simple) > 0).all()
    gap, overlap = gaps_and_overlaps(simple)
    assert (gap, overlap) == (0.0, 0.0)


def test_gaps_and_overlaps_measure_square_metres():
    two = [square(0, 0), box(116.09, 39, 116.2, 39.1)]
    gap, overlap = gaps_and_overlaps(two)
    assert gap == 0
    assert overlap == pytest.approx(0.01 * 86_500 * 0.1 * 111_000, rel=0.01)
    thrice = [square(0, 0)] * 3
    assert gaps_and_overlaps(thrice)[1] == pytest.approx(3 * gaps_and_overlaps(thrice[:2])[1])
    ring = Polygon(square(0, 0).exterior.coords, [square(4, 4, 0.02).exterior.coords])
    hole, _ = gaps_and_overlaps([ring])
    assert hole == pytest.approx(0.02**2 * 86_500 * 111_000, rel=0.01)
    assert gaps_and_overlaps([ring], real_gap_width_m=500)[0] == 0
    assert gaps_and_overlaps([ring], real_gap_width_m=5_000)[0] == pytest.approx(hole)
    assert gaps_and_overlaps([None]) == (0.0, 0.0)


def test_langfangs_two_parts_stay_apart(langfang):
    """Beijing and Tianjin lie between them: no repair may bridge that."""
    union = shapely.union_all(repair(langfang).geometries)
    assert shapely.get_num_geometries(union) == shapely.get_num_geometries(
        shapely.union_all(langfang)
    )
    assert shapely.get_num_geometries(union) == 2


def test_a_citys_villages_at_full_number(langfang):
    """3,600 cells, cut county by county, so that borders between counties do not match at first."""
    drawn = np.concatenate([villages(county, 360, i) for i, county in enumerate(langfang)])
    assert not shapely.coverage_is_valid(drawn)
    repaired = repair(drawn)
    assert repaired.problems == []
    assert shapely.coverage_is_valid(repaired.geometries)
    simple = simplify(repaired.geometries, 100)
    assert shapely.coverage_is_valid(simple)
    assert gaps_and_overlaps(simple) == (0.0, 0.0)

import numpy as np
import pytest
import shapely
from shapely import MultiPolygon, Point, Polygon, box

from geodata.distance import metres_per_degree
from geodata.labels import label_points
from geodata.plane import LocalPlane


def test_labels_lie_inside_and_have_the_room_they_say(langfang):
    lon, lat, radius = label_points(langfang)
    assert shapely.contains_xy(langfang, lon, lat).all()
    plane = LocalPlane.around(langfang)
    centres = plane.forward(shapely.points(lon, lat))
    room = shapely.distance(centres, shapely.boundary(plane.forward(langfang)))
    assert radius == pytest.approx(room, rel=1e-6)
    assert (radius > 2_000).all()


def test_a_square_is_labelled_in_its_middle():
    lon, lat, radius = label_points([box(116, 39, 116.02, 39.02)])
    east, _ = metres_per_degree(39.01)
    assert lon[0] == pytest.approx(116.01, abs=5e-4)
    assert lat[0] == pytest.approx(39.01, abs=3e-3)
    assert radius[0] == pytest.approx(0.01 * east, rel=0.02)


def test_a_crescent_is_labelled_inside_not_at_its_centroid():
    crescent = Point(116, 39).buffer(0.1).difference(Point(116.04, 39).buffer(0.09))
    assert not crescent.contains(crescent.centroid)
    lon, lat, _ = label_points([crescent])
    assert crescent.contains(Point(lon[0], lat[0]))


def test_the_largest_part_carries_the_label():
    small, large = box(116, 39, 116.01, 39.01), box(117, 39, 117.1, 39.1)
    for parts in ([small, large], [large, small]):
        lon, lat, _ = label_points([MultiPolygon(parts)])
        assert large.contains(Point(lon[0], lat[0]))


def test_what_has_no_area_has_no_label():
    shapes = [None, Polygon(), Point(116, 39), box(116, 39, 116.1, 39.1)]
    for column in label_points(shapes):
        assert np.isnan(column).tolist() == [True, True, True, False]
    assert all(len(column) == 0 for column in label_points([]))

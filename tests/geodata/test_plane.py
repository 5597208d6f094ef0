import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geodata.plane import LocalPlane, as_geometries


@given(st.floats(74, 134), st.floats(4, 53), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_lengths_are_metres(lon, lat, dx, dy):
    plane = LocalPlane.at(lon, lat)
    x, y = shapely.get_coordinates(
        plane.forward(as_geometries([shapely.Point(lon + dx, lat + dy)]))
    )[0]
    geodesic = pyproj.Geod(ellps="WGS84").inv(lon, lat, lon + dx, lat + dy)[2]
    assert np.hypot(x, y) == pytest.approx(geodesic, rel=0.01, abs=1e-3)


def test_there_and_back_and_areas(langfang):
    plane = LocalPlane.around(langfang)
    flat = plane.forward(langfang)
    assert shapely.equals_exact(plane.back(flat), langfang, tolerance=1e-13).all()
    heights = shapely.get_y(shapely.centroid(flat))
    areas = shapely.area(flat) * plane.true_area_factor(heights)
    geod = pyproj.Geod(ellps="WGS84")
    truth = [abs(geod.geometry_area_perimeter(polygon)[0]) for polygon in langfang]
    assert areas == pytest.approx(truth, rel=2e-4)


def test_none_and_nothing():
    plane = LocalPlane.around(as_geometries([None, shapely.Polygon()]))
    assert plane.forward(as_geometries([None]))[0] is None
    assert LocalPlane.around(as_geometries([])).lat0 == 0

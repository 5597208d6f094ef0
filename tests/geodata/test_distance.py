import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodata.distance import haversine_m, metres_per_degree

GEOD = pyproj.Geod(ellps="WGS84")


@given(st.floats(73, 135), st.floats(3, 54), st.floats(73, 135), st.floats(3, 54))
def test_haversine_is_near_the_geodesic(lon1, lat1, lon2, lat2):
    geodesic = GEOD.inv(lon1, lat1, lon2, lat2)[2]
    assert haversine_m(lon1, lat1, lon2, lat2) == pytest.approx(geodesic, rel=0.006, abs=1e-3)


def test_haversine_broadcasts_and_survives_antipodes():
    distances = haversine_m([0.0, 90.0], 0.0, [[0.0], [180.0]], 0.0)
    assert distances.shape == (2, 2)
    assert distances[1, 0] == pytest.approx(np.pi * 6371008.8)
    assert distances[0, 0] == 0


@given(st.floats(-85, 85))
def test_metres_per_degree(lat):
    east, north = metres_per_degree(lat)
    assert east == pytest.approx(GEOD.inv(0, lat, 1e-3, lat)[2] * 1e3, rel=1e-5)
    assert north == pytest.approx(GEOD.inv(0, lat - 5e-4, 0, lat + 5e-4)[2] * 1e3, rel=1e-6)

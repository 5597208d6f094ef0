"""Real boundaries and points for the geodata tests (sources in tests/data/geodata/README.md)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

DATA = Path(__file__).parents[1] / "data" / "geodata"


def read_polygons(name):
    features = json.loads((DATA / name).read_text(encoding="utf-8"))["features"]
    return shapely.from_geojson([json.dumps(feature["geometry"]) for feature in features])


@pytest.fixture(scope="session")
def langfang_file():
    """Ten county polygons of Langfang, WGS84."""
    return read_polygons("langfang_1310_counties_tianditu_WGS84.geojson")


@pytest.fixture
def langfang(langfang_file):
    return langfang_file.copy()


@pytest.fixture(scope="session")
def fenghuang_outline():
    """One polygon, GCJ-02."""
    return read_polygons("fenghuang_433123_county_GCJ02.geojson")[0]


@pytest.fixture(scope="session")
def fenghuang_places():
    return pd.read_csv(DATA / "fenghuang_433123_villages_2016_GCJ02.csv", dtype=str)


@pytest.fixture(scope="session")
def fenghuang_points(fenghuang_places):
    """The 239 village points, GCJ-02."""
    villages = fenghuang_places.query("level == 'village' and longitude.notna()")
    return shapely.points(villages[["longitude", "latitude"]].astype(float).to_numpy())


@pytest.fixture(scope="session")
def shift():
    """Apply a (lon, lat) -> (lon, lat) function to geometries, vertex by vertex."""

    def apply(geometries, function):
        return shapely.transform(geometries, lambda c: np.column_stack(function(c[:, 0], c[:, 1])))

    return apply

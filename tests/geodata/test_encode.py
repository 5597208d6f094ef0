import datetime
import json

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from geodata.encode import feature_collection
from geodata.thiessen import cells, seeded_points


def encoded(geometries, **options):
    n = len(geometries)
    return json.loads(
        feature_collection(geometries, [str(i) for i in range(n)], [{}] * n, **options)
    )


def test_a_document_as_the_map_reads_it():
    body = feature_collection(
        [Point(116.123456789, 39.5), None],
        ["131002001001", "x"],
        [{"name": "甲村", "value": 81.25, "class": None}, {}],
    )
    assert body.decode() == (
        '{"type":"FeatureCollection","features":['
        '{"type":"Feature","id":"131002001001",'
        '"properties":{"name":"甲村","value":81.25,"class":null},'
        '"geometry":{"type":"Point","coordinates":[116.12346,39.5]}},'
        '{"type":"Feature","id":"x","properties":{},"geometry":null}]}'
    )
    assert feature_collection([], [], []) == b'{"type":"FeatureCollection","features":[]}'


def test_coordinates_are_rounded_short_and_flat(langfang):
    for digits in (3, 5):
        features = encoded(shapely.force_3d(langfang, 7.0), digits=digits)["features"]
        shapes = shapely.from_geojson([json.dumps(f["geometry"]) for f in features])
        assert not shapely.has_z(shapes).any()
        coordinates = shapely.get_coordinates(shapes)
        assert (coordinates == np.round(coordinates, digits)).all()
        assert shapely.hausdorff_distance(shapes, langfang).max() <= 10**-digits
    body = feature_collection([Point(-1e-9, 116.30000000000001)], ["a"], [{}]).decode()
    assert "[0.0,116.3]" in body


def test_rounding_leaves_shared_borders_shared(langfang):
    county = langfang[0]
    villages = cells(seeded_points(county, 40, np.random.default_rng(2)), county)
    features = encoded(villages, digits=4)["features"]
    shapes = shapely.from_geojson([json.dumps(f["geometry"]) for f in features])
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)


def test_vertices_that_fall_together_are_written_once():
    ring = [(116, 39), (116.0000001, 39), (116.1, 39), (116.1, 39.1), (116, 39.0000001)]
    [feature] = encoded([Polygon(ring)])["features"]
    assert feature["geometry"]["coordinates"] == [
        [[116.0, 39.0], [116.1, 39.0], [116.1, 39.1], [116.0, 39.0]]
    ]


def test_a_polygon_smaller_than_a_digit_still_is_geojson():
    [feature] = encoded([MultiPolygon([box(0, 0, 1e-7, 1e-7), box(1, 1, 2, 2)])])["features"]
    assert all(len(ring) >= 4 for part in feature["geometry"]["coordinates"] for ring in part)


def test_numbers_of_numpy_and_missing_values():
    values = {
        "float": np.float64(1.5),
        "int": np.int64(3),
        "flag": np.bool_(True),
        "nan": float("nan"),
        "np_nan": np.float32("nan"),
        "na": pd.NA,
        "nat": pd.NaT,
        "none": None,
        "list": [np.int64(1), pd.NA],
    }
    [feature] = json.loads(feature_collection([None], ["a"], [values]))["features"]
    assert feature["properties"] == {
        **{"float": 1.5, "int": 3, "flag": True, "nan": None, "np_nan": None, "na": None},
        **{"nat": None, "none": None, "list": [1, None]},
    }


@pytest.mark.parametrize("value", [float("inf"), np.float64("-inf"), [float("nan")]])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        feature_collection([None], ["a"], [{"value": value}])


def test_types_json_does_not_know_are_refused():
    with pytest.raises(TypeError, match="date"):
        feature_collection([None], ["a"], [{"day": datetime.date(2026, 1, 1)}])


def test_bad_coordinates_and_lengths_are_refused():
    with pytest.raises(ValueError, match="finite"):
        feature_collection([Point(np.nan, 39)], ["a"], [{}])
    with pytest.raises(ValueError, match="2 ids"):
        feature_collection([None], ["a", "b"], [{}])


def test_the_document_is_safe_inside_html():
    name = "</script><!--&\u2028\u2029\"'"
    body = feature_collection([None], [name], [{name: name}]).decode()
    assert not set("<>&\u2028\u2029") & set(body)
    [feature] = json.loads(body)["features"]
    assert feature["id"] == name
    assert feature["properties"] == {name: name}


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False))


@given(st.dictionaries(st.text(), plain.filter(lambda v: v not in (float("inf"), -float("inf")))))
def test_any_properties_come_back(values):
    [feature] = json.loads(feature_collection([None], ["a"], [values]))["features"]
    assert feature["properties"] == values

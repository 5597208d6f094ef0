import geocoordinates_ffi as reference
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geodata import crs
from geodata.crs import CoordinateSystem, in_china_box, to_wgs84
from geodata.distance import haversine_m
from geodata.errors import DudaoError

WEST, EAST, SOUTH, NORTH = 72.004, 137.8347, 0.8293, 55.8271

PAIRS = [
    (crs.wgs84_to_gcj02, crs.gcj02_to_wgs84),
    (crs.gcj02_to_bd09, crs.bd09_to_gcj02),
    (crs.wgs84_to_bd09, crs.bd09_to_wgs84),
]
in_china = st.tuples(st.floats(WEST, EAST), st.floats(SOUTH, NORTH))


@pytest.mark.parametrize(("there", "back"), PAIRS)
@given(point=in_china)
def test_round_trip_is_under_a_micrometre_anywhere_in_china(there, back, point):
    lon, lat = back(*there(*point))
    assert haversine_m(lon, lat, *point) < 1e-6


@pytest.mark.parametrize(("there", "back"), PAIRS)
def test_round_trip_on_a_dense_grid_and_on_the_very_edge(there, back):
    lon, lat = np.meshgrid(np.linspace(WEST, EAST, 500), np.linspace(SOUTH, NORTH, 500))
    again_lon, again_lat = back(*there(lon, lat))
    assert haversine_m(again_lon, again_lat, lon, lat).max() < 1e-6


@pytest.mark.parametrize(("there", "back"), PAIRS)
def test_whatever_has_a_preimage_is_mapped_to_one(there, back):
    """Around the box's edge, where the forward map jumps: there(back(q)) = q for every image q."""
    rng = np.random.default_rng(1)
    near_edge = np.concatenate([rng.uniform(-0.02, 0.02, 4000) + e for e in (WEST, EAST)])
    lon, lat = there(near_edge, rng.uniform(SOUTH - 0.02, NORTH + 0.02, near_edge.size))
    again = there(*back(lon, lat))
    assert np.abs(again[0] - lon).max() < 1e-11
    assert np.abs(again[1] - lat).max() < 1e-11


@pytest.mark.parametrize("function", [function for pair in PAIRS for function in pair])
@given(lon=st.floats(-180, 180), lat=st.floats(-90, 90))
def test_outside_china_nothing_moves(function, lon, lat):
    far = not (WEST - 0.03 <= lon <= EAST + 0.03 and SOUTH - 0.03 <= lat <= NORTH + 0.03)
    outside = not in_china_box(lon, lat)
    forward = function in [there for there, _ in PAIRS]
    if far or (forward and outside):
        assert function(lon, lat) == (lon, lat)


def test_vectors_scalars_and_numbers_missing():
    lon, lat = crs.wgs84_to_gcj02(116.7, [39.5, np.nan, 95.0])
    assert lon.shape == lat.shape == (3,)
    assert np.isnan(lat[1])
    assert (lon[2], lat[2]) == (116.7, 95.0)
    back_lon, back_lat = crs.gcj02_to_wgs84(lon, lat)
    assert np.isnan(back_lat[1])
    assert back_lon[0] == pytest.approx(116.7, abs=1e-11)
    assert crs.gcj02_to_wgs84(np.array([]), np.array([]))[0].size == 0


def in_reference(function, system, lon, lat):
    points = [function(system(lon=x, lat=y)) for x, y in zip(lon, lat, strict=True)]
    return np.array([p.lon for p in points]), np.array([p.lat for p in points])


@pytest.mark.parametrize(
    ("ours", "theirs", "system"),
    [
        (crs.wgs84_to_gcj02, reference.wgs84_to_gcj02, reference.Wgs84),
        (crs.gcj02_to_wgs84, reference.gcj02_to_wgs84_refined, reference.Gcj02),
        (crs.gcj02_to_bd09, reference.gcj02_to_bd09, reference.Gcj02),
        (crs.bd09_to_gcj02, reference.bd09_to_gcj02_refined, reference.Bd09),
        (crs.wgs84_to_bd09, reference.wgs84_to_bd09, reference.Wgs84),
        (crs.bd09_to_wgs84, reference.bd09_to_wgs84_refined, reference.Bd09),
    ],
)
def test_agrees_with_geocoordinates(ours, theirs, system):
    """Within 1e-9 degrees inside the box; its strip of one shift's width is left out, because the
    package leaves coordinates without a preimage unshifted and shifts BD-09 outside China too."""
    rng = np.random.default_rng(2)
    lon = rng.uniform(WEST + 0.03, EAST - 0.03, 3000)
    lat = rng.uniform(SOUTH + 0.03, NORTH - 0.03, 3000)
    ours_lon, ours_lat = ours(lon, lat)
    their_lon, their_lat = in_reference(theirs, system, lon, lat)
    assert np.abs(ours_lon - their_lon).max() < 1e-9
    assert np.abs(ours_lat - their_lat).max() < 1e-9


def test_the_box_is_the_reference_box():
    for lon in (WEST, EAST, 100.0):
        for lat in (SOUTH, NORTH, 30.0):
            for dx in (-1e-9, 0.0, 1e-9):
                point = lon + dx, lat + dx
                assert bool(in_china_box(*point)) is not reference.out_of_china(point[1], point[0])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("EPSG:4490", "EPSG:4490"),
        ("epsg:4490", "EPSG:4490"),
        ("4490", "EPSG:4490"),
        (4490, "EPSG:4490"),
        (" 4547 ", "EPSG:4547"),
        ("gcj02", "gcj02"),
        ("GCJ-02", "gcj02"),
        ("火星坐标系", "gcj02"),
        ("bd09", "bd09"),
        ("BD-09", "bd09"),
        ("百度", "bd09"),
        ("WGS84", "EPSG:4326"),
        ("CGCS2000", "EPSG:4490"),
        ("西安80", "EPSG:4610"),
        ("Beijing_54", "EPSG:4214"),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"),
        (pyproj.CRS(4547), "EPSG:4547"),
        (pyproj.CRS(4547).to_wkt(), "EPSG:4547"),
        (pyproj.CRS(4490).to_wkt("WKT1_ESRI"), "EPSG:4490"),
        ("EPSG:4480", "EPSG:4490"),
    ],
)
def test_parse(text, key):
    assert CoordinateSystem.parse(text).key == key


def test_a_shapefiles_prj_text_without_an_epsg_number_works_all_the_same():
    written = pyproj.CRS(4547).to_wkt("WKT1_ESRI")
    system = CoordinateSystem.parse(written)
    assert "CGCS2000" in system.name
    assert CoordinateSystem.parse(system.key) == system
    points = forward(4547, np.array([[114.2, 40.1]]))
    moved = to_wgs84(shapely.points(points), system)
    assert shapely.get_coordinates(moved)[0] == pytest.approx([114.2, 40.1], abs=1e-9)


def test_shift_parameters_written_into_a_file_are_used():
    system = CoordinateSystem.parse(
        "+proj=longlat +ellps=krass +towgs84=20,-150,-80,0,0,0,0 +no_defs"
    )
    assert system.warnings() == ()
    lon, lat = shapely.get_coordinates(to_wgs84([shapely.Point(116.7, 39.5)], system))[0]
    assert 20 < haversine_m(lon, lat, 116.7, 39.5) < 200


@pytest.mark.parametrize("text", ["", "EPSG:999999", "西安", "999999", "-1", "PROJCS[", "x" * 500])
def test_an_unknown_system_is_named(text):
    with pytest.raises(DudaoError) as caught:
        CoordinateSystem.parse(text)
    assert caught.value.code == "CRS_UNKNOWN"
    assert text[:50] in caught.value.message
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("text", ["EPSG:5737", "EPSG:4479"])
def test_heights_and_geocentric_axes_are_no_map_coordinates(text):
    with pytest.raises(DudaoError) as caught:
        CoordinateSystem.parse(text)
    assert caught.value.code == "CRS_NOT_HORIZONTAL"


@pytest.mark.parametrize("number", [4610, 2327, 2343, 2349, 2370, 2390])
def test_xian80_is_accepted_with_a_warning(number):
    system = CoordinateSystem.parse(number)
    for same in (system, CoordinateSystem.parse(pyproj.CRS(number).to_wkt("WKT1_ESRI"))):
        assert [warning.code for warning in same.warnings()] == ["CRS_XIAN80_NO_SHIFT"]
    assert "西安80" in system.warnings()[0].text


@pytest.mark.parametrize("number", [4214, 2401, 2437, 2442, 21420, 4555])
def test_beijing54_is_accepted_with_a_warning(number):
    warnings = CoordinateSystem.parse(number).warnings()
    assert [warning.code for warning in warnings] == ["CRS_BEIJING54_NO_SHIFT"]


@pytest.mark.parametrize("text", ["gcj02", "bd09", 4326, 4490, 4547, 3857])
def test_other_systems_have_no_warning(text):
    assert CoordinateSystem.parse(text).warnings() == ()


def forward(number, points):
    x, y = pyproj.Transformer.from_crs(4326, number, always_xy=True).transform(*points.T)
    return np.column_stack([x, y])


@pytest.mark.parametrize("number", [4326, 4490, 4547, 4548, 4527, 4526, 3857, 32650])
def test_any_epsg_becomes_wgs84_longitude_first(number):
    points = np.array([[116.7, 39.5], [117.1, 38.9], [114.2, 40.1]])
    given_points = shapely.points(forward(number, points))
    result = to_wgs84(given_points, CoordinateSystem.parse(number))
    assert np.abs(shapely.get_coordinates(result) - points).max() < 1e-9


def test_xian80_and_beijing54_keep_their_degrees_wherever_they_are():
    """No published shift holds everywhere, and mixing basins would tear neighbours apart."""
    points = np.array([[116.7, 39.5], [108.0, 38.0], [113.0, 22.0], [84.0, 41.0]])
    for number in (4610, 4214):
        result = to_wgs84(shapely.points(points), CoordinateSystem.parse(number))
        assert np.abs(shapely.get_coordinates(result) - points).max() < 1e-9
    projected = pyproj.Transformer.from_crs(4610, 2384, always_xy=True).transform(116.7, 39.5)
    result = to_wgs84([shapely.Point(projected)], CoordinateSystem.parse(2384))
    assert shapely.get_coordinates(result)[0] == pytest.approx([116.7, 39.5], abs=1e-9)


def test_obfuscated_polygons_come_back(langfang, shift):
    for text, disguise in (("gcj02", crs.wgs84_to_gcj02), ("bd09", crs.wgs84_to_bd09)):
        result = to_wgs84(shift(langfang, disguise), CoordinateSystem.parse(text))
        assert shapely.equals_exact(result, langfang, tolerance=1e-11).all()


def test_none_empty_heights_and_numbers_missing_pass(langfang):
    given_shapes = [None, shapely.Polygon(), shapely.Point(116, 39, 50), shapely.Point(np.nan, 39)]
    for text in ("gcj02", "4490", "EPSG:4214", "4326"):
        result = to_wgs84(given_shapes, CoordinateSystem.parse(text))
        assert result[0] is None
        assert result[1].is_empty
        assert not result[2].has_z
        assert np.isnan(shapely.get_coordinates(result[3])).any()
    assert len(to_wgs84([], CoordinateSystem.parse("gcj02"))) == 0


@pytest.mark.parametrize(
    ("number", "points"),
    [
        (4326, [[39.5, 116.7], [39.6, 116.8]]),
        (4326, [[501000.0, 4375000.0]]),
        (4490, [[39500000.0, 4375000.0]]),
    ],
)
def test_coordinates_of_another_system_are_refused(number, points):
    with pytest.raises(DudaoError) as caught:
        to_wgs84(shapely.points(points), CoordinateSystem.parse(number))
    assert caught.value.code == "CRS_DOES_NOT_FIT"
    assert str(len(points)) in caught.value.message


def test_one_stray_coordinate_does_not_condemn_the_file():
    result = to_wgs84(
        shapely.points([[116.7, 39.5], [116.8, 39.5], [39.5, 116.7]]), CoordinateSystem.parse(4326)
    )
    assert np.isnan(shapely.get_coordinates(result)).tolist() == [
        [False] * 2,
        [False] * 2,
        [True] * 2,
    ]

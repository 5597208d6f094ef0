"""Places: codes, levels, parents, periods, moves, shapes and coordinate systems."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from shapely.geometry import mapping

from geodata.crs import wgs84_to_gcj02
from geodata.tree import arrange
from loaders.model import Known, Prepared, Request
from loaders.places import FIRST_DAY
from loaders.prepare import prepare
from tests.loaders.world import (
    ANCI,
    CITY,
    DONGGUAN,
    GUANGYANG,
    LUOFA,
    NANJIANTA,
    SHAPES,
    XIGUAN,
    codes,
    rows_of,
)

Write = Callable[..., Path]
HEAD = "id,name,level,parent_id,valid_from,valid_to\n"


def load(text: str, write: Write, known: Known, **said: Any) -> Prepared:
    return prepare(write(text), Request(dataset="places", **said), known)


def stored(prepared: Prepared) -> Known:
    """What the store would hold after a load into an empty one."""
    return Known(places=arrange(prepared.frame).frame, institutions=Known.nothing().institutions)


def test_levels_and_parents_come_from_the_codes(write: Write, nothing: Known) -> None:
    text = "区划代码,名称\n1310,廊坊市\n131002,安次区\n131002101,落垡镇\n131002101201,东 关 村\n"
    prepared = load(text, write, nothing)
    assert codes(prepared) == {}
    frame = prepared.frame
    assert frame["id"].tolist() == [CITY, ANCI, LUOFA, DONGGUAN]
    assert frame["name"].tolist() == ["廊坊市", "安次区", "落垡镇", "东关村"]
    assert frame["level"].tolist() == [2, 3, 4, 5]
    assert frame["parent_id"].isna().tolist() == [True, False, False, False]
    assert frame["parent_id"].tolist()[1:] == [CITY, ANCI, LUOFA]
    assert (frame["valid_from"] == pd.Timestamp(FIRST_DAY)).all()
    assert frame["valid_to"].isna().all() and not frame["indicative"].any()
    assert prepared.geometries is None


def test_loading_the_same_file_twice_says_nothing_new(write: Write, nothing: Known) -> None:
    text = "代码,名称,上级代码\n1310,廊坊市,13\n131002,安次区,1310\n131003,广阳区,1310\n"
    first = load(text, write, nothing)
    assert codes(first) == {"ROOT_TAKEN": 1}
    again = load(text, write, stored(first))
    assert codes(again) == {"ROOT_TAKEN": 1}
    pd.testing.assert_frame_equal(first.frame, again.frame)


def test_other_ids_need_level_and_parent(write: Write, nothing: Known) -> None:
    text = HEAD + "north,North,county,,,\nn1,N 1,township,north,,\nn2,N 2,,north,,\n"
    prepared = load(text, write, nothing)
    assert rows_of(prepared, "LEVEL_MISSING") == [4]
    assert prepared.frame["id"].tolist() == ["north", "n1"]
    assert prepared.frame["name"].tolist() == ["North", "N 1"]


def test_bad_cells(write: Write, nothing: Known) -> None:
    text = HEAD + "\n".join(
        [
            f"{CITY},廊坊市,市,,,",
            f"{ANCI},安次区,区县,{CITY},2020-13-01,",
            f"{GUANGYANG},广阳区,大,{CITY},,",
            f"131022000000,,县,{CITY},,",
            f",无码区,县,{CITY},,",
            f"1.31E+11,丢位区,县,{CITY},,",
            f"131023000000,永清县,县,{CITY},2020-01-01,2020-01-01",
            f"131024000000,香河县,县,{CITY},2020-01-01,2019年5月",
            f"131025000000,大城县,县,{CITY},2020年,长期",
            f"a/b,斜杠区,县,{CITY},,",
        ]
    )
    prepared = load(text, write, nothing)
    found = {(issue.row, issue.code) for issue in prepared.report.issues}
    assert found == {
        (3, "BAD_DATE"),
        (4, "BAD_LEVEL"),
        (5, "MISSING_VALUE"),
        (6, "MISSING_VALUE"),
        (7, "CODE_LOST_DIGITS"),
        (8, "BAD_PERIOD"),
        (9, "BAD_PERIOD"),
        (11, "BAD_ID"),
    }
    assert prepared.frame["id"].tolist() == [CITY, "131025000000"]
    assert prepared.frame["valid_from"].iloc[1] == pd.Timestamp("2020-01-01")
    assert pd.isna(prepared.frame["valid_to"].iloc[1])


def test_the_tree_is_checked_with_what_is_stored(write: Write, known: Known) -> None:
    text = HEAD + "\n".join(
        [
            "x1,甲村,村,131009101000,,",
            f"x2,乙镇,乡镇,{DONGGUAN},,",
            "x3,丙镇,乡镇,x4,,",
            "x4,丁镇,乡镇,x3,,",
            f"x5,戊村,村,{LUOFA},,",
            "x6,己村,村,x2,,",
            "x7,庚村,村,,,",
        ]
    )
    prepared = load(text, write, known)
    found = {(issue.row, issue.code) for issue in prepared.report.issues}
    assert found >= {
        (2, "UNKNOWN_PARENT"),
        (3, "LEVEL_ORDER"),
        (4, "PARENT_CYCLE"),
        (5, "PARENT_CYCLE"),
        (7, "PARENT_REJECTED"),
    }
    (cycle, _) = [one for one in prepared.report.issues if one.code == "PARENT_CYCLE"]
    assert "x3 → x4 → x3" in cycle.message
    assert "x5" in prepared.frame["id"].tolist()
    assert not {"x1", "x2", "x3", "x4", "x6"} & set(prepared.frame["id"])


def test_a_second_root_needs_a_parent(write: Write, known: Known) -> None:
    prepared = load("代码,名称\n1311,衡水市\n", write, known)
    assert codes(prepared) == {"UNKNOWN_PARENT": 1}


def test_children_of_a_rejected_row_are_rejected(write: Write, nothing: Known) -> None:
    text = HEAD + f"{CITY},廊坊市,市,,,\n{ANCI},安次区,大,{CITY},,\n{LUOFA},落垡镇,,,,\n"
    text += f"{DONGGUAN},东关村,,,,\n"
    prepared = load(text, write, nothing)
    assert codes(prepared) == {"BAD_LEVEL": 1, "PARENT_REJECTED": 2}
    assert prepared.frame["id"].tolist() == [CITY]


def test_duplicates_and_conflicts(write: Write, nothing: Known) -> None:
    text = HEAD + "\n".join(
        [
            f"{CITY},廊坊市,市,,,",
            f"{ANCI},安次区,县,{CITY},,",
            f"131002,安次区,县,{CITY},,",
            f"{GUANGYANG},广阳区,县,{CITY},,",
            f"{GUANGYANG},广阳县,县,{CITY},,",
        ]
    )
    prepared = load(text, write, nothing)
    assert codes(prepared) == {"DUPLICATE_ROW": 1, "CONFLICTING_ROWS": 1}
    (conflict,) = [one for one in prepared.report.issues if one.code == "CONFLICTING_ROWS"]
    assert conflict.row == 6
    for words in ("第 5 行", "广阳县", "广阳区"):
        assert words in conflict.message
    assert prepared.frame["id"].tolist() == [CITY, ANCI]
    assert (prepared.report.rows_valid, prepared.report.rows_rejected) == (3, 2)


def test_a_move_needs_a_new_period(write: Write, known: Known) -> None:
    moved = load(HEAD + f"{DONGGUAN},东关村,村,{NANJIANTA},,\n", write, known)
    (issue,) = list(moved.report.issues)
    assert issue.code == "PLACE_MOVED"
    for words in ("落垡镇", LUOFA, "南尖塔镇", NANJIANTA, "生效日期", "失效日期"):
        assert words in issue.message
    open_end = load(HEAD + f"{DONGGUAN},东关村,村,{NANJIANTA},2026-07-01,\n", write, known)
    assert codes(open_end) == {"PERIODS_OVERLAP": 1}
    text = HEAD + (
        f"{DONGGUAN},东关村,村,{LUOFA},1900-01-01,2026-07-01\n"
        f"{DONGGUAN},东关村,村,{NANJIANTA},2026-07-01,\n"
    )
    right = load(text, write, known)
    assert codes(right) == {}
    assert right.frame["parent_id"].tolist() == [LUOFA, NANJIANTA]


def test_a_new_name_without_a_new_period_is_a_correction(write: Write, known: Known) -> None:
    prepared = load(HEAD + f"{DONGGUAN},东关新村,,,,\n", write, known)
    (issue,) = list(prepared.report.issues)
    assert issue.code == "PLACE_RENAMED" and "东关村" in issue.message
    assert prepared.frame["name"].tolist() == ["东关新村"]
    assert prepared.frame["parent_id"].tolist() == [LUOFA]


def test_a_stored_end_is_kept_when_the_file_says_nothing(write: Write, known: Known) -> None:
    prepared = load("代码,名称\n131002101203,老庄村\n", write, known)
    assert codes(prepared) == {}
    assert prepared.frame["valid_to"].tolist() == [pd.Timestamp("2026-01-01")]


def test_a_stored_child_is_not_turned_upside_down(write: Write, known: Known) -> None:
    prepared = load(HEAD + f"{LUOFA},落垡镇,村,{ANCI},,\n", write, known)
    assert set(codes(prepared)) == {"LEVEL_ORDER"}
    assert rows_of(prepared, "LEVEL_ORDER")[0] == 2


def test_points_from_columns(write: Write, known: Known) -> None:
    text = "id,name,经度,纬度\n" + "\n".join(
        [
            f"{DONGGUAN},东关村,116.2,39.5",
            f"{XIGUAN},西关村,39.5,116.2",
            f"{LUOFA},落垡镇,116°12′,39.5",
            f"{ANCI},安次区,116.2,",
            f"{GUANGYANG},广阳区,0,0",
            f"{CITY},廊坊市,,",
            f"{NANJIANTA},南尖塔镇,116.8,91",
        ]
    )
    prepared = load(text, write, known)
    found = {(issue.row, issue.code) for issue in prepared.report.issues}
    assert found == {
        (3, "COORDINATES_SWAPPED"),
        (4, "BAD_COORDINATE"),
        (5, "COORDINATE_INCOMPLETE"),
        (6, "COORDINATE_INCOMPLETE"),
        (8, "BAD_COORDINATE"),
    }
    assert prepared.frame["id"].tolist() == [DONGGUAN, ANCI, GUANGYANG, CITY]
    assert prepared.frame["lon"].isna().tolist() == [False, True, True, True]
    assert prepared.report.crs == "EPSG:4326"


def test_points_in_other_systems(write: Write, known: Known) -> None:
    lon, lat = wgs84_to_gcj02(np.array([116.2]), np.array([39.5]))
    text = f"id,name,lon,lat\n{DONGGUAN},东关村,{lon[0]:.9f},{lat[0]:.9f}\n"
    prepared = load(text, write, known, crs="gcj02")
    assert prepared.frame[["lon", "lat"]].to_numpy() == pytest.approx(
        np.array([[116.2, 39.5]]), abs=1e-7
    )
    plane = f"id,name,x,y\n{DONGGUAN},东关村,431233.1,4372851.5\n"
    projected = load(plane, write, known, crs="EPSG:4548")
    assert codes(projected) == {}
    assert 116 < projected.frame["lon"].iloc[0] < 117
    assert codes(load(plane, write, known)) == {"BAD_COORDINATE": 2}
    assert codes(load(plane, write, known, crs="mars")) == {"CRS_UNKNOWN": 1}
    xian = load(text, write, known, crs="EPSG:4610")
    assert codes(xian)["CRS_WARNING"] == 1 and len(xian.frame) == 1


def feature(code: str, shape: Any, name: str = "甲区") -> dict[str, Any]:
    geometry = None if shape is None else mapping(shape)
    return {"type": "Feature", "properties": {"adcode": code, "name": name}, "geometry": geometry}


def geojson(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_broken_polygons(tmp_path: Path, known: Known) -> None:
    slip = shapely.Polygon(
        [(116, 39), (116.4, 39), (116.4, 39.2), (116.0, 39.199), (116.001, 39.2)]
    )
    whole = mapping(shapely.box(116.5, 39.0, 117.0, 40.0))
    nan = feature(GUANGYANG, None, "广阳区")
    nan["geometry"] = json.loads(json.dumps(whole))
    for vertex in (0, 1, -1):
        nan["geometry"]["coordinates"][0][vertex][0] = float("nan")
    path = geojson(
        tmp_path / "x.geojson",
        feature(ANCI, slip, "安次区"),
        nan,
        feature(LUOFA, None, "落垡镇"),
        feature(NANJIANTA, shapely.LineString([(116, 39), (117, 40)]), "南尖塔镇"),
    )
    prepared = prepare(path, Request(), known)
    found = {(issue.row, issue.code) for issue in prepared.report.issues}
    assert found == {
        (1, "GEOMETRY_REPAIRED"),
        (2, "GEOMETRY_BAD"),
        (3, "GEOMETRY_EMPTY"),
        (4, "GEOMETRY_BAD"),
    }
    assert prepared.frame["id"].tolist() == [ANCI, LUOFA]
    assert prepared.geometries is not None and len(prepared.geometries) == 2
    assert shapely.is_valid(prepared.geometries[0])
    assert shapely.area(prepared.geometries[0]) == pytest.approx(0.08, rel=0.02)
    assert prepared.geometries[1] is None


def test_boundaries_without_names_take_the_stored_ones(tmp_path: Path, known: Known) -> None:
    one = feature(ANCI, SHAPES[ANCI])
    del one["properties"]["name"]
    prepared = prepare(geojson(tmp_path / "x.json", one), Request(), known)
    assert codes(prepared) == {}
    assert prepared.frame["name"].tolist() == ["安次区"]


def test_gcj02_boundaries_labelled_wgs84_are_suspected(tmp_path: Path, known: Known) -> None:
    def shifted(shape: Any) -> Any:
        return shapely.transform(
            shapely.segmentize(shape, 0.05),
            lambda xy: np.column_stack(wgs84_to_gcj02(xy[:, 0], xy[:, 1])),
        )

    path = geojson(
        tmp_path / "x.geojson",
        feature(ANCI, shifted(SHAPES[ANCI]), "安次区"),
        feature(GUANGYANG, shifted(SHAPES[GUANGYANG]), "广阳区"),
    )
    prepared = prepare(path, Request(), known)
    assert codes(prepared) == {"PROBABLY_SHIFTED": 1}
    (issue,) = list(prepared.report.issues)
    assert "--crs gcj02" in issue.message
    said = prepare(path, Request(crs="gcj02"), known)
    assert codes(said) == {}
    assert said.geometries is not None
    assert shapely.hausdorff_distance(said.geometries[0], SHAPES[ANCI]) < 1e-6


def test_point_layers_become_points(tmp_path: Path, known: Known) -> None:
    path = geojson(
        tmp_path / "x.geojson",
        feature(DONGGUAN, shapely.Point(116.2, 39.5), "东关村"),
        feature(XIGUAN, shapely.Point(116.9, 39.5), "西关村"),
    )
    prepared = prepare(path, Request(), known)
    assert prepared.geometries is None
    assert prepared.frame["lon"].tolist() == [116.2, 116.9]
    # The second lies 34 km outside 安次区, the lowest ancestor with a polygon.
    assert rows_of(prepared, "POINT_FAR_FROM_PARENT") == [2]


def test_projected_layers_and_wrong_labels(tmp_path: Path, known: Known) -> None:
    import geopandas as gpd

    frame = gpd.GeoDataFrame(
        {"code": [ANCI], "name": ["安次区"]}, geometry=[SHAPES[ANCI]], crs="EPSG:4326"
    )
    path = tmp_path / "x.gpkg"
    frame.to_crs("EPSG:4548").to_file(path, engine="pyogrio")
    prepared = prepare(path, Request(), known)
    assert codes(prepared) == {} and prepared.report.crs == "EPSG:4548"
    assert prepared.geometries is not None
    assert shapely.hausdorff_distance(prepared.geometries[0], SHAPES[ANCI]) < 1e-6
    wrong = prepare(path, Request(crs="4326"), known)
    assert codes(wrong) == {"COORDINATES_UNUSABLE": 1} and wrong.frame.empty
    frame.to_crs("EPSG:4548").set_crs(None, allow_override=True).to_file(
        tmp_path / "none.gpkg", engine="pyogrio"
    )
    unlabelled = prepare(tmp_path / "none.gpkg", Request(crs="EPSG:4548"), known)
    assert unlabelled.geometries is not None and codes(unlabelled) == {}
    assumed = prepare(tmp_path / "none.gpkg", Request(), known)
    assert codes(assumed) == {"CRS_MISSING": 1, "COORDINATES_UNUSABLE": 1}


def test_two_versions_of_one_place_do_not_cut_each_other(tmp_path: Path, known: Known) -> None:
    early = feature(ANCI, shapely.box(116.0, 39.0, 116.5, 40.0), "安次区")
    early["properties"] |= {"valid_from": "1900-01-01", "valid_to": "2020-01-01"}
    late = feature(ANCI, shapely.box(116.0, 39.0, 116.4, 40.0), "安次区")
    late["properties"] |= {"valid_from": "2020-01-01", "valid_to": ""}
    prepared = prepare(geojson(tmp_path / "x.geojson", early, late), Request(), known)
    assert codes(prepared) == {}
    assert shapely.area(prepared.geometries).tolist() == pytest.approx([0.5, 0.4], rel=1e-6)


def test_places_at_scale_keep_their_rows(write: Write, nothing: Known) -> None:
    rows = [HEAD, f"{CITY},廊坊市,市,,,\n", f"{ANCI},安次区,县,{CITY},,\n"]
    rows += [f"t{n},镇{n},乡镇,{ANCI},,\n" for n in range(100)]
    rows += [f"v{n},村{n},村,t{n % 100},,\n" for n in range(30_000)]
    rows += ["v9,村九,村,t9,,\n", "lost,村,村,t100,,\n"]
    prepared = load("".join(rows), write, nothing)
    assert codes(prepared) == {"CONFLICTING_ROWS": 1, "UNKNOWN_PARENT": 1}
    assert rows_of(prepared, "UNKNOWN_PARENT") == [30_105]
    assert len(prepared.frame) == 30_101

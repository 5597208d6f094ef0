"""Institutions: kinds, places, points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from geodata.crs import wgs84_to_gcj02
from loaders.model import Known, Request
from loaders.prepare import prepare
from tests.loaders.world import ANCI, DONGGUAN, GUANGYANG, XIGUAN, codes, rows_of

Write = Callable[..., Path]
HEAD = "机构代码,机构名称,机构类别,区划代码,经度,纬度\n"


def test_canonical_and_chinese(write: Write, known: Known) -> None:
    text = HEAD + (
        f"001,东关卫生室,村卫生室,{DONGGUAN},116.2,39.5\n"
        f"130001.0,落垡卫生院,township_centre,{DONGGUAN[:9]},,\n"
        f"Ａ３,区医院,县级医院,{ANCI[:6]},-,-\n"
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {}
    frame = prepared.frame
    assert list(frame.columns) == ["id", "name", "kind", "place_id", "lon", "lat"]
    # An institution's own number is never padded to a division code.
    assert frame["id"].tolist() == ["001", "130001", "A3"]
    assert frame["kind"].tolist() == ["village_clinic", "township_centre", "county_hospital"]
    assert frame["place_id"].tolist() == [DONGGUAN, "131002101000", ANCI]
    assert frame["lon"].isna().tolist() == [False, True, True]


def test_everything_wrong_at_once(write: Write, known: Known) -> None:
    text = HEAD + (
        f"1,甲,村卫生室,{DONGGUAN},116.2,39.5\n"
        f"1,甲,村卫生室,{DONGGUAN},116.2,39.5\n"
        f"2,乙,诊所?,{DONGGUAN},,\n"
        "3,丙,村卫生室,131999999999,,\n"
        f",丁,村卫生室,{DONGGUAN},,\n"
        f"5,,村卫生室,{DONGGUAN},,\n"
        f"6,己,,{DONGGUAN},,\n"
        f"7,庚,村卫生室,{DONGGUAN},东经116,39.5\n"
        f"8,辛,村卫生室,{DONGGUAN},39.5,116.2\n"
        f"9,壬,村卫生室,{DONGGUAN},116.2,\n"
        f"10,癸,村卫生室,{DONGGUAN},,\n"
        f"10,癸,乡镇卫生院,{DONGGUAN},,\n"
        f"1.3E+11,子,村卫生室,{DONGGUAN},,\n"
    )
    prepared = prepare(write(text), Request(), known)
    found = {(issue.row, issue.code) for issue in prepared.report.issues}
    assert found == {
        (3, "DUPLICATE_ROW"),
        (4, "UNKNOWN_KIND"),
        (5, "UNKNOWN_PLACE"),
        (6, "MISSING_VALUE"),
        (7, "MISSING_VALUE"),
        (8, "MISSING_VALUE"),
        (9, "BAD_COORDINATE"),
        (10, "COORDINATES_SWAPPED"),
        (11, "COORDINATE_INCOMPLETE"),
        (13, "CONFLICTING_ROWS"),
        (14, "CODE_LOST_DIGITS"),
    }
    assert prepared.frame["id"].tolist() == ["1", "9"]
    # Row 11 is taken without a point, row 3 is taken once as row 2.
    assert (prepared.report.rows_valid, prepared.report.rows_rejected) == (3, 10)


def test_a_point_far_from_its_place(write: Write, known: Known) -> None:
    text = HEAD + "".join(
        f"{lon},甲{lon},村卫生室,{DONGGUAN if lon < 116.5 else XIGUAN},{lon},39.5\n"
        for lon in (116.2, 117.2, 118.2)
    )
    prepared = prepare(write(text), Request(), known)
    # Some kilometres off may be right; a province away cannot be.
    assert codes(prepared) == {"POINT_FAR_FROM_PARENT": 1, "LOST_FROM_PARENT": 1}
    assert rows_of(prepared, "POINT_FAR_FROM_PARENT") == [3]
    assert rows_of(prepared, "LOST_FROM_PARENT") == [4]
    assert len(prepared.frame) == 2


def test_points_in_gcj02_are_suspected(write: Write, known: Known) -> None:
    rng = np.random.default_rng(3)
    # Clinics on both sides of the counties' common border: the shift pushes some across.
    lon, lat = 116.5 + rng.uniform(-0.006, 0.006, 300), rng.uniform(39.1, 39.9, 300)
    east, north = wgs84_to_gcj02(lon, lat)
    home = np.where(lon < 116.5, ANCI, GUANGYANG)
    rows = "".join(
        f"{n},甲{n},村卫生室,{place},{x:.7f},{y:.7f}\n"
        for n, (place, x, y) in enumerate(zip(home, east, north, strict=True))
    )
    prepared = prepare(write(HEAD + rows), Request(), known)
    assert codes(prepared) == {"PROBABLY_SHIFTED": 1}
    said = prepare(write(HEAD + rows), Request(crs="gcj02"), known)
    assert codes(said) == {}
    assert np.abs(said.frame["lon"].to_numpy() - lon).max() < 1e-6


def test_a_point_layer(tmp_path: Path, known: Known) -> None:
    frame = gpd.GeoDataFrame(
        {
            "机构代码": ["1", "2", "3"],
            "机构名称": ["甲", "乙", "丙"],
            "类别": ["村卫生室", "村卫生室", "村卫生室"],
            "所在村": [DONGGUAN, XIGUAN, GUANGYANG],
        },
        geometry=[shapely.Point(116.2, 39.5), None, shapely.box(116.6, 39.2, 116.7, 39.3)],
        crs="EPSG:4490",
    )
    path = tmp_path / "x.gpkg"
    frame.to_file(path, engine="pyogrio")
    prepared = prepare(path, Request(), known)
    assert prepared.dataset == "institutions"
    assert codes(prepared) == {"GEOMETRY_BAD": 1}
    assert prepared.frame["lon"].isna().tolist() == [False, True]

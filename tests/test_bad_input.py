"""Every bad input the first work names: a clear message, the right row, and nothing lost.

Runs the whole way of a clerk's file (readers, checks, store) on one small county.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from openpyxl import Workbook

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.intake.service import load_file
from dashboard.store import Store
from loaders import Request
from loaders.model import ImportReport

PLACES = """id,name,level,parent_id,valid_from,valid_to,lon,lat
C1,甲县,county,,2020-01-01,,116.5,39.0
T1,东镇,township,C1,2020-01-01,,116.4,39.0
T2,西镇,township,C1,2020-01-01,,116.6,39.0
V1,一村,village,T1,2020-01-01,,116.41,39.01
V2,二村,village,T1,2020-01-01,,116.42,39.02
"""
FIGURES = """place_id,month,registered_persons,contracted_persons
V1,2026-10,100,80
V2,2026-10,50,50
"""
PLACE_HEAD = "id,name,level,parent_id\n"
FIGURE_HEAD = "place_id,month,measure,value\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("bad")
    opened = Store.open(folder / "data")
    for name, text in (("places.csv", PLACES), ("figures.csv", FIGURES)):
        path = folder / name
        path.write_text(text, encoding="utf-8")
        report = load_file(opened, SYSTEM, path, Request(), registry.pairs())
        assert report.committed, [issue.message for issue in report.issues]
    yield opened
    opened.close()


def state(store: Store) -> dict[str, Any]:
    with store.unit(SYSTEM) as unit:
        return unit.status()


def _text(content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "file.csv"
        path.write_text(content, encoding="utf-8")
        return path

    return write


def _bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write


def _zip_without_shp(folder: Path) -> Path:
    path = folder / "borders.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no shapes here")
    return path


def _workbook_named_csv(folder: Path) -> Path:
    book = Workbook()
    book.active.append(["place_id", "month"])
    path = folder / "figures.csv"
    book.save(path)
    return path


def _geojson(*rings: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        features = [
            {
                "type": "Feature",
                "properties": {"id": f"T{n}", "name": f"{n}镇", "level": "township",
                               "parent_id": "C1", "valid_from": "2020-01-01"},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
            for n, ring in enumerate(rings, start=1)
        ]  # fmt: skip
        path = folder / "borders.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    return write


NAN_RING = [[116, 39], [float("nan"), 39], [116.1, 39.1], [116, 39]]

CASES: dict[str, tuple[Callable[[Path], Path], str, int | None]] = {
    "empty file": (_bytes("figures.csv", b""), "FILE_EMPTY", None),
    "blank file": (_bytes("figures.csv", b"  \n\n"), "FILE_EMPTY", None),
    "wrong extension": (_workbook_named_csv, "WRONG_FORMAT", None),
    "a picture named xlsx": (_bytes("f.xlsx", b"\x89PNG\r\n\x1a\n" * 9), "WRONG_FORMAT", None),
    "unheard-of extension": (_bytes("f.doc", b"text"), "FORMAT_UNKNOWN", None),
    "zip with no .shp": (_zip_without_shp, "ZIP_WITHOUT_SHP", None),
    "polygon with NaN": (_geojson(NAN_RING), "GEOMETRY_BAD", None),
    "duplicate ids": (
        _text(PLACE_HEAD + "T9,九镇,township,C1\nT9,另一镇,township,C1\n"), "CONFLICTING_ROWS", 3,
    ),
    "unknown parent": (_text(PLACE_HEAD + "V9,九村,village,T9\n"), "UNKNOWN_PARENT", 2),
    "cycle in parents": (
        _text(PLACE_HEAD + "A,一镇,township,B\nB,二镇,township,A\n"), "PARENT_CYCLE", 2,
    ),
    "a place moved under another parent": (
        _text(PLACE_HEAD + "V1,一村,village,T2\n"), "PLACE_MOVED", 2,
    ),
    "month 2018-13": (_text(FIGURE_HEAD + "V1,2018-13,registered_persons,1\n"), "BAD_MONTH", 2),
    "numerator above its whole in one file": (
        _text("place_id,month,registered_persons,contracted_persons\nV1,2026-10,10,11\n"),
        "PART_EXCEEDS_WHOLE", 2,
    ),
    "numerator above its stored whole": (
        _text(FIGURE_HEAD + "V1,2026-10,contracted_persons,101\n"), "PART_EXCEEDS_WHOLE", 2,
    ),
    "whole below its stored numerator": (
        _text(FIGURE_HEAD + "V1,2026-10,registered_persons,79\n"), "PART_EXCEEDS_WHOLE", 2,
    ),
    "negative count": (
        _text(FIGURE_HEAD + "V1,2026-10,registered_persons,-1\n"), "NEGATIVE_COUNT", 2,
    ),
    "percent where a count belongs": (
        _text(FIGURE_HEAD + "V1,2026-10,contracted_persons,85％\n"), "PERCENT_FOR_COUNT", 2,
    ),
    "half a person": (_text(FIGURE_HEAD + "V1,2026-10,contracted_persons,1.5\n"), "NOT_INTEGER", 2),
    "a word for a number": (
        _text(FIGURE_HEAD + "V1,2026-10,contracted_persons,很多\n"), "BAD_NUMBER", 2,
    ),
    "unknown place": (_text(FIGURE_HEAD + "V9,2026-10,contracted_persons,1\n"), "UNKNOWN_PLACE", 2),
    "two figures for one key": (
        _text(FIGURE_HEAD + "V1,2026-10,open_findings,1\nV1,2026-10,open_findings,2\n"),
        "CONFLICTING_ROWS", 3,
    ),
    "undecodable text": (_bytes("f.csv", b"place_id,month\n\xff\xfe\xfd\x81\x20\x80"), "", None),
    "unknown coordinate system": (_geojson([[0, 0], [1, 0], [1, 1], [0, 0]]), "CRS_UNKNOWN", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refused_with_its_code_and_nothing_lost(store: Store, tmp_path: Path, case: str) -> None:
    make, code, row = CASES[case]
    request = Request(crs="nonsense") if code == "CRS_UNKNOWN" else Request()
    before = state(store)
    report = load_file(store, SYSTEM, make(tmp_path), request, registry.pairs())
    assert report.has_errors and not report.committed
    assert state(store) == before
    found = [issue for issue in report.issues if not code or issue.code == code]
    assert found, [(issue.code, issue.row, issue.message) for issue in report.issues]
    if row is not None:
        assert row in {issue.row for issue in found}
    for issue in report.issues:
        assert issue.message and issue.message_en


def test_a_self_intersecting_polygon_is_repaired_and_said_so(store: Store, tmp_path: Path) -> None:
    # A slip at one corner; what crosses itself through the middle is refused (attack 18).
    slip = [[116.3, 38.9], [116.5, 38.9], [116.5, 39.1], [116.3, 39.099], [116.301, 39.1],
            [116.3, 38.9]]  # fmt: skip
    path = _geojson(slip)(tmp_path)
    report = load_file(store, SYSTEM, path, Request(), registry.pairs(), dry_run=True)
    assert "GEOMETRY_REPAIRED" in report.issues.counts()


def test_an_implausible_total_is_flagged_and_taken(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    places, figures = tmp_path / "places.csv", tmp_path / "figures.csv"
    places.write_text(PLACES, encoding="utf-8")
    figures.write_text(
        "place_id,month,registered_persons,registered_households\nT1,2026-10,200,40\n"
        "V1,2026-10,100,120\nV2,2026-10,50,10\n",
        encoding="utf-8",
    )
    load_file(store, SYSTEM, places, Request(), registry.pairs())
    report = load_file(store, SYSTEM, figures, Request(), registry.pairs())
    assert report.committed and not report.has_errors
    counts = report.issues.counts()
    assert counts["IMPLAUSIBLE_TOTAL"] == 1
    assert counts["TOTAL_DIFFERS"] == 2
    store.close()


def test_a_hundred_thousand_identical_errors_are_summarised(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    rows = "".join(f"X{n},2026-10,open_findings,1\n" for n in range(100_000))
    path.write_text(FIGURE_HEAD + rows, encoding="utf-8")
    report = load_file(store, SYSTEM, path, Request(), registry.pairs())
    shown = report.as_dict()
    assert [s for s in shown["summary"] if s["code"] == "UNKNOWN_PLACE"] == [
        {"code": "UNKNOWN_PLACE", "count": 100_000, "shown": 100}
    ]
    assert len(json.dumps(shown)) < 200_000
    full = tmp_path / "issues.csv"
    assert report.write_issues_csv(full) >= 100_000
    with full.open(encoding="utf-8-sig", newline="") as stream:
        assert sum(1 for row in csv.reader(stream) if row[0] == "UNKNOWN_PLACE") == 100_000


def test_every_problem_of_a_file_is_reported_at_once(store: Store, tmp_path: Path) -> None:
    path = _text(
        FIGURE_HEAD + "V9,2026-10,open_findings,1\nV1,2018-13,open_findings,1\n"
        "V1,2026-10,open_findings,-2\nV1,2026-10,open_findings,85%\nV1,2026-10,no_such_measure,1\n"
    )(tmp_path)
    report: ImportReport = load_file(store, SYSTEM, path, Request(), registry.pairs())
    assert {(issue.code, issue.row) for issue in report.issues} >= {
        ("UNKNOWN_PLACE", 2),
        ("BAD_MONTH", 3),
        ("NEGATIVE_COUNT", 4),
        ("PERCENT_FOR_COUNT", 5),
        ("UNKNOWN_MEASURE", 6),
    }


def test_a_shapefile_of_overlapping_neighbours_tiles_after_loading(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    left = shapely.box(116.0, 39.0, 116.2002, 39.2)
    right = shapely.Polygon([(116.2, 39.0), (116.4, 39.0), (116.4, 39.2), (116.2, 39.2)])
    frame = gpd.GeoDataFrame(
        {"id": ["T1", "T2"], "name": ["东镇", "西镇"], "level": "township", "parent_id": "C1",
         "start": "2020-01-01"},
        geometry=[left, right], crs="EPSG:4490",
    )  # fmt: skip
    folder = tmp_path / "shp"
    folder.mkdir()
    frame.to_file(folder / "towns.shp", encoding="GB18030")
    archive = tmp_path / "towns.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for part in folder.iterdir():
            packed.write(part, part.name)
    places = tmp_path / "places.csv"
    places.write_text(PLACES, encoding="utf-8")
    load_file(store, SYSTEM, places, Request(), registry.pairs())
    report = load_file(store, SYSTEM, archive, Request(), registry.pairs())
    assert report.committed, [issue.message for issue in report.issues]
    with store.unit(SYSTEM) as unit:
        root = unit.root()
        shapes = unit.shapes(["T1", "T2"], root.valid_from)
    first, second = (shapely.from_wkb(shapes[name].wkb) for name in ("T1", "T2"))
    assert first.intersection(second).area == 0
    assert first.touches(second)
    store.close()

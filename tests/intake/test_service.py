"""Files to committed facts, through the loaders and the store."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from dashboard.access import SYSTEM, Actor, Grant, Role
from dashboard.intake.service import load_file, load_files
from dashboard.store import Store, integrity
from dashboard.store.model import Pair
from loaders.model import ImportReport, Request

PAIRS = (Pair("contracted_persons", "registered_persons"),)
CITY, COUNTY = "131000000000", "131025000000"
TOWNSHIP = "131025100000"
VILLAGES = tuple(f"131025100{number}" for number in (201, 202, 203))
ASK = Request()
TODAY = date(2026, 11, 21)


def write_places(path: Path) -> Path:
    """Write a city, a county, a township and three villages with their outlines."""
    rows = [
        (CITY, "廊坊市", "city", "", shapely.box(116.0, 38.5, 116.4, 38.9)),
        (COUNTY, "大城县", "county", CITY, shapely.box(116.0, 38.5, 116.3, 38.7)),
        (TOWNSHIP, "平舒镇", "township", COUNTY, shapely.box(116.0, 38.5, 116.3, 38.6)),
    ]
    rows += [
        (village, name, "village", TOWNSHIP,
         shapely.box(116.0 + number / 10, 38.5, 116.1 + number / 10, 38.6))
        for number, (village, name) in enumerate(
            zip(VILLAGES, ("东关村", "西关村", "南关村"), strict=True)
        )
    ]  # fmt: skip
    frame = gpd.GeoDataFrame(
        rows, columns=["id", "name", "level", "parent_id", "geometry"], crs=4326
    )
    frame.to_file(path)
    return path


@pytest.fixture
def places_file(tmp_path: Path) -> Path:
    return write_places(tmp_path / "区划.gpkg")


@pytest.fixture
def institutions_file(tmp_path: Path) -> Path:
    path = tmp_path / "机构.csv"
    path.write_text(
        "机构代码,机构名称,机构类别,村代码,经度,纬度\n"
        f"J1,东关村卫生室,村卫生室,{VILLAGES[0]},116.05,38.55\n"
        f"J2,西关村卫生室,村卫生室,{VILLAGES[1]},,\n",
        encoding="utf-8",
    )
    return path


def figures_file(path: Path, *rows: tuple[str, str, float, float]) -> Path:
    frame = pd.DataFrame(
        rows, columns=["place_id", "month", "contracted_persons", "registered_persons"]
    )
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def october(tmp_path: Path) -> Path:
    rows = [(village, "2026-10", 80 + n, 100 + n) for n, village in enumerate(VILLAGES)]
    return figures_file(tmp_path / "十月.csv", *rows)


def whole(store: Store, place_id: str = CITY, month: str = "2026-10") -> tuple[float, float]:
    with store.unit(SYSTEM) as unit:
        rows = unit.value_of(unit.snapshot(month), unit.place(place_id, TODAY))
    return rows["numerator"].iloc[0], rows["denominator"].iloc[0]


def codes(report: ImportReport) -> set[str]:
    return {issue.code for issue in report.issues}


def test_files_in_any_order_become_a_map(
    store: Store, places_file: Path, institutions_file: Path, october: Path
) -> None:
    lines: list[str] = []
    paths = [october, institutions_file, places_file]
    reports = load_files(store, SYSTEM, paths, ASK, PAIRS, progress=lines.append)
    assert [report.file for report in reports] == [path.name for path in paths]
    assert [report.dataset for report in reports] == ["figures", "institutions", "places"]
    assert not any(report.has_errors for report in reports), [codes(r) for r in reports]
    assert [report.committed for report in reports] == [True] * 3
    assert [report.batch for report in reports] == ["3", "2", "1"]
    assert [report.rows_changed for report in reports] == [6, 2, 6]
    assert whole(store) == (243.0, 303.0)
    with store.unit(SYSTEM) as unit:
        assert len(unit.shapes(VILLAGES, TODAY)) == 3
        assert len(unit.institutions(unit.root())) == 2
        assert {batch.operator for batch in unit.batches(5)} == {SYSTEM.name}
        assert [batch.summary["rejected"] for batch in unit.batches(5)] == [0, 0, 0]
        assert all(len(batch.sha256) == 64 for batch in unit.batches(5))
    assert "正在发布" in lines


def test_the_same_files_again_change_nothing(
    store: Store, places_file: Path, institutions_file: Path, october: Path
) -> None:
    paths = [places_file, institutions_file, october]
    load_files(store, SYSTEM, paths, ASK, PAIRS)
    with store.unit(SYSTEM) as unit:
        before = unit.status()
    again = load_files(store, SYSTEM, paths, ASK, PAIRS)
    assert [(report.committed, report.batch, report.rows_changed) for report in again] == [
        (False, None, 0)
    ] * 3
    assert [report.rows_unchanged for report in again] == [6, 2, 6]
    assert not any(report.has_errors for report in again)
    with store.unit(SYSTEM) as unit:
        assert unit.status() == before


def test_a_load_works_out_what_is_left_out_of_its_months(
    store: Store, places_file: Path, october: Path
) -> None:
    load_files(store, SYSTEM, [places_file, october], ASK, PAIRS)
    with store.unit(SYSTEM) as unit:
        published = [unit.snapshot(month) for month in unit.months()]
    assert published
    assert all(store.snapshots.beside(snapshot) is not None for snapshot in published)
    assert not integrity.check(store, SYSTEM).problems


def test_a_dry_run_writes_nothing(store: Store, places_file: Path, october: Path) -> None:
    report = load_file(store, SYSTEM, places_file, ASK, PAIRS, dry_run=True)
    assert (report.committed, report.rows_valid) == (False, 6)
    with store.unit(SYSTEM) as unit:
        assert unit.is_empty()
    load_file(store, SYSTEM, places_file, ASK, PAIRS)
    load_file(store, SYSTEM, october, ASK, PAIRS, dry_run=True)
    with store.unit(SYSTEM) as unit:
        assert unit.months() == []


def test_a_file_with_an_error_changes_nothing_unless_valid_rows_are_accepted(
    store: Store, places_file: Path, tmp_path: Path
) -> None:
    load_file(store, SYSTEM, places_file, ASK, PAIRS)
    bad = figures_file(
        tmp_path / "bad.csv", (VILLAGES[0], "2026-10", 80, 100), (VILLAGES[1], "2026-10", -5, 100)
    )
    report = load_file(store, SYSTEM, bad, ASK, PAIRS)
    assert report.has_errors
    assert (report.committed, report.batch) == (False, None)
    with store.unit(SYSTEM) as unit:
        assert unit.months() == []
    report = load_file(store, SYSTEM, bad, ASK, PAIRS, accept_valid_rows=True)
    assert report.has_errors and report.committed
    assert whole(store, VILLAGES[0]) == (80.0, 100.0)


def test_a_bad_file_does_not_hold_the_others_back(
    store: Store, places_file: Path, october: Path, tmp_path: Path
) -> None:
    bad = figures_file(tmp_path / "bad.csv", (VILLAGES[1], "2018-13", 5, 100))
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    reports = load_files(
        store, SYSTEM, [bad, empty, tmp_path / "absent.csv", places_file, october], ASK, PAIRS
    )
    assert [report.committed for report in reports] == [False, False, False, True, True]
    assert all(report.has_errors for report in reports[:3])


def test_numerators_are_checked_against_denominators_of_a_file_beside(
    store: Store, places_file: Path, tmp_path: Path
) -> None:
    persons = tmp_path / "人口.csv"
    persons.write_text(
        f"place_id,month,registered_persons\n{VILLAGES[0]},2026-10,100\n", encoding="utf-8"
    )
    signed = tmp_path / "签约.csv"
    signed.write_text(
        f"place_id,month,contracted_persons\n{VILLAGES[0]},2026-10,120\n", encoding="utf-8"
    )
    reports = load_files(store, SYSTEM, [places_file, persons, signed], ASK, PAIRS)
    assert [report.committed for report in reports] == [True, True, False]
    assert reports[2].has_errors


def test_a_geojson_of_new_outlines_keeps_names_and_parents(
    store: Store, places_file: Path, tmp_path: Path
) -> None:
    load_file(store, SYSTEM, places_file, ASK, PAIRS)
    path = tmp_path / "new.geojson"
    outline = shapely.box(116.0, 38.5, 116.1, 38.59)
    feature = {
        "type": "Feature",
        "properties": {"id": VILLAGES[0], "name": "东关村", "level": "village"},
        "geometry": shapely.geometry.mapping(outline),
    }
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature]}), encoding="utf-8"
    )
    report = load_file(store, SYSTEM, path, Request(dataset="places"), PAIRS)
    assert report.committed, codes(report)
    assert report.rows_changed == 1
    with store.unit(SYSTEM) as unit:
        assert unit.place(VILLAGES[0], TODAY).parent_id == TOWNSHIP
        drawn = shapely.from_wkb(unit.shapes([VILLAGES[0]], TODAY)[VILLAGES[0]].wkb)
    assert drawn.area == pytest.approx(0.1 * 0.09, rel=1e-3)


def test_a_townships_clerk_sets_no_target_of_the_county(
    store: Store, places_file: Path, tmp_path: Path
) -> None:
    load_file(store, SYSTEM, places_file, ASK, PAIRS)
    path = f"{CITY}/{COUNTY}/{TOWNSHIP}/"
    clerk = Actor("account:clerk", "乡镇数据员", grants=(Grant(Role.CLERK, TOWNSHIP, (path,)),))
    file = tmp_path / "目标.csv"
    rows = [("家庭医生签约率", place, 2026, "90%") for place in (COUNTY, TOWNSHIP)]
    frame = pd.DataFrame(rows, columns=["指标", "区划代码", "年度", "目标值"])
    frame.to_csv(file, index=False)
    refused = load_file(store, clerk, file, ASK, PAIRS)
    assert refused.dataset == "targets" and not refused.committed
    assert [(issue.code, issue.row) for issue in refused.issues] == [("UNKNOWN_PLACE", 2)]
    frame.iloc[1:].to_csv(file, index=False)
    assert load_file(store, clerk, file, ASK, PAIRS).committed
    assert integrity.check(store, SYSTEM).ok

"""The command line as other people's scripts call it: forms, exit codes, JSON keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app

ROOT = Path(__file__).parents[1]

PLACES = """id,name,level,parent_id,valid_from,valid_to,lon,lat
C1,甲县,county,,2020-01-01,,116.5,39.0
T1,东镇,township,C1,2020-01-01,,116.4,39.0
T2,西镇,township,C1,2020-01-01,,116.6,39.0
V1,一村,village,T1,2020-01-01,,116.41,39.01
V2,二村,village,T1,2020-01-01,,116.42,39.02
V3,三村,village,T1,2020-01-01,,116.43,39.03
V4,四村,village,T2,2020-01-01,,116.61,39.01
V5,五村,village,T2,2020-01-01,,116.62,39.02
"""

# V3 reported no contracts, V5 has nobody registered; T2 reports a figure of its own that differs.
FIGURES = """place_id,month,measure,value,source
V1,2026-09,registered_persons,100,reported
V1,2026-09,contracted_persons,70,reported
V2,2026-09,registered_persons,50,reported
V2,2026-09,contracted_persons,45,reported
V1,2026-10,registered_persons,100,reported
V1,2026-10,contracted_persons,80,reported
V2,2026-10,registered_persons,50,reported
V2,2026-10,contracted_persons,50,reported
V3,2026-10,registered_persons,40,reported
V4,2026-10,registered_persons,200,reported
V4,2026-10,contracted_persons,120,reported
V5,2026-10,registered_persons,0,reported
V5,2026-10,contracted_persons,0,reported
T2,2026-10,registered_persons,210,reported
T2,2026-10,contracted_persons,120,reported
"""

runner = CliRunner()


def run(data: Path, *arguments: str) -> tuple[int, str]:
    result = runner.invoke(app, ["--data", str(data), *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def run_json(data: Path, *arguments: str) -> Any:
    code, out = run(data, *arguments, "--json")
    assert code == 0, out
    return json.loads(out)


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("county")
    (folder / "places.csv").write_text(PLACES, encoding="utf-8")
    (folder / "figures.csv").write_text(FIGURES, encoding="utf-8")
    data = folder / "data"
    code, out = run(data, "load", str(folder / "places.csv"), str(folder / "figures.csv"))
    assert code == 0, out
    return data


def children(data: Path, place: str, month: str = "2026-10") -> list[dict[str, Any]]:
    document = run_json(
        data, "coverage", "--layer", "contract_coverage", "--place", place, "--month", month
    )
    assert set(document) == {"layer", "place", "month", "version", "children"}
    assert (document["layer"], document["place"], document["month"]) == (
        "contract_coverage",
        place,
        month,
    )
    assert isinstance(document["version"], int)
    return list(document["children"])


def test_coverage_of_villages_tells_no_data_from_zero_and_not_applicable(county: Path) -> None:
    assert children(county, "T1") == [
        {"id": "V1", "name": "一村", "numerator": 80, "denominator": 100, "value": 80.0,
         "status": "ok", "class": 2, "rank": 2, "target": 100.0, "pace": 100.0, "standing": "late"},
        {"id": "V2", "name": "二村", "numerator": 50, "denominator": 50, "value": 100.0,
         "status": "ok", "class": 4, "rank": 1, "target": 100.0, "pace": 100.0,
         "standing": "ahead"},
        {"id": "V3", "name": "三村", "numerator": None, "denominator": None, "value": None,
         "status": "no_data", "class": None, "rank": None, "target": 100.0, "pace": 100.0,
         "standing": None},
    ]  # fmt: skip
    assert children(county, "T2") == [
        {"id": "V4", "name": "四村", "numerator": 120, "denominator": 200, "value": 60.0,
         "status": "ok", "class": 0, "rank": 1, "target": 100.0, "pace": 100.0, "standing": "late"},
        {"id": "V5", "name": "五村", "numerator": 0, "denominator": 0, "value": None,
         "status": "not_applicable", "class": None, "rank": None, "target": 100.0, "pace": 100.0,
         "standing": None},
    ]  # fmt: skip


def test_coverage_compared_with_another_month(county: Path) -> None:
    wanted = (
        "coverage", "--layer", "contract_coverage", "--place", "T1", "--month", "2026-10",
        "--compare", "2026-09",
    )  # fmt: skip
    found = run_json(county, *wanted)
    assert found["compare"]["month"] == "2026-09"
    one, two, three = found["children"]
    assert (one["before"], one["change"]) == (70.0, pytest.approx(10.0))
    assert (two["before"], two["change"]) == (90.0, pytest.approx(10.0))
    assert three["before"] is None and three["change"] is None
    code, out = run(county, *wanted)
    assert code == 0 and "+10.0个百分点" in out


def test_coverage_of_a_month_before_it_was_corrected(county: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(county, data)
    corrected = tmp_path / "corrected.csv"
    corrected.write_text(
        "place_id,month,measure,value\nV4,2026-10,contracted_persons,140\n", "utf-8"
    )
    assert run(data, "load", str(corrected))[0] == 0
    wanted = ("coverage", "--layer", "contract_coverage", "--place", "T2", "--month", "2026-10")
    now = run_json(data, *wanted)
    then = run_json(data, *wanted, "--version", str(now["version"] - 1))
    assert then["version"] == now["version"] - 1
    assert (now["children"][0]["value"], then["children"][0]["value"]) == (70.0, 60.0)
    code, out = run(data, *wanted, "--version", "99", "--json")
    assert code == 2 and json.loads(out)["error"]["code"] == "VERSION_NOT_FOUND"


def test_quality_gives_code_place_measures_values_and_reason(county: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(county, data)
    doubtful = tmp_path / "doubtful.csv"
    rows = (
        "C1,2026-10,mental_visited,5", "C1,2026-10,mental_diagnosed,9",
        "V1,2026-10,outpatient_persons,300", "V1,2026-10,mental_visited,1",
        "V1,2026-10,mental_diagnosed,2",
    )  # fmt: skip
    doubtful.write_text("\n".join(("place_id,month,measure,value", *rows, "")), "utf-8")
    assert run(data, "load", str(doubtful))[0] == 0
    found = run_json(data, "quality", "--place", "C1", "--month", "2026-10")
    assert set(found) == {"place", "month", "version", "flags"}
    by_place = {(flag["place"], flag["code"]): flag for flag in found["flags"]}
    above = by_place["V1", "ABOVE_POPULATION"]
    assert above["measures"] == ["outpatient_persons", "registered_persons"]
    assert above["values"] == [300, 100] and above["reason"] == "300 超过 100。"
    # What is counted of the mentally ill stays above villages, doubts included.
    assert ("V1", "MIXED_SCOPES") not in by_place
    code, out = run(data, "quality", "--place", "C1", "--month", "2026-10")
    assert code == 0 and "人数超过建档立卡人口" in out


def test_load_undo_takes_a_batch_back(county: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(county, data)
    more = tmp_path / "more.csv"
    more.write_text("place_id,month,measure,value\nV3,2026-10,contracted_persons,7\n", "utf-8")
    before = children(data, "T1")
    assert run(data, "load", str(more))[0] == 0
    assert children(data, "T1") != before
    batch = max(entry["id"] for entry in run_json(data, "status")["batches"])
    assert run_json(data, "load", "--undo", str(batch))["batch"] == batch
    assert children(data, "T1") == before
    assert run(data, "load")[0] == 2
    assert run(data, "load", str(more), "--undo", str(batch))[0] == 2


def test_rank_lists_a_level_best_first(county: Path) -> None:
    wanted = (
        "rank", "--layer", "contract_coverage", "--place", "C1", "--level", "village",
        "--month", "2026-10",
    )  # fmt: skip
    found = run_json(county, *wanted)
    assert (found["level"], found["by"], found["minimum"]) == ("village", "value", 30)
    assert [(one["id"], one["rank"]) for one in found["places"]][:3] == [
        ("V2", 1), ("V1", 2), ("V4", 3),
    ]  # fmt: skip
    assert {one["status"] for one in found["places"]} == {"ok", "no_data", "not_applicable"}
    by_interval = run_json(county, *wanted, "--wilson")
    low = [one["low"] for one in by_interval["places"] if one["rank"]]
    assert by_interval["by"] == "wilson" and low == sorted(low, reverse=True)
    assert run(county, *wanted[:6], "star", *wanted[7:])[0] == 2


def test_a_township_is_the_sum_of_the_villages_that_reported(county: Path) -> None:
    west, east = children(county, "C1")
    assert (west["id"], west["numerator"], west["denominator"], west["value"]) == (
        "T2", 120, 200, 60.0,
    )  # fmt: skip
    assert (east["id"], east["numerator"], east["denominator"]) == ("T1", 130, 150)
    assert east["value"] == pytest.approx(130 / 150 * 100)
    assert (west["rank"], east["rank"]) == (2, 1)


def test_loading_the_same_files_again_changes_nothing(county: Path, tmp_path: Path) -> None:
    for name, text in (("places.csv", PLACES), ("figures.csv", FIGURES)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    before = run_json(county, "status")
    document = run_json(county, "load", str(tmp_path / "places.csv"), str(tmp_path / "figures.csv"))
    assert document["ok"] is True
    assert [entry["rows_changed"] for entry in document["files"]] == [0, 0]
    assert [entry["committed"] for entry in document["files"]] == [False, False]
    assert run_json(county, "status") == before


def test_places_by_parent_and_by_search(county: Path) -> None:
    found = run_json(county, "places", "--parent", "T1")["places"]
    assert [place["id"] for place in found] == ["V1", "V2", "V3"]
    assert found[0]["level"] == "village"
    assert found[0]["parent_id"] == "T1"
    assert found[0]["path"] == "C1/T1/V1/"
    assert [p["id"] for p in run_json(county, "places", "--search", "四村")["places"]] == ["V4"]
    assert [p["id"] for p in run_json(county, "places", "--search", "jx")["places"]] == ["C1"]
    assert len(run_json(county, "places")["places"]) == 8


def test_layers_lists_the_registry(county: Path) -> None:
    layers = run_json(county, "layers")["layers"]
    assert layers[0]["id"] == "contract_coverage"
    assert layers[0]["breaks"] == [70, 80, 90, 95]
    assert layers[0]["target"] == 100


def test_a_rejected_file_exits_2_and_changes_nothing(county: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(
        "place_id,month,measure,value\nV1,2026-10,contracted_persons,90\n"
        "V9,2026-10,contracted_persons,1\nV1,2018-13,contracted_persons,1\n"
        "V2,2026-10,contracted_persons,60\n",
        encoding="utf-8",
    )
    before = run_json(county, "status")
    code, out = run(county, "load", str(bad), "--json")
    assert code == 2
    document = json.loads(out)
    assert document["ok"] is False
    codes = {(issue["code"], issue["row"]) for issue in document["files"][0]["issues"]}
    assert {("UNKNOWN_PLACE", 3), ("BAD_MONTH", 4), ("PART_EXCEEDS_WHOLE", 5)} <= codes
    assert run_json(county, "status") == before


def test_dry_run_and_accept_valid_rows(county: Path, tmp_path: Path) -> None:
    data = tmp_path / "copy"
    (tmp_path / "places.csv").write_text(PLACES, encoding="utf-8")
    mixed = tmp_path / "mixed.csv"
    mixed.write_text(
        "place_id,month,registered_persons,contracted_persons\nV1,2026-10,100,90\nV9,2026-10,1,1\n",
        encoding="utf-8",
    )
    assert run(data, "load", str(tmp_path / "places.csv"))[0] == 0
    assert run(data, "load", str(mixed), "--dry-run")[0] == 2
    assert run(data, "load", str(mixed))[0] == 2
    assert run_json(data, "status")["months"] == []
    code, out = run(data, "load", str(mixed), "--accept-valid-rows", "--json")
    assert code == 0
    assert json.loads(out)["files"][0]["rows_rejected"] == 1
    assert children(data, "T1")[0]["value"] == 90.0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("coverage", "--layer", "nope", "--place", "C1", "--month", "2026-10"), "LAYER_NOT_FOUND"),
        (
            ("coverage", "--layer", "contract_coverage", "--place", "XX", "--month", "2026-10"),
            "PLACE_NOT_FOUND",
        ),
        (
            ("coverage", "--layer", "contract_coverage", "--place", "C1", "--month", "1999-01"),
            "MONTH_NOT_FOUND",
        ),
        (
            ("coverage", "--layer", "contract_coverage", "--place", "C1", "--month", "2018-13"),
            "MONTH_FORM",
        ),
        (("places", "--parent", "XX"), "PLACE_NOT_FOUND"),
    ],
)
def test_nonsense_is_refused_with_a_code(
    county: Path, arguments: tuple[str, ...], code: str
) -> None:
    exit_code, out = run(county, *arguments, "--json")
    assert exit_code == 2
    error = json.loads(out)["error"]
    assert error["code"] == code
    assert error["message"] and error["remedy"]


def test_a_missing_file_is_refused(county: Path) -> None:
    code, out = run(county, "load", "nowhere.csv", "--json")
    assert code == 2
    assert "nowhere.csv" in out


def test_the_module_runs_as_a_program_with_dudao_data(county: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "dashboard", "status", "--json"],
        cwd=ROOT,
        env={**os.environ, "DUDAO_DATA": str(county)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(finished.stdout) == run_json(county, "status")

"""``explain`` on the command line: a stable set of keys, words, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.store import Store
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.model import Change
from tests.coverage.conftest import county_figures, county_places
from tests.coverage.test_explain import records
from tests.coverage.test_figure_sources import contracts, residents, revisits

KEYS = {
    "layer", "place", "name", "level", "month", "version", "source", "status", "value", "unit",
    "method", "formula", "formula_en", "numerator", "denominator", "missing", "reporting",
    "expected", "rows", "rows_total", "near", "without", "without_total", "differing",
    "differing_total", "hidden", "floor", "records", "sample", "reported", "batches", "replaced",
    "doubts",
}  # fmt: skip
NUMBER = {"measure", "title", "unit", "value", "rule", "rule_en"}
ROW = {
    "id", "name", "level", "status", "numerator", "denominator", "value", "batches", "records",
    "sample",
}  # fmt: skip
SAMPLE = {"units", "recount", "reported", "no_service", "missing_source"}
BATCH = {"id", "file", "dataset", "operator", "finished", "rows"}
VIEW = ("explain", "--layer", "contract_coverage", "--place", "T0", "--month", "2026-10")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The small county with figures, a doubtful one, records and revisits."""
    store = Store.open(tmp_path_factory.mktemp("explain-cli"))
    frame, shapes = county_places()
    commit(store, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), ())
    commit(store, SYSTEM, Change(dataset="figures", frame=county_figures(), file="全县.csv"), ())
    for dataset, rows in (
        ("residents", residents()), ("contracts", contracts(12)), ("revisits", revisits()),
    ):  # fmt: skip
        commit(store, SYSTEM, records(dataset, rows), ())
    ensure_snapshots(store, SYSTEM, registry.pairs())
    store.close()
    yield store.directory


def run(data: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--data", str(data), *arguments])
    return result.exit_code, result.stdout


def run_json(data: Path, *arguments: str) -> dict[str, Any]:
    code, out = run(data, *arguments, "--json")
    assert code == 0, out
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("source", ["reported", "records", "verified"])
def test_the_keys_are_a_contract(data: Path, source: str) -> None:
    found = run_json(data, *VIEW, "--source", source)
    assert set(found) == KEYS
    assert found["source"] == source
    assert set(found["numerator"]) == set(found["denominator"]) == NUMBER
    assert found["rows"] and all(set(row) == ROW for row in found["rows"])
    assert found["batches"] and all(set(one) == BATCH for one in found["batches"])
    assert all(set(one) == {"id", "name", "level", "expected", "lack"} for one in found["without"])
    assert all(set(one) == {"part", "dataset", "rows"} for one in found["records"])
    if source == "verified":
        assert set(found["sample"]) == set(found["rows"][0]["sample"]) == SAMPLE
        assert set(found["reported"]) == {"numerator", "denominator"}
    else:
        assert found["sample"] is None and found["reported"] is None


def test_it_says_what_coverage_says(data: Path) -> None:
    found = run_json(data, *VIEW)
    (children,) = (
        one for one in run_json(data, "coverage", *VIEW[1:3], "--place", "C", *VIEW[5:])["children"]
        if one["id"] == "T0"
    )  # fmt: skip
    for key in ("value", "status"):
        assert found[key] == children[key]
    assert found["numerator"]["value"] == children["numerator"]
    assert found["denominator"]["value"] == children["denominator"]
    differing = run_json(data, *VIEW[:4], "C", *VIEW[5:])["differing"]
    assert differing == [
        {"id": "T1", "name": "1镇", "level": "township", "numerator": 190.0, "denominator": 200.0,
         "own_numerator": 190.0, "own_denominator": 210.0}
    ]  # fmt: skip


def test_a_count_has_no_denominator_and_the_list_can_be_limited(data: Path) -> None:
    count = run_json(data, "explain", "--layer", "registered_persons_count", *VIEW[3:])
    assert count["denominator"] is None and count["numerator"]["value"] == 250
    few = run_json(data, *VIEW, "--limit", "1")
    assert (len(few["rows"]), few["rows_total"]) == (1, 3)


def test_a_value_left_out_is_said_to_be(data: Path) -> None:
    low = run_json(data, "explain", "--layer", "mental_management", *VIEW[3:4], "T0V0", *VIEW[5:])
    assert set(low) == KEYS and low["status"] == "too_low" and low["batches"] == []
    code, out = run(data, "explain", "--layer", "mental_management", "--place", "T0V0", *VIEW[5:])
    assert code == 0 and "不显示" in out


def test_the_words_name_what_a_reader_asks_for(data: Path) -> None:
    code, out = run(data, *VIEW)
    assert code == 0
    for words in ("家庭医生签约率(上报)", "签约人数 ÷ 建档立卡人口 × 100%", "全县.csv", "系统 于",
                  "0-3村 只有分母，没有分子", "未计入 1 个单位"):  # fmt: skip
        assert words in out
    code, out = run(data, *VIEW, "--source", "records")
    assert code == 0 and "在册的“签约记录”" in out and "residents.csv" not in out
    code, out = run(data, *VIEW, "--source", "verified")
    assert code == 0 and "入户核实 5 户：复核数 8，上报数 10" in out
    code, out = run(data, *VIEW[:4], "C", *VIEW[5:])
    assert code == 0 and "1镇 本级 190 / 210，下级合计 190 / 200" in out


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (("--source", "gap"), "SOURCE_UNKNOWN"),
        (("--layer", "nope"), "LAYER_NOT_FOUND"),
        (("--place", "XX"), "PLACE_NOT_FOUND"),
        (("--month", "1999-01"), "MONTH_NOT_FOUND"),
        (("--month", "2018-13"), "MONTH_FORM"),
    ],
)
def test_nonsense_is_refused_with_a_code(data: Path, changed: tuple[str, str], code: str) -> None:
    exit_code, out = run(data, *VIEW, *changed, "--json")
    assert exit_code == 2
    assert json.loads(out)["error"]["code"] == code

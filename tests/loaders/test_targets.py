"""Targets of the year: every bad cell has its code, in its row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dashboard.coverage.targets import known_layers
from loaders.model import Known, Request
from loaders.prepare import prepare
from tests.loaders.world import (
    ANCI,
    CITY,
    DONGGUAN,
    GUANGYANG,
    LUOFA,
    OLD_VILLAGE,
    codes,
    known_with,
    rows_of,
)

Write = Callable[..., Path]
HEAD = "指标,区划代码,年度,目标值\n"


@pytest.fixture
def known() -> Known:
    """The stored county, and every layer there is."""
    return replace(known_with(), layers=known_layers())


def lines(*rows: str) -> str:
    return HEAD + "".join(f"{row}\n" for row in rows)


def test_a_layer_goes_by_id_title_and_short_title(write: Write, known: Known) -> None:
    text = lines(
        f"contract_coverage,{ANCI},2026,95%",
        f"宫颈癌筛查率,{ANCI[:6]},2026年,60",
        f"Breast-cancer screening,{ANCI},2026年度,55.5%",
        f"健康APP,{LUOFA},2027,90",
        f"家庭医生签约 (%),{LUOFA},2026,98",
        f"义诊活动,{ANCI},2026,120",
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {}
    assert prepared.dataset == "targets"
    assert prepared.frame.to_numpy().tolist() == [
        ["contract_coverage", ANCI, 2026, 95.0],
        ["cervical_screening", ANCI, 2026, 60.0],
        ["breast_screening", ANCI, 2026, 55.5],
        ["six_app_coverage", LUOFA, 2027, 90.0],
        ["contract_coverage", LUOFA, 2026, 98.0],
        ["free_clinics_count", ANCI, 2026, 120.0],
    ]
    assert prepared.frame["value"].dtype == np.float64
    assert (prepared.report.rows_read, prepared.report.rows_valid) == (6, 6)


def test_every_bad_cell_has_its_code(write: Write, known: Known) -> None:
    ahead = dt.date.today().year + 6
    text = lines(
        f"家庭医生签约绿,{ANCI},2026,95",
        f",{ANCI},2026,95",
        "contract_coverage,131099000000,2026,95",
        f"contract_coverage,{ANCI},去年,95",
        f"contract_coverage,{ANCI},1999,95",
        f"contract_coverage,{ANCI},{ahead},95",
        f"contract_coverage,{ANCI},,95",
        f"contract_coverage,{ANCI},2026,",
        f"contract_coverage,{ANCI},2026,高",
        f"contract_coverage,{ANCI},2026,101%",
        f"contract_coverage,{ANCI},2026,120",
        f"contract_coverage,{ANCI},2026,-5",
        f"义诊活动,{ANCI},2026,80%",
        f"义诊活动,{ANCI},2026,12.5",
        f"open_findings_rate,{ANCI},2026,5%",
        f"contract_coverage,{OLD_VILLAGE},2026,95",
    )
    prepared = prepare(write(text), Request(), known)
    found = {code: rows_of(prepared, code) for code in codes(prepared)}
    assert found == {
        "UNKNOWN_MEASURE": [2],
        "MISSING_VALUE": [3, 8, 9],
        "UNKNOWN_PLACE": [4],
        "BAD_YEAR": [5, 6, 7],
        "BAD_NUMBER": [10],
        "OUT_OF_BOUNDS": [11, 12],
        "NEGATIVE_COUNT": [13],
        "PERCENT_FOR_COUNT": [14, 16],
        "NOT_INTEGER": [15],
        "PLACE_NOT_VALID": [17],
    }
    assert prepared.frame.empty and prepared.report.rows_rejected == 16
    said = {issue.code: issue.message for issue in prepared.report.issues}
    assert "家庭医生签约率" in said["UNKNOWN_MEASURE"]
    assert "0–100 %" in said["OUT_OF_BOUNDS"]


def test_an_unlike_name_is_answered_with_all_that_are_known(write: Write, known: Known) -> None:
    prepared = prepare(write(lines(f"xq,{ANCI},2026,95")), Request(), known)
    (issue,) = prepared.report.issues
    assert "家庭医生签约率" in issue.message and "满意度" in issue.message


def test_a_percentage_cell_of_a_spreadsheet_is_taken_and_said(
    workbook: Callable[..., Path], known: Known
) -> None:
    path = workbook(
        {
            "目标": [
                ["2026年考核目标"],
                ["指标", "地区代码", "年度", "目标值"],
                ["家庭医生签约率", ANCI, 2026, 0.85],
                ["满意度", ANCI, 2026, 1],
                ["未落实团队占比", ANCI, 2026, 0.5],
                ["未落实团队占比", GUANGYANG, 2026, "0.5%"],
                ["未落实团队占比", LUOFA, 2026, 0],
            ]
        }
    )
    prepared = prepare(path, Request(), known)
    assert {code: rows_of(prepared, code) for code in codes(prepared)} == {
        "SHARE_AS_PERCENT": [3, 4],
        "SHARE_OR_PERCENT": [5],
    }
    assert prepared.frame["value"].tolist() == [85.0, 100.0, 0.5, 0.0]
    said = next(one for one in prepared.report.issues if one.code == "SHARE_AS_PERCENT")
    assert "85%" in said.message


def test_rows_that_repeat_and_rows_that_differ(write: Write, known: Known) -> None:
    text = lines(
        f"contract_coverage,{ANCI},2026,95",
        f"家庭医生签约率,{ANCI},2026,95%",
        f"contract_coverage,{LUOFA},2026,95",
        f"contract_coverage,{LUOFA},2026,90",
        f"contract_coverage,{LUOFA},2027,90",
        f"义诊活动,{CITY},2026,高",
        f"义诊活动,{CITY},2026,多",
    )
    prepared = prepare(write(text), Request(), known)
    assert {code: rows_of(prepared, code) for code in codes(prepared)} == {
        "BAD_NUMBER": [7, 8],
        "DUPLICATE_ROW": [3],
        "CONFLICTING_ROWS": [5],
    }
    assert prepared.frame[["place_id", "year"]].to_numpy().tolist() == [[ANCI, 2026], [LUOFA, 2027]]
    said = next(one for one in prepared.report.issues if one.code == "CONFLICTING_ROWS")
    assert "家庭医生签约率" in said.message and "2026" in said.message


def test_a_place_goes_by_name_as_in_figures(write: Write, known: Known) -> None:
    head = "指标,地区,上级,年度,目标值\n"
    text = f"{head}满意度,东关村,落垡镇,2026,99\n满意度,东关村,无此镇,2026,98\n"
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"NAME_MATCHED": 1, "NAME_UNCONFIRMED": 1}
    assert prepared.frame["place_id"].tolist() == [DONGGUAN]


def test_a_column_is_missing_and_layers_unknown_to_the_store(write: Write, known: Known) -> None:
    prepared = prepare(write("指标,区划代码,目标值\n满意度,1,2\n"), Request("targets"), known)
    assert codes(prepared) == {"MISSING_COLUMN": 1} and prepared.frame.empty
    assert list(prepared.frame.columns) == ["layer", "place_id", "year", "value"]
    nothing = replace(known, layers=())
    prepared = prepare(write(lines(f"满意度,{ANCI},2026,99")), Request(), nothing)
    assert codes(prepared) == {"UNKNOWN_MEASURE": 1} and prepared.frame.empty

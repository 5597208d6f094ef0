"""What a heading means, alone and under a group, and which dataset a table is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loaders import registry
from loaders.mapping import ColumnMap, read_as
from loaders.model import Known, Request
from loaders.prepare import prepare
from loaders.table import Factor, Table
from tests.loaders.world import ANCI, DONGGUAN, codes

Write = Callable[..., Path]


def table(*levels: tuple[str, ...]) -> Table:
    return Table(
        sheet=None,
        headings=tuple(" ".join(one) for one in levels),
        levels=levels,
        header_rows=(1,),
        rows=np.array([2]),
        columns=tuple(Factor.of(["1"]) for _ in levels),
    )


def figures(*levels: tuple[str, ...]) -> ColumnMap:
    return read_as(table(*levels), registry.datasets()["figures"])


@pytest.mark.parametrize(
    ("levels", "measure"),
    [
        (("建档立卡户数",), "registered_households"),
        (("registered_households",), "registered_households"),
        (("户数（户）",), "registered_households"),
        (("户数", "合计"), "registered_households"),
        (("户数", "(户)"), "registered_households"),
        (("户数", "households"), "registered_households"),
        (("户数", "家庭户"), None),
        (("2026年10月", "户数"), "registered_households"),
        (("建档立卡贫困户", "人数"), "registered_persons"),
        (("建档立卡", "人口"), "registered_persons"),
        (("边缘户", "人数"), None),
        (("建档立卡边缘户", "人数"), None),
        (("边缘贫困人口", "人数"), None),
        (("家庭医生", "签约人数"), "contracted_persons"),
        (("签约情况", "已签约人数(人)"), "contracted_persons"),
        (("宫颈癌筛查", "应筛查人数"), "cervical_eligible_women"),
        (("宫颈癌", "已筛查"), None),
        (("宫颈癌筛查工作", "已筛查人数"), "cervical_screened_women"),
        (("乳腺癌筛查", "应筛查人数"), "breast_eligible_women"),
        (("乳腺癌筛查", "已筛查人数"), "breast_screened_women"),
        (("村卫生室建设", "计划数"), "planned_village_clinics"),
        (("标准化村卫生室", "建成数"), "standard_village_clinics"),
        (("检查发现问题数（个）",), "open_findings"),
        (("肺癌筛查", "应筛查人数"), None),
        (("满意度",), None),
    ],
)
def test_headings_of_measures(levels: tuple[str, ...], measure: str | None) -> None:
    found = figures(("区划代码",), levels)
    assert list(found.measures) == ([] if measure is None else [measure])
    assert found.issues == ()


def test_headings_of_columns() -> None:
    found = figures(
        ("行政 区划 代码",), ("上级", "名称"), ("村（居）",), ("月 份",), ("指标",), ("数值",)
    )
    assert found.columns == {
        "place_id": 0, "parent_name": 1, "place_name": 2, "month": 3, "measure": 4, "value": 5,
    }  # fmt: skip
    assert found.missing == ()


def test_headings_cut_by_a_shapefile() -> None:
    # 10 bytes: five characters in GBK, three in UTF-8.
    assert figures(("行政区划代",), ("户数",)).columns == {"place_id": 0}
    assert figures(("registered",), ("id",)).measures == {}
    assert figures(("contracted",), ("id",)).measures == {"contracted_persons": 0}


HEADS = {
    "places": "代码,名称,上级代码,级别",
    "institutions": "机构代码,机构名称,机构类别,区划代码,经度,纬度",
    "figures": "区划代码,月份,户数,人口",
}


@pytest.mark.parametrize("dataset", HEADS)
def test_datasets_are_recognised(dataset: str, write: Write, known: Known) -> None:
    cells = ",".join(["1"] * len(HEADS[dataset].split(",")))
    prepared = prepare(write(f"{HEADS[dataset]}\n{cells}\n"), Request(), known)
    assert prepared.dataset == dataset


def test_a_table_that_could_be_two_asks(write: Write, known: Known) -> None:
    text = f"代码,名称,级别,人口\n{ANCI},安次区,县,5\n"
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"DATASET_AMBIGUOUS": 1}
    (issue,) = list(prepared.report.issues)
    assert "行政区划" in issue.message and "月度数据" in issue.message
    assert prepare(write(text), Request(dataset="places"), known).dataset == "places"
    assert prepare(write(text), Request(month="2026-10"), known).dataset == "figures"
    assert codes(prepare(write(text), Request(dataset="people"), known)) == {
        "DATASET_NAME_UNKNOWN": 1
    }


def test_unknown_and_incomplete_tables(write: Write, known: Known) -> None:
    unknown = prepare(write("苹果,梨\n1,2\n"), Request(), known)
    assert codes(unknown) == {"DATASET_UNKNOWN": 1}
    nearly = prepare(write("月份,户数,人口\n2026-10,1,2\n"), Request(), known)
    assert codes(nearly) == {"MISSING_COLUMN": 1}
    (issue,) = list(nearly.report.issues)
    assert issue.column == "place_id" and "区划代码" in issue.message
    asked = prepare(write("代码,经度\n1,2\n"), Request(dataset="institutions"), known)
    assert codes(asked)["MISSING_COLUMN"] == 3
    assert list(asked.frame.columns) == ["id", "name", "kind", "place_id", "lon", "lat"]


def test_unknown_columns_are_said_once_each(write: Write, known: Known) -> None:
    text = f"区划代码,月份,户数,备注,联系人\n{DONGGUAN},2026-10,1,x,y\n{ANCI},2026-10,1,x,y\n"
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"UNKNOWN_COLUMN": 2}
    assert [issue.column for issue in prepared.report.issues] == ["备注", "联系人"]


def test_sheets_of_one_kind_load_together(workbook: Callable[..., Path], known: Known) -> None:
    sheets = {
        "九月": [["区划代码", "月份", "户数"], [DONGGUAN, "2026-09", 1]],
        "十月": [["统计表"], ["区划代码", "月份", "人口"], [DONGGUAN, "2026-10", "x"]],
        "说明": [["本表由各村填报"], ["联系人", "电话"], ["张三", "x"]],
    }
    prepared = prepare(workbook(sheets), Request(), known)
    assert codes(prepared) == {"SHEET_SKIPPED": 1, "BAD_NUMBER": 1}
    (bad,) = [issue for issue in prepared.report.issues if issue.code == "BAD_NUMBER"]
    assert (bad.sheet, bad.row, bad.column) == ("十月", 3, "人口")
    assert prepared.report.header_rows == {"九月": [1], "十月": [2]}
    one = prepare(workbook(sheets), Request(layer="九月"), known)
    assert codes(one) == {} and one.report.rows_read == 1
    assert codes(prepare(workbook(sheets), Request(layer="无"), known)) == {"LAYER_NOT_FOUND": 1}


def test_sheets_of_two_kinds_ask(workbook: Callable[..., Path], known: Known) -> None:
    sheets = {
        "区划": [["代码", "名称", "级别"], [DONGGUAN, "东关村", "村"]],
        "数据": [["区划代码", "月份", "户数"], [DONGGUAN, "2026-09", 1]],
    }
    path = workbook(sheets)
    assert codes(prepare(path, Request(), known)) == {"DATASET_AMBIGUOUS": 1}
    prepared = prepare(path, Request(dataset="figures"), known)
    assert codes(prepared) == {"SHEET_SKIPPED": 1} and len(prepared.frame) == 1


def test_a_header_without_rows(write: Write, known: Known) -> None:
    assert codes(prepare(write("区划代码,月份,户数\n"), Request(), known)) == {"NO_ROWS": 1}
    assert codes(prepare(write("131002,2026-10,5\n131003,2026-10,6\n"), Request(), known)) == {
        "NO_HEADER": 1
    }

"""Figures, long and wide: values, months, repetitions, parts and totals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loaders.model import Known, Request
from loaders.prepare import prepare
from tests.loaders.world import (
    ANCI,
    BEIZHUANG,
    CITY,
    DONGGUAN,
    GUANGYANG,
    LUOFA,
    OLD_VILLAGE,
    XIGUAN,
    codes,
    known_with,
    rows_of,
)

Write = Callable[..., Path]


def long(*rows: str) -> str:
    return "place_id,month,measure,value,source\n" + "".join(f"{row}\n" for row in rows)


def wide(*rows: str, measures: str = "registered_persons,contracted_persons") -> str:
    return f"place_id,month,{measures}\n" + "".join(f"{row}\n" for row in rows)


def test_long_canonical(write: Write, known: Known) -> None:
    text = long(
        f"{DONGGUAN},2026-10,registered_persons,100,reported",
        f"{DONGGUAN[:6]},2026-10,签约人数,5,verified",
        f"{XIGUAN},2026年9月,建档立卡户数,7,",
        f"{XIGUAN},2026-09,open_findings,,reported",
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {}
    assert prepared.dataset == "figures"
    assert list(prepared.frame.columns) == ["place_id", "month", "measure", "value", "source"]
    assert prepared.frame.to_numpy().tolist() == [
        [DONGGUAN, "2026-10", "registered_persons", 100.0, "reported"],
        [ANCI, "2026-10", "contracted_persons", 5.0, "verified"],
        [XIGUAN, "2026-09", "registered_households", 7.0, "reported"],
    ]
    assert prepared.frame["value"].dtype == np.float64
    # The row with a blank value is valid and brings nothing.
    report = prepared.report
    assert (report.rows_read, report.rows_valid, report.rows_rejected) == (4, 4, 0)


def test_wide_gives_the_same_as_long(write: Write, known: Known) -> None:
    wide_file = write(wide(f"{DONGGUAN},2026-10,100,60", f"{XIGUAN},2026-10,—,"), "wide.csv")
    long_file = write(
        long(
            f"{DONGGUAN},2026-10,registered_persons,100,",
            f"{DONGGUAN},2026-10,contracted_persons,60,",
        ),
        "long.csv",
    )
    one, other = prepare(wide_file, Request(), known), prepare(long_file, Request(), known)
    assert codes(one) == codes(other) == {}
    pd.testing.assert_frame_equal(one.frame, other.frame)
    assert one.report.rows_valid == 2


def test_chinese_workbook_with_everything(workbook: Callable[..., Path], known: Known) -> None:
    rows: list[list[Any]] = [
        ["安次区家庭医生签约统计表（2026年10月）"],
        ["填报单位：安次区", None, None, None, "单位：户、人"],
        ["区划代码", "名　称", "建档立卡", None, "家庭医生", "宫颈癌筛查", None],
        [None, None, "户数", "人口", "签约人数", "应筛查人数", "已筛查人数"],
        [DONGGUAN, "东 关 村", 10, 40, "３０", 8, 4],
        ["小计", None, 10, 40, 30, 8, 4],
        [int(XIGUAN), "西关村", 5, "1,020", 12, "…", None],
        ["合  计", None, 15, 1060, 42, 8, 4],
        ["注：数据截至月底"],
        ["填表人：张三", None, None, "审核人：李四"],
    ]
    path = workbook(
        {"签约": rows},
        merges={"签约": ["A1:G1", "A3:A4", "B3:B4", "C3:D3", "F3:G3"]},
    )
    prepared = prepare(path, Request(), known)
    report = prepared.report
    assert codes(prepared) == {"TOTAL_ROWS_SKIPPED": 1, "MONTH_FROM_TITLE": 1}, list(report.issues)
    assert report.header_rows == {"签约": [3, 4]}
    (total,) = [one for one in report.issues if one.code == "TOTAL_ROWS_SKIPPED"]
    assert "6、8" in total.message
    table = prepared.frame.pivot(index="place_id", columns="measure", values="value")
    assert set(prepared.frame["month"]) == {"2026-10"}
    assert table.loc[DONGGUAN].to_dict() == {
        "registered_households": 10,
        "registered_persons": 40,
        "contracted_persons": 30,
        "cervical_eligible_women": 8,
        "cervical_screened_women": 4,
    }
    assert table.loc[XIGUAN, "registered_persons"] == 1020
    assert table.loc[XIGUAN].isna().sum() == 2
    assert report.rows_skipped == 6


def test_a_township_merged_over_its_villages(workbook: Callable[..., Path], known: Known) -> None:
    rows = [
        ["乡镇", "村名", "月份", "户数"],
        ["落垡镇", "东关村", "2026-10", 3],
        [None, "西关村", "2026-10", 4],
        ["葛渔城镇", "东关村", "2026-10", 5],
    ]
    prepared = prepare(workbook({"表": rows}, {"表": ["A2:A3"]}), Request(), known)
    assert codes(prepared) == {"NAME_MATCHED": 3}
    assert prepared.frame["place_id"].tolist() == [DONGGUAN, XIGUAN, "131002102201"]


BAD_VALUES = [
    ("85%", "PERCENT_FOR_COUNT"),
    ("85％", "PERCENT_FOR_COUNT"),
    ("0.85", "NOT_INTEGER"),
    ("-1", "NEGATIVE_COUNT"),
    ("-0.5", "NEGATIVE_COUNT"),
    ("200000000", "OUT_OF_BOUNDS"),
    ("12人", "BAD_NUMBER"),
    ("=1+1", "BAD_NUMBER"),
    ("1e400", "BAD_NUMBER"),
]


@pytest.mark.parametrize(("value", "code"), BAD_VALUES)
@pytest.mark.parametrize("shape", ["long", "wide"])
def test_bad_values(value: str, code: str, shape: str, write: Write, known: Known) -> None:
    if shape == "long":
        text = long(
            f"{DONGGUAN},2026-10,registered_persons,{value},",
            f"{XIGUAN},2026-10,registered_persons,3,",
        )
    else:
        text = wide(f"{DONGGUAN},2026-10,{value},1", f"{XIGUAN},2026-10,3,")
    prepared = prepare(write(text), Request(), known)
    (issue,) = list(prepared.report.issues)
    assert (issue.code, issue.row, issue.value) == (code, 2, value)
    assert issue.column == ("value" if shape == "long" else "registered_persons")
    # The whole row is rejected, the other one stays.
    assert prepared.frame["place_id"].tolist() == [XIGUAN]
    assert (prepared.report.rows_valid, prepared.report.rows_rejected) == (1, 1)


def test_bad_months_places_measures_and_sources(write: Write, known: Known) -> None:
    text = long(
        f"{DONGGUAN},2018-13,registered_persons,1,",
        f"{DONGGUAN},,registered_persons,1,",
        f"{DONGGUAN},2026.1,registered_persons,1,",
        "131999999999,2026-10,registered_persons,1,",
        ",2026-10,registered_persons,1,",
        "1.31002E+11,2026-10,registered_persons,1,",
        f"{DONGGUAN},2026-10,happiness,1,",
        f"{DONGGUAN},2026-10,,1,",
        f"{DONGGUAN},2026-10,open_findings,1,rumour",
    )
    prepared = prepare(write(text), Request(), known)
    found = {(issue.row, issue.code) for issue in prepared.report.issues}
    assert found == {
        (2, "BAD_MONTH"),
        (3, "MISSING_VALUE"),
        (4, "MONTH_AMBIGUOUS"),
        (5, "UNKNOWN_PLACE"),
        (6, "MISSING_VALUE"),
        (7, "CODE_LOST_DIGITS"),
        (8, "UNKNOWN_MEASURE"),
        (9, "MISSING_VALUE"),
        (10, "UNKNOWN_SOURCE"),
    }
    assert prepared.frame.empty and prepared.report.rows_rejected == 9


def test_a_place_counts_only_while_it_is_valid(write: Write, known: Known) -> None:
    text = wide(f"{OLD_VILLAGE},2025-12,1,1", f"{OLD_VILLAGE},2026-01,1,1")
    prepared = prepare(write(text), Request(), known)
    assert rows_of(prepared, "PLACE_NOT_VALID") == [3]
    assert set(prepared.frame["month"]) == {"2025-12"}


def test_repetitions(write: Write, known: Known) -> None:
    text = wide(
        f"{DONGGUAN},2026-10,100,60",
        f"{DONGGUAN},2026-10,100,60",
        f"{XIGUAN},2026-10,50,20",
        f"{XIGUAN},2026年10月,51,20",
        f"{BEIZHUANG},2026-10,5,2",
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"DUPLICATE_ROW": 3, "CONFLICTING_ROWS": 1}
    (conflict,) = [one for one in prepared.report.issues if one.code == "CONFLICTING_ROWS"]
    assert conflict.row == 5 and "第 4 行" in conflict.message
    assert "51" in conflict.message and "50" in conflict.message
    assert prepared.frame["place_id"].tolist() == [DONGGUAN, BEIZHUANG] * 2
    assert (prepared.report.rows_valid, prepared.report.rows_rejected) == (3, 2)


def test_a_repetition_of_a_rejected_row_is_rejected(write: Write, known: Known) -> None:
    text = wide(f"{DONGGUAN},2026-10,10,60", f"{DONGGUAN},2026-10,10,60")
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"DUPLICATE_ROW": 2, "PART_EXCEEDS_WHOLE": 1}
    assert prepared.frame.empty and prepared.report.rows_rejected == 2


def test_part_above_its_whole_in_the_file(write: Write, known: Known) -> None:
    text = long(
        f"{DONGGUAN},2026-10,registered_persons,100,",
        f"{DONGGUAN},2026-10,contracted_persons,101,",
        f"{DONGGUAN},2026-10,contracted_persons,90,verified",
        f"{XIGUAN},2026-10,registered_persons,100,",
        f"{XIGUAN},2026-10,contracted_persons,100,",
    )
    prepared = prepare(write(text), Request(), known)
    (issue,) = list(prepared.report.issues)
    assert (issue.code, issue.row) == ("PART_EXCEEDS_WHOLE", 3)
    for words in ("签约人数 101", "建档立卡人口 100", "第 2 行", "东关村"):
        assert words in issue.message
    # Neither of the two can be trusted; figures of another source or place can.
    assert prepared.frame["value"].tolist() == [90, 100, 100]


def test_part_against_the_stored_whole_and_the_other_way_round(write: Write) -> None:
    stored = known_with(
        [
            (DONGGUAN, "2026-10", "registered_persons", 100.0, "reported"),
            (XIGUAN, "2026-10", "contracted_persons", 50.0, "reported"),
            (BEIZHUANG, "2026-10", "registered_persons", 1.0, "verified"),
            (BEIZHUANG, "2026-09", "registered_persons", 1.0, "reported"),
        ]
    )
    text = long(
        f"{DONGGUAN},2026-10,contracted_persons,101,",
        f"{XIGUAN},2026-10,registered_persons,49,",
        f"{BEIZHUANG},2026-10,contracted_persons,5,",
    )
    prepared = prepare(write(text), Request(), stored)
    assert rows_of(prepared, "PART_EXCEEDS_WHOLE") == [2, 3]
    assert all("已入库" in issue.message for issue in prepared.report.issues)
    assert prepared.frame["place_id"].tolist() == [BEIZHUANG]


def test_a_whole_brought_anew_replaces_the_stored_one(write: Write) -> None:
    stored = known_with([(DONGGUAN, "2026-10", "registered_persons", 10.0, "reported")])
    text = wide(f"{DONGGUAN},2026-10,100,60")
    assert codes(prepare(write(text), Request(), stored)) == {}


def test_implausible_totals_are_flags(write: Write, known: Known) -> None:
    text = wide(
        f"{DONGGUAN},2026-10,50,10,80",
        measures="registered_households,registered_persons,cervical_eligible_women",
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"IMPLAUSIBLE_TOTAL": 2}
    assert len(prepared.frame) == 3


def test_a_total_that_is_not_the_sum_of_its_children(write: Write, known: Known) -> None:
    text = wide(
        f"{LUOFA},2026-10,120,30",
        f"{DONGGUAN},2026-10,100,10",
        f"{XIGUAN},2026-10,50,20",
        f"{CITY},2026-10,1,1",
        f"{LUOFA},2026-09,1,1",
    )
    prepared = prepare(write(text), Request(), known)
    (issue,) = list(prepared.report.issues)
    assert (issue.code, issue.row, issue.column) == ("TOTAL_DIFFERS", 2, "registered_persons")
    assert "120" in issue.message and "150" in issue.message
    assert len(prepared.frame) == 10


def test_month_from_the_request_the_sheet_and_the_file_name(
    write: Write, workbook: Callable[..., Path], known: Known
) -> None:
    text = f"区划代码,户数\n{DONGGUAN},3\n"
    assert codes(prepare(write(text), Request(), known)) == {"MONTH_MISSING": 1}
    asked = prepare(write(text), Request(month="2026年9月"), known)
    assert codes(asked) == {} and asked.frame["month"].tolist() == ["2026-09"]
    named = prepare(write(text, "户数202608.csv"), Request(), known)
    assert codes(named) == {"MONTH_FROM_TITLE": 1}
    assert named.frame["month"].tolist() == ["2026-08"]
    wrong = prepare(write(text), Request(month="2026-13"), known)
    assert codes(wrong) == {"MONTH_ARGUMENT_BAD": 1} and wrong.frame.empty
    sheets = {"2026年6月": [["区划代码", "户数"], [DONGGUAN, 3]], "说明": [["请按月填报"]]}
    sheets["2026年7月"] = [["区划代码", "户数"], [DONGGUAN, 4]]
    book = prepare(workbook(sheets), Request(), known)
    assert book.frame[["month", "value"]].to_numpy().tolist() == [["2026-06", 3], ["2026-07", 4]]
    clash = prepare(workbook(sheets), Request(month="2026-06"), known)
    assert "MONTH_CONFLICT" in codes(clash)
    assert clash.frame["month"].tolist() == ["2026-06"]


def test_a_month_column_that_contradicts_the_request(write: Write, known: Known) -> None:
    text = wide(f"{DONGGUAN},2026-09,3,1", f"{XIGUAN},2026-10,3,1", f"{BEIZHUANG},,3,1")
    prepared = prepare(write(text), Request(month="2026-10"), known)
    assert rows_of(prepared, "MONTH_CONFLICT") == [2]
    assert prepared.frame["place_id"].tolist() == [XIGUAN, BEIZHUANG] * 2


def test_month_over_a_group_of_columns(write: Write, known: Known) -> None:
    text = f"区划代码,2026年10月,\n,户数,人口\n{DONGGUAN},3,9\n"
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"MONTH_FROM_TITLE": 1}
    assert set(prepared.frame["month"]) == {"2026-10"}


def test_excel_dates_are_months(workbook: Callable[..., Path], known: Known) -> None:
    rows = [["区划代码", "月份", "户数"], [DONGGUAN, pd.Timestamp("2026-10-01"), 3]]
    prepared = prepare(workbook({"表": rows}), Request(), known)
    assert prepared.frame["month"].tolist() == ["2026-10"]


def test_units_are_never_mixed(write: Write, known: Known) -> None:
    for heading in ("签约人数（万人）", "签约人数(户)", "签约人数（％）"):
        prepared = prepare(write(f"区划代码,月份,{heading}\n{ANCI},2026-10,1\n"), Request(), known)
        assert codes(prepared) == {"UNIT_MISMATCH": 1} and prepared.frame.empty
    declared = f"单位：万人\n区划代码,月份,签约人数\n{ANCI},2026-10,1\n"
    assert codes(prepare(write(declared), Request(), known)) == {"UNIT_MISMATCH": 1}
    office = f"单位：安次区\n区划代码,月份,签约人数（人）\n{ANCI},2026-10,1\n"
    assert codes(prepare(write(office), Request(), known)) == {}


def test_a_group_heading_changes_the_meaning(write: Write, known: Known) -> None:
    text = (
        "区划代码,月份,宫颈癌筛查,,乳腺癌筛查,\n,,应筛查人数,已筛查人数,应筛查人数,已筛查人数\n"
        f"{DONGGUAN},2026-10,8,4,9,5\n"
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {}
    assert prepared.frame.set_index("measure")["value"].to_dict() == {
        "cervical_eligible_women": 8,
        "cervical_screened_women": 4,
        "breast_eligible_women": 9,
        "breast_screened_women": 5,
    }


def test_a_group_heading_nobody_knows_is_not_guessed(write: Write, known: Known) -> None:
    text = (
        "区划代码,月份,宫颈癌筛查,,肺癌筛查,\n,,应筛查人数,已筛查人数,应筛查人数,已筛查人数\n"
        f"{DONGGUAN},2026-10,8,4,9,5\n"
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"UNKNOWN_COLUMN": 2}
    assert prepared.frame["value"].tolist() == [8, 4]


def test_two_columns_for_one_measure(write: Write, known: Known) -> None:
    text = f"区划代码,月份,签约人数,已签约人数\n{DONGGUAN},2026-10,8,9\n"
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"DUPLICATE_COLUMN": 1}
    assert prepared.frame.empty and prepared.report.rows_rejected == 1


def test_names_that_do_not_fit_their_codes(write: Write, known: Known) -> None:
    text = (
        "区划代码,名称,月份,户数\n"
        f"{DONGGUAN},落垡镇东关村,2026-10,1\n{XIGUAN},西关村委会,2026-10,1\n"
        f"{BEIZHUANG},南庄村,2026-10,1\n{GUANGYANG},广　阳　区,2026-10,1\n"
    )
    prepared = prepare(write(text), Request(), known)
    assert rows_of(prepared, "NAME_CODE_MISMATCH") == [4]
    assert len(prepared.frame) == 4


def test_a_hundred_thousand_alike(write: Write, known: Known) -> None:
    body = f"{DONGGUAN},2026-10,registered_persons,abc,\n" * 100_000
    prepared = prepare(write(long() + body), Request(), known)
    assert codes(prepared) == {"BAD_NUMBER": 100_000}
    shown = prepared.report.as_dict()
    assert shown["summary"] == [{"code": "BAD_NUMBER", "count": 100_000, "shown": 100}]
    assert len(shown["issues"]) == 100


def test_a_million_rows_against_plain_pandas(write: Write, known: Known) -> None:
    ids = [DONGGUAN, XIGUAN, BEIZHUANG]
    months = [f"{1930 + index // 12}-{index % 12 + 1:02d}" for index in range(600)]
    rows = pd.MultiIndex.from_product([months, ids], names=["month", "place_id"])
    frame = rows.to_frame(index=False).assign(measure="open_findings", source="reported")
    frame["value"] = np.arange(len(frame)) % 977
    columns = ["place_id", "month", "measure", "value", "source"]
    path = write(frame[columns].to_csv(index=False))
    prepared = prepare(path, Request(), known)
    assert codes(prepared) == {}
    plain = pd.read_csv(path, dtype={"place_id": str})
    assert prepared.frame["value"].tolist() == plain["value"].tolist()
    assert prepared.frame["place_id"].tolist() == plain["place_id"].tolist()


def test_yuan_where_ten_thousand_yuan_is_declared_is_warned_of(write: Write, known: Known) -> None:
    text = (
        "区划代码,月份,住院总费用,特殊医疗费用补助\n"
        f"{DONGGUAN},2026-09,1317.03,20\n{DONGGUAN},2026-10,12749900,25.5\n"
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"YUAN_FOR_WAN": 1}
    (issue,) = prepared.report.issues.first(5)
    assert issue.row == 3 and "1317.03" in issue.message and "一万倍" in issue.message
    assert len(prepared.frame) == 4


def test_yuan_is_told_by_what_is_stored_of_last_month(write: Write, known: Known) -> None:
    def stored(places: object, months: object, measures: object) -> pd.DataFrame:
        return pd.DataFrame(
            [(DONGGUAN, "2026-09", "special_paid", 20.0, "reported")],
            columns=["place_id", "month", "measure", "value", "source"],
        )

    text = f"区划代码,月份,特殊医疗费用补助\n{DONGGUAN},2026-10,210000\n"
    prepared = prepare(write(text), Request(), replace(known, figures=stored))
    assert codes(prepared) == {"YUAN_FOR_WAN": 1}

"""Rejected rows beside their reasons, and the list of all issues."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import openpyxl
import pytest

from dashboard.access import Actor, Grant, NotAllowed, Role
from dashboard.reports import service
from dashboard.reports.problems import RejectedRow, listed, rejected
from geodata.errors import DudaoError
from loaders import Known, Request, prepare
from loaders.model import Issue, Severity

CLERK = Actor("1", "数据员甲", grants=(Grant(Role.CLERK),))
VIEWER = Actor("2", "查看人员", grants=(Grant(Role.VIEWER),))

ROWS = [
    RejectedRow("一月", 3, {"地区": "甲村", "人数": "12"}),
    RejectedRow("一月", 4, {"地区": "=乙村", "人数": "十二"}),
    RejectedRow("一月", 5, {"地区": "丙村", "人数": "-3"}),
    RejectedRow("二月", 9, {"地区": "", "人数": "7"}),
]


def issue(
    sheet: str | None, row: int | None, column: str | None, message: str, severity: str = "error"
) -> Issue:
    return Issue("CODE", Severity(severity), message, sheet, row, column, "值")


ISSUES = [
    issue("一月", 3, "人数", "偏大", "warning"),
    issue("一月", 4, "人数", "不是数"),
    issue("一月", 4, "人数", "另一个问题"),
    issue("一月", 4, "地区", "像公式", "warning"),
    issue("一月", 5, None, "整行重复"),
    issue("二月", 9, "地区", "没有名称"),
    issue("二月", 9, "没有的列", "列不存在"),
    issue(None, None, None, "文件级问题"),
]


def test_rejected_rows_stand_beside_their_reasons() -> None:
    january, february = rejected("数据.xlsx", ROWS, ISSUES)
    assert [column.title for column in january.columns] == [
        "原行号", "地区", "问题(地区)", "人数", "问题(人数)", "问题(整行)",
    ]  # fmt: skip
    assert january.rows == [
        [4, "=乙村", "(警告)像公式", "十二", "不是数\n另一个问题", None],
        [5, "丙村", None, "-3", None, "整行重复"],
    ]
    assert [(mark.row, mark.column) for mark in january.marks] == [(0, 3), (0, 1)]
    assert february.rows == [[9, "", "没有名称", "7", "列不存在"]]
    assert february.title == "二月"


def test_nothing_rejected_is_said() -> None:
    with pytest.raises(DudaoError) as caught:
        rejected("数据.xlsx", ROWS, ISSUES[:1])
    assert caught.value.code == "NOTHING_REJECTED"


def test_the_workbook_has_a_sheet_for_each_sheet() -> None:
    made = service.rejected_rows(CLERK, "数据.xlsx", ROWS, ISSUES)
    assert made.name == "数据_未导入的行.xlsx"
    workbook = openpyxl.load_workbook(BytesIO(made.body))
    assert workbook.sheetnames == ["一月", "二月"]
    worksheet = workbook["一月"]
    assert [cell.value for cell in worksheet[4]] == [
        4, "=乙村", "(警告)像公式", "十二", "不是数\n另一个问题", None,
    ]  # fmt: skip
    assert worksheet["D4"].comment.text == "不是数\n另一个问题"
    assert worksheet["B4"].data_type == "s"


def test_every_issue_is_listed() -> None:
    sheet = listed("数据.xlsx", ISSUES)
    assert len(sheet.rows) == len(ISSUES)
    assert sheet.rows[1] == ("错误", "一月", 4, "人数", "值", "不是数", "CODE")
    assert sheet.rows[-1][1:4] == (None, None, None)
    made = service.issue_list(CLERK, "数据.xlsx", ISSUES, "csv")
    assert made.name == "数据_问题清单.csv"
    assert made.body.decode("utf-8-sig").count("\r\n") == len(ISSUES) + 3


def test_only_those_who_check_files_may_ask() -> None:
    with pytest.raises(NotAllowed):
        service.rejected_rows(VIEWER, "数据.xlsx", ROWS, ISSUES)
    with pytest.raises(NotAllowed):
        service.issue_list(VIEWER, "数据.xlsx", ISSUES, "csv")


def test_issues_of_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "数据.csv"
    path.write_text("代码,名称,级别\n131025000000,大城县,县\n,没有代码,村\n", encoding="utf-8")
    report = prepare(path, Request(dataset="places"), Known.nothing()).report
    assert report.has_errors
    bad = next(found for found in report.issues if found.severity is Severity.ERROR)
    assert bad.row == 3
    rows = [
        RejectedRow(bad.sheet, 2, {"代码": "131025000000", "名称": "大城县", "级别": "县"}),
        RejectedRow(bad.sheet, 3, {"代码": "", "名称": "没有代码", "级别": "村"}),
    ]
    (sheet,) = rejected(path.name, rows, report.issues)
    assert [row[0] for row in sheet.rows] == [3]
    assert bad.message in "".join(str(cell) for cell in sheet.rows[0])

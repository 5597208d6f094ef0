"""Workbooks and CSV: numbers as numbers, how they look, and what their metadata tell."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.worksheet.worksheet import Worksheet

from dashboard.reports import sheets
from dashboard.reports.model import AUTHOR, Column, Mark, Sheet, xml_text

SHEET = Sheet(
    "大城县 家庭医生签约率",
    (Column("地区"), Column("人数(人)", 0), Column("数值(%)", 1)),
    [("合计", 12345, 82.64), ("甲镇", None, "*"), ("乙镇", 7, 100.0)],
    notes=("第一行说明", "第二行说明"),
    totals=1,
    marks=(Mark(1, 0, "名称有误"),),
)


def opened(*tables: Sheet) -> openpyxl.Workbook:
    return openpyxl.load_workbook(BytesIO(sheets.xlsx(tables)))


@pytest.fixture(scope="module")
def worksheet() -> Worksheet:
    (found,) = opened(SHEET)
    return found


def test_a_workbook_holds_title_notes_heading_and_rows(worksheet: Worksheet) -> None:
    assert [[cell.value for cell in row] for row in worksheet.iter_rows()] == [
        ["大城县 家庭医生签约率", None, None],
        ["第一行说明", None, None],
        ["第二行说明", None, None],
        ["地区", "人数(人)", "数值(%)"],
        ["合计", 12345, 82.64],
        ["甲镇", None, "*"],
        ["乙镇", 7, 100],
    ]
    assert worksheet.title == "大城县 家庭医生签约率"


def test_it_is_ready_to_read_and_to_print(worksheet: Worksheet) -> None:
    assert worksheet.freeze_panes == "B5"
    assert worksheet.print_title_rows == "$4:$4"
    assert worksheet.sheet_properties.pageSetUpPr.fitToPage
    assert str(worksheet.page_setup.paperSize) == Worksheet.PAPERSIZE_A4
    assert "&P" in worksheet.oddFooter.center.text
    assert worksheet.column_dimensions["A"].width > 5
    assert {cell.font.name for row in worksheet.iter_rows() for cell in row if cell.value} == {
        "宋体"
    }


def test_numbers_are_numbers_with_their_decimals_on_the_right(worksheet: Worksheet) -> None:
    assert worksheet["B5"].number_format == "#,##0"
    assert worksheet["C5"].number_format == "#,##0.0"
    assert worksheet["C5"].alignment.horizontal == "right"
    assert worksheet["C6"].alignment.horizontal == "right"
    assert worksheet["A5"].alignment.horizontal == "left"
    assert worksheet["A5"].font.bold and not worksheet["A7"].font.bold


def test_a_marked_cell_is_coloured_and_commented(worksheet: Worksheet) -> None:
    assert worksheet["A6"].fill.fgColor.rgb == "00FFD9D9"
    assert worksheet["A6"].comment.text == "名称有误"
    assert worksheet["A7"].fill.fill_type is None and worksheet["A7"].comment is None


def test_a_thousand_comments_are_enough() -> None:
    count = sheets.COMMENTS + 5
    table = Sheet(
        "表", (Column("列"),), [("x",)] * count, marks=tuple(Mark(n, 0, "错") for n in range(count))
    )
    (worksheet,) = opened(table)
    cells = [cell for (cell,) in worksheet.iter_rows(min_row=3)]
    assert all(cell.fill.fill_type == "solid" for cell in cells)
    assert sum(cell.comment is not None for cell in cells) == sheets.COMMENTS


def test_metadata_name_the_program_only() -> None:
    body = sheets.xlsx([SHEET])
    about = openpyxl.load_workbook(BytesIO(body)).properties
    assert about.creator == about.lastModifiedBy == AUTHOR
    with ZipFile(BytesIO(body)) as file:
        everything = b"".join(file.read(name) for name in file.namelist()).lower()
    for trace in (b"/home/", b"/root/", str(Path.cwd()).encode().lower()):
        assert trace not in everything


def test_worksheets_get_names_that_excel_accepts() -> None:
    titles = ["甲[乙]:*?/\\" * 5, "甲[乙]:*?/\\" * 5, "'引号'", "", "\x00"]
    names = opened(*(Sheet(title, (Column("列"),), []) for title in titles)).sheetnames
    assert len(set(map(str.casefold, names))) == len(titles)
    for name in names:
        assert 0 < len(name) <= 31 and not set(name) & set("[]:*?/\\")
        assert not name.startswith("'")


def test_a_text_longer_than_a_cell_ends_with_a_mark() -> None:
    (worksheet,) = opened(Sheet("表", (Column("列"),), [("长" * 40_000,)]))
    assert worksheet["A3"].value == "长" * (sheets.LONGEST_TEXT - 1) + "…"


def test_csv_is_for_spreadsheets_and_programs() -> None:
    body = sheets.csv_file([SHEET])
    assert body.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in body
    rows = list(csv.reader(StringIO(body.decode("utf-8-sig"), newline="")))
    assert rows[3:] == [
        ["地区", "人数(人)", "数值(%)"],
        ["合计", "12345", "82.6"],
        ["甲镇", "", "*"],
        ["乙镇", "7", "100.0"],
    ]


def test_negative_numbers_in_csv_stay_numbers() -> None:
    table = Sheet("表", (Column("变化", 1),), [(-1.25,), ("-1.25",)])
    rows = list(csv.reader(StringIO(sheets.csv_file([table]).decode("utf-8-sig"))))
    assert rows[2:] == [["-1.2"], ["'-1.25"]]


@given(st.text(max_size=30))
def test_every_text_comes_back_from_csv(text: str) -> None:
    assert sheets.csv_text(sheets.csv_cell(text)) == xml_text(text)

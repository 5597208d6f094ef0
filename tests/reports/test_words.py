"""Word documents: what they hold, how they look, what their metadata tell."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH

from dashboard.reports import words
from dashboard.reports.model import AUTHOR, Column, Sheet
from geodata.errors import DudaoError

SHEET = Sheet(
    "大城县 家庭医生签约率",
    (Column("地区"), Column("人数(人)", 0), Column("数值(%)", 1)),
    [("合计", 12345, 82.64), ("甲镇", None, "*")],
    notes=("说明",),
    totals=1,
)


def test_a_document_holds_title_notes_and_the_table() -> None:
    document = Document(BytesIO(words.docx([SHEET])))
    assert [paragraph.text for paragraph in document.paragraphs] == [SHEET.title, "说明"]
    (table,) = document.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["地区", "人数(人)", "数值(%)"],
        ["合计", "12,345", "82.6"],
        ["甲镇", "", "*"],
    ]


def test_it_is_ready_to_print() -> None:
    document = Document(BytesIO(words.docx([SHEET])))
    assert document.sections[0].orientation == WD_ORIENT.LANDSCAPE
    assert document.styles["Normal"].font.name == "宋体"
    (table,) = document.tables
    assert "tblHeader" in table.rows[0]._tr.xml
    name, number, _ = table.rows[1].cells
    assert number.paragraphs[0].alignment == WD_ALIGN_PARAGRAPH.RIGHT
    assert name.paragraphs[0].alignment is None
    assert name.paragraphs[0].runs[0].bold
    page = document.sections[0]
    room = page.page_width - page.left_margin - page.right_margin
    assert sum(cell.width for cell in table.rows[0].cells) == pytest.approx(room, rel=0.01)


def test_metadata_name_the_program_only() -> None:
    body = words.docx([SHEET])
    about = Document(BytesIO(body)).core_properties
    assert about.author == about.last_modified_by == AUTHOR
    assert about.comments == ""
    with ZipFile(BytesIO(body)) as file:
        everything = b"".join(file.read(name) for name in file.namelist()).lower()
    for trace in (b"/home/", b"/root/", str(Path.cwd()).encode().lower(), b"python-docx"):
        assert trace not in everything


def test_too_many_rows_are_refused() -> None:
    rows = [("甲",)] * (words.LONGEST + 1)
    with pytest.raises(DudaoError) as caught:
        words.docx([Sheet("表", (Column("列"),), rows)])
    assert caught.value.code == "TOO_MANY_ROWS"

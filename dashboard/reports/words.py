"""Tables as Word documents. Texts go in through python-docx, which escapes them.

There are no templates from users: a template is a program, and nobody checks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from docx import Document
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Emu, Mm, Pt
from docx.table import Table, _Row
from docx.text.paragraph import Paragraph

from dashboard.reports.model import AUTHOR, Cell, Column, Sheet, local_now, xml_text
from geodata.errors import DudaoError

LONGEST = 1_000
"""Rows in one document: more take Word minutes to lay out."""

_FONT = "宋体"
_LONG, _SHORT, _MARGIN = Mm(297), Mm(210), Mm(15)


def docx(sheets: Sequence[Sheet], template: object = None) -> bytes:
    """A document with one table after the other.

    Raises:
        DudaoError: TEMPLATE_REFUSED, a template was given; TOO_MANY_ROWS.
    """
    if template is not None:
        raise DudaoError(
            "TEMPLATE_REFUSED",
            "不接受自带的 Word 模板：模板中可以藏有会被执行的内容。",
            "请直接导出，需要的版式请在导出的文件中调整。",
        )
    rows = sum(len(sheet.rows) for sheet in sheets)
    if rows > LONGEST:
        raise DudaoError(
            "TOO_MANY_ROWS",
            f"表格有 {rows:,} 行，Word 文件最多 {LONGEST:,} 行。",
            "请改为导出 xlsx。",
        )
    document = Document()
    about = document.core_properties
    about.author = about.last_modified_by = AUTHOR
    about.title, about.comments = xml_text(sheets[0].title)[:255], ""
    about.created = about.modified = local_now().replace(tzinfo=None)
    page = document.sections[0]
    page.orientation = WD_ORIENT.LANDSCAPE
    page.page_width, page.page_height = _LONG, _SHORT
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = _MARGIN
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = _FONT, Pt(10.5)
    normal.paragraph_format.space_after = Pt(2)
    normal.element.rPr.rFonts.set(qn("w:eastAsia"), _FONT)
    for sheet in sheets:
        _line(document.add_paragraph(), sheet.title, size=16, bold=True)
        for note in sheet.notes:
            _line(document.add_paragraph(), note, size=9)
        table = document.add_table(1, len(sheet.columns), style="Table Grid")
        _table(table, sheet, _LONG - 2 * _MARGIN)
    body = BytesIO()
    document.save(body)
    return body.getvalue()


def _line(paragraph: Paragraph, text: str, size: float | None = None, bold: bool = False) -> None:
    run = paragraph.add_run(xml_text(text).replace("\r\n", "\n"))
    if bold:
        run.bold = True
    if size is not None:
        run.font.size = Pt(size)


def _table(table: Table, sheet: Sheet, room: int) -> None:
    table.autofit = False
    asked = sheet.widths()
    head = table.rows[0]
    for index, (cell, column) in enumerate(zip(head.cells, sheet.columns, strict=True)):
        # Rows added later take the widths of the columns.
        table.columns[index].width = cell.width = Emu(round(room * asked[index] / sum(asked)))
        _line(cell.paragraphs[0], column.title, bold=True)
        cell.paragraphs[0].alignment = WD_ALIGN_PARAGRAPH.CENTER
    head._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    for number, row in enumerate(sheet.rows):
        added: _Row = table.add_row()  # type: ignore[no-untyped-call]
        for cell, column, value in zip(added.cells, sheet.columns, row, strict=True):
            (paragraph,) = cell.paragraphs
            _line(paragraph, _written(column, value), bold=number < sheet.totals)
            if column.decimals is not None:
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT


def _written(column: Column, value: Cell) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:,.{column.places(value)}f}"

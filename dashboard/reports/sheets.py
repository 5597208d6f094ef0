"""Tables as workbooks and CSV. What came from a file stays text: nothing becomes a formula.

A workbook stores each text as a text, with the mark that keeps Excel from reading it anew when it
is edited (``quotePrefix``); the text itself is unchanged. It is the format to offer.

CSV has no types: Excel runs ``=…`` even in quotation marks. A text that a spreadsheet could take
for a formula, and one that begins with an apostrophe, gets one apostrophe in front (what OWASP
ASVS 1.2.10 asks for), so ``csv_text`` gives every text back exactly: one leading apostrophe, if
there is one, is not part of it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from unicodedata import category, normalize

from openpyxl import Workbook
from openpyxl.cell import Cell as XlsxCell
from openpyxl.cell import WriteOnlyCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.styles.cell_style import StyleArray
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.header_footer import HeaderFooterItem, _HeaderFooterPart
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from dashboard.reports.model import AUTHOR, Cell, Column, Mark, Sheet, local_now, xml_text

LONGEST_TEXT = 32_767
"""Excel's limit of characters in a cell."""

COMMENTS = 1_000
"""Cells that carry a comment; more make a workbook that opens slowly. All are coloured."""

_FONT = "宋体"
_HEAD_HEIGHT = 30
"""Points: room for a heading of two lines."""
_LINE = Side(style="thin", color="BFBFBF")
_BORDER = Border(left=_LINE, right=_LINE, top=_LINE, bottom=_LINE)
_TITLE, _PLAIN, _BOLD = (
    Font(name=_FONT, size=14, bold=True),
    Font(name=_FONT, size=10.5),
    Font(name=_FONT, size=10.5, bold=True),
)
_NOTE = Font(name=_FONT, size=9, color="595959")
_HEAD_FILL, _TOTAL_FILL, _MARK_FILL = (
    PatternFill("solid", fgColor=colour) for colour in ("DCE6F1", "F2F2F2", "FFD9D9")
)
_LEFT = Alignment(horizontal="left", vertical="top", wrap_text=True)
_RIGHT = Alignment(horizontal="right", vertical="top")
_CENTRE = Alignment(horizontal="center", vertical="center", wrap_text=True)

_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_MARKS = frozenset("=+-@")


def xlsx(sheets: Sequence[Sheet]) -> bytes:
    """A workbook with one worksheet for each table."""
    workbook = Workbook(write_only=True)
    workbook.properties.creator = workbook.properties.lastModifiedBy = AUTHOR
    workbook.properties.title = xml_text(sheets[0].title)
    workbook.properties.created = workbook.properties.modified = local_now().replace(tzinfo=None)
    taken: set[str] = set()
    for sheet in sheets:
        _write(workbook.create_sheet(_sheet_name(sheet.title, taken)), sheet)
    body = BytesIO()
    workbook.save(body)
    return body.getvalue()


def _sheet_name(title: str, taken: set[str]) -> str:
    """A name Excel accepts: 31 characters, unlike the others, no quotes at its ends."""
    plain = _SHEET_NAME.sub(" ", xml_text(title)).strip(" '")[:31] or "Sheet"
    name, number = plain, 2
    while name.casefold() in taken:
        name, number = f"{plain[:27]} {number}", number + 1
    taken.add(name.casefold())
    return name


def _write(worksheet: Worksheet, sheet: Sheet) -> None:
    head = 1 + len(sheet.notes) + 1
    worksheet.freeze_panes = f"B{head + 1}"
    worksheet.print_title_rows = f"{head}:{head}"
    worksheet.page_setup.orientation = "landscape" if len(sheet.columns) > 6 else "portrait"
    worksheet.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    worksheet.page_setup.fitToHeight = 0
    worksheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    worksheet.oddFooter = HeaderFooterItem(center=_HeaderFooterPart("第 &P 页，共 &N 页"))
    for index, width in enumerate(sheet.widths()):
        worksheet.column_dimensions[get_column_letter(index + 1)].width = width
    worksheet.row_dimensions[head].height = _HEAD_HEIGHT
    make = _Cells(worksheet)
    worksheet.append([make.text(sheet.title, _Look(_TITLE))])
    for note in sheet.notes:
        worksheet.append([make.text(note, _Look(_NOTE))])
    worksheet.append([make.text(column.title, _HEADING) for column in sheet.columns])
    marks = {(mark.row, mark.column): mark for mark in sheet.marks}
    commented = {(mark.row, mark.column) for mark in sheet.marks[:COMMENTS]}
    for number, row in enumerate(sheet.rows):
        cells = []
        for position, (column, value) in enumerate(zip(sheet.columns, row, strict=True)):
            mark = marks.get((number, position))
            cell = make.cell(column, value, total=number < sheet.totals, marked=mark is not None)
            if mark is not None and (number, position) in commented:
                cell.comment = _comment(mark)
            cells.append(cell)
        worksheet.append(cells)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a cell looks."""

    font: Font
    fill: PatternFill | None = None
    border: Border | None = None
    alignment: Alignment | None = None
    number_format: str = "General"


_HEADING = _Look(_BOLD, _HEAD_FILL, _BORDER, _CENTRE)


class _Cells:
    """Makes the cells of one worksheet; each look is registered once, for that takes time."""

    def __init__(self, worksheet: Worksheet) -> None:
        self._worksheet = worksheet
        self._styles: dict[tuple[object, ...], StyleArray] = {}

    def text(self, text: str, look: _Look) -> XlsxCell:
        """A cell that holds a text and nothing else, whatever the text looks like."""
        written = xml_text(text)
        if len(written) > LONGEST_TEXT:
            written = f"{written[: LONGEST_TEXT - 1]}…"
        # Of a text such as _x0041_ Excel would make a character. openpyxl takes "=…" for a formula
        # and "#N/A" for an error until told that it is a text.
        cell = self._new(_ESCAPED.sub("_x005F_", written), look, quoted=_looks_live(written))
        cell.data_type = "s"
        return cell

    def cell(self, column: Column, value: Cell, *, total: bool, marked: bool) -> XlsxCell:
        """A cell of the table."""
        places = column.places(value) if isinstance(value, int | float) else 0
        number = "#,##0" + (f".{'0' * places}" if places else "")
        look = _Look(
            _BOLD if total else _PLAIN,
            _MARK_FILL if marked else _TOTAL_FILL if total else None,
            _BORDER,
            _LEFT if column.decimals is None else _RIGHT,
            number if isinstance(value, int | float) else "General",
        )
        if isinstance(value, str):
            return self.text(value, look)
        return self._new(value, look, quoted=False)

    def _new(self, value: Cell, look: _Look, quoted: bool) -> XlsxCell:
        cell = WriteOnlyCell(self._worksheet, value)
        # By identity: the parts are this module's constants, and comparing them is what is slow.
        parts = (look.font, look.fill, look.border, look.alignment)
        key = (*map(id, parts), look.number_format, quoted)
        found = self._styles.get(key)
        if found is not None:
            cell._style = found  # type: ignore[attr-defined]
            return cell
        cell.font, cell.number_format, cell.quotePrefix = look.font, look.number_format, quoted
        if look.fill is not None:
            cell.fill = look.fill
        if look.border is not None:
            cell.border = look.border
        if look.alignment is not None:
            cell.alignment = look.alignment
        self._styles[key] = cell._style  # type: ignore[attr-defined]
        return cell


def _comment(mark: Mark) -> Comment:
    text = xml_text(mark.comment)
    return Comment(text, AUTHOR, width=320, height=40 + 20 * (len(text) // 20 + text.count("\n")))


def _looks_live(text: str) -> bool:
    """Whether a spreadsheet could take the text for something to run.

    The first character that prints decides, in any width; a line break or a tabulator in front is
    enough by itself.
    """
    if text[:1] in ("\t", "\r", "\n"):
        return True
    printed = next((c for c in text if category(c)[0] not in "CZ"), "")
    return normalize("NFKC", printed)[:1] in _MARKS


def csv_cell(text: str) -> str:
    """The text as it is written to CSV; ``csv_text`` gives it back."""
    written = xml_text(text)
    return f"'{written}" if written.startswith("'") or _looks_live(written) else written


def csv_text(written: str) -> str:
    """The text that ``csv_cell`` wrote."""
    return written.removeprefix("'")


def csv_file(sheets: Sequence[Sheet]) -> bytes:
    """CSV in UTF-8 with a byte order mark, for Excel and WPS; texts in quotes, numbers without.

    Several tables follow each other with an empty line between.
    """
    stream = StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC)
    for number, sheet in enumerate(sheets):
        if number:
            stream.write("\r\n")
        writer.writerows(_csv_rows(sheet))
    return stream.getvalue().encode("utf-8-sig")


def _csv_rows(sheet: Sheet) -> Iterator[Iterable[Cell]]:
    for line in (sheet.title, *sheet.notes):
        yield [csv_cell(line)]
    yield [csv_cell(column.title) for column in sheet.columns]
    for row in sheet.rows:
        yield [
            csv_cell(value) if isinstance(value, str) else _number(column, value)
            for column, value in zip(sheet.columns, row, strict=True)
        ]


def _number(column: Column, value: float | None) -> Cell:
    if value is None:
        return ""
    places = column.places(value)
    return round(value, places) if places else round(value)

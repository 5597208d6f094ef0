"""The first rows of a sheet as they were read, with what each column was taken for."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.intake.model import Checked
from dashboard.ui import blocks, datawords, format
from dashboard.ui.texts import _
from loaders.masking import mask_text
from loaders.model import ReadSheet, Severity
from loaders.table import Table

_ROWS, _COLUMNS, _TEXT, _SKIPPED = 12, 24, 40, 6
_LOOKED_AT = 1_000
"""Issues of a block that are looked at for cells to mark: the first rows have the first issues."""

_Row = tuple[int, list[str], tuple[bool, ...]]


def markup(checked: Checked, sheet: ReadSheet) -> str:
    """The table; cells with an error stand out, identity and telephone numbers are masked."""
    if sheet.table is None:
        return _headless_markup(sheet)
    table = sheet.table
    wide = min(len(table.headings), _COLUMNS)
    meanings = sheet.read_as or (None,) * len(table.headings)
    dataset = checked.report.dataset
    return blocks.render(
        "data_preview.html",
        name=sheet.name,
        head=_head_words(table),
        headings=[
            (
                heading,
                None if meaning is None else datawords.column_title(dataset, meaning),
                meaning,
            )
            for heading, meaning in zip(table.headings[:wide], meanings[:wide], strict=True)
        ],
        rows=_rows(checked, sheet, table, wide),
        skipped=[
            _("第 {row} 行 {reason}：{text}").format(
                row=one.row, reason=_skipped_reason(one.reason), text=_shown(one.text)
            )
            for one in table.skipped[:_SKIPPED]
        ],
        more=len(table.headings) - wide,
    )


def _headless_markup(sheet: ReadSheet) -> str:
    rows: list[_Row] = [
        (at + 1, [_shown(text) for text in cells[:_COLUMNS]], ())
        for at, cells in enumerate(sheet.top[:_ROWS])
    ]
    return blocks.render(
        "data_preview.html",
        name=sheet.name,
        head=_("没有找到表头；下面是文件最前面的几行。"),
        headings=(),
        rows=rows,
        skipped=(),
        more=0,
    )


def _rows(checked: Checked, sheet: ReadSheet, table: Table, wide: int) -> list[_Row]:
    numbers = table.rows[:_ROWS].tolist()
    wrong = _wrong_cells(checked, sheet, set(numbers))
    columns = [column.texts()[:_ROWS] for column in table.columns[:wide]]
    return [
        (
            row,
            [_shown(str(cells[at])) for cells in columns],
            tuple(
                (row, table.headings[column]) in wrong or (row, None) in wrong
                for column in range(wide)
            ),
        )
        for at, row in enumerate(numbers)
    ]


def _wrong_cells(checked: Checked, sheet: ReadSheet, rows: set[int]) -> set[tuple[int, str | None]]:
    """(row, heading) of the cells of some rows that have an error; None: the whole row."""
    found: set[tuple[int, str | None]] = set()
    for block in checked.report.issues.blocks:
        if block.severity is not Severity.ERROR:
            continue
        for at, row in enumerate(block.rows[:_LOOKED_AT].tolist()):
            if row in rows:
                issue = block.issue(at)
                if issue.sheet in (sheet.name, None):
                    found.add((row, issue.column))
    return found


def span_words(rows: Sequence[int]) -> str:
    """``3`` or ``3-4``."""
    return str(rows[0]) if rows[0] == rows[-1] else f"{rows[0]}-{rows[-1]}"


def _head_words(table: Table) -> str:
    count = format.number(len(table))
    if not table.header_rows:
        return _("共 {count} 条").format(count=count)
    return _("表头在第 {rows} 行，数据 {count} 行").format(
        rows=span_words(table.header_rows), count=count
    )


def _skipped_reason(reason: str) -> str:
    return {
        "title": _("标题"),
        "blank": _("空行"),
        "total": _("合计"),
        "note": _("备注"),
        "numbering": _("编号行"),
        "section": _("分段标题"),
    }.get(reason, reason)


def _shown(text: str) -> str:
    masked = mask_text(text)
    return masked if len(masked) <= _TEXT else f"{masked[:_TEXT]}…"

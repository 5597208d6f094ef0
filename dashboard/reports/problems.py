"""What was wrong in an uploaded file: every issue, and the rejected rows beside their reasons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dashboard.reports.model import Cell, Column, Mark, Sheet
from geodata.errors import DudaoError
from loaders.model import Issue, Severity

_SEVERITIES = {Severity.ERROR: "错误", Severity.WARNING: "警告", Severity.INFO: "提示"}
_LIST = (
    Column("级别", width=8),
    Column("工作表"),
    Column("行", 0),
    Column("列"),
    Column("原值"),
    Column("说明"),
    Column("代码"),
)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One row as it stands in the uploaded file.

    Attributes:
        sheet: the worksheet's name, None where the format has none.
        row: its number as a person sees it, from 1.
        cells: text by heading, in the file's order.
    """

    sheet: str | None
    row: int
    cells: Mapping[str, str]


def listed(file: str, issues: Iterable[Issue]) -> Sheet:
    """Every issue, a row each."""
    rows: list[Sequence[Cell]] = [
        (
            _SEVERITIES[issue.severity],
            issue.sheet,
            issue.row,
            issue.column,
            issue.value,
            issue.message,
            issue.code,
        )
        for issue in issues
    ]
    return Sheet(f"{file} 问题清单", _LIST, rows, notes=(f"共 {len(rows):,} 条",))


def rejected(file: str, rows: Iterable[RejectedRow], issues: Iterable[Issue]) -> list[Sheet]:
    """A table for each worksheet with rejected rows, in the order they come.

    Behind the row's number stand the file's own columns, each that has problems followed by a
    column that says which; problems of a whole row come last. Offending cells are marked.

    Raises:
        DudaoError: NOTHING_REJECTED.
    """
    found: dict[tuple[str | None, int], list[Issue]] = defaultdict(list)
    for issue in issues:
        if issue.row is not None:
            found[issue.sheet, issue.row].append(issue)
    bad = {key for key, those in found.items() if any(_is_error(issue) for issue in those)}
    by_sheet: dict[str | None, list[RejectedRow]] = defaultdict(list)
    for row in rows:
        if (row.sheet, row.row) in bad:
            by_sheet[row.sheet].append(row)
    if not by_sheet:
        raise DudaoError(
            "NOTHING_REJECTED",
            f"{file} 没有被拒绝的行。",
            "其余问题请见问题清单。",
        )
    return [
        _rejected_sheet(file, sheet, taken, [found[sheet, row.row] for row in taken])
        for sheet, taken in by_sheet.items()
    ]


def _is_error(issue: Issue) -> bool:
    return issue.severity is Severity.ERROR


def _rejected_sheet(
    file: str, name: str | None, rows: Sequence[RejectedRow], issues: Sequence[Sequence[Issue]]
) -> Sheet:
    headings = list(dict.fromkeys(heading for row in rows for heading in row.cells))
    troubled = {issue.column for those in issues for issue in those}
    columns, at = [Column("原行号", 0)], {}
    for heading in headings:
        at[heading] = len(columns)
        columns.append(Column(heading))
        if heading in troubled:
            columns.append(Column(f"问题({heading})"))
    columns.append(Column("问题(整行)"))
    written: list[list[Cell]] = []
    marks: list[Mark] = []
    for number, (row, those) in enumerate(zip(rows, issues, strict=True)):
        cells: list[Cell] = [row.row, *[None] * (len(columns) - 1)]
        for heading, text in row.cells.items():
            cells[at[heading]] = text
        reasons: dict[str | None, list[str]] = defaultdict(list)
        for issue in those:
            reasons[issue.column if issue.column in at else None].append(_reason(issue))
        for column, said in reasons.items():
            text = "\n".join(dict.fromkeys(said))
            if column is None:
                cells[-1] = text
            else:
                cells[at[column] + 1] = text
                marks.append(Mark(number, at[column], text))
        written.append(cells)
    where = file if name is None else f"{file} / {name}"
    return Sheet(
        title=name or file,
        columns=tuple(columns),
        rows=written,
        notes=(f"{where}：{len(rows):,} 行未能导入。标红的单元格有误，原因在其右侧一列。",),
        marks=tuple(marks),
    )


def _reason(issue: Issue) -> str:
    return issue.message if _is_error(issue) else f"({_SEVERITIES[issue.severity]}){issue.message}"

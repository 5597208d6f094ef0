"""Where a sheet's header and data are, among title, unit, total and note rows.

Works on any statistical table without knowing what it is about; the words the registry knows only
settle what is in doubt.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

from loaders.fold import fold, plain, without_brackets
from loaders.model import SheetTable, SkippedRow
from loaders.table import Factor, Flags, RawSheet, Table

_MOST_HEADER_ROWS = 6
_NUMBER = re.compile(r"[+-]?(\d[\d,]*)?(\.\d+)?(e[+-]?\d+)?%?")
_YEAR = re.compile(r"(19[5-9]\d|20\d\d)(\.0+)?")
_PREAMBLE = re.compile(
    r".*[:：].*|\d{4}[-/.年]\d{1,2}([-/.月]\d{0,2}日?)?|\d{4}年(度)?|第?\d+页.*|共\d+页", re.DOTALL
)
_TOTAL = re.compile(r".{0,12}(合计|小计|总计|共计)[:(（]?.{0,4}")
_NOTE = re.compile(
    r"(注|备注|说明|附注)\s*\d*\s*([:.、]|$)"
    r"|(数据来源|资料来源|来源|填表人?|填报人|制表人?|审核人?|审批人?|复核人?|(单位|统计|填报)?负责人"
    r"|填报单位|填报日期|填表日期|报送日期|报出日期|制表日期|联系电话|联系人)\s*([:\s]|$)"
)
# First characters of the words in _NOTE, so that a million names are passed over quickly.
_NOTE_STARTS = frozenset("注备说附数资来填制审复单统负报联 \u3000")
_ORDINALS = frozenset("甲乙丙丁")
_TOTAL_COLUMNS = 3
_NOTE_CELLS = 4
_SHOWN_TEXT = 60


def inspect_sheet(sheet: RawSheet, vocabulary: Collection[str] = ()) -> SheetTable:
    """What is detected in one sheet; no header rows when none was found."""
    table = locate(sheet, vocabulary)
    if table is None:
        return SheetTable(sheet.name, (), (), 0, ())
    return SheetTable(sheet.name, table.header_rows, table.headings, len(table), table.skipped)


def locate(
    sheet: RawSheet, vocabulary: Collection[str] = (), said: tuple[int, int] | None = None
) -> Table | None:
    """Find the header and sort the rows below it.

    Args:
        vocabulary: folded headings some dataset knows.
        said: first and last header row (1-based) the person pointed at.

    Returns:
        the table, or None when the sheet has no header row.
    """
    if sheet.headings is not None:
        return _layer(sheet, sheet.headings)
    head = sheet.head()
    grid = _Grid(head, sheet.merges)
    span = grid.header(vocabulary) if said is None else (said[0] - 1, said[1] - 1)
    if span is None or not 0 <= span[0] <= span[1] < grid.height:
        return None
    first, last = span
    levels = [grid.levels(column, first, last) for column in range(grid.width)]
    wanted = [
        position
        for position, column in enumerate(sheet.columns)
        if levels[position] or _has_words(column, last + 1)
    ]
    columns = tuple(sheet.columns[position] for position in wanted)
    kept, skipped = _sort_rows(sheet, columns, grid, first, last)
    return Table(
        sheet=sheet.name,
        headings=tuple(" ".join(levels[position]) or f"第{position + 1}列" for position in wanted),
        levels=tuple(levels[position] for position in wanted),
        header_rows=tuple(range(first + 1, last + 2)),
        rows=np.flatnonzero(kept) + 1,
        columns=tuple(
            _filled_down(column, position, last, sheet.merges).take(kept)
            for position, column in zip(wanted, columns, strict=True)
        ),
        skipped=skipped,
        titles=grid.titles(first),
    )


def _layer(sheet: RawSheet, headings: tuple[str, ...]) -> Table:
    return Table(
        sheet=sheet.name,
        headings=headings,
        levels=tuple((heading,) for heading in headings),
        header_rows=(),
        rows=np.arange(1, sheet.height + 1, dtype=np.int64),
        columns=sheet.columns,
        geometries=sheet.geometries,
        unreadable=sheet.unreadable,
        crs=sheet.crs,
    )


def _filled_down(
    column: Factor, position: int, last: int, merges: Sequence[tuple[int, int, int, int]]
) -> Factor:
    """A label merged over several rows of one column belongs to each of them; a figure does not."""
    codes = column.codes
    for top, left, bottom, right in merges:
        if left == right == position and last < top < bottom and top < len(column):
            word = str(column.words[column.codes[top]])
            if word and not _is_number(plain(word)):
                codes = codes.copy() if codes is column.codes else codes
                codes[top : bottom + 1] = codes[top]
    return Factor(codes, column.words)


def _has_words(column: Factor, start: int) -> bool:
    return bool((column.words != "")[column.codes[start:]].any())


def _is_number(text: str) -> bool:
    return any(char.isdigit() for char in text) and bool(_NUMBER.fullmatch(text.lower()))


class _Grid:
    """The first rows of a sheet as plain texts, and the same with merged ranges filled."""

    def __init__(
        self, head: Sequence[Sequence[str]], merges: Sequence[tuple[int, int, int, int]]
    ) -> None:
        self.cells = [[plain(text) for text in row] for row in head]
        self.height = len(self.cells)
        self.width = len(self.cells[0]) if self.cells else 0
        # Real files carry ranges far outside the used area: those are cut or dropped.
        self.merges = [
            (top, left, min(bottom, self.height - 1), min(right, self.width - 1))
            for top, left, bottom, right in merges
            if top < self.height and left < self.width
        ]
        self.filled = [list(row) for row in self.cells]
        for top, left, bottom, right in self.merges:
            for row in range(top, bottom + 1):
                for column in range(left, right + 1):
                    self.filled[row][column] = self.cells[top][left]

    def header(self, vocabulary: Collection[str]) -> tuple[int, int] | None:
        """First and last header row, 0-based, or None."""
        hits = [self._hits(row, vocabulary) for row in range(self.height)]
        best = max(range(self.height), key=hits.__getitem__, default=0)
        sure = bool(hits) and hits[best] >= 2
        first = 0
        while first < self.height and (self.blank(first) or self._preamble(first)):
            first += 1
        last = self._last(first) if first < self.height else first
        if sure and not first <= best <= last:
            first = best
            while first > 0 and not self.blank(first - 1) and not self._preamble(first - 1):
                first -= 1
            last = self._last(best)
        elif first >= self.height or (self._has_numbers(first) and not sure):
            return None
        return first, last

    def _last(self, first: int) -> int:
        last = first
        while (
            last + 1 < self.height
            and last - first + 1 < _MOST_HEADER_ROWS
            and self._continues(first, last + 1)
        ):
            last += 1
        return last

    def _hits(self, row: int, vocabulary: Collection[str]) -> int:
        found = 0
        for text in set(self.cells[row]):
            folded = fold(text)
            found += bool(folded) and (
                folded in vocabulary or without_brackets(folded) in vocabulary
            )
        return found

    def blank(self, row: int) -> bool:
        return not any(self.cells[row])

    def _has_numbers(self, row: int) -> bool:
        return any(_is_number(text) and not _YEAR.fullmatch(text) for text in self.cells[row])

    def _preamble(self, row: int) -> bool:
        """Whether a row is a title, a unit line or a form line, and no header."""
        texts = [text for text in self.cells[row] if text]
        if len(texts) > _NOTE_CELLS:
            return False
        if all(_PREAMBLE.fullmatch(text) for text in texts):
            return True
        if len(texts) > 1 or self.width < 2:
            return False
        column = self.cells[row].index(texts[0])
        across = [
            right - left + 1
            for top, left, bottom, right in self.merges
            if top <= row <= bottom and left == column
        ]
        if across and bool(self.cells[row][column]) and max(across) > 1:
            return max(across) * 2 >= self.width
        return column == 0 or not self._numbers_below(row, column)

    def _numbers_below(self, row: int, column: int) -> bool:
        return any(
            _is_number(self.cells[below][column])
            for below in range(row + 1, min(row + 4, self.height))
        )

    def _continues(self, first: int, row: int) -> bool:
        """Whether ``row`` is a further header row of the header that began at ``first``."""
        if self.blank(row) or self._has_numbers(row):
            return False
        covered = any(
            first <= top < row <= bottom and bottom > top for top, _, bottom, _ in self.merges
        )
        if covered:
            return True
        starts = next((index for index, text in enumerate(self.filled[first]) if text), 0)
        in_merge = any(
            top <= row <= bottom and left <= starts <= right
            for top, left, bottom, right in self.merges
        )
        if not self.cells[row][starts] and not in_merge:
            return True
        return self._texts_above_numbers(row)

    def _texts_above_numbers(self, row: int) -> bool:
        texts = [column for column, text in enumerate(self.cells[row]) if text]
        above = 0
        for column in texts:
            below = [
                self.cells[later][column]
                for later in range(row + 1, min(row + 11, self.height))
                if self.cells[later][column]
            ]
            numbers = sum(map(_is_number, below))
            above += bool(below) and numbers >= 0.6 * len(below)
        return above > 0 and above * 2 >= len(texts)

    def levels(self, column: int, first: int, last: int) -> tuple[str, ...]:
        """The header texts over one column from the top, repetitions dropped."""
        found: list[str] = []
        for row in range(first, last + 1):
            text = self.filled[row][column] or self._group(row, column, last)
            if text and text not in found[-1:]:
                found.append(text.removesuffix(".0") if _YEAR.fullmatch(text) else text)
        return tuple(found)

    def _group(self, row: int, column: int, last: int) -> str:
        """The group a blank upper cell belongs to, in files that cannot merge cells."""
        if row == last or any(top <= row <= bottom for top, _, bottom, _ in self.merges):
            return ""
        if not any(self.cells[below][column] for below in range(row + 1, last + 1)):
            return ""
        left = column
        while left > 0 and not self.cells[row][left]:
            left -= 1
        below = any(self.cells[later][left] for later in range(row + 1, last + 1))
        return self.cells[row][left] if below else ""

    def titles(self, first: int) -> tuple[str, ...]:
        """The texts above the header."""
        return tuple(text for row in self.cells[:first] for text in row if text)

    def text(self, row: int) -> str:
        """A row's texts in one, cut short, for the list of skipped rows."""
        return " ".join(text for text in self.cells[row] if text)[:_SHOWN_TEXT]

    def numbering(self, row: int) -> bool:
        """Whether a row only numbers the columns: 甲, 乙, 1, 2, 3 ..."""
        texts = [text for text in self.cells[row] if text]
        numbers = [text for text in texts if text not in _ORDINALS]
        counted = (
            [str(index + int(numbers[0])) for index in range(len(numbers))]
            if (numbers and numbers[0] in ("0", "1"))
            else []
        )
        return len(numbers) >= 3 and numbers == counted and len(texts) == self.width

    def section(self, row: int) -> bool:
        """Whether a row is one text merged over at least half the table."""
        texts = [text for text in self.cells[row] if text]
        return len(texts) == 1 and any(
            top == row and (right - left + 1) * 2 >= self.width and right > left
            for top, left, _, right in self.merges
        )


def _sort_rows(
    sheet: RawSheet, columns: tuple[Factor, ...], grid: _Grid, first: int, last: int
) -> tuple[Flags, tuple[SkippedRow, ...]]:
    """Which rows are data, and the others with the reason."""
    height = sheet.height
    kept = np.ones(height, dtype=bool)
    kept[: last + 1] = False
    filled = np.zeros(height, dtype=np.int32)
    for column in columns:
        filled += (column.words != "")[column.codes]
    reasons: dict[str, Flags] = {}

    def drop(reason: str, flags: Flags) -> None:
        flags &= kept
        reasons[reason] = reasons.get(reason, np.zeros(height, dtype=bool)) | flags
        kept[flags] = False

    drop("blank", filled == 0)
    for row in range(last + 1, min(grid.height, height)):
        if row == last + 1 and grid.numbering(row):
            drop("numbering", _only(row, height))
        elif grid.section(row):
            drop("section", _only(row, height))
    total = np.zeros(height, dtype=bool)
    for column in columns[:_TOTAL_COLUMNS]:
        total |= column.where(np.array([_is_total(word) for word in _short(column)], dtype=bool))
    drop("total", total)
    drop("note", _notes(columns, filled))
    drop("title", _repeated_header(columns, last))

    skipped = [
        SkippedRow(row + 1, "blank" if grid.blank(row) else "title", grid.text(row))
        for row in range(first)
    ]
    for reason, flags in reasons.items():
        skipped += [
            SkippedRow(int(row) + 1, reason, _row_text(columns, int(row)))
            for row in np.flatnonzero(flags)
        ]
    skipped.sort(key=lambda one: one.row)
    return kept, tuple(skipped)


def _only(row: int, height: int) -> Flags:
    flags = np.zeros(height, dtype=bool)
    flags[row] = True
    return flags


def _short(column: Factor) -> list[str]:
    """Words short enough to be a label; others, and plain numbers, as empty texts."""
    return ["" if len(word) > 40 or word.isdecimal() else word for word in column.words.tolist()]


def _is_total(word: str) -> bool:
    return ("计" in word) and _TOTAL.fullmatch(fold(word)) is not None


def _notes(columns: tuple[Factor, ...], filled: np.ndarray) -> Flags:
    """Note rows: begin with 注：, 数据来源： and so on, and lone texts after the first of them."""
    height = len(filled)
    notes = np.zeros(height, dtype=bool)
    nothing_before = np.ones(height, dtype=bool)
    for column in columns:
        marks = np.array([_is_note(word) for word in column.words.tolist()], dtype=bool)
        notes |= nothing_before & column.where(marks)
        nothing_before &= column.where(column.words == "")
        if not nothing_before.any():
            break
    notes &= filled <= _NOTE_CELLS
    if notes.any():
        after = np.arange(height) > int(np.flatnonzero(notes)[0])
        notes |= after & (filled == 1)
    return notes


def _is_note(word: str) -> bool:
    return word[:1] in _NOTE_STARTS and _NOTE.match(plain(word)) is not None


def _repeated_header(columns: tuple[Factor, ...], last: int) -> Flags:
    """Rows that repeat the last header row, as printed page by page."""
    same = np.ones(len(columns[0]), dtype=bool)
    compared = 0
    for column in columns:
        code = column.codes[last]
        if column.words[code] != "":
            same &= column.codes == code
            compared += 1
    same[: last + 1] = False
    return same if compared >= 2 else np.zeros_like(same)


def _row_text(columns: tuple[Factor, ...], row: int) -> str:
    texts = (plain(str(column.words[column.codes[row]])) for column in columns)
    return " ".join(text for text in texts if text)[:_SHOWN_TEXT]

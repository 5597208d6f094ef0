"""A report's issues to look through: counted, filtered, a page at a time, however many."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from loaders.model import Cells, Issue, IssueBlock, IssueLog, Severity
from loaders.table import Factor

PER_PAGE = 50

_FIELD = re.compile(r"\{[^}]*\}")

_RANK = {severity: rank for rank, severity in enumerate(Severity)}

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Filter:
    """What to look for; every field None or empty when it does not matter.

    Attributes:
        text: part of the message, the value, the sheet, the column or the row number.
    """

    severity: Severity | None = None
    code: str | None = None
    sheet: str | None = None
    column: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class CodeCount:
    """All issues of one code.

    Attributes:
        example: the first of them.
        first_row, last_row: the rows they lie in, None when they have none.
    """

    code: str
    severity: Severity
    count: int
    example: Issue
    first_row: int | None
    last_row: int | None


class IssueIndex:
    """The issues of one report, errors first, then as found.

    Nothing is written out but what is shown: 100,000 issues alike stay a few arrays.
    """

    def __init__(self, log: IssueLog) -> None:
        self._blocks = sorted(log.blocks, key=lambda block: _RANK[block.severity])
        self._starts = np.cumsum([0, *map(len, self._blocks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def codes(self) -> list[CodeCount]:
        """What there is of each code, errors first, then the most frequent."""
        grouped: dict[str, list[IssueBlock]] = {}
        for block in self._blocks:
            grouped.setdefault(block.code, []).append(block)
        found = []
        for code, blocks in grouped.items():
            rows = np.concatenate([block.rows for block in blocks])
            rows = rows[rows > 0]
            found.append(
                CodeCount(
                    code=code,
                    severity=blocks[0].severity,
                    count=sum(map(len, blocks)),
                    example=blocks[0].issue(0),
                    first_row=int(rows.min()) if len(rows) else None,
                    last_row=int(rows.max()) if len(rows) else None,
                )
            )
        return sorted(found, key=lambda one: (_RANK[one.severity], -one.count))

    @cached_property
    def sheets(self) -> tuple[str, ...]:
        """The sheets that have issues."""
        return tuple(sorted({word for word in self._sheet.words.tolist() if word}))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that have issues."""
        return tuple(sorted({word for word in self._column.words.tolist() if word}))

    @cached_property
    def _sheet(self) -> Factor:
        return self._spread([block.sheet for block in self._blocks])

    @cached_property
    def _column(self) -> Factor:
        return self._spread([block.column for block in self._blocks])

    def _spread(self, cells: list[Cells]) -> Factor:
        """One text an issue, as a code and a list of distinct words."""
        word_codes: dict[str, int] = {}
        codes = np.empty(len(self), dtype=np.int32)
        for at, one in enumerate(cells):
            part = slice(self._starts[at], self._starts[at + 1])
            if isinstance(one, np.ndarray):
                codes[part] = [
                    word_codes.setdefault(str(text or ""), len(word_codes)) for text in one
                ]
            else:
                codes[part] = word_codes.setdefault(one or "", len(word_codes))
        return Factor(codes, np.array(list(word_codes), dtype=object))

    def select(self, wanted: Filter) -> Positions:
        """The positions of the issues a filter keeps, ascending."""
        kept = np.ones(len(self), dtype=bool)
        for at, block in enumerate(self._blocks):
            named = wanted.code in (None, block.code)
            if not named or wanted.severity not in (None, block.severity):
                kept[self._starts[at] : self._starts[at + 1]] = False
        for chosen, factor in ((wanted.sheet, "_sheet"), (wanted.column, "_column")):
            if chosen is not None:
                column: Factor = getattr(self, factor)
                kept &= column.where(column.words == chosen)
        text = wanted.text.strip().casefold()
        if text:
            for at, block in enumerate(self._blocks):
                part = kept[self._starts[at] : self._starts[at + 1]]
                if part.any():
                    part &= _says(block, text)
        return np.flatnonzero(kept)

    def page(self, positions: Positions, number: int) -> list[Issue]:
        """Page ``number`` (from 0) of some positions."""
        shown = positions[number * PER_PAGE : (number + 1) * PER_PAGE]
        blocks = np.searchsorted(self._starts, shown, side="right") - 1
        return [
            self._blocks[at].issue(int(position - self._starts[at]))
            for position, at in zip(shown.tolist(), blocks.tolist(), strict=True)
        ]


def _says(block: IssueBlock, text: str) -> NDArray[np.bool_]:
    """Which issues of a block have a text in their words, values or place."""
    words = _FIELD.sub("\n", f"{block.code} {block.template} {block.template_en}").casefold()
    if text in words:
        return np.ones(len(block), dtype=bool)
    found = np.zeros(len(block), dtype=bool)
    if text.isdecimal():
        found |= np.array([text in str(row) for row in block.rows.tolist()], dtype=bool)
    for cells in (block.sheet, block.column, block.value, *block.params.values()):
        if isinstance(cells, np.ndarray):
            found |= np.array([text in str(one).casefold() for one in cells.tolist()], dtype=bool)
        elif cells is not None and text in str(cells).casefold():
            found[:] = True
    return found


def pages(count: int) -> int:
    """How many pages so many issues take; one for none."""
    return max(1, -(-count // PER_PAGE))

"""The rows of all sheets of one dataset put together, and the issues found in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.issues import CODES, block
from loaders.mapping import ColumnMap
from loaders.model import Cells, ImportReport, Severity
from loaders.table import Factor, Flags, Rows


class FileRows:
    """Rows of one dataset, one entry a row of the file.

    Attributes:
        number: original 1-based row numbers.
        sheet: sheet name, one for all or one a row.
        columns: canonical column -> cells; columns no sheet has are absent.
        bad: rows with an error so far.
    """

    def __init__(self, maps: Sequence[ColumnMap], report: ImportReport) -> None:
        self.maps = tuple(maps)
        self.report = report
        self.sizes = [len(one.table) for one in maps]
        self.number: Rows = np.concatenate([one.table.rows for one in maps])
        self.sheet: Cells = self._spread([one.table.sheet or "" for one in maps])
        names = dict.fromkeys(name for one in maps for name in one.columns)
        self.columns: dict[str, Factor] = {name: self._column(name) for name in names}
        self.headings: dict[str, Cells] = {
            name: self._spread(
                [
                    one.table.headings[one.columns[name]] if name in one.columns else name
                    for one in maps
                ]
            )
            for name in names
        }
        self.bad: Flags = np.zeros(len(self.number), dtype=bool)
        self._repeats: list[tuple[Rows, Rows]] = []

    def __len__(self) -> int:
        return len(self.number)

    def _spread(self, values: Sequence[str]) -> Cells:
        """One value for all when the sheets agree, else one a row."""
        if len(set(values)) == 1:
            return values[0]
        per_sheet = np.array(values, dtype=object)
        return np.repeat(per_sheet, self.sizes)

    def _column(self, name: str) -> Factor:
        parts = [
            one.table.columns[one.columns[name]]
            if name in one.columns
            else Factor.constant("", len(one.table))
            for one in self.maps
        ]
        return concatenate(parts)

    def flag(
        self,
        code: str,
        at: Rows,
        column: str | None = None,
        value: Cells = None,
        heading: Cells = None,
        **params: Any,
    ) -> None:
        """Report ``code`` at the row positions ``at``; rows with an error become bad.

        Args:
            column: canonical column, whose original heading is shown, unless ``heading`` is given.
            value, heading, params: one for all or parallel to ``at``; ``value`` defaults to the
                cells of ``column``.
        """
        if len(at) == 0:
            return
        if value is None and column is not None and column in self.columns:
            value = self.columns[column].take(at).texts()
        if heading is None and column is not None:
            heading = part(self.headings.get(column, column), at)
        self.report.issues.add(
            block(code, self.number[at], part(self.sheet, at), heading, value, **params)
        )
        if CODES[code].severity is Severity.ERROR:
            self.bad[at] = True

    def tie(self, later: Rows, first: Rows) -> None:
        """Note rows that only repeat earlier ones: rejected when these are."""
        self._repeats.append((later, first))

    def finish(self) -> Flags:
        """Settle which rows are valid, count them in the report, and return them."""
        for later, first in self._repeats:
            self.bad[later[self.bad[first]]] = True
        self.report.rows_read = len(self)
        self.report.rows_rejected = int(self.bad.sum())
        self.report.rows_valid = self.report.rows_read - self.report.rows_rejected
        return ~self.bad

    def words_flag(self, code: str, column: str, marked: Flags, **params: Any) -> None:
        """Report ``code`` at every row whose word in ``column`` is marked."""
        if marked.any():
            self.flag(code, np.flatnonzero(self.columns[column].where(marked)), column, **params)


def part(cells: Cells, at: Rows) -> Cells:
    """The cells at some rows; one for all stays one for all."""
    return cells[at] if isinstance(cells, np.ndarray) else cells


def concatenate(parts: Sequence[Factor]) -> Factor:
    """Factors of several sheets as one."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(one.words) for one in parts[:-1])])
    codes: NDArray[np.int32] = np.concatenate(
        [one.codes + np.int32(offset) for one, offset in zip(parts, offsets, strict=True)]
    )
    return Factor(codes, np.concatenate([one.words for one in parts]))

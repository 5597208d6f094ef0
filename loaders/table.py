"""A table as read: columns of distinct words with a code a row, so work is done once a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    # The reading process starts without pandas, which the model needs.
    from loaders.model import SkippedRow

Words = NDArray[np.object_]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

UNNAMED_CRS = "crs?"
"""Stands for a coordinate system that a file declares in a form nobody should follow."""

HEAD_ROWS = 60
"""How many rows from the top are searched for the header."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A text column: row ``i`` holds ``words[codes[i]]``; an empty cell is an empty word."""

    codes: NDArray[np.int32]
    words: Words

    @classmethod
    def of(cls, texts: Sequence[str] | Words) -> Factor:
        """Factorise a sequence of texts."""
        code_of: dict[str, int] = {}
        codes = np.fromiter(
            (code_of.setdefault(text, len(code_of)) for text in texts), np.int32, len(texts)
        )
        return cls(codes, words_of(code_of))

    @classmethod
    def constant(cls, word: str, length: int) -> Factor:
        """The same word in every row."""
        return cls(np.zeros(length, dtype=np.int32), np.array([word], dtype=object))

    def __len__(self) -> int:
        return len(self.codes)

    def texts(self) -> Words:
        """The cells, one text a row."""
        return np.asarray(self.words[self.codes], dtype=object)

    def take(self, rows: Flags | Rows) -> Factor:
        """The same column with only the given rows."""
        return Factor(self.codes[rows], self.words)

    def where(self, marked: Flags) -> Flags:
        """Rows whose word is marked; ``marked`` is parallel to ``words``."""
        return np.asarray(marked[self.codes], dtype=bool)


def words_of(texts: Iterable[str]) -> Words:
    """Texts as an array of objects."""
    listed = list(texts)
    words = np.empty(len(listed), dtype=object)
    words[:] = listed
    return words


@dataclass(frozen=True, slots=True)
class RawSheet:
    """One sheet or layer before its header is found.

    Attributes:
        name: sheet or layer name; None for a text file.
        columns: all columns over all rows, title and header rows included.
        merges: merged ranges (first row, first column, last row, last column), 0-based, inclusive.
        headings: set for vector layers, whose rows hold data only.
        geometries: object array of shapely geometries or None, parallel to the rows.
        unreadable: rows whose geometry is there but cannot be built, such as a ring that begins
            with NaN; ``geometries`` has None for them.
        crs: the layer's own coordinate system as WKT or ``EPSG:number``, None when it states
            none, `UNNAMED_CRS` when it only refers to one.
    """

    name: str | None
    columns: tuple[Factor, ...]
    merges: tuple[tuple[int, int, int, int], ...] = ()
    headings: tuple[str, ...] | None = None
    geometries: NDArray[Any] | None = None
    unreadable: Flags | None = None
    crs: str | None = None

    @property
    def height(self) -> int:
        """Number of rows."""
        if self.columns:
            return len(self.columns[0])
        return 0 if self.geometries is None else len(self.geometries)

    def head(self, rows: int = HEAD_ROWS) -> list[list[str]]:
        """The first rows as texts."""
        top = [
            column.take(slice_rows(0, min(rows, self.height))).texts() for column in self.columns
        ]
        return [list(cells) for cells in zip(*top, strict=True)]


def slice_rows(start: int, stop: int) -> Rows:
    """Row positions from ``start`` up to ``stop``."""
    return np.arange(start, stop, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Table:
    """One sheet with its header found: data rows only.

    Attributes:
        headings: one text a column, the levels of a multi-row header joined by a space.
        levels: the same, level by level from the top, blanks and repetitions dropped.
        header_rows, rows: 1-based row numbers as seen in the file; ``rows`` one for each data row.
        titles: texts above the header and in the sheet's name, where a month or unit may stand.
    """

    sheet: str | None
    headings: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    header_rows: tuple[int, ...]
    rows: Rows
    columns: tuple[Factor, ...]
    skipped: tuple[SkippedRow, ...] = ()
    titles: tuple[str, ...] = ()
    geometries: NDArray[Any] | None = None
    unreadable: Flags | None = None
    crs: str | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Source:
    """A file's content as read, with how it was read.

    Attributes:
        format: ``text``, ``workbook`` or ``vector``.
        encoding: of text and of Shapefile attributes, else None.
        encoding_guessed: whether the encoding is an inference a person should look at.
        sha256: of the very bytes parsed.
        protections: what held the reading process (names of ``loaders.sandbox.protect.WANTED``).
    """

    format: str
    sheets: tuple[RawSheet, ...]
    sha256: str
    encoding: str | None = None
    encoding_guessed: bool = False
    protections: tuple[str, ...] = ()

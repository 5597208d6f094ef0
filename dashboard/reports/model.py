"""What an export is made of: a sheet of columns and rows, and the file it becomes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from unicodedata import east_asian_width

from geodata.errors import DudaoError

AUTHOR = "督导一张图"
"""The author every exported file names: never an account, a machine or a path."""

_MEASURED = 200
"""So many rows decide how wide a column is."""
_NARROWEST, _WIDEST = 6, 48

Cell = str | int | float | None


class Format(StrEnum):
    """The files an export can be; a workbook is what screens offer first."""

    XLSX = "xlsx"
    CSV = "csv"
    DOCX = "docx"

    @classmethod
    def parse(cls, text: str) -> Format:
        """The format of a name.

        Raises:
            DudaoError: FORMAT_UNKNOWN lists the formats.
        """
        if text in set(cls):
            return cls(text)
        raise DudaoError(
            "FORMAT_UNKNOWN",
            f"不能导出为“{text}”格式。",
            f"可用的格式：{'、'.join(cls)}。",
        )

    @property
    def media_type(self) -> str:
        """The MIME type."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.CSV: "text/csv; charset=utf-8",
    Format.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        decimals: None for text, else how many decimals its numbers show.
        width: in characters of half width; 0: as wide as its contents, within reason.
        whole: numbers of several kinds stand in it: a whole one shows no decimals.
    """

    title: str
    decimals: int | None = None
    width: int = 0
    whole: bool = False

    def places(self, value: float) -> int:
        """How many decimals a number shows."""
        return 0 if self.whole and value == round(value) else self.decimals or 0


@dataclass(frozen=True, slots=True)
class Mark:
    """A cell to colour, and what to say about it. Positions are 0-based."""

    row: int
    column: int
    comment: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table with its heading.

    Attributes:
        title: the first line, also the name of the worksheet as far as it fits.
        notes: lines under the title, before the table.
        rows: a cell for each column; None is empty.
        totals: so many rows at the top are totals and stand out.
        marks: cells to colour, in workbooks only.
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    notes: tuple[str, ...] = ()
    totals: int = 0
    marks: tuple[Mark, ...] = ()

    def widths(self) -> list[float]:
        """How wide each column should be, in characters of half width."""
        return [self._width(index) for index in range(len(self.columns))]

    def _width(self, index: int) -> float:
        column = self.columns[index]
        if column.width:
            return column.width
        # A heading may break over two lines.
        needed = [half_widths(column.title) / 2 + 3]
        for row in self.rows[:_MEASURED]:
            value = row[index]
            if isinstance(value, str):
                needed.append(max(map(half_widths, value.splitlines() or [""])))
            elif value is not None:
                needed.append(len(f"{value:,.{column.places(value)}f}"))
        return min(_WIDEST, max(_NARROWEST, *needed)) + 2


def half_widths(text: str) -> int:
    """The length of a text as printed: a Chinese character takes two places."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


@dataclass(frozen=True, slots=True)
class Export:
    """A file to hand out.

    Attributes:
        name: a file name that no file system or header can misread.
        body: the file.
    """

    name: str
    media_type: str
    body: bytes


def local_now() -> datetime:
    """The present moment in the time zone of this machine."""
    return datetime.now(UTC).astimezone()


_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def xml_text(text: str) -> str:
    """The text without the characters that XML 1.0 cannot carry at all."""
    return _FORBIDDEN.sub("", text)


_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
                     r"\ud800-\udfff<>:\"/\\|?*'`$%&;=+@~#\s]+")  # fmt: skip


def file_name(words: Sequence[str], format: Format) -> str:
    """``甲县_家庭医生签约率_2026-10.xlsx``: no path, no control or shell character."""
    stem = "_".join(filter(None, (_UNSAFE.sub("", word).strip(".-") for word in words)))
    return f"{stem[:80] or 'export'}.{format}"

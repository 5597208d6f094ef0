"""Words of a column into values: numbers, months, dates, flags. One pass over distinct words."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geodata.model import InstitutionKind, Level
from loaders.fold import fold
from loaders.table import Flags, Words

BLANKS = frozenset(
    {
        "", "-", "--", "—", "——", "–", "―", "…", "……", "...", "/", "\\", "n/a", "na", "#n/a", "nan",
        "null", "none", "无", "无数据", "暂无", "缺", "空",
    }
)  # fmt: skip
"""Folded texts that say "no data". None of them is ever taken for 0."""

# First characters of blank texts, plain and full-width: most cells are told by one look.
_BLANK_STARTS = frozenset(
    form
    for word in BLANKS
    for char in word[:1]
    for form in (char, char.upper(), chr(ord(char) + 0xFEE0), chr(ord(char.upper()) + 0xFEE0))
)

SOURCES = ("reported", "records", "verified")
_SOURCE_WORDS = {
    **{name: name for name in SOURCES},
    "上报": "reported",
    "报表": "reported",
    "台账": "records",
    "核实": "verified",
    "核查": "verified",
}
_KIND_WORDS = {
    **{kind.value: kind for kind in InstitutionKind},
    **{fold(kind.title): kind for kind in InstitutionKind},
    "卫生室": InstitutionKind.VILLAGE_CLINIC,
    "村卫生所": InstitutionKind.VILLAGE_CLINIC,
    "标准化村卫生室": InstitutionKind.VILLAGE_CLINIC,
    "卫生院": InstitutionKind.TOWNSHIP_CENTRE,
    "乡镇卫生院": InstitutionKind.TOWNSHIP_CENTRE,
    "中心卫生院": InstitutionKind.TOWNSHIP_CENTRE,
    "社区卫生服务中心": InstitutionKind.TOWNSHIP_CENTRE,
    "县医院": InstitutionKind.COUNTY_HOSPITAL,
    "县级公立医院": InstitutionKind.COUNTY_HOSPITAL,
    "定点医院": InstitutionKind.DESIGNATED,
    "定点机构": InstitutionKind.DESIGNATED,
}
_TRUE = frozenset({"是", "1", "true", "yes", "y", "t", "√"})
_FALSE = frozenset({"否", "0", "false", "no", "n", "f", "×"})
_OPEN_ENDS = frozenset({"长期", "至今", "9999-12-31", "9999/12/31", "99991231"})

_PLAIN_NUMBER = r"^[+-]?[0-9]+(\.[0-9]+)?$"
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_LOOSE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_SCIENTIFIC = re.compile(r"\d(\.\d+)?e\+?\d+", re.IGNORECASE)
_MONTHS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(\d{4})[-/](\d{1,2})",
        r"(\d{4})\.(\d{1,2})",
        r"(\d{4})年(\d{1,2})月(?:份)?",
        r"(\d{4})(\d{2})",
    )
)
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[T ]\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?Z?)?",
        r"(\d{4})()年(\d{1,2})月(\d{1,2})日",
        r"(\d{4})()(\d{2})(\d{2})",
    )
)
_MONTH_IN_TITLE = re.compile(
    r"(?<!\d)((?:19|20)\d{2})\s*(?:年\s*(\d{1,2})\s*月|[-_./](\d{1,2})(?![-_./]?\d)|(\d{2})(?!\d))"
)
_YEARS = range(1900, 2101)

AMBIGUOUS_MONTH = "ambiguous"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Parsed words: ``values`` (NaN where there is none) and what kind of word each is.

    Exactly one of ``blank``, ``percent``, ``bad`` holds for a word, or none for a good number; a
    percent word's value is its number of percent.
    """

    values: NDArray[np.float64]
    blank: Flags
    percent: Flags
    bad: Flags


def narrow(text: str) -> str:
    """Full-width forms made ordinary and outer spaces gone."""
    return unicodedata.normalize("NFKC", text).strip()


def is_blank(text: str) -> bool:
    """Whether a cell says there is no data."""
    stripped = text.strip()
    if stripped and stripped[0] not in _BLANK_STARTS:
        return False
    return stripped in BLANKS or fold(stripped) in BLANKS


def blanks(words: Words) -> Flags:
    """`is_blank` for distinct words."""
    return np.fromiter((is_blank(word) for word in words.tolist()), dtype=bool, count=len(words))


def numbers(words: Words) -> Numbers:
    """Read figures: ``1,234``, full-width digits, percent; anything else is bad."""
    count = len(words)
    values = np.full(count, np.nan)
    blank, percent, bad = (np.zeros(count, dtype=bool) for _ in range(3))
    texts = pa.array(words, type=pa.string())
    clean = pc.match_substring_regex(texts, _PLAIN_NUMBER).to_numpy(zero_copy_only=False)
    clean = np.asarray(clean, dtype=bool)
    if clean.any():
        kept = texts.filter(pa.array(clean))
        values[clean] = pc.cast(pc.utf8_ltrim(kept, "+"), pa.float64()).to_numpy()
    for index in np.flatnonzero(~clean).tolist():
        word = words[index]
        if is_blank(word):
            blank[index] = True
            continue
        text = narrow(word)
        if text.endswith("%"):
            percent[index] = True
            text = text[:-1].strip()
        found = _number(text)
        if found is None:
            percent[index] = False
            bad[index] = True
        else:
            values[index] = found
    overflow = np.isinf(values)
    bad |= overflow
    percent &= ~overflow
    values[overflow] = np.nan
    return Numbers(values, blank, percent, bad)


def _number(text: str) -> float | None:
    if _GROUPED.fullmatch(text):
        return float(text.replace(",", ""))
    return float(text) if _LOOSE.fullmatch(text) else None


def is_scientific(text: str) -> bool:
    """Whether a code was written as ``1.31002E+11``, its last digits gone."""
    return len(text) > 4 and _SCIENTIFIC.fullmatch(narrow(text)) is not None


def month(text: str) -> str | None:
    """A month as ``YYYY-MM``; None when it is none, `AMBIGUOUS_MONTH` for ``2026.1``.

    ``2026.1`` is January, or an October that a spreadsheet cell took for a number.
    """
    written = fold(text)
    if re.fullmatch(r"\d{4}\.1", written):
        return AMBIGUOUS_MONTH
    for pattern in _MONTHS:
        found = pattern.fullmatch(written)
        if found is not None:
            return _month(int(found[1]), int(found[2]))
    day = date(text)
    return None if day is None else f"{day.year:04d}-{day.month:02d}"


def _month(year: int, number: int) -> str | None:
    return f"{year:04d}-{number:02d}" if year in _YEARS and 1 <= number <= 12 else None


def month_in(title: str) -> str | None:
    """The one month a title, sheet name or file name speaks of; None for none or several."""
    found: set[str] = set()
    for match in _MONTH_IN_TITLE.finditer(narrow(title)):
        text = _month(int(match[1]), int(match[2] or match[3] or match[4]))
        if text is not None:
            found.add(text)
    return found.pop() if len(found) == 1 else None


def date(text: str) -> dt.date | None:
    """A full date; None when it is none."""
    written = narrow(text)
    if "年" in written:
        written = fold(text)
    for pattern in _DATES:
        found = pattern.fullmatch(written)
        if found is not None:
            try:
                day = dt.date(int(found[1]), int(found[3]), int(found[4]))
            except ValueError:
                return None
            return day if day.year in _YEARS else None
    return None


def period_day(text: str) -> dt.date | None:
    """The first day a date, month or year names; None when it names none."""
    day = date(text)
    if day is not None:
        return day
    found = month(text)
    if found is not None and found != AMBIGUOUS_MONTH:
        return dt.date(int(found[:4]), int(found[5:]), 1)
    year = re.fullmatch(r"(\d{4})年?", fold(text))
    return dt.date(int(year[1]), 1, 1) if year and int(year[1]) in _YEARS else None


def is_open_end(text: str) -> bool:
    """Whether an end date says "still valid"."""
    return fold(text) in _OPEN_ENDS


def level(text: str) -> Level | None:
    """A level from its key, number or Chinese word."""
    try:
        return Level.parse(fold(text))
    except ValueError:
        return None


def kind(text: str) -> InstitutionKind | None:
    """An institution kind from its key or Chinese word."""
    return _KIND_WORDS.get(fold(text))


def source(text: str) -> str | None:
    """Where a figure comes from: reported, records or verified."""
    return _SOURCE_WORDS.get(fold(text))


def flag(text: str) -> bool | None:
    """Yes or no."""
    word = fold(text)
    return True if word in _TRUE else False if word in _FALSE else None


@cache
def month_last_day(text: str) -> np.datetime64:
    """The last day of ``YYYY-MM``, the day that stands for a month."""
    year, number = int(text[:4]), int(text[5:])
    return np.datetime64(dt.date(year, number, calendar.monthrange(year, number)[1]), "D")


def each(words: Words, read: Callable[[str], object]) -> Words:
    """``read`` over distinct words as an object array."""
    result = np.empty(len(words), dtype=object)
    result[:] = [read(word) for word in words.tolist()]
    return result

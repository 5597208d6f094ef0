"""Chinese division codes (统计用区划代码): twelve digits.

Two for the province, two each for city and county, three each for township and village. Segments
that do not apply are zero, so a county ends with 000000 and a township with 000. The level is that
of the last segment that is not zero, and the parent is the code with that segment zeroed. That
covers places that skip a level: a town directly under a city (441900003000 in Dongguan) has the
city for its parent, a village directly under a county (131002000001) the county.

The nation, where a tree has it, is 100000000000 (adcode 100000). A province's parent is None all
the
same: most trees have no nation row, and a file that has one names it in its parent column.
"""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd

from geodata.model import Level

NATION_CODE = "100000000000"

# GB/T 2260 provinces; 66 is how the statistics bureau writes the Xinjiang Corps.
_PROVINCES = "|".join(
    [
        *("11", "12", "13", "14", "15", "21", "22", "23"),
        *("31", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44", "45", "46"),
        *("50", "51", "52", "53", "54", "61", "62", "63", "64", "65", "66", "71", "81", "82"),
    ]
)
_CODE = re.compile(rf"(?:{_PROVINCES})[0-9]{{10}}|{NATION_CODE}")
_SHORT = re.compile(rf"(?:{_PROVINCES})(?:[0-9]{{2}}|[0-9]{{4}}|[0-9]{{7}})?|{NATION_CODE[:6]}")
_NUMBER = re.compile(r"([0-9]+)(?:\.0+)?")
# White space of every kind, zero-width marks, and the apostrophe Excel writes before text.
_NOISE = re.compile(r"[\s\u200b-\u200d\u2060\ufeff'’]+")
_ENDS = (2, 4, 6, 9, 12)
_LEVELS = (Level.PROVINCE, Level.CITY, Level.COUNTY, Level.TOWNSHIP, Level.VILLAGE)


@dataclass(frozen=True, slots=True)
class DivisionCode:
    """A twelve-digit code with the level and parent its digits say."""

    code: str
    level: Level
    parent_id: str | None


def normalise(text: object) -> str:
    """Write an id one way, however a spreadsheet wrote it.

    Ids made of digits lose full-width forms, spaces and Excel's ``.0``; 2, 4, 6 or 9 digits that
    begin with a Chinese province are padded to twelve. Numbers (``131002``, ``1.31002e11``) count
    as their digits. Any other id is returned stripped and otherwise unchanged. None and NaN give
    ``""``.

    Text in scientific notation (``"1.31E+11"``) is left as it is: its last digits are lost, and a
    guess would land on another place.
    """
    if text is None or text is pd.NA or text is pd.NaT:
        return ""
    if isinstance(text, numbers.Integral) and not isinstance(text, bool):
        written = str(int(text))
    elif isinstance(text, numbers.Real) and not isinstance(text, bool):
        number = float(text)
        if math.isnan(number):
            return ""
        written = f"{number:.0f}" if number.is_integer() else str(text)
    else:
        written = str(text)
    matched = _NUMBER.fullmatch(_NOISE.sub("", unicodedata.normalize("NFKC", written)))
    if matched is None:
        return written.strip()
    digits = matched.group(1)
    return digits.ljust(12, "0") if _SHORT.fullmatch(digits) else digits


def normalise_all(values: pd.Series) -> pd.Series:
    """`normalise` for a column: same index, ``str`` dtype, missing values as ``""``."""
    if isinstance(values.dtype, pd.StringDtype):
        clean = values.str.fullmatch(_CODE.pattern).fillna(False).to_numpy(bool)
        if clean.all():
            return values
    codes, uniques = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
    written = np.array([*(normalise(value) for value in uniques), ""], dtype=object)
    return pd.Series(written[codes], index=values.index, name=values.name, dtype="str")


def is_division_code(id: str) -> bool:
    """Whether `id` is a full twelve-digit code of a Chinese province (or the nation)."""
    return _CODE.fullmatch(id) is not None


def parse(code: str) -> DivisionCode:
    """Read the level and the parent out of a twelve-digit code.

    Raises:
        ValueError: not twelve digits, or not a Chinese province; the text says which.
    """
    if not re.fullmatch(r"[0-9]{12}", code):
        raise ValueError(f"a division code has 12 digits: {code!r}")
    if not is_division_code(code):
        raise ValueError(f"no Chinese province has the number {code[:2]}: {code!r}")
    if code == NATION_CODE:
        return DivisionCode(code, Level.NATION, None)
    starts = (0, *_ENDS[:-1])
    filled = [i for i, end in enumerate(_ENDS) if int(code[starts[i] : end])]
    parent = code[: _ENDS[filled[-2]]].ljust(12, "0") if len(filled) > 1 else None
    return DivisionCode(code, _LEVELS[filled[-1]], parent)


def levels_and_parents(ids: pd.Series) -> tuple[pd.Series, pd.Series]:
    """`parse` for a column of normalised ids.

    Returns:
        levels (``Int8``) and parents (``str``), on the same index; both missing where the id is
        not a division code, the parent also for provinces and the nation.
    """
    text = ids.astype("str")
    valid = text.str.fullmatch(_CODE.pattern).fillna(False).to_numpy(bool)
    number = np.zeros(len(text), dtype=np.int64)
    number[valid] = text[valid].astype("int64").to_numpy()
    nation = number == int(NATION_CODE)
    level = np.zeros(len(text), dtype=np.int8)
    parent = np.zeros(len(text), dtype=np.int64)
    for depth, end in enumerate(_ENDS):
        above = number - number % 10 ** (12 - (_ENDS[depth - 1] if depth else 0))
        here = number - number % 10 ** (12 - end)
        filled = here != above
        # A zero segment leaves `here` equal to the last filled prefix, so that prefix is the
        # parent.
        parent = np.where(filled, above, parent)
        level = np.where(filled, np.int8(_LEVELS[depth]), level)
    level[nation] = Level.NATION
    parent[nation] = 0
    levels = pd.Series(level, index=ids.index).astype("Int8").mask(~valid)
    parents = pd.Series(parent, index=ids.index).astype("str").mask(parent == 0)
    return levels, parents

"""The register of persons: a table into checked rows that hold no identity number.

The number is checked, becomes the person's key by ``Known.persons`` and is forgotten. Reports are
downloaded, printed and logged: no issue shows a number or phone unmasked.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from unicodedata import normalize

import numpy as np
import pandas as pd

from loaders import checks, parse
from loaders.known import KnownPlaces
from loaders.mapping import ColumnMap
from loaders.masking import CHECKS, WEIGHTS, mask_id_number, mask_name, mask_phone
from loaders.match import match_places
from loaders.model import PERSON_COLUMNS, ImportReport, Known, Request
from loaders.rows import FileRows
from loaders.table import Factor, Flags, Rows, Words

MALE, FEMALE = "男", "女"
_SEXES = {"男": MALE, "男性": MALE, "1": MALE, "m": MALE, "male": MALE} | {
    "女": FEMALE, "女性": FEMALE, "2": FEMALE, "f": FEMALE, "female": FEMALE,
}  # fmt: skip

_OLDEST_YEARS = 125
_ID = re.compile(r"\d{17}[\dX]", re.ASCII)
_GAPS = re.compile(r"[\s\-‐-―_'’`\u200b-\u200f\u2060\ufeff]+")
_MOBILE = re.compile(r"(?:(?:00|\+)?86)?(1[3-9]\d{9})", re.ASCII)
_LANDLINE = re.compile(r"0\d{2,3}[1-9]\d{6,7}|[1-9]\d{6,7}", re.ASCII)
_HAN = r"㐀-鿿豈-﫿\U00020000-\U0003ffff"
_HAN_NAME = re.compile(rf"[{_HAN}]{{2,30}}|[{_HAN}]{{1,20}}(?:·[{_HAN}]{{1,20}})+")
_LATIN_NAME = re.compile(r"(?=.{2,60}$)[^\W\d_]+(?:[ .'·-]+[^\W\d_]+)*\.?")
_DOTS = re.compile(r"\s*[·•・‧∙⋅]\s*")


def empty_frame() -> pd.DataFrame:
    """A persons frame without rows."""
    return pd.DataFrame(
        {
            name: pd.Series(dtype="Int16" if name == "birth_year" else "str")
            for name in PERSON_COLUMNS
        }
    )


def prepare_persons(
    maps: Sequence[ColumnMap], known: Known, request: Request, report: ImportReport
) -> pd.DataFrame:
    """Check all persons at once and return the valid rows."""
    rows = FileRows(maps, report)
    places = match_places(rows, KnownPlaces(known.places), request, "place_name", "parent_name")
    numbers = numbers_of(rows)
    names = _names(rows)
    phones = _phones(rows)
    frame = pd.DataFrame(
        {
            "number": numbers,
            "place_id": np.where(places.codes >= 0, places.ids[places.codes], ""),
            "name": names,
            "phone": phones,
        },
        dtype=object,
    )
    _compare_sex(rows, numbers)
    _compare_birth(rows, numbers)
    keep = _check_repeats(rows, frame)
    keys = keys_of(rows, numbers, known, keep)
    sexes, years = zip(*map(_of_number, numbers.tolist()), strict=True)
    found = pd.DataFrame(
        {
            "key": pd.Series(keys, dtype="str"),
            "place_id": pd.Series(frame["place_id"], dtype="str"),
            "name": pd.Series(names, dtype="str"),
            "id_last4": pd.Series([number[-4:] for number in numbers], dtype="str"),
            "phone": pd.Series([phone or None for phone in phones.tolist()], dtype="str"),
            "sex": pd.Series(sexes, dtype="str"),
            "birth_year": pd.array(years, dtype="Int16"),
        }
    )
    return found[keep & rows.finish()].reset_index(drop=True)


def normalise_id(text: str) -> str:
    """An identity number in its one written form: narrow, without gaps, X large."""
    return _GAPS.sub("", normalize("NFKC", text)).upper()


def id_problem(number: str, today: dt.date) -> str | None:
    """The issue code of a normalised identity number that cannot be one, None when it can."""
    if _ID.fullmatch(number) is None:
        return "ID_NUMBER_FORM"
    if check_character(number[:17]) != number[17]:
        return "ID_NUMBER_CHECK"
    birth = birth_of(number)
    if birth is None or birth > today or today.year - birth.year > _OLDEST_YEARS:
        return "ID_NUMBER_BIRTH"
    return None


def check_character(body: str) -> str:
    """The last character of an identity number, worked out from its first 17 digits."""
    total = sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True))
    return CHECKS[total % 11]


def birth_of(number: str) -> dt.date | None:
    """The date of birth in an identity number, None when it is no date."""
    try:
        return dt.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def sex_of(number: str) -> str:
    """The sex in an identity number: odd numbers are men's."""
    return MALE if int(number[16]) % 2 else FEMALE


def _of_number(number: str) -> tuple[str, int | None]:
    return (sex_of(number), int(number[6:10])) if number else ("", None)


def _flag_words(
    rows: FileRows,
    code: str,
    column: str,
    marked: Flags,
    show: Callable[[str], str],
) -> None:
    """Report a code at every row whose word is marked, the word masked."""
    if not marked.any():
        return
    cells = rows.columns[column]
    shown = np.array(
        [
            show(word) if mark else ""
            for word, mark in zip(cells.words.tolist(), marked.tolist(), strict=True)
        ],
        dtype=object,
    )
    at = np.flatnonzero(cells.where(marked))
    rows.flag(code, at, column, value=shown[cells.codes[at]])


def numbers_of(rows: FileRows) -> Words:
    """The valid identity numbers, empty where there is none."""
    column = rows.columns["id_number"]
    blank = parse.blanks(column.words)
    rows.words_flag("MISSING_VALUE", "id_number", blank)
    today = dt.date.today()
    read = [normalise_id(word) for word in column.words.tolist()]
    problems = [
        None
        if is_blank
        else "CODE_LOST_DIGITS"
        if parse.is_scientific(word)
        else id_problem(number, today)
        for word, number, is_blank in zip(column.words.tolist(), read, blank.tolist(), strict=True)
    ]
    for code in ("CODE_LOST_DIGITS", "ID_NUMBER_FORM", "ID_NUMBER_CHECK", "ID_NUMBER_BIRTH"):
        marked = np.array([problem == code for problem in problems], dtype=bool)
        _flag_words(rows, code, "id_number", marked, mask_id_number)
    good = [
        "" if problem or is_blank else number
        for number, problem, is_blank in zip(read, problems, blank.tolist(), strict=True)
    ]
    return _spread(column, good)


def _spread(column: Factor, words: Sequence[str]) -> Words:
    """One text a row from one text a distinct word."""
    distinct = np.empty(len(words), dtype=object)
    distinct[:] = words
    return np.asarray(distinct[column.codes], dtype=object)


def _name(text: str) -> str:
    """A name in its one written form, empty for what is none."""
    written = _DOTS.sub("·", normalize("NFKC", text).strip())
    joined = "".join(written.split())
    if _HAN_NAME.fullmatch(joined):
        return joined
    spaced = " ".join(written.split())
    return spaced if _LATIN_NAME.fullmatch(spaced) and not re.search(f"[{_HAN}]", spaced) else ""


def _names(rows: FileRows) -> Words:
    column = rows.columns["name"]
    blank = parse.blanks(column.words)
    rows.words_flag("MISSING_VALUE", "name", blank)
    read = [_name(word) for word in column.words.tolist()]
    wrong = np.array([not name for name in read], dtype=bool) & ~blank
    _flag_words(rows, "PERSON_NAME_BAD", "name", wrong, mask_name)
    return _spread(column, read)


def _phone(text: str) -> str:
    """A phone in its one written form, empty for what is none."""
    digits = re.sub(r"[()+.转]", "", _GAPS.sub("", normalize("NFKC", text)))
    mobile = _MOBILE.fullmatch(digits)
    if mobile is not None:
        return mobile[1]
    return digits if _LANDLINE.fullmatch(digits) else ""


def _phones(rows: FileRows) -> Words:
    column = rows.columns.get("phone")
    if column is None:
        return _spread(Factor.constant("", len(rows)), [""])
    blank = parse.blanks(column.words)
    read = [
        "" if is_blank else _phone(word)
        for word, is_blank in zip(column.words.tolist(), blank.tolist(), strict=True)
    ]
    wrong = np.array([not phone for phone in read], dtype=bool) & ~blank
    _flag_words(rows, "PHONE_BAD", "phone", wrong, mask_phone)
    return _spread(column, read)


def _compare_sex(rows: FileRows, numbers: Words) -> None:
    """Warn where the sex column says otherwise than the identity number."""
    column = rows.columns.get("sex")
    if column is None:
        return
    blank = parse.blanks(column.words)
    words = [
        "" if is_blank else _SEXES.get(parse.narrow(word).lower(), "?")
        for word, is_blank in zip(column.words.tolist(), blank.tolist(), strict=True)
    ]
    said = _spread(column, words)
    differs = [
        bool(word and number) and word != sex_of(number)
        for word, number in zip(said.tolist(), numbers.tolist(), strict=True)
    ]
    rows.flag("PERSON_SEX_DIFFERS", np.flatnonzero(differs), "sex")


def _compare_birth(rows: FileRows, numbers: Words) -> None:
    """Warn where the date of birth says otherwise than the identity number."""
    column = rows.columns.get("birth_date")
    if column is None:
        return
    days = [parse.date(word) for word in column.words.tolist()]
    blank = parse.blanks(column.words)
    differs = [
        bool(number) and not blank[code] and days[code] != birth_of(number)
        for code, number in zip(column.codes.tolist(), numbers.tolist(), strict=True)
    ]
    rows.flag("PERSON_BIRTH_DIFFERS", np.flatnonzero(differs), "birth_date", value="")


_SAID = {"place_id": ("村", "place"), "name": ("姓名", "name"), "phone": ("联系电话", "phone")}


def _check_repeats(rows: FileRows, frame: pd.DataFrame) -> Flags:
    """Which rows to keep: of equal ones the first, of conflicting ones none."""
    keep = np.ones(len(frame), dtype=bool)
    numbers = frame["number"].to_numpy(dtype=object)
    found = checks.repeats(numbers)
    named = numbers[found.at] != ""
    at, first = found.at[named], found.first[named]
    if len(at) == 0:
        return keep
    differ = {
        column: frame[column].to_numpy()[at] != frame[column].to_numpy()[first] for column in _SAID
    }
    same = ~np.any(list(differ.values()), axis=0)
    keep[at] = False
    shown = np.array([mask_id_number(number) for number in numbers[at]], dtype=object)
    rows.flag(
        "DUPLICATE_ROW",
        at[same],
        "id_number",
        value=shown[same],
        first=rows.number[first[same]],
        key=shown[same],
    )
    what, what_en = _said(differ, 0, "、"), _said(differ, 1, ", ")
    rows.flag(
        "PERSON_TWICE",
        at[~same],
        "id_number",
        value=shown[~same],
        first=rows.number[first[~same]],
        what=what[~same],
        what_en=what_en[~same],
    )
    rows.bad[first[~same]] = True
    rows.tie(at[same], first[same])
    return keep


def _said(differ: dict[str, Flags], index: int, mark: str) -> Words:
    """In words, which columns differ in each row."""
    count = len(next(iter(differ.values())))
    words = np.empty(count, dtype=object)
    words[:] = [
        mark.join(_SAID[column][index] for column in differ if differ[column][row])
        for row in range(count)
    ]
    return words


def keys_of(rows: FileRows, numbers: Words, known: Known, keep: Flags) -> Words:
    """The key of each row; rows of persons who may not be loaded are reported or left out."""
    keys = np.full(len(numbers), "", dtype=object)
    at: Rows = np.flatnonzero(numbers != "")
    if len(at) == 0:
        return keys
    answers = list(known.persons(numbers[at].tolist()))
    keys[at] = [key for key, _ in answers]
    states = np.array([state for _, state in answers], dtype=object)
    shown = np.array([mask_id_number(number) for number in numbers[at]], dtype=object)
    gone, foreign = states == "erased", states == "elsewhere"
    rows.flag("PERSON_ERASED", at[gone], "id_number", value=shown[gone])
    rows.flag("PERSON_ELSEWHERE", at[foreign], "id_number", value=shown[foreign])
    keep[at[gone]] = False
    return keys

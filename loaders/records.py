"""Records of persons, households and services: a table into checked rows of canonical columns.

What each column may hold is declared in ``datasets.toml``; an identity number becomes the person's
key by ``Known.persons`` and is forgotten, as in the register.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loaders import checks, parse, registry
from loaders.fold import fold, plain
from loaders.known import KnownPlaces
from loaders.mapping import ColumnMap
from loaders.masking import mask_text
from loaders.match import match_places
from loaders.model import ImportReport, Known, Request
from loaders.persons import birth_of, keys_of, numbers_of
from loaders.registry import PERSON, WRITTEN_NAMES, Column, Dataset
from loaders.rows import FileRows
from loaders.table import Flags, Rows, Words

_SEVERAL = "、,，;；/ "
_FOREVER = np.datetime64("9999-12-31", "D")
_NEVER = np.datetime64("0001-01-01", "D")
_SHOWN_WORDS = 30


def prepare_records(
    maps: Sequence[ColumnMap], known: Known, request: Request, report: ImportReport
) -> pd.DataFrame:
    """Check all records of one dataset at once and return the valid rows."""
    dataset = maps[0].dataset
    rows = FileRows(maps, report)
    stored = KnownPlaces(known.places)
    places = match_places(rows, stored, request, *WRITTEN_NAMES)
    keep = np.ones(len(rows), dtype=bool)
    numbers: Words | None = None
    found: dict[str, pd.Series] = {}
    for name, column in dataset.columns.items():
        if name == "place_id":
            ids = pd.Series(places.ids[places.codes], dtype="str")
            found[name] = ids.where(places.codes >= 0, None)
        elif column.kind == "id_number":
            numbers = numbers_of(rows)
            found[PERSON] = pd.Series(keys_of(rows, numbers, known, keep), dtype="str")
        elif name not in WRITTEN_NAMES:
            found[name] = _read(rows, column, dataset)
    frame = pd.DataFrame({name: found[name] for name in dataset.canonical})
    _check_places(rows, stored, frame, dataset)
    _check_parts(rows, frame, dataset)
    _check_periods(rows, frame)
    keep &= _check_repeats(rows, frame, dataset)
    if numbers is not None:
        _check_births(rows, frame, dataset, numbers)
    for check in CHECKS.get(dataset.id, ()):
        check(rows, frame, known)
    return frame[keep & rows.finish()].reset_index(drop=True)


# Columns


def _read(rows: FileRows, column: Column, dataset: Dataset) -> pd.Series:
    """One canonical column; what cannot be read is reported and left empty."""
    kind = dataset.dtype(column.id)
    cells = rows.columns.get(column.id)
    if cells is None:
        return pd.Series([None] * len(rows), dtype=kind)
    blank = parse.blanks(cells.words)
    if column.required:
        rows.words_flag("MISSING_VALUE", column.id, blank)
    words = READERS[column.kind](rows, column, blank)
    return pd.Series(words[cells.codes], dtype=kind)


def _objects(words: Sequence[Any]) -> NDArray[np.object_]:
    found = np.empty(len(words), dtype=object)
    found[:] = words
    return found


def _each(
    rows: FileRows,
    column: Column,
    blank: Flags,
    code: str,
    read: Callable[[str], Any],
    **params: str,
) -> NDArray[np.object_]:
    """What every distinct word says; where it says nothing, ``code`` is reported."""
    words = rows.columns[column.id].words.tolist()
    found = _objects([None if no else read(word) for word, no in zip(words, blank, strict=True)])
    wrong = np.array([one is None for one in found.tolist()], dtype=bool) & ~blank
    rows.words_flag(code, column.id, wrong, **params)
    return found


def _dates(rows: FileRows, column: Column, blank: Flags) -> NDArray[Any]:
    cells = rows.columns[column.id]
    open_end = np.array([parse.is_open_end(word) for word in cells.words.tolist()], dtype=bool)
    found = _each(rows, column, blank | open_end, "BAD_DATE", parse.date)
    today = dt.date.today()
    # An end that is agreed on may lie ahead; nothing else may.
    if column.id != "valid_to":
        late = np.array([one is not None and one > today for one in found.tolist()], dtype=bool)
        rows.words_flag("DATE_IN_FUTURE", column.id, late)
    return np.array(found.tolist(), dtype="datetime64[s]")


def _months(rows: FileRows, column: Column, blank: Flags) -> NDArray[Any]:
    def read(word: str) -> str | None:
        month = parse.month(word)
        return None if month == parse.AMBIGUOUS_MONTH else month

    found = _each(rows, column, blank, "BAD_MONTH", read)
    this = dt.date.today().strftime("%Y-%m")
    late = np.array([one is not None and one > this for one in found.tolist()], dtype=bool)
    rows.words_flag("DATE_IN_FUTURE", column.id, late)
    return found


def _numbers(rows: FileRows, column: Column, _blank: Flags) -> NDArray[Any]:
    numbers = parse.numbers(rows.columns[column.id].words)
    rows.words_flag("BAD_NUMBER", column.id, numbers.bad)
    rows.words_flag("PERCENT_FOR_COUNT", column.id, numbers.percent, unit=column.unit)
    values = np.where(numbers.bad | numbers.percent | numbers.blank, np.nan, numbers.values)
    found = checks.bounds(values, np.zeros(len(values), dtype=np.int32), [column])
    rows.words_flag("NEGATIVE_COUNT", column.id, found.negative)
    rows.words_flag("NOT_INTEGER", column.id, found.fraction)
    lower, upper = checks.number_text(np.array([column.lower, column.upper]))
    rows.words_flag(
        "OUT_OF_BOUNDS", column.id, found.outside, lower=lower, upper=upper, unit=column.unit
    )
    return values


def _flags(rows: FileRows, column: Column, blank: Flags) -> NDArray[Any]:
    return _each(rows, column, blank, "BAD_FLAG", parse.flag)


def _texts(rows: FileRows, column: Column, blank: Flags) -> NDArray[Any]:
    """Free words; an identity number that somebody wrote among them is masked."""
    return _each(rows, column, blank, "MISSING_VALUE", lambda word: mask_text(plain(word)) or None)


def _codes(rows: FileRows, column: Column, blank: Flags) -> NDArray[Any]:
    words = rows.columns[column.id].words.tolist()
    lost = np.array([parse.is_scientific(word) for word in words], dtype=bool)
    rows.words_flag("CODE_LOST_DIGITS", column.id, lost)
    personal = np.array([mask_text(word) != word for word in words], dtype=bool)
    rows.words_flag("CODE_IS_PERSONAL", column.id, personal)
    found = _texts(rows, column, blank)
    # A spreadsheet's number: 12.0 is 12.
    return _objects([one and one.lstrip("'’").removesuffix(".0") for one in found.tolist()])


def _choices(rows: FileRows, column: Column, blank: Flags) -> NDArray[Any]:
    """Codes of one word, or of several joined by blanks; one unknown word spoils the cell."""
    words = registry.lists()[column.list or ""]
    several = column.kind == "choices"

    def read(text: str) -> str | None:
        whole = words.codes.get(fold(text))
        if whole is not None or not several:
            return whole
        for mark in _SEVERAL:
            text = text.replace(mark, "\n")
        codes = [words.codes.get(fold(part)) for part in text.split("\n") if part.strip()]
        return (
            None if None in codes or not codes else " ".join(sorted({one for one in codes if one}))
        )

    titles = [titles[0] for titles in words.words.values()]
    shown = "、".join(titles[:_SHOWN_WORDS])
    return _each(rows, column, blank, "UNKNOWN_CHOICE", read, words=shown)


def _measures(rows: FileRows, column: Column, blank: Flags) -> NDArray[Any]:
    names = {
        fold(word): one.id
        for one in registry.measures().values()
        for word in (one.id, one.title, *one.aliases)
    }
    known = "、".join(registry.measures())
    return _each(
        rows, column, blank, "UNKNOWN_MEASURE", lambda word: names.get(fold(word)), measures=known
    )


READERS: dict[str, Callable[[FileRows, Column, Flags], NDArray[Any]]] = {
    "date": _dates,
    "month": _months,
    "number": _numbers,
    "flag": _flags,
    "text": _texts,
    "code": _codes,
    "choice": _choices,
    "choices": _choices,
    "measure": _measures,
}
"""By kind of column: one value for each distinct word."""


# Checks of every dataset


def _heading(rows: FileRows, column: str) -> str:
    found = rows.headings.get(column, column)
    return found if isinstance(found, str) else column


def _day_texts(days: pd.Series) -> Words:
    return np.asarray(days.dt.strftime("%Y-%m-%d").to_numpy(dtype=object))


def _days(column: pd.Series, missing: np.datetime64) -> NDArray[np.datetime64]:
    found = column.to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(found), missing, found)


def months_of(frame: pd.DataFrame, dataset: Dataset) -> pd.Series:
    """The month each record belongs to, ``YYYY-MM``; None where its day is not known."""
    dated: pd.Series = frame[dataset.dated]
    if dataset.columns[dataset.dated].kind == "month":
        return dated
    months: pd.Series = dated.dt.strftime("%Y-%m").where(dated.notna(), None).astype("str")
    return months


def _check_places(
    rows: FileRows, stored: KnownPlaces, frame: pd.DataFrame, dataset: Dataset
) -> None:
    """Report rows whose place is not there at the end of their month."""
    months = months_of(frame, dataset)
    both = (frame["place_id"].notna() & months.notna()).to_numpy()
    if not both.any():
        return
    ids, places = pd.factorize(frame["place_id"].to_numpy(dtype=object)[both])
    at_month, distinct = pd.factorize(months.to_numpy(dtype=object)[both])
    versions = stored.versions(np.asarray(places, dtype=object), distinct.tolist())
    wrong = versions[at_month, ids] < 0
    column = "place_id" if "place_id" in rows.columns else "place_name"
    rows.flag(
        "PLACE_NOT_VALID", np.flatnonzero(both)[wrong], column, month=distinct[at_month[wrong]]
    )


def _check_parts(rows: FileRows, frame: pd.DataFrame, dataset: Dataset) -> None:
    for name, column in dataset.columns.items():
        if column.part_of is None:
            continue
        part, whole = (frame[one].to_numpy(np.float64) for one in (name, column.part_of))
        at = np.flatnonzero(part > whole)
        rows.flag(
            "RECORD_PART_ABOVE",
            at,
            name,
            whole=_heading(rows, column.part_of),
            other=checks.number_text(whole[at]),
        )


def _check_periods(rows: FileRows, frame: pd.DataFrame) -> None:
    if "valid_to" not in frame:
        return
    at = np.flatnonzero((frame["valid_to"] <= frame["valid_from"]).to_numpy())
    start = _day_texts(frame["valid_from"].iloc[at])
    rows.flag("CONTRACT_ENDS_BEFORE_START", at, "valid_to", start=start)


def _check_repeats(rows: FileRows, frame: pd.DataFrame, dataset: Dataset) -> Flags:
    """Which rows to keep: of equal ones the first, of conflicting ones none."""
    keep = np.ones(len(frame), dtype=bool)
    key = list(dataset.canonical_key)
    codes = frame.groupby(key, sort=False, dropna=False).ngroup().to_numpy().astype(np.int64)
    unknown = (frame[key].isna() | (frame[key] == "")).any(axis=1).to_numpy(dtype=bool)
    found = checks.repeats(codes)
    named = ~unknown[found.at]
    at, first = found.at[named], found.first[named]
    if len(at) == 0:
        return keep
    here, there = frame.iloc[at].reset_index(drop=True), frame.iloc[first].reset_index(drop=True)
    equal = (here == there).fillna(False) | (here.isna() & there.isna())
    same = equal.all(axis=1).to_numpy(dtype=bool)
    keep[at] = False
    shown = _key_texts(frame.iloc[at], dataset)
    rows.flag(
        "DUPLICATE_ROW", at[same], key[0], value="", first=rows.number[first[same]], key=shown[same]
    )
    differing = _objects(
        [
            "、".join(_heading(rows, name) for name in equal.columns[~line])
            for line in equal.to_numpy()
        ]
    )
    rows.flag(
        "RECORDS_CONFLICT",
        at[~same],
        key[0],
        value="",
        first=rows.number[first[~same]],
        key=shown[~same],
        what=differing[~same],
    )
    rows.bad[first[~same]] = True
    rows.tie(at[same], first[same])
    return keep


def _key_texts(frame: pd.DataFrame, dataset: Dataset) -> Words:
    """Keys to show: days, codes and places; never a person's."""
    parts = []
    for name in dataset.canonical_key:
        if name != PERSON:
            column = frame[name]
            is_day = pd.api.types.is_datetime64_any_dtype(column)
            parts.append(_day_texts(column) if is_day else column.to_numpy(dtype=object))
    return _objects([" ".join(map(str, words)) for words in zip(*parts, strict=True)])


def _check_births(rows: FileRows, frame: pd.DataFrame, dataset: Dataset, numbers: Words) -> None:
    """Nothing can be dated before the birth that the identity number tells."""
    births = {number: birth_of(number) for number in set(numbers.tolist()) if number}
    born = np.array([births.get(number) for number in numbers.tolist()], dtype="datetime64[D]")
    day = frame[dataset.dated].to_numpy(dtype="datetime64[D]")
    rows.flag("SERVICE_BEFORE_BIRTH", np.flatnonzero(day < born), dataset.dated)


# Checks of one dataset


def _of_file_and_stored(
    frame: pd.DataFrame, known: Known, dataset: str, column: str
) -> pd.DataFrame:
    """The file's rows (``row`` is their position) and the stored ones they do not replace (-1)."""
    values = sorted({one for one in frame[column].dropna().tolist() if one})
    held = known.records(dataset, column, values) if values else frame.iloc[:0]
    both = pd.concat([frame.assign(row=np.arange(len(frame))), held.assign(row=-1)])
    key = list(registry.datasets()[dataset].canonical_key)
    return both.drop_duplicates(key, keep="first")


def _overlaps(pool: pd.DataFrame, ends: NDArray[np.datetime64]) -> tuple[Rows, Rows]:
    """Positions in ``pool`` of records whose period runs into the next of the same person."""
    starts = _days(pool["valid_from"], _FOREVER)
    person = pool[PERSON].to_numpy(dtype=object)
    order = np.lexsort((starts, pd.factorize(person)[0]))
    before, after = order[:-1], order[1:]
    known = pd.notna(person[before]) & (person[before] != "")
    clash = known & (person[before] == person[after]) & (ends[before] > starts[after])
    return before[clash], after[clash]


def _check_two_villages(rows: FileRows, frame: pd.DataFrame, known: Known) -> None:
    pool = _of_file_and_stored(frame, known, "residents", PERSON).reset_index(drop=True)
    ends = np.minimum(_days(pool["valid_to"], _FOREVER), _days(pool["died"], _FOREVER))
    _report_overlaps(rows, pool, *_overlaps(pool, ends), "PERSON_TWO_VILLAGES", "place_id")


def _check_contracts(rows: FileRows, frame: pd.DataFrame, known: Known) -> None:
    pool = _of_file_and_stored(frame, known, "contracts", PERSON).reset_index(drop=True)
    ends = _days(pool["valid_to"], _FOREVER)
    _report_overlaps(rows, pool, *_overlaps(pool, ends), "CONTRACTS_OVERLAP", "valid_from")
    _check_deaths(rows, frame, known, "valid_from")


def _report_overlaps(
    rows: FileRows, pool: pd.DataFrame, before: Rows, after: Rows, code: str, column: str
) -> None:
    """Report both sides that stand in the file, each beside the other."""
    own = pool["row"].to_numpy(np.int64)
    days = _day_texts(pool["valid_from"])
    ends = _objects(["" if pd.isna(one) else f"{one:%Y-%m-%d}" for one in pool["valid_to"]])
    for mine, other in ((after, before), (before, after)):
        here = own[mine] >= 0
        places = pool["place_id"].to_numpy(dtype=object)[other[here]]
        shown = [
            f"{place} {days[at]} — {ends[at]}"
            for place, at in zip(places.tolist(), other[here].tolist(), strict=True)
        ]
        rows.flag(code, own[mine[here]], column, other=_objects(shown))


def _check_deaths(rows: FileRows, frame: pd.DataFrame, known: Known, dated: str) -> None:
    """Nothing can be dated after the death that the resident records tell."""
    persons = sorted({one for one in frame[PERSON].dropna().tolist() if one})
    if not persons:
        return
    held = known.records("residents", PERSON, persons)
    died = held.dropna(subset=["died"]).groupby(PERSON)["died"].min()
    end = _days(died.reindex(frame[PERSON]), _FOREVER)
    late = _days(frame[dated], _NEVER) > end
    rows.flag("SERVICE_AFTER_DEATH", np.flatnonzero(late), dated)


def _check_services(rows: FileRows, frame: pd.DataFrame, known: Known) -> None:
    _check_deaths(rows, frame, known, "day")


def _check_members(rows: FileRows, frame: pd.DataFrame, _known: Known) -> None:
    at = np.flatnonzero((frame["members"] == 0).to_numpy(dtype=bool))
    rows.flag("TEAM_WITHOUT_MEMBERS", at, "members")


def _check_money(rows: FileRows, frame: pd.DataFrame, known: Known) -> None:
    """Warn where a total in 万元 is about 10,000 times that of the month before."""
    known_rows = frame["month"].notna() & frame["place_id"].notna() & frame["setting"].notna()
    at = np.flatnonzero((known_rows & (frame["total"] > 0)).to_numpy(dtype=bool))
    if len(at) == 0:
        return
    own = frame.iloc[at]
    held = known.records("settlements", "place_id", sorted(set(own["place_id"])))
    key = ["place_id", "month", "setting"]
    last = pd.concat([own, held])[[*key, "total"]].drop_duplicates(key)
    months = (pd.PeriodIndex(own["month"], freq="M") - 1).astype(str)
    was = own[key].assign(month=months).merge(last, on=key, how="left")["total"]
    before = was.to_numpy(np.float64)
    odd = checks.yuan_for_wan(own["total"].to_numpy(np.float64), before)
    columns = registry.datasets()["settlements"].columns
    rows.flag(
        "YUAN_FOR_WAN",
        at[odd],
        "total",
        place=own["place_id"].to_numpy(dtype=object)[odd],
        month=own["month"].to_numpy(dtype=object)[odd],
        measure=columns["total"].aliases[0],
        measure_en="total",
        before=checks.number_text(before[odd]),
    )


Check = Callable[[FileRows, pd.DataFrame, Known], None]

CHECKS: dict[str, tuple[Check, ...]] = {
    "residents": (_check_two_villages,),
    "contracts": (_check_contracts,),
    "services": (_check_services,),
    "teams": (_check_members,),
    "settlements": (_check_money,),
}
"""What only one dataset is checked for."""

"""Monthly figures: long or wide tables into checked rows of one figure each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loaders import checks, parse, registry
from loaders.fold import fold, without_brackets
from loaders.issues import make
from loaders.known import KnownPlaces
from loaders.mapping import ColumnMap
from loaders.match import PlaceColumn, match_places
from loaders.model import FIGURE_COLUMNS, ImportReport, Known, Request
from loaders.rows import FileRows, concatenate, part
from loaders.table import Factor, Flags, Rows, Words

_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class _Codes:
    """A row column as codes into its distinct values; -1 where a row has none."""

    codes: NDArray[np.int64]
    values: Words


@dataclass(frozen=True, slots=True)
class _Cells:
    """Every figure of the file, one entry each: the row it stands in and its measure.

    ``measure`` is an index into the registry's measures, -1 where unknown.
    """

    row: Rows
    measure: NDArray[np.int32]
    text: Factor
    heading: Words


def empty_frame() -> pd.DataFrame:
    """A figures frame without rows."""
    kinds = {name: "float64" if name == "value" else "str" for name in FIGURE_COLUMNS}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})


def prepare_figures(
    maps: Sequence[ColumnMap], known: Known, request: Request, report: ImportReport
) -> pd.DataFrame:
    """Check all figures at once and return the valid rows."""
    rows = FileRows(maps, report)
    stored = KnownPlaces(known.places)
    places = match_places(rows, stored, request, "place_name", "parent_name")
    months = _months(rows, request)
    sources = _sources(rows)
    versions = _check_periods(rows, stored, places, months)
    cells = _cells(rows)
    values, good = _values(rows, cells)

    good &= (places.codes[cells.row] >= 0) & (months.codes[cells.row] >= 0)
    good &= (sources.codes[cells.row] >= 0) & ~rows.bad[cells.row]
    kept = np.flatnonzero(good)
    facts = _Facts(
        row=cells.row[kept],
        place=places.codes[cells.row[kept]],
        month=months.codes[cells.row[kept]],
        source=sources.codes[cells.row[kept]],
        measure=cells.measure[kept],
        value=values[kept],
        heading=cells.heading if len(cells.heading) == 1 else cells.heading[kept],
        places=places,
        months=months,
        sources=sources,
    )
    repeated = _check_repeats(rows, facts)
    keep = np.ones(len(facts.row), dtype=bool)
    keep[repeated.at] = False
    rows.tie(facts.row[repeated.at], facts.row[repeated.first])
    facts = facts.only(keep)
    _check_parts(rows, facts, stored, known)
    _check_money(rows, facts, stored, known)
    _check_totals(rows, facts, stored, versions)
    return facts.only(rows.finish()[facts.row]).frame()


@dataclass(frozen=True, slots=True)
class _Facts:
    """Good figures as codes: everything a check needs to compare them."""

    row: Rows
    place: NDArray[np.int64]
    month: NDArray[np.int64]
    source: NDArray[np.int64]
    measure: NDArray[np.int32]
    value: checks.Floats
    heading: Words
    places: PlaceColumn
    months: _Codes
    sources: _Codes

    def only(self, wanted: Flags) -> _Facts:
        """The same with some of the figures."""
        if wanted.all():
            return self
        return _Facts(
            self.row[wanted],
            self.place[wanted],
            self.month[wanted],
            self.source[wanted],
            self.measure[wanted],
            self.value[wanted],
            self.heading if len(self.heading) == 1 else self.heading[wanted],
            self.places,
            self.months,
            self.sources,
        )

    def group_keys(self) -> checks.Keys:
        """One number for place, month and source."""
        return checks.combine(
            (self.place, len(self.places.ids)),
            (self.month, len(self.months.values)),
            (self.source, len(self.sources.values)),
        )

    def keys(self) -> checks.Keys:
        """One number for place, month, source and measure."""
        return checks.combine((self.group_keys(), 1), (self.measure, len(registry.measures())))

    def moved_to(self, place: NDArray[np.int64]) -> _Facts:
        """The same figures as if they were those of other places."""
        return replace(self, place=place)

    def headings(self, at: Rows) -> str | Words:
        """Original headings at some figures."""
        return str(self.heading[0]) if len(self.heading) == 1 else self.heading[at]

    def frame(self) -> pd.DataFrame:
        """Canonical columns."""
        names = np.array(list(registry.measures()), dtype=object)
        return pd.DataFrame(
            {
                "place_id": _spread(self.places.ids, self.place),
                "month": _spread(self.months.values, self.month),
                "measure": _spread(names, self.measure),
                "value": self.value,
                "source": _spread(self.sources.values, self.source),
            }
        )


def _spread(words: Words, codes: NDArray[np.integer]) -> pd.Series:
    """Text column from distinct words without a Python object a row."""
    if len(words) == 0:
        return pd.Series(dtype="str")
    return pd.Series(pd.array(words, dtype="str").take(codes))


# Months, sources, periods.


def _months(rows: FileRows, request: Request) -> _Codes:
    """Each row's month; from the request, a title or the file's name where there is no column."""
    asked: str | None = None
    if request.month is not None:
        asked = parse.month(request.month)
        if asked is None or asked == parse.AMBIGUOUS_MONTH:
            rows.report.issues.append(make("MONTH_ARGUMENT_BAD", value=request.month))
            rows.bad[:] = True
            return _Codes(np.full(len(rows), -1, dtype=np.int64), np.array([], dtype=object))
    parts: list[Factor] = []
    start = 0
    for one, size in zip(rows.maps, rows.sizes, strict=True):
        if "month" in one.columns:
            parts.append(one.table.columns[one.columns["month"]])
        else:
            found = _table_month(rows.report, one, asked)
            if found is None:
                rows.bad[start : start + size] = True
            parts.append(Factor.constant(found or "?", size))
        start += size
    column = concatenate(parts)
    texts = np.array(
        [asked or "" if parse.is_blank(word) else word for word in column.words.tolist()],
        dtype=object,
    )
    read = parse.each(texts, parse.month)
    by_column = np.repeat(["month" in one.columns for one in rows.maps], rows.sizes)
    _report_months(rows, column, texts, read, asked, by_column)
    good = np.array([isinstance(one, str) and one != parse.AMBIGUOUS_MONTH for one in read], bool)
    used = np.zeros(len(read), dtype=bool)
    used[column.codes] = True
    values = np.array(sorted(set(read[good & used].tolist())), dtype=object)
    index = {month: code for code, month in enumerate(values.tolist())}
    code_of_word = np.array([index.get(one, -1) for one in read.tolist()], dtype=np.int64)
    return _Codes(code_of_word[column.codes], values)


def _report_months(
    rows: FileRows,
    column: Factor,
    texts: Words,
    read: Words,
    asked: str | None,
    by_column: Flags,
) -> None:
    def report(code: str, marked: list[bool], **params: str | None) -> None:
        at = np.flatnonzero(column.where(np.array(marked, dtype=bool)) & by_column)
        value = None if code == "MISSING_VALUE" else column.take(at).texts()
        heading = part(rows.headings["month"], at) if "month" in rows.headings else None
        rows.flag(code, at, value=value, heading=heading, **params)

    pairs = list(zip(texts.tolist(), read.tolist(), strict=True))
    report("MISSING_VALUE", [text == "" for text, _ in pairs])
    report("BAD_MONTH", [bool(text) and month is None for text, month in pairs])
    report("MONTH_AMBIGUOUS", [month == parse.AMBIGUOUS_MONTH for _, month in pairs])
    if asked is not None:
        others = [month not in (None, parse.AMBIGUOUS_MONTH, asked) for _, month in pairs]
        report("MONTH_CONFLICT", others, asked=asked)


def _table_month(report: ImportReport, one: ColumnMap, asked: str | None) -> str | None:
    """The month of a table without a month column; None, and an issue, when nothing tells it."""
    sheet = one.table.sheet
    headings = dict.fromkeys(
        level for levels in one.table.levels for level in levels if parse.month(level)
    )
    titles = [*one.table.titles, *headings, *([sheet] if sheet else [])]
    title = next((text for text in titles if parse.month_in(text)), None)
    written = parse.month_in(title) if title is not None else None
    if asked is not None:
        if written is not None and written != asked:
            report.issues.append(make("MONTH_CONFLICT", sheet=sheet, value=title, asked=asked))
            return None
        return asked
    if written is None:
        title = Path(report.file).stem
        written = parse.month_in(title)
    if written is None:
        report.issues.append(make("MONTH_MISSING", sheet=sheet))
        return None
    report.issues.append(make("MONTH_FROM_TITLE", sheet=sheet, value=title, month=written))
    return written


def _sources(rows: FileRows) -> _Codes:
    """Each row's source; a blank one is reported by the place itself."""
    values = np.array(parse.SOURCES, dtype=object)
    column = rows.columns.get("source")
    if column is None:
        return _Codes(np.zeros(len(rows), dtype=np.int64), values)
    read = [
        parse.SOURCES[0] if parse.is_blank(word) else parse.source(word)
        for word in column.words.tolist()
    ]
    rows.words_flag("UNKNOWN_SOURCE", "source", np.array([one is None for one in read]))
    index = {name: code for code, name in enumerate(parse.SOURCES)}
    codes = np.array([index.get(one or "", -1) for one in read], dtype=np.int64)
    return _Codes(codes[column.codes], values)


def _check_periods(
    rows: FileRows, stored: KnownPlaces, places: PlaceColumn, months: _Codes
) -> NDArray[np.int64]:
    """Report rows whose place is not valid at their month's end.

    Returns:
        positions in the stored places, shape (months, places), -1 where not valid.
    """
    versions = stored.versions(places.ids, months.values.tolist())
    both = (places.codes >= 0) & (months.codes >= 0)
    if not both.any():
        return versions
    valid = versions[months.codes, places.codes] >= 0
    at = np.flatnonzero(both & ~valid)
    column = "place_id" if "place_id" in rows.columns else "place_name"
    rows.flag("PLACE_NOT_VALID", at, column, month=months.values[months.codes[at]])
    return versions


# Figures.


def _cells(rows: FileRows) -> _Cells:
    """Every figure of long and wide tables alike."""
    index = {name: code for code, name in enumerate(registry.measures())}
    row_parts: list[Rows] = []
    measure_parts: list[NDArray[np.int32]] = []
    text_parts: list[Factor] = []
    headings: list[tuple[str, int]] = []
    start = 0
    for one, size in zip(rows.maps, rows.sizes, strict=True):
        here = np.arange(start, start + size, dtype=np.int64)
        if one.measures:
            for name, position in one.measures.items():
                row_parts.append(here)
                measure_parts.append(np.full(size, index[name], dtype=np.int32))
                text_parts.append(one.table.columns[position])
                headings.append((one.table.headings[position], size))
        else:
            row_parts.append(here)
            measure_parts.append(
                _named_measures(rows, one.table.columns[one.columns["measure"]], start)
            )
            position = one.columns["value"]
            text_parts.append(one.table.columns[position])
            headings.append((one.table.headings[position], size))
        start += size
    distinct = {heading for heading, _ in headings}
    words = np.array([heading for heading, _ in headings], dtype=object)
    return _Cells(
        row=np.concatenate(row_parts),
        measure=np.concatenate(measure_parts),
        text=concatenate(text_parts),
        heading=words[:1]
        if len(distinct) == 1
        else np.repeat(words, [size for _, size in headings]),
    )


def _named_measures(rows: FileRows, column: Factor, start: int) -> NDArray[np.int32]:
    """Measures named in the cells of a long table, by id, title or alias."""
    names: dict[str, int] = {}
    for code, measure in enumerate(registry.measures().values()):
        for word in (measure.id, measure.title, *measure.aliases):
            names[fold(word)] = code
    codes = np.array(
        [
            names.get(fold(word), names.get(without_brackets(fold(word)), -1))
            for word in column.words.tolist()
        ],
        dtype=np.int32,
    )
    blank = parse.blanks(column.words)
    found = codes[column.codes]
    empty, unknown = column.where(blank), column.where((codes < 0) & ~blank)
    rows.flag("MISSING_VALUE", np.flatnonzero(empty) + start, "measure")
    if unknown.any():
        rows.flag(
            "UNKNOWN_MEASURE",
            np.flatnonzero(unknown) + start,
            "measure",
            measures="、".join(registry.measures()),
        )
    return found


def _values(rows: FileRows, cells: _Cells) -> tuple[checks.Floats, Flags]:
    """Figures and which of them are good; blank cells are neither good nor an issue."""
    measures = list(registry.measures().values())
    numbers = parse.numbers(cells.text.words)
    code = cells.text.codes
    values = numbers.values[code]
    named = cells.measure >= 0
    index = np.maximum(cells.measure, 0)
    in_percent = np.array([one.unit == "%" for one in measures])[index]
    units = np.array([one.unit for one in measures], dtype=object)

    def report(issue: str, wrong: Flags, **params: Words) -> None:
        at = np.flatnonzero(wrong)
        heading = str(cells.heading[0]) if len(cells.heading) == 1 else cells.heading[at]
        spread: dict[str, Any] = {name: words[index[at]] for name, words in params.items()}
        value = cells.text.take(at).texts()
        rows.flag(issue, cells.row[at], value=value, heading=heading, **spread)

    bad = numbers.bad[code]
    report("BAD_NUMBER", bad)
    percent = numbers.percent[code] & named & ~in_percent
    report("PERCENT_FOR_COUNT", percent, unit=units)
    good = named & ~bad & ~percent & ~numbers.blank[code]
    found = checks.bounds(np.where(good, values, np.nan), index, measures)
    report("NEGATIVE_COUNT", found.negative)
    report("NOT_INTEGER", found.fraction)
    report(
        "OUT_OF_BOUNDS",
        found.outside,
        lower=checks.number_text(np.array([one.lower for one in measures])),
        upper=checks.number_text(np.array([one.upper for one in measures])),
        unit=units,
    )
    good &= ~(found.negative | found.fraction | found.outside)
    return values, good


def _check_repeats(rows: FileRows, facts: _Facts) -> checks.Repeats:
    """Report figures given before: equal ones are taken once, conflicting ones not at all."""
    found = checks.repeats(facts.keys())
    same = facts.value[found.at] == facts.value[found.first]
    for code, which in (("DUPLICATE_ROW", same), ("CONFLICTING_ROWS", ~same)):
        at, first = found.at[which], found.first[which]
        params = {"first": rows.number[facts.row[first]], "key": _key_texts(facts, at)}
        if code == "CONFLICTING_ROWS":
            params["other"] = checks.number_text(facts.value[first])
        rows.flag(
            code,
            facts.row[at],
            value=checks.number_text(facts.value[at]),
            heading=facts.headings(at),
            **params,
        )
    rows.bad[facts.row[found.first[~same]]] = True
    return found


def _key_texts(facts: _Facts, at: Rows) -> Words:
    titles = np.array([one.title for one in registry.measures().values()], dtype=object)
    parts = (
        facts.places.ids[facts.place[at]],
        facts.months.values[facts.month[at]],
        titles[facts.measure[at]],
    )
    return np.array([" ".join(texts) for texts in zip(*parts, strict=True)], dtype=object)


def _place_texts(stored: KnownPlaces, ids: Words) -> Words:
    names = stored.names_of(np.asarray(pd.unique(ids), dtype=object))
    label = {
        place_id: f"{own[-1]}（{place_id}）" if own else place_id
        for place_id, own in zip(pd.unique(ids).tolist(), names, strict=True)
    }
    return np.array([label[place_id] for place_id in ids.tolist()], dtype=object)


# Figures against each other.


def _check_parts(rows: FileRows, facts: _Facts, stored: KnownPlaces, known: Known) -> None:
    """Parts above their wholes, and implausible totals, in the file and against what is stored."""
    measures = registry.measures()
    index = {name: code for code, name in enumerate(measures)}
    relations = [
        (code, index[one.id], index[other])
        for one in measures.values()
        for code, others in (
            ("PART_EXCEEDS_WHOLE", () if one.part_of is None else (one.part_of,)),
            ("IMPLAUSIBLE_TOTAL", one.rarely_above),
        )
        for other in others
    ]
    pool = _with_stored(facts, known, relations)
    for code, part_code, whole_code in relations:
        parts = np.flatnonzero(pool.measure == part_code)
        pairs = checks.pair_up(parts, np.flatnonzero(pool.measure == whole_code), pool.keys)
        above = pairs.partner >= 0
        above[above] &= pool.value[pairs.rows[above]] > pool.value[pairs.partner[above]] + _SAME
        if above.any():
            _report_parts(rows, facts, stored, pool, code, pairs.rows[above], pairs.partner[above])


@dataclass(frozen=True, slots=True)
class _Pool:
    """The file's figures, then stored ones they may have to be compared with."""

    keys: checks.Keys
    measure: NDArray[np.int32]
    value: checks.Floats
    place: NDArray[np.int64]
    month: NDArray[np.int64]


def _with_stored(facts: _Facts, known: Known, relations: list[tuple[str, int, int]]) -> _Pool:
    own = _Pool(facts.group_keys(), facts.measure, facts.value, facts.place, facts.month)
    lonely = np.zeros(len(facts.row), dtype=bool)
    wanted: set[int] = set()
    for _, part_code, whole_code in relations:
        for mine, other in ((part_code, whole_code), (whole_code, part_code)):
            at = np.flatnonzero(own.measure == mine)
            pairs = checks.pair_up(at, np.flatnonzero(own.measure == other), own.keys)
            missing = pairs.rows[pairs.partner < 0]
            if len(missing):
                lonely[missing] = True
                wanted.add(other)
    if not wanted:
        return own
    names = list(registry.measures())
    frame = known.figures(
        facts.places.ids[np.unique(own.place[lonely])].tolist(),
        facts.months.values[np.unique(own.month[lonely])].tolist(),
        [names[code] for code in sorted(wanted)],
    )
    if len(frame) == 0:
        return own
    codes = [
        pd.Index(values, dtype=object).get_indexer(pd.Index(frame[column], dtype=object))
        for column, values in (
            ("place_id", facts.places.ids),
            ("month", facts.months.values),
            ("source", facts.sources.values),
            ("measure", np.array(names, dtype=object)),
        )
    ]
    usable = np.logical_and.reduce([one >= 0 for one in codes])
    place, month, source, measure = (one[usable].astype(np.int64) for one in codes)
    keys = checks.combine(
        (place, len(facts.places.ids)),
        (month, len(facts.months.values)),
        (source, len(facts.sources.values)),
    )
    # What the file brings anew takes the stored figure's place.
    full = checks.combine((keys, 1), (measure, len(names)))
    replaced = np.isin(full, checks.combine((own.keys, 1), (own.measure, len(names))))
    new = np.flatnonzero(~replaced)
    return _Pool(
        np.concatenate([own.keys, keys[new]]),
        np.concatenate([own.measure, measure[new].astype(np.int32)]),
        np.concatenate([own.value, frame["value"].to_numpy(np.float64)[usable][new]]),
        np.concatenate([own.place, place[new]]),
        np.concatenate([own.month, month[new]]),
    )


def _report_parts(
    rows: FileRows,
    facts: _Facts,
    stored: KnownPlaces,
    pool: _Pool,
    code: str,
    parts: Rows,
    wholes: Rows,
) -> None:
    size = len(facts.row)
    inside = (parts < size) | (wholes < size)
    parts, wholes = parts[inside], wholes[inside]
    if len(parts) == 0:
        return
    shown = np.where(parts < size, parts, wholes)
    other = np.where(parts < size, wholes, parts)
    measures = list(registry.measures().values())
    part_measure = measures[int(pool.measure[parts[0]])]
    whole_measure = measures[int(pool.measure[wholes[0]])]
    in_file = other < size
    number = rows.number[facts.row[np.where(in_file, other, 0)]]
    where, where_en = (
        np.where(in_file, [template.format(one) for one in number.tolist()], stored_word)
        for template, stored_word in (
            ("另一个数在第 {} 行", "另一个数已入库"),
            ("the other is in row {}", "the other is stored"),
        )
    )
    row = facts.row[shown]
    rows.flag(
        code,
        row,
        value=checks.number_text(pool.value[parts]),
        heading=facts.headings(shown),
        place=_place_texts(stored, facts.places.ids[pool.place[shown]]),
        month=facts.months.values[pool.month[shown]],
        part=part_measure.title,
        part_en=part_measure.title_en,
        whole=whole_measure.title,
        whole_en=whole_measure.title_en,
        limit=checks.number_text(pool.value[wholes]),
        where=where.astype(object),
        where_en=where_en.astype(object),
    )
    if code == "PART_EXCEEDS_WHOLE":
        rows.bad[facts.row[other[in_file]]] = True


MONEY = "万元"


def _check_money(rows: FileRows, facts: _Facts, stored: KnownPlaces, known: Known) -> None:
    """Warn where a sum declared in 万元 is about 10,000 times that of the month before."""
    measures = list(registry.measures().values())
    codes = [code for code, one in enumerate(measures) if one.unit == MONEY]
    at = np.flatnonzero(np.isin(facts.measure, codes) & (facts.value > 0))
    if len(at) == 0:
        return
    key = ["place_id", "month", "measure", "source"]
    titles = np.array([one.id for one in measures], dtype=object)
    own = pd.DataFrame(
        {
            "place_id": facts.places.ids[facts.place[at]],
            "month": facts.months.values[facts.month[at]],
            "measure": titles[facts.measure[at]],
            "source": facts.sources.values[facts.source[at]],
            "value": facts.value[at],
        }
    )
    months = pd.PeriodIndex(own["month"], freq="M")
    before = own.assign(month=(months - 1).astype(str))
    held = known.figures(
        sorted(set(own["place_id"])), sorted(set(before["month"])), sorted(set(own["measure"]))
    )
    # What the file says of last month takes the stored figure's place.
    last = pd.concat([own, held[[*key, "value"]]] if len(held) else [own]).drop_duplicates(key)
    was = before[key].merge(last, on=key, how="left")["value"].to_numpy(np.float64)
    odd = checks.yuan_for_wan(own["value"].to_numpy(np.float64), was)
    if len(odd) == 0:
        return
    found = at[odd]
    titled = np.array([one.title for one in measures], dtype=object)
    titled_en = np.array([one.title_en for one in measures], dtype=object)
    rows.flag(
        "YUAN_FOR_WAN",
        facts.row[found],
        value=checks.number_text(facts.value[found]),
        heading=facts.headings(found),
        place=_place_texts(stored, facts.places.ids[facts.place[found]]),
        month=facts.months.values[facts.month[found]],
        measure=titled[facts.measure[found]],
        measure_en=titled_en[facts.measure[found]],
        before=checks.number_text(was[odd]),
    )


def _check_totals(
    rows: FileRows, facts: _Facts, stored: KnownPlaces, versions: NDArray[np.int64]
) -> None:
    """Warn where a place's own figure is not the sum of its children's in the same file."""
    if len(facts.row) == 0 or len(stored) == 0:
        return
    parent_of_version = np.full(len(stored) + 1, -1, dtype=np.int64)
    used = np.zeros(len(stored) + 1, dtype=bool)
    used[versions] = True
    used[-1] = False
    at = np.flatnonzero(used)
    parent_of_version[at] = pd.Index(facts.places.ids, dtype=object).get_indexer(
        pd.Index(stored.parents[at], dtype=object)
    )
    present = np.zeros(len(facts.places.ids) + 1, dtype=bool)
    present[facts.place] = True
    parent_of_version[~present[parent_of_version]] = -1
    if (parent_of_version < 0).all():
        return
    parent = parent_of_version[versions[facts.month, facts.place]]
    below = facts.moved_to(parent).only(parent >= 0)
    own = facts.keys()
    unique, inverse = np.unique(below.keys(), return_inverse=True)
    totals = np.bincount(inverse, weights=below.value)
    order = np.argsort(own, kind="stable")
    position = np.minimum(np.searchsorted(own[order], unique), len(order) - 1)
    holder = order[position]
    differs = (own[holder] == unique) & (np.abs(facts.value[holder] - totals) > _SAME)
    holder, totals = holder[differs], totals[differs]
    if len(holder) == 0:
        return
    measures = list(registry.measures().values())
    titles = np.array([one.title for one in measures], dtype=object)
    titles_en = np.array([one.title_en for one in measures], dtype=object)
    rows.flag(
        "TOTAL_DIFFERS",
        facts.row[holder],
        value=checks.number_text(facts.value[holder]),
        heading=facts.headings(holder),
        place=_place_texts(stored, facts.places.ids[facts.place[holder]]),
        month=facts.months.values[facts.month[holder]],
        measure=titles[facts.measure[holder]],
        measure_en=titles_en[facts.measure[holder]],
        total=checks.number_text(totals),
    )

"""Targets of the year: what a layer is to reach at a place, in the layer's unit."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from loaders import checks, parse
from loaders.fold import fold, without_brackets
from loaders.known import KnownPlaces
from loaders.mapping import ColumnMap
from loaders.match import PlaceColumn, match_places
from loaders.model import TARGET_COLUMNS, ImportReport, Known, KnownLayer, Request
from loaders.registry import WRITTEN_NAMES
from loaders.rows import FileRows
from loaders.table import Flags, Words, words_of

_FIRST_YEAR = 2000
_YEARS_AHEAD = 5
_YEAR = re.compile(r"(\d{4})(?:\.0)?年?度?")
_NEAR = 5
_LEAST_SCORE = 50.0

Codes = NDArray[np.int64]


def empty_frame() -> pd.DataFrame:
    """A targets frame without rows."""
    kinds = {"year": "int64", "value": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kinds.get(name, "str")) for name in TARGET_COLUMNS})


def prepare_targets(
    maps: Sequence[ColumnMap], known: Known, request: Request, report: ImportReport
) -> pd.DataFrame:
    """Check all targets at once and return the valid rows."""
    rows = FileRows(maps, report)
    stored = KnownPlaces(known.places)
    places = match_places(rows, stored, request, *WRITTEN_NAMES)
    layers = _layers(rows, known.layers)
    years = _years(rows)
    values = _values(rows, layers, known.layers)
    _check_places(rows, stored, places, years)
    ids = np.array([layer.id for layer in known.layers] or [""], dtype=object)
    frame = pd.DataFrame(
        {
            "layer": pd.Series(ids[layers], dtype="str"),
            "place_id": pd.Series(places.ids[places.codes], dtype="str"),
            "year": years,
            "value": values,
        }
    )
    keep = _check_repeats(rows, frame, known.layers)
    return frame[keep & rows.finish()].reset_index(drop=True)


def _layers(rows: FileRows, layers: Sequence[KnownLayer]) -> Codes:
    """Each row's layer by id, title or short title; -1 where it has none."""
    column = rows.columns["layer"]
    named: dict[str, set[int]] = {}
    for code, layer in enumerate(layers):
        for word in (layer.id, *layer.words):
            named.setdefault(fold(word), set()).add(code)
    names = {word: next(iter(codes)) for word, codes in named.items() if len(codes) == 1}
    blank = parse.blanks(column.words)
    codes = np.array(
        [
            names.get(fold(word), names.get(without_brackets(fold(word)), -1))
            for word in column.words.tolist()
        ],
        dtype=np.int64,
    )
    rows.words_flag("MISSING_VALUE", "layer", blank)
    unknown = (codes < 0) & ~blank
    if unknown.any():
        near = np.array([_near(word, layers) for word in column.words.tolist()], dtype=object)
        at = np.flatnonzero(column.where(unknown))
        rows.flag("UNKNOWN_MEASURE", at, "layer", measures=near[column.codes[at]])
    return codes[column.codes]


def _near(word: str, layers: Sequence[KnownLayer]) -> str:
    """The titles a name comes closest to; all of them where none is close."""
    titles = [layer.title for layer in layers]
    folded = [fold(title) for title in titles]
    found = process.extract(
        fold(word), folded, scorer=fuzz.WRatio, limit=_NEAR, score_cutoff=_LEAST_SCORE
    )
    return "、".join([titles[at] for _, _, at in found] or titles)


def _years(rows: FileRows) -> Codes:
    """Each row's year; 0 where it has none."""
    column = rows.columns["year"]
    blank = parse.blanks(column.words)
    last = dt.date.today().year + _YEARS_AHEAD

    def read(word: str) -> int:
        found = _YEAR.fullmatch(fold(word))
        year = 0 if found is None else int(found[1])
        return year if _FIRST_YEAR <= year <= last else 0

    years = np.array([read(word) for word in column.words.tolist()], dtype=np.int64)
    rows.words_flag("MISSING_VALUE", "year", blank)
    rows.words_flag(
        "BAD_YEAR", "year", (years == 0) & ~blank, first=str(_FIRST_YEAR), last=str(last)
    )
    return years[column.codes]


def _values(rows: FileRows, at_layer: Codes, layers: Sequence[KnownLayer]) -> checks.Floats:
    """Each row's target in its layer's unit; NaN where it has none."""
    column = rows.columns["value"]
    numbers = parse.numbers(column.words)
    code = column.codes
    values = numbers.values[code].copy()
    named = at_layer >= 0
    of = np.maximum(at_layer, 0).astype(np.int32)
    units = np.array([layer.unit for layer in layers] or [""], dtype=object)[of]
    share = named & (units == "%")
    higher = np.array([layer.higher for layer in layers] or [True])[of]

    def report(issue: str, wrong: Flags, **params: Words) -> Flags:
        at = np.flatnonzero(wrong)
        rows.flag(issue, at, "value", **{name: words[at] for name, words in params.items()})
        return wrong

    bad = report("MISSING_VALUE", numbers.blank[code])
    bad |= report("BAD_NUMBER", numbers.bad[code])
    bad |= report("PERCENT_FOR_COUNT", named & ~share & numbers.percent[code], unit=units)
    # A spreadsheet's cell that shows 85% holds 0.85, and nothing tells it from 0.85 %.
    small = share & ~bad & ~numbers.percent[code] & (values > 0) & (values <= 1)
    bad |= report("SHARE_OR_PERCENT", small & ~higher)
    taken = small & higher
    values[taken] = np.round(values[taken] * 100, 10)
    report("SHARE_AS_PERCENT", taken, percent=checks.number_text(values))
    if not layers:
        return values
    found = checks.bounds(np.where(named & ~bad, values, np.nan), of, layers)
    report("NEGATIVE_COUNT", found.negative)
    report("NOT_INTEGER", found.fraction)
    report(
        "OUT_OF_BOUNDS",
        found.outside,
        lower=checks.number_text(np.array([layer.lower for layer in layers]))[of],
        upper=checks.number_text(np.array([layer.upper for layer in layers]))[of],
        unit=units,
    )
    return values


def _check_places(rows: FileRows, stored: KnownPlaces, places: PlaceColumn, years: Codes) -> None:
    """Report rows whose place is there at no month's end of the year."""
    both = (places.codes >= 0) & (years > 0)
    for year in np.unique(years[both]).tolist():
        months = [f"{year}-{month:02}" for month in range(1, 13)]
        there: Flags = np.any(stored.versions(places.ids, months) >= 0, axis=0)
        at = np.flatnonzero(both & (years == year) & ~there[places.codes])
        column = "place_id" if "place_id" in rows.columns else "place_name"
        rows.flag("PLACE_NOT_VALID", at, column, month=str(year))


def _check_repeats(rows: FileRows, frame: pd.DataFrame, layers: Sequence[KnownLayer]) -> Flags:
    """Which rows to keep: of equal ones the first, of conflicting ones none."""
    keep = np.ones(len(frame), dtype=bool)
    good = np.flatnonzero(~rows.bad)
    key = frame.iloc[good][["layer", "place_id", "year"]]
    found = checks.repeats(key.groupby(list(key)).ngroup().to_numpy().astype(np.int64))
    at, first = good[found.at], good[found.first]
    value = frame["value"].to_numpy()
    same = value[at] == value[first]
    titles = {layer.id: layer.title for layer in layers}
    keys = (frame[name].iloc[at].tolist() for name in ("layer", "place_id", "year"))
    shown = words_of(
        f"{titles[layer]} {place} {year}" for layer, place, year in zip(*keys, strict=True)
    )
    for code, which in (("DUPLICATE_ROW", same), ("CONFLICTING_ROWS", ~same)):
        params = {"first": rows.number[first[which]], "key": shown[which]}
        if code == "CONFLICTING_ROWS":
            params["other"] = checks.number_text(value[first[which]])
        rows.flag(code, at[which], "value", value=checks.number_text(value[at[which]]), **params)
    keep[at] = False
    rows.bad[first[~same]] = True
    rows.tie(at[same], first[same])
    return keep

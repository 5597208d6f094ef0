"""Clinics and hospitals: a table or point layer into checked rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import shapely

from loaders import checks, parse
from loaders.fold import plain
from loaders.known import KnownPlaces
from loaders.mapping import ColumnMap
from loaders.match import match_places
from loaders.model import INSTITUTION_COLUMNS, ImportReport, Known, Request
from loaders.points import (
    POINT_TYPES,
    Points,
    coordinate_system,
    home_shapes,
    layer_shapes,
    points_of_columns,
    points_of_shapes,
    report_far,
    report_shift,
)
from loaders.rows import FileRows
from loaders.table import Flags, Words

_TAIL = re.compile(r"(\d+)\.0+")


def empty_frame() -> pd.DataFrame:
    """An institutions frame without rows."""
    return pd.DataFrame(
        {
            name: pd.Series(dtype="float64" if name in ("lon", "lat") else "str")
            for name in INSTITUTION_COLUMNS
        }
    )


def prepare_institutions(
    maps: Sequence[ColumnMap], known: Known, request: Request, report: ImportReport
) -> pd.DataFrame:
    """Check all institutions at once and return the valid rows."""
    rows = FileRows(maps, report)
    stored = KnownPlaces(known.places)
    places = match_places(rows, stored, request, "place_name", "parent_name")
    ids = _required(rows, "id", _plain_id)
    names = _required(rows, "name", plain)
    kinds = _kinds(rows)
    points = _points(rows, request)

    place_ids = np.where(places.codes >= 0, places.ids[places.codes], "").astype(object)
    frame = pd.DataFrame(
        {
            "id": pd.Series(ids, dtype="str"),
            "name": pd.Series(names, dtype="str"),
            "kind": pd.Series(kinds, dtype="str"),
            "place_id": pd.Series(place_ids, dtype="str"),
            "lon": points.lon,
            "lat": points.lat,
        }
    )
    keep = _check_repeats(rows, frame)
    _check_positions(rows, frame, points, stored, known, report)
    return frame[keep & rows.finish()].reset_index(drop=True)


def _plain_id(text: str) -> str:
    """An institution's id: narrow, without Excel's ``.0``; never padded."""
    written = parse.narrow(text).lstrip("'’")
    tail = _TAIL.fullmatch(written)
    return tail[1] if tail else written


def _required(rows: FileRows, name: str, read: Callable[[str], str]) -> Words:
    """A text column whose blank cells are errors."""
    column = rows.columns[name]
    blank = parse.blanks(column.words)
    rows.words_flag("MISSING_VALUE", name, blank)
    if name == "id":
        lost = np.array([parse.is_scientific(word) for word in column.words.tolist()], dtype=bool)
        rows.words_flag("CODE_LOST_DIGITS", name, lost)
    words = np.where(blank, "", parse.each(column.words, read)).astype(object)
    return np.asarray(words[column.codes], dtype=object)


def _kinds(rows: FileRows) -> Words:
    column = rows.columns["kind"]
    blank = parse.blanks(column.words)
    read = parse.each(column.words, parse.kind)
    unknown = np.array([one is None for one in read.tolist()], dtype=bool)
    rows.words_flag("MISSING_VALUE", "kind", blank)
    rows.words_flag("UNKNOWN_KIND", "kind", unknown & ~blank)
    words = parse.each(read, lambda one: "" if one is None else str(one))
    return np.asarray(words[column.codes], dtype=object)


def _points(rows: FileRows, request: Request) -> Points:
    """Points of the layer's shapes where it has some, else of the columns."""
    if all(one.table.geometries is None for one in rows.maps):
        has_columns = bool({"lon", "lat"} & rows.columns.keys())
        crs = coordinate_system(rows, request, shapes=False) if has_columns else None
        return points_of_columns(rows, crs, "name")
    read = layer_shapes(rows, request, "name")
    if read is None:
        return Points(np.full(len(rows), np.nan), np.full(len(rows), np.nan))
    shapes, _ = read
    wrong = ~np.isin(shapely.get_type_id(shapes), (-1, *POINT_TYPES))
    rows.flag(
        "GEOMETRY_BAD",
        np.flatnonzero(wrong),
        "name",
        detail="不是点",
        detail_en="it is no point",
    )
    return points_of_shapes(shapes)


def _check_repeats(rows: FileRows, frame: pd.DataFrame) -> Flags:
    """Which rows to keep: of equal ones the first, of conflicting ones none."""
    keep = np.ones(len(frame), dtype=bool)
    ids = frame["id"].to_numpy(dtype=object)
    found = checks.repeats(ids)
    named = ids[found.at] != ""
    at, first = found.at[named], found.first[named]
    if len(at) == 0:
        return keep
    same = np.ones(len(at), dtype=bool)
    for column in INSTITUTION_COLUMNS:
        here, there = frame[column].iloc[at], frame[column].iloc[first]
        equal = here.to_numpy() == there.to_numpy()
        same &= equal | (here.isna().to_numpy() & there.isna().to_numpy())
    keep[at] = False
    rows.flag("DUPLICATE_ROW", at[same], "id", first=rows.number[first[same]], key=ids[at[same]])
    names = frame["name"].to_numpy(dtype=object)
    rows.flag(
        "CONFLICTING_ROWS",
        at[~same],
        "id",
        value=names[at[~same]],
        first=rows.number[first[~same]],
        key=ids[at[~same]],
        other=names[first[~same]],
    )
    rows.bad[first[~same]] = True
    rows.tie(at[same], first[same])
    return keep


def _check_positions(
    rows: FileRows,
    frame: pd.DataFrame,
    points: Points,
    stored: KnownPlaces,
    known: Known,
    report: ImportReport,
) -> None:
    place_ids = frame["place_id"].to_numpy(dtype=object)
    at = np.flatnonzero(points.present & ~rows.bad & (place_ids != ""))
    if len(at) == 0 or known.shapes is None:
        return
    homes = home_shapes(known, stored, place_ids[at])
    shapes = np.asarray(shapely.points(points.lon[at], points.lat[at]), dtype=object)
    report_far(rows, at, shapes, homes, place_ids[at], "name")
    if report.crs not in ("gcj02", "bd09"):
        report_shift(rows, shapes, homes)

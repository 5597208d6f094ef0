"""Administrative places: a table or boundary layer into checked, dated rows with their polygons."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geodata.codes import levels_and_parents
from geodata.coverage_shapes import RepairProblem, repair
from geodata.tree import COLUMNS as TREE_COLUMNS
from geodata.tree import TreeProblem, arrange
from loaders import checks, parse
from loaders.fold import plain
from loaders.known import KnownPlaces
from loaders.mapping import ColumnMap
from loaders.match import normalise_ids
from loaders.model import ImportReport, Known, Request
from loaders.points import (
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
from loaders.table import Factor, Flags, Rows, Words

FIRST_DAY = np.datetime64("1900-01-01", "D")
"""Since when a place counts as valid when nobody says otherwise."""

_NONE = np.datetime64("NaT", "D")
_POLYGON_TYPES = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
_MOST_TWISTED = 0.1
"""Share of a polygon that may lie in loops running the wrong way for it to be repaired."""

_TREE_CODES = {
    "unknown_parent": "UNKNOWN_PARENT",
    "cycle": "PARENT_CYCLE",
    "level_order": "LEVEL_ORDER",
    "overlapping_periods": "PERIODS_OVERLAP",
    "bad_id": "BAD_ID",
}

Days = NDArray[np.datetime64]
Shapes = NDArray[Any]


def empty_frame() -> pd.DataFrame:
    """A places frame without rows."""
    return _Draft.nothing().frame()


@dataclass(slots=True)
class _Draft:
    """The file's places as arrays, one entry a row; level -1 and empty texts where unknown."""

    ids: Words
    names: Words
    levels: NDArray[np.int64]
    parents: Words
    parent_written: Flags
    starts: Days
    ends: Days
    points: Points
    indicative: Flags

    @classmethod
    def nothing(cls) -> _Draft:
        """No places."""
        texts = np.empty(0, dtype=object)
        days, floats = np.empty(0, dtype="datetime64[D]"), np.empty(0)
        return cls(
            texts, texts, np.empty(0, np.int64), texts, np.empty(0, dtype=bool), days, days,
            Points(floats, floats), np.empty(0, dtype=bool),
        )  # fmt: skip

    def frame(self) -> pd.DataFrame:
        """Canonical columns; a root's parent is missing."""
        parents = pd.Series(self.parents, dtype="str")
        return pd.DataFrame(
            {
                "id": pd.Series(self.ids, dtype="str"),
                "name": pd.Series(self.names, dtype="str"),
                "level": self.levels,
                "parent_id": parents.mask(parents == ""),
                "valid_from": self.starts.astype("datetime64[s]"),
                "valid_to": self.ends.astype("datetime64[s]"),
                "lon": self.points.lon,
                "lat": self.points.lat,
                "indicative": self.indicative,
            }
        )


def prepare_places(
    maps: Sequence[ColumnMap], known: Known, request: Request, report: ImportReport
) -> tuple[pd.DataFrame, Shapes | None]:
    """Check all places at once; the valid rows and, from vector files, their polygons in WGS84."""
    rows = FileRows(maps, report)
    stored = KnownPlaces(known.places)
    draft, shapes = _read(rows, stored, request)
    keep = _check_repeats(rows, draft, shapes)
    _settle_roots(rows, draft, stored, keep)
    _check_against_stored(rows, draft, stored, keep)
    _check_tree(rows, draft, stored, keep)
    if shapes is not None:
        shapes = _repaired(rows, draft, shapes, keep)
    _check_positions(rows, draft, shapes, stored, known, report)
    _reject_below_rejected(rows, draft, stored, keep)
    valid = keep & rows.finish()
    frame = draft.frame()[valid].reset_index(drop=True)
    return frame, None if shapes is None else shapes[valid]


# Reading the columns.


def _read(rows: FileRows, stored: KnownPlaces, request: Request) -> tuple[_Draft, Shapes | None]:
    id_column = rows.columns["id"]
    word_ids = normalise_ids(id_column.words)
    rows.words_flag("MISSING_VALUE", "id", word_ids == "")
    lost = np.array([parse.is_scientific(word) for word in id_column.words.tolist()], dtype=bool)
    rows.words_flag("CODE_LOST_DIGITS", "id", lost)
    ids = np.asarray(word_ids[id_column.codes], dtype=object)
    position = stored.positions(ids)
    code_levels, code_parents = levels_and_parents(pd.Series(ids, dtype="str"))
    parents, parent_written = _parents(rows, stored, position, code_parents)
    starts, ends = _period(rows, stored, position)
    shapes, points = _geometry(rows, request)
    draft = _Draft(
        ids=ids,
        names=_names(rows, stored, position),
        levels=_levels(rows, stored, position, code_levels, ids),
        parents=parents,
        parent_written=parent_written,
        starts=starts,
        ends=ends,
        points=points,
        indicative=_indicative(rows),
    )
    return draft, shapes


def _blank_or_absent(rows: FileRows, name: str) -> tuple[Factor, Flags]:
    column = rows.columns.get(name, Factor.constant("", len(rows)))
    return column, parse.blanks(column.words)


def _names(rows: FileRows, stored: KnownPlaces, position: Rows) -> Words:
    column, blank = _blank_or_absent(rows, "name")
    names = parse.each(column.words, plain)[column.codes]
    empty = column.where(blank)
    known = empty & (position >= 0)
    names[known] = stored.names[position[known]] if known.any() else ""
    rows.flag("MISSING_VALUE", np.flatnonzero(empty & ~known), "name")
    return np.asarray(names, dtype=object)


def _levels(
    rows: FileRows, stored: KnownPlaces, position: Rows, by_code: pd.Series, ids: Words
) -> NDArray[np.int64]:
    """As written, else as stored, else as the code says; -1 where nobody says."""
    column, blank = _blank_or_absent(rows, "level")
    read = parse.each(column.words, parse.level)
    unread = np.array([one is None for one in read.tolist()], dtype=bool)
    rows.words_flag("BAD_LEVEL", "level", unread & ~blank) if "level" in rows.columns else None
    number = np.array([-1 if one is None else int(one) for one in read.tolist()], dtype=np.int64)
    levels = number[column.codes]
    empty = column.where(blank)
    known = empty & (position >= 0)
    if known.any():
        levels[known] = stored.levels[position[known]]
    coded = by_code.fillna(-1).to_numpy(dtype=np.int64)
    rest = empty & ~known
    levels[rest] = coded[rest]
    missing = np.flatnonzero(rest & (levels < 0) & (ids != ""))
    rows.flag("LEVEL_MISSING", missing, heading="level", value=ids[missing])
    return levels


def _parents(
    rows: FileRows, stored: KnownPlaces, position: Rows, by_code: pd.Series
) -> tuple[Words, Flags]:
    """As written, else as stored, else as the code says, else empty; and which are written."""
    column, blank = _blank_or_absent(rows, "parent_id")
    parents = normalise_ids(column.words)[column.codes]
    empty = column.where(blank)
    known = empty & (position >= 0)
    if known.any():
        parents[known] = stored.parents[position[known]]
    derived = np.where(by_code.isna().to_numpy(bool), "", by_code.to_numpy(dtype=object))
    rest = empty & ~known & (derived != "")
    parents[rest] = derived[rest]
    return np.asarray(parents, dtype=object), ~empty


def _period(rows: FileRows, stored: KnownPlaces, position: Rows) -> tuple[Days, Days]:
    """Half-open periods; a start nobody gives is the stored latest period's, else the first day."""
    starts, no_start = _dates(rows, "valid_from", lambda text: False)
    ends, no_end = _dates(rows, "valid_to", parse.is_open_end)
    known = no_start & (position >= 0)
    starts[no_start] = FIRST_DAY
    if known.any():
        starts[known] = stored.starts[position[known]]
        same_period = known & no_end & ("valid_to" not in rows.columns)
        stored_ends = pd.to_datetime(stored.frame["valid_to"]).to_numpy(dtype="datetime64[D]")
        ends[same_period] = stored_ends[position[same_period]]
    wrong = np.flatnonzero(~np.isnat(ends) & ~(ends > starts))
    rows.flag(
        "BAD_PERIOD",
        wrong,
        "valid_to" if "valid_to" in rows.columns else None,
        start=starts[wrong].astype(str).astype(object),
        end=ends[wrong].astype(str).astype(object),
    )
    return starts, ends


def _dates(rows: FileRows, name: str, is_open: Callable[[str], bool]) -> tuple[Days, Flags]:
    """A date column and which rows leave it blank."""
    column, blank = _blank_or_absent(rows, name)
    read: list[dt.date | None] = [parse.period_day(word) for word in column.words.tolist()]
    open_end = np.array([is_open(word) for word in column.words.tolist()], dtype=bool)
    bad = np.array([one is None for one in read], dtype=bool) & ~blank & ~open_end
    if name in rows.columns:
        rows.words_flag("BAD_DATE", name, bad)
    days = np.array([_NONE if one is None else np.datetime64(one, "D") for one in read])
    days[open_end] = _NONE
    return days.astype("datetime64[D]")[column.codes], column.where(blank | bad)


def _indicative(rows: FileRows) -> Flags:
    column, blank = _blank_or_absent(rows, "indicative")
    read = parse.each(column.words, parse.flag)
    bad = np.array([one is None for one in read.tolist()], dtype=bool) & ~blank
    if "indicative" in rows.columns:
        rows.words_flag("BAD_FLAG", "indicative", bad)
    return column.where(np.array([one is True for one in read.tolist()], dtype=bool))


def _geometry(rows: FileRows, request: Request) -> tuple[Shapes | None, Points]:
    """Polygons (None where a row has none) and points, both in WGS84."""
    has_columns = bool({"lon", "lat"} & rows.columns.keys())
    if all(one.table.geometries is None for one in rows.maps):
        crs = coordinate_system(rows, request, shapes=False) if has_columns else None
        return None, points_of_columns(rows, crs, "id")
    read = layer_shapes(rows, request, "id")
    if read is None:
        return None, Points(np.full(len(rows), np.nan), np.full(len(rows), np.nan))
    shapes, crs = read
    points = points_of_shapes(shapes)
    if points.present.any():
        shapes = _without(shapes, points.present)
        if shapely.is_missing(shapes).all():
            return None, points
    elif has_columns:
        points = points_of_columns(rows, crs, "id")
    return shapes, points


def _without(shapes: Shapes, dropped: Flags) -> Shapes:
    """A copy with None where ``dropped``."""
    kept = shapes.copy()
    kept[dropped] = None
    return kept


# Rows against each other and against what is stored.


def _check_repeats(rows: FileRows, draft: _Draft, shapes: Shapes | None) -> Flags:
    """Which rows to keep: of equal ones the first, of conflicting ones the first for the tree."""
    keep: Flags = draft.ids != ""
    id_codes, unique_ids = pd.factorize(draft.ids)
    day_codes, unique_days = pd.factorize(draft.starts)
    keys = checks.combine((id_codes, len(unique_ids)), (day_codes, len(unique_days)))
    found = checks.repeats(keys)
    named = keep[found.at]
    at, first = found.at[named], found.first[named]
    if len(at) == 0:
        return keep
    keep[at] = False
    same = np.ones(len(at), dtype=bool)
    for column in (draft.names, draft.levels, draft.parents):
        same &= column[at] == column[first]
    ends = draft.ends
    same &= (ends[at] == ends[first]) | (np.isnat(ends[at]) & np.isnat(ends[first]))
    if shapes is not None:
        same &= _same_shapes(shapes[at], shapes[first])
    rows.flag(
        "DUPLICATE_ROW",
        at[same],
        "id",
        first=rows.number[first[same]],
        key=draft.ids[at[same]],
    )
    rows.flag(
        "CONFLICTING_ROWS",
        at[~same],
        "id",
        value=draft.names[at[~same]],
        first=rows.number[first[~same]],
        key=draft.ids[at[~same]],
        other=draft.names[first[~same]],
    )
    rows.bad[first[~same]] = True
    rows.tie(at[same], first[same])
    return keep


def _same_shapes(here: Shapes, there: Shapes) -> Flags:
    both_missing = shapely.is_missing(here) & shapely.is_missing(there)
    return np.asarray(shapely.equals_identical(here, there) | both_missing)


def _check_against_stored(rows: FileRows, draft: _Draft, stored: KnownPlaces, keep: Flags) -> None:
    """A stored period that gets another parent is an error; another name is a correction."""
    version = _same_period(draft, stored)
    at = np.flatnonzero(keep & (version >= 0))
    if len(at) == 0:
        return
    old = stored.parents[version[at]]
    moved = (old != draft.parents[at]) & (draft.parents[at] != "")
    names = dict(zip(draft.ids.tolist(), draft.names.tolist(), strict=True))

    def label(ids: Words) -> Words:
        known = stored.positions(ids)
        written = [
            stored.names[row] if row >= 0 else names.get(one, "")
            for one, row in zip(ids.tolist(), known.tolist(), strict=True)
        ]
        texts = zip(written, ids.tolist(), strict=True)
        return np.array(
            [f"{name}（{one}）" if one else "无上级" for name, one in texts], dtype=object
        )

    rows.flag(
        "PLACE_MOVED",
        at[moved],
        _column(rows, "parent_id"),
        value=draft.names[at[moved]],
        old=label(old[moved]),
        new=label(draft.parents[at[moved]]),
    )
    old_names = stored.names[version[at]]
    renamed = old_names != draft.names[at]
    rows.flag(
        "PLACE_RENAMED",
        at[renamed],
        _column(rows, "name"),
        value=draft.names[at[renamed]],
        old=old_names[renamed],
    )


def _same_period(draft: _Draft, stored: KnownPlaces) -> Rows:
    """Position of the stored period with the same id and first day, -1 where there is none."""
    if len(stored) == 0:
        return np.full(len(draft.ids), -1, dtype=np.int64)
    keys = pd.MultiIndex.from_arrays([stored.ids, stored.starts.astype("datetime64[s]")])
    wanted = pd.MultiIndex.from_arrays([draft.ids, draft.starts.astype("datetime64[s]")])
    return np.asarray(keys.get_indexer(wanted), dtype=np.int64)


def _settle_roots(rows: FileRows, draft: _Draft, stored: KnownPlaces, keep: Flags) -> None:
    """Let the one top place be the root although its parent is not loaded.

    Division lists name the province above a city that is loaded on its own. That goes for the only
    top place of a first file and for a place that is a stored root already; any other place must
    name a parent that exists.
    """
    at = np.flatnonzero(keep & (draft.levels >= 0) & (draft.parents != ""))
    if len(at) == 0:
        return
    if len(stored):
        position = stored.positions(draft.ids[at])
        top = at[(position >= 0) & (stored.parents[position] == "")]
    else:
        top = at[draft.levels[at] == draft.levels[keep & (draft.levels >= 0)].min()]
        if len(set(draft.ids[top].tolist())) > 1:
            return
    here = set(draft.ids[keep].tolist())
    exists = np.array([one in here for one in draft.parents[top].tolist()], dtype=bool)
    top = top[~(exists | stored.contains(draft.parents[top]))]
    said = top[draft.parent_written[top]]
    rows.flag(
        "ROOT_TAKEN",
        said,
        _column(rows, "parent_id"),
        value=draft.names[said],
        parent=draft.parents[said],
    )
    draft.parents[top] = ""


def _check_tree(rows: FileRows, draft: _Draft, stored: KnownPlaces, keep: Flags) -> None:
    """Unknown parents, cycles, level order, overlapping periods, with the stored places around."""
    usable = keep & (draft.levels >= 0)
    at = np.flatnonzero(usable)
    frame = draft.frame().loc[at, list(TREE_COLUMNS)]
    # A period that ends before it begins is reported already; its children are not orphans.
    frame["valid_to"] = frame["valid_to"].where(frame["valid_to"] > frame["valid_from"])
    rest = stored.frame.loc[:, list(TREE_COLUMNS)].iloc[_not_replaced(draft, stored, at)]
    if len(rest):
        rest = rest.set_index(np.arange(len(rest)) + len(rows))
        frame = pd.concat([frame, rest.astype({"level": np.int64})])
    left_out = set(draft.ids[keep & ~usable].tolist())
    row_of = dict(zip(draft.ids[::-1].tolist(), range(len(rows) - 1, -1, -1), strict=True))
    by_code: dict[str, dict[int, str]] = {}
    for problem in arrange(frame).problems:
        if problem.kind == "unknown_parent" and problem.detail in left_out:
            continue
        row = _file_row(problem, len(rows), row_of, frame)
        if problem.kind in _TREE_CODES and row is not None:
            # A stored place in trouble points at the row that has the same trouble itself.
            by_code.setdefault(_TREE_CODES[problem.kind], {}).setdefault(row, problem.detail)
    for code, found in by_code.items():
        where = np.array(list(found), dtype=np.int64)
        details = np.array(list(found.values()), dtype=object)
        if code == "UNKNOWN_PARENT":
            rows.flag(code, where, _column(rows, "parent_id"), _label(draft, where), parent=details)
        elif code == "BAD_ID":
            rows.flag(code, where, "id")
        else:
            rows.flag(code, where, "id", _label(draft, where), detail=details)


def _not_replaced(draft: _Draft, stored: KnownPlaces, at: Rows) -> Rows:
    version = _same_period(draft, stored)[at]
    kept = np.ones(len(stored), dtype=bool)
    kept[version[version >= 0]] = False
    return np.flatnonzero(kept)


def _file_row(
    problem: TreeProblem, size: int, row_of: dict[str, int], frame: pd.DataFrame
) -> int | None:
    """The file's row to blame; for a stored place the row that changed it or its parent."""
    if problem.index < size:
        return int(problem.index)
    parent = str(frame["parent_id"].loc[problem.index])
    return row_of.get(problem.id, row_of.get(parent))


def _reject_below_rejected(rows: FileRows, draft: _Draft, stored: KnownPlaces, keep: Flags) -> None:
    """A new place whose parent's row is rejected cannot be taken either, nor what is below it."""
    parents = pd.Index(draft.parents, dtype=object)
    while rows.bad.any():
        rejected = set(draft.ids[rows.bad].tolist()) - {""} - stored.id_set
        lost = rejected.difference(draft.ids[keep & ~rows.bad].tolist())
        at = np.flatnonzero(keep & ~rows.bad & parents.isin(lost))
        if len(at) == 0:
            return
        column = _column(rows, "parent_id")
        rows.flag("PARENT_REJECTED", at, column, _label(draft, at), parent=draft.parents[at])


def _column(rows: FileRows, name: str) -> str:
    """The column to point at: the one meant, or the code where the file does not have it."""
    return name if name in rows.columns else "id"


def _label(draft: _Draft, at: Rows) -> Words:
    pairs = zip(draft.names[at].tolist(), draft.ids[at].tolist(), strict=True)
    return np.array([f"{name}（{place_id}）" for name, place_id in pairs], dtype=object)


# Shapes.


def _repaired(rows: FileRows, draft: _Draft, shapes: Shapes, keep: Flags) -> Shapes:
    """Polygons repaired level by level as coverages; what was wrong becomes issues."""
    result = np.full(len(shapes), None, dtype=object)
    usable = keep & (draft.levels >= 0)
    without = (shapely.is_missing(shapes) | shapely.is_empty(shapes)) & ~draft.points.present
    empty = np.flatnonzero(usable & without & ~rows.bad)
    _flag_shapes(rows, draft, "GEOMETRY_EMPTY", empty, {})
    shapes = _without(shapes, shapely.is_empty(shapes))
    crossed = np.flatnonzero(usable & _crossed(shapes))
    _flag_shapes(
        rows,
        draft,
        "GEOMETRY_BAD",
        crossed,
        {
            "detail": "边界自己交叉成几块，看不出哪一块是对的",
            "detail_en": "its outline crosses itself and it is unclear which part is meant",
        },
    )
    shapes[crossed] = None
    for at in _coverages(draft, usable):
        repaired = repair(shapes[at])
        result[at] = repaired.geometries
        for code in ("GEOMETRY_BAD", "GEOMETRY_REPAIRED", "GEOMETRY_EMPTY"):
            found = [one for one in repaired.problems if _code_of(one) == code]
            where = at[[one.index for one in found]] if found else np.empty(0, dtype=np.int64)
            params = (
                {}
                if code == "GEOMETRY_EMPTY"
                else {
                    "detail": np.array([_detail(one)[0] for one in found], dtype=object),
                    "detail_en": np.array([_detail(one)[1] for one in found], dtype=object),
                }
            )
            _flag_shapes(rows, draft, code, where, params)
    return result


def _code_of(problem: RepairProblem) -> str:
    """Nothing to repair, repaired, or beyond repair."""
    if problem.kind == "empty":
        return "GEOMETRY_EMPTY"
    if problem.dropped or problem.kind in ("nan_coordinates", "not_polygon"):
        return "GEOMETRY_BAD"
    return "GEOMETRY_REPAIRED"


def _crossed(shapes: Shapes) -> Flags:
    """Polygons like a figure of eight, whose parts run in opposite directions.

    The area of such an outline is the difference of its parts, far less than what they cover. A
    slip at the border, which only twists a small loop, is repaired instead.
    """
    crossed = np.zeros(len(shapes), dtype=bool)
    polygonal = np.isin(shapely.get_type_id(shapes), _POLYGON_TYPES)
    polygonal &= np.isfinite(shapely.bounds(shapes)).all(axis=1)
    at = np.flatnonzero(polygonal & ~shapely.is_valid(shapes))
    covered = shapely.area(shapely.make_valid(shapes[at], method="structure"))
    with np.errstate(invalid="ignore"):
        crossed[at] = shapely.area(shapes[at]) < (1 - _MOST_TWISTED) * covered
    return crossed


def _flag_shapes(
    rows: FileRows, draft: _Draft, code: str, at: Rows, params: dict[str, Any]
) -> None:
    rows.flag(code, at, heading="geometry", value=_label(draft, at), **params)


def _detail(problem: RepairProblem) -> tuple[str, str]:
    texts = {
        "nan_coordinates": ("{} 个顶点不是数字", "{} vertices are not numbers"),
        "not_polygon": ("类型是 {}，不是面", "it is a {}, not a polygon"),
        "repaired_self_intersection": ("{}", "{}"),
        "lost_area": ("与相邻边界重叠，去掉了 {} 的面积", "it overlapped neighbours and lost {}"),
        "empty": ("空", "empty"),
    }[problem.kind]
    return texts[0].format(problem.detail), texts[1].format(problem.detail)


def _coverages(draft: _Draft, usable: Flags) -> list[Rows]:
    """Rows that cover the ground side by side: one level, and one period of each place."""
    groups: list[Rows] = []
    turn = pd.Series(draft.ids).groupby(draft.ids).cumcount().to_numpy()
    for level in np.unique(draft.levels[usable]):
        for period in np.unique(turn[usable & (draft.levels == level)]):
            groups.append(np.flatnonzero(usable & (draft.levels == level) & (turn == period)))
    return groups


def _check_positions(
    rows: FileRows,
    draft: _Draft,
    shapes: Shapes | None,
    stored: KnownPlaces,
    known: Known,
    report: ImportReport,
) -> None:
    """What lies far from its parent, and everything lying off by a known shift."""
    if known.shapes is None or len(stored) == 0:
        return
    given = np.full(len(rows), None, dtype=object) if shapes is None else shapes.copy()
    point = draft.points.present & shapely.is_missing(given)
    given[point] = shapely.points(draft.points.lon[point], draft.points.lat[point])
    at = np.flatnonzero(~rows.bad & ~shapely.is_missing(given))
    if len(at) == 0:
        return
    own = home_shapes(
        known,
        stored,
        np.where(stored.contains(draft.ids[at]), draft.ids[at], draft.parents[at]).astype(object),
    )
    parents = draft.parents[at]
    homes = home_shapes(known, stored, parents)
    report_far(rows, at, given[at], homes, parents, _column(rows, "name"))
    if report.crs not in ("gcj02", "bd09"):
        report_shift(rows, given[at], own)

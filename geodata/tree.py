"""Arrange dated places into a tree: find parents, name what is wrong, write paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geodata.model import Level

ProblemKind = Literal[
    "bad_id",
    "empty_period",
    "duplicate_id",
    "overlapping_periods",
    "unknown_parent",
    "level_order",
    "cycle",
]

COLUMNS = ("id", "name", "level", "parent_id", "valid_from", "valid_to")

Positions = NDArray[np.int64]
Flags = NDArray[np.bool_]
Column = NDArray[np.float64]

_BEGINNING = np.iinfo(np.int64).min
_FOREVER = np.iinfo(np.int64).max
_CYCLE_SHOWN = 12


@dataclass(frozen=True, slots=True)
class TreeProblem:
    """One thing wrong with one row.

    Attributes:
        index: the row's label in the given frame's index.
        kind, detail: ``bad_id``: empty or with a ``/`` (detail: the id); ``empty_period``: ends
            before it begins (the period); ``duplicate_id``: the same id from the same day twice
            (the day); ``overlapping_periods``: two periods of one id overlap (the period);
            ``unknown_parent`` (the parent's id); ``level_order``: not below its parent (``parent
            level > own level`` by Chinese words, ``?`` for no level); ``cycle`` (the ids in it,
            ``A → B → A``).
        id: the place's id.
    """

    index: int
    kind: ProblemKind
    id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The given rows in the given order with ``path`` added (None where there is none)."""

    frame: pd.DataFrame
    problems: list[TreeProblem]


def arrange(places: pd.DataFrame) -> Tree:
    """Build every row's path and name every row that has none of its own fault.

    An id may recur with periods [valid_from, valid_to) that do not overlap; a missing start means
    always, a missing end means still valid. A row's parent is the parent's version valid on the
    row's first day, else the last one that began before, else the earliest. A row without
    parent_id is a root; any level and any number of rows may be roots. A row with a problem, and
    every row below it, gets path None; only the row at fault is a problem.

    Args:
        places: columns `COLUMNS`; ids as text, levels as numbers, periods as dates. A unique index.

    Raises:
        ValueError: a column is missing or the index has duplicates.
    """
    missing = [column for column in COLUMNS if column not in places.columns]
    if missing:
        raise ValueError(f"places lack the columns {missing}")
    if not places.index.is_unique:
        raise ValueError("the index of places has duplicates")
    rows = _Rows(places)
    found: list[tuple[Flags, ProblemKind, NDArray[np.object_]]] = []

    bad_id = rows.id_code < 0
    bad_id |= places["id"].astype("str").str.contains("/", regex=False).fillna(False).to_numpy(bool)
    bad_id |= rows.ids == ""
    found.append((bad_id, "bad_id", rows.ids))
    empty = rows.start >= rows.end
    found.append((empty, "empty_period", rows.periods(empty)))

    usable = ~(bad_id | empty)
    order = np.lexsort((rows.end, rows.start, rows.id_code))
    order = order[usable[order]]
    duplicate, overlapping = _clashes(rows, order)
    found.append((duplicate, "duplicate_id", rows.days(duplicate)))
    found.append((overlapping, "overlapping_periods", rows.periods(overlapping)))

    parent, orphan = _parents(rows, order)
    # A parent that is there but at fault itself leaves its children below a problem, not at fault.
    below_fault = orphan & np.isin(rows.parent_code, rows.id_code[~usable & (rows.id_code >= 0)])
    orphan &= ~below_fault
    # Nor can anything be said of rows whose parent is there twice.
    twice = (parent >= 0) & duplicate[parent]
    below_fault |= twice
    parent[twice] = -1
    found.append((orphan, "unknown_parent", rows.parent_ids))

    level: Column = pd.to_numeric(places["level"]).to_numpy(dtype=np.float64, na_value=np.nan)
    above = np.full(len(places), -np.inf)
    above[parent >= 0] = level[parent[parent >= 0]]
    misplaced = ~(level > above) & ~orphan & ~below_fault
    cyclic = _on_cycles(parent) if misplaced.any() else np.zeros(len(places), dtype=bool)
    found.append((cyclic, "cycle", _cycle_names(rows.ids, parent, cyclic)))
    misplaced &= ~cyclic
    found.append((misplaced, "level_order", _level_words(above, level, misplaced)))

    broken = np.logical_or.reduce([below_fault, *(flags for flags, _, _ in found)])
    frame = places.copy()
    frame["path"] = pd.Series(_paths(rows.ids, parent, broken), index=places.index, dtype=object)
    labels = places.index.tolist()
    problems = [
        (i, TreeProblem(labels[i], kind, str(rows.ids[i]), str(detail[i])))
        for flags, kind, detail in found
        for i in np.flatnonzero(flags).tolist()
    ]
    problems.sort(key=lambda pair: pair[0])
    return Tree(frame, [problem for _, problem in problems])


class _Rows:
    """The columns as plain arrays; ids and parents share one numbering, -1 is none."""

    def __init__(self, places: pd.DataFrame) -> None:
        ids = places["id"].to_numpy(dtype=object)
        parents = places["parent_id"].to_numpy(dtype=object)
        absent = places["id"].isna().to_numpy(bool)
        no_parent = places["parent_id"].isna().to_numpy(bool) | (parents == "")
        self.ids: NDArray[np.object_] = np.where(absent, "", ids)
        self.parent_ids: NDArray[np.object_] = np.where(no_parent, "", parents)
        both = np.concatenate([self.ids, self.parent_ids])
        codes = pd.factorize(both)[0].astype(np.int64)
        self.id_code = np.where(absent, -1, codes[: len(ids)])
        self.parent_code = np.where(no_parent, -1, codes[len(ids) :])
        self.start = _days(places["valid_from"], _BEGINNING)
        self.end = _days(places["valid_to"], _FOREVER)

    def __len__(self) -> int:
        return len(self.ids)

    def days(self, wanted: Flags) -> NDArray[np.object_]:
        """The first day of the wanted rows as text."""
        return self._per_row(wanted, lambda i: _day_text(self.start[i], ""))

    def periods(self, wanted: Flags) -> NDArray[np.object_]:
        """The period of the wanted rows as text, ``2020-01-01/2021-01-01``."""
        return self._per_row(
            wanted, lambda i: f"{_day_text(self.start[i], '..')}/{_day_text(self.end[i], '..')}"
        )

    def _per_row(self, wanted: Flags, text: Callable[[int], str]) -> NDArray[np.object_]:
        result = np.full(len(self), "", dtype=object)
        for i in np.flatnonzero(wanted):
            result[i] = text(int(i))
        return result


def _days(column: pd.Series, missing: int) -> Positions:
    """A date column as days since 1970."""
    dates = pd.to_datetime(column).to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(dates), missing, dates.astype(np.int64))


def _day_text(day: np.int64, open_end: str) -> str:
    return open_end if day in (_BEGINNING, _FOREVER) else str(np.datetime64(int(day), "D"))


def _clashes(rows: _Rows, order: Positions) -> tuple[Flags, Flags]:
    """Rows with the same id and start, and rows of one id whose periods overlap otherwise.

    Args:
        order: usable rows sorted by id, start, end.
    """
    duplicate = np.zeros(len(rows), dtype=bool)
    overlapping = np.zeros(len(rows), dtype=bool)
    if len(order) < 2:
        return duplicate, overlapping
    code, start, end = rows.id_code[order], rows.start[order], rows.end[order]
    same = code[1:] == code[:-1]
    twin = same & (start[1:] == start[:-1])
    duplicate[order[1:][twin]] = True
    duplicate[order[:-1][twin]] = True
    latest = pd.Series(end).groupby(code).cummax().to_numpy()
    runs_into_earlier = np.zeros(len(order), dtype=bool)
    runs_into_earlier[1:] = same & (start[1:] < latest[:-1])
    runs_into_later = np.zeros(len(order), dtype=bool)
    runs_into_later[:-1] = same & (end[:-1] > start[1:])
    overlapping[order] = runs_into_earlier | runs_into_later
    return duplicate, overlapping & ~duplicate


def _parents(rows: _Rows, order: Positions) -> tuple[Positions, Flags]:
    """The position of each row's parent version (-1 for none), and which parents do not exist."""
    parent = np.full(len(rows), -1, dtype=np.int64)
    has = rows.parent_code >= 0
    if len(order) == 0:
        return parent, has
    # One sortable number per (id, start): ids number, then the rank of the day.
    moments, rank = np.unique(rows.start, return_inverse=True)
    width = len(moments) + 1
    keys = rows.id_code[order] * width + rank[order]
    wanted = rows.parent_code[has] * width + rank[has]
    code = rows.id_code[order]
    at = np.searchsorted(keys, wanted, side="right") - 1
    began_before = (at >= 0) & (code[np.maximum(at, 0)] == rows.parent_code[has])
    # The first version of the parent, for rows older than it.
    first = np.minimum(np.searchsorted(code, rows.parent_code[has], side="left"), len(order) - 1)
    exists = code[first] == rows.parent_code[has]
    chosen = np.where(began_before, np.maximum(at, 0), first)
    parent[has] = np.where(exists, order[chosen], -1)
    orphan = np.zeros(len(rows), dtype=bool)
    orphan[has] = ~exists
    return parent, orphan


def _on_cycles(parent: Positions) -> Flags:
    """Rows that are their own ancestor, by pointer doubling over the parent links."""
    n = len(parent)
    jump = np.append(np.where(parent < 0, n, parent), n)
    for _ in range(int(n).bit_length()):
        jump = jump[jump]
    # After at least n steps only rows on cycles are still reached.
    reached = np.zeros(n + 1, dtype=bool)
    reached[jump] = True
    return reached[:n]


def _cycle_names(ids: NDArray[np.object_], parent: Positions, cyclic: Flags) -> NDArray[np.object_]:
    names = np.full(len(ids), "", dtype=object)
    for start in np.flatnonzero(cyclic):
        if names[start]:
            continue
        members = [int(start)]
        while (above := int(parent[members[-1]])) != start:
            members.append(above)
        shown = [str(ids[i]) for i in members[:_CYCLE_SHOWN]]
        if len(members) > _CYCLE_SHOWN:
            shown.append("…")
        text = " → ".join([*shown, str(ids[start])])
        names[members] = text
    return names


def _level_words(above: Column, level: Column, wanted: Flags) -> NDArray[np.object_]:
    words = np.full(len(level), "", dtype=object)
    for i in np.flatnonzero(wanted):
        words[i] = f"{_level_word(above[i])} > {_level_word(level[i])}"
    return words


def _level_word(level: float) -> str:
    return Level(int(level)).title if level in tuple(Level) else "?"


def _paths(ids: NDArray[np.object_], parent: Positions, broken: Flags) -> NDArray[np.object_]:
    """Paths from the roots down; levels strictly fall, so there are few rounds."""
    paths = np.full(len(ids), None, dtype=object)
    ready = (parent < 0) & ~broken
    segments = ids + "/" if len(ids) else ids
    paths[ready] = segments[ready]
    waiting = np.flatnonzero((parent >= 0) & ~broken)
    while len(waiting):
        now = ready[parent[waiting]]
        rows = waiting[now]
        if len(rows) == 0:
            break
        paths[rows] = paths[parent[rows]] + segments[rows]
        ready[rows] = True
        waiting = waiting[~now]
    return paths

"""The stored places as arrays for lookups by id, by month and by name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loaders.fold import stem
from loaders.parse import month_last_day
from loaders.table import Flags, Rows

_FOREVER = np.datetime64("9999-12-31", "D")
_ALWAYS = np.datetime64("0001-01-01", "D")


def days(column: pd.Series, missing: np.datetime64) -> NDArray[np.datetime64]:
    """A date column as days, with ``missing`` for NaT."""
    found = pd.to_datetime(column).to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(found), missing, found)


def texts(column: pd.Series) -> NDArray[np.object_]:
    """A text column as objects, empty text for missing values."""
    values = column.to_numpy(dtype=object)
    return np.where(column.isna().to_numpy(dtype=bool), "", values)


class Pool:
    """Places to choose from, their names folded once."""

    def __init__(self, places: list[tuple[str, str]]) -> None:
        self.places = places

    @cached_property
    def stems(self) -> list[str]:
        """The names in the form they are compared in, parallel to ``places``."""
        return [stem(name) for _, name in self.places]


@dataclass(frozen=True)
class KnownPlaces:
    """Wraps ``Known.places``; rows are its positions."""

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def ids(self) -> NDArray[np.object_]:
        """Place ids."""
        return texts(self.frame["id"])

    @cached_property
    def names(self) -> NDArray[np.object_]:
        """Place names."""
        return texts(self.frame["name"])

    @cached_property
    def parents(self) -> NDArray[np.object_]:
        """Parent ids, empty for roots."""
        return texts(self.frame["parent_id"])

    @cached_property
    def levels(self) -> NDArray[np.int64]:
        """Levels as numbers."""
        return self.frame["level"].to_numpy(dtype=np.int64)

    @cached_property
    def starts(self) -> NDArray[np.datetime64]:
        """First valid days."""
        return days(self.frame["valid_from"], _ALWAYS)

    @cached_property
    def ends(self) -> NDArray[np.datetime64]:
        """First days no longer valid."""
        return days(self.frame["valid_to"], _FOREVER)

    @cached_property
    def latest(self) -> pd.Series:
        """id -> position of its latest period."""
        order = np.argsort(self.starts, kind="stable")
        return pd.Series(order, index=self.ids[order]).groupby(level=0).last()

    def positions(self, ids: NDArray[np.object_]) -> Rows:
        """Position of the latest period of each id, -1 where unknown."""
        if len(self) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        return self.latest.reindex(pd.Index(ids, dtype=object), fill_value=-1).to_numpy(np.int64)

    def contains(self, ids: NDArray[np.object_]) -> Flags:
        """Which ids exist, in whatever period."""
        return np.asarray(pd.Index(ids, dtype=object).isin(self.ids), dtype=bool)

    def versions(self, ids: NDArray[np.object_], months: list[str]) -> NDArray[np.int64]:
        """Position of the period of each id valid on each month's last day; -1 where none is.

        Returns:
            shape (months, ids).
        """
        found = np.full((len(months), len(ids)), -1, dtype=np.int64)
        if len(self) == 0 or len(ids) == 0:
            return found
        code = pd.Index(ids, dtype=object).get_indexer(pd.Index(self.ids, dtype=object))
        wanted = np.flatnonzero(code >= 0)
        code, start, end = code[wanted], self.starts[wanted], self.ends[wanted]
        for index, month in enumerate(months):
            day = month_last_day(month)
            valid = (start <= day) & (day < end)
            found[index, code[valid]] = wanted[valid]
        return found

    def names_of(self, ids: NDArray[np.object_]) -> list[list[str]]:
        """The names each id has had, earliest first; empty where unknown."""
        wanted = pd.Index(ids, dtype=object)
        code = wanted.get_indexer(pd.Index(self.ids, dtype=object))
        found: list[list[str]] = [[] for _ in ids]
        rows = np.flatnonzero(code >= 0)
        for row in rows[np.argsort(self.starts[rows], kind="stable")].tolist():
            found[code[row]].append(str(self.names[row]))
        return found

    def path(self, row: int) -> list[str]:
        """Ids from the root to the place at a position, itself included."""
        return str(self.frame["path"].iloc[row]).strip("/").split("/")

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for place_id, name in self.pool.places:
            found[name].append(place_id)
        return dict(found)

    @cached_property
    def _by_parent(self) -> dict[str, dict[tuple[str, str], None]]:
        found: defaultdict[str, dict[tuple[str, str], None]] = defaultdict(dict)
        columns = (self.parents.tolist(), self.ids.tolist(), self.names.tolist())
        for parent, place_id, name in zip(*columns, strict=True):
            found[parent][place_id, name] = None
        return dict(found)

    def named(self, name: str) -> list[str]:
        """Ids of the places with exactly this name."""
        return self._by_name.get(name, [])

    @cached_property
    def id_set(self) -> frozenset[str]:
        """Every id."""
        return frozenset(self.ids.tolist())

    @cached_property
    def _by_parent_and_name(self) -> dict[tuple[str, str], list[str]]:
        found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for parent, children in self._by_parent.items():
            for place_id, name in children:
                found[parent, name].append(place_id)
        return dict(found)

    def child_named(self, parent_id: str, name: str) -> list[str]:
        """Ids of the places with exactly this name directly under a place."""
        return self._by_parent_and_name.get((parent_id, name), [])

    def children(self, parent_ids: list[str]) -> list[tuple[str, str]]:
        """(id, name) of the places directly under any of the parents."""
        return [pair for parent in parent_ids for pair in self._by_parent.get(parent, {})]

    @cached_property
    def pool(self) -> Pool:
        """All places, to look for similar names."""
        pairs = zip(self.ids.tolist(), self.names.tolist(), strict=True)
        return Pool(list(dict.fromkeys(pairs)))

"""Dated places: periods cut where a place above moves, and the tree of each month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dashboard.store.model import month_end
from geodata.model import Level

BEGINNING = date(1900, 1, 1)
"""First day of a place whose file gives none."""

_FIRST_DAY = np.iinfo(np.int64).min
_LAST_DAY = np.iinfo(np.int64).max

Days = npt.NDArray[np.int64]


def days(column: pd.Series, missing: int = _LAST_DAY) -> Days:
    """A date column as days since 1970."""
    values = pd.to_datetime(column).to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(values), missing, values.astype(np.int64))


def cut(declared: pd.DataFrame) -> pd.DataFrame:
    """Cut each row's period where a place above it moves, so that its path holds throughout.

    Where a parent has no version on a day, the version before it stands in, else its first.

    Args:
        declared: ``id, level, parent_id, valid_from, valid_to, path`` and any other columns, as
            ``geodata.tree.arrange`` leaves them, without problems.

    Returns:
        The same columns with ``declared_from, declared_to`` added, a row more for each cut.
    """
    frame = declared.copy()
    frame["declared_from"], frame["declared_to"] = frame["valid_from"], frame["valid_to"]
    if not frame["id"].duplicated().any():
        return frame
    done: list[pd.DataFrame] = []
    above = pd.DataFrame(columns=["parent_id", "above_path", "above_start", "above_end"])
    rows = pd.DataFrame(
        {
            "row": np.arange(len(frame)),
            "id": frame["id"].to_numpy(),
            "parent_id": frame["parent_id"].to_numpy(),
            "level": frame["level"].to_numpy(),
            "start": days(frame["valid_from"]),
            "end": days(frame["valid_to"]),
        }
    )
    has_parent = rows["parent_id"].notna()
    for level in sorted(rows["level"].unique()):
        here = rows[rows["level"] == level]
        tops = here[~has_parent[here.index]].assign(above_path="")
        below = here[has_parent[here.index]].merge(above, on="parent_id", how="left")
        below["start"] = np.maximum(below["start"], below["above_start"])
        below["end"] = np.minimum(below["end"], below["above_end"])
        below = below[below["start"] < below["end"]]
        pieces = pd.concat([tops, below])[["row", "id", "start", "end", "above_path"]]
        pieces["path"] = pieces["above_path"] + pieces["id"] + "/"
        pieces = _join_equal(pieces.sort_values(["id", "start"], ignore_index=True))
        done.append(pieces)
        above = pd.concat([above, _standing_in(pieces)], ignore_index=True)
    pieces = pd.concat(done, ignore_index=True).sort_values("row", kind="stable")
    cut_frame = frame.iloc[pieces["row"].to_numpy()].reset_index(drop=True)
    cut_frame["path"] = pieces["path"].to_numpy()
    cut_frame["valid_from"] = (
        pieces["start"].to_numpy().astype("datetime64[D]").astype("datetime64[s]")
    )
    ends = pieces["end"].to_numpy()
    cut_frame["valid_to"] = np.where(
        ends == _LAST_DAY, np.datetime64("NaT", "s"), ends.astype("datetime64[D]")
    ).astype("datetime64[s]")
    return cut_frame


def _join_equal(pieces: pd.DataFrame) -> pd.DataFrame:
    """Put neighbouring pieces of one row with one path together again."""
    same = (
        (pieces["row"] == pieces["row"].shift())
        & (pieces["path"] == pieces["path"].shift())
        & (pieces["start"] == pieces["end"].shift())
    )
    return pieces.groupby((~same).cumsum(), sort=False, as_index=False).agg(
        {"row": "first", "id": "first", "start": "first", "end": "last", "path": "first"}
    )


def _standing_in(pieces: pd.DataFrame) -> pd.DataFrame:
    """The pieces of one level as what the rows below look up: every day has one."""
    following = pieces["id"].shift(-1) == pieces["id"]
    first = pieces["id"].shift() != pieces["id"]
    return pd.DataFrame(
        {
            "parent_id": pieces["id"],
            "above_path": pieces["path"],
            "above_start": np.where(first, _FIRST_DAY, pieces["start"]),
            "above_end": np.where(
                following, pieces["start"].shift(-1).fillna(0).astype("int64"), _LAST_DAY
            ),
        }
    )


def month_trees(places: pd.DataFrame, months: Sequence[str]) -> pd.DataFrame:
    """The trees of some months below one another, as ``engine.roll_up`` reads them.

    Args:
        places: ``id, parent_id, level, path, valid_from, valid_to``, cut.

    Returns:
        ``node, parent, depth, leaf, leaves, high, given, month, place_id, parent_id``;
        ``parent_id`` is ``""`` for a root, ``given`` false. Nodes are numbered by month, then
        parent, then place.
    """
    places = places.assign(above=places["parent_id"].fillna("")).sort_values(["above", "id"])
    ids = places["id"].to_numpy(dtype=object)
    parents = places["above"].to_numpy(dtype=object)
    depths = np.asarray(pc.count_substring(pa.array(places["path"]), "/"), dtype=np.int8)
    county = (places["level"] == Level.COUNTY).to_numpy()
    start, end = days(places["valid_from"]), days(places["valid_to"])
    codes, names = pd.factorize(np.concatenate([ids, parents]))
    own_code, parent_code = codes[: len(ids)], codes[len(ids) :]
    position = np.empty(len(names), dtype=np.int64)
    trees: list[pd.DataFrame] = []
    count = 0
    for month in months:
        day = np.datetime64(month_end(month), "D").astype(np.int64)
        rows = np.flatnonzero((start <= day) & (day < end))
        position.fill(-1)
        position[own_code[rows]] = np.arange(len(rows))
        parent = position[parent_code[rows]]
        depth = depths[rows]
        leaf = np.ones(len(rows), dtype=bool)
        leaf[parent[parent >= 0]] = False
        trees.append(
            pd.DataFrame(
                {
                    "node": np.arange(count, count + len(rows)),
                    "parent": np.where(parent >= 0, parent + count, -1),
                    "depth": depth,
                    "leaf": leaf,
                    "leaves": _leaves(parent, depth, leaf),
                    "high": ~_inside(parent, depth, county[rows]),
                    "given": False,
                    "month": month,
                    "place_id": ids[rows],
                    "parent_id": parents[rows],
                }
            )
        )
        count += len(rows)
    return pd.concat(trees, ignore_index=True)


def _inside(
    parent: Days, depth: npt.NDArray[np.integer], county: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Whether a county lies above each place."""
    inside = np.zeros(len(parent), dtype=bool)
    for level in np.unique(depth):
        rows = np.flatnonzero((depth == level) & (parent >= 0))
        inside[rows] = inside[parent[rows]] | county[parent[rows]]
    return inside


def _leaves(
    parent: Days, depth: npt.NDArray[np.integer], leaf: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """How many leaf places lie at or below each place."""
    leaves = leaf.astype(np.int64)
    for level in np.unique(depth)[::-1]:
        rows = np.flatnonzero((depth == level) & (parent >= 0))
        np.add.at(leaves, parent[rows], leaves[rows])
    return leaves

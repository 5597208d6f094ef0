"""The roll-up as a pandas user would write it: from the files of services to the snapshot's rows.

The same rule as ``dashboard.store.engine.roll_up``, by pandas' own means: nodes, measures and pairs
are whole numbers, sources and names categories, every step one call over all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dashboard.store.counting import PLACES
from dashboard.store.model import Pair

_TOLERANCE = 1e-9
"""As the roll-up's: sums of decimals that differ by less are the same figure."""


def tree_of(pieces: pd.DataFrame, month: str) -> pd.DataFrame:
    """The places of a month, ordered by parent and id; the row number is the node.

    Args:
        pieces: ``id, parent_id, path, valid_from, valid_to``.

    Returns:
        ``id, parent_id, parent`` (a node or -1), ``depth, leaf, leaves`` (leaf places at or below).
    """
    day = pd.Timestamp(month) + pd.offsets.MonthEnd(0)
    ended = pieces["valid_to"] <= day
    tree = pieces.loc[(pieces["valid_from"] <= day) & ~ended, ["id", "parent_id", "path"]]
    tree["parent_id"] = tree["parent_id"].fillna("")
    tree = tree.sort_values(["parent_id", "id"], ignore_index=True)
    tree["parent"] = pd.Index(tree["id"]).get_indexer(tree["parent_id"])
    tree["depth"] = tree.pop("path").str.count("/")
    tree["leaf"] = ~tree.index.isin(tree["parent"])
    tree["leaves"] = tree["leaf"].astype("int64")
    for _depth, level in sorted(tree.groupby("depth").groups.items(), reverse=True):
        sums = tree.loc[level].groupby("parent")["leaves"].sum().drop(-1, errors="ignore")
        tree.loc[sums.index, "leaves"] += sums
    return tree


def counted(
    services: Path, month: str, kinds: Mapping[str, tuple[str, bool]], tree: pd.DataFrame
) -> pd.DataFrame:
    """Figures from January to a month: ``node, source, measure, value``.

    Args:
        services: a folder of Parquet by county and month, of which no load corrected another.
        kinds: by measure the kind of service, and whether a person counts once.
    """
    rows = pd.read_parquet(
        services,
        columns=["place_id", "kind", "person"],
        filters=[
            ("month", ">=", f"{month[:4]}-01"), ("month", "<=", month), ("gone", "==", False),
            ("kind", "in", [kind for kind, _once in kinds.values()]),
        ],
    )  # fmt: skip
    rows["node"] = pd.Index(tree["id"]).get_indexer(rows.pop("place_id"))
    rows["kind"] = rows["kind"].astype("category")
    found = []
    for measure, (kind, once) in kinds.items():
        mine = rows.loc[(rows["kind"] == kind) & (rows["node"] >= 0), ["node", "person"]]
        if once:
            mine = mine.drop_duplicates()
        value = mine.groupby("node").size().astype("float64").rename("value")
        found.append(value.reset_index().assign(measure=measure))
    figures = pd.concat(found, ignore_index=True)
    figures["source"] = pd.Categorical.from_codes(np.zeros(len(figures), "int8"), ["records"])
    return figures.astype({"measure": "category"})


def roll_up(own: pd.DataFrame, tree: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Every pair known anywhere, at every place with places below and every leaf that has it.

    Args:
        own: ``node, source, measure, value``, the two in the middle categories.

    Returns:
        The columns of a snapshot, ordered by parent, place, source and pair.
    """
    listed = pd.DataFrame(sorted(set(pairs))).add_suffix("_measure")
    known = own["measure"].cat.categories
    sides = pd.DataFrame(
        {
            "pair": np.arange(len(listed)),
            "top": known.get_indexer(listed["numerator_measure"]),
            "bottom": known.get_indexer(listed["denominator_measure"]),
        }
    )
    sides = sides[(sides["top"] >= 0) & (sides["bottom"] >= 0)]
    own = own.assign(measure=own["measure"].cat.codes)
    leaf = tree["leaf"].to_numpy()

    resolved = _bottom_up(own, tree, ["source", "measure"])
    both = _paired(resolved, sides)
    both["reporting"] = leaf[both["node"]].astype("int64")
    shown = _bottom_up(both, tree, ["source", "pair"])

    key = ["node", "source", "pair"]
    mine = _paired(own[~leaf[own["node"]]], sides).rename(
        columns={"numerator": "own_numerator", "denominator": "own_denominator"}
    )
    inner = (
        pd.DataFrame({"node": np.flatnonzero(~leaf)})
        .merge(shown[["source", "pair"]].drop_duplicates(), how="cross")
        .merge(shown, on=key, how="left")
        .merge(mine, on=key, how="left")
        .fillna({"reporting": 0})
        .astype({"reporting": "int64"})
    )
    told = inner[["own_numerator", "own_denominator"]]
    sums = inner[["numerator", "denominator"]].set_axis(told.columns, axis=1)
    scale = np.maximum(np.maximum(told.abs(), sums.abs()), 1.0)
    differs = ((told - sums).abs() > _TOLERANCE * scale).any(axis=1)
    inner[told.columns] = told.where(differs)

    rows = pd.concat([inner, shown[leaf[shown["node"]]]]).sort_values(key, ignore_index=True)
    places = tree.loc[rows["node"], ["id", "parent_id", "leaves"]].reset_index(drop=True)
    pair = rows["pair"].to_numpy()
    names = {
        name: pd.Categorical(listed[name]).take(pair)
        for name in ("numerator_measure", "denominator_measure")
    }
    return pd.DataFrame(
        {
            "place_id": places["id"],
            "parent_id": places["parent_id"],
            "source": rows["source"],
            **names,
            "numerator": rows["numerator"],
            "denominator": rows["denominator"],
            "reporting": rows["reporting"],
            "expected": places["leaves"],
            "own_numerator": rows["own_numerator"],
            "own_denominator": rows["own_denominator"],
        }
    )


def _bottom_up(own: pd.DataFrame, tree: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """At each place the sums over its children where any child has a row, else its own row."""
    parent, depth = tree["parent"].to_numpy(), tree["depth"].to_numpy()
    levels: list[pd.DataFrame] = []
    for at in sorted(set(depth), reverse=True):
        level = own[depth[own["node"]] == at]
        if levels:
            below = levels[-1].assign(node=lambda rows: parent[rows["node"]])
            sums = (
                below[below["node"] >= 0]
                .groupby(["node", *key], observed=True)
                .sum()
                .round(PLACES)
                .reset_index()
            )
            level = pd.concat([sums, level]).drop_duplicates(["node", *key])
        levels.append(level)
    return pd.concat(levels, ignore_index=True)


def _paired(figures: pd.DataFrame, sides: pd.DataFrame) -> pd.DataFrame:
    """Places that have both measures of a pair: ``node, source, pair, numerator, denominator``."""
    columns = ["node", "source", "pair"]
    top, bottom = (
        figures.merge(sides, left_on="measure", right_on=side)[[*columns, "value"]].rename(
            columns={"value": name}
        )
        for side, name in (("top", "numerator"), ("bottom", "denominator"))
    )
    return top.merge(bottom, on=columns)

"""What a places file changes: rows merged with the stored ones, periods closed, tree checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from dashboard.store.model import month_end
from dashboard.store.periods import BEGINNING, cut, days
from geodata.errors import DudaoError
from geodata.tree import Tree, TreeProblem, arrange

DECLARED = ["id", "name", "level", "parent_id", "valid_from", "valid_to", "lon", "lat"]
PIECE = [
    "id", "valid_from", "valid_to", "name", "level", "parent_id", "path", "lon", "lat",
    "declared_from", "declared_to",
]  # fmt: skip

_INHERITED = ["parent_id", "lon", "lat"]
_SHOWN = 5
_KINDS = {
    "bad_id": "代码为空或含有“/”",
    "empty_period": "失效日期不晚于生效日期",
    "duplicate_id": "同一代码同一生效日期重复",
    "overlapping_periods": "同一代码的有效期重叠",
    "unknown_parent": "上级不存在",
    "level_order": "级别不在上级之下",
    "cycle": "上下级循环",
}

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Merged:
    """A places file laid over the stored places.

    Attributes:
        declared: all places as declared, ``DECLARED`` and ``path``.
        incoming: the file's rows with ``valid_from`` settled, in the file's order.
        changed: which incoming rows differ from what is stored.
    """

    declared: pd.DataFrame
    incoming: pd.DataFrame
    changed: Bools


def merge(stored: pd.DataFrame, incoming: pd.DataFrame) -> Merged:
    """Lay the rows of a file over the stored places.

    A row replaces the stored row of its id and start. Without a start it means the id's latest
    version. What it leaves empty (parent, end, point) stays as stored, or for a new version as in
    the version before. A version ends where the next one of its id begins.

    Args:
        stored, incoming: ``DECLARED``.

    Raises:
        DudaoError: PLACES_INVALID names rows that make no tree together with the stored ones.
    """
    stored = _typed(stored)
    rows = _typed(incoming)
    latest = stored.groupby("id", sort=False, as_index=False)["valid_from"].max()
    latest = rows[["id"]].merge(latest, on="id", how="left")["valid_from"]
    rows["valid_from"] = rows["valid_from"].fillna(latest).fillna(np.datetime64(BEGINNING, "s"))
    if rows.duplicated(["id", "valid_from"]).any():
        twice = rows.loc[rows.duplicated(["id", "valid_from"]), "id"].iloc[0]
        raise DudaoError(
            "PLACES_INVALID",
            f"代码 {twice} 在文件中出现多次且生效日期相同。",
            "请只保留一行，或填写不同的生效日期。",
        )
    states_end = rows["valid_to"].notna()
    rows = _with_stored(rows, stored)
    kept = stored.merge(rows[["id", "valid_from"]], how="left", indicator=True)
    old = stored[(kept["_merge"] == "left_only").to_numpy()]
    combined = pd.concat(
        [rows.assign(incoming=rows.index, fixed=states_end), old.assign(incoming=-1, fixed=False)],
        ignore_index=True,
    ).sort_values(["id", "valid_from"], ignore_index=True)
    combined = _inherit(combined)
    combined = _close(combined)
    combined = combined.assign(**_typed(combined))

    tree = arrange(combined[DECLARED])
    if tree.problems:
        raise _invalid(tree)
    declared = tree.frame
    settled = declared.assign(incoming=combined["incoming"])
    settled = settled[settled["incoming"] >= 0].sort_values("incoming").set_index("incoming")
    settled.index.name = None
    return Merged(
        declared=declared,
        incoming=settled[DECLARED],
        changed=_differs(settled[DECLARED], stored),
    )


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """``DECLARED`` with one type each: Python text or None, ``int64``, days, ``float64``."""
    typed = rows[DECLARED].reset_index(drop=True)
    for column in ("id", "name", "parent_id"):
        text = typed[column].astype(object)
        typed[column] = text.where(text.notna(), None)
    return typed.astype(
        {
            "level": "int64", "lon": "float64", "lat": "float64",
            "valid_from": "datetime64[s]", "valid_to": "datetime64[s]",
        }
    )  # fmt: skip


def _with_stored(rows: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Fill what the file left empty from the stored row of the same id and start."""
    same = rows[["id", "valid_from"]].merge(stored, on=["id", "valid_from"], how="left")
    filled = rows.copy()
    for column in (*_INHERITED, "valid_to"):
        filled[column] = filled[column].where(filled[column].notna(), same[column])
    return filled


def _inherit(combined: pd.DataFrame) -> pd.DataFrame:
    """A new version takes what its row leaves empty from the version before."""
    if not combined["id"].duplicated().any():
        return combined
    before = combined.groupby("id", sort=False)[_INHERITED].ffill()
    new = combined["incoming"] >= 0
    for column in _INHERITED:
        combined[column] = combined[column].where(~new | combined[column].notna(), before[column])
    return combined


def _close(combined: pd.DataFrame) -> pd.DataFrame:
    """End each version where the next of its id begins, unless the file itself gave its end."""
    following = combined["valid_from"].shift(-1).where(combined["id"].shift(-1) == combined["id"])
    overlaps = following.notna() & (
        combined["valid_to"].isna() | (combined["valid_to"] > following)
    )
    close = overlaps & ~combined["fixed"]
    combined["valid_to"] = combined["valid_to"].where(~close, following).astype("datetime64[s]")
    return combined


def _differs(rows: pd.DataFrame, stored: pd.DataFrame) -> Bools:
    """Which rows are new or differ from the stored row of the same id and start."""
    same = rows[["id", "valid_from"]].merge(
        stored, on=["id", "valid_from"], how="left", indicator=True
    )
    differs = (same["_merge"] == "left_only").to_numpy()
    for column in DECLARED:
        left, right = rows[column].reset_index(drop=True), same[column]
        equal = (left == right) | (left.isna() & right.isna())
        differs = differs | ~equal.to_numpy(dtype=bool, na_value=False)
    return differs


def _invalid(tree: Tree) -> DudaoError:
    shown = ";".join(_problem_text(tree, problem) for problem in tree.problems[:_SHOWN])
    more = f"等共 {len(tree.problems)} 处" if len(tree.problems) > _SHOWN else ""
    return DudaoError(
        "PLACES_INVALID",
        f"与已有区划合并后不成树：{shown}{more}。",
        "请改正这些行后重新导入；未作任何改动。",
    )


def _problem_text(tree: Tree, problem: TreeProblem) -> str:
    name = str(tree.frame["name"].loc[problem.index])
    return f"{name}({problem.id}){_KINDS[problem.kind]}({problem.detail})"


def pieces(declared: pd.DataFrame) -> pd.DataFrame:
    """Declared places as the table ``place`` holds them: ``PIECE``, cut where places above move."""
    return cut(declared)[PIECE]


def compare(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stored rows (``PIECE``) to delete and rows to insert to get from one state to the other."""
    key = ["id", "valid_from"]
    both = before.merge(after, on=key, how="outer", suffixes=("", "_after"), indicator=True)
    same = (both["_merge"] == "both").to_numpy()
    for column in PIECE:
        if column not in key:
            left, right = both[column], both[f"{column}_after"]
            equal = (left == right) | (left.isna() & right.isna())
            same = same & equal.to_numpy(dtype=bool, na_value=False)
    unchanged = both.loc[same, key]
    return _without(before, unchanged), _without(after, unchanged)


def _without(rows: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    found = rows[["id", "valid_from"]].merge(keys, how="left", indicator=True)
    return rows[(found["_merge"] == "left_only").to_numpy()].reset_index(drop=True)


def affected_months(removed: pd.DataFrame, added: pd.DataFrame, months: Sequence[str]) -> list[str]:
    """The months in which places came, went or moved; a new name alone moves nothing."""
    before, after = _Moves(removed), _Moves(added)
    return [month for month in months if before.on(month) != after.on(month)]


class _Moves:
    """Some pieces reduced to what tells whether a day's tree is the same."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._start, self._end = days(rows["valid_from"]), days(rows["valid_to"])
        links = rows[["id", "parent_id", "path"]].fillna({"parent_id": ""}).astype(object)
        self._link = pd.util.hash_pandas_object(links, index=False).to_numpy(np.uint64)

    def on(self, month: str) -> tuple[int, int]:
        """Count and sum of the hashed links that hold at the month's end: equal for equal sets."""
        day = _day(month_end(month))
        links = self._link[(self._start <= day) & (day < self._end)]
        return len(links), int(np.sum(links, dtype=np.uint64))


def _day(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def root_of(declared: pd.DataFrame) -> str | None:
    """The root: of the current places without parent the highest, then the one with most below."""
    current = declared[declared["valid_to"].isna()]
    if current.empty:
        current = declared
    tops = current[current["parent_id"].isna()]
    if len(tops) < 2:
        return None if tops.empty else str(tops["id"].iloc[0])
    below = current["path"].str.split("/", n=1).str[0].value_counts()
    ranked = tops.assign(below=tops["id"].map(below)).sort_values(
        ["level", "below", "id"], ascending=[True, False, True]
    )
    return str(ranked["id"].iloc[0])

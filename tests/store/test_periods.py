"""Periods cut where a place above moves; the tree of each month."""

from __future__ import annotations

import pandas as pd

from dashboard.store.periods import cut, month_trees
from geodata.tree import arrange
from tests.store.world import place_rows


def declared(*parts: pd.DataFrame) -> pd.DataFrame:
    tree = arrange(pd.concat(parts, ignore_index=True).fillna({"valid_from": "1900-01-01"}))
    assert tree.problems == []
    return tree.frame


def pieces(*parts: pd.DataFrame) -> list[tuple[str, str, str | None, str]]:
    found = cut(declared(*parts)).sort_values(["id", "valid_from"])
    return [
        (row.id, str(row.valid_from.date()), _day(row.valid_to), row.path)
        for row in found.itertuples()
    ]


def _day(moment: pd.Timestamp) -> str | None:
    return None if pd.isna(moment) else str(moment.date())


ROOTS = place_rows(("C", "市", 2, None), ("A", "甲县", 3, "C"), ("B", "乙县", 3, "C"))
TOWN = ("T", "镇", 4, "A")
VILLAGE = place_rows(("V", "村", 5, "T"))


def test_nothing_is_cut_where_nothing_moves() -> None:
    assert pieces(ROOTS, place_rows(TOWN), VILLAGE) == [
        ("A", "1900-01-01", None, "C/A/"),
        ("B", "1900-01-01", None, "C/B/"),
        ("C", "1900-01-01", None, "C/"),
        ("T", "1900-01-01", None, "C/A/T/"),
        ("V", "1900-01-01", None, "C/A/T/V/"),
    ]


def test_a_village_is_cut_when_its_township_moves() -> None:
    moved = place_rows(("T", "镇", 4, "B"), valid_from="2026-06-01")
    found = pieces(ROOTS, place_rows(TOWN, valid_to="2026-06-01"), moved, VILLAGE)
    assert [row for row in found if row[0] in "TV"] == [
        ("T", "1900-01-01", "2026-06-01", "C/A/T/"),
        ("T", "2026-06-01", None, "C/B/T/"),
        ("V", "1900-01-01", "2026-06-01", "C/A/T/V/"),
        ("V", "2026-06-01", None, "C/B/T/V/"),
    ]


def test_a_new_name_above_cuts_nothing_below() -> None:
    renamed = place_rows(("T", "街道", 4, "A"), valid_from="2026-06-01")
    found = pieces(ROOTS, place_rows(TOWN, valid_to="2026-06-01"), renamed, VILLAGE)
    assert [row for row in found if row[0] == "V"] == [("V", "1900-01-01", None, "C/A/T/V/")]


def test_a_village_older_than_its_township_hangs_below_its_first_version() -> None:
    young = place_rows(TOWN, valid_from="2026-01-01", valid_to="2026-06-01")
    moved = place_rows(("T", "镇", 4, "B"), valid_from="2026-08-01")
    found = pieces(ROOTS, young, moved, VILLAGE)
    # From June to August there is no township; its version before stands in.
    assert [row for row in found if row[0] == "V"] == [
        ("V", "1900-01-01", "2026-08-01", "C/A/T/V/"),
        ("V", "2026-08-01", None, "C/B/T/V/"),
    ]


def test_the_declared_period_is_kept() -> None:
    moved = place_rows(("T", "镇", 4, "B"), valid_from="2026-06-01")
    found = cut(declared(ROOTS, place_rows(TOWN, valid_to="2026-06-01"), moved, VILLAGE))
    village = found[found["id"] == "V"]
    assert len(village) == 2
    assert set(village["declared_from"]) == {pd.Timestamp("1900-01-01")}
    assert village["declared_to"].isna().all()


def test_month_trees_hold_the_places_of_each_month() -> None:
    moved = place_rows(("T", "镇", 4, "B"), valid_from="2026-06-01")
    frame = cut(declared(ROOTS, place_rows(TOWN, valid_to="2026-06-01"), moved, VILLAGE))
    tree = month_trees(frame, ["2026-05", "2026-06"]).set_index(["month", "place_id"])
    assert tree.loc[("2026-05", "T"), "parent_id"] == "A"
    assert tree.loc[("2026-06", "T"), "parent_id"] == "B"
    for month, full, empty in (("2026-05", "A", "B"), ("2026-06", "B", "A")):
        nodes = tree.loc[month]
        assert list(nodes.loc[["C", full, empty, "T", "V"], "depth"]) == [1, 2, 2, 3, 4]
        assert list(nodes.loc[["C", full, empty, "T", "V"], "leaves"]) == [2, 1, 1, 1, 1]
        assert list(nodes.index[nodes["leaf"]].sort_values()) == sorted([empty, "V"])
        assert nodes.loc["V", "parent"] == nodes.loc["T", "node"]
        assert nodes.loc["C", "parent"] == -1
    assert tree["node"].is_unique

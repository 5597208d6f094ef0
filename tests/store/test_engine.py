"""The roll-up against a plain reading of its rule, on random trees and figures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import in_pandas
from dashboard.store import engines
from dashboard.store.engine import COLUMNS, VALUES, Engine
from dashboard.store.facts import SCHEMA
from dashboard.store.model import Compute, Pair
from dashboard.store.periods import month_trees
from geodata.errors import DudaoError
from geodata.model import Level

PAIRS = (Pair("a", "b"), Pair("b", "c"), Pair("d", "b"))
MONTHS = ("2026-01", "2026-02")
SOURCES = ("reported", "verified")

Row = tuple[str, str, str, float, str, int]
Tree = dict[str, str | None]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("spill")) as opened:
        yield opened


def path_of(tree: Tree, place_id: str) -> str:
    parent = tree[place_id]
    return (path_of(tree, parent) if parent is not None else "") + place_id + "/"


def frame_of(tree: Tree, since: dict[str, date] | None = None) -> pd.DataFrame:
    began = since or {}
    return pd.DataFrame(
        {
            "id": list(tree),
            "parent_id": list(tree.values()),
            "level": Level.VILLAGE,
            "path": [path_of(tree, place_id) for place_id in tree],
            "valid_from": pd.to_datetime([began.get(p, date(2000, 1, 1)) for p in tree]),
            "valid_to": pd.Series([pd.NaT] * len(tree), dtype="datetime64[s]"),
        }
    )


def rolled(engine: Engine, tree: pd.DataFrame, rows: list[Row], committed: set[int]) -> list[dict]:
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in SCHEMA.names]
    names = ["place_id", "month", "measure", "value", "source", "batch"]
    observations = pa.table(dict(zip(names, map(list, columns), strict=True)), schema=SCHEMA)
    found = engine.roll_up(
        ds.InMemoryDataset(observations), committed, month_trees(tree, MONTHS), PAIRS
    )
    return pa.Table.from_batches(found.values, VALUES).to_pylist()


# The rule, read aloud


def reference(tree: Tree, rows: list[Row], committed: set[int]) -> dict[tuple, tuple]:
    children: dict[str, list[str]] = {place_id: [] for place_id in tree}
    for place_id, parent in tree.items():
        if parent is not None:
            children[parent].append(place_id)
    counted = sorted((row for row in rows if row[5] in committed), key=lambda row: row[5])
    own = {(p, month, source, measure): value for p, month, measure, value, source, _ in counted}
    found: dict[tuple, tuple] = {}
    for month, source in {(month, source) for _, month, source, _ in own}:

        def resolved(place: str, measure: str, month=month, source=source) -> float | None:
            below = [resolved(child, measure) for child in children[place]]
            below = [value for value in below if value is not None]
            return sum(below) if below else own.get((place, month, source, measure))

        def shown(place: str, pair: Pair) -> tuple[float, float, int] | None:
            below = [shown(child, pair) for child in children[place]]
            below = [value for value in below if value is not None]
            if below:
                return tuple(map(sum, zip(*below, strict=True)))
            top, bottom = resolved(place, pair.numerator), resolved(place, pair.denominator)
            if top is None or bottom is None:
                return None
            return top, bottom, 0 if children[place] else 1

        def expected(place: str) -> int:
            return sum(map(expected, children[place])) if children[place] else 1

        known = [pair for pair in PAIRS if any(shown(place, pair) for place in tree)]
        for place in tree:
            for pair in known:
                value = shown(place, pair)
                if value is None and not children[place]:
                    continue
                top, bottom, reporting = value or (None, None, 0)
                mine = tuple(
                    own.get((place, month, source, measure))
                    for measure in (pair.numerator, pair.denominator)
                )
                if None in mine or mine == (top, bottom):
                    mine = (None, None)
                key = (month, tree[place] or "", place, source, pair.numerator, pair.denominator)
                found[key] = (top, bottom, reporting, expected(place), *mine)
    return found


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Up to 14 places under one root, of any shape; some branches are deeper than others."""
    tree: Tree = {"p0": None}
    for number in range(1, draw(st.integers(1, 14))):
        tree[f"p{number}"] = draw(st.sampled_from(sorted(tree)))
    return tree


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tree, list[Row]]:
    tree = draw(trees())
    key = st.tuples(
        st.sampled_from(sorted(tree)),
        st.sampled_from(MONTHS),
        st.sampled_from("abcd"),
        st.sampled_from(SOURCES),
        st.sampled_from([1, 2, 3]),
    )
    values = draw(st.dictionaries(key, st.integers(0, 10**9), max_size=60))
    return tree, [(p, m, k, float(v), s, b) for (p, m, k, s, b), v in values.items()]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_roll_up_is_the_rule_and_a_parent_is_the_sum_of_its_children(
    engine: Engine, case: tuple[Tree, list[Row]]
) -> None:
    tree, rows = case
    committed = {1, 3}
    found = rolled(engine, frame_of(tree), rows, committed)
    got = {
        tuple(row[name] for name in ("month", "parent_id", "place_id", "source",
                                     "numerator_measure", "denominator_measure")):
        tuple(row[name] for name in ("numerator", "denominator", "reporting", "expected",
                                     "own_numerator", "own_denominator"))
        for row in found
    }  # fmt: skip
    assert got == reference(tree, rows, committed)
    keys = [(row["month"], row["parent_id"], row["place_id"]) for row in found]
    assert keys == sorted(keys)
    assert_parents_are_sums(found)


@settings(max_examples=50)
@given(case=cases())
def test_what_the_bench_does_in_pandas_is_the_rule_too(case: tuple[Tree, list[Row]]) -> None:
    tree, rows = case
    committed, month = {1, 3}, MONTHS[0]
    theirs = [row for row in rows if row[1] == month]
    latest = {
        (place_id, source, measure): value
        for place_id, _, measure, value, source, batch in sorted(theirs, key=lambda row: row[5])
        if batch in committed
    }
    places = in_pandas.tree_of(frame_of(tree), month)
    keys = pd.DataFrame(list(latest), columns=["id", "source", "measure"], dtype="str")
    own = pd.DataFrame(
        {
            "node": pd.Index(places["id"]).get_indexer(keys["id"]),
            "source": keys["source"].astype("category"),
            "measure": keys["measure"].astype("category"),
            "value": np.array(list(latest.values()), dtype="float64"),
        }
    )
    made = in_pandas.roll_up(own, places, PAIRS)[list(COLUMNS)]
    found = made.astype(object).where(made.notna(), None).to_dict("records")
    got = {
        (month, row["parent_id"], row["place_id"], *(row[name] for name in COLUMNS[2:5])):
        tuple(row[name] for name in COLUMNS[5:])
        for row in found
    }  # fmt: skip
    assert got == reference(tree, theirs, committed)
    keys_in_order = [(row["parent_id"], row["place_id"]) for row in found]
    assert keys_in_order == sorted(keys_in_order)


def assert_parents_are_sums(found: list[dict]) -> None:
    frame = pd.DataFrame(found, columns=VALUES.names)
    key = ["month", "source", "numerator_measure", "denominator_measure"]
    sums = (
        frame.dropna(subset=["numerator"])
        .groupby([*key, "parent_id"])[["numerator", "denominator", "reporting"]]
        .sum()
    )
    for row in frame.itertuples(index=False):
        at = (row.month, row.source, row.numerator_measure, row.denominator_measure, row.place_id)
        if at in sums.index:
            assert tuple(sums.loc[at]) == (row.numerator, row.denominator, row.reporting)


VILLAGE_TREE: Tree = {"t": None, "v1": "t", "v2": "t", "v3": "t"}


def one(found: list[dict], place_id: str, numerator: str = "a") -> dict:
    return next(
        row
        for row in found
        if row["place_id"] == place_id and row["numerator_measure"] == numerator
    )


def test_half_reported_villages_count_in_neither_sum(engine: Engine) -> None:
    rows: list[Row] = [
        ("v1", "2026-01", "a", 8.0, "reported", 1),
        ("v1", "2026-01", "b", 10.0, "reported", 1),
        ("v2", "2026-01", "b", 90.0, "reported", 1),
    ]
    top = one(rolled(engine, frame_of(VILLAGE_TREE), rows, {1}), "t")
    assert (top["numerator"], top["denominator"]) == (8.0, 10.0)
    assert (top["reporting"], top["expected"]) == (1, 3)


def test_own_figures_are_used_when_nothing_is_below_and_kept_when_they_differ(
    engine: Engine,
) -> None:
    own: list[Row] = [
        ("t", "2026-01", "a", 5.0, "reported", 1),
        ("t", "2026-01", "b", 7.0, "reported", 1),
    ]
    alone = one(rolled(engine, frame_of(VILLAGE_TREE), own, {1}), "t")
    assert (alone["numerator"], alone["denominator"], alone["reporting"]) == (5.0, 7.0, 0)
    assert alone["own_numerator"] is None
    below: list[Row] = [
        ("v1", "2026-01", "a", 5.0, "reported", 1),
        ("v1", "2026-01", "b", 9.0, "reported", 1),
    ]
    both = one(rolled(engine, frame_of(VILLAGE_TREE), own + below, {1}), "t")
    assert (both["numerator"], both["denominator"], both["reporting"]) == (5.0, 9.0, 1)
    assert (both["own_numerator"], both["own_denominator"]) == (5.0, 7.0)


def test_decimal_rounding_is_no_disagreement(engine: Engine) -> None:
    rows: list[Row] = [
        ("v1", "2026-01", "a", 0.1, "reported", 1),
        ("v2", "2026-01", "a", 0.2, "reported", 1),
        ("t", "2026-01", "a", 0.3, "reported", 1),
        ("v1", "2026-01", "b", 1.0, "reported", 1),
        ("v2", "2026-01", "b", 1.0, "reported", 1),
        ("t", "2026-01", "b", 2.0, "reported", 1),
    ]
    top = one(rolled(engine, frame_of(VILLAGE_TREE), rows, {1}), "t")
    assert top["numerator"] == pytest.approx(0.3)
    assert top["own_numerator"] is None


def test_a_place_counts_only_in_months_it_exists(engine: Engine) -> None:
    rows: list[Row] = [
        (village, month, measure, 10.0, "reported", 1)
        for village in ("v1", "v2")
        for month in MONTHS
        for measure in "ab"
    ]
    tree = frame_of(VILLAGE_TREE, {"v2": date(2026, 2, 1)})
    found = rolled(engine, tree, rows, {1})
    january, february = (
        next(r for r in found if r["place_id"] == "t" and r["month"] == month) for month in MONTHS
    )
    assert (january["numerator"], january["expected"]) == (10.0, 2)
    assert (february["numerator"], february["expected"]) == (20.0, 3)


def test_whole_numbers_sum_exactly(engine: Engine) -> None:
    tree: Tree = {"t": None} | {f"v{number}": "t" for number in range(1000)}
    values = np.random.default_rng(5).integers(0, 2**40, 1000)
    rows: list[Row] = [
        (f"v{number}", "2026-01", measure, float(value), "reported", 1)
        for number, value in enumerate(values)
        for measure in "ab"
    ]
    top = one(rolled(engine, frame_of(tree), rows, {1}), "t")
    assert int(top["numerator"]) == sum(map(int, values))


def test_nothing_committed_is_an_empty_table(engine: Engine) -> None:
    rows: list[Row] = [("v1", "2026-01", "a", 1.0, "reported", 9)]
    assert rolled(engine, frame_of(VILLAGE_TREE), rows, {1}) == []


def test_the_engine_keeps_to_its_memory_and_leaves_nothing(tmp_path: Path) -> None:
    with Engine(tmp_path, Compute(memory=600_000_000)) as opened:
        (scratch,) = tmp_path.iterdir()
        (row,) = opened.stream(
            "SELECT current_setting('memory_limit') AS memory,"
            " current_setting('temp_directory') AS spills",
            pa.schema([("memory", pa.string()), ("spills", pa.string())]),
        )
        assert row.to_pylist() == [{"memory": "572.2 MiB", "spills": str(scratch)}]
    assert not list(tmp_path.iterdir())


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DudaoError, match=r"ENGINE_UNKNOWN.*duckdb、spark"):
        engines.opened(Compute(engine="abacus"), tmp_path)

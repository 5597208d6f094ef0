"""The roll-up: one ibis expression from observations and a tree to every level's values.

No SQL text and no engine's own function, so the same expression compiles to another ibis backend.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from ibis import _

from dashboard.store.facts import SCHEMA
from dashboard.store.model import FIGURE_KEY, Pair

FORMAT = 2
"""Raised whenever the values or columns of a snapshot change, so that old ones are made anew."""

COLUMNS = (
    "place_id", "parent_id", "source", "numerator_measure", "denominator_measure", "numerator",
    "denominator", "reporting", "expected", "own_numerator", "own_denominator",
)  # fmt: skip

_TOLERANCE = 1e-9
"""Relative difference below which two sums of decimals are the same figure."""


def current(observations: ir.Table, key: Sequence[str]) -> ir.Table:
    """The figures that count: for each key the value of the latest batch."""
    return observations.group_by(*key).agg(value=observations.value.argmax(observations.batch))


def roll_up(
    observations: ir.Table,
    tree: ir.Table,
    measures: ir.Table,
    pairs: ir.Table,
    depths: Collection[int],
) -> ir.Table:
    """Values of every pair at every place, for all months and sources at once.

    The rule is that of docs/architecture.md, "Roll-up rule": resolved measures bottom up, then
    pair values bottom up. ``reporting`` counts the leaf places that have the pair, ``expected``
    all leaf places at or below the place. ``own_numerator, own_denominator`` are a place's own
    pair where it differs from the pair shown.

    Args:
        observations: ``place_id, month, measure, value, source, batch`` of committed batches; of
            one key the latest batch counts.
        tree: ``node, parent, depth, leaf, leaves, month, place_id, parent_id``: one node for each
            place of each month; ``parent`` is a node or -1, ``leaves`` the leaf places at or
            below.
        measures: ``number, measure``: the measures of the pairs, numbered.
        pairs: ``pair, top, bottom, numerator_measure, denominator_measure``: what to roll up, with
            the measures by number too.
        depths: the depths that occur in ``tree``.

    Returns:
        ``month`` and ``COLUMNS``: of each source and pair that any place of the month has, one row
        for every place that has places below and for every leaf place that has the pair.
    """
    located = (
        observations.join(measures, "measure")
        .join(tree.select("node", "month", "place_id"), ["month", "place_id"])
        .select("node", "source", "number", "value", "batch")
    )
    own = (
        current(located, ("node", "source", "number"))
        .join(tree.select("node", "parent", "depth", "leaf"), "node")
        .select("node", "parent", "depth", "leaf", "source", "number", "value")
    )
    resolved = _bottom_up(own, tree, depths, ("source", "number"), ("value",))
    both = _paired(resolved, pairs).mutate(reporting=_.leaf.cast("int64"))
    shown = _bottom_up(
        both, tree, depths, ("source", "pair"), ("numerator", "denominator", "reporting")
    ).select("node", "source", "pair", "leaf", "numerator", "denominator", "reporting")

    # Places with places below: a row whether or not anything is known there, of every pair that is
    # known anywhere in the month.
    known = (
        shown.join(tree.select("node", "month"), "node")
        .select("month", "source", "pair")
        .distinct()
    )
    inner = (
        tree.filter(~tree.leaf)
        .join(known, "month")
        .select("node", "source", "pair")
        .left_join(shown, ["node", "source", "pair"])
        .left_join(_own_pairs(own, pairs), ["node", "source", "pair"])
        .select(
            "node", "source", "pair", "numerator", "denominator",
            "own_numerator", "own_denominator",
            reporting=_.reporting.fill_null(0),
        )
    )  # fmt: skip
    nothing = ibis.null("float64")
    leaves = shown.filter(shown.leaf).mutate(own_numerator=nothing, own_denominator=nothing)
    rows = ibis.union(inner.select(*_ROW), leaves.select(*_ROW))
    return (
        rows.join(tree.select("node", "month", "place_id", "parent_id", "leaves"), "node")
        .join(pairs, "pair")
        .mutate(
            expected=_.leaves,
            disagrees=_differ(_.own_numerator, _.numerator)
            | _differ(_.own_denominator, _.denominator),
        )
        .mutate(
            own_numerator=_.disagrees.ifelse(_.own_numerator, nothing),
            own_denominator=_.disagrees.ifelse(_.own_denominator, nothing),
        )
        .select("month", *COLUMNS)
        .order_by(
            "month", "parent_id", "place_id", "source", "numerator_measure", "denominator_measure"
        )
    )


_ROW = (
    "node", "source", "pair", "numerator", "denominator", "reporting",
    "own_numerator", "own_denominator",
)  # fmt: skip


def _bottom_up(
    own: ir.Table,
    tree: ir.Table,
    depths: Collection[int],
    keys: tuple[str, ...],
    values: tuple[str, ...],
) -> ir.Table:
    """At each place the sums over its children where any child has a row, else its own row.

    Args:
        own: ``node, parent, depth, leaf``, ``keys`` and ``values``.

    Returns:
        The same columns.
    """
    columns = ("node", "parent", "depth", "leaf", *keys, *values)
    levels: list[ir.Table] = []
    for depth in sorted(depths, reverse=True):
        level = own.filter(own.depth == depth).select(*columns)
        if levels:
            below = levels[-1]
            sums = (
                below.group_by("parent", *keys)
                .agg(**{value: below[value].sum() for value in values})
                .rename(node="parent")
                .join(tree.select("node", "parent", "depth", "leaf"), "node")
                .select(*columns)
            )
            level = ibis.union(sums, level.anti_join(sums, ["node", *keys]))
        levels.append(level)
    return ibis.union(*levels) if len(levels) > 1 else levels[0]


def _paired(figures: ir.Table, pairs: ir.Table) -> ir.Table:
    """Places that have both measures of a pair: ``numerator`` and ``denominator`` side by side."""
    top = figures.join(pairs, figures.number == pairs.top).select(
        "node", "parent", "depth", "leaf", "source", "pair", numerator="value"
    )
    bottom = figures.join(pairs, figures.number == pairs.bottom).select(
        "node", "source", "pair", denominator="value"
    )
    return top.join(bottom, ["node", "source", "pair"])


def _own_pairs(own: ir.Table, pairs: ir.Table) -> ir.Table:
    """The pairs that places with places below reported themselves."""
    return _paired(own.filter(~own.leaf), pairs).select(
        "node", "source", "pair", own_numerator="numerator", own_denominator="denominator"
    )


def _differ(own: ir.Value, shown: ir.Value) -> ir.Value:
    """Whether a figure is there and differs from the sum shown, beyond rounding."""
    scale = ibis.greatest(own.abs(), shown.abs(), 1.0)
    return ((own - shown).abs() > _TOLERANCE * scale).fill_null(False)


class Engine:
    """DuckDB through ibis; spills below ``scratch`` (or the system's place) when memory is short.

    A context manager: leaving it gives memory and disk back.
    """

    def __init__(self, scratch: Path | None = None) -> None:
        self._spill = TemporaryDirectory(prefix="engine-", dir=scratch)
        self._connection = ibis.duckdb.connect(temp_directory=self._spill.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.disconnect()
        self._spill.cleanup()

    def roll_up(
        self,
        observations: ds.Dataset,
        committed: Collection[int],
        tree: pd.DataFrame,
        pairs: Sequence[Pair],
    ) -> pa.Table:
        """Run ``roll_up`` on stored rows; the result is sorted by month, then parent."""
        measures, numbered = _numbered(pairs)
        duckdb = self._connection.con
        duckdb.register("observations", observations)
        duckdb.register("committed", _batches(committed))
        duckdb.register("tree", pa.Table.from_pandas(tree, schema=_TREE, preserve_index=False))
        duckdb.register("measures", measures)
        duckdb.register("pairs", numbered)
        depths = tuple(sorted(set(tree["depth"].tolist())))
        return duckdb.sql(compiled(depths)).to_arrow_table()

    def figures(
        self,
        observations: ds.Dataset,
        committed: Collection[int],
        place_ids: Collection[str] | None,
        months: Collection[str],
        measures: Collection[str] | None,
    ) -> pd.DataFrame:
        """Stored figures that count: ``place_id, month, measure, value, source``."""
        found = current(_committed(observations, committed), FIGURE_KEY)
        found = found.filter(found.month.isin(sorted(months)))
        if measures is not None:
            found = found.filter(found.measure.isin(sorted(measures)))
        if place_ids is not None:
            ids = ibis.memtable(pa.table({"place_id": pa.array(sorted(place_ids), pa.string())}))
            found = found.semi_join(ids, "place_id")
        columns = ("place_id", "month", "measure", "value", "source")
        rows: pd.DataFrame = self._connection.to_pyarrow(found.select(*columns)).to_pandas()
        return rows

    def changed_figures(
        self,
        incoming: pa.Table,
        observations: ds.Dataset,
        committed: Collection[int],
    ) -> pa.Table:
        """The rows of ``incoming`` that are new or differ from what is stored."""
        rows = ibis.memtable(incoming)
        stored = current(_committed(observations, committed), FIGURE_KEY).rename(was="value")
        joined = rows.left_join(stored, list(FIGURE_KEY))
        changed = joined.filter(joined.was.isnull() | (joined.value != joined.was))
        return self._connection.to_pyarrow(changed.select(*rows.columns))


_TREE = pa.schema(
    {
        "node": pa.int64(),
        "parent": pa.int64(),
        "depth": pa.int8(),
        "leaf": pa.bool_(),
        "leaves": pa.int64(),
        "month": pa.string(),
        "place_id": pa.string(),
        "parent_id": pa.string(),
    }
)
_BATCHES = pa.schema([SCHEMA.field("batch")])
_MEASURES = pa.schema({"number": pa.int32(), "measure": pa.string()})
_PAIRS = pa.schema(
    {
        "pair": pa.int32(),
        "top": pa.int32(),
        "bottom": pa.int32(),
        "numerator_measure": pa.string(),
        "denominator_measure": pa.string(),
    }
)


@cache
def compiled(depths: tuple[int, ...]) -> str:
    """``roll_up`` in DuckDB's SQL over tables named as its inputs, for a tree of some depths.

    Writing it out takes ibis longer than DuckDB needs to run it on a county, and depends on nothing
    but the depth of the tree.
    """

    def named(name: str, schema: pa.Schema) -> ir.Table:
        return ibis.table(ibis.Schema.from_pyarrow(schema), name=name)

    observations = named("observations", SCHEMA).semi_join(named("committed", _BATCHES), "batch")
    expression = roll_up(
        observations,
        named("tree", _TREE),
        named("measures", _MEASURES),
        named("pairs", _PAIRS),
        depths,
    )
    return str(ibis.to_sql(expression, dialect="duckdb"))


def _batches(committed: Collection[int]) -> pa.Table:
    return pa.table([pa.array(sorted(committed), pa.int64())], schema=_BATCHES)


def _committed(observations: ds.Dataset, committed: Collection[int]) -> ir.Table:
    """The rows of the batches that count."""
    return ibis.memtable(observations).semi_join(ibis.memtable(_batches(committed)), "batch")


def _numbered(pairs: Sequence[Pair]) -> tuple[pa.Table, pa.Table]:
    """The tables ``measures`` and ``pairs`` of ``roll_up``: numbers join faster than names."""
    names = sorted({name for pair in pairs for name in (pair.numerator, pair.denominator)})
    number = {name: position for position, name in enumerate(names)}
    measures = {"number": range(len(names)), "measure": names}
    numbered = {
        "pair": range(len(pairs)),
        "top": [number[pair.numerator] for pair in pairs],
        "bottom": [number[pair.denominator] for pair in pairs],
        "numerator_measure": [pair.numerator for pair in pairs],
        "denominator_measure": [pair.denominator for pair in pairs],
    }
    return pa.table(measures, schema=_MEASURES), pa.table(numbered, schema=_PAIRS)

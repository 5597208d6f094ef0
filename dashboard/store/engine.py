"""The roll-up: one ibis expression from observations and a tree to every level's values.

No SQL text and no engine's own function, so the same expression runs on DuckDB here and on Spark
(``spark``). Which engine does it is a row of ``engines.ENGINES``.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from calendar import monthrange
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from ibis import _

from dashboard.store import counting, selecting
from dashboard.store.appended import partitions
from dashboard.store.facts import SCHEMA
from dashboard.store.model import DEFAULT_COMPUTE, FIGURE_KEY, Compute, Pair, Selection
from dashboard.store.records import Pieces
from loaders.registry import Count, Dataset

FORMAT = 4
"""Raised whenever the values or columns of a snapshot change, so that old ones are made anew."""

VALUES = pa.schema(
    [
        *(
            (name, pa.string())
            for name in (
                "month", "place_id", "parent_id", "source", "numerator_measure",
                "denominator_measure",
            )
        ),
        ("numerator", pa.float64()),
        ("denominator", pa.float64()),
        ("reporting", pa.int64()),
        ("expected", pa.int64()),
        ("own_numerator", pa.float64()),
        ("own_denominator", pa.float64()),
    ]
)  # fmt: skip
"""What a roll-up hands out."""

RESOLVED = pa.schema(
    {"place_id": pa.string(), "source": pa.string(), "measure": pa.string(), "value": pa.float64()}
)
"""Measures of places, resolved: the sum over the places below that have it, else the own figure."""

COLUMNS = tuple(name for name in VALUES.names if name != "month")
"""The columns of a snapshot."""

Kept = Callable[[str, ir.Table], ir.Table]

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
    kept: Kept,
    given: ir.Table | None = None,
) -> tuple[ir.Table, ir.Table]:
    """Values of every pair at every place, for all months and sources at once.

    The rule is that of docs/architecture.md, "Roll-up rule": resolved measures bottom up, then
    pair values bottom up. ``reporting`` counts the leaf places that have the pair, ``expected``
    all leaf places at or below the place. ``own_numerator, own_denominator`` are a place's own
    pair where it differs from the pair shown.

    Args:
        observations: ``place_id, month, measure, value, source, batch`` of committed batches; of
            one key the latest batch counts.
        tree: ``node, parent, depth, leaf, leaves, high, given, month, place_id, parent_id``: one
            node for each place of each month, numbered by month, parent and place; ``parent`` is a
            node or -1, ``leaves`` the leaf places at or below, ``high`` whether no county lies
            above. What lies below a ``given`` place is not in the tree: ``observations`` hold its
            resolved measures, and nothing of it is returned.
        measures: ``number, measure``: the measures of the pairs, numbered.
        pairs: ``pair, top, bottom, numerator_measure, denominator_measure``: what to roll up, with
            the measures by number too; numbered in their order.
        depths: the depths that occur in ``tree``.
        kept: takes what several steps read, to be worked out once.
        given: the values of given places: ``VALUES`` as far as there is one.

    Returns:
        ``VALUES``: of each source and pair that any place of the month has, one row for every
        place that has places below and for every leaf place that has the pair; in the order of
        nodes, sources and pairs. And ``month`` and ``RESOLVED`` of the high places.
    """
    located = (
        observations.join(measures, "measure")
        .join(tree.select("node", "month", "place_id"), ["month", "place_id"])
        .select("node", "source", "number", "value", "batch")
    )
    own = kept(
        "own",
        current(located, ("node", "source", "number"))
        .join(tree.select("node", "parent", "depth", "leaf"), "node")
        .select("node", "parent", "depth", "leaf", "source", "number", "value"),
    )
    resolved = _bottom_up(own, tree, depths, ("source", "number"), ("value",), kept)
    paired = _paired(resolved, pairs).mutate(reporting=_.leaf.cast("int64"))
    if given is not None:
        stands = tree.filter(tree.given).select("node")
        paired = ibis.union(
            paired.anti_join(stands, "node"),
            given.join(tree, ["month", "place_id"])
            .join(pairs, ["numerator_measure", "denominator_measure"])
            .select(*paired.columns),
        )
    both = kept("both", paired)
    shown = _bottom_up(
        both, tree, depths, ("source", "pair"), ("numerator", "denominator", "reporting"), kept
    ).select("node", "source", "pair", "leaf", "numerator", "denominator", "reporting")

    # Places with places below: a row whether or not anything is known there, of every pair that is
    # known anywhere in the month.
    known = (
        shown.join(tree.select("node", "month"), "node")
        .select("month", "source", "pair")
        .distinct()
    )
    inner = (
        tree.filter(~tree.leaf & ~tree.given)
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
    high = (
        resolved.join(tree.filter(tree.high).select("node", "month", "place_id"), "node")
        .join(measures, "number")
        .select("month", *RESOLVED.names)
    )
    values = (
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
        .order_by("node", "source", "pair")
        .select(*VALUES.names)
    )
    return values, high


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
    kept: Kept,
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
            sums = kept(
                f"sums_{keys[-1]}_{depth}",
                below.group_by("parent", *keys)
                .agg(**{value: _sum(below[value]) for value in values})
                .rename(node="parent")
                .join(tree.select("node", "parent", "depth", "leaf"), "node")
                .select(*columns),
            )
            level = ibis.union(sums, level.anti_join(sums, ["node", *keys]))
        levels.append(level)
    return ibis.union(*levels) if len(levels) > 1 else levels[0]


def _sum(column: ir.Column) -> ir.Scalar:
    """A sum that does not depend on the order an engine adds in."""
    if column.type().is_integer():
        return column.sum().cast("int64")
    return column.sum().round(counting.PLACES)


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


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of places whose places below are left out.

    Attributes:
        measures: ``month`` and ``RESOLVED``.
        values: ``VALUES``, of pairs that have one.
    """

    measures: pa.Table
    values: pa.Table


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a roll-up found.

    Attributes:
        values: ``VALUES``, in a snapshot's order, month by month; to be read once.
        resolved: ``month`` and ``RESOLVED`` of the places without a county above.
    """

    values: Iterator[pa.RecordBatch]
    resolved: pa.Table

    def resolved_of(self, month: str) -> pa.Table:
        """``RESOLVED`` of one month."""
        of_month = pc.equal(self.resolved["month"], month)
        return self.resolved.filter(of_month).select(RESOLVED.names)


@dataclass(frozen=True, slots=True)
class Replacing:
    """What loading records would change.

    Attributes:
        changed: the incoming records that are new or differ.
        replaced: the stored records they stand in place of.
        elsewhere: key, county and month of where their keys ever stood in another partition.
    """

    changed: pa.Table
    replaced: pa.Table
    elsewhere: pa.Table


class RollUp(ABC):
    """An engine that counts records and rolls figures up: ``DuckDB`` here, ``spark.Spark``.

    A context manager: leaving it gives memory and disk back. What an engine has to offer is few:
    to know tables by name, to run a query and keep its rows, to hand rows out a few at a time.
    """

    dialect: str
    """What ibis calls its SQL."""
    runs_again: bool
    """Whether it reads a named query's tables anew at every mention, even within one query."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @abstractmethod
    def put(self, name: str, rows: pa.Table | ds.Dataset) -> None:
        """Know rows by a name; files are read when they are asked for, from their place."""

    @abstractmethod
    def name(self, name: str, query: str) -> None:
        """Know what a query finds by a name."""

    @abstractmethod
    def keep(self, name: str, query: str) -> None:
        """Run a query once and know its rows by a name, outside Python's memory."""

    @abstractmethod
    def stream(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Run a query and hand its rows out in order, in a schema."""

    def count(
        self, pieces: Mapping[str, Pieces], committed: Collection[int], months: Sequence[str]
    ) -> pa.Table:
        """Count some months' figures from records: rows of observations, of no load.

        Args:
            pieces: the rows of every dataset that has any.
        """
        self._count(pieces, committed, months)
        return pa.Table.from_batches(self.stream("SELECT * FROM counted", SCHEMA), SCHEMA)

    def roll_up(
        self,
        observations: ds.Dataset,
        committed: Collection[int],
        tree: pd.DataFrame,
        pairs: Sequence[Pair],
        pieces: Mapping[str, Pieces] | None = None,
        months: Sequence[str] = (),
        given: Given | None = None,
        told: Callable[[float], None] = lambda _share: None,
    ) -> Rolled:
        """Run ``roll_up`` on stored rows.

        Args:
            tree: as ``periods.month_trees`` makes it: its order of nodes is the snapshot's order.
            pieces, months: records to be counted for some months; what they say stands above
                figures of the same source in a file.
            given: of the tree's given places; it stands above everything else that is said of them.
            told: hears the share of the work done after every query.
        """
        pieces = pieces or {}
        depths = tuple(sorted(set(tree["depth"].tolist())))
        queries = compiled(depths, self.dialect, given is not None)
        # The rows are handed out last, which is one more.
        total = len(self._counting(pieces).figures) + len(queries.steps) + 1
        numbers = itertools.count(1)

        def one_more() -> None:
            told(next(numbers) / total)

        self._count(pieces, committed, months, one_more)
        measures, numbered = _numbered(pairs)
        self.put("observations", observations)
        self.put("tree", pa.Table.from_pandas(tree, schema=_TREE, preserve_index=False))
        self.put("measures", measures)
        self.put("pairs", numbered)
        if given is not None:
            load = pa.repeat(pa.scalar(GIVEN, pa.int64()), len(given.measures))
            stands = given.measures.append_column("batch", load).select(SCHEMA.names)
            self.put("given_measures", stands.cast(SCHEMA))
            self.put("given", given.values.select(VALUES.names).cast(VALUES))
        for name, query in queries.steps:
            self.keep(name, query)
            one_more()
        resolved = pa.Table.from_batches(self.stream(queries.resolved, _RESOLVED), _RESOLVED)
        return Rolled(self.stream(queries.values, VALUES), resolved)

    def _counting(self, pieces: Mapping[str, Pieces]) -> counting.Queries:
        return counting.compiled(sorted(pieces), self.dialect, COUNTED)

    def _count(
        self,
        pieces: Mapping[str, Pieces],
        committed: Collection[int],
        months: Sequence[str],
        one_more: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the tables ``committed`` and ``counted``; calls ``one_more`` after every figure."""
        self.put("committed", _batches(committed))
        self.put("nothing", SCHEMA.empty_table())
        for name, piece in pieces.items():
            self.put(f"{name}_once", piece.once)
            self.put(f"{name}_again", piece.again)
        self.put("months", _months(months))
        queries = self._counting(pieces)
        for name, query in queries.current.items():
            (self.keep if self.runs_again else self.name)(name, query)
        parts = {f"counted_{at}": query for at, query in enumerate(queries.figures)}
        for name, query in parts.items():
            self.keep(name, query)
            one_more()
        every = ["nothing", *parts]
        self.name("counted", " UNION ALL ".join(f"SELECT * FROM {name}" for name in every))


class Engine(RollUp):
    """DuckDB; what does not fit its memory spills below ``scratch`` (or the system's place).

    It also compares what a load brings with what is stored.
    """

    dialect = "duckdb"
    runs_again = False

    def __init__(self, scratch: Path | None = None, compute: Compute = DEFAULT_COMPUTE) -> None:
        self._spill = TemporaryDirectory(prefix="engine-", dir=scratch)
        self._connection = ibis.duckdb.connect(
            temp_directory=self._spill.name,
            memory_limit=f"{compute.memory}B",
            preserve_insertion_order=False,
        )
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.disconnect()
        self._spill.cleanup()

    def put(self, name: str, rows: pa.Table | ds.Dataset) -> None:
        duckdb = self._connection.con
        if not isinstance(rows, ds.FileSystemDataset):
            duckdb.register(name, rows)
            return
        # DuckDB reads files itself faster than it is fed; "" in a path stands for no county.
        parts = partitions(rows)
        columns = (
            f'NULLIF("{one}", \'\') AS "{one}"' if one in parts else f'"{one}"'
            for one in rows.schema.names
        )
        types = ", ".join(f"'{one}': VARCHAR" for one in parts)
        # A view's text is read again at every mention, and 28,800 names in it take their time.
        duckdb.execute(f"SET VARIABLE files_of_{name} = $1", [rows.files])
        duckdb.execute(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {', '.join(columns)} FROM "
            f"read_parquet(getvariable('files_of_{name}'), hive_partitioning=true, "
            f"hive_types={{{types}}})"
        )

    def name(self, name: str, query: str) -> None:
        self._connection.con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")

    def keep(self, name: str, query: str) -> None:
        self._connection.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")

    def stream(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        rows = self._connection.con.sql(query).to_arrow_reader(_BATCH_ROWS)
        yield from (batch.select(schema.names).cast(schema) for batch in rows)

    def records(
        self,
        dataset: Dataset,
        pieces: Pieces,
        committed: Collection[int],
        column: str,
        values: Collection[object],
    ) -> pa.Table:
        """The records that count and have one of some values in a column."""
        rows = self._current(dataset, pieces, committed)
        wanted = pa.table({column: pa.array(list(values), pieces.once.schema.field(column).type)})
        return self._connection.to_pyarrow(rows.semi_join(ibis.memtable(wanted), column))

    def select(
        self,
        dataset: Dataset,
        pieces: Pieces,
        committed: Collection[int],
        place_ids: Collection[str],
        wanted: Selection,
    ) -> tuple[pa.Table, int, int]:
        """A page of the records that count at some places.

        Returns:
            The page in canonical columns, how many records are wanted in all, and the latest load
            that brought one of them (0 for none).
        """
        here = pa.table({"place_id": pa.array(sorted(place_ids), pa.string())})
        rows = self._current(dataset, pieces, committed).semi_join(ibis.memtable(here), "place_id")
        rows = selecting.chosen(rows, wanted, dataset)
        told = self._connection.to_pyarrow(rows.agg(total=_.count(), latest=_.batch.max()))
        (found,) = told.to_pylist()
        page = pieces.once.schema.empty_table()
        if wanted.limit and found["total"] > wanted.offset:
            listed = selecting.ordered(rows, wanted, dataset.canonical_key)
            page = self._connection.to_pyarrow(listed.select(*dataset.canonical))
        return page.select(list(dataset.canonical)), found["total"], found["latest"] or 0

    def counted(
        self,
        dataset: Dataset,
        pieces: Pieces,
        committed: Collection[int],
        rule: Count,
        month: str,
        place_ids: Collection[str],
    ) -> pd.DataFrame:
        """How many records of some places a rule counts: ``place_id, batch, rows``."""
        rows = self._current(dataset, pieces, committed)
        places = pa.table({"place_id": pa.array(sorted(place_ids), pa.string())})
        found = (
            rows.filter(counting.counts(rows, dataset.id, rule, month))
            .semi_join(ibis.memtable(places), "place_id")
            .group_by("place_id", "batch")
            .agg(rows=_.count())
        )
        made: pd.DataFrame = self._connection.to_pyarrow(found).to_pandas()
        return made

    def changed_records(
        self, dataset: Dataset, incoming: pa.Table, pieces: Pieces, committed: Collection[int]
    ) -> Replacing:
        """What of ``incoming`` is new or differs, and what it stands in place of."""
        key = list(dataset.canonical_key)
        rows = ibis.memtable(incoming)
        stored = self._current(dataset, pieces, committed)
        names = [name for name in incoming.column_names if name not in key]
        joined = rows.left_join(
            stored.mutate(held=True).rename({f"was_{name}": name for name in names}), key
        )
        differs = joined.held.isnull()
        for name in names:
            differs = differs | ~joined[name].identical_to(joined[f"was_{name}"])
        changed = self._connection.to_pyarrow(joined.filter(differs).select(*rows.columns))
        mine = ibis.memtable(changed)
        replaced = stored.semi_join(mine, key).select(*rows.columns)
        standing = list(dict.fromkeys([*key, "county", "month"]))
        every = ibis.union(
            *(
                self._committed(piece, committed).select(*standing)
                for piece in (pieces.once, pieces.again)
            )
        )
        here = mine.select(*standing)
        ever = every.distinct().semi_join(mine, key).anti_join(here, standing)
        return Replacing(
            changed,
            self._connection.to_pyarrow(replaced),
            self._connection.to_pyarrow(ever),
        )

    def _table(self, rows: ds.Dataset) -> ir.Table:
        """Rows by a name of their own."""
        if not isinstance(rows, ds.FileSystemDataset):
            return ibis.memtable(rows)
        name = f"files_{next(self._numbers)}"
        self.put(name, rows)
        return ibis.table(ibis.Schema.from_pyarrow(rows.schema), name=name)

    def _committed(self, rows: ds.Dataset, committed: Collection[int]) -> ir.Table:
        """The rows of the batches that count."""
        return self._table(rows).semi_join(ibis.memtable(_batches(committed)), "batch")

    def _current(self, dataset: Dataset, pieces: Pieces, committed: Collection[int]) -> ir.Table:
        return counting.current(
            self._table(pieces.once),
            self._table(pieces.again),
            ibis.memtable(_batches(committed)),
            dataset.canonical_key,
        )

    def figures(
        self,
        observations: ds.Dataset,
        committed: Collection[int],
        place_ids: Collection[str] | None,
        months: Collection[str],
        measures: Collection[str] | None,
    ) -> pd.DataFrame:
        """Stored figures that count: ``place_id, month, measure, value, source``."""
        found = current(self._committed(observations, committed), FIGURE_KEY)
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
        stored = current(self._committed(observations, committed), FIGURE_KEY).rename(was="value")
        joined = rows.left_join(stored, list(FIGURE_KEY))
        changed = joined.filter(joined.was.isnull() | (joined.value != joined.was))
        return self._connection.to_pyarrow(changed.select(*rows.columns))


COUNTED = 2**62
"""Stands for the load of a counted figure: above every load's number, so that it wins."""

GIVEN = COUNTED + 1
"""Stands for the load of a given measure."""

_BATCH_ROWS = 64 * 2_048
"""Rows handed out at once."""

_TREE = pa.schema(
    {
        "node": pa.int64(),
        "parent": pa.int64(),
        "depth": pa.int8(),
        "leaf": pa.bool_(),
        "leaves": pa.int64(),
        "high": pa.bool_(),
        "given": pa.bool_(),
        "month": pa.string(),
        "place_id": pa.string(),
        "parent_id": pa.string(),
    }
)
_RESOLVED = pa.schema([VALUES.field("month"), *RESOLVED])
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


@dataclass(frozen=True, slots=True)
class Queries:
    """``roll_up`` in an engine's SQL over tables named as its inputs.

    Attributes:
        steps: name and query of what is kept, each over the ones before it.
        values, resolved: what it returns, over the steps.
    """

    steps: Sequence[tuple[str, str]]
    values: str
    resolved: str


@cache
def compiled(depths: tuple[int, ...], dialect: str, given: bool = False) -> Queries:
    """``roll_up`` in an engine's SQL, for a tree of some depths, with given places or without.

    Writing it out takes ibis longer than DuckDB needs to run it on a county, and depends on nothing
    but the depth of the tree.
    """

    steps: list[tuple[str, str]] = []

    def named(name: str, schema: pa.Schema) -> ir.Table:
        # A join forgets that a column is never empty, and a union wants both sides alike.
        columns = [field.with_nullable(True) for field in schema]
        return ibis.table(ibis.Schema.from_pyarrow(pa.schema(columns)), name=name)

    def kept(name: str, rows: ir.Table) -> ir.Table:
        steps.append((f"step_{name}", str(ibis.to_sql(rows, dialect=dialect))))
        return named(f"step_{name}", rows.schema().to_pyarrow())

    stored = named("observations", SCHEMA).semi_join(named("committed", _BATCHES), "batch")
    more = [named("counted", SCHEMA), *([named("given_measures", SCHEMA)] if given else [])]
    values, resolved = roll_up(
        ibis.union(stored, *more),
        named("tree", _TREE),
        named("measures", _MEASURES),
        named("pairs", _PAIRS),
        depths,
        kept,
        named("given", VALUES) if given else None,
    )
    found = (str(ibis.to_sql(one, dialect=dialect)) for one in (values, resolved))
    return Queries(steps, *found)


def _months(months: Sequence[str]) -> pa.Table:
    """The table ``months`` of ``counting``."""
    rows = []
    before = ""
    for month in sorted(months):
        year, number = int(month[:4]), int(month[5:])
        first, last = date(year, 1, 1), date(year, number, monthrange(year, number)[1])
        length = (date(year + 1, 1, 1) - first).days
        since = f"{year}-{int(before[5:]) + 1:02d}" if before[:4] == month[:4] else f"{year}-01"
        row = (month, year, number, first, last, length, since)
        rows.append(dict(zip(counting.MONTHS.names, row, strict=True)))
        before = month
    return pa.Table.from_pylist(rows, counting.MONTHS)


def _batches(committed: Collection[int]) -> pa.Table:
    return pa.table([pa.array(sorted(committed), pa.int64())], schema=_BATCHES)


def _numbered(pairs: Sequence[Pair]) -> tuple[pa.Table, pa.Table]:
    """The tables ``measures`` and ``pairs`` of ``roll_up``: numbers join faster than names."""
    pairs = sorted(set(pairs))
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

"""One roll-up, or what it is measured beside, as a process of its own: ``python -m bench.rolling``.

Prints one JSON line: ``seconds`` and ``cpu_s`` from the files to the result, ``rows`` of the result
and ``totals``, each measure's figure of the whole nation.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench import in_pandas
from bench.machine import peak_gb
from bench.nation import MONTHS
from dashboard.access import EVERYTHING
from dashboard.coverage import registry
from dashboard.store import Store, database
from dashboard.store.model import Compute
from dashboard.store.publish import committed_batches, quiet, read_pieces, roll_up
from loaders.registry import measures

_PARTITIONS = "hive_partitioning=true, hive_types={'county': VARCHAR, 'month': VARCHAR}"


def kinds() -> dict[str, tuple[str, bool]]:
    """By measure counted from services alone: the kind, and whether persons are counted once."""
    found = {}
    for one in measures().values():
        rule = one.records
        if rule is not None and rule.datasets == ("services",):
            (condition,) = rule.where
            found[one.id] = (str(condition.value), rule.distinct is not None)
    return found


def ours(directory: Path, engine: str, memory: int) -> dict[str, Any]:
    """The last month of the year with everything since January, at every level, as a file."""
    store = Store.open(directory)
    with database.reading(store.engine, EVERYTHING) as connection:
        committed_batches(connection)
        tree = read_pieces(connection)
    began, cpu = time.perf_counter(), time.process_time()
    made = roll_up(
        store, MONTHS[-1:], registry.pairs(), tree, quiet, compute=Compute(engine, memory)
    )
    took, used = time.perf_counter() - began, time.process_time() - cpu
    file = directory / "snapshots" / made.snapshots[0].file
    kept = directory.parent / f"{directory.name}-{engine}.parquet"
    file.replace(kept)
    store.close()
    return {
        "seconds": took, "cpu_s": used, "rows": pq.read_metadata(kept).num_rows,
        "file": str(kept), "totals": _of_the_nation(kept),
    }  # fmt: skip


def bare(directory: Path, _engine: str, memory: int) -> dict[str, Any]:
    """The same figures of the villages alone, by a query on the same files."""
    return _query(
        directory, memory,
        "SELECT place_id, kind, count(DISTINCT person) AS persons, count(*) AS times FROM services "
        f"WHERE kind IN ({_listed()}) GROUP BY place_id, kind",
    )  # fmt: skip


def plain(directory: Path, _engine: str, memory: int) -> dict[str, Any]:
    """Services by village and kind, persons counted as often as they come."""
    return _query(
        directory, memory,
        "SELECT place_id, kind, count(*) AS persons, count(*) AS times FROM services "
        "GROUP BY place_id, kind",
    )  # fmt: skip


def _query(directory: Path, memory: int, query: str) -> dict[str, Any]:
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit='{memory}B'; SET preserve_insertion_order=false")
    began, cpu = time.perf_counter(), time.process_time()
    connection.execute(
        "CREATE VIEW services AS SELECT * FROM "
        f"read_parquet('{directory}/records/services/*/*/*.parquet', {_PARTITIONS})"
    )
    connection.execute(f"CREATE TEMP TABLE villages AS {query}")
    took, used = time.perf_counter() - began, time.process_time() - cpu
    found = connection.sql("SELECT kind, sum(persons), sum(times) FROM villages GROUP BY kind")
    sums = {kind: (int(persons), int(times)) for kind, persons, times in found.fetchall()}
    (count,) = connection.sql("SELECT count(*) FROM villages").fetchall()[0]
    return {
        "seconds": took, "cpu_s": used, "rows": count,
        "totals": {name: sums[kind][0 if once else 1] for name, (kind, once) in kinds().items()},
    }  # fmt: skip


def pandas(directory: Path, _engine: str, _memory: int) -> dict[str, Any]:
    """The same file with pandas: the same rows of every level, from the same files."""
    store = Store.open(directory)
    with database.reading(store.engine, EVERYTHING) as connection:
        places = read_pieces(connection)
    file = directory.parent / f"{directory.name}-pandas.parquet"
    began, cpu = time.perf_counter(), time.process_time()
    tree = in_pandas.tree_of(places, MONTHS[-1])
    figures = in_pandas.counted(directory / "records" / "services", MONTHS[-1], kinds(), tree)
    rows = in_pandas.roll_up(figures, tree, registry.pairs())
    rows.to_parquet(file, index=False)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    store.close()
    return {
        "seconds": took, "cpu_s": used, "rows": len(rows), "file": str(file),
        "totals": _of_the_nation(file),
    }  # fmt: skip


def _of_the_nation(file: Path) -> dict[str, float]:
    """The measures of a snapshot's root."""
    top = pq.read_table(file, filters=pc.field("parent_id") == "").to_pylist()
    return {row["numerator_measure"]: row["numerator"] for row in top}


def _listed() -> str:
    return ", ".join(f"'{kind}'" for kind, _ in kinds().values())


WAYS: dict[str, Callable[[Path, str, int], dict[str, Any]]] = {
    "ours": ours, "bare": bare, "plain": plain, "pandas": pandas,
}  # fmt: skip


if __name__ == "__main__":
    way, where, engine, memory = sys.argv[1:]
    found = WAYS[way](Path(where), engine, int(memory))
    print(json.dumps({**found, "peak_gb": peak_gb()}))

"""What a store holds, reduced to hashes: equal for equal contents, on either database."""

from __future__ import annotations

from hashlib import sha256

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import select

from dashboard.access import EVERYTHING, SYSTEM
from dashboard.store import Store, database, images
from dashboard.store.engine import COLUMNS
from dashboard.store.publish import committed_batches

HISTORY = ("audit", "batch", "batch_before", "meta", "snapshot")
"""Tables that only grow, or count what happened."""


def contents(store: Store) -> dict[str, str]:
    """Hashes of the tables outside ``HISTORY``, of the root, and of each month's values."""
    found = tables(store, without=HISTORY)
    with store.unit(SYSTEM) as unit:
        found["root"] = str(unit.meta("root"))
        for month in unit.months():
            rows = pq.read_table(store.directory / "snapshots" / unit.snapshot(month).file)
            found[month] = _hash(rows.select(COLUMNS).to_pandas())
    return found


def tables(store: Store, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Hashes of the SQL tables, byte by byte in the order of their keys."""
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        found = {}
        for table in images.tables(connection):
            if table.name not in without:
                rows = connection.execute(select(table).order_by(*table.primary_key)).all()
                found[table.name] = sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()
        return found


def facts(store: Store) -> str:
    """Hash of the rows that count, in order."""
    with database.reading(store.engine, EVERYTHING) as connection:
        committed = committed_batches(connection)
    rows = store.facts.observations(store.facts.months()).to_table()
    rows = rows.filter(pc.is_in(rows["batch"], pc.cast(sorted(committed) or [0], "int64")))
    return _hash(rows.to_pandas().sort_values(list(rows.column_names), ignore_index=True))


def _hash(rows: pd.DataFrame) -> str:
    return sha256(rows.to_csv(index=False, float_format="%.17g").encode()).hexdigest()

"""Rows of SQL tables as Arrow, the same for both databases: what backups and undo keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    Connection,
    Integer,
    MetaData,
    Table,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    tuple_,
)

ROWS = 5_000
"""Rows handled at once: bounds memory where rows hold polygons."""

_KEYS_AT_ONCE = 400
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")
_TYPES: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.large_binary(),
    date: pa.date32(),
}


def tables(connection: Connection) -> list[Table]:
    """The tables the database has right now, parents before children, without Alembic's own."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def schema(table: Table, names: Iterable[str] | None = None) -> pa.Schema:
    """The Arrow schema of a table's columns, of some of them when named."""
    wanted = list(names) if names is not None else [column.name for column in table.c]
    return pa.schema([(name, _TYPES[table.c[name].type.python_type]) for name in wanted])


def keys(table: Table) -> list[str]:
    """The names of a table's key columns."""
    return [column.name for column in table.primary_key]


def read(connection: Connection, table: Table) -> Iterator[pa.RecordBatch]:
    """All rows of a table in the order of its key, ``ROWS`` at a time."""
    wanted = schema(table)
    statement = select(table).order_by(*table.primary_key).execution_options(yield_per=ROWS)
    with connection.execute(statement) as result:
        for part in result.partitions():
            yield pa.RecordBatch.from_pylist([dict(row._mapping) for row in part], schema=wanted)


def read_keyed(connection: Connection, table: Table, wanted: pa.Table) -> pa.Table:
    """The rows of a table whose keys are among those of ``wanted``."""
    columns = [table.c[name] for name in keys(table)]
    listed = list(zip(*(wanted[column.name].to_pylist() for column in columns), strict=True))
    found: list[dict[str, Any]] = []
    for start in range(0, len(listed), _KEYS_AT_ONCE):
        part = listed[start : start + _KEYS_AT_ONCE]
        rows = connection.execute(select(table).where(tuple_(*columns).in_(part)))
        found += [dict(row._mapping) for row in rows]
    return pa.Table.from_pylist(found, schema=schema(table))


def write(connection: Connection, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
    """Insert rows; returns how many. A column the table has not is an error.

    Afterwards the database numbers new rows above the highest inserted.

    Raises:
        KeyError: a column that is not in the table.
    """
    count = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        names = [table.c[name].name for name in batch.schema.names]
        if connection.dialect.name == "postgresql" and not _has_policies(connection, table):
            _copy(connection, table, names, batch)
        else:
            connection.execute(insert(table), batch.to_pylist())
        count += batch.num_rows
    if count and connection.dialect.name == "postgresql":
        _continue_numbers(connection, table)
    return count


def _has_policies(connection: Connection, table: Table) -> bool:
    """Whether row-level security holds for this user here: then PostgreSQL refuses COPY."""
    return bool(connection.execute(select(func.row_security_active(table.name))).scalar())


def _copy(connection: Connection, table: Table, names: list[str], batch: pa.RecordBatch) -> None:
    """PostgreSQL's own way to take many rows, several times as fast as INSERT."""
    quote = connection.dialect.identifier_preparer.quote
    listed = ", ".join(quote(name) for name in names)
    cursor = connection.connection.cursor()
    columns = [batch.column(position).to_pylist() for position in range(batch.num_columns)]
    with cursor.copy(f"COPY {quote(table.name)} ({listed}) FROM STDIN") as copying:
        for row in zip(*columns, strict=True):
            copying.write_row(row)


def _continue_numbers(connection: Connection, table: Table) -> None:
    for column in table.primary_key:
        if not isinstance(column.type, Integer):
            continue
        sequence = connection.execute(
            select(func.pg_get_serial_sequence(table.name, column.name))
        ).scalar()
        if sequence is not None:
            highest = select(func.max(column)).scalar_subquery()
            connection.execute(select(func.setval(sequence, highest)))


def remove(connection: Connection, table: Table, doomed: pa.Table) -> None:
    """Delete the rows of some keys."""
    statement = delete(table)
    for name in keys(table):
        statement = statement.where(table.c[name] == bindparam(f"key_{name}"))
    renamed = doomed.select(keys(table)).rename_columns([f"key_{n}" for n in keys(table)])
    for batch in renamed.to_batches(ROWS):
        connection.execute(statement, batch.to_pylist())


def empty(connection: Connection) -> bool:
    """Whether no table holds a row, apart from what opening a store writes itself."""
    if not inspect(connection).has_table("alembic_version"):
        return True
    return not any(
        connection.execute(select(text("1")).select_from(table).limit(1)).first()
        for table in tables(connection)
        if table.name != "meta"
    )


def pack(rows: pa.Table) -> bytes:
    """Rows as one compressed Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_COMPRESSED) as writer:
        writer.write_table(rows)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack(packed: bytes) -> pa.Table:
    """The rows of ``pack``."""
    return pa.ipc.open_stream(packed).read_all()


def save(path: Any, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
    """Write rows of a table to a file as a compressed Arrow IPC stream; returns how many."""
    count = 0
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, schema(table), options=_COMPRESSED) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def load(path: Any) -> Iterator[pa.RecordBatch]:
    """The rows of a file of ``save``, a part at a time."""
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
        yield from reader

"""Persons erased with every copy: the row, what loads keep for undo, the bytes on disk.

An erasure deletes the row and takes it out of the copies kept for undo in one transaction with its
proof; then ``finish`` makes the database give up the bytes. A journal of the proofs lies beside the
keys, outside the database, so that an older backup put back is erased again (``reapply``).
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Collection
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
from filelock import FileLock
from sqlalchemy import Connection, Engine, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from dashboard.access import EVERYTHING
from dashboard.store import database, images
from dashboard.store.keys import AUDIT, Keys
from dashboard.store.model import STALE, Erasure
from dashboard.store.persons import DATASET, TABLE, delete_persons, erased, now, stored
from dashboard.store.records import numbers_of
from dashboard.store.tables import batch_before, erasure, meta, person, snapshot
from geodata.errors import SystemProblem

if TYPE_CHECKING:
    from dashboard.store.store import Store

JOURNAL_FILE = "erasures.jsonl"
"""Beside the keys: every proof, one a line."""

SCRUB_PENDING = "scrub_pending"
"""Meta entry: an erasure is committed whose bytes may still lie in the database."""

PATIENCE_S = 30.0
"""How long an erasure waits for whoever still reads the old rows."""


def erase(
    connection: Connection, keys: Keys, chosen: Collection[str], reason: str, by: str
) -> list[Erasure]:
    """Delete persons and the copies kept for undo, and write the proofs, in this transaction.

    Afterwards call ``scrub``: until then the bytes may still lie in the database files.

    Args:
        keys: of the store.
        chosen: keys of persons; those not held are passed over.
        by: id of who erases.
    """
    held = sorted(stored(connection, chosen))
    if not held:
        return []
    copies = _forget_copies(connection, set(held))
    delete_persons(connection, held)
    moment = now()
    proofs = [_proof(keys, key, 1 + copies[key], reason, moment, by) for key in held]
    connection.execute(insert(erasure), [asdict(proof) for proof in proofs])
    _put_meta(connection, SCRUB_PENDING, moment)
    return proofs


def mark(connection: Connection) -> None:
    """Ask ``finish`` for another cleaning."""
    _put_meta(connection, SCRUB_PENDING, now())


def standing(connection: Connection, key: str) -> Erasure | None:
    """The standing erasure of a person, None when there is none or it was ended."""
    past = history(connection, key)
    return past[-1] if past and not past[-1].ends else None


def admit(connection: Connection, keys: Keys, key: str, reason: str, by: str) -> Erasure:
    """End an erasure: later loads may bring the person again. The proof stays."""
    proof = _proof(keys, key, 0, reason, now(), by)
    connection.execute(insert(erasure).values(**asdict(proof)))
    return proof


def overdue(connection: Connection, on: date) -> list[str]:
    """Keys of persons whose time of keeping has passed on a day."""
    statement = select(person.c.key).where(person.c.keep_until < on).order_by(person.c.key)
    return list(connection.execute(statement).scalars())


def _proof(keys: Keys, key: str, rows: int, reason: str, at: str, by: str) -> Erasure:
    sealed = seal(keys, key, DATASET, rows, reason, at, by)
    return Erasure(key, DATASET, rows, reason, at, by, sealed)


def seal(keys: Keys, key: str, dataset: str, rows: int, reason: str, at: str, by: str) -> str:
    """The proof an erasure must carry: HMAC over its fields as a JSON array."""
    return keys.mac(
        AUDIT, json.dumps(["erasure", key, dataset, rows, reason, at, by], ensure_ascii=False)
    )


def is_genuine(keys: Keys, proof: Erasure) -> bool:
    """Whether an erasure carries the proof of its own fields."""
    fields = asdict(proof)
    return bool(fields.pop("proof") == seal(keys, **fields))


def _forget_copies(connection: Connection, chosen: set[str]) -> dict[str, int]:
    """Take persons out of what loads keep for undo; how many rows each had there."""
    counts = dict.fromkeys(chosen, 0)
    statement = select(batch_before.c.batch, batch_before.c.removed)
    rows = connection.execute(statement.where(batch_before.c.table_name == TABLE)).all()
    for number, removed in rows:
        listed = images.unpack(removed).to_pylist()
        kept = [row for row in listed if row["key"] not in chosen]
        if len(kept) == len(listed):
            continue
        for row in listed:
            if row["key"] in chosen:
                counts[row["key"]] += 1
        connection.execute(
            update(batch_before)
            .where(batch_before.c.batch == number, batch_before.c.table_name == TABLE)
            .values(removed=images.pack(pa.Table.from_pylist(kept, schema=images.schema(person))))
        )
    return counts


def _put_meta(connection: Connection, key: str, value: str | None) -> None:
    connection.execute(delete(meta).where(meta.c.key == key))
    if value is not None:
        connection.execute(insert(meta).values(key=key, value=value))


def finish(store: Store, patience_s: float = PATIENCE_S) -> None:
    """Do what an erasure that was interrupted left: the bytes, the journal. Under the load lock.

    Args:
        patience_s: how long to wait for whoever still reads the old rows.

    Raises:
        SystemProblem: ERASURE_UNFINISHED.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        pending = connection.execute(
            select(meta.c.value).where(meta.c.key == SCRUB_PENDING)
        ).first()
    if pending is None:
        return
    note(store)
    _forget_records(store)
    try:
        if store.engine.dialect.name == "sqlite":
            _scrub_sqlite(store.engine, patience_s)
        else:
            _scrub_postgresql(store.engine, patience_s)
    except (DBAPIError, sqlite3.Error) as error:
        raise _unfinished(type(error).__name__) from error
    with database.writing(store.engine) as connection:
        _put_meta(connection, SCRUB_PENDING, None)


def _forget_records(store: Store) -> None:
    """Delete the records of everybody whose erasure stands; months they had a part in are stale.

    Stale months are rolled up again by the next load that touches them, or by ``publish``.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        gone = erased(connection, {proof.key for proof in history(connection, None)})
    first = store.records.forget(numbers_of(gone))
    if first is not None:
        with database.writing(store.engine) as connection:
            connection.execute(
                update(snapshot).where(snapshot.c.month >= first).values(pairs_hash=STALE)
            )


def _scrub_sqlite(engine: Engine, patience_s: float) -> None:
    """Write the file anew and empty the write-ahead log into it.

    SQLite overwrites what is deleted (``secure_delete``), but leaves crumbs where it moves rows
    between pages: 4 of 19,000 in a trial.
    """
    # The driver itself: SQLAlchemy would begin a transaction, in which no file can be rewritten.
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {patience_s * 1000:.0f}")
        try:
            cursor.execute("VACUUM")
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {database.BUSY_TIMEOUT_S * 1000}")
            cursor.close()
    finally:
        raw.close()
    if busy:
        raise _unfinished("READERS")


def _scrub_postgresql(engine: Engine, patience_s: float) -> None:
    """Write the two tables that hold persons into new files.

    PostgreSQL only marks rows as dead, and carries them over as long as a transaction could still
    see them: so those have to end first.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        mine = connection.execute(text("SELECT pg_current_xact_id()::xid::text")).scalar_one()
        older = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL "
            "AND age(backend_xmin) > age(CAST(:mine AS xid))"
        )
        until = time.monotonic() + patience_s
        while connection.execute(older, {"mine": mine}).scalar_one():
            if time.monotonic() > until:
                raise _unfinished("READERS")
            time.sleep(0.1)
        connection.exec_driver_sql(f"SET lock_timeout = {max(1, patience_s * 1000):.0f}")
        try:
            for table in (person, batch_before):
                connection.exec_driver_sql(f"VACUUM (FULL) {table.name}")
        finally:
            connection.exec_driver_sql("RESET lock_timeout")


def _unfinished(why: str) -> SystemProblem:
    return SystemProblem(
        "ERASURE_UNFINISHED",
        f"个人数据已删除，但数据库正忙或空间不足({why})，旧的存储空间还没有清除干净。",
        "请稍后再执行一次 erase；程序下次导入或启动时也会自动继续清除。",
    )


# The journal outside the database


def note(store: Store) -> None:
    """Add to the journal what stands in the table and not yet there."""
    with database.reading(store.engine, EVERYTHING) as connection:
        proofs = history(connection, None)
    path = store.keys.directory / JOURNAL_FILE
    with FileLock(path.with_suffix(".lock"), fallback_to_soft=False):
        known = {proof.proof for proof in journal(store)}
        missing = [proof for proof in proofs if proof.proof not in known]
        if not missing:
            return
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for proof in missing:
                # Before the line, so that it does not join one cut short.
                file.write("\n" + json.dumps(asdict(proof), ensure_ascii=False))
            file.flush()
            os.fsync(file.fileno())


def journal(store: Store) -> list[Erasure]:
    """The proofs noted beside the keys, in order; a line cut short or forged is passed over.

    The first is what a crash while writing leaves; ``note`` writes it again.
    """
    path = store.keys.directory / JOURNAL_FILE
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            proof = Erasure(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if is_genuine(store.keys, proof):
            found.append(proof)
    return found


def history(connection: Connection, key: str | None) -> list[Erasure]:
    """The erasures and admissions of a person, or of all, in order."""
    columns = [column for column in erasure.c if column.name != "id"]
    statement = select(*columns).order_by(erasure.c.id)
    if key is not None:
        statement = statement.where(erasure.c.key == key)
    return [Erasure(**row._mapping) for row in connection.execute(statement)]


def reapply(connection: Connection, store: Store) -> list[Erasure]:
    """Erase again, in this transaction, whom the journal says was erased; returns what was missing.

    A person whose row is newer than the last erasure was admitted again and stays.
    """
    known = {proof.proof for proof in history(connection, None)}
    missing = [proof for proof in journal(store) if proof.proof not in known]
    if not missing:
        return []
    connection.execute(insert(erasure), [asdict(proof) for proof in missing])
    last = {proof.key: proof for proof in missing}
    gone = [
        key
        for key, row in stored(connection, list(last)).items()
        if row["held_since"] <= last[key].at and not last[key].ends
    ]
    erased_ever = {proof.key for proof in missing if not proof.ends}
    _forget_copies(connection, erased_ever)
    delete_persons(connection, gone)
    _put_meta(connection, SCRUB_PENDING, now())
    return missing

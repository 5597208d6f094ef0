"""One data directory: its database, facts and snapshots, opened, migrated and healed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, delete, insert, select, update

from dashboard.store import database
from dashboard.store.facts import Facts
from dashboard.store.model import BatchState
from dashboard.store.snapshots import Snapshots
from dashboard.store.tables import batch, meta, snapshot
from dashboard.store.unit import Unit
from geodata.errors import SystemProblem

_STORE_ID = "store_id"


class Store:
    """A data directory and its database.

    Attributes:
        directory: the data directory.
        engine: the SQL engine.
        facts: the observations.
        snapshots: the published values.
        scratch: where a load keeps temporary files.
    """

    def __init__(self, directory: Path, engine: Engine) -> None:
        self.directory = directory
        self.engine = engine
        self.facts = Facts(directory / "observations")
        self.snapshots = Snapshots(directory / "snapshots")
        self.scratch = directory / "tmp"

    @classmethod
    def open(cls, data_dir: Path | str, database_url: str | None = None) -> Store:
        """Open a data directory, creating, migrating and healing it as needed.

        What a load that was killed left behind is removed, unless another load runs right now.
        Several processes may open one directory at once.

        Raises:
            SystemProblem: DATA_DIR_UNUSABLE, DATABASE_URL_INVALID, DATABASE_UNREACHABLE,
                SCHEMA_NEWER, or STORE_MISMATCH when the database belongs to other data.
        """
        directory = Path(data_dir).expanduser().resolve()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "tmp").mkdir(exist_ok=True)
            (directory / "snapshots").mkdir(exist_ok=True)
        except OSError as error:
            raise SystemProblem(
                "DATA_DIR_UNUSABLE",
                f"数据目录 {directory} 无法使用：{error.strerror}。",
                "请检查路径和写入权限，或用 --data 指定其他目录。",
            ) from error
        store = cls(directory, database.connect(directory, database_url))
        with _file_lock(directory / "open.lock", timeout=-1):
            database.migrate(store.engine)
            store._match_identity()
        store._heal()
        return store

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()

    @contextmanager
    def unit(self) -> Iterator[Unit]:
        """One read transaction."""
        with database.reading(self.engine) as connection:
            yield Unit(connection, self.facts, self.snapshots)

    def set_meta(self, key: str, value: str) -> None:
        """Write one entry of the meta table."""
        with database.writing(self.engine) as connection:
            put_meta(connection, key, value)

    @contextmanager
    def load_lock(self, timeout: float) -> Iterator[bool]:
        """The one lock every load holds. Yields whether it was free within ``timeout`` seconds.

        It is the operating system's, so it ends with the process, however that ends.
        """
        lock = _file_lock(self.directory / "load.lock", timeout)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _match_identity(self) -> None:
        """Refuse a database that belongs to other data: healing would take its facts for waste."""
        file = self.directory / "store_id"
        own = file.read_text(encoding="ascii").strip() if file.exists() else ""
        with database.writing(self.engine) as connection:
            known = connection.execute(select(meta.c.value).where(meta.c.key == _STORE_ID)).scalar()
            if known is None and not (own and self.facts.months()):
                known = own or secrets.token_hex(16)
                put_meta(connection, _STORE_ID, known)
            if own and own != known:
                raise SystemProblem(
                    "STORE_MISMATCH",
                    f"数据目录 {self.directory} 与所连数据库不是同一套数据。",
                    "请核对 DUDAO_DATA 与 DATABASE_URL;未作任何改动。",
                )
        if not own:
            file.write_text(str(known), encoding="ascii")

    def _heal(self) -> None:
        with self.load_lock(timeout=0) as free:
            if free:
                heal(self)


def _file_lock(path: Path, timeout: float) -> FileLock:
    # A soft lock would outlive a killed process, so a file system without locks is an error.
    return FileLock(path, timeout=timeout, thread_local=False, fallback_to_soft=False)


def put_meta(connection: Connection, key: str, value: str) -> None:
    """Insert or replace one entry of the meta table."""
    connection.execute(delete(meta).where(meta.c.key == key))
    connection.execute(insert(meta).values(key=key, value=value))


def heal(store: Store) -> None:
    """Remove what an unfinished load left. Only under the load lock.

    Its facts carry the number of a batch that is still open, its snapshot files stand in no
    table, its temporary files have no owner.
    """
    with database.reading(store.engine) as connection:
        unfinished = list(
            connection.execute(
                select(batch.c.id).where(batch.c.state == BatchState.OPEN.value)
            ).scalars()
        )
        files = set(connection.execute(select(snapshot.c.file)).scalars())
    if unfinished:
        store.facts.remove(unfinished)
        store.facts.vacuum()
        with database.writing(store.engine) as connection:
            connection.execute(
                update(batch)
                .where(batch.c.id.in_(unfinished))
                .values(state=BatchState.ABANDONED.value)
            )
    store.snapshots.remove_except(files)
    for path in store.scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

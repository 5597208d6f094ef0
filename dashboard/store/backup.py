"""Backup of a live store into one file, and its return into either database."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text, update

from dashboard import access
from dashboard.access import EVERYTHING, Actor, acts
from dashboard.store import archive, audit, database, dump, erasures, images
from dashboard.store.archive import Manifest
from dashboard.store.integrity import CheckResult, check
from dashboard.store.keys import AUDIT, NAMES, Keys
from dashboard.store.model import Progress
from dashboard.store.publish import LOAD_TIMEOUT_S, is_disk_full, loading, quiet
from dashboard.store.snapshots import sync_directory
from dashboard.store.store import RESTORE_PENDING, Store, snapshot_files
from dashboard.store.tables import audit as audit_table
from dashboard.store.tables import session, sign_in_link
from geodata.errors import DudaoError, SystemProblem

MAKE, RESTORE = "backup.make", "backup.restore"

_STAGING = "backup-"
_INCOMING = "restoring-"
_REPLACED = "replaced-"
_FILES = ("observations", "records", "snapshots", "store_id")
_LEAVING_S = 2.0
"""How long a closed connection may still be listed."""


@dataclass(frozen=True, slots=True)
class BackupResult:
    """What a backup wrote.

    Attributes:
        file, sha256, size: the file, its digest and its bytes.
        encrypted: whether only the owner of the private key can read it.
        with_keys: whether the secret keys are in it. Without them neither the audit nor persons
            can be verified after a restore: they must be kept separately.
        manifest: what is in it.
    """

    file: Path
    sha256: str
    size: int
    encrypted: bool
    with_keys: bool
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore did.

    Attributes:
        replaced: where the data that was there lies now; None when there was none.
        erased: persons whose erasure is newer than the backup and was done again.
        manifest: what was restored.
        checked: what the check afterwards found.
    """

    directory: Path
    replaced: str | None
    erased: int
    manifest: Manifest
    checked: CheckResult


@acts("backup.make")
def backup(
    store: Store,
    actor: Actor,
    out: Path,
    *,
    with_keys: bool = False,
    recipient: str | None = None,
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
) -> BackupResult:
    """Write one file with everything, all of it from one state; readers and writers go on.

    The load lock is held only while the state is pinned: the tables by a transaction that goes on
    seeing them, the facts and snapshots, which never change once written, by links.

    Args:
        out: must not exist.
        with_keys: put the secret keys in too.
        recipient: public key of ``age``.
        timeout: seconds to wait for a load under way.

    Raises:
        NotAllowed: audited.
        DudaoError: BACKUP_EXISTS, AGE_MISSING, AGE_FAILED.
        SystemProblem: LOAD_BUSY, BACKUP_BUSY, BACKUP_UNWRITABLE, DISK_FULL.
    """
    store.require(actor, MAKE)
    tell = progress or quiet
    out = out.expanduser().resolve()
    with _staging(store) as staging, ExitStack() as pinned:
        with loading(store, tell, timeout):
            tell("正在固定当前状态")
            reading = database.reading(store.engine, EVERYTHING, EVERYTHING)
            connection = pinned.enter_context(reading)
            files = snapshot_files(connection)
            for name in files:
                _pin(store.directory / "snapshots" / name, staging / "snapshots" / name)
            for path in store.facts.files():
                _pin(path, staging / "observations" / path.relative_to(store.facts.directory))
            for path, place in store.records.files().items():
                _pin(path, staging / "records" / place)
        tell("正在写出数据表")
        try:
            manifest = dump.save(connection, staging, whole=True)
            pinned.close()
            if with_keys:
                for name in NAMES:
                    _pin(store.keys.path(name), staging / "keys" / f"{name}.key")
            tell("正在写备份文件")
            manifest = archive.write(out, staging, manifest, recipient)
        except OSError as error:
            if is_disk_full(error):
                raise SystemProblem(
                    "DISK_FULL", "磁盘空间不足，备份没有完成。", "请腾出空间或换一个位置后重试。"
                ) from error
            raise
    result = BackupResult(
        out,
        archive.sha256_of(out),
        out.stat().st_size,
        recipient is not None,
        with_keys,
        manifest,
    )
    details = {
        "file": out.name, "sha256": result.sha256, "size": result.size,
        "encrypted": result.encrypted, "with_keys": with_keys, "chain": manifest.chain[0],
    }  # fmt: skip
    store.record(actor, MAKE, subject=out.name, details=details)
    return result


@contextmanager
def _staging(store: Store) -> Iterator[Path]:
    """A directory on the data's own disk, removed afterwards; one backup at a time."""
    lock = FileLock(store.directory / "backup.lock", timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise SystemProblem(
            "BACKUP_BUSY", "另一个备份正在进行。", "请等它完成后再备份。"
        ) from error
    try:
        for left in store.directory.glob(f"{_STAGING}*/"):
            shutil.rmtree(left)
        staging = store.directory / f"{_STAGING}{secrets.token_hex(4)}"
        staging.mkdir(mode=0o700)
        try:
            yield staging
        finally:
            shutil.rmtree(staging)
    finally:
        lock.release()


def _pin(path: Path, target: Path) -> None:
    """Keep a file that nobody writes to any more, whatever becomes of its first name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:
        # Not every file system knows links.
        shutil.copyfile(path, target)


# Restore


@acts("backup.restore")
def restore(
    source: Path,
    data_dir: Path,
    database_url: str | None,
    actor: Actor,
    *,
    keys: Path | None = None,
    replace: bool = False,
    identity: Path | None = None,
    progress: Progress | None = None,
) -> RestoreResult:
    """Put a backup into a data directory and a database, of either kind, and check it.

    Everything is verified before anything is changed. Everybody is signed out, and persons erased
    since the backup are erased again. No program may have the data open.

    Args:
        actor: the operator of the data directory.
        keys: directory of the secret keys; None: ``keys`` in the data directory. A backup without
            keys needs its own keys to be there already.
        replace: whether data may be there; it is kept beside the restored.
        identity: private key of ``age``.

    Raises:
        NotAllowed
        DudaoError: what ``archive.unpack`` raises; RESTORE_NOT_EMPTY, RESTORE_KEYS.
        SystemProblem: SCHEMA_NEWER, RESTORE_IN_USE, DATA_DIR_UNUSABLE, DATABASE_UNREACHABLE,
            DISK_FULL.
    """
    access.check(actor, RESTORE)
    tell = progress or quiet
    directory = data_dir.expanduser().resolve()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemProblem(
            "DATA_DIR_UNUSABLE",
            f"数据目录 {directory} 无法使用：{error.strerror}。",
            "请检查路径和写入权限，或用 --data 指定其他目录。",
        ) from error
    engine = database.connect(directory, database_url)
    try:
        with ExitStack() as held:
            for name in ("open.lock", "load.lock"):
                held.enter_context(_exclusive(directory / name))
            target = _Target(directory, engine, Keys(keys or directory / "keys"))
            tell("正在核对备份文件")
            with target.incoming() as incoming:
                manifest = archive.unpack(source, incoming, identity)
                database.require_known(manifest.schema)
                target.refuse_full(manifest, replace)
                target.refuse_foreign_keys(incoming, manifest)
                tell("正在写入数据表")
                replaced = target.put(incoming, manifest)
            tell("正在完成恢复")
            erased = target.settle()
    except OSError as error:
        if is_disk_full(error):
            raise SystemProblem(
                "DISK_FULL", "磁盘空间不足，恢复没有完成。", "请腾出空间后重新恢复。"
            ) from error
        raise
    finally:
        engine.dispose()
    store = Store.open(directory, database_url, keys)
    try:
        details = {
            "file": source.name, "created": manifest.created, "chain": manifest.chain[0],
            "replaced": replaced, "erased_again": erased,
        }  # fmt: skip
        store.record(actor, RESTORE, subject=source.name, details=details)
        tell("正在检查恢复后的数据")
        checked = check(store, actor, tell)
    finally:
        store.close()
    return RestoreResult(directory, replaced, erased, manifest, checked)


def _in_use() -> SystemProblem:
    return SystemProblem(
        "RESTORE_IN_USE",
        "数据正被其他程序使用。",
        "请先停止网页服务和正在进行的导入，再恢复；未作任何改动。",
    )


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise _in_use() from error
    try:
        yield
    finally:
        lock.release()


class _Target:
    """Where a backup is put."""

    def __init__(self, directory: Path, engine: Engine, keys: Keys) -> None:
        self._directory, self._engine, self._keys = directory, engine, keys
        self._postgres = engine.dialect.name == "postgresql"
        self._pending = directory / RESTORE_PENDING

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """An empty directory on the same disk, removed afterwards."""
        for left in self._directory.glob(f"{_INCOMING}*/"):
            shutil.rmtree(left)
        made = self._directory / f"{_INCOMING}{secrets.token_hex(4)}"
        made.mkdir(mode=0o700)
        try:
            yield made
        finally:
            shutil.rmtree(made)

    @property
    def _file(self) -> Path:
        """The SQLite file."""
        return Path(str(self._engine.url.database))

    def refuse_full(self, manifest: Manifest, replace: bool) -> None:
        """Raise unless there is no data, or it may be replaced and nobody uses it.

        Raises:
            DudaoError: RESTORE_NOT_EMPTY, RESTORE_NOT_WHOLE.
            SystemProblem: RESTORE_IN_USE.
        """
        full = any((self._directory / name).is_dir() for name in ("observations", "records"))
        if self._postgres or self._file.exists():
            with database.reading(self._engine, EVERYTHING, EVERYTHING) as connection:
                full = full or not images.empty(connection)
        if (full or self._pending.exists()) and not replace:
            raise DudaoError(
                "RESTORE_NOT_EMPTY",
                f"数据目录 {self._directory} 或数据库中已有数据。",
                "请换一个空的数据目录，或加 --replace(原有数据会保留在旁边)；未作任何改动。",
            )
        if not manifest.whole and not full:
            raise DudaoError(
                "RESTORE_NOT_WHOLE",
                "这是升级前自动留存的数据表，不含月度数据文件，不能恢复到空目录。",
                "请在原来的数据目录上恢复。",
            )
        self._engine.dispose()
        # PostgreSQL lists a connection for a moment after its program has closed it.
        give_up = time.monotonic() + _LEAVING_S
        while self._used():
            if time.monotonic() > give_up:
                raise _in_use()
            time.sleep(0.05)

    def _used(self) -> bool:
        if self._postgres:
            others = text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            with self._engine.connect() as connection:
                return bool(connection.execute(others).scalar_one())
        if not self._file.exists():
            return False
        try:
            _fold_log(self._file)
        except sqlite3.OperationalError:
            return True
        return False

    def refuse_foreign_keys(self, incoming: Path, manifest: Manifest) -> None:
        """Raise unless the keys that will be there are those the backup was made with.

        Raises:
            DudaoError: RESTORE_KEYS.
        """
        brought = {path.name: path for path in (incoming / "keys").glob("*.key")}
        for name in NAMES:
            own = self._keys.path(name)
            new = brought.get(own.name)
            if new is not None and own.exists() and own.read_bytes() != new.read_bytes():
                raise DudaoError(
                    "RESTORE_KEYS",
                    f"密钥目录 {self._keys.directory} 中已有另一套密钥。",
                    "请先移走其中的文件再恢复；未作任何改动。",
                )
        seq, mac = manifest.chain
        if not seq:
            return
        keys = Keys(incoming / "keys") if brought else self._keys
        rows = images.load(incoming / dump.TABLES / f"{audit_table.name}.arrow")
        last: dict[str, Any] = {}
        for part in rows:
            last = part.slice(part.num_rows - 1).to_pylist()[0] if part.num_rows else last
        if not keys.path(AUDIT).exists() or audit.mac_of(keys, last) != mac:
            raise DudaoError(
                "RESTORE_KEYS",
                f"密钥目录 {keys.directory} 中没有这份备份所用的密钥。",
                "请先把单独保管的密钥文件放回该目录(或用 DUDAO_KEYS 指定),再恢复；未作任何改动。",
            )

    def put(self, incoming: Path, manifest: Manifest) -> str | None:
        """Fill the database and move the files in; returns the name the old data has now."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        replaced = f"{_REPLACED}{stamp}"
        if self._postgres:
            with database.writing(self._engine) as connection:
                had_tables = _set_schema_aside(connection, replaced.replace("-", "_").lower())
                self._fill(connection, incoming, manifest)
                had_files = self._switch(incoming, replaced, manifest)
        else:
            had_tables = False
            fresh = database.connect(incoming, None)
            try:
                with database.writing(fresh) as connection:
                    self._fill(connection, incoming, manifest)
            finally:
                fresh.dispose()
            _fold_log(incoming / database.SQLITE_FILE)
            had_files = self._switch(incoming, replaced, manifest)
        return replaced if had_tables or had_files else None

    def _fill(self, connection: Connection, incoming: Path, manifest: Manifest) -> None:
        database.upgrade(connection, manifest.schema)
        dump.load(connection, incoming, manifest)

    def _switch(self, incoming: Path, replaced: str, manifest: Manifest) -> bool:
        """Move the old files aside and the new ones in; whether there were old ones.

        The note that says so stays until ``settle``: a restore killed in between is not opened.
        """
        if manifest.store_id is not None:
            (incoming / "store_id").write_text(manifest.store_id, encoding="ascii")
        moves = {name: self._directory / name for name in _FILES if manifest.whole}
        if not self._postgres:
            moves[database.SQLITE_FILE] = self._file
        aside = self._directory / replaced
        self._pending.write_text(replaced, encoding="ascii")
        sync_directory(self._directory)
        for target in moves.values():
            if target.exists():
                aside.mkdir(mode=0o700, exist_ok=True)
                shutil.move(target, aside / target.name)
        for name, target in moves.items():
            if (incoming / name).exists():
                shutil.move(incoming / name, target)
        brought = incoming / "keys"
        if brought.is_dir():
            self._keys.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in brought.iterdir():
                if not (self._keys.directory / path.name).exists():
                    shutil.move(path, self._keys.directory / path.name)
        sync_directory(self._directory)
        return aside.exists()

    def settle(self) -> int:
        """Bring the restored state up to now; returns how many persons were erased again."""
        database.migrate(self._engine)
        store = Store(self._directory, self._engine, self._keys)
        if not self._keys.path(AUDIT).exists():
            self._keys.create_missing()
        moment = time.time()
        with database.writing(self._engine) as connection:
            ended = {"ended": moment, "ended_reason": "restore"}
            connection.execute(update(session).where(session.c.ended.is_(None)).values(ended))
            connection.execute(
                update(sign_in_link).where(sign_in_link.c.used.is_(None)).values(used=moment)
            )
            again = erasures.reapply(connection, store)
        erasures.finish(store)
        audit.reset_anchor(self._engine, self._keys)
        self._pending.unlink()
        return len(again)


def _fold_log(file: Path) -> None:
    """Put the write-ahead log of a SQLite file into it; it must be nobody else's.

    Raises:
        sqlite3.OperationalError: somebody has it open.
    """
    with closing(sqlite3.connect(file, timeout=1.0)) as alone:
        alone.execute("PRAGMA journal_mode=DELETE")


def _set_schema_aside(connection: Connection, name: str) -> bool:
    """Rename the schema that holds the tables, if it holds any, and begin an empty one."""
    schema = str(connection.execute(text("SELECT current_schema()")).scalar_one())
    if database.revision(connection) is None and not images.tables(connection):
        return False
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(text(f"ALTER SCHEMA {quote(schema)} RENAME TO {quote(name)}"))
    connection.execute(text(f"CREATE SCHEMA {quote(schema)}"))
    return True

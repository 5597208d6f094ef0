"""One data directory: its database, facts and snapshots, opened, migrated and healed."""

from __future__ import annotations

import logging
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, Table, delete, insert, select, update

from dashboard import access
from dashboard.access import EVERYTHING, Action, Actor, NotAllowed
from dashboard.store import accounts, audit, database, erasures
from dashboard.store.audit import Entry, Outcome
from dashboard.store.facts import Facts
from dashboard.store.keys import Keys
from dashboard.store.model import DEFAULT_COMPUTE, BatchState, Compute
from dashboard.store.records import Records
from dashboard.store.snapshots import Snapshots
from dashboard.store.tables import audit as audit_table
from dashboard.store.tables import batch, institution, meta, place, snapshot
from dashboard.store.unit import Unit
from geodata.errors import DudaoError, SystemProblem

_STORE_ID = "store_id"
RESTORE_PENDING = "restore.pending"
"""File in a data directory whose restore has not ended."""

_log = logging.getLogger(__name__)

_DENIALS_KEPT = 20
"""Denials of one unit that are audited one by one; a probe of thousands does not fill the disk."""


@dataclass
class _Told:
    """What an audit row will tell; may be completed until it is written."""

    place_id: str | None
    path: str | None
    subject: str
    details: dict[str, Any]

    def entry(self, actor: Actor, action_id: str, outcome: Outcome = Outcome.DONE) -> Entry:
        """The audit row as it stands now."""
        return Entry(
            actor, action_id, self.subject, self.place_id, self.path, outcome, self.details
        )


@dataclass
class Command(_Told):
    """A change under way: what runs in its transaction and what its audit row will tell.

    Attributes:
        place_id, path: where it happens; None when it concerns no place.
        subject, details: may be completed while it runs.
        connection: the open write transaction.
    """

    connection: Connection
    actor: Actor
    action: Action

    def must_cover(self, place_id: str | None) -> str | None:
        """The path of a further place this command touches; None stands for everywhere.

        Raises:
            NotAllowed: it needs a grant everywhere.
            DudaoError: PLACE_NOT_FOUND, no such place in the actor's scope.
        """
        scope = self.actor.scope(self.action.id)
        if place_id is None:
            if not scope.everything:
                raise NotAllowed(self.action.id)
            return None
        paths = paths_of(self.connection, place_id)
        if not paths or not scope.covers(paths[-1]):
            raise _NotVisible(place_id, bool(paths))
        return paths[-1]


class _NotVisible(DudaoError):
    """PLACE_NOT_FOUND, for a place outside the scope and for none alike."""

    def __init__(self, place_id: str, exists: bool) -> None:
        super().__init__(
            "PLACE_NOT_FOUND",
            f"没有代码为“{place_id}”的地区。",
            "请核对代码，或用搜索找到该地区。",
        )
        self.denied = exists


def paths_of(connection: Connection, place_id: str) -> tuple[str, ...]:
    """Every path a place has or had, the latest last; none for an unknown id."""
    found = connection.execute(
        select(place.c.path).where(place.c.id == place_id).order_by(place.c.valid_from)
    ).scalars()
    return tuple(dict.fromkeys(found))


class Store:
    """A data directory and its database.

    Attributes:
        directory: the data directory.
        engine: the SQL engine.
        facts: the observations.
        records: persons, households and services, to be counted.
        snapshots: the published values.
        scratch: where a load keeps temporary files.
        compute: what rolls up, and how much memory it may take.
        keys: the secret keys, outside the database.
    """

    def __init__(
        self, directory: Path, engine: Engine, keys: Keys, compute: Compute = DEFAULT_COMPUTE
    ) -> None:
        self.directory = directory
        self.compute = compute
        self.engine = engine
        self.keys = keys
        self.facts = Facts(directory / "observations")
        self.records = Records(directory / "records")
        self.snapshots = Snapshots(directory / "snapshots")
        self.scratch = directory / "tmp"

    @classmethod
    def open(
        cls,
        data_dir: Path | str,
        database_url: str | None = None,
        keys: Path | None = None,
        compute: Compute = DEFAULT_COMPUTE,
    ) -> Store:
        """Open a data directory, creating, migrating and healing it as needed.

        What a load that was killed left behind is removed, unless another load runs right now.
        Several processes may open one directory at once.

        Args:
            keys: directory of the secret keys; None: ``keys`` in the data directory.

        Raises:
            SystemProblem: DATA_DIR_UNUSABLE, DATABASE_URL_INVALID, DATABASE_UNREACHABLE,
                SCHEMA_NEWER, STORE_MISMATCH when the database belongs to other data, KEYS_UNUSABLE,
                RESTORE_UNFINISHED, BACKUP_UNWRITABLE before a migration.
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
        engine = database.connect(directory, database_url)
        store = cls(directory, engine, Keys(keys or directory / "keys"), compute)
        try:
            with _file_lock(directory / "open.lock", timeout=-1):
                if (directory / RESTORE_PENDING).exists():
                    raise SystemProblem(
                        "RESTORE_UNFINISHED",
                        f"数据目录 {directory} 上次恢复备份没有完成。",
                        "请加 --replace 重新执行 restore；原有数据保留在 replaced- 开头的目录中。",
                    )
                database.migrate(store.engine, directory / "before-migration")
                store._match_identity()
                store._make_keys()
            store._heal()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()

    def actor(self, login: str) -> Actor:
        """The account of a login name, acting from the command line.

        Raises:
            DudaoError: ACCOUNT_NOT_FOUND.
        """
        with database.reading(self.engine, EVERYTHING) as connection:
            found = accounts.actor_by_login(connection, login, via="cli")
        if found is None:
            raise DudaoError(
                "ACCOUNT_NOT_FOUND",
                f"没有可用的账号“{login}”。",
                "请用 user list 查看账号，或核对拼写。",
            )
        return found

    def require(
        self,
        actor: Actor,
        action_id: str,
        *,
        subject: str = "",
        details: dict[str, Any] | None = None,
    ) -> None:
        """Refuse who may not do an action anywhere, and audit the refusal.

        For what is neither a unit nor a command: those ask by themselves.

        Raises:
            NotAllowed
        """
        if not actor.may(action_id):
            self.record(actor, action_id, subject=subject, details=details, outcome=Outcome.DENIED)
            raise NotAllowed(action_id)

    @contextmanager
    def unit(self, actor: Actor, action_id: str = "places.view") -> Iterator[Unit]:
        """One read transaction, seeing what the actor may do ``action_id`` with.

        What was asked for and lies outside is audited as a denial when the unit closes.

        Raises:
            NotAllowed: no grant for the action at all; audited.
        """
        self.require(actor, action_id)
        scope, persons = actor.scope(action_id), actor.scope("persons.view")
        refused: list[tuple[Table, str]] = []
        try:
            with database.reading(self.engine, scope, persons) as connection:
                unit = Unit(connection, self.facts, self.records, self.snapshots, actor, scope)
                refused = unit.refused
                yield unit
        finally:
            if refused:
                self._record_refused(actor, action_id, refused)

    def _record_refused(self, actor: Actor, action_id: str, asked: list[tuple[Table, str]]) -> None:
        """Audit what a unit was asked for in vain, where it exists and is not the actor's."""
        found = []
        with database.reading(self.engine, EVERYTHING) as connection:
            for table, wanted in list(dict.fromkeys(asked))[:_DENIALS_KEPT]:
                home = wanted
                if table is institution:
                    homes = select(institution.c.place_id).where(institution.c.id == wanted)
                    home = connection.execute(homes).scalar() or ""
                found.append((wanted, home, paths_of(connection, home)))
        for wanted, home, paths in found:
            if paths:
                self._append(Entry(actor, action_id, wanted, home, paths[-1], Outcome.DENIED))

    @contextmanager
    def command(
        self,
        actor: Actor,
        action_id: str,
        *,
        at: str | None = None,
        subject: str = "",
        details: dict[str, Any] | None = None,
    ) -> Iterator[Command]:
        """One change: checked, run and audited in one write transaction.

        A denial, and a change that ended with an error, is audited in a transaction of its own.

        Args:
            at: the place it concerns, which the actor's grants must cover; None: none.
            subject: id of what it is done to.
            details: for the audit row; JSON-ready, no patient's name or number.

        Raises:
            NotAllowed: the actor's roles do not include the action.
            DudaoError: PLACE_NOT_FOUND when ``at`` is unknown or outside the scope; whatever the
                body raises.
        """
        told = _Told(at, None, subject, dict(details or {}))
        try:
            access.check(actor, action_id)
            with database.writing(self.engine) as connection:
                action = access.ACTIONS[action_id]
                told = command = Command(at, None, subject, told.details, connection, actor, action)
                if at is not None:
                    command.path = command.must_cover(at)
                yield command
                link = audit.append(connection, self.keys, told.entry(actor, action_id))
        except DudaoError as error:
            denied = isinstance(error, NotAllowed) or getattr(error, "denied", False)
            told.details["error"] = error.code
            self._append(told.entry(actor, action_id, Outcome.DENIED if denied else Outcome.FAILED))
            raise
        audit.anchor(self.keys, link)

    def record(
        self,
        actor: Actor,
        action_id: str,
        *,
        at: str | None = None,
        subject: str = "",
        details: dict[str, Any] | None = None,
        outcome: Outcome = Outcome.DONE,
    ) -> None:
        """Audit something that changes nothing: an export, a sign-in refused, a denial.

        Nothing is checked here. Not to be called inside a write transaction.
        """
        path = None
        if at is not None:
            with database.reading(self.engine, EVERYTHING) as connection:
                path = next(iter(paths_of(connection, at)[-1:]), None)
        self._append(
            Entry(actor, access.ACTIONS[action_id].id, subject, at, path, outcome, details or {})
        )

    def _append(self, entry: Entry) -> None:
        with database.writing(self.engine) as connection:
            link = audit.append(connection, self.keys, entry)
        audit.anchor(self.keys, link)

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

    def _make_keys(self) -> None:
        """Make keys for a database that has used none; else they must be there already."""
        with database.reading(self.engine, EVERYTHING) as connection:
            used = connection.execute(select(audit_table.c.seq).limit(1)).first() is not None
        if not used:
            self.keys.create_missing()

    def _heal(self) -> None:
        with self.load_lock(timeout=0) as free:
            if free:
                heal(self)


def _file_lock(path: Path, timeout: float) -> FileLock:
    # A soft lock would outlive a killed process, so a file system without locks is an error.
    return FileLock(path, timeout=timeout, thread_local=False, fallback_to_soft=False)


def snapshot_files(connection: Connection) -> set[str]:
    """Every file some version of a month is read from."""
    listed = connection.execute(select(snapshot.c.file)).scalars()
    return {name for files in listed for name in files.split()}


def put_meta(connection: Connection, key: str, value: str) -> None:
    """Insert or replace one entry of the meta table."""
    connection.execute(delete(meta).where(meta.c.key == key))
    connection.execute(insert(meta).values(key=key, value=value))


def heal(store: Store) -> None:
    """Remove what an unfinished load left. Only under the load lock.

    Its facts carry the number of a batch that is still open, its snapshot files stand in no
    table, its temporary files have no owner.
    """
    with database.reading(store.engine, EVERYTHING) as connection:
        unfinished = list(
            connection.execute(
                select(batch.c.id).where(batch.c.state == BatchState.OPEN.value)
            ).scalars()
        )
        files = snapshot_files(connection)
    if unfinished:
        store.facts.remove(unfinished)
        store.facts.vacuum()
        store.records.remove(unfinished)
        with database.writing(store.engine) as connection:
            connection.execute(
                update(batch)
                .where(batch.c.id.in_(unfinished))
                .values(state=BatchState.ABANDONED.value)
            )
    store.snapshots.remove_except(files)
    try:
        erasures.finish(store, patience_s=1.0)
    except SystemProblem as problem:
        # Nothing is visible any more; the bytes go when the database is less busy.
        _log.warning("%s", problem)
    for path in store.scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

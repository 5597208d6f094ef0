"""The SQL database: SQLite in the data directory, or PostgreSQL; one behaviour on both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import OperationalError

from dashboard.access import EVERYTHING, NOTHING, Scope
from dashboard.store.migrations import HEAD
from geodata.errors import SystemProblem

if TYPE_CHECKING:
    from alembic.config import Config

SQLITE_FILE = "dudao.sqlite"
BUSY_TIMEOUT_S = 30
READER = "dudao_reader"
"""PostgreSQL role that superusers' reads step down to: it cannot pass a policy."""

_MIGRATIONS = Path(__file__).with_name("migrations")


def connect(data_dir: Path, database_url: str | None) -> Engine:
    """An engine on ``database_url``, or on the SQLite file of ``data_dir`` when it is None.

    SQLite runs in WAL with foreign keys on; ``writing`` begins IMMEDIATE, so a writer waits for
    its turn at the start and never fails half way with "database is locked".

    Raises:
        SystemProblem: DATABASE_URL_INVALID.
    """
    if database_url is None:
        return _sqlite(f"sqlite:///{data_dir / SQLITE_FILE}")
    try:
        url = make_url(database_url)
    except Exception as error:
        raise _bad_url(str(error)) from error
    if url.get_backend_name() == "sqlite":
        return _sqlite(database_url)
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise _bad_url(f"不支持 {url.get_backend_name()}")
    # Errors quote the values of a statement unless told not to, and may end up in a log.
    return create_engine(
        url.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True
    )


def _bad_url(reason: str) -> SystemProblem:
    return SystemProblem(
        "DATABASE_URL_INVALID",
        f"DATABASE_URL 无法使用：{reason}。",
        "请写作 postgresql://用户:口令@主机:端口/库名，或去掉该变量改用内置数据库。",
    )


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        pool_size=20,
        max_overflow=40,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # SQLAlchemy begins transactions itself (next listener): the driver must not.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA cache_size=-32000")
        # What is deleted is overwritten: erased persons must not stay in free pages.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back on any exception.

    Row-level security lets it see everything: what it may change is checked before, in
    ``Store.command`` and ``commit``.
    """
    with engine.connect() as connection:
        connection = connection.execution_options(writing=True)
        with connection.begin():
            if engine.dialect.name == "postgresql":
                _limit(connection, EVERYTHING, EVERYTHING)
            yield connection


@contextmanager
def reading(engine: Engine, scope: Scope, persons: Scope = NOTHING) -> Iterator[Connection]:
    """One read transaction: every statement in it sees the same state.

    On PostgreSQL no statement, whatever its conditions, returns places, boundaries or institutions
    outside ``scope``, or persons outside ``persons``.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            if engine.dialect.name == "postgresql":
                _limit(connection, scope, persons, READER)
            yield connection


def _limit(connection: Connection, scope: Scope, persons: Scope, role: str | None = None) -> None:
    """Tell the policies what this transaction may see; forgotten when it ends.

    Who is above row-level security steps down to ``role``, where there is one.
    """
    connection.execute(
        _LIMIT, {"scope": _setting(scope), "persons": _setting(persons), "role": role}
    )


_LIMIT = text(
    "SELECT set_config('dudao.scope', :scope, true), set_config('dudao.persons', :persons, true), "
    "CASE WHEN CAST(:role AS text) IS NOT NULL "
    "AND (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) "
    "AND EXISTS (SELECT 1 FROM pg_roles WHERE rolname = :role) "
    "AND to_regclass('account') IS NOT NULL "
    "THEN set_config('role', :role, true) END"
)


def _setting(scope: Scope) -> str:
    return "*" if scope.everything else "\n".join(scope.paths)


def revision(connection: Connection) -> str | None:
    """The schema revision of the database, None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine, kept: Path | None = None) -> None:
    """Bring the schema to ``HEAD`` in one transaction: after a failure it is as it was.

    Args:
        kept: directory where the tables of a database with data are kept first, as an archive
            that ``restore`` takes; None: nowhere.

    Raises:
        SystemProblem: SCHEMA_NEWER when a newer program has already migrated the database,
            DATABASE_UNREACHABLE when it does not answer, BACKUP_UNWRITABLE.
    """
    try:
        with reading(engine, EVERYTHING) as connection:
            current = revision(connection)
    except OperationalError as error:
        raise SystemProblem(
            "DATABASE_UNREACHABLE",
            f"数据库无法打开：{error.orig}。",
            "请检查 DATABASE_URL、数据库服务和数据目录的权限。",
        ) from error
    if current == HEAD:
        return
    if current is not None:
        require_known(current)
        _keep(engine, kept, current)
    with writing(engine) as connection:
        upgrade(connection, "head")


def _keep(engine: Engine, directory: Path | None, current: str) -> None:
    from dashboard.store import dump, images

    if directory is None:
        return
    with reading(engine, EVERYTHING, EVERYTHING) as connection:
        if not images.empty(connection):
            dump.keep(connection, directory, f"{current}-to-{HEAD}")


def require_known(schema: str) -> None:
    """Refuse a schema this program does not know.

    Raises:
        SystemProblem: SCHEMA_NEWER.
    """
    if schema == HEAD:
        return
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    try:
        known = ScriptDirectory.from_config(_alembic()).get_revision(schema)
    except CommandError:
        known = None
    if known is None:
        raise SystemProblem(
            "SCHEMA_NEWER",
            f"数据由更新版本的程序写入(结构版本 {schema}，本程序为 {HEAD})。",
            "请升级程序后再打开，数据未作任何改动。",
        )


def upgrade(connection: Connection, schema: str) -> None:
    """Bring the schema to a revision in this write transaction."""
    # Opening a database at HEAD is the common case and needs no Alembic.
    from alembic import command

    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, schema)


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config

"""The SQL database: SQLite in the data directory, or PostgreSQL; one behaviour on both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import OperationalError

from dashboard.store.migrations import HEAD
from geodata.errors import SystemProblem

SQLITE_FILE = "dudao.sqlite"
BUSY_TIMEOUT_S = 30
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
    return create_engine(url.set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def _bad_url(reason: str) -> SystemProblem:
    return SystemProblem(
        "DATABASE_URL_INVALID",
        f"DATABASE_URL 无法使用：{reason}。",
        "请写作 postgresql://用户:口令@主机:端口/库名，或去掉该变量改用内置数据库。",
    )


def _sqlite(url: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=20, max_overflow=40
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
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back on any exception."""
    with engine.connect() as connection:
        connection = connection.execution_options(writing=True)
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction: every statement in it sees the same state."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection


def revision(connection: Connection) -> str | None:
    """The schema revision of the database, None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine) -> None:
    """Bring the schema to ``HEAD`` in one transaction.

    Raises:
        SystemProblem: SCHEMA_NEWER when a newer program has already migrated the database,
            DATABASE_UNREACHABLE when it does not answer.
    """
    try:
        with reading(engine) as connection:
            current = revision(connection)
    except OperationalError as error:
        raise SystemProblem(
            "DATABASE_UNREACHABLE",
            f"数据库无法打开：{error.orig}。",
            "请检查 DATABASE_URL、数据库服务和数据目录的权限。",
        ) from error
    if current == HEAD:
        return
    # Opening a database at HEAD is the common case and needs no Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    if current is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(current)
        except CommandError as error:
            raise SystemProblem(
                "SCHEMA_NEWER",
                f"数据由更新版本的程序写入(结构版本 {current}，本程序为 {HEAD})。",
                "请升级程序后再打开，数据未作任何改动。",
            ) from error
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

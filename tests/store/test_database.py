"""Opening: migration, newer schemas, wrong databases, several processes at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from dashboard.access import EVERYTHING, SYSTEM
from dashboard.store import Store, database
from dashboard.store.commit import commit
from dashboard.store.migrations import HEAD
from dashboard.store.tables import metadata
from geodata.errors import SystemProblem
from tests.conftest import OpenStore
from tests.store import world
from tests.store.world import PAIRS

ROOT = Path(__file__).resolve().parents[2]


def test_migrations_build_what_the_tables_say(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, metadata) == []


def test_head_is_the_latest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "dashboard/store/migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_newer_schema_is_refused_untouched(store: Store, open_store: OpenStore) -> None:
    with database.writing(store.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SystemProblem) as caught:
        open_store()
    assert caught.value.code == "SCHEMA_NEWER"
    assert "9999" in caught.value.message
    with database.reading(store.engine, EVERYTHING) as connection:
        assert database.revision(connection) == "9999"


def test_another_database_is_refused_before_it_costs_the_facts(
    tmp_path: Path, postgres_url: str
) -> None:
    first = Store.open(tmp_path / "one")
    commit(first, SYSTEM, world.places_change(), PAIRS)
    commit(first, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
    with pytest.raises(SystemProblem) as caught:
        Store.open(tmp_path / "one", postgres_url)
    assert caught.value.code == "STORE_MISMATCH"
    assert first.facts.months() == ["2026-10"]
    second = Store.open(tmp_path / "two", postgres_url)
    with pytest.raises(SystemProblem) as caught:
        Store.open(tmp_path / "three", postgres_url)
        Store.open(tmp_path / "one", postgres_url)
    assert caught.value.code == "STORE_MISMATCH"
    first.close()
    second.close()


@pytest.mark.parametrize("url", ["mysql://a/b", "not a url", ""])
def test_a_wrong_url_is_explained(tmp_path: Path, url: str) -> None:
    with pytest.raises(SystemProblem) as caught:
        Store.open(tmp_path, url)
    assert caught.value.code == "DATABASE_URL_INVALID"


def test_an_absent_server_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SystemProblem) as caught:
        Store.open(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    assert caught.value.code == "DATABASE_UNREACHABLE"


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SystemProblem) as caught:
        Store.open(tmp_path / "data")
    assert caught.value.code == "DATA_DIR_UNUSABLE"


def test_processes_may_open_at_once(tmp_path: Path, database_url: str | None) -> None:
    script = (
        "import sys; from dashboard.access import SYSTEM; from dashboard.store import Store\n"
        "with Store.open(sys.argv[1], sys.argv[2] or None).unit(SYSTEM) as unit:\n"
        "    assert unit.is_empty()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "data"), database_url or ""]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]


def test_sqlite_is_set_up_for_readers_beside_a_writer(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.engine.connect() as connection:
        wanted = {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}
        for pragma, value in wanted.items():
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value
    with database.writing(store.engine), store.unit(SYSTEM) as unit:
        assert unit.is_empty()
    store.close()


def test_a_second_writer_waits_for_its_turn_at_the_start(tmp_path: Path) -> None:
    """BEGIN IMMEDIATE: whoever reads before writing cannot be overtaken in between."""
    store = Store.open(tmp_path)
    order: list[str] = []

    def write(name: str) -> None:
        with database.writing(store.engine) as connection:
            order.append(f"{name} begins")
            found = connection.execute(text("SELECT count(*) FROM meta")).scalar_one()
            time.sleep(0.2)
            connection.execute(text(f"INSERT INTO meta VALUES ('{name}', '{found}')"))
            order.append(f"{name} ends")

    writers = [threading.Thread(target=write, args=(name,)) for name in ("one", "two", "three")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(order) == 6
    assert all(
        begins.split()[0] == ends.split()[0]
        for begins, ends in zip(order[::2], order[1::2], strict=True)
    )
    store.close()

"""Attack 24: a migration that fails midway, and the backup of a store that is being loaded."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from dashboard.access import EVERYTHING, SYSTEM
from dashboard.store import Store, archive, backup, database, migrations
from dashboard.store.commit import commit, ensure_snapshots
from tests.conftest import OpenStore
from tests.store import world
from tests.store.fingerprint import contents, facts, tables
from tests.store.world import PAIRS

OLD = "0001"
BROKEN = """
import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    op.create_table("half_done", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("place", sa.Column("area", sa.Float))
    op.execute("UPDATE place SET name = '改坏了'")
    op.execute("DELETE FROM institution")
    {then}
"""


@pytest.fixture
def next_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The migrations of a program one revision further; the file of that revision."""
    copied = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).parent, copied)
    monkeypatch.setattr(database, "_MIGRATIONS", copied)
    monkeypatch.setattr(database, "HEAD", "9998")
    yield copied / "versions" / "9998_next.py"


def test_a_migration_that_fails_midway_leaves_everything_and_can_be_rerun(
    open_store: OpenStore, tmp_path: Path, next_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as today:
        today.setattr(database, "HEAD", migrations.HEAD)
        store = open_store()
        commit(store, SYSTEM, world.places_change(), PAIRS)
        commit(store, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
        before, rows = tables(store), facts(store)
        store.close()
    wrong = BROKEN.format(head=migrations.HEAD, then="raise RuntimeError('midway')")
    next_program.write_text(wrong)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="midway"):
            open_store()
    kept = list((tmp_path / "data" / "before-migration").iterdir())
    assert [path.name for path in kept] == [f"{migrations.HEAD}-to-9998.tar"]
    manifest = archive.unpack(kept[0], tmp_path / "unpacked")
    assert (manifest.tables["place"], manifest.whole) == (19, False)
    with monkeypatch.context() as today:
        today.setattr(database, "HEAD", migrations.HEAD)
        again = open_store()
        assert (tables(again), facts(again)) == (before, rows)
        assert commit(again, SYSTEM, world.places_change(), PAIRS).batch is None
        again.close()
    # The right one, rerun.
    next_program.write_text(BROKEN.format(head=migrations.HEAD, then="pass"))
    upgraded = open_store()
    with database.reading(upgraded.engine, EVERYTHING) as connection:
        assert database.revision(connection) == "9998"
        assert connection.execute(text("SELECT count(*) FROM half_done")).scalar() == 0
        names = connection.execute(text("SELECT DISTINCT name FROM place")).scalars().all()
    assert names == ["改坏了"]
    upgraded.close()
    # And back: what was kept puts the tables as they were before it, facts untouched.
    monkeypatch.undo()
    url = None if upgraded.engine.dialect.name == "sqlite" else upgraded.engine.url
    address = None if url is None else url.render_as_string(hide_password=False)
    done = backup.restore(kept[0], tmp_path / "data", address, SYSTEM, replace=True)
    assert done.checked.ok, done.checked.problems
    back = open_store()
    assert facts(back) == rows
    after = tables(back)
    assert {name for name in before if before[name] != after[name]} == {"audit"}


def test_a_database_of_the_first_program_comes_over_whole(
    open_store: OpenStore, tmp_path: Path, database_url: str | None
) -> None:
    current = open_store()
    commit(current, SYSTEM, world.places_change(), PAIRS)
    commit(current, SYSTEM, world.figures_change(world.figures("2026-09", "2026-10")), PAIRS)
    before, rows = contents(current), facts(current)
    wanted = {name: before[name] for name in ("place", "boundary", "institution", "2026-10")}
    with database.writing(current.engine) as connection:
        from alembic import command

        config = database._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, OLD)
        assert database.revision(connection) == OLD
    current.close()
    shutil.rmtree(tmp_path / "data" / "keys")
    upgraded = open_store()
    ensure_snapshots(upgraded, SYSTEM, PAIRS)
    after = contents(upgraded)
    assert {name: after[name] for name in wanted} == wanted
    assert facts(upgraded) == rows
    with upgraded.unit(SYSTEM) as unit:
        assert [found.id for found in unit.batches(5)] == [2, 1]
    (kept,) = (tmp_path / "data" / "before-migration").iterdir()
    assert kept.name == f"{OLD}-to-{migrations.HEAD}.tar"
    assert archive.unpack(kept, tmp_path / "unpacked").schema == OLD
    assert commit(upgraded, SYSTEM, world.figures_change(world.figures("2026-11")), PAIRS).batch


def test_an_empty_database_is_migrated_without_a_copy(store: Store) -> None:
    assert not (store.directory / "before-migration").exists()


def test_a_backup_taken_while_loads_run_restores_to_one_of_their_states(
    store: Store, tmp_path: Path
) -> None:
    commit(store, SYSTEM, world.places_change(), PAIRS)
    states: dict[int, tuple[dict[str, str], str]] = {}
    stop = threading.Event()
    problems: list[BaseException] = []

    def load() -> None:
        try:
            base = 100.0
            while not stop.is_set():
                base += 10
                change = world.figures_change(world.figures("2026-09", "2026-10", base=base))
                number = commit(store, SYSTEM, change, PAIRS).batch
                assert number is not None
                states[number] = contents(store), facts(store)
        except BaseException as error:
            problems.append(error)

    loader = threading.Thread(target=load)
    loader.start()
    made = []
    while len(states) < 1 and loader.is_alive():
        stop.wait(0.05)
    for number in range(3):
        out = tmp_path / f"{number}.tar"
        made.append(backup.backup(store, SYSTEM, out, with_keys=True))
    stop.set()
    loader.join()
    assert problems == []
    for number, each in enumerate(made):
        done = backup.restore(each.file, tmp_path / f"data{number}", None, SYSTEM)
        assert done.checked.ok, done.checked.problems
        restored = Store.open(tmp_path / f"data{number}")
        with restored.unit(SYSTEM) as unit:
            last = unit.batches(1)[0].id
        assert (contents(restored), facts(restored)) == states[last]
        counted = {name: count for name, count in each.manifest.tables.items() if count}
        assert counted["batch"] == last
        restored.close()

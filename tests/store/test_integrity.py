"""The check finds each thing that can be wrong, and nothing in a store that is right."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import delete, insert, select, text, update

from dashboard.access import EVERYTHING, SYSTEM, Actor, Grant, NotAllowed, Role
from dashboard.store import Store, database, erasures, images, integrity
from dashboard.store.commit import commit
from dashboard.store.facts import SCHEMA
from dashboard.store.model import Change
from dashboard.store.publish import KEPT_VERSIONS
from dashboard.store.store import RESTORE_PENDING
from dashboard.store.tables import (
    access_grant,
    account,
    batch,
    batch_before,
    boundary,
    erasure,
    institution,
    person,
    place,
    snapshot,
    target,
)
from tests.store import world
from tests.store.fingerprint import tables
from tests.store.world import PAIRS

PERSON = {
    "key": "k" * 64, "place_id": "V00", "name": "张三", "id_last4": "0011", "dataset": "persons",
    "batch": 1, "held_since": "2026-01-01T00:00:00.000+00:00", "version": 1,
}  # fmt: skip


def fill(store: Store) -> None:
    """Places, institutions, figures of two months."""
    for change in (
        world.places_change(),
        Change(dataset="institutions", frame=world.institutions()),
        world.figures_change(world.figures("2026-09", "2026-10")),
    ):
        commit(store, SYSTEM, change, PAIRS)


@pytest.fixture
def loaded(store: Store) -> Store:
    fill(store)
    return store


def codes(store: Store) -> set[str]:
    return {problem.code for problem in integrity.check(store, SYSTEM).problems}


def test_a_store_that_is_right_passes_and_is_not_changed(loaded: Store) -> None:
    before = tables(loaded, without=("audit",))
    found = integrity.check(loaded, SYSTEM)
    assert found.ok, found.problems
    assert found.checked["facts"] == 96
    assert (found.checked["place"], found.checked["snapshots"]) == (19, 2)
    assert tables(loaded, without=("audit",)) == before


def _sql(*statements: object) -> Callable[[Store], None]:
    def run(store: Store) -> None:
        with database.writing(store.engine) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    return run


def _snapshot_files(store: Store) -> list[Path]:
    return sorted((store.directory / "snapshots").glob("2026-10*"))


def _lose_snapshot(store: Store) -> None:
    _snapshot_files(store)[0].unlink()


def _cut_snapshot(store: Store) -> None:
    path = _snapshot_files(store)[0]
    path.write_bytes(path.read_bytes()[:-100])


def _change_snapshot(store: Store) -> None:
    path = _snapshot_files(store)[0]
    rows = pq.read_table(path)
    at = rows.schema.get_field_index("numerator")
    doubled = pa.array([None if x is None else 2 * x for x in rows["numerator"].to_pylist()])
    pq.write_table(rows.set_column(at, rows.schema.field(at), doubled), path)


def _lose_facts(store: Store) -> None:
    shutil.rmtree(store.directory / "observations")


def _cut_facts(store: Store) -> None:
    path = next((store.directory / "observations" / "month=2026-10").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-50])


def _stray_facts(store: Store) -> None:
    row = {"place_id": "V00", "month": "2026-10", "measure": "persons", "value": 1.0}
    row |= {"source": "reported", "batch": 77}
    store.facts.append(pa.Table.from_pylist([row], schema=SCHEMA))


def _erased(store: Store) -> erasures.Erasure:
    with database.writing(store.engine) as connection:
        connection.execute(insert(person).values(PERSON))
        (proof,) = erasures.erase(connection, store.keys, [str(PERSON["key"])], "退出", "system")
    return proof


def _erased_again_there(store: Store) -> None:
    _erased(store)
    _sql(insert(person).values(PERSON))(store)


def _erased_kept_for_undo(store: Store) -> None:
    _erased(store)
    rows = pa.Table.from_pylist([PERSON], schema=images.schema(person))
    keys = pa.table({"key": [PERSON["key"]]})
    image = {"removed": images.pack(rows), "added": images.pack(keys)}
    _sql(insert(batch_before).values(batch=9, table_name="person", **image))(store)


def _erasure_forged(store: Store) -> None:
    fields = {"key": "x", "dataset": "persons", "rows": 1, "reason": "", "at": "2026", "by": "?"}
    _sql(insert(erasure).values(proof="0" * 64, **fields))(store)


def _audit_forged(store: Store) -> None:
    trigger = {
        "sqlite": "DROP TRIGGER audit_no_update",
        "postgresql": "ALTER TABLE audit DISABLE TRIGGER audit_append_only",
    }[store.engine.dialect.name]
    _sql(text(trigger), text("UPDATE audit SET subject = 'x' WHERE seq = 1"))(store)


def _leave_files(store: Store) -> None:
    (store.scratch / "engine-x").mkdir()
    (store.directory / "snapshots" / "x.parquet").touch()
    (store.directory / RESTORE_PENDING).touch()


ACCOUNT = insert(account).values(
    id="a", login="a", title="a", demonstration=False, state="active", created="", version=1
)
GRANT = insert(access_grant).values(
    account_id="a", role="clerk", place_id="X", valid_from=date(2026, 1, 1), granted_by="",
    created="",
)  # fmt: skip

DAMAGE: dict[str, Callable[[Store], None]] = {
    "PLACE_PARENT": _sql(update(place).where(place.c.id == "A1").values(parent_id="X")),
    "INSTITUTION_PLACE": _sql(
        update(institution).where(institution.c.id == "I1").values(place_id="X")
    ),
    "BOUNDARY_PLACE": _sql(
        update(boundary).where(boundary.c.place_id == "V00").values(place_id="X")
    ),
    "GRANT_PLACE": _sql(ACCOUNT, GRANT),
    "PERSON_PLACE": _sql(insert(person).values(PERSON | {"place_id": "X"})),
    "TARGET_PLACE": _sql(
        insert(target).values(layer="signed", place_id="X", year=2026, value=1.0, batch=1)
    ),
    "FACTS_UNREADABLE": _cut_facts,
    "FACTS_MISSING": _lose_facts,
    "FACTS_BATCH_UNKNOWN": _stray_facts,
    "SNAPSHOT_MISSING": _lose_snapshot,
    "SNAPSHOT_DAMAGED": _cut_snapshot,
    "SNAPSHOT_DIFFERS": _change_snapshot,
    "AUDIT_BROKEN": _audit_forged,
    "ERASED_PRESENT": _erased_again_there,
    "ERASED_KEPT": _erased_kept_for_undo,
    "ERASURE_FORGED": _erasure_forged,
    "LEFTOVER_FILES": _leave_files,
    "BATCH_UNFINISHED": _sql(update(batch).where(batch.c.id == 2).values(state="open")),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory to copy, with what ``loaded`` holds."""
    directory = tmp_path_factory.mktemp("sound") / "data"
    store = Store.open(directory)
    fill(store)
    store.close()
    return directory


@pytest.mark.parametrize("code", DAMAGE)
def test_damage_is_named(sound: Path, tmp_path: Path, code: str) -> None:
    shutil.copytree(sound, tmp_path / "data")
    store = Store.open(tmp_path / "data")
    DAMAGE[code](store)
    assert code in codes(store)
    store.close()


def test_damage_of_many_kinds_is_all_named(loaded: Store) -> None:
    # Not those that hide another, or bring the same person twice.
    left_out = {
        "FACTS_UNREADABLE", "FACTS_MISSING", "SNAPSHOT_MISSING", "SNAPSHOT_DAMAGED",
        "ERASED_PRESENT", "ERASED_KEPT",
    }  # fmt: skip
    wanted = set(DAMAGE) - left_out
    for code in sorted(wanted):
        DAMAGE[code](loaded)
    assert codes(loaded) >= wanted


def test_a_damaged_database_file_is_named(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    commit(store, SYSTEM, world.places_change(), PAIRS)
    with database.writing(store.engine) as connection:
        page = connection.execute(
            text("SELECT rootpage FROM sqlite_master WHERE name = 'ix_place_path'")
        ).scalar_one()
        size = connection.execute(text("PRAGMA page_size")).scalar_one()
    store.close()
    with (tmp_path / database.SQLITE_FILE).open("r+b") as file:
        file.seek(page * size - 64)
        file.write(b"\xff" * 64)
    again = Store.open(tmp_path)
    assert "DATABASE_DAMAGED" in codes(again)
    again.close()


def test_foreign_keys_are_checked(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with closing(sqlite3.connect(tmp_path / database.SQLITE_FILE)) as raw, raw:
        raw.execute(
            "INSERT INTO access_grant (account_id, role, valid_from, granted_by, created) "
            "VALUES ('nobody', 'clerk', '2026-01-01', '', '')"
        )
    assert {"FOREIGN_KEYS", "GRANT_ACCOUNT"} <= codes(store)
    store.close()


def test_only_an_administrator_of_everything_checks(loaded: Store) -> None:
    head = Actor("x", "x", grants=(Grant(Role.ADMINISTRATOR, "A", ("C/A/",)),))
    with pytest.raises(NotAllowed):
        integrity.check(loaded, head)


def test_snapshots_a_load_has_just_replaced_are_not_missed(loaded: Store) -> None:
    def load_meanwhile(line: str) -> None:
        if line.endswith("汇总文件"):
            for base in range(200, 200 + 100 * (KEPT_VERSIONS + 1), 100):
                change = world.figures_change(world.figures("2026-09", "2026-10", base=base))
                commit(loaded, SYSTEM, change, PAIRS)

    found = integrity.check(loaded, SYSTEM, load_meanwhile)
    assert not {problem.code for problem in found.problems} & {"SNAPSHOT_MISSING"}
    with database.reading(loaded.engine, EVERYTHING) as connection:
        assert len(connection.execute(select(snapshot)).all()) == 2 * KEPT_VERSIONS
    _sql(delete(snapshot))(loaded)
    assert "LEFTOVER_FILES" in codes(loaded)

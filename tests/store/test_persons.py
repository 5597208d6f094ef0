"""Persons in the store: loaded whole, seen by who may, undone, erased down to the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from sqlalchemy import make_url, text

from dashboard.access import EVERYTHING, SYSTEM, Role
from dashboard.store import Store, database, erasures, images, persons, tables
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.store.undo import undo
from geodata.errors import DudaoError, SystemProblem
from tests.conftest import OpenStore
from tests.security.actors import ADMINISTRATOR, CLERK_A, HEAD_A1, HEAD_B1, holding
from tests.store import world
from tests.store.world import PAIRS

CLERK_B1 = holding((Role.CLERK, "B1"))
BOTH = holding((Role.CLERK, "A1"), (Role.TOWNSHIP_HEAD, "B1"))
ONE_DATABASE = pytest.mark.parametrize("database_url", [None])
"""For what no SQL decides."""


def register(*rows: tuple[str, str, str, str | None], file: str = "r.csv") -> Change:
    """A change from (key, place, name, phone)."""
    frame = pd.DataFrame(rows, columns=["key", "place_id", "name", "phone"], dtype=object)
    frame = frame.assign(id_last4="123X", sex="男", birth_year=1990)
    return Change(dataset="persons", frame=frame, file=file, sha256=file)


ANNA = ("a" * 64, "V00", "名甲乙丙丁戊", "13900001111")
BELA = ("b" * 64, "V03", "名己庚辛壬癸", "13900002222")
CORA = ("c" * 64, "V06", "名子丑寅卯辰", None)


@pytest.fixture
def county(store: Store) -> Store:
    commit(store, SYSTEM, world.places_change(drawn=False), PAIRS)
    commit(store, SYSTEM, register(ANNA, BELA, CORA), PAIRS)
    return store


def held(store: Store) -> dict[str, tuple[str, str | None, int]]:
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        rows = connection.execute(text("SELECT key, name, phone, version FROM person")).all()
    return {row.key[0]: (row.name, row.phone, row.version) for row in rows}


def erase(store: Store, key: str) -> None:
    with store.load_lock(timeout=5) as free:
        assert free
        with database.writing(store.engine) as connection:
            assert erasures.erase(connection, store.keys, [key], "本人申请删除", "operator:t")
        erasures.finish(store)


def test_a_load_is_idempotent_and_a_change_counts_up(county: Store) -> None:
    again = commit(county, SYSTEM, register(ANNA, BELA, CORA), PAIRS)
    assert (again.batch, again.unchanged) == (None, 3)
    moved = (ANNA[0], "V01", ANNA[2], None)
    result = commit(county, SYSTEM, register(moved, BELA, file="2.csv"), PAIRS)
    assert (result.changed, result.unchanged) == (1, 1)
    # An empty phone says nothing.
    assert held(county)["a"] == (ANNA[2], ANNA[3], 2)
    assert held(county)["b"][2] == 1


def test_a_load_is_taken_back_and_nobody_erased_comes_back(county: Store) -> None:
    changed = [(key, place, f"{name}改", phone) for key, place, name, phone in (ANNA, BELA)]
    new = ("d" * 64, "V00", "名新", None)
    result = commit(county, SYSTEM, register(*changed, new, file="2.csv"), PAIRS)
    assert held(county)["a"][0] == ANNA[2] + "改" and "d" in held(county)
    with database.reading(county.engine, EVERYTHING, EVERYTHING) as connection:
        keys = pa.table({"key": [ANNA[0], BELA[0]]})
        rows = images.read_keyed(connection, tables.person, keys)
    erase(county, BELA[0])
    # Her row is gone from the copies; one that survived somewhere would be held back.
    with database.reading(county.engine, EVERYTHING, EVERYTHING) as connection:
        back = persons.not_erased(connection, tables.person, rows)
    assert back["key"].to_pylist() == [ANNA[0]]
    assert result.batch is not None
    undo(county, SYSTEM, result.batch, PAIRS)
    assert held(county).keys() == {"a", "c"} and held(county)["a"][0] == ANNA[2]


@ONE_DATABASE
def test_a_register_submitted_again_later_prolongs(
    county: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = persons.keep_until_of(pd.Timestamp("2030-01-01").date())
    monkeypatch.setattr(persons, "keep_until_of", lambda _loaded: later)
    assert commit(county, SYSTEM, register(ANNA), PAIRS).batch is None  # the same old file
    assert commit(county, SYSTEM, register(ANNA, file="2.csv"), PAIRS).changed == 1
    with database.reading(county.engine, EVERYTHING, EVERYTHING) as connection:
        assert erasures.overdue(connection, later) == [BELA[0], CORA[0]]  # type: ignore[arg-type]


@ONE_DATABASE
def test_a_load_stays_within_the_scope(county: Store) -> None:
    before = held(county)
    for actor, row in (
        (CLERK_B1, ("d" * 64, "V00", "名", None)),  # a village of others
        (CLERK_B1, (ANNA[0], "V06", "名", None)),  # a person of others
        (BOTH, ("d" * 64, "V06", "名", None)),  # seen there, but no clerk there
        (BOTH, (CORA[0], "V00", "名", None)),
        (ADMINISTRATOR, ("d" * 64, "V00", "名", None)),  # whose work needs no persons
        (HEAD_A1, ("d" * 64, "V00", "名", None)),  # who loads nothing
    ):
        with pytest.raises(DudaoError) as raised:
            commit(county, actor, register(row, file="2.csv"), PAIRS)
        assert raised.value.code in ("PERSONS_INVALID", "NOT_ALLOWED")
    assert held(county) == before


@ONE_DATABASE
def test_rows_without_a_key_of_their_own_are_refused(county: Store) -> None:
    for rows in ([("", "V00", "名", None)], [ANNA, ANNA]):
        with pytest.raises(DudaoError, match="PERSONS_INVALID"):
            commit(county, SYSTEM, register(*rows, file="2.csv"), PAIRS)


def test_an_error_of_the_database_quotes_no_row(county: Store) -> None:
    bad = persons.Changes([{"key": "e" * 64, "place_id": None, "name": "名秘密", "phone": "139"}])
    with pytest.raises(SystemProblem) as raised, database.writing(county.engine) as connection:
        persons.write(connection, bad, 9)
    assert raised.value.code == "PERSONS_NOT_WRITTEN"
    assert "秘密" not in str(raised.value) and raised.value.__cause__ is None
    assert raised.value.__suppress_context__


# Who sees persons


@pytest.mark.postgres
@pytest.mark.parametrize("superuser", [True, False])
def test_raw_sql_in_a_scoped_unit_sees_no_other_person(
    postgres_url: str, tmp_path: Path, superuser: bool
) -> None:
    url = postgres_url if superuser else _of_plain_owner(postgres_url)
    store = Store.open(tmp_path / "data", url)
    commit(store, SYSTEM, world.places_change(drawn=False), PAIRS)
    commit(store, SYSTEM, register(ANNA, BELA, CORA), PAIRS)
    commit(store, SYSTEM, register((*ANNA[:2], "名改", None), CORA, file="2.csv"), PAIRS)
    expected = [
        (HEAD_A1, {"a"}), (HEAD_B1, {"c"}), (CLERK_A, {"a", "b"}), (ADMINISTRATOR, set()),
        (SYSTEM, {"a", "b", "c"}),
    ]  # fmt: skip
    for actor, keys in expected:
        with store.unit(actor) as unit:
            rows = unit._connection.execute(
                text("SELECT key, name FROM person WHERE 1 = 1 OR 1 = 1")
            ).all()
            assert {row.key[0] for row in rows} == keys, actor.name
            # What loads replaced holds names too.
            kept = unit._connection.execute(
                text("SELECT count(*) FROM batch_before WHERE table_name = 'person'")
            ).scalar()
            assert kept == (2 if actor is SYSTEM else 0)
    with database.reading(store.engine, EVERYTHING) as connection:
        last = connection.execute(text("SELECT max(id) FROM batch")).scalar_one()
    undo(store, SYSTEM, last, PAIRS)
    assert held(store)["a"][0] == ANNA[2]
    erase(store, ANNA[0])
    assert held(store).keys() == {"b", "c"}
    store.close()


def _of_plain_owner(url: str) -> str:
    """The same database as a user who is no superuser and owns it."""
    parts = make_url(url)
    owner = f"owner_{parts.database}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {owner} LOGIN")
        connection.execute(f"ALTER DATABASE {parts.database} OWNER TO {owner}")
        connection.execute(f"GRANT ALL ON SCHEMA public TO {owner}")
    return parts.set(username=owner).render_as_string(hide_password=False)


# Erased down to the bytes


def _bytes_of(store: Store) -> Iterator[bytes]:
    """The files of the database that hold tables."""
    if store.engine.dialect.name == "sqlite":
        for path in store.directory.glob(f"{database.SQLITE_FILE}*"):
            yield path.read_bytes()
        return
    with store.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("CHECKPOINT"))
        folder = connection.execute(
            text(
                "SELECT current_setting('data_directory') || '/base/' || oid "
                "FROM pg_database WHERE datname = current_database()"
            )
        ).scalar_one()
    for path in Path(folder).iterdir():
        # The server's memory of its own catalogue, not of rows, goes and comes as it likes.
        if not path.name.startswith("pg_internal.init"):
            yield path.read_bytes()


def _found(store: Store, *texts: str) -> set[str]:
    return {one for body in _bytes_of(store) for one in texts if one.encode() in body}


def test_nothing_of_an_erased_person_is_left_in_the_files(county: Store) -> None:
    older, newer = "旧名寻我不见", "新名寻我不见"
    for number in range(40):  # many rows around it, moved between pages
        rows = [(f"{number:032x}{i:032x}", "V00", f"邻{i}" * (i % 9 + 1), None) for i in range(20)]
        commit(county, SYSTEM, register(*rows, file=f"n{number}.csv"), PAIRS)
        if number in (10, 20):
            name = older if number == 10 else newer
            mine = ("e" * 64, "V00", name, "13999998888")
            commit(county, SYSTEM, register(mine, file=f"m{number}.csv"), PAIRS)
    assert _found(county, newer, "13999998888") == {newer, "13999998888"}
    erase(county, "e" * 64)
    assert _found(county, older, newer, "13999998888") == set()
    with database.reading(county.engine, EVERYTHING, EVERYTHING) as connection:
        assert connection.execute(text("SELECT count(*) FROM person")).scalar() == 3 + 800
    with database.reading(county.engine, EVERYTHING) as connection:
        (proof,) = erasures.history(connection, "e" * 64)
    assert proof.rows == 2 and erasures.is_genuine(county.keys, proof)


@contextmanager
def _reading(store: Store) -> Iterator[None]:
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        connection.execute(text("SELECT count(*) FROM person")).scalar()
        yield


def test_a_reader_delays_the_cleaning_and_the_next_start_ends_it(
    county: Store, open_store: OpenStore
) -> None:
    with _reading(county):
        with database.writing(county.engine) as connection:
            erasures.erase(connection, county.keys, [ANNA[0]], "本人申请删除", "operator:t")
        with county.load_lock(timeout=5), pytest.raises(SystemProblem, match="ERASURE_UNFINISHED"):
            erasures.finish(county, patience_s=0.5)
        assert held(county).keys() == {"b", "c"}
    again = open_store()
    assert _found(again, ANNA[2], str(ANNA[3])) == set()
    assert [proof.key for proof in erasures.journal(again)] == [ANNA[0]]


def test_proofs_cannot_be_changed_nor_forged(county: Store) -> None:
    erase(county, ANNA[0])
    for verb in ("UPDATE erasure SET reason = 'x'", "DELETE FROM erasure"):
        with (
            pytest.raises(Exception, match="append-only"),
            database.writing(county.engine) as connection,
        ):
            connection.execute(text(verb))
    journal = county.keys.directory / erasures.JOURNAL_FILE
    journal.write_text(journal.read_text("utf-8").replace("a" * 64, "b" * 64) + '{"cut', "utf-8")
    assert erasures.journal(county) == []
    with county.load_lock(timeout=5):
        erasures.note(county)
    assert [proof.key for proof in erasures.journal(county)] == [ANNA[0]]


def test_an_older_database_is_erased_again(county: Store, tmp_path: Path) -> None:
    if county.engine.dialect.name == "sqlite":
        with county.engine.connect() as connection:
            connection.connection.cursor().execute(f"VACUUM INTO '{tmp_path / 'old.sqlite'}'")
    erase(county, ANNA[0])
    erase(county, BELA[0])
    with database.writing(county.engine) as connection:
        erasures.admit(connection, county.keys, BELA[0], "重新签约服务", "operator:t")
    erasures.note(county)
    commit(county, SYSTEM, register(BELA, file="3.csv"), PAIRS)
    if county.engine.dialect.name == "sqlite":
        county.close()
        for path in county.directory.glob(f"{database.SQLITE_FILE}*"):
            path.unlink()
        (tmp_path / "old.sqlite").rename(county.directory / database.SQLITE_FILE)
    else:
        _put_back_rows(county)
    assert held(county).keys() == {"a", "b", "c"}
    with database.writing(county.engine) as connection:
        missing = erasures.reapply(connection, county)
    assert [(proof.key[0], proof.ends) for proof in missing] == [
        ("a", False), ("b", False), ("b", True),
    ]  # fmt: skip
    # B was admitted again: the old row may stay until a load brings the newer one.
    assert held(county).keys() == {"b", "c"}
    with database.reading(county.engine, EVERYTHING, EVERYTHING) as connection:
        assert persons.erased(connection, [ANNA[0], BELA[0]]) == {ANNA[0]}


def _put_back_rows(store: Store) -> None:
    """What restoring an older backup does to these tables."""
    with database.writing(store.engine) as connection:
        connection.execute(text("ALTER TABLE erasure DISABLE TRIGGER erasure_append_only"))
        connection.execute(text("DELETE FROM erasure"))
        connection.execute(text("ALTER TABLE erasure ENABLE TRIGGER erasure_append_only"))
        connection.execute(text("DELETE FROM person"))
        old = persons.Changes(
            [
                {
                    "key": key, "place_id": place_id, "name": name, "phone": phone, "sex": "男",
                    "id_last4": "123X", "birth_year": 1990, "dataset": "persons",
                    "keep_until": None, "version": 1, "held_since": "2026-01-01T00:00:00.000+00:00",
                }
                for key, place_id, name, phone in (ANNA, BELA, CORA)
            ]
        )  # fmt: skip
        persons.write(connection, old, 2)

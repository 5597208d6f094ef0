"""Attack 25: somebody who owns the database edits, deletes, reorders or cuts off audit rows.

The triggers are dropped first, as such a person would do. Each time the first broken link must be
named, on both databases.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from dashboard.access import SYSTEM
from dashboard.accounts import audit as audit_service
from dashboard.store import Store, audit, database
from dashboard.store.audit import Break, Broken, verify
from geodata.errors import SystemProblem
from tests.conftest import OpenStore

ROOT = Path(__file__).resolve().parents[2]
ROWS = 40

Tamper = Callable[[Store], None]


@pytest.fixture
def owned(store: Store) -> Store:
    """A store with 40 audit rows whose triggers the attacker has dropped."""
    for number in range(1, ROWS + 1):
        store.record(SYSTEM, "figures.export", subject=f"{number}", details={"rows": number})
    assert verify(store.engine, store.keys).intact
    if store.engine.dialect.name == "postgresql":
        run(store, "DROP TRIGGER audit_append_only ON audit")
    else:
        run(store, "DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete")
    return store


def run(store: Store, *statements: str) -> None:
    with database.writing(store.engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def sql(*statements: str) -> Tamper:
    return lambda store: run(store, *statements)


def broken(store: Store) -> Broken | None:
    return verify(store.engine, store.keys).broken


def each(store: Store, tampers: Iterable[tuple[str, Tamper]]) -> Iterator[str]:
    """Does one thing after the other to the same rows, all put back in between."""
    run(store, "CREATE TABLE kept AS SELECT * FROM audit")
    for what, tamper in tampers:
        tamper(store)
        yield what
        run(store, "DELETE FROM audit", "INSERT INTO audit SELECT * FROM kept")
        assert broken(store) is None, f"not put back after: {what}"


COPY = (
    "seq + {by}, at, actor, actor_name, via, action, place_id, path, subject, outcome, details, "
    "previous"
)

EDITS = {
    "at": "'2020-01-01T00:00:00.000+00:00'",
    "actor": "'somebody'",
    "actor_name": "'别人'",
    "via": "'cli'",
    "action": "'places.view'",
    "place_id": "'131025'",
    "path": "'/'",
    "subject": "'0'",
    "outcome": "'denied'",
    "details": "'{}'",
    "previous": f"'{'1' * 64}'",
    "mac": f"'{'2' * 64}'",
}


def test_an_edited_row_is_named_whichever_column(owned: Store) -> None:
    edits = (
        (column, sql(f"UPDATE audit SET {column} = {value} WHERE seq = 17"))
        for column, value in EDITS.items()
    )
    for column in each(owned, edits):
        assert broken(owned) == Broken(17, Break.EDITED), column


TAMPERS: dict[str, tuple[Tamper, Broken]] = {
    "first row edited": (
        sql("UPDATE audit SET subject = 'x' WHERE seq = 1"),
        Broken(1, Break.EDITED),
    ),
    "last row edited": (
        sql("UPDATE audit SET subject = 'x' WHERE seq = 40"),
        Broken(40, Break.EDITED),
    ),
    "several edited": (
        sql("UPDATE audit SET subject = 'x' WHERE seq IN (33, 12, 20)"),
        Broken(12, Break.EDITED),
    ),
    "one deleted": (
        sql("DELETE FROM audit WHERE seq = 9"),
        Broken(9, Break.DELETED, count=1),
    ),
    "first deleted": (
        sql("DELETE FROM audit WHERE seq = 1"),
        Broken(1, Break.DELETED, count=1),
    ),
    "a run deleted": (
        sql("DELETE FROM audit WHERE seq BETWEEN 9 AND 14"),
        Broken(9, Break.DELETED, count=6),
    ),
    "deleted and renumbered": (
        sql(
            "DELETE FROM audit WHERE seq = 9",
            "UPDATE audit SET seq = -seq WHERE seq > 9",
            "UPDATE audit SET seq = -seq - 1 WHERE seq < 0",
        ),
        Broken(9, Break.REORDERED, 10),
    ),
    "two swapped": (
        sql(
            "UPDATE audit SET seq = -5 WHERE seq = 5",
            "UPDATE audit SET seq = 5 WHERE seq = 6",
            "UPDATE audit SET seq = 6 WHERE seq = -5",
        ),
        Broken(5, Break.REORDERED, 6),
    ),
    "far ones swapped": (
        sql(
            "UPDATE audit SET seq = -7 WHERE seq = 7",
            "UPDATE audit SET seq = 7 WHERE seq = 31",
            "UPDATE audit SET seq = 31 WHERE seq = -7",
        ),
        Broken(7, Break.REORDERED, 31),
    ),
    "a row put before the first": (
        sql(
            f"INSERT INTO audit SELECT {COPY.format(by=-1)}, '{'3' * 64}' FROM audit WHERE seq = 1"
        ),
        Broken(0, Break.ADDED),
    ),
    "a row put behind the last": (
        sql(
            f"INSERT INTO audit SELECT {COPY.format(by=1)}, '{'3' * 64}' FROM audit WHERE seq = 40"
        ),
        Broken(41, Break.EDITED),
    ),
    "tail cut off": (
        sql("DELETE FROM audit WHERE seq > 33"),
        Broken(34, Break.TRUNCATED, 40),
    ),
    "only the last cut off": (
        sql("DELETE FROM audit WHERE seq = 40"),
        Broken(40, Break.TRUNCATED, 40),
    ),
    "emptied": (sql("DELETE FROM audit"), Broken(1, Break.EMPTIED, 40)),
}


def test_the_first_broken_link_is_named(owned: Store) -> None:
    for what in each(owned, ((what, tamper) for what, (tamper, _) in TAMPERS.items())):
        expected = TAMPERS[what][1]
        found = verify(owned.engine, owned.keys)
        assert found.broken == expected, what
        assert found.rows == max(expected.seq - 1, 0), what


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        ("DELETE FROM audit WHERE seq > 33", Broken(34, Break.TRUNCATED, 40)),
        ("DELETE FROM audit", Broken(1, Break.TRUNCATED, 40)),
    ],
)
def test_a_cut_is_still_named_when_the_program_has_gone_on_since(
    owned: Store, cut: str, expected: Broken
) -> None:
    run(owned, cut)
    for _ in range(ROWS):
        owned.record(SYSTEM, "figures.export")
    assert broken(owned) == expected


def test_a_tail_exchanged_for_an_older_state_is_named(owned: Store) -> None:
    """Rows of the program's own making, from a copy of the database taken back in time."""
    run(
        owned,
        "CREATE TABLE kept AS SELECT * FROM audit WHERE seq > 37",
        "DELETE FROM audit WHERE seq > 37",
    )
    noted = owned.keys.directory / audit.ANCHOR_FILE
    before = noted.read_bytes()
    for _ in range(6):
        owned.record(SYSTEM, "figures.export", subject="instead")
    run(owned, "DELETE FROM audit WHERE seq > 40")
    noted.write_bytes(before)
    assert broken(owned) == Broken(40, Break.REPLACED)
    run(
        owned, "DELETE FROM audit WHERE seq = 38", "INSERT INTO audit SELECT * FROM kept "
        "WHERE seq = 38",
    )  # fmt: skip
    assert broken(owned) == Broken(39, Break.REPLACED)


def test_the_anchor_gone_is_named_and_not_silently_made_anew(owned: Store) -> None:
    (owned.keys.directory / audit.ANCHOR_FILE).unlink()
    assert broken(owned) == Broken(40, Break.ANCHOR_MISSING)
    owned.record(SYSTEM, "figures.export")
    assert broken(owned) == Broken(41, Break.ANCHOR_MISSING)


def test_an_anchor_overwritten_is_named_and_left_as_it_is(owned: Store) -> None:
    noted = owned.keys.directory / audit.ANCHOR_FILE
    for number, content in enumerate((b"", b"[]", b"\xff\xfe", b"{}", b'{"seq": "1"}', b"null"), 1):
        noted.write_bytes(content)
        owned.record(SYSTEM, "figures.export")
        assert broken(owned) == Broken(ROWS + number, Break.ANCHOR_ALTERED), content
        assert noted.read_bytes() == content


def test_an_anchor_set_back_to_fit_a_cut_chain_is_named(owned: Store) -> None:
    """The attacker may write the file, but has not the key to seal it."""
    run(owned, "DELETE FROM audit WHERE seq > 33")
    noted = owned.keys.directory / audit.ANCHOR_FILE
    found = json.loads(noted.read_bytes())
    with database.reading(owned.engine, audit.EVERYTHING) as connection:
        mac = connection.scalar(text("SELECT mac FROM audit WHERE seq = 33"))
    noted.write_text(json.dumps(found | {"seq": 33, "mac": mac}))
    assert broken(owned) == Broken(33, Break.ANCHOR_ALTERED)


def test_a_row_that_is_no_text_at_all_is_named(owned: Store) -> None:
    """SQLite takes bytes and broken UTF-8 anywhere."""
    if owned.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL stores nothing but valid text in a text column")
    run(owned, "UPDATE audit SET details = x'00ff' WHERE seq = 30")
    assert broken(owned) == Broken(30, Break.EDITED)
    run(owned, "UPDATE audit SET subject = CAST(x'c3ff41' AS TEXT) WHERE seq = 21")
    assert broken(owned) == Broken(21, Break.EDITED)


def test_a_row_of_a_number_twice_is_named(owned: Store) -> None:
    if owned.engine.dialect.name == "postgresql":
        run(owned, "ALTER TABLE audit DROP CONSTRAINT audit_pkey")
    else:
        run(
            owned,
            "CREATE TABLE copy AS SELECT * FROM audit",
            "DROP TABLE audit",
            "ALTER TABLE copy RENAME TO audit",
        )
    run(
        owned,
        f"INSERT INTO audit SELECT {COPY.format(by=0)}, '{'4' * 64}' FROM audit WHERE seq = 8",
    )
    found = broken(owned)
    assert found is not None and found.seq == 8 and found.kind in (Break.ADDED, Break.EDITED)


def test_the_command_names_the_link_and_ends_with_2(owned: Store, database_url: str | None) -> None:
    run(owned, "UPDATE audit SET actor_name = '别人' WHERE seq = 23")
    command = [sys.executable, "-m", "dashboard", "--data", str(owned.directory), "audit", "verify"]
    environment = {"PATH": "/usr/bin:/bin"}
    if database_url:
        environment["DATABASE_URL"] = database_url
    told = subprocess.run(
        [*command, "--json"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert told.returncode == 2
    found = json.loads(told.stdout)
    assert found["ok"] is False and found["rows"] == 22
    assert found["first_broken"]["seq"] == 23 and found["first_broken"]["kind"] == "edited"
    assert "第 23 条" in found["first_broken"]["message"]


def test_without_the_key_nothing_is_called_intact(owned: Store, open_store: OpenStore) -> None:
    owned.keys.path("audit").unlink()
    with pytest.raises(SystemProblem, match="KEY_MISSING"):
        audit_service.verify(open_store(), SYSTEM)

"""Backup and restore: equal on either database, nothing damaged or foreign is ever put in place."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, select, update

from dashboard.access import EVERYTHING, SYSTEM, Actor, Grant, NotAllowed, Role
from dashboard.store import Store, archive, audit, backup, database
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.store.store import RESTORE_PENDING
from dashboard.store.tables import access_grant, account, place, session
from dashboard.store.tables import audit as audit_table
from geodata.errors import DudaoError, SystemProblem
from tests.store import world
from tests.store.fingerprint import contents, facts, tables
from tests.store.world import PAIRS

_numbers = count(1)
NewDatabase = Callable[[str], str | None]


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """A fresh database of a kind: None for SQLite, else a URL."""

    def make(kind: str) -> str | None:
        if kind == "sqlite":
            return None
        server: str = request.getfixturevalue("postgres_server")
        name = f"backup_{next(_numbers)}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return server.replace("/postgres?", f"/{name}?")

    return make


def fill(store: Store) -> None:
    """Places, institutions, figures of two months with a correction, an account signed in."""
    figures = world.figures("2026-09", "2026-10")
    for change in (
        world.places_change(),
        Change(dataset="institutions", frame=world.institutions()),
        world.figures_change(figures),
        world.figures_change(figures.assign(value=figures["value"] + 1)),
        world.targets(("signed", "A", 2026, 90.0), ("signed", "A1", 2027, 95.5)),
    ):
        commit(store, SYSTEM, change, PAIRS)
    with database.writing(store.engine) as connection:
        connection.execute(
            insert(account).values(
                id="a", login="zhang", title="张某", demonstration=False, state="active",
                created="2026-11-01T00:00:00+00:00", version=1,
            )
        )  # fmt: skip
        connection.execute(
            insert(access_grant).values(
                account_id="a", role="clerk", place_id="A1", valid_from=date(2026, 1, 1),
                granted_by="system", created="2026-11-01T00:00:00+00:00",
            )
        )  # fmt: skip
        connection.execute(
            insert(session).values(
                id="s", token_hash="t", account_id="a", created=1.0, last_seen=1.0,
                expires=9e9, address="127.0.0.1", agent="test",
            )
        )  # fmt: skip


KINDS = [
    "sqlite sqlite",
    *(
        pytest.param(kinds, marks=pytest.mark.postgres)
        for kinds in ("postgres postgres", "sqlite postgres", "postgres sqlite")
    ),
]


@pytest.mark.parametrize("kinds", KINDS)
def test_what_is_restored_equals_what_was_backed_up(
    tmp_path: Path, new_database: NewDatabase, kinds: str
) -> None:
    source, target = kinds.split()
    store = Store.open(tmp_path / "one", new_database(source))
    fill(store)
    before, rows, held = contents(store), facts(store), tables(store, without=("session",))
    made = backup.backup(store, SYSTEM, tmp_path / "b.tar", with_keys=True)
    assert made.sha256 == sha256(made.file.read_bytes()).hexdigest()
    assert made.file.stat().st_mode & 0o077 == 0
    url = new_database(target)
    done = backup.restore(made.file, tmp_path / "two", url, SYSTEM)
    assert done.checked.ok, done.checked.problems
    assert (done.replaced, done.erased) == (None, 0)
    again = Store.open(tmp_path / "two", url)
    assert facts(again) == rows
    differing = {name for name, value in contents(again).items() if before[name] != value}
    assert differing == {"session"}
    after = tables(again, without=("session",))
    # The audit goes on: the restore and the check after it.
    assert {name for name in held if held[name] != after[name]} == {"audit"}
    with database.reading(again.engine, EVERYTHING) as connection:
        assert connection.execute(select(session.c.ended_reason)).scalar() == "restore"
        told = connection.execute(
            select(audit_table.c.action).order_by(audit_table.c.seq)
        ).scalars()
        assert list(told)[-2:] == ["backup.restore", "store.check"]
    assert audit.verify(again.engine, again.keys).intact
    # New rows are numbered above the restored.
    assert commit(again, SYSTEM, world.figures_change(world.figures("2026-11")), PAIRS).batch == 6
    with database.writing(again.engine) as connection:
        number = connection.execute(
            insert(access_grant).values(
                account_id="a", role="viewer", valid_from=date(2026, 1, 1), granted_by="system",
                created="2026-11-01T00:00:00+00:00",
            )
        ).inserted_primary_key  # fmt: skip
        assert number is not None and number[0] == 2
    again.close()
    store.close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_what_was_there_is_kept_beside(
    tmp_path: Path, new_database: NewDatabase, kind: str
) -> None:
    url = new_database(kind)
    store = Store.open(tmp_path / "one", url)
    fill(store)
    before = contents(store)
    made = backup.backup(store, SYSTEM, tmp_path / "b.tar")
    commit(store, SYSTEM, world.figures_change(world.figures("2026-12")), PAIRS)
    later = tables(store)["batch"]
    with pytest.raises(DudaoError) as caught:
        backup.restore(made.file, tmp_path / "one", url, SYSTEM)
    assert caught.value.code == "RESTORE_NOT_EMPTY"
    with pytest.raises(SystemProblem) as busy, store.unit(SYSTEM):
        backup.restore(made.file, tmp_path / "one", url, SYSTEM, replace=True)
    assert busy.value.code == "RESTORE_IN_USE"
    assert tables(store)["batch"] == later
    store.close()
    done = backup.restore(made.file, tmp_path / "one", url, SYSTEM, replace=True)
    assert done.checked.ok and done.replaced is not None
    again = Store.open(tmp_path / "one", url)
    assert {n for n, value in contents(again).items() if before.get(n) != value} == {"session"}
    aside = tmp_path / "one" / done.replaced
    assert (aside / "observations" / "month=2026-12").is_dir()
    again.close()
    if url is None:
        shutil.copytree(aside, tmp_path / "old")
        shutil.copytree(tmp_path / "one" / "keys", tmp_path / "old" / "keys")
        old = Store.open(tmp_path / "old")
        assert tables(old)["batch"] == later
        old.close()
    else:
        with psycopg.connect(url) as connection:
            schema = done.replaced.replace("-", "_").lower()
            rows = connection.execute(f"SELECT count(*) FROM {schema}.batch").fetchone()
            assert rows == (6,)


@pytest.fixture
def made(tmp_path: Path) -> backup.BackupResult:
    """A backup with its keys, of a store on SQLite in ``one``."""
    store = Store.open(tmp_path / "one")
    fill(store)
    found = backup.backup(store, SYSTEM, tmp_path / "b.tar", with_keys=True)
    store.close()
    return found


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], Any]) -> Path:
    """A copy of a tar whose members went through a function: (name, body) or None to leave out."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for info in old:
            member = old.extractfile(info)
            assert member is not None
            found = change(info.name, member.read())
            if found is not None:
                name, body = found
                fresh = tarfile.TarInfo(name)
                fresh.size = len(body)
                new.addfile(fresh, io.BytesIO(body))
    return target


def _flip(name: str, body: bytes) -> tuple[str, bytes]:
    if name.startswith("observations/m"):
        return name, body[:-9] + b"x" + body[-8:]
    return name, body


def _without(left_out: str) -> Callable[[str, bytes], Any]:
    return lambda name, body: None if name == left_out else (name, body)


def _escape(name: str, body: bytes) -> tuple[str, bytes]:
    return (name.replace("snapshots/", "snapshots/../../"), body)


def _newer(name: str, body: bytes) -> tuple[str, bytes]:
    if name != archive.MANIFEST:
        return name, body
    return name, json.dumps(json.loads(body) | {"schema": "9999"}).encode()


def _newer_format(name: str, body: bytes) -> tuple[str, bytes]:
    if name != archive.MANIFEST:
        return name, body
    return name, json.dumps(json.loads(body) | {"format": 99}).encode()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_flip, "BACKUP_DAMAGED"),
        (_escape, "BACKUP_DAMAGED"),
        (
            _without("tables/place.arrow"),
            "BACKUP_DAMAGED",
        ),
        (_without(archive.MANIFEST), "BACKUP_DAMAGED"),
        (lambda name, body: ("/etc/x" if "institution" in name else name, body), "BACKUP_DAMAGED"),
        (lambda name, body: (name, b"{}" if name == archive.MANIFEST else body), "BACKUP_DAMAGED"),
        (_newer, "SCHEMA_NEWER"),
        (_newer_format, "BACKUP_NEWER"),
    ],
)
def test_nothing_wrong_is_put_in_place(
    tmp_path: Path,
    made: backup.BackupResult,
    change: Callable[[str, bytes], Any],
    code: str,
) -> None:
    bad = rewritten(made.file, tmp_path / "bad.tar", change)
    with pytest.raises(DudaoError) as caught:
        backup.restore(bad, tmp_path / "two", None, SYSTEM)
    assert caught.value.code == code
    assert {path.name for path in (tmp_path / "two").iterdir()} <= {"open.lock", "load.lock"}
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", "b.tar", "bad.tar"}


@pytest.mark.parametrize("size", [0, 700, 20_000])
def test_a_file_cut_short_is_refused(tmp_path: Path, made: backup.BackupResult, size: int) -> None:
    (tmp_path / "cut.tar").write_bytes(made.file.read_bytes()[:size])
    with pytest.raises(DudaoError) as caught:
        backup.restore(tmp_path / "cut.tar", tmp_path / "two", None, SYSTEM)
    assert caught.value.code == "BACKUP_DAMAGED"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_in_an_archive_are_refused(
    tmp_path: Path, made: backup.BackupResult, kind: bytes
) -> None:
    with tarfile.open(made.file, "a") as tar:
        info = tarfile.TarInfo("snapshots/x")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(DudaoError) as caught:
        backup.restore(made.file, tmp_path / "two", None, SYSTEM)
    assert caught.value.code == "BACKUP_DAMAGED"


def test_keys_must_be_the_backups_own(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "one")
    fill(store)
    made = backup.backup(store, SYSTEM, tmp_path / "b.tar")
    assert not made.with_keys and not made.manifest.has_keys
    for keys in (tmp_path / "none", Store.open(tmp_path / "other").keys.directory):
        with pytest.raises(DudaoError) as caught:
            backup.restore(made.file, tmp_path / "two", None, SYSTEM, keys=keys)
        assert caught.value.code == "RESTORE_KEYS"
    done = backup.restore(made.file, tmp_path / "two", None, SYSTEM, keys=store.keys.directory)
    assert done.checked.ok
    store.close()


def test_a_restore_killed_half_way_is_not_opened_but_can_be_repeated(
    tmp_path: Path, made: backup.BackupResult
) -> None:
    script = (
        "import os, sys, shutil, pathlib\n"
        "from dashboard.access import SYSTEM\n"
        "from dashboard.store import backup\n"
        "moves = []\n"
        "move = shutil.move\n"
        "def die(*args):\n"
        "    moves.append(args)\n"
        "    if len(moves) == int(sys.argv[3]): os._exit(9)\n"
        "    return move(*args)\n"
        "backup.shutil.move = die\n"
        "backup.restore(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), None, SYSTEM,\n"
        "               replace=True)\n"
    )
    for point in (2, 6):
        target = tmp_path / f"half{point}"
        shutil.copytree(tmp_path / "one", target)
        command = [sys.executable, "-c", script, str(made.file), str(target), str(point)]
        assert subprocess.run(command, capture_output=True).returncode == 9
        assert (target / RESTORE_PENDING).exists()
        with pytest.raises(SystemProblem) as caught:
            Store.open(target)
        assert caught.value.code == "RESTORE_UNFINISHED"
        done = backup.restore(made.file, target, None, SYSTEM, replace=True)
        assert done.checked.ok and not (target / RESTORE_PENDING).exists()


@pytest.mark.skipif(shutil.which("age") is None, reason="needs the program age")
def test_an_encrypted_backup_needs_the_private_key(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "one")
    fill(store)
    for name in ("mine", "theirs"):
        subprocess.run(["age-keygen", "-o", tmp_path / name], check=True, capture_output=True)
    public = next(
        line.split()[-1]
        for line in (tmp_path / "mine").read_text().splitlines()
        if "public key" in line
    )
    made = backup.backup(store, SYSTEM, tmp_path / "b.age", with_keys=True, recipient=public)
    assert made.encrypted
    assert made.file.read_bytes().startswith(b"age-encryption.org/")
    cut = tmp_path / "cut.age"
    cut.write_bytes(made.file.read_bytes()[:-40])
    for source, identity, code in (
        (made.file, None, "BACKUP_ENCRYPTED"),
        (made.file, tmp_path / "theirs", "AGE_FAILED"),
        (cut, tmp_path / "mine", "AGE_FAILED"),
    ):
        with pytest.raises(DudaoError) as caught:
            backup.restore(source, tmp_path / "two", None, SYSTEM, identity=identity)
        assert caught.value.code == code
    done = backup.restore(made.file, tmp_path / "two", None, SYSTEM, identity=tmp_path / "mine")
    assert done.checked.ok
    with pytest.raises(DudaoError) as caught:
        backup.backup(store, SYSTEM, tmp_path / "c.age", recipient="age1wrong")
    assert caught.value.code == "AGE_FAILED"
    assert not list(tmp_path.glob("c.age*"))
    store.close()


def test_without_age_nothing_is_written_unencrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "one")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DudaoError) as caught:
        backup.backup(store, SYSTEM, tmp_path / "b.tar", recipient="age1x")
    assert caught.value.code == "AGE_MISSING"
    assert not list(tmp_path.glob("b.tar*"))
    store.close()


def test_a_backup_never_overwrites_and_says_where_it_cannot_write(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "one")
    (tmp_path / "b.tar").write_text("older")
    with pytest.raises(DudaoError) as caught:
        backup.backup(store, SYSTEM, tmp_path / "b.tar")
    assert caught.value.code == "BACKUP_EXISTS"
    assert (tmp_path / "b.tar").read_text() == "older"
    with pytest.raises(SystemProblem) as problem:
        backup.backup(store, SYSTEM, tmp_path / "no" / "b.tar")
    assert problem.value.code == "BACKUP_UNWRITABLE"
    assert not list(store.directory.glob("backup-*"))
    store.close()


def test_only_who_administers_everything_backs_up(store: Store, tmp_path: Path) -> None:
    fill(store)
    head = Actor("x", "x", grants=(Grant(Role.ADMINISTRATOR, "A", ("C/A/",)),))
    with pytest.raises(NotAllowed):
        backup.backup(store, head, tmp_path / "b.tar")
    with database.reading(store.engine, EVERYTHING) as connection:
        last = connection.execute(
            select(audit_table.c.action, audit_table.c.outcome).order_by(audit_table.c.seq.desc())
        ).first()
    assert last is not None and tuple(last) == ("backup.make", "denied")


def test_a_backup_sees_one_state_while_others_write(store: Store, tmp_path: Path) -> None:
    """The state is pinned at the first line of progress after which others change everything."""
    fill(store)
    before = contents(store)

    def disturb(line: str) -> None:
        if line == "正在写出数据表":
            for base in (200, 300, 400, 500):
                change = world.figures_change(world.figures("2026-09", "2026-10", base=base))
                commit(store, SYSTEM, change, PAIRS)
            with database.writing(store.engine) as connection:
                connection.execute(update(account).values(title="李某"))
                connection.execute(update(place).where(place.c.id == "V00").values(name="新名"))

    made = backup.backup(store, SYSTEM, tmp_path / "b.tar", with_keys=True, progress=disturb)
    assert contents(store) != before
    done = backup.restore(made.file, tmp_path / "two", None, SYSTEM)
    assert done.checked.ok
    again = Store.open(tmp_path / "two")
    assert {n for n, value in contents(again).items() if before[n] != value} == {"session"}
    assert asdict(made.manifest)["tables"]["batch"] == 5
    again.close()

"""``backup``, ``restore``, ``check``, ``undo``: exit codes and JSON keys other scripts rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.access import SYSTEM
from dashboard.cli import common
from dashboard.store import Store
from dashboard.store.commit import commit
from tests.store import world
from tests.store.world import PAIRS


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory with places and one month."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    store = Store.open(tmp_path / "data")
    commit(store, SYSTEM, world.places_change(), PAIRS)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
    store.close()
    yield tmp_path / "data"
    common.remember(None, None)


def run(*arguments: str | Path) -> tuple[int, Any]:
    """The exit code and what stands on standard output as JSON."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, json.loads(done.stdout)


def test_backup_and_restore(data: Path, tmp_path: Path) -> None:
    code, made = run("backup", "--out", tmp_path / "b.tar", "--json", "--data", data)
    assert code == 0
    assert set(made) == {
        "file", "sha256", "bytes", "encrypted", "with_keys", "members", "created", "program",
        "schema", "store_id", "tables", "chain",
    }  # fmt: skip
    assert (made["tables"]["place"], made["with_keys"], made["encrypted"]) == (19, False, False)
    code, told = run("backup", "--out", tmp_path / "b.tar", "--json", "--data", data)
    assert (code, told["error"]["code"]) == (2, "BACKUP_EXISTS")
    code, told = run("restore", "--from", tmp_path / "b.tar", "--json", "--data", data)
    assert (code, told["error"]["code"]) == (2, "RESTORE_NOT_EMPTY")
    code, told = run(
        "--as", "zhang", "restore", "--from", tmp_path / "b.tar", "--json", "--data", data
    )
    assert (code, told["error"]["code"]) == (2, "OPERATOR_ONLY")
    code, done = run("restore", "--from", tmp_path / "b.tar", "--replace", "--json", "--data", data)
    assert code == 0
    assert done["check"] == {"ok": True, "problems": [], "checked": done["check"]["checked"]}
    assert (data / done["replaced"]).is_dir()


def test_backup_says_that_keys_are_kept_separately(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["backup", "--out", str(tmp_path / "b"), "--data", str(data)])
    assert done.exit_code == 0
    assert "密钥目录" in done.stdout and "另行保管" in done.stdout


def test_check_exits_with_2_when_it_finds_something(data: Path) -> None:
    code, found = run("check", "--json", "--data", data)
    assert (code, found["ok"], found["problems"]) == (0, True, [])
    next((data / "snapshots").glob("*.parquet")).unlink()
    code, found = run("check", "--json", "--data", data)
    assert (code, found["ok"]) == (2, False)
    (problem,) = found["problems"]
    assert set(problem) == {"code", "message", "count", "examples"}
    assert problem["code"] == "SNAPSHOT_MISSING"


def test_undo(data: Path) -> None:
    code, done = run("undo", "2", "--json", "--data", data)
    assert (code, done) == (
        0,
        {"batch": 2, "rows": 48, "months": [], "withdrawn": ["2026-10"], "later": []},
    )
    code, told = run("undo", "2", "--json", "--data", data)
    assert (code, told["error"]["code"]) == (2, "BATCH_NOT_COMMITTED")

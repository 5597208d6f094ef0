"""``rollup``: a new version of a month from what is stored; what is missing is said."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.access import SYSTEM
from dashboard.cli import common
from dashboard.coverage import registry
from dashboard.store import Store, spark
from dashboard.store.commit import commit, reroll
from dashboard.store.model import Underway
from tests.store import world


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "data"
    store = Store.open(directory)
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    frame = world.figures("2026-10").replace(
        {"measure": {"signed": "contracted_persons", "persons": "registered_persons"}}
    )
    commit(store, SYSTEM, world.figures_change(frame), registry.pairs())
    store.close()
    yield directory
    common.remember(None, None)


def run(data: Path, *arguments: str) -> tuple[int, Any, str]:
    """The exit code, what stands on standard output as JSON, and standard error."""
    done = CliRunner().invoke(app, ["rollup", *arguments, "--json", "--data", str(data)])
    return done.exit_code, json.loads(done.stdout), done.stderr


def coverage(data: Path) -> Any:
    done = CliRunner().invoke(
        app,
        ["coverage", "--layer", "contract_coverage", "--place", "C", "--month", "2026-10",
         "--json", "--data", str(data)],
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_month_gets_a_new_version_with_the_same_values(data: Path) -> None:
    before = coverage(data)
    code, made, told = run(data, "--month", "2026-10")
    assert code == 0 and told.count("正在汇总 2026-10") == 1
    assert set(made) == {"month", "version", "engine", "rows", "seconds"}
    assert (made["month"], made["version"], made["engine"]) == ("2026-10", 2, "duckdb")
    after = coverage(data)
    assert after["version"] == 2 and after["children"] == before["children"]


def test_how_much_is_done_is_told_after_every_query(data: Path) -> None:
    lines: list[str] = []
    with closing(Store.open(data)) as store:
        reroll(store, SYSTEM, "2026-10", registry.pairs(), lines.append)
    shares = [line.done for line in lines if isinstance(line, Underway)]
    assert len(shares) > 5 and shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] == 1 and shares[-2] < 1
    assert {str(line) for line in lines} == {"正在汇总 2026-10", "正在发布"}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := _Terminal())
    told = common._Told()
    for share in (0, 0.25, 0.5):
        told(Underway("正在汇总 2026-10", share))
    told("正在发布")
    shown = terminal.getvalue()
    assert "正在汇总 2026-10" in shown and "50%" in shown and "━" in shown
    assert shown.rstrip().endswith("正在发布")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--month", "2026-09"), "MONTH_EMPTY"),
        (("--month", "October"), "MONTH_FORM"),
        (("--month", "2026-10", "--engine", "abacus"), "ENGINE_UNKNOWN"),
    ],
)
def test_what_cannot_be_rolled_up_is_said(
    data: Path, arguments: tuple[str, ...], code: str
) -> None:
    left, told, _ = run(data, *arguments)
    assert (left, told["error"]["code"]) == (2, code)
    if code == "ENGINE_UNKNOWN":
        assert "duckdb、spark" in told["error"]["remedy"]
    assert coverage(data)["version"] == 1


def test_the_engine_of_the_settings_is_taken(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUDAO_ENGINE", "abacus")
    assert run(data, "--month", "2026-10")[1]["error"]["code"] == "ENGINE_UNKNOWN"
    assert run(data, "--month", "2026-10", "--engine", "duckdb")[0] == 0


def test_spark_that_is_not_installed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark, "find_spec", lambda name: None)
    code, told, _ = run(data, "--month", "2026-10", "--engine", "spark")
    assert (code, told["error"]["code"]) == (1, "ENGINE_MISSING")
    assert "requirements-spark.txt" in told["error"]["remedy"]

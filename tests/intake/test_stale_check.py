"""Two files, each right and together wrong: the later one is checked against the earlier."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.access import SYSTEM
from dashboard.intake.loading import check_file, commit_file
from dashboard.intake.service import known, load_file, load_files
from dashboard.store import Store
from dashboard.store.commit import StaleCheck, commit
from dashboard.store.model import Change, Pair
from dashboard.store.publish import state_of
from loaders.model import Request
from tests.store import world

PAIRS = (Pair("contracted_persons", "registered_persons"),)
ASK = Request()


def write(path: Path, measure: str, *values: float) -> Path:
    lines = [f"V{number:02d},2026-10,{value}" for number, value in enumerate(values)]
    path.write_text("\n".join([f"place_id,month,{measure}", *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> Store:
    commit(store, SYSTEM, world.places_change(), PAIRS)
    whole = write(tmp_path / "whole.csv", "registered_persons", 100, 100)
    assert load_file(store, SYSTEM, whole, ASK, PAIRS).committed
    return store


def test_a_load_that_came_in_between_is_seen(loaded: Store, tmp_path: Path) -> None:
    part = write(tmp_path / "part.csv", "contracted_persons", 70, 70)
    fewer = write(tmp_path / "fewer.csv", "registered_persons", 50)
    checked = check_file(part, ASK, known(loaded, SYSTEM))
    assert not checked.prepared.report.has_errors
    assert load_file(loaded, SYSTEM, fewer, ASK, PAIRS).committed
    with pytest.raises(StaleCheck):
        commit_file(loaded, SYSTEM, checked, PAIRS, accept_valid_rows=False)
    report = load_file(loaded, SYSTEM, part, ASK, PAIRS)
    assert report.has_errors and not report.committed
    with loaded.unit(SYSTEM) as unit:
        assert unit.figures(None, ["2026-10"], ["contracted_persons"]).empty


def test_who_is_always_overtaken_is_told(loaded: Store, tmp_path: Path) -> None:
    part = write(tmp_path / "part.csv", "contracted_persons", 10, 10)
    other = tmp_path / "other.csv"
    values = iter(range(200, 300))

    def meanwhile(line: str) -> None:
        if line == "正在检查 part.csv":
            write(other, "registered_persons", next(values))
            assert load_file(loaded, SYSTEM, other, ASK, PAIRS).committed

    with pytest.raises(StaleCheck):
        load_file(loaded, SYSTEM, part, ASK, PAIRS, progress=meanwhile)


def test_files_of_one_load_do_not_overtake_one_another(loaded: Store, tmp_path: Path) -> None:
    lines: list[str] = []
    files = []
    for month in ("2026-06", "2026-07", "2026-08"):
        path = tmp_path / f"{month}.csv"
        path.write_text(f"place_id,month,registered_persons\nV00,{month},100\n", encoding="utf-8")
        files.append(path)
    reports = load_files(loaded, SYSTEM, files, ASK, PAIRS, progress=lines.append)
    assert [report.committed for report in reports] == [True] * 3
    assert [line for line in lines if line.startswith("正在检查")] == [
        f"正在检查 {path.name}" for path in files
    ]


def test_commit_itself_refuses_what_was_checked_against_another_state(store: Store) -> None:
    with store.unit(SYSTEM) as unit:
        seen = state_of(unit)
    first = commit(store, SYSTEM, world.places_change(), PAIRS, checked_against=seen)
    assert first.state == seen + 1
    institutions = Change(dataset="institutions", frame=world.institutions())
    with pytest.raises(StaleCheck):
        commit(store, SYSTEM, institutions, PAIRS, checked_against=seen)
    assert commit(store, SYSTEM, institutions, PAIRS, checked_against=first.state).batch == 2

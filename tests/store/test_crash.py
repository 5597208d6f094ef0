"""Loads that are interrupted, run beside one another, or find the disk full.

Those that are killed are attack 21 in ``tests/security``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from dashboard.access import EVERYTHING, SYSTEM
from dashboard.store import Store, database
from dashboard.store.commit import commit
from dashboard.store.model import BatchState
from dashboard.store.snapshots import owner
from dashboard.store.store import snapshot_files
from geodata.errors import DudaoError, SystemProblem
from tests.conftest import OpenStore
from tests.store import world
from tests.store.world import PAIRS

ROOT = Path(__file__).resolve().parents[2]
MONTHS = ("2026-09", "2026-10")


class Loader:
    """The process of ``tests.store.loading``."""

    def __init__(self, data: Path, url: str | None) -> None:
        self._fixed = {"data": str(data), "url": url, "months": MONTHS}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.loading"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._fixed | order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def load(self, **order: Any) -> dict[str, Any]:
        self.start(**order)
        return self.answer()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


MakeLoader = Callable[[], Loader]


@pytest.fixture
def make_loader(tmp_path: Path, database_url: str | None) -> Iterator[MakeLoader]:
    loaders: list[Loader] = []

    def make() -> Loader:
        loaders.append(Loader(tmp_path / "data", database_url))
        return loaders[-1]

    yield make
    for loader in loaders:
        loader.close()


def persons(store: Store) -> list[float]:
    """The city's persons in every published month."""
    with store.unit(SYSTEM) as unit:
        root = unit.root()
        rows = [unit.value_of(unit.snapshot(month), root) for month in unit.months()]
    return [float(r.loc[r["numerator_measure"] == "signed", "denominator"].iloc[0]) for r in rows]


def expected(base: float) -> list[float]:
    return [12 * base + 66.0] * len(MONTHS)


def assert_tidy(store: Store) -> None:
    """No half-loaded batch, no row of one, no file nobody points to."""
    with store.unit(SYSTEM) as unit:
        batches = unit.batches(1000)
    assert {batch.state for batch in batches} <= {
        BatchState.COMMITTED,
        BatchState.ABANDONED,
        BatchState.UNDONE,
    }
    rows: ds.Dataset = store.facts.observations(MONTHS)
    assert set(rows.to_table(columns=["batch"])["batch"].to_pylist()) <= {
        batch.id for batch in batches if batch.state is not BatchState.ABANDONED
    }
    with database.reading(store.engine, EVERYTHING) as connection:
        known = snapshot_files(connection)
    assert {owner(path.name) for path in (store.directory / "snapshots").iterdir()} <= known
    assert list(store.scratch.iterdir()) == []


def test_two_loads_at_once_both_end_well(open_store: OpenStore, make_loader: MakeLoader) -> None:
    store = open_store()
    commit(store, SYSTEM, world.places_change(), PAIRS)
    with store.load_lock(timeout=0) as free:
        assert free
        one, two = make_loader(), make_loader()
        one.start(base=200)
        two.start(base=300)
        waited = open_store()
        assert persons(waited) == []
    answers = [one.answer(), two.answer()]
    assert {answer["batch"] for answer in answers} == {2, 3}
    later = max(zip(answers, (200, 300), strict=True), key=lambda pair: pair[0]["batch"])
    assert persons(store) == expected(later[1])
    assert_tidy(open_store())


def test_a_load_says_that_it_waits_and_gives_up_in_the_end(store: Store) -> None:
    commit(store, SYSTEM, world.places_change(), PAIRS)
    lines: list[str] = []
    with store.load_lock(timeout=0), pytest.raises(SystemProblem) as caught:
        change = world.figures_change(world.figures(*MONTHS))
        commit(store, SYSTEM, change, PAIRS, lines.append, timeout=0.2)
    assert caught.value.code == "LOAD_BUSY"
    assert lines == ["另一个导入正在进行，等待其完成"]
    assert commit(store, SYSTEM, world.figures_change(world.figures(*MONTHS)), PAIRS).batch == 2


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests were started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_leaves_nothing_behind(store: Store, interruptible: None) -> None:
    commit(store, SYSTEM, world.places_change(), PAIRS)

    def interrupt(line: str) -> None:
        if line.startswith("正在汇总"):
            signal.raise_signal(signal.SIGINT)

    change = world.figures_change(world.figures(*MONTHS))
    with pytest.raises(KeyboardInterrupt):
        commit(store, SYSTEM, change, PAIRS, interrupt)
    assert persons(store) == []
    assert_tidy(store)
    assert commit(store, SYSTEM, change, PAIRS).batch is not None
    assert persons(store) == expected(100)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(directory)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only who may mount file systems can make a small disk")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_a_full_disk_is_said_and_nothing_lost(small_disk: Path) -> None:
    store = Store.open(small_disk / "data")
    commit(store, SYSTEM, world.places_change(), PAIRS)
    commit(store, SYSTEM, world.figures_change(world.figures(*MONTHS, base=100)), PAIRS)
    change = world.figures_change(world.figures(*MONTHS, base=101))
    ballast = small_disk / "ballast"
    # With a little more room each time, the load gets a little further.
    for room in (0, 8_192, 20_480, 32_768):
        status = os.statvfs(small_disk)
        ballast.write_bytes(b"\0" * (status.f_bavail * status.f_frsize - room))
        with pytest.raises(SystemProblem) as caught:
            commit(store, SYSTEM, change, PAIRS)
        assert caught.value.code == "DISK_FULL"
        assert persons(store) == expected(100)
        ballast.unlink()
    assert commit(store, SYSTEM, change, PAIRS).batch is not None
    assert persons(store) == expected(101)
    assert_tidy(store)
    store.close()


def test_readers_are_not_disturbed_by_a_load(store: Store) -> None:
    commit(store, SYSTEM, world.places_change(), PAIRS)
    commit(store, SYSTEM, world.figures_change(world.figures(*MONTHS, base=100)), PAIRS)
    problems: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                found = persons(store)
            except DudaoError as error:
                problems.append(error.code)
                return
            if len(set(found)) != 1:
                problems.append(f"mixed months: {found}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for base in (110, 120):
        commit(store, SYSTEM, world.figures_change(world.figures(*MONTHS, base=base)), PAIRS)
    stop.set()
    for reader in readers:
        reader.join()
    assert problems == []

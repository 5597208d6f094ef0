"""What a correction in 1, 10 and 100 counties of a nation costs, beside the month rolled up whole.

A process of its own: ``python -m bench.reroll DIRECTORY MEMORY``. Every load is a real one, of one
new service for each county; timed are the roll-up into a new version, and the load as a whole. The
loads are undone at the end, in a copy that shares the files of records.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from bench.machine import peak_gb
from bench.nation import MONTHS, NATION, prepared
from bench.processes import ROOT
from bench.rollup import MEMORY
from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.store import Store
from dashboard.store import commit as commits
from dashboard.store.model import Change, Compute, month_end
from dashboard.store.undo import undo
from loaders.registry import record_datasets

COUNTIES = (1, 10, 100)
_TURNS = 3


def run() -> dict[str, Any]:
    """Seconds of the whole month and by number of counties."""
    made = prepared(NATION)
    # Other parts count every row of the store's files, also what was undone.
    with TemporaryDirectory(prefix="reroll-", dir=made.parent) as scratch:
        directory = shutil.copytree(made, Path(scratch) / "store", copy_function=_shared)
        command = [
            sys.executable, "-W", "ignore", "-m", "bench.reroll", str(directory), str(MEMORY),
        ]  # fmt: skip
        told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return {
        "villages": NATION.village_total,
        "county_total": len(NATION.county_ids),
        **json.loads(told.stdout),
    }


def _shared(source: str, target: str) -> None:
    """Files of records never change; of all others the copy has its own."""
    (os.link if source.endswith(".parquet") else shutil.copy2)(source, target)


def measure(directory: Path, memory: int) -> dict[str, Any]:
    """The whole month once, then every number of counties some times in turn."""
    store = Store.open(directory, compute=Compute(memory=memory))
    taken: dict[str, float] = {}
    batches: list[int] = []
    by_number: dict[int, list[dict[str, float]]] = {number: [] for number in COUNTIES}
    with _timed("roll_up", taken):
        commits.reroll(store, SYSTEM, MONTHS[-1], registry.pairs())
        whole = dict(taken)
        for turn in range(_TURNS):
            for number in COUNTIES:
                change = _change(number, turn)
                began = time.perf_counter()
                result = commits.commit(store, SYSTEM, change, registry.pairs())
                took = time.perf_counter() - began
                (made,) = result.snapshots
                if not made.below:
                    raise RuntimeError(f"{number} counties made the whole month anew")
                batches.append(result.batch or 0)
                rows = store.snapshots.sizes(made)[0]
                by_number[number].append({**taken, "load": took, "rows": rows})
    for batch in reversed(batches):
        undo(store, SYSTEM, batch, ())
    store.close()
    return {
        "whole": whole,
        "counties": {
            str(number): min(some, key=lambda one: one["seconds"])
            for number, some in by_number.items()
        },
        "all": {str(number): some for number, some in by_number.items()},
        "peak_gb": peak_gb(),
    }


@contextmanager
def _timed(name: str, taken: dict[str, float]) -> Iterator[None]:
    """Let ``commit`` say how long its roll-up takes."""
    original = getattr(commits, name)

    def timed(*args: Any, **named: Any) -> Any:
        began, cpu = time.perf_counter(), time.process_time()
        try:
            return original(*args, **named)
        finally:
            taken["seconds"] = time.perf_counter() - began
            taken["cpu_s"] = time.process_time() - cpu

    setattr(commits, name, timed)
    try:
        yield
    finally:
        setattr(commits, name, original)


def _change(number: int, turn: int) -> Change:
    """One examination each in counties spread over the nation."""
    step = len(NATION.county_ids) // number
    chosen = [NATION.county_ids[(at * step + 7 * turn + number) % 2400] for at in range(number)]
    empty = record_datasets()["services"].empty_frame()
    rows = [
        {
            "person": f"{turn + 1:08x}{number:08x}{at:048x}", "day": month_end(MONTHS[-1]),
            "kind": "exam", "tier": "township", "place_id": NATION.villages_of(county)[at % 250],
            "provider": None,
        }
        for at, county in enumerate(chosen)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(empty.columns)).astype(empty.dtypes.to_dict())
    return Change(dataset="services", frame=frame)


if __name__ == "__main__":
    where, limit = sys.argv[1:]
    print(json.dumps(measure(Path(where), int(limit))))

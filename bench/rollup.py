"""A nation's year of services rolled up to every level, beside less work on the same files.

Every way is a process of its own (``bench.rolling``); its clock runs from the files to the result.
Ours counts the month of December, which takes every record since January, sums it up to every
level and writes the snapshot. The bare query finds the same figures of the villages and nothing
more. Spark rolls up a tenth, and its snapshot must be the one of DuckDB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pyarrow.parquet as pq

from bench.nation import MIDDLING, NATION, Nation, prepared
from bench.processes import ROOT

MEMORY = 2_500_000_000
"""What DuckDB may take, so that the whole process stays below 4 GB."""


def run() -> dict[str, Any]:
    """Seconds, processor seconds and peak memory of every way, and the ratios."""
    ours = _ours(NATION, "duckdb")
    bare, plain, pandas = (_child(way, NATION) for way in ("bare", "plain", "pandas"))
    for other in (bare, pandas):
        _same_totals(ours, other)
    small = {engine: _ours(MIDDLING, engine) for engine in ("duckdb", "spark")}
    cores = os.cpu_count() or 1
    return {
        "services": NATION.services,
        "villages": NATION.village_total,
        "memory": MEMORY,
        "ours": ours,
        "bare": bare,
        "plain": plain,
        "pandas": pandas,
        "ours_over_bare": ours["seconds"] / bare["seconds"],
        "ours_over_plain": ours["seconds"] / plain["seconds"],
        "pandas_over_ours": pandas["seconds"] / ours["seconds"],
        "engines": {
            "services": MIDDLING.services,
            "equal": pq.read_table(small["duckdb"]["file"]).equals(
                pq.read_table(small["spark"]["file"])
            ),
            "per_core": {
                engine: MIDDLING.services / one["seconds"] / cores for engine, one in small.items()
            },
            **small,
        },
    }


def _ours(nation: Nation, engine: str) -> dict[str, Any]:
    return _child("ours", nation, engine)


def _child(way: str, nation: Nation, engine: str = "duckdb") -> dict[str, Any]:
    directory = prepared(nation)
    command = [
        sys.executable, "-W", "ignore", "-m", "bench.rolling", way, str(directory), engine,
        str(MEMORY),
    ]  # fmt: skip
    print(f"  {way}, {engine}, {nation.services:,} services ...", flush=True)
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        told = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"{way} ended with {child.returncode}")
    result: dict[str, Any] = json.loads(told)
    return {**result, "peak_gb": usage.ru_maxrss * 1024 / 1e9}


def _same_totals(ours: dict[str, Any], other: dict[str, Any]) -> None:
    """The layers show some of the measures; those must be the same."""
    for name, value in ours["totals"].items():
        if other["totals"][name] != value:
            raise RuntimeError(f"{name}: {value} here, {other['totals'][name]} there")

"""A nation's year of services rolled up to every level, beside other ways on the same files.

Every way is a process of its own (``bench.rolling``); its clock runs from the files to the result.
Ours counts the month of December, which takes every record since January, sums it up to every
level and writes the snapshot. Pandas writes the same rows. The bare query finds the same figures of
the villages and nothing more. Spark rolls up a tenth, and its snapshot must be the one of DuckDB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from operator import itemgetter
from typing import Any

import pyarrow.parquet as pq

from bench.nation import MIDDLING, NATION, Nation, prepared
from bench.processes import ROOT

MEMORY = 2_500_000_000
"""What DuckDB may take, so that the whole process stays below 4 GB."""

TURNS = 2
"""Times each way runs, in turn with the others; the quicker one counts, and the higher peak."""


def run() -> dict[str, Any]:
    """Seconds, processor seconds and peak memory of every way, and the ratios.

    Raises:
        RuntimeError: two ways did not come to the same.
    """
    ways = ("ours", "pandas", "bare", "plain")
    turns = [{way: _child(way, NATION) for way in ways} for _ in range(TURNS)]
    best = {
        way: {
            **min((turn[way] for turn in turns), key=itemgetter("seconds")),
            "peak_gb": max(turn[way]["peak_gb"] for turn in turns),
        }
        for way in ways
    }
    ours = best["ours"]
    for turn in turns:
        _same_totals(ours, turn["bare"])
    _same_rows(ours["file"], best["pandas"]["file"])
    small = {engine: _child("ours", MIDDLING, engine) for engine in ("duckdb", "spark")}
    cores = os.cpu_count() or 1
    return {
        "services": NATION.services,
        "villages": NATION.village_total,
        "memory": MEMORY,
        **best,
        **{
            f"{a}_over_{b}": best[a]["seconds"] / best[b]["seconds"]
            for a, b in (("ours", "bare"), ("ours", "plain"), ("pandas", "ours"))
        },
        "turns": turns,
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


def _child(way: str, nation: Nation, engine: str = "duckdb") -> dict[str, Any]:
    directory = prepared(nation)
    command = [
        sys.executable, "-W", "ignore", "-m", "bench.rolling", way, str(directory), engine,
        str(MEMORY),
    ]  # fmt: skip
    print(f"  {way}, {engine}, {nation.services:,} services ...", flush=True)
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, Any] = json.loads(told)
    return result


def _same_totals(ours: dict[str, Any], other: dict[str, Any]) -> None:
    """The layers show some of the measures; those must be the same."""
    for name, value in ours["totals"].items():
        if other["totals"][name] != value:
            raise RuntimeError(f"{name}: {value} here, {other['totals'][name]} there")


def _same_rows(ours: str, other: str) -> None:
    """Two snapshots must have the same rows in the same order, up to how a text is coded."""
    here = pq.read_table(ours)
    there = pq.read_table(other).select(here.column_names).cast(here.schema)
    differing = [name for name in here.column_names if not here[name].equals(there[name])]
    if differing:
        raise RuntimeError(f"{ours} and {other} differ in {', '.join(differing)}")

"""One million monthly rows: ``python -m dashboard load`` beside bare pandas on the same file.

The load is a process of its own, timed from start to end: it reads, checks every row, compares
with what is stored, writes, rolls up every month to every level and publishes. Pandas only reads
the file and sums each measure by month; its import is not counted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from bench import OUT
from bench.processes import ROOT
from bench.trees import Spec, figures, prepared
from dashboard.demo.figures import MEASURES, months_until

SPEC = Spec(5, 20, 50)
MONTHS = 25
ROWS = SPEC.total * len(MEASURES) * MONTHS


def run() -> dict[str, Any]:
    """Seconds and rows per second of both, and the ratio of the seconds."""
    file = _file()
    data = OUT / "stores" / "loading"
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(prepared(SPEC), data)
    pandas_s = _pandas(file)
    load_s, report = _load(file, data)
    if report["rows_valid"] != ROWS or report["rows_changed"] != ROWS:
        raise RuntimeError(f"not every row went in: {report}")
    again_s, report = _load(file, data)
    if report["rows_changed"] != 0:
        raise RuntimeError("the second load changed something")
    return {
        "rows": ROWS,
        "bytes": file.stat().st_size,
        "load_s": load_s,
        "load_rows_per_s": ROWS / load_s,
        "load_again_s": again_s,
        "pandas_s": pandas_s,
        "pandas_rows_per_s": ROWS / pandas_s,
        "load_over_pandas": load_s / pandas_s,
    }


def _file() -> Path:
    file = OUT / f"figures_{ROWS}.csv"
    if not file.exists():
        months = months_until("2026-10", MONTHS)
        table = pd.concat([figures(SPEC, month) for month in months], ignore_index=True)
        table["value"] = table["value"].astype("int64")
        table.to_csv(file, index=False)
    return file


def _pandas(file: Path) -> float:
    began = time.perf_counter()
    table = pd.read_csv(file)
    sums = table.groupby(["month", "measure"])["value"].sum()
    took = time.perf_counter() - began
    if len(sums) != MONTHS * len(MEASURES):
        raise RuntimeError("the file is not the expected one")
    return took


def _load(file: Path, data: Path) -> tuple[float, dict[str, Any]]:
    command = [sys.executable, "-m", "dashboard", "load", str(file), "--json", "--data", str(data)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return took, json.loads(done.stdout)["files"][0]

"""Python time of one map rerun, in the real server (see ``bench.serve``), driven by a real browser.

``first``: a layer and month nobody has asked for yet; ``again``: all of them a second time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Page

from bench import OUT
from bench.layer_switch import _OURS_DRAWN
from bench.processes import choose_layer, chromium, halves, on, product
from bench.trees import ROOT, Spec, prepared, switched
from dashboard.coverage import registry

CHILDREN = 300
MONTHS = 2
SMALL = Spec(CHILDREN, 1, 1, months=MONTHS)
LARGE = Spec(CHILDREN, 20, 100, months=MONTHS)
"""600,000 villages below the same 300 children."""
WIDE = Spec(CHILDREN, 1, 1, months=36, wide=True)
"""Three years of every layer there is."""
_OF_ALL = (
    "contract_coverage",
    "cervical_screening",
    "clinic_standardisation",
    "open_findings_rate",
)
"""The layers every tree has figures for."""
_TURNS = 6


def run() -> dict[str, Any]:
    """Medians in milliseconds for a root over 300 and over 600,000 villages, and their ratio."""
    small, large = _measure(SMALL, _OF_ALL), _measure(LARGE, _OF_ALL)
    return {
        "children": CHILDREN,
        "small": {"villages": SMALL.total, **small},
        "large": {"villages": LARGE.total, **large},
        "wide": {
            "layers": len(registry.layers()),
            "months": WIDE.months,
            **_measure(WIDE, switched(5)),
        },
        "large_over_small": {
            kind: large[kind]["median_ms"] / small[kind]["median_ms"] for kind in ("first", "again")
        },
    }


def _measure(spec: Spec, layers: Sequence[str]) -> dict[str, Any]:
    data = prepared(spec)
    timings = OUT / f"rerun_{spec.name}.jsonl"
    timings.unlink(missing_ok=True)
    first: list[dict[str, float]] = []
    again: list[dict[str, float]] = []
    # A reader's browser runs on another machine: here it would take the server's core at the very
    # click that is measured.
    ours, theirs = halves()
    with ExitStack() as running:
        with on(theirs):
            browser = running.enter_context(chromium())
        with on(ours):
            served = running.enter_context(product(data, timings))
        page, address = served.page(browser), served.address
        # The first page of a process imports and compiles; it is no rerun.
        page.goto(f"{address}/?place={ROOT}-{0:03}&layer={layers[0]}&month=2026-10")
        page.wait_for_function(_OURS_DRAWN, arg=f"/{layers[0]}/", timeout=60_000)
        for turn in range(_TURNS):
            month = ("2026-10", "2026-09")[turn % MONTHS]
            page.goto(f"{address}/?place={ROOT}&layer={layers[0]}&month={month}")
            page.wait_for_function(_OURS_DRAWN, arg=f"/{layers[0]}/{ROOT}/{month}", timeout=60_000)
            page.wait_for_timeout(500)
            for layer in layers[1:]:
                took = _switch(page, layer, timings)
                (first if turn < MONTHS else again).append(took)
    return {"first": _summary(first), "again": _summary(again)}


def _switch(page: Page, layer: str, timings: Path) -> dict[str, float]:
    """Click a layer; the script runs it caused, summed."""
    before = len(_lines(timings))
    choose_layer(page, layer)
    page.wait_for_function(_OURS_DRAWN, arg=f"/{layer}/", timeout=60_000)
    page.wait_for_timeout(500)
    runs = [json.loads(line) for line in _lines(timings)[before:]]
    if not runs:
        raise RuntimeError("the click ran no script")
    clocks = {name: sum(run[name] for run in runs) for name in ("wall", "cpu", "waiting")}
    return {**clocks, "runs": len(runs)}


def _lines(timings: Path) -> list[str]:
    return timings.read_text(encoding="utf-8").splitlines() if timings.exists() else []


def _summary(taken: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "switches": len(taken),
        "median_ms": 1000 * median(one["wall"] for one in taken),
        "median_cpu_ms": 1000 * median(one["cpu"] for one in taken),
        "median_waiting_ms": 1000 * median(one["waiting"] for one in taken),
        "runs_per_switch": sum(one["runs"] for one in taken) / len(taken),
        "all_ms": [round(1000 * one["wall"], 2) for one in taken],
    }

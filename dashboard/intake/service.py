"""A file becomes committed facts: check it, show everything that is wrong, commit what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, Pair, Progress
from loaders.model import ImportReport, Known, Prepared, Request
from loaders.prepare import prepare

_CHANGED = "FILE_CHANGED"
"""The file was replaced while it was read: no row of it can be trusted."""

_ORDER = ("places", "institutions", "figures")
"""Datasets in the order they need each other."""


def load_file(
    store: Store,
    path: Path,
    request: Request,
    pairs: Iterable[Pair],
    dry_run: bool = False,
    accept_valid_rows: bool = False,
    progress: Progress | None = None,
    operator: str = "",
) -> ImportReport:
    """Check one file and, if nothing speaks against it, commit it whole.

    A file with an error changes nothing, unless ``accept_valid_rows`` takes its valid rows.

    Args:
        request: what the person said about the file.
        pairs: what the snapshots hold (``coverage.registry.pairs()``).
        dry_run: check only.
        progress: told about each step.
        operator: who loads, kept with the batch.

    Returns:
        The report. ``committed`` is False, without an error, when every row was already stored;
        ``rows_changed`` and ``rows_unchanged`` count canonical rows (for figures: values).

    Raises:
        DudaoError: what ``commit`` raises; nothing was written then.
    """
    reports = load_files(
        store, [path], request, pairs, dry_run, accept_valid_rows, progress, operator
    )
    return reports[0]


def load_files(
    store: Store,
    paths: Iterable[Path],
    request: Request,
    pairs: Iterable[Pair],
    dry_run: bool = False,
    accept_valid_rows: bool = False,
    progress: Progress | None = None,
    operator: str = "",
) -> list[ImportReport]:
    """Load several files, places before institutions before figures; reports in the given order.

    Each file is its own all-or-nothing: one that is refused does not hold the others back. With
    ``dry_run`` each file is checked against what is stored now, not against the other files.

    Args, Raises: as ``load_file``. After an error the files before it stay loaded.
    """
    wanted = tuple(pairs)
    stored = known(store)
    checked = [_check(path, request, stored, progress) for path in paths]
    if dry_run:
        return [entry.prepared.report for entry in checked]
    new_places = False
    new_months: set[str] = set()
    for dataset in _ORDER:
        for position, entry in enumerate(checked):
            if entry.prepared.dataset != dataset:
                continue
            if new_places or not new_months.isdisjoint(entry.months):
                # What it was checked against has changed since.
                stored = known(store)
                entry = checked[position] = _check(entry.path, request, stored, progress)
            if not _commit(store, entry, wanted, accept_valid_rows, progress, operator):
                continue
            if dataset == "figures":
                new_months |= entry.months
            else:
                new_places = True
    return [entry.prepared.report for entry in checked]


@dataclass(frozen=True, slots=True)
class _Checked:
    path: Path
    prepared: Prepared

    @property
    def months(self) -> frozenset[str]:
        """The months a figures file speaks of."""
        if self.prepared.dataset != "figures":
            return frozenset()
        return frozenset(self.prepared.frame["month"].unique())


def _check(path: Path, request: Request, stored: Known, progress: Progress | None) -> _Checked:
    """Read and check one file against what is stored."""
    if progress is not None:
        progress(f"正在检查 {path.name}")
    return _Checked(path, prepare(path, request, stored))


def _commit(
    store: Store,
    entry: _Checked,
    pairs: Sequence[Pair],
    accept_valid_rows: bool,
    progress: Progress | None,
    operator: str,
) -> bool:
    """Commit one checked file unless its errors forbid it; whether anything changed."""
    prepared, report = entry.prepared, entry.prepared.report
    if prepared.frame.empty or prepared.dataset is None:
        return False
    if report.has_errors and not (accept_valid_rows and report.issues.counts()[_CHANGED] == 0):
        return False
    result = commit(
        store,
        Change(
            dataset=prepared.dataset,
            frame=prepared.frame,
            geometries=prepared.geometries,
            file=entry.path.name,
            sha256=report.sha256 or "",
            operator=operator,
        ),
        pairs,
        progress,
    )
    report.rows_changed = result.changed
    report.rows_unchanged = result.unchanged
    report.committed = result.batch is not None
    report.batch = None if result.batch is None else str(result.batch)
    return report.committed


def known(store: Store) -> Known:
    """What is stored, for the loaders' checks; figures and shapes are read only when asked for."""
    with store.unit() as unit:
        places, institutions = unit.place_frame(), unit.institution_frame()
    return Known(
        places=places,
        institutions=institutions,
        figures=_figures(store),
        shapes=_shapes(store),
    )


def _figures(
    store: Store,
) -> Callable[[Sequence[str], Sequence[str], Sequence[str]], pd.DataFrame]:
    def figures(
        place_ids: Sequence[str], months: Sequence[str], measures: Sequence[str]
    ) -> pd.DataFrame:
        with store.unit() as unit:
            return unit.figures(place_ids, months, measures)

    return figures


def _shapes(store: Store) -> Callable[[Sequence[str]], Mapping[str, Any]]:
    def shapes(place_ids: Sequence[str]) -> Mapping[str, Any]:
        with store.unit() as unit:
            found = unit.shapes(place_ids, date.today())
        return {place_id: shapely.from_wkb(shape.wkb) for place_id, shape in found.items()}

    return shapes

"""A file becomes committed facts: check it, show everything that is wrong, commit what is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from dashboard.access import Actor, acts
from dashboard.coverage import targets
from dashboard.intake.loading import ORDER, CheckedFile, check_file, commit_file
from dashboard.privacy.service import register_of
from dashboard.store import Store
from dashboard.store.commit import StaleCheck
from dashboard.store.model import CommitResult, Pair, Progress
from dashboard.store.publish import state_of
from loaders.model import ImportReport, Known, Request

_TURNS = 5
"""How often a file is checked again because others load at the same time."""


@acts("data.load")
def load_file(
    store: Store,
    actor: Actor,
    path: Path,
    request: Request,
    pairs: Iterable[Pair],
    dry_run: bool = False,
    accept_valid_rows: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Check one file and, if nothing speaks against it, commit it whole.

    A file with an error changes nothing, unless ``accept_valid_rows`` takes its valid rows.

    Args:
        actor: who loads; what lies outside their scope is unknown to the checks.
        request: what the person said about the file.
        pairs: what the snapshots hold (``coverage.registry.pairs()``).
        dry_run: check only.
        progress: told about each step.

    Returns:
        The report. ``committed`` is False, without an error, when every row was already stored;
        ``rows_changed`` and ``rows_unchanged`` count canonical rows (for figures: values).

    Raises:
        DudaoError: what ``commit`` raises; nothing was written then.
    """
    reports = load_files(store, actor, [path], request, pairs, dry_run, accept_valid_rows, progress)
    return reports[0]


@acts("data.load")
def load_files(
    store: Store,
    actor: Actor,
    paths: Iterable[Path],
    request: Request,
    pairs: Iterable[Pair],
    dry_run: bool = False,
    accept_valid_rows: bool = False,
    progress: Progress | None = None,
) -> list[ImportReport]:
    """Load several files, places before institutions before figures; reports in the given order.

    Each file is its own all-or-nothing: one that is refused does not hold the others back. With
    ``dry_run`` each file is checked against what is stored now, not against the other files.

    Args, Raises: as ``load_file``. After an error the files before it stay loaded.
    """
    wanted = tuple(pairs)
    stored = known(store, actor)
    checked = [check_file(path, request, stored, progress) for path in paths]
    if dry_run:
        return [entry.prepared.report for entry in checked]
    new_places = False
    new_months: set[str] = set()
    for dataset in ORDER:
        for position, entry in enumerate(checked):
            if entry.prepared.dataset != dataset:
                continue
            if new_places or not new_months.isdisjoint(entry.months):
                # What it was checked against has changed since.
                entry = check_file(entry.path, request, known(store, actor), progress)
            result = None
            for turn in range(_TURNS):
                checked[position] = entry
                try:
                    result = commit_file(store, actor, entry, wanted, accept_valid_rows, progress)
                    break
                except StaleCheck:
                    # Somebody else's load came in between.
                    if turn == _TURNS - 1:
                        raise
                    entry = check_file(entry.path, request, known(store, actor), progress)
            if result is None:
                continue
            if dataset == "figures":
                new_months |= entry.months
            else:
                new_places = True
            checked[:] = [_carried(other, result) for other in checked]
    return [entry.prepared.report for entry in checked]


def _carried(checked: CheckedFile, result: CommitResult) -> CheckedFile:
    """A file checked just before a load of ours: that load alone makes it no older.

    Where it does, because the files overlap, the file is checked again anyway.
    """
    if result.state is None or checked.state != result.state - 1:
        return checked
    return replace(checked, state=result.state)


@acts("data.check")
def known(store: Store, actor: Actor) -> Known:
    """What is stored where the actor may load, for the checks; figures and shapes when asked for.

    Raises:
        NotAllowed
    """
    with store.unit(actor, "data.check") as unit:
        places, institutions = unit.place_frame(), unit.institution_frame()
        state = state_of(unit)
    return Known(
        places=places,
        institutions=institutions,
        figures=_figures(store, actor),
        shapes=_shapes(store, actor),
        persons=register_of(store, actor),
        records=_records(store, actor),
        layers=targets.known_layers(),
        state=state,
    )


def _figures(
    store: Store, actor: Actor
) -> Callable[[Sequence[str], Sequence[str], Sequence[str]], pd.DataFrame]:
    def figures(
        place_ids: Sequence[str], months: Sequence[str], measures: Sequence[str]
    ) -> pd.DataFrame:
        with store.unit(actor, "data.check") as unit:
            return unit.figures(place_ids, months, measures)

    return figures


def _records(store: Store, actor: Actor) -> Callable[[str, str, Sequence[str]], pd.DataFrame]:
    def records(dataset: str, column: str, values: Sequence[str]) -> pd.DataFrame:
        with store.unit(actor, "data.check") as unit:
            return unit.records(dataset, column, values)

    return records


def _shapes(store: Store, actor: Actor) -> Callable[[Sequence[str]], Mapping[str, Any]]:
    def shapes(place_ids: Sequence[str]) -> Mapping[str, Any]:
        with store.unit(actor, "data.check") as unit:
            found = unit.shapes(place_ids, date.today())
        return {place_id: shapely.from_wkb(shape.wkb) for place_id, shape in found.items()}

    return shapes

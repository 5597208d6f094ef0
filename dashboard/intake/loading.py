"""One file checked, one checked file committed: what the command line and the desk share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dashboard.access import Actor
from dashboard.coverage import disclosure
from dashboard.intake.model import NEVER_LOADED, summary
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, CommitResult, Pair, Progress
from dashboard.store.publish import LOAD_TIMEOUT_S
from loaders.masking import mask_text
from loaders.model import Known, Prepared, Request
from loaders.prepare import prepare
from loaders.readers import Stop
from loaders.registry import record_datasets

ORDER = ("places", "institutions", "figures", "targets", "persons", *record_datasets())
"""Datasets in the order they need each other."""


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file as it was read and checked.

    Attributes:
        name: what it is called, wherever it lies.
        state: of the store it was checked against; None: whatever is stored will do.
    """

    path: Path
    name: str
    prepared: Prepared
    state: int | None = None

    @property
    def months(self) -> frozenset[str]:
        """The months a figures file speaks of."""
        return frozenset(months_of(self.prepared))


def months_of(prepared: Prepared) -> tuple[str, ...]:
    """The months a figures file brings, ascending; none for other datasets."""
    if prepared.dataset != "figures" or prepared.frame.empty:
        return ()
    return tuple(sorted(prepared.frame["month"].unique()))


def check_file(
    path: Path,
    request: Request,
    stored: Known,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> CheckedFile:
    """Read one file and check it against what is stored."""
    name = mask_text(request.name or path.name)
    if progress is not None:
        progress(f"正在检查 {name}")
    return CheckedFile(path, name, prepare(path, request, stored, stop), stored.state)


def commit_file(
    store: Store,
    actor: Actor,
    checked: CheckedFile,
    pairs: Sequence[Pair],
    accept_valid_rows: bool,
    progress: Progress | None = None,
    timeout: float = LOAD_TIMEOUT_S,
) -> CommitResult | None:
    """Commit one checked file unless its errors forbid it; None when nothing changed.

    The report is told what came of it.

    Raises:
        StaleCheck: the file has to be checked again.
        DudaoError: as ``dashboard.store.commit.commit``; nothing was written then.
    """
    prepared, report = checked.prepared, checked.prepared.report
    if prepared.frame.empty or prepared.dataset is None:
        return None
    counts = report.issues.counts()
    if any(counts[code] for code in NEVER_LOADED):
        return None
    if report.has_errors and not accept_valid_rows:
        return None
    result = commit(
        store,
        actor,
        Change(
            dataset=prepared.dataset,
            frame=prepared.frame,
            geometries=prepared.geometries,
            file=checked.name,
            sha256=report.sha256 or "",
            summary=summary(report),
        ),
        pairs,
        progress,
        timeout,
        checked.state,
    )
    disclosure.prepare(store.snapshots, result.snapshots)
    report.rows_changed = result.changed
    report.rows_unchanged = result.unchanged
    report.committed = result.batch is not None
    report.batch = None if result.batch is None else str(result.batch)
    return result if report.committed else None

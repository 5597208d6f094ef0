"""Copies of persons outside the database, and their removal when somebody is erased."""

from __future__ import annotations

from pathlib import Path

from dashboard.intake.shelf import Shelf
from dashboard.privacy.service import Copies
from dashboard.store import Store
from geodata.errors import DudaoError
from loaders.fold import fold
from loaders.prepare import inspect
from loaders.registry import datasets


def remove_uploads(store: Store) -> int:
    """Remove every upload that holds identity numbers, or cannot be read; returns how many.

    Whole files go, not single rows: the file of another program cannot be rewritten faithfully, and
    whoever uploaded it still has it.
    """
    shelf = Shelf(store.directory)
    removed = 0
    for upload in list(shelf.all()):
        kept = [shelf.file(upload)] if upload.has_file else []
        kept += [path for path in [shelf.rejected_file(upload)] if path.exists()]
        if any(_may_hold_persons(path) for path in kept):
            shelf.remove(upload.id)
            removed += 1
    return removed


def _may_hold_persons(path: Path) -> bool:
    words = {
        fold(word)
        for dataset in datasets().values()
        for column in dataset.columns.values()
        if column.kind == "id_number"
        for word in (column.id, *column.aliases)
    }
    try:
        sheets = inspect(path)
    except DudaoError:
        return True
    return any(
        fold(part) in words
        for sheet in sheets
        for heading in sheet.headings
        for part in (heading, *heading.split())
    )


COPIES: Copies = {"uploads": remove_uploads}
"""For ``privacy.service.erase`` and ``expire``."""

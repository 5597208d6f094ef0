"""A typed cell as a text."""

from __future__ import annotations

import datetime as dt
from typing import Any


def cell_text(cell: Any) -> str:
    """A cell as a person reads it: whole numbers without ``.0``, dates as ``2026-10-01``."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, dt.datetime):
        midnight = cell.time() == dt.time()
        return cell.date().isoformat() if midnight else cell.isoformat(" ")
    return "" if cell is None else str(cell)

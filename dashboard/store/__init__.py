"""Tables, facts and snapshots behind ``Store`` (open, write) and ``Unit`` (read)."""

from dashboard.store.store import Store
from dashboard.store.unit import Unit

__all__ = ["Store", "Unit"]

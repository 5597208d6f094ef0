"""The facts: a Delta table of observations, by month."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from dashboard.store.appended import Appended

SCHEMA = pa.schema(
    [
        pa.field("place_id", pa.string(), nullable=False),
        pa.field("month", pa.string(), nullable=False),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
    ]
)


class Facts(Appended):
    """The Delta table ``observations``."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, SCHEMA, ("month",))

    def observations(self, months: Collection[str]) -> ds.Dataset:
        """The rows of some months, read lazily and from their partitions only."""
        return self.rows(month=months)

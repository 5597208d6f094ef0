"""What one read may cost. Each bound is far above an honest file of the largest kind we load."""

from __future__ import annotations

from dataclasses import dataclass

MOST_FILE_BYTES = 200 << 20
"""Largest file taken, 200 MB: a million rows of figures are 45 MB."""

MOST_HANDED_BACK = 1 << 30
"""Largest result the parent takes from the reading process."""

MOST_MANIFEST_BYTES = 16 << 20
MOST_SHEETS = 1_000
MOST_COLUMNS = 16_384
MOST_ROWS = 20_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one reading process.

    Attributes:
        memory_bytes: address space, libraries included (about 0.5 GB of it).
        cpu_s: processor seconds over all threads.
        wall_s: seconds until the parent ends it.
        file_bytes: largest file it may write.
        open_files: files open at once.
    """

    memory_bytes: int = 3 << 30
    cpu_s: int = 30
    wall_s: float = 32.0
    file_bytes: int = MOST_HANDED_BACK
    open_files: int = 64

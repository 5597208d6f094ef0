"""How much memory this process takes while something runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _kilobytes(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)


@contextmanager
def grows_less_than(megabytes: int) -> Iterator[None]:
    """Fail when this process's peak of resident memory rises by more, its children not counted."""
    if not _STATUS.exists():
        pytest.skip("needs /proc")
    _CLEAR.write_text("5")
    before = _kilobytes("VmRSS")
    yield
    grown = (_kilobytes("VmHWM") - before) / 1024
    assert grown < megabytes, f"grew by {grown:.0f} MB"

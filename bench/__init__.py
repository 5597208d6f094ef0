"""The figures of docs/performance.md: ``python -m bench``. Ratios come from one run."""

from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "out"

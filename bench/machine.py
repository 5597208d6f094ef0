"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.ensure_chromium import ensure

_PACKAGES = (
    "streamlit", "streamlit-folium", "folium", "pandas", "numpy", "shapely", "duckdb", "deltalake",
    "ibis-framework",
)  # fmt: skip


def describe() -> dict[str, str]:
    """Date, processor, memory, system and versions, in words."""
    browser = subprocess.run([ensure(), "--version"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{_memory_gb():.0f} GB",
        "load": f"{os.getloadavg()[0]:.1f} runnable processes on average before the run",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "browser": browser.stdout.strip().split(" built on")[0] + ", headless, no GPU",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "command": "make bench",
    }


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def peak_gb() -> float:
    """The most memory this process held so far; of a child, unlike ``ru_maxrss``, its own alone."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (held,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(held) * 1024 / 1e9

"""``python -m tests.security.small_server DATA PORT`` serves ``small_app`` behind the real gate."""

from __future__ import annotations

import sys
from pathlib import Path

from dashboard.server import serve
from dashboard.settings import Settings

if __name__ == "__main__":
    serve(
        Settings.load(Path(sys.argv[1])),
        "127.0.0.1",
        int(sys.argv[2]),
        Path(__file__).with_name("small_app.py"),
    )

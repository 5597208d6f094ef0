"""The real server with a stopwatch around every script run.

``python -m bench.serve DATA PORT TIMINGS`` is ``python -m dashboard serve`` except that
``ScriptRunner._run_script``, the function in which Streamlit runs the page from the first line to
the last (callbacks included, network and browser not), is timed. One JSON line a run: ``wall``;
``cpu`` of the script's own thread; and how long that thread was ``waiting`` for a processor that
something else had (the browser, another thread, another program), as Linux counts it. In seconds.
What is left of ``wall`` it slept: for the interpreter's lock, the disk or the database.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from threading import get_native_id
from typing import Any

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from dashboard.server import serve
from dashboard.settings import Settings


def _clocks() -> dict[str, float]:
    """The three clocks of this thread, in seconds."""
    ran = Path(f"/proc/self/task/{get_native_id()}/schedstat").read_text(encoding="ascii").split()
    return {
        "wall": time.perf_counter(),
        "cpu": time.thread_time(),
        "waiting": int(ran[1]) / 1e9,
    }


def main(data: str, port: str, timings: str) -> None:
    """Serve until ended."""
    run = ScriptRunner._run_script

    def timed(self: ScriptRunner, *args: Any, **kwargs: Any) -> None:
        before = _clocks()
        try:
            run(self, *args, **kwargs)
        finally:
            took = {name: now - before[name] for name, now in _clocks().items()}
            with Path(timings).open("a", encoding="utf-8") as file:
                file.write(json.dumps(took) + "\n")

    ScriptRunner._run_script = timed  # type: ignore[method-assign]
    settings = Settings.load(Path(data))
    serve(settings, "127.0.0.1", int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])

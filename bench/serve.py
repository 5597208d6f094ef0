"""The real server with a stopwatch around every script run.

``python -m bench.serve DATA PORT TIMINGS`` is ``python -m dashboard serve`` except that
``ScriptRunner._run_script``, the function in which Streamlit runs the page from the first line to
the last (callbacks included, network and browser not), is timed. One JSON line a run: ``wall`` and
``cpu`` (of the script's own thread) in seconds.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from dashboard.server import serve
from dashboard.settings import Settings


def main(data: str, port: str, timings: str) -> None:
    """Serve until ended."""
    run = ScriptRunner._run_script

    def timed(self: ScriptRunner, *args: Any, **kwargs: Any) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            run(self, *args, **kwargs)
        finally:
            took = {"wall": time.perf_counter() - wall, "cpu": time.thread_time() - cpu}
            with Path(timings).open("a", encoding="utf-8") as file:
                file.write(json.dumps(took) + "\n")

    ScriptRunner._run_script = timed  # type: ignore[method-assign]
    settings = Settings.load(Path(data))
    serve(settings, "127.0.0.1", int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])

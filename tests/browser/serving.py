"""The real server in a process of its own, as ``make run`` starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

STARTED_WITHIN_S = 60


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    data: Path,
    working_directory: Path,
    environment: Mapping[str, str] | None = None,
    module: str | None = None,
) -> Iterator[str]:
    """Serve a data directory, started from ``working_directory``; gives the address.

    Args:
        environment: added to the process's own.
        module: what to run instead of ``dashboard serve``, as ``python -m MODULE DATA PORT``.
    """
    port = free_port()
    log = working_directory / f"serve-{port}.log"
    own = {name: text for name, text in os.environ.items() if name != "DUDAO_DATA"}
    root = str(Path(__file__).parents[2])
    added = dict(environment or {})
    own["PYTHONPATH"] = os.pathsep.join(
        [part for part in (added.pop("PYTHONPATH", ""), root) if part]
    )
    environment = {**own, **added}
    command = [sys.executable, "-m", "dashboard", "serve", "--port", str(port), "--data", str(data)]
    if module is not None:
        command = [sys.executable, "-m", module, str(data), str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=working_directory, env=environment, stdout=output, stderr=output
        )
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')}")

"""Starts a reading process, watches it, ends it, and says how it ended."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from loaders.readers.problem import ReadProblem
from loaders.sandbox.child import OUT_OF_FILE, OUT_OF_MEMORY
from loaders.sandbox.environment import environment
from loaders.sandbox.limits import Limits

log = logging.getLogger(__name__)

Stop = Callable[[], bool]
"""Asked several times a second while a file is read; True ends the read."""

PACKAGES = {"loaders": Path(__file__).resolve().parents[1]}
"""What of this project the reading process may import, by name and folder."""

# The package's own front door would import pandas and the checks, so a bare one takes its place.
_START = """
import json, sys, types
job = json.loads(sys.argv[1])
sys.path[:] = job["path"]
for name, folder in job["packages"].items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from loaders.sandbox.child import main
main(job)
"""
_LIBRARIES = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache",
    "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo", "/dev/urandom", "/dev/null",
)  # fmt: skip
_TICK_S = 0.02
_TAIL = 4_000
_SAYS_MEMORY = (b"memory allocation of", b"bad_alloc", b"MemoryError", b"out of memory")


@contextmanager
def run(
    entry: str,
    arguments: Mapping[str, Any],
    source: IO[bytes],
    limits: Limits | None = None,
    stop: Stop | None = None,
    packages: Mapping[str, Path] = PACKAGES,
) -> Iterator[Path]:
    """Run ``entry`` in a reading process and yield the folder with what it left behind.

    The folder is gone afterwards. Nothing in it can be trusted.

    Args:
        entry: ``module:function``, called as ``function(arguments, active protections)``.
        arguments: what JSON can say.
        source: the file, which becomes the process's standard input.
        stop: asked while waiting; True ends the process.
        packages: what the process may import besides the installed libraries.

    Raises:
        ReadProblem: ``FILE_TOO_COSTLY``, ``FILE_READER_DIED`` or ``READ_STOPPED``.
    """
    bounds = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="dudao-read-") as folder:
        folders = {name: str(home) for name, home in packages.items()}
        libraries = _import_path()
        job = {
            "path": libraries,
            "packages": folders,
            "readable": [*_LIBRARIES, *libraries, *folders.values()],
            "entry": entry,
            "arguments": dict(arguments),
            "limits": asdict(bounds),
        }
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", "-c", _START, json.dumps(job)],
                stdin=source,
                stdout=subprocess.DEVNULL,
                stderr=said,
                cwd=folder,
                env=environment(folder),
                start_new_session=True,
            )
            cause = _watch(process, bounds.wall_s, stop)
            said.seek(max(0, said.seek(0, os.SEEK_END) - _TAIL))
            words = said.read()
        if cause is None:
            cause = _cause(process.returncode, words)
        if words.strip():
            level = logging.INFO if cause is None else logging.WARNING
            log.log(level, "the reading process said: %s", words.decode(errors="replace").strip())
        if cause is not None:
            raise cause
        yield Path(folder)


def _import_path() -> list[str]:
    """Where libraries are; not the project, whose data may lie beside its code."""
    homes = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found = []
    for entry in sys.path:
        known = entry in homes or Path(entry).name in (
            "site-packages", "dist-packages", "lib-dynload"
        )  # fmt: skip
        if entry and (known or entry.endswith(".zip")):
            found.append(entry)
    return found


def _watch(
    process: subprocess.Popen[bytes], wall_s: float, stop: Stop | None
) -> ReadProblem | None:
    """Wait for the end, or bring it about; why, when the parent did."""
    until = time.monotonic() + wall_s
    cause: ReadProblem | None = None
    try:
        while True:
            try:
                process.wait(_TICK_S)
                return None
            except subprocess.TimeoutExpired:
                pass
            if stop is not None and stop():
                cause = ReadProblem("READ_STOPPED")
            elif time.monotonic() > until:
                cause = _too_costly("time")
            if cause is not None:
                return cause
    finally:
        # Also when an exception of the caller's own (an interrupt, a rerun) passes through here.
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _cause(status: int, words: bytes) -> ReadProblem | None:
    """What the exit status of a process that ended by itself means."""
    if status == 0:
        return None
    if status == OUT_OF_MEMORY or any(sign in words for sign in _SAYS_MEMORY):
        return _too_costly("memory")
    if status == OUT_OF_FILE:
        return _too_costly("result")
    if status == -getattr(signal, "SIGXCPU", 24):
        return _too_costly("cpu")
    if status == -getattr(signal, "SIGKILL", 9):
        # Nobody here killed it: the system did, for memory or for processor time.
        return _too_costly("memory")
    return ReadProblem("FILE_READER_DIED", status=status)


_COSTS = {
    "time": ("读取时间", "time"),
    "cpu": ("运算时间", "processor time"),
    "memory": ("内存", "memory"),
    "result": ("展开后的内容", "unpacked content"),
}


def _too_costly(what: str) -> ReadProblem:
    words, words_en = _COSTS[what]
    return ReadProblem("FILE_TOO_COSTLY", what=words, what_en=words_en)

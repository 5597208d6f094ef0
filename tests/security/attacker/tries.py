"""Entries for ``loaders.sandbox.run.run``: each tries something and writes down what it got."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Active = tuple[str, ...]


def _note(tried: dict[str, Any]) -> None:
    Path("tried.json").write_text(json.dumps(tried))


def _outcome(attempt: Callable[[], Any]) -> str:
    try:
        return f"done: {attempt()}"
    except BaseException as error:
        return type(error).__name__


def network(arguments: dict[str, Any], active: Active) -> None:
    """Every way to a socket, a name and the address of a real listener."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ring() -> int:
        handle = libc.syscall(425, 8, ctypes.create_string_buffer(256))
        if handle < 0:
            raise OSError(ctypes.get_errno())
        return int(handle)

    _note(
        {
            "active": active,
            "inet": _outcome(lambda: socket.socket(socket.AF_INET)),
            "inet6": _outcome(lambda: socket.socket(socket.AF_INET6)),
            "unix": _outcome(lambda: socket.socket(socket.AF_UNIX)),
            "packet": _outcome(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
            "connect": _outcome(
                lambda: socket.create_connection(("127.0.0.1", arguments["port"]), 2)
            ),
            "name": _outcome(lambda: socket.getaddrinfo("example.com", 80)),
            "ring": _outcome(ring),
        }
    )


def files(arguments: dict[str, Any], active: Active) -> None:
    """Read what is not the file given, write elsewhere, leave links behind."""
    _note(
        {
            "active": active,
            "canary": _outcome(lambda: Path(arguments["canary"]).read_text()),
            "passwords": _outcome(lambda: Path("/etc/passwd").read_text()),
            "parent_memory": _outcome(lambda: os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY)),
            "parent_environment": _outcome(
                lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()
            ),
            "list_root": _outcome(lambda: os.listdir("/")),
            "list_home": _outcome(lambda: os.listdir(arguments["home"])),
            "write_there": _outcome(lambda: Path(arguments["elsewhere"]).write_text("x")),
            "link": _outcome(lambda: os.symlink(arguments["canary"], "link")),
            "hard_link": _outcome(lambda: os.link(arguments["canary"], "hard")),
            "write_here": _outcome(lambda: Path("here.txt").write_text("x")),
            "read_stdlib": _outcome(lambda: len(Path(json.__file__).read_text()) > 0),
        }
    )


def processes(arguments: dict[str, Any], active: Active) -> None:
    """Start, trace and signal processes, raise one's own limits, get rights back."""
    import resource

    libc = ctypes.CDLL(None, use_errno=True)

    def call(*words: Any) -> int:
        result = libc.syscall(*words)
        if result < 0:
            raise OSError(ctypes.get_errno())
        return int(result)

    thread = threading.Thread(target=lambda: None)
    _note(
        {
            "active": active,
            "fork": _outcome(os.fork),
            "exec": _outcome(lambda: os.execv(sys.executable, [sys.executable, "-c", ""])),
            "spawn": _outcome(lambda: os.posix_spawn("/bin/true", ["true"], {})),
            "kill_parent": _outcome(lambda: os.kill(os.getppid(), signal.SIGTERM)),
            "trace_parent": _outcome(lambda: call(101, 16, os.getppid(), 0, 0)),
            "raise_memory": _outcome(lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1))),
            "become_root": _outcome(lambda: call(272, 0x10000000)),
            "thread": _outcome(lambda: (thread.start(), thread.join())),
        }
    )


def environment(arguments: dict[str, Any], active: Active) -> None:
    """What is visible without trying anything."""
    _note(
        {
            "variables": dict(os.environ),
            "folder": os.listdir("."),
            "open_files": [
                handle
                for handle in range(256)
                if _outcome(lambda h=handle: os.fstat(h)) != "OSError"
            ],
            "input": os.read(0, 100).decode(),
        }
    )


def drivers(arguments: dict[str, Any], active: Active) -> None:
    """What GDAL offers, and what it makes of other sources."""
    import pyogrio

    sources = {
        name: _outcome(lambda text=text: pyogrio.read_info(text))
        for name, text in arguments["sources"].items()
    }
    _note({"drivers": sorted(pyogrio.list_drivers()), "sources": sources})


def spin(arguments: dict[str, Any], active: Active) -> None:
    """Compute for ever."""
    while True:
        pass


def sleep(arguments: dict[str, Any], active: Active) -> None:
    """Wait for ever, deaf to requests to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def eat(arguments: dict[str, Any], active: Active) -> None:
    """Take memory until there is no more, and touch it."""
    kept = []
    while True:
        kept.append(bytearray(64 << 20))


def fill(arguments: dict[str, Any], active: Active) -> None:
    """Write without end."""
    with open("much", "wb") as stream:
        while True:
            stream.write(bytes(1 << 20))


def abort(arguments: dict[str, Any], active: Active) -> None:
    """Die as a library with a broken heap does."""
    os.abort()


def fail(arguments: dict[str, Any], active: Active) -> None:
    """Die of an error nobody foresaw."""
    raise KeyError("nobody foresaw this")

"""What runs inside the reading process. Its standard input is the file, its folder is empty."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import Any

from loaders.sandbox.limits import Limits
from loaders.sandbox.protect import protect

OUT_OF_MEMORY, OUT_OF_FILE = 81, 82
"""Exit codes by which the child says which bound it met."""


def main(job: dict[str, Any]) -> None:
    """Give up every right but the needed ones, then run the job's entry.

    Args:
        job: ``entry`` as ``module:function``, called with the job's ``arguments`` and the names of
            the protections in force; ``limits``, ``readable``.
    """
    active = protect(Limits(**job["limits"]), job["readable"], os.getcwd())
    module, name = job["entry"].split(":")
    try:
        getattr(importlib.import_module(module), name)(job["arguments"], active)
    except MemoryError:
        _leave(OUT_OF_MEMORY)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            _leave(OUT_OF_MEMORY)
        if error.errno == errno.EFBIG:
            _leave(OUT_OF_FILE)
        raise
    # Libraries' exit handlers have nothing to add, and some need threads or memory.
    _leave(0)


def _leave(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)


def read_file(arguments: dict[str, Any], active: tuple[str, ...]) -> None:
    """Read the file on standard input and leave the result in the working folder."""
    # pyogrio imports pandas where it finds it, for functions not used here: a second for nothing.
    for unused in ("pandas", "geopandas", "pyproj"):
        sys.modules[unused] = None  # type: ignore[assignment]
    from loaders.readers.content import read_content
    from loaders.readers.problem import ReadProblem
    from loaders.sandbox.handover import give, give_problem

    try:
        with open(0, "rb", closefd=False) as stream:
            data = stream.read()
        give(read_content(data, **arguments), active)
    except ReadProblem as problem:
        give_problem(problem, active)

"""One reader a family of formats; `read` has a process of its own do the reading.

`content` and the readers beside it run in that process only (see ``loaders.sandbox``), so nothing
here or there may need pandas.
"""

from __future__ import annotations

import logging
import os
import stat
from functools import cache
from pathlib import Path
from typing import IO

from loaders.readers.encoding import check_name
from loaders.readers.problem import ReadProblem
from loaders.readers.suffix import check_suffix
from loaders.sandbox.handover import take
from loaders.sandbox.limits import MOST_FILE_BYTES, Limits
from loaders.sandbox.protect import WANTED
from loaders.sandbox.run import Stop, run
from loaders.table import Source

log = logging.getLogger(__name__)

__all__ = ["ReadProblem", "Stop", "read"]

_READER = "loaders.sandbox.child:read_file"


def read(
    path: Path,
    layer: str | None = None,
    encoding: str | None = None,
    stop: Stop | None = None,
    limits: Limits | None = None,
) -> Source:
    """Read a file once and return its sheets or layers; what was parsed is what was hashed.

    This process only looks at the file's name and size. Everything else happens in a process
    without network, with its memory and time limited.

    Args:
        layer: sheet or layer to read; None for all sheets, or the only layer.
        encoding: one of ``encoding.ENCODINGS``, when the person said it; None to find out.
        stop: asked while reading; True ends the read with ``READ_STOPPED``.

    Raises:
        ReadProblem: the file cannot be read, with the code of the issue that says why.
    """
    suffix = check_suffix(path.name)
    if encoding is not None:
        encoding = check_name(encoding)
    arguments = {"suffix": suffix, "layer": layer, "encoding": encoding}
    try:
        with _plain_file(path) as source, run(_READER, arguments, source, limits, stop) as folder:
            taken = take(folder)
    except ReadProblem as problem:
        raise checked(problem) from problem
    _say_what_is_missing(taken.protections)
    return taken


@cache
def _say_what_is_missing(active: tuple[str, ...]) -> None:
    """Tell the log, once, which protections this system does not offer."""
    missing = [name for name in WANTED if name not in active]
    if missing:
        log.warning("files are read without these protections: %s", ", ".join(missing))


def _plain_file(path: Path) -> IO[bytes]:
    try:
        # Without O_NONBLOCK opening a named pipe would wait for ever.
        handle = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except (OSError, ValueError) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise ReadProblem("FILE_UNREADABLE", detail=detail) from error
    source = os.fdopen(handle, "rb")
    state = os.fstat(handle)
    problem = None
    if not stat.S_ISREG(state.st_mode):
        problem = ReadProblem("FILE_UNREADABLE", detail="不是普通文件")
    elif state.st_size == 0:
        problem = ReadProblem("FILE_EMPTY")
    elif state.st_size > MOST_FILE_BYTES:
        problem = ReadProblem(
            "FILE_TOO_LARGE", size=state.st_size >> 20, limit=MOST_FILE_BYTES >> 20
        )
    if problem is not None:
        source.close()
        raise problem
    return source


def checked(problem: ReadProblem) -> ReadProblem:
    """The problem, if it is one of the registry's; the reading process is not believed."""
    from loaders.issues import CODES  # It needs pandas, which the reading process does without.

    entry = CODES.get(problem.code)
    if entry is None or problem.params.keys() != entry.params:
        return ReadProblem("FILE_READER_DIED", status="handover")
    return problem

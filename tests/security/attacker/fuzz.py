"""Reads many files one after the other in one reading process and notes what each came to."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

from loaders.readers.content import read_content
from loaders.readers.problem import ReadProblem


def batch(arguments: dict[str, Any], active: tuple[str, ...]) -> None:
    """The standard input holds the files end to end; ``files`` says (suffix, length) of each.

    The outcome of a file is a line: ``read``, ``problem CODE`` or ``error`` with its traceback.
    """
    with open(0, "rb", closefd=False) as stream, Path("outcomes").open("w") as outcomes:
        for suffix, length in arguments["files"]:
            data = stream.read(length)
            try:
                read_content(data, suffix)
                outcome = "read"
            except ReadProblem as problem:
                outcome = f"problem {problem.code}"
            except MemoryError:
                outcome = "problem FILE_TOO_COSTLY"
            except Exception:
                outcome = f"error {traceback.format_exc()}"
            print(json.dumps(outcome), file=outcomes, flush=True)
            for left in os.listdir("."):
                if left != "outcomes":
                    os.unlink(left)

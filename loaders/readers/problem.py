"""How a reader says that a file cannot be read."""

from __future__ import annotations

from typing import Any


class ReadProblem(Exception):
    """The file cannot be read.

    Only words travel, so that the reading process can hand a problem back without the registry.

    Attributes:
        code: a key of ``loaders.issues.CODES``.
        value: the offending text, or None.
        params: what the code's templates need.
    """

    def __init__(self, code: str, value: str | None = None, **params: Any) -> None:
        super().__init__(code, value, params)
        self.code = code
        self.value = value
        self.params = params

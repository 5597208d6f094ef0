"""The one error type that reaches a person: a code, what is wrong, what to do."""

from __future__ import annotations


class DudaoError(Exception):
    """An error a user can act on.

    Attributes:
        code: stable identifier, upper snake case, e.g. ``PLACE_NOT_FOUND``.
        message: what is wrong and where, in Simplified Chinese.
        remedy: what the person can do about it, in Simplified Chinese.
    """

    exit_code = 2
    """What the command line exits with: 2, the input was rejected."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(f"[{code}] {message} {remedy}")
        self.code = code
        self.message = message
        self.remedy = remedy

    def as_dict(self) -> dict[str, str]:
        """The JSON form the command line prints under ``error``."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy}


class SystemProblem(DudaoError):
    """The input may be fine; the machine, the data directory or another process is in the way."""

    exit_code = 1

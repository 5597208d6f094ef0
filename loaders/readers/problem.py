"""How a reader says that a file cannot be read."""

from __future__ import annotations

from geodata.errors import DudaoError
from loaders.issues import CODES
from loaders.model import Issue


class ReadProblem(Exception):
    """The file cannot be read; ``issue`` says why and what to do."""

    def __init__(self, issue: Issue) -> None:
        super().__init__(issue.message)
        self.issue = issue

    def as_error(self) -> DudaoError:
        """The same for callers without a report."""
        remedy = CODES[self.issue.code].remedy
        return DudaoError(self.issue.code, self.issue.message.removesuffix(remedy), remedy)

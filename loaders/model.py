"""What a load tells the person: issues, suggestions and one report a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """error: the row cannot be taken; warning: taken, look at it; info: said for the record."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem in one file. ``code`` is a key of ``loaders.issues.CODES``.

    Attributes:
        sheet: sheet or layer name, None for a file-wide issue or a format without sheets.
        row: original row number as the person sees it in the file (1-based), or None.
        column: original column heading, or None.
        value: the offending text as it stood in the file, or None.
    """

    code: str
    severity: Severity
    message: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    value: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form in ``load --json``."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "sheet": self.sheet,
            "row": self.row,
            "column": self.column,
            "value": self.value,
        }


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name that matched no place by code: candidates a person must choose from."""

    sheet: str | None
    row: int
    name: str
    parent_name: str | None
    candidates: tuple[tuple[str, str, float], ...]
    """(place id, place name, score 0-100), best first."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form in ``load --json``."""
        return {
            "sheet": self.sheet,
            "row": self.row,
            "name": self.name,
            "parent_name": self.parent_name,
            "candidates": [
                {"id": place_id, "name": name, "score": round(score, 1)}
                for place_id, name, score in self.candidates
            ],
        }


@dataclass(slots=True)
class ImportReport:
    """Everything one load found in one file.

    ``rows_read`` = ``rows_valid`` + ``rows_rejected`` (+ skipped total and note rows, counted
    apart). ``committed`` is set by the intake room after the rows are in.
    """

    file: str
    dataset: str | None = None
    encoding: str | None = None
    crs: str | None = None
    header_rows: dict[str, list[int]] = field(default_factory=dict)
    rows_read: int = 0
    rows_valid: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    rows_changed: int = 0
    rows_unchanged: int = 0
    committed: bool = False
    batch: str | None = None
    issues: list[Issue] = field(default_factory=list)
    suggestions: list[Suggestion] = field(default_factory=list)

    @property
    def has_errors(self) -> bool:
        """Whether any issue is an error."""
        return any(issue.severity is Severity.ERROR for issue in self.issues)

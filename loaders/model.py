"""What goes into a load and what it tells the person: request, known state, issues, one report."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from loaders.masking import mask_text
from loaders.registry import record_datasets
from loaders.table import Table

PLACE_COLUMNS = ("id", "name", "level", "parent_id", "path", "valid_from", "valid_to")
INSTITUTION_COLUMNS = ("id", "name", "kind", "place_id", "lon", "lat")
PERSON_COLUMNS = ("key", "place_id", "name", "id_last4", "phone", "sex", "birth_year")
FIGURE_COLUMNS = ("place_id", "month", "measure", "value", "source")
TARGET_COLUMNS = ("layer", "place_id", "year", "value")

SHOWN_PER_CODE = 100
"""How many issues of one code the console and ``--json`` show; the CSV always has all."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Severity(StrEnum):
    """error: the row cannot be taken; warning: taken, look at it; info: said for the record."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem in one file. ``code`` is a key of ``loaders.issues.CODES``.

    Attributes:
        message: what is wrong and what to do, in Simplified Chinese.
        sheet: sheet or layer name, None for a file-wide issue or a format without sheets.
        row: original row number as the person sees it in the file (1-based), or None.
        column: original column heading, or None.
        value: the offending text as it stood in the file, or None.
        message_en: the same message in English.
    """

    code: str
    severity: Severity
    message: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None
    value: str | None = None
    message_en: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form in ``load --json``."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "message": self.message,
            "message_en": self.message_en,
            "sheet": self.sheet,
            "row": self.row,
            "column": self.column,
            "value": self.value,
        }


Cells = str | NDArray[Any] | None
"""One value for every issue of a block, or an array with one each; an empty text counts as None."""


@dataclass(frozen=True, slots=True)
class IssueBlock:
    """Many issues of one code kept as columns, so that 100,000 alike cost a few arrays.

    Issues are printed, downloaded and logged: an identity or mobile number that stood in whatever
    column of whatever file comes out masked.

    Attributes:
        template, template_en: message with ``{name}`` places filled from ``params``; ``{sheet}``,
            ``{row}``, ``{column}`` and ``{value}`` are filled from the columns.
        rows: original 1-based row numbers, 0 where an issue has none.
        params: texts or numbers for the templates, each one for all or an array with one each.
    """

    code: str
    severity: Severity
    template: str
    template_en: str
    rows: NDArray[np.int64]
    sheet: Cells = None
    column: Cells = None
    value: Cells = None
    params: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Issue]:
        for index in range(len(self.rows)):
            yield self.issue(index)

    def issue(self, index: int) -> Issue:
        """The issue at a position."""
        sheet, column, value = (
            _text_at(cells, index) for cells in (self.sheet, self.column, self.value)
        )
        row = int(self.rows[index])
        words = {name: _at(cells, index) for name, cells in self.params.items()}
        words.update(sheet=sheet or "", row=row, column=column or "", value=value or "")
        return Issue(
            code=self.code,
            severity=self.severity,
            message=mask_text(self.template.format(**words)),
            sheet=sheet,
            row=row or None,
            column=column,
            value=None if value is None else mask_text(value),
            message_en=mask_text(self.template_en.format(**words)),
        )


def _at(cells: Any, index: int) -> Any:
    return cells[index] if isinstance(cells, np.ndarray) else cells


def _text_at(cells: Cells, index: int) -> str | None:
    found = _at(cells, index)
    return None if found is None or found == "" else str(found)


class IssueLog:
    """All issues of one load, in the order found; iterates as ``Issue`` without storing them."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: list[IssueBlock] = []

    def add(self, block: IssueBlock) -> None:
        """Append a block; an empty one leaves no trace."""
        if len(block):
            self._blocks.append(block)

    def append(self, issue: Issue) -> None:
        """Append one ready issue."""
        self.add(
            IssueBlock(
                code=issue.code,
                severity=issue.severity,
                template=_literal(issue.message),
                template_en=_literal(issue.message_en),
                rows=np.array([issue.row or 0], dtype=np.int64),
                sheet=issue.sheet,
                column=issue.column,
                value=issue.value,
            )
        )

    def extend(self, issues: Iterable[Issue]) -> None:
        """Append several ready issues."""
        for issue in issues:
            self.append(issue)

    def __iter__(self) -> Iterator[Issue]:
        for block in self._blocks:
            yield from block

    def __len__(self) -> int:
        return sum(len(block) for block in self._blocks)

    def __bool__(self) -> bool:
        return bool(self._blocks)

    @property
    def blocks(self) -> tuple[IssueBlock, ...]:
        """The issues in columns, in the order found."""
        return tuple(self._blocks)

    def counts(self) -> Counter[str]:
        """How many issues each code has."""
        found: Counter[str] = Counter()
        for block in self._blocks:
            found[block.code] += len(block)
        return found

    def by_severity(self) -> Counter[Severity]:
        """How many issues each severity has."""
        found: Counter[Severity] = Counter()
        for block in self._blocks:
            found[block.severity] += len(block)
        return found

    def first(self, limit: int | None) -> Iterator[Issue]:
        """At most ``limit`` issues of each code (None: all), errors first, then as found."""
        shown: Counter[str] = Counter()
        for severity in Severity:
            for block in self._blocks:
                if block.severity is not severity:
                    continue
                room = None if limit is None else max(0, limit - shown[block.code])
                for issue in islice(block, room):
                    shown[block.code] += 1
                    yield issue


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A name that matched no place by code: candidates a person must choose from.

    ``Request.confirmed[(name, parent_name)]`` is where the person's choice goes.
    """

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

    Rows are the file's rows (features for vector files): ``rows_read`` = ``rows_valid`` +
    ``rows_rejected``; blank, title, total and note rows are counted apart in ``rows_skipped``.
    ``rows_changed``, ``rows_unchanged`` count canonical records and are set with ``committed`` and
    ``batch`` by the intake room.
    """

    file: str
    dataset: str | None = None
    encoding: str | None = None
    crs: str | None = None
    sha256: str | None = None
    header_rows: dict[str, list[int]] = field(default_factory=dict)
    rows_read: int = 0
    rows_valid: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    rows_changed: int = 0
    rows_unchanged: int = 0
    committed: bool = False
    batch: str | None = None
    issues: IssueLog = field(default_factory=IssueLog)
    suggestions: list[Suggestion] = field(default_factory=list)

    @property
    def has_errors(self) -> bool:
        """Whether any issue is an error."""
        return self.issues.by_severity()[Severity.ERROR] > 0

    def as_dict(self, limit: int | None = SHOWN_PER_CODE) -> dict[str, Any]:
        """The JSON form in ``load --json``: at most ``limit`` issues of each code, and counts.

        Suggestions are cut to the same limit; ``suggestion_count`` says how many there are.
        """
        shown = list(self.issues.first(limit))
        shown_counts = Counter(issue.code for issue in shown)
        severities = self.issues.by_severity()
        return {
            "file": self.file,
            "dataset": self.dataset,
            "encoding": self.encoding,
            "crs": self.crs,
            "sha256": self.sha256,
            "header_rows": self.header_rows,
            "rows_read": self.rows_read,
            "rows_valid": self.rows_valid,
            "rows_rejected": self.rows_rejected,
            "rows_skipped": self.rows_skipped,
            "rows_changed": self.rows_changed,
            "rows_unchanged": self.rows_unchanged,
            "committed": self.committed,
            "batch": self.batch,
            "counts": {severity.value: severities[severity] for severity in Severity},
            "summary": [
                {"code": code, "count": count, "shown": shown_counts[code]}
                for code, count in self.issues.counts().most_common()
            ],
            "issues": [issue.as_dict() for issue in shown],
            "suggestion_count": len(self.suggestions),
            "suggestions": [one.as_dict() for one in self.suggestions[:limit]],
        }

    def write_issues_csv(self, path: Path) -> int:
        """Write every issue to ``path`` and return how many.

        UTF-8 with a byte order mark, so Excel and WPS open it; a text that a spreadsheet would
        take for a formula gets a leading apostrophe.
        """
        with path.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["代码", "级别", "工作表", "行", "列", "原值", "说明", "message"])
            count = 0
            for issue in self.issues:
                writer.writerow(
                    [
                        issue.code,
                        issue.severity.value,
                        _neutral(issue.sheet),
                        "" if issue.row is None else issue.row,
                        _neutral(issue.column),
                        _neutral(issue.value),
                        _neutral(issue.message),
                        _neutral(issue.message_en),
                    ]
                )
                count += 1
        return count


def _neutral(text: str | None) -> str:
    if text is None:
        return ""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


@dataclass(frozen=True, slots=True)
class Request:
    """What the person said about a file; every field None or empty when unsaid.

    Attributes:
        dataset: a key of ``loaders.registry.datasets()``.
        month: ``YYYY-MM``, the month of a wide file without a month column.
        crs: what ``geodata.crs.CoordinateSystem.parse`` reads.
        confirmed: (written name, written parent name or None) -> place id the person confirmed.
        layer: sheet or vector layer to read, when there are several.
        headers: sheet name -> first and last header row (1-based) the person pointed at.
        name: the file's own name, when it lies under another one.
        encoding: of the text, a key of ``loaders.readers.encoding.ENCODINGS`` or a common synonym.
    """

    dataset: str | None = None
    month: str | None = None
    crs: str | None = None
    confirmed: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    layer: str | None = None
    encoding: str | None = None
    headers: Mapping[str | None, tuple[int, int]] = field(default_factory=dict)
    name: str | None = None


def _no_figures(
    place_ids: Sequence[str], months: Sequence[str], measures: Sequence[str]
) -> pd.DataFrame:
    return pd.DataFrame(columns=list(FIGURE_COLUMNS))


def _no_records(dataset: str, column: str, values: Sequence[str]) -> pd.DataFrame:
    return record_datasets()[dataset].empty_frame()


def _no_register(id_numbers: Sequence[str]) -> Sequence[tuple[str, str]]:
    return [("", "") for _ in id_numbers]


@dataclass(frozen=True, slots=True)
class KnownLayer:
    """A layer that can have a target.

    Attributes:
        words: the other names it goes by.
        lower, upper: inclusive bounds of a believable target, in ``unit``.
        integer: whether it counts whole things.
        higher: whether more is better.
    """

    id: str
    title: str
    words: tuple[str, ...]
    unit: str
    lower: float
    upper: float
    integer: bool
    higher: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored already, for the checks that look beyond the file.

    Attributes:
        places: ``id, name, level, parent_id, path, valid_from, valid_to``; dates ``datetime64``,
            NaT for "still valid"; a missing parent is None or empty.
        institutions: ``id, name, kind, place_id, lon, lat``.
        figures: (place ids, months, measures) -> stored rows
            ``place_id, month, measure, value, source``.
        shapes: place ids -> their stored shapely geometries in WGS84, or None when there are none.
        persons: normalised identity numbers -> (key, state) of each; state is ``erased``,
            ``elsewhere`` (held where the person who loads may not load) or empty. Without a
            register keys are empty, and such rows cannot be committed.
        records: (dataset of records, one of its canonical columns, values) -> the stored rows with
            one of these values, in canonical columns.
        layers: what can have a target.
        state: number of the state all this is from, for who commits what was checked; None: none.
    """

    places: pd.DataFrame
    institutions: pd.DataFrame
    figures: Callable[[Sequence[str], Sequence[str], Sequence[str]], pd.DataFrame] = _no_figures
    shapes: Callable[[Sequence[str]], Mapping[str, Any]] | None = None
    persons: Callable[[Sequence[str]], Sequence[tuple[str, str]]] = _no_register
    records: Callable[[str, str, Sequence[str]], pd.DataFrame] = _no_records
    layers: tuple[KnownLayer, ...] = ()
    state: int | None = None

    @classmethod
    def nothing(cls) -> Known:
        """An empty store."""
        return cls(
            places=pd.DataFrame(columns=list(PLACE_COLUMNS)),
            institutions=pd.DataFrame(columns=list(INSTITUTION_COLUMNS)),
        )


@dataclass(frozen=True, slots=True)
class ReadSheet:
    """One sheet or layer as it was read.

    Attributes:
        name: sheet or layer name; None for a text file.
        top: its first rows as they stand in the file, titles and header included; empty for a
            vector layer.
        table: its data rows under their headings; None when no header was found.
        read_as: the canonical column or measure each heading was taken for, None for a heading
            without a meaning; empty when the sheet was not loaded.
    """

    name: str | None
    top: tuple[tuple[str, ...], ...]
    table: Table | None
    read_as: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """One file made ready: the report and the valid rows in canonical columns.

    ``frame`` is empty when the dataset could not be recognised. ``geometries`` is an object array
    of shapely geometries (WGS84, None where a place has none) parallel to a places ``frame``.
    Whether errors in the report block the load is the intake's decision.
    ``sheets`` is every sheet or layer that was read, to show the person what was made of it.
    """

    report: ImportReport
    dataset: str | None
    frame: pd.DataFrame
    geometries: NDArray[Any] | None = None
    sheets: tuple[ReadSheet, ...] = ()


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A row that is no data: ``reason`` is title, blank, total, note, numbering or section."""

    row: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class SheetTable:
    """What was detected in one sheet or layer; row numbers are 1-based as seen in the file."""

    sheet: str | None
    header_rows: tuple[int, ...]
    headings: tuple[str, ...]
    data_rows: int
    skipped: tuple[SkippedRow, ...]

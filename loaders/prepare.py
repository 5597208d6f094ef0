"""One file in, canonical rows and one full report out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from geodata.errors import DudaoError
from loaders import figures, institutions, persons, places, records, registry, targets
from loaders.headers import inspect_sheet, locate
from loaders.issues import CODES, make
from loaders.mapping import ColumnMap, choose, nearest, read_as, vocabulary
from loaders.masking import mask_text
from loaders.model import (
    ImportReport,
    Issue,
    Known,
    Prepared,
    ReadSheet,
    Request,
    Severity,
    SheetTable,
)
from loaders.parse import month as parse_month
from loaders.readers import ReadProblem, Stop, read
from loaders.table import RawSheet, Source, Table

_SHOWN_HEADINGS = 12
_SHOWN_TOP = 15
_EMPTY_FRAMES = {
    "places": places.empty_frame,
    "institutions": institutions.empty_frame,
    "figures": figures.empty_frame,
    "persons": persons.empty_frame,
    "targets": targets.empty_frame,
}


def inspect(
    path: Path | str, encoding: str | None = None, stop: Stop | None = None
) -> list[SheetTable]:
    """What is detected in every sheet of a file: header rows, headings, data and skipped rows.

    Args:
        encoding: of its text, when the person said it.
        stop: asked while the file is read; True ends the read.

    Raises:
        DudaoError: the file cannot be read; code and texts are those of the issue.
    """
    try:
        source = read(Path(path), encoding=encoding, stop=stop)
    except ReadProblem as problem:
        raise _as_error(problem) from problem
    return [inspect_sheet(sheet, vocabulary()) for sheet in source.sheets]


def _issue(problem: ReadProblem) -> Issue:
    return make(problem.code, value=problem.value, **problem.params)


def _as_error(problem: ReadProblem) -> DudaoError:
    """The same for callers without a report."""
    message, remedy = _issue(problem).message, CODES[problem.code].remedy
    return DudaoError(problem.code, message.removesuffix(remedy), remedy)


def prepare(path: Path | str, request: Request, known: Known, stop: Stop | None = None) -> Prepared:
    """Read a file, recognise what it is, check everything, and return the valid rows.

    Every problem becomes an issue of the report; none stops the others from being found. Nothing is
    written anywhere.

    Args:
        request: what the person said about the file.
        known: what is stored, for the checks that look beyond the file.
        stop: asked while the file is read; True ends the read with the issue ``READ_STOPPED``.
    """
    file = Path(path)
    report = ImportReport(file=mask_text(request.name or file.name))
    before = _fingerprint(file)
    try:
        source = read(file, request.layer, request.encoding, stop)
    except ReadProblem as problem:
        report.issues.append(_issue(problem))
        return Prepared(report, None, pd.DataFrame())
    report.sha256, report.encoding = source.sha256, source.encoding
    if source.encoding_guessed:
        report.issues.append(make("ENCODING_GUESSED", encoding=source.encoding))
    located = [
        locate(sheet, vocabulary(), request.headers.get(sheet.name)) for sheet in source.sheets
    ]
    maps = _recognise(source, located, request, report)
    loaded = _Loaded(None, pd.DataFrame())
    if maps:
        report.dataset = maps[0].dataset.id
        for one in maps:
            _describe(one, report)
        loaded = _load(maps, known, request, report)
    if _fingerprint(file) != before:
        report.issues.append(make("FILE_CHANGED"))
    sheets = tuple(
        _as_read(sheet, table, maps) for sheet, table in zip(source.sheets, located, strict=True)
    )
    return Prepared(report, loaded.dataset, loaded.frame, loaded.geometries, sheets)


def _as_read(sheet: RawSheet, table: Table | None, maps: Sequence[ColumnMap]) -> ReadSheet:
    """What was made of one sheet, to show the person."""
    top = () if sheet.headings is not None else tuple(map(tuple, sheet.head(_SHOWN_TOP)))
    one = next((one for one in maps if one.table is table), None)
    if table is None or one is None:
        return ReadSheet(sheet.name, top, table)
    meanings = {at: name for name, at in (dict(one.columns) | dict(one.measures)).items()}
    read = tuple(meanings.get(at) for at in range(len(table.headings)))
    return ReadSheet(sheet.name, top, table, read)


@dataclass(frozen=True, slots=True)
class _Loaded:
    dataset: str | None
    frame: pd.DataFrame
    geometries: NDArray[Any] | None = None


def _load(
    maps: Sequence[ColumnMap], known: Known, request: Request, report: ImportReport
) -> _Loaded:
    dataset = maps[0].dataset.id
    if all(len(one.table) == 0 for one in maps):
        report.issues.append(make("NO_ROWS"))
        maps = []
    blocked = any(one.missing for one in maps) or any(
        issue.severity is Severity.ERROR for one in maps for issue in one.issues
    )
    if blocked or not maps:
        # With a column missing, twice or in another unit no row can be trusted.
        report.rows_read = report.rows_rejected = sum(len(one.table) for one in maps)
        empty = _EMPTY_FRAMES.get(dataset)
        declared = registry.datasets()[dataset]
        return _Loaded(dataset, declared.empty_frame() if empty is None else empty())
    if maps[0].dataset.record:
        return _Loaded(dataset, records.prepare_records(maps, known, request, report))
    if dataset == "figures":
        return _Loaded(dataset, figures.prepare_figures(maps, known, request, report))
    if dataset == "institutions":
        return _Loaded(dataset, institutions.prepare_institutions(maps, known, request, report))
    if dataset == "persons":
        return _Loaded(dataset, persons.prepare_persons(maps, known, request, report))
    if dataset == "targets":
        return _Loaded(dataset, targets.prepare_targets(maps, known, request, report))
    frame, geometries = places.prepare_places(maps, known, request, report)
    return _Loaded(dataset, frame, geometries)


def _fingerprint(file: Path) -> tuple[int, int, int] | None:
    """Size, time and identity of a file: these change when it is rewritten or replaced."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _recognise(
    source: Source, located: Sequence[Table | None], request: Request, report: ImportReport
) -> list[ColumnMap]:
    """The sheets to load, all read as the same dataset; empty when that cannot be told."""
    tables: list[Table] = []
    for sheet, table in zip(source.sheets, located, strict=True):
        if table is not None:
            tables.append(table)
        elif sheet.height and len(source.sheets) > 1:
            report.issues.append(_skip(sheet.name, "没有找到表头", "no header was found"))
    if not tables:
        empty = all(sheet.height == 0 for sheet in source.sheets)
        report.issues.append(make("FILE_EMPTY" if empty else "NO_HEADER"))
        return []
    if request.dataset is not None:
        return _read_as_asked(tables, request.dataset, report)
    month_given = request.month is not None and parse_month(request.month) is not None
    chosen: list[ColumnMap] = []
    for table in tables:
        one, undecided = choose(table, month_given)
        if undecided is not None:
            first, second = (reading.dataset for reading in undecided)
            report.issues.append(_ambiguous(table.sheet, first, second))
            return []
        if one is not None:
            chosen.append(one)
    kinds = list(dict.fromkeys(one.dataset.id for one in chosen))
    if len(kinds) > 1:
        first, second = (registry.datasets()[kind] for kind in kinds[:2])
        report.issues.append(_ambiguous(None, first, second))
        return []
    if chosen:
        return _leave_out(tables, chosen, report)
    return _closest(tables, report)


def _read_as_asked(tables: list[Table], name: str, report: ImportReport) -> list[ColumnMap]:
    dataset = registry.datasets().get(name)
    if dataset is None:
        known = "、".join(registry.datasets())
        report.issues.append(make("DATASET_NAME_UNKNOWN", value=name, datasets=known))
        return []
    maps = [read_as(table, dataset) for table in tables]
    whole = [one for one in maps if not one.missing]
    if whole:
        return _leave_out(tables, whole, report)
    best = max(maps, key=lambda one: one.matched)
    return _leave_out(tables, [best], report)


def _closest(tables: list[Table], report: ImportReport) -> list[ColumnMap]:
    """The table that comes nearest to a dataset, so that its missing columns can be named."""
    for table in tables:
        one = nearest(table)
        if one is not None:
            return _leave_out(tables, [one], report)
    headings = [heading for table in tables for heading in table.headings]
    shown = "、".join(headings[:_SHOWN_HEADINGS])
    if len(headings) > _SHOWN_HEADINGS:
        shown += "……"
    report.issues.append(make("DATASET_UNKNOWN", headings=shown))
    return []


def _leave_out(
    tables: list[Table], chosen: list[ColumnMap], report: ImportReport
) -> list[ColumnMap]:
    for table in tables:
        if not any(one.table is table for one in chosen):
            reason = "列名与其他工作表不是同一类数据"
            report.issues.append(
                _skip(table.sheet, reason, "its headings are not those of the same dataset")
            )
    return chosen


def _skip(sheet: str | None, reason: str, reason_en: str) -> Any:
    return make("SHEET_SKIPPED", sheet=sheet, reason=reason, reason_en=reason_en)


def _ambiguous(sheet: str | None, first: registry.Dataset, second: registry.Dataset) -> Any:
    return make(
        "DATASET_AMBIGUOUS",
        sheet=sheet,
        first=first.title,
        second=second.title,
        first_en=first.title_en,
        second_en=second.title_en,
    )


def _describe(one: ColumnMap, report: ImportReport) -> None:
    """What the report says of a sheet before its rows are looked at."""
    table = one.table
    sheet = table.sheet
    if table.header_rows:
        report.header_rows[sheet or ""] = list(table.header_rows)
    report.rows_skipped += len(table.skipped)
    totals = [str(row.row) for row in table.skipped if row.reason == "total"]
    if totals:
        report.issues.append(
            make("TOTAL_ROWS_SKIPPED", sheet=sheet, row=int(totals[0]), lines="、".join(totals))
        )
    report.issues.extend(one.issues)
    for position in one.unused:
        report.issues.append(make("UNKNOWN_COLUMN", sheet=sheet, column=table.headings[position]))
    for name in one.missing:
        column = one.dataset.columns[name]
        report.issues.append(
            make(
                "MISSING_COLUMN",
                sheet=sheet,
                column=name,
                name=name,
                title=column.aliases[0],
                aliases="、".join((name, *column.aliases)),
            )
        )

"""XLSX, XLSM, XLS and ODS through calamine: every sheet's cells as texts, and its merged ranges."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import python_calamine as calamine

from loaders.issues import make
from loaders.readers.problem import ReadProblem
from loaders.table import Factor, RawSheet


def read_workbook(data: bytes) -> tuple[RawSheet, ...]:
    """Read all work sheets, hidden ones included.

    Raises:
        ReadProblem: the workbook is damaged or protected by a password.
    """
    try:
        with calamine.load_workbook(io.BytesIO(data)) as book:
            return tuple(
                _sheet(book.get_sheet_by_name(meta.name))
                for meta in book.sheets_metadata
                if meta.typ == calamine.SheetTypeEnum.WorkSheet
            )
    except calamine.PasswordError as error:
        raise ReadProblem(make("FILE_ENCRYPTED")) from error
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise ReadProblem(make("FILE_UNREADABLE", detail=str(error))) from error
    except BaseException as error:
        # calamine panics on some damaged xls files; the panic's class cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise ReadProblem(make("FILE_UNREADABLE", detail=str(error))) from error


def _sheet(sheet: calamine.CalamineSheet) -> RawSheet:
    rows = sheet.to_python(skip_empty_area=False)
    columns = tuple(
        Factor.of([cell_text(cell) for cell in column]) for column in zip(*rows, strict=True)
    )
    merges = tuple(
        (top, left, bottom, right)
        for (top, left), (bottom, right) in sheet.merged_cell_ranges or ()
    )
    return RawSheet(name=sheet.name, columns=columns, merges=merges)


def cell_text(cell: Any) -> str:
    """A cell as a person reads it: whole numbers without ``.0``, dates as ``2026-10-01``."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, dt.datetime):
        midnight = cell.time() == dt.time()
        return cell.date().isoformat() if midnight else cell.isoformat(" ")
    return "" if cell is None else str(cell)

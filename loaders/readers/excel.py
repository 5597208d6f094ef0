"""XLSX, XLSM, XLS and ODS through calamine: every sheet's cells as texts, and its merged ranges."""

from __future__ import annotations

import io
from array import array
from itertools import islice

import numpy as np
import python_calamine as calamine

from loaders.readers.archive import MOST_CELLS, check_workbook, column_letters, too_large
from loaders.readers.cells import cell_text
from loaders.readers.problem import ReadProblem
from loaders.table import Factor, RawSheet, words_of

_BATCH = 4_096


def read_workbook(data: bytes, zipped: bool) -> tuple[RawSheet, ...]:
    """Read all work sheets, hidden ones included.

    Args:
        zipped: whether it is a zip of XML (xlsx, ods), whose parts are checked first.

    Raises:
        ReadProblem: the workbook is damaged, dangerous or protected by a password.
    """
    if zipped:
        check_workbook(data)
    try:
        with calamine.load_workbook(io.BytesIO(data)) as book:
            return tuple(
                _sheet(book.get_sheet_by_name(meta.name))
                for meta in book.sheets_metadata
                if meta.typ == calamine.SheetTypeEnum.WorkSheet
            )
    except calamine.PasswordError as error:
        raise ReadProblem("FILE_ENCRYPTED") from error
    except (calamine.CalamineError, OSError, ValueError, OverflowError) as error:
        raise ReadProblem("FILE_UNREADABLE", detail=str(error)) from error
    except BaseException as error:
        # calamine panics on some damaged xls files; the panic's class cannot be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise ReadProblem("FILE_UNREADABLE", detail=str(error)) from error


def _sheet(sheet: calamine.CalamineSheet) -> RawSheet:
    merges = tuple(
        (top, left, bottom, right)
        for (top, left), (bottom, right) in sheet.merged_cell_ranges or ()
    )
    return RawSheet(name=sheet.name, columns=_columns(sheet), merges=merges)


def _columns(sheet: calamine.CalamineSheet) -> tuple[Factor, ...]:
    """Columns from A1 on, a few thousand rows at a time: each word is kept once."""
    if sheet.start is None or sheet.end is None:
        return ()
    left, height, width = sheet.start[1], sheet.end[0] + 1, sheet.end[1] + 1
    if height * width > MOST_CELLS:
        raise too_large(f"{column_letters(width)}{height}")
    words: list[dict[str, int]] = [{} for _ in range(width - left)]
    codes = [array("i") for _ in words]
    # The rows begin at row 1, but their cells at the first column that is used.
    rows = sheet.iter_rows()
    while batch := list(islice(rows, _BATCH)):
        for known, column, cells in zip(words, codes, zip(*batch, strict=True), strict=True):
            column.extend(known.setdefault(cell_text(cell), len(known)) for cell in cells)
    used = (
        Factor(np.frombuffer(column, dtype=np.int32), words_of(known))
        for column, known in zip(codes, words, strict=True)
    )
    return (*(Factor.constant("", height) for _ in range(left)), *used)

"""Tables as files of every format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dashboard.reports import sheets, words
from dashboard.reports.model import Cell, Column, Export, Format, Sheet, file_name

_WRITERS: Mapping[Format, Callable[[Sequence[Sheet]], bytes]] = {
    Format.XLSX: sheets.xlsx,
    Format.CSV: sheets.csv_file,
    Format.DOCX: words.docx,
}


def export(tables: Sequence[Sheet], name: Sequence[str], format: Format) -> Export:
    """Tables as one file; the words of ``name`` become the file's name.

    Raises:
        DudaoError: TOO_MANY_ROWS for a Word document.
    """
    return Export(file_name(name, format), format.media_type, _WRITERS[format](tables))


def table_export(
    heading: Sequence[str],
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    format: str,
) -> Export:
    """Any table as a file, for a service that has checked and audited what it hands over.

    Args:
        heading: the title, which also names the file, and the lines under it.

    Raises:
        DudaoError: FORMAT_UNKNOWN, or TOO_MANY_ROWS for a Word document.
    """
    title, *notes = heading
    sheet = Sheet(title, tuple(columns), rows, notes=tuple(notes))
    return export([sheet], [title], Format.parse(format))

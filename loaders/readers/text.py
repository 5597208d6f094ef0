"""CSV, TSV and TXT: encoding, separator, cells."""

from __future__ import annotations

import csv
import io
from collections import Counter
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.csv

from loaders.readers.encoding import decode
from loaders.readers.problem import ReadProblem
from loaders.table import HEAD_ROWS, Factor, RawSheet

_SEPARATORS = (",", "\t", ";", "|")
_SAMPLE = 1 << 18


def read_text(data: bytes, said: str | None = None) -> tuple[RawSheet, str]:
    """Read a delimited text file.

    Args:
        said: the encoding the person named.

    Returns:
        the cells and the encoding.

    Raises:
        ReadProblem: the encoding cannot be told, or the quotes do not close.
    """
    text, encoding = decode(data, said)
    if not text.strip():
        raise ReadProblem("FILE_EMPTY")
    try:
        separator = sniff(text)
        columns = _fast_columns(text, separator)
        if columns is None:
            columns = _slow_columns(text, separator)
    except csv.Error as error:
        raise ReadProblem("FILE_UNREADABLE", detail=str(error)) from error
    return RawSheet(name=None, columns=columns), encoding


def sniff(text: str) -> str:
    """The separator that splits the first rows into the most cells, most evenly."""
    lines = text[:_SAMPLE].splitlines(keepends=True)[:HEAD_ROWS]

    def score(separator: str) -> int:
        widths = Counter(len(row) for row in csv.reader(lines, delimiter=separator) if len(row) > 1)
        return max(((width - 1) * count for width, count in widths.items()), default=0)

    return max(_SEPARATORS, key=score)


def _fast_columns(text: str, separator: str) -> tuple[Factor, ...] | None:
    """Arrow's reader, for files whose rows all have the same number of cells; else None."""
    body = text.rstrip("\r\n").encode()
    first = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    names = [str(index) for index in range(len(first))]
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(body),
            read_options=pyarrow.csv.ReadOptions(column_names=names),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=separator,
                newlines_in_values=b'"' in body,
                ignore_empty_lines=False,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.dictionary(pa.int32(), pa.string()) for name in names},
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    table = table.unify_dictionaries().combine_chunks()
    return tuple(_factor(column) for column in table.columns)


def _factor(column: pa.ChunkedArray) -> Factor:
    chunk = column.chunk(0)
    return Factor(
        chunk.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False),
        chunk.dictionary.to_numpy(zero_copy_only=False).astype(object, copy=False),
    )


def _slow_columns(text: str, separator: str) -> tuple[Factor, ...]:
    """The standard library's reader: rows may differ in length, blank lines keep their number."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    return tuple(Factor.of(column) for column in zip_longest(*rows, fillvalue=""))

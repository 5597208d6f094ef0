"""CSV, TSV and TXT: encoding, separator, cells."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.csv
from charset_normalizer import from_bytes

from loaders.issues import make
from loaders.readers.problem import ReadProblem
from loaders.table import HEAD_ROWS, Factor, RawSheet

_SEPARATORS = (",", "\t", ";", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 16
_GUESSES = ["gb18030", "big5", "cp1252", "shift_jis", "euc_kr"]
# Real Chinese text is mostly GB 2312 level 1 characters; other encodings misread are not.
_COMMON_SHARE = 0.85


def read_text(data: bytes) -> tuple[RawSheet, str, bool]:
    """Read a delimited text file.

    Returns:
        the cells, the encoding, and whether the encoding is only a guess.

    Raises:
        ReadProblem: the encoding cannot be told, or the quotes do not close.
    """
    text, encoding, guessed = decode(data)
    if not text.strip():
        raise ReadProblem(make("FILE_EMPTY"))
    separator = sniff(text)
    columns = _fast_columns(text, separator)
    if columns is None:
        columns = _slow_columns(text, separator)
    return RawSheet(name=None, columns=columns), encoding, guessed


def decode(data: bytes) -> tuple[str, str, bool]:
    """Text, encoding, and whether it was guessed.

    A byte order mark decides; then strict UTF-8; UTF-16 when every other byte is mostly zero; then
    strict GB18030 where the result reads like Chinese; then charset-normalizer's best guess.

    Raises:
        ReadProblem: none of them fits.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), encoding.removesuffix("-sig"), False
            except UnicodeDecodeError as error:
                raise ReadProblem(make("ENCODING_UNKNOWN")) from error
    wide = _utf16_without_mark(data)
    if wide is not None:
        return data.decode(wide), wide, True
    for encoding in ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or _reads_like_chinese(text):
            return text, encoding, False
    best = from_bytes(data[:_SAMPLE], cp_isolation=_GUESSES).best()
    if best is None:
        raise ReadProblem(make("ENCODING_UNKNOWN"))
    try:
        return data.decode(best.encoding), best.encoding, True
    except UnicodeDecodeError as error:
        raise ReadProblem(make("ENCODING_UNKNOWN")) from error


def _utf16_without_mark(data: bytes) -> str | None:
    sample = np.frombuffer(data[: _SAMPLE - _SAMPLE % 2], dtype=np.uint8)
    if len(data) % 2 or len(sample) < 4 or not (sample == 0).any():
        return None
    even, odd = (sample[0::2] == 0).mean(), (sample[1::2] == 0).mean()
    encoding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return encoding


def _reads_like_chinese(text: str) -> bool:
    sample = [char for char in text[:_SAMPLE] if char > "\x7f"]
    if not sample:
        return True
    common = 0
    for char, count in Counter(sample).items():
        written = char.encode("gb2312", errors="ignore")
        if written and (0xA1 <= written[0] <= 0xA3 or 0xB0 <= written[0] <= 0xD7):
            common += count
    return common / len(sample) >= _COMMON_SHARE


def sniff(text: str) -> str:
    """The separator that splits the first rows into the most cells, most evenly."""
    lines = text[: _SAMPLE * 4].splitlines(keepends=True)[:HEAD_ROWS]

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
    try:
        columns = list(zip_longest(*rows, fillvalue=""))
        return tuple(Factor.of(column) for column in columns)
    except csv.Error as error:
        raise ReadProblem(make("FILE_UNREADABLE", detail=str(error))) from error

"""The result of a read on its way from the reading process to the program.

One JSON says what there is; one file holds the arrays end to end, each at the length the JSON says.
Texts are a UTF-8 buffer with 64-bit offsets, as in Arrow, and geometries WKB in the same form.
Nothing is compressed and nothing is executed, so the size of the file bounds what it can cost.

The reading process may have been taken over by the file it read: the receiver believes no number.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from loaders.readers.problem import ReadProblem
from loaders.sandbox.limits import (
    MOST_COLUMNS,
    MOST_HANDED_BACK,
    MOST_MANIFEST_BYTES,
    MOST_ROWS,
    MOST_SHEETS,
)
from loaders.table import UNNAMED_CRS, Factor, Flags, RawSheet, Source, words_of

_MANIFEST, _ARRAYS = "result.json", "arrays.bin"
_FORMATS = ("text", "workbook", "vector")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_TEXT, _MOST_WKT = 2_000, 100_000
_EPSG = re.compile(r"EPSG:\d{1,7}")
_WKT = re.compile(r"[A-Z]{5,20}\[\"")
_REFERS = re.compile(r"grids\s*=\s*(?!@null\b)|PARAMETERFILE|://|\+init", re.IGNORECASE)


# In the reading process.


def give(source: Source, protections: Sequence[str]) -> None:
    """Write a result into the working folder."""
    with open(_ARRAYS, "wb") as stream:
        sheets = [_give_sheet(sheet, stream) for sheet in source.sheets]
    _write(
        {
            "format": source.format,
            "sheets": sheets,
            "sha256": source.sha256,
            "encoding": source.encoding,
            "encoding_guessed": source.encoding_guessed,
            "protections": list(protections),
        }
    )


def give_problem(problem: ReadProblem, protections: Sequence[str]) -> None:
    """Write the reason why there is no result."""
    params = {name: str(value) for name, value in problem.params.items()}
    said = {"code": problem.code, "value": problem.value, "params": params}
    _write({"problem": said, "protections": list(protections)})


def _write(manifest: dict[str, Any]) -> None:
    text = json.dumps(manifest)
    if len(text) > MOST_MANIFEST_BYTES:
        raise MemoryError("the description of the result is too long")
    Path(_MANIFEST).write_text(text, encoding="ascii")


def _give_sheet(sheet: RawSheet, stream: IO[bytes]) -> dict[str, Any]:
    columns = []
    for column in sheet.columns:
        encoded = [word.encode("utf-8", "replace") for word in column.words.tolist()]
        stream.write(np.ascontiguousarray(column.codes, dtype=np.int32).data)
        columns.append({"words": len(encoded), "bytes": _give_bytes(encoded, stream)})
    said: dict[str, Any] = {
        "name": sheet.name,
        "rows": sheet.height,
        "columns": columns,
        "merges": [list(merge) for merge in sheet.merges],
        "headings": None if sheet.headings is None else list(sheet.headings),
        "crs": sheet.crs,
        "shapes": None,
    }
    if sheet.geometries is not None:
        import shapely  # Only vector files need it.

        written = shapely.to_wkb(sheet.geometries)
        shapes = [b"" if one is None else one for one in written.tolist()]
        said["shapes"] = _give_bytes(shapes, stream)
        unreadable = sheet.unreadable
        if unreadable is None:
            unreadable = np.zeros(sheet.height, dtype=bool)
        stream.write(unreadable.astype(np.uint8).data)
    return said


def _give_bytes(parts: list[bytes], stream: IO[bytes]) -> int:
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    stream.write(offsets.data)
    stream.write(b"".join(parts))
    return int(offsets[-1])


# In the program.


def take(folder: Path) -> Source:
    """Read and check what a reading process left in its folder.

    Raises:
        ReadProblem: the problem the process found; ``FILE_READER_DIED`` when what it left is not
            what a reader writes.
    """
    try:
        manifest = json.loads(_bytes_of(folder / _MANIFEST, MOST_MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _broken() from error
    try:
        if "problem" in manifest:
            _raise_problem(manifest["problem"])
        arrays = _Arrays(_bytes_of(folder / _ARRAYS, MOST_HANDED_BACK))
        sheets = _listed(manifest["sheets"], MOST_SHEETS)
        source = Source(
            format=_one_of(manifest["format"], _FORMATS),
            sheets=tuple(_take_sheet(said, arrays) for said in sheets),
            sha256=_digest(manifest["sha256"]),
            encoding=_text_or_none(manifest["encoding"]),
            encoding_guessed=manifest["encoding_guessed"] is True,
            protections=tuple(_text(name) for name in _listed(manifest["protections"], 100)),
        )
        arrays.done()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _broken() from error
    return source


def _broken() -> ReadProblem:
    return ReadProblem("FILE_READER_DIED", status="handover")


def _raise_problem(said: dict[str, Any]) -> NoReturn:
    params = {_text(name): _text(value) for name, value in said["params"].items()}
    raise ReadProblem(_text(said["code"]), _text_or_none(said["value"]), **params)


def _bytes_of(path: Path, most: int) -> bytes:
    """A plain file's content; a link or a device left in its place is refused."""
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    with open(os.open(path, flags), "rb") as stream:
        state = os.fstat(stream.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1 or state.st_size > most:
            raise ValueError("not a plain file of a sensible size")
        return stream.read(most)


class _Arrays:
    """Arrays cut one after the other from one buffer, each with its bounds checked."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def cut(self, kind: type[np.generic], count: int) -> NDArray[Any]:
        size = np.dtype(kind).itemsize * count
        if not 0 <= count <= len(self._data) or self._at + size > len(self._data):
            raise ValueError("an array is longer than what was handed over")
        found = np.frombuffer(self._data, dtype=kind, count=count, offset=self._at)
        self._at += size
        return found

    def parts(self, count: int, size: int) -> Iterable[bytes]:
        """``count`` byte strings that fill ``size`` bytes."""
        offsets = self.cut(np.int64, count + 1)
        if offsets[0] != 0 or offsets[-1] != size or (offsets[1:] < offsets[:-1]).any():
            raise ValueError("offsets that do not rise")
        whole = self.cut(np.uint8, size).tobytes()
        ends = offsets.tolist()
        return (whole[start:end] for start, end in pairwise(ends))

    def done(self) -> None:
        if self._at != len(self._data):
            raise ValueError("more was handed over than described")


def _take_sheet(said: dict[str, Any], arrays: _Arrays) -> RawSheet:
    rows = _count(said["rows"], MOST_ROWS)
    columns = tuple(
        _take_column(rows, column, arrays) for column in _listed(said["columns"], MOST_COLUMNS)
    )
    headings = said["headings"]
    geometries, unreadable = None, None
    if said["shapes"] is not None:
        geometries, unreadable = _take_shapes(rows, said["shapes"], arrays)
    if headings is not None:
        headings = tuple(_text(one) for one in _listed(headings, MOST_COLUMNS))
        if len(headings) != len(columns):
            raise ValueError("headings and columns differ in number")
    if not columns and geometries is None and rows:
        raise ValueError("rows of nothing")
    return RawSheet(
        name=_text_or_none(said["name"]),
        columns=columns,
        merges=tuple(_merge(one) for one in _listed(said["merges"], MOST_ROWS)),
        headings=headings,
        geometries=geometries,
        unreadable=unreadable,
        crs=_crs(said["crs"]),
    )


def _take_column(rows: int, said: dict[str, Any], arrays: _Arrays) -> Factor:
    codes = arrays.cut(np.int32, rows)
    words = _count(said["words"], MOST_HANDED_BACK)
    if rows and not 0 <= codes.min() <= codes.max() < words:
        raise ValueError("a code without a word")
    parts = arrays.parts(words, _count(said["bytes"], MOST_HANDED_BACK))
    return Factor(codes, words_of(part.decode("utf-8") for part in parts))


def _take_shapes(rows: int, size: Any, arrays: _Arrays) -> tuple[NDArray[Any], Flags]:
    import shapely  # Only vector files need it.

    written = np.empty(rows, dtype=object)
    written[:] = [part or None for part in arrays.parts(rows, _count(size, MOST_HANDED_BACK))]
    try:
        shapes = np.asarray(shapely.from_wkb(written), dtype=object)
    except shapely.errors.ShapelyError as error:
        raise ValueError("not WKB") from error
    return shapes, arrays.cut(np.uint8, rows) != 0


def _crs(value: Any) -> str | None:
    """A code or plain WKT; one that names grid files or PROJ text is not handed to PROJ."""
    if value is None:
        return None
    text = _text(value, _MOST_WKT + 1)
    plain = _EPSG.fullmatch(text) or (_WKT.match(text) and not _REFERS.search(text))
    return text if plain and len(text) <= _MOST_WKT else UNNAMED_CRS


def _merge(said: Any) -> tuple[int, int, int, int]:
    top, left, bottom, right = (_count(one, MOST_ROWS) for one in said)
    return top, left, bottom, right


def _count(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("not a count")
    return value


def _listed(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("not a list of a sensible length")
    return value


def _text(value: Any, most: int = _MOST_TEXT) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value[:most]


def _text_or_none(value: Any, most: int = _MOST_TEXT) -> str | None:
    return None if value is None else _text(value, most)


def _one_of(value: Any, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ValueError("an unknown word")
    return str(value)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise ValueError("not a SHA-256")
    return value

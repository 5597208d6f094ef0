"""What a zip claims about itself, and what it really holds, before any reader opens it."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO

from loaders.readers.problem import ReadProblem

MOST_MEMBERS = 2_000
MOST_UNPACKED = 1 << 30
"""Bytes of all members together, 1 GB: a sheet of a million rows is some 400 MB of XML."""

MOST_RATIO = 200
"""Unpacked over packed, of members larger than `RATIO_FROM`; deflate could reach 1,032."""

RATIO_FROM = 16 << 20
MOST_NAME = 1_024
MOST_SHARED_STRINGS = 5_000_000
MOST_CELLS = 20_000_000
"""Cells of a sheet from A1 to its last one, blank ones included."""

DAMAGED = (
    zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError,
    OSError, struct.error,
)  # fmt: skip
"""What zipfile raises on damaged archives; RuntimeError stands for a password."""

_FIRST, _CHUNK = 1 << 12, 1 << 20
_EDGE = 1 << 16
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_EMBEDDED = "xl/embeddings/"
_DECLARATIONS = tuple(
    mark.encode(codec)
    for mark in ("<!DOCTYPE", "<!ENTITY")
    for codec in ("ascii", "utf-16-le", "utf-16-be")
)
_LONGEST_DECLARATION = max(map(len, _DECLARATIONS))
_FILLED_CELL = re.compile(
    rb"""<(?:\w+:)?c\s[^<>]*?\br\s*=\s*["']([A-Z]{1,3})(\d{1,7})["'][^<>]*(?<!/)>\s*<(?:\w+:)?(?:v|f|is)\b"""
)
_STRINGS = re.compile(rb"""<(?:\w+:)?sst\s[^<>]*?\buniqueCount\s*=\s*["'](\d{1,12})["']""")


def open_archive(data: bytes, embedded: bool = False) -> zipfile.ZipFile:
    """Open a zip whose directory is sound: its claims bounded, its members apart.

    Args:
        embedded: whether it may hold other archives where workbooks keep embedded objects.

    Raises:
        ReadProblem: ``ARCHIVE_UNSAFE``, ``FILE_ENCRYPTED`` or ``FILE_UNREADABLE``.
    """
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except DAMAGED as error:
        raise ReadProblem("FILE_UNREADABLE", detail=_plain(error)) from error
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise _unsafe(f"里面有 {len(members)} 个文件", f"it holds {len(members)} files")
    if sum(one.file_size for one in members) > MOST_UNPACKED:
        raise _unsafe("解压后超过 1 GB", "it unpacks to more than 1 GB")
    if len({one.filename for one in members}) < len(members):
        raise _unsafe("里面有同名文件", "two of its files have the same name")
    end = 0
    for one in sorted(members, key=lambda one: one.header_offset):
        if one.flag_bits & _ENCRYPTED:
            raise ReadProblem("FILE_ENCRYPTED")
        if len(one.filename) > MOST_NAME:
            raise _unsafe("里面的文件名过长", "one of its file names is too long")
        if one.file_size > RATIO_FROM and one.file_size > MOST_RATIO * max(1, one.compress_size):
            raise _unsafe("压缩比异常", "its compression ratio is absurd")
        if one.header_offset < end:
            raise _unsafe("里面的文件互相重叠", "its files overlap")
        end = one.header_offset + _LOCAL_HEADER + len(one.orig_filename) + one.compress_size
        _refuse_nested(archive, one, embedded)
    return archive


def _refuse_nested(archive: zipfile.ZipFile, member: zipfile.ZipInfo, embedded: bool) -> None:
    if embedded and member.filename.startswith(_EMBEDDED):
        return
    if next(unpack(archive, member), b"").startswith(_ZIP_MAGIC):
        raise _unsafe("压缩包里还有压缩包", "it holds another archive")


def unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's content in pieces, never more than its directory entry says.

    Raises:
        ReadProblem: it is damaged.
    """
    try:
        with archive.open(member) as stream:
            # The first piece is small: often its first bytes are all that is wanted.
            piece = stream.read(_FIRST)
            while piece:
                yield piece
                piece = stream.read(_CHUNK)
    except DAMAGED as error:
        raise ReadProblem("FILE_UNREADABLE", detail=_plain(error)) from error


def check_workbook(data: bytes) -> None:
    """Unpack a workbook's XML once to see that it is as large as it says and declares no entity.

    Raises:
        ReadProblem: ``ARCHIVE_UNSAFE``, ``XML_ENTITIES``, ``SHEET_TOO_LARGE``, ``FILE_ENCRYPTED``
            or ``FILE_UNREADABLE``.
    """
    with open_archive(data, embedded=True) as archive:
        for member in archive.infolist():
            if not member.filename.startswith(_EMBEDDED):
                _check_part(archive, member)


def _check_part(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    head, tail = b"", b""
    for piece in unpack(archive, member):
        # A declaration cut in two by the pieces is found in the joint.
        joined = tail[-_LONGEST_DECLARATION:] + piece
        if any(mark in joined for mark in _DECLARATIONS):
            raise ReadProblem("XML_ENTITIES")
        head = (head + piece)[:_EDGE] if len(head) < _EDGE else head
        tail = (tail + piece)[-_EDGE:] if len(piece) < _EDGE else piece[-_EDGE:]
    strings = _STRINGS.search(head)
    if strings is not None and int(strings[1]) > MOST_SHARED_STRINGS:
        raise _unsafe("共享字符串过多", "it declares too many shared strings")
    cells = _FILLED_CELL.findall(tail)
    if cells:
        # Cells stand in order: the last one spans the sheet.
        letters, row = cells[-1]
        if column_number(letters.decode()) * int(row) > MOST_CELLS:
            raise too_large(letters.decode() + row.decode())


def column_number(letters: str) -> int:
    """1 for A, 27 for AA."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def column_letters(number: int) -> str:
    """A for 1, AA for 27."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def too_large(cell: str) -> ReadProblem:
    """The problem of a sheet whose cells lie too far apart."""
    return ReadProblem("SHEET_TOO_LARGE", value=cell, most=MOST_CELLS)


def _unsafe(detail: str, detail_en: str) -> ReadProblem:
    return ReadProblem("ARCHIVE_UNSAFE", detail=detail, detail_en=detail_en)


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

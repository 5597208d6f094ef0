"""One reader a family of formats; `read` picks the one a file's content and extension agree on."""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO
from pathlib import Path

from loaders.issues import make
from loaders.readers.excel import read_workbook
from loaders.readers.problem import ReadProblem
from loaders.readers.text import decode, read_text
from loaders.readers.vector import read_geojson, read_geopackage, read_shapefile_zip
from loaders.table import RawSheet, Source

__all__ = ["ReadProblem", "read"]

_TEXT, _OLE, _SQLITE, _ZIP_BOOK, _ODS, _ZIP, _JSON, _HTML, _SHP, _OTHER = (
    "text", "ole", "sqlite", "xlsx", "ods", "zip", "json", "html", "shp", "other",
)  # fmt: skip
_CONTENT = {
    ".csv": {_TEXT},
    ".tsv": {_TEXT},
    ".txt": {_TEXT},
    ".xlsx": {_ZIP_BOOK},
    ".xlsm": {_ZIP_BOOK},
    ".xls": {_OLE},
    ".ods": {_ODS},
    ".gpkg": {_SQLITE},
    ".geojson": {_JSON},
    ".json": {_JSON},
    ".zip": {_ZIP},
}
_NAMES = {
    _TEXT: ("文本", "text"),
    _OLE: (
        "旧版 Excel（xls）或加密的 Office 文件",
        "an old Excel (xls) or an encrypted Office file",
    ),
    _SQLITE: ("GeoPackage 数据库", "a GeoPackage database"),
    _ZIP_BOOK: ("Excel 工作簿（xlsx）", "an Excel workbook (xlsx)"),
    _ODS: ("OpenDocument 表格（ods）", "an OpenDocument spreadsheet (ods)"),
    _ZIP: ("zip 压缩包", "a zip archive"),
    _JSON: ("JSON", "JSON"),
    _HTML: ("网页（HTML 或 XML）", "a web page (HTML or XML)"),
    _SHP: ("Shapefile 的 .shp", "the .shp of a Shapefile"),
    _OTHER: ("其他二进制数据", "other binary data"),
}
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SHP_MAGIC = b"\x00\x00\x27\x0a"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_SAMPLE = 4096


def read(path: Path, layer: str | None = None) -> Source:
    """Read a file once and return its sheets or layers; what was parsed is what was hashed.

    Args:
        layer: sheet or layer to read; None for all sheets, or the only layer.

    Raises:
        ReadProblem: the file cannot be read, with the issue that says why.
    """
    suffix = path.suffix.lower()
    if suffix == ".shp":
        raise ReadProblem(make("SHP_NOT_ZIPPED"))
    if suffix not in _CONTENT:
        raise ReadProblem(make("FORMAT_UNKNOWN", value=suffix or path.name))
    try:
        data = path.read_bytes()
    except OSError as error:
        detail = error.strerror or str(error)
        raise ReadProblem(make("FILE_UNREADABLE", detail=detail)) from error
    if not data:
        raise ReadProblem(make("FILE_EMPTY"))
    content = identify(data)
    if content not in _CONTENT[suffix]:
        if suffix in (".xlsx", ".xlsm") and _ENCRYPTED in data:
            raise ReadProblem(make("FILE_ENCRYPTED"))
        found, found_en = _NAMES[content]
        raise ReadProblem(make("WRONG_FORMAT", value=suffix, found=found, found_en=found_en))
    digest = hashlib.sha256(data).hexdigest()
    if content == _TEXT:
        sheet, encoding, guessed = read_text(data)
        return Source("text", (sheet,), digest, encoding, guessed)
    if content == _JSON:
        sheet, encoding, guessed = read_geojson(data)
        return Source("vector", (sheet,), digest, encoding, guessed)
    if content == _ZIP:
        sheet, encoding, guessed = read_shapefile_zip(data, layer)
        return Source("vector", (sheet,), digest, encoding, guessed)
    if content == _SQLITE:
        return Source("vector", (read_geopackage(data, layer),), digest)
    return Source("workbook", _pick(read_workbook(data), layer), digest)


def identify(data: bytes) -> str:
    """What the content is, by its first bytes and, for zips, by what is in them."""
    if data.startswith(_OLE_MAGIC):
        return _OLE
    if data.startswith(b"SQLite format 3\x00"):
        return _SQLITE
    if data.startswith(_SHP_MAGIC):
        return _SHP
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _identify_zip(data)
    start = data[:_SAMPLE]
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in start
    if wide:
        try:
            text, _, _ = decode(data)
        except ReadProblem:
            return _OTHER
        if sum(char < " " and char not in "\t\r\n" for char in text[:_SAMPLE]):
            return _OTHER
        words = text[:_SAMPLE].lstrip("\ufeff \t\r\n").lower()
    else:
        words = start.removeprefix(b"\xef\xbb\xbf").decode("latin-1").lstrip().lower()
    if words.startswith(("{", "[")):
        return _JSON
    if words.startswith(("<!doctype html", "<html", "<table", "<?xml", "<ogrvrt")):
        return _HTML
    return _TEXT


def _identify_zip(data: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        # A cut-off workbook is still meant as one: let its reader say what is wrong.
        return _ZIP_BOOK if b"xl/" in data[:_SAMPLE] or b"[Content_Types]" in data else _ZIP
    if "[Content_Types].xml" in names:
        return _ZIP_BOOK
    if "META-INF/manifest.xml" in names and "content.xml" in names:
        return _ODS
    return _ZIP


def _pick(sheets: tuple[RawSheet, ...], layer: str | None) -> tuple[RawSheet, ...]:
    if layer is None:
        return sheets
    chosen = tuple(sheet for sheet in sheets if sheet.name == layer)
    if not chosen:
        names = "、".join(sheet.name or "" for sheet in sheets)
        raise ReadProblem(make("LAYER_NOT_FOUND", value=layer, layers=names))
    return chosen

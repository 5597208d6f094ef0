"""What a file is by its bytes, and the reader for it. Runs in the reading process."""

from __future__ import annotations

import hashlib
import re
import zipfile
from io import BytesIO

from loaders.readers.encoding import candidates, decode
from loaders.readers.problem import ReadProblem
from loaders.readers.suffix import ALLOWED, Content, wrong_format
from loaders.table import RawSheet, Source

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SHP_MAGIC = b"\x00\x00\x27\x0a"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_SAMPLE = 4096
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x19\x1b-\x1f]")
_RECIPES = ("<ogrvrt", "<vrtdataset", "<ogrwfs", "<wfs", "<gdal_wms", "<gdal_wcs", "wfs:", "http")


def read_content(
    data: bytes, suffix: str, layer: str | None = None, encoding: str | None = None
) -> Source:
    """Read a file's bytes as what its extension and its content agree on.

    Raises:
        ReadProblem: they do not agree, or the reader finds something wrong.
    """
    content = identify(data, encoding)
    if content is not ALLOWED[suffix]:
        if suffix in (".xlsx", ".xlsm") and _ENCRYPTED in data:
            raise ReadProblem("FILE_ENCRYPTED")
        raise wrong_format(suffix, content)
    digest = hashlib.sha256(data).hexdigest()
    # Each reader brings its own library: a text needs no GDAL.
    if content is Content.TEXT:
        from loaders.readers.text import read_text

        sheet, found = read_text(data, encoding)
        return Source("text", (sheet,), digest, found)
    if content in (Content.BOOK, Content.ODS, Content.OLE):
        from loaders.readers.excel import read_workbook

        zipped = content is not Content.OLE
        return Source("workbook", _pick(read_workbook(data, zipped), layer), digest)

    from loaders.readers import vector

    if content is Content.GEOJSON:
        sheet, found = vector.read_geojson(data, suffix, encoding)
        return Source("vector", (sheet,), digest, found)
    if content is Content.ZIP:
        sheet, found, doubtful = vector.read_shapefile_zip(data, layer, encoding)
        return Source("vector", (sheet,), digest, found, doubtful)
    return Source("vector", (vector.read_geopackage(data, layer),), digest)


def identify(data: bytes, encoding: str | None = None) -> Content:
    """What the content is, by its first bytes and, for zips, by what is in them.

    Args:
        encoding: of a text, when the person said it.

    Raises:
        ReadProblem: what may be a text can be read in several ways.
    """
    if data.startswith(_OLE_MAGIC):
        return Content.OLE
    if data.startswith(b"SQLite format 3\x00"):
        return Content.SQLITE
    if data.startswith(_SHP_MAGIC):
        return Content.SHP
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _identify_zip(data)
    return _identify_text(data, encoding)


def _identify_text(data: bytes, encoding: str | None) -> Content:
    start = data[:_SAMPLE]
    marked = start.startswith(_WIDE)
    if marked or b"\x00" in start:
        if not marked and encoding is None and not candidates(data):
            return Content.OTHER
        text, _ = decode(data, encoding)
        if _CONTROLS.search(text[:_SAMPLE].encode("utf-8", "replace")):
            return Content.OTHER
        words = text.lstrip("\ufeff \t\r\n")
    elif _CONTROLS.search(start):
        return Content.OTHER
    else:
        # Marks and keywords are ASCII in every encoding that has no zero bytes.
        words = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1").lstrip()
    head = words[:_SAMPLE].lower()
    if head.startswith(("{", "[")):
        # Its reader finds out whether it is a map.
        return Content.GEOJSON
    if head.startswith(_RECIPES):
        return Content.RECIPE
    if head.startswith(("<!doctype html", "<html", "<table", "<?xml", "<!doctype", "<")):
        recipe = any(sign in head for sign in _RECIPES[:6])
        return Content.RECIPE if recipe else Content.MARKUP
    return Content.TEXT


def _identify_zip(data: bytes) -> Content:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        # A cut-off workbook is still meant as one: let its reader say what is wrong.
        book = b"xl/" in data[:_SAMPLE] or b"[Content_Types]" in data
        return Content.BOOK if book else Content.ZIP
    if "[Content_Types].xml" in names:
        return Content.BOOK
    if "META-INF/manifest.xml" in names and "content.xml" in names:
        return Content.ODS
    return Content.ZIP


def _pick(sheets: tuple[RawSheet, ...], layer: str | None) -> tuple[RawSheet, ...]:
    if layer is None:
        return sheets
    chosen = tuple(sheet for sheet in sheets if sheet.name == layer)
    if not chosen:
        names = "、".join(sheet.name or "" for sheet in sheets)
        raise ReadProblem("LAYER_NOT_FOUND", value=layer, layers=names)
    return chosen

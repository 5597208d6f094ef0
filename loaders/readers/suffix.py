"""Which extensions are taken, and which content each of them may have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

from loaders.readers.problem import ReadProblem


class Content(StrEnum):
    """What a file is by its bytes."""

    TEXT = "text"
    OLE = "ole"
    SQLITE = "sqlite"
    DATABASE = "database"
    BOOK = "xlsx"
    ODS = "ods"
    ZIP = "zip"
    GEOJSON = "geojson"
    JSON = "json"
    RECIPE = "recipe"
    MARKUP = "html"
    SHP = "shp"
    OTHER = "other"


ALLOWED = {
    ".csv": Content.TEXT,
    ".tsv": Content.TEXT,
    ".txt": Content.TEXT,
    ".xlsx": Content.BOOK,
    ".xlsm": Content.BOOK,
    ".xls": Content.OLE,
    ".ods": Content.ODS,
    ".gpkg": Content.SQLITE,
    ".geojson": Content.GEOJSON,
    ".json": Content.GEOJSON,
    ".zip": Content.ZIP,
}
"""A file is read only when its extension and its content say the same."""

_NAMES = {
    Content.TEXT: ("文本", "text"),
    Content.OLE: (
        "旧版 Excel（xls）或加密的 Office 文件",
        "an old Excel (xls) or an encrypted Office file",
    ),
    Content.SQLITE: ("GeoPackage 数据库", "a GeoPackage database"),
    Content.DATABASE: ("其他 SQLite 数据库", "another SQLite database"),
    Content.BOOK: ("Excel 工作簿（xlsx）", "an Excel workbook (xlsx)"),
    Content.ODS: ("OpenDocument 表格（ods）", "an OpenDocument spreadsheet (ods)"),
    Content.ZIP: ("zip 压缩包", "a zip archive"),
    Content.GEOJSON: ("GeoJSON", "GeoJSON"),
    Content.JSON: ("其他 JSON", "another kind of JSON"),
    Content.RECIPE: (
        "引用其他数据的处理说明（VRT、GDALG、WFS 等）",
        "a recipe that refers to other data (VRT, GDALG, WFS or the like)",
    ),
    Content.MARKUP: ("网页（HTML 或 XML）", "a web page (HTML or XML)"),
    Content.SHP: ("Shapefile 的 .shp", "the .shp of a Shapefile"),
    Content.OTHER: ("其他二进制数据", "other binary data"),
}


def check_suffix(name: str) -> str:
    """The extension of a file name, in small letters.

    Raises:
        ReadProblem: it is none of those we take.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix == ".shp":
        raise ReadProblem("SHP_NOT_ZIPPED")
    if suffix not in ALLOWED:
        raise ReadProblem("FORMAT_UNKNOWN", value=suffix or name)
    return suffix


def wrong_format(suffix: str, content: Content) -> ReadProblem:
    """The problem of a file that is not what its extension says."""
    found, found_en = _NAMES[content]
    return ReadProblem("WRONG_FORMAT", value=suffix, found=found, found_en=found_en)

"""GeoPackage, zipped Shapefile and GeoJSON through pyogrio: attributes as texts, shapes as shapely.

Runs in the reading process, whose GDAL knows only these three drivers. The driver is fixed before
GDAL sees a file, and what lies in a zip is copied out under names of our own, so neither content
nor member names decide what is opened.
"""

from __future__ import annotations

import json
import os
import re
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from loaders.readers.archive import open_archive, unpack
from loaders.readers.cells import cell_text
from loaders.readers.encoding import ENCODINGS, check_name, decode
from loaders.readers.problem import ReadProblem
from loaders.readers.suffix import Content, wrong_format
from loaders.table import UNNAMED_CRS, Factor, RawSheet

# The last two: pyogrio over a coordinate system whose text is no text.
_PROBLEMS = (
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
    UnicodeDecodeError,
    UnboundLocalError,
)
_GEOPACKAGE = (b"GPKG", b"GP10", b"GP11")
_APPLICATION_ID = slice(68, 72)
_SHP_MAGIC = b"\x00\x00\x27\x0a"
_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_NEEDED = (".shx", ".dbf")
_DBF_HEADER_SIZE = slice(8, 10)
_DBF_FIELD, _DBF_NAME, _DBF_FIELDS_END = 32, 11, 0x0D
# A key "crs", also written with escapes or in capitals, which GDAL takes as well.
_CRS_KEY = re.compile(r'"(?:c|\\u00[46]3)(?:r|\\u00[57]2)(?:s|\\u00[57]3)"(\s*:\s*)', re.IGNORECASE)
_GEOJSON_TYPES = (
    "FeatureCollection", "Feature", "Point", "MultiPoint", "LineString", "MultiLineString",
    "Polygon", "MultiPolygon", "GeometryCollection",
)  # fmt: skip
_OTHER_KEY = "_declared_crs_"
_CRS_NAME = re.compile(
    r"(?:urn:(?:x-)?ogc:def:crs:(?P<authority>EPSG|OGC):[\w.]*:|EPSG:)(?P<code>\w{1,8})",
    re.IGNORECASE,
)


def read_geojson(data: bytes, suffix: str, said: str | None) -> tuple[RawSheet, str]:
    """Read a GeoJSON of any encoding.

    A declared ``crs`` counts only as a plain name (``urn:ogc:def:crs:EPSG::4490``, ``EPSG:4490``),
    and GDAL, which would follow a link, does not get to see it. Any other declaration leaves the
    system unknown until a person says it.

    Args:
        suffix: the file's extension.
        said: the encoding the person named.

    Returns:
        the layer and the encoding.

    Raises:
        ReadProblem: not GeoJSON, or cut off.
    """
    text, encoding = decode(data, said)
    declared = _declared_crs(text, suffix)
    hidden = _CRS_KEY.sub(rf'"{_OTHER_KEY}"\1', text)
    Path("layer.geojson").write_text(hidden, encoding="utf-8")
    sheet = _layer(_own("GeoJSON:", "layer.geojson"), None, None, "utf-8")
    headings = tuple("crs" if one == _OTHER_KEY else one for one in sheet.headings or ())
    return replace(sheet, headings=headings, crs=declared or sheet.crs), encoding


def _declared_crs(text: str, suffix: str) -> str | None:
    """What a GeoJSON declares, as ``EPSG:number``; `UNNAMED_CRS` when that is no plain name."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(error) from error
    kind = document.get("type") if isinstance(document, dict) else None
    if kind not in _GEOJSON_TYPES:
        recipe = isinstance(kind, str) and kind.startswith("gdal_")
        raise wrong_format(suffix, Content.RECIPE if recipe else Content.JSON)
    found = [value for key, value in document.items() if key.lower() == "crs" and value is not None]
    if not found:
        return None
    return _plain_name(found[0]) if len(found) == 1 else UNNAMED_CRS


def _plain_name(declared: Any) -> str:
    properties = declared.get("properties") if isinstance(declared, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    found = _CRS_NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None or declared.get("type") != "name":
        return UNNAMED_CRS
    if found["code"].isdecimal() and (found["authority"] or "EPSG").upper() == "EPSG":
        return f"EPSG:{int(found['code'])}"
    return "EPSG:4326" if found["code"].upper() in ("CRS84", "84") else UNNAMED_CRS


def read_geopackage(data: bytes, layer: str | None) -> RawSheet:
    """Read one layer of a GeoPackage: the one asked for, the only one, or the only one with shapes.

    Raises:
        ReadProblem: another SQLite database, damaged, or several layers to choose from.
    """
    if data[_APPLICATION_ID] not in _GEOPACKAGE:
        raise wrong_format(".gpkg", Content.DATABASE)
    Path("file.gpkg").write_bytes(data)
    path = _own("", "file.gpkg")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            layers = pyogrio.list_layers(path)
    except _PROBLEMS as error:
        raise _unreadable(error) from error
    names = [str(name) for name, _ in layers]
    shaped = [str(name) for name, kind in layers if kind is not None]
    chosen = _choose(names, shaped, layer)
    return _layer(path, chosen, chosen, None)


def read_shapefile_zip(
    data: bytes, layer: str | None, said: str | None
) -> tuple[RawSheet, str, bool]:
    """Read the Shapefile in a zip.

    Args:
        said: the encoding of the attributes the person named.

    Returns:
        the layer, the encoding of its attributes, and whether the file states another one.

    Raises:
        ReadProblem: no Shapefile, parts missing, several of them, damaged or of absurd size.
    """
    with open_archive(data) as archive:
        name, parts = _parts(archive, layer)
    if not parts[".shp"].startswith(_SHP_MAGIC):
        raise ReadProblem("FILE_UNREADABLE", detail=f"{name}.shp 的内容不是 Shapefile")
    encoding, doubtful = _dbf_encoding(parts, said)
    parts[".dbf"], headings = _own_field_names(parts[".dbf"], ENCODINGS[encoding])
    for suffix, content in parts.items():
        if suffix != ".cpg":
            Path(f"layer{suffix}").write_bytes(content)
    sheet = _layer(_own("", "layer.shp"), None, name, ENCODINGS[encoding])
    if len(headings) == len(sheet.columns):
        sheet = replace(sheet, headings=headings)
    return sheet, encoding, doubtful


def _own_field_names(table: bytes, codec: str) -> tuple[bytes, tuple[str, ...]]:
    """The table with plain field names, and the written ones.

    A dBASE name has 10 bytes and a Chinese one is often cut inside a character, which no reader
    decodes.
    """
    renamed = bytearray(table)
    headings: list[str] = []
    start = _DBF_FIELD
    while start + _DBF_FIELD <= len(table) and table[start] != _DBF_FIELDS_END:
        written = table[start : start + _DBF_NAME].split(b"\x00")[0]
        renamed[start : start + _DBF_NAME] = f"F{len(headings)}".encode().ljust(_DBF_NAME, b"\x00")
        headings.append(written.decode(codec, errors="ignore").strip())
        start += _DBF_FIELD
    return bytes(renamed), tuple(headings)


def _parts(archive: zipfile.ZipFile, layer: str | None) -> tuple[str, dict[str, bytes]]:
    """The name of the one Shapefile wanted, and its parts by suffix."""
    members: dict[tuple[str, str], zipfile.ZipInfo] = {}
    for info in archive.infolist():
        path = PurePosixPath(_member_name(info))
        if path.name and "__MACOSX" not in path.parts and path.suffix.lower() in _PARTS:
            members[str(path.with_suffix("")), path.suffix.lower()] = info
    bases = [base for base, suffix in members if suffix == ".shp"]
    if not bases:
        raise ReadProblem("ZIP_WITHOUT_SHP")
    names = {PurePosixPath(base).name: base for base in bases}
    name = _choose(list(names), list(names), layer)
    base = names[name]
    found = {suffix: members[base, suffix] for suffix in _PARTS if (base, suffix) in members}
    missing = [suffix for suffix in _NEEDED if suffix not in found]
    if missing:
        raise ReadProblem("SHP_INCOMPLETE", layer=name, missing="、".join(missing))
    return name, {suffix: b"".join(unpack(archive, info)) for suffix, info in found.items()}


def _member_name(info: zipfile.ZipInfo) -> str:
    """A member's name; Chinese Windows writes GBK without saying so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return info.filename


def _dbf_encoding(parts: dict[str, bytes], said: str | None) -> tuple[str, bool]:
    """The encoding of the attribute table, and whether the .cpg states another one.

    What the person says counts; a .cpg is believed when the bytes agree with it (Chinese tools
    write GBK and often state UTF-8).
    """
    table = parts[".dbf"]
    body = table[int.from_bytes(table[_DBF_HEADER_SIZE], "little") :].replace(b"\x00", b" ")
    if said is not None:
        return decode(body, said)[1], False
    stated = parts.get(".cpg", b"").decode("ascii", errors="ignore").strip()
    if stated:
        try:
            return decode(body, check_name(stated))[1], False
        except ReadProblem:
            pass
    return (decode(body)[1] if body.strip() else "utf-8"), bool(stated)


def _choose(names: list[str], shaped: list[str], layer: str | None) -> str:
    if layer is not None:
        if layer not in names:
            raise ReadProblem("LAYER_NOT_FOUND", value=layer, layers="、".join(names))
        return layer
    for options in (names, shaped):
        if len(options) == 1:
            return options[0]
    if not names:
        raise ReadProblem("FILE_EMPTY")
    raise ReadProblem("SEVERAL_LAYERS", layers="、".join(names))


def _own(driver: str, name: str) -> str:
    """A file of ours for GDAL: absolute, since it takes relative names for many things."""
    return f"{driver}{Path.cwd() / name}"


def _layer(path: str, layer: str | None, name: str | None, encoding: str | None) -> RawSheet:
    with warnings.catch_warnings():
        # Unclosed rings and NaN are reported by the checks, feature by feature.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            meta, _, shapes, fields = pyogrio.raw.read(
                path, layer=layer, encoding=encoding, force_2d=True, datetime_as_string=True
            )
        except (*_PROBLEMS, ValueError) as error:
            raise _unreadable(error) from error
        geometries = (
            None
            if shapes is None
            else np.asarray(shapely.from_wkb(shapes, on_invalid="fix"), dtype=object)
        )
    unreadable = None
    if shapes is not None and geometries is not None:
        written = np.array([one is not None for one in shapes], dtype=bool)
        unreadable = written & np.asarray(shapely.is_missing(geometries))
    return RawSheet(
        name=name,
        columns=tuple(Factor.of(_texts(field)) for field in fields),
        headings=tuple(str(field) for field in meta["fields"]),
        geometries=geometries,
        unreadable=unreadable,
        crs=meta["crs"],
    )


def _texts(field: NDArray[Any]) -> list[str]:
    """A field's values as texts; missing ones empty."""
    values: Iterable[Any] = field.tolist()
    return ["" if value is None or value != value else cell_text(value) for value in values]


def _unreadable(error: Exception) -> ReadProblem:
    return ReadProblem("FILE_UNREADABLE", detail=_one_line(str(error)))


def _one_line(text: str) -> str:
    """GDAL's message without the name of our temporary copy."""
    folder = os.getcwd()
    return " ".join(word for word in text.split() if folder not in word)[:200]

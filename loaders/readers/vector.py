"""GeoPackage, zipped Shapefile and GeoJSON through pyogrio: attributes as texts, shapes as shapely.

The driver is fixed before GDAL sees a file, and what lies in a zip is copied out under names of our
own, so neither content nor member names decide what is opened.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from loaders.issues import make
from loaders.readers.excel import cell_text
from loaders.readers.problem import ReadProblem
from loaders.readers.text import decode
from loaders.table import Factor, RawSheet

_PROBLEMS = (DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError)
_GEOPACKAGE = (b"GPKG", b"GP10", b"GP11")
_APPLICATION_ID = slice(68, 72)
_SHP_MAGIC = b"\x00\x00\x27\x0a"
_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_NEEDED = (".shx", ".dbf")
_MOST_UNPACKED = 2 << 30
_DBF_HEADER_SIZE = slice(8, 10)
_DBF_FIELD, _DBF_NAME, _DBF_FIELDS_END = 32, 11, 0x0D


def read_geojson(data: bytes) -> tuple[RawSheet, str, bool]:
    """Read a GeoJSON of any encoding.

    Returns:
        the layer, the encoding and whether it was guessed.

    Raises:
        ReadProblem: not GeoJSON, or cut off.
    """
    text, encoding, guessed = decode(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.geojson"
        path.write_text(text, encoding="utf-8")
        return _layer(f"GeoJSON:{path}", None, None, "utf-8"), encoding, guessed


def read_geopackage(data: bytes, layer: str | None) -> RawSheet:
    """Read one layer of a GeoPackage: the one asked for, the only one, or the only one with shapes.

    Raises:
        ReadProblem: another SQLite database, damaged, or several layers to choose from.
    """
    if data[_APPLICATION_ID] not in _GEOPACKAGE:
        raise ReadProblem(
            make(
                "WRONG_FORMAT",
                value=".gpkg",
                found="其他 SQLite 数据库",
                found_en="another SQLite database",
            )
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.gpkg"
        path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                layers = pyogrio.list_layers(path)
        except _PROBLEMS as error:
            raise _unreadable(error) from error
        names = [str(name) for name, _ in layers]
        shaped = [str(name) for name, kind in layers if kind is not None]
        chosen = _choose(names, shaped, layer)
        return _layer(str(path), chosen, chosen, None)


def read_shapefile_zip(data: bytes, layer: str | None) -> tuple[RawSheet, str, bool]:
    """Read the Shapefile in a zip.

    Returns:
        the layer, the encoding of its attributes, and whether that was guessed.

    Raises:
        ReadProblem: no Shapefile, parts missing, several of them, damaged or of absurd size.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            parts = _parts(archive, layer)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        # RuntimeError: zipfile's way of saying that a member has a password.
        raise _unreadable(error) from error
    name = parts.pop("name").decode()
    if not parts[".shp"].startswith(_SHP_MAGIC):
        raise ReadProblem(make("FILE_UNREADABLE", detail=f"{name}.shp 的内容不是 Shapefile"))
    encoding, guessed = _dbf_encoding(parts)
    parts[".dbf"], headings = _own_field_names(parts[".dbf"], encoding)
    with tempfile.TemporaryDirectory() as folder:
        for suffix, content in parts.items():
            if suffix != ".cpg":
                (Path(folder) / f"layer{suffix}").write_bytes(content)
        sheet = _layer(f"{folder}/layer.shp", None, name, encoding)
    if len(headings) == len(sheet.columns):
        sheet = replace(sheet, headings=headings)
    return sheet, encoding, guessed


def _own_field_names(table: bytes, encoding: str) -> tuple[bytes, tuple[str, ...]]:
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
        headings.append(written.decode(encoding, errors="ignore").strip())
        start += _DBF_FIELD
    return bytes(renamed), tuple(headings)


def _parts(archive: zipfile.ZipFile, layer: str | None) -> dict[str, bytes]:
    """The parts of the one Shapefile wanted, by suffix, and its ``name``."""
    members: dict[tuple[str, str], zipfile.ZipInfo] = {}
    for info in archive.infolist():
        path = PurePosixPath(_member_name(info))
        if "__MACOSX" not in path.parts and path.suffix.lower() in _PARTS:
            members[str(path.with_suffix("")), path.suffix.lower()] = info
    bases = [base for base, suffix in members if suffix == ".shp"]
    if not bases:
        raise ReadProblem(make("ZIP_WITHOUT_SHP"))
    names = {PurePosixPath(base).name: base for base in bases}
    name = _choose(list(names), list(names), layer)
    base = names[name]
    found = {suffix: members[base, suffix] for suffix in _PARTS if (base, suffix) in members}
    missing = [suffix for suffix in _NEEDED if suffix not in found]
    if missing:
        raise ReadProblem(make("SHP_INCOMPLETE", layer=name, missing="、".join(missing)))
    if sum(info.file_size for info in found.values()) > _MOST_UNPACKED:
        raise ReadProblem(make("FILE_UNREADABLE", detail="解压后超过 2 GB"))
    contents = {suffix: archive.read(info) for suffix, info in found.items()}
    return {"name": name.encode(), **contents}


def _member_name(info: zipfile.ZipInfo) -> str:
    """A member's name; Chinese Windows writes GBK without saying so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return info.filename


def _dbf_encoding(parts: dict[str, bytes]) -> tuple[str, bool]:
    """The encoding of the attribute table, and whether a person should look at it.

    A .cpg is believed when the bytes agree with it; Chinese tools write GBK and often say UTF-8.
    """
    table = parts[".dbf"]
    body = table[int.from_bytes(table[_DBF_HEADER_SIZE], "little") :].replace(b"\x00", b" ")
    stated = parts.get(".cpg", b"").decode("ascii", errors="ignore").strip()
    if stated:
        name = f"cp{stated}" if stated.isdecimal() else stated
        try:
            body.decode(name)
            return name, False
        except (LookupError, UnicodeDecodeError):
            pass
    _, encoding, guessed = decode(body) if body.strip() else ("", "utf-8", False)
    return encoding, guessed or bool(stated)


def _choose(names: list[str], shaped: list[str], layer: str | None) -> str:
    if layer is not None:
        if layer not in names:
            raise ReadProblem(make("LAYER_NOT_FOUND", value=layer, layers="、".join(names)))
        return layer
    for options in (names, shaped):
        if len(options) == 1:
            return options[0]
    if not names:
        raise ReadProblem(make("FILE_EMPTY"))
    raise ReadProblem(make("SEVERAL_LAYERS", layers="、".join(names)))


def _layer(path: str, layer: str | None, name: str | None, encoding: str | None) -> RawSheet:
    with warnings.catch_warnings():
        # Unclosed rings and NaN are reported by the checks, feature by feature.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            meta, _, shapes, fields = pyogrio.raw.read(
                path, layer=layer, encoding=encoding, force_2d=True, datetime_as_string=True
            )
        except (*_PROBLEMS, UnicodeDecodeError) as error:
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
    return ReadProblem(make("FILE_UNREADABLE", detail=_one_line(str(error))))


def _one_line(text: str) -> str:
    """GDAL's message without the name of our temporary copy."""
    parts = [
        word for word in text.split() if not word.strip("'\"").startswith(tempfile.gettempdir())
    ]
    return " ".join(parts)[:200]

"""Attack 17: small files that want to be large, far cells, paths that climb, entities.

Each ends with an error within 35 s, this process grows by less than 200 MB and goes on working.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import openpyxl
import pytest
import shapely

from loaders.model import Known, Request
from loaders.prepare import prepare
from loaders.readers.archive import MOST_MEMBERS
from loaders.sandbox.limits import MOST_FILE_BYTES
from tests.security.memory import grows_less_than
from tests.security.ods import ods

SECONDS, MEGABYTES = 35, 200
KNOWN = Known.nothing()
FIGURES = "place_id,month,contracted_persons\n131002101201,2026-10,3\n"


@pytest.fixture(scope="module", autouse=True)
def _still_working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After all attacks a good file is read as ever."""
    yield
    good = tmp_path_factory.mktemp("after") / "good.csv"
    good.write_text(FIGURES)
    assert prepare(good, Request(), KNOWN).dataset == "figures"


def load(path: Path, request: Request | None = None) -> set[str]:
    """The codes of what is wrong, within the time and memory of the attack."""
    began = time.monotonic()
    with grows_less_than(MEGABYTES):
        prepared = prepare(path, request or Request(), KNOWN)
    assert time.monotonic() - began < SECONDS
    assert prepared.report.has_errors and prepared.frame.empty
    return {issue.code for issue in prepared.report.issues}


def book(cells: dict[str, object]) -> bytes:
    made = openpyxl.Workbook()
    assert made.active is not None
    for name, value in cells.items():
        made.active[name] = value
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def with_part(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one part changed."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info.filename, change(content) if info.filename == name else content)
    return stream.getvalue()


SMALL = book({"A1": "place_id", "B1": "month", "A2": "131002101201", "B2": "2026-10"})
SHEET = "xl/worksheets/sheet1.xml"


# Far cells.


@pytest.mark.parametrize(
    "cells",
    [
        {"XFD1048576": 1},
        {"A1": "a", "XFD1048576": 1},
        {"A1": "a", "XFD1": 2, "A1048576": 1},
        {"A1": "a", "ZZ1048576": "text"},
    ],
)
def test_a_cell_at_the_end_of_the_sheet(cells: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "far.xlsx"
    path.write_bytes(book(cells))
    assert load(path) <= {"SHEET_TOO_LARGE", "FILE_TOO_COSTLY"}


@pytest.mark.parametrize(
    "cells",
    [
        b'<c r="XFD1048576"/>',
        b"<c r='XFD1048576' ><v>1</v></c>",
        b'<x:c xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main" r="XFD1048576">'
        b"<x:v>1</x:v></x:c>",
        b'<c r="&#88;FD1048576"><v>1</v></c>',
        b'<c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c>',
        b'<c r="ZZZZZZ99999999"><v>1</v></c>',
        b'<c r="XFD1048576"><v>1</v></c></row><row r="1"><c r="A1"><v>1</v></c>',
    ],
)
def test_a_far_cell_written_in_other_ways(cells: bytes, tmp_path: Path) -> None:
    row = b'<row r="1048576">' + cells + b"</row></sheetData>"
    path = tmp_path / "far.xlsx"
    path.write_bytes(with_part(SMALL, SHEET, lambda old: old.replace(b"</sheetData>", row)))
    # An empty cell is none, and calamine does not know every way: no figure comes of it either way.
    codes = load(path)
    assert codes <= {
        "SHEET_TOO_LARGE", "FILE_TOO_COSTLY", "FILE_UNREADABLE", "FILE_READER_DIED",
        "DATASET_UNKNOWN", "NO_ROWS", "MISSING_COLUMN", "NO_HEADER", "UNKNOWN_COLUMN",
        "MONTH_MISSING", "UNKNOWN_PLACE", "DATASET_AMBIGUOUS",
    }, codes  # fmt: skip


def test_a_declared_dimension_alone_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    data = book({"A1": "place_id", "B1": "month", "C1": "contracted_persons", "A2": "V", "C2": 1})
    declared = b'<dimension ref="A1:XFD1048576"/>'
    path.write_bytes(
        with_part(data, SHEET, lambda old: old.replace(b'<dimension ref="A1:C2"/>', declared))
    )
    assert "SHEET_TOO_LARGE" not in load(path)


def test_repeated_cells_of_an_ods(tmp_path: Path) -> None:
    path = tmp_path / "far.ods"
    rows = (
        '<table:table-row table:number-rows-repeated="1048576"><table:table-cell '
        'table:number-columns-repeated="16384" office:value-type="float" office:value="1"/>'
        "</table:table-row>"
    )
    path.write_bytes(ods(rows))
    assert load(path) <= {"FILE_TOO_COSTLY", "SHEET_TOO_LARGE", "FILE_UNREADABLE"}


# Bombs.


def deflated(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    return b"".join([*(packer.compress(block) for _ in range(size >> 20)), packer.flush()])


def raw_zip(members: list[tuple[str, bytes, int]], offsets: list[int] | None = None) -> bytes:
    """A zip written by hand: (name, deflated bytes, stated size), and where each is said to be."""
    body, directory = b"", b""
    for index, (name, packed, size) in enumerate(members):
        at = len(body) if offsets is None else offsets[index]
        named = name.encode()
        common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(packed), size, len(named), 0)
        if offsets is None or index == 0:
            body += b"PK\x03\x04" + common + named + packed
        directory += b"PK\x01\x02\x14\x00" + common + struct.pack("<HHHII", 0, 0, 0, 0, at) + named
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


BOMB = deflated(256 << 20)


@pytest.mark.parametrize("suffix", [".xlsx", ".zip", ".ods"])
@pytest.mark.parametrize("stated", [256 << 20, 10 << 20, 100, 0xFFFFFFFE])
def test_a_zip_bomb_and_one_that_hides_its_size(suffix: str, stated: int, tmp_path: Path) -> None:
    names = {
        ".xlsx": ["[Content_Types].xml", SHEET],
        ".zip": ["a.shp", "a.shx", "a.dbf"],
        ".ods": ["META-INF/manifest.xml", "content.xml"],
    }[suffix]
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(raw_zip([(name, BOMB, stated) for name in names]))
    assert load(path) <= {"ARCHIVE_UNSAFE", "FILE_UNREADABLE"}


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    members = [(f"{n}.shp", BOMB[: 1 << 16], 1 << 20) for n in range(500)]
    path.write_bytes(raw_zip(members, [0] * len(members)))
    assert load(path) == {"ARCHIVE_UNSAFE"}


def test_an_archive_in_an_archive(tmp_path: Path) -> None:
    data = BOMB
    for level in range(3):
        data = raw_zip([(f"{level}.zip", zlib.compress(data)[2:-4], len(data))])
    path = tmp_path / "nested.zip"
    path.write_bytes(data)
    assert load(path) <= {"ARCHIVE_UNSAFE", "FILE_UNREADABLE"}
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.txt", "x")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.jpg", inner.getvalue())
    assert load(path) == {"ARCHIVE_UNSAFE"}


def test_thousands_of_members(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(MOST_MEMBERS + 1):
            archive.writestr(f"{number}.shp", b"")
    assert load(path) == {"ARCHIVE_UNSAFE"}


def test_a_workbook_with_an_embedded_document_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "embedded.xlsx"
    path.write_bytes(SMALL)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/embeddings/sheet.xlsx", SMALL)
    assert not load(path) & {"ARCHIVE_UNSAFE", "FILE_UNREADABLE"}


def test_a_file_beyond_the_limit_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as stream:
        stream.truncate(MOST_FILE_BYTES + 1)
    assert load(path) == {"FILE_TOO_LARGE"}


# Paths that climb.


@pytest.mark.parametrize(
    "name", ["../../../x", "/tmp/x", "C:\\x", "..\\..\\x", "a/../../../x", "\\\\host\\x", "x\x00y"]
)
def test_a_path_in_a_zip_leads_nowhere(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "shp"
    folder.mkdir()
    frame = gpd.GeoDataFrame({"name": ["x"]}, geometry=[shapely.box(116, 39, 117, 40)], crs=4490)
    frame.to_file(folder / "a.shp")
    path = tmp_path / "in" / "deep" / "er" / "slip.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for part in folder.iterdir():
            archive.writestr(zipfile.ZipInfo(name + part.suffix), part.read_bytes())
    before = {one for one in tmp_path.rglob("*")} | {
        Path("/tmp") / one for one in ("x.shp", "x.dbf")
    }
    existing = {one for one in before if one.exists()}
    load(path)
    after = {one for one in tmp_path.rglob("*")}
    assert after == {one for one in existing if tmp_path in one.parents}
    assert not Path("/tmp/x.shp").exists() and not Path("/x.shp").exists()


@pytest.mark.parametrize("name", ["../../slip.xml", "/tmp/slip.xml", "xl/../../slip.xml"])
def test_a_path_in_a_workbook_leads_nowhere(name: str, tmp_path: Path) -> None:
    path = tmp_path / "slip.xlsx"
    path.write_bytes(SMALL)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "<a/>")
    before = {*tmp_path.rglob("*"), *tmp_path.parent.glob("slip*")}
    load(path)
    assert {*tmp_path.rglob("*"), *tmp_path.parent.glob("slip*")} == before
    assert not Path("/tmp/slip.xml").exists()


# Entities.

LAUGHS = "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12)
)  # fmt: skip
DECLARATIONS = {
    "billion laughs": f'<!DOCTYPE s [<!ENTITY l0 "lol">{LAUGHS}]>',
    "quadratic": f'<!DOCTYPE s [<!ENTITY l11 "{"x" * 100_000}">]>',
    "a local file": '<!DOCTYPE s [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
    "an address": '<!DOCTYPE s [<!ENTITY l11 SYSTEM "http://127.0.0.1:9/x">]>',
    "a parameter entity": '<!DOCTYPE s [<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]>',
    "an external declaration": '<!DOCTYPE s SYSTEM "http://127.0.0.1:9/x.dtd">',
}


PARTS = (SHEET, "xl/styles.xml", "xl/workbook.xml", "[Content_Types].xml")


@pytest.mark.parametrize(
    ("name", "encoding", "part"),
    [
        *((name, "utf-8", SHEET) for name in DECLARATIONS),
        *(("billion laughs", encoding, SHEET) for encoding in ("utf-16", "utf-16-be")),
        *(("a local file", "utf-8", part) for part in PARTS[1:]),
    ],
)
def test_a_declared_entity_is_refused(name: str, encoding: str, part: str, tmp_path: Path) -> None:
    def declare(old: bytes) -> bytes:
        text = old.decode().removeprefix("<?xml version='1.0' encoding='UTF-8'?>")
        # Behind a comment longer than a piece, so that looking at the start is not enough.
        padding = f"<!--{'x' * (1 << 20)}-->" if encoding == "utf-8" else ""
        body = text.replace("place_id", "&l11;")
        return f"<?xml version='1.0'?>{padding}{DECLARATIONS[name]}{body}".encode(encoding)

    path = tmp_path / "entities.xlsx"
    path.write_bytes(with_part(SMALL, part, declare))
    assert load(path) == {"XML_ENTITIES"}


# Bombs of other kinds.


OTHERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "one row of commas": ("x.csv", lambda: b"," * (20 << 20)),
    "rows of all lengths": ("x.csv", lambda: b"\n".join(b"," * n for n in range(2_000))),
    "one quote": ("x.csv", lambda: b'"' + b"a\n" * (10 << 20)),
    "many quotes": ("x.csv", lambda: b'"a""b",' * (2 << 20)),
    "deep lists": ("x.geojson", lambda: b"[" * 1_000_000),
    "deep objects": ("x.geojson", lambda: b'{"type":' * 300_000),
    "a long number": ("x.geojson", lambda: b'{"type":"Feature","x":' + b"9" * 5_000_000 + b"}"),
    "deep geometries": (
        "x.geojson",
        lambda: b'{"type":"GeometryCollection","geometries":['
        + b'{"type":"GeometryCollection","geometries":[' * 400
        + b"]}" * 400 + b"]}",
    ),
    "many keys": (
        "x.geojson",
        lambda: json.dumps(
            {"type": "FeatureCollection", "features": [
                {"type": "Feature", "geometry": None, "properties": {f"k{n}": 1}}
                for n in range(5_000)
            ]}
        ).encode(),
    ),
}  # fmt: skip


LONG = {"many keys"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in OTHERS]
)
def test_text_that_grows(name: str, tmp_path: Path) -> None:
    file, make = OTHERS[name]
    path = tmp_path / file
    path.write_bytes(make())
    load(path)


@pytest.mark.slow
def test_a_view_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    gpd.GeoDataFrame({"name": ["x"]}, geometry=[shapely.Point(116, 39)], crs=4326).to_file(path)
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE VIEW evil AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
            "SELECT count(*) AS fid, 'x' AS name FROM c"
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('evil', 'attributes', 'evil')"
        )
    assert load(path, Request(layer="evil")) == {"FILE_TOO_COSTLY"}


def test_a_named_pipe_does_not_hold_the_program(tmp_path: Path) -> None:
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    assert load(path) == {"FILE_UNREADABLE"}

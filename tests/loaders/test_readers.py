"""Encodings, separators, formats whose content and extension disagree, damaged files."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geodata.errors import DudaoError
from loaders import inspect
from loaders.model import Known, Prepared, Request
from loaders.prepare import prepare
from loaders.readers import read
from tests.loaders.world import ANCI, DONGGUAN, GUANGYANG, codes

DATA = Path(__file__).parents[1] / "data" / "loaders"
FIGURES = f"区划代码,名称,月份,建档立卡户数\n{DONGGUAN},东关村,2026年10月,１２\n"


def first_value(prepared: Prepared) -> float:
    assert codes(prepared) == {}, list(prepared.report.issues)
    return float(prepared.frame["value"].iloc[0])


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("gbk", "gb18030"),
        ("gb18030", "gb18030"),
        ("utf-16", "utf-16"),
        ("utf-32", "utf-32"),
    ],
)
def test_encodings(encoding: str, found: str, write: Callable[..., Path], known: Known) -> None:
    prepared = prepare(write(FIGURES, encoding=encoding), Request(), known)
    assert first_value(prepared) == 12
    assert prepared.report.encoding == found


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_asked_and_read_as_said(
    encoding: str, write: Callable[..., Path], known: Known
) -> None:
    path = write(FIGURES, encoding=encoding)
    prepared = prepare(path, Request(), known)
    assert codes(prepared) == {"ENCODING_UNKNOWN": 1}
    assert encoding in next(iter(prepared.report.issues)).message
    prepared = prepare(path, Request(encoding=encoding), known)
    assert first_value(prepared) == 12
    assert prepared.report.encoding == encoding


def test_bytes_that_are_not_what_their_mark_says(tmp_path: Path, nothing: Known) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf\xff\xfe\xfa,\xff\xff\n")
    prepared = prepare(path, Request(), nothing)
    assert codes(prepared) == {"ENCODING_WRONG": 1}


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt"])
def test_separators(separator: str, name: str, write: Callable[..., Path], known: Known) -> None:
    prepared = prepare(write(FIGURES.replace(",", separator), name), Request(), known)
    assert first_value(prepared) == 12


def test_quotes_line_breaks_and_row_numbers(write: Callable[..., Path], known: Known) -> None:
    text = f'区划代码,月份,户数\n"{DONGGUAN}",2026-10,"1,200"\n\n"{ANCI}","2026-10","a\nb"\n'
    prepared = prepare(write(text), Request(), known)
    (issue,) = list(prepared.report.issues)
    # Row 2 is data, row 3 blank, row 4 the record with a line break in a cell.
    assert (issue.code, issue.row, issue.value) == ("BAD_NUMBER", 4, "a\nb")
    assert prepared.frame["value"].tolist() == [1200]


def test_ragged_rows_keep_their_numbers(write: Callable[..., Path], known: Known) -> None:
    text = f"签约统计\n区划代码,月份,户数\n{DONGGUAN},2026-10\n{ANCI},2026-10,x,多\n"
    prepared = prepare(write(text), Request(), known)
    (issue,) = [one for one in prepared.report.issues if one.code == "BAD_NUMBER"]
    assert issue.row == 4
    assert prepared.report.header_rows == {"": [2]}


def make_zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


XLSX = (DATA / "adyliu_summary.xlsx").read_bytes()
XLS = (DATA / "nbs_fensheng_2020di.xls").read_bytes()
WRONG = {
    "empty.csv": (b"", "FILE_EMPTY"),
    "empty.xlsx": (b"", "FILE_EMPTY"),
    "blank.csv": (b" \n\n", "FILE_EMPTY"),
    "x.pdf": (b"%PDF", "FORMAT_UNKNOWN"),
    "noextension": (b"a,b", "FORMAT_UNKNOWN"),
    "x.shp": (b"\x00\x00\x27\x0a", "SHP_NOT_ZIPPED"),
    "really_xlsx.csv": (XLSX, "WRONG_FORMAT"),
    "really_xls.xlsx": (XLS, "WRONG_FORMAT"),
    "really_text.xlsx": (b"a,b\n1,2\n", "WRONG_FORMAT"),
    "really_text.xls": (b"a\tb\n1\t2\n", "WRONG_FORMAT"),
    "really_html.xls": (b"<html><table><tr><td>a</td></tr></table></html>", "WRONG_FORMAT"),
    "really_vrt.geojson": (b"<OGRVRTDataSource></OGRVRTDataSource>", "WRONG_FORMAT"),
    "really_text.gpkg": (b"a,b\n1,2\n", "WRONG_FORMAT"),
    "sqlite.gpkg": (b"SQLite format 3\x00" + bytes(200), "WRONG_FORMAT"),
    "really_xlsx.zip": (XLSX, "WRONG_FORMAT"),
    "binary.csv": (bytes(range(256)) * 9, "WRONG_FORMAT"),
    "no_shp.zip": (make_zip(readme__txt=b"hello"), "ZIP_WITHOUT_SHP"),
    "lonely_shp.zip": (make_zip(a__shp=b"\x00\x00\x27\x0a"), "SHP_INCOMPLETE"),
    "false_shp.zip": (make_zip(a__shp=b"<VRT/>", a__shx=b"x", a__dbf=b"x"), "FILE_UNREADABLE"),
    "cut.zip": (make_zip(a__shp=b"x" * 500)[:100], "FILE_UNREADABLE"),
    "cut.xlsx": (XLSX[: len(XLSX) // 2], "FILE_UNREADABLE"),
    "cut.xls": (XLS[:3000], "FILE_UNREADABLE"),
    "cut.geojson": (b'{"type":"FeatureCollection","features":[{"type":"Fea', "FILE_UNREADABLE"),
    "other.json": (b'{"a": 1}', "WRONG_FORMAT"),
    "cut.gpkg": (
        b"SQLite format 3\x00".ljust(68, b"\x00") + b"GPKG" + bytes(400),
        "FILE_UNREADABLE",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_become_one_issue(name: str, tmp_path: Path, nothing: Known) -> None:
    content, code = WRONG[name]
    path = tmp_path / name
    path.write_bytes(content)
    prepared = prepare(path, Request(), nothing)
    assert codes(prepared) == {code: 1}
    assert prepared.frame.empty and prepared.dataset is None
    (issue,) = list(prepared.report.issues)
    assert str(tmp_path) not in issue.message and "vsimem" not in issue.message


def test_a_missing_file_is_an_issue(tmp_path: Path, nothing: Known) -> None:
    prepared = prepare(tmp_path / "gone.csv", Request(), nothing)
    assert codes(prepared) == {"FILE_UNREADABLE": 1}
    with pytest.raises(DudaoError) as raised:
        inspect(tmp_path / "gone.csv")
    assert raised.value.code == "FILE_UNREADABLE"
    assert raised.value.remedy


@pytest.mark.parametrize("source", ["adyliu_summary.xlsx", "2rintf_A0101a.xls"])
@pytest.mark.parametrize("kind", ["cut", "noise"])
def test_damaged_workbooks_never_raise(
    source: str, kind: str, tmp_path: Path, nothing: Known
) -> None:
    whole = (DATA / source).read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / f"x{Path(source).suffix}"
    for _ in range(8):
        data = bytearray(whole)
        if kind == "cut":
            del data[int(rng.integers(600, len(data))) :]
        else:
            for at in rng.integers(600, len(data), 30):
                data[at] = int(rng.integers(0, 256))
        path.write_bytes(bytes(data))
        prepared = prepare(path, Request(), nothing)
        assert len(prepared.report.issues) > 0


def test_hash_is_of_the_bytes_read(write: Callable[..., Path]) -> None:
    path = write(FIGURES, encoding="gbk")
    assert read(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def frame(count: int = 2) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {"区划代码": [ANCI[:6], GUANGYANG[:6]][:count], "名称": ["安次区", "广阳区"][:count]},
        geometry=[shapely.box(116.0, 39.0, 116.5, 40.0), shapely.box(116.5, 39.0, 117.0, 40.0)][
            :count
        ],
        crs="EPSG:4490",
    )


def shapefile_zip(tmp_path: Path, encoding: str, cpg: str | None, name: str = "county") -> Path:
    folder = tmp_path / "shp"
    folder.mkdir()
    frame().to_file(folder / f"{name}.shp", encoding=encoding, engine="pyogrio")
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in sorted(folder.iterdir()):
            if member.suffix != ".cpg":
                archive.write(member, f"导出/{member.name}")
        if cpg is not None:
            archive.writestr(f"导出/{name}.cpg", cpg)
    return path


@pytest.mark.parametrize(
    ("encoding", "cpg", "issues"),
    [
        ("GB18030", None, {}),
        ("GB18030", "GBK", {}),
        ("GB18030", "936", {}),
        ("UTF-8", "UTF-8", {}),
        ("UTF-8", None, {}),
        ("GB18030", "UTF-8", {"ENCODING_GUESSED": 1}),
    ],
)
def test_shapefile_zip(
    encoding: str, cpg: str | None, issues: dict[str, int], tmp_path: Path, known: Known
) -> None:
    prepared = prepare(shapefile_zip(tmp_path, encoding, cpg), Request(), known)
    assert codes(prepared) == issues, list(prepared.report.issues)
    assert prepared.dataset == "places"
    assert prepared.frame["id"].tolist() == [ANCI, GUANGYANG]
    assert prepared.frame["name"].tolist() == ["安次区", "广阳区"]
    assert prepared.report.crs == "EPSG:4490"
    assert prepared.geometries is not None
    assert shapely.equals(prepared.geometries[0], shapely.box(116.0, 39.0, 116.5, 40.0))


def test_zip_with_two_shapefiles_asks_which(tmp_path: Path, known: Known) -> None:
    path = shapefile_zip(tmp_path, "UTF-8", None)
    with zipfile.ZipFile(path, "a") as archive:
        for suffix in (".shp", ".shx", ".dbf", ".prj"):
            archive.write(tmp_path / "shp" / f"county{suffix}", f"第二/other{suffix}")
    prepared = prepare(path, Request(), known)
    assert codes(prepared) == {"SEVERAL_LAYERS": 1}
    assert codes(prepare(path, Request(layer="other"), known)) == {}
    assert codes(prepare(path, Request(layer="third"), known)) == {"LAYER_NOT_FOUND": 1}


def test_member_names_decide_nothing(tmp_path: Path, known: Known) -> None:
    path = shapefile_zip(tmp_path, "UTF-8", None)
    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(hostile, "w") as new:
        for info in old.infolist():
            new.writestr("../../" + Path(info.filename).name, old.read(info))
    before = sorted(tmp_path.iterdir())
    assert codes(prepare(hostile, Request(), known)) == {}
    assert sorted(tmp_path.iterdir()) == before


def test_geopackage_and_its_layers(tmp_path: Path, known: Known) -> None:
    path = tmp_path / "x.gpkg"
    frame().to_file(path, layer="区县", engine="pyogrio")
    prepared = prepare(path, Request(), known)
    assert codes(prepared) == {}
    assert prepared.geometries is not None and len(prepared.geometries) == 2
    table = pd.DataFrame({"place_id": [DONGGUAN], "month": ["2026-10"], "户数": [4]})
    gpd.GeoDataFrame(table).to_file(path, layer="figures", engine="pyogrio")
    # The only layer with shapes is the one meant; the table is reached by name.
    assert prepare(path, Request(), known).dataset == "places"
    figures = prepare(path, Request(layer="figures"), known)
    assert figures.dataset == "figures" and first_value(figures) == 4
    frame().to_file(path, layer="again", engine="pyogrio")
    assert codes(prepare(path, Request(), known)) == {"SEVERAL_LAYERS": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_geojson_encodings(encoding: str, tmp_path: Path, known: Known) -> None:
    path = tmp_path / "x.geojson"
    path.write_bytes(frame().to_crs(4326).to_json(ensure_ascii=False).encode(encoding))
    prepared = prepare(path, Request(), known)
    # geopandas numbers the features in an "id" of its own: that is not the code.
    assert [(one.code, one.column) for one in prepared.report.issues] == [("UNKNOWN_COLUMN", "id")]
    assert prepared.frame["id"].tolist() == [ANCI, GUANGYANG]
    assert prepared.frame["name"].tolist() == ["安次区", "广阳区"]


def test_password_is_named(tmp_path: Path, nothing: Known) -> None:
    # What Office writes: an OLE container with an EncryptedPackage stream.
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le")
    path = tmp_path / "x.xlsx"
    path.write_bytes(content)
    assert codes(prepare(path, Request(), nothing)) == {"FILE_ENCRYPTED": 1}

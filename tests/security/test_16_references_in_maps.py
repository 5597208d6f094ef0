"""Attack 16: files that make GDAL read other files or call out, named as maps.

A real listener waits at the addresses they name and a real file at the paths: nothing may reach the
one or come back from the other.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from loaders.model import Known, Request
from loaders.prepare import prepare
from tests.security.listener import Listener

SECRET = "SECRETSECRET"
KNOWN = Known.nothing()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as one:
        yield one
        one.prove_that_it_listens()


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file of this machine that no upload may show."""
    path = tmp_path / "outside" / "canary.csv"
    path.parent.mkdir()
    path.write_text(f"id,name,level,lon,lat\n{SECRET},{SECRET},village,116,39\n")
    return path


def vrt(canary: Path, url: str) -> str:
    return (
        "<OGRVRTDataSource><OGRVRTLayer name='canary'>"
        f"<SrcDataSource relativeToVRT='0'>{canary}</SrcDataSource></OGRVRTLayer>"
        f"<OGRVRTLayer name='x'><SrcDataSource>/vsicurl/{url}</SrcDataSource></OGRVRTLayer>"
        "</OGRVRTDataSource>"
    )


def gdalg(source: object) -> dict[str, object]:
    return {
        "type": "gdal_streamed_alg",
        "command_line": f"gdal vector pipeline ! read {source} ! write --of=stream ''",
        "relative_paths_relative_to_this_file": False,
    }


FEATURE = {
    "type": "Feature",
    "properties": {"id": "131002000000", "name": "安次区", "level": "county"},
    "geometry": {
        "type": "Polygon",
        "coordinates": [[[116, 39], [117, 39], [117, 40], [116, 39]]],
    },
}
COLLECTION = {"type": "FeatureCollection", "features": [FEATURE]}


def with_crs(crs: object) -> str:
    return json.dumps({**COLLECTION, "crs": crs})


Text = Callable[[Path, str], str]
TEXTS: dict[str, Text] = {
    "VRT": vrt,
    "VRT behind blanks": lambda canary, url: "\n \t" + vrt(canary, url),
    "VRT behind a mark": lambda canary, url: "\ufeff" + vrt(canary, url),
    "VRT behind a comment": lambda canary, url: "<!-- a -->" + vrt(canary, url),
    "VRT with a declaration": lambda canary, url: '<?xml version="1.0"?>' + vrt(canary, url),
    "raster VRT": lambda canary, url: f"<VRTDataset><SourceFilename>{canary}</SourceFilename>"
    "</VRTDataset>",
    "GDALG of a file": lambda canary, url: json.dumps(gdalg(canary)),
    "GDALG of an address": lambda canary, url: json.dumps(gdalg(f"/vsicurl/{url}")),
    "GDALG dressed as GeoJSON": lambda canary, url: json.dumps({**gdalg(canary), "x": COLLECTION}),
    "GDALG with escapes": lambda canary, url: json.dumps({**gdalg(canary), "x": COLLECTION})
    .replace('"type": "gdal', '"\\u0074ype": "\\u0067dal'),
    "WFS": lambda canary, url: f"<OGRWFSDataSource><URL>{url}</URL></OGRWFSDataSource>",
    "WFS address": lambda canary, url: f"WFS:{url}",
    "address": lambda canary, url: url,
    "WFS capabilities": lambda canary, url: "<wfs:WFS_Capabilities xmlns:wfs='http://w'>"
    f"<a href='{url}'/></wfs:WFS_Capabilities>",
    "GML": lambda canary, url: f"<gml:FeatureCollection xsi:schemaLocation='x {url}'/>",
    "ESRI service": lambda canary, url: json.dumps({"currentVersion": 10, "layers": [], "u": url}),
    "ESRI JSON": lambda canary, url: json.dumps({"geometryType": "esriGeometryPoint"}),
    "TopoJSON": lambda canary, url: json.dumps({"type": "Topology", "objects": {}}),
    "STAC": lambda canary, url: json.dumps({"stac_version": "1.0.0", "links": [{"href": url}]}),
    "crs link": lambda canary, url: with_crs(
        {"type": "link", "properties": {"href": url, "type": "proj4"}}
    ),
    "crs link, other type": lambda canary, url: with_crs(
        {"type": "link", "properties": {"href": url, "type": "ogcwkt"}}
    ),
    "crs link in capitals": lambda canary, url: with_crs(
        {"type": "link", "properties": {"href": url}}
    ).replace('"crs"', '"CRS"'),
    "crs link with escapes": lambda canary, url: with_crs(
        {"type": "link", "properties": {"href": url}}
    ).replace('"crs"', '"\\u0063r\\u0073"'),
    "crs url": lambda canary, url: with_crs({"type": "url", "properties": {"url": url}}),
    "crs file": lambda canary, url: with_crs({"type": "file", "properties": {"name": str(canary)}}),
    "crs name that is an address": lambda canary, url: with_crs(
        {"type": "name", "properties": {"name": url}}
    ),
    "crs name that is PROJ text": lambda canary, url: with_crs(
        {"type": "name", "properties": {"name": f"+init={canary}:x"}}
    ),
    "crs name that is a file": lambda canary, url: with_crs(
        {"type": "name", "properties": {"name": str(canary)}}
    ),
}  # fmt: skip


def refused(path: Path, listener: Listener) -> set[str]:
    """Load a file that must be refused; the codes of its errors."""
    seen = list(listener.seen)
    prepared = prepare(path, Request(dataset="places"), KNOWN)
    said = json.dumps(prepared.report.as_dict(), ensure_ascii=False)
    assert SECRET not in said
    assert prepared.report.has_errors
    assert prepared.frame.empty
    assert listener.seen == seen
    return {issue.code for issue in prepared.report.issues}


@pytest.mark.parametrize("name", TEXTS)
def test_a_reference_named_geojson_is_refused(
    name: str, tmp_path: Path, canary: Path, listener: Listener
) -> None:
    text = TEXTS[name](canary, f"http://127.0.0.1:{listener.port}/x")
    for suffix in (".geojson", ".json"):
        path = tmp_path / f"map{suffix}"
        path.write_text(text, encoding="utf-8")
        codes = refused(path, listener)
        assert codes <= {"WRONG_FORMAT", "CRS_UNKNOWN", "FILE_UNREADABLE"}, codes
        if name.startswith("crs"):
            assert codes == {"CRS_UNKNOWN"}


@pytest.mark.parametrize("name", ["VRT", "GDALG of a file", "WFS"])
@pytest.mark.parametrize("suffix", [".gpkg", ".zip", ".xlsx", ".xls", ".ods"])
def test_a_reference_named_as_anything_else_is_refused(
    name: str, suffix: str, tmp_path: Path, canary: Path, listener: Listener
) -> None:
    path = tmp_path / f"map{suffix}"
    path.write_text(TEXTS[name](canary, f"http://127.0.0.1:{listener.port}/x"))
    assert refused(path, listener) == {"WRONG_FORMAT"}


ZIPS = {
    "a VRT alone": ({"map.vrt": "VRT"}, "ZIP_WITHOUT_SHP"),
    "a VRT named geojson": ({"map.geojson": "VRT"}, "ZIP_WITHOUT_SHP"),
    "a VRT named shp": ({"a.shp": "VRT", "a.shx": "VRT", "a.dbf": "VRT"}, "FILE_UNREADABLE"),
    "a GDALG named shp": ({"a.shp": "GDALG of a file", "a.shx": "x", "a.dbf": "x"},
                          "FILE_UNREADABLE"),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPS)
@pytest.mark.parametrize("suffix", [".zip", ".geojson"])
def test_a_reference_in_a_zip_is_refused(
    name: str, suffix: str, tmp_path: Path, canary: Path, listener: Listener
) -> None:
    members, code = ZIPS[name]
    path = tmp_path / f"map{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in members.items():
            make = TEXTS.get(text)
            url = f"http://127.0.0.1:{listener.port}/x"
            archive.writestr(member, text if make is None else make(canary, url))
    assert refused(path, listener) == {code if suffix == ".zip" else "WRONG_FORMAT"}


def test_a_projection_that_names_a_grid_file_is_refused(
    tmp_path: Path, canary: Path, listener: Listener
) -> None:
    folder = tmp_path / "shp"
    folder.mkdir()
    frame = gpd.GeoDataFrame(
        {"id": ["131002000000"], "name": ["x"], "level": ["county"]},
        geometry=[shapely.box(116, 39, 117, 40)],
        crs=4490,
    )
    frame.to_file(folder / "a.shp")
    url = f"http://127.0.0.1:{listener.port}/grid.tif"
    (folder / "a.prj").write_text(
        'PROJCS["a",GEOGCS["b",DATUM["c",SPHEROID["d",6378137,298.25]],PRIMEM["e",0],'
        'UNIT["f",0.0174532925199433]],PROJECTION["Mercator_1SP"],UNIT["metre",1],'
        f'EXTENSION["PROJ4","+proj=merc +nadgrids={canary},{url} +units=m"]]'
    )
    path = tmp_path / "map.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part in folder.iterdir():
            archive.write(part, part.name)
    assert refused(path, listener) == {"CRS_UNKNOWN"}


@pytest.mark.parametrize(
    "view",
    [
        "SELECT 1 AS fid, ogr_geocode('{url}') AS name",
        "SELECT 1 AS fid, gdal_get_pixel_value('{canary}', 1, 'georef', 1, 1) AS name",
        "SELECT 1 AS fid, load_extension('{canary}') AS name",
        "SELECT 1 AS fid, ogr_datasource_load_layers('{canary}') AS name",
        "SELECT 1 AS fid, readfile('{canary}') AS name",
    ],
)
def test_a_view_in_a_geopackage_reaches_nothing(
    view: str, tmp_path: Path, canary: Path, listener: Listener
) -> None:
    path = tmp_path / "map.gpkg"
    gpd.GeoDataFrame({"name": ["x"]}, geometry=[shapely.Point(116, 39)], crs=4326).to_file(path)
    url = f"http://127.0.0.1:{listener.port}/"
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW evil AS " + view.format(canary=canary, url=url))
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('evil', 'attributes', 'evil')"
        )
    seen = list(listener.seen)
    prepared = prepare(path, Request(dataset="places", layer="evil"), KNOWN)
    assert SECRET not in json.dumps(prepared.report.as_dict())
    assert prepared.report.has_errors and prepared.frame.empty
    assert listener.seen == seen


def test_a_plain_name_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "map.geojson"
    for name, key in (
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"),
        ("urn:ogc:def:crs:EPSG::4490", "EPSG:4490"),
        ("EPSG:4490", "EPSG:4490"),
    ):
        path.write_text(with_crs({"type": "name", "properties": {"name": name}}))
        prepared = prepare(path, Request(), KNOWN)
        assert not prepared.report.has_errors, list(prepared.report.issues)
        assert prepared.report.crs == key
        assert len(prepared.frame) == 1


def test_the_attack_is_real_without_the_reading_process(tmp_path: Path, canary: Path) -> None:
    path = tmp_path / "map.geojson"
    path.write_text(vrt(canary, "http://127.0.0.1:9/"))
    plain = f"import pyogrio; print(pyogrio.read_dataframe({str(path)!r}, layer='canary'))"
    done = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True)
    assert SECRET in done.stdout

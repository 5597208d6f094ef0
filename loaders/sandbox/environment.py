"""The whole environment of the reading process; GDAL gets three drivers and no way out."""

from __future__ import annotations

import os

KEPT_DRIVERS = frozenset({"GeoJSON", "GPKG", "ESRI Shapefile"})

# Every other vector driver of GDAL 3.x. GDAL reads OGR_SKIP when it starts, so the names stand here
# and a test asks the running GDAL whether one is missing.
_SKIPPED = (
    "ADBC", "AIVector", "AmigoCloud", "Arrow", "AVCBin", "AVCE00", "BAG", "CAD", "Carto", "CSV",
    "CSW", "DGN", "DODS", "DWG", "DXF", "EDIGEO", "EEDA", "Elasticsearch", "ESRIJSON", "FileGDB",
    "FlatGeobuf", "GDALG", "GeoRSS", "GML", "GMLAS", "GPSBabel", "GPX", "GTFS", "HANA", "HTTP",
    "IDB", "Idrisi", "INGRES", "Interlis 1", "Interlis 2", "JML", "JP2OpenJPEG", "JSONFG", "KML",
    "LIBKML", "LVBAG", "MapInfo File", "MapML", "MBTiles", "MEM", "Memory", "MiraMonVector",
    "MongoDBv3", "MSSQLSpatial", "MVT", "MySQL", "NAS", "netCDF", "NGW", "OAPIF", "OCI", "ODBC",
    "ODS", "OGCAPI", "OGDI", "OGR_GMT", "OGR_PDS", "OGR_VRT", "OpenFileGDB", "OSM", "Parquet",
    "PCIDSK", "PDF", "PDS4", "PGDUMP", "PGeo", "PLSCENES", "PMTiles", "PostgreSQL", "S57", "SAP",
    "SDTS", "Selafin", "SOSI", "SQLite", "SVG", "SXF", "TIGER", "TileDB", "TopoJSON", "UK .NTF",
    "VDV", "VFK", "VICAR", "VRT", "Walk", "WAsP", "WFS", "XLS", "XLSX", "XODR", "GeoJSONSeq",
    "ZARR", "HDF5", "GRIB", "GTI", "STACTA", "STACIT", "WMS", "WCS", "WMTS", "PLMOSAIC", "DAAS",
)  # fmt: skip

_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT")
"""What Python itself may need to start."""

_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    # One thread and one heap: every further one takes address space from the limit.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OGR_SKIP": ",".join(_SKIPPED),
    "GDAL_DRIVER_PATH": "disable",
    # Else it names every skipped driver that its build does not have.
    "CPL_LOG": "OFF",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "OGR_SQLITE_ALLOW_EXTERNAL_ACCESS": "NO",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "CPL_ALLOW_VSISTDIN": "NO",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_CACHEMAX": "64",
    "GDAL_NUM_THREADS": "1",
    "PROJ_NETWORK": "OFF",
}


def environment(folder: str) -> dict[str, str]:
    """All variables of a reading process that works in ``folder``."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return _ENVIRONMENT | kept | {"TMPDIR": folder, "SQLITE_TMPDIR": folder}

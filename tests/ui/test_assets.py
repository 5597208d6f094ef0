"""Only front-end files of the named folders are served."""

from __future__ import annotations

import pytest

from dashboard.ui.assets import FOLDERS, MEDIA_TYPES, asset_path, asset_url


@pytest.mark.parametrize(
    "name",
    [
        "leaflet/leaflet.js", "leaflet/leaflet.css", "markercluster/leaflet.markercluster.js",
        "markercluster/MarkerCluster.css", "ui/map.js", "ui/map.css",
    ],
)  # fmt: skip
def test_what_the_map_needs_is_there(name: str) -> None:
    path = asset_path(name)
    assert path is not None and path.suffix in MEDIA_TYPES and path.stat().st_size > 100


@pytest.mark.parametrize(
    "name",
    [
        "", "ui", "ui/", "ui/../map.py", "ui/../templates/table.html", "leaflet/../__init__.py",
        "other/leaflet.js", "/etc/passwd", "ui//etc/passwd", "leaflet/leaflet.js.map",
        "leaflet/images", "ui/missing.js", "../../app.py",
    ],
)  # fmt: skip
def test_nothing_else_is(name: str) -> None:
    assert asset_path(name) is None


def test_an_address_changes_with_the_bytes_and_stays_on_this_server() -> None:
    for folder, path in FOLDERS.items():
        for file in path.glob("*.js"):
            assert asset_url(f"{folder}/{file.name}").startswith(f"../../assets/{folder}/")
    with pytest.raises(FileNotFoundError):
        asset_url("ui/missing.js")

"""The front-end files we serve ourselves, and the only folders ``/assets`` may read."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from pathlib import Path

import js_lib_leaflet
from xstatic.pkg import leaflet_markercluster

STATIC = Path(__file__).with_name("static")

FOLDERS: dict[str, Path] = {
    "leaflet": Path(js_lib_leaflet.__file__).parent / "static" / "js_lib_leaflet",
    "markercluster": Path(leaflet_markercluster.BASE_DIR),
    "ui": STATIC,
}
"""First part of an asset's name to the folder it is read from."""

MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""Suffixes served at all; source maps, sources and everything else are not."""


def asset_path(name: str) -> Path | None:
    """The file of an asset ``folder/file``, or None when it is not one of ours."""
    folder, _, rest = name.partition("/")
    root = FOLDERS.get(folder)
    if root is None or not rest:
        return None
    path = (root / rest).resolve()
    if not path.is_relative_to(root.resolve()) or path.suffix not in MEDIA_TYPES:
        return None
    return path if path.is_file() else None


@cache
def asset_url(name: str) -> str:
    """Address of an asset as seen from a component's frame, changing whenever its bytes do.

    Relative, so that it holds under a base path behind a proxy.

    Raises:
        FileNotFoundError: there is no such asset.
    """
    path = asset_path(name)
    if path is None:
        raise FileNotFoundError(name)
    version = blake2b(path.read_bytes(), digest_size=6).hexdigest()
    return f"../../assets/{name}?v={version}"

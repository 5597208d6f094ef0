"""Base tiles: none by default; 天地图, 高德 or OSM when the settings name one."""

from __future__ import annotations

from dataclasses import dataclass

import folium

from dashboard.coverage.drawing import MapCrs
from dashboard.settings import Settings
from dashboard.settings import Tiles as Source

_TIANDITU = (
    "https://t{{s}}.tianditu.gov.cn/{layer}_w/wmts?SERVICE=WMTS&REQUEST=GetTile&VERSION=1.0.0"
    "&LAYER={layer}&STYLE=default&TILEMATRIXSET=w&FORMAT=tiles"
    "&TILEMATRIX={{z}}&TILEROW={{y}}&TILECOL={{x}}&tk={key}"
)


@dataclass(frozen=True, slots=True)
class Tiles:
    """What lies under the layers.

    Attributes:
        urls: tile templates, drawn in order; empty for none.
        attribution: credit shown on the map.
        crs: the system the tiles are drawn in; our layers are converted to it.
    """

    urls: tuple[str, ...] = ()
    subdomains: str = "abc"
    attribution: str = ""
    crs: MapCrs = "wgs84"

    @classmethod
    def of(cls, settings: Settings) -> Tiles:
        """The tiles the settings name."""
        if settings.tiles is Source.TIANDITU:
            key = settings.tianditu_key or ""
            return cls(
                tuple(_TIANDITU.format(layer=layer, key=key) for layer in ("vec", "cva")),
                "01234567",
                "© 国家地理信息公共服务平台 天地图",
            )
        if settings.tiles is Source.AMAP:
            return cls(
                (
                    "https://webrd0{s}.is.autonavi.com/appmaptile?lang=zh_cn&size=1&scale=1&style=8"
                    "&x={x}&y={y}&z={z}",
                ),
                "1234",
                "© 高德地图",
                "gcj02",
            )
        if settings.tiles is Source.OSM:
            return cls(
                ("https://tile.openstreetmap.org/{z}/{x}/{y}.png",),
                attribution="© OpenStreetMap contributors",
            )
        return cls()

    def add_to(self, target: folium.Map) -> None:
        """Hang the tile layers under everything else."""
        for url in self.urls:
            folium.TileLayer(
                tiles=url,
                attr=self.attribution,
                subdomains=self.subdomains,
                control=False,
                overlay=False,
                max_zoom=18,
            ).add_to(target)

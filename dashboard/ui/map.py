"""The map: one constant base map per process, and a carrier that says what to draw on it.

streamlit-folium mounts its frame again whenever the script of the base map changes, and keeps it
when only ``feature_group_to_add`` does. So the base map here never changes; the feature group holds
nothing but one call of ``dudao.show`` (static/map.js) with the addresses to fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

import folium
import streamlit as st
from branca.element import Element
from folium.template import Template
from streamlit_folium import st_folium

from dashboard.coverage import palettes, registry
from dashboard.coverage.model import Layer, SiteStatus, Status, ViewTable
from dashboard.settings import Settings
from dashboard.settings import Tiles as Source
from dashboard.ui import escape, format
from dashboard.ui.assets import asset_url
from dashboard.ui.charts import ACCENT
from dashboard.ui.state import Address
from dashboard.ui.tables import measure_title
from dashboard.ui.texts import (
    _,
    kind_name,
    language,
    layer_title,
    site_status_name,
    status_name,
    unit_name,
)
from dashboard.ui.tiles import Tiles
from geodata.model import InstitutionKind, Level

KEY = "map"
SITE_COLOURS = {
    SiteStatus.MET.value: "#2c7fb8",
    SiteStatus.UNMET.value: "#e6550d",
    SiteStatus.NO_DATA.value: "#ffffff",
    SiteStatus.NOT_APPLICABLE.value: "#b8c0c8",
}
"""Blue and orange stay apart for every kind of colour vision."""
HEIGHT = 520
"""Pixels until the page's style sheet, which knows the screen, has set the frame's height."""


class _Rendered:
    """An element whose markup is already known."""

    def __init__(self, markup: str) -> None:
        self._markup = markup

    def render(self, **_: Any) -> str:
        return self._markup


@dataclass(frozen=True, slots=True)
class _FrozenRoot:
    header: _Rendered
    html: _Rendered


class BaseMap(folium.Map):
    """A folium map rendered once, then shared by every session.

    ``st_folium`` renders the map anew on each call and hangs the feature group into it, so a shared
    ordinary map would carry one session's feature group into another's script and be mounted
    again. After ``freeze`` rendering answers from memory and a child only learns its parent.
    """

    _frozen: _FrozenRoot | None = None

    def freeze(self) -> BaseMap:
        """Render for the last time."""
        self._id = "div"  # the name streamlit-folium gives every map
        root = self.get_root()
        root.render()
        self._frozen = _FrozenRoot(_Rendered(root.header.render()), _Rendered(root.html.render()))
        return self

    def render(self, **kwargs: Any) -> str:
        return "" if self._frozen else str(super().render(**kwargs))  # type: ignore[no-untyped-call]

    def get_root(self) -> Any:
        return self._frozen or super().get_root()

    def add_child(self, child: Element, name: str | None = None, index: int | None = None) -> Any:
        if self._frozen is None:
            return super().add_child(child, name=name, index=index)
        child._parent = self
        return self


class _CarrierGroup(folium.FeatureGroup):
    """The feature group of one rerun.

    ``st_folium`` asks it to render into the map's figure, which all sessions share and nobody
    reads again; the script it sends is generated from the templates.
    """

    def render(self, **kwargs: Any) -> str:
        return ""


class _Carrier(folium.MacroElement):
    """The one call that tells the frame what to draw."""

    _template = Template(
        """
        {% macro script(this, kwargs) %}
            dudao.show(map_div, {{ this.config }});
        {% endmacro %}
        """
    )

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = "DudaoCarrier"
        self.config = escape.script(config)


@cache
def base_map(tiles: Tiles) -> BaseMap:
    """The base map of this process: our own assets only, tiles only when the settings ask."""
    made = BaseMap(
        location=(35, 105),
        zoom_start=4,
        tiles=None,
        prefer_canvas=True,
        zoom_snap=1 if tiles.urls else 0.25,
        zoom_animation=False,
        fade_animation=False,
        marker_zoom_animation=False,
        attribution_control=bool(tiles.attribution),
    )
    made.default_js = [
        (name, asset_url(name))
        for name in (
            "leaflet/leaflet.js",
            "markercluster/leaflet.markercluster.js",
            "ui/map.js",
            "ui/timeline.js",
        )
    ]
    made.default_css = [
        (name, asset_url(name))
        for name in ("leaflet/leaflet.css", "markercluster/MarkerCluster.css", "ui/map.css")
    ]
    tiles.add_to(made)
    return made.freeze()


def config(
    table: ViewTable,
    address: Address,
    version: str,
    unlocated: int,
    settings: Settings,
    timeline: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """What ``dudao.show`` is told for one view: addresses, colours and every word of the legend.

    Args:
        table: the drawn place's children.
        address: the view; its place may be a child of the drawn place and is then marked.
        version: last segment of the payload's address.
        unlocated: institutions under the drawn place without coordinates.
        timeline: the months there are, ascending, each with the last segment of its address.
    """
    drawn = table.place
    tail = quote(f"{drawn.id}/{address.month}/{version}")
    villages = any(cell.place.level >= Level.VILLAGE for cell in table.cells)
    return {
        "layer": table.layer.id,
        "looks": _looks(language()),
        "layersUrl": "../../layers",
        "sitesUrl": f"../../sites/{tail}",
        "tail": tail,
        "placePart": quote(drawn.id),
        "query": "",
        "timeline": [[month, format.month(month), version] for month, version in timeline],
        "timelineTitle": _("月份"),
        "playTitle": _("按月播放"),
        "pauseTitle": _("停在本月"),
        "sitesOn": villages,
        "place": drawn.id,
        "month": address.month,
        "selected": address.place if address.place != drawn.id else None,
        "site": address.site,
        "title": _("{place}，{month}").format(place=drawn.name, month=format.month(address.month)),
        "opacity": 0.7 if settings.tiles is not Source.NONE else 0.95,
        "accent": ACCENT,
        "words": {
            "-1": status_name(Status.NO_DATA),
            "-2": status_name(Status.NOT_APPLICABLE),
        },
        "rank": _("第 {rank} 名"),
        "notes": _notes(table, unlocated, settings),
        "siteColours": SITE_COLOURS,
        "siteWords": {status.value: site_status_name(status) for status in SiteStatus},
        "kinds": {kind.value: kind_name(kind) for kind in InstitutionKind},
        "sitesTitle": _("医疗机构"),
        "fitTitle": _("显示全部范围"),
        "zoomIn": _("放大"),
        "zoomOut": _("缩小"),
        "empty": _("{place}的下级单位没有边界，请看下方表格。").format(place=drawn.name)
        if table.cells
        else _("{place}没有下级单位。").format(place=drawn.name),
        "failed": _("地图数据没有取到(MAP_FETCH)。请检查网络后刷新页面。"),
    }


@cache
def _looks(_language: str) -> dict[str, dict[str, Any]]:
    """How each layer is drawn, for the language in use: a click on another layer waits for nobody.

    The page itself follows a moment later, and what it sends is the same drawing.
    """
    return {layer.id: _look(layer) for layer in registry.layers().values()}


def _look(layer: Layer) -> dict[str, Any]:
    colours = palettes.colours(layer.palette, layer.classes)
    return {
        "layerTitle": layer_title(layer),
        "colours": colours,
        "dark": [_is_dark(colour) for colour in colours],
        "classes": [format.class_label(layer, index) for index in range(layer.classes)],
        "unit": unit_name(layer.unit),
        "unitNote": _("单位：{unit}").format(unit=unit_name(layer.unit))
        if layer.unit != "%"
        else "",
        "decimals": format.decimals(layer),
        "numerator": measure_title(layer.numerator),
        "denominator": measure_title(layer.denominator),
    }


def _is_dark(colour: str) -> bool:
    """Whether white text reads better on ``#rrggbb`` (relative luminance of WCAG 2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.3


def _notes(table: ViewTable, unlocated: int, settings: Settings) -> list[str]:
    """What the legend has to say below the classes, whatever the layer."""
    notes = []
    if table.without_boundary:
        notes.append(_("{count} 个单位无边界").format(count=format.number(table.without_boundary)))
    if unlocated:
        notes.append(_("{count} 个机构无坐标").format(count=format.number(unlocated)))
    if table.indicative:
        notes.append(_("示意边界，不作划界依据"))
    if settings.map_approval:
        notes.append(_("审图号：{number}").format(number=settings.map_approval))
    return notes


def show(tiles: Tiles, config: dict[str, Any], on_pick: Callable[[], None]) -> None:
    """Draw one view; ``on_pick`` runs before the next rerun when a place or a clinic is clicked."""
    carrier = _CarrierGroup()
    carrier.add_child(_Carrier(config))
    st_folium(
        base_map(tiles),
        key=KEY,
        height=HEIGHT,
        use_container_width=True,
        render=False,
        returned_objects=["last_active_drawing"],
        feature_group_to_add=carrier,
        on_change=on_pick,
    )


def picked() -> tuple[str, str] | None:
    """What was clicked last: ``("place", "site" or "month", id)``."""
    drawing = (st.session_state.get(KEY) or {}).get("last_active_drawing") or {}
    properties = drawing.get("properties") or {}
    kind, found = properties.get("kind"), properties.get("id")
    if kind not in ("place", "site", "month") or not isinstance(found, str):
        return None
    return kind, found

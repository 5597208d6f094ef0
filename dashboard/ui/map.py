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
from urllib.parse import quote, urlencode

import folium
import streamlit as st
from branca.element import Element
from folium.template import Template
from streamlit_folium import st_folium

from dashboard.coverage import registry, wording
from dashboard.coverage.model import WITHOUT_VALUE, SiteStatus, Source, ViewTable
from dashboard.coverage.modes import Mode
from dashboard.settings import Settings
from dashboard.settings import Tiles as TileSource
from dashboard.ui import escape, format
from dashboard.ui.assets import asset_url
from dashboard.ui.charts import ACCENT
from dashboard.ui.looks import look, looks, status_words
from dashboard.ui.state import Address
from dashboard.ui.texts import (
    _,
    kind_name,
    language,
    level_name,
    site_status_name,
    source_name,
)
from dashboard.ui.tiles import Tiles
from geodata.model import InstitutionKind, Level, Place

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
            "ui/beside.js",
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
    beside: tuple[str, str, str] | None = None,
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """What ``dudao.show`` is told for one view: addresses, colours and every word of the legend.

    Args:
        table: the drawn place's children.
        address: the view; its place may be a child of the drawn place and is then marked.
        version: last segment of the payload's address.
        unlocated: institutions under the drawn place without coordinates.
        timeline: the months there are, ascending, each with the last segment of its address.
        beside: layer, month and version of the second map, None: there is one map only.
        missing: in words, why a layer has no figures of the source in view.
    """
    drawn = table.place
    tail = quote(f"{drawn.id}/{address.month}/{version}")
    villages = any(cell.place.level >= Level.VILLAGE for cell in table.cells)
    return {
        "layer": table.layer.id,
        "look": look(table.layer, address.show),
        "looksUrl": f"../../looks/{language()}/{looks(language()).mark}",
        "layersUrl": "../../layers",
        "sitesUrl": f"../../sites/{tail}{_edition(address)}",
        # Doubts are about what was reported.
        "doubtsUrl": f"../../doubts/{tail}{_edition(address)}"
        if address.source is Source.REPORTED
        else None,
        "doubtWords": _("{count} 处数据存疑，见表下“查看存疑数据”"),
        "tail": tail,
        "placePart": quote(drawn.id),
        "query": _query(address),
        "timeline": [[month, format.month(month), version] for month, version in timeline],
        "timelineTitle": _("月份"),
        "playTitle": _("按月播放"),
        "pauseTitle": _("停在本月"),
        "beside": None if beside is None else _second(drawn, *beside),
        "besideWords": {
            "title": _("并排对比"),
            "layer": _("右图图层"),
            "month": _("右图月份"),
            "close": _("关闭并排对比"),
            "apart": _("与左图相差 {change}"),
        },
        "sitesOn": villages,
        "place": drawn.id,
        "month": address.month,
        "selected": address.place if address.place != drawn.id else None,
        "site": address.site,
        "title": _("{place}，{month}").format(place=drawn.name, month=format.month(address.month)),
        "opacity": 0.7 if settings.tiles is not TileSource.NONE else 0.95,
        "accent": ACCENT,
        "words": _status_words(address.show),
        "rank": _("第 {rank} 名"),
        "notes": _notes(table, address, unlocated, settings, missing),
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


def _status_words(show: Mode) -> dict[str, str]:
    """The words of the classes without a value, by their codes."""
    words = status_words(show)
    return {str(-1 - at): words[status] for at, status in enumerate(WITHOUT_VALUE)}


def _query(address: Address) -> str:
    """The end of the addresses of all layers and months of the same source and mode."""
    asked = _version(address)
    if address.source is not Source.REPORTED:
        asked["source"] = address.source.value
    if address.show is not Mode.VALUE:
        asked["show"] = address.show.value
    if address.against is not None:
        asked["against"] = address.against
    return "?" + urlencode(asked) if asked else ""


def _edition(address: Address) -> str:
    """The end of the addresses of what is drawn of one month whatever the layer."""
    asked = _version(address)
    return "?" + urlencode(asked) if asked else ""


def _version(address: Address) -> dict[str, str]:
    """Names the month too: a timeline asks for other months with the same words."""
    return {} if address.version is None else {"version": f"{address.month}~{address.version}"}


def _second(drawn: Place, layer: str, month: str, version: str) -> dict[str, Any]:
    return {
        "layer": layer,
        "month": month,
        "look": look(registry.layer(layer)),
        "url": f"../../layers/{layer}/{quote(f'{drawn.id}/{month}/{version}')}",
    }


def _notes(
    table: ViewTable,
    address: Address,
    unlocated: int,
    settings: Settings,
    missing: Sequence[str],
) -> list[str]:
    """What the legend has to say below the classes, whatever the layer."""
    notes = []
    if address.source is not Source.REPORTED:
        notes.append(_("数据来源：{source}").format(source=source_name(address.source)))
    if address.show is Mode.LQAS:
        notes.append(_("图上数字是样本中不符的户数；只作判定，不作排名"))
    notes += wording.mode_rule(table.layer, address.show, _)
    notes += missing
    if any(cell.place.level > table.layer.base_level for cell in table.cells):
        notes.append(
            _("由{level}级及以上填报，更低的各级没有数据").format(
                level=level_name(table.layer.base_level)
            )
        )
    if address.against is not None:
        notes.append(_("与{month}相比").format(month=format.month(address.against)))
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
    """What was chosen last: ``("place", "site", "month" or "beside", id)``."""
    drawing = (st.session_state.get(KEY) or {}).get("last_active_drawing") or {}
    properties = drawing.get("properties") or {}
    kind, found = properties.get("kind"), properties.get("id")
    if kind not in ("place", "site", "month", "beside") or not isinstance(found, str):
        return None
    return kind, found

"""The parts of the map page, each from the view's remembered values."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard.coverage import registry, service
from dashboard.coverage.model import Layer, Part, Profile, Site, Source
from dashboard.coverage.modes import SAMPLED, Mode
from dashboard.store.model import month_end
from dashboard.store.unit import DEMONSTRATION, Unit
from dashboard.ui import (
    blocks,
    caches,
    charts,
    doubts,
    explainview,
    exporting,
    format,
    frame,
    layerlist,
    looks,
    panel,
    screens,
    search,
    session,
    state,
    tables,
)
from dashboard.ui import map as drawing
from dashboard.ui.datawords import dataset_title
from dashboard.ui.state import Address
from dashboard.ui.texts import _, language, mode_name
from geodata.errors import DudaoError
from geodata.model import Institution, Place

TIMELINE_MONTHS = 36
"""So many of the latest months can be played."""

_DOUBTS = "doubts_of"
"""Session entry: the place whose doubtful figures were asked for."""
_WHOLE_LIST = "whole_list"
"""Session entry: the place whose whole table was asked for."""


class MapView:
    """One view of the map page; each part is read when it is shown, the map's first.

    Attributes:
        place: the place in view.
        site: the institution opened in the side panel, or None.
        shown: the drawn place's children: those of the place, or its siblings where it has none.
        version: what all of it is computed from.
    """

    def __init__(
        self, unit: Unit, address: Address, place: Place, site: Institution | None
    ) -> None:
        self.unit = unit
        self.address = address
        self.place = place
        self.site = site
        self.version = caches.version(unit, address.month)
        drawn = caches.markup(
            unit,
            ("drawn", place, address.month, self.version),
            lambda: service.drawn_place(unit, place, address.month),
        )
        self.shown = caches.table(unit, address.moved(place=drawn.id).view(), self.version)

    @property
    def layer(self) -> Layer:
        """The layer shown."""
        return self.shown.layer

    @property
    def profile(self) -> Profile:
        """The place itself in the layers of the group in view."""
        return caches.profile(
            self.unit,
            self.place.id,
            self.address.month,
            self.layer.group,
            self.version,
            self.address.source,
        )

    def _key(self, part: str) -> tuple[str, Address, str, str]:
        return part, self.address, self.version, language()

    def _sites(self, place_id: str) -> list[Site]:
        return caches.sites(self.unit, place_id, self.address.month, self.version)

    # The sidebar

    def sidebar(self) -> None:
        """The pages, month, layers in groups, language, account."""
        frame.sidebar_head("map", self.unit.actor)
        frame.month_picker(self.address, self.unit)
        frame.source_picker(self.unit, self.address)
        self._modes()
        layerlist.show(self.unit, self.address)
        frame.sidebar_foot(self._demonstration())

    def _modes(self) -> None:
        frame.line("dd-group", _("图上颜色"))
        blocks.show(
            "modes",
            caches.markup(self.unit, self._key("modes"), self._mode_links),
            selected=self.address.show.value,
        )
        if self.address.show is Mode.CHANGE:
            others = [month for month in self.unit.months()[::-1] if month != self.address.month]
            st.session_state["against"] = self.address.against
            st.selectbox(
                _("与哪个月相比"),
                others,
                key="against",
                format_func=format.month,
                filter_mode=None,
                on_change=lambda: state.go(against=st.session_state["against"]),
            )

    def _mode_links(self) -> str:
        return blocks.render(
            "modes.html",
            label=_("图上颜色"),
            modes=[
                (mode.value, mode_name(mode), self.address.href(show=mode, against=None))
                for mode in Mode
            ],
        )

    def _demonstration(self) -> bool:
        return self.unit.meta(DEMONSTRATION) == "1"

    # The page

    def banner(self) -> None:
        """Say so when the figures are not real."""
        if self._demonstration():
            frame.demonstration_banner()
        frame.version_banner(self.unit, self.address)

    def breadcrumb(self) -> None:
        """The places above, each a link."""
        blocks.show("crumbs", caches.markup(self.unit, self._key("crumbs"), self._crumbs))

    def _crumbs(self) -> str:
        return blocks.render(
            "breadcrumb.html",
            ancestors=[
                (above, self.address.href(place=above.id)) for above in self.profile.ancestors
            ],
            here=self.place.name,
        )

    def search(self) -> None:
        """The search box."""
        with st.container(key="searchbox", width=340):
            search.show(self.unit, self.address)

    def tiles(self) -> None:
        """Value, target, change, reporting of the place in view."""
        cell = self.profile.cells[self.layer.id]
        blocks.show(
            "tiles",
            caches.markup(
                self.unit,
                self._key("tiles"),
                lambda: panel.tiles_markup(self.layer, cell, self.address),
            ),
        )

    def explanation(self) -> None:
        """What the value that was clicked stands on, over the page."""
        asked = st.query_params.get(state.EXPLAIN)
        if asked:
            explainview.show(self.address, asked)

    def map(self) -> None:
        """The map itself."""
        settings = caches.settings()
        timeline = caches.timeline(self.unit, TIMELINE_MONTHS)
        second = self.address.second()
        beside = None if second is None else (*second, caches.version(self.unit, second[1]))
        config = caches.markup(
            self.unit,
            (*self._key("map"), timeline, beside),
            lambda: drawing.config(
                self.shown,
                self.address,
                self.version,
                self._unlocated(),
                settings,
                timeline,
                beside,
                self._missing(),
            ),
        )
        drawing.show(caches.tiles(), config, _picked)

    def _missing(self) -> tuple[str, ...]:
        source = self.address.source
        if self.address.show in (Mode.GAP, *SAMPLED):
            source = Source.VERIFIED
        found = registry.uncounted(self.layer, source, self.unit.loaded_datasets())
        if found is None:
            return (_("这个图层没有此来源的数据"),)
        titles = "、".join(dataset_title(one) for one in found)
        return (_("尚未导入：{datasets}").format(datasets=titles),) if found else ()

    def _unlocated(self) -> int:
        counts = caches.site_counts(self.unit, self.shown.place, self.address.month)
        return sum(unlocated for _total, unlocated in counts.values())

    def panel(self) -> None:
        """The place, its trend, its other layers of the group, its institutions."""
        blocks.show("profile", caches.markup(self.unit, self._key("profile"), self._profile))
        history = caches.history(self.unit)
        blocks.show("trend", caches.markup(self.unit, (*self._key("trend"), history), self._trend))
        blocks.show(
            "indicators",
            caches.markup(
                self.unit,
                self._key("indicators"),
                lambda: panel.indicators_markup(self.profile, self.address),
            ),
        )
        blocks.show(
            "institutions",
            caches.markup(self.unit, self._key("institutions"), self._institutions),
            selected=self.address.site,
        )

    def _trend(self) -> str:
        points = caches.trend(self.unit, self.address.view())
        end = None
        if self.address.source is not Source.VERIFIED:
            end = caches.forecast(self.unit, self.address.view(), points)
        return charts.markup(self.layer, points, self.address.month, end)

    def _institutions(self) -> str:
        counts = caches.site_counts(self.unit, self.place, self.address.month)
        kinds = {kind: total for kind, (total, _unlocated) in counts.items()}
        few = sum(kinds.values()) <= panel.LISTED_SITES
        listed = self._sites(self.place.id) if few else []
        return panel.institutions_markup(kinds, listed, self.address)

    def _profile(self) -> str:
        opened = None
        home = None
        if self.site is not None:
            home = self.unit.place(self.site.place_id, month_end(self.address.month))
            opened = next(
                (found for found in self._sites(home.id) if found.institution.id == self.site.id),
                None,
            )
        return panel.markup(self.profile, opened, home, self.address)

    def table(self) -> None:
        """The children, worst first; a long list is shown whole when asked."""
        address = self.address.moved(site=None)
        count = len(self.shown.cells)
        opened = st.session_state.get(_WHOLE_LIST) == self.shown.place.id
        limit = None if opened or count <= tables.ROWS_LISTED else tables.ROWS_LISTED
        against = address.against
        then = None if against is None else caches.version(self.unit, against)
        # The rows' links are the view's but for the place: all of it belongs to the key.
        alike = address.links()("")
        key = ("table", self.shown.view, self.version, then, alike, language(), limit)
        blocks.show(
            "children",
            caches.markup(
                self.unit, key, lambda: tables.markup(self.shown, address, limit, self._shades())
            ),
            selected=self.address.place,
        )
        if limit is not None:
            st.button(
                _("显示全部 {count} 个单位").format(count=format.number(count)),
                key="whole-list",
                on_click=partial(st.session_state.update, {_WHOLE_LIST: self.shown.place.id}),
            )
        self._comparison()
        shown, address = self.shown, self.address
        exporting.show(shown.view, address.version, self.unit.actor, address.show, address.against)

    def _shades(self) -> tuple[str, dict[str, str]] | None:
        """What the map's colours say, where they are not those of the values."""
        mode = self.address.show
        if mode is Mode.VALUE:
            return None
        view, against = self.shown.view, self.address.against
        return looks.column(
            self.layer, mode, caches.shades(self.unit, view, self.version, mode, against)
        )

    def _comparison(self) -> None:
        """The way to the page that compares these places."""
        for page in screens.pages(self.unit.actor):
            if page.url_path == "comparison":
                st.page_link(
                    page,
                    label=_("比较这些单位：排名、将完不成、漏斗图"),
                    icon=":material/leaderboard:",
                    query_params=self.address.moved(site=None, part=Part.RANK).params(),
                )

    def doubts(self) -> None:
        """What is doubtful of the reported figures below the drawn place, when asked.

        Finding it takes longest.
        """
        if self.address.source is not Source.REPORTED:
            return
        if st.session_state.get(_DOUBTS) != self.shown.place.id:
            st.button(
                _("查看存疑数据"),
                key="doubts-open",
                on_click=partial(st.session_state.update, {_DOUBTS: self.shown.place.id}),
            )
            return
        key = ("doubts", self.shown.place.id, self.address, self.version, language())
        blocks.show("doubts", caches.markup(self.unit, key, self._doubts))

    def _doubts(self) -> str:
        drawn = self.shown.place
        flags = caches.doubts(self.unit, drawn.id, self.address.month, self.version)
        listed = {flag.place_id for flag in flags[: doubts.LISTED]}
        on = month_end(self.address.month)
        places = self.unit.places(listed, on)
        near = self.unit.more_under(drawn, on, service.QUICK_PLACES)
        return doubts.markup(flags, {place.id: place for place in places}, self.address, near)


def _picked() -> None:
    found = drawing.picked()
    if found is None:
        return
    kind, chosen = found
    if kind != "site":
        state.go(**{kind: chosen or None})
        return
    with caches.store().unit(session.actor()) as unit:
        try:
            home = unit.institution(chosen).place_id
        except DudaoError:  # gone since the map was drawn: the page says so
            state.go(site=chosen)
            return
    state.go(place=home, site=chosen)

"""The page 比较: the places of one level, ranked, against the year's end, and against chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard.coverage import funnel, ranking, registry, service, wording
from dashboard.coverage.forecast import YearEnd
from dashboard.coverage.funnel import Funnel
from dashboard.coverage.model import Layer, Part, Source, Status, View
from dashboard.coverage.ranking import Ranked
from dashboard.reports import service as reports
from dashboard.reports.model import Export
from dashboard.store.model import month_end
from dashboard.store.unit import DEMONSTRATION, Unit
from dashboard.ui import (
    blocks,
    caches,
    charts,
    exporting,
    format,
    frame,
    layerlist,
    outlook,
    paging,
    screens,
    search,
    session,
    state,
    tables,
    tomap,
)
from dashboard.ui.state import Address
from dashboard.ui.texts import (
    _,
    language,
    layer_help,
    layer_title,
    level_name,
    status_name,
    unit_name,
)
from geodata.model import Level, Place

_GO = "comparison-go"
"""Session entry: the link of a row that was clicked, until the map opens."""
_WILSON, _LEAST = "comparison-wilson", "comparison-least"
_PAGE, _PAGE_OF = "comparison-page", "comparison-page-of"
"""Session entries: the page of the list, and the view it is a page of."""
ROWS = 100
MOST = 6_000
"""With more places below one only those directly below it are compared."""


def show() -> None:
    """The whole page for who is signed in.

    Raises:
        DudaoError: PAGE_NOT_ALLOWED; NO_PLACES or NO_MONTHS.
    """
    actor = session.actor()
    screens.require("comparison", actor)
    tomap.leave(_GO, actor)
    with caches.store().unit(actor) as unit:
        found = state.parse(st.query_params.to_dict(), unit, caches.settings().lang)
        address = found.address.moved(part=found.address.part or Part.RANK)
        state.remember(address)
        with st.sidebar:
            frame.sidebar_head("comparison", actor)
            frame.month_picker(address, unit)
            frame.source_picker(unit, address)
            layerlist.show(unit, address)
            frame.sidebar_foot(unit.meta(DEMONSTRATION) == "1")
        if unit.meta(DEMONSTRATION) == "1":
            frame.demonstration_banner()
        frame.version_banner(unit, address)
        frame.tell(found.problems)
        _Comparison(unit, address, found.place).show()


class _Comparison:
    """One view of the page.

    Attributes:
        above: the place whose places below are compared: the one in view, or the one above a leaf.
        level: of the places compared; None where the layer has none below.
    """

    def __init__(self, unit: Unit, address: Address, place: Place) -> None:
        self.unit = unit
        self.address = address
        self.place = place
        self.layer: Layer = registry.layers()[address.layer]
        self.on = month_end(address.month)
        self.above = service.drawn_place(unit, place, address.month)
        self.levels = self._levels()
        wanted = address.level if address.level in self.levels else None
        self.level = wanted or next(iter(self.levels), None)

    def _levels(self) -> list[Level]:
        """The levels below that the layer has figures of and that are few enough to compare."""
        children = self.unit.children(self.above.id, self.on)
        if not children:
            return []
        lowest = min(self.layer.base_level, self.layer.lowest_level or Level.VILLAGE)
        found = [level for level in Level if children[0].level <= level <= lowest]
        return found[:1] if self.unit.more_under(self.above, self.on, MOST) else found

    @property
    def view(self) -> View:
        """What the service is asked."""
        return View(self.above.id, self.layer.id, self.address.month, self.address.source)

    def show(self) -> None:
        """Where we are, what is compared, and the part chosen."""
        profile = caches.profile(
            self.unit,
            self.place.id,
            self.address.month,
            self.layer.group,
            caches.version(self.unit, self.address.month),
        )
        with st.container(key="top", horizontal=True, vertical_alignment="center", wrap=False):
            blocks.show(
                "crumbs",
                blocks.render(
                    "breadcrumb.html",
                    ancestors=[(one, self.address.href(place=one.id)) for one in profile.ancestors],
                    here=self.place.name,
                ),
            )
            with st.container(key="searchbox", width=340):
                search.show(self.unit, self.address)
        blocks.show("comparison-head", self._head())
        if (why := self._why_not()) is not None:
            frame.line("dd-empty", why)
        elif self.level is not None:
            {Part.RANK: self._rank, Part.MISS: self._miss, Part.FUNNEL: self._funnel}[
                self.address.part or Part.RANK
            ](self.level)

    def _head(self) -> str:
        here = self.address.part
        return blocks.render(
            "comparison_head.html",
            title=self._title(),
            help=layer_help(self.layer),
            parts=[
                (wording.part_name(part, _), self.address.href(part=part), part is here)
                for part in Part
            ],
            levels=[
                (
                    _("各{level}").format(level=level_name(level)),
                    self.address.href(level=level),
                    level is self.level,
                )
                for level in self.levels
            ],
        )

    def _title(self) -> str:
        level = _("下级单位") if self.level is None else level_name(self.level)
        return _("{place}各{level}：{layer}，{month}").format(
            place=self.above.name,
            level=level,
            layer=layer_title(self.layer),
            month=format.month(self.address.month),
        )

    def _why_not(self) -> str | None:
        """Why nothing can be compared; None where something can."""
        if not self.levels:
            if self.unit.children(self.above.id, self.on):
                return _(
                    "这个图层只统计到{level}级，{place}以下没有可比的单位。请在左侧选择其他图层。"
                ).format(level=level_name(self._lowest()), place=self.above.name)
            return _("{place}没有下级单位。请从上方路径返回上级。").format(place=self.above.name)
        if self.address.source is Source.VERIFIED:
            return _("核实数据来自抽样，只作判定，不作排名、预测和漏斗图。请在左侧改看上报或台账。")
        if self.address.part is Part.FUNNEL and not funnel.suits(self.layer):
            return _(
                "漏斗图只用于以人或户为分母的比率：金额和单纯的计数没有偶然误差可言，"
                "机构在一地又太少。请在左侧选择其他图层，或查看排名。"
            )
        return None

    def _lowest(self) -> Level:
        return min(self.layer.base_level, self.layer.lowest_level or Level.VILLAGE)

    # The parts

    def _rank(self, level: Level) -> None:
        address = self.address
        shares, counted = ranking.has_interval(self.layer), ranking.has_minimum(self.layer)
        if counted:
            with st.container(key="comparison-ways", horizontal=True, vertical_alignment="bottom"):
                if shares:
                    st.session_state[_WILSON] = address.wilson
                    st.toggle(
                        _("按威尔逊区间较差一端排名"),
                        key=_WILSON,
                        help=_(
                            "分母小的单位数值易受偶然影响；"
                            "按 95% 区间较差的一端排名，谁也不会靠运气领先。"
                        ),
                        on_change=lambda: state.go(wilson=st.session_state[_WILSON]),
                    )
                st.session_state[_LEAST] = address.least
                st.number_input(
                    _("最小分母"),
                    min_value=0,
                    max_value=10**state.LEAST_DIGITS - 1,
                    step=10,
                    key=_LEAST,
                    width=150,
                    help=_("分母更小的单位不参加排名，列在后面并说明理由。"),
                    on_change=lambda: state.go(least=int(st.session_state[_LEAST])),
                )
        by_interval = address.wilson and shares
        found = caches.ranking(self.unit, self.view, level, by_interval, address.least)
        self._listed(
            found,
            lambda rows: ranking_markup(
                self.layer,
                rows,
                found,
                address.alone(),
                self._ways([one.cell.place for one in rows]),
                address.least,
                by_interval,
            ),
        )

    def _miss(self, level: Level) -> None:
        own = caches.forecast(self.unit, self.address.view())
        found = caches.forecasts(self.unit, self.view, level)
        if all(one.target is None for one in (own, *found)):
            frame.line(
                "dd-empty",
                _("这个图层未设目标，不作年末预测。请在左侧选择有目标的图层，或查看排名。"),
            )
            return
        missing = [one for one in found if one.misses]
        blocks.show(
            "comparison-told",
            blocks.render(
                "comparison_told.html",
                name=self.place.name,
                told=outlook.sentence(self.layer, own),
                counts=_miss_counts(found, level),
                method=wording.forecast_method(self.layer, _),
            ),
        )
        self._listed(
            missing,
            lambda rows: misses_markup(
                self.layer, rows, self.address.alone(), self._ways([one.cell.place for one in rows])
            ),
        )

    def _funnel(self, level: Level) -> None:
        found = caches.funnel(self.unit, self.view, level)
        if found.share > 1:
            frame.line("dd-empty", wording.above_whole(_))
            return
        if not found.cells:
            frame.line("dd-empty", _("本月没有可比的数值。请在左侧换一个月份。"))
            return
        key = (
            "funnel",
            self.view,
            level,
            caches.version(self.unit, self.address.month),
            language(),
        )
        blocks.show(
            "comparison-funnel",
            caches.markup(
                self.unit,
                key,
                lambda: charts.funnel_markup(
                    self.layer, found, self._ways([cell.place for cell in found.cells])
                ),
            ),
        )
        outside = funnel.outside(self.layer, found)
        self._listed(
            outside,
            lambda rows: outside_markup(
                self.layer,
                rows,
                found,
                self.address.alone(),
                self._ways([cell.place for _tone, cell in rows]),
            ),
        )

    def _listed(self, rows: Sequence[Any], made: Any) -> None:
        """A list a page at a time; another view begins at its first."""
        if st.session_state.get(_PAGE_OF) != self.address:
            st.session_state[_PAGE_OF], st.session_state[_PAGE] = self.address, 0
        pages = -(-len(rows) // ROWS)
        at = paging.number(_PAGE, pages)
        key = ("comparison", self.address, caches.history(self.unit), language(), at)
        blocks.show(
            "comparison-list",
            caches.markup(self.unit, key, lambda: made(rows[at * ROWS : (at + 1) * ROWS])),
            selected=self.place.id,
            follow=partial(st.session_state.__setitem__, _GO),
        )
        paging.show(_PAGE, pages)
        self._export()

    def _export(self) -> None:
        """The whole list as a file, not the page of it."""
        address, level = self.address, self.level
        part = address.part or Part.RANK
        if level is None:
            return
        by_interval = address.wilson and ranking.has_interval(self.layer)

        def make(leaving: bool, chosen: str) -> Export:
            return reports.comparison_table(
                caches.store(),
                session.actor(),
                self.view,
                level,
                part,
                leaving=leaving,
                format=chosen,
                version=address.version,
                by_interval=by_interval,
                minimum=address.least,
            )

        about = ("comparison", self.view, level, part, address.version, by_interval, address.least)
        exporting.offer(about, self.unit.actor, make)

    def _ways(self, places: Sequence[Place]) -> dict[str, str]:
        """As ``Unit.ways``, from the place above."""
        return self.unit.ways(self.above, places, self.on)


def ranking_markup(
    layer: Layer,
    rows: Sequence[Ranked],
    every: Sequence[Ranked],
    address: Address,
    ways: Mapping[str, str],
    least: int,
    by_interval: bool,
) -> str:
    """A page of a ranking: those that take no rank are greyed, each with the reason."""
    counted = sum(one.rank is not None for one in every)
    subtitle = _("{counted} 个排名，{rest} 个不排名").format(
        counted=format.number(counted), rest=format.number(len(every) - counted)
    )
    way = wording.ranked_by(layer, by_interval, _)
    return blocks.render(
        "comparison_rank.html",
        title=wording.part_name(Part.RANK, _),
        subtitle=_("，").join((way, subtitle)),
        counts=_count_headings(layer),
        value=_("数值({unit})").format(unit=unit_name(layer.unit)),
        interval=ranking.has_interval(layer),
        rows=[_ranked(layer, one, address, ways, least) for one in rows],
        empty=_("没有可排名的单位。"),
    )


def _place(place: Place, address: Address, ways: Mapping[str, str]) -> dict[str, str]:
    """What a row of any list tells of its place: ``comparison_place.html`` shows it."""
    return {
        "id": place.id,
        "href": address.href(place=place.id),
        "name": place.name,
        "way": ways.get(place.id, ""),
    }


def _count_headings(layer: Layer) -> list[str]:
    measures = () if layer.is_count else (layer.numerator, layer.denominator)
    return [tables.heading(measure) for measure in measures]


def _ranked(
    layer: Layer, one: Ranked, address: Address, ways: Mapping[str, str], least: int
) -> dict[str, Any]:
    cell = one.cell
    if one.small:
        why = wording.too_small(least, _)
    else:
        why = "" if cell.status is Status.OK else status_name(cell.status)
    return {
        **_place(cell.place, address, ways),
        "rank": format.number(one.rank),
        "quiet": one.rank is None,
        "counts": _counts(layer, cell.numerator, cell.denominator),
        "value": format.value(layer, cell.value, cell.aim),
        "interval": format.between(layer, one.low, one.high),
        "why": why,
    }


def _counts(layer: Layer, numerator: float | None, denominator: float | None) -> list[str]:
    if layer.is_count:
        return []
    return [
        format.amount(layer.numerator, numerator),
        format.amount(layer.denominator, denominator),
    ]


def _miss_counts(found: Sequence[YearEnd], level: Level) -> str:
    surely = sum(one.surely for one in found)
    misses = sum(one.misses for one in found)
    silent = sum(not one.ahead for one in found)
    words = _(
        "{count} 个{level}中，{misses} 个将完不成，其中 {surely} 个按区间上端也达不到"
    ).format(
        count=format.number(len(found)),
        level=level_name(level),
        misses=format.number(misses),
        surely=format.number(surely),
    )
    if not silent:
        return words + _("。")
    return words + _("；{silent} 个没有数值或月份不足，不作预测。").format(
        silent=format.number(silent)
    )


def misses_markup(
    layer: Layer, rows: Sequence[YearEnd], address: Address, ways: Mapping[str, str]
) -> str:
    """A page of the places that will miss, the surest and furthest first."""
    return blocks.render(
        "comparison_miss.html",
        title=_("将完不成的单位"),
        subtitle=_("把握大的在前，差得多的在前"),
        unit=unit_name(tables.measure_unit(layer.numerator)),
        rows=[
            {
                **_place(one.cell.place, address, ways),
                "now": format.value(layer, one.cell.value, one.target),
                "end": format.value(layer, one.december.value, one.target),
                "interval": format.between(layer, one.december.low, one.december.high, one.target),
                "target": format.value(layer, one.target),
                "short": outlook.rounded(one.short),
                "monthly": outlook.rounded(one.monthly),
                "sure": one.surely,
                "verdict": wording.verdict(one, _),
                "note": wording.forecast_note(layer, one.cell, _),
            }
            for one in rows
            if one.december is not None
        ],
        empty=_("没有将完不成的单位。"),
    )


def outside_markup(
    layer: Layer,
    rows: Sequence[tuple[str, Any]],
    found: Funnel,
    address: Address,
    ways: Mapping[str, str],
) -> str:
    """A page of the places outside the limits."""
    return blocks.render(
        "comparison_outside.html",
        title=_("界限之外的单位"),
        colours=charts.funnel_colours(),
        subtitle=wording.funnel_rule(_),
        counts=_count_headings(layer),
        value=_("数值({unit})").format(unit=unit_name(layer.unit)),
        rows=[
            {
                **_place(cell.place, address, ways),
                "counts": _counts(layer, cell.numerator, cell.denominator),
                "value": format.value(layer, cell.value, cell.aim),
                "tone": tone,
                "verdict": wording.funnel_name(tone, _),
            }
            for tone, cell in rows
        ],
        empty=_("没有界限之外的单位：{count} 个单位的差别都在偶然范围之内。").format(
            count=format.number(len(found.cells))
        ),
    )

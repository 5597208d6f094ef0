"""The page 指标: every system of a place at a glance, those off pace first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from dashboard.coverage import pace, registry
from dashboard.coverage.ledgers import ledgers_of
from dashboard.coverage.model import Direction, Indicator, Part, Source
from dashboard.coverage.pace import STANDINGS, Standing
from dashboard.reports import service as reports
from dashboard.reports.model import Export, Format
from dashboard.store.unit import DEMONSTRATION, Unit
from dashboard.ui import (
    blocks,
    caches,
    charts,
    datawords,
    exporting,
    format,
    frame,
    screens,
    search,
    session,
    state,
    targetwords,
    tomap,
)
from dashboard.ui.layerlist import groups
from dashboard.ui.state import Address
from dashboard.ui.texts import _, group_name, language, layer_title, standing_name, status_name

TREND_MONTHS = 12
_GO = "indicators-go"
"""Session entry: the link that was clicked, until the map opens or the place is shown."""
_GROUP, _ONLY = "indicators-group", "indicators-only"
_ALL = "all"
_SAME = 1e-9


def show() -> None:
    """The whole page for who is signed in.

    Raises:
        DudaoError: PAGE_NOT_ALLOWED; NO_PLACES or NO_MONTHS.
    """
    actor = session.actor()
    screens.require("indicators", actor)
    tomap.leave(_GO, actor)
    with caches.store().unit(actor) as unit:
        found = state.parse(st.query_params.to_dict(), unit, caches.settings().lang)
        address = found.address.alone()
        state.remember(address)
        with st.sidebar:
            frame.sidebar_head("indicators", actor)
            frame.month_picker(address, unit)
            _filters()
            frame.sidebar_foot(unit.meta(DEMONSTRATION) == "1")
        if unit.meta(DEMONSTRATION) == "1":
            frame.demonstration_banner()
        frame.version_banner(unit, address)
        frame.tell(found.problems)
        _page(unit, address)


def _page(unit: Unit, address: Address) -> None:
    months = tuple(one for one in unit.months() if one <= address.month)[-TREND_MONTHS:]
    shown = caches.indicators(unit, address.place, address.month, months)
    version = caches.version(unit, address.month)
    profile = caches.profile(
        unit, address.place, address.month, registry.layers()[address.layer].group, version
    )
    with st.container(key="top", horizontal=True, vertical_alignment="center", wrap=False):
        blocks.show(
            "crumbs",
            blocks.render(
                "breadcrumb.html",
                ancestors=[(above, address.href(place=above.id)) for above in profile.ancestors],
                here=profile.place.name,
            ),
        )
        with st.container(key="searchbox", width=340):
            search.show(unit, address)
    chosen = st.session_state.get(_GROUP, _ALL)
    only = bool(st.session_state.get(_ONLY))
    key = ("indicators-page", address, caches.history(unit), language(), chosen, only)
    blocks.show(
        "indicators-page",
        caches.markup(unit, key, lambda: markup(shown, address, chosen, only)),
        follow=partial(st.session_state.__setitem__, _GO),
    )
    _export(address)


def _export(address: Address) -> None:
    """All systems of the place as a file, whatever the page is narrowed to."""

    def make(leaving: bool, chosen: str) -> Export:
        return reports.indicator_table(
            caches.store(),
            session.actor(),
            address.place,
            address.month,
            leaving=leaving,
            format=chosen,
            version=address.version,
        )

    exporting.offer(
        ("indicators", address.place, address.month, address.version),
        session.actor(),
        make,
        formats=(Format.XLSX, Format.CSV),
    )


def _filters() -> None:
    keep = state.kept(_GROUP, _ONLY)
    st.selectbox(
        _("分组"),
        [_ALL, *groups()],
        key=_GROUP,
        format_func=lambda group: _("全部") if group == _ALL else group_name(group),
        filter_mode=None,
        on_change=keep,
    )
    st.toggle(_("只看未达序时"), key=_ONLY, on_change=keep)


def markup(
    shown: Sequence[Indicator], address: Address, chosen: str = _ALL, only: bool = False
) -> str:
    """The rows by group.

    Args:
        shown: the layers that have figures.
        chosen: the one group wanted, or ``all``.
        only: leave out what is on pace or has none.
    """
    known = {one.layer.id: one for one in shown}
    sections = []
    for group, layers in groups().items():
        if chosen not in (_ALL, group):
            continue
        mine = [known[layer.id] for layer in layers if layer.id in known]
        rows = [_row(one, address) for one in mine]
        rows = [row for row in rows if not only or row["tone"] in (Standing.LATE, Standing.BEHIND)]
        rows.sort(key=lambda row: row["order"])
        if rows:
            sections.append({"name": group_name(group), "rows": rows})
    wanted = [one for one in registry.layers().values() if chosen in (_ALL, one.group)]
    silent = [layer_title(one) for one in wanted if one.id not in known]
    off = sum(
        _standing(one, address.month) in (Standing.LATE, Standing.BEHIND)
        for one in shown
        if chosen in (_ALL, one.layer.group)
    )
    due = [
        one.layer
        for one in shown
        if chosen in (_ALL, one.layer.group) and pace.due(one.layer, one.cell.target, address.month)
    ]
    return blocks.render(
        "indicators_page.html",
        title=_("{month}各项指标").format(month=format.month(address.month)),
        summary=_("{off} 项未达序时，共 {count} 项有数据").format(
            off=off, count=len(wanted) - len(silent)
        ),
        silent=_("另有 {count} 项本月无数据或不显示到本级：{titles}").format(
            count=len(silent), titles=_("、").join(silent)
        )
        if silent
        else "",
        rule=targetwords.general_rule(due),
        sections=sections,
        empty=_("没有符合条件的指标。"),
        width=charts.SPARK_WIDTH,
        height=charts.SPARK_HEIGHT,
    )


def _standing(one: Indicator, month: str) -> Standing | None:
    return pace.standing(one.layer, one.cell.target, one.cell.value, month)


def _row(one: Indicator, address: Address) -> dict[str, Any]:
    layer, cell = one.layer, one.cell
    wanted = pace.due(layer, cell.target, address.month)
    found = _standing(one, address.month)
    return {
        "href": address.href(layer=layer.id),
        "compare": address.href(layer=layer.id, part=Part.RANK if wanted is None else Part.MISS),
        "why": address.explained(cell.place.id, layer=layer.id, source=Source.REPORTED),
        "title": layer_title(layer),
        "ledgers": [
            (datawords.dataset_title(name), f"{address.href()}&{urlencode({tomap.LEDGER: name})}")
            for name in ledgers_of(layer)
        ],
        "value": status_name(cell.status)
        if cell.value is None
        else format.value(layer, cell.value, cell.aim),
        "counted": ""
        if cell.value is None
        else format.fraction(layer, cell.numerator, cell.denominator),
        "target": "" if cell.target is None else targetwords.amount(layer, cell.target),
        "whose": targetwords.whose(cell),
        "short": targetwords.lacking(layer, cell),
        "standing": "" if found is None else standing_name(found),
        "tone": "" if found is None else found.value,
        "order": len(STANDINGS) if found is None else STANDINGS.index(found),
        "bar": None if wanted is None or cell.value is None else _bar(one, wanted),
        "spark": charts.spark(one.trend),
        "worst": _worst(one, address),
    }


def _bar(one: Indicator, wanted: pace.Due) -> dict[str, float]:
    """Where value and pace lie on a bar that ends at the target, or at the value beyond it."""
    value = one.cell.value or 0.0
    full = max(wanted.target, value, 1e-9)
    if one.layer.direction is Direction.LOWER:
        full = max(full, 2 * wanted.target)
    return {"value": round(100 * value / full, 1), "pace": round(100 * wanted.pace / full, 1)}


def _worst(one: Indicator, address: Address) -> dict[str, str] | None:
    """The worst place below; none where all that may be shown do better than the whole, for then
    a worse one is among those that are left out."""
    whole = one.cell.value
    if one.worst is None or one.worst.value is None or whole is None:
        return None
    above = one.worst.value - whole
    if (above if one.layer.direction is Direction.HIGHER else -above) > _SAME:
        return None
    return {
        "name": one.worst.place.name,
        "value": format.value(one.layer, one.worst.value, one.worst.aim),
        "href": address.href(layer=one.layer.id, place=one.worst.place.id),
    }

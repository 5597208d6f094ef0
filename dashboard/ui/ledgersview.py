"""The page 台账: the records a place's figures are counted from, to open, filter and take along."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from dashboard.access import Actor
from dashboard.coverage import ledgers
from dashboard.coverage.ledgers import Ledger, Page, Period, Query, Sight, Value
from dashboard.privacy import service as privacy
from dashboard.reports import service as reports
from dashboard.reports.model import Export, Format
from dashboard.store.model import Filter, Person, PersonRow, month_end
from dashboard.store.unit import DEMONSTRATION, Unit
from dashboard.ui import (
    blocks,
    caches,
    datawords,
    exporting,
    format,
    frame,
    notices,
    paging,
    screens,
    search,
    session,
    state,
)
from dashboard.ui.state import PAGE, Address
from dashboard.ui.texts import _, group_name, level_name, unit_name
from dashboard.ui.tomap import LEDGER
from geodata.errors import DudaoError
from geodata.model import Place
from loaders.registry import PERSON, Column, record_datasets

_WHERE = "w."
"""Filters stand in the address as ``w.<column>=…``, as ``ledgers.filter_of`` reads them."""
_READ = "ledgers-read"
"""Session entry: the page last read, with what it was read for."""
_READ_FOR_S = 60.0
"""So long a page is shown again without reading, and auditing, it anew."""
_REVEALED = "ledgers-revealed"
_PAGER = "ledgers-page"


@dataclass(frozen=True, slots=True)
class Opened:
    """The view: place and month of ``address``, and what of which ledger is shown.

    Attributes:
        dataset: None: all ledgers at a glance.
        filters: by column, as written in the address.
        sort: column to order by, with a minus in front for descending; empty: latest first.
        page: from 1.
    """

    address: Address
    dataset: str | None = None
    period: Period = Period.COUNTED
    filters: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    page: int = 1

    def params(self) -> dict[str, str]:
        """The query parameters."""
        found = self.address.params()
        if self.dataset is not None:
            found[LEDGER] = self.dataset
        if self.period is not Period.COUNTED:
            found["period"] = self.period.value
        found |= {f"{_WHERE}{name}": text for name, text in self.filters.items()}
        if self.sort:
            found["sort"] = self.sort
        if self.page > 1:
            found[PAGE] = str(self.page)
        return found

    def moved(self, **changes: Any) -> Opened:
        """The view after a change; everything but a turned page begins at the first.

        Another ledger has other columns to filter and sort by.
        """
        if "place" in changes:
            changes["address"] = self.address.moved(place=changes.pop("place"))
        if "dataset" in changes:
            changes = {"filters": {}, "sort": ""} | changes
        changes.setdefault("page", 1)
        return replace(self, **changes)

    def href(self, **changes: Any) -> str:
        """The link to the view after a change."""
        return "?" + urlencode(self.moved(**changes).params())

    def query(self, filters: tuple[Filter, ...]) -> Query:
        """What the service is asked."""
        assert self.dataset is not None
        return Query(
            self.dataset,
            self.address.place,
            self.address.month,
            self.period,
            filters,
            self.sort.removeprefix("-"),
            self.sort.startswith("-"),
            self.page,
        )


def show() -> None:
    """The whole page for who is signed in.

    Raises:
        DudaoError: PAGE_NOT_ALLOWED; NO_PLACES or NO_MONTHS.
    """
    actor = session.actor()
    screens.require("ledgers", actor)
    with caches.store().unit(actor, "records.view") as unit:
        found = state.parse(st.query_params.to_dict(), unit, caches.settings().lang)
        state.remember(found.address)
        opened, seen, filters, problems = _parse(found.address, st.query_params.to_dict(), unit)
        with st.sidebar:
            frame.sidebar_head("ledgers", actor)
            frame.month_picker(found.address, unit, versions=False)
            _period(opened)
            blocks.show("ledgerlist", list_markup(opened), selected=opened.dataset, follow=_follow)
            frame.sidebar_foot(unit.meta(DEMONSTRATION) == "1")
        if unit.meta(DEMONSTRATION) == "1":
            frame.demonstration_banner()
        frame.tell((*found.problems, *problems))
        notices.show()
        _top(unit, found.place, opened)
        if seen is None:
            told = ledgers.overview(unit, opened.address.place, opened.address.month, opened.period)
            blocks.show("ledgers", overview_markup(told, found.place, opened), follow=_follow)
            return
        version = tuple(unit.committed())
    _ledger(actor, opened, seen, filters, version)


def _parse(
    address: Address, params: Mapping[str, str], unit: Unit
) -> tuple[Opened, Sight | None, tuple[Filter, ...], list[str]]:
    """What of the address is the ledger's; what is wrong takes its default and is told."""
    problems: list[str] = []
    dataset = params.get(LEDGER) or None
    if dataset is not None and dataset not in record_datasets():
        problems.append(_("没有台账“{ledger}”，请从列表中选择。").format(ledger=dataset))
        dataset = None
    period = Period.COUNTED
    wanted = params.get("period", period.value)
    if wanted in set(Period):
        period = Period(wanted)
    else:
        problems.append(_("没有期间“{period}”，已改为计入指标的记录。").format(period=wanted))
    if dataset is None:
        return Opened(address, None, period), None, (), problems
    seen = ledgers.sight(unit, dataset, address.place, address.month)
    filters: dict[str, Filter] = {}
    for key, text in params.items():
        name = key.removeprefix(_WHERE)
        if key.startswith(_WHERE) and text.strip():
            try:
                filters[name] = ledgers.filter_of(seen, name, text)
            except DudaoError:
                problems.append(
                    _("不能按“{name}={text}”筛选，已略去。").format(name=name, text=text)
                )
    sort = params.get("sort", "")
    if sort and sort.removeprefix("-") not in _sortable(seen):
        problems.append(_("不能按“{name}”排序，已略去。").format(name=sort))
        sort = ""
    number = params.get(PAGE, "1")
    if not (number.isascii() and number.isdecimal() and 0 < len(number) <= 9 and int(number) > 0):
        problems.append(_("没有第“{page}”页，已改为第 1 页。").format(page=number))
        number = "1"
    said = {name: ledgers.written(seen, one) for name, one in filters.items()}
    opened = Opened(address, dataset, period, said, sort, int(number))
    return opened, seen, tuple(filters.values()), problems


def _sortable(seen: Sight) -> list[str]:
    return [name for name in seen.columns if name != PERSON]


def _write(opened: Opened) -> None:
    st.query_params.from_dict(opened.params())


def _follow(href: str) -> None:
    """Move to a clicked link; whatever it says is looked at like any address."""
    own = (*state.FIELDS, LEDGER, "period", "sort", PAGE)
    given = parse_qsl(href.removeprefix("?"))
    st.query_params.from_dict(
        {key: text for key, text in given if key in own or key.startswith(_WHERE)}
    )
    st.session_state[state.SEARCH] = ""


# Place, period, ledger


def _top(unit: Unit, place: Place, opened: Opened) -> None:
    on = month_end(opened.address.month)
    with st.container(key="top", horizontal=True, vertical_alignment="center", wrap=False):
        blocks.show(
            "crumbs",
            blocks.render(
                "breadcrumb.html",
                ancestors=[
                    (above, opened.href(place=above.id)) for above in unit.ancestors(place, on)
                ],
                here=place.name,
            ),
            follow=_follow,
        )
        beneath = {one.id: one for one in unit.children(place.id, on)}
        if beneath:
            level = level_name(next(iter(beneath.values())).level)
            box = f"ledgers-down-{place.id}"
            st.selectbox(
                _("下级"),
                list(beneath),
                index=None,
                key=box,
                width=220,
                format_func=lambda place_id: beneath[place_id].name,
                placeholder=_("选择{level}（{count} 个）").format(level=level, count=len(beneath)),
                label_visibility="collapsed",
                on_change=lambda: state.go(place=st.session_state[box]),
            )
        with st.container(key="searchbox", width=280):
            search.show(unit, opened.address)


def period_name(period: Period) -> str:
    """Which rows a period means."""
    return {
        Period.COUNTED: _("计入当月指标"),
        Period.MONTH: _("只看当月"),
        Period.ALL: _("全部"),
    }[period]


def _period(opened: Opened) -> None:
    st.session_state["ledgers-period"] = opened.period
    st.selectbox(
        _("期间"),
        list(Period),
        key="ledgers-period",
        format_func=period_name,
        filter_mode=None,
        help=_(
            "计入当月指标：名册类为月末在册的，服务、入户等为当年 1 月至当月的；"
            "只看当月：登记或发生在当月的。"
        ),
        on_change=lambda: _write(opened.moved(period=Period(st.session_state["ledgers-period"]))),
    )


def _title(dataset_id: str) -> str:
    return datawords.dataset_title(dataset_id)


def list_markup(opened: Opened) -> str:
    """Every ledger by the groups of the layers."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    chosen = ""
    for dataset_id, group in ledgers.groups().items():
        link = opened.href(dataset=dataset_id)
        found.setdefault(group, []).append((dataset_id, _title(dataset_id), link))
        if dataset_id == opened.dataset:
            chosen = group
    return blocks.render(
        "layers.html",
        groups=[
            {
                "id": group,
                "name": group_name(group),
                "open": chosen in ("", group),
                "layers": listed,
            }
            for group, listed in found.items()
        ],
    )


def overview_markup(told: list[Ledger], place: Place, opened: Opened) -> str:
    """Every ledger with how much it holds."""
    return blocks.render(
        "ledgers.html",
        title=_("{place}台账").format(place=place.name),
        subtitle=format.month(opened.address.month),
        rows=[
            {
                "title": _title(one.dataset.id),
                "group": group_name(one.group),
                "href": opened.href(dataset=one.dataset.id),
                "count": format.number(one.rows),
                "layers": format.number(one.layers),
                "loaded": format.moment(one.loaded_at or None),
            }
            for one in told
        ],
        empty=_("这里还没有台账数据。请数据员在“数据”页上传台账文件，或选择其他地区、月份。")
        if not any(one.rows for one in told)
        else "",
    )


# One ledger


def _ledger(
    actor: Actor,
    opened: Opened,
    seen: Sight,
    filters: tuple[Filter, ...],
    version: tuple[int, ...],
) -> None:
    query = opened.query(filters)
    page = _read(actor, query, version)
    pages = -(-page.total // query.size)
    if page.total and not page.rows:
        query = replace(query, page=pages)
        page = _read(actor, query, version)
    with st.container(key="ledger-head", horizontal=True, vertical_alignment="center"):
        st.html(
            blocks.render(
                "sources_head.html",
                title=_title(seen.dataset.id),
                counted=_("共 {count} 条").format(count=format.number(page.total)),
            ),
            width="content",
        )
    for line in _notes(seen):
        frame.line("dd-help", line)
    _filters(opened, seen, filters)
    blocks.show("ledger", markup(page, opened), follow=_follow)
    st.session_state[_PAGER] = query.page - 1
    paging.show(_PAGER, pages, lambda at: _write(opened.moved(page=at + 1)))
    if page.total:
        _export(actor, query, seen)
    _reveal(page)


def _read(actor: Actor, query: Query, version: tuple[int, ...]) -> Page:
    """The page; one that was just read is not read, and audited, again."""
    scopes = tuple(actor.scope(one).key for one in ("records.view", "records.persons"))
    key = (query, version, actor.id, scopes)
    kept = st.session_state.get(_READ)
    if kept is not None and kept[0] == key and time.monotonic() - kept[1] < _READ_FOR_S:
        found: Page = kept[2]
        return found
    found = ledgers.read(caches.store(), actor, query)
    st.session_state[_READ] = (key, time.monotonic(), found)
    return found


def _notes(seen: Sight) -> list[str]:
    """What is not shown, and why."""
    if not seen.personal:
        return []
    if seen.persons and PERSON not in seen.columns:
        return [_("本台账逐户列出；打开已记入审计。")]
    if seen.persons:
        return [_("姓名和身份证号已脱敏，未在人员名册登记的显示“—”；打开本台账已记入审计。")]
    return [_("您只能看到序号，看不到是谁；涉及疾病的列和记录不列出，也不能导出。")]


def _export(actor: Actor, query: Query, seen: Sight) -> None:
    if not ledgers.leaving(seen):
        return

    def make(_leaving: bool, chosen: str) -> Export:
        return reports.ledger_table(caches.store(), session.actor(), query, format=chosen)

    about = replace(query, page=1)
    exporting.offer(about, actor, make, leaves=False, formats=(Format.XLSX, Format.CSV))


# The table


def markup(page: Page, opened: Opened) -> str:
    """The rows with what their columns are called; words on what to do where there are none."""
    seen = page.sight
    heads: list[dict[str, Any]] = []
    for name, column in seen.columns.items():
        if name == PERSON:
            if seen.persons:
                heads += [
                    {"title": _("姓名"), "numeric": False, "href": "", "mark": ""},
                    {"title": _("身份证号"), "numeric": False, "href": "", "mark": ""},
                ]
            continue
        downwards = opened.sort == f"-{name}"
        upwards = opened.sort == name
        heads.append(
            {
                "title": _("地区") if name == "place_id" else _heading(column),
                "numeric": column.kind == "number",
                "href": opened.href(sort=name if downwards else f"-{name}"),
                "mark": "▼" if downwards else "▲" if upwards else "",
            }
        )
    return blocks.render(
        "ledger.html",
        title=_title(seen.dataset.id),
        heads=heads,
        rows=[
            {"number": format.number(page.first + at), "cells": _cells(page, opened, at, row)}
            for at, row in enumerate(page.rows)
        ],
        empty=_empty(opened),
    )


def _empty(opened: Opened) -> str:
    if opened.filters:
        return _("没有符合条件的记录。请放宽或清除筛选条件。")
    if opened.period is not Period.ALL:
        return _("这一期间没有记录。请换一个月份，或把期间改为“全部”。")
    return _("这里还没有这种台账。请数据员在“数据”页上传，或选择其他地区。")


def _heading(column: Column) -> str:
    title = datawords.field_title(column)
    if not column.unit:
        return title
    return _("{title}（{unit}）").format(title=title, unit=unit_name(column.unit))


def _cells(page: Page, opened: Opened, at: int, row: tuple[Value, ...]) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = []
    for (name, column), value in zip(page.sight.columns.items(), row, strict=True):
        if name == PERSON:
            if page.sight.persons:
                cells += _person(page.persons[at])
        elif name == "place_id":
            place, above = page.names.get(str(value), (str(value), ""))
            href = "" if value == opened.address.place else opened.href(place=str(value))
            cells.append({"words": place, "small": above, "href": href, "numeric": False})
        else:
            words = _words(column, value)
            numeric = column.kind == "number"
            cells.append({"words": words, "small": "", "href": "", "numeric": numeric})
    return cells


def _person(person: PersonRow | None) -> list[dict[str, Any]]:
    """Name and number, masked; dashes for somebody the register does not hold."""
    told = (None, None) if person is None else (person.name, person.id_number)
    return [
        {"words": format.MISSING if one is None else one, "small": "", "href": "", "numeric": False}
        for one in told
    ]


def _words(column: Column, value: Value) -> str:
    if value is None or value == "":
        return format.MISSING
    if isinstance(value, bool):
        return _("是") if value else _("否")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return format.number(value, 0 if column.integer or value == round(value) else 2)
    codes = value.split() if column.kind == "choices" else [value]
    return _("、").join(datawords.code_title(column, code) for code in codes)


# Filters, from what the columns are declared to hold


def _filters(opened: Opened, seen: Sight, filters: tuple[Filter, ...]) -> None:
    asked = {one.column: one for one in filters}
    if asked:
        with st.container(key="ledger-used", horizontal=True, vertical_alignment="center"):
            used = _("；").join(_used(seen.columns[name], one) for name, one in asked.items())
            words = _("已筛选 {used}").format(used=used)
            st.html(blocks.render("data_note.html", words=words), width="content")
            st.button(
                _("清除筛选"),
                key="ledger-clear",
                on_click=partial(_write, opened.moved(filters={})),
            )
    with (
        st.expander(_("筛选"), key="ledger-filterbox", icon=":material/filter_alt:"),
        st.container(key="ledger-filters", horizontal=True, gap="small"),
    ):
        for name, column in seen.filtered.items():
            _filter(opened, seen, name, column, asked.get(name))


def _used(column: Column, wanted: Filter) -> str:
    """A filter in words."""
    if wanted.text:
        return _("{title} 含“{text}”").format(title=datawords.field_title(column), text=wanted.text)
    if wanted.flag is not None:
        said = _words(column, wanted.flag)
    elif wanted.among:
        said = _("、").join(datawords.code_title(column, code) for code in wanted.among)
    else:
        said = _range(column, wanted)
    return _("{title}：{said}").format(title=datawords.field_title(column), said=said)


def _range(column: Column, wanted: Filter) -> str:
    low, high = (
        one if isinstance(one, str) else _words(column, one) for one in (wanted.low, wanted.high)
    )
    if wanted.high is None:
        return _("{low} 起").format(low=low)
    if wanted.low is None:
        return _("{high} 止").format(high=high)
    return _("{low} 至 {high}").format(low=low, high=high)


def _filter(opened: Opened, seen: Sight, name: str, column: Column, asked: Filter | None) -> None:
    key = f"ledger-w-{seen.dataset.id}-{name}"

    def changed() -> None:
        _narrow(opened, seen, name, _said(key, column, bool(seen.codes(name))))

    title = datawords.field_title(column)
    if column.kind == "flag":
        st.session_state[key] = "" if asked is None else ("yes" if asked.flag else "no")
        st.selectbox(
            title,
            ["", "yes", "no"],
            key=key,
            width=180,
            filter_mode=None,
            format_func=lambda said: {"": _("不限"), "yes": _("是"), "no": _("否")}[said],
            on_change=changed,
        )
    elif seen.codes(name):
        st.session_state[key] = [] if asked is None else list(asked.among)
        st.multiselect(
            title,
            seen.codes(name),
            key=key,
            width=372,
            format_func=partial(datawords.code_title, column),
            placeholder=_("不限"),
            on_change=changed,
        )
    elif column.kind in ("date", "number"):
        for end in ("low", "high"):
            st.session_state[f"{key}-{end}"] = None if asked is None else getattr(asked, end)
            words = (_("{title} 从") if end == "low" else _("{title} 到")).format(
                title=_heading(column)
            )
            if column.kind == "date":
                st.date_input(
                    words,
                    value=None,
                    key=f"{key}-{end}",
                    width=180,
                    min_value=date(1900, 1, 1),
                    max_value=date(2200, 1, 1),
                    format="YYYY-MM-DD",
                    on_change=changed,
                )
            else:
                st.number_input(words, value=None, key=f"{key}-{end}", width=180, on_change=changed)
    elif column.kind != "month":
        st.session_state[key] = "" if asked is None else asked.text
        st.text_input(
            _("{title} 含").format(title=title),
            key=key,
            width=180,
            max_chars=60,
            autocomplete="off",
            on_change=changed,
        )


def _said(key: str, column: Column, coded: bool) -> str:
    """What the widgets of a column say, as an address writes it."""
    said = st.session_state
    if coded and column.kind != "flag":
        return ",".join(said[key])
    if column.kind in ("date", "number"):
        ends = [said[f"{key}-{end}"] for end in ("low", "high")]
        if ends == [None, None]:
            return ""
        return "..".join(
            "" if one is None else f"{one:g}" if isinstance(one, float) else str(one)
            for one in ends
        )
    return str(said[key]).strip()


def _narrow(opened: Opened, seen: Sight, name: str, text: str) -> None:
    filters = {key: said for key, said in opened.filters.items() if key != name}
    _write(opened.moved(filters=filters | ({name: text} if text else {})))


# Who it is


def _reveal(page: Page) -> None:
    """One person in clear text, for a reason that is audited; shown once."""
    known = {page.first + at: one for at, one in enumerate(page.persons) if one is not None}
    if not known or not session.actor().may("persons.reveal"):
        return
    with st.expander(_("查看一人的完整信息"), icon=":material/visibility:"):
        st.caption(_("只在办理业务需要时查看；查看的人、时间和事由记入审计。"))
        with st.container(key="ledger-reveal", horizontal=True, vertical_alignment="bottom"):
            st.selectbox(
                _("序号"),
                list(known),
                key="ledger-reveal-who",
                width=260,
                format_func=lambda number: f"{number}　{known[number].name}",
            )
            st.text_input(
                _("事由（不少于 4 个字，不写姓名和号码）"),
                key="ledger-reveal-why",
                max_chars=200,
                width=360,
                autocomplete="off",
            )
            st.button(
                _("查看"),
                key="ledger-reveal-go",
                on_click=partial(_look, {number: one.key for number, one in known.items()}),
            )
        shown: Person | None = st.session_state.pop(_REVEALED, None)
        if shown is not None:
            st.html(blocks.render("ledger_person.html", person=shown, missing=format.MISSING))


def _look(keys: Mapping[int, str]) -> None:
    number, reason = st.session_state["ledger-reveal-who"], st.session_state["ledger-reveal-why"]

    def look() -> None:
        st.session_state[_REVEALED] = privacy.reveal(
            caches.store(), session.actor(), keys.get(number, ""), reason
        )

    if notices.attempt(look):
        st.session_state["ledger-reveal-why"] = ""

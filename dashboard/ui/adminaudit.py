"""管理 › 审计: who did what, newest first, a sentence a row."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import streamlit as st

from dashboard.access import ACTIONS
from dashboard.accounts import audit
from dashboard.accounts.audit import Page, Query
from dashboard.reports.files import table_export
from dashboard.reports.model import Column, Format
from dashboard.store.audit import Outcome, Record
from dashboard.ui import (
    adminroute,
    adminseen,
    adminwords,
    blocks,
    caches,
    downloads,
    format,
    notices,
    placepick,
    session,
)
from dashboard.ui.texts import _

SIZE = 50
DAYS = 7
"""How far the first look goes back."""

_QUERY = "admin-query"
_PAGE = "admin-page"
"""Session entry: the page of results shown, so that a rerun does not ask, and audit, again."""
_BEFORE = "admin-before"
"""Session entry: where each page shown so far began, None for the newest."""
_FILE = "admin-audit-file"
_PLACE = "admin-audit-place"


def refresh() -> None:
    """Forget the results; the question stays."""
    st.session_state[_PAGE] = None
    st.session_state[_FILE] = None


def form(key: str, title: str = "") -> None:
    """What is asked for; sending it opens the results.

    Args:
        key: of the form in the session; it may stand on more than one section.
        title: a heading above.
    """
    if title:
        st.html(blocks.render("admin_heading.html", title=title, beside=""))
    asked: Query = st.session_state.get(_QUERY) or _first()
    defaults: dict[str, Any] = {
        "since": asked.since, "until": asked.until, "actor": asked.actor,
        "action": asked.action, "outcome": asked.outcome or "", "text": asked.text,
    }  # fmt: skip
    for name, value in defaults.items():
        st.session_state.setdefault(f"{key}-{name}", value)
    with st.form(key, border=False):
        fields = [*st.columns(2), st.container(), st.container(), st.container(), st.container()]
        if not title:
            fields = [*st.columns(3), *st.columns(3)]
        with fields[0]:
            st.date_input(_("从"), key=f"{key}-since", format="YYYY-MM-DD")
        with fields[1]:
            st.date_input(_("到"), key=f"{key}-until", format="YYYY-MM-DD")
        with fields[2]:
            st.text_input(_("人员"), key=f"{key}-actor", placeholder=_("姓名中的几个字"))
        with fields[3]:
            st.selectbox(
                _("事项"),
                ["", *_groups(), *ACTIONS],
                key=f"{key}-action",
                format_func=_option,
                placeholder=_("全部"),
            )
        with fields[4]:
            st.selectbox(
                _("结果"),
                ["", *Outcome],
                key=f"{key}-outcome",
                format_func=lambda each: adminwords.outcome_name(each) if each else _("全部"),
                placeholder=_("全部"),
            )
        with fields[5]:
            st.text_input(_("文字"), key=f"{key}-text", placeholder=_("文件名、理由、编号等"))
        st.form_submit_button(
            _("查询"), type="primary", icon=":material/search:", on_click=partial(_ask, key),
        )  # fmt: skip


def _groups() -> list[str]:
    return list(dict.fromkeys(action.partition(".")[0] for action in ACTIONS))


def _option(action: str) -> str:
    if not action:
        return _("全部")
    if "." in action:
        return f"　{adminwords.action_name(action)}"
    return _("{group}（全部）").format(group=adminwords.group_name(action))


def _first() -> Query:
    """What is asked before anybody asks: the last week."""
    return Query(since=date.today() - timedelta(days=DAYS), until=date.today())


def _ask(key: str) -> None:
    """Take over what the form says and go to the results."""
    said = {
        name: st.session_state.get(f"{key}-{name}")
        for name in ("since", "until", "actor", "action", "outcome", "text")
    }
    st.session_state[_QUERY] = Query(
        since=said["since"],
        until=said["until"],
        actor=said["actor"] or "",
        action=said["action"] or "",
        outcome=Outcome(said["outcome"]) if said["outcome"] else None,
        text=said["text"] or "",
    )
    for name, value in said.items():
        st.session_state[f"admin-ask-{name}"] = value
    st.session_state[_BEFORE] = [None]
    refresh()
    adminroute.go("audit")


def show() -> None:
    """The section."""
    if not session.actor().may("audit.search"):
        st.caption(_("您可以在“备份与检查”中核验审计记录。"))
        return
    left, right = st.columns([3, 1], gap="medium")
    with left:
        form("admin-ask")
    with right:
        chosen = placepick.pick(
            _PLACE,
            "audit.search",
            _("地区（含其下级）"),
            anywhere=_("不限地区"),
            preset=True,
            narrow=True,
        )
    asked: Query = st.session_state.get(_QUERY) or _first()
    query = Query(
        asked.since, asked.until, asked.actor, asked.action, chosen.place_id,
        asked.outcome, asked.text,
    )  # fmt: skip
    before: list[int | None] = st.session_state.setdefault(_BEFORE, [None])
    kept = st.session_state.get(_PAGE)
    if kept is None or kept[0] != query:
        before = st.session_state[_BEFORE] = [None]
        kept = None
    if kept is None or kept[1] != before[-1]:
        page = audit.search(caches.store(), session.actor(), query, before[-1], SIZE)
        kept = st.session_state[_PAGE] = (query, before[-1], page)
    _results(query, kept[2], before)


def _results(query: Query, page: Page, before: list[int | None]) -> None:
    names, places = adminseen.names(), _places(page.records)
    st.html(
        blocks.render(
            "admin_audit.html",
            rows=[_row(record, names, places) for record in page.records],
            empty=_("没有符合条件的记录。请放宽日期或其他条件。"),
        )
    )
    with st.container(horizontal=True, gap="small", key="admin-pages"):
        st.button(
            _("较新的记录"),
            key="admin-newer",
            disabled=len(before) == 1,
            on_click=partial(_turn, before[:-1]),
        )
        st.button(
            _("更早的记录"),
            key="admin-older",
            disabled=page.older is None,
            on_click=partial(_turn, [*before, page.older]),
        )
        if page.records:
            st.button(
                _("导出"),
                key="admin-audit-export",
                icon=":material/download:",
                on_click=partial(_export, query),
            )
    made = st.session_state.get(_FILE)
    if made is not None:
        st.html(blocks.render("download.html", href=made[0], name=made[1]))


def _turn(before: list[int | None]) -> None:
    st.session_state[_BEFORE] = before


def _places(records: tuple[Record, ...]) -> dict[str, str]:
    """The names of the places spoken of; of one that is no more, its code."""
    ids = {record.place_id for record in records if record.place_id}
    with caches.store().unit(session.actor(), "audit.search") as unit:
        return {place.id: place.name for place in unit.places(ids, date.today())}


def _row(record: Record, names: dict[str, str], places: dict[str, str]) -> dict[str, Any]:
    return {
        "seq": format.number(record.seq),
        "at": record.at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if record.at else "—",
        "sentence": adminwords.sentence(record, names),
        "place": places.get(record.place_id or "", record.place_id or ""),
        "via": adminwords.via_name(record.via),
        "outcome": record.outcome,
        "ended": adminwords.outcome_name(record.outcome),
        "details": adminwords.details(record),
    }


def _export(query: Query) -> None:
    """Make the file of all rows that match and put it on offer."""
    who = session.current()

    def make() -> None:
        records = audit.collect(caches.store(), who.actor, query, Format.XLSX.value)
        names, places = adminseen.names(), _places(records)
        rows = [
            (
                record.seq,
                format.moment(record.at),
                record.actor_name,
                adminwords.action_name(record.action),
                adminwords.sentence(record, names),
                places.get(record.place_id or "", record.place_id or ""),
                adminwords.via_name(record.via),
                adminwords.outcome_name(record.outcome),
                adminwords.listed(
                    [f"{name} {value}" for name, value in adminwords.details(record)]
                ),
            )
            for record in records
        ]
        made = table_export(
            [
                _("审计记录"),
                _("{who} 于 {at} 导出，共 {count} 条").format(
                    who=who.actor.name, at=format.moment(datetime.now()), count=len(rows)
                ),
            ],
            [
                Column(_("序号"), 0), Column(_("时间")), Column(_("人员")), Column(_("事项")),
                Column(_("内容")), Column(_("地区")), Column(_("来源")), Column(_("结果")),
                Column(_("详情")),
            ],
            rows,
            Format.XLSX.value,
        )  # fmt: skip
        address = downloads.offer(who.session_id, made.name, made.media_type, made.body)
        st.session_state[_FILE] = (address, made.name)

    notices.attempt(make)

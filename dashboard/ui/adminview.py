"""The page 管理: who can see what, who looked? One section at a time, each to who may use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import streamlit as st

from dashboard.access import Actor
from dashboard.store.unit import DEMONSTRATION
from dashboard.ui import (
    adminaccounts,
    adminaudit,
    admingrants,
    adminkeep,
    adminpersons,
    adminroute,
    adminsessions,
    caches,
    frame,
    notices,
    screens,
    session,
)
from dashboard.ui.assets import STATIC
from dashboard.ui.texts import _

_SHOWN = "admin-shown"
"""Session entry: the section shown last."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page.

    Attributes:
        actions: who may do one of these anywhere sees it.
        show: draws it.
        opened: makes it forget what an earlier visit left; None: nothing to forget.
    """

    id: str
    icon: str
    actions: tuple[str, ...]
    show: Callable[[], None]
    opened: Callable[[], None] | None = None


SECTIONS = {
    section.id: section
    for section in (
        Section(
            "accounts", "group", ("accounts.view",), adminaccounts.show, adminaccounts.refresh
        ),
        Section("grants", "badge", ("accounts.grant",), admingrants.show, admingrants.refresh),
        Section(
            "sessions", "devices", ("sessions.view",), adminsessions.show, adminsessions.refresh
        ),
        Section(
            "audit", "manage_search", ("audit.search", "audit.verify"), adminaudit.show,
            adminaudit.refresh,
        ),
        Section(
            "persons", "person_search", ("persons.trace",), adminpersons.show, adminpersons.forget
        ),
        Section(
            "keep", "verified_user", ("backup.make", "store.check", "audit.verify"),
            adminkeep.show,
        ),
    )
}  # fmt: skip


def section_name(section_id: str) -> str:
    """What a section is called."""
    return {
        "accounts": _("账号管理"),
        "grants": _("授权"),
        "sessions": _("登录会话"),
        "audit": _("审计"),
        "persons": _("个人数据路径"),
        "keep": _("备份与检查"),
    }[section_id]


@cache
def _style_sheet() -> str:
    return f"<style>{(STATIC / 'admin.css').read_text(encoding='utf-8')}</style>"


def show() -> None:
    """The whole page for who is signed in.

    Raises:
        DudaoError: PAGE_NOT_ALLOWED.
    """
    actor = session.actor()
    screens.require("admin", actor)
    st.html(_style_sheet())
    with st.sidebar:
        frame.sidebar_head("admin", actor)
        frame.sidebar_foot(_demonstration(actor))
    offered = [
        section.id
        for section in SECTIONS.values()
        if any(actor.may(action_id) for action_id in section.actions)
    ]
    chosen = _choose(offered)
    notices.show()
    section = SECTIONS[chosen]
    if st.session_state.get(_SHOWN) != chosen:
        st.session_state[_SHOWN] = chosen
        if section.opened is not None:
            section.opened()
    with st.container(key=f"admin-{chosen}"):
        section.show()


def _choose(offered: list[str]) -> str:
    """The section in the address, else the first; the switch above writes the address."""
    wanted = adminroute.wanted()
    chosen = wanted if wanted in offered else offered[0]
    st.session_state["admin-section"] = chosen
    st.segmented_control(
        _("管理"),
        offered,
        key="admin-section",
        required=True,
        format_func=lambda each: f":material/{SECTIONS[each].icon}: {section_name(each)}",
        label_visibility="collapsed",
        on_change=lambda: adminroute.go(st.session_state["admin-section"]),
    )
    return chosen


def _demonstration(actor: Actor) -> bool:
    with caches.store().unit(actor, actor_action(actor)) as unit:
        return unit.meta(DEMONSTRATION) == "1"


def actor_action(actor: Actor) -> str:
    """An action this actor may do that opens the page: what its first look is made under."""
    return next(action for action in screens.SCREENS["admin"].actions if actor.may(action))

"""The screens: which there are and who may open them."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import access
from dashboard.access import Actor
from dashboard.ui.texts import page_name
from geodata.errors import DudaoError

_PAGES = Path(__file__).resolve().parents[2] / "pages"


@dataclass(frozen=True, slots=True)
class Screen:
    """One page file.

    Attributes:
        name: of the file in ``pages/`` and in the address.
        title: in Chinese; the key of its translation.
        icon: of Material Symbols.
        actions: who may do one of these anywhere may open it.
    """

    name: str
    title: str
    icon: str
    actions: tuple[str, ...]

    def open_to(self, actor: Actor) -> bool:
        """Whether somebody may open it."""
        return any(actor.may(action_id) for action_id in self.actions)


SCREENS = {
    screen.name: screen
    for screen in (
        Screen("map", "一张图", "map", ("places.view",)),
        Screen("indicators", "指标", "checklist", ("places.view",)),
        Screen("comparison", "比较", "leaderboard", ("places.view",)),
        Screen("ledgers", "台账", "table_rows", ("records.view",)),
        Screen("sources", "源文件指标", "menu_book", ("places.view",)),
        Screen("data", "数据", "upload_file", ("data.check", "data.batches")),
        Screen(
            "admin",
            "管理",
            "admin_panel_settings",
            (
                "accounts.view", "sessions.view", "audit.search", "persons.trace", "backup.make",
                "store.check",
            ),
        ),
    )
}  # fmt: skip


@cache
def _page(name: str, title: str) -> StreamlitPage:
    """One page, its file looked for once: every rerun lists all pages several times."""
    return st.Page(_PAGES / f"{name}.py", title=title, url_path=name, default=name == "map")


def pages(actor: Actor) -> list[StreamlitPage]:
    """The pages somebody may open, as ``st.navigation`` takes them.

    Raises:
        NotAllowed: none at all.
    """
    found = [
        # A copy, for Streamlit notes in it that it is the one to run.
        copy(_page(screen.name, page_name(screen.title)))
        for screen in SCREENS.values()
        if screen.open_to(actor)
    ]
    if not found:
        access.check(actor, "places.view")
    return found


def require(name: str, actor: Actor) -> None:
    """Refuse a page to who may not open it, however its script came to run.

    Raises:
        DudaoError: PAGE_NOT_ALLOWED.
    """
    if not SCREENS[name].open_to(actor):
        raise DudaoError(
            "PAGE_NOT_ALLOWED",
            f"您没有打开“{SCREENS[name].title}”页面的权限。",
            "如确需使用，请联系系统管理员授权。",
        )

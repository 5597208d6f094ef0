"""From one page to another: a clicked ``?…`` link opens the map, or the page 比较 if it says so."""

from __future__ import annotations

from urllib.parse import parse_qsl

import streamlit as st

from dashboard.access import Actor
from dashboard.ui import screens, state


def leave(key: str, actor: Actor) -> None:
    """Go where the link kept in the session entry ``key`` leads, if one was clicked.

    A link that names a part of the page 比较 leads there, any other to the map.
    """
    href: str | None = st.session_state.pop(key, None)
    if href is None:
        return
    given = {name: text for name, text in parse_qsl(href.removeprefix("?")) if name in state.FIELDS}
    names = ("comparison",) if "part" in given else ("", "map")
    page = next((one for one in screens.pages(actor) if one.url_path in names), None)
    if page is not None:
        st.switch_page(page, query_params=given)

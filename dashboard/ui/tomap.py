"""From another page to the map: a clicked ``?…`` link opens it at that view."""

from __future__ import annotations

from urllib.parse import parse_qsl

import streamlit as st

from dashboard.access import Actor
from dashboard.ui import screens, state


def leave(key: str, actor: Actor) -> None:
    """Open the map at the link kept in the session entry ``key``, if one was clicked."""
    href: str | None = st.session_state.pop(key, None)
    if href is None:
        return
    given = {name: text for name, text in parse_qsl(href.removeprefix("?")) if name in state.FIELDS}
    page = next((one for one in screens.pages(actor) if one.url_path in ("", "map")), None)
    if page is not None:
        st.switch_page(page, query_params=given)

"""From another page to the map, or to a ledger: a clicked ``?…`` link opens it at that view."""

from __future__ import annotations

from urllib.parse import parse_qsl

import streamlit as st

from dashboard.access import Actor
from dashboard.ui import screens, state

LEDGER = "ledger"
"""The field of a link that leads to a ledger."""


def leave(key: str, actor: Actor) -> None:
    """Open the map, or a ledger, at the link kept in the entry ``key``, if one was clicked."""
    href: str | None = st.session_state.pop(key, None)
    if href is None:
        return
    fields = (*state.FIELDS, LEDGER)
    given = {name: text for name, text in parse_qsl(href.removeprefix("?")) if name in fields}
    wanted = ("ledgers",) if LEDGER in given else ("", "map")
    page = next((one for one in screens.pages(actor) if one.url_path in wanted), None)
    if page is not None:
        st.switch_page(page, query_params=given)

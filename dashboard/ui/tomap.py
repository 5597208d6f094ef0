"""From another page to the map, 比较 or a ledger: a clicked ``?…`` link opens it at that view."""

from __future__ import annotations

from urllib.parse import parse_qsl

import streamlit as st

from dashboard.access import Actor
from dashboard.ui import screens, state

LEDGER = "ledger"
"""The field of a link that leads to a ledger."""


def leave(key: str, actor: Actor) -> None:
    """Go where the link kept in the session entry ``key`` leads, if one was clicked.

    A link that names a ledger leads there, one that names a part of the page 比较 there, any other
    to the map.
    """
    href: str | None = st.session_state.pop(key, None)
    if href is None:
        return
    fields = (*state.FIELDS, LEDGER)
    given = {name: text for name, text in parse_qsl(href.removeprefix("?")) if name in fields}
    names = ("ledgers",) if LEDGER in given else ("comparison",) if "part" in given else ("", "map")
    page = next((one for one in screens.pages(actor) if one.url_path in names), None)
    if page is not None:
        st.switch_page(page, query_params=given)

"""A long list a page at a time, the page kept in the session, or where the caller keeps it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard.ui import blocks, format
from dashboard.ui.texts import _


def number(key: str, count: int) -> int:
    """The page chosen (from 0), within how many there are now."""
    chosen = min(max(0, int(st.session_state.get(key, 0))), max(0, count - 1))
    st.session_state[key] = chosen
    return chosen


def show(key: str, count: int, turned: Callable[[int], None] | None = None) -> None:
    """Buttons to the page before and the next; nothing for a single page.

    Args:
        turned: told the page turned to (from 0).
    """
    if count < 2:
        return
    at: int = st.session_state[key]

    def turn(step: int) -> None:
        st.session_state[key] = at + step
        if turned is not None:
            turned(at + step)

    with st.container(key=f"pager-{key}", horizontal=True, vertical_alignment="center"):
        st.button(_("上一页"), key=f"{key}-back", disabled=at == 0, on_click=turn, args=(-1,))
        words = _("第 {number} 页，共 {count} 页").format(
            number=format.number(at + 1), count=format.number(count)
        )
        st.html(blocks.render("data_note.html", words=words), width="content")
        st.button(_("下一页"), key=f"{key}-on", disabled=at + 1 >= count, on_click=turn, args=(1,))

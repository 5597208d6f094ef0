"""What a change said, kept from the callback that made it to the page that shows it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboard.ui import escape, frame
from geodata.errors import DudaoError

_KEY = "notices"


def attempt(change: Callable[[], str | None]) -> bool:
    """Make a change in a callback and keep what it says, or why it was refused.

    Returns:
        Whether it was made.
    """
    try:
        words = change()
    except DudaoError as error:
        refuse(error)
        return False
    if words:
        say(words)
    return True


def say(words: str) -> None:
    """Keep words to show once: something was done."""
    _kept().append(words)


def refuse(error: DudaoError) -> None:
    """Keep an error to show once."""
    _kept().append(error)


def show() -> None:
    """Show what was kept, and forget it."""
    for told in st.session_state.pop(_KEY, []):
        if isinstance(told, DudaoError):
            frame.failed(told)
        else:
            st.success(escape.markdown(told), icon=":material/check:")


def _kept() -> list[str | DudaoError]:
    kept: list[str | DudaoError] = st.session_state.setdefault(_KEY, [])
    return kept

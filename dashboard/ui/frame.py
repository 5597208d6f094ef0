"""What surrounds every page: title, style sheet, language, and errors said in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import streamlit as st

from dashboard.ui import blocks, caches, escape, state, texts
from dashboard.ui.assets import STATIC
from dashboard.ui.texts import _
from geodata.errors import DudaoError


@cache
def _style_sheet() -> str:
    return f"<style>{(STATIC / 'page.css').read_text(encoding='utf-8')}</style>"


def open_page() -> None:
    """Set up the page and its language; first thing of every rerun."""
    texts.use(state.wanted_language(st.query_params.to_dict(), caches.settings().lang))
    st.set_page_config(
        page_title=_("督导一张图"),
        page_icon=str(STATIC / "icon.svg"),
        layout="wide",
        initial_sidebar_state="auto",
    )
    st.html(_style_sheet())


@contextmanager
def reporting() -> Iterator[None]:
    """Show a DudaoError where the page would have been: what, where, how to mend."""
    try:
        yield
    except DudaoError as error:
        told = escape.markdown(f"{error.message}{error.remedy}")
        st.error(f"{told}  \n{escape.markdown(error.code)}")


def tell(problems: tuple[str, ...]) -> None:
    """Say what of the address was corrected."""
    if problems:
        st.html(blocks.render("corrected.html", problems=problems))

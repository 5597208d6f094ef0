"""What surrounds every page: title, style sheet, language, and errors said in plain words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import streamlit as st

from dashboard.ui import blocks, caches, escape, state, texts
from dashboard.ui.assets import STATIC
from dashboard.ui.texts import _
from geodata.errors import DudaoError

_log = logging.getLogger(__name__)


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
    """Show an error where the page would have been: what, where, how to mend."""
    try:
        yield
    except Exception as error:
        failed(error)


def failed(error: Exception) -> bool:
    """Say an error in plain words and keep an unexpected one in the log; True for Streamlit.

    Streamlit's own way of showing one is English and may hold a traceback.
    """
    if isinstance(error, DudaoError):
        told, code = f"{error.message}{error.remedy}", error.code
    else:
        _log.error("page failed", exc_info=error)
        told, code = (
            _("页面出错了。请刷新页面；若仍出错，请把出现的时间告诉维护人员。"),
            "PAGE_FAILED",
        )
    st.error(f"{escape.markdown(told)}  \n{escape.markdown(code)}")
    return True


def tell(problems: tuple[str, ...]) -> None:
    """Say what of the address was corrected."""
    if problems:
        st.html(blocks.render("corrected.html", problems=problems))

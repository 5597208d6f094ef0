"""Markup with links that move the page: breadcrumb, table, side panel, search results.

One Streamlit component shows them all. Templates live in ``templates/`` and are rendered with
autoescaping; a click sends the link's address back, which is parsed like any other address.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from streamlit.components.v2 import component

from dashboard.ui import format, state, texts
from dashboard.ui.assets import STATIC
from dashboard.ui.escape import plain

TEMPLATES = Path(__file__).with_name("templates")


def _written(found: Any) -> Any:
    return plain(found) if type(found) is str else found


def environment(templates: Path, **offered: Any) -> Environment:
    """Templates of a folder, everything they are given escaped; ``offered`` is in all of them."""
    made = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_written,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals.update(_=texts._, t=texts, **offered)
    return made


@cache
def _environment() -> Environment:
    return environment(TEMPLATES, f=format)


def render(template: str, **values: Any) -> str:
    """A template in the language in use, with everything it is given escaped."""
    return _environment().get_template(template).render(values)


@cache
def _block() -> Any:
    return component("dudao_block", js=(STATIC / "block.js").read_text(), isolate_styles=False)


def show(
    key: str,
    markup: str,
    selected: str | None = None,
    follow: Callable[[str], None] = state.follow,
) -> None:
    """Show markup; a click on one of its ``?…`` links moves the page there.

    Args:
        key: stable name of the block, also its CSS class ``st-key-<key>``.
        selected: ``data-id`` of the row to mark.
        follow: told the link that was clicked; it is the browser's word, so to be checked.
    """

    def clicked() -> None:
        href = st.session_state[key].go
        if href:
            follow(href)

    _block()(
        key=key,
        data={"html": markup, "selected": selected, "lang": texts.language()},
        on_go_change=clicked,
    )

"""Search: part of a name, pinyin, initials or a code; one exact hit lands at once."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.store.model import month_end
from dashboard.store.unit import Unit
from dashboard.ui import blocks, caches, session, state
from dashboard.ui.state import Address
from dashboard.ui.texts import _
from geodata.model import Place

LIMIT = 12
PAUSE = "300ms"


def find(unit: Unit, text: str, month: str) -> list[Place]:
    """The best matches of a text among the places of a month, at most ``LIMIT``."""
    wanted = text.strip()
    return unit.search(wanted, LIMIT, month_end(month)) if wanted else []


def landing(found: list[Place], text: str) -> Place | None:
    """The place to go to without asking, or None.

    That is the only one whose whole name or code was typed, or for Latin letters and digits
    (pinyin, initials, the start of a code) the only match there is.
    """
    wanted = text.strip()
    exact = [place for place in found if wanted in (place.name, place.id)]
    if len(exact) == 1:
        return exact[0]
    return found[0] if len(found) == 1 and wanted.isascii() else None


def _typed(month: str) -> None:
    text = st.session_state[state.SEARCH]
    with caches.store().unit(session.actor()) as unit:
        place = landing(find(unit, text, month), text)
    if place is not None:
        state.go(place=place.id)


def _row(unit: Unit, place: Place, address: Address) -> dict[str, Any]:
    above = unit.ancestors(place, month_end(address.month))
    return {
        "href": address.href(place=place.id),
        "name": place.name,
        "path": " › ".join(parent.name for parent in above) or place.id,
    }


def show(unit: Unit, address: Address) -> None:
    """The search box with its results under it."""
    text = st.text_input(
        _("搜索"),
        key=state.SEARCH,
        placeholder=_("搜索地名、拼音首字母或代码"),
        label_visibility="collapsed",
        live=PAUSE,
        autocomplete="off",
        icon=":material/search:",
        on_change=_typed,
        args=(address.month,),
    )
    if not text:
        return
    blocks.show("results", results_markup(unit, text, address))


def results_markup(unit: Unit, text: str, address: Address) -> str:
    """The places found, each with the way to it; words on how to search when there are none."""
    return blocks.render(
        "results.html",
        rows=[_row(unit, place, address) for place in find(unit, text, address.month)],
        nothing=_("没有找到“{text}”。可试地名中的几个字、拼音首字母或区划代码。").format(text=text),
    )

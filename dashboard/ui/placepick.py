"""Picking a place on the tree: down level by level, back up by the way shown, or by searching."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial

import streamlit as st

from dashboard.store.unit import Unit
from dashboard.ui import caches, escape, session
from dashboard.ui.texts import _, level_name
from geodata.model import Place

FOUND = 8
PAUSE = "300ms"


_ANYWHERE = "*"
"""Stands in the session for no particular place, where that was chosen."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        made: whether anything was; ``place`` None then stands for everywhere.
    """

    made: bool
    place: Place | None = None

    @property
    def place_id(self) -> str | None:
        """The place's id, None for everywhere or nothing chosen."""
        return self.place.id if self.place else None


def pick(
    key: str,
    action_id: str,
    label: str,
    anywhere: str | None = None,
    *,
    preset: bool = False,
    narrow: bool = False,
) -> Choice:
    """Let somebody choose one of the places where they may do an action.

    Args:
        key: of the picker in the session; several may stand on one page.
        anywhere: words for no particular place; None where that cannot be chosen.
        preset: begin with ``anywhere`` chosen.
        narrow: the search stands under the list, not beside it.
    """
    today = date.today()
    at: str | None = st.session_state.setdefault(f"{key}-at", _ANYWHERE if preset else None)
    with caches.store().unit(session.actor(), action_id) as unit:
        found = unit.places([at], today) if at and at != _ANYWHERE else []
        chosen = found[0] if found else None
        everywhere = at == _ANYWHERE and anywhere is not None
        with st.container(key=f"{key}-picker", border=True, gap="small"):
            st.caption(label)
            _way(unit, key, chosen, anywhere, everywhere, today)
            left, right = (st.container(), st.container()) if narrow else st.columns(2, gap="small")
            with left:
                _down(unit, key, chosen, today)
            with right:
                _search(unit, key, today)
    return Choice(chosen is not None or everywhere, chosen)


def forget(key: str) -> None:
    """Begin anew; to be called from callbacks."""
    st.session_state.pop(f"{key}-at", None)


def choose(key: str, place_id: str | None) -> None:
    """Choose a place; to be called from callbacks."""
    st.session_state[f"{key}-at"] = place_id
    st.session_state[f"{key}-find"] = ""


def _way(
    unit: Unit, key: str, chosen: Place | None, anywhere: str | None, everywhere: bool, today: date
) -> None:
    """The places above the one chosen, each to go back to."""
    steps = [*unit.ancestors(chosen, today), chosen] if chosen else []
    with st.container(key=f"{key}-way", horizontal=True, gap="small"):
        if anywhere is not None:
            st.button(
                anywhere,
                key=f"{key}-any",
                type="primary" if everywhere else "secondary",
                on_click=partial(choose, key, _ANYWHERE),
            )
        for number, step in enumerate(steps):
            st.button(
                escape.markdown(step.name),
                key=f"{key}-step-{number}",
                type="primary" if step is chosen else "tertiary",
                on_click=partial(choose, key, step.id),
            )
        if not steps and not everywhere:
            st.caption(_("请选择地区"))


def _down(unit: Unit, key: str, chosen: Place | None, today: date) -> None:
    beneath = unit.children(chosen.id, today) if chosen else unit.tops()
    names = {place.id: place.name for place in beneath}
    # A key of its own for every place, so that nothing stays chosen one level further down.
    box = f"{key}-down-{chosen.id if chosen else ''}"

    def went() -> None:
        choose(key, st.session_state[box])

    level = level_name(beneath[0].level) if beneath else ""
    st.selectbox(
        _("下级"),
        list(names),
        index=None,
        key=box,
        format_func=lambda place_id: names.get(place_id, ""),
        placeholder=_("选择{level}（{count} 个）").format(level=level, count=len(names))
        if names
        else _("没有下级"),
        disabled=not names,
        label_visibility="collapsed",
        on_change=went,
    )


def _search(unit: Unit, key: str, today: date) -> None:
    text = st.text_input(
        _("搜索"),
        key=f"{key}-find",
        placeholder=_("搜索地名、拼音首字母或代码"),
        label_visibility="collapsed",
        live=PAUSE,
        autocomplete="off",
        icon=":material/search:",
    )
    wanted = text.strip()
    if not wanted:
        return
    found = unit.search(wanted, FOUND, today)
    if not found:
        st.caption(_("没有找到，请换一个词。"))
    for place in found:
        above = " › ".join(parent.name for parent in unit.ancestors(place, today))
        st.button(
            escape.markdown(f"{place.name}　{above}" if above else place.name),
            key=f"{key}-found-{place.id}",
            type="tertiary",
            on_click=partial(choose, key, place.id),
        )

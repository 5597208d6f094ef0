"""Taking a table along: asked for, made, audited, and offered under our own address."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

import streamlit as st

from dashboard.access import Actor
from dashboard.coverage.model import View
from dashboard.coverage.modes import Mode
from dashboard.reports import service
from dashboard.reports.model import Export, Format
from dashboard.ui import blocks, caches, downloads, escape, session
from dashboard.ui.texts import _
from geodata.errors import DudaoError

_OPEN = "export_open"
"""Session entry: what the table shows whose export was asked for."""
_MADE = "export_made"
"""Session entry: what was made last: address and name; or the error."""


Make = Callable[[bool, str], Export]
"""Makes the file: whether it leaves the county, and in which format."""


def show(view: View, version: int | None, actor: Actor, mode: Mode, against: str | None) -> None:
    """The button under a view's table and, once pressed, the choices and the finished file.

    Args:
        version: of the month, where an earlier one is shown.
        mode: what the map's colours say.
        against: the month a change is measured from.
    """

    def make(leaving: bool, chosen: str) -> Export:
        return service.children_table(
            caches.store(),
            session.actor(),
            view,
            leaving=leaving,
            format=chosen,
            version=version,
            mode=mode,
            against=against,
        )

    offer((view, version, mode, against), actor, make)


def offer(
    about: Hashable,
    actor: Actor,
    make: Make,
    *,
    leaves: bool = True,
    formats: Sequence[Format] = tuple(Format),
) -> None:
    """The button that offers a table as a file, and once pressed the choices and the file.

    Args:
        about: what is on screen; once it is something else, the file is forgotten.
        leaves: whether the file may also be made for use outside the county.
    """
    if not actor.may("figures.export"):
        return
    if st.session_state.get(_OPEN) != about:
        st.button(
            _("导出表格"),
            key="export-open",
            icon=":material/download:",
            on_click=partial(st.session_state.update, {_OPEN: about, _MADE: None}),
        )
        return
    with st.container(key="export", border=True):
        leaving = leaves and st.radio(
            _("用途"),
            (False, True),
            key="export-leaving",
            format_func=lambda out: _("报送县外") if out else _("县内使用"),
            horizontal=True,
            help=_("人数很少的单元格不列出：县内少于 5 人，报送县外少于 10 人。"),
        )
        chosen = st.segmented_control(
            _("格式"),
            [kind.value for kind in formats],
            key="export-format",
            default=Format.XLSX.value,
            required=True,
            format_func={"xlsx": "Excel", "csv": "CSV", "docx": "Word"}.__getitem__,
        )
        with st.container(key="export-buttons", horizontal=True, gap="small"):
            pressed = st.button(_("生成文件"), key="export-make", type="primary")
            st.button(
                _("取消"),
                key="export-close",
                on_click=partial(st.session_state.update, {_OPEN: None}),
            )
        if pressed:
            with st.spinner(_("正在生成文件，数据多时需要十几秒……")):
                _make(make, leaving, chosen)
        made = st.session_state.get(_MADE)
        if isinstance(made, DudaoError):
            st.error(f"{escape.markdown(made.message)}{escape.markdown(made.remedy)}")
        elif made is not None:
            address, name = made
            st.html(blocks.render("download.html", href=address, name=name))


def _make(make: Make, leaving: bool, chosen: str) -> None:
    try:
        made = make(leaving, chosen)
        address = downloads.offer(
            session.current().session_id, made.name, made.media_type, made.body
        )
    except DudaoError as error:
        st.session_state[_MADE] = error
        return
    st.session_state[_MADE] = address, made.name

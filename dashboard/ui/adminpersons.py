"""管理 › 个人数据路径: what is held of a person, from where, who looked; and erasing it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from dashboard.intake.copies import COPIES
from dashboard.privacy import service
from dashboard.privacy.model import DataPath, ErasureResult
from dashboard.ui import adminwords, blocks, caches, format, notices, session
from dashboard.ui.texts import _

_ASKED = "admin-person"
_PATH = "admin-person-path"
_ERASED = "admin-person-erased"
_REASON = "admin-person-reason"
_SURE = "admin-person-sure"


def forget() -> None:
    """Put away whom was looked at."""
    for key in (_PATH, _ERASED):
        st.session_state[key] = None


def show() -> None:
    """The section."""
    st.html(blocks.render("admin_heading.html", title=_("个人数据路径"), beside=""))
    st.caption(
        _(
            "查某个人的数据从哪里来、谁看过、何时到期。身份证号只用来查找，不保存；每次查询都记入审计。"
        )
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="admin-person-form"):
        st.text_input(
            _("身份证号或 64 位人员标识"), key=_ASKED, max_chars=64, autocomplete="off",
        )  # fmt: skip
        st.button(
            _("查询"), key="admin-person-go", type="primary", icon=":material/search:",
            on_click=_trace,
        )  # fmt: skip
    erased: ErasureResult | None = st.session_state.get(_ERASED)
    if erased is not None:
        _proof(erased)
    path: DataPath | None = st.session_state.get(_PATH)
    if path is not None:
        _path(path)
        if path.held and session.actor().may("persons.erase"):
            _erasing(path)


def _trace() -> None:
    """Look the person up; what was typed does not stay in the box."""
    typed = st.session_state[_ASKED]
    st.session_state[_ASKED] = ""
    forget()

    def look() -> None:
        st.session_state[_PATH] = service.trace(caches.store(), session.actor(), typed)

    notices.attempt(look)


def _path(path: DataPath) -> None:
    st.html(
        blocks.render(
            "admin_person.html",
            path=path,
            moment=format.moment,
            action=adminwords.action_name,
            ended=adminwords.outcome_name,
            via=adminwords.via_name,
            field=adminwords.field_name,
        )
    )


def _erasing(path: DataPath) -> None:
    with st.expander(_("删除此人的个人数据"), icon=":material/delete_forever:"):
        st.caption(
            _("登记信息及其在撤销记录、暂存文件中的副本一并删除，不可恢复；删除证明长期保留。")
        )
        reason = st.text_area(
            _("事由（不少于 4 个字，不写姓名和号码）"), key=_REASON, max_chars=200,
        )  # fmt: skip
        sure = st.checkbox(_("已核对此人信息，确认删除"), key=_SURE)
        st.button(
            _("删除"),
            key="admin-person-erase",
            type="primary",
            disabled=not (sure and reason.strip()),
            on_click=partial(_erase, path.key),
        )


def _erase(key: str) -> None:
    reason = st.session_state[_REASON]

    def change() -> str:
        done = service.erase(caches.store(), session.actor(), key, reason, COPIES)
        forget()
        st.session_state[_ERASED] = done
        return _("个人数据已删除。")

    if notices.attempt(change):
        st.session_state[_REASON] = ""
        st.session_state[_SURE] = False


def _proof(erased: ErasureResult) -> None:
    st.html(blocks.render("admin_erased.html", erased=erased, moment=format.moment))

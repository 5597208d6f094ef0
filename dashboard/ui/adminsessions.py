"""管理 › 登录会话: who is signed in now, since when and from where; ending one or several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.accounts import service as accounts
from dashboard.accounts.model import SessionInfo
from dashboard.ui import adminwords, blocks, caches, format, notices, session
from dashboard.ui.texts import _
from geodata.errors import DudaoError

_SEEN = "admin-sessions"
_TABLE = "admin-sessions-table"
"""Session entry: counts the tables shown, so that a new one has nothing selected."""


def refresh() -> None:
    """Look anew, with nothing selected."""
    st.session_state[_SEEN] = accounts.sessions(caches.store(), session.actor())
    st.session_state[_TABLE] = st.session_state.get(_TABLE, 0) + 1


def show() -> None:
    """The section."""
    if _SEEN not in st.session_state:
        refresh()
    seen: list[SessionInfo] = st.session_state[_SEEN]
    own = session.current().session_id
    with st.container(key="admin-sessions-head", horizontal=True, vertical_alignment="center"):
        people = len({each.account_id for each in seen})
        st.html(
            blocks.render(
                "admin_heading.html",
                title=_("登录会话"),
                beside=_("{count} 个会话，{people} 个账号").format(count=len(seen), people=people),
            )
        )
        st.button(_("刷新"), key="admin-refresh", icon=":material/refresh:", on_click=refresh)
    may_end = session.actor().may("sessions.end")
    picked: Any = st.dataframe(
        _frame(seen, own),
        key=f"{_TABLE}-{st.session_state[_TABLE]}",
        hide_index=True,
        width="stretch",
        height=min(38 * (len(seen) + 1) + 4, 520),
        row_height=38,
        on_select="rerun" if may_end else "ignore",
        selection_mode="multi-row",
    )
    if may_end:
        _ending(seen, chosen(seen, picked.selection.rows), own)


def chosen(seen: Sequence[SessionInfo], rows: Sequence[Any]) -> list[SessionInfo]:
    """The sessions of selected rows; rows that were not shown select nothing."""
    return [each for row, each in enumerate(seen) if row in rows]


def _frame(seen: list[SessionInfo], own: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            _("账号"): [
                _("{login}（本人，当前）").format(login=each.login)
                if each.id == own
                else each.login
                for each in seen
            ],
            _("姓名职务"): [each.title for each in seen],
            _("登录时间"): [format.moment(each.created) for each in seen],
            _("最近使用"): [format.moment(each.last_seen) for each in seen],
            _("最迟到期"): [format.moment(each.expires) for each in seen],
            _("地址"): [each.address for each in seen],
            _("浏览器"): [adminwords.browser_name(each.agent) for each in seen],
        },
        dtype=str,
    )


def _ending(seen: list[SessionInfo], picked: list[SessionInfo], own: str) -> None:
    if not picked:
        st.caption(_("勾选左侧方框选择会话，可一次结束多个。结束后对方的所有页面立即退出。"))
        return
    holders = {each.account_id for each in picked}
    whole = [each for each in seen if each.account_id in holders]
    if any(each.id == own for each in picked):
        st.warning(_("所选包含您当前的会话，结束后您将立即退出。"))
    with st.container(horizontal=True, gap="small", key="admin-end"):
        st.button(
            _("结束所选 {count} 个会话").format(count=len(picked)),
            key="admin-end-picked",
            type="primary",
            on_click=partial(_end, picked, own),
        )
        if len(whole) > len(picked):
            st.button(
                _("结束这些账号的全部 {count} 个会话").format(count=len(whole)),
                key="admin-end-whole",
                on_click=partial(_end, whole, own),
            )


def _end(wanted: list[SessionInfo], own: str) -> None:
    """End them one by one, one's own last: with it this page ends too."""
    ended = 0
    for each in sorted(wanted, key=lambda one: one.id == own):
        try:
            accounts.end_session(caches.store(), session.actor(), each.id)
        except DudaoError as error:
            if error.code != "SESSION_NOT_FOUND":
                notices.refuse(error)
                break
            continue  # it ended by itself since it was shown
        ended += 1
        if each.id == own:
            return
    notices.say(_("已结束 {count} 个会话。").format(count=ended))
    refresh()

"""管理 › 授权: a role, in a place picked on the tree and everything beneath it, for some time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial

import streamlit as st

from dashboard.access import Role
from dashboard.accounts import service as accounts
from dashboard.accounts.model import Account, ChangedMeanwhile, HeldGrant
from dashboard.ui import (
    adminseen,
    adminwords,
    blocks,
    caches,
    escape,
    notices,
    placepick,
    session,
)
from dashboard.ui.texts import _, role_title
from geodata.errors import DudaoError

_ASKED = "admin-revoke"
"""Session entry: id of the grant whose revocation waits for a second word."""
_CONFLICTS = "admin-grant-conflicts"
_PLACE = "admin-grant-place"


def refresh() -> None:
    """Look anew."""
    adminseen.refresh()
    st.session_state[_ASKED] = None
    st.session_state[_CONFLICTS] = ()


def show() -> None:
    """The section."""
    left, right = st.columns([2, 3], gap="medium")
    with left:
        account = adminseen.choose("admin-grantee", _("给谁授权"))
        if account is None:
            st.caption(_("先选择账号，再查看、授予或收回角色。"))
            return
        st.html(
            blocks.render(
                "admin_heading.html",
                title=account.title,
                beside=adminwords.state_name(account.state),
            )
        )
        _held(account)
    with right:
        _grant(account)


def _told() -> None:
    for conflict in st.session_state.get(_CONFLICTS, ()):
        st.warning(
            escape.markdown(
                _(
                    "账号“{login}”已被他人修改：{differences}。您填写的内容仍在，核对后可再次提交。"
                ).format(login=conflict.login, differences="；".join(conflict.differences))
            )
        )


def _held(account: Account) -> None:
    may_revoke = session.actor().may("accounts.revoke")
    if not account.grants:
        st.caption(_("尚未授权：该账号可以登录，但什么也看不到。"))
    for grant in account.grants:
        with st.container(border=True, horizontal=True, vertical_alignment="center",
                          key=f"admin-held-{grant.id}"):  # fmt: skip
            st.html(
                blocks.render(
                    "admin_grant.html",
                    role=role_title(grant.role),
                    place=_("全部地区")
                    if grant.place_id is None
                    else grant.place_name or grant.place_id,
                    since=grant.valid_from,
                    until=grant.valid_to,
                )
            )
            if may_revoke:
                _revocation(account, grant)
    if account.elsewhere:
        st.caption(_("该账号在您的管理范围之外也有角色，须由管理范围更大的系统管理员修改。"))


def _revocation(account: Account, grant: HeldGrant) -> None:
    if st.session_state.get(_ASKED) != grant.id:
        st.button(
            _("收回"),
            key=f"admin-revoke-{grant.id}",
            on_click=partial(st.session_state.update, {_ASKED: grant.id}),
        )
        return
    st.button(
        _("确认收回"),
        key=f"admin-revoke-yes-{grant.id}",
        type="primary",
        on_click=partial(_revoke, account, grant),
    )
    st.button(
        _("取消"),
        key=f"admin-revoke-no-{grant.id}",
        on_click=partial(st.session_state.update, {_ASKED: None}),
    )


def _revoke(account: Account, grant: HeldGrant) -> None:
    def change() -> str:
        accounts.revoke(caches.store(), session.actor(), account, [grant.id])
        return _("已收回{grant}，该账号已退出所有登录。").format(
            grant=adminwords.grant_words(grant)
        )

    _attempt(change)


def _grant(account: Account) -> None:
    everywhere = session.actor().scope("accounts.grant").everything
    with st.container(border=True, key="admin-grant-form"):
        _told()
        role = st.selectbox(
            _("角色"),
            list(Role),
            index=None,
            key="admin-grant-role",
            format_func=role_title,
            placeholder=_("请选择角色"),
        )
        chosen = placepick.pick(
            _PLACE,
            "accounts.grant",
            _("管辖地区（含其下级）"),
            anywhere=_("全部地区") if everywhere else None,
        )
        first, last = st.columns(2)
        with first:
            since = st.date_input(
                _("起日"), value="today", key="admin-grant-from", format="YYYY-MM-DD",
                min_value=date.today(),
            )  # fmt: skip
        with last:
            until = st.date_input(
                _("止日（当日起不再有效，可不填）"), value=None, key="admin-grant-to",
                format="YYYY-MM-DD", min_value=date.today(),
            )  # fmt: skip
        if role is not None and chosen.made:
            where = chosen.place.name if chosen.place is not None else _("全部地区")
            st.caption(
                escape.markdown(
                    _("将授予“{title}”：{role}，{place}及其下级。").format(
                        title=account.title, role=role_title(role), place=where
                    )
                )
            )
        st.button(
            _("授予"),
            key="admin-grant-go",
            type="primary",
            disabled=role is None or not chosen.made,
            on_click=partial(_give, account, role, chosen.place_id, since, until),
        )


def _give(
    account: Account, role: Role | None, place_id: str | None, since: object, until: object
) -> None:
    if role is None:
        return

    def change() -> str:
        accounts.grant(
            caches.store(),
            session.actor(),
            account,
            role,
            place_id,
            since if isinstance(since, date) else None,
            until if isinstance(until, date) else None,
        )
        return _("已授予“{login}”：{role}。该账号须重新登录。").format(
            login=account.login, role=role_title(role)
        )

    if _attempt(change):
        st.session_state["admin-grant-role"] = None
        placepick.forget(_PLACE)


def _attempt(change: Callable[[], str]) -> bool:
    """Make a change; when somebody else was faster say what differs and keep what was typed."""
    try:
        words = change()
    except ChangedMeanwhile as error:
        refresh()
        st.session_state[_CONFLICTS] = error.conflicts
        return False
    except DudaoError as error:
        notices.refuse(error)
        refresh()
        return False
    notices.say(words)
    refresh()
    return True

"""管理 › 账号: who has one, in one table; new ones, closing, resetting; and who looked."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.access import Role
from dashboard.accounts import service as accounts
from dashboard.accounts.model import Account, Change, ChangedMeanwhile, Link, State
from dashboard.store.audit import Outcome
from dashboard.ui import (
    adminaudit,
    adminedits,
    adminseen,
    adminwords,
    blocks,
    caches,
    escape,
    format,
    notices,
    placepick,
    session,
)
from dashboard.ui.adminedits import STATE, TITLE, EditRefused, Typed
from dashboard.ui.texts import _, role_title
from geodata.errors import DudaoError

_EDITOR = "admin-editor"
"""Session entry: counts the tables shown, so that a new one has no old edits."""
_PENDING = "admin-pending"
"""Session entry: what was typed and not saved because somebody else was faster."""
_CONFLICTS = "admin-conflicts"
_LINK = "admin-link"
"""Session entry: the one-time link made last, until it is put away."""
_ASKED = "admin-asked"
"""Session entry: the step that waits for a second word: what, account id."""
_ADD = "admin-add"


def refresh() -> None:
    """Look anew; what was typed and not saved is dropped."""
    adminseen.refresh()
    _new_table({})
    st.session_state[_CONFLICTS] = ()
    st.session_state[_ASKED] = None


def show() -> None:
    """The section."""
    may = session.actor().may
    if st.session_state.get(_LINK) is not None:
        _link(st.session_state[_LINK])
    left, right = (
        st.columns([5, 2], gap="medium") if may("audit.search") else (st.container(), None)
    )
    with left:
        _table(may("accounts.change"))
        _one()
        if may("accounts.add"):
            _new()
    if right is not None:
        with right, st.container(border=True):
            adminaudit.form("admin-look", title=_("谁看过什么"))


# The table


def _new_table(pending: Typed) -> None:
    st.session_state[_EDITOR] = st.session_state.get(_EDITOR, 0) + 1
    st.session_state[_PENDING] = pending


def _key() -> str:
    return f"{_EDITOR}-{st.session_state.setdefault(_EDITOR, 0)}"


def _table(editable: bool) -> None:
    seen = adminseen.accounts_seen()
    with st.container(key="admin-accounts-head", horizontal=True, vertical_alignment="center"):
        active = sum(each.state is State.ACTIVE for each in seen)
        st.html(
            blocks.render(
                "admin_heading.html",
                title=_("账号"),
                beside=_("{count} 个，在用 {active} 个").format(count=len(seen), active=active),
            )
        )
        st.button(_("刷新"), key="admin-refresh", icon=":material/refresh:", on_click=refresh)
    for conflict in st.session_state.get(_CONFLICTS, ()):
        st.warning(
            escape.markdown(
                _(
                    "账号“{login}”已被他人修改：{differences}。您填写的内容仍在表中，核对后可再次保存。"
                ).format(login=conflict.login, differences="；".join(conflict.differences))
            )
        )
    pending: Typed = st.session_state.setdefault(_PENDING, {})
    st.data_editor(
        _frame(seen, pending),
        key=_key(),
        hide_index=True,
        num_rows="fixed",
        width="stretch",
        height=min(38 * (len(seen) + 1) + 4, 460),
        row_height=38,
        disabled=[name for name in ("login", TITLE, "grants", STATE, "last")
                  if not editable or name not in adminedits.EDITABLE],
        column_config={
            "login": st.column_config.TextColumn(_("账号"), width=175, pinned=True),
            TITLE: st.column_config.TextColumn(
                _("姓名职务"), max_chars=100, required=True, width=165
            ),
            "grants": st.column_config.TextColumn(_("角色和地区"), width=210),
            STATE: st.column_config.SelectboxColumn(
                _("状态"),
                options=[state.value for state in State],
                format_func=lambda value: adminwords.state_name(State(str(value))),
                required=True,
                width=80,
            ),
            "last": st.column_config.TextColumn(_("最近登录"), width=140),
        },
    )  # fmt: skip
    if editable:
        _save_row(seen)


def _frame(seen: list[Account], pending: Typed) -> pd.DataFrame:
    last = adminseen.last_sign_ins()
    return pd.DataFrame(
        {
            "login": [each.login for each in seen],
            TITLE: [pending.get(each.id, {}).get(TITLE, each.title) for each in seen],
            "grants": [adminwords.grants_words(each) for each in seen],
            STATE: [pending.get(each.id, {}).get(STATE, each.state.value) for each in seen],
            "last": [format.moment(last.get(each.id)) for each in seen],
        },
        dtype=str,
    )


def _typed(seen: list[Account]) -> Typed | None:
    """What was typed into the table; None, told and audited, when it is not to be believed."""
    reported: dict[str, Any] = st.session_state.get(_key(), {})
    try:
        return adminedits.merged(
            st.session_state.get(_PENDING, {}), adminedits.judged(seen, reported)
        )
    except EditRefused as error:
        caches.store().record(
            session.actor(),
            "gate.refused",
            subject="admin.accounts",
            details={"what": error.what},
            outcome=Outcome.DENIED,
        )
        notices.refuse(error)
        _new_table({})
        return None


def _save_row(seen: list[Account]) -> None:
    typed = _typed(seen)
    if typed is None:
        st.rerun()
    wanted = adminedits.changes(seen, typed)
    if not wanted:
        st.caption(_("双击“姓名职务”或“状态”即可修改，可一次修改多行后保存。"))
        return
    with st.container(key="admin-save", horizontal=True, gap="small"):
        st.button(
            _("保存 {count} 个账号的修改").format(count=len(wanted)),
            key="admin-save-all",
            type="primary",
            on_click=_save,
        )
        st.button(_("放弃修改"), key="admin-drop-all", on_click=refresh)


def _save() -> None:
    """Save what is in the table; what was typed stays when somebody else was faster."""
    seen = adminseen.accounts_seen()
    typed = _typed(seen)
    if typed is None:
        return
    wanted = adminedits.changes(seen, typed)
    try:
        accounts.change_accounts(caches.store(), session.actor(), wanted)
    except ChangedMeanwhile as error:
        adminseen.refresh()
        _new_table(typed)
        st.session_state[_CONFLICTS] = error.conflicts
        return
    except DudaoError as error:
        notices.refuse(error)
        return
    notices.say(_("已保存 {count} 个账号的修改。").format(count=len(wanted)))
    refresh()


# One account


def _one() -> None:
    may = session.actor().may
    if not (may("accounts.change") or may("accounts.reset")):
        return
    with st.expander(_("停用、恢复或重置一个账号"), icon=":material/manage_accounts:"):
        account = adminseen.choose("admin-account", _("账号"))
        if account is None:
            return
        st.html(
            blocks.render(
                "admin_account.html",
                account=account,
                state=adminwords.state_name(account.state),
                grants=adminwords.grants_words(account),
                last=format.moment(adminseen.last_sign_ins().get(account.id)),
                created=format.moment(account.created),
            )
        )
        steps = []
        if may("accounts.change"):
            steps.append("close" if account.state is State.ACTIVE else "reopen")
        if may("accounts.reset") and account.state is State.ACTIVE and not account.external:
            steps.append("reset")
        with st.container(horizontal=True, gap="small", key="admin-steps"):
            for step in steps:
                st.button(
                    _step_name(step),
                    key=f"admin-{step}",
                    on_click=partial(st.session_state.update, {_ASKED: (step, account.id)}),
                )
        asked = st.session_state.get(_ASKED)
        if asked is not None and asked[0] in steps and asked[1] == account.id:
            _ask(asked[0], account)


def _step_name(step: str) -> str:
    return {"close": _("停用账号"), "reopen": _("恢复使用"), "reset": _("重置登录")}[step]


def _ask(step: str, account: Account) -> None:
    words = {
        "close": _("停用后“{login}”立即退出所有登录，且不能再登录；历史记录保留。"),
        "reopen": _("恢复后“{login}”可以用原来的口令登录。"),
        "reset": _("重置后“{login}”的口令作废并立即退出所有登录，须用新的一次性链接设置口令。"),
    }[step]
    st.warning(escape.markdown(words.format(login=account.login)))
    with st.container(horizontal=True, gap="small", key="admin-confirm"):
        st.button(
            _("确认{step}").format(step=_step_name(step)),
            key="admin-yes",
            type="primary",
            on_click=partial(_do, step, account),
        )
        st.button(
            _("取消"),
            key="admin-no",
            on_click=partial(st.session_state.update, {_ASKED: None}),
        )


def _do(step: str, account: Account) -> None:
    store, actor = caches.store(), session.actor()

    def change() -> str | None:
        if step == "reset":
            st.session_state[_LINK] = accounts.reset(store, actor, account.id)
            return None
        if step == "close":
            accounts.close_account(store, actor, account)
            return _("账号“{login}”已停用。").format(login=account.login)
        accounts.change_account(store, actor, Change(account, state=State.ACTIVE))
        return _("账号“{login}”已恢复使用。").format(login=account.login)

    notices.attempt(change)
    refresh()


# A new account


def _new() -> None:
    # What was typed and refused stays in sight.
    begun = any(st.session_state.get(f"{_ADD}-{name}") for name in ("login", "title"))
    with st.expander(_("新建账号"), expanded=begun, icon=":material/person_add:"):
        left, right = st.columns(2)
        with left:
            st.text_input(_("账号"), key=f"{_ADD}-login", max_chars=64, autocomplete="off")
        with right:
            st.text_input(
                _("姓名职务"),
                key=f"{_ADD}-title",
                max_chars=100,
                placeholder=_("例如：张某 县卫健委副主任"),
                autocomplete="off",
            )
        everywhere = session.actor().scope("accounts.add").everything
        roles = list(Role)
        role = st.selectbox(
            _("角色"),
            roles,
            index=None,
            key=f"{_ADD}-role",
            format_func=role_title,
            placeholder=_("以后再授权") if everywhere else _("请选择角色"),
        )
        chosen = placepick.Choice(made=False)
        if role is not None:
            chosen = placepick.pick(
                f"{_ADD}-place",
                "accounts.add",
                _("管辖地区（含其下级）"),
                anywhere=_("全部地区") if everywhere else None,
            )
        st.button(
            _("新建并生成一次性链接"),
            key=f"{_ADD}-go",
            type="primary",
            disabled=not chosen.made and (role is not None or not everywhere),
            on_click=partial(_add, role, chosen.place_id),
        )


def _add(role: Role | None, place_id: str | None) -> None:
    login, title = (st.session_state.get(f"{_ADD}-{name}", "") for name in ("login", "title"))

    def change() -> str:
        st.session_state[_LINK] = accounts.add_account(
            caches.store(), session.actor(), login, title, role=role, place_id=place_id
        )
        return _("账号“{login}”已建立。").format(login=st.session_state[_LINK].login)

    if notices.attempt(change):
        for name in ("login", "title"):
            st.session_state[f"{_ADD}-{name}"] = ""
        st.session_state[f"{_ADD}-role"] = None
        placepick.forget(f"{_ADD}-place")
        refresh()


# The one-time link


def _link(link: Link) -> None:
    with st.container(border=True, key="admin-link-box"):
        st.markdown(
            escape.markdown(
                _("“{login}”的一次性链接，请当面或通过可靠途径交给本人：").format(login=link.login)
            )
        )
        st.code(f"{_site()}{link.path}", language=None, wrap_lines=True)
        st.caption(
            escape.markdown(
                _("{until} 前有效，只能用一次，本页只显示这一次；遗失可重置登录重新生成。").format(
                    until=format.moment(link.expires)
                )
            )
        )
        st.button(_("已交给本人，不再显示"), key="admin-link-done", on_click=_put_away)


def _put_away() -> None:
    st.session_state[_LINK] = None


def _site() -> str:
    """The address people reach the site under."""
    return caches.settings().site(st.context.headers.get("Host", ""))

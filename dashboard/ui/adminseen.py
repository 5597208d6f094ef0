"""The accounts as a person sees them, frozen until they look anew.

A change carries the account as it was shown, so that the service can tell when somebody else was
faster; what the database holds by now must not slip in unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import streamlit as st

from dashboard.accounts import audit
from dashboard.accounts import service as accounts
from dashboard.accounts.model import Account
from dashboard.ui import adminwords, caches, session
from dashboard.ui.texts import _

_SEEN = "admin-seen"
_LAST = "admin-last"


def refresh() -> None:
    """Look anew."""
    store, actor = caches.store(), session.actor()
    st.session_state[_SEEN] = accounts.list_accounts(store, actor)
    st.session_state[_LAST] = audit.last_sign_ins(store, actor)


def accounts_seen() -> list[Account]:
    """The accounts as last looked at, by login name."""
    if _SEEN not in st.session_state:
        refresh()
    seen: list[Account] = st.session_state[_SEEN]
    return seen


def last_sign_ins() -> Mapping[str, datetime]:
    """When each last signed in, as last looked at."""
    accounts_seen()
    found: Mapping[str, datetime] = st.session_state[_LAST]
    return found


def names() -> dict[str, str]:
    """Login names by account id, as far as this person may know them; looked up now."""
    actor = session.actor()
    if not actor.may("accounts.view"):
        return {}
    return {each.id: each.login for each in accounts.list_accounts(caches.store(), actor)}


def choose(key: str, label: str) -> Account | None:
    """Let somebody choose an account; None when there is none or none chosen yet."""
    by_id = {each.id: each for each in accounts_seen()}
    if st.session_state.get(key) not in by_id:
        st.session_state[key] = None
    chosen: str | None = st.selectbox(
        label,
        list(by_id),
        index=None,
        key=key,
        format_func=lambda each: adminwords.account_words(by_id[each]),
        placeholder=_("输入账号或姓名查找"),
    )
    return by_id.get(chosen) if chosen is not None else None

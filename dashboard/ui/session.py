"""Whose page this is. The gate tells it in a header nobody else can write; it is looked up anew at
every question, so a sign-in that ended answers nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import streamlit as st

from dashboard.access import Actor
from dashboard.accounts import service as accounts
from dashboard.accounts.service import SignedIn
from dashboard.ui import caches
from geodata.errors import DudaoError

HEADER = "X-Dudao-Session"

Provider = Callable[[], SignedIn]


def _from_gate() -> SignedIn:
    session_id = st.context.headers.get(HEADER)
    if not session_id:
        raise DudaoError("SESSION_ENDED", "您尚未登录或登录已失效。", "请重新登录。")
    return accounts.session(caches.store(), session_id)


_provider: Provider = _from_gate


def current() -> SignedIn:
    """The sign-in of the page being run.

    Raises:
        DudaoError: SESSION_ENDED when there is none or it has ended.
    """
    return _provider()


def actor() -> Actor:
    """Who looks at the page being run.

    Raises:
        DudaoError: as ``current``.
    """
    return current().actor


def demonstration() -> bool:
    """Whether the account is one of the demonstration's.

    Raises:
        DudaoError: as ``current``.
    """
    return current().demonstration


@contextmanager
def provide(provider: Provider) -> Iterator[None]:
    """Run pages as somebody without a browser: for tests of the screen."""
    global _provider
    before, _provider = _provider, provider
    try:
        yield
    finally:
        _provider = before

"""Workbooks of an upload, made when they are fetched and offered under our own address."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from dashboard.access import Actor
from dashboard.intake.model import Upload
from dashboard.reports.model import Export, Format
from dashboard.store import Store
from dashboard.ui import caches, downloads, session

_OFFERED = "data_offered"
_KEPT_S = downloads.KEPT_S * 2 / 3
_MOST = 50

Make = Callable[[Store, Actor, str], Export]


def address(upload: Upload, about: str, what: str, make: Make, format: Format = Format.XLSX) -> str:
    """The address of a file; the same one for most of the time it is on offer.

    Args:
        about: tells this state of the upload from others.
        what: what it holds, for its name.
        make: ``(store, actor, upload id)`` to the file, called when it is fetched.
    """
    who = session.current()
    known: dict[tuple[str, ...], tuple[str, float]] = st.session_state.setdefault(_OFFERED, {})
    key = (upload.id, about, what, who.session_id)
    found = known.get(key)
    if found is not None and time.monotonic() - found[1] < _KEPT_S:
        return found[0]
    if len(known) >= _MOST:
        known.clear()
    store = caches.store()
    name = f"{upload.name.rpartition('.')[0] or upload.name}_{what}.{format}"
    made = downloads.offer(
        who.session_id,
        name,
        format.media_type,
        lambda: make(store, who.actor, upload.id).body,
    )
    known[key] = (made, time.monotonic())
    return made

"""一张图: where are we behind, by how many people, who answers?"""

from __future__ import annotations

import streamlit as st

from dashboard.ui import caches, frame, state
from dashboard.ui.mapview import MapView

with frame.reporting(), caches.store().unit() as unit:
    found = state.parse(st.query_params.to_dict(), unit, caches.settings().lang)
    state.remember(found.address)
    view = MapView.load(unit, found)

    with st.sidebar:
        view.sidebar()

    view.banner()
    frame.tell(found.problems)
    with st.container(key="top", horizontal=True, vertical_alignment="center", wrap=False):
        view.breadcrumb()
        view.search()
    view.tiles()
    left, right = st.columns([2, 1], gap="small")
    with left, st.container(key="mapbox"):
        view.map()
    with right, st.container(key="side"):
        view.panel()
    view.table()

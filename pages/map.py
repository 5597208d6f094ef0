"""一张图: where are we behind, by how many people, who answers?"""

from __future__ import annotations

import streamlit as st

from dashboard.ui import caches, frame, session, state
from dashboard.ui.mapview import MapView

with frame.reporting(), caches.store().unit(session.actor()) as unit:
    found = state.parse(st.query_params.to_dict(), unit, caches.settings().lang)
    state.remember(found.address)
    view = MapView(unit, found.address, found.place, found.site)

    # Laid out from the top, filled in the order the eye wants it: the map before all else.
    view.banner()
    frame.tell(found.problems)
    top = st.container(key="top", horizontal=True, vertical_alignment="center", wrap=False)
    tiles = st.container()
    left, right = st.columns([2, 1], gap="small")
    below = st.container()

    with left, st.container(key="mapbox"):
        view.map()
    with st.sidebar:
        view.sidebar()
    with top:
        view.breadcrumb()
        view.search()
    with tiles:
        view.tiles()
    with below:
        view.table()
    with right, st.container(key="side"):
        view.panel()
    with below:
        view.doubts()
    view.explanation()

"""Streamlit's entry: the frame around every page. It must not lie beside ``pages/``."""

from __future__ import annotations

import streamlit as st

from dashboard.ui import frame

PAGES = [st.Page("../pages/map.py", title="一张图", url_path="map", default=True)]

frame.open_page()
st.navigation(PAGES, position="hidden").run()

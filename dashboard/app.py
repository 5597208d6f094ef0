"""Streamlit's entry: the frame around every page. It must not lie beside ``pages/``."""

from __future__ import annotations

import streamlit as st

from dashboard.ui import frame, screens, session

frame.open_page()
with frame.reporting():
    found = screens.pages(session.actor())
    page = st.navigation(found, position="hidden")
    frame.not_open(found)
    page.run()

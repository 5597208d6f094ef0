"""数据: did my file go in, and what was wrong?"""

from __future__ import annotations

import streamlit as st

from dashboard.ui import frame, session
from dashboard.ui.dataview import DataView

with frame.reporting():
    view = DataView(session.actor())
    with st.sidebar:
        view.sidebar()
    view.latest()
    view.steps()
    view.drop()
    view.in_hand()
    view.history()

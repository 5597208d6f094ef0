"""Which section of the page 管理 is open: kept in the address, so that Back and a link work."""

from __future__ import annotations

import streamlit as st

SECTION = "section"
"""The address's parameter."""


def wanted() -> str | None:
    """The section the address asks for."""
    return st.query_params.get(SECTION)


def go(section_id: str) -> None:
    """Move to a section; to be called from callbacks."""
    st.query_params[SECTION] = section_id

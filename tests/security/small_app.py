"""A page with a fragment, a callback, a download and an upload, which writes down what ran.

Served by the real server in place of the product's pages, so that what an attack set off can be
read from a file.
"""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from dashboard.ui import downloads, session

SECRET = b"plan of unannounced visits"
NAME = "下周 暗访计划.txt"


def note(what: str) -> None:
    """Write down that something ran, and as whom."""
    with Path(os.environ["DUDAO_TEST_EFFECTS"]).open("a", encoding="utf-8") as file:
        file.write(f"{what} {session.actor().id}\n")


@st.fragment
def part() -> None:
    """Runs alone when asked for by its id."""
    note("fragment")
    st.button("inside", key="inside")


def main() -> None:
    """One run of the page."""
    note("run")
    st.button("callback", key="callback", on_click=note, args=("callback",))
    st.text(f"actor={session.actor().id}")
    st.text(f"cookies={sorted(st.context.cookies.to_dict())}")
    st.text(f"headers={sorted(key.lower() for key in st.context.headers.to_dict())}")
    st.text(downloads.offer(session.current().session_id, NAME, "text/plain", SECRET))
    st.download_button("media", data=b"left in media by mistake", file_name="a.txt")
    st.file_uploader("upload", key="upload")
    part()


if __name__ == "__main__":
    main()

"""Whatever text data holds, it stays text in HTML, in Markdown and in a script."""

from __future__ import annotations

import html as html_module
import json
import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dashboard.ui import blocks, escape

HOSTILE = '"><img src=x onerror=alert(1)>`${alert(1)}`</script>[a](javascript:b)|*_#{{ 7*7 }}'
visible = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1)


@given(visible)
@example(HOSTILE)
@example("1. 王庄村")
@example("村\u202e庄")
def test_markdown_shows_exactly_the_text(text: str) -> None:
    rendered = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .render("前" + escape.markdown(text))
    )
    body = re.fullmatch(r"<p>(.*)</p>\n", rendered, re.DOTALL)
    assert body is not None
    assert "<" not in body.group(1)
    assert html_module.unescape(body.group(1)) == "前" + escape.plain(text)


@given(visible)
@example(HOSTILE)
def test_html_holds_no_tag_and_no_quote(text: str) -> None:
    written = str(escape.html(text))
    assert not set(written) & set("<>\"'")
    assert html_module.unescape(written) == escape.plain(text)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists))
@example(HOSTILE)
@example("</script>\u2028")
def test_a_script_literal_reads_back_and_cannot_end_early(value: object) -> None:
    written = str(escape.script(value))
    assert json.loads(written) == value
    assert written.isascii()
    assert not set(written) & set("<>&'`$")


def test_marks_that_turn_the_direction_round_are_dropped() -> None:
    assert escape.plain("甲\u202e乙\u0000") == "甲乙"


def test_templates_escape_what_they_are_given() -> None:
    shown = blocks.render("breadcrumb.html", ancestors=[], here=HOSTILE)
    assert "<img" not in shown and "</script>" not in shown
    assert html_module.unescape(shown).count(HOSTILE) == 1

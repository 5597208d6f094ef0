"""What the colours say: values, pace, change since another month."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen

pytestmark = pytest.mark.browser

COUNTY = "131025000000"
VIEW = f"/?place={COUNTY}&layer=contract_coverage&month=2026-10"


def test_pace_and_change_colour_the_map_and_a_drill_keeps_them(open_screen: OpenScreen) -> None:
    screen = open_screen(VIEW)
    colours = screen.colours()
    screen.page.locator(".dd-modes a", has_text="序时进度").click()
    screen.wait_drawn("?show=pace")
    assert screen.colours() != colours
    expect(screen.frame.locator(".dudao-legend")).to_contain_text("严重滞后")
    screen.picture("15-pace")
    screen.page.locator(".dd-modes a", has_text="变化").click()
    screen.wait_drawn("?show=change&against=2025-10")
    screen.picture("16-change")
    township = screen.polygons()[0]
    screen.click_place(township)
    screen.wait_drawn(f"/{township}/2026-10/")
    screen.wait_params(show="change", against="2025-10")
    screen.settle()
    screen.page.go_back()
    screen.page.go_back()
    screen.wait_drawn("?show=pace")
    assert screen.never_remounted()


def test_doubted_figures_are_marked_and_listed_with_their_reason(open_screen: OpenScreen) -> None:
    screen = open_screen("/?place=131000000000&layer=clinic_standardisation&month=2026-10")
    screen.frame.wait_for_function("Object.keys(dudao.state.doubts).length > 0")
    doubted = screen.frame.evaluate("Object.keys(dudao.state.doubts)")
    screen.hover_place(doubted[0])
    expect(screen.frame.locator(".dudao-tip")).to_contain_text("处数据存疑")
    screen.page.get_by_role("button", name="查看存疑数据").click()
    section = screen.page.locator(".st-key-doubts")
    expect(section).to_contain_text("只提示，不改数")
    section.scroll_into_view_if_needed()
    screen.picture("17-doubts")
    section.locator("tbody a").first.click()
    screen.page.wait_for_url(lambda url: "place=131000000000" not in url)
    assert screen.never_remounted()


def test_doubts_are_not_marked_on_another_month(open_screen: OpenScreen) -> None:
    screen = open_screen(
        "/?place=131000000000&layer=clinic_standardisation&month=2026-10"
        "&beside=clinic_standardisation~2025-10"
    )
    marked = "labels => labels.filter(label => label.doubted).length"
    first, second = "dudao.state.labels._labels", "dudao.beside.side.labels._labels"
    screen.frame.wait_for_function(f"({marked})({first} || []) > 0")
    screen.frame.wait_for_function(f"({second} || []).length > 0")
    assert screen.frame.evaluate(f"({marked})({second})") == 0

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
    screen.page.go_back()
    screen.page.go_back()
    screen.wait_drawn("?show=pace")
    assert screen.never_remounted()

"""The months of a view: looked at with a slider, played one after the other."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen

pytestmark = pytest.mark.browser

COUNTY = "131025000000"
VIEW = f"/?place={COUNTY}&layer=contract_coverage&month=2026-08"


def test_the_slider_goes_to_a_month(open_screen: OpenScreen) -> None:
    screen = open_screen(VIEW)
    expect(screen.frame.locator(".dudao-month")).to_have_text("2026年8月")
    before, colours = screen.view(), screen.colours()
    slider = screen.frame.get_by_role("slider", name="月份")
    slider.focus()
    for _ in range(12):
        slider.press("ArrowLeft")
    screen.wait_params(month="2025-08")
    screen.wait_drawn(f"/{COUNTY}/2025-08/")
    assert screen.colours() != colours and screen.view() == before
    assert screen.never_remounted()
    screen.picture("12-timeline")


def test_playing_runs_to_the_last_month_and_stays_there(open_screen: OpenScreen) -> None:
    screen = open_screen(VIEW)
    screen.frame.get_by_role("button", name="按月播放").click()
    expect(screen.frame.get_by_role("button", name="停在本月")).to_be_visible()
    screen.wait_params(month="2026-10")
    screen.wait_drawn(f"/{COUNTY}/2026-10/")
    expect(screen.frame.get_by_role("button", name="按月播放")).to_be_visible()
    assert screen.never_remounted()


def test_stopping_stays_at_the_month_on_screen(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    screen.frame.get_by_role("button", name="按月播放").click()
    expect(screen.frame.locator(".dudao-month")).to_have_text("2024年12月", timeout=10_000)
    screen.frame.get_by_role("button", name="停在本月").click()
    screen.page.wait_for_url(lambda url: "month=2026-10" not in url)
    shown = screen.params()["month"]
    screen.wait_drawn(f"/{COUNTY}/{shown}/")
    assert shown < "2025-06"

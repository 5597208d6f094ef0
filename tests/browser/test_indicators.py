"""The page 指标, from a row to the map and back."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen

pytestmark = pytest.mark.browser

COUNTY = "131025000000"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_a_row_leads_to_the_map(open_screen: OpenScreen, width: int, height: int) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    page = screen.page
    page.set_viewport_size({"width": width, "height": height})
    page.goto(page.url.replace("/?", "/indicators?"))
    rows = page.locator(".dd-glance tbody tr")
    expect(rows.first).to_be_visible(timeout=30_000)
    assert rows.count() > 50
    page.wait_for_timeout(500)
    page.screenshot(path=f"tests/out/18-indicators-{width}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.locator(".dd-glance a", has_text="乳腺癌筛查率").click()
    screen.wait_drawn(f"/breast_screening/{COUNTY}/2026-10/")
    screen.wait_params(layer="breast_screening", place=COUNTY)


def test_what_was_chosen_is_there_again_on_the_way_back(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    page = screen.page
    page.locator(".st-key-pages").get_by_role("link", name="指标", exact=True).click()
    page.locator(".st-key-indicators-only label").click()
    rows = page.locator(".dd-glance tbody tr")
    expect(rows.filter(has_text="达到序时")).to_have_count(0, timeout=30_000)
    page.locator(".dd-glance a", has_text="免费体检率").click()
    screen.wait_drawn("/examination_coverage/")
    page.go_back()
    expect(page.locator(".st-key-indicators-only input")).to_be_checked(timeout=30_000)
    expect(rows.first).to_be_visible()
    expect(rows.filter(has_text="达到序时")).to_have_count(0)

"""The page 比较, from the map and back to it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen

pytestmark = pytest.mark.browser

COUNTY = "131025000000"


def test_from_the_map_to_the_funnel_and_to_a_village(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    page = screen.page
    expect(page.locator(".dd-told")).to_contain_text(
        "截至2026年10月，照此下去，年末约", timeout=30_000
    )
    assert page.locator(".dd-trend polyline.ahead").count() == 1
    page.get_by_text("比较这些单位").click()
    expect(page.locator(".dd-compare-head h2")).to_contain_text("大城县各乡镇", timeout=30_000)
    page.get_by_role("link", name="各村", exact=True).click()
    screen.wait_params(level="village", place=COUNTY, part="rank")
    page.get_by_text("按威尔逊区间较差一端排名").click()
    screen.wait_params(by="wilson")
    page.get_by_role("link", name="漏斗图", exact=True).click()
    screen.wait_params(part="funnel")
    worst = page.locator(".dd-funnel-plot path.far-worse").first
    expect(worst).to_be_visible(timeout=30_000)
    screen.settle()
    worst.hover()
    expect(page.locator(".dd-readout")).to_contain_text("明显较差")
    expect(page.get_by_role("button", name="导出表格")).to_be_visible()
    page.screenshot(path="tests/out/19-funnel-1440.png")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 1440, "height": 900})
    row = page.locator(".dd-compare tbody tr").first
    village = str(row.get_attribute("data-id"))
    row.locator("td").last.click()
    screen.wait_drawn(f"/contract_coverage/{village[:9]}000/2026-10/", selected=village)
    screen.wait_params(place=village, layer="contract_coverage", month="2026-10")
    assert "part" not in screen.params() and "/comparison" not in page.url

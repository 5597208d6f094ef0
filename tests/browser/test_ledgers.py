"""The page 台账: from an indicator to the rows under it, filtered, back again, taken along."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen
from tests.browser.test_phone import TOO_SMALL

pytestmark = pytest.mark.browser

TOWNSHIP = "131025100000"


def test_an_indicator_leads_to_its_rows_which_are_filtered_and_taken_along(
    open_screen: OpenScreen,
) -> None:
    screen = open_screen(f"/?place={TOWNSHIP}&layer=contract_coverage&month=2026-10")
    page = screen.page
    page.get_by_role("link", name="指标", exact=True).click()
    page.locator(".dd-glance a", has_text="样品检测").first.click()
    screen.wait_params(place=TOWNSHIP, month="2026-10", ledger="samples")
    expect(page.locator(".dd-empty")).to_contain_text("请换一个月份")
    page.locator(".dd-layerlist summary", has_text="督查整改").click()
    page.locator(".dd-layerlist a", has_text="入户核实").click()
    rows = page.locator(".dd-ledger tbody tr")
    expect(rows).to_have_count(50)
    page.locator(".dd-ledger thead a", has_text="上报数").click()
    screen.wait_params(ledger="revisits", sort="-reported")
    page.get_by_role("button", name="下一页").click()
    screen.wait_params(page="2")
    expect(page.locator(".dd-ledger tbody th").first).to_have_text("51")
    page.go_back()
    expect(page.locator(".dd-ledger tbody th").first).to_have_text("1")
    page.reload()
    expect(rows).to_have_count(50)
    screen.picture("19-ledgers")


def test_it_fits_the_width_and_the_finger(open_screen: OpenScreen, address: str) -> None:
    screen = open_screen(width=390, height=844, phone=True)
    page = screen.page
    page.goto(f"{address}/ledgers?place={TOWNSHIP}&month=2026-10&ledger=households")
    expect(page.locator(".dd-ledger tbody tr")).to_have_count(50)
    screen.picture("19-ledgers-phone")
    assert page.evaluate(TOO_SMALL) == []
    page.locator("[data-testid=stExpander] summary").first.click()
    expect(page.get_by_label("健康APP")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390

"""A click on a value opens what it stands on; the map stays where it is."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen

pytestmark = pytest.mark.browser

TOWN = "131025100000"
VIEW = f"/?place={TOWN}&layer=contract_coverage&month=2026-10"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_a_value_is_taken_apart_over_the_map(
    open_screen: OpenScreen, width: int, height: int
) -> None:
    screen = open_screen(VIEW, width, height, phone=width < 640)
    page = screen.page
    page.locator(".st-key-tiles a.dd-why").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".dd-equation")).to_contain_text("建档立卡人口", timeout=30_000)
    expect(dialog).to_contain_text("figures.csv")
    screen.wait_params(explain=TOWN)
    screen.picture(f"24-explain-{width}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.wait_for_url(lambda url: "explain" not in url)
    screen.settle()

    # From the table to a village, and from its dialog on to the place itself.
    row = page.locator(".dd-table tbody tr[data-id]").first
    village = row.get_attribute("data-id")
    assert village is not None
    row.locator("td.dd-value a").click()
    screen.wait_params(explain=village, place=TOWN)
    expect(dialog.locator(".dd-explain-rows tbody tr")).to_have_count(1)
    dialog.locator(".dd-explain-rows tbody a").click()
    screen.wait_params(place=village)
    expect(dialog).to_have_count(0)
    screen.settle()
    assert "explain" not in screen.params()
    assert screen.never_remounted()


def test_a_value_of_the_page_of_indicators_is_taken_apart_on_the_map(
    open_screen: OpenScreen,
) -> None:
    screen = open_screen(VIEW)
    page = screen.page
    page.goto(page.url.replace("/?", "/indicators?"))
    row = page.locator(".dd-glance tbody tr", has_text="家庭医生签约率")
    row.locator("a.dd-why").click(timeout=30_000)
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".dd-equation")).to_contain_text("签约人数", timeout=30_000)
    screen.wait_params(explain=TOWN, layer="contract_coverage")

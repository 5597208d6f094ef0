"""The page 源文件指标 on an office screen and a phone: from a document's figure to the map."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen
from tests.browser.test_phone import TOO_SMALL

pytestmark = pytest.mark.browser

CITY, COUNTY = "131000000000", "131025000000"


def test_a_figure_of_the_document_leads_to_the_map_that_shows_it(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    page = screen.page
    page.get_by_role("link", name="源文件指标").click()
    expect(page.locator("tr[data-system]")).to_have_count(36)
    system = page.locator("tr[data-system='27']")
    system.locator("summary").click()
    expect(system.locator("details li")).to_contain_text("共发放2284个")
    assert "/sources" in page.url, "unfolding a quote leads nowhere"
    screen.picture("12-sources")
    system.locator("a", has_text="药箱发放").click()
    screen.wait_params(place=CITY, month="2019-07", layer="first_aid_kits_count")
    expect(page.locator(".dd-tile").first).to_contain_text("2,284")
    screen.wait_drawn("/2019-07/")

    page.get_by_role("link", name="源文件指标").click()
    page.locator("tr[data-system='3'] .dd-links a").click()
    screen.wait_params(place=CITY, layer="contract_coverage")


def test_the_list_is_narrowed_and_taken_along(open_screen: OpenScreen) -> None:
    page = open_screen("/").page
    page.get_by_role("link", name="源文件指标").click()
    page.get_by_label("查找").fill("精神障碍")
    page.get_by_label("查找").press("Enter")
    expect(page.locator("tr[data-system='1']")).to_have_count(0)
    expect(page.locator("tr[data-system='12']")).to_be_visible()
    page.get_by_role("button", name="导出表格").click()
    with page.expect_download() as begun:
        page.get_by_role("link", name="源文件指标.xlsx").click()
    assert begun.value.suggested_filename == "源文件指标.xlsx"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_it_fits_the_width_and_the_finger(open_screen: OpenScreen, address: str, lang: str) -> None:
    screen = open_screen(width=390, height=844, phone=True)
    screen.page.goto(f"{address}/sources?lang={lang}")
    expect(screen.page.locator("tr[data-system]")).to_have_count(36)
    screen.picture(f"12-sources-phone-{lang}")
    widths = screen.page.evaluate(
        "[document.documentElement.scrollWidth,"
        " document.querySelector('[data-testid=stMain]').scrollWidth, innerWidth]"
    )
    assert max(widths) == 390
    assert screen.page.evaluate(TOO_SMALL) == []

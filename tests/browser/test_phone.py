"""The same page on a phone of 390×844."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen

pytestmark = pytest.mark.browser

CITY, COUNTY, TOWN = "131000000000", "131025000000", "131025100000"

TOO_SMALL = """() => [...document.querySelectorAll("a, button, input, [role=button]")]
  .filter(e => e.checkVisibility() && e.closest("[data-testid=stMain], [data-testid=stHeader]"))
  .map(e => [e, (e.closest("tr, [data-testid=stTextInputRootElement]") || e)
    .getBoundingClientRect(), e.getBoundingClientRect()])
  .filter(([e, target, own]) => own.width > 1 && Math.min(target.height, target.width) < 43.5)
  .map(([e, target]) => `${e.tagName} ${e.textContent} ${target.width}x${target.height}`)"""


@pytest.mark.parametrize("place", [CITY, TOWN])
def test_the_page_fits_the_width_and_the_finger(open_screen: OpenScreen, place: str) -> None:
    screen = open_screen(
        f"/?place={place}&layer=contract_coverage&month=2026-10", width=390, height=844, phone=True
    )
    screen.picture(f"9-phone-{place}")
    widths = screen.page.evaluate(
        "[document.documentElement.scrollWidth,"
        " document.querySelector('[data-testid=stMain]').scrollWidth, innerWidth]"
    )
    assert max(widths) == 390
    assert screen.page.evaluate(TOO_SMALL) == []
    box = screen.page.locator("iframe[title*='streamlit_folium']").bounding_box()
    assert box is not None and box["height"] == pytest.approx(844 * 0.6, abs=3)
    tops = [tile.bounding_box() for tile in screen.page.locator(".dd-tile").all()]
    assert len({round(tile["y"]) for tile in tops if tile}) == 2


def test_a_tap_drills_and_the_sidebar_is_folded(open_screen: OpenScreen) -> None:
    screen = open_screen(width=390, height=844, phone=True)
    expect(screen.page.locator(".dd-layerlist summary").first).not_to_be_in_viewport()
    screen.page.locator("iframe[title*='streamlit_folium']").scroll_into_view_if_needed()
    screen.page.touchscreen.tap(*screen.point_of(COUNTY))
    screen.wait_drawn(f"/{COUNTY}/")
    screen.expect_here("大城县")
    assert screen.never_remounted()
    screen.page.get_by_test_id("stExpandSidebarButton").click()
    expect(screen.page.locator(".dd-layerlist summary").first).to_be_in_viewport()
    screen.picture("9-phone-sidebar")


def test_the_sidebar_folds_once_something_was_chosen_in_it(open_screen: OpenScreen) -> None:
    screen = open_screen(width=390, height=844, phone=True)
    sidebar, unfold = (
        screen.page.get_by_test_id(name) for name in ("stSidebar", "stExpandSidebarButton")
    )
    for choose in (
        lambda: screen.layer_link("未落实团队占比").click(),
        lambda: screen.page.locator(".st-key-pages").get_by_role("link", name="比较").click(),
    ):
        unfold.click()
        expect(sidebar).to_have_attribute("data-collapsed", "false")
        choose()
        expect(sidebar).to_have_attribute("data-collapsed", "true")
    expect(screen.page.locator(".dd-compare-head")).to_be_in_viewport()
    # Streamlit remembers an open sidebar; the next page is not to begin under it.
    unfold.click()
    screen.page.reload()
    expect(sidebar).to_have_attribute("data-collapsed", "true")


@pytest.mark.parametrize("width", [1366, 1280, 1024, 820])
def test_nothing_runs_out_of_a_narrow_window(open_screen: OpenScreen, width: int) -> None:
    screen = open_screen(f"/?place={TOWN}", width=width, height=768)
    screen.settle()
    scrolled, seen = screen.page.get_by_test_id("stMain").evaluate(
        "main => [main.scrollWidth, main.clientWidth]"
    )
    assert scrolled == seen
    over = screen.page.evaluate(
        "[...document.querySelectorAll('.dd-tile')].filter(t => t.scrollWidth > t.clientWidth + 1)"
        ".map(t => t.textContent)"
    )
    assert over == []

"""Two maps beside each other: the same places in another layer or another month."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen
from tests.browser.screen import Screen

pytestmark = pytest.mark.browser

COUNTY = "131025000000"
VIEW = f"/?place={COUNTY}&layer=contract_coverage&month=2026-10"
APART = """() => {
  const first = dudao.state.map, second = dudao.beside.side.map;
  const zoom = first.getZoom();
  return zoom === second.getZoom()
    ? first.project(first.getCenter(), zoom).distanceTo(first.project(second.getCenter(), zoom))
    : Infinity;
}"""
"""Pixels between what two maps of one scale have in their middle."""


def wait_second(screen: Screen, part: str) -> None:
    screen.frame.wait_for_function(
        "(part) => dudao.beside.side.drawn && dudao.beside.side.drawn.url.includes(part)", arg=part
    )


def test_a_year_ago_stands_beside_and_both_move_as_one(open_screen: OpenScreen) -> None:
    screen = open_screen(VIEW)
    screen.frame.get_by_role("button", name="并排对比", exact=True).click()
    screen.wait_params(beside="contract_coverage~2025-10")
    wait_second(screen, f"/{COUNTY}/2025-10/")
    assert screen.frame.evaluate(APART) < 2
    before = screen.view()
    screen.frame.evaluate("dudao.beside.side.map.panBy([40, 25], { animate: false })")
    assert screen.view() != before and screen.frame.evaluate(APART) < 2
    screen.picture("13-beside")
    assert screen.never_remounted()


def test_another_layer_beside_a_drill_into_it_and_back(open_screen: OpenScreen) -> None:
    screen = open_screen(f"{VIEW}&beside=contract_coverage~2026-10")
    wait_second(screen, "/layers/contract_coverage/")
    layers = screen.frame.get_by_role("combobox", name="右图图层")
    expect(layers).to_have_value("contract_coverage")
    layers.select_option("cervical_screening")
    screen.wait_params(beside="cervical_screening~2026-10", layer="contract_coverage")
    wait_second(screen, "/layers/cervical_screening/")
    township = screen.polygons()[0]
    screen.frame.evaluate("(id) => dudao.beside.side.paths.get(id).fire('click')", township)
    screen.wait_params(place=township, beside="cervical_screening~2026-10")
    wait_second(screen, f"/layers/cervical_screening/{township}/")
    screen.page.go_back()
    screen.wait_params(place=COUNTY)
    wait_second(screen, f"/layers/cervical_screening/{COUNTY}/")
    screen.frame.get_by_role("button", name="关闭并排对比").click()
    screen.page.wait_for_url(lambda url: "beside" not in url)
    expect(screen.frame.locator(".dudao-beside")).to_be_hidden()
    assert screen.never_remounted()


def test_on_a_phone_one_stands_above_the_other(open_screen: OpenScreen) -> None:
    screen = open_screen(f"{VIEW}&beside=cervical_screening~2026-08", 390, 844, phone=True)
    wait_second(screen, "/layers/cervical_screening/")
    above = screen.frame.locator("#map_div").bounding_box()
    below = screen.frame.locator(".dudao-beside").bounding_box()
    assert above is not None and below is not None
    assert above["y"] + above["height"] <= below["y"] + 1 and above["width"] == below["width"]
    screen.picture("14-beside-phone")

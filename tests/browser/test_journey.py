"""The journey of a leader: city to clinic and back, in a real browser, with the cable pulled."""

from __future__ import annotations

import gzip
import json

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenScreen
from tests.security.client import Client

pytestmark = pytest.mark.browser

ON_TOP = """() => {
  const results = document.querySelector(".dd-results");
  const box = results.getBoundingClientRect();
  return [box.top + 5, box.bottom - 5].every(y =>
    results.contains(document.elementFromPoint(box.left + 20, y)));
}"""

CITY, COUNTY, TOWN, VILLAGE = "131000000000", "131025000000", "131025100000", "131025100240"
ZONE = "131071000000"
CLINIC = f"{VILLAGE}-W1"


def test_from_the_city_to_a_clinic_and_back(open_screen: OpenScreen) -> None:
    screen = open_screen()
    assert screen.params() == {
        "place": CITY, "layer": "contract_coverage", "month": "2026-10",
    }  # fmt: skip
    assert len(screen.polygons()) == 10
    assert len(screen.colours()) >= 2
    assert len(screen.rows()) == 11
    expect(screen.frame.get_by_text("1 个单位无边界")).to_be_visible()
    expect(screen.page.locator(".dd-banner")).to_contain_text("演示数据")
    screen.picture("1-city")

    screen.click_place(COUNTY)
    screen.wait_drawn(f"/{COUNTY}/")
    screen.expect_here("大城县")
    expect(screen.frame.get_by_text("示意边界")).to_be_visible()
    screen.picture("2-county")
    screen.click_place(TOWN)
    screen.wait_drawn(f"/{TOWN}/")
    screen.expect_here("平舒镇")
    screen.picture("3-township")
    before = screen.view()
    bare = screen.widest_without_clinic()
    screen.click_place(bare)
    screen.wait_drawn(f"/{TOWN}/", selected=bare)
    screen.wait_params(place=bare)
    assert screen.view() == before
    screen.page.locator(f".dd-table tr[data-id='{VILLAGE}'] th a").click()
    screen.wait_drawn(f"/{TOWN}/", selected=VILLAGE)
    # The panel beside the map lists the village's own clinics once the page has run.
    screen.wait_params(place=VILLAGE)
    screen.settle()
    screen.page.locator(f".dd-sites li[data-id='{CLINIC}'] a").click()
    screen.wait_drawn(f"/{TOWN}/", selected=VILLAGE, site=CLINIC)
    expect(screen.page.locator(".dd-site")).to_contain_text("村卫生室")
    screen.picture("4-clinic")
    assert screen.never_remounted()

    screen.page.go_back()
    screen.wait_drawn(f"/{TOWN}/", selected=VILLAGE)
    expect(screen.page.locator(".dd-site")).to_have_count(0)
    for _ in range(2):
        screen.page.go_back()
    screen.wait_drawn(f"/{TOWN}/")
    screen.expect_here("平舒镇")
    screen.page.go_back()
    screen.wait_drawn(f"/{COUNTY}/")
    screen.page.go_forward()
    screen.wait_drawn(f"/{TOWN}/")
    screen.page.locator(".dd-crumbs").get_by_text("廊坊市").click()
    screen.wait_drawn(f"/{CITY}/")
    screen.expect_here("廊坊市")
    assert screen.never_remounted()


def test_the_same_place_can_be_clicked_again_after_back(open_screen: OpenScreen) -> None:
    screen = open_screen()
    for _ in range(2):
        screen.click_place(COUNTY)
        screen.wait_drawn(f"/{COUNTY}/")
        screen.page.wait_for_url(f"**place={COUNTY}**")
        screen.page.go_back()
        screen.wait_drawn(f"/{CITY}/")
    assert screen.never_remounted()


def test_a_clinic_on_the_map_opens_its_card(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={TOWN}&layer=contract_coverage&month=2026-10")
    main = screen.page.locator("[data-testid=stMain]")
    main.evaluate("main => main.scrollTo(0, 150)")
    marker = screen.frame.locator(".dudao-site").first
    marker.click()
    card = screen.page.locator(".dd-site")
    expect(card).to_be_visible()
    site = screen.params()["site"]
    screen.wait_drawn(f"/{TOWN}/", selected=screen.params()["place"], site=site)
    assert main.evaluate("main => main.scrollTop") == 150
    card.get_by_text("关闭").click()
    expect(card).to_have_count(0)


def test_layer_and_month_switch_keep_place_and_position(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    before, colours = screen.view(), screen.colours()
    screen.layer_link("未销号问题发生率").click()
    screen.wait_drawn(f"/open_findings_rate/{COUNTY}/2026-10/")
    assert screen.colours() != colours
    screen.page.get_by_role("button", name="上月").click()
    screen.wait_drawn(f"/open_findings_rate/{COUNTY}/2026-09/")
    screen.layer_link("宫颈癌筛查率").click()
    screen.wait_drawn(f"/cervical_screening/{COUNTY}/2026-09/")
    assert screen.view() == before
    # The map shows a clicked layer before Python has run; address and Back belong after it.
    screen.page.wait_for_url("**layer=cervical_screening**")
    screen.settle()
    assert screen.params() == {
        "place": COUNTY, "layer": "cervical_screening", "month": "2026-09",
    }  # fmt: skip
    screen.page.go_back()
    screen.wait_drawn(f"/open_findings_rate/{COUNTY}/2026-09/")
    assert screen.never_remounted()


def test_the_map_says_what_is_under_the_pointer(open_screen: OpenScreen) -> None:
    screen = open_screen()
    screen.hover_place(COUNTY)
    tip = screen.frame.locator(".dudao-tip")
    expect(tip).to_contain_text("大城县")
    expect(tip).to_contain_text("建档立卡人口")


@pytest.mark.parametrize("text", ["平舒镇", "psz", "131025100000"])
def test_search_lands_on_one_exact_hit(open_screen: OpenScreen, text: str) -> None:
    screen = open_screen()
    screen.page.get_by_placeholder("搜索地名").press_sequentially(text, delay=20)
    screen.wait_drawn(f"/{TOWN}/")
    screen.expect_here("平舒镇")
    expect(screen.page.get_by_placeholder("搜索地名")).to_have_value("")
    assert screen.never_remounted()


@pytest.mark.parametrize("text", ["平舒", "131025"])
def test_search_lists_what_it_found(open_screen: OpenScreen, text: str) -> None:
    screen = open_screen()
    screen.page.get_by_placeholder("搜索地名").fill(text)
    found = screen.page.locator(".dd-results a").filter(has_text="廊坊市 › 大城县")
    found.first.wait_for()
    assert screen.page.evaluate(ON_TOP)
    screen.picture("5-search")
    found.get_by_text("平舒镇", exact=True).first.click()
    screen.wait_drawn(f"/{TOWN}/")
    expect(screen.page.locator(".dd-results")).to_have_count(0)


def test_a_copied_address_opens_the_same_view(open_screen: OpenScreen) -> None:
    first = open_screen()
    first.click_place(COUNTY)
    first.wait_drawn(f"/{COUNTY}/")
    first.layer_link("宫颈癌筛查率").click()
    first.wait_drawn("/cervical_screening/")
    first.page.get_by_role("button", name="上月").click()
    first.wait_drawn(f"/cervical_screening/{COUNTY}/2026-09/")
    path = "/?" + first.page.url.split("?")[1]
    second = open_screen(path)
    second.wait_drawn(f"/cervical_screening/{COUNTY}/2026-09/")
    second.expect_here("大城县")
    assert second.rows() == first.rows()
    assert second.params() == first.params()


def test_the_table_and_the_map_show_the_same(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    assert set(screen.polygons()) <= set(screen.rows())
    assert len(screen.rows()) == 11
    ranks = screen.page.locator(".dd-table tbody tr td:nth-child(7)").all_inner_texts()
    numbers = [int(rank) for rank in ranks if rank != "—"]
    assert numbers == sorted(numbers, reverse=True)
    worst = screen.rows()[0]
    row = screen.page.locator(".dd-table tbody tr").first
    row.locator("td").nth(1).click()
    screen.wait_params(place=worst)
    screen.wait_drawn(f"/{worst}/")


def test_a_place_without_boundaries_sends_the_reader_to_the_table(open_screen: OpenScreen) -> None:
    screen = open_screen()
    screen.page.locator(f".dd-table tr[data-id='{ZONE}'] th a").click()
    screen.wait_drawn(f"/{ZONE}/")
    expect(screen.frame.get_by_role("status")).to_contain_text("没有边界")
    assert screen.polygons() == []
    assert len(screen.rows()) > 0


def test_english_and_back(open_screen: OpenScreen) -> None:
    screen = open_screen()
    screen.page.get_by_role("radio", name="English").click()
    screen.wait_params(lang="en")
    expect(screen.frame.get_by_text("No data")).to_be_visible()
    expect(screen.layer_link("Cervical-cancer screening")).to_be_visible()
    expect(screen.page.locator("html")).to_have_attribute("lang", "en")
    screen.picture("6-english")
    screen.page.get_by_role("radio", name="中文").click()
    expect(screen.frame.get_by_text("无数据")).to_be_visible()
    assert "lang" not in screen.params()
    assert screen.never_remounted()


def test_a_wrong_address_says_so_and_shows_the_nearest(open_screen: OpenScreen) -> None:
    screen = open_screen("/?place=131025999999&layer=nothing&month=2018-13&lang=xx")
    screen.wait_drawn(f"/contract_coverage/{COUNTY}/2026-10/")
    expect(screen.page.get_by_role("alert")).to_contain_text("ADDRESS_CORRECTED")
    expect(screen.page.get_by_role("alert")).to_contain_text("131025999999")
    screen.picture("7-corrected")


def test_institutions_appear_when_asked_for_and_cluster(open_screen: OpenScreen) -> None:
    screen = open_screen(f"/?place={COUNTY}&layer=contract_coverage&month=2026-10")
    assert screen.frame.locator(".dudao-site, .dudao-cluster").count() == 0
    screen.frame.get_by_role("button", name="医疗机构").click()
    screen.frame.locator(".dudao-cluster").first.wait_for()
    screen.frame.wait_for_function("window.dudao.drawn.sites > 300")
    drawn = screen.frame.locator(".dudao-site, .dudao-cluster").count()
    assert drawn < 300
    screen.picture("8-institutions")


def test_nothing_of_streamlits_furniture_shows(open_screen: OpenScreen) -> None:
    screen = open_screen()
    screen.page.get_by_placeholder("搜索地名").fill("ps")
    for words in ("Deploy", "Press Enter", "Made with", "Running"):
        expect(screen.page.get_by_text(words)).to_have_count(0)


def fetched(client: Client, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    answer = client.request("GET", path, headers)
    return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.body


def test_payloads_are_compressed_and_answered_304(person: Client) -> None:
    path = f"/layers/contract_coverage/{TOWN}/2026-10/1"
    status, headers, plain = fetched(person, path)
    assert status == 200 and headers["content-type"].startswith("application/geo+json")
    assert headers["cache-control"] == "private, no-cache"
    _, zipped_headers, zipped = fetched(person, path, **{"Accept-Encoding": "gzip"})
    assert zipped_headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped) == plain
    assert len(json.loads(plain)["features"]) == 57
    for tag in (headers["etag"], f"W/{headers['etag']}", f'"other", {headers["etag"]}'):
        status, again, body = fetched(person, path, **{"If-None-Match": tag})
        assert (status, body, again["etag"]) == (304, b"", headers["etag"])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/layers/nothing/{CITY}/2026-10/1", "LAYER_NOT_FOUND"),
        ("/layers/contract_coverage/999/2026-10/1", "PLACE_NOT_FOUND"),
        (f"/layers/contract_coverage/{CITY}/2018-13/1", "MONTH_FORM"),
        (f"/sites/{CITY}/2001-01/1", "MONTH_NOT_FOUND"),
    ],
)
def test_an_unknown_payload_says_what_is_wrong(person: Client, path: str, code: str) -> None:
    status, headers, body = fetched(person, path)
    assert status == 404 and headers["cache-control"] == "no-store"
    assert json.loads(body)["error"]["code"] == code


@pytest.mark.parametrize(
    "path", ["", "/", "/ui/", "/ui/../map.py", "/ui/%2e%2e/map.py", "/leaflet/leaflet.js.map"]
)
def test_assets_list_and_leak_nothing(person: Client, path: str) -> None:
    status, _, body = fetched(person, f"/assets{path}")
    assert status in (400, 404)
    assert b"import" not in body[:200]


def test_assets_are_cached_for_good(person: Client) -> None:
    status, headers, _ = fetched(person, "/assets/leaflet/leaflet.js")
    assert status == 200 and "immutable" in headers["cache-control"]
    assert headers["content-type"].startswith("text/javascript")


def test_the_server_says_it_is_well(person: Client) -> None:
    status, _, body = fetched(person, "/healthz")
    assert status == 200 and json.loads(body) == {"status": "ok"}

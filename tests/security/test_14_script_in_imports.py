"""Attack 14: script in every text a file can bring, on every page and popup, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
import shapely
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect

from dashboard.access import SYSTEM, Role
from dashboard.coverage import registry
from dashboard.demo import accounts as demonstration
from dashboard.intake.service import load_files
from dashboard.store import Store
from dashboard.store.unit import DEMONSTRATION
from loaders.model import Request
from tests.browser.data_screen import ENDED, DataScreen
from tests.browser.screen import Screen
from tests.browser.serving import serving
from tests.security.client import Client

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAYLOADS = (
    "<script>top.broken=1</script>",
    "<img src=x onerror=top.broken=1>",
    '"><svg onload=top.broken=1>',
    "'-(top.broken=1)-'",
    "`${top.broken=1}`",
    "</script><script>top.broken=1</script>",
    "[按](javascript:top.broken=1)",
    "javascript:top.broken=1//",
    "{{x.constructor('top.broken=1')()}}",
)
COUNTY = "131025000000"
VILLAGES = tuple(f"13102510020{number}" for number in range(1, 10))
MONTH = "2026-10"


def geojson() -> bytes:
    """A county and nine villages in a row, the villages named by the payloads."""
    squares = [shapely.box(116 + at * 0.1, 39, 116.1 + at * 0.1, 39.1) for at in range(9)]
    named = [(COUNTY, "<b>县</b>", "county", "", shapely.union_all(squares))]
    named += [
        (village, name, "village", COUNTY, square)
        for village, name, square in zip(VILLAGES, PAYLOADS, squares, strict=True)
    ]
    features = [
        {
            "type": "Feature",
            "properties": {"id": one, "name": name, "level": level, "parent_id": parent},
            "geometry": shapely.geometry.mapping(shape),
        }
        for one, name, level, parent, shape in named
    ]
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def workbook(title: str, *rows: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    target = BytesIO()
    book.save(target)
    return target.getvalue()


def institutions() -> bytes:
    """A clinic in each village; the payloads stand in its name and in its code."""
    head = ("机构代码", "机构名称", "机构类别", "村代码", "经度", "纬度")
    rows = [
        (name.replace("/", "_"), name, "村卫生室", village, 116.02 + at * 0.1, 39.02)
        for at, (village, name) in enumerate(zip(VILLAGES, PAYLOADS, strict=True))
    ]
    return workbook("机构", head, *rows)


def figures() -> bytes:
    head = ("区划代码", "月份", "签约人数", "建档立卡人口")
    return workbook("数据", head, *((village, MONTH, 5, 10) for village in VILLAGES))


def wrong() -> bytes:
    """Nothing of it can be taken: the payloads stand in headings, sheet name and every cell."""
    head = ("上级", "村名", "月份", "签约人数", "指标", *PAYLOADS)
    rows = [(name, name, MONTH, name, name, *PAYLOADS) for name in PAYLOADS]
    return workbook("<img src=x onerror=1>", head, *rows)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose every imported text is a payload."""
    folder = tmp_path_factory.mktemp("hostile")
    files = []
    for name, body in (
        ("<svg onload=top.broken=1>.geojson", geojson()),
        ("`${top.broken=1}`.xlsx", institutions()),
        ("<img src=x onerror=top.broken=1>.xlsx", figures()),
    ):
        files.append(folder / name)
        files[-1].write_bytes(body)
    store = Store.open(folder / "data")
    loaded = load_files(store, SYSTEM, files, Request(), registry.pairs())
    assert all(one.committed for one in loaded), [list(one.issues) for one in loaded]
    # Its marked accounts sign in without a password.
    store.set_meta(DEMONSTRATION, "1")
    demonstration.ensure(store)
    store.close()
    with serving(folder / "data", tmp_path_factory.mktemp("elsewhere")) as address:
        yield address


@pytest.fixture
def context(hostile: str, chromium: Browser) -> Iterator[BrowserContext]:
    """An administrator's browser."""
    opened = chromium.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    login = demonstration.login_of(Role.ADMINISTRATOR)
    opened.add_cookies(Client(hostile).enter_demonstration(login).browser_cookies())
    yield opened
    opened.close()


def file_name(payload: str) -> str:
    """A payload as a browser can send it for a file's name."""
    return payload.replace("/", "_").replace('"', "'")


def never_ran(page: Page) -> None:
    """Nothing was executed, in the page or in a frame, nor made into an element."""
    places: list[Page | Frame] = [page, *page.frames]
    for one in places:
        assert one.evaluate("window.broken") is None
        assert one.evaluate("top.broken") is None
        made = one.evaluate(
            "() => document.querySelectorAll(\"img[src='x'], svg[onload], a[href^='javascript'],"
            ' script:not([src]):not([type])").length'
        )
        own = one.evaluate(
            "() => [...document.querySelectorAll('script')]"
            ".filter(s => s.textContent.includes('top.broken')).length"
        )
        assert (made if one is page else 0, own) == (0, 0)


def shown(page: Page, text: str) -> None:
    """A payload stands on the page, sign for sign."""
    expect(page.get_by_text(text, exact=True).first).to_be_visible()


def test_the_map_and_its_popups(hostile: str, context: BrowserContext, tmp_path: Path) -> None:
    screen = Screen(context.new_page(), hostile, tmp_path)
    page = screen.page
    page.on("dialog", lambda dialog: screen.faults.append(f"dialog: {dialog.message}"))
    screen.open(f"/?place={COUNTY}&layer=contract_coverage&month={MONTH}")
    screen.settle()
    screen.expect_here("<b>县</b>")
    for village, name in zip(VILLAGES, PAYLOADS, strict=True):
        expect(page.locator(".dd-table").get_by_text(name, exact=True)).to_be_visible()
        screen.hover_place(village)
        expect(screen.frame.locator(".dudao-tip-name")).to_have_text(name)
    for village, name in zip(VILLAGES, PAYLOADS, strict=True):
        page.goto(f"{hostile}/?place={village}&layer=contract_coverage&month={MONTH}")
        screen.wait_drawn("", village)
        screen.settle()
        screen.expect_here(name)
        expect(page.locator(".dd-sites")).to_contain_text(name)
        page.locator(".dd-sites a").first.click()
        expect(page.locator(".dd-site h2")).to_have_text(name)
        never_ran(page)
    for word in ("script", "broken"):
        page.get_by_placeholder("搜索地名").fill(word)
        expect(page.locator(".dd-results")).to_contain_text(word)
        screen.settle()
    for name in PAYLOADS:
        page.goto(f"{hostile}/?place={name}&layer={name}&month={name}&site={name}")
        page.locator(ENDED).wait_for()
    never_ran(page)
    assert screen.faults == []


def test_the_page_data(hostile: str, context: BrowserContext, tmp_path: Path) -> None:
    screen = DataScreen(context, hostile, tmp_path)
    page = screen.page
    page.on("dialog", lambda dialog: screen.faults.append(f"dialog: {dialog.message}"))
    screen.open()
    latest = page.locator(".dd-latest")
    expect(latest).to_contain_text("<img src=x onerror=top.broken=1>.xlsx")
    history = page.locator(".st-key-batches")
    for name in ("`${top.broken=1}`.xlsx", "<svg onload=top.broken=1>.geojson"):
        expect(history).to_contain_text(name)
    history.get_by_role("link", name="撤销").first.click()
    expect(screen.part("undoing")).to_contain_text("<img src=x onerror=top.broken=1>.xlsx")
    never_ran(page)
    for name in PAYLOADS:
        plain = file_name(name)
        screen.drop((f"{plain}.xlsx", wrong()))
        screen.checked()
        if name == PAYLOADS[0]:
            _look_through(screen)
        screen.page.reload()
        screen.checked()
        expect(screen.part("upload").locator(".dd-file").first).to_contain_text(plain)
        never_ran(page)
    for name in PAYLOADS:
        expect(screen.part("uploads")).to_contain_text(file_name(name))
    screen.drop(("说明.<script>", b"x"))
    expect(screen.part("upload")).to_contain_text("不认识的文件类型")
    never_ran(page)
    assert [fault for fault in screen.faults if "favicon" not in fault] == []


def _look_through(screen: DataScreen) -> None:
    """Preview, names, issues in both languages, filters, the refusal of a wrong header."""
    page = screen.page
    preview = screen.part("preview")
    for name in PAYLOADS:
        expect(preview.get_by_text(name, exact=True).first).to_be_visible()
        expect(screen.part("issue-list")).to_contain_text(name)
        expect(screen.part("names")).to_contain_text(name)
    expect(preview).to_contain_text("<img src=x onerror=1>")
    for name in PAYLOADS:
        field = page.get_by_label("文字", exact=True)
        field.fill(name)
        field.press("Enter")
        screen.settle()
    field.fill("")
    field.press("Enter")
    header = page.get_by_label("表头在第几行")
    header.fill("<img src=x>")
    header.press("Enter")
    screen.settle()
    never_ran(page)
    with page.expect_download():
        page.get_by_text("下载问题清单").click()
    page.goto(page.url + "&lang=en")
    screen.settle()
    expect(page.locator(".st-key-issue-list tbody tr").first).to_be_visible()
    never_ran(page)
    screen.open(page.url.partition("/data")[2].replace("&lang=en", ""))


def test_the_page_of_administration(hostile: str, context: BrowserContext, tmp_path: Path) -> None:
    screen = DataScreen(context, hostile, tmp_path)
    page = screen.page
    page.on("dialog", lambda dialog: screen.faults.append(f"dialog: {dialog.message}"))
    page.goto(f"{hostile}/admin")
    page.locator(ENDED).wait_for()
    switch = page.locator(".st-key-admin-section button")
    expect(switch.first).to_be_visible()
    for at in range(switch.count()):
        switch.nth(at).click()
        screen.settle()
        never_ran(page)
    assert screen.faults == []

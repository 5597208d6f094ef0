"""A clerk's way through the page 数据, in a real browser on the real server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.conftest import OUT
from tests.browser.data_screen import DataScreen
from tests.browser.serving import serving
from tests.conftest import Demonstration
from tests.security.client import Client

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COUNTY = "131025000000"
VILLAGE, OTHER = "131025100201", "131025100202"
CLERK = "demo-clerk"
FILE = "十月 *签约*.csv"
ROWS = (
    "乡镇,村名,月份,签约人数,建档立卡人口\n"
    "平舒镇,北关,2026-10,很多,100\n"
    "平舒镇,东关村,2026-10,5,900\n"
    "无此镇,无此村,2026-10,5,900\n"
)
GOOD = f"区划代码,月份,签约人数,建档立卡人口\n{VILLAGE},2026-10,5,900\n"

OpenData = Callable[..., DataScreen]


@pytest.fixture(scope="module")
def served(demonstration: Demonstration, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demonstration of one county."""
    with serving(demonstration(COUNTY), tmp_path_factory.mktemp("elsewhere")) as address:
        yield address


@pytest.fixture
def open_data(served: str, chromium: Browser) -> Iterator[OpenData]:
    """Opens the page for a fresh sign-in each time; no page may end with a fault."""
    OUT.mkdir(exist_ok=True)
    contexts: list[BrowserContext] = []
    screens: list[DataScreen] = []

    def open_one(
        query: str = "", login: str = CLERK, width: int = 1440, height: int = 900
    ) -> DataScreen:
        phone = width < 500
        context = chromium.new_context(
            viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone,
            locale="zh-CN",
        )  # fmt: skip
        context.add_cookies(Client(served).enter_demonstration(login).browser_cookies())
        contexts.append(context)
        screens.append(DataScreen(context, served, OUT))
        return screens[-1].open(query)

    yield open_one
    for context in contexts:
        context.close()
    assert [fault for screen in screens for fault in screen.faults] == []


@pytest.fixture
def screen(open_data: OpenData) -> Iterator[DataScreen]:
    """The page of the clerk, with nothing left in hand afterwards."""
    opened = open_data()
    yield opened
    opened.open()
    while opened.page.get_by_role("button", name="移除").count():
        opened.press("移除")


def test_a_file_is_looked_through_mended_loaded_and_undone(screen: DataScreen) -> None:
    page = screen.page
    expect(page.locator(".dd-steps .now")).to_have_text("1上传")
    screen.drop((FILE, ROWS.encode("gb18030")))
    screen.checked()
    expect(page.locator(".dd-steps .now")).to_have_text("2核对")
    assert screen.counts() == ["3", "0", "3", "0"]
    expect(page.get_by_label("数据类型", exact=True)).to_have_value("自动：月度数据")
    expect(page.get_by_label("文字编码", exact=True)).to_have_value("自动：GB18030")
    expect(page.locator(".dd-preview thead")).to_contain_text("→ 签约人数")
    expect(page.locator(".dd-preview td.bad").first).to_have_text("北关")
    screen.picture("1-checked")

    screen.press("全部采用首选（2 个）")
    expect(screen.part("names")).to_contain_text("2 个已确认")
    assert screen.counts() == ["3", "1", "2", "0"]

    screen.part("issues").get_by_text("不是数字", exact=True).first.click()
    screen.settle()
    rows = page.locator(".st-key-issue-list tbody tr")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("很多")
    with page.expect_download() as download:
        page.get_by_text("下载不能导入的行").click()
    book = openpyxl.load_workbook(BytesIO(Path(download.value.path()).read_bytes()))
    texts = [str(cell.value) for row in book.worksheets[0].iter_rows() for cell in row]
    assert "很多" in texts and "东关村" not in texts
    assert download.value.suggested_filename == "十月 *签约*_不能导入的行.xlsx".replace("*", "_")

    confirm = page.get_by_role("button", name="确认导入", exact=True)
    expect(confirm).to_be_disabled()
    page.get_by_text("接收正确的行：导入 1 行，其余 2 行不导入").click()
    expect(confirm).to_be_enabled()
    screen.settle()
    confirm.click()
    expect(page.locator(".dd-done")).to_contain_text("接收 1 行，写入 2 条记录", timeout=60_000)
    expect(page.locator(".dd-steps .now")).to_have_text("4完成")
    latest = page.locator(".dd-latest")
    expect(latest).to_contain_text(FILE)
    expect(latest.locator(".dd-why")).to_contain_text("不是数字")
    screen.picture("2-done")

    first = page.locator(".st-key-batches tbody tr").first
    expect(first).to_contain_text("演示·数据员")
    first.get_by_role("link", name="撤销").click()
    page.get_by_role("button", name=re.compile("^确认撤销第")).click()
    expect(screen.part("undoing")).to_contain_text("已撤销", timeout=60_000)
    expect(page.locator(".st-key-batches tbody tr").first).to_contain_text("已撤销")
    screen.picture("3-undone")


def test_what_is_wrong_about_the_file_can_be_corrected(screen: DataScreen) -> None:
    text = "2026年9月签约情况,,\n区划代码,签约人数,建档立卡人口\n" + f"{VILLAGE},5,900\n"
    screen.drop(("表.csv", text.encode()))
    screen.checked()
    expect(screen.page.get_by_label("月份", exact=True)).to_have_value("按文件：2026年9月")
    assert screen.counts() == ["1", "1", "0", "0"] or screen.counts()[1] == "1"
    screen.choose("月份", "2026年10月")
    expect(screen.part("issues")).to_contain_text("指定的月份是")
    screen.choose("月份", "按文件")
    header = screen.page.get_by_label("表头在第几行")
    expect(header).to_have_value("2")
    header.fill("一")
    header.press("Enter")
    screen.settle()
    expect(screen.part("detected")).to_contain_text("请写行号")
    header.fill("3")
    header.press("Enter")
    screen.settle()
    expect(screen.page.locator(".dd-preview thead")).to_contain_text(VILLAGE)
    expect(screen.part("decide")).to_contain_text("没有可以导入的行")


def test_a_reload_or_another_sign_in_finds_the_upload_again(
    screen: DataScreen, open_data: OpenData
) -> None:
    screen.drop((FILE, GOOD.encode()))
    screen.checked()
    screen.choose("文字编码", "UTF-8")
    screen.page.reload()
    screen.checked()
    expect(screen.page.get_by_label("文字编码", exact=True)).to_have_value("UTF-8")
    again = open_data()
    expect(again.page.locator(".st-key-upload .dd-file").first).to_contain_text(FILE)
    other = open_data(login="demo-administrator")
    assert other.page.get_by_text(FILE).count() == 0 or not other.part("upload").count()
    upload = screen.page.url.partition("upload=")[2]
    stranger = open_data(f"?upload={upload}", login="demo-administrator")
    assert stranger.part("upload").count() == 0


def test_several_files_are_loaded_in_turn(screen: DataScreen) -> None:
    screen.drop(("甲.csv", GOOD.encode()), ("乙.csv", GOOD.replace(VILLAGE, OTHER).encode()))
    screen.checked()
    expect(screen.page.locator(".st-key-uploads tbody tr")).to_have_count(2)
    screen.press("依次导入全部 2 个文件")
    expect(screen.page.locator(".dd-done")).to_be_visible(timeout=60_000)
    screen.settle()
    expect(screen.page.locator(".st-key-uploads .dd-tag.done")).to_have_count(2)


def test_stop_really_stops_a_read(screen: DataScreen) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("一")
    for number in range(250_000):
        sheet.append([number, "文字" * 8, number * 2, "内容"])
    body = BytesIO()
    book.save(body)
    screen.drop(("很大的表.xlsx", body.getvalue()))
    expect(screen.page.locator(".dd-progress")).to_contain_text("已用")
    screen.picture("4-progress")
    screen.page.get_by_role("button", name="停止").click()
    expect(screen.part("upload")).to_contain_text("已按您的要求停止")
    expect(screen.page.get_by_role("button", name="重新检查")).to_be_visible()


def test_a_file_too_large_or_of_no_use_is_told_in_words(screen: DataScreen) -> None:
    screen.drop(("说明.docx", b"PK\x03\x04 nothing"))
    expect(screen.part("upload")).to_contain_text("不认识的文件类型")
    expect(screen.part("upload")).to_contain_text("没有可以导入的行")


def test_no_english_is_left_where_files_are_dropped(screen: DataScreen) -> None:
    words = screen.page.evaluate(
        "() => [...document.querySelectorAll('.st-key-drop *')]"
        ".filter(e => e.getClientRects().length && getComputedStyle(e).fontSize !== '0px')"
        ".flatMap(e => [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent))"
    )
    assert not re.search("[A-Za-z]{3}", " ".join(words)), words
    shown = screen.page.evaluate(
        "() => ['button', '[data-testid=stFileUploaderDropzoneInstructions]'].map(s =>"
        " getComputedStyle(document.querySelector('.st-key-drop ' + s), '::after').content)"
    )
    assert shown == ['"选择文件"', '"拖到这里，或点左侧按钮选择"']


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_phone_scrolls_down_only(open_data: OpenData, lang: str) -> None:
    screen = open_data(f"?lang={lang}", width=390, height=844)
    screen.drop((FILE, ROWS.encode()))
    screen.checked()
    screen.picture(f"5-phone-{lang}")
    wide = screen.page.locator("[data-testid=stMain]").evaluate(
        "e => [e.scrollWidth, e.clientWidth]"
    )
    assert wide[0] <= wide[1]
    low = screen.page.evaluate(
        "() => [...document.querySelectorAll('.stMain .stButton button')]"
        ".filter(e => e.getClientRects().length && e.getBoundingClientRect().height < 43.5)"
        ".map(e => e.textContent)"
    )
    assert low == []
    screen.press("移除" if lang == "zh" else "Remove")


def test_a_viewer_has_no_such_page(served: str, chromium: Browser) -> None:
    context = chromium.new_context(locale="zh-CN")
    context.add_cookies(Client(served).enter_demonstration("demo-viewer").browser_cookies())
    page = context.new_page()
    page.goto(f"{served}/data")
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(500)
    assert page.locator(".st-key-drop, .dd-latest, .st-key-history").count() == 0
    assert "没有打开“数据”页面的权限" in page.locator(".dd-corrected").inner_text()
    page.goto(f"{served}/nothing")
    expect(page.locator(".dd-corrected")).to_contain_text("没有页面“nothing”")
    context.close()

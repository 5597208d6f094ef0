"""管理 in a real browser: an administrator's afternoon, at a desk and on a telephone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from dashboard.access import Role, operator
from dashboard.accounts import service as accounts
from dashboard.accounts.model import State
from dashboard.store import Store
from tests.browser.conftest import OUT
from tests.browser.serving import serving
from tests.privacy import world
from tests.security.client import Client
from tests.security.served import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OPERATOR = operator("tests")
WITHIN_MS = 30_000
ENDED = "[data-testid=stApp][data-test-script-state=notRunning]"
ENGLISH = re.compile(r"\b[A-Z][a-z]{2,}(?: [a-z]+)+\b")
"""Two English words in a row: what Streamlit leaves behind."""


def account(store: Store, login: str, title: str, role: Role, place: str | None) -> None:
    link = accounts.add_account(store, OPERATOR, login, title, role=role, place_id=place)
    accounts.set_password(store, link.token, PASSWORD)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """A small county with real accounts and a register of invented persons, served."""
    elsewhere = tmp_path_factory.mktemp("admin")
    store = world.county(Store.open(elsewhere / "data"))
    register = world.write(elsewhere / "名册.csv", world.PEOPLE)
    assert world.load(store, OPERATOR, register).committed
    account(store, "admin", "李某 信息科", Role.ADMINISTRATOR, None)
    account(store, "shuju", "张三 数据员", Role.CLERK, "A")
    account(store, "zhenzhang", "<b>赵某</b> *镇长*", Role.TOWNSHIP_HEAD, "A1")
    with serving(elsewhere / "data", elsewhere) as address:
        yield address, store
    store.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(site: tuple[str, Store], chromium: Browser) -> Iterator[OpenPage]:
    """Opens a section of the page, signed in; whatever goes wrong in the browser fails the test."""
    OUT.mkdir(exist_ok=True)
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(f"console: {message.text}")

    def on_request(request: Request) -> None:
        if request.url.startswith("http") and not request.url.startswith(site[0]):
            faults.append(f"left the machine: {request.url}")

    def open_one(section: str, phone: bool = False, login: str = "admin") -> Page:
        width, height = (390, 844) if phone else (1440, 900)
        context = chromium.new_context(
            viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone,
            locale="zh-CN",
        )  # fmt: skip
        contexts.append(context)
        context.add_cookies(Client(site[0]).sign_in(login, PASSWORD).browser_cookies())
        page = context.new_page()
        page.set_default_timeout(WITHIN_MS)
        page.on("console", on_console)
        page.on("request", on_request)
        page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
        page.on("dialog", lambda dialog: faults.append(f"executed: {dialog.message}"))
        page.goto(f"{site[0]}/admin?section={section}")
        page.locator(f".st-key-admin-{section}").wait_for()
        settle(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert faults == []


def settle(page: Page) -> None:
    """Wait until the page has run to its end."""
    page.locator(ENDED).wait_for()
    page.wait_for_timeout(400)
    page.locator(ENDED).wait_for()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).first.click()
    settle(page)


def fill(page: Page, label: str, text: str) -> None:
    """Type into a field and leave it; leaving it runs the page, which would shut an open list."""
    field = page.get_by_role("textbox", name=label, exact=True)
    field.fill(text)
    field.press("Tab")
    settle(page)


def choose(page: Page, label: str, text: str) -> None:
    """Take the option of a select that holds a text."""
    page.get_by_role("combobox", name=label).first.click()
    page.get_by_role("option").filter(has_text=text).first.click()
    settle(page)


def picture(page: Page, name: str) -> None:
    page.screenshot(path=OUT / f"{name}.png", full_page=True)


def body(page: Page) -> str:
    return page.locator("[data-testid=stMain]").inner_text()


def test_the_first_look_is_accounts_and_the_audit_search(open_page: OpenPage) -> None:
    page = open_page("accounts")
    expect(page.locator("[data-testid=stDataFrame]")).to_be_in_viewport()
    expect(page.get_by_role("button", name="查询")).to_be_in_viewport()
    picture(page, "admin-accounts")


def test_a_title_is_edited_in_the_table_and_saved(
    open_page: OpenPage, site: tuple[str, Store]
) -> None:
    page = open_page("accounts")
    table = page.locator("[data-testid=stDataFrame]")
    box = table.bounding_box()
    assert box is not None
    row = 1 + [each.login for each in accounts.list_accounts(site[1], OPERATOR)].index("shuju")
    at = {"x": 200.0, "y": 38.0 * row + 19}
    editor = page.locator("#portal textarea, #portal input").first
    # The first click marks the cell, the next opens it; one more when the table was still loading.
    for _ in range(4):
        table.click(position=at)  # type: ignore[arg-type]
        page.wait_for_timeout(500)
        if editor.count():
            break
    editor.fill("张三 数据科")
    editor.press("Enter")
    page.get_by_role("button", name="保存 1 个账号的修改").wait_for()
    press(page, "保存 1 个账号的修改")
    expect(page.get_by_text("已保存 1 个账号的修改")).to_be_visible()
    assert accounts.account(site[1], OPERATOR, "shuju").title == "张三 数据科"


def test_an_account_is_made_and_its_link_works(
    open_page: OpenPage, site: tuple[str, Store]
) -> None:
    page = open_page("accounts")
    page.get_by_text("新建账号", exact=True).click()
    fill(page, "账号", "xin")
    fill(page, "姓名职务", "新某")
    choose(page, "角色", "乡镇负责人")
    choose(page, "下级", "廊坊市")
    choose(page, "下级", "大城县")
    choose(page, "下级", "平舒镇")
    press(page, "新建并生成一次性链接")
    link = page.locator("[data-testid=stCode] code").inner_text()
    picture(page, "admin-link")
    assert link.startswith(f"{site[0]}/login/link/")
    (given,) = accounts.account(site[1], OPERATOR, "xin").grants
    assert (given.role, given.place_id) == (Role.TOWNSHIP_HEAD, "A1")
    accounts.set_password(site[1], link.rpartition("/")[2], PASSWORD)
    assert Client(site[0]).sign_in("xin", PASSWORD)


def test_a_role_is_granted_on_the_tree_and_revoked(
    open_page: OpenPage, site: tuple[str, Store]
) -> None:
    page = open_page("grants")
    choose(page, "给谁授权", "zhenzhang")
    choose(page, "角色", "督查组")
    page.get_by_placeholder("搜索地名").fill("旺村镇")
    press(page, "旺村镇　")
    picture(page, "admin-grants")
    press(page, "授予")
    expect(page.get_by_text("已授予")).to_be_visible()
    given = accounts.account(site[1], OPERATOR, "zhenzhang").grants[-1]
    assert (given.role, given.place_id) == (Role.INSPECTION_TEAM, "A2")
    # What came from somebody's keyboard is shown as it was typed.
    assert "<b>赵某</b> *镇长*" in body(page)
    page.locator(f".st-key-admin-revoke-{given.id} button").click()
    page.locator(f".st-key-admin-revoke-yes-{given.id} button").click()
    expect(page.get_by_text("已收回")).to_be_visible()
    assert given not in accounts.account(site[1], OPERATOR, "zhenzhang").grants


def test_a_sign_in_is_ended_and_its_page_goes_to_the_door(
    open_page: OpenPage, site: tuple[str, Store]
) -> None:
    other = Client(site[0]).sign_in("shuju", PASSWORD)
    assert other.get("/map").status == 200
    page = open_page("sessions")
    seen = accounts.sessions(site[1], OPERATOR)
    row = 1 + [each.login for each in seen].index("shuju")
    table = page.locator("[data-testid=stDataFrame]")
    end = page.get_by_role("button", name="结束所选 1 个会话")
    for _ in range(3):
        table.click(position={"x": 16, "y": 38.0 * row + 19})
        page.wait_for_timeout(600)
        if end.count():
            break
    picture(page, "admin-sessions")
    end.click()
    expect(page.get_by_text("已结束 1 个会话")).to_be_visible()
    assert other.get("/map").status in (302, 303, 401)


def test_who_looked_is_found_and_taken_along(open_page: OpenPage) -> None:
    page = open_page("accounts")
    page.get_by_role("textbox", name="人员", exact=True).fill("tests")
    press(page, "查询")
    page.locator(".dd-audit tbody tr").first.wait_for()
    assert "section=audit" in page.url
    rows = page.locator(".dd-audit tbody tr")
    assert rows.count() > 3
    assert all("tests" in each for each in page.locator(".dd-said").all_inner_texts())
    rows.first.locator("summary").click()
    picture(page, "admin-audit")
    press(page, "导出")
    with page.expect_download() as waiting:
        page.get_by_role("link", name=re.compile("下载")).click()
    assert Path(waiting.value.path()).read_bytes()[:2] == b"PK"
    page.go_back()
    page.locator(".st-key-admin-accounts").wait_for()


def test_a_data_path_tells_all_and_the_person_is_erased(open_page: OpenPage) -> None:
    page = open_page("persons")
    page.get_by_role("textbox", name="身份证号").fill(world.LI[1])
    press(page, "查询")
    page.locator(".dd-path").wait_for()
    told = body(page)
    assert "名册.csv" in told and "李**" in told and world.LI[1][-4:] in told
    assert world.LI[1] not in page.content() and world.LI[0] not in page.content()
    picture(page, "admin-person")
    page.get_by_text("删除此人的个人数据").click()
    page.get_by_role("textbox", name="事由").fill("依本人申请删除")
    page.get_by_role("textbox", name="事由").press("Tab")
    page.get_by_text("已核对此人信息").click()
    settle(page)
    page.locator(".st-key-admin-person-erase button").click()
    expect(page.get_by_text("个人数据已删除。")).to_be_visible()
    expect(page.get_by_text("删除证明").first).to_be_visible()
    picture(page, "admin-erased")


def test_a_backup_and_the_checks(open_page: OpenPage, site: tuple[str, Store]) -> None:
    page = open_page("keep")
    press(page, "立即备份")
    expect(page.locator(".dd-table")).to_contain_text("dudao-")
    press(page, "开始核验")
    expect(page.get_by_text("全部完好")).to_be_visible()
    press(page, "开始检查")
    expect(page.locator(".dd-verdict")).to_be_visible()
    picture(page, "admin-keep")
    assert list((site[1].directory / "backups").iterdir())


SECTIONS = ("accounts", "grants", "sessions", "audit", "persons", "keep")


@pytest.mark.parametrize("section", SECTIONS)
def test_on_a_telephone_nothing_runs_off_the_side(open_page: OpenPage, section: str) -> None:
    page = open_page(section, phone=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = page.evaluate(
        "[...document.querySelectorAll('[data-testid=stMain] button')].filter(b => {"
        " const r = b.getBoundingClientRect();"
        " return r.width && r.height && r.height < 43 && b.innerText.trim(); })"
        ".map(b => b.innerText)"
    )
    assert small == []
    picture(page, f"admin-phone-{section}")


@pytest.mark.parametrize("section", SECTIONS)
def test_no_english_is_left_over(open_page: OpenPage, section: str) -> None:
    page = open_page(section)
    assert ENGLISH.findall(body(page)) == []
    labels = page.locator("[data-testid=stMain] [placeholder]").evaluate_all(
        "each => each.map(one => one.placeholder)"
    )
    assert [label for label in labels if ENGLISH.search(label)] == []


def test_who_may_not_gets_nothing(open_page: OpenPage, site: tuple[str, Store]) -> None:
    """Forced by its address, the page says so and shows nobody's account."""
    context_page = open_page("accounts")
    browser = context_page.context.browser
    assert browser is not None
    context = browser.new_context(locale="zh-CN")
    context.add_cookies(Client(site[0]).sign_in("zhenzhang", PASSWORD).browser_cookies())
    page = context.new_page()
    page.goto(f"{site[0]}/admin")
    page.locator(ENDED).wait_for()
    settle(page)
    assert page.locator("[data-testid=stDataFrame]").count() == 0
    assert "shuju" not in page.content() and "admin" not in body(page)
    assert accounts.account(site[1], OPERATOR, "admin").state is State.ACTIVE
    context.close()

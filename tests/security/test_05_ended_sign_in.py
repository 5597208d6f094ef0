"""Attack 5: the sign-in ends in another tab or process, then the old page speaks."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from websockets.exceptions import ConnectionClosed

from dashboard.gate.sockets import ENDED
from dashboard.store import Store
from tests.browser.serving import serving
from tests.security.client import COOKIE, Client, Page, rerun
from tests.security.served import ENDINGS, Served


def _opened(client: Client) -> tuple[Page, str, str]:
    """A page that has run, its fragment's id and its button's."""
    page = client.socket()
    page.run()
    fragment = next(delta.fragment_id for delta in page.deltas() if delta.fragment_id)
    button = next(
        delta.new_element.button.id
        for delta in page.deltas()
        if delta.new_element.button.label == "callback"
    )
    return page, fragment, button


def test_while_signed_in_both_run(small: Served) -> None:
    """The attack below would work: the same messages do run before the end."""
    page, fragment, button = _opened(small.sign_in("administrator"))
    before = small.effects()
    page.run(fragment=fragment)
    page.run(button=button)
    assert (small.effects() - before).keys() == {
        f"{what} {small.actor_of('administrator')}" for what in ("fragment", "callback", "run")
    }
    page.close()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["fragment", "callback", "run"])
def test_then_nothing_runs(small: Served, ending: str, kind: str) -> None:
    login = small.new_account("viewer")
    client = small.stranger().sign_in(login, small.password)
    page, fragment, button = _opened(client)
    before = small.effects()
    small.end(ending, login, client)
    message = {
        "fragment": rerun(fragment=fragment),
        "callback": rerun(button=button),
        "run": rerun(),
    }[kind]
    try:
        page.send(message)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None and closed.rcvd.code == ENDED
    assert page.closed_with() == ENDED
    assert small.effects() == before
    assert client.refused() == 403
    assert client.get("/map").status == 401


def test_a_silent_page_is_closed_too(small: Served) -> None:
    """Signing out closes every tab at once, without waiting for a message."""
    client = small.sign_in("viewer")
    pages = [_opened(client)[0] for _ in range(3)]
    other = small.sign_in("viewer")
    kept = _opened(other)[0]
    assert client.request("POST", "/logout", {"Origin": client.address}, b"").status == 303
    assert [page.closed_with(within_s=5) for page in pages] == [ENDED] * 3
    assert kept.run()
    kept.close()


def test_a_demotion_in_another_process_closes_a_silent_page(small: Served) -> None:
    login = small.new_account("viewer")
    page, _, _ = _opened(small.stranger().sign_in(login, small.password))
    small.end("demoted by another process", login, small.stranger())
    assert page.closed_with(within_s=15) == ENDED


@pytest.mark.browser
def test_the_person_sees_the_sign_in_page(small: Served, chromium: Browser) -> None:
    client = small.sign_in("viewer")
    context = chromium.new_context(locale="zh-CN")
    context.add_cookies(client.browser_cookies())
    tabs = [context.new_page(), context.new_page()]
    for tab in tabs:
        tab.goto(client.address)
        tab.get_by_text("actor=").wait_for()
    tabs[0].evaluate("void fetch('/logout', {method: 'POST', redirect: 'manual'})")
    for tab in tabs:
        tab.wait_for_url("**/login?**", timeout=10_000)
        assert "登录" in tab.inner_text("body")
        assert "Connection error" not in tab.inner_text("body")
    context.close()


@pytest.mark.browser
def test_the_button_of_the_page_signs_every_tab_out(product: Served, chromium: Browser) -> None:
    client = product.sign_in("viewer")
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1440, "height": 900})
    context.add_cookies(client.browser_cookies())
    tabs = [context.new_page(), context.new_page()]
    for tab in tabs:
        tab.goto(client.address)
        tab.locator("iframe[title*='streamlit_folium']").wait_for(state="attached")
    tabs[0].get_by_role("button", name="退出登录").click()
    tabs[0].wait_for_url("**/login?out=1")
    tabs[1].wait_for_url("**/login?ended=1&next=*")
    assert not [each for each in context.cookies() if each["name"] == COOKIE]
    assert client.get("/map").status == 401
    context.close()


@pytest.mark.browser
def test_a_lost_connection_is_said_in_chinese(tmp_path: Path, chromium: Browser) -> None:
    """The server stops: the page says so in words, and Streamlit's English dialog stays away."""
    store = Store.open(tmp_path / "data")
    effects = {"DUDAO_TEST_EFFECTS": str(tmp_path / "effects")}
    context = chromium.new_context(locale="zh-CN")
    tab = context.new_page()
    with serving(tmp_path / "data", tmp_path, effects, "tests.security.small_server") as address:
        served = Served(address, store, tmp_path / "log", tmp_path / "effects")
        context.add_cookies(served.sign_in("viewer").browser_cookies())
        tab.goto(address)
        tab.get_by_text("actor=").wait_for()
    tab.get_by_role("status").get_by_text("与服务器的连接已断开").wait_for(timeout=10_000)
    tab.wait_for_timeout(5_000)
    assert tab.get_by_role("dialog").count() == 0
    assert "Connection error" not in tab.inner_text("body")
    context.close()
    store.close()

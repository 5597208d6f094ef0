"""The city's demonstration, served by the real server to a real Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from dashboard.demo import DEFAULT_ROOT
from tests.browser.screen import Screen
from tests.browser.serving import serving
from tests.conftest import Demonstration
from tests.security.client import Client

OUT = Path(__file__).parents[1] / "out"

OpenScreen = Callable[..., Screen]


@pytest.fixture(scope="session")
def address(
    demonstration: Demonstration, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where the demonstration of the whole city is served, started far from the project."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with serving(demonstration(DEFAULT_ROOT), elsewhere) as served:
        yield served


@pytest.fixture(scope="session")
def person(address: str) -> Client:
    """Somebody who is signed in with the first of the demonstration's accounts."""
    return Client(address).enter_demonstration()


@pytest.fixture
def open_screen(address: str, person: Client, chromium: Browser) -> Iterator[OpenScreen]:
    """Opens the page in a fresh context each time; every screen must end without a fault.

    A fault is a request that leaves 127.0.0.1, a console error, a script error or a failed request.
    """
    OUT.mkdir(exist_ok=True)
    contexts: list[BrowserContext] = []
    screens: list[Screen] = []

    def open_one(
        path: str = "/", width: int = 1440, height: int = 900, phone: bool = False
    ) -> Screen:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone,
            locale="zh-CN",
        )  # fmt: skip
        context.add_cookies(person.browser_cookies())
        contexts.append(context)
        screens.append(Screen(context.new_page(), address, OUT))
        screens[-1].open(path)
        return screens[-1]

    yield open_one
    for context in contexts:
        context.close()
    assert [fault for screen in screens for fault in screen.faults] == []

"""Attack 15: no network. The map works, and neither the browser nor the server asks elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.screen import Screen
from tests.browser.serving import serving
from tests.ensure_chromium import ARGS
from tests.security.conftest import COUNTY
from tests.security.served import Served

WATCHED = Path(__file__).with_name("watched")
TOWN = "131025100000"


@pytest.fixture
def cut_off(chromium: Browser, chromium_path: str) -> Iterator[Browser]:
    """A Chromium that can resolve no name and reach this machine only."""
    browser = chromium.browser_type.launch(
        executable_path=chromium_path,
        args=[*ARGS, "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"],
    )
    yield browser
    browser.close()


@pytest.mark.browser
def test_the_map_works_and_nothing_leaves(
    product: Served, cut_off: Browser, tmp_path: Path
) -> None:
    """At the size of a desk and of a phone."""
    outside = tmp_path / "outside"
    with serving(product.data, tmp_path, _watching(outside)) as address:
        client = replace(product, address=address).sign_in("viewer")
        for width, height, phone in ((1440, 900, False), (390, 844, True)):
            context = cut_off.new_context(
                viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone
            )
            context.add_cookies(client.browser_cookies())
            screen = Screen(context.new_page(), address, tmp_path)
            screen.open("/")
            assert screen.params()["place"] == COUNTY
            assert len(screen.polygons()) > 5
            screen.settle()
            screen.click_place(TOWN)
            screen.wait_params(place=TOWN)
            screen.wait_drawn(f"/{TOWN}/")
            screen.settle()
            assert screen.faults == []
            context.close()
    assert not outside.exists(), outside.read_text()


def _watching(outside: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(WATCHED), "DUDAO_TEST_OUTSIDE": str(outside)}


@pytest.mark.parametrize(
    "call",
    [
        "import socket; socket.create_connection(('192.0.2.1', 9), 0.1)",
        "import socket; socket.getaddrinfo('example.invalid', 80)",
        "import urllib.request; urllib.request.urlopen('http://192.0.2.1:9/', timeout=0.1)",
    ],
)
def test_the_watch_would_see_it(tmp_path: Path, call: str) -> None:
    outside = tmp_path / "outside"
    subprocess.run(
        [sys.executable, "-c", call],
        env={**os.environ, **_watching(outside)},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert outside.read_text()

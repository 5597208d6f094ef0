"""Servers and browsers the measurements need, each ended with its block."""

from __future__ import annotations

import gzip
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, Page, sync_playwright

from bench import OUT
from dashboard.access import Role, operator
from dashboard.accounts import service as accounts
from dashboard.gate.cookies import PLAIN
from dashboard.store import Store
from dashboard.ui.assets import asset_path
from geodata.errors import DudaoError
from tests.ensure_chromium import ensure

ROOT = Path(__file__).parents[1]
CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WINDOW = {"width": 1440, "height": 900}
_START_S = 60
_LOGIN = "bench"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Product:
    """The real server and a viewer who is signed in to it."""

    address: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs to be answered."""
        return {"Cookie": f"{PLAIN}={self.token}"}

    def page(self, browser: Browser) -> Page:
        """A page of a browser that is signed in.

        The site's policy forbids evaluating strings, which is how Playwright waits, so it is off.
        """
        context = browser.new_context(viewport=WINDOW, bypass_csp=True)
        context.add_cookies([{"name": PLAIN, "value": self.token, "url": self.address}])
        return context.new_page()


@contextmanager
def product(data: Path, timings: Path) -> Iterator[Product]:
    """The real server on a data directory.

    Script runs are timed into ``timings``, one JSON line each, see ``bench.serve``.
    """
    port = free_port()
    command = [sys.executable, "-m", "bench.serve", str(data), str(port), str(timings)]
    store = Store.open(data)
    token = signed_in(store)
    store.close()
    with _process(command, f"http://127.0.0.1:{port}", "/healthz") as address:
        yield Product(address, token)


def signed_in(store: Store) -> str:
    """The token of a new sign-in of a viewer of everything."""
    operator_of_bench = operator("bench")
    try:
        seen = accounts.account(store, operator_of_bench, _LOGIN)
        link = accounts.reset(store, operator_of_bench, seen.id)
    except DudaoError as error:
        if error.code != "ACCOUNT_NOT_FOUND":
            raise
        link = accounts.add_account(store, operator_of_bench, _LOGIN, "测量", role=Role.VIEWER)
    password = secrets.token_urlsafe(16)
    accounts.set_password(store, link.token, password)
    return accounts.sign_in(store, _LOGIN, password, "127.0.0.1", "bench")


@contextmanager
def naive(payloads: Path, assets: str) -> Iterator[str]:
    """The naive page on the same GeoJSON, Leaflet from ``assets``; yields its address."""
    port = free_port()
    command = [
        sys.executable, "-m", "streamlit", "run", str(Path(__file__).parent / "naive" / "app.py"),
        "--server.address=127.0.0.1", f"--server.port={port}", "--server.headless=true",
        "--browser.gatherUsageStats=false", "--server.fileWatcherType=none",
        "--", str(payloads), assets,
    ]  # fmt: skip
    with _process(command, f"http://127.0.0.1:{port}", "/_stcore/health") as address:
        yield address


@contextmanager
def _process(command: list[str], address: str, health: str) -> Iterator[str]:
    OUT.mkdir(exist_ok=True)
    with (OUT / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        try:
            _wait_for(process, address + health)
            yield address
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended, see {OUT / 'server.log'}")
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"no answer from {url} within {_START_S} s")


class _StaticFiles(SimpleHTTPRequestHandler):
    """bench/static, Leaflet, and the payloads compressed once, as the product sends them."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, bodies: dict[str, bytes], **kwargs: Any) -> None:
        self._bodies = bodies
        super().__init__(*args, directory=str(Path(__file__).parent / "static"), **kwargs)

    def do_GET(self) -> None:
        body = self._bodies.get(self.path)
        if body is None:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/geo+json")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def translate_path(self, path: str) -> str:
        asset = asset_path(path.partition("?")[0].removeprefix("/"))
        return super().translate_path(path) if asset is None else str(asset)

    def end_headers(self) -> None:
        if asset_path(self.path.removeprefix("/")) is not None:
            self.send_header("Cache-Control", "max-age=86400")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def static(payloads: Path) -> Iterator[str]:
    """The bare Leaflet page and the same bytes; yields its address."""
    bodies = {
        f"/payload/{path.name}": gzip.compress(path.read_bytes(), 9)
        for path in payloads.glob("*.geojson")
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_StaticFiles, bodies=bodies))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """What is started meanwhile runs on some cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def halves() -> tuple[set[int], set[int]]:
    """The machine's cores in two parts; twice the same where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[::2]), set(cores[1::2] or cores)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=ensure(), args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            browser.close()


def choose_layer(page: Page, layer: str) -> None:
    """Click a layer in the side bar, whose group may be folded."""
    page.locator(f".dd-layerlist details:has(li[data-id='{layer}'])").evaluate(
        "fold => { fold.open = true; }"
    )
    page.locator(f".dd-layerlist li[data-id='{layer}'] a").click()


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and undecoded body of a GET; 304 is an answer, not an error."""
    from urllib.error import HTTPError

    try:
        with urlopen(Request(url, headers=headers), timeout=60) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

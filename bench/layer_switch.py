"""Click on a layer until the new colours are painted: ours, a naive page, a bare Leaflet page.

In each round (a month) each page is opened, then switched through the other layers, none of which
it has shown before: every switch fetches, no browser answers from memory. The click is timed by a
listener in the page, the end by the page's own clock after the frame that shows the polygons.
``ours_again`` goes through the product's layers a second time, which it need not fetch.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page

from bench import OUT
from bench.processes import WINDOW, Product, choose_layer, chromium, get, naive, product, static
from bench.trees import ROOT, Spec, prepared, switched
from dashboard.demo.figures import months_until

ROUNDS = 3
LAYERS = 4
SIZES = (300, 3000)
_WAIT_MS = 60_000

_ON_CLICK = """() => addEventListener("click", (event) => {
    window.clicked = performance.timeOrigin + event.timeStamp;
}, { capture: true })"""

_NAIVE_WATCH = """(count) => {
    // A switch mounts a new frame: wait for one not seen before that holds all the polygons.
    for (const frame of document.querySelectorAll("iframe")) frame.dataset.seen = "1";
    window.painted = null;
    const look = () => {
        for (const frame of document.querySelectorAll("iframe:not([data-seen])")) {
            const inner = frame.contentDocument;
            if (inner && inner.getElementsByClassName("leaflet-interactive").length === count) {
                requestAnimationFrame(() => setTimeout(() => {
                    window.painted = performance.timeOrigin + performance.now();
                }, 0));
                return;
            }
        }
        requestAnimationFrame(look);
    };
    look();
}"""

_OURS_DRAWN = """(url) => {
    for (const frame of document.querySelectorAll("iframe")) {
        const drawn = frame.contentWindow?.dudao?.drawn;
        if (drawn && drawn.url.includes(url)) return drawn;
    }
    return null;
}"""


def run() -> dict[str, Any]:
    """Medians in seconds for each size, with every single time."""
    return {str(size): _one_size(size) for size in SIZES}


def _one_size(size: int) -> dict[str, Any]:
    months = months_until("2026-10", ROUNDS)
    data = prepared(Spec(1, 1, size, months=ROUNDS + 1, wide=True))
    place = f"{ROOT}-0-0"
    layers = switched(LAYERS)
    times: dict[str, list[float]] = {"ours": [], "naive": [], "static": [], "ours_again": []}
    payloads = _payloads(data, place, layers, months, size)
    with (
        chromium() as browser,
        product(data, OUT / "layer_switch_runs.jsonl") as ours_served,
        static(payloads) as static_at,
        naive(payloads, static_at) as naive_at,
    ):
        # One untimed round warms Python, the browser's code caches and the disk.
        for number, month in enumerate((months[0], *months)):
            first, again = _ours(browser, ours_served, place, layers, month, size)
            taken = {
                "ours": first,
                "ours_again": again,
                "naive": _naive(browser, naive_at, layers, month, size),
                "static": _static(browser, static_at, layers, month, size),
            }
            if number > 0:
                for page, seconds in taken.items():
                    times[page] += seconds
    middle = {page: median(seconds) for page, seconds in times.items()}
    return {
        "switches": len(times["ours"]),
        "median": middle,
        "naive_over_ours": middle["naive"] / middle["ours"],
        "ours_minus_static": middle["ours"] - middle["static"],
        "all": times,
    }


def _payloads(
    data: Path, place: str, layers: list[str], months: tuple[str, ...], size: int
) -> Path:
    """The product's own answers as files, for the other two pages."""
    folder = OUT / "payloads" / str(size)
    folder.mkdir(parents=True, exist_ok=True)
    with product(data, OUT / "payload_runs.jsonl") as served:
        for layer in layers:
            for month in months:
                status, headers, body = get(
                    f"{served.address}/layers/{layer}/{place}/{month}/0", **served.headers
                )
                if status != 200:
                    raise RuntimeError(f"/layers answered {status}")
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                (folder / f"{layer}.{month}.geojson").write_bytes(body)
    return folder


def _open(page: Page, url: str) -> Page:
    page.goto(url)
    page.evaluate(_ON_CLICK)
    return page


def _ours(
    browser: Browser, served: Product, place: str, layers: list[str], month: str, size: int
) -> tuple[list[float], list[float]]:
    """Seconds of the switches to layers not shown before, and of going through them again."""
    view = f"?place={place}&layer={layers[0]}&month={month}"
    page = _open(served.page(browser), f"{served.address}/{view}")
    page.wait_for_function(_OURS_DRAWN, arg=f"/{layers[0]}/", timeout=_WAIT_MS)
    seconds = []
    for layer in layers[1:] * 2:
        page.wait_for_timeout(500)
        choose_layer(page, layer)
        drawn = page.wait_for_function(_OURS_DRAWN, arg=f"/{layer}/", timeout=_WAIT_MS).json_value()
        if drawn["polygons"] != size:
            raise RuntimeError(f"drew {drawn['polygons']} polygons instead of {size}")
        seconds.append((drawn["at"] - page.evaluate("window.clicked")) / 1000)
    page.context.close()
    return seconds[: len(layers) - 1], seconds[len(layers) - 1 :]


def _naive(browser: Browser, address: str, layers: list[str], month: str, size: int) -> list[float]:
    page = browser.new_page(viewport=WINDOW)
    page.goto(f"{address}/?layer={layers[0]}&month={month}")
    page.wait_for_selector("iframe")
    page.frame_locator("iframe").locator(".leaflet-interactive").nth(size - 1).wait_for()
    page.evaluate(_ON_CLICK)
    seconds = []
    for layer in layers[1:]:
        page.wait_for_timeout(500)
        page.evaluate(_NAIVE_WATCH, size)
        page.get_by_text(layer, exact=True).click()
        page.wait_for_function("window.painted !== null", timeout=_WAIT_MS)
        seconds.append(page.evaluate("(window.painted - window.clicked) / 1000"))
    page.close()
    return seconds


def _static(
    browser: Browser, address: str, layers: list[str], month: str, size: int
) -> list[float]:
    listed = ",".join(layers)
    page = browser.new_page(viewport=WINDOW)
    _open(page, f"{address}/?layers={listed}&layer={layers[0]}&month={month}")
    page.wait_for_function("window.drawn", timeout=_WAIT_MS)
    seconds = []
    for layer in layers[1:]:
        page.wait_for_timeout(500)
        page.get_by_text(layer, exact=True).click()
        drawn = page.wait_for_function(
            "(layer) => window.drawn.layer === layer && window.drawn", arg=layer, timeout=_WAIT_MS
        ).json_value()
        if drawn["polygons"] != size:
            raise RuntimeError(f"drew {drawn['polygons']} polygons instead of {size}")
        seconds.append((drawn["at"] - page.evaluate("window.clicked")) / 1000)
    page.close()
    return seconds

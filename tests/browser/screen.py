"""One page of the dashboard as a person sees it, with the map's frame inside."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from playwright.sync_api import ConsoleMessage, Frame, Locator, Page, Request, expect

WITHIN_MS = 30_000
MARK = "set by the test"


class Screen:
    """Drives one page and keeps everything that must not happen in ``faults``."""

    def __init__(self, page: Page, address: str, out: Path) -> None:
        self.page = page
        self.faults: list[str] = []
        self._address = address
        self._out = out
        page.set_default_timeout(WITHIN_MS)
        page.on("request", self._on_request)
        page.on("requestfailed", self._on_failed)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.faults.append(f"left the machine: {request.url}")

    def _on_failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.url} {request.failure}")

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} {message.location}")

    def open(self, path: str) -> None:
        """Load the page and wait for the map; marks the frame so that a remount shows."""
        self.page.goto(self._address + path)
        self.wait_drawn("")
        # A frame may get its size, and with it the map its bounds, after the first drawing.
        self.frame.wait_for_function("dudao.state.fitted || !dudao.state.bounds")
        self.frame.evaluate("mark => { window.testMark = mark; }", MARK)

    @property
    def frame(self) -> Frame:
        """The map's frame, the one and only; waits until it has an address."""
        for _ in range(WITHIN_MS // 50):
            frames = [frame for frame in self.page.frames if "streamlit_folium" in frame.url]
            if frames:
                break
            self.page.wait_for_timeout(50)
        assert len(frames) == 1
        return frames[0]

    def layer_link(self, title: str) -> Locator:
        """A layer in the side bar; its group is unfolded first."""
        link = self.page.locator("a").filter(has_text=title)
        fold = self.page.locator(".dd-layerlist details").filter(has=link)
        if fold.get_attribute("open") is None:
            fold.locator("summary").click()
        return fold.locator("a").filter(has_text=title)

    def params(self) -> dict[str, str]:
        """The view in the address bar."""
        return _params(self.page.url)

    def params_when(self, name: str) -> str:
        """Wait until the address bar has a parameter and give its value."""
        self.page.wait_for_url(lambda url: name in _params(url))
        return self.params()[name]

    def wait_params(self, **wanted: str) -> None:
        """Wait until the address bar says so.

        By the browser's own events: the page's policy forbids what ``wait_for_function`` does.
        """
        self.page.wait_for_url(lambda url: wanted.items() <= _params(url).items())

    def wait_drawn(self, part: str, selected: str | None = None, site: str | None = None) -> None:
        """Wait until the map has drawn an address containing ``part``, with these marked."""
        self.page.locator("iframe[title*='streamlit_folium']").wait_for(state="attached")
        self.frame.wait_for_function(
            "([part, selected, site]) => { const d = window.dudao && window.dudao.drawn;"
            " return d && d.url.includes(part) && d.selected === selected && d.site === site; }",
            arg=[part, selected, site],
        )

    def never_remounted(self) -> bool:
        """Whether the frame is still the one first opened."""
        return bool(self.frame.evaluate("mark => window.testMark === mark", MARK))

    def polygons(self) -> list[str]:
        """Ids of the places drawn."""
        return list(self.frame.evaluate("[...dudao.state.paths.keys()]"))

    def colours(self) -> set[str]:
        """Fill colours in use."""
        return set(
            self.frame.evaluate("[...dudao.state.paths.values()].map(p => p.options.fillColor)")
        )

    def point_of(self, place_id: str) -> tuple[float, float]:
        """Where on the page a place can be clicked."""
        x, y = self.frame.evaluate(
            "id => { const p = dudao.state.paths.get(id).feature.properties;"
            " const at = dudao.state.map.latLngToContainerPoint([p.y, p.x]);"
            " return [at.x, at.y]; }",
            place_id,
        )
        box = self.page.locator("iframe[title*='streamlit_folium']").bounding_box()
        assert box is not None
        return box["x"] + x, box["y"] + y

    def hover_place(self, place_id: str) -> None:
        """Point at a place as a hand does: Leaflet looks at the mouse once in 32 ms and drops the
        moves between, and the map may still be moving into its bounds. A hand that sees no label
        moves on and comes back."""
        tip = self.frame.locator(".dudao-tip")
        for _ in range(10):
            x, y = self.point_of(place_id)
            self.page.mouse.move(x, y)
            self.page.wait_for_timeout(100)
            self.page.mouse.move(x + 1, y)
            self.page.wait_for_timeout(200)
            if tip.count():
                return
            self.page.mouse.move(1, 1)
            self.page.wait_for_timeout(200)

    def widest_without_clinic(self) -> str:
        """The drawn village with most room around its middle among those without a clinic."""
        return str(
            self.frame.evaluate(
                "[...dudao.state.paths.keys()].filter(id => !dudao.state.markers.has(`${id}-W1`))"
                ".sort((one, other) => dudao.state.paths.get(other).feature.properties.w"
                " - dudao.state.paths.get(one).feature.properties.w)[0]"
            )
        )

    def click_place(self, place_id: str) -> None:
        """Click the middle of a polygon."""
        self.page.mouse.click(*self.point_of(place_id))

    def view(self) -> tuple[float, float, float]:
        """Centre and zoom of the map."""
        lat, lng, zoom = self.frame.evaluate(
            "[dudao.state.map.getCenter().lat, dudao.state.map.getCenter().lng,"
            " dudao.state.map.getZoom()]"
        )
        return lat, lng, zoom

    def here(self) -> Locator:
        """The last part of the breadcrumb."""
        return self.page.locator(".dd-crumbs .dd-here")

    def expect_here(self, name: str) -> None:
        """Wait until the page is about a place."""
        expect(self.here()).to_have_text(name, timeout=WITHIN_MS)

    def settle(self) -> None:
        """Wait until the page has run to its end: the table follows the map."""
        self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()

    def rows(self) -> list[str]:
        """Ids of the table's rows in order."""
        self.settle()
        return [
            str(row.get_attribute("data-id"))
            for row in self.page.locator(".dd-table tbody tr[data-id]").all()
        ]

    def picture(self, name: str) -> None:
        """Keep a screenshot for the eye."""
        self.settle()
        self.page.wait_for_timeout(400)
        self.page.screenshot(path=self._out / f"{name}.png")


def _params(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))

"""The page 数据 as a clerk uses it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

WITHIN_MS = 30_000
ENDED = "[data-testid=stApp][data-test-script-state=notRunning]"


class DataScreen:
    """Drives one page and keeps what must not happen in ``faults``."""

    def __init__(self, context: BrowserContext, address: str, out: Path) -> None:
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self._address = address
        self._out = out
        self.page.set_default_timeout(WITHIN_MS)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def open(self, query: str = "") -> DataScreen:
        """Load the page and wait until it is complete."""
        self.page.goto(f"{self._address}/data{query}")
        self.page.locator(".dd-latest").wait_for()
        self.settle()
        return self

    def settle(self) -> None:
        """Wait until the page has run to its end."""
        self.page.locator(ENDED).wait_for()
        self.page.wait_for_timeout(300)
        self.page.locator(ENDED).wait_for()

    def drop(self, *files: tuple[str, bytes]) -> None:
        """Drop files and wait until the last is checked, or shows what it waits for."""
        self.page.locator(".st-key-drop input[type=file]").set_input_files(
            [
                {"name": name, "mimeType": "application/octet-stream", "buffer": body}
                for name, body in files
            ]
        )
        expect(self.page.locator(".st-key-upload .dd-file").first).to_contain_text(files[-1][0])

    def checked(self) -> None:
        """Wait until the upload is checked."""
        self.page.locator(".st-key-detected").wait_for()
        self.settle()

    def choose(self, label: str, option: str) -> None:
        """Take an option of a select."""
        self.page.get_by_label(label, exact=True).first.click()
        self.page.get_by_role("option", name=option, exact=True).first.click()
        self.settle()

    def press(self, name: str) -> None:
        """Press a button and wait for what it does."""
        self.page.get_by_role("button", name=name, exact=True).click()
        self.settle()

    def counts(self) -> list[str]:
        """Rows read, that can be taken, that cannot, and skipped."""
        return self.page.locator(".dd-counts .dd-figure").all_inner_texts()

    def part(self, key: str) -> Locator:
        """A part of the page by its key."""
        return self.page.locator(f".st-key-{key}")

    def picture(self, name: str) -> None:
        """Keep a screenshot for the eye."""
        self.settle()
        self.page.screenshot(path=self._out / f"data-{name}.png")

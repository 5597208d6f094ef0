"""Names that are markup, script or Markdown stay names wherever the page shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from playwright.sync_api import Browser, expect

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from tests.browser.screen import Screen
from tests.browser.serving import serving
from tests.security.served import Served

pytestmark = pytest.mark.browser

NAMES = (
    "<img src=x onerror=window.top.broken=1>",
    "`${window.top.broken=1}`</script><script>window.top.broken=1</script>",
    "'\"><svg onload=window.top.broken=1> {{ 7*7 }} **粗**",
)


def _store(directory: Path) -> None:
    """A county of three villages side by side, each with a clinic, all with hostile names."""
    store = Store.open(directory)
    squares = [shapely.box(116 + at * 0.1, 39, 116.1 + at * 0.1, 39.1) for at in range(3)]
    villages = [f"v{at}" for at in range(3)]
    places = pd.DataFrame(
        {
            "id": ["root", *villages],
            "name": ["<b>县</b>", *NAMES],
            "level": [3, 5, 5, 5],
            "parent_id": [None, "root", "root", "root"],
            "valid_from": np.array(["2020-01-01"] * 4, dtype="datetime64[s]"),
            "valid_to": np.array(["NaT"] * 4, dtype="datetime64[s]"),
            "lon": [116.15, 116.05, 116.15, 116.25],
            "lat": [39.05] * 4,
            "indicative": False,
        }
    )
    outlines = np.array([shapely.union_all(squares), *squares], dtype=object)
    clinics = pd.DataFrame(
        {
            "id": ["c0", "c1", "c2"], "name": NAMES, "kind": "village_clinic",
            "place_id": villages, "lon": [116.02, 116.12, 116.22], "lat": 39.02,
        }
    )  # fmt: skip
    figures = pd.DataFrame(
        [
            (village, "2026-10", measure, "reported", value)
            for village in villages
            for measure, value in (("contracted_persons", 5.0), ("registered_persons", 10.0))
        ],
        columns=["place_id", "month", "measure", "source", "value"],
    )
    for change in (
        Change(dataset="places", frame=places, geometries=outlines),
        Change(dataset="institutions", frame=clinics),
        Change(dataset="figures", frame=figures),
    ):
        commit(store, SYSTEM, change, registry.pairs())
    store.close()


def test_hostile_names_are_shown_and_never_run(tmp_path: Path, chromium: Browser) -> None:
    _store(tmp_path / "data")
    with serving(tmp_path / "data", tmp_path) as address:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        store = Store.open(tmp_path / "data")
        served = Served(address, store, tmp_path / "log", tmp_path / "effects")
        context.add_cookies(served.sign_in("viewer").browser_cookies())
        store.close()
        screen = Screen(context.new_page(), address, tmp_path)
        screen.open("/")
        screen.settle()
        expect(screen.here()).to_have_text("<b>县</b>")
        for name in NAMES:
            expect(screen.page.locator(".dd-table").get_by_text(name, exact=True)).to_be_visible()
        for at, name in enumerate(NAMES):
            screen.hover_place(f"v{at}")
            expect(screen.frame.locator(".dudao-tip-name")).to_have_text(name)
        screen.frame.locator(".dudao-site").first.click()
        clinic = NAMES[int(screen.params_when("site")[1:])]
        expect(screen.page.locator(".dd-site h2")).to_have_text(clinic)
        screen.click_place("v1")
        screen.expect_here(NAMES[1])
        screen.page.get_by_placeholder("搜索地名").fill("img")
        expect(screen.page.locator(".dd-results, .dd-crumbs").first).to_be_visible()
        screen.page.goto(f"{address}/comparison?place=root")
        for name in NAMES:
            expect(screen.page.locator(".dd-compare").get_by_text(name, exact=True)).to_be_visible()
        screen.page.goto(f"{address}/comparison?place=root&part=funnel")
        screen.page.locator(".dd-funnel-plot [data-words]").last.hover()
        expect(screen.page.locator(".dd-readout")).to_contain_text(f"{NAMES[2]}：50.0%")
        screen.page.goto(f"{address}/?place={NAMES[0]}&layer={NAMES[0]}&month={NAMES[0]}")
        expect(screen.page.get_by_role("alert")).to_contain_text(NAMES[0])
        screen.settle()
        assert screen.page.evaluate("window.broken") is None
        assert screen.faults == []
        context.close()

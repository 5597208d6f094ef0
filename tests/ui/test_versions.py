"""A corrected month as it was: on the map's page, in what the map fetches, in exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest
from starlette.requests import Request

from dashboard import server
from dashboard.access import SYSTEM
from dashboard.accounts.model import SignedIn
from dashboard.coverage import registry, service
from dashboard.coverage.model import View
from dashboard.reports import service as reports
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.ui import caches, state
from geodata.errors import DudaoError

from .conftest import COUNTY, LATEST, TOWN, VILLAGE
from .test_pages import opened, shown

LAYER = "contract_coverage"


@pytest.fixture(scope="module")
def corrected_directory(
    demo_directory: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The demonstration with one village's figure of the latest month corrected."""
    directory = tmp_path_factory.mktemp("corrected") / "data"
    copytree(demo_directory, directory)
    store = Store.open(directory)
    with store.unit(SYSTEM) as unit:
        figures = unit.figures([VILLAGE], [LATEST], ["contracted_persons"])
    figures = figures[figures["source"] == "reported"].assign(value=lambda rows: rows.value + 1)
    assert len(figures) == 1
    commit(store, SYSTEM, Change(dataset="figures", frame=figures), registry.pairs())
    store.close()
    yield directory


@pytest.fixture
def corrected(configured: Settings, corrected_directory: Path) -> Store:
    caches.configure(Settings(data=corrected_directory))
    return caches.store()


def versions(store: Store) -> tuple[int, int]:
    """The version that stands, and the one before."""
    with store.unit(SYSTEM) as unit:
        now, before, *_earlier = (edition.version for edition in unit.editions(LATEST))
    return now, before


def village(store: Store, administrator: SignedIn, query: str) -> float | None:
    """The village's numerator as ``/layers`` tells it."""
    scope = {
        "type": "http",
        "headers": [],
        "query_string": query.encode(),
        "path_params": {"layer": LAYER, "place": TOWN, "month": LATEST, "version": "0"},
        "state": {"signed_in": administrator},
    }
    answer = server.layers(Request(scope))
    if answer.status_code != 200:
        return None
    features = json.loads(bytes(answer.body))["features"]
    (found,) = (one["properties"]["a"] for one in features if one["properties"]["id"] == VILLAGE)
    return float(found)


def test_the_map_fetches_the_version_asked_for(corrected: Store, administrator: SignedIn) -> None:
    _now, before = versions(corrected)
    stands = village(corrected, administrator, "")
    assert stands is not None
    assert village(corrected, administrator, f"version={LATEST}~{before}") == stands - 1
    # Of another month nothing changes.
    assert village(corrected, administrator, "version=2026-09~1") == stands
    for wrong in (f"{LATEST}~99", f"{LATEST}~x", f"{LATEST}~²", "~", "", "nonsense~1"):
        assert village(corrected, administrator, f"version={wrong}") is None


def test_the_page_says_that_an_old_version_is_shown_and_leads_back(corrected: Store) -> None:
    now, before = versions(corrected)
    app = opened(place=TOWN, layer=LAYER, month=LATEST, version=str(before))
    assert not app.exception and not app.error
    assert f"第{before}版" in shown(app) and "此后已更正" in shown(app)
    assert app.selectbox(key="version").value == before
    app.button(key="version-back").click().run()
    assert "version" not in app.query_params and "此后已更正" not in shown(app)
    app.selectbox(key="version").select(before).run()
    assert app.query_params["version"] == str(before)
    # Another month is shown as it stands.
    app.button(key="month-before").click().run()
    assert "version" not in app.query_params
    assert now > before


@pytest.mark.parametrize("wanted", ["99", "0", "-1", "x", "²", "1e3", "9" * 30])
def test_a_version_that_is_not_kept_is_told(corrected: Store, wanted: str) -> None:
    with corrected.unit(SYSTEM) as unit:
        found = state.parse({"month": LATEST, "version": wanted}, unit)
        assert found.address.version is None and wanted in found.problems[0]
        assert unit.snapshot(LATEST).version == versions(corrected)[0]


def test_an_old_version_is_not_taken_apart(corrected: Store) -> None:
    _now, before = versions(corrected)
    with corrected.unit(SYSTEM) as unit:
        assert service.explain(unit, View(COUNTY, LAYER, LATEST)).rows_total > 0
        unit.look_at(LATEST, before)
        with pytest.raises(DudaoError) as caught:
            service.explain(unit, View(COUNTY, LAYER, LATEST))
    assert caught.value.code == "VERSION_NOT_EXPLAINED"
    app = opened(place=TOWN, layer=LAYER, month=LATEST, version=str(before), explain=VILLAGE)
    assert not app.exception and "它的逐条来源不再对应" in app.error[0].value


def test_an_export_is_of_the_version_shown(corrected: Store) -> None:
    now, before = versions(corrected)
    wanted = View(COUNTY, LAYER, LATEST)
    made = {
        version: reports.children_table(
            corrected, SYSTEM, wanted, leaving=False, format="csv", version=version
        ).body.decode("utf-8-sig")
        for version in (None, now, before)
    }

    def rows(text: str | None) -> list[str]:
        assert text is not None
        return [line for line in text.splitlines() if TOWN in line]

    assert rows(made[None]) == rows(made[now]) != rows(made[before])

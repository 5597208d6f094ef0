"""Targets: whose counts at a place, and everything that is shown of it follows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pandas as pd
import pytest
from sqlalchemy import event

from dashboard.access import SYSTEM
from dashboard.coverage import drawing, registry, service, targets
from dashboard.coverage.model import SiteStatus, Target, View
from dashboard.coverage.modes import Mode
from dashboard.coverage.pace import STANDINGS, Standing
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, Pair
from dashboard.store.unit import Unit
from geodata.model import Level
from loaders.registry import measures
from tests.coverage.conftest import _institutions, county_figures, county_places

CONTRACT = registry.layer("contract_coverage")  # 100 %, held all year
CLINICS = registry.layer("clinic_standardisation")  # 100 %, over the year
COUNT = registry.layer("free_clinics_count")
MONTH, EARLIER = "2026-10", "2026-08"

ROWS = (
    ("contract_coverage", "C", 2026, 85.0),
    ("contract_coverage", "T1", 2026, 95.0),
    ("contract_coverage", "T0V0", 2026, 70.0),
    ("clinic_standardisation", "C", 2026, 60.0),
    ("free_clinics_count", "C", 2026, 24.0),
    ("free_clinics_count", "T0", 2025, 9.0),
)


def setting(*rows: tuple[str, str, int, float]) -> Change:
    frame = pd.DataFrame(rows, columns=["layer", "place_id", "year", "value"])
    return Change(dataset="targets", frame=frame)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The county of this folder with free clinics, and no targets of its own yet."""
    opened = Store.open(tmp_path_factory.mktemp("targets"))
    frame, shapes = county_places()
    held = [("T0V0", MONTH, "free_clinics", 12.0), ("T1V0", MONTH, "free_clinics", 6.0)]
    extra = pd.DataFrame(held, columns=["place_id", "month", "measure", "value"])
    figures = pd.concat([county_figures(), extra.assign(source="reported")], ignore_index=True)
    wanted = [Pair(one.numerator, one.denominator) for one in (CONTRACT, CLINICS, COUNT)]
    commit(opened, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), ())
    commit(opened, SYSTEM, Change(dataset="institutions", frame=_institutions()), ())
    commit(opened, SYSTEM, Change(dataset="figures", frame=figures), wanted)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def store(plain: Store) -> Store:
    with plain.unit(SYSTEM) as unit:
        assert service.table(unit, View("C", CONTRACT.id, MONTH)).own.target == Target(100.0)
        before = drawing.payload(*_drawn(unit))
    commit(plain, SYSTEM, setting(*ROWS), ())
    with plain.unit(SYSTEM) as unit:
        after = drawing.payload(*_drawn(unit))
    # What the map fetches is another answer as soon as a target is.
    assert after.etag != before.etag
    return plain


def _drawn(unit: Unit) -> tuple[service.ViewTable, drawing.Outlines, Mode]:
    scene = service.scene(unit, "C", MONTH)
    return service.table_of(scene, CONTRACT), drawing.outlines(scene), Mode.PACE


@pytest.fixture
def unit(store: Store) -> Iterator[Unit]:
    with store.unit(SYSTEM) as opened:
        yield opened


def wanted(unit: Unit, place_id: str, layer_id: str, month: str = MONTH) -> Target | None:
    return service.profile(unit, place_id, month).cells[layer_id].target


def test_the_nearest_target_upwards_counts_else_the_registrys(unit: Unit) -> None:
    assert wanted(unit, "C", CONTRACT.id) == Target(85.0, "C")
    assert wanted(unit, "T0", CONTRACT.id) == wanted(unit, "T0V1", CONTRACT.id) == Target(85.0, "C")
    assert wanted(unit, "T1", CONTRACT.id) == wanted(unit, "T1V0", CONTRACT.id)
    assert wanted(unit, "T1", CONTRACT.id) == Target(95.0, "T1")
    assert wanted(unit, "T0V0", CONTRACT.id) == Target(70.0, "T0V0")
    # Set for one layer and one year, it is no other's.
    assert wanted(unit, "C", "satisfaction") == Target(99.0)
    (place,) = unit.places(["T1"], service.month_end(MONTH))
    assert targets.read(unit, [place], "2027-01").of(CONTRACT, place) == Target(100.0)
    assert targets.NONE.of(CONTRACT, place) == Target(100.0)


def test_a_count_is_wanted_of_nobody_but_whom_it_was_set_for(unit: Unit) -> None:
    assert wanted(unit, "C", COUNT.id) == Target(24.0, "C")
    assert wanted(unit, "T0", COUNT.id) is None and wanted(unit, "T0V0", COUNT.id) is None
    own = service.table(unit, View("C", COUNT.id, MONTH)).own
    assert (own.value, own.wanted(COUNT), own.shortfall(COUNT)) == (18.0, 24.0, 6.0)


def test_each_child_stands_by_its_own_target(unit: Unit) -> None:
    scene = service.scene(unit, "C", MONTH)
    table = service.table_of(scene, CONTRACT)
    cells = {cell.place.id: cell for cell in table.cells}
    assert {key: cell.value for key, cell in cells.items()} == {"T0": 80.0, "T1": 95.0}
    assert (cells["T0"].shortfall(CONTRACT), cells["T1"].shortfall(CONTRACT)) == (10.0, 0.0)
    body = json.loads(drawing.payload(*_drawn(unit)).body)
    classes = {one["properties"]["id"]: one["properties"]["c"] for one in body["features"]}
    assert classes == {
        "T0": STANDINGS.index(Standing.BEHIND), "T1": STANDINGS.index(Standing.AHEAD)
    }  # fmt: skip
    assert body["counts"][:3] == [0, 1, 1]


def test_markers_trend_ranking_and_indicators_follow(unit: Unit) -> None:
    # Half the planned clinics are built; 60 % are wanted.
    found = {site.institution.id: site.status for site in service.sites(unit, "C", MONTH)}
    assert (found["K0"], found["K1"]) == (SiteStatus.MET, SiteStatus.UNMET)
    points = service.trend(unit, "T1", CONTRACT.id)
    assert [(point.month, point.target) for point in points] == [
        (EARLIER, Target(95.0, "T1")), (MONTH, Target(95.0, "T1"))
    ]  # fmt: skip
    ranked = service.ranking(unit, View("C", CONTRACT.id, MONTH), Level.VILLAGE)
    assert {one.cell.place.id: one.cell.target for one in ranked}["T1V0"] == Target(95.0, "T1")
    shown = {one.layer.id: one.cell for one in service.indicators(unit, "C", MONTH, [MONTH])}
    assert shown[CLINICS.id].target == Target(60.0, "C")


def test_one_query_serves_all_children_of_a_table(store: Store) -> None:
    asked: list[str] = []

    def hear(*arguments: object) -> None:
        if "target" in str(arguments[2]):
            asked.append(str(arguments[2]))

    event.listen(store.engine, "before_cursor_execute", hear)
    try:
        with store.unit(SYSTEM) as unit:
            service.ranking(unit, View("C", CONTRACT.id, MONTH), Level.VILLAGE)
            assert len(asked) == 1
            asked.clear()
            scene = service.scene(unit, "T0", MONTH)
            for layer in registry.layers().values():
                service.table_of(scene, layer)
            # The children, and the place among its siblings.
            assert len(asked) == 2
    finally:
        event.remove(store.engine, "before_cursor_execute", hear)


def test_the_loaders_know_every_layer_within_believable_bounds() -> None:
    known = {layer.id: layer for layer in targets.known_layers()}
    assert known.keys() == registry.layers().keys()
    for layer in registry.layers().values():
        one = known[layer.id]
        assert (one.unit, one.lower) == (layer.unit, 0.0)
        assert layer.target is None or one.lower <= layer.target <= one.upper
        assert one.integer is (layer.is_count and measures()[layer.numerator].integer)
        if layer.unit == "%":
            assert one.upper == 100.0
    assert "健康APP" in known["six_app_coverage"].words


def test_what_runs_up_through_the_year_has_a_pace_for_whoever_sets_a_target() -> None:
    for layer in registry.layers().values():
        records = measures()[layer.numerator].records
        if layer.is_count and records is not None and records.kind == "flow":
            assert layer.pace == "progress", layer.id

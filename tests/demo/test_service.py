"""Preparing a data directory: loaded as a clerk would, flagged, repeatable, never on real data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.access import SYSTEM
from dashboard.coverage import disclosure, registry, service
from dashboard.coverage.model import Cell, Status, Target, View
from dashboard.coverage.pace import Standing, standing
from dashboard.demo import LAST_MONTH, TROUBLES, TroubleKind, build
from dashboard.demo.service import DEMONSTRATION_OF, prepare_demo
from dashboard.intake.service import load_files
from dashboard.privacy.suppress import INSIDE, LEAVING
from dashboard.store import Store
from dashboard.store.model import month_end
from dashboard.store.unit import DEMONSTRATION, Unit
from geodata.errors import DudaoError
from loaders import Request
from tests.conftest import Demonstration

CITY, COUNTY, TOWN = "131000000000", "131025000000", "131025100000"
NOW = month_end(LAST_MONTH)


@pytest.fixture(scope="module")
def store(demonstration: Demonstration) -> Iterator[Store]:
    opened = Store.open(demonstration(COUNTY))
    yield opened
    opened.close()


@pytest.fixture
def unit(store: Store) -> Iterator[Unit]:
    with store.unit(SYSTEM) as opened:
        yield opened


def _cells(unit: Unit, place: str, layer: str, month: str = LAST_MONTH) -> dict[str, Cell]:
    shown = service.table(unit, View(place_id=place, layer_id=layer, month=month))
    return {cell.place.id: cell for cell in shown.cells}


@pytest.mark.parametrize("least", [INSIDE, LEAVING])
def test_every_layer_of_every_source_can_be_exported(unit: Unit, least: int) -> None:
    snapshot = unit.snapshot(LAST_MONTH)
    assert len(unit.whole.sources(snapshot)) == 3
    for layer in registry.layers().values():
        disclosure.of_export(unit.whole, snapshot, layer, least)


def _trouble(kind: TroubleKind) -> str:
    return next(trouble.id for trouble in TROUBLES if trouble.kind is kind)


def test_it_says_it_is_a_demonstration(unit: Unit) -> None:
    assert unit.meta(DEMONSTRATION) == "1"
    assert unit.root().id == COUNTY
    assert len(unit.months()) == 24 and unit.months()[-1] == LAST_MONTH


def test_every_township_of_the_county_shows(unit: Unit) -> None:
    cells = _cells(unit, COUNTY, "contract_coverage")
    assert len(cells) == 11
    assert all(cell.has_boundary and cell.indicative for cell in cells.values())


def test_the_parent_is_the_sum_of_its_children(unit: Unit) -> None:
    above = _cells(unit, COUNTY, "contract_coverage")[TOWN]
    below = _cells(unit, TOWN, "contract_coverage").values()
    assert above.numerator == sum(cell.numerator or 0 for cell in below)
    assert above.denominator == sum(
        cell.denominator or 0 for cell in below if cell.numerator is not None
    )


def test_the_county_has_targets_of_its_own_and_a_township_another(unit: Unit) -> None:
    cells = _cells(unit, COUNTY, "cervical_screening")
    assert cells[TOWN].target == Target(100.0, TOWN)
    others = {cell.target for place_id, cell in cells.items() if place_id != TOWN}
    assert others == {Target(95.0, COUNTY)}
    standings = {
        standing(registry.layer("cervical_screening"), cell.target, cell.value, LAST_MONTH)
        for cell in cells.values()
    }
    assert {Standing.AHEAD, Standing.BEHIND} <= standings


def test_troubles_arrive_on_the_map(unit: Unit) -> None:
    townships = _cells(unit, COUNTY, "contract_coverage")
    villages = _cells(unit, TOWN, "contract_coverage")
    assert townships[_trouble(TroubleKind.MISSING_MONTHS)].status is Status.NO_DATA
    assert townships[_trouble(TroubleKind.OWN_FIGURE_DIFFERS)].disagrees
    assert villages[_trouble(TroubleKind.NEVER_REPORTED)].status is Status.NO_DATA
    assert villages[_trouble(TroubleKind.BLANK_NUMERATOR)].status is Status.NO_DATA
    assert villages[_trouble(TroubleKind.ZERO_DENOMINATOR)].status is Status.NOT_APPLICABLE

    screening = _cells(unit, COUNTY, "cervical_screening")
    assert screening[_trouble(TroubleKind.ONLY_AT_TOWNSHIP)].status is Status.OK
    unplaced = unit.institution(_trouble(TroubleKind.CLINIC_WITHOUT_COORDINATES))
    assert unplaced.lon is None and unplaced.lat is None


def test_the_merged_village_is_gone_and_the_other_has_grown(unit: Unit) -> None:
    merged = next(trouble for trouble in TROUBLES if trouble.kind is TroubleKind.MERGED)
    assert merged.other_id is not None
    before = _cells(unit, TOWN, "contract_coverage", "2025-09")
    after = _cells(unit, TOWN, "contract_coverage", "2025-10")
    assert merged.id in before and merged.id not in after
    assert merged.other_id in before and merged.other_id in after
    early = unit.shapes([merged.other_id], month_end("2025-09"))[merged.other_id]
    late = unit.shapes([merged.other_id], NOW)[merged.other_id]
    assert early.wkb != late.wkb


def test_the_renamed_village_had_another_name(unit: Unit) -> None:
    renamed = _trouble(TroubleKind.RENAMED)
    assert unit.place(renamed, month_end("2025-12")).name != unit.place(renamed, NOW).name


def test_the_loaders_flag_what_was_planted_and_nothing_else(store: Store) -> None:
    request = Request(dataset="figures")
    file = store.directory / "demo" / "figures.csv"
    (report,) = load_files(store, SYSTEM, [file], request, registry.pairs(), dry_run=True)
    assert {issue.code for issue in report.issues} == {"TOTAL_DIFFERS"}
    assert report.issues.counts()["TOTAL_DIFFERS"] == 24


def test_again_changes_nothing(store: Store) -> None:
    with store.unit(SYSTEM) as unit:
        before = unit.status()
    prepare_demo(store, root=COUNTY)
    with store.unit(SYSTEM) as unit:
        assert unit.status() == before


def test_another_demonstration_is_refused(store: Store) -> None:
    with pytest.raises(DudaoError) as caught:
        prepare_demo(store, root=CITY)
    assert caught.value.code == "DEMO_ANOTHER"
    with store.unit(SYSTEM) as unit:
        assert unit.meta(DEMONSTRATION_OF) == f"{COUNTY}/20260"


def test_real_data_is_left_alone(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    files = build(tmp_path / "files", root="131025106000", months=1)
    assert files.places is not None
    load_files(store, SYSTEM, [files.places], Request(dataset="places"), registry.pairs())
    with pytest.raises(DudaoError) as caught:
        prepare_demo(store, root="131025106000")
    assert caught.value.code == "DEMO_ON_REAL_DATA"
    with store.unit(SYSTEM) as unit:
        assert unit.meta(DEMONSTRATION) is None
    store.close()


@pytest.mark.slow
def test_the_whole_city_loads_without_an_error(tmp_path: Path) -> None:
    files = build(tmp_path / "files")
    store = Store.open(tmp_path / "data")
    for dataset, path in files.in_load_order():
        (report,) = load_files(store, SYSTEM, [path], Request(dataset=dataset), registry.pairs())
        assert not report.has_errors, report.issues[:5]
        assert report.rows_valid == report.rows_read
        assert report.rows_unchanged == 0 and report.rows_changed >= report.rows_valid
    store.close()

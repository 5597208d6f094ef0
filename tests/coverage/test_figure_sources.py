"""One layer by each source: reported, counted from records, and as the field sample found it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.access import SYSTEM
from dashboard.coverage import drawing, modes, registry, service
from dashboard.coverage.model import Cell, Source, Status, View
from dashboard.coverage.modes import Mode
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.store.unit import Unit
from geodata.errors import DudaoError
from loaders.registry import record_datasets
from tests.coverage.conftest import county_figures, county_places

MONTH = "2026-10"
Row = dict[str, Any]


def person(number: int) -> str:
    return f"{number:064x}"[::-1]


def load(store: Store, dataset: str, rows: list[Row]) -> None:
    empty = record_datasets()[dataset].empty_frame()
    frame = pd.DataFrame(rows, columns=list(empty.columns)).astype(empty.dtypes.to_dict())
    change = Change(dataset=dataset, frame=frame, file=f"{dataset}.csv")
    commit(store, SYSTEM, change, registry.pairs())


def residents() -> list[Row]:
    """Ten registered persons in T0V0, all with hypertension; four in T0V1, three of them."""
    rows = []
    for number in range(14):
        ill = number != 13
        rows.append(
            {
                "person": person(number + 1), "valid_from": date(2020, 1, 1),
                "place_id": "T0V0" if number < 10 else "T0V1",
                "diseases": "hypertension" if ill else None,
            }
        )  # fmt: skip
    return rows


def contracts(count: int) -> list[Row]:
    return [
        {
            "person": row["person"], "valid_from": date(2026, 1, 1), "valid_to": date(2027, 1, 1),
            "place_id": row["place_id"], "team_id": "T",
        }
        for row in residents()[:count]
    ]  # fmt: skip


def revisits() -> list[Row]:
    """Five households of T0V0: eight of ten contracts found; one could not be recounted."""
    row: Row = {"day": date(2026, 9, 3), "measure": "contracted_persons", "place_id": "T0V0"}
    found = [
        row | {"household_id": f"H{n}", "result": "ok", "reported": 2.0, "recount": recount}
        for n, recount in enumerate((2.0, 2.0, 2.0, 1.0, 1.0))
    ]
    no_service = row | {"household_id": "H8", "result": "no_service", "reported": 2.0}
    lost = row | {"household_id": "H9", "result": "missing_source", "reported": 2.0}
    return [*found, no_service, lost]


@pytest.fixture
def county(store: Store) -> Store:
    frame, shapes = county_places()
    commit(store, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), ())
    change = Change(dataset="figures", frame=county_figures())
    commit(store, SYSTEM, change, registry.pairs())
    load(store, "residents", residents())
    load(store, "contracts", contracts(12))
    load(store, "revisits", revisits())
    return store


@pytest.fixture
def unit(county: Store) -> Iterator[Unit]:
    with county.unit(SYSTEM) as unit:
        yield unit


def cells(unit: Unit, layer: str, source: Source, place: str = "T0") -> dict[str, Cell]:
    found = service.table(unit, View(place, layer, MONTH, source))
    return {cell.place.id: cell for cell in found.cells} | {place: found.own}


def test_each_source_has_its_own_figures(unit: Unit) -> None:
    reported = cells(unit, "contract_coverage", Source.REPORTED)
    assert reported["T0V0"].value == pytest.approx(70)
    counted = cells(unit, "contract_coverage", Source.RECORDS)
    assert (counted["T0V0"].numerator, counted["T0V0"].denominator) == (10, 10)
    assert (counted["T0V1"].numerator, counted["T0V1"].denominator) == (2, 4)
    assert (counted["T0"].numerator, counted["T0"].denominator) == (12, 14)
    assert counted["T0V2"].status is Status.NO_DATA


def test_verified_is_reported_times_what_the_sample_found(unit: Unit) -> None:
    found = cells(unit, "contract_coverage", Source.VERIFIED)
    assert found["T0V0"].value == pytest.approx(70 * 8 / 10)
    assert found["T0V0"].numerator == pytest.approx(56)
    assert found["T0V1"].status is Status.NO_DATA
    reported = cells(unit, "contract_coverage", Source.REPORTED)["T0"].value
    assert reported is not None and found["T0"].value == pytest.approx(reported * 0.8)
    assert {(cell.rank, cell.ranked) for cell in found.values()} == {(None, 0)}


def test_trend_profile_and_ranks_follow_the_source(unit: Unit) -> None:
    points = service.trend(unit, "T0", "contract_coverage", Source.RECORDS)
    assert [point.value for point in points][-1] == pytest.approx(12 / 14 * 100)
    profile = service.profile(unit, "T0V1", MONTH, source=Source.RECORDS)
    assert profile.cells["contract_coverage"].value == pytest.approx(50)
    view = View("C", "contract_coverage", MONTH, Source.RECORDS)
    ranked = service.ranking(unit, view, registry.layer("contract_coverage").base_level)
    assert {one.cell.place.id for one in ranked if one.cell.value is not None} == {"T0V0", "T0V1"}


def test_what_one_source_leaves_out_all_leave_out(county: Store, unit: Unit) -> None:
    """Reported patients may be shown; where the records say three, nobody shows a figure."""
    layer = next(
        one for one in registry.layers().values() if one.denominator == "hypertension_known"
    )
    assert layer.protected
    rows = [
        ("T0V0", 20.0, 10.0), ("T0V1", 16.0, 8.0), ("T0V2", 30.0, 20.0), ("T0V3", 40.0, 30.0),
    ]  # fmt: skip
    figures = [
        (place, MONTH, measure, value, "reported")
        for place, known, managed in rows
        for measure, value in ((layer.denominator, known), (layer.numerator, managed))
    ]
    columns = ["place_id", "month", "measure", "value", "source"]
    change = Change(dataset="figures", frame=pd.DataFrame(figures, columns=columns))
    commit(county, SYSTEM, change, registry.pairs())
    services = [
        {
            "person": row["person"], "day": date(2026, 5, 1), "kind": "managed",
            "tier": "village", "place_id": row["place_id"],
        }
        for row in residents()
    ]  # fmt: skip
    with county.unit(SYSTEM) as before:
        assert cells(before, layer.id, Source.REPORTED)["T0V1"].status is Status.OK
    load(county, "services", services)
    with county.unit(SYSTEM) as after:
        for source in (Source.REPORTED, Source.RECORDS):
            assert cells(after, layer.id, source)["T0V1"].status is Status.SUPPRESSED


def test_the_sample_is_judged_and_measured(unit: Unit) -> None:
    found = service.verify(unit, View("T0", "contract_coverage", MONTH))
    assert (found.lot.n, found.lot.failures) == (6, 3)
    assert (found.no_service, found.missing_source) == (1, 1)
    assert found.factor.value == pytest.approx(0.8)
    assert found.factor.sign == "over_reported"
    assert found.factor.low is not None and found.factor.low < 0.8
    elsewhere = service.verify(unit, View("T1", "contract_coverage", MONTH))
    assert elsewhere.lot.n == 0 and elsewhere.factor.value is None
    earlier = service.verify(unit, View("T0", "contract_coverage", "2026-08"))
    assert earlier.lot.n == 0
    with pytest.raises(DudaoError) as caught:
        service.verify(unit, View("T0", "hypertension_management", MONTH))
    assert caught.value.code in ("LAYER_NOT_SAMPLED", "LAYER_NOT_FOUND")


def test_the_map_shows_gap_factor_and_judgement(unit: Unit) -> None:
    layer = registry.layer("contract_coverage")
    seen = service.scene(unit, "T0", MONTH)
    table = service.table_of(seen, layer)
    samples = drawing.samples(seen, layer)
    assert set(samples) == {"T0", "T0V0"} and samples["T0"] == samples["T0V0"]
    verified = cells(unit, layer.id, Source.VERIFIED)
    at = [cell.place.id for cell in table.cells].index("T0V0")
    gap = modes.shades(table, Mode.GAP, verified)[at]
    assert gap.value == pytest.approx(14) and gap.class_index == 4
    factor = modes.shades(table, Mode.FACTOR, {}, samples)[at]
    assert factor.value == pytest.approx(0.8) and factor.class_index == 0
    judged = modes.shades(table, Mode.LQAS, {}, samples)[at]
    assert judged.value == 3 and judged.class_index in (0, 1)
    others = modes.shades(table, Mode.LQAS, {}, samples)
    assert all(shade.status is Status.NO_DATA for n, shade in enumerate(others) if n != at)
    drawn = drawing.outlines(seen)
    body = json.loads(drawing.payload(table, drawn, Mode.LQAS, None, samples).body)
    found = next(one["properties"] for one in body["features"] if one["id"] == "T0V0")
    assert (found["a"], found["b"], found["r"]) == (3, 6, None)


def test_what_was_never_loaded_is_named() -> None:
    layer = registry.layer("contract_coverage")
    assert registry.uncounted(layer, Source.REPORTED, ()) == []
    assert registry.uncounted(layer, Source.RECORDS, {"contracts"}) == ["residents"]
    assert registry.uncounted(layer, Source.VERIFIED, ()) == ["revisits"]
    hiv = next(one for one in registry.layers().values() if one.numerator.startswith("hiv"))
    assert registry.uncounted(hiv, Source.RECORDS, ()) is None


def run(store: Store, *arguments: str) -> dict[str, Any]:
    store.close()
    found = CliRunner().invoke(app, [*arguments, "--json", "--data", str(store.directory)])
    assert found.exit_code == 0, found.output
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


def test_the_command_line_says_the_same(county: Store) -> None:
    options = ("--layer", "contract_coverage", "--place", "T0", "--month", MONTH)
    counted = run(county, "coverage", *options, "--source", "records")
    values = {one["id"]: one["value"] for one in counted["children"]}
    assert values["T0V1"] == pytest.approx(50) and counted["source"] == "records"
    assert counted["missing"] == []
    gap = run(county, "coverage", *options, "--source", "gap")
    entry = next(one for one in gap["children"] if one["id"] == "T0V0")
    assert entry["gap"] == pytest.approx(14) and entry["verified"] == pytest.approx(56)
    assert next(one for one in gap["children"] if one["id"] == "T0V1")["gap"] is None
    verified = run(county, "verify", *options[:4])
    assert verified["month"] == MONTH and verified["n"] == 6 and verified["failures"] == 3
    assert verified["factor"] == pytest.approx(0.8) and verified["sign"] == "over_reported"
    assert set(verified) == {
        "layer", "place", "month", "n", "failures", "d", "alpha", "beta", "class", "recounted",
        "recount", "reported", "factor", "low", "high", "sign", "excluded",
    }  # fmt: skip
    wrong = CliRunner().invoke(
        app, ["coverage", *options, "--source", "guess", "--data", str(county.directory)]
    )
    assert wrong.exit_code != 0 and "SOURCE_UNKNOWN" in wrong.output

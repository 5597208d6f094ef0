"""Ranking, funnel and forecast of a level out of a real store: who is in them, and who is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.access import SYSTEM
from dashboard.coverage import disclosure, forecast, funnel, ranking, registry, service
from dashboard.coverage.funnel import Standing
from dashboard.coverage.model import Direction, Source, Status, View
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.store.unit import Unit
from geodata.errors import DudaoError
from geodata.model import Level
from tests.coverage.conftest import county_places

MONTHS = [f"2026-{number:02}" for number in range(1, 11)]
NOW = MONTHS[-1]
CONTRACT, BREAST, PROTECTED = "contract_coverage", "breast_screening", "hypertension_management"

SIGNED = {
    "T0V0": [200 + 20 * n for n in range(10)],  # reaches all 400 by November
    "T0V1": [300 + n % 2 for n in range(10)],  # stands still
    "T0V2": [190 + 10 * n for n in range(10)],  # 280 of 400, 300 in December
    "T0V3": [None] * 7 + [300, 310, 320],  # three months only
    "T1V0": [300] * 9 + [None],  # late to report
    "T1V1": [290 + n for n in range(10)],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(tmp_path_factory.mktemp("comparison"))
    frame, shapes = county_places()
    commit(opened, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), ())
    rows: list[tuple[str, str, str, float]] = []
    for place, signed in SIGNED.items():
        for month, count in zip(MONTHS, signed, strict=True):
            if count is not None:
                rows.append((place, month, "registered_persons", 400))
                rows.append((place, month, "contracted_persons", count))
    for number, month in enumerate(MONTHS, 1):
        rows.append(("T0V0", month, "breast_eligible_women", 100))
        rows.append(("T0V0", month, "breast_screened_women", 6 * number))
        for t in range(2):
            for v in range(4):
                few = (t, v) == (0, 1) and number > 8
                rows.append((f"T{t}V{v}", month, "hypertension_known", 40 + v))
                rows.append((f"T{t}V{v}", month, "hypertension_managed", 2 if few else 20 + v))
    figures = pd.DataFrame(rows, columns=["place_id", "month", "measure", "value"])
    figures = figures.assign(source="reported", value=figures["value"].astype(float))
    commit(opened, SYSTEM, Change(dataset="figures", frame=figures), registry.pairs())
    yield opened
    opened.close()


@pytest.fixture
def unit(store: Store) -> Iterator[Unit]:
    with store.unit(SYSTEM) as opened:
        yield opened


def view(layer: str = CONTRACT, place: str = "C", month: str = NOW) -> View:
    return View(place, layer, month)


def test_who_will_surely_miss_comes_first_and_who_has_no_forecast_last(unit: Unit) -> None:
    found = service.forecasts(unit, view(), Level.VILLAGE)
    told = {one.cell.place.id: one for one in found}
    assert len(found) == 8 and not told["T0V0"].misses and told["T0V0"].short == 0
    assert told["T0V1"].misses and told["T0V1"].surely
    assert told["T0V2"].december is not None
    assert told["T0V2"].december.value == pytest.approx(75.0)
    assert told["T0V2"].short == pytest.approx(100)
    assert told["T0V2"].monthly == pytest.approx((400 - 280) / 2)
    for silent in ("T0V3", "T1V2", "T1V3"):
        assert told[silent].ahead == () and not told[silent].misses
    assert told["T0V3"].months == 3
    # Late to report: it stands where it last stood, but how many lack this month is unknown.
    assert told["T1V0"].december is not None and told["T1V0"].misses
    assert told["T1V0"].short is None and told["T1V0"].monthly is None
    order = [(one.surely, one.misses, bool(one.ahead)) for one in found]
    assert order == sorted(order, reverse=True)


def test_one_place_is_told_as_among_many_and_month_by_month(unit: Unit) -> None:
    many = {one.cell.place.id: one for one in service.forecasts(unit, view(), Level.VILLAGE)}
    for place_id in SIGNED:
        one = service.forecast(unit, view(place=place_id))
        if not many[place_id].ahead:
            assert one.ahead == ()
            continue
        assert one.december is not None and many[place_id].december is not None
        for name in ("value", "low", "high", "months"):
            assert getattr(one.december, name) == pytest.approx(
                getattr(many[place_id].december, name)
            )
        assert (one.misses, one.surely, one.short) == (
            many[place_id].misses, many[place_id].surely, many[place_id].short,
        )  # fmt: skip
        # From the month after its latest value on.
        assert len(one.ahead) == (3 if place_id == "T1V0" else 2)


def test_a_county_is_told_by_what_its_villages_sum_to(unit: Unit) -> None:
    (town,) = (
        one for one in service.forecasts(unit, view(), Level.TOWNSHIP) if one.cell.place.id == "T1"
    )
    alone = service.forecast(unit, view(place="T1"))
    assert town.december is not None and alone.december is not None
    assert alone.december.value == pytest.approx(town.december.value)


def test_what_adds_up_over_the_year_goes_by_this_year(unit: Unit) -> None:
    found = service.forecast(unit, view(BREAST, "T0V0", "2026-03"))
    assert found.december is not None and found.months == 3 and len(found.ahead) == 9
    assert found.december.value == pytest.approx(72.0) and found.target == 80
    assert found.surely and found.short == pytest.approx(8)
    assert found.monthly == pytest.approx((80 - 18) / 9)
    early = service.forecast(unit, view(BREAST, "T0V0", "2026-02"))
    assert early.ahead == () and early.months == 2


def test_a_layer_without_a_target_is_not_forecast(unit: Unit) -> None:
    found = service.forecast(unit, view("registered_persons_count"))
    assert found.target is None and found.ahead == ()


def test_where_lower_is_better_it_is_the_excess_that_counts(unit: Unit) -> None:
    layer = replace(registry.layer(CONTRACT), direction=Direction.LOWER)
    cell = service.table(unit, view(place="T0")).cells[0]
    cell = replace(cell, numerator=30.0, denominator=100.0, value=30.0, status=Status.OK)
    found = forecast.of_place(layer, cell, NOW, [30.0 + n % 2 for n in range(12)], 20.0)
    assert found.misses and found.surely and found.monthly == pytest.approx(5)
    assert found.short is not None and found.short > 10


def test_who_stands_still_lacks_the_persons_counted_and_not_one_more(unit: Unit) -> None:
    layer = registry.layer(CONTRACT)
    some = service.table(unit, view(place="T0")).cells[0]
    for signed, of in ((715, 860), (35, 45), (56, 66), (1, 3)):
        value = signed / of * 100
        cell = replace(some, numerator=signed, denominator=of, value=value, status=Status.OK)
        found = forecast.of_place(layer, cell, NOW, [value] * 12, 100.0)
        assert (found.short, found.monthly) == (of - signed, (of - signed) / 2)


def test_december_is_its_own_answer(unit: Unit) -> None:
    layer = registry.layer(CONTRACT)
    cell = service.table(unit, view(place="T0")).cells[0]
    found = forecast.of_place(layer, cell, "2026-12", [80.0] * 12, 100.0)
    assert found.december == forecast.Forecast(80.0, 80.0, 80.0, 12)
    assert found.surely and found.monthly is None


def test_a_village_that_moved_keeps_its_past(unit: Unit, store: Store) -> None:
    moved = unit.place("T0V2", date(2026, 10, 31))
    late = replace(moved, valid_from=date(2026, 9, 1))
    values = service._then(unit, view(), [late], "2026-05", registry.layer(CONTRACT))
    assert values.tolist() == pytest.approx([57.5])
    begun = replace(late, id="nobody")
    found = service._then(unit, view(), [begun, late], "2026-05", registry.layer(CONTRACT))
    assert np.isnan(found[0]) and found[1] == pytest.approx(57.5)


def test_the_funnel_is_about_what_its_places_come_to_together(unit: Unit) -> None:
    found = service.funnel(unit, view(), Level.VILLAGE)
    assert {cell.place.id for cell in found.cells} == {"T0V0", "T0V1", "T0V2", "T0V3", "T1V1"}
    assert found.share == pytest.approx((380 + 301 + 280 + 320 + 299) / 2000)
    stands = dict(zip((cell.place.id for cell in found.cells), found.stands, strict=True))
    assert stands["T0V0"] in (Standing.ABOVE, Standing.FAR_ABOVE, Standing.INSIDE)
    assert found.without == 3


@pytest.mark.parametrize(
    ("layer", "fits"),
    [
        (CONTRACT, True), ("six_app_coverage", True), ("inpatient_compensation", False),
        ("outpatient_compensation", False), ("special_paid_sum", False),
        ("leaflets_count", False), ("clinic_standardisation", False), ("open_findings_rate", False),
    ],
)  # fmt: skip
def test_a_funnel_needs_persons_or_households(unit: Unit, layer: str, fits: bool) -> None:
    assert funnel.suits(registry.layer(layer)) is fits
    if not fits:
        with pytest.raises(DudaoError) as caught:
            service.funnel(unit, view(layer), Level.VILLAGE)
        assert caught.value.code == "FUNNEL_NO_SHARE"


def test_money_has_neither_interval_nor_small_denominators(unit: Unit) -> None:
    money = registry.layer("inpatient_compensation")
    assert not ranking.has_interval(money) and not ranking.has_minimum(money)
    with pytest.raises(DudaoError) as caught:
        service.ranking(unit, view(money.id), Level.VILLAGE, by_interval=True)
    assert caught.value.code == "RANK_NO_INTERVAL"


def test_the_minimum_can_be_chosen(unit: Unit) -> None:
    assert all(not one.small for one in service.ranking(unit, view(), Level.VILLAGE, minimum=400))
    strict = service.ranking(unit, view(), Level.VILLAGE, minimum=401)
    assert [one.rank for one in strict] == [None] * 8
    assert sum(one.small for one in strict) == 5


def test_a_sample_is_never_compared(unit: Unit) -> None:
    sampled = replace(view(), source=Source.VERIFIED)
    for ask in (
        lambda: service.ranking(unit, sampled, Level.VILLAGE),
        lambda: service.funnel(unit, sampled, Level.VILLAGE),
        lambda: service.forecasts(unit, sampled, Level.VILLAGE),
        lambda: service.forecast(unit, sampled),
    ):
        with pytest.raises(DudaoError) as caught:
            ask()
        assert caught.value.code == "SAMPLE_NOT_COMPARED"


def test_what_is_left_out_is_in_none_of_them(unit: Unit) -> None:
    layer = registry.layer(PROTECTED)
    hidden = disclosure.left_out(unit.whole, unit.snapshot(NOW), layer)
    assert "T0V1" in hidden and len(hidden) >= 2
    drawn = service.funnel(unit, view(PROTECTED), Level.VILLAGE)
    seen = [cell for cell in drawn.cells]
    assert not hidden & {cell.place.id for cell in seen} and seen
    # The common share is of those that are shown: no subtraction from it tells of the others.
    assert drawn.share == pytest.approx(
        sum(cell.numerator or 0 for cell in seen) / sum(cell.denominator or 0 for cell in seen)
    )
    for one in service.ranking(unit, view(PROTECTED), Level.VILLAGE, minimum=0):
        if one.cell.place.id in hidden:
            assert (one.rank, one.low, one.high, one.small) == (None, None, None, False)
            assert one.cell.value is one.cell.numerator is one.cell.denominator is None
    for one in service.forecasts(unit, view(PROTECTED), Level.VILLAGE):
        if one.cell.place.id in hidden:
            # Ten months of it are known to the store; none of them is gone by.
            assert (one.ahead, one.months, one.misses, one.short) == ((), 0, False, None)
            assert service.forecast(unit, view(PROTECTED, one.cell.place.id)).months == 0
        else:
            assert one.ahead


def run(store: Store, *arguments: str) -> tuple[int, Any]:
    asked = ["--data", str(store.directory), *arguments, "--place", "C", "--json"]
    done = CliRunner().invoke(app, asked)
    return done.exit_code, json.loads(done.stdout)


def test_the_command_line_reads_the_same(store: Store, unit: Unit) -> None:
    code, found = run(store, "forecast", "--layer", CONTRACT, "--level", "village")
    own = service.forecast(unit, view())
    assert code == 0 and own.december is not None
    assert (found["month"], found["confidence"], found["target"]) == (NOW, 0.8, 100)
    assert (found["value"], found["low"], found["high"]) == (
        own.december.value, own.december.low, own.december.high,
    )  # fmt: skip
    assert (found["misses"], found["surely"]) == (own.misses, own.surely)
    told = service.forecasts(unit, view(), Level.VILLAGE)
    assert [one["id"] for one in found["missing"]] == [
        one.cell.place.id for one in told if one.misses
    ]
    assert found["judged"] == sum(bool(one.ahead) for one in told)
    ask = ("funnel", "--layer", CONTRACT, "--level", "village", "--month", NOW)
    code, found = run(store, *ask)
    drawn = service.funnel(unit, view(), Level.VILLAGE)
    assert code == 0 and (found["share"], found["phi"]) == (drawn.share, drawn.phi)
    assert {one["id"]: one["standing"] for one in found["places"]} == {
        cell.place.id: stands for cell, stands in zip(drawn.cells, drawn.stands, strict=True)
    }
    code, found = run(store, "rank", *ask[1:], "--minimum", "401")
    assert code == 0 and found["minimum"] == 401
    assert all(one["rank"] is None for one in found["places"])


def test_the_command_line_refuses_what_has_no_funnel_or_no_such_level(store: Store) -> None:
    code, found = run(
        store, "funnel", "--layer", "leaflets_count", "--level", "village", "--month", NOW
    )
    assert code == 2 and found["error"]["code"] == "FUNNEL_NO_SHARE"
    code, found = run(store, "forecast", "--layer", CONTRACT, "--level", "star")
    assert code == 2 and found["error"]["code"] == "LEVEL_UNKNOWN"
    code, found = run(store, "forecast", "--layer", CONTRACT, "--month", "1999-01")
    assert code == 2 and found["error"]["code"] == "MONTH_NOT_FOUND"

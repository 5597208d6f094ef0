"""Every rule of plausibility.toml raises its flag; the source documents raise exactly theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import dashboard.demo
from dashboard.coverage import grounds, plausibility, registry, service
from dashboard.coverage.model import Cell, Status, View
from dashboard.coverage.plausibility import Flag
from dashboard.store.unit import Unit
from geodata.errors import DudaoError
from loaders.registry import measures

SEEDS = Path(dashboard.demo.__file__).parent / "data" / "seed_figures.csv"
CONTRACT = registry.layer("contract_coverage")
BREAST = registry.layer("breast_screening")


def own(month: str = "2026-10", **values: float) -> list[Flag]:
    rows = [("P", measure, value) for measure, value in values.items()]
    frame = pd.DataFrame(rows, columns=["place_id", "measure", "value"])
    return plausibility.own_flags(frame, month)


@pytest.fixture
def cell(unit: Unit) -> Cell:
    return service.table(unit, View("T0", CONTRACT.id, "2026-10")).cells[0]


def shares(cell: Cell, figures: Sequence[tuple[float, float]]) -> list[Cell]:
    return [
        replace(
            cell, place=replace(cell.place, id=f"V{at}"), numerator=top, denominator=bottom,
            value=100 * top / bottom, status=Status.OK,
        )
        for at, (top, bottom) in enumerate(figures)
    ]  # fmt: skip


def siblings(
    cells: list[Cell], before: list[Cell] | None = None, layer: str = CONTRACT.id
) -> list[str]:
    last = {one.place.id: one for one in before or []}
    found = plausibility.sibling_flags("T", "2026-10", registry.layer(layer), cells, last)
    return [flag.code for flag in found]


@pytest.mark.parametrize("rule", plausibility.rules().values(), ids=lambda rule: rule.code)
def test_every_rule_has_words_for_both_readers(rule: plausibility.Rule) -> None:
    assert rule.title and rule.title_en and rule.enabled
    numbers = {f"{{{at}}}" for at in range(3) if f"{{{at}}}" in rule.reason}
    assert numbers == {f"{{{at}}}" for at in range(3) if f"{{{at}}}" in rule.reason_en}


@pytest.mark.parametrize(
    ("code", "doubtful", "fine"),
    [
        ("PARTS_DIFFER",
         {"inpatient_paid": 10.0, "inpatient_paid_basic": 7.0, "inpatient_paid_major": 1.0,
          "inpatient_paid_aid": 1.0, "inpatient_paid_government": 1.5},
         {"inpatient_paid": 10.0, "inpatient_paid_basic": 7.0, "inpatient_paid_major": 1.0,
          "inpatient_paid_aid": 1.0, "inpatient_paid_government": 1.0}),
        ("ABOVE_POPULATION", {"outpatient_persons": 11, "registered_persons": 10},
         {"outpatient_persons": 10, "registered_persons": 10}),
        ("SAME_SUBTOTAL",
         {"cervical_screened_women": 900, "cervical_screened_poor_women": 300,
          "breast_screened_women": 800, "breast_screened_poor_women": 300},
         {"cervical_screened_women": 900, "cervical_screened_poor_women": 300,
          "breast_screened_women": 800, "breast_screened_poor_women": 301}),
        ("UNEQUAL_PAIRS", {"pregnant_urine_samples": 3, "pregnant_salt_samples": 2},
         {"pregnant_urine_samples": 3, "pregnant_salt_samples": 3}),
        ("MIXED_SCOPES", {"mental_visited": 275, "mental_diagnosed": 1448},
         {"mental_visited": 1448, "mental_diagnosed": 275}),
        ("TOO_MANY_TIMES", {"outpatient_visits": 305, "outpatient_persons": 1},
         {"outpatient_visits": 304, "outpatient_persons": 1}),
    ],
)  # fmt: skip
def test_a_places_own_figures(
    code: str, doubtful: dict[str, float], fine: dict[str, float]
) -> None:
    assert [flag.code for flag in own(**doubtful)] == [code]
    assert own(**fine) == []


def test_all_at_hundred_and_unchanged(cell: Cell) -> None:
    full = shares(cell, [(40 + at, 40 + at) for at in range(5)])
    assert siblings(full, full) == ["ALL_HUNDRED"]
    assert siblings(full, full[:4]) == [] and siblings(full[:4], full[:4]) == []
    hidden = replace(cell, value=None, numerator=None, status=Status.SUPPRESSED)
    assert siblings([*full, hidden], full) == []


def test_a_sudden_jump_of_enough_persons(cell: Cell) -> None:
    now, before = shares(cell, [(80, 100), (8, 10)]), shares(cell, [(40, 100), (1, 10)])
    assert siblings(now, before) == ["SUDDEN_JUMP"]
    assert siblings(now, shares(cell, [(51, 100), (8, 10)])) == []


def test_identical_figures_of_several_villages(cell: Cell) -> None:
    assert siblings(shares(cell, [(30, 41)] * 5)) == ["IDENTICAL"]
    assert siblings(shares(cell, [(30, 41)] * 4)) == []


def test_a_running_total_that_stands_still(cell: Cell) -> None:
    now = shares(cell, [(120, 200)])
    assert siblings(now, now, BREAST.id) == ["NOT_MOVED"]
    assert siblings(now, shares(cell, [(119, 200)]), BREAST.id) == []
    done = shares(cell, [(200, 200)])
    assert siblings(done, done, BREAST.id) == []


def test_last_digits_that_heap(cell: Cell) -> None:
    heaped = shares(cell, [(20 + 5 * at, 400) for at in range(30)])
    assert siblings(heaped) == ["DIGIT_HEAPING"]
    assert siblings(shares(cell, [(21 + at, 400) for at in range(40)])) == []


def test_a_rule_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    off = {
        code: replace(rule, enabled=code != "above_population")
        for code, rule in plausibility.rules().items()
    }
    monkeypatch.setattr(plausibility, "rules", lambda: off)
    assert own(outpatient_persons=11, registered_persons=10) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[nothing]\n", "缺少"),
        (plausibility.FILE.read_text("utf-8").replace("[identical]", "[similar]"), "没有这条规则"),
        (plausibility.FILE.read_text("utf-8").replace('"mental_visited"', '"x"'), "x 不是"),
        (plausibility.FILE.read_text("utf-8").partition("[digit_heaping]")[0], "没有登记"),
    ],
)
def test_a_wrong_row_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(DudaoError, match=says) as caught:
        plausibility.parse(text)
    assert caught.value.code == "PLAUSIBILITY_INVALID"


def test_the_source_documents_raise_exactly_their_contradictions() -> None:
    rows = pd.read_csv(SEEDS)
    rows = rows[(rows["kind"] == "figure") & rows["item"].isin(list(measures()))]
    found = {}
    for document, month in (("L", "2019-07"), ("X", "2017-12")):
        mine = rows[rows["document"] == document]
        frame = pd.DataFrame(
            {"place_id": document, "measure": mine["item"], "value": mine["value"]}
        )
        found[document] = sorted(
            (flag.code, flag.measures[0], flag.values)
            for flag in plausibility.own_flags(frame, month)
        )
    assert found["X"] == [
        ("ABOVE_POPULATION", "free_examinations", (50000, 22444)),
        ("ABOVE_POPULATION", "outpatient_persons", (39800, 22444)),
        ("PARTS_DIFFER", "inpatient_paid", (12755.9, 12749.9)),
        ("PARTS_DIFFER", "outpatient_paid", (3572.17, 3694.27)),
        ("SAME_SUBTOTAL", "cervical_screened_poor_women", (5432,)),
    ]
    assert found["L"] == [
        ("MIXED_SCOPES", "mental_visited", (275, 1448)),
        ("UNEQUAL_PAIRS", "pregnant_urine_samples", (3, 2)),
    ]


def test_a_doubt_about_illness_is_told_only_where_its_figures_are(unit: Unit) -> None:
    flags = service.quality(unit, "C", "2026-10")
    assert [flag.place_id for flag in flags] == sorted(flag.place_id for flag in flags)
    for flag in flags:
        assert not plausibility.protected_layers(flag)


def test_in_haste_the_next_level_or_the_values_alone_are_looked_at(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = service.quality(unit, "C", "2026-10")
    assert service.quality(unit, "C", "2026-10", quick=True) == every
    monkeypatch.setattr(grounds, "QUICK_FIGURES", 0)
    values = service.quality(unit, "C", "2026-10", quick=True)
    assert values == [flag for flag in every if flag.layer_id is not None]
    monkeypatch.setattr(service, "QUICK_PLACES", 3)
    near = service.quality(unit, "C", "2026-10", quick=True)
    assert all(flag.place_id in ("C", "T0", "T1") for flag in near)
    assert service.quality(unit, "C", "2026-10") == every

"""What a value stands on: sums that add up, loads, what is left out; never more than the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from dashboard.access import EVERYTHING, SYSTEM, Actor, Grant, Role
from dashboard.cli.explain import as_dict
from dashboard.coverage import disclosure, registry, service
from dashboard.coverage import explain as explaining
from dashboard.coverage.explain import Explanation, Lack, Method, Part
from dashboard.coverage.model import Layer, Source, View
from dashboard.store import Store, Unit, database
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.model import Change
from dashboard.store.tables import audit
from loaders.registry import record_datasets
from tests.coverage.conftest import county_figures, county_places
from tests.coverage.test_figure_sources import Row, contracts, residents, revisits
from tests.security.test_26_subtraction import (
    DENOMINATOR,
    NUMERATOR,
    REST,
    Attacker,
    Cells,
    assert_protected,
)

MONTH = "2026-10"
CONTRACT, ILL = "contract_coverage", "hypertension_management"
HEAD_T1 = Actor("account:head", "乙镇负责人", grants=(Grant(Role.TOWNSHIP_HEAD, "T1", ("C/T1/",)),))
PLACES = ("C", "T0", "T1", *(f"T{t}V{v}" for t in range(2) for v in range(4)))


def figures(rows: list[tuple[str, str, float]], file: str) -> Change:
    frame = pd.DataFrame(rows, columns=["place_id", "measure", "value"])
    frame = frame.assign(month=MONTH, source="reported")
    return Change(dataset="figures", frame=frame, file=file)


def records(dataset: str, rows: list[Row]) -> Change:
    empty = record_datasets()[dataset].empty_frame()
    frame = pd.DataFrame(rows, columns=list(empty.columns)).astype(empty.dtypes.to_dict())
    return Change(dataset=dataset, frame=frame, file=f"{dataset}.csv")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two townships: figures, a correction, a file of the other township, patients, records."""
    opened = Store.open(tmp_path_factory.mktemp("explain"))
    frame, shapes = county_places()
    commit(opened, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), ())
    every = county_figures()
    commit(opened, SYSTEM, Change(dataset="figures", frame=every, file="全县.csv"), ())
    commit(opened, SYSTEM, figures([("T0V0", "contracted_persons", 75)], "更正.csv"), ())
    commit(opened, SYSTEM, figures([("T1V1", "contracted_persons", 7)], "乙镇.csv"), ())
    few = [
        (f"T{t}V{v}", measure, value)
        for t in range(2)
        for v in range(4)
        for measure, value in (
            ("hypertension_known", 40.0 + v),
            ("hypertension_managed", 2.0 if (t, v) == (0, 1) else 20.0 + v),
        )
    ]
    commit(opened, SYSTEM, figures(few, "慢病.csv"), ())
    managed = [
        {"person": row["person"], "day": date(2026, 5, 1), "kind": "managed", "tier": "village",
         "place_id": row["place_id"]}
        for row in residents()
    ]  # fmt: skip
    for dataset, rows in (
        ("residents", residents()),
        ("contracts", contracts(12)),
        ("services", managed),
        ("revisits", revisits()),
    ):
        commit(opened, SYSTEM, records(dataset, rows), ())
    ensure_snapshots(opened, SYSTEM, registry.pairs())
    yield opened
    opened.close()


@pytest.fixture
def unit(store: Store) -> Iterator[Unit]:
    with store.unit(SYSTEM) as opened:
        yield opened


def explained(
    unit: Unit, place: str, layer: str = CONTRACT, source: Source = Source.REPORTED
) -> Explanation:
    return service.explain(unit, View(place, layer, MONTH, source))


def test_the_places_it_stands_on_add_up_to_it(unit: Unit) -> None:
    for place in PLACES:
        for layer in (CONTRACT, "clinic_standardisation"):
            for source in (Source.REPORTED, Source.RECORDS):
                found = explained(unit, place, layer, source)
                if found.cell.numerator is None:
                    assert found.method is Method.NONE and not found.rows
                    continue
                for name in ("numerator", "denominator"):
                    told = sum(getattr(row.cell, name) for row in found.rows)
                    assert told == getattr(found.cell, name), (place, layer, source)
                assert found.rows_total == len(found.rows)


def test_worst_first_and_what_is_in_neither_sum(unit: Unit) -> None:
    found = explained(unit, "T0")
    assert found.method is Method.SUM
    assert [row.cell.place.id for row in found.rows] == ["T0V0", "T0V1", "T0V2"]
    assert [(one.place.id, one.lack) for one in found.absent] == [("T0V3", Lack.ONLY_DENOMINATOR)]
    other = explained(unit, "T1")
    assert {one.place.id: one.lack for one in other.absent} == {
        "T1V1": Lack.ONLY_NUMERATOR, "T1V2": Lack.NO_FIGURE, "T1V3": Lack.NO_FIGURE,
    }  # fmt: skip
    assert explained(unit, "T0V0").method is Method.OWN
    nothing = explained(unit, "T0V3")
    assert nothing.method is Method.NONE and nothing.absent[0].lack is Lack.ONLY_DENOMINATOR


def test_own_figures_that_differ_are_told_beside_the_sum(unit: Unit) -> None:
    (cell,) = explained(unit, "C").differing
    assert (cell.place.id, cell.own_denominator, cell.denominator) == ("T1", 210, 200)


def test_loads_are_named_with_what_they_brought_and_what_was_corrected(
    store: Store, unit: Unit
) -> None:
    found = explained(unit, "T0")
    assert [(one.file, one.rows) for one in found.loads or ()] == [("更正.csv", 1), ("全县.csv", 5)]
    assert found.replaced == 1
    rows = {row.cell.place.id: row.loads for row in found.rows}
    whole, correction = sorted(one.id for one in found.loads or ())
    assert rows["T0V0"] == (whole, correction) and rows["T0V1"] == (whole,)
    with database.reading(store.engine, EVERYTHING) as connection:
        statement = select(audit.c.actor_name).where(audit.c.subject == str(correction))
        (who,) = connection.execute(statement).scalars()
    assert {one.operator for one in found.loads or ()} == {who}


def test_who_sees_one_township_learns_of_no_other_load(store: Store) -> None:
    with store.unit(HEAD_T1) as unit:
        found = explained(unit, "T1")
        assert [one.file for one in found.loads or ()] == ["全县.csv"]
        # 乙镇.csv brought a lone numerator, which counts nowhere.
        assert {one.file for one in unit.loads(range(100))} == {"全县.csv", "乙镇.csv"}


def test_a_load_is_told_only_where_one_of_its_rows_was_answered(store: Store) -> None:
    with store.unit(SYSTEM) as unit:
        assert unit.loads(range(100)) == []
        rows = unit.observed(["T0V0"], MONTH, {"contracted_persons"})
        assert [one.file for one in unit.loads(range(100))] == ["更正.csv"]
        assert rows["replaced"].tolist() == [1]
    with store.unit(HEAD_T1) as unit:
        assert unit.observed(["T0V0"], MONTH, None).empty
        assert unit.counted(["T0V0"], MONTH, "residents", explaining.asks(
            registry.layer(CONTRACT))[1].rule).empty  # fmt: skip
        assert unit.loads(range(100)) == []


def test_records_are_counted_by_place_and_load_without_a_name(unit: Unit) -> None:
    found = explained(unit, "T0", CONTRACT, Source.RECORDS)
    assert [(one.part, one.dataset, one.rows) for one in found.records] == [
        (Part.NUMERATOR, "contracts", 12), (Part.DENOMINATOR, "residents", 14),
    ]  # fmt: skip
    first = {row.cell.place.id: row for row in found.rows}["T0V1"]
    assert [(one.dataset, one.rows) for one in first.counted] == [
        ("contracts", 2),
        ("residents", 4),
    ]
    assert {one.dataset: (one.file, one.rows) for one in found.loads or ()} == {
        "contracts": (None, 12), "residents": (None, 14),
    }  # fmt: skip
    assert [one.place.id for one in found.absent] == ["T0V2", "T0V3"]


def test_an_estimate_tells_the_reported_figure_and_the_sample(unit: Unit) -> None:
    found = explained(unit, "T0", CONTRACT, Source.VERIFIED)
    assert found.method is Method.ESTIMATE
    assert found.sample == explaining.Recount(5, 8.0, 10.0, 1, 1)
    assert found.reported is not None and found.reported.numerator is not None
    assert found.cell.numerator == pytest.approx(found.reported.numerator * 8 / 10)
    (row,) = found.rows
    assert row.cell.place.id == "T0V0" and row.sample == found.sample
    assert {one.dataset for one in found.loads or ()} == {"revisits", "figures"}
    assert "复核数" in found.numerator.zh and "上报" in found.denominator.zh
    none = explained(unit, "T1", CONTRACT, Source.VERIFIED)
    assert none.method is Method.NONE and none.sample is None


def test_the_list_is_limited_and_its_length_told(unit: Unit) -> None:
    found = service.explain(unit, View("C", CONTRACT, MONTH), 2)
    assert (len(found.rows), found.rows_total) == (2, 4)
    assert (len(found.absent), found.absent_total) == (2, 4)


def test_of_very_many_places_the_next_level_is_told(
    unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "QUICK_PLACES", 3)
    found = explained(unit, "C")
    assert found.near and found.loads is None
    assert {row.cell.place.id for row in found.rows} == {"T0", "T1"}
    assert sum(row.cell.numerator or 0 for row in found.rows) == found.cell.numerator
    estimate = explained(unit, "C", CONTRACT, Source.VERIFIED)
    assert estimate.near and estimate.sample is None
    assert [(row.cell.place.id, row.cell.numerator) for row in estimate.rows] == [
        ("T0", explained(unit, "T0", CONTRACT, Source.VERIFIED).cell.numerator)
    ]


def test_the_doubts_about_it_are_told_with_their_place(store: Store, unit: Unit) -> None:
    wanted = {
        (flag.code, flag.place_id)
        for flag in service.quality(unit, "C", MONTH)
        if {"contracted_persons", "registered_persons"} & set(flag.measures)
        and flag.place_id in ("T0", "T0V0", "T0V1", "T0V2", "T0V3")
        and flag.layer_id in (None, CONTRACT)
    }
    found = {(flag.code, flag.place_id) for flag in explained(unit, "T0").doubts}
    own_of_children = {one for one in wanted if one[1] != "T0"}
    assert found <= wanted and wanted - found <= own_of_children


# Small counts


def protected() -> list[Layer]:
    """One of each kind: with figures and records, with records, of townships, of the city."""
    chosen = (ILL, "illness_caused_share", "mental_diagnosed_count", "hiv_treated_share")
    found = [registry.layer(one) for one in chosen]
    assert all(layer.protected for layer in found)
    return found


def test_of_a_value_left_out_nothing_is_told(unit: Unit) -> None:
    hidden = disclosure.left_out(unit.whole, unit.snapshot(MONTH), registry.layer(ILL))
    assert "T0V1" in hidden
    for place in hidden:
        for source in Source:
            found = as_dict(explained(unit, place, ILL, source))
            assert found["status"] in ("suppressed", "no_data")
            for key in ("rows", "without", "differing", "records", "batches", "doubts"):
                if found["status"] == "suppressed":
                    assert found[key] == [], (place, key)
            assert found["value"] is found["numerator"]["value"] is None
            assert found["reporting"] is None or found["status"] == "no_data"


def test_no_count_of_a_protected_layer_is_told_that_the_table_does_not_hold(unit: Unit) -> None:
    for layer in protected():
        for source in Source:
            shown = {}
            for parent in ("C", "T0", "T1"):
                table = service.table(unit, View(parent, layer.id, MONTH, source))
                for cell in (table.own, *table.cells):
                    shown[cell.place.id] = (cell.status, cell.numerator, cell.denominator)
            for place in PLACES:
                found = explained(unit, place, layer.id, source)
                for cell in (found.cell, *(row.cell for row in found.rows)):
                    told = (cell.status, cell.numerator, cell.denominator)
                    assert told == shown[cell.place.id], (layer.id, source, place)
                assert all(one.rows is None for one in found.records)
                if source is Source.RECORDS:
                    assert not found.loads
                    assert not any(row.counted or row.loads for row in found.rows)
                    assert {one.lack for one in found.absent} <= {Lack.NO_FIGURE}
                low = layer.lowest_level
                assert low is None or all(row.cell.place.level <= low for row in found.rows)


def test_no_small_count_is_worked_out_from_all_explanations_together(unit: Unit) -> None:
    """The attacker of attack 26 reads every explanation of the layer instead of the exports."""
    places = unit.all_places(date(2026, 10, 31))
    at = {place.id: number for number, place in enumerate(places)}
    parent = {at[one.id]: at[one.parent_id] for one in places if one.parent_id is not None}
    published: Cells = {}
    for place in places:
        found = explained(unit, place.id, ILL)
        for cell in (found.cell, *(row.cell for row in found.rows)):
            number = at[cell.place.id]
            if cell.numerator is not None and cell.denominator is not None:
                published[NUMERATOR, number] = cell.numerator
                published[DENOMINATOR, number] = cell.denominator
    values = {
        (one.place_id): (one.numerator, one.denominator)
        for one in unit.whole.wholes(
            unit.snapshot(MONTH), Source.REPORTED, [disclosure._pair(registry.layer(ILL))]
        )[disclosure._pair(registry.layer(ILL))].itertuples()
    }
    small = [
        (part, at[place_id])
        for place_id, (top, bottom) in values.items()
        for part, value in ((NUMERATOR, top), (REST, bottom - top), (DENOMINATOR, bottom))
        if 0 < value < disclosure.INSIDE
    ]
    assert small and published
    assert_protected(Attacker(parent, published, True, at.values()), small, disclosure.INSIDE)


def test_figures_given_as_counted_from_records_are_as_secret(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    frame, shapes = county_places()
    commit(store, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), ())
    rows = [("T0V0", "diabetes_known", 30.0), ("T0V0", "diabetes_managed", 20.0)]
    given = figures(rows, "台账数.csv")
    given = Change(dataset="figures", frame=given.frame.assign(source="records"), file=given.file)
    commit(store, SYSTEM, given, registry.pairs())
    with store.unit(SYSTEM) as unit:
        found = explained(unit, "T0", "diabetes_management", Source.RECORDS)
        assert found.cell.value is not None and found.loads is None and found.replaced == 0
        assert [(row.cell.place.id, row.loads) for row in found.rows] == [("T0V0", ())]
    store.close()


def test_a_lone_figure_of_few_patients_is_doubted_nowhere(tmp_path: Path) -> None:
    """Without the other of its pair it was never weighed when small counts were left out."""
    store = Store.open(tmp_path)
    frame, shapes = county_places()
    commit(store, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), ())
    rows = [
        ("T0V0", "registered_persons", 2.0), ("T0V0", "diabetes_known", 3.0),
        ("T0V1", "registered_persons", 20.0), ("T0V1", "diabetes_known", 30.0),
        ("T0V1", "diabetes_managed", 30.0), ("T0V0", "contracted_persons", 2.0),
    ]  # fmt: skip
    commit(store, SYSTEM, figures(rows, "少.csv"), registry.pairs())
    with store.unit(SYSTEM) as unit:
        flags = service.quality(unit, "C", MONTH)
        assert {flag.place_id for flag in flags if "diabetes_known" in flag.measures} == {"T0V1"}
        assert explained(unit, "T0V0", "diabetes_management").doubts == []
        assert not explained(unit, "T0V0", CONTRACT).doubts
        assert len(explained(unit, "T0V1", "diabetes_management").doubts) == 1
    store.close()


# Words


def test_every_measure_has_words_in_both_languages_whatever_the_source() -> None:
    for layer in registry.layers().values():
        said = explaining.formula(layer)
        assert ("÷" in said.zh) is not layer.is_count
        for measure in (layer.numerator, layer.denominator):
            for source in Source:
                for method in (Method.SUM, Method.ESTIMATE):
                    words = explaining.counting(measure, source, method, MONTH)
                    assert not re.search(r"[{}]", words.zh + words.en)
                    assert not re.search("[\u4e00-\u9fff]", words.en), words.en


def test_words_say_dataset_conditions_and_window() -> None:
    def said(measure: str) -> str:
        return explaining.counting(measure, Source.RECORDS, Method.SUM, MONTH).zh

    assert said("exited_persons") == (
        "2026-10-31 在册的“贫困人口台账”（边缘人群：否；已脱贫：是）：条数"
    )
    assert "病种：高血压" in said("hypertension_managed")
    assert "2026-01-01 以来有过“服务记录”（服务类别：规范管理）" in said("hypertension_managed")
    assert "每人每年 4 次" in said("township_follow_ups_due")
    assert "每 3 个月一段" in said("township_follow_ups_done")
    assert "缺一不可" in said("standard_village_clinics")
    assert said("hiv_patients").startswith("没有登记")


def test_due_and_done_ask_for_their_records_once() -> None:
    asks = explaining.asks(registry.layer("township_fulfilment"))
    assert [(one.part, one.dataset) for one in asks] == [
        (Part.BOTH, "contracts"), (Part.BOTH, "services"),
    ]  # fmt: skip


def test_a_figure_counts_where_none_lies_below() -> None:
    paths = {"C": "C/", "T": "C/T/", "V": "C/T/V/", "W": "C/T/W/"}
    held = pd.DataFrame(
        [("T", "a"), ("V", "a"), ("T", "b"), ("W", "b"), ("C", "b"), ("X", "a")],
        columns=["place_id", "measure"],
    )
    assert explaining.used(held, paths, {"T"}) == [None, "T", None, "T", None, None]
    assert explaining.used(held, paths, {"V"}) == [None, "V", None, None, None, None]


def test_files_of_persons_and_households_are_not_named() -> None:
    named = {one for one in record_datasets() if not explaining.of_somebody(one)}
    assert named == {"teams", "clinic_checks", "settlements", "samples", "events"}
    assert not explaining.of_somebody("figures")


def test_a_sample_without_rows_is_empty() -> None:
    nothing = pd.DataFrame({"place_id": [], "result": [], "reported": [], "recount": []})
    assert explaining.recount(nothing) == explaining.Recount(0, 0.0, 0.0, 0, 0)
    assert np.isclose(explaining.recount(nothing).recount, 0)

"""Ledgers: what somebody may see of one, how it is filtered, what opening one leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dashboard.access import EVERYTHING, SYSTEM, Actor, Role
from dashboard.coverage import ledgers, registry
from dashboard.coverage.ledgers import Page, Period, Query, Sight
from dashboard.store import Store, database
from dashboard.store.commit import commit
from dashboard.store.model import Change, Filter, month_end
from dashboard.store.tables import audit
from geodata.errors import DudaoError
from loaders.registry import PERSON, measures, record_datasets
from tests.security.actors import CLERK_A, HEAD_A1, LEADER_A, holding
from tests.store import records, world
from tests.store.records import Records
from tests.store.test_records import load, load_all

MONTH = "2026-10"
VIEWER_A1 = holding((Role.VIEWER, "A1"))
MIXED = holding((Role.VIEWER, "A"), (Role.TOWNSHIP_HEAD, "A1"))
"""Sees a county, and persons in one of its townships only."""
PERSONAL = {"residents", "households", "contracts", "services", "visits", "revisits"}


@pytest.fixture(scope="module")
def made() -> Records:
    found = records.invented(31)
    found["revisits"][0] |= {"measure": "hiv_patients", "place_id": "V00"}
    found["revisits"][1] |= {"measure": "mental_managed", "place_id": "V00"}
    found["visits"][0] |= {"kind": "mental_delivery", "place_id": "V00"}
    return found


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, made: Records) -> Iterator[Store]:
    store = Store.open(tmp_path_factory.mktemp("ledgers"))
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    load_all(store, made)
    person = made["residents"][0]
    register = pd.DataFrame(
        [(person["person"], person["place_id"], "张三丰", "0011", "13900001111", None, 1960)],
        columns=["key", "place_id", "name", "id_last4", "phone", "sex", "birth_year"],
    ).astype({"birth_year": "Int16"})
    commit(store, SYSTEM, Change(dataset="persons", frame=register, file="p.csv"), ())
    yield store
    store.close()


def read(store: Store, actor: Actor, dataset: str, place: str, **further: Any) -> Page:
    further = {"period": Period.ALL, "size": 9_999} | further
    return ledgers.read(store, actor, Query(dataset, place, MONTH, **further))


def seen(store: Store, actor: Actor, dataset: str, place: str) -> Sight:
    with store.unit(actor) as unit:
        return ledgers.sight(unit, dataset, place, MONTH)


def everything(page: Page) -> str:
    return repr((page.rows, page.persons, page.names, list(page.sight.columns)))


# Who it is


def test_who_may_see_persons_sees_them_masked(loaded: Store, made: Records) -> None:
    page = read(loaded, SYSTEM, "residents", "C")
    (known,) = [one for one in page.persons if one is not None]
    assert (known.name, known.id_number) == ("张**", "*" * 14 + "0011")
    assert len(page.persons) == len(page.rows) == page.total == len(made["residents"])
    assert "张三丰" not in everything(page) and "13900001111" not in everything(page)


@pytest.mark.parametrize("dataset", sorted(PERSONAL))
def test_others_see_neither_persons_nor_households_nor_free_text(
    loaded: Store, dataset: str
) -> None:
    page = read(loaded, LEADER_A, dataset, "A")
    columns = page.sight.columns
    assert page.persons == () and page.rows
    assert not {PERSON, "household_id", "died", "diseases", "illness_caused"} & set(columns)
    assert all(one.kind not in ("text", "id_number") for one in columns.values())
    assert "张**" not in everything(page) and "0011" not in everything(page)


def test_only_ledgers_of_persons_and_households_are_narrowed(loaded: Store) -> None:
    for dataset in record_datasets():
        sight = seen(loaded, LEADER_A, dataset, "A")
        assert sight.personal is (dataset in PERSONAL)
        if dataset not in PERSONAL:
            assert sight.columns == seen(loaded, SYSTEM, dataset, "A").columns
            assert not sight.left_out and not sight.persons


def test_a_right_to_persons_in_a_part_is_none_in_the_whole(loaded: Store) -> None:
    assert not seen(loaded, MIXED, "residents", "A").persons
    assert seen(loaded, MIXED, "residents", "A1").persons
    assert read(loaded, MIXED, "residents", "A").persons == ()


# Illness


def protected() -> set[str]:
    return {
        name
        for layer in registry.layers().values()
        if layer.protected
        for name in (layer.numerator, layer.denominator)
    } - {
        name
        for layer in registry.layers().values()
        if not layer.protected
        for name in (layer.numerator, layer.denominator)
    }


def test_nothing_a_protected_layer_asks_for_is_left_to_see_or_count(loaded: Store) -> None:
    """Whatever a rule of a protected layer asks of a row, nobody else can filter or see."""
    asked = 0
    for name in protected():
        rule = measures()[name].records
        if rule is None:
            continue
        for dataset, conditions in ((rule.dataset, rule.where), (rule.by, rule.by_where)):
            for one in conditions:
                if dataset is None or one.value is False:
                    continue
                sight = seen(loaded, LEADER_A, dataset, "A")
                codes = (one.value,) if isinstance(one.value, str) else one.value
                if one.column in sight.columns:
                    assert isinstance(codes, tuple)
                    assert not set(codes) & set(sight.codes(one.column))
                    assert set(codes) <= sight.left_out[one.column]
                for text in [*codes, ",".join(codes)] if isinstance(codes, tuple) else ["yes"]:
                    with pytest.raises(DudaoError) as told:
                        ledgers.filter_of(sight, one.column, text)
                    assert told.value.code == "LEDGER_FILTER"
                asked += 1
    assert asked > 20


def test_rows_that_tell_of_an_illness_are_not_counted_either(loaded: Store, made: Records) -> None:
    page = read(loaded, LEADER_A, "services", "A")
    hidden = page.sight.left_out["kind"]
    assert {"treatment", "managed", "tb_visit", "mental_visit"} <= hidden
    mine = [row for row in made["services"] if records.COUNTY[row["place_id"]] == "A"]
    open_to_all = [row for row in mine if row["kind"] not in hidden]
    assert page.total == len(page.rows) == len(open_to_all) < len(mine)
    with loaded.unit(LEADER_A) as unit:
        told = {one.dataset.id: one.rows for one in ledgers.overview(unit, "A", MONTH, Period.ALL)}
    assert told["services"] == len(open_to_all)
    assert read(loaded, CLERK_A, "services", "A").total == len(mine)


@pytest.mark.parametrize("filters", [
    (Filter("diseases", among=("tuberculosis",)),), (Filter("illness_caused", flag=True),),
    (Filter("household_id", text="H1"),), (Filter(PERSON, low=0.0),), (Filter("gone", flag=True),),
])  # fmt: skip
def test_a_hidden_column_cannot_be_asked_by_any_filter(
    loaded: Store, filters: tuple[Filter, ...]
) -> None:
    with pytest.raises(DudaoError) as told:
        read(loaded, LEADER_A, "residents", "A", filters=filters)
    assert told.value.code == "LEDGER_FILTER"


def test_a_hidden_column_cannot_be_sorted_by(loaded: Store) -> None:
    for name in ("diseases", PERSON, "batch", "nothing"):
        with pytest.raises(DudaoError) as told:
            read(loaded, LEADER_A, "residents", "A", sort=name)
        assert told.value.code == "LEDGER_FILTER"


def test_hiv_is_shown_at_no_household_to_nobody(loaded: Store) -> None:
    for actor in (SYSTEM, CLERK_A, HEAD_A1):
        page = read(loaded, actor, "revisits", "A1")
        at = list(page.sight.columns).index("measure")
        told = {row[at] for row in page.rows}
        assert "mental_managed" in told and "hiv_patients" not in told
    page = read(loaded, LEADER_A, "revisits", "A")
    at = list(page.sight.columns).index("measure")
    assert not {row[at] for row in page.rows} & protected()


# Audit


def opened(store: Store) -> list[dict[str, Any]]:
    with database.reading(store.engine, EVERYTHING) as connection:
        rows = connection.execute(
            select(audit.c.actor, audit.c.place_id, audit.c.details, audit.c.outcome)
            .where(audit.c.action == "records.persons")
            .order_by(audit.c.seq)
        )
        return [dict(row._mapping) for row in rows]


def test_opening_a_ledger_of_persons_is_audited_and_names_nobody(loaded: Store) -> None:
    before = len(opened(loaded))
    household = (Filter("household_id", text="H1"),)
    page = read(loaded, HEAD_A1, "residents", "A1", filters=household)
    (row,) = opened(loaded)[before:]
    assert (row["actor"], row["place_id"], row["outcome"]) == (HEAD_A1.id, "A1", "done")
    assert json.loads(row["details"]) == {
        "dataset": "residents", "month": MONTH, "period": "all", "columns": ["household_id"],
        "page": 1, "rows": len(page.rows),
    }  # fmt: skip
    read(loaded, LEADER_A, "residents", "A")
    read(loaded, HEAD_A1, "events", "A1")
    assert len(opened(loaded)) == before + 1


def test_a_place_of_others_is_not_there(loaded: Store) -> None:
    for place in ("A2", "B", "C", "nowhere"):
        with pytest.raises(DudaoError) as told:
            read(loaded, HEAD_A1, "events", place)
        assert told.value.code == "PLACE_NOT_FOUND"


# Period, page, overview


def test_what_is_counted_is_what_the_indicators_count(loaded: Store, made: Records) -> None:
    residents = read(loaded, SYSTEM, "residents", "C", period=Period.COUNTED)
    last = month_end(MONTH)
    assert residents.total == len(records._in_force(made["residents"], last))
    events = read(loaded, SYSTEM, "events", "C", period=Period.COUNTED)
    assert events.total == len(records._this_year("events", made["events"], MONTH))
    checks = read(loaded, SYSTEM, "clinic_checks", "C", period=Period.COUNTED)
    assert checks.total == len(made["clinic_checks"])
    month = read(loaded, SYSTEM, "services", "C", period=Period.MONTH)
    assert month.total == sum(f"{row['day']:%Y-%m}" == MONTH for row in made["services"])


def test_a_page_goes_on_where_the_last_ended(loaded: Store) -> None:
    pages = [read(loaded, SYSTEM, "services", "A1", size=10, page=n) for n in (1, 2)]
    whole = read(loaded, SYSTEM, "services", "A1")
    assert [page.first for page in pages] == [1, 11]
    assert (*pages[0].rows, *pages[1].rows) == whole.rows[:20]
    day = list(whole.sight.columns).index("day")
    days = [row[day] for row in whole.rows]
    assert days == sorted(days, reverse=True), "latest first unless said otherwise"
    beyond = read(loaded, SYSTEM, "services", "A1", size=10, page=9_999)
    assert beyond.rows == () and beyond.total == whole.total


def test_every_ledger_stands_in_a_group_of_the_layers(loaded: Store, made: Records) -> None:
    groups = {layer.group for layer in registry.layers().values()}
    assert set(ledgers.groups()) == set(record_datasets())
    assert set(ledgers.groups().values()) <= groups
    with loaded.unit(SYSTEM) as unit:
        told = ledgers.overview(unit, "C", MONTH, Period.ALL)
    counts = {one.dataset.id: one.rows for one in told}
    expected = {name: len(rows) for name, rows in made.items()}
    assert counts == expected | {"revisits": expected["revisits"] - 1}, "one is about HIV"
    assert all(one.loaded_at for one in told) and counts["services"] > 0


def test_places_are_named_with_what_is_above_them(loaded: Store) -> None:
    page = read(loaded, SYSTEM, "events", "V00")
    assert page.names == {"V00": ("平舒村", "平舒镇")}


# Filters as written


@pytest.mark.parametrize(("dataset", "name", "text", "wanted"), [
    ("services", "kind", "exam,record", Filter("kind", among=("exam", "record"))),
    ("residents", "exited", "no", Filter("exited", flag=False)),
    ("services", "day", "2026-01-05..", Filter("day", low=date(2026, 1, 5))),
    ("services", "day", "2026-01-05",
     Filter("day", low=date(2026, 1, 5), high=date(2026, 1, 5))),
    ("teams", "members", "..7.5", Filter("members", high=7.5)),
    ("samples", "month", "2026-01..2026-03", Filter("month", low="2026-01", high="2026-03")),
    ("revisits", "measure", "examined_persons",
     Filter("measure", among=("examined_persons",))),
    ("events", "title", " 义诊 ", Filter("title", text="义诊")),
])  # fmt: skip
def test_filters_are_read_and_written(
    loaded: Store, dataset: str, name: str, text: str, wanted: Filter
) -> None:
    sight = seen(loaded, SYSTEM, dataset, "C")
    found = ledgers.filter_of(sight, name, text)
    assert found == wanted
    assert ledgers.filter_of(sight, name, ledgers.written(sight, found)) == found
    read(loaded, SYSTEM, dataset, "C", filters=(found,))


@pytest.mark.parametrize(("name", "text"), [
    ("kind", "nonsense"), ("kind", "exam,nonsense"), ("day", "soon"), ("day", ".."), ("day", ""),
    ("place_id", "V00"), (PERSON, "1"), ("gone", "yes"), ("batch", "1"), ("day", "1..2..3"),
])  # fmt: skip
def test_nonsense_is_refused_with_what_can_be_asked(loaded: Store, name: str, text: str) -> None:
    with pytest.raises(DudaoError) as told:
        ledgers.filter_of(seen(loaded, SYSTEM, "services", "C"), name, text)
    assert told.value.code == "LEDGER_FILTER" and "服务类别" in told.value.remedy


@given(st.text(max_size=30), st.sampled_from(["members", "valid_from", "tier", "name", "team_id"]))
def test_no_text_makes_anything_but_a_filter_or_a_refusal(text: str, name: str) -> None:
    with_everything = Sight(
        record_datasets()["teams"],
        None,
        record_datasets()["teams"].columns,
        {},
        False,
        False,  # type: ignore[arg-type]
    )
    try:
        found = ledgers.filter_of(with_everything, name, text)
    except DudaoError as error:
        assert error.code == "LEDGER_FILTER"
    else:
        assert found.column == name


def test_an_unknown_ledger_names_those_there_are(loaded: Store) -> None:
    with pytest.raises(DudaoError) as told:
        read(loaded, SYSTEM, "persons", "C")
    assert told.value.code == "LEDGER_NOT_FOUND" and "residents" in told.value.remedy


def test_a_ledger_without_rows_is_empty(tmp_path: Any) -> None:
    store = Store.open(tmp_path)
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    page = read(store, SYSTEM, "residents", "C")
    assert (page.rows, page.persons, page.total) == ((), (), 0)
    with store.unit(SYSTEM) as unit:
        told = ledgers.overview(unit, "C", MONTH, Period.COUNTED)
    assert {(one.rows, one.loaded_at) for one in told} == {(0, "")}
    load(store, "events", records.invented(1)["events"])
    assert read(store, SYSTEM, "events", "C").total == 12
    store.close()

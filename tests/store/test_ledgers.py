"""Single records read a page at a time: the same rows as a plain look through them all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dashboard.access import SYSTEM, Actor
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, Filter, Selection, month_end
from dashboard.store.records import person_number
from dashboard.store.undo import undo
from tests.security.actors import CLERK_A, HEAD_A1
from tests.store import records, world
from tests.store.records import Records, Row
from tests.store.test_records import load, load_all

DAY = date(2026, 10, 31)


@pytest.fixture(scope="module")
def made() -> Records:
    return records.invented(21)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, made: Records) -> Iterator[Store]:
    store = Store.open(tmp_path_factory.mktemp("ledgers"))
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    load_all(store, made)
    yield store
    store.close()


def read(
    store: Store, wanted: Selection, place: str = "C", actor: Actor = SYSTEM
) -> tuple[pd.DataFrame, int, int]:
    with store.unit(actor) as unit:
        ((rows, total, latest),) = unit.ledgers(unit.place(place, DAY), [wanted])
    return rows, total, latest


def keys(dataset: str, rows: Any) -> list[tuple[Any, ...]]:
    """What rows, stored or invented, are known by; persons by number."""
    from loaders.registry import record_datasets

    names = record_datasets()[dataset].canonical_key
    if isinstance(rows, pd.DataFrame):
        return sorted(rows[list(names)].itertuples(index=False, name=None), key=repr)
    told = [
        tuple(person_number(row[name]) if name == "person" else row[name] for name in names)
        for row in rows
    ]
    return sorted(told, key=repr)


def under(place: str, rows: list[Row]) -> list[Row]:
    within = {
        "C": world.VILLAGES, "A": world.VILLAGES[:6], "B": world.VILLAGES[6:],
        "A1": world.VILLAGES[:3],
    }.get(place, (place,))  # fmt: skip
    return [row for row in rows if row["place_id"] in within]


@pytest.mark.parametrize("place", ["C", "A", "B", "A1", "V04"])
@pytest.mark.parametrize("dataset", ["residents", "services", "settlements", "revisits"])
def test_a_place_has_the_rows_of_all_below_it(
    loaded: Store, made: Records, dataset: str, place: str
) -> None:
    rows, total, latest = read(loaded, Selection(dataset, limit=10_000), place)
    expected = under(place, made[dataset])
    assert keys(dataset, rows) == keys(dataset, expected)
    assert total == len(expected) and latest == 1 + list(made).index(dataset) + 1


def test_months_and_those_in_force_are_told_apart(loaded: Store, made: Records) -> None:
    rows, _, _ = read(loaded, Selection("services", since="2026-03", until="2026-05", limit=999))
    expected = [row for row in made["services"] if "2026-03" <= f"{row['day']:%Y-%m}" <= "2026-05"]
    assert keys("services", rows) == keys("services", expected) != []
    rows, _, _ = read(loaded, Selection("residents", in_force=month_end("2026-03"), limit=999))
    last = month_end("2026-03")
    expected = [
        row
        for row in made["residents"]
        if row["valid_from"] <= last
        and (row["valid_to"] is None or row["valid_to"] > last)
        and (row["died"] is None or row["died"] > last)
    ]
    assert keys("residents", rows) == keys("residents", expected)
    assert 0 < len(expected) < len(made["residents"])


FILTERS = {
    "flag set": ("residents", Filter("illness_caused", flag=True), lambda r: r["illness_caused"]),
    "flag not set": (
        "residents", Filter("illness_caused", flag=False), lambda r: not r["illness_caused"],
    ),
    "one of several codes": (
        "residents", Filter("diseases", among=("diabetes", "tuberculosis")),
        lambda r: {"diabetes", "tuberculosis"} & set((r["diseases"] or "").split()),
    ),
    "without a code": (
        "services", Filter("kind", without=("exam", "treatment")),
        lambda r: r["kind"] not in ("exam", "treatment"),
    ),
    "a range of days": (
        "services", Filter("day", low=date(2026, 2, 3), high=date(2026, 2, 20)),
        lambda r: date(2026, 2, 3) <= r["day"] <= date(2026, 2, 20),
    ),
    "a number from": (
        "revisits", Filter("recount", low=2.0), lambda r: (r["recount"] or 0) >= 2,
    ),
    "part of a code": (
        "households", Filter("household_id", text="h1"), lambda r: "H1" in r["household_id"],
    ),
    "what a pattern would mean": (
        "households", Filter("household_id", text="%"), lambda r: False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FILTERS)
def test_a_filter_finds_what_a_plain_look_finds(loaded: Store, made: Records, case: str) -> None:
    dataset, wanted, holds = FILTERS[case]
    rows, total, _ = read(loaded, Selection(dataset, filters=(wanted,), limit=9_999))
    expected = [row for row in made[dataset] if holds(row)]
    assert keys(dataset, rows) == keys(dataset, expected)
    assert total == len(expected) < len(made[dataset])


def test_pages_are_ordered_and_hold_every_row_once(loaded: Store, made: Records) -> None:
    days, seen = [], []
    for offset in range(0, 10_000, 37):
        wanted = Selection("services", sort="day", descending=True, offset=offset, limit=37)
        rows, total, _ = read(loaded, wanted, "A")
        assert total == len(under("A", made["services"]))
        days += rows["day"].tolist()
        seen += keys("services", rows)
        if len(rows) < 37:
            break
    assert days == sorted(days, reverse=True)
    assert sorted(seen, key=repr) == keys("services", under("A", made["services"]))


def test_a_correction_replaces_and_an_undo_restores(tmp_path: Path, made: Records) -> None:
    store = Store.open(tmp_path)
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    rows = [{**row, "provider": "旧"} for row in made["services"][:40]]
    load(store, "services", rows)
    corrected = load(store, "services", [{**row, "provider": "新"} for row in rows[:7]])
    wanted = Selection("services", limit=999)
    found, total, latest = read(store, wanted)
    assert total == 40 and latest == corrected.batch
    assert found["provider"].value_counts().to_dict() == {"旧": 33, "新": 7}
    undo(store, SYSTEM, corrected.batch or 0, ())
    found, total, latest = read(store, wanted)
    assert total == 40 and set(found["provider"]) == {"旧"} and latest < (corrected.batch or 0)
    store.close()


def test_a_record_moved_to_another_county_is_there_alone(tmp_path: Path, made: Records) -> None:
    store = Store.open(tmp_path)
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    row = {**made["services"][0], "place_id": "V00"}
    load(store, "services", [row])
    load(store, "services", [{**row, "place_id": "V07"}])
    wanted = Selection("services", limit=9)
    assert read(store, wanted, "A")[1] == 0
    assert read(store, wanted, "B")[0]["place_id"].tolist() == ["V07"]
    store.close()


def test_what_lies_outside_the_scope_is_not_there(loaded: Store, made: Records) -> None:
    rows, total, _ = read(loaded, Selection("services", limit=9_999), "A1", HEAD_A1)
    assert keys("services", rows) == keys("services", under("A1", made["services"]))
    assert total == len(rows)
    with loaded.unit(HEAD_A1) as unit:
        above = unit.versions("C")
        with loaded.unit(SYSTEM) as whole:
            city = whole.place("C", DAY)
        ((rows, total, _),) = unit.ledgers(city, [Selection("services", limit=9_999)])
    assert above == [] and total == len(under("A1", made["services"]))


def test_persons_are_found_by_number_masked_and_in_scope_only(store: Store) -> None:
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    near, far = f"{'f' * 16}{'0' * 48}", f"{'0' * 15}1{'a' * 48}"
    frame = pd.DataFrame(
        [
            (near, "V00", "张三丰", "0011", "13900001111", "男", 1960),
            (far, "V06", "欧阳修", "002X", None, None, None),
        ],
        columns=["key", "place_id", "name", "id_last4", "phone", "sex", "birth_year"],
    ).astype({"birth_year": "Int16"})
    commit(store, SYSTEM, Change(dataset="persons", frame=frame, file="p.csv"), ())
    asked = [person_number(near), person_number(far), 7]
    with store.unit(SYSTEM) as unit:
        found = unit.persons(asked)
    assert {number: one.name for number, one in found.items()} == {
        person_number(near): "张**", person_number(far): "欧阳*",
    }  # fmt: skip
    assert found[person_number(near)].id_number == "*" * 14 + "0011"
    with store.unit(CLERK_A) as unit:
        assert set(unit.persons(asked)) == {person_number(near)}

"""Records: counted as a second, plain count says; loads, corrections and undos are exact."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from dashboard.access import SYSTEM
from dashboard.store import Store, backup, database, erasures
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.engine import Engine
from dashboard.store.integrity import check
from dashboard.store.model import Change, CommitResult, Pair
from dashboard.store.records import person_number
from dashboard.store.undo import undo
from geodata.errors import DudaoError
from loaders.registry import measures, record_datasets
from tests.store import fingerprint, records, world
from tests.store.records import Records, Row

MONTHS = ("2025-12", "2026-01", "2026-06", "2026-10")
PAIRS = (
    Pair("contracted_persons", "registered_persons"),
    Pair("examined_persons", "registered_persons"),
    Pair("township_follow_ups_done", "township_follow_ups_due"),
)


@pytest.fixture
def county(store: Store) -> Store:
    """The county's places."""
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    return store


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Store]:
    """The same for what no database has a part in."""
    store = Store.open(tmp_path / "data")
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    yield store
    store.close()


def load(store: Store, dataset: str, rows: list[Row], pairs: tuple[Pair, ...] = ()) -> CommitResult:
    return commit(store, SYSTEM, records.change(dataset, rows), pairs)


def load_all(store: Store, made: Records, pairs: tuple[Pair, ...] = ()) -> None:
    for dataset, rows in made.items():
        load(store, dataset, rows, pairs)


def count(store: Store, *months: str) -> pd.DataFrame:
    with store.unit(SYSTEM) as unit:
        committed = unit.committed()
    with Engine(store.scratch) as engine:
        pieces = store.records.of_months(months, committed)
        return engine.count(pieces, committed, months).to_pandas()


def counted(store: Store, month: str) -> dict[tuple[str, str], float]:
    return counted_by_month(store, month)[month]


def counted_by_month(store: Store, *months: str) -> dict[str, dict[tuple[str, str], float]]:
    rows = count(store, *months)
    own = rows[rows["source"] == "records"]
    return {month: records.as_dict(own[own["month"] == month]) for month in months}


@pytest.mark.parametrize("seed", [1, 2])
def test_figures_are_those_of_a_second_count(plain: Store, seed: int) -> None:
    made = records.invented(seed)
    load_all(plain, made)
    every = count(plain, *MONTHS)
    for month in MONTHS:
        rows = every[every["month"] == month]
        own = rows[rows["source"] == "records"]
        assert not own.duplicated(["place_id", "measure"]).any()
        expected = records.counted(made, month)
        assert records.as_dict(own) == pytest.approx(expected)
        sample = rows[rows["source"] == "verified"]
        assert records.as_dict(sample) == pytest.approx(records.sampled(made, month))
    kinds = {name for name, _ in records.counted(made, "2026-10")}
    assert {"examined_persons", "village_follow_ups_done", "standard_village_clinics"} <= kinds


def test_twelve_visits_in_december_are_one(plain: Store) -> None:
    person = records.key_of(1)
    contract: Row = {
        "person": person, "valid_from": date(2025, 1, 1), "place_id": "V00",
        "valid_to": date(2026, 1, 1), "team_id": "T",
    }  # fmt: skip
    visits: list[Row] = [
        {
            "person": person, "day": date(2025, 12, day), "kind": "follow_up",
            "tier": "village", "place_id": "V00",
        }
        for day in range(1, 13)
    ]  # fmt: skip
    load(plain, "contracts", [contract])
    load(plain, "services", visits)
    found = counted(plain, "2025-12")
    assert found["village_follow_ups_due", "V00"] == 6
    assert found["village_follow_ups_done", "V00"] == 1


def test_a_county_that_brought_no_services_says_nothing_instead_of_nought(plain: Store) -> None:
    made = records.invented(4)
    load_all(plain, made)
    found = counted(plain, "2026-10")
    measured = {place for name, place in found if name == "examined_persons"}
    assert measured and all(records.COUNTY[place] == "A" for place in measured)
    assert {records.COUNTY[place] for name, place in found if name == "registered_persons"} == {
        "A", "B",
    }  # fmt: skip


def test_a_measure_without_its_datasets_is_not_counted(plain: Store) -> None:
    load(plain, "residents", records.invented(5)["residents"])
    assert {name for name, _ in counted(plain, "2026-10")} >= {"registered_persons"}
    assert not [name for name, _ in counted(plain, "2026-10") if name == "examined_persons"]


def test_loading_twice_changes_nothing(plain: Store) -> None:
    made = records.invented(6)
    load_all(plain, made)
    before = counted(plain, "2026-10")
    for dataset, rows in made.items():
        random.Random(1).shuffle(rows)
        again = load(plain, dataset, rows)
        assert again.batch is None and again.unchanged == len(rows)
    assert counted(plain, "2026-10") == before


def test_a_correction_replaces_and_its_undo_restores_exactly(county: Store) -> None:
    made = records.invented(7)
    load_all(county, made)
    before = counted_by_month(county, *MONTHS)
    changed: list[Row] = []
    for row in made["residents"][:40]:
        # To the other county: another partition.
        other = "V11" if records.COUNTY[row["place_id"]] == "A" else "V00"
        changed.append(row | {"place_id": other, "marginal": not row["marginal"]})
    result = load(county, "residents", changed)
    assert result.changed == 40
    keys = {row["person"]: row for row in changed}
    corrected = made | {"residents": [keys.get(row["person"], row) for row in made["residents"]]}
    for month, found in counted_by_month(county, *MONTHS).items():
        assert found == pytest.approx(records.counted(corrected, month))
    assert result.batch is not None
    undo(county, SYSTEM, result.batch, ())
    assert counted_by_month(county, *MONTHS) == before


def test_undoing_the_middle_of_three_corrections_leaves_the_last(plain: Store) -> None:
    made = records.invented(8)
    load_all(plain, made)
    row = made["residents"][0]
    middle = load(plain, "residents", [row | {"place_id": "V00"}])
    load(plain, "residents", [row | {"place_id": "V11"}])
    last = load(plain, "residents", [row | {"place_id": "V05"}])
    expected = counted(plain, "2026-10")
    if middle.batch is not None:
        undo(plain, SYSTEM, middle.batch, ())
    assert counted(plain, "2026-10") == expected
    assert last.batch is not None
    undo(plain, SYSTEM, last.batch, ())
    moved = made | {"residents": [row | {"place_id": "V11"}, *made["residents"][1:]]}
    assert counted(plain, "2026-10") == pytest.approx(records.counted(moved, "2026-10"))


def test_published_months_follow_every_load_and_undo(plain: Store) -> None:
    made = records.invented(9)
    load_all(plain, made, PAIRS)
    with plain.unit(SYSTEM) as unit:
        months = unit.months()
    assert months and months[0] == "2025-01"
    assert check(plain, SYSTEM).problems == ()
    _check_published(plain, made, "2026-10")
    before = fingerprint.contents(plain)
    result = load(plain, "services", [made["services"][0] | {"provider": "另一家"}], PAIRS)
    assert result.batch is not None and result.snapshots
    undo(plain, SYSTEM, result.batch, PAIRS)
    assert fingerprint.contents(plain) == before
    assert check(plain, SYSTEM).problems == ()
    # What a new roll-up of all gives is what was published bit by bit.
    with plain.unit(SYSTEM) as unit:
        stored = unit.figures(None, months, None)
    assert stored.empty
    assert ensure_snapshots(plain, SYSTEM, PAIRS) == ()


def _check_published(store: Store, made: Records, month: str) -> None:
    """The county's sums are those of its villages that have both figures of a pair."""
    expected = records.counted(made, month)
    with store.unit(SYSTEM) as unit:
        values = unit.values(unit.snapshot(month), "C")
    rows = values[values["source"] == "records"]
    for pair in PAIRS:
        mine = rows[rows["numerator_measure"] == pair.numerator].set_index("place_id")
        for place in ("A", "B"):
            both = [
                (expected[pair.numerator, village], expected[pair.denominator, village])
                for village, county in records.COUNTY.items()
                if county == place
                and (pair.numerator, village) in expected
                and (pair.denominator, village) in expected
            ]
            if both:
                sums = tuple(map(sum, zip(*both, strict=True)))
                found = (mine.loc[place, "numerator"], mine.loc[place, "denominator"])
                assert found == pytest.approx(sums)


def test_records_stand_beside_reported_figures(plain: Store) -> None:
    made = records.invented(10)
    load_all(plain, made)
    pairs = (Pair("signed", "persons"), *PAIRS)
    commit(plain, SYSTEM, world.figures_change(world.figures("2026-10")), pairs)
    with plain.unit(SYSTEM) as unit:
        values = unit.values(unit.snapshot("2026-10"), "C")
    assert set(values["source"]) == {"reported", "records"}
    reported = values[values["source"] == "reported"]
    assert set(reported["numerator_measure"]) == {"signed"}


def test_a_county_with_contracts_alone_has_a_month(plain: Store) -> None:
    load(plain, "contracts", records.invented(11)["contracts"], PAIRS)
    with plain.unit(SYSTEM) as unit:
        assert len(unit.months()) == 1


def test_records_are_found_by_person_where_they_may_be_seen(plain: Store) -> None:
    made = records.invented(12)
    load_all(plain, made)
    wanted = sorted({row["person"] for row in made["contracts"][:5]})
    with plain.unit(SYSTEM) as unit:
        found = unit.records("contracts", "person", wanted)
    expected = [row for row in made["contracts"] if row["person"] in wanted]
    key = ["person", "valid_from"]
    pd.testing.assert_frame_equal(
        found.sort_values(key, ignore_index=True),
        records.frame("contracts", expected).sort_values(key, ignore_index=True),
    )


def test_rows_with_empty_or_repeated_keys_are_refused(plain: Store) -> None:
    row = records.invented(13)["residents"][0]
    for wrong in ([row, row], [row | {"place_id": None}], [row | {"place_id": "V99"}]):
        with pytest.raises(DudaoError) as caught:
            load(plain, "residents", wrong)
        assert caught.value.code == "RECORDS_INVALID"


def test_every_key_holds_the_month(tmp_path: Path) -> None:
    """A record of another month is another record: a load looks into its own months only."""
    for dataset in record_datasets().values():
        assert dataset.dated in dataset.key


def test_who_is_erased_leaves_the_records_and_the_figures_follow(county: Store) -> None:
    made = records.invented(14)
    load_all(county, made, PAIRS)
    person = made["residents"][0]["person"]
    registered = pd.DataFrame(
        [(person, "V00", "张三", "0011", None, None, 1960)],
        columns=["key", "place_id", "name", "id_last4", "phone", "sex", "birth_year"],
    ).astype({"birth_year": "Int16"})
    commit(county, SYSTEM, Change(dataset="persons", frame=registered, file="p.csv"), PAIRS)
    with county.load_lock(timeout=5):
        with database.writing(county.engine) as connection:
            erasures.erase(connection, county.keys, [person], "本人申请删除", "operator:t")
        erasures.finish(county)
    without = {
        name: [row for row in rows if row.get("person") != person] for name, rows in made.items()
    }
    assert counted(county, "2026-10") == pytest.approx(records.counted(without, "2026-10"))
    assert county.records.holding([person_number(person)]) == {}
    number = str(person_number(person)).encode()
    for path in (county.directory / "records").rglob("*"):
        assert path.is_dir() or number not in path.read_bytes() or path.suffix == ".json"
    assert check(county, SYSTEM).problems == ()
    assert ensure_snapshots(county, SYSTEM, PAIRS)
    assert check(county, SYSTEM).problems == ()
    _check_published(county, without, "2026-10")


def test_a_backup_brings_the_records_along(county: Store, tmp_path: Path) -> None:
    made = records.invented(15, persons=30)
    load_all(county, made, PAIRS)
    out = tmp_path / "backup.tar"
    backup.backup(county, SYSTEM, out, with_keys=True)
    found = backup.restore(out, tmp_path / "elsewhere", None, SYSTEM)
    assert found.checked.problems == ()
    other = Store.open(tmp_path / "elsewhere")
    assert counted(other, "2026-10") == counted(county, "2026-10")
    assert load(other, "services", made["services"], PAIRS).batch is None
    other.close()


def test_the_rows_that_are_counted_come_to_the_figure(plain: Store) -> None:
    """A quarter of the measures that count rows: told by load, they are as many as the figure."""
    made = records.invented(3, persons=50)
    load_all(plain, made)
    # A correction: the same contracts and services from another file, half of them changed.
    again = [row | {"provider": "更正"} for row in made["services"][::2]]
    correction = load(plain, "services", again).batch
    figures = count(plain, "2026-06").query("source == 'records'")
    compared = 0
    with plain.unit(SYSTEM) as unit:
        for measure in list(measures().values())[::4]:
            rule = measure.records
            if rule is None or rule.kind not in ("stock", "flow") or rule.distinct or rule.sum:
                continue
            rows = unit.counted(world.VILLAGES, "2026-06", rule.dataset, rule)
            mine = figures[figures["measure"] == measure.id].set_index("place_id")["value"]
            told = rows.groupby("place_id")["rows"].sum()
            assert told.reindex(mine.index).fillna(0).to_dict() == mine.to_dict(), measure.id
            compared += len(mine) > 0
            if rule.dataset == "services" and len(rows):
                assert correction in set(rows["batch"])
        assert compared > 5
        due = measures()["township_follow_ups_done"].records
        assert due is not None
        assert len(unit.counted(world.VILLAGES, "2026-06", "services", due))
        assert unit.counted([], "2026-06", "services", due).empty

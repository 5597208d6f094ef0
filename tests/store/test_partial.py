"""A month rolled up in part is the month rolled up whole, whatever came before."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard.access import EVERYTHING, SYSTEM
from dashboard.store import Store, database, partial, snapshots
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.engine import COLUMNS, VALUES
from dashboard.store.integrity import check
from dashboard.store.model import Change, Pair, Siblings, Snapshot
from dashboard.store.publish import committed_batches, quiet, read_pieces, rolled
from dashboard.store.store import snapshot_files
from dashboard.store.tables import snapshot
from dashboard.store.undo import undo
from tests.store import records, world

MONTHS = ("2025-11", "2025-12", "2026-01")
MEASURES = (
    "registered_persons", "contracted_persons", "standard_village_clinics", "village_clinics",
)  # fmt: skip
PAIRS = (
    Pair("contracted_persons", "registered_persons"),
    Pair("standard_village_clinics", "village_clinics"),
    Pair("contracted_persons", "village_clinics"),
)

# (county, townships): under a city; under a second city; right under a province.
COUNTIES = {"CA": "C1", "CB": "C1", "CC": "C1", "CD": "C2", "CE": "P2", "CF": "P2"}
HIGH = ("N", "P1", "P2", "C1", "C2", "C3", "T31", "V311", "V312")


def places() -> pd.DataFrame:
    """A nation. City C3 has townships and no counties; VA12 goes from CA to CB in December 2025."""
    rows: list[tuple[str, str, int, str | None]] = [
        ("N", "全国", 0, None), ("P1", "甲省", 1, "N"), ("P2", "乙省", 1, "N"),
        ("C1", "甲市", 2, "P1"), ("C2", "乙市", 2, "P1"), ("C3", "丙市", 2, "P2"),
        ("T31", "直管镇", 4, "C3"), ("V311", "一村", 5, "T31"), ("V312", "二村", 5, "T31"),
    ]  # fmt: skip
    for county, above in COUNTIES.items():
        rows.append((county, f"{county}县", 3, above))
        for township in (1, 2):
            name = f"T{county[1]}{township}"
            rows.append((name, f"{name}镇", 4, county))
            rows += [(f"V{name[1:]}{n}", f"{name}{n}村", 5, name) for n in (1, 2, 3)]
    stays = world.place_rows(*[row for row in rows if row[0] != "VA12"])
    first = world.place_rows(("VA12", "移村", 5, "TA1"), valid_to="2025-12-15")
    then = world.place_rows(("VA12", "移村", 5, "TB1"), valid_from="2025-12-15")
    return pd.concat([stays, first, then], ignore_index=True)


VILLAGES = tuple(sorted({*places().loc[lambda rows: rows["level"] == 5, "id"]}))


@pytest.fixture
def nation(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "data")
    commit(store, SYSTEM, Change(dataset="places", frame=places()), ())
    yield store
    store.close()


def figures(chance: random.Random, place_ids: tuple[str, ...], measures: int = 2) -> Change:
    rows = {
        (place_id, chance.choice(MONTHS), measure, chance.choice(("reported", "verified"))): float(
            chance.randrange(1, 60)
        )
        for place_id in place_ids
        for measure in chance.sample(MEASURES, measures)
    }
    columns = ["place_id", "month", "measure", "source", "value"]
    return world.figures_change(
        pd.DataFrame([(*key, value) for key, value in rows.items()], columns=columns)
    )


def some_records(chance: random.Random, village: str) -> Change:
    """Residents, contracts or checks of a village; now and then of somebody known elsewhere."""
    dataset = chance.choice(("residents", "contracts", "clinic_checks"))
    rows: dict[tuple[object, ...], records.Row] = {}
    for _ in range(chance.randrange(1, 8)):
        began = date(2025, chance.choice((6, 11, 12)), 1 + chance.randrange(28))
        person = records.key_of(chance.randrange(1, 30))
        row: records.Row
        if dataset == "clinic_checks":
            row = {
                "institution_id": f"I{chance.randrange(6)}", "day": began, "place_id": village,
                "doctors": 1.0, "residents": 500.0, "area": 40.0, "consultation": True,
                "treatment": True, "public_health": True, "pharmacy": chance.random() < 0.7,
                "equipment": True,
            }  # fmt: skip
        else:
            row = {"person": person, "valid_from": began, "place_id": village, "valid_to": None}
            if dataset == "contracts":
                row |= {"team_id": "T", "valid_to": date(2026, 6, 1)}
            else:
                row |= {"household_id": "H"}
        rows[person if "person" in row else row["institution_id"], began] = row
    return records.change(dataset, list(rows.values()))


def latest(store: Store) -> dict[str, tuple[Snapshot, int]]:
    """The published version of each month, and how many flags it counts."""
    with database.reading(store.engine, EVERYTHING) as connection:
        rows = connection.execute(snapshot.select().order_by(snapshot.c.version)).all()
    return {
        row.month: (Snapshot.listed(row.month, row.version, row.file), row.flags) for row in rows
    }


def same_as_whole(store: Store) -> None:
    """Every published month holds, file upon file, what a roll-up of all of it gives."""
    published = latest(store)
    with database.reading(store.engine, EVERYTHING) as connection:
        committed, tree = committed_batches(connection), read_pieces(connection)
    for month, rows, resolved in rolled(store, sorted(published), PAIRS, tree, committed, quiet):
        version, flags = published[month]
        whole = pa.Table.from_batches(rows, VALUES).select(COLUMNS)
        assert store.snapshots.read(version).to_pylist() == whole.to_pylist(), month
        kept = store.snapshots.resolved(version)
        assert kept is not None
        names = [(name, "ascending") for name in kept.schema.names]
        assert kept.sort_by(names).to_pylist() == resolved.sort_by(names).to_pylist(), month
        own = whole.to_pandas().set_index("place_id")[["own_numerator", "own_denominator"]]
        assert flags == own[own.notna().any(axis=1)].index.nunique()


def read_as_one_file(store: Store, version: Snapshot) -> None:
    """Every way of reading a version of several files gives what one file with its rows gives."""
    kept = store.snapshots
    rows = kept.read(version)
    month = pa.repeat(version.month, len(rows))
    one = kept.write(version.month, 99, rows.append_column("month", month).to_batches())
    assert version.below and not one.below
    parents = sorted({*rows["parent_id"].to_pylist()})
    for parent in parents:
        assert kept.values(version, parent).equals(kept.values(one, parent))
    assert_same(kept.families(version, parents, PAIRS), kept.families(one, parents, PAIRS))
    assert kept.sources(version) == kept.sources(one)
    for source in kept.sources(one):
        theirs = kept.wholes(version, source, PAIRS)
        for pair, values in kept.wholes(one, source, PAIRS).items():
            assert theirs[pair].equals(values)
    assert kept.flagged(version, parents) == kept.flagged(one, parents)
    kept.remove([one.file])


def assert_same(found: Siblings, expected: Siblings) -> None:
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert list(found[key].at) == list(values.at)
        for name in ("numerator", "denominator", "reporting", "expected", "own_numerator"):
            np.testing.assert_array_equal(getattr(found[key], name), getattr(values, name))


def everything(store: Store, chance: random.Random) -> None:
    """Figures and records of most places, rolled up."""
    known = [
        (place_id, month, measure, source, float(chance.randrange(1, 60)))
        for measure in MEASURES
        for place_id in chance.sample(VILLAGES, 30)
        for month in MONTHS
        for source in ("reported", "verified")
    ]
    columns = ["place_id", "month", "measure", "source", "value"]
    commit(store, SYSTEM, world.figures_change(pd.DataFrame(known, columns=columns)), ())
    for village in chance.sample(VILLAGES, 24):
        commit(store, SYSTEM, some_records(chance, village), ())
    ensure_snapshots(store, SYSTEM, PAIRS)


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))]
)
def test_corrections_and_undos_in_any_order(nation: Store, seed: int) -> None:
    chance = random.Random(seed)
    everything(nation, chance)
    batches: list[int] = []
    partly = 0
    for _ in range(10):
        kind = chance.random()
        if kind < 0.2 and batches:
            batch = batches.pop(chance.randrange(len(batches)))
            made = undo(nation, SYSTEM, batch, PAIRS).snapshots
        else:
            if kind < 0.45:
                change = some_records(chance, chance.choice(VILLAGES))
            elif kind < 0.65:
                change = figures(chance, (chance.choice(HIGH), chance.choice(VILLAGES)))
            else:
                change = figures(chance, tuple(chance.sample(VILLAGES, 2)))
            result = commit(nation, SYSTEM, change, PAIRS)
            made = result.snapshots
            if result.batch is not None:
                batches.append(result.batch)
        partly += any(one.below for one in made)
        same_as_whole(nation)
    assert partly > 4
    for version, _ in latest(nation).values():
        if version.below:
            read_as_one_file(nation, version)
    assert check(nation, SYSTEM, pairs=PAIRS).problems == ()


def of(place_id: str, value: float, measure: str = "contracted_persons") -> Change:
    """One figure, of December."""
    rows = [(place_id, "2025-12", measure, "reported", value)]
    columns = ["place_id", "month", "measure", "source", "value"]
    return world.figures_change(pd.DataFrame(rows, columns=columns))


def holds(store: Store, version: Snapshot) -> set[str]:
    """The parents whose families the newest file of a version holds."""
    metadata = pq.read_metadata(store.directory / "snapshots" / version.file).metadata
    return {*json.loads(metadata[b"holds"])}


def load_december(store: Store) -> None:
    """Both measures of the first pair in every village."""
    rows = [
        (village, "2025-12", measure, "reported", 20.0 + (measure == "registered_persons"))
        for village in VILLAGES
        for measure in ("contracted_persons", "registered_persons")
    ]
    columns = ["place_id", "month", "measure", "source", "value"]
    frame = pd.DataFrame(rows, columns=columns)
    commit(store, SYSTEM, world.figures_change(frame), PAIRS)


@pytest.fixture
def reported(nation: Store) -> Store:
    load_december(nation)
    return nation


def test_the_part_is_the_same_on_either_database(store: Store) -> None:
    commit(store, SYSTEM, Change(dataset="places", frame=places()), ())
    load_december(store)
    (made,) = commit(store, SYSTEM, of("VA12", 7.0), PAIRS).snapshots
    # In the middle of the month it went to the other county.
    assert holds(store, made) == {"", "N", "P1", "C1", "CB", "TB1", "TB2"}
    contract = {
        "person": records.key_of(1), "valid_from": date(2025, 6, 1), "place_id": "VA11",
        "valid_to": date(2026, 6, 1), "team_id": "T",
    }  # fmt: skip
    (made,) = commit(store, SYSTEM, records.change("contracts", [contract]), PAIRS).snapshots
    # The county shares a village's records with the other.
    assert holds(store, made) >= {"CA", "TA1", "CB", "TB1"}
    same_as_whole(store)


def test_a_correction_writes_its_county_and_what_lies_above(reported: Store) -> None:
    (made,) = commit(reported, SYSTEM, of("VB11", 7.0), PAIRS).snapshots
    assert len(made.files) == 2
    assert holds(reported, made) == {"", "N", "P1", "C1", "CB", "TB1", "TB2"}
    same_as_whole(reported)
    # Above counties every place is a part of its own.
    (made,) = commit(reported, SYSTEM, of("V311", 7.0), PAIRS).snapshots
    assert holds(reported, made) == {"", "N", "P2", "C3", "T31", "V311"}
    (made,) = commit(reported, SYSTEM, of("P1", 7.0), PAIRS).snapshots
    assert holds(reported, made) == {"", "N", "P1"}
    same_as_whole(reported)


def test_an_own_figure_above_is_compared_with_the_new_sum(reported: Store) -> None:
    commit(reported, SYSTEM, of("C2", 6 * 20.0), PAIRS)
    commit(reported, SYSTEM, of("C2", 6 * 21.0, "registered_persons"), PAIRS)
    assert latest(reported)["2025-12"][1] == 0
    commit(reported, SYSTEM, of("VD11", 19.0), PAIRS)
    assert latest(reported)["2025-12"][1] == 1
    same_as_whole(reported)
    commit(reported, SYSTEM, of("VA11", 19.0), PAIRS)
    assert latest(reported)["2025-12"][1] == 1
    commit(reported, SYSTEM, of("VD12", 21.0), PAIRS)
    assert latest(reported)["2025-12"][1] == 0
    same_as_whole(reported)


def test_a_measure_that_comes_or_goes_is_a_row_everywhere(reported: Store) -> None:
    commit(reported, SYSTEM, of("VA11", 1.0, "standard_village_clinics"), PAIRS)
    result = commit(reported, SYSTEM, of("VA13", 2.0, "village_clinics"), PAIRS)
    same_as_whole(reported)
    # The county has both now, in two villages: a pair that the month did not have.
    assert not result.snapshots[0].below
    undone = undo(reported, SYSTEM, result.batch or 0, PAIRS)
    assert not undone.snapshots[0].below
    same_as_whole(reported)


def test_upper_files_are_put_together_before_there_are_many(
    reported: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "_LARGEST", 100.0)
    monkeypatch.setattr(snapshots, "MOST_FILES", 4)
    lengths = []
    for number in range(8):
        village = VILLAGES[5 * number % len(VILLAGES)]
        (made,) = commit(reported, SYSTEM, of(village, 1.0 + number), PAIRS).snapshots
        lengths.append(len(made.files))
    assert lengths == [2, 3, 4, 2, 3, 4, 2, 3]
    same_as_whole(reported)
    read_as_one_file(reported, made)
    # Only files of versions that are kept lie there, and all of them.
    with database.reading(reported.engine, EVERYTHING) as connection:
        used = snapshot_files(connection)
    lying = {path.name for path in (reported.directory / "snapshots").glob("*.parquet")}
    assert lying == used >= set(made.files)
    assert check(reported, SYSTEM, pairs=PAIRS).problems == ()


def test_what_is_no_small_part_is_rolled_up_whole(reported: Store) -> None:
    half = VILLAGES[: len(VILLAGES) // 2 + 6]
    frame = pd.concat([of(village, 3.0).frame for village in half], ignore_index=True)
    (made,) = commit(reported, SYSTEM, world.figures_change(frame), PAIRS).snapshots
    assert not made.below
    # Records above counties may speak of any place.
    above = records.change(
        "contracts",
        [
            {
                "person": records.key_of(1), "valid_from": date(2025, 6, 1), "place_id": "V311",
                "valid_to": date(2026, 6, 1), "team_id": "T",
            }
        ],
    )  # fmt: skip
    made_of = commit(reported, SYSTEM, above, PAIRS).snapshots
    assert made_of and not any(one.below for one in made_of)
    same_as_whole(reported)


def test_a_version_without_what_the_next_one_needs_is_followed_by_a_whole_one(
    reported: Store,
) -> None:
    for path in (reported.directory / "snapshots").glob("*.resolved"):
        path.unlink()
    (made,) = commit(reported, SYSTEM, of("VB11", 7.0), PAIRS).snapshots
    assert not made.below
    same_as_whole(reported)


def test_an_earlier_version_is_read_from_its_own_files(reported: Store) -> None:
    first = latest(reported)["2025-12"][0]
    commit(reported, SYSTEM, of("VB11", 7.0), PAIRS)
    commit(reported, SYSTEM, of("VB11", 8.0), PAIRS)
    with reported.unit(SYSTEM) as unit:
        assert [one.version for one in unit.editions("2025-12")] == [3, 2, 1]
        seen = []
        for version in (1, 2, 3):
            unit.look_at("2025-12", version)
            rows = unit.values(unit.snapshot("2025-12"), "TB1")
            mine = rows[rows["place_id"] == "VB11"]
            seen.append(mine["numerator"].tolist())
    assert seen == [[20.0], [7.0], [8.0]]
    assert reported.snapshots.rows(first) > 0


def test_figures_of_a_place_that_is_not_there_yet_change_nothing(reported: Store) -> None:
    later = world.place_rows(
        ("CG", "新县", 3, "C2"), ("TG1", "新镇", 4, "CG"), valid_from="2026-06-01"
    )
    commit(reported, SYSTEM, Change(dataset="places", frame=later), PAIRS)
    commit(reported, SYSTEM, of("TG1", 5.0), PAIRS)
    same_as_whole(reported)
    commit(reported, SYSTEM, of("VB11", 5.0), PAIRS)
    same_as_whole(reported)


def test_records_of_a_place_that_moved_are_kept_where_it_lies_last(nation: Store) -> None:
    with nation.unit(SYSTEM) as unit:
        assert unit.counties(["VA12", "VA11", "T31"]) == {"VA12": "CB", "VA11": "CA", "T31": ""}

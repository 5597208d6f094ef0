"""Targets: set for a place and year, read by who lies below, corrected and taken back."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from sqlalchemy import text

from dashboard.access import SYSTEM, Actor, Role
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.undo import undo
from geodata.errors import DudaoError
from tests.security.actors import ADMINISTRATOR, CLERK_A, HEAD_A1, HEAD_B1, LEADER_A, holding
from tests.store import world
from tests.store.fingerprint import tables

DAY = date(2026, 10, 31)
CLERK_A1 = holding((Role.CLERK, "A1"))
ROWS = (
    ("signed", "C", 2026, 70.0),
    ("signed", "A", 2026, 80.0),
    ("signed", "A1", 2026, 90.0),
    ("signed", "V00", 2026, 95.0),
    ("signed", "B", 2026, 60.0),
    ("screened", "A", 2026, 50.0),
    ("signed", "A", 2027, 85.0),
)


@pytest.fixture
def places(store: Store) -> Store:
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    return store


@pytest.fixture
def loaded(places: Store) -> Store:
    assert commit(places, SYSTEM, world.targets(*ROWS), ()).changed == len(ROWS)
    return places


def read(store: Store, actor: Actor, *ids: str, year: int = 2026) -> dict[tuple[str, str], float]:
    with store.unit(actor) as unit:
        return unit.targets(unit.places(ids, DAY), {year})[year]


def test_all_of_a_place_and_above_it_are_read_at_once(loaded: Store) -> None:
    found = read(loaded, SYSTEM, "V00", "V03")
    assert found == {
        ("signed", "C"): 70.0, ("signed", "A"): 80.0, ("signed", "A1"): 90.0,
        ("signed", "V00"): 95.0, ("screened", "A"): 50.0,
    }  # fmt: skip
    assert read(loaded, SYSTEM, "V00", year=2027) == {("signed", "A"): 85.0}
    assert read(loaded, SYSTEM, "V00", year=2025) == {}


def test_who_sees_a_township_reads_what_its_county_wants_and_nothing_else(loaded: Store) -> None:
    assert read(loaded, HEAD_A1, "V00") == read(loaded, SYSTEM, "V00")
    assert read(loaded, HEAD_B1, "B1") == {("signed", "C"): 70.0, ("signed", "B"): 60.0}
    # A place handed in by mistake opens nothing.
    with loaded.unit(SYSTEM) as unit:
        (foreign,) = unit.places(["V00"], DAY)
    with loaded.unit(HEAD_B1) as unit:
        assert unit.targets([foreign], {2026})[2026] == {("signed", "C"): 70.0}


def test_the_second_wall_holds_without_the_first(loaded: Store) -> None:
    if loaded.engine.dialect.name != "postgresql":
        pytest.skip("row-level security is PostgreSQL's")
    statement = text("SELECT place_id FROM target WHERE year = 2026 AND layer = 'signed'")
    both = holding((Role.VIEWER, "A2"), (Role.VIEWER, "B1"))
    for actor, seen in (
        (SYSTEM, {"C", "A", "A1", "V00", "B"}),
        (HEAD_A1, {"C", "A", "A1", "V00"}),
        (HEAD_B1, {"C", "B"}),
        (both, {"C", "A", "B"}),
    ):
        with loaded.unit(actor) as unit:
            assert set(unit._connection.execute(statement).scalars()) == seen
    with loaded.engine.connect() as connection:
        # A transaction that says nothing about its scope, in the role reads step down to.
        connection.execute(text("SET LOCAL ROLE dudao_reader"))
        assert connection.execute(statement).all() == []
        with pytest.raises(Exception, match="permission denied"):
            connection.execute(text("DELETE FROM target"))


def version(store: Store) -> int:
    with store.unit(SYSTEM) as unit:
        return unit.places_version()


def test_the_same_again_changes_nothing_and_a_correction_replaces(loaded: Store) -> None:
    before, at = tables(loaded), version(loaded)
    again = commit(loaded, SYSTEM, world.targets(*ROWS), ())
    assert (again.batch, again.changed, again.unchanged) == (None, 0, len(ROWS))
    assert (tables(loaded), version(loaded)) == (before, at)
    corrected = world.targets(("signed", "A", 2026, 82.5), ("signed", "A1", 2026, 90.0))
    done = commit(loaded, SYSTEM, corrected, ())
    assert (done.changed, done.unchanged, done.snapshots) == (1, 1, ())
    assert read(loaded, SYSTEM, "A1")["signed", "A"] == 82.5
    # Every cache of what is shown carries this number.
    assert version(loaded) == at + 1


def test_an_undo_restores_what_was_there_to_the_byte(loaded: Store) -> None:
    before, at = tables(loaded)["target"], version(loaded)
    changed = world.targets(("signed", "A", 2026, 82.5), ("signed", "A2", 2026, 75.0))
    number = commit(loaded, SYSTEM, changed, ()).batch
    assert number is not None and tables(loaded)["target"] != before
    undo(loaded, SYSTEM, number, ())
    assert tables(loaded)["target"] == before and version(loaded) == at + 2
    assert read(loaded, SYSTEM, "A2")["signed", "A"] == 80.0


def test_a_later_load_of_the_same_row_stands_in_the_way(loaded: Store) -> None:
    first = commit(loaded, SYSTEM, world.targets(("signed", "A", 2026, 82.5)), ()).batch
    other = commit(loaded, SYSTEM, world.targets(("signed", "B", 2026, 61.0)), ()).batch
    second = commit(loaded, SYSTEM, world.targets(("signed", "A", 2026, 83.0)), ()).batch
    assert first and second and other
    with pytest.raises(DudaoError) as told:
        undo(loaded, SYSTEM, first, ())
    assert told.value.code == "UNDO_NOT_LAST" and f"第 {second} 批" in told.value.message
    for number in (second, first):
        undo(loaded, SYSTEM, number, ())
    assert read(loaded, SYSTEM, "A", "B")["signed", "A"] == 80.0


def test_places_that_have_targets_are_not_undone_away(places: Store) -> None:
    new = commit(places, SYSTEM, world.places_change(
        world.place_rows(("V90", "新立村", 5, "A1")), drawn=False
    ), ()).batch  # fmt: skip
    set_for = commit(places, SYSTEM, world.targets(("signed", "V90", 2026, 80.0)), ()).batch
    assert new is not None and set_for is not None
    with pytest.raises(DudaoError) as told:
        undo(places, SYSTEM, new, ())
    assert told.value.code == "UNDO_NOT_LAST" and f"第 {set_for} 批" in told.value.message


def test_a_clerk_sets_the_targets_of_the_own_places_only(loaded: Store) -> None:
    own = commit(loaded, CLERK_A1, world.targets(("screened", "A1", 2026, 55.0)), ()).batch
    assert own is not None
    for actor, place_id in ((CLERK_A1, "A"), (CLERK_A1, "C"), (CLERK_A1, "B1"), (CLERK_A, "B")):
        with pytest.raises(DudaoError) as told:
            commit(loaded, actor, world.targets(("signed", place_id, 2026, 1.0)), ())
        assert told.value.code == "TARGETS_INVALID" and place_id in told.value.message
    for actor in (LEADER_A, HEAD_A1):
        with pytest.raises(DudaoError) as refused:
            commit(loaded, actor, world.targets(("signed", "A1", 2026, 1.0)), ())
        assert refused.value.code == "NOT_ALLOWED"
    # What another may not load they may not take back either.
    with pytest.raises(DudaoError) as hidden:
        undo(loaded, CLERK_A1, 2, ())
    assert hidden.value.code == "BATCH_NOT_FOUND"
    undo(loaded, CLERK_A1, own, ())
    assert read(loaded, ADMINISTRATOR, "A1") == read(loaded, SYSTEM, "A1")
    assert ("screened", "A1") not in read(loaded, SYSTEM, "A1")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"layer": ["signed"], "place_id": ["A"], "year": [2026], "value": [None]}),
        pd.DataFrame(
            {"layer": ["signed"] * 2, "place_id": ["A"] * 2, "year": [2026] * 2, "value": [1.0, 2]}
        ),
    ],
)
def test_what_no_loader_would_hand_over_is_refused(loaded: Store, frame: pd.DataFrame) -> None:
    change = world.targets()
    with pytest.raises(DudaoError) as told:
        commit(loaded, SYSTEM, type(change)(dataset="targets", frame=frame), ())
    assert told.value.code == "TARGETS_INVALID"

"""What a unit shows to somebody who may not see everything."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import text

from dashboard.access import SYSTEM, Role
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from geodata.errors import DudaoError
from tests.security.actors import (
    ADMINISTRATOR,
    CLERK_A,
    HEAD_A1,
    HEAD_B1,
    LEADER_A,
    NOBODY,
    holding,
)
from tests.store import world
from tests.store.world import PAIRS

DAY = date(2026, 10, 31)
A1 = {"A1", "V00", "V01", "V02"}


@pytest.fixture
def loaded(store: Store) -> Store:
    commit(store, SYSTEM, world.places_change(), PAIRS)
    commit(store, SYSTEM, Change(dataset="institutions", frame=world.institutions()), PAIRS)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
    return store


def denials(store: Store) -> list[tuple[str, str, str | None]]:
    with store.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT actor, action, place_id FROM audit WHERE outcome = 'denied' ORDER BY seq")
        )
        return [tuple(row) for row in rows]


def test_a_township_head_sees_the_township(loaded: Store) -> None:
    with loaded.unit(HEAD_A1) as unit:
        assert unit.root().id == "A1" and not unit.is_empty()
        assert {place.id for place in unit.all_places(DAY)} == A1
        assert unit.known_ids(["A1", "A", "V00", "V11"]) == {"A1", "V00"}
        assert [place.id for place in unit.search("平舒", 50, DAY)] == ["A1", "V00"]
        assert unit.search("夏垫", 50, DAY) == unit.search("V1", 50, DAY) == []
        assert [place.id for place in unit.search("舒村", 50, DAY)] == ["V00"]
        assert [found.id for found in unit.institution_frame().itertuples()] == ["I1", "I2"]
        assert set(unit.place_frame()["id"]) == A1
        assert unit.ancestors(unit.place("V00", DAY), DAY)[-1].id == "A1"
        assert set(unit.shapes(["V00", "V11"], DAY)) == {"V00"}
        assert unit.status()["places"] == {"township": 1, "village": 3}
        own = unit.figures(None, ["2026-10"], None)
        assert set(own["place_id"]) == {"V00", "V01", "V02"}
        assert unit.figures(["V11"], ["2026-10"], None).empty


def test_values_of_siblings_outside_are_left_out(loaded: Store) -> None:
    with loaded.unit(HEAD_A1) as unit:
        snapshot = unit.snapshot("2026-10")
        for parent, seen in (("A1", {"V00", "V01", "V02"}), ("A", {"A1"}), ("B1", set())):
            siblings = unit.siblings(snapshot, parent)
            assert {place for values in siblings.values() for place in values.at} == seen
            assert set(unit.values(snapshot, parent)["place_id"]) == seen
            families = unit.families(snapshot, [parent, "B1"], PAIRS)
            assert {place for values in families.values() for place in values.at} == seen
        assert unit.siblings(snapshot, None) == {} or all(
            not values.at for values in unit.siblings(snapshot, None).values()
        )
        (pair,) = (p for p in unit.siblings(snapshot, "A") if p[1] == PAIRS[0])
        values = unit.siblings(snapshot, "A")[pair]
        assert values.numerator[values.at["A1"]] == 151


@pytest.mark.parametrize("place_id", ["A", "C", "B1", "V11"])
def test_a_place_outside_reads_as_none_and_the_attempt_is_audited(
    loaded: Store, place_id: str
) -> None:
    with loaded.unit(HEAD_A1) as unit, pytest.raises(DudaoError) as told:
        unit.place(place_id, DAY)
    with loaded.unit(HEAD_A1) as unit, pytest.raises(DudaoError) as unknown:
        unit.place("X9", DAY)
    assert told.value.code == unknown.value.code == "PLACE_NOT_FOUND"
    assert told.value.message.replace(place_id, "X9") == unknown.value.message
    # Only what exists is a denial: a mistyped code is none.
    assert denials(loaded) == [(HEAD_A1.id, "places.view", place_id)]


def test_an_institution_outside_reads_as_none(loaded: Store) -> None:
    with loaded.unit(HEAD_A1) as unit:
        assert unit.institution("I1").place_id == "V00"
        with pytest.raises(DudaoError) as told:
            unit.institution("I3")
    assert told.value.code == "INSTITUTION_NOT_FOUND"
    assert denials(loaded) == [(HEAD_A1.id, "places.view", "B1")]


def test_several_grants_add_up(loaded: Store) -> None:
    both = holding((Role.VIEWER, "A1"), (Role.VIEWER, "B1"))
    with loaded.unit(both) as unit:
        assert [top.id for top in unit.tops()] == ["A1", "B1"]
        assert len(unit.all_places(DAY)) == 8


def test_who_holds_nothing_opens_nothing(loaded: Store) -> None:
    with pytest.raises(DudaoError) as told, loaded.unit(NOBODY):
        pass
    assert told.value.code == "NOT_ALLOWED"
    assert denials(loaded) == [(NOBODY.id, "places.view", None)]


def test_a_load_reaches_only_as_far_as_the_clerk(loaded: Store) -> None:
    own = world.figures("2026-10", base=300, place_ids=("V00", "V01"))
    assert commit(loaded, CLERK_A, world.figures_change(own), PAIRS).batch is not None
    foreign = world.figures("2026-10", base=300, place_ids=("V00", "V11"))
    with pytest.raises(DudaoError) as told:
        commit(loaded, CLERK_A, world.figures_change(foreign), PAIRS)
    assert told.value.code == "FIGURES_INVALID" and "V11" in told.value.message
    for actor, change in (
        (LEADER_A, world.figures_change(own)),
        (CLERK_A, world.places_change()),
    ):
        with pytest.raises(DudaoError) as refused:
            commit(loaded, actor, change, PAIRS)
        assert refused.value.code == "NOT_ALLOWED"
    with loaded.unit(SYSTEM) as unit:
        assert unit.figures(["V11"], ["2026-10"], ["persons"])["value"].tolist() == [111.0]


def test_an_institution_of_others_cannot_be_taken_over(loaded: Store) -> None:
    taken = world.institutions()[lambda rows: rows["id"] == "I3"].assign(place_id="V00")
    with pytest.raises(DudaoError) as told:
        commit(loaded, CLERK_A, Change(dataset="institutions", frame=taken), PAIRS)
    assert told.value.code == "INSTITUTIONS_INVALID"
    with loaded.unit(SYSTEM) as unit:
        assert unit.institution("I3").place_id == "B1"


def test_loads_are_listed_to_whom_they_concern(loaded: Store) -> None:
    own = world.figures("2026-10", base=300, place_ids=("V00", "V01"))
    number = commit(loaded, CLERK_A, world.figures_change(own), PAIRS).batch
    for actor, seen in ((HEAD_A1, [number]), (HEAD_B1, []), (CLERK_A, [number])):
        with loaded.unit(actor) as unit:
            assert [batch.id for batch in unit.batches(9)] == seen
    with loaded.unit(ADMINISTRATOR) as unit:
        assert len(unit.batches(9)) == 4


@pytest.mark.parametrize("table", ["place", "boundary", "institution"])
def test_the_second_wall_holds_without_the_first(loaded: Store, table: str) -> None:
    if loaded.engine.dialect.name != "postgresql":
        pytest.skip("row-level security is PostgreSQL's")
    statement = text(f"SELECT count(*) FROM {table}")
    counts = []
    for actor in (SYSTEM, HEAD_A1, HEAD_B1):
        with loaded.unit(actor) as unit:
            counts.append(unit._connection.execute(statement).scalar_one())
    whole, mine, theirs = counts
    assert (mine, theirs) == {"place": (4, 4), "boundary": (3, 3), "institution": (2, 1)}[table]
    assert whole > mine + theirs - 1
    with loaded.engine.connect() as connection:
        # A transaction that says nothing about its scope, in the role reads step down to.
        connection.execute(text("SET LOCAL ROLE dudao_reader"))
        assert connection.execute(statement).scalar_one() == 0
        with pytest.raises(Exception, match="permission denied"):
            connection.execute(text("DELETE FROM place"))

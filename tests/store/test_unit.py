"""Reads: places on a day, search, institutions, status."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from dashboard.access import SYSTEM
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.migrations import HEAD
from dashboard.store.model import Change, month_end
from dashboard.store.unit import Unit
from geodata.errors import DudaoError
from geodata.model import InstitutionKind, Level
from tests.store import world
from tests.store.world import PAIRS, VILLAGES

TODAY = date(2026, 11, 21)


@pytest.fixture
def loaded(store: Store) -> Store:
    commit(store, SYSTEM, world.places_change(), PAIRS)
    commit(store, SYSTEM, Change(dataset="institutions", frame=world.institutions()), PAIRS)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-09", "2026-10")), PAIRS)
    return store


def ids(unit: Unit, text: str, limit: int = 10) -> list[str]:
    return [place.id for place in unit.search(text, limit, TODAY)]


def test_an_empty_store_says_so(store: Store) -> None:
    with store.unit(SYSTEM) as unit:
        assert unit.is_empty()
        assert unit.months() == []
        assert unit.status()["places"] == {}
        assert unit.figures(None, ["2026-10"], None).empty
        for code, read in (
            ("NO_PLACES", unit.root),
            ("PLACE_NOT_FOUND", lambda: unit.place("C", TODAY)),
            ("MONTH_NOT_FOUND", lambda: unit.snapshot("2026-10")),
            ("INSTITUTION_NOT_FOUND", lambda: unit.institution("I1")),
        ):
            with pytest.raises(DudaoError) as caught:
                read()
            assert caught.value.code == code


def test_places(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        assert not unit.is_empty()
        village = unit.place("V04", TODAY)
        assert (village.level, village.parent_id) == (Level.VILLAGE, "A2")
        assert [place.id for place in unit.ancestors(village, TODAY)] == ["C", "A", "A2"]
        assert unit.ancestors(unit.root(), TODAY) == []
        assert [place.id for place in unit.children("C", TODAY)] == ["A", "B"]
        assert unit.children("V00", TODAY) == []
        assert [p.id for p in unit.places(["V01", "X", "A", "V01"], TODAY)] == ["A", "V01"]
        assert len(unit.all_places(TODAY)) == 19
        assert unit.known_ids(["A", "X", "V11"]) == {"A", "V11"}


def test_a_wrong_month_names_the_right_ones(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        with pytest.raises(DudaoError) as caught:
            unit.snapshot("2027-01")
        assert caught.value.code == "MONTH_NOT_FOUND"
        assert "2026-09、2026-10" in caught.value.remedy
        with pytest.raises(DudaoError) as caught:
            unit.snapshot("2018-13")
        assert caught.value.code == "MONTH_FORM"


SEARCHES = {
    "大城县": ["A"],
    "大": ["A", "B"],
    "dcx": ["A"],
    "DCX": ["A"],
    "dachengxian": ["A"],
    "dac": ["A", "B"],
    "大 城": ["A"],
    "Ｖ０３": ["V03"],
    "A1": ["A1"],
    "V0": ["V00", "V01", "V02"],
    "尚屯": ["V09"],
    "平舒": ["A1", "V00"],
    "sz": ["A1"],
    "gzz": ["B2"],
    "没有": [],
    "": [],
    " ": [],
    "%": [],
    "%%": [],
    "__": [],
    "\\": [],
    "'; --": [],
}


def test_search(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        for text, found in SEARCHES.items():
            got = ids(unit, text)
            assert got[: len(found)] == found, text
            assert bool(got) == bool(found), text


def test_search_ranks_whole_before_beginning_before_inner_part(store: Store) -> None:
    rows = world.place_rows(
        ("C", "城", 2, None),
        ("P", "大城镇", 4, "C"),
        ("Q", "城关", 5, "P"),
        ("R", "城关镇", 4, "C"),
        ("S", "老城关", 5, "P"),
    )
    commit(store, SYSTEM, Change(dataset="places", frame=rows), PAIRS)
    with store.unit(SYSTEM) as unit:
        assert ids(unit, "城") == ["C", "R", "Q"]
        assert ids(unit, "城关") == ["Q", "R", "S"]
        assert ids(unit, "城关", limit=2) == ["Q", "R"]
        assert ids(unit, "城关", limit=0) == []


def test_search_knows_only_places_of_the_day(loaded: Store) -> None:
    closed = world.place_rows(("V00", "平舒村", 5, "A1"), valid_to="2026-10-01")
    commit(loaded, SYSTEM, Change(dataset="places", frame=closed.assign(valid_from=pd.NaT)), PAIRS)
    with loaded.unit(SYSTEM) as unit:
        assert ids(unit, "平舒村") == []
        assert [p.id for p in unit.search("平舒村", 5, date(2026, 9, 30))] == ["V00"]


def test_institutions_stand_under_every_place_above_them(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        for place_id, found in (
            ("C", ["I1", "I2", "I3"]), ("A", ["I1", "I2"]), ("V00", ["I1"]), ("B2", []),
        ):  # fmt: skip
            place = unit.place(place_id, TODAY)
            assert [each.id for each in unit.institutions(place)] == found
            assert [each.id for each in unit.institutions(place, TODAY)] == found
        assert unit.institution("I3").kind is InstitutionKind.TOWNSHIP_CENTRE
        assert unit.institution("I2").lon is None


def test_values_are_the_children_and_nothing_else(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        snapshot = unit.snapshot("2026-10")
        rows = unit.values(snapshot, "A")
        assert sorted(set(rows["place_id"])) == ["A1", "A2"]
        assert len(rows) == 2 * len(PAIRS)
        assert list(unit.value_of(snapshot, unit.root())["place_id"]) == ["C", "C"]
        assert unit.values(snapshot, "V00").empty
        assert unit.values(snapshot, "zz").empty
        assert list(unit.values(snapshot, "zz").columns) == list(rows.columns)


def test_frames_for_the_loaders(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        places = unit.place_frame()
        assert list(places.columns) == [
            "id", "name", "level", "parent_id", "path", "valid_from", "valid_to",
        ]  # fmt: skip
        assert len(places) == 19
        assert places["valid_from"].dtype == "datetime64[s]"
        assert places["valid_to"].isna().all()
        assert len(unit.institution_frame()) == 3
        figures = unit.figures(["V00"], ["2026-10"], ["signed", "persons"])
        assert sorted(figures["value"]) == [50.0, 100.0]
        assert len(unit.figures(None, ["2026-10"], None)) == 12 * 4


def test_status(loaded: Store) -> None:
    own = world.figures("2026-10", base=999.0, place_ids=("A1",))
    commit(loaded, SYSTEM, world.figures_change(own), PAIRS)
    loaded.set_meta("demonstration", "1")
    with loaded.unit(SYSTEM) as unit:
        status = unit.status()
    assert status["places"] == {"city": 1, "county": 2, "township": 4, "village": 12}
    assert status["without_polygon"] == {"city": 1, "county": 2, "township": 4}
    assert status["institutions"] == {"total": 3, "with_point": 2, "without_point": 1}
    assert status["months"] == [
        {"month": "2026-09", "version": 1},
        {"month": "2026-10", "version": 2},
    ]
    assert status["quality_flags"] == {"month": "2026-10", "places_disagreeing": 1}
    assert (status["demonstration"], status["root"], status["roots"]) == (True, "C", 1)
    assert [batch["id"] for batch in status["batches"]] == [4, 3, 2, 1]
    assert status["schema"] == HEAD


def test_the_root_is_the_highest_place_with_most_below(store: Store) -> None:
    rows = world.place_rows(
        ("L", "甲县", 3, None), ("M", "乙县", 3, None), ("N", "镇", 4, "M"), ("O", "村", 5, None)
    )
    commit(store, SYSTEM, Change(dataset="places", frame=rows), PAIRS)
    with store.unit(SYSTEM) as unit:
        assert unit.root().id == "M"
        assert unit.status()["roots"] == 3


def test_a_unit_sees_one_state_throughout(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        before = unit.snapshot("2026-10")
        commit(loaded, SYSTEM, world.figures_change(world.figures("2026-10", base=500)), PAIRS)
        assert unit.snapshot("2026-10") == before
    with loaded.unit(SYSTEM) as unit:
        assert unit.snapshot("2026-10").version == before.version + 1


def test_month_end() -> None:
    assert month_end("2026-02") == date(2026, 2, 28)
    assert month_end("2024-02") == date(2024, 2, 29)
    for wrong in ("2018-13", "2018-1", "201801", "2018-00", "", "２０１８-01x", "0000-01"):
        with pytest.raises(DudaoError):
            month_end(wrong)


def test_many_ids_are_asked_for_in_pieces(store: Store) -> None:
    count = 2_500
    villages = [(f"W{number:05d}", f"村{number}", 5, "C") for number in range(count)]
    rows = world.place_rows(("C", "市", 2, None), *villages)
    commit(store, SYSTEM, Change(dataset="places", frame=rows), PAIRS)
    wanted = [village[0] for village in villages]
    with store.unit(SYSTEM) as unit:
        assert [place.id for place in unit.places(np.array(wanted), TODAY)] == wanted
        assert unit.known_ids(wanted) == set(wanted)
        assert unit.shapes(wanted, TODAY) == {}
        assert len(unit.children("C", TODAY)) == count


def test_every_village_has_its_own_shape(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        assert len({shape.wkb for shape in unit.shapes(VILLAGES, TODAY).values()}) == 12
        assert unit.shapes(VILLAGES, date(1899, 1, 1)) == {}

"""Loads: all or nothing, unchanged rows dropped, places that move, new layers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import shapely

from dashboard.access import SYSTEM
from dashboard.store import Store
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.model import BatchState, Change, Pair, month_end
from dashboard.store.publish import KEPT_VERSIONS
from dashboard.store.undo import undo
from geodata.coverage_shapes import gaps_and_overlaps
from geodata.errors import DudaoError
from tests.conftest import OpenStore
from tests.store import world
from tests.store.world import PAIRS, VILLAGES

TODAY = date(2026, 11, 21)


def load_places(store: Store) -> None:
    commit(store, SYSTEM, world.places_change(), PAIRS)


def value(store: Store, place_id: str, month: str, pair: Pair = PAIRS[0]) -> tuple | None:
    with store.unit(SYSTEM) as unit:
        place = unit.place(place_id, month_end(month))
        rows = unit.value_of(unit.snapshot(month), place)
    rows = rows[
        (rows["numerator_measure"] == pair.numerator) & (rows["source"] == "reported")
    ].to_dict("records")
    if not rows or pd.isna(rows[0]["numerator"]):
        return None
    row = rows[0]
    return row["numerator"], row["denominator"], row["reporting"], row["expected"]


def test_places_are_stored_with_paths_shapes_and_root(store: Store) -> None:
    result = commit(store, SYSTEM, world.places_change(), PAIRS)
    assert (result.changed, result.unchanged, result.snapshots) == (19, 0, ())
    with store.unit(SYSTEM) as unit:
        assert unit.root().id == "C"
        assert unit.place("V05", TODAY).path == "C/A/A2/V05/"
        assert [place.id for place in unit.children("A1", TODAY)] == ["V00", "V01", "V02"]
        shapes = unit.shapes([*VILLAGES, "A1"], TODAY)
        assert sorted(shapes) == list(VILLAGES)
        drawn = shapely.from_wkb(np.array([shape.wkb for shape in shapes.values()], dtype=object))
        assert gaps_and_overlaps(drawn) == pytest.approx((0.0, 0.0), abs=1e-3)
        assert shapes["V00"].label_lon == pytest.approx(116.025, abs=0.001)
        assert shapes["V00"].label_radius > 2_000
        assert unit.places_version() == 1


def test_figures_are_rolled_up_to_every_level(store: Store) -> None:
    load_places(store)
    result = commit(store, SYSTEM, world.figures_change(world.figures("2026-09", "2026-10")), PAIRS)
    assert result.changed == 12 * 2 * 4
    assert [(s.month, s.version) for s in result.snapshots] == [("2026-09", 1), ("2026-10", 1)]
    assert value(store, "V03", "2026-10") == (51.0, 103.0, 1, 1)
    assert value(store, "A1", "2026-10") == (50 + 50 + 51, 303.0, 3, 3)
    assert value(store, "C", "2026-10") == (sum((100 + n) // 2 for n in range(12)), 1266.0, 12, 12)
    with store.unit(SYSTEM) as unit:
        (batch, *_) = unit.batches(5)
        assert batch.months == ("2026-09", "2026-10")
        assert (batch.rows, batch.operator, batch.state) == (96, "系统", BatchState.COMMITTED)
        assert batch.finished is not None


def test_loading_twice_changes_nothing(store: Store) -> None:
    for change in (
        world.places_change(),
        Change(dataset="institutions", frame=world.institutions()),
        world.figures_change(world.figures("2026-10")),
    ):
        assert commit(store, SYSTEM, change, PAIRS).batch is not None
        with store.unit(SYSTEM) as unit:
            before = unit.status()
        again = commit(store, SYSTEM, change, PAIRS)
        assert (again.batch, again.changed, again.snapshots) == (None, 0, ())
        assert again.unchanged == len(change.frame)
        with store.unit(SYSTEM) as unit:
            assert unit.status() == before


def test_only_changed_rows_make_a_batch_and_the_latest_wins(store: Store) -> None:
    load_places(store)
    frame = world.figures("2026-10")
    commit(store, SYSTEM, world.figures_change(frame), PAIRS)
    corrected = frame.copy()
    at = (corrected["place_id"] == "V00") & (corrected["measure"] == "signed")
    corrected.loc[at, "value"] = 60.0
    result = commit(store, SYSTEM, world.figures_change(corrected), PAIRS)
    assert (result.changed, result.unchanged) == (1, 47)
    assert [(s.month, s.version) for s in result.snapshots] == [("2026-10", 2)]
    assert value(store, "A1", "2026-10") == (161.0, 303.0, 3, 3)
    back = commit(store, SYSTEM, world.figures_change(frame), PAIRS)
    assert back.changed == 1
    assert value(store, "A1", "2026-10") == (151.0, 303.0, 3, 3)


def test_sources_do_not_mix(store: Store) -> None:
    load_places(store)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
    verified = world.figures("2026-10", base=10.0, place_ids=("V00",), source="verified")
    commit(store, SYSTEM, world.figures_change(verified), PAIRS)
    assert value(store, "A1", "2026-10") == (151.0, 303.0, 3, 3)
    with store.unit(SYSTEM) as unit:
        rows = unit.value_of(unit.snapshot("2026-10"), unit.place("A1", TODAY))
        rows = rows[(rows["source"] == "verified") & (rows["numerator_measure"] == "signed")]
        assert rows[["numerator", "denominator", "reporting", "expected"]].to_numpy().tolist() == [
            [5.0, 10.0, 1.0, 3.0]
        ]


def test_old_snapshot_versions_stay_readable_for_a_while(store: Store) -> None:
    load_places(store)
    seen = []
    for base in range(100, 100 + KEPT_VERSIONS + 2):
        result = commit(
            store, SYSTEM, world.figures_change(world.figures("2026-10", base=base)), PAIRS
        )
        seen += result.snapshots
    with store.unit(SYSTEM) as unit:
        assert unit.snapshot("2026-10") == seen[-1]
        for kept in seen[-KEPT_VERSIONS:]:
            assert len(unit.values(kept, "A1")) == 6
        with pytest.raises(DudaoError) as caught:
            unit.values(seen[0], "A1")
    assert caught.value.code == "SNAPSHOT_GONE"
    assert len(list((store.directory / "snapshots").glob("*.parquet"))) == KEPT_VERSIONS


def test_a_corrected_month_can_be_seen_as_it_was(store: Store) -> None:
    load_places(store)
    for base in (100, 200):
        commit(store, SYSTEM, world.figures_change(world.figures("2026-10", base=base)), PAIRS)
    assert value(store, "A1", "2026-10") == (301.0, 603.0, 3, 3)
    with store.unit(SYSTEM) as unit:
        assert [edition.version for edition in unit.editions("2026-10")] == [2, 1]
        unit.look_at("2026-10", 1)
        rows = unit.value_of(unit.snapshot("2026-10"), unit.place("A1", TODAY))
        assert 151.0 in rows["numerator"].tolist() and 301.0 not in rows["numerator"].tolist()
        for gone in (0, 3):
            with pytest.raises(DudaoError) as caught:
                unit.look_at("2026-10", gone)
            assert caught.value.code == "VERSION_NOT_FOUND" and "2、1" in caught.value.remedy
        with pytest.raises(DudaoError) as caught:
            unit.look_at("2026-11", 1)
    assert caught.value.code == "MONTH_NOT_FOUND"
    # What was rolled up for other layers is no earlier state of the same figures.
    ensure_snapshots(store, SYSTEM, (*PAIRS, Pair("women", "persons")))
    with store.unit(SYSTEM) as unit:
        assert [edition.version for edition in unit.editions("2026-10")] == [3]


def test_months_loaded_without_layers_wait_to_be_rolled_up(store: Store) -> None:
    load_places(store)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
    later = world.figures_change(world.figures("2026-10", base=200))
    assert commit(store, SYSTEM, later, ()).snapshots == ()
    assert value(store, "A1", "2026-10") == (151.0, 303.0, 3, 3)
    made = ensure_snapshots(store, SYSTEM, PAIRS)
    assert [(s.month, s.version) for s in made] == [("2026-10", 2)]
    assert value(store, "A1", "2026-10") == (301.0, 603.0, 3, 3)
    undo(store, SYSTEM, 3, ())
    ensure_snapshots(store, SYSTEM, PAIRS)
    assert value(store, "A1", "2026-10") == (151.0, 303.0, 3, 3)


def test_a_new_layer_re_rolls_every_month(store: Store) -> None:
    load_places(store)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-09", "2026-10")), PAIRS)
    assert ensure_snapshots(store, SYSTEM, PAIRS) == ()
    assert ensure_snapshots(store, SYSTEM, reversed(PAIRS)) == ()
    more = (*PAIRS, Pair("women", "persons"))
    made = ensure_snapshots(store, SYSTEM, more)
    assert [(s.month, s.version) for s in made] == [("2026-09", 2), ("2026-10", 2)]
    assert value(store, "A1", "2026-10", more[-1]) == (303.0, 303.0, 3, 3)
    assert ensure_snapshots(store, SYSTEM, more) == ()


def test_figures_loaded_before_there_was_a_layer_are_published_later(store: Store) -> None:
    load_places(store)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-10")), ())
    with store.unit(SYSTEM) as unit:
        assert unit.months() == []
    ensure_snapshots(store, SYSTEM, PAIRS)
    assert value(store, "A1", "2026-10") == (151.0, 303.0, 3, 3)


def test_a_township_moves_and_the_past_stays(store: Store) -> None:
    load_places(store)
    commit(
        store, SYSTEM, world.figures_change(world.figures("2026-05", "2026-06", "2026-07")), PAIRS
    )
    moved = world.place_rows(("A1", "平舒镇", 4, "B"), valid_from="2026-06-30")
    result = commit(store, SYSTEM, Change(dataset="places", frame=moved), PAIRS)
    assert [s.month for s in result.snapshots] == ["2026-06", "2026-07"]
    assert value(store, "A", "2026-05")[2:] == (6, 6)
    assert value(store, "A", "2026-06")[2:] == (3, 3)
    assert value(store, "B", "2026-07")[2:] == (9, 9)
    assert value(store, "V00", "2026-05") == value(store, "V00", "2026-07")
    with store.unit(SYSTEM) as unit:
        assert unit.place("V00", date(2026, 6, 29)).path == "C/A/A1/V00/"
        assert unit.place("V00", date(2026, 6, 30)).path == "C/B/A1/V00/"
        assert unit.place("A1", date(2026, 6, 1)).valid_to == date(2026, 6, 30)
        assert [place.id for place in unit.children("A", date(2026, 7, 1))] == ["A2"]
        assert unit.shapes(["V00"], TODAY)
        frame = unit.place_frame()
        assert (frame["id"] == "V00").sum() == 1
        assert (frame["id"] == "A1").sum() == 2
    assert commit(store, SYSTEM, Change(dataset="places", frame=moved), PAIRS).batch is None


def test_two_villages_merge(store: Store) -> None:
    load_places(store)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-06", "2026-07")), PAIRS)
    closed = world.place_rows(
        ("V00", "平舒村", 5, "A1"), ("V01", "旺村村", 5, "A1"), valid_to="2026-07-01"
    ).assign(valid_from=pd.NaT)
    new = world.place_rows(("V90", "平旺村", 5, "A1"), valid_from="2026-07-01")
    both = pd.concat([closed, new], ignore_index=True)
    geometries = np.full(3, None, dtype=object)
    geometries[2] = shapely.box(116.0, 38.5, 116.1, 38.55)
    result = commit(
        store, SYSTEM, Change(dataset="places", frame=both, geometries=geometries), PAIRS
    )
    assert [s.month for s in result.snapshots] == ["2026-07"]
    assert value(store, "A1", "2026-06")[2:] == (3, 3)
    assert value(store, "A1", "2026-07")[2:] == (1, 2)
    with store.unit(SYSTEM) as unit:
        assert [p.id for p in unit.children("A1", date(2026, 7, 1))] == ["V02", "V90"]
        drawn = shapely.from_wkb(unit.shapes(["V90"], TODAY)["V90"].wkb)
        assert drawn.area == pytest.approx(0.1 * 0.05, rel=1e-3)
        with pytest.raises(DudaoError) as caught:
            unit.place("V00", date(2026, 7, 1))
        assert caught.value.code == "PLACE_NOT_FOUND"
        assert "2026-07-01" in caught.value.message


def test_a_new_name_touches_no_snapshot_but_search_finds_it(store: Store) -> None:
    load_places(store)
    commit(store, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
    renamed = world.place_rows(("V00", "新华村", 5, "A1"))
    result = commit(store, SYSTEM, Change(dataset="places", frame=renamed), PAIRS)
    assert (result.changed, result.snapshots) == (1, ())
    with store.unit(SYSTEM) as unit:
        assert [place.id for place in unit.search("xhc", 5, TODAY)] == ["V00"]
        assert unit.search("平舒村", 5, TODAY) == []
        assert unit.places_version() == 2
        assert unit.shapes(["V00"], TODAY)


def test_what_a_file_leaves_empty_stays(store: Store) -> None:
    points = world.places().assign(lon=116.5, lat=38.9)
    commit(store, SYSTEM, world.places_change(points), PAIRS)
    bare = world.places().assign(parent_id=None)
    assert commit(store, SYSTEM, Change(dataset="places", frame=bare), PAIRS).batch is None
    with store.unit(SYSTEM) as unit:
        assert (unit.place("V00", TODAY).lon, unit.place("V00", TODAY).parent_id) == (116.5, "A1")


def test_a_changed_outline_is_fitted_to_its_neighbours(store: Store) -> None:
    load_places(store)
    grown = world.place_rows(("V00", "平舒村", 5, "A1"))
    geometry = np.array([shapely.box(116.0, 38.5, 116.0515, 38.55)], dtype=object)
    result = commit(
        store, SYSTEM, Change(dataset="places", frame=grown, geometries=geometry), PAIRS
    )
    assert (result.changed, result.snapshots) == (1, ())
    with store.unit(SYSTEM) as unit:
        shapes = unit.shapes(VILLAGES, TODAY)
    drawn = shapely.from_wkb(np.array([shape.wkb for shape in shapes.values()], dtype=object))
    assert gaps_and_overlaps(drawn) == pytest.approx((0.0, 0.0), abs=1.0)
    again = Change(dataset="places", frame=grown, geometries=geometry)
    assert commit(store, SYSTEM, again, PAIRS).batch is None


def test_indicative_outlines_say_so(store: Store) -> None:
    commit(store, SYSTEM, world.places_change(world.places().assign(indicative=True)), PAIRS)
    with store.unit(SYSTEM) as unit:
        assert all(shape.indicative for shape in unit.shapes(VILLAGES, TODAY).values())
    commit(store, SYSTEM, world.places_change(), PAIRS)
    with store.unit(SYSTEM) as unit:
        assert not any(shape.indicative for shape in unit.shapes(VILLAGES, TODAY).values())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("X", "某村", 5, "nowhere")], "上级不存在"),
        ([("A", "大城县", 3, "A1"), ("A1", "平舒镇", 4, "A")], "上下级循环"),
        ([("V00", "平舒村", 5, "V01")], "级别不在上级之下"),
    ],
)
def test_places_that_make_no_tree_change_nothing(
    store: Store, rows: list[tuple[str, str, int, str | None]], words: str
) -> None:
    load_places(store)
    with store.unit(SYSTEM) as unit:
        before = unit.status()
    with pytest.raises(DudaoError) as caught:
        commit(store, SYSTEM, Change(dataset="places", frame=world.place_rows(*rows)), PAIRS)
    assert caught.value.code == "PLACES_INVALID"
    assert words in caught.value.message
    with store.unit(SYSTEM) as unit:
        assert unit.status() == before


def test_figures_that_cannot_be_stored_change_nothing(store: Store) -> None:
    load_places(store)
    frame = world.figures("2026-10")
    for bad, code in (
        (frame.assign(place_id="X1"), "FIGURES_INVALID"),
        (frame.assign(month="2026-13"), "MONTH_FORM"),
        (frame.assign(value=np.nan), "FIGURES_INVALID"),
        (pd.concat([frame, frame.head(1)], ignore_index=True), "FIGURES_INVALID"),
    ):
        with pytest.raises(DudaoError) as caught:
            commit(store, SYSTEM, world.figures_change(bad), PAIRS)
        assert caught.value.code == code
    with store.unit(SYSTEM) as unit:
        assert unit.months() == []
        assert len(unit.batches(5)) == 1


def test_institutions(store: Store) -> None:
    load_places(store)
    change = Change(dataset="institutions", frame=world.institutions())
    assert commit(store, SYSTEM, change, PAIRS).changed == 3
    moved = world.institutions().head(2).assign(lon=[np.nan, 116.07], lat=[np.nan, 38.53])
    assert commit(store, SYSTEM, replace(change, frame=moved), PAIRS).changed == 1
    with store.unit(SYSTEM) as unit:
        assert unit.institution("I1").lon == 116.02
        assert unit.institution("I2").lon == 116.07
        assert [found.id for found in unit.institutions(unit.place("A", TODAY))] == ["I1", "I2"]
        assert unit.places_version() == 3
    homeless = world.institutions().assign(place_id="X")
    with pytest.raises(DudaoError) as caught:
        commit(store, SYSTEM, replace(change, frame=homeless), PAIRS)
    assert caught.value.code == "INSTITUTIONS_INVALID"


def test_a_store_opened_again_has_everything(open_store: OpenStore) -> None:
    first = open_store()
    load_places(first)
    commit(first, SYSTEM, world.figures_change(world.figures("2026-10")), PAIRS)
    second = open_store()
    assert value(second, "A1", "2026-10") == value(first, "A1", "2026-10")
    with first.unit(SYSTEM) as one, second.unit(SYSTEM) as two:
        assert one.status() == two.status()


def test_many_small_loads_are_compacted_without_change(store: Store) -> None:
    load_places(store)
    frame = world.figures("2026-10")
    for number in range(26):
        one = frame.head(1).assign(value=float(number + 1))
        commit(store, SYSTEM, world.figures_change(one), ())
    files = list((store.directory / "observations" / "month=2026-10").glob("*.parquet"))
    with store.unit(SYSTEM) as unit:
        stored = unit.figures(["V00"], ["2026-10"], None)
    assert stored["value"].tolist() == [26.0]
    assert len(files) >= 26

"""Undo: a load taken back leaves what was there before, byte for byte; later loads stay right."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import shapely
from sqlalchemy import insert, select

from dashboard.access import EVERYTHING, SYSTEM, Actor, Grant, NotAllowed, Role
from dashboard.store import Store, database
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.model import BatchState, Change
from dashboard.store.tables import access_grant, account, audit, batch_before
from dashboard.store.undo import RULES, undo
from geodata.errors import DudaoError
from tests.store import world
from tests.store.fingerprint import contents
from tests.store.world import PAIRS

INSTITUTIONS = Change(dataset="institutions", frame=world.institutions())


def load(store: Store, change: Change) -> int:
    number = commit(store, SYSTEM, change, PAIRS).batch
    assert number is not None
    return number


@pytest.fixture
def loaded(store: Store) -> Store:
    """Places, institutions, and figures of two months."""
    load(store, world.places_change())
    load(store, INSTITUTIONS)
    load(store, world.figures_change(world.figures("2026-09", "2026-10")))
    return store


def moved_township() -> Change:
    """A1 goes to county B in the middle of the year, with a new outline for V00."""
    frame = pd.concat(
        [
            world.place_rows(("A1", "平舒镇", 4, "B"), valid_from="2026-10-01"),
            world.place_rows(("V00", "新华村", 5, "A1")).assign(valid_from=pd.NaT),
            world.place_rows(("V90", "新立村", 5, "A1"), valid_from="2026-10-01"),
        ],
        ignore_index=True,
    )
    geometries = np.array([None, shapely.box(116.0, 38.5, 116.06, 38.55), None], dtype=object)
    return Change(dataset="places", frame=frame, geometries=geometries)


CHANGES = {
    "figures of new months": world.figures_change(world.figures("2026-11", "2026-12")),
    "figures corrected": world.figures_change(world.figures("2026-10", "2026-11", base=300)),
    "institutions": replace(
        INSTITUTIONS,
        frame=pd.concat(
            [
                world.institutions().tail(1).assign(id="I4", name="新卫生院"),
                world.institutions().head(1).assign(name="改名卫生室"),
            ]
        ),
    ),
    "targets": world.targets(("signed", "A", 2026, 90.0), ("signed", "V00", 2026, 80.0)),
    "places": moved_township(),
    "new root": Change(
        dataset="places",
        frame=world.place_rows(("P", "河北省", 1, None), ("C", "廊坊市", 2, "P")),
    ),
}


def test_after_undo_everything_is_as_before(loaded: Store) -> None:
    before = contents(loaded)
    for name, change in CHANGES.items():
        number = load(loaded, change)
        assert contents(loaded) != before, name
        assert undo(loaded, SYSTEM, number, PAIRS).batch == number
        assert contents(loaded) == before, name
        with loaded.unit(SYSTEM) as unit:
            assert unit.batches(1)[0].state is BatchState.UNDONE
            assert number not in unit.committed()
        assert ensure_snapshots(loaded, SYSTEM, PAIRS) == ()
    again = load(loaded, CHANGES["places"])
    undo(loaded, SYSTEM, again, PAIRS)
    assert contents(loaded) == before


def test_every_load_undone_from_the_last_leaves_an_empty_store(loaded: Store) -> None:
    numbers = [load(loaded, change) for change in CHANGES.values()]
    for number in [*reversed(numbers), 3, 2, 1]:
        undo(loaded, SYSTEM, number, PAIRS)
    with loaded.unit(SYSTEM) as unit:
        assert unit.is_empty()
        assert unit.months() == []
        assert unit.institution_frame().empty
    with database.reading(loaded.engine, EVERYTHING) as connection:
        assert connection.execute(select(batch_before)).all() == []


def test_a_later_correction_stays_right(loaded: Store) -> None:
    first = load(loaded, world.figures_change(world.figures("2026-10", base=200)))
    wanted = world.figures("2026-10", base=300, place_ids=("V00", "V01"))
    second = load(loaded, world.figures_change(wanted))
    assert undo(loaded, SYSTEM, first, PAIRS).later == (second,)
    with loaded.unit(SYSTEM) as unit:
        stored = unit.figures(None, ["2026-10"], ["persons"]).set_index("place_id")["value"]
    assert (stored["V00"], stored["V01"], stored["V02"]) == (300.0, 301.0, 102.0)
    undo(loaded, SYSTEM, second, PAIRS)
    with loaded.unit(SYSTEM) as unit:
        stored = unit.figures(None, ["2026-10"], ["persons"]).set_index("place_id")["value"]
    assert (stored["V00"], stored["V01"], stored["V02"]) == (100.0, 101.0, 102.0)


def test_a_month_that_comes_back_never_reuses_a_version(loaded: Store) -> None:
    change = CHANGES["figures of new months"]
    seen = set()
    for _ in range(3):
        result = commit(loaded, SYSTEM, change, PAIRS)
        assert result.batch is not None
        keys = {(found.month, found.version) for found in result.snapshots}
        assert len(keys) == 2 and seen.isdisjoint(keys)
        seen |= keys
        assert undo(loaded, SYSTEM, result.batch, PAIRS).withdrawn == ("2026-11", "2026-12")
        with loaded.unit(SYSTEM) as unit:
            assert unit.months() == ["2026-09", "2026-10"]
    # Rows of undone loads are still in the facts; places that change publish none of them.
    load(loaded, CHANGES["places"])
    with loaded.unit(SYSTEM) as unit:
        assert unit.months() == ["2026-09", "2026-10"]


def test_what_stands_on_a_load_bars_its_undo(loaded: Store) -> None:
    institutions = load(loaded, CHANGES["institutions"])
    with pytest.raises(DudaoError) as caught:
        undo(loaded, SYSTEM, 2, PAIRS)
    assert caught.value.code == "UNDO_NOT_LAST"
    assert str(institutions) in caught.value.message
    undo(loaded, SYSTEM, institutions, PAIRS)
    undo(loaded, SYSTEM, 2, PAIRS)
    with pytest.raises(DudaoError) as caught:
        undo(loaded, SYSTEM, 1, PAIRS)
    assert (caught.value.code, "第 3 批" in caught.value.message) == ("UNDO_NOT_LAST", True)
    moved = load(loaded, CHANGES["places"])
    figures = load(loaded, world.figures_change(world.figures("2026-12", place_ids=("V90", "V01"))))
    with pytest.raises(DudaoError) as caught:
        undo(loaded, SYSTEM, moved, PAIRS)
    assert (caught.value.code, str(figures) in caught.value.message) == ("UNDO_NOT_LAST", True)
    undo(loaded, SYSTEM, figures, PAIRS)
    undo(loaded, SYSTEM, moved, PAIRS)


def test_a_place_somebody_is_granted_does_not_vanish(loaded: Store) -> None:
    number = load(loaded, CHANGES["places"])
    with database.writing(loaded.engine) as connection:
        connection.execute(
            insert(account).values(
                id="a", login="a", title="甲", demonstration=False, state="active",
                created="2026-11-01T00:00:00+00:00", version=1,
            )
        )  # fmt: skip
        connection.execute(
            insert(access_grant).values(
                account_id="a", role="clerk", place_id="V90", valid_from=date(2026, 1, 1),
                granted_by="system", created="2026-11-01T00:00:00+00:00",
            )
        )  # fmt: skip
    with pytest.raises(DudaoError) as caught:
        undo(loaded, SYSTEM, number, PAIRS)
    assert caught.value.code == "UNDO_IN_USE"
    assert "账号授权" in caught.value.message


def test_undoing_twice_and_undoing_nothing_is_said(loaded: Store) -> None:
    undo(loaded, SYSTEM, 3, PAIRS)
    with pytest.raises(DudaoError) as caught:
        undo(loaded, SYSTEM, 3, PAIRS)
    assert caught.value.code == "BATCH_NOT_COMMITTED"
    assert "已经撤销" in caught.value.message
    with pytest.raises(DudaoError) as caught:
        undo(loaded, SYSTEM, 99, PAIRS)
    assert caught.value.code == "BATCH_NOT_FOUND"


def test_a_load_of_an_older_program_kept_nothing_to_put_back(loaded: Store) -> None:
    with database.writing(loaded.engine) as connection:
        connection.execute(batch_before.delete().where(batch_before.c.batch == 2))
    with pytest.raises(DudaoError) as caught:
        undo(loaded, SYSTEM, 2, PAIRS)
    assert caught.value.code == "UNDO_NOT_KEPT"


def actor(name: str, role: Role, *paths: str) -> Actor:
    grants = tuple(Grant(role, path.split("/")[-2], (path,)) for path in paths)
    return Actor(f"account:{name}", name, grants=grants)


def test_only_who_may_load_all_its_places_undoes_a_load(loaded: Store) -> None:
    of_a1 = load(
        loaded, world.figures_change(world.figures("2026-10", base=500, place_ids=("V00", "V01")))
    )
    of_both = load(
        loaded, world.figures_change(world.figures("2026-10", base=600, place_ids=("V00", "V06")))
    )
    township = actor("a1", Role.CLERK, "C/A/A1/")
    both = actor("both", Role.CLERK, "C/A/A1/", "C/B/B1/")
    for number in (of_both, 1, 2, 3):
        with pytest.raises(DudaoError) as caught:
            undo(loaded, township, number, PAIRS)
        assert caught.value.code == "BATCH_NOT_FOUND"
    with pytest.raises(NotAllowed):
        undo(loaded, actor("v", Role.VIEWER, "C/"), of_a1, PAIRS)
    assert undo(loaded, both, of_both, PAIRS).batch == of_both
    assert undo(loaded, township, of_a1, PAIRS).batch == of_a1
    with database.reading(loaded.engine, EVERYTHING) as connection:
        rows = connection.execute(
            select(audit.c.actor, audit.c.subject, audit.c.outcome)
            .where(audit.c.action == "data.undo")
            .order_by(audit.c.seq)
        ).all()
    assert [tuple(row) for row in rows] == [
        *[("account:a1", str(number), "denied") for number in (of_both, 1, 2, 3)],
        ("account:v", str(of_a1), "denied"),
        ("account:both", str(of_both), "done"),
        ("account:a1", str(of_a1), "done"),
    ]


def test_every_dataset_that_is_loaded_can_be_undone() -> None:
    from dashboard.store.commit import PLANNERS
    from loaders.registry import record_datasets

    assert set(RULES) == {*PLANNERS, *record_datasets()}

"""Attack 21: kill -9 at random points of a load and of an undo, on both databases.

All or nothing each time; run again it ends as if nothing had happened; the audit has a row of
exactly what can be seen, and its chain holds.
"""

from __future__ import annotations

import random
import signal
from typing import Any

import pytest
from sqlalchemy import select

from dashboard.access import EVERYTHING, SYSTEM
from dashboard.store import Store, database
from dashboard.store.audit import verify
from dashboard.store.commit import commit
from dashboard.store.model import BatchState
from dashboard.store.tables import audit, batch
from dashboard.store.undo import undo
from geodata.errors import DudaoError
from tests.conftest import OpenStore
from tests.store import world
from tests.store.fingerprint import contents
from tests.store.test_crash import (
    MONTHS,
    MakeLoader,
    assert_tidy,
    expected,
    make_loader,
    persons,
)
from tests.store.world import PAIRS

__all__ = ["make_loader"]

pytestmark = pytest.mark.slow

POINTS = 20
UNDO_POINTS = 8
NEAR = 3_000
"""Calls before a load becomes visible in which some of the points lie."""


def chosen(points: int, run: dict[str, Any]) -> list[dict[str, int]]:
    """Random points of a run, a quarter close to its becoming visible, a quarter behind it."""
    chance = random.Random(20261121)
    visible, behind, quarter = run["visible"], run["events"] - run["visible"], points // 4
    assert visible > NEAR and behind > 100
    found = [{"kill_after": chance.randrange(visible)} for _ in range(points - 2 * quarter)]
    found += [{"kill_after": visible - chance.randrange(NEAR)} for _ in range(quarter)]
    found += [{"kill_behind": chance.randrange(behind - 50)} for _ in range(quarter)]
    chance.shuffle(found)
    return found


def assert_audited(store: Store) -> None:
    """The audit tells of every load and undo that counts, once, and of nothing else."""
    with database.reading(store.engine, EVERYTHING) as connection:
        states = connection.execute(select(batch.c.id, batch.c.state)).all()
        told = connection.execute(
            select(audit.c.action, audit.c.subject).where(audit.c.outcome == "done")
        ).all()
    undone = {str(row.id) for row in states if row.state == BatchState.UNDONE.value}
    loaded = {str(row.id) for row in states if row.state == BatchState.COMMITTED.value} | undone
    loads = [row.subject for row in told if row.action.startswith("data.load")]
    undos = [row.subject for row in told if row.action == "data.undo"]
    assert (sorted(loads), sorted(undos)) == (sorted(loaded), sorted(undone))
    assert verify(store.engine, store.keys).intact


def test_a_load_killed_anywhere_is_there_whole_or_not_at_all(
    open_store: OpenStore, make_loader: MakeLoader
) -> None:
    store = open_store()
    commit(store, SYSTEM, world.places_change(), PAIRS)
    commit(store, SYSTEM, world.figures_change(world.figures(*MONTHS, base=100)), PAIRS)
    loader = make_loader()
    run = loader.load(base=101)
    outcomes = []
    for number, point in enumerate(chosen(POINTS, run)):
        before, after = 101 + number, 102 + number
        assert loader.load(base=after, **point) == {"killed": signal.SIGKILL}
        healed = open_store()
        found = persons(healed)
        assert found in (expected(before), expected(after))
        outcomes.append(found == expected(after))
        assert_tidy(healed)
        assert_audited(healed)
        rerun = commit(
            healed, SYSTEM, world.figures_change(world.figures(*MONTHS, base=after)), PAIRS
        )
        assert (rerun.batch is None) == outcomes[-1]
        assert persons(healed) == expected(after)
    assert set(outcomes) == {False, True}
    assert_audited(open_store())


def test_an_undo_killed_anywhere_is_done_whole_or_not_at_all(
    open_store: OpenStore, make_loader: MakeLoader
) -> None:
    store = open_store()
    commit(store, SYSTEM, world.places_change(), PAIRS)
    commit(store, SYSTEM, world.figures_change(world.figures(*MONTHS, base=100)), PAIRS)
    before = contents(store)
    wrong = world.figures_change(world.figures(*MONTHS, base=900))
    first = commit(store, SYSTEM, wrong, PAIRS).batch
    after = contents(store)
    loader = make_loader()
    run = loader.load(undo=first)
    outcomes = []
    for point in chosen(UNDO_POINTS, run):
        number = commit(store, SYSTEM, wrong, PAIRS).batch
        assert number is not None
        assert contents(store) == after
        assert loader.load(undo=number, **point) == {"killed": signal.SIGKILL}
        healed = open_store()
        found = contents(healed)
        assert found in (before, after)
        outcomes.append(found == before)
        assert_tidy(healed)
        assert_audited(healed)
        try:
            undo(healed, SYSTEM, number, PAIRS)
            assert not outcomes[-1]
        except DudaoError as error:
            assert error.code == "BATCH_NOT_COMMITTED"
            assert outcomes[-1]
        assert contents(healed) == before
    assert set(outcomes) == {False, True}

"""Ranks: ties, small denominators, the worse end of Wilson's interval."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.coverage import ranking, registry, service
from dashboard.coverage.model import Cell, Status, View
from dashboard.store.unit import Unit
from geodata.errors import DudaoError
from geodata.model import Level

CONTRACT = registry.layer("contract_coverage")


@pytest.fixture
def cell(unit: Unit) -> Cell:
    return service.table(unit, View("T0", CONTRACT.id, "2026-10")).cells[0]


def share(cell: Cell, name: str, done: float, due: float) -> Cell:
    place = replace(cell.place, id=name, name=name)
    return replace(
        cell, place=place, numerator=done, denominator=due, value=100 * done / due, status=Status.OK
    )


def test_ties_share_the_better_rank_and_small_ones_take_none(cell: Cell) -> None:
    found = ranking.rank(
        CONTRACT,
        [share(cell, "a", 45, 50), share(cell, "b", 90, 100), share(cell, "c", 50, 100),
         share(cell, "tiny", 3, 3), replace(cell, value=None, status=Status.NO_DATA)],
    )  # fmt: skip
    assert [(one.cell.place.id, one.rank, one.small) for one in found[:4]] == [
        ("a", 1, False), ("b", 1, False), ("c", 3, False), ("tiny", None, True),
    ]  # fmt: skip
    assert found[4].rank is None and not found[4].small


def test_by_interval_nobody_leads_by_luck(cell: Cell) -> None:
    few, many = share(cell, "few", 31, 31), share(cell, "many", 1980, 2000)
    assert ranking.rank(CONTRACT, [few, many])[0].cell is few
    assert ranking.rank(CONTRACT, [few, many], by_interval=True)[0].cell is many


@given(st.integers(1, 400), st.data())
def test_the_interval_is_wilsons(due: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, due))
    low, high = ranking.wilson(CONTRACT, np.array([float(done)]), np.array([float(due)]))
    z, p = 1.959963984540054, done / due
    middle = (p + z * z / (2 * due)) / (1 + z * z / due)
    half = z * sqrt(p * (1 - p) / due + z * z / (4 * due * due)) / (1 + z * z / due)
    assert low[0] == pytest.approx(max(0, middle - half) * 100, abs=1e-6)
    assert high[0] == pytest.approx(min(1, middle + half) * 100, abs=1e-6)


def test_a_count_has_no_interval(cell: Cell) -> None:
    with pytest.raises(DudaoError) as caught:
        ranking.rank(registry.layer("leaflets_count"), [cell], by_interval=True)
    assert caught.value.code == "RANK_NO_INTERVAL"


def test_all_villages_of_a_county_are_ranked_together(unit: Unit) -> None:
    found = service.ranking(unit, View("C", CONTRACT.id, "2026-10"), Level.VILLAGE)
    assert len(found) == 8
    known = [one for one in found if one.rank is not None]
    assert [one.cell.place.id for one in known] == ["T1V0", "T0V1", "T0V0"]

"""Pace: the rule at its edges."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.coverage import pace as rule
from dashboard.coverage import registry
from dashboard.coverage.model import Layer, Pace, Status, Target, TrendPoint
from dashboard.coverage.pace import STANDINGS, Due, Standing

PROGRESS = registry.layer("breast_screening")  # target 80, over the year
LEVEL = registry.layer("contract_coverage")  # target 100, at all times
LOWER = replace(registry.layer("open_findings_rate"), target=10.0)


def _target(layer: Layer) -> Target | None:
    return None if layer.target is None else Target(layer.target)


def due(layer: Layer, month: str) -> Due | None:
    return rule.due(layer, _target(layer), month)


def standing(layer: Layer, value: float | None, month: str) -> Standing | None:
    return rule.standing(layer, _target(layer), value, month)


@pytest.mark.parametrize(
    ("month", "pace"), [("2026-01", 80 / 12), ("2026-06", 40.0), ("2026-12", 80.0)]
)
def test_the_pace_is_the_target_times_the_share_of_the_year(month: str, pace: float) -> None:
    found = due(PROGRESS, month)
    assert found is not None and found.target == 80 and found.pace == pytest.approx(pace)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (40.0, Standing.AHEAD), (39.99, Standing.BEHIND), (36.0, Standing.BEHIND),
        (35.99, Standing.LATE), (0.0, Standing.LATE), (None, None),
    ],
)  # fmt: skip
def test_behind_reaches_down_to_nine_tenths_of_the_pace(
    value: float | None, found: Standing | None
) -> None:
    assert standing(PROGRESS, value, "2026-06") is found


def test_once_the_year_is_over_a_missed_target_is_late() -> None:
    assert standing(PROGRESS, 79.9, "2026-12") is Standing.LATE
    assert standing(PROGRESS, 80.0, "2026-12") is Standing.AHEAD
    # What has to hold at all times is no later in December than in June.
    assert standing(LEVEL, 95.0, "2026-12") is standing(LEVEL, 95.0, "2026-06") is Standing.BEHIND


@pytest.mark.parametrize(
    ("value", "found"),
    [(10.0, Standing.AHEAD), (11.0, Standing.BEHIND), (11.01, Standing.LATE)],
)
def test_where_lower_is_better_the_target_itself_is_the_pace(value: float, found: Standing) -> None:
    assert standing(LOWER, value, "2026-03") is found


def test_what_a_place_wants_of_its_own_takes_the_place_of_the_layers_target() -> None:
    own = Target(60.0, "C")
    assert rule.due(PROGRESS, own, "2026-06") == Due(60.0, 30.0)
    assert rule.standing(PROGRESS, own, 30.0, "2026-06") is Standing.AHEAD
    assert standing(PROGRESS, 30.0, "2026-06") is Standing.LATE


def test_without_target_or_pace_nothing_is_due() -> None:
    assert due(replace(LEVEL, target=None), "2026-06") is None
    assert standing(replace(LEVEL, pace=Pace.NONE), 50.0, "2026-06") is None


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 12))
def test_a_better_value_never_stands_worse(one: float, other: float, month: int) -> None:
    low, high = sorted((one, other))
    at = f"2026-{month:02}"
    worse, better = standing(PROGRESS, low, at), standing(PROGRESS, high, at)
    assert worse is not None and better is not None
    assert STANDINGS.index(worse) <= STANDINGS.index(better)


def test_since_when_a_place_has_been_off_pace() -> None:
    def since(values: list[float | None], target: float | None = 100.0) -> str | None:
        aim = None if target is None else Target(target)
        points = [
            TrendPoint(f"2026-{at:02}", value, 100.0, value, Status.OK, aim)
            for at, value in enumerate(values, 1)
        ]
        return rule.off_pace_since(LEVEL, points, f"2026-{len(values):02}")

    assert since([100.0, 80.0, 80.0]) == "2026-02"
    # A month without a value neither begins it nor ends it.
    assert since([None, 80.0, None, 95.0]) == "2026-02"
    assert since([80.0, 100.0]) is None
    assert since([80.0, None]) is None
    assert since([]) is None
    assert since([80.0], target=None) is None

"""Value, class, rank and order as pure rules."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard.coverage import classify, registry
from dashboard.coverage.model import Direction, Layer

HIGHER = registry.layer("contract_coverage")
LOWER = registry.layer("open_findings_rate")


def _values(layer: Layer, pairs: list[tuple[float, float]]) -> classify.Floats:
    array = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return classify.values(layer, array[:, 0], array[:, 1])


def test_no_data_and_zero_denominator_have_no_value() -> None:
    value = _values(HIGHER, [(np.nan, 10), (3, np.nan), (0, 0), (0, 10)])
    assert np.isnan(value[:3]).all()
    assert value[3] == 0


def test_a_value_on_a_break_belongs_to_the_class_above() -> None:
    value = np.array([69.9, 70, 79.99, 80, 95, 100, np.nan])
    assert classify.class_indices(HIGHER, value).tolist() == [0, 1, 1, 2, 4, 4, -1]


def test_equal_ratios_share_a_rank() -> None:
    value = _values(HIGHER, [(1, 2), (2, 4), (9, 10), (1, 10), (np.nan, 3)])
    assert classify.ranks(HIGHER, value).tolist() == [2, 2, 1, 4, 0]


def test_lower_is_better_turns_the_rank_round() -> None:
    assert classify.ranks(LOWER, np.array([5.0, 0.0, 12.0])).tolist() == [2, 1, 3]


def test_worst_first_puts_the_larger_shortfall_first_among_equals_and_no_value_last() -> None:
    pairs = np.array([(9, 10), (1, 2), (50, 100), (np.nan, 5), (0, 10)], dtype=np.float64)
    order = classify.worst_first(HIGHER, pairs[:, 0], pairs[:, 1], _values(HIGHER, pairs.tolist()))
    assert order == [4, 2, 1, 0, 3]


counts = st.one_of(st.none(), st.integers(0, 1000))


@given(st.lists(st.tuples(counts, counts), max_size=40), st.sampled_from([HIGHER, LOWER]))
def test_rank_and_order_agree(pairs: list[tuple[int | None, int | None]], layer: Layer) -> None:
    array = np.array(
        [[np.nan if n is None else n for n in pair] for pair in pairs], dtype=np.float64
    ).reshape(-1, 2)
    value = classify.values(layer, array[:, 0], array[:, 1])
    rank = classify.ranks(layer, value)
    order = classify.worst_first(layer, array[:, 0], array[:, 1], value)
    assert sorted(order) == list(range(len(pairs)))
    known = [at for at in order if not np.isnan(value[at])]
    assert order[: len(known)] == known
    assert all(rank[a] >= rank[b] for a, b in pairwise(known))
    for a in known:
        better = (
            value[known] > value[a]
            if layer.direction is Direction.HIGHER
            else value[known] < value[a]
        )
        assert rank[a] == 1 + int(better.sum())

"""What is left out: enough, no more than needed, the same every time, and fast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.privacy import suppress
from dashboard.privacy.suppress import INSIDE, LEAVING, Floats, Ints, Shown

ALL, DENOMINATOR, NOTHING = (int(shown) for shown in Shown)
NONE = float("nan")


def shown(
    parent: list[int],
    numerator: list[float],
    denominator: list[float],
    threshold: int = INSIDE,
    share: bool = True,
    personal: tuple[bool, bool] = (True, True),
) -> list[int]:
    found = suppress.suppress(
        np.array(parent),
        np.array(numerator, dtype=float),
        np.array(denominator, dtype=float),
        threshold,
        share=share,
        personal=personal,
    )
    return found.shown.tolist()


def test_large_counts_and_zeros_are_shown() -> None:
    assert shown([-1, 0, 0, 0], [90, 50, 40, 0], [150, 100, 40, 10]) == [ALL] * 4


@pytest.mark.parametrize("count", [1, INSIDE - 1])
def test_a_small_numerator_takes_the_smallest_place_beside_it_along(count: int) -> None:
    found = shown([-1, 0, 0, 0], [count + 90, count, 50, 40], [320, 100, 120, 100])
    assert found == [ALL, DENOMINATOR, ALL, DENOMINATOR]


def test_the_threshold_itself_is_shown() -> None:
    assert shown([-1, 0, 0], [5 + 40, 5, 40], [200, 100, 100]) == [ALL] * 3
    assert shown([-1, 0, 0], [5 + 40, 5, 40], [200, 100, 100], LEAVING) == [
        ALL,
        DENOMINATOR,
        DENOMINATOR,
    ]


def test_a_small_remainder_is_a_count_too() -> None:
    found = shown([-1, 0, 0, 0], [97 + 50 + 60, 97, 50, 60], [330, 100, 100, 130])
    assert found == [ALL, DENOMINATOR, DENOMINATOR, ALL]


def test_two_small_places_protect_each_other_once_their_sum_is_large_enough() -> None:
    parent = [-1, 0, 0, 0]
    assert shown(parent, [3 + 2 + 50, 3, 2, 50], [300, 100, 90, 110]) == [
        ALL, DENOMINATOR, DENOMINATOR, ALL,
    ]  # fmt: skip
    # 3 + 1 tells that neither is 4 or more.
    assert shown(parent, [3 + 1 + 50, 3, 1, 50], [300, 100, 90, 110]) == [
        ALL, DENOMINATOR, DENOMINATOR, DENOMINATOR,
    ]  # fmt: skip


def test_a_place_beside_it_without_anybody_in_the_count_is_of_no_help() -> None:
    # The smallest place has nobody left, so leaving it out would not hide the 3 of the first.
    found = shown([-1, 0, 0, 0], [97 + 10 + 60, 97, 10, 60], [100 + 10 + 90, 100, 10, 90])
    assert found == [ALL, DENOMINATOR, ALL, DENOMINATOR]


def test_a_small_denominator_is_left_out_with_another_beside_it() -> None:
    found = shown([-1, 0, 0, 0], [2 + 15 + 50, 2, 15, 50], [3 + 30 + 100, 3, 30, 100])
    assert found == [ALL, NOTHING, NOTHING, ALL]


def test_what_is_small_up_to_the_root_is_left_out_up_to_the_root() -> None:
    assert shown([-1, 0, 1], [3, 3, 3], [3, 3, 3]) == [NOTHING] * 3


def test_a_small_township_takes_another_with_one_of_its_villages_along() -> None:
    #        county  A   B    a1  a2  b1   b2
    parent = [-1, 0, 0, 1, 1, 2, 2]
    numerator = [4 + 130, 4, 130, 4, 0, 50, 80]
    denominator = [300, 50, 250, 30, 20, 100, 150]
    # a2 has nobody in the numerator: it may be shown, 0 tells nothing that is not public.
    assert shown(parent, numerator, denominator) == [
        ALL, DENOMINATOR, DENOMINATOR, DENOMINATOR, ALL, DENOMINATOR, ALL,
    ]  # fmt: skip


def test_a_group_beside_it_that_is_left_out_already_costs_no_further_village() -> None:
    #        county A  B    a   b1 b2  b3   C
    parent = [-1, 0, 0, 1, 2, 2, 2, 0]
    numerator = [4 + 56 + 500, 4, 56, 4, 3, 3, 50, 500]
    denominator = [1150, 50, 250, 50, 80, 80, 90, 850]
    assert shown(parent, numerator, denominator) == [
        ALL, DENOMINATOR, DENOMINATOR, DENOMINATOR, DENOMINATOR, DENOMINATOR, ALL, ALL,
    ]  # fmt: skip


def test_places_without_data_are_passed_over() -> None:
    found = shown([-1, 0, 0, 0], [45, 5, NONE, 40], [100, 20, NONE, 80])
    assert found == [ALL] * 4


def test_counts_that_are_no_shares_are_protected_one_by_one() -> None:
    parent = [-1, 0, 0, 0]
    visits, persons = [220, 100, 50, 70], [53, 3, 20, 30]
    assert shown(parent, visits, persons, share=False) == [ALL, NOTHING, NOTHING, ALL]


def test_what_counts_nobody_is_not_protected() -> None:
    parent = [-1, 0, 0, 0]
    findings, households = [7, 1, 2, 4], [150, 50, 40, 60]
    assert shown(parent, findings, households, share=False, personal=(False, True)) == [ALL] * 4
    clinics = [2, 1, 1, 0], [3, 1, 1, 1]
    assert shown(parent, *clinics, personal=(False, False)) == [ALL] * 4


def test_small_places_are_known_to_the_program() -> None:
    found = suppress.suppress(
        np.array([-1, 0, 0]), np.array([43.0, 3, 40]), np.array([150.0, 70, 80]), 5, share=True
    )
    assert found.small.tolist() == [False, True, False]
    assert found.threshold == 5


def test_parents_by_position() -> None:
    ids = pd.Series(["C", "T", "V"])
    assert suppress.parents(ids, pd.Series(["", "C", "T"])).tolist() == [-1, 0, 1]
    assert suppress.parents(ids, pd.Series([None, "C", "T"])).tolist() == [-1, 0, 1]
    with pytest.raises(ValueError):
        suppress.parents(pd.Series(["C", "C"]), pd.Series(["", ""]))


@pytest.mark.parametrize(
    ("parent", "numerator", "denominator"),
    [
        ([-1, 0], [3, 4], [9, 9]),
        ([-1, 0], [3, 3], [9, 8]),
        ([-1], [-1], [9]),
        ([-1], [2.5], [9]),
        ([-1], [NONE], [9]),
        ([1, 0], [3, 3], [9, 9]),
        ([-1, 0], [NONE, 3], [NONE, 9]),
    ],
)
def test_figures_that_contradict_themselves_are_refused(
    parent: list[int], numerator: list[float], denominator: list[float]
) -> None:
    with pytest.raises(ValueError):
        shown(parent, numerator, denominator)


def test_a_numerator_above_its_whole_does_not_stop_the_rest() -> None:
    # 7 of 4 is no share: three too many are three persons.
    assert shown([-1, 0, 0], [67, 7, 60], [104, 4, 100]) == [ALL, NOTHING, NOTHING]
    assert shown([-1, 0, 0, 0], [157, 20, 97, 40], [150, 10, 100, 40])[2] == NOTHING
    assert shown([-1, 0, 0], [80, 20, 60], [110, 10, 100]) == [ALL] * 3


def big(*sizes: int) -> tuple[Ints, Floats, Floats]:
    """A tree with so many places on each level below its root, and figures as they are."""
    rng = np.random.default_rng(7)
    starts = np.cumsum([0, 1, *sizes])
    levels = [np.array([-1])]
    levels += [
        starts[depth] + np.sort(rng.integers(0, starts[depth + 1] - starts[depth], size))
        for depth, size in enumerate(sizes)
    ]
    parent = np.concatenate(levels)
    bottom, top = (np.full(len(parent), np.nan) for _ in range(2))
    last = slice(starts[-2], None)
    bottom[last] = rng.poisson(45, sizes[-1])
    top[last] = rng.binomial(bottom[last].astype(int), 0.93)
    for depth in reversed(range(1, len(starts) - 1)):
        level = np.arange(starts[depth], starts[depth + 1])
        level = level[~np.isnan(bottom[level])]
        above = np.unique(parent[level])
        for counts in (bottom, top):
            counts[above] = np.bincount(parent[level], counts[level], len(parent))[above]
    return parent, top, bottom


def test_the_same_figures_give_the_same_pattern_whatever_their_order() -> None:
    parent, top, bottom = big(10, 60, 900)
    straight = suppress.suppress(parent, top, bottom, INSIDE, share=True).shown
    again = suppress.suppress(parent, top, bottom, INSIDE, share=True).shown
    assert np.array_equal(straight, again)
    order = np.random.default_rng(1).permutation(len(parent))
    place = np.argsort(order)
    turned = np.where(parent[order] < 0, -1, place[parent[order]])
    other = suppress.suppress(turned, top[order], bottom[order], INSIDE, share=True)
    small = suppress.suppress(parent, top, bottom, INSIDE, share=True).small
    assert np.array_equal(other.small, small[order])
    # Among equals the one that comes first is taken: where it stands is part of the input.
    assert abs(int((other.shown > 0).sum()) - int((straight > 0).sum())) < len(parent) * 0.01


def test_little_is_left_out_beside_the_small() -> None:
    parent, top, bottom = big(10, 60, 900)
    found = suppress.suppress(parent, top, bottom, INSIDE, share=True)
    beside = (found.shown > 0) & ~found.small
    assert beside.sum() < 0.02 * found.small.sum()
    assert (found.shown == NOTHING).sum() == 0

"""Small counts are left out of exports so that no reader can work them out. Pure NumPy.

**What is published** of each place: numerator, denominator and their ratio; a reader subtracts, so
what remains of the denominator is published too. Every place with places below is their exact sum.

**What is small**: a count of 1 to ``threshold`` - 1 persons. 0 is shown.

**What is promised**: for each small count, whoever knows everything published, that every count is
0 or more and that places are sums of those below, finds any number from 0 to ``threshold`` or more
possible.

**How.** Of a place with a small count numerator, remainder and ratio are left out. Places left out
that hang together below one place shown form a group; all that is known of its innermost places
is, for each count, their sum. So a small count may be anything from 0 to that sum, and the
promise holds exactly where the sum of each count that is small somewhere in the group reaches
``threshold``. Where it does not, the smallest place beside them with persons in that count is left
out too, and below it the smallest again down to an innermost place. Groups know nothing of each
other. A group left out up to the root has no known sum.

**Denominators** of places left out are shown where that is safe. With it known, a count of a place
lies between 0 and the denominator if the rest of the group can take what it gives up: the
denominator must reach ``threshold`` and not exceed the group's sum of the other count. Where it
does not fit, the denominator is left out too, and beside it as many others of the group, smallest
first, as hide it in a sum of ``threshold`` or more.

**Two thresholds.** What an export leaves out that stays inside, one that leaves leaves out as well,
so that who holds both knows no more than the first tells.

**Where it ends.** One pair of measures in one month is protected against all its own places and
levels. Pairs that share a measure of persons are put together by ``coverage.disclosure``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

INSIDE = 5
"""Exports that stay inside the county leave out counts below this."""
LEAVING = 10
"""Exports that leave the county leave out counts below this."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Shown(IntEnum):
    """What an export shows of a place."""

    ALL = 0
    DENOMINATOR = 1
    """Numerator and ratio are left out."""
    NOTHING = 2


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """What is left out, place by place, in the order of the input.

    Attributes:
        shown: a ``Shown`` for each place; ``ALL`` for a place without data.
        small: which places have a small count themselves. Never to be published: telling them
            from those left out for their sake would give counts away.
        threshold: the least count that is shown besides 0.
    """

    shown: Ints
    small: Bools
    threshold: int


def parents(ids: pd.Series, parent_ids: pd.Series) -> Ints:
    """Positions of the places' parents, -1 where the parent is not among them.

    Raises:
        ValueError: an id occurs twice.
    """
    if not ids.is_unique:
        raise ValueError("an id occurs twice")
    return np.asarray(pd.Index(ids).get_indexer(pd.Index(parent_ids)), dtype=np.int64)


def suppress(
    parent: Ints,
    numerator: Floats,
    denominator: Floats,
    threshold: int,
    *,
    share: bool,
    personal: tuple[bool, bool] = (True, True),
) -> Pattern:
    """Decide what to leave out of a tree of places. The same input gives the same pattern.

    Args:
        parent: each place's parent by position, -1 for a root.
        numerator, denominator: whole numbers of 0 and more; NaN in both where a place has no data.
        threshold: ``INSIDE`` or ``LEAVING``.
        share: whether the numerator is a part of the denominator, so that what remains of it is
            a count too. Where the numerator is larger somewhere, so is what
            is too much.
        personal: whether the numerator, and whether the denominator counts persons or households;
            of a share both do or neither does. What counts nobody is not protected.

    Raises:
        ValueError: the parents form a circle, only one of the counts is missing somewhere, or a
            personal count is negative, broken or not the sum of those below it.
    """
    known = ~np.isnan(denominator)
    if not np.array_equal(known, ~np.isnan(numerator)):
        raise ValueError("a place has one count without the other")
    nobody = np.zeros(len(parent), dtype=np.bool_)
    if not any(personal):
        return Pattern(nobody.astype(np.int64), nobody, threshold)
    tree = _Tree.of(parent, known)
    top, size = np.where(known, numerator, 0.0), np.where(known, denominator, 0.0)
    rest = size - top
    # More than the whole somewhere, as records can have it: how far each place is off is a count of
    # persons too. Of either sign, it is bounded by no sum; what it takes is others left out.
    whole = share and not (rest < 0).any()
    counts = np.stack([top, rest] if whole else [top, size])[list(personal)]
    _check(tree, counts)
    if share and not whole:
        counts = np.stack([*counts, tree.summed(np.abs(rest))])
    hidden = bare = nobody
    for step in sorted({threshold, *(lower for lower in (INSIDE, LEAVING) if lower < threshold)}):
        small = (counts > 0) & (counts < step)
        hidden = _left_out(tree, counts, small, size, hidden, step)
        bare = _denominators_out(tree, counts, small, hidden, size, bare, step) if whole else hidden
    shown = hidden.astype(np.int64) * int(Shown.DENOMINATOR)
    shown[bare] = int(Shown.NOTHING)
    return Pattern(shown, np.any(small, axis=0), threshold)


@dataclass(frozen=True, slots=True, eq=False)
class _Tree:
    """The places with data, by depth.

    Attributes:
        parent: position of the parent, -1 for a root and for a place without data.
        levels: positions of the places at each depth, root level first.
        inner: which places have places with data below.
    """

    parent: Ints
    levels: tuple[Ints, ...]
    inner: Bools

    @classmethod
    def of(cls, parent: Ints, known: Bools) -> _Tree:
        """Order the places by depth.

        Raises:
            ValueError: they form a circle, or a place without data has data below it.
        """
        above = np.where(known & (parent >= 0), parent, -1).astype(np.int64)
        if not known[above[above >= 0]].all():
            raise ValueError("a place without data has data below it")
        depth = np.where(known & (above < 0), 0, -1)
        levels, waiting = [np.flatnonzero(depth == 0)], np.flatnonzero(above >= 0)
        while waiting.size:
            next_level = depth[above[waiting]] >= 0
            if not next_level.any():
                raise ValueError("the places form a circle")
            levels.append(waiting[next_level])
            waiting = waiting[~next_level]
            depth[levels[-1]] = len(levels) - 1
        inner = np.zeros(len(parent), dtype=np.bool_)
        inner[above[above >= 0]] = True
        return cls(above, tuple(levels), inner)

    def below(self, values: Floats, chosen: Bools | None = None) -> Floats:
        """For each place the sum of ``values`` over the (chosen) places directly below."""
        taken = self.parent >= 0 if chosen is None else (self.parent >= 0) & chosen
        sums = np.bincount(self.parent[taken], values[taken], len(values))
        return sums.astype(np.float64)

    def summed(self, values: Floats) -> Floats:
        """``values`` of the innermost places, and at every place above the sum of those below."""
        total = np.where(self.inner, 0.0, values)
        for level in reversed(self.levels[1:]):
            total += np.bincount(self.parent[level], total[level], len(total))
        return total

    def gathered(self, hidden: Bools, values: Floats) -> Floats:
        """For each place the sum over the innermost places left out at or below it.

        Only those count that are reached through places left out. For a place shown this is its
        group's sum.
        """
        total = np.where(hidden & ~self.inner, values, 0.0)
        for level in reversed(self.levels[1:]):
            taken = level[hidden[level]]
            total += np.bincount(self.parent[taken], total[taken], len(total))
        return total

    def largest(self, hidden: Bools, values: Floats) -> Floats:
        """As ``gathered`` the largest value over all places left out, not innermost ones only."""
        found = np.where(hidden, values, 0.0)
        for level in reversed(self.levels[1:]):
            taken = level[hidden[level]]
            np.maximum.at(found, self.parent[taken], found[taken])
        return found

    def groups(self, hidden: Bools) -> Ints:
        """The place shown that each place left out hangs below; the root if that is left out."""
        found = np.arange(len(hidden))
        for level in self.levels[1:]:
            taken = level[hidden[level]]
            found[taken] = found[self.parent[taken]]
        return found


def _check(tree: _Tree, counts: Floats) -> None:
    for count in counts:
        if (count < 0).any() or not np.array_equal(count, np.rint(count)):
            raise ValueError("a count is negative or broken")
        if not np.array_equal(tree.below(count)[tree.inner], count[tree.inner]):
            raise ValueError("a place is not the sum of those below it")


def _left_out(
    tree: _Tree, counts: Floats, small: Bools, size: Floats, before: Bools, threshold: int
) -> Bools:
    """The places with a small count, those left out before, and as many more as the promise needs.

    Families are settled from the lowest level up. What is left out later for a family above joins
    groups below to its own, whose sums only grow, so a settled promise stays kept. There is always
    something to leave out: a place shown with persons in a count has ``threshold`` or more of them,
    and a group that lacks some has fewer.
    """
    hidden: Bools = before | np.any(small, axis=0)
    for level in reversed(tree.levels):
        for count, is_small in zip(counts, small, strict=True):
            while True:
                total = tree.gathered(hidden, count)
                concerned = tree.gathered(hidden, is_small.astype(np.float64)) > 0
                lacking = ~hidden[level] & concerned[level] & (total[level] < threshold)
                if not lacking.any():
                    break
                least = np.full(len(count), threshold)
                _leave_out_more(tree, hidden, level[lacking], count, total, size, least)
    return hidden


def _leave_out_more(
    tree: _Tree, out: Bools, tops: Ints, offered: Floats, total: Floats, size: Floats, least: Floats
) -> Ints:
    """Add to ``out`` one place below each of ``tops``, and on down to an innermost place.

    A place left out already that still has something to offer below comes first, for it costs
    nothing on its own level; then the smallest.

    Args:
        tops: places not left out whose groups lack something.
        offered: for each place the count it could bring if left out down to the last place.
        total: what its innermost places left out bring now.
        size: small places are left out before large ones.
        least: for each of ``tops`` what its group has to reach; where a group further down that is
            taken in reaches it, nothing more is left out.

    Returns:
        Those of ``tops`` below which nothing is on offer.
    """
    offering = np.where(out, offered - total, offered) > 0
    at, stuck = tops, tops[:0]
    while at.size:
        looking = np.zeros(len(out), dtype=np.bool_)
        looking[at] = True
        children = np.flatnonzero((tree.parent >= 0) & looking[tree.parent] & offering)
        order = np.lexsort((children, size[children], ~out[children], tree.parent[children]))
        children = children[order]
        found, first = np.unique(tree.parent[children], return_index=True)
        served = np.isin(at, found)
        stuck = np.concatenate([stuck, at[~served]])
        at, tops = at[served], tops[served]
        chosen, tops = children[first], tops[np.argsort(at)]
        enough = ~out[chosen] & (total[tops] + total[chosen] >= least[tops])
        out[chosen] = True
        onward = tree.inner[chosen] & ~enough
        at, tops = chosen[onward], tops[onward]
    return stuck


def _denominators_out(
    tree: _Tree,
    counts: Floats,
    small: Bools,
    hidden: Bools,
    size: Floats,
    before: Bools,
    threshold: int,
) -> Bools:
    """The places left out whose denominators are left out too, among them those left out before.

    All that is known of denominators left out that hang together is their sum. So a count of the
    innermost places below a place among them lies between 0 and the lesser of that sum and the
    group's sum of that count, if others take part in it.
    """
    group = tree.groups(hidden)
    parts = np.stack([tree.gathered(hidden, count) for count in counts])
    sums = np.where(hidden[group], np.inf, parts[:, group])
    whole = parts.sum(axis=0)
    fits = (whole >= threshold) & (whole <= sums[::-1])
    misfit: Bools = before | np.any(hidden & small & ~fits, axis=0)
    out = misfit.copy()
    for level in tree.levels[1:]:
        out[level] |= out[tree.parent[level]] & hidden[level]
    offered = np.where(hidden, whole, 0.0)
    for level in reversed(tree.levels):
        while True:
            total = tree.gathered(out, size)
            largest = tree.largest(out, np.where(misfit, whole, 0.0))
            least = np.maximum(threshold, largest + 1)
            lacking = ~out[level] & (largest[level] > 0) & (total[level] < least[level])
            if not lacking.any():
                break
            stuck = _leave_out_more(tree, out, level[lacking], offered, total, size, least)
            # Everything below is left out already: its own denominator has to go as well.
            out[stuck] = True
    return out

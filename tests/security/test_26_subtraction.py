"""Attack 26: subtracting published totals from each other. No small count can be recovered.

The attacker is a linear program that knows every published cell, that places are sums of those
below them, that a share's parts add up to its whole, and that counts are 0 or more. For every small
count it asks for the least and the largest value possible.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from io import StringIO

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from dashboard.access import SYSTEM
from dashboard.coverage import disclosure, registry
from dashboard.coverage.model import Layer, Source, View
from dashboard.privacy import suppress
from dashboard.privacy.suppress import INSIDE, LEAVING, Bools, Floats, Ints, Shown
from dashboard.reports import service, tables
from dashboard.store import Store
from dashboard.store.model import Pair, month_end
from geodata.model import Place
from tests.conftest import Demonstration

NUMERATOR, REST, DENOMINATOR = range(3)
COUNTY = "131028000000"

Cells = dict[tuple[int, int], float]
"""(which count, place) -> its value."""


class Attacker:
    """What can be concluded from published counts of a tree of places."""

    def __init__(
        self, parent: Mapping[int, int], published: Cells, share: bool, places: Iterable[int]
    ) -> None:
        self._at = {place: position for position, place in enumerate(places)}
        self._size = len(self._at)
        self._entries: list[tuple[int, int, float]] = []
        self._right: list[float] = []
        below: dict[int, list[int]] = {}
        for place, above in parent.items():
            below.setdefault(above, []).append(place)
        for place in self._at:
            if share:
                parts = [(NUMERATOR, place, 1.0), (REST, place, 1.0), (DENOMINATOR, place, -1.0)]
                self._equation(parts, 0.0)
            for part in (NUMERATOR, REST, DENOMINATOR):
                if place in below:
                    children = [(part, child, 1.0) for child in below[place]]
                    self._equation([*children, (part, place, -1.0)], 0.0)
        rows, columns, signs = zip(*self._entries, strict=True)
        shape = (len(self._right), 3 * self._size)
        left = coo_array((signs, (rows, columns)), shape).tocsc()
        values = np.full(3 * self._size, np.nan)
        for (part, place), value in published.items():
            values[self._column(part, place)] = value
        self._values, unknown = values, np.isnan(values)
        # What is published moves to the right-hand side; unknowns without a common equation, even
        # over others, tell nothing of each other.
        self._rest = np.array(self._right) - left @ np.nan_to_num(values)
        self._left = left * unknown
        self._left.eliminate_zeros()
        _, self._part_of = connected_components(self._left.T @ self._left, directed=False)

    @cache  # noqa: B019 - lives as long as its test
    def _system(self, number: int) -> tuple[Ints, csr_array, Floats]:
        """The unknowns that hang together with each other, and the equations they are in."""
        columns = np.flatnonzero(self._part_of == number)
        left = self._left[:, columns].tocsr()
        rows = np.flatnonzero(np.diff(left.indptr))
        return columns, left[rows], self._rest[rows]

    def _column(self, part: int, place: int) -> int:
        return part * self._size + self._at[place]

    def _equation(self, terms: list[tuple[int, int, float]], total: float) -> None:
        row = len(self._right)
        self._entries += [(row, self._column(part, place), sign) for part, place, sign in terms]
        self._right.append(total)

    def interval(self, part: int, place: int) -> tuple[float, float]:
        """The least and the largest value a count can have."""
        column = self._column(part, place)
        if not np.isnan(self._values[column]):
            return self._values[column], self._values[column]
        columns, left, right = self._system(int(self._part_of[column]))
        ends = []
        for sign in (1.0, -1.0):
            answer = linprog(
                sign * (columns == column), A_eq=left, b_eq=right, bounds=(0, None), method="highs"
            )
            # Status 3: without limit, which is as well protected as can be.
            assert answer.status in (0, 3), answer.message
            ends.append(sign * answer.fun if answer.status == 0 else sign * -np.inf)
        return ends[0], ends[1]


def assert_protected(attacker: Attacker, small: Iterable[tuple[int, int]], threshold: int) -> None:
    for part, place in small:
        low, high = attacker.interval(part, place)
        assert low <= 1e-6 and high >= threshold - 1e-6, (part, place, low, high)


class Tree:
    """A tree of places with a share's counts, NaN where there is no data."""

    def __init__(self, parent: list[int], leaves: list[tuple[int, int] | None]) -> None:
        size = len(parent)
        self.parent: Ints = np.array(parent)
        self.numerator: Floats = np.full(size, np.nan)
        self.denominator: Floats = np.full(size, np.nan)
        inner = set(parent)
        for place in reversed(range(size)):
            own = leaves[place]
            if place not in inner and own is not None:
                whole, rest = own
                self.denominator[place] = whole
                self.numerator[place] = whole - min(rest, whole)
            for counts in (self.numerator, self.denominator):
                if place and not np.isnan(counts[place]):
                    above = parent[place]
                    counts[above] = np.nan_to_num(counts[above]) + counts[place]

    def shown(self, threshold: int) -> Ints:
        return suppress.suppress(
            self.parent, self.numerator, self.denominator, threshold, share=True
        ).shown

    def counts(self) -> Iterator[tuple[int, int, float]]:
        for place in np.flatnonzero(~np.isnan(self.denominator)).tolist():
            top, bottom = self.numerator[place], self.denominator[place]
            for part, value in enumerate((top, bottom - top, bottom)):
                yield part, place, float(value)

    def small(self, threshold: int) -> list[tuple[int, int]]:
        return [(part, place) for part, place, value in self.counts() if 0 < value < threshold]

    def attacker(self, shown: Ints) -> Attacker:
        published = {
            (part, place): value
            for part, place, value in self.counts()
            if shown[place] == Shown.ALL
            or (part == DENOMINATOR and shown[place] == Shown.DENOMINATOR)
        }
        known = np.flatnonzero(~np.isnan(self.denominator)).tolist()
        parent = {place: int(self.parent[place]) for place in known if self.parent[place] >= 0}
        return Attacker(parent, published, True, known)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Up to 24 places; denominators small and large, remainders small, large or everything."""
    size = draw(st.integers(2, 24))
    parent = [
        -1,
        *(draw(st.integers(max(0, place // 3 - 2), place - 1)) for place in range(1, size)),
    ]
    count = st.one_of(st.integers(0, 12), st.integers(0, 150))
    leaf = st.one_of(st.none(), st.tuples(count, st.one_of(st.integers(0, 6), count)))
    tree = Tree(parent, [draw(leaf) for _ in range(size)])
    assume(not np.isnan(tree.denominator).all())
    return tree


FAMILY = Tree([-1, 0, 0, 0, 0], [None, (40, 3), (50, 20), (60, 30), (70, 70)])
NESTED = Tree([-1, 0, 0, 1, 1, 2, 2], [None, None, None, (3, 1), (30, 0), (40, 20), (60, 30)])
REFERENCE = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@REFERENCE
@given(tree=trees(), threshold=st.sampled_from([INSIDE, LEAVING]))
@example(tree=FAMILY, threshold=INSIDE)
@example(tree=NESTED, threshold=LEAVING)
def test_no_small_count_of_any_tree_can_be_narrowed_down(tree: Tree, threshold: int) -> None:
    assert_protected(tree.attacker(tree.shown(threshold)), tree.small(threshold), threshold)


@REFERENCE
@given(tree=trees(), data=st.data())
def test_no_small_count_can_be_narrowed_down_where_a_part_exceeds_its_whole(
    tree: Tree, data: st.DataObject
) -> None:
    leaves = sorted(set(range(len(tree.parent))) - set(tree.parent.tolist()))
    known = [place for place in leaves if not np.isnan(tree.denominator[place])]
    more = data.draw(st.lists(st.integers(0, 12), min_size=len(known), max_size=len(known)))
    off = (tree.denominator - tree.numerator) * 0
    for place, count in zip(known, more, strict=True):
        at = place
        while at >= 0:
            tree.numerator[at] += count
            at = int(tree.parent[at])
        off[place] = abs(tree.denominator[place] - tree.numerator[place])
    for place in reversed(range(1, len(off))):
        if not np.isnan(off[place]):
            off[tree.parent[place]] += off[place]
    out = tree.shown(INSIDE)
    for counts in ((tree.numerator, tree.denominator), (off, off)):
        cells = {
            (part, place): float(values[place])
            for part, values in zip((NUMERATOR, DENOMINATOR), counts, strict=True)
            for place in np.flatnonzero(~np.isnan(tree.denominator)).tolist()
        }
        published = {at: value for at, value in cells.items() if out[at[1]] == Shown.ALL}
        seen = sorted({place for _part, place in cells})
        above = {place: int(tree.parent[place]) for place in seen if tree.parent[place] >= 0}
        small = [at for at, value in cells.items() if 0 < value < INSIDE]
        if above:
            assert_protected(Attacker(above, published, False, seen), small, INSIDE)


@REFERENCE
@given(tree=trees())
def test_an_export_that_leaves_tells_nothing_beyond_one_that_stays(tree: Tree) -> None:
    inside, leaving = tree.shown(INSIDE), tree.shown(LEAVING)
    assert (leaving >= inside).all()


def test_the_attacker_recovers_a_count_where_only_small_ones_are_left_out() -> None:
    shown = np.array([Shown.ALL, Shown.NOTHING, Shown.ALL, Shown.ALL, Shown.ALL])
    low, high = FAMILY.attacker(shown).interval(REST, 1)
    assert low == pytest.approx(3) and high == pytest.approx(3)


def test_the_attacker_narrows_a_count_down_where_too_little_is_left_out() -> None:
    tree = Tree([-1, 0, 0, 0], [None, (40, 1), (50, 1), (60, 30)])
    shown = np.array([Shown.ALL, Shown.NOTHING, Shown.NOTHING, Shown.ALL])
    assert tree.attacker(shown).interval(REST, 1)[1] == pytest.approx(2)


class JointAttacker:
    """What can be concluded from several shares of the same whole, published together.

    Counts: the whole, then each share and what remains of the whole beside it.
    """

    def __init__(self, tree: Tree, shares: list[Floats], shown: Bools, whole_shown: Bools) -> None:
        self.known = np.flatnonzero(~np.isnan(tree.denominator)).tolist()
        at = {place: number for number, place in enumerate(self.known)}
        counts = [tree.denominator]
        for share in shares:
            counts += [share, tree.denominator - share]
        self.values = np.stack([count[self.known] for count in counts])
        size = len(self.known)
        rows: list[Floats] = []
        for number in range(len(counts)):
            for place in self.known:
                below = [at[child] for child in self.known if tree.parent[child] == place]
                if below:
                    row = np.zeros((len(counts), size))
                    row[number, below] = 1
                    row[number, at[place]] = -1
                    rows.append(row.ravel())
        for number in range(len(shares)):
            for place in range(size):
                row = np.zeros((len(counts), size))
                row[[2 * number + 1, 2 * number + 2], place] = 1
                row[0, place] = -1
                rows.append(row.ravel())
        self._equations = np.array(rows)
        published = np.tile(shown[self.known], (len(counts), 1))
        published[0] = whole_shown[self.known]
        flat = self.values.ravel()
        self._bounds = [
            (value, value) if seen else (0, None)
            for value, seen in zip(flat, published.ravel(), strict=True)
        ]

    def interval(self, count: int, number: int) -> tuple[float, float]:
        """The least and the largest value of a count of the ``number``-th known place."""
        aim = np.zeros(self.values.shape)
        aim[count, number] = 1
        ends = []
        for sign in (1.0, -1.0):
            answer = linprog(
                sign * aim.ravel(),
                A_eq=self._equations,
                b_eq=np.zeros(len(self._equations)),
                bounds=self._bounds,
                method="highs",
            )
            assert answer.status in (0, 3), answer.message
            ends.append(sign * answer.fun if answer.status == 0 else sign * -np.inf)
        return ends[0], ends[1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees(), data=st.data())
def test_shares_of_one_whole_are_protected_together(tree: Tree, data: st.DataObject) -> None:
    """Each share by itself leaves something out; together a place is left out of all."""
    inner = set(tree.parent.tolist())
    second = np.full(len(tree.parent), np.nan)
    for place in reversed(range(len(tree.parent))):
        whole = tree.denominator[place]
        if place not in inner and not np.isnan(whole):
            second[place] = data.draw(st.integers(0, int(whole)))
        if place and not np.isnan(second[place]):
            above = tree.parent[place]
            second[above] = np.nan_to_num(second[above]) + second[place]
    found = [
        suppress.suppress(tree.parent, share, tree.denominator, INSIDE, share=True).shown
        for share in (tree.numerator, second)
    ]
    shown = np.all([pattern == Shown.ALL for pattern in found], axis=0)
    whole_shown = np.all([pattern != Shown.NOTHING for pattern in found], axis=0)
    attacker = JointAttacker(tree, [tree.numerator, second], shown, whole_shown)
    small = np.argwhere((attacker.values > 0) & (attacker.values < INSIDE))
    for count, number in small[:12].tolist():
        low, high = attacker.interval(count, number)
        assert low <= 1e-6 and high >= INSIDE - 1e-6, (count, number, low, high)


def test_layers_with_the_same_persons_are_decided_together() -> None:
    every = list(registry.layers().values())
    for layer in every:
        mates = {one.id for one in disclosure.together(layer, every)}
        for other in every:
            shared = {layer.numerator, layer.denominator} & {other.numerator, other.denominator}
            if any(disclosure.is_personal(measure) for measure in shared):
                assert other.id in mates


@pytest.fixture(scope="module")
def county(demonstration: Demonstration) -> Iterator[Store]:
    """One county of the demonstration, loaded as a clerk would."""
    store = Store.open(demonstration(COUNTY))
    yield store
    store.close()


WITH_FIGURES = [
    layer.id for layer in registry.layers().values()
    if {layer.numerator, layer.denominator} <= {
        "registered_households", "registered_persons", "contracted_persons",
        "cervical_eligible_women", "cervical_screened_women", "planned_village_clinics",
        "standard_village_clinics", "open_findings",
    }
]  # fmt: skip
"""The layers the demonstration brings figures for."""


class Exports:
    """What somebody learns who collects the exports of every place of a layer."""

    def __init__(self, store: Store, layer: Layer, leaving: bool) -> None:
        with store.unit(SYSTEM) as unit:
            month = unit.months()[-1]
            on = month_end(month)
            snapshot = unit.snapshot(month)
            inner = [place for place in unit.all_places(on) if unit.children(place.id, on)]
        self.rows: dict[str, tuple[str, str, str]] = {}
        self.contradictions: list[str] = []
        for place in inner:
            self._read(store, place, View(place.id, layer.id, month), leaving)
        # The truth, to know which counts are small.
        pair = Pair(layer.numerator, layer.denominator)
        self.truth = store.snapshots.wholes(snapshot, Source.REPORTED, [pair])[pair].dropna()

    def _read(self, store: Store, place: Place, view: View, leaving: bool) -> None:
        made = service.children_table(store, SYSTEM, view, leaving=leaving, format="csv")
        lines = list(csv.reader(StringIO(made.body.decode("utf-8-sig"))))
        head = next(number for number, line in enumerate(lines) if line[0] == "地区")
        counts = registry.layer(view.layer_id).is_count
        for _name, place_id, top, *rest in lines[head + 1 :]:
            found = (top, top, top) if counts else (top, rest[0], rest[1])
            if self.rows.setdefault(place_id, found) != found:
                self.contradictions.append(place_id)


@pytest.mark.parametrize("leaving", [False, True])
@pytest.mark.parametrize("layer_id", WITH_FIGURES)
def test_no_small_count_of_the_demonstration_can_be_narrowed_down(
    county: Store, layer_id: str, leaving: bool
) -> None:
    layer = registry.layer(layer_id)
    share, threshold = disclosure.is_share(layer), LEAVING if leaving else INSIDE
    personal = [disclosure.is_personal(measure) for measure in (layer.numerator, layer.denominator)]
    exports = Exports(county, layer, leaving)
    assert not exports.contradictions
    truth = exports.truth
    at = {place_id: number for number, place_id in enumerate(truth["place_id"])}
    parent = {
        at[place_id]: at[above]
        for place_id, above in zip(truth["place_id"], truth["parent_id"], strict=True)
        if above in at
    }
    published: Cells = {}
    for place_id, number in at.items():
        top, bottom, value = exports.rows[place_id]
        if top != tables.HIDDEN:
            published[NUMERATOR, number] = float(top)
        else:
            assert value == tables.HIDDEN
        if bottom != tables.HIDDEN:
            published[DENOMINATOR, number] = float(bottom)
    wholes, parts = truth["denominator"].to_numpy(), truth["numerator"].to_numpy()
    counts = {NUMERATOR: parts, DENOMINATOR: wholes}
    if share:
        counts[REST] = wholes - parts
    protected = [part for part in counts if personal[1 if part == DENOMINATOR else 0]]
    small = [
        (part, number)
        for part in protected
        for number in np.flatnonzero((counts[part] > 0) & (counts[part] < threshold)).tolist()
    ]
    assert bool(small) is any(personal)
    assert_protected(Attacker(parent, published, share, at.values()), small, threshold)

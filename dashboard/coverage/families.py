"""Sibling places with their numbers, and the cells they make without what may not be shown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.coverage import classify, disclosure, registry, targets
from dashboard.coverage.model import Cell, Layer, Source, Status, Target, previous_month
from dashboard.coverage.targets import Targets
from dashboard.store.model import Pair, PairValues, Shape, Siblings, Snapshot, month_end
from dashboard.store.snapshots import Snapshots
from dashboard.store.unit import Unit
from geodata.model import Level, Place

Columns = dict[str, classify.Floats]

_COLUMNS = (
    "numerator",
    "denominator",
    "reporting",
    "expected",
    "own_numerator",
    "own_denominator",
)

SHOWN = ("numerator", "denominator")

_NOT_COUNTS = frozenset({"reporting", "expected"})
"""What stays of a place whose numbers are left out."""
UNKNOWN = frozenset({Status.NO_DATA, Status.SUPPRESSED, Status.TOO_LOW})


def _columns(
    layer: Layer,
    places: Sequence[Place],
    siblings: Siblings | None,
    source: Source,
    names: Sequence[str] = _COLUMNS,
) -> Columns:
    """The layer's numbers of ``places``, in their order; NaN where a place has no row.

    Args:
        names: the columns wanted; others may come with them.
    """
    pair = Pair(layer.numerator, layer.denominator)
    found = siblings and siblings.get((source, pair))
    if found:
        return numbers_of(found, names, places)
    if siblings and source is Source.VERIFIED:
        reported = siblings.get((Source.REPORTED, pair))
        sample = siblings.get((source, registry.recount_pair(layer)))
        if reported and sample:
            return _recounted(layer, places, reported, sample)
    columns = {name: np.full(len(places), np.nan) for name in _COLUMNS}
    if siblings:
        # How many were expected is the same for every pair that anybody reported.
        columns |= numbers_of(next(iter(siblings.values())), ("expected",), places)
    return columns


def _recounted(
    layer: Layer, places: Sequence[Place], reported: PairValues, sample: PairValues
) -> Columns:
    """Reported figures times what the sample found of what it was told (ratio estimate)."""
    columns = numbers_of(reported, _COLUMNS, places)
    found = numbers_of(sample, (*SHOWN, "reporting"), places)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = found["numerator"] / found["denominator"]
        times = np.where(found["denominator"] > 0, share, np.nan)
    numerator = columns["numerator"] * times
    if disclosure.is_share(layer):
        numerator = np.minimum(numerator, columns["denominator"])
    columns["denominator"] = numerator if layer.is_count else columns["denominator"]
    for name in ("own_numerator", "own_denominator"):
        columns[name] = np.full(len(places), np.nan)
    return columns | {"numerator": numerator, "reporting": found["reporting"]}


def numbers_of(found: PairValues, names: Iterable[str], places: Sequence[Place]) -> Columns:
    """Columns of a pair's values for some places, in their order; NaN where one has no row."""
    at = np.array([found.at.get(place.id, -1) for place in places], dtype=np.int64)
    missing = at < 0
    return {name: np.where(missing, np.nan, getattr(found, name)[at]) for name in names}


def optional(number: float) -> float | None:
    """A number as a cell has it."""
    return None if math.isnan(number) else number


@dataclass(frozen=True, slots=True)
class Family:
    """Sibling places with their values this month and the month before.

    Attributes:
        month, earlier: what the values are of; ``earlier`` and ``before`` are None where there are
            none.
        whole: tells what has to be left out.
        targets: of the places in the month's year.
    """

    places: list[Place]
    now: Siblings
    month: Snapshot
    whole: Snapshots
    before: Siblings | None = None
    earlier: Snapshot | None = None
    source: Source = Source.REPORTED
    targets: Targets = targets.NONE

    def cells(
        self, layer: Layer, shapes: Mapping[str, Shape], only: str | None = None
    ) -> list[Cell]:
        """One Cell for each place, ranked among all of them; for ``only`` one place if given.

        A sample ranks nobody (docs/decisions/0013).
        """
        columns, masked = self.numbers(layer)
        value = classify.values(layer, columns["numerator"], columns["denominator"])
        earlier = _columns(layer, self.places, self.before, self.source)
        if self.earlier is not None:
            self._leave_out(layer, earlier, self.earlier)
        change = value - classify.values(layer, earlier["numerator"], earlier["denominator"])
        ranks = classify.ranks(layer, value)
        if self.source is Source.VERIFIED:
            ranks = np.zeros_like(ranks)
        ranked = int(np.count_nonzero(ranks))
        lists = zip(
            self.places,
            masked,
            *(columns[name].tolist() for name in _COLUMNS),
            value.tolist(),
            classify.class_indices(layer, value).tolist(),
            ranks.tolist(),
            change.tolist(),
            strict=True,
        )
        return [
            _cell(shapes.get(place.id), ranked, self.targets.of(layer, place), place, *row)
            for place, *row in lists
            if only is None or place.id == only
        ]

    def values(self, layer: Layer) -> classify.Floats:
        """What the cells' values are, as one array."""
        columns, _masked = self.numbers(layer)
        return classify.values(layer, columns["numerator"], columns["denominator"])

    def numbers(
        self, layer: Layer, names: Sequence[str] = _COLUMNS
    ) -> tuple[Columns, list[Status | None]]:
        """What the cells' numbers are, and why a place's are left out."""
        columns = _columns(layer, self.places, self.now, self.source, names)
        return columns, self._leave_out(layer, columns, self.month)

    def layers(self) -> list[Layer]:
        """The layers these places have figures for."""
        known = {pair for source, pair in self.now if source == self.source}
        return [
            layer
            for layer in registry.layers().values()
            if Pair(layer.numerator, layer.denominator) in known
            or (self.source is Source.VERIFIED and registry.recount_pair(layer) in known)
        ]

    def cells_before(self, layer: Layer) -> dict[str, Cell]:
        """The cells of the month before by place id; none where there is no such month."""
        if self.before is None or self.earlier is None:
            return {}
        family = Family(self.places, self.before, self.earlier, self.whole, source=self.source)
        return {cell.place.id: cell for cell in family.cells(layer, {})}

    def _leave_out(self, layer: Layer, columns: Columns, month: Snapshot) -> list[Status | None]:
        """Take out of ``columns`` what may not be shown; why, for each place."""
        lowest = Level.VILLAGE if layer.lowest_level is None else layer.lowest_level
        if lowest == Level.VILLAGE and not layer.protected:
            return [None] * len(self.places)
        # Reads a whole month: not for places that have no figure to leave out.
        told = not np.isnan(columns["numerator"]).all()
        hidden = disclosure.left_out(self.whole, month, layer) if told else {}
        masked = [
            Status.TOO_LOW
            if place.level > lowest
            else Status.SUPPRESSED
            if place.id in hidden
            else None
            for place in self.places
        ]
        gone = np.array([status is not None for status in masked], dtype=np.bool_)
        for name in columns.keys() - _NOT_COUNTS:
            columns[name] = np.where(gone, np.nan, columns[name])
        return masked


def _cell(
    shape: Shape | None,
    ranked: int,
    target: Target | None,
    place: Place,
    masked: Status | None,
    numerator: float,
    denominator: float,
    reporting: float,
    expected: float,
    own_numerator: float,
    own_denominator: float,
    value: float,
    index: int,
    rank: int,
    change: float,
) -> Cell:
    return Cell(
        place=place,
        numerator=optional(numerator),
        denominator=optional(denominator),
        value=optional(value),
        status=status_of(masked, numerator, denominator, value),
        class_index=index if index >= 0 else None,
        rank=rank if rank > 0 else None,
        ranked=ranked,
        change=optional(change),
        # Only a leaf place that reported nothing has no row.
        reporting=0 if math.isnan(reporting) else int(reporting),
        expected=1 if math.isnan(expected) else int(expected),
        own_numerator=optional(own_numerator),
        own_denominator=optional(own_denominator),
        has_boundary=shape is not None,
        indicative=shape is not None and shape.indicative,
        target=target,
    )


def status_of(masked: Status | None, numerator: float, denominator: float, value: float) -> Status:
    """Whether there is a value to show, and why not."""
    if masked is not None:
        return masked
    if math.isnan(numerator) or math.isnan(denominator):
        return Status.NO_DATA
    return Status.NOT_APPLICABLE if math.isnan(value) else Status.OK


def _earlier(unit: Unit, month: str) -> Snapshot | None:
    before = previous_month(month)
    return unit.snapshot(before) if before in unit.months() else None


def family_of(unit: Unit, place: Place, month: str, source: Source) -> Family:
    """The place with its siblings."""
    if place.parent_id is None:
        return family(unit, [place], None, month, source)
    siblings = unit.children(place.parent_id, month_end(month))
    return family(unit, siblings, place.parent_id, month, source)


def family(
    unit: Unit,
    places: list[Place],
    parent_id: str | None,
    month: str,
    source: Source = Source.REPORTED,
) -> Family:
    """Places of one parent in a month and the month before."""
    snapshot, earlier = unit.snapshot(month), _earlier(unit, month)
    return Family(
        places,
        unit.siblings(snapshot, parent_id),
        snapshot,
        unit.whole,
        unit.siblings(earlier, parent_id) if earlier else None,
        earlier,
        source,
        targets.read(unit, places, month),
    )


def alone(
    unit: Unit,
    places: list[Place],
    snapshot: Snapshot,
    parent_id: str | None,
    source: Source = Source.REPORTED,
    wanted: Targets = targets.NONE,
) -> Family:
    """Places of one parent in one month, without the month before."""
    siblings = unit.siblings(snapshot, parent_id)
    return Family(places, siblings, snapshot, unit.whole, source=source, targets=wanted)


@dataclass(frozen=True, slots=True)
class Scene:
    """A place and its children in one month, read once for every layer.

    Attributes:
        version: of the month's snapshot.
        children, own: the children, and the place among its siblings, with their numbers.
        shapes: of the children and the place.
    """

    place: Place
    month: str
    version: int
    children: Family
    own: Family
    shapes: dict[str, Shape]
    source: Source


def together(
    unit: Unit,
    places: list[Place],
    snapshot: Snapshot,
    layer: Layer,
    source: Source,
    wanted: Targets = targets.NONE,
) -> Family:
    """Places of any parents in one month, read for one layer only."""
    parents = {place.parent_id or "" for place in places}
    pair = Pair(layer.numerator, layer.denominator)
    now = unit.families(snapshot, parents, [pair])
    return Family(places, now, snapshot, unit.whole, source=source, targets=wanted)


def home_cells(
    unit: Unit, homes: Iterable[str], layer: Layer, month: str, source: Source = Source.REPORTED
) -> dict[str, Cell]:
    """One layer's cells of some places of any parents, by place id."""
    snapshot = unit.snapshot(month)
    below: defaultdict[str | None, list[Place]] = defaultdict(list)
    found = unit.places(homes, month_end(month))
    for place in found:
        below[place.parent_id].append(place)
    wanted = targets.read(unit, found, month)
    return {
        cell.place.id: cell
        for parent_id, places in below.items()
        for cell in alone(unit, places, snapshot, parent_id, source, wanted).cells(layer, {})
    }

"""What the screens and the command line call: the values a view shows, and their encodings."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from typing import Literal

import numpy as np
import pandas as pd
import shapely

from dashboard.access import acts
from dashboard.coverage import (
    classify,
    disclosure,
    modes,
    plausibility,
    registry,
    targets,
    verification,
)
from dashboard.coverage import explain as explaining
from dashboard.coverage import forecast as outlook
from dashboard.coverage import funnel as funnels
from dashboard.coverage import ranking as ranks
from dashboard.coverage.explain import Evidence, Explanation, Method, Standing
from dashboard.coverage.forecast import YearEnd
from dashboard.coverage.funnel import Funnel
from dashboard.coverage.model import (
    WITHOUT_VALUE,
    Cell,
    Direction,
    Indicator,
    Layer,
    Payload,
    Profile,
    Site,
    SiteStatus,
    Source,
    Status,
    Target,
    TrendPoint,
    View,
    ViewTable,
)
from dashboard.coverage.modes import Mode, Sample
from dashboard.coverage.plausibility import Flag
from dashboard.coverage.targets import Targets
from dashboard.store.model import Pair, PairValues, Shape, Siblings, Snapshot, month_end
from dashboard.store.snapshots import Snapshots
from dashboard.store.unit import Unit
from geodata.coverage_shapes import simplify
from geodata.crs import wgs84_to_gcj02
from geodata.distance import metres_per_degree
from geodata.encode import feature_collection, geometries, to_json
from geodata.errors import DudaoError
from geodata.model import Level, Place
from geodata.plane import Geometries
from loaders.registry import measures

MapCrs = Literal["wgs84", "gcj02"]

_SCREEN_PX = 900
"""Shapes are sent no finer than one pixel of a screen this large, filled by the whole view."""
_COARSE_M = 20.0
"""From this pixel size on four decimals of a degree (11 m) are fine enough."""


def previous_month(month: str) -> str:
    """The calendar month before ``YYYY-MM``."""
    return str(pd.Period(month, freq="M") - 1)


@acts("places.view")
def drawn_place(unit: Unit, place: Place, month: str) -> Place:
    """The place whose children the map draws: the place itself, or its parent for a leaf.

    A leaf whose parent may not be seen is drawn by itself.
    """
    on = month_end(month)
    if place.parent_id is None or unit.children(place.id, on):
        return place
    return next(iter(unit.places([place.parent_id], on)), place)


Columns = dict[str, classify.Floats]

_COLUMNS = (
    "numerator",
    "denominator",
    "reporting",
    "expected",
    "own_numerator",
    "own_denominator",
)
_SHOWN = ("numerator", "denominator")
_NOT_COUNTS = frozenset({"reporting", "expected"})
"""What stays of a place whose numbers are left out."""


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
        return _of(found, names, places)
    if siblings and source is Source.VERIFIED:
        reported = siblings.get((Source.REPORTED, pair))
        sample = siblings.get((source, registry.recount_pair(layer)))
        if reported and sample:
            return _recounted(layer, places, reported, sample)
    columns = {name: np.full(len(places), np.nan) for name in _COLUMNS}
    if siblings:
        # How many were expected is the same for every pair that anybody reported.
        columns |= _of(next(iter(siblings.values())), ("expected",), places)
    return columns


def _recounted(
    layer: Layer, places: Sequence[Place], reported: PairValues, sample: PairValues
) -> Columns:
    """Reported figures times what the sample found of what it was told (ratio estimate)."""
    columns = _of(reported, _COLUMNS, places)
    found = _of(sample, (*_SHOWN, "reporting"), places)
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


def _of(found: PairValues, names: Iterable[str], places: Sequence[Place]) -> Columns:
    at = np.array([found.at.get(place.id, -1) for place in places], dtype=np.int64)
    missing = at < 0
    return {name: np.where(missing, np.nan, getattr(found, name)[at]) for name in names}


def _optional(number: float) -> float | None:
    return None if math.isnan(number) else number


@dataclass(frozen=True, slots=True)
class _Family:
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
        """One Cell for each place, ranked among all of them; for ``only`` one place if given."""
        columns, masked = self.numbers(layer)
        value = classify.values(layer, columns["numerator"], columns["denominator"])
        earlier = _columns(layer, self.places, self.before, self.source)
        if self.earlier is not None:
            self._leave_out(layer, earlier, self.earlier)
        change = value - classify.values(layer, earlier["numerator"], earlier["denominator"])
        ranked = int(np.count_nonzero(~np.isnan(value)))
        lists = zip(
            self.places,
            masked,
            *(columns[name].tolist() for name in _COLUMNS),
            value.tolist(),
            classify.class_indices(layer, value).tolist(),
            classify.ranks(layer, value).tolist(),
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
        family = _Family(self.places, self.before, self.earlier, self.whole, source=self.source)
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
        numerator=_optional(numerator),
        denominator=_optional(denominator),
        value=_optional(value),
        status=_status(masked, numerator, denominator, value),
        class_index=index if index >= 0 else None,
        rank=rank if rank > 0 else None,
        ranked=ranked,
        change=_optional(change),
        # Only a leaf place that reported nothing has no row.
        reporting=0 if math.isnan(reporting) else int(reporting),
        expected=1 if math.isnan(expected) else int(expected),
        own_numerator=_optional(own_numerator),
        own_denominator=_optional(own_denominator),
        has_boundary=shape is not None,
        indicative=shape is not None and shape.indicative,
        target=target,
    )


def _status(masked: Status | None, numerator: float, denominator: float, value: float) -> Status:
    if masked is not None:
        return masked
    if math.isnan(numerator) or math.isnan(denominator):
        return Status.NO_DATA
    return Status.NOT_APPLICABLE if math.isnan(value) else Status.OK


def _earlier(unit: Unit, month: str) -> Snapshot | None:
    before = previous_month(month)
    return unit.snapshot(before) if before in unit.months() else None


def _family_of(unit: Unit, place: Place, month: str, source: Source) -> _Family:
    """The place with its siblings."""
    if place.parent_id is None:
        return _family(unit, [place], None, month, source)
    siblings = unit.children(place.parent_id, month_end(month))
    return _family(unit, siblings, place.parent_id, month, source)


def _family(
    unit: Unit,
    places: list[Place],
    parent_id: str | None,
    month: str,
    source: Source = Source.REPORTED,
) -> _Family:
    snapshot, earlier = unit.snapshot(month), _earlier(unit, month)
    return _Family(
        places,
        unit.siblings(snapshot, parent_id),
        snapshot,
        unit.whole,
        unit.siblings(earlier, parent_id) if earlier else None,
        earlier,
        source,
        targets.read(unit, places, month),
    )


def _alone(
    unit: Unit,
    places: list[Place],
    snapshot: Snapshot,
    parent_id: str | None,
    source: Source = Source.REPORTED,
    wanted: Targets = targets.NONE,
) -> _Family:
    """Places of one parent in one month, without the month before."""
    siblings = unit.siblings(snapshot, parent_id)
    return _Family(places, siblings, snapshot, unit.whole, source=source, targets=wanted)


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
    children: _Family
    own: _Family
    shapes: dict[str, Shape]
    source: Source


@acts("places.view")
def scene(unit: Unit, place_id: str, month: str, source: Source = Source.REPORTED) -> Scene:
    """Read what every view of a place in a month is made of.

    Raises:
        DudaoError: PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    snapshot, on = unit.snapshot(month), month_end(month)
    place = unit.place(place_id, on)
    children = unit.children(place.id, on)
    return Scene(
        place=place,
        month=month,
        version=snapshot.version,
        children=_family(unit, children, place.id, month, source),
        own=_family_of(unit, place, month, source),
        shapes=unit.shapes([place.id, *(child.id for child in children)], on),
        source=source,
    )


@acts("places.view")
def table(unit: Unit, view: View) -> ViewTable:
    """The children of ``view.place_id`` in one layer and month, worst first.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    layer = registry.layer(view.layer_id)
    return table_of(scene(unit, view.place_id, view.month, view.source), layer)


def table_of(seen: Scene, layer: Layer) -> ViewTable:
    """The table of one layer of a scene."""
    cells = seen.children.cells(layer, seen.shapes)
    numbers = np.array(
        [(cell.numerator, cell.denominator, cell.value) for cell in cells], dtype=np.float64
    ).reshape(-1, 3)
    order = classify.worst_first(layer, *numbers.T)
    (own,) = seen.own.cells(layer, seen.shapes, only=seen.place.id)
    return ViewTable(
        view=View(seen.place.id, layer.id, seen.month, seen.source),
        layer=layer,
        place=seen.place,
        version=seen.version,
        own=own,
        cells=tuple(cells[position] for position in order),
    )


@acts("places.view")
def profile(
    unit: Unit,
    place_id: str,
    month: str,
    group: str | None = None,
    source: Source = Source.REPORTED,
) -> Profile:
    """One place in one month: every layer's cell, ranked among its siblings.

    Args:
        group: only the layers of this group; None: all.

    Raises:
        DudaoError: PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    on = month_end(month)
    unit.snapshot(month)
    place = unit.place(place_id, on)
    family = _family_of(unit, place, month, source)
    shapes = unit.shapes([place.id], on)
    return Profile(
        place=place,
        month=month,
        ancestors=tuple(unit.ancestors(place, on)),
        siblings=len(family.places) if unit.sees_whole(place.parent_id) else 1,
        cells={
            layer.id: family.cells(layer, shapes, only=place.id)[0]
            for layer in registry.layers().values()
            if group is None or layer.group == group
        },
    )


@acts("places.view")
def trend(
    unit: Unit,
    place_id: str,
    layer_id: str,
    source: Source = Source.REPORTED,
    years: Mapping[str, Targets] | None = None,
) -> list[TrendPoint]:
    """One place's value in every published month, oldest first; gaps stay as points without value.

    The place is looked up month by month, for it may have moved, begun or ended in between.

    Args:
        years: the place's ``targets.of_place``, where they are known already.

    Raises:
        DudaoError: LAYER_NOT_FOUND or PLACE_NOT_FOUND.
    """
    layer = registry.layer(layer_id)
    months, versions = unit.months(), unit.versions(place_id)
    years = targets.of_place(unit, place_id) if years is None else years
    numbers = np.full((len(months), 2), np.nan)
    masked: list[Status | None] = [None] * len(months)
    wanted: list[Target | None] = [None] * len(months)
    for at, month in enumerate(months):
        on = month_end(month)
        place = next((version for version in versions if version.valid_on(on)), None)
        if place is None:
            continue
        family = _alone(unit, [place], unit.snapshot(month), place.parent_id, source)
        columns, (masked[at],) = family.numbers(layer, _SHOWN)
        numbers[at] = columns["numerator"][0], columns["denominator"][0]
        wanted[at] = years[month[:4]].of(layer, place)
    if months and not versions:
        unit.place(place_id, month_end(months[-1]))
    # One calculation for all months: a hundred small ones are what a first view waits for.
    rows = np.column_stack([numbers, classify.values(layer, *numbers.T)]).tolist()
    return [
        TrendPoint(
            month, _optional(top), _optional(bottom), _optional(value),
            _status(why, top, bottom, value), target,
        )
        for month, (top, bottom, value), why, target in zip(
            months, rows, masked, wanted, strict=True
        )
    ]  # fmt: skip


QUICK_PLACES = 6_000
QUICK_FIGURES = 1_000_000


@acts("places.view")
def quality(unit: Unit, place_id: str, month: str, quick: bool = False) -> list[Flag]:
    """What is doubtful in the figures of a place and of all below it, by place and rule.

    A doubt about a protected layer is told only where its figures are.

    Args:
        quick: within about two seconds: of very many places below only the next level's values are
            looked at, and places' own figures only where a month's are few enough to search.

    Raises:
        DudaoError: PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    snapshot, on = unit.snapshot(month), month_end(month)
    place = unit.place(place_id, on)
    near = quick and unit.more_under(place, on, QUICK_PLACES)
    below = unit.children(place.id, on) if near else unit.places_under(place, on)
    known = {one.id: one for one in (place, *below)}
    found = []
    if not near and not (quick and unit.figures_stored(month) > QUICK_FIGURES):
        figures = unit.figures(list(known), [month], None)
        found += plausibility.own_flags(figures[figures["source"] == Source.REPORTED], month)
    families: defaultdict[str, list[Place]] = defaultdict(list)
    for one in below:
        if one.parent_id is not None:
            families[one.parent_id].append(one)
    for parent_id, places in families.items():
        if len(places) == 1:
            continue  # Its values are its parent's, which is looked at among its own siblings.
        family = _family(unit, places, parent_id, month)
        for layer in family.layers():
            cells = family.cells(layer, {})
            found += plausibility.sibling_flags(
                parent_id, month, layer, cells, family.cells_before(layer)
            )
    return sorted(
        _that_may_be_told(unit, snapshot, known, found),
        key=lambda flag: (known[flag.place_id].path, flag.code, flag.measures),
    )


@acts("places.view")
def doubt_payload(unit: Unit, place_id: str, month: str, flags: Sequence[Flag]) -> Payload:
    """The flags counted by the place directly below that they are in, as a JSON object.

    Raises:
        DudaoError: PLACE_NOT_FOUND.
    """
    on = month_end(month)
    children = unit.children(unit.place(place_id, on).id, on)
    paths = {one.id: one.path for one in unit.places({flag.place_id for flag in flags}, on)}
    counts = {
        child.id: sum(paths[flag.place_id].startswith(child.path) for flag in flags)
        for child in children
    }
    return _payload(to_json({key: count for key, count in counts.items() if count}).encode())


def _that_may_be_told(
    unit: Unit, snapshot: Snapshot, places: Mapping[str, Place], flags: Iterable[Flag]
) -> list[Flag]:
    """The doubts that give away nothing that is left out.

    Args:
        places: of the doubts, by id.
    """
    shown = [flag for flag in flags if _shown(unit, snapshot, places[flag.place_id], flag)]
    weighed = _weighed(unit, snapshot, [(places[flag.place_id], flag) for flag in shown])
    return [flag for flag in shown if not _secret(flag) - weighed[flag.place_id]]


def _shown(unit: Unit, snapshot: Snapshot, place: Place, flag: Flag) -> bool:
    """Whether no layer of a doubt's measures leaves the place out."""
    for layer in plausibility.protected_layers(flag):
        if layer.lowest_level is not None and place.level > layer.lowest_level:
            return False
        if place.id in disclosure.left_out(unit.whole, snapshot, layer):
            return False
    return True


def _secret(flag: Flag) -> set[str]:
    """The measures of a place's own doubt that only protected layers have."""
    return set() if flag.layer_id is not None else set(flag.measures) - _public_measures()


def _weighed(
    unit: Unit, snapshot: Snapshot, doubts: Iterable[tuple[Place, Flag]]
) -> defaultdict[str, set[str]]:
    """By place the secret measures of its doubts that were weighed when small counts were left
    out: a figure without the other of its pair never is.

    Each layer is read once for all places: one after the other takes half a second for 300.
    """
    asked: defaultdict[str, dict[str, Place]] = defaultdict(dict)
    for place, flag in doubts:
        if _secret(flag):
            for layer in plausibility.protected_layers(flag):
                asked[layer.id][place.id] = place
    found: defaultdict[str, set[str]] = defaultdict(set)
    for layer_id, places in asked.items():
        layer = registry.layer(layer_id)
        of_all = _together(unit, list(places.values()), snapshot, layer, Source.REPORTED)
        for cell in of_all.cells(layer, {}):
            if cell.status not in UNKNOWN:
                found[cell.place.id].update(_both(layer))
    return found


@cache
def _public_measures() -> frozenset[str]:
    """Measures of a layer that is not protected, and of none at all."""
    layers = registry.layers().values()
    held = {one for layer in layers if layer.protected for one in _both(layer)}
    shown = {one for layer in layers if not layer.protected for one in _both(layer)}
    return frozenset(measures()) - held | shown


def _both(layer: Layer) -> tuple[str, str]:
    return layer.numerator, layer.denominator


UNKNOWN = frozenset({Status.NO_DATA, Status.SUPPRESSED, Status.TOO_LOW})


@acts("places.view")
def indicators(unit: Unit, place_id: str, month: str, months: Sequence[str]) -> list[Indicator]:
    """Every layer a place has figures for in a month, in the registry's order.

    Args:
        months: of the trend, ascending; in those the place did not exist it has no value.

    Raises:
        DudaoError: PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    seen = scene(unit, place_id, month)
    versions = unit.versions(place_id)
    past: list[_Family | None] = []
    for one in months:
        snapshot, on = unit.snapshot(one), month_end(one)
        then = next((version for version in versions if version.valid_on(on)), None)
        past.append(None if then is None else _alone(unit, [then], snapshot, then.parent_id))
    found = []
    for layer in seen.own.layers():
        (cell,) = seen.own.cells(layer, seen.shapes, only=place_id)
        if cell.status in (Status.NO_DATA, Status.TOO_LOW):
            continue
        table = table_of(seen, layer)
        # The least counted is not the worst: places differ in size.
        shares = () if layer.is_count else table.cells
        worst = next((child for child in shares if child.value is not None), None)
        # What is left out of a month takes the whole tree of it to know: too long for twelve.
        trend = (
            ()
            if layer.protected
            else tuple(
                None if family is None else family.cells(layer, {})[0].value for family in past
            )
        )
        found.append(Indicator(layer, cell, worst, trend))
    return found


@acts("places.view")
def ranking(
    unit: Unit,
    view: View,
    level: Level,
    by_interval: bool = False,
    minimum: int = ranks.MINIMUM,
) -> list[ranks.Ranked]:
    """All places of one level below a place, best first.

    Args:
        by_interval: rank shares on the worse end of their interval.
        minimum: places with a smaller denominator take no rank.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND, MONTH_NOT_FOUND; SAMPLE_NOT_COMPARED;
            RANK_NO_INTERVAL.
    """
    layer = _compared(view)
    found = _of_level(unit, view, level, layer)
    return ranks.rank(layer, found.cells(layer, {}), by_interval, minimum)


@acts("places.view")
def funnel(unit: Unit, view: View, level: Level) -> Funnel:
    """All places of one level below a place about their common share.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND, MONTH_NOT_FOUND; SAMPLE_NOT_COMPARED;
            FUNNEL_NO_SHARE.
    """
    layer = _compared(view)
    if not funnels.suits(layer):
        raise DudaoError(
            "FUNNEL_NO_SHARE",
            f"图层“{layer.title}”不是以人或户为分母的比率，没有漏斗图。",
            "请选择其他图层，或查看排名。",
        )
    return funnels.draw(_of_level(unit, view, level, layer).cells(layer, {}))


@acts("places.view")
def forecast(unit: Unit, view: View, points: Sequence[TrendPoint] | None = None) -> YearEnd:
    """Where a place will stand at the end of the view's year, told from the view's month.

    Args:
        points: the place's ``trend``, where it is known already.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND, MONTH_NOT_FOUND; SAMPLE_NOT_COMPARED.
    """
    layer = _compared(view)
    snapshot = unit.snapshot(view.month)
    place = unit.place(view.place_id, month_end(view.month))
    here = _alone(unit, [place], snapshot, place.parent_id, view.source)
    told = points or trend(unit, place.id, view.layer_id, view.source)
    known = {point.month: point for point in told}
    past = (known.get(month) for month in outlook.last_months(view.month))
    values = [None if point is None else point.value for point in past]
    target = known[view.month].target
    (cell,) = here.cells(layer, {})
    return outlook.of_place(
        layer, cell, view.month, values, None if target is None else target.value
    )


@acts("places.view")
def forecasts(unit: Unit, view: View, level: Level) -> list[YearEnd]:
    """Where all places of one level below a place will stand, those that will surely miss first.

    Then come those that will miss by the forecast, each lot with the most that lacks first, then
    those that will not, then those without a forecast.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND, MONTH_NOT_FOUND; SAMPLE_NOT_COMPARED.
    """
    layer = _compared(view)
    family = _of_level(unit, view, level, layer)
    months = outlook.last_months(view.month)
    values = np.column_stack(
        [
            *(_then(unit, view, family.places, month, layer) for month in months[:-1]),
            family.values(layer),
        ]
    )
    cells = family.cells(layer, {})
    wanted = [math.nan if cell.target is None else cell.target.value for cell in cells]
    found = outlook.of_places(layer, cells, view.month, values, np.array(wanted, dtype=np.float64))
    return sorted(
        found,
        key=lambda one: (not one.surely, not one.misses, not one.ahead, -(one.short or 0.0)),
    )


def _compared(view: View) -> Layer:
    """The layer of a view whose places are held against each other or against the year's end.

    Raises:
        DudaoError: LAYER_NOT_FOUND; SAMPLE_NOT_COMPARED.
    """
    layer = registry.layer(view.layer_id)
    if view.source is Source.VERIFIED:
        raise DudaoError(
            "SAMPLE_NOT_COMPARED",
            "核实数据来自抽样，只作判定，不作排名、预测和漏斗图。",
            "请改看上报或台账数据。",
        )
    return layer


def _of_level(unit: Unit, view: View, level: Level, layer: Layer) -> _Family:
    """All places of one level below a place, with the one layer's numbers."""
    snapshot, on = unit.snapshot(view.month), month_end(view.month)
    places = unit.places_below(unit.place(view.place_id, on), level, on)
    wanted = targets.read(unit, places, view.month)
    return _together(unit, places, snapshot, layer, view.source, wanted)


def _then(
    unit: Unit, view: View, places: Sequence[Place], month: str, layer: Layer
) -> classify.Floats:
    """The values that places had in an earlier month; NaN where there is no such month.

    A place is looked up as it was then, for it may have moved or begun in between.
    """
    values = np.full(len(places), np.nan)
    if month not in unit.months():
        return values
    on = month_end(month)
    later = [place.id for place in places if place.valid_from > on]
    before = {place.id: place for place in unit.places(later, on)}
    then = [before.get(place.id) if place.valid_from > on else place for place in places]
    there = np.array([place is not None for place in then], dtype=np.bool_)
    known = [place for place in then if place is not None]
    values[there] = _together(unit, known, unit.snapshot(month), layer, view.source).values(layer)
    return values


def _together(
    unit: Unit,
    places: list[Place],
    snapshot: Snapshot,
    layer: Layer,
    source: Source,
    wanted: Targets = targets.NONE,
) -> _Family:
    """Places of any parents in one month, read for one layer only."""
    parents = {place.parent_id or "" for place in places}
    pair = Pair(layer.numerator, layer.denominator)
    now = unit.families(snapshot, parents, [pair])
    return _Family(places, now, snapshot, unit.whole, source=source, targets=wanted)


@dataclass(frozen=True, slots=True)
class Verified:
    """What the field sample of a place says of a layer, from January to a month.

    Attributes:
        lot: the LQAS judgement; never ranked by.
        factor: recounted over reported, with its interval.
        no_service, missing_source: units that could not be recounted.
    """

    place: Place
    month: str
    lot: verification.Lot
    factor: verification.Factor
    no_service: int
    missing_source: int


@acts("places.view")
def verify(unit: Unit, view: View) -> Verified:
    """The field sample of a place and all below it, in one layer.

    Units without service fail the judgement and are left out of the factor; units without source
    are left out of both.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND, MONTH_NOT_FOUND; LAYER_NOT_SAMPLED.
    """
    layer = registry.layer(view.layer_id)
    on = month_end(view.month)
    unit.snapshot(view.month)
    place = unit.place(view.place_id, on)
    if not registry.sampled_pairs(layer):
        raise DudaoError(
            "LAYER_NOT_SAMPLED",
            f"“{layer.title}”涉及少数患者，不做抽样核实。",
            "请选择其他图层。",
        )
    below = [place.id, *(one.id for one in unit.places_under(place, on))]
    rows = _revisited(unit, below, layer, view.month)
    counted = rows[(rows["result"] == "ok") & rows["recount"].notna()]
    nothing = int((rows["result"] == "no_service").sum())
    short = int((counted["recount"] < counted["reported"]).sum())
    return Verified(
        place,
        view.month,
        verification.judge(len(counted) + nothing, short + nothing),
        verification.factor(
            list(zip(counted["recount"].tolist(), counted["reported"].tolist(), strict=True))
        ),
        nothing,
        len(rows) - len(counted) - nothing,
    )


def _revisited(unit: Unit, below: Sequence[str], layer: Layer, month: str) -> pd.DataFrame:
    """The field sample of some places in a layer, from January to a month."""
    rows = unit.records(explaining.REVISITS, "place_id", below)
    rows = rows[rows["measure"] == layer.numerator]
    months = rows["day"].dt.strftime("%Y-%m")
    found: pd.DataFrame = rows[(months >= f"{month[:4]}-01") & (months <= month)]
    return found


@acts("places.view")
def explain(unit: Unit, view: View, most: int = explaining.LISTED) -> Explanation:
    """What a place's value in a layer stands on: figures or records, loads, what is left out.

    Of a value that is left out nothing is told but that it is. Of a protected layer no count is
    told that the table does not hold.

    Args:
        most: so many places of each kind are listed.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND or MONTH_NOT_FOUND; VERSION_NOT_EXPLAINED, the
            unit reads the month as it was before a correction.
    """
    layer = registry.layer(view.layer_id)
    snapshot, on = unit.snapshot(view.month), month_end(view.month)
    if unit.looks_back(view.month):
        raise DudaoError(
            "VERSION_NOT_EXPLAINED",
            f"{view.month} 第 {snapshot.version} 版已被更正，它的逐条来源不再对应。",
            "请查看现行版本的来源。",
        )
    place = unit.place(view.place_id, on)
    family = _family_of(unit, place, view.month, view.source)
    (cell,) = family.cells(layer, {}, only=place.id)
    found = explaining.begin(
        view,
        layer,
        cell,
        snapshot.version,
        estimated=view.source is Source.VERIFIED
        and (Source.VERIFIED, Pair(layer.numerator, layer.denominator)) not in family.now,
        missing=registry.uncounted(layer, view.source, unit.loaded_datasets()),
    )
    if cell.status in (Status.SUPPRESSED, Status.TOO_LOW):
        return found
    if found.method is Method.ESTIMATE:
        reported = _family_of(unit, place, view.month, Source.REPORTED)
        (cell,) = reported.cells(layer, {}, only=place.id)
        found = replace(found, reported=cell)
    near = unit.more_under(place, on, QUICK_PLACES)
    below = unit.children(place.id, on) if near else unit.places_under(place, on)
    stands = _stands_on(unit, cell, layer, snapshot, found.stands_on, below)
    found = replace(found, near=near)
    if view.source is not Source.RECORDS:
        doubts = _doubts(unit, place, layer, snapshot)
        near_by = {one.id: one.name for one in (place, *unit.children(place.id, on))}
        names = {one.place_id: near_by[one.place_id] for one in doubts}
        found = replace(found, doubts=doubts, names=names)
    looked_at = () if near else (place, *below)
    evidence = _evidence(unit, found, {one.id: one.path for one in looked_at})
    if found.method is not Method.ESTIMATE:
        return explaining.finish(found, stands, evidence, most)
    homes = [one.place.id for one in stands.bases] if near else evidence.samples
    sampled = _home_cells(unit, homes, layer, view.month, Source.VERIFIED)
    known = [one for one in sampled.values() if one.status is not Status.NO_DATA]
    return explaining.finish(found, stands, evidence, most, known)


def _stands_on(
    unit: Unit, top: Cell, layer: Layer, snapshot: Snapshot, source: Source, below: Sequence[Place]
) -> Standing:
    """Walk down from a place as the roll-up came up, over cells as the tables show them.

    Args:
        below: the places to look at.
    """
    families: defaultdict[str | None, list[Place]] = defaultdict(list)
    for one in below:
        families[one.parent_id].append(one)
    bases: list[Cell] = []
    absent: list[Cell] = []
    differing: list[Cell] = []
    floor, waiting = False, [top]
    while waiting:
        cell = waiting.pop()
        if cell.disagrees:
            differing.append(cell)
        # Of a place left out nothing below is told either.
        children = [] if cell.status is Status.SUPPRESSED else families[cell.place.id]
        cells = []
        if children:
            cells = _alone(unit, children, snapshot, cell.place.id, source).cells(layer, {})
        if any(each.status is Status.TOO_LOW for each in cells):
            floor, cells = True, []
        known = [each for each in cells if each.status is not Status.NO_DATA]
        if known:
            absent += [each for each in cells if each.status is Status.NO_DATA]
            waiting += known
        else:
            (absent if cell.status is Status.NO_DATA else bases).append(cell)
    return Standing(bases, absent, differing, floor)


def _evidence(unit: Unit, found: Explanation, paths: Mapping[str, str]) -> Evidence:
    """The figures and records at some places that the value is made of, and their loads."""
    layer, ids = found.layer, list(paths)
    figures = unit.observed(ids, found.month, {layer.numerator, layer.denominator})
    told = (figures["source"] == found.stands_on) & (not found.secret)
    figures = figures.loc[told].reset_index(drop=True)
    records = [(ask, unit.counted(ids, found.month, ask.dataset, ask.rule)) for ask in found.asks()]
    samples: dict[str, explaining.Recount] = {}
    whole = None
    if found.method is Method.ESTIMATE and ids:
        revisited = _revisited(unit, ids, layer, found.month)
        samples, whole = explaining.recounts(revisited), explaining.recount(revisited)
    numbers = {
        int(one) for rows in (figures, *(rows for _ask, rows in records)) for one in rows["batch"]
    }
    return Evidence(paths, figures, records, unit.loads(numbers), samples, whole)


def _doubts(unit: Unit, place: Place, layer: Layer, snapshot: Snapshot) -> list[Flag]:
    """What is doubtful in a place's value in a layer and in the values directly below."""
    on, month = month_end(snapshot.month), snapshot.month
    found: list[Flag] = []
    if unit.figures_stored(month) <= QUICK_FIGURES:
        own = unit.observed([place.id], month, None)
        own = own[own["source"] == Source.REPORTED]
        mine = {layer.numerator, layer.denominator}
        found += [one for one in plausibility.own_flags(own, month) if mine & set(one.measures)]
    children = unit.children(place.id, on)
    beside = _family_of(unit, place, month, Source.REPORTED)
    below = _family(unit, children, place.id, month)
    for family, parent_id in ((beside, place.parent_id), (below, place.id)):
        # Of one only there are no siblings to compare.
        if parent_id is not None and len(family.places) > 1:
            flags = plausibility.sibling_flags(
                parent_id, month, layer, family.cells(layer, {}), family.cells_before(layer)
            )
            found += [flag for flag in flags if parent_id == place.id or flag.place_id == place.id]
    places = {one.id: one for one in (place, *children)}
    return _that_may_be_told(unit, snapshot, places, found)


def _site_status(layer: Layer | None, cell: Cell | None) -> SiteStatus:
    if layer is None or cell is None or cell.status in UNKNOWN:
        return SiteStatus.NO_DATA
    if cell.status is Status.NOT_APPLICABLE or cell.target is None or cell.value is None:
        return SiteStatus.NOT_APPLICABLE
    met = (
        cell.value >= cell.target.value
        if layer.direction is Direction.HIGHER
        else cell.value <= cell.target.value
    )
    return SiteStatus.MET if met else SiteStatus.UNMET


@acts("places.view")
def sites(unit: Unit, place_id: str, month: str) -> list[Site]:
    """Every institution under a place with its status in that month.

    An institution whose kind no layer names has status ``not_applicable``.

    Raises:
        DudaoError: PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    on = month_end(month)
    found = unit.institutions(unit.place(place_id, on))
    coloured = {
        layer.site_kind: layer
        for layer in registry.layers().values()
        if layer.site_kind is not None
    }
    homes = {site.place_id for site in found if site.kind in coloured}
    cells = {layer.id: _home_cells(unit, homes, layer, month) for layer in coloured.values()}
    return [
        Site(
            institution,
            _site_status(layer, cells[layer.id].get(institution.place_id))
            if (layer := coloured.get(institution.kind)) is not None
            else SiteStatus.NOT_APPLICABLE,
        )
        for institution in found
    ]


def _home_cells(
    unit: Unit, homes: Iterable[str], layer: Layer, month: str, source: Source = Source.REPORTED
) -> dict[str, Cell]:
    snapshot = unit.snapshot(month)
    below: defaultdict[str | None, list[Place]] = defaultdict(list)
    found = unit.places(homes, month_end(month))
    for place in found:
        below[place.parent_id].append(place)
    wanted = targets.read(unit, found, month)
    return {
        cell.place.id: cell
        for parent_id, places in below.items()
        for cell in _alone(unit, places, snapshot, parent_id, source, wanted).cells(layer, {})
    }


def _payload(body: bytes) -> Payload:
    return Payload(body, f'"{blake2b(body, digest_size=12).hexdigest()}"')


@dataclass(frozen=True, slots=True)
class Outlines:
    """The drawn shapes of one view, encoded once for all its layers.

    Attributes:
        features: place id -> its GeoJSON feature up to the properties that every layer has anew,
            and from there on.
        digest: changes whenever a shape does; a page that drew it already keeps its polygons.
    """

    features: dict[str, tuple[str, str]]
    digest: str


def outlines(seen: Scene, crs: MapCrs = "wgs84") -> Outlines:
    """The children's shapes of a scene, ready for ``payload``.

    Args:
        crs: gcj02 shifts the shapes for base tiles drawn in that system.
    """
    shapes = {
        child.id: seen.shapes[child.id] for child in seen.children.places if child.id in seen.shapes
    }
    polygons = shapely.from_wkb(np.array([shape.wkb for shape in shapes.values()], dtype=object))
    labels = np.array(
        [(shape.label_lon, shape.label_lat) for shape in shapes.values()], dtype=np.float64
    ).reshape(-1, 2)
    pixel = _pixel_m(polygons)
    polygons = simplify(polygons, pixel)
    if crs == "gcj02":
        polygons = shapely.transform(
            polygons, lambda xy: np.column_stack(wgs84_to_gcj02(xy[:, 0], xy[:, 1]))
        )
        labels = np.column_stack(wgs84_to_gcj02(labels[:, 0], labels[:, 1]))
    encoded = geometries(polygons, digits=4 if pixel >= _COARSE_M else 5)
    names = {child.id: child.name for child in seen.children.places}
    return Outlines(
        {
            place_id: (
                f'{{"type":"Feature","id":{to_json(place_id)},"geometry":{geometry},'
                f'"properties":{{"id":{to_json(place_id)},"n":{to_json(names[place_id])}',
                f'"x":{round(label[0], 5)},"y":{round(label[1], 5)},'
                f'"w":{round(shape.label_radius)},"i":{int(shape.indicative)}}}}}',
            )
            for (place_id, shape), label, geometry in zip(
                shapes.items(), labels.tolist(), encoded, strict=True
            )
        },
        blake2b("".join([*shapes, *encoded]).encode(), digest_size=12).hexdigest(),
    )


def _pixel_m(polygons: Geometries) -> float:
    """What one pixel covers, in metres, when all of the shapes fill the screen."""
    if len(polygons) == 0:
        return 0.0
    west, south, east, north = shapely.total_bounds(polygons)
    a_degree_east, a_degree_north = metres_per_degree((south + north) / 2)
    wide, high = (east - west) * float(a_degree_east), (north - south) * float(a_degree_north)
    return float(max(wide, high)) / _SCREEN_PX


def payload(
    shown: ViewTable,
    drawn: Outlines,
    mode: Mode = Mode.VALUE,
    other: ViewTable | None = None,
    samples: Mapping[str, Sample] | None = None,
) -> Payload:
    """The children of a view as a small GeoJSON FeatureCollection.

    ``shapes`` is the outlines' digest; ``counts`` says how many children each class has (low value
    first), then how many each status of ``WITHOUT_VALUE``, drawn or not.
    Properties: ``id``, ``n`` name, ``v`` the number the mode shows, ``a`` numerator, ``b``
    denominator, ``c`` class (below 0 a status of ``WITHOUT_VALUE``: -1 no data and so on), ``r``
    rank, ``x``, ``y`` label point, ``w`` label radius in metres, ``i`` 1 where the boundary is
    indicative.

    Args:
        other: the same view of the month a change is measured from, or as verified.
        samples: of the children, where the field sample is shown; ``a`` and ``b`` are its numbers.
    """
    others = {cell.place.id: cell for cell in other.cells} if other else {}
    shades = modes.shades(shown, mode, others, samples)
    codes = [
        -1 - WITHOUT_VALUE.index(shade.status) if shade.class_index is None else shade.class_index
        for shade in shades
    ]
    with_outline = [
        (drawn.features[cell.place.id], cell, shade.value, code)
        for cell, shade, code in zip(shown.cells, shades, codes, strict=True)
        if cell.place.id in drawn.features
    ]
    # All places' numbers in one text: encoding each place by itself takes several times as long.
    numbers = to_json(
        [
            (
                value,
                *_counts_of(cell, mode, (samples or {}).get(cell.place.id)),
                code,
                # LQAS sorts into two classes; it never ranks.
                None if mode in modes.SAMPLED else cell.rank,
            )
            for _, cell, value, code in with_outline
        ]
    )
    features = []
    for ((start, end), *_), row in zip(with_outline, numbers[2:-2].split("],["), strict=False):
        value, above, below, code, rank = row.split(",")
        features.append(f'{start},"v":{value},"a":{above},"b":{below},"c":{code},"r":{rank},{end}')
    kinds = range(len(modes.colours(shown.layer, mode)))
    counts = to_json(
        [codes.count(kind) for kind in (*kinds, *(-1 - at for at in range(len(WITHOUT_VALUE))))]
    )
    head = f'{{"type":"FeatureCollection","shapes":"{drawn.digest}","counts":{counts},"features":['
    return _payload(f"{head}{','.join(features)}]}}".encode())


def _counts_of(cell: Cell, mode: Mode, sample: Sample | None) -> tuple[float | None, float | None]:
    """The two numbers a value is made of."""
    if mode not in modes.SAMPLED:
        return cell.numerator, cell.denominator
    if sample is None:
        return None, None
    if mode is Mode.LQAS:
        return sample.judged - sample.found, sample.judged
    return sample.recount, sample.reported


def samples(seen: Scene, layer: Layer) -> dict[str, Sample]:
    """The field samples of the children of a scene, by place id; none of a protected layer."""
    if not registry.sampled_pairs(layer):
        return {}
    places, siblings = seen.children.places, seen.children.now
    pairs = (registry.recount_pair(layer), registry.judged_pair(layer))
    columns: list[classify.Floats] = []
    for pair in pairs:
        found = siblings.get((Source.VERIFIED, pair))
        nothing = {name: np.full(len(places), np.nan) for name in _SHOWN}
        columns += (_of(found, _SHOWN, places) if found else nothing).values()
    made = {}
    for place, recount, told, good, judged in zip(
        places, *(column.tolist() for column in columns), strict=True
    ):
        if not math.isnan(judged):
            none = math.isnan(told)
            made[place.id] = Sample(
                0.0 if none else recount, 0.0 if none else told, int(good), int(judged)
            )
    return made


def site_payload(found: Sequence[Site], crs: MapCrs = "wgs84") -> Payload:
    """The institutions that have a point, as GeoJSON.

    Properties: ``id``, ``n`` name, ``k`` kind, ``s`` status. ``crs`` as ``outlines``.
    """
    located = [site for site in found if site.institution.lon is not None]
    lon, lat = (
        np.array([getattr(site.institution, axis) for site in located], dtype=np.float64)
        for axis in ("lon", "lat")
    )
    if crs == "gcj02":
        lon, lat = wgs84_to_gcj02(lon, lat)
    return _payload(
        feature_collection(
            shapely.points(lon, lat),
            [site.institution.id for site in located],
            [
                {
                    "id": site.institution.id,
                    "n": site.institution.name,
                    "k": site.institution.kind.value,
                    "s": site.status.value,
                }
                for site in located
            ],
        )
    )

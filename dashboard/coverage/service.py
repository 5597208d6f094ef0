"""What the screens and the command line call: the values a view shows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.access import acts
from dashboard.coverage import (
    classify,
    drawing,
    families,
    grounds,
    plausibility,
    registry,
    targets,
    verification,
)
from dashboard.coverage import explain as explaining
from dashboard.coverage import forecast as outlook
from dashboard.coverage import funnel as funnels
from dashboard.coverage import ranking as ranks
from dashboard.coverage.explain import Explanation, Method
from dashboard.coverage.families import Scene as Scene
from dashboard.coverage.forecast import YearEnd
from dashboard.coverage.funnel import Funnel
from dashboard.coverage.model import (
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
from dashboard.coverage.plausibility import Flag
from dashboard.coverage.targets import Targets
from dashboard.store.model import Pair, month_end
from dashboard.store.unit import Unit
from geodata.encode import to_json
from geodata.errors import DudaoError
from geodata.model import Level, Place


@acts("places.view")
def drawn_place(unit: Unit, place: Place, month: str) -> Place:
    """The place whose children the map draws: the place itself, or its parent for a leaf.

    A leaf whose parent may not be seen is drawn by itself.
    """
    on = month_end(month)
    if place.parent_id is None or unit.children(place.id, on):
        return place
    return next(iter(unit.places([place.parent_id], on)), place)


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
        children=families.family(unit, children, place.id, month, source),
        own=families.family_of(unit, place, month, source),
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
    family = families.family_of(unit, place, month, source)
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
        family = families.alone(unit, [place], unit.snapshot(month), place.parent_id, source)
        columns, (masked[at],) = family.numbers(layer, families.SHOWN)
        numbers[at] = columns["numerator"][0], columns["denominator"][0]
        wanted[at] = years[month[:4]].of(layer, place)
    if months and not versions:
        unit.place(place_id, month_end(months[-1]))
    # One calculation for all months: a hundred small ones are what a first view waits for.
    rows = np.column_stack([numbers, classify.values(layer, *numbers.T)]).tolist()
    return [
        TrendPoint(
            month, families.optional(top), families.optional(bottom), families.optional(value),
            families.status_of(why, top, bottom, value), target,
        )
        for month, (top, bottom, value), why, target in zip(
            months, rows, masked, wanted, strict=True
        )
    ]  # fmt: skip


QUICK_PLACES = 6_000


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
    if not near and not (quick and unit.figures_stored(month) > grounds.QUICK_FIGURES):
        figures = unit.figures(list(known), [month], None)
        found += plausibility.own_flags(figures[figures["source"] == Source.REPORTED], month)
    siblings: defaultdict[str, list[Place]] = defaultdict(list)
    for one in below:
        if one.parent_id is not None:
            siblings[one.parent_id].append(one)
    for parent_id, places in siblings.items():
        if len(places) == 1:
            continue  # Its values are its parent's, which is looked at among its own siblings.
        family = families.family(unit, places, parent_id, month)
        for layer in family.layers():
            cells = family.cells(layer, {})
            found += plausibility.sibling_flags(
                parent_id, month, layer, cells, family.cells_before(layer)
            )
    return sorted(
        grounds.that_may_be_told(unit, snapshot, known, found),
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
    return drawing.to_payload(
        to_json({key: count for key, count in counts.items() if count}).encode()
    )


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
    past: list[families.Family | None] = []
    for one in months:
        snapshot, on = unit.snapshot(one), month_end(one)
        then = next((version for version in versions if version.valid_on(on)), None)
        past.append(
            None if then is None else families.alone(unit, [then], snapshot, then.parent_id)
        )
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
    here = families.alone(unit, [place], snapshot, place.parent_id, view.source)
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


def _of_level(unit: Unit, view: View, level: Level, layer: Layer) -> families.Family:
    """All places of one level below a place, with the one layer's numbers."""
    snapshot, on = unit.snapshot(view.month), month_end(view.month)
    places = unit.places_below(unit.place(view.place_id, on), level, on)
    wanted = targets.read(unit, places, view.month)
    return families.together(unit, places, snapshot, layer, view.source, wanted)


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
    values[there] = families.together(unit, known, unit.snapshot(month), layer, view.source).values(
        layer
    )
    return values


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
    rows = grounds.revisited(unit, below, layer, view.month)
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
    family = families.family_of(unit, place, view.month, view.source)
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
        reported = families.family_of(unit, place, view.month, Source.REPORTED)
        (cell,) = reported.cells(layer, {}, only=place.id)
        found = replace(found, reported=cell)
    near = unit.more_under(place, on, QUICK_PLACES)
    below = unit.children(place.id, on) if near else unit.places_under(place, on)
    stands = grounds.stands_on(unit, cell, layer, snapshot, found.stands_on, below)
    found = replace(found, near=near)
    if view.source is not Source.RECORDS:
        doubts = grounds.doubts(unit, place, layer, snapshot)
        near_by = {one.id: one.name for one in (place, *unit.children(place.id, on))}
        names = {one.place_id: near_by[one.place_id] for one in doubts}
        found = replace(found, doubts=doubts, names=names)
    looked_at = () if near else (place, *below)
    evidence = grounds.evidence(unit, found, {one.id: one.path for one in looked_at})
    if found.method is not Method.ESTIMATE:
        return explaining.finish(found, stands, evidence, most)
    homes = [one.place.id for one in stands.bases] if near else evidence.samples
    sampled = families.home_cells(unit, homes, layer, view.month, Source.VERIFIED)
    known = [one for one in sampled.values() if one.status is not Status.NO_DATA]
    return explaining.finish(found, stands, evidence, most, known)


def _site_status(layer: Layer | None, cell: Cell | None) -> SiteStatus:
    if layer is None or cell is None or cell.status in families.UNKNOWN:
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
    cells = {
        layer.id: families.home_cells(unit, homes, layer, month) for layer in coloured.values()
    }
    return [
        Site(
            institution,
            _site_status(layer, cells[layer.id].get(institution.place_id))
            if (layer := coloured.get(institution.kind)) is not None
            else SiteStatus.NOT_APPLICABLE,
        )
        for institution in found
    ]

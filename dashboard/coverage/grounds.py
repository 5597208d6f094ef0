"""What a value stands on, and what is doubtful in it, as far as it may be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import pandas as pd

from dashboard.coverage import disclosure, families, plausibility, registry
from dashboard.coverage import explain as explaining
from dashboard.coverage.explain import Evidence, Explanation, Method, Standing
from dashboard.coverage.model import Cell, Layer, Source, Status
from dashboard.coverage.plausibility import Flag
from dashboard.store.model import Snapshot, month_end
from dashboard.store.unit import Unit
from geodata.model import Place
from loaders.registry import measures

QUICK_FIGURES = 1_000_000


def that_may_be_told(
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
        of_all = families.together(unit, list(places.values()), snapshot, layer, Source.REPORTED)
        for cell in of_all.cells(layer, {}):
            if cell.status not in families.UNKNOWN:
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


def revisited(unit: Unit, below: Sequence[str], layer: Layer, month: str) -> pd.DataFrame:
    """The field sample of some places in a layer, from January to a month."""
    rows = unit.records(explaining.REVISITS, "place_id", below)
    rows = rows[rows["measure"] == layer.numerator]
    months = rows["day"].dt.strftime("%Y-%m")
    found: pd.DataFrame = rows[(months >= f"{month[:4]}-01") & (months <= month)]
    return found


def stands_on(
    unit: Unit, top: Cell, layer: Layer, snapshot: Snapshot, source: Source, below: Sequence[Place]
) -> Standing:
    """Walk down from a place as the roll-up came up, over cells as the tables show them.

    Args:
        below: the places to look at.
    """
    siblings: defaultdict[str | None, list[Place]] = defaultdict(list)
    for one in below:
        siblings[one.parent_id].append(one)
    bases: list[Cell] = []
    absent: list[Cell] = []
    differing: list[Cell] = []
    floor, waiting = False, [top]
    while waiting:
        cell = waiting.pop()
        if cell.disagrees:
            differing.append(cell)
        # Of a place left out nothing below is told either.
        children = [] if cell.status is Status.SUPPRESSED else siblings[cell.place.id]
        cells = []
        if children:
            cells = families.alone(unit, children, snapshot, cell.place.id, source).cells(layer, {})
        if any(each.status is Status.TOO_LOW for each in cells):
            floor, cells = True, []
        known = [each for each in cells if each.status is not Status.NO_DATA]
        if known:
            absent += [each for each in cells if each.status is Status.NO_DATA]
            waiting += known
        else:
            (absent if cell.status is Status.NO_DATA else bases).append(cell)
    return Standing(bases, absent, differing, floor)


def evidence(unit: Unit, found: Explanation, paths: Mapping[str, str]) -> Evidence:
    """The figures and records at some places that the value is made of, and their loads."""
    layer, ids = found.layer, list(paths)
    figures = unit.observed(ids, found.month, {layer.numerator, layer.denominator})
    told = (figures["source"] == found.stands_on) & (not found.secret)
    figures = figures.loc[told].reset_index(drop=True)
    records = [(ask, unit.counted(ids, found.month, ask.dataset, ask.rule)) for ask in found.asks()]
    samples: dict[str, explaining.Recount] = {}
    whole = None
    if found.method is Method.ESTIMATE and ids:
        again = revisited(unit, ids, layer, found.month)
        samples, whole = explaining.recounts(again), explaining.recount(again)
    numbers = {
        int(one) for rows in (figures, *(rows for _ask, rows in records)) for one in rows["batch"]
    }
    return Evidence(paths, figures, records, unit.loads(numbers), samples, whole)


def doubts(unit: Unit, place: Place, layer: Layer, snapshot: Snapshot) -> list[Flag]:
    """What is doubtful in a place's value in a layer and in the values directly below."""
    on, month = month_end(snapshot.month), snapshot.month
    found: list[Flag] = []
    if unit.figures_stored(month) <= QUICK_FIGURES:
        own = unit.observed([place.id], month, None)
        own = own[own["source"] == Source.REPORTED]
        mine = {layer.numerator, layer.denominator}
        found += [one for one in plausibility.own_flags(own, month) if mine & set(one.measures)]
    children = unit.children(place.id, on)
    beside = families.family_of(unit, place, month, Source.REPORTED)
    below = families.family(unit, children, place.id, month)
    for family, parent_id in ((beside, place.parent_id), (below, place.id)):
        # Of one only there are no siblings to compare.
        if parent_id is not None and len(family.places) > 1:
            flags = plausibility.sibling_flags(
                parent_id, month, layer, family.cells(layer, {}), family.cells_before(layer)
            )
            found += [flag for flag in flags if parent_id == place.id or flag.place_id == place.id]
    places = {one.id: one for one in (place, *children)}
    return that_may_be_told(unit, snapshot, places, found)

"""What the screens and the command line call: the values a view shows, and their encodings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
import pandas as pd
import shapely

from dashboard.coverage import classify, registry
from dashboard.coverage.model import (
    Cell,
    Direction,
    Layer,
    Payload,
    Profile,
    Site,
    SiteStatus,
    Status,
    TrendPoint,
    View,
    ViewTable,
)
from dashboard.store.model import Shape, Snapshot, month_end
from dashboard.store.unit import Unit
from geodata.crs import wgs84_to_gcj02
from geodata.encode import feature_collection
from geodata.model import Institution, Place

SOURCE = "reported"

MapCrs = Literal["wgs84", "gcj02"]


def previous_month(month: str) -> str:
    """The calendar month before ``YYYY-MM``."""
    return str(pd.Period(month, freq="M") - 1)


def drawn_place(unit: Unit, place: Place, month: str) -> Place:
    """The place whose children the map draws: the place itself, or its parent for a leaf."""
    on = month_end(month)
    if place.parent_id is None or unit.children(place.id, on):
        return place
    return unit.place(place.parent_id, on)


def _by_place(rows: pd.DataFrame, layer: Layer) -> dict[str, Any]:
    chosen = rows[
        (rows["source"] == SOURCE)
        & (rows["numerator_measure"] == layer.numerator)
        & (rows["denominator_measure"] == layer.denominator)
    ]
    return {str(row.place_id): row for row in chosen.itertuples(index=False)}


def _number(found: Any, column: str) -> float:
    if found is None:
        return np.nan
    number = getattr(found, column)
    return np.nan if pd.isna(number) else float(number)


def _optional(number: float) -> float | None:
    return None if np.isnan(number) else float(number)


def _column(places: Sequence[Place], found: dict[str, Any], column: str) -> classify.Floats:
    return np.array([_number(found.get(p.id), column) for p in places], dtype=np.float64)


def _cells(
    layer: Layer,
    places: Sequence[Place],
    rows: pd.DataFrame,
    before: pd.DataFrame | None,
    shapes: dict[str, Shape],
) -> list[Cell]:
    """One Cell for each of ``places`` (siblings), in their order."""
    found = _by_place(rows, layer)
    numerator = _column(places, found, "numerator")
    denominator = _column(places, found, "denominator")
    value = classify.values(layer, numerator, denominator)
    index = classify.class_indices(layer, value)
    rank = classify.ranks(layer, value)
    if before is None:
        change = np.full(len(places), np.nan)
    else:
        earlier = _by_place(before, layer)
        change = value - classify.values(
            layer, _column(places, earlier, "numerator"), _column(places, earlier, "denominator")
        )
    cells = []
    for at, place in enumerate(places):
        row = found.get(place.id)
        if np.isnan(numerator[at]) or np.isnan(denominator[at]):
            status = Status.NO_DATA
        elif denominator[at] == 0:
            status = Status.NOT_APPLICABLE
        else:
            status = Status.OK
        shape = shapes.get(place.id)
        cells.append(
            Cell(
                place=place,
                numerator=_optional(numerator[at]),
                denominator=_optional(denominator[at]),
                value=_optional(value[at]),
                status=status,
                class_index=int(index[at]) if index[at] >= 0 else None,
                rank=int(rank[at]) if rank[at] > 0 else None,
                change=_optional(change[at]),
                reporting=int(np.nan_to_num(_number(row, "reporting"))),
                # Only a leaf place that reported nothing has no row.
                expected=1 if row is None else int(row.expected),
                own_numerator=_optional(_number(row, "own_numerator")),
                own_denominator=_optional(_number(row, "own_denominator")),
                has_boundary=shape is not None,
                indicative=shape is not None and shape.indicative,
            )
        )
    return cells


def _earlier(unit: Unit, month: str) -> Snapshot | None:
    before = previous_month(month)
    return unit.snapshot(before) if before in unit.months() else None


def _family(
    unit: Unit, place: Place, month: str
) -> tuple[list[Place], pd.DataFrame, pd.DataFrame | None]:
    """The place with its siblings, and their snapshot rows this month and the month before."""
    snapshot, earlier = unit.snapshot(month), _earlier(unit, month)
    if place.parent_id is None:
        rows = unit.value_of(snapshot, place)
        return [place], rows, unit.value_of(earlier, place) if earlier else None
    siblings = unit.children(place.parent_id, month_end(month))
    rows = unit.values(snapshot, place.parent_id)
    return siblings, rows, unit.values(earlier, place.parent_id) if earlier else None


def _own_cell(
    layer: Layer,
    place: Place,
    family: tuple[list[Place], pd.DataFrame, pd.DataFrame | None],
    shapes: dict[str, Shape],
) -> Cell:
    places, rows, before = family
    cells = _cells(layer, places, rows, before, shapes)
    return next(cell for cell in cells if cell.place.id == place.id)


def table(unit: Unit, view: View) -> ViewTable:
    """The children of ``view.place_id`` in one layer and month, worst first.

    Raises:
        DudaoError: LAYER_NOT_FOUND, PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    layer = registry.layer(view.layer_id)
    snapshot = unit.snapshot(view.month)
    on = month_end(view.month)
    place = unit.place(view.place_id, on)
    children = unit.children(place.id, on)
    earlier = _earlier(unit, view.month)
    cells = _cells(
        layer,
        children,
        unit.values(snapshot, place.id),
        unit.values(earlier, place.id) if earlier else None,
        unit.shapes([child.id for child in children], on),
    )
    order = classify.worst_first(
        layer,
        *(
            np.array([np.nan if number is None else number for number in column], dtype=np.float64)
            for column in (
                [cell.numerator for cell in cells],
                [cell.denominator for cell in cells],
                [cell.value for cell in cells],
            )
        ),
    )
    return ViewTable(
        view=view,
        layer=layer,
        place=place,
        version=snapshot.version,
        own=_own_cell(layer, place, _family(unit, place, view.month), unit.shapes([place.id], on)),
        cells=tuple(cells[position] for position in order),
    )


def profile(unit: Unit, place_id: str, month: str) -> Profile:
    """One place in one month: every layer's cell, ranked among its siblings.

    Raises:
        DudaoError: PLACE_NOT_FOUND or MONTH_NOT_FOUND.
    """
    on = month_end(month)
    place = unit.place(place_id, on)
    family = _family(unit, place, month)
    shapes = unit.shapes([place.id], on)
    return Profile(
        place=place,
        month=month,
        ancestors=tuple(unit.ancestors(place, on)),
        siblings=len(family[0]),
        cells={
            layer.id: _own_cell(layer, place, family, shapes)
            for layer in registry.layers().values()
        },
    )


def trend(unit: Unit, place_id: str, layer_id: str) -> list[TrendPoint]:
    """One place's value in every published month, oldest first; gaps stay as points without value.

    The place is looked up month by month, for it may have moved, begun or ended in between.

    Raises:
        DudaoError: LAYER_NOT_FOUND, or PLACE_NOT_FOUND when no month knows the place.
    """
    layer = registry.layer(layer_id)
    points = []
    known = False
    for month in unit.months():
        place = next(iter(unit.places([place_id], month_end(month))), None)
        if place is None:
            points.append(TrendPoint(month, None, None, None, Status.NO_DATA))
            continue
        known = True
        cell = _cells(layer, [place], unit.value_of(unit.snapshot(month), place), None, {})[0]
        points.append(TrendPoint(month, cell.numerator, cell.denominator, cell.value, cell.status))
    if points and not known:
        unit.place(place_id, month_end(points[-1].month))
    return points


def _site_status(layer: Layer | None, cell: Cell | None) -> SiteStatus:
    if layer is None or cell is None or cell.status is Status.NO_DATA:
        return SiteStatus.NO_DATA
    if cell.status is Status.NOT_APPLICABLE or layer.target is None or cell.value is None:
        return SiteStatus.NOT_APPLICABLE
    met = (
        cell.value >= layer.target
        if layer.direction is Direction.HIGHER
        else cell.value <= layer.target
    )
    return SiteStatus.MET if met else SiteStatus.UNMET


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


def _home_cells(unit: Unit, homes: Iterable[str], layer: Layer, month: str) -> dict[str, Cell]:
    snapshot, on = unit.snapshot(month), month_end(month)
    places = unit.places(homes, on)
    cells: dict[str, Cell] = {}
    for parent_id in {place.parent_id for place in places}:
        family = [place for place in places if place.parent_id == parent_id]
        rows = (
            unit.value_of(snapshot, family[0])
            if parent_id is None
            else unit.values(snapshot, parent_id)
        )
        cells |= {cell.place.id: cell for cell in _cells(layer, family, rows, None, {})}
    return cells


def _payload(body: bytes) -> Payload:
    return Payload(body, f'"{blake2b(body, digest_size=12).hexdigest()}"')


def payload(unit: Unit, view: View, crs: MapCrs = "wgs84") -> Payload:
    """The children of a view as a small GeoJSON FeatureCollection.

    Properties: ``id``, ``n`` name, ``v`` value, ``a`` numerator, ``b`` denominator, ``c`` class
    (-1 no data, -2 not applicable), ``r`` rank, ``x``, ``y`` label point, ``w`` label radius in
    metres, ``i`` 1 where the boundary is indicative. ``crs`` gcj02 shifts the shapes for base
    tiles drawn in that system.

    Raises:
        DudaoError: as ``table``.
    """
    shown = table(unit, view)
    shapes = unit.shapes([cell.place.id for cell in shown.cells], month_end(view.month))
    drawn = [cell for cell in shown.cells if cell.place.id in shapes]
    found = [shapes[cell.place.id] for cell in drawn]
    outlines = shapely.from_wkb(np.array([shape.wkb for shape in found], dtype=object))
    labels = np.array([(s.label_lon, s.label_lat) for s in found], dtype=np.float64).reshape(-1, 2)
    if crs == "gcj02":
        outlines = shapely.transform(
            outlines, lambda xy: np.column_stack(wgs84_to_gcj02(xy[:, 0], xy[:, 1]))
        )
        labels = np.column_stack(wgs84_to_gcj02(labels[:, 0], labels[:, 1]))
    properties = [
        {
            "id": cell.place.id,
            "n": cell.place.name,
            "v": cell.value,
            "a": cell.numerator,
            "b": cell.denominator,
            "c": _class_code(cell),
            "r": cell.rank,
            "x": round(float(label[0]), 5),
            "y": round(float(label[1]), 5),
            "w": round(shape.label_radius),
            "i": int(cell.indicative),
        }
        for cell, shape, label in zip(drawn, found, labels, strict=True)
    ]
    return _payload(feature_collection(outlines, [c.place.id for c in drawn], properties))


def _class_code(cell: Cell) -> int:
    if cell.class_index is not None:
        return cell.class_index
    return -1 if cell.status is Status.NO_DATA else -2


def site_payload(unit: Unit, place_id: str, month: str, crs: MapCrs = "wgs84") -> Payload:
    """Institutions under a place as GeoJSON points: ``id``, ``n`` name, ``k`` kind, ``s`` status.

    Raises:
        DudaoError: as ``sites``.
    """
    located = [(site, *point) for site in sites(unit, place_id, month) if (point := _point(site))]
    lon = np.array([entry[1] for entry in located], dtype=np.float64)
    lat = np.array([entry[2] for entry in located], dtype=np.float64)
    if crs == "gcj02":
        lon, lat = wgs84_to_gcj02(lon, lat)
    features = [
        {
            "type": "Feature",
            "id": site.institution.id,
            "geometry": {"type": "Point", "coordinates": [round(float(x), 5), round(float(y), 5)]},
            "properties": {
                "id": site.institution.id,
                "n": site.institution.name,
                "k": site.institution.kind.value,
                "s": site.status.value,
            },
        }
        for (site, _, _), x, y in zip(located, lon, lat, strict=True)
    ]
    text = json.dumps(
        {"type": "FeatureCollection", "features": features},
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return _payload(text.encode())


def _point(site: Site) -> tuple[float, float] | None:
    institution: Institution = site.institution
    if institution.lon is None or institution.lat is None:
        return None
    return institution.lon, institution.lat

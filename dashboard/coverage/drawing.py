"""What a view sends to the map: outlines, values and institutions as small GeoJSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
import shapely

from dashboard.coverage import classify, families, modes, registry
from dashboard.coverage.families import Scene
from dashboard.coverage.model import WITHOUT_VALUE, Cell, Layer, Payload, Site, Source, ViewTable
from dashboard.coverage.modes import Mode, Sample
from dashboard.store.model import Siblings
from geodata.coverage_shapes import simplify
from geodata.crs import wgs84_to_gcj02
from geodata.distance import metres_per_degree
from geodata.encode import feature_collection, geometries, to_json
from geodata.model import Place
from geodata.plane import Geometries

MapCrs = Literal["wgs84", "gcj02"]

_SCREEN_PX = 900
"""Shapes are sent no finer than one pixel of a screen this large, filled by the whole view."""
_COARSE_M = 20.0
"""From this pixel size on four decimals of a degree (11 m) are fine enough."""


def to_payload(body: bytes) -> Payload:
    """An answer and its ETag."""
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
                _number_of(shown.layer, cell, mode, value),
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
    return to_payload(f"{head}{','.join(features)}]}}".encode())


def _number_of(layer: Layer, cell: Cell, mode: Mode, value: float | None) -> float | None:
    """The number written on a place: its value as tables write it, or the shade's own."""
    if value is None or mode not in (Mode.VALUE, Mode.PACE):
        return value
    return layer.written(value, cell.aim)


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
    """The field samples of a scene's place and children, by id; none of a protected layer."""
    if not registry.sampled_pairs(layer):
        return {}
    own = _samples(seen.own.now, [seen.place], layer)
    return own | _samples(seen.children.now, seen.children.places, layer)


def _samples(siblings: Siblings, places: Sequence[Place], layer: Layer) -> dict[str, Sample]:
    pairs = (registry.recount_pair(layer), registry.judged_pair(layer))
    columns: list[classify.Floats] = []
    for pair in pairs:
        found = siblings.get((Source.VERIFIED, pair))
        nothing = {name: np.full(len(places), np.nan) for name in families.SHOWN}
        columns += (
            families.numbers_of(found, families.SHOWN, places) if found else nothing
        ).values()
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
    return to_payload(
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

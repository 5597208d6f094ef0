"""Geometries and properties as one compact GeoJSON document (RFC 7946)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import shapely

from geodata.plane import Geometries, as_geometries

# Written as escapes, so the JSON can stand inside a script element or a JavaScript string.
_UNSAFE = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def feature_collection(
    geometries: Any,
    ids: Sequence[str],
    properties: Sequence[Mapping[str, Any]],
    digits: int = 5,
) -> bytes:
    """A GeoJSON FeatureCollection in UTF-8, one feature per place in the given order.

    Coordinates are rounded to `digits` decimals of a degree (5 is about a metre). Every vertex is
    rounded by itself, so an edge two neighbours share stays one edge. Heights are dropped, a
    missing geometry is ``null``. In properties a missing value (None, NaN, NA, NaT) is ``null``,
    NumPy numbers are numbers; ``<``, ``>`` and ``&`` are escaped, so the document is safe inside
    HTML.

    Raises:
        ValueError: lengths differ, a coordinate is not finite, or a property is infinite.
        TypeError: a property is of a type JSON does not know.
    """
    array = as_geometries(geometries)
    if not len(array) == len(ids) == len(properties):
        raise ValueError(
            f"{len(array)} geometries, {len(ids)} ids and {len(properties)} property sets"
        )
    if not np.isfinite(shapely.get_coordinates(array)).all():
        raise ValueError("a coordinate is not a finite number")
    rounded = shapely.transform(shapely.force_2d(array), lambda c: np.round(c, digits) + 0.0)
    shapes = shapely.to_geojson(_without_repeats(as_geometries(rounded)))
    features = [
        f'{{"type":"Feature","id":{_json(id)},"properties":{_json(values)},'
        f'"geometry":{"null" if shape is None else shape}}}'
        for id, values, shape in zip(ids, map(_plain_values, properties), shapes, strict=True)
    ]
    return f'{{"type":"FeatureCollection","features":[{",".join(features)}]}}'.encode()


def _without_repeats(rounded: Geometries) -> Geometries:
    """Leave out vertices equal to the one before; a polygon with a ring collapsed by the rounding
    keeps all its vertices, as RFC 7946 wants at least four in a ring."""
    parts, whole = shapely.get_parts(rounded, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    owner = whole[part]
    dimension = shapely.get_dimensions(rounded)
    open_rings = np.asarray(shapely.area(shapely.polygons(rings)) > 0)
    reducible = (dimension == 2) & (np.bincount(owner[~open_rings], minlength=len(rounded)) == 0)
    result = rounded.copy()
    result[reducible] = shapely.remove_repeated_points(rounded[reducible])
    return result


def _json(value: Any) -> str:
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    )
    return text.translate(_UNSAFE)


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) if _is_missing(value) else value for key, value in values.items()}


def _is_missing(value: Any) -> bool:
    return value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    if _is_missing(value):
        return None
    if isinstance(value, np.generic):
        item = value.item()
        return None if _is_missing(item) else item
    raise TypeError(f"{type(value).__name__} is no JSON value: {value!r}")

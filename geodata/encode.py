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
    shapes: Any,
    ids: Sequence[str],
    properties: Sequence[Mapping[str, Any]],
    digits: int = 5,
) -> bytes:
    """A GeoJSON FeatureCollection in UTF-8, one feature per place in the given order.

    Geometries as ``geometries``, properties as ``to_json``; a missing property value (None, NaN,
    NA, NaT) is ``null``.

    Raises:
        ValueError: lengths differ, a coordinate is not finite, or a property is infinite.
        TypeError: a property is of a type JSON does not know.
    """
    array = as_geometries(shapes)
    if not len(array) == len(ids) == len(properties):
        raise ValueError(
            f"{len(array)} geometries, {len(ids)} ids and {len(properties)} property sets"
        )
    features = [
        f'{{"type":"Feature","id":{to_json(id)},"properties":{to_json(values)},"geometry":{shape}}}'
        for id, values, shape in zip(
            ids, map(_plain_values, properties), geometries(array, digits), strict=True
        )
    ]
    return f'{{"type":"FeatureCollection","features":[{",".join(features)}]}}'.encode()


def geometries(shapes: Any, digits: int = 5) -> list[str]:
    """Each shape as the text of a GeoJSON geometry, ``null`` where there is none.

    Coordinates are rounded to `digits` decimals of a degree (5 is about a metre). Every vertex is
    rounded by itself, so an edge two neighbours share stays one edge. Heights are dropped.

    Raises:
        ValueError: a coordinate is not finite.
    """
    array = as_geometries(shapes)
    if not np.isfinite(shapely.get_coordinates(array)).all():
        raise ValueError("a coordinate is not a finite number")
    rounded = shapely.transform(shapely.force_2d(array), lambda c: np.round(c, digits) + 0.0)
    texts = shapely.to_geojson(_without_repeats(as_geometries(rounded)))
    return ["null" if text is None else str(text) for text in texts]


def to_json(value: Any) -> str:
    """Compact JSON; NumPy numbers are numbers, and ``<``, ``>``, ``&`` are escaped: safe in HTML.

    Raises:
        ValueError: a number is NaN or infinite.
        TypeError: a value is of a type JSON does not know.
    """
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
    )
    return text.translate(_UNSAFE)


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

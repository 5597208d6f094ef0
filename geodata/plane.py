"""A local metre plane: degrees scaled about a middle latitude.

The map is linear in longitude and latitude, so straight edges stay straight, points on an edge stay
on it, and equal coordinates stay equal: a coverage in degrees is a coverage in the plane and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import shapely
from numpy.typing import NDArray

from geodata.distance import metres_per_degree

Geometries = NDArray[np.object_]
"""A shapely geometry array; None stands for a missing geometry."""


def as_geometries(geometries: Any) -> Geometries:
    """A one-dimensional object array from any sequence of shapely geometries or None."""
    items = list(geometries)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@dataclass(frozen=True, slots=True)
class LocalPlane:
    """Equirectangular plane: x metres east and y metres north of (lon0, lat0).

    Lengths are right to about 1 % within one degree of latitude of `lat0` at China's latitudes.
    """

    lon0: float
    lat0: float
    metres_east: float
    metres_north: float

    @classmethod
    def at(cls, lon: float, lat: float) -> Self:
        """The plane whose scale is true at (lon, lat) in degrees."""
        east, north = metres_per_degree(lat)
        return cls(lon, lat, float(east), float(north))

    @classmethod
    def around(cls, geometries: Geometries) -> Self:
        """The plane at the middle of the geometries' finite bounds; (0, 0) when there are none."""
        bounds = shapely.bounds(geometries).reshape(-1, 4)
        bounds = bounds[np.isfinite(bounds).all(axis=1)]
        if len(bounds) == 0:
            return cls.at(0.0, 0.0)
        lon = (bounds[:, 0].min() + bounds[:, 2].max()) / 2
        lat = (bounds[:, 1].min() + bounds[:, 3].max()) / 2
        return cls.at(float(lon), float(np.clip(lat, -89.0, 89.0)))

    def forward(self, geometries: Geometries) -> Geometries:
        """Degrees to metres; None stays None."""
        scale = np.array([self.metres_east, self.metres_north])
        origin = np.array([self.lon0, self.lat0])
        return np.asarray(shapely.transform(geometries, lambda c: (c - origin) * scale))

    def back(self, geometries: Geometries) -> Geometries:
        """Metres to degrees; None stays None."""
        scale = np.array([self.metres_east, self.metres_north])
        origin = np.array([self.lon0, self.lat0])
        return np.asarray(shapely.transform(geometries, lambda c: c / scale + origin))

    def true_area_factor(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """What an area at height `y` metres must be multiplied by to be true there."""
        east, north = metres_per_degree(self.lat0 + y / self.metres_north)
        return east * north / (self.metres_east * self.metres_north)

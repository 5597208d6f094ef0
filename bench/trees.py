"""Synthetic trees of any size with figures, made through the real store and kept between runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from bench import OUT
from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.demo.figures import months_until
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.engine import FORMAT
from dashboard.store.model import Change
from geodata import thiessen
from geodata.model import Level
from loaders.registry import Measure, measures

ROOT = "bench"
GROUP = "签约履约"
"""The group of layers the pages are switched through: its layers are fetched ahead."""
_WEST, _SOUTH = 100.0, 25.0
_VILLAGE_DEG = 0.02
"""Side of a village, about 2 km; the tree fills a square."""
_WINDING_UP_TO = 5_000
"""Trees this small get winding village outlines, larger ones squares."""
_WAVES = ((1.5, 0.06), (0.4, 0.01))
"""Wavelength and height of the bends in an outline, in sides of a village. Heights are so low that
no two points of the plane meet when it is bent: neighbours stay neighbours."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A tree with a city as root and the same number of children everywhere on one level."""

    counties: int
    townships: int
    villages: int
    months: int = 0
    """Months of figures, ending in 2026-10; 0 for places alone."""
    wide: bool = False
    """Whether every measure of the registry has figures, not those of the demonstration alone."""

    @property
    def name(self) -> str:
        """Folder under bench/out/stores."""
        size = f"{self.counties}x{self.townships}x{self.villages}x{self.months}"
        return f"{size}-wide" if self.wide else size

    @property
    def total(self) -> int:
        """Number of villages."""
        return self.counties * self.townships * self.villages


def switched(count: int) -> list[str]:
    """The first layers of ``GROUP``."""
    return [one.id for one in registry.layers().values() if one.group == GROUP][:count]


def prepared(spec: Spec) -> Path:
    """Data directory holding the tree; made now unless an earlier run left it whole."""
    directory = OUT / "stores" / spec.name
    mark = directory / "bench.json"
    wanted = json.dumps({**asdict(spec), "format": FORMAT, "pairs": str(registry.pairs())})
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    print(f"  making a tree of {spec.total:,} villages ...", flush=True)
    store = Store.open(directory)
    frame = places(spec)
    boundaries = outlines(spec)
    commit(
        store,
        SYSTEM,
        Change(dataset="places", frame=frame, geometries=boundaries),
        registry.pairs(),
    )
    for month in months_until("2026-10", spec.months) if spec.months else ():
        commit(
            store, SYSTEM, Change(dataset="figures", frame=figures(spec, month)), registry.pairs()
        )
    store.close()
    mark.write_text(wanted, encoding="utf-8")
    return directory


def village_ids(spec: Spec) -> np.ndarray:
    """Ids of the villages in tree order."""
    return _ids(spec, 3)


def _ids(spec: Spec, depth: int) -> np.ndarray:
    ids = np.array([ROOT], dtype=object)
    for count in _branching(spec)[:depth]:
        width = len(str(count - 1))
        tails = np.array([f"-{index:0{width}}" for index in range(count)], dtype=object)
        ids = (ids[:, None] + tails[None, :]).ravel()
    return ids


def _branching(spec: Spec) -> Sequence[int]:
    return spec.counties, spec.townships, spec.villages


def places(spec: Spec) -> pd.DataFrame:
    """Places rows, root first, level by level."""
    parts = [pd.DataFrame({"id": [ROOT], "parent_id": [None], "level": int(Level.CITY)})]
    for depth, count in enumerate(_branching(spec), start=1):
        parents = _ids(spec, depth - 1)
        parts.append(
            pd.DataFrame(
                {
                    "id": _ids(spec, depth),
                    "parent_id": np.repeat(parents, count),
                    "level": int(Level.CITY) + depth,
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    return table.assign(
        name="测试" + table["id"],
        valid_from=pd.Timestamp("2020-01-01"),
        valid_to=pd.NaT,
        lon=np.nan,
        lat=np.nan,
        indicative=True,
    )


def outlines(spec: Spec) -> np.ndarray:
    """Polygons in the order of ``places``; every level tiles the one above."""
    side = _VILLAGE_DEG * np.sqrt(spec.total)
    squares = np.array([[_WEST, _SOUTH, _WEST + side, _SOUTH + side]])
    levels = [shapely.box(*squares.T)]
    for count in _branching(spec):
        squares = _split(squares, count)
        levels.append(shapely.box(*squares.T))
    if spec.total <= _WINDING_UP_TO:
        rng = np.random.default_rng(spec.total)
        cells = [
            thiessen.cells(thiessen.seeded_points(square, spec.villages, rng), square)
            for square in levels[-2]
        ]
        fine = shapely.segmentize(np.concatenate(cells), _VILLAGE_DEG / 20)
        levels[-1] = shapely.transform(fine, _bent)
    return np.concatenate(levels)


def _bent(xy: np.ndarray) -> np.ndarray:
    """Move points along smooth waves, so that straight borders wind like surveyed ones."""
    at = xy / _VILLAGE_DEG
    moved = xy.copy()
    for length, height in _WAVES:
        turn = 2 * np.pi / length
        moved[:, 0] += _VILLAGE_DEG * height * np.sin(turn * (at[:, 1] + 0.3 * at[:, 0]))
        moved[:, 1] += _VILLAGE_DEG * height * np.sin(turn * (at[:, 0] - 0.3 * at[:, 1] + 0.2))
    # Shared edges were cut from either end; rounding makes their points one again.
    return moved.round(9)


def _split(boxes: np.ndarray, count: int) -> np.ndarray:
    """Cut each box (west, south, east, north) into ``count`` boxes: full rows of a grid, the last
    row's boxes wider where they do not fill it."""
    columns = int(np.ceil(np.sqrt(count)))
    rows = int(np.ceil(count / columns))
    row, column = np.divmod(np.arange(count), columns)
    in_row = np.where(row == rows - 1, count - (rows - 1) * columns, columns)
    low = np.column_stack([column / in_row, row / rows])
    high = np.column_stack([(column + 1) / in_row, (row + 1) / rows])
    corner, size = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None, :]
    return np.concatenate([corner + low * size, corner + high * size], axis=2).reshape(-1, 4)


def figures(spec: Spec, month: str) -> pd.DataFrame:
    """Long figures of every village in one month, all measures, numerators within their whole."""
    values = village_values(spec, month)
    ids = village_ids(spec)
    return pd.DataFrame(
        {
            "place_id": np.tile(ids, len(values)),
            "month": month,
            "measure": np.repeat(np.array(list(values), dtype=object), len(ids)),
            "source": "reported",
            "value": np.concatenate(list(values.values())),
        }
    )


def village_values(spec: Spec, month: str) -> dict[str, np.ndarray]:
    """One array a measure, in the order of ``village_ids``."""
    rng = np.random.default_rng([spec.total, int(month.replace("-", ""))])
    households = rng.integers(2, 40, spec.total)
    persons = households * 2 + rng.integers(0, households)
    eligible = rng.integers(20, 150, spec.total)
    planned = rng.integers(0, 2, spec.total)
    values = {
        "registered_households": households,
        "registered_persons": persons,
        "contracted_persons": rng.binomial(persons, rng.beta(9, 1, spec.total)),
        "cervical_eligible_women": eligible,
        "cervical_screened_women": rng.binomial(eligible, rng.beta(4, 2, spec.total)),
        "planned_village_clinics": planned,
        "standard_village_clinics": rng.binomial(planned, 0.8),
        "open_findings": rng.poisson(0.4, spec.total),
    }
    if spec.wide:
        for measure in sorted(measures().values(), key=_depth):
            if measure.id not in values:
                whole = values.get(measure.part_of or "")
                values[measure.id] = (
                    rng.integers(0, 60, spec.total) if whole is None else rng.binomial(whole, 0.85)
                )
    return {name: array.astype(np.float64) for name, array in values.items()}


def _depth(measure: Measure) -> int:
    return 0 if measure.part_of is None else 1 + _depth(measures()[measure.part_of])

"""Attack 18: shapes that are no shapes. Each is named by its row, and nothing is stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.intake.service import load_file
from dashboard.store import Store
from loaders.model import Request
from loaders.points import MOST_VERTICES
from tests.security.memory import grows_less_than

CITY, COUNTY, OTHER = "131000000000", "131025000000", "131026000000"
BOX = [[116.0, 38.5], [116.4, 38.5], [116.4, 38.9], [116.0, 38.9], [116.0, 38.5]]
EAST = [[116.4, 38.5], [116.8, 38.5], [116.8, 38.9], [116.4, 38.9], [116.4, 38.5]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(place_id: str, geometry: Any) -> dict[str, Any]:
    properties = {"id": place_id, "name": f"甲{place_id[:6]}", "level": "county",
                  "parent_id": CITY}  # fmt: skip
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def write(folder: Path, *features: dict[str, Any]) -> Path:
    path = folder / "borders.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("geometry")
    opened = Store.open(folder / "data")
    city = feature(
        CITY, polygon([[116, 38.5], [116.8, 38.5], [116.8, 38.9], [116, 38.9], [116, 38.5]])
    )
    city["properties"] |= {"level": "city", "parent_id": ""}
    report = load_file(opened, SYSTEM, write(folder, city), Request(), registry.pairs())
    assert report.committed, [issue.message for issue in report.issues]
    yield opened
    opened.close()


def circle(vertices: int) -> list[list[float]]:
    ring = [
        [116.6 + 0.1 * math.cos(angle), 38.7 + 0.1 * math.sin(angle)]
        for angle in (2 * math.pi * n / (vertices - 1) for n in range(vertices - 1))
    ]
    return [*ring, ring[0]]


def swapped(ring: list[list[float]]) -> list[list[float]]:
    return [[y, x] for x, y in ring]


def with_nan(at: int) -> list[list[float]]:
    return [[math.nan, y] if n == at else [x, y] for n, (x, y) in enumerate(EAST)]


SHAPES: dict[str, tuple[Callable[[], Any], str]] = {
    "NaN in the middle": (lambda: polygon(with_nan(2)), "GEOMETRY_BAD"),
    "NaN first": (lambda: polygon(with_nan(0)), "GEOMETRY_BAD"),
    "all NaN": (lambda: polygon([[math.nan, math.nan]] * 5), "GEOMETRY_BAD"),
    "infinite": (lambda: polygon([*EAST[:2], [math.inf, 38.9], *EAST[3:]]), "GEOMETRY_BAD"),
    "swapped": (lambda: polygon(swapped(EAST)), "COORDINATES_SWAPPED"),
    "swapped point": (lambda: {"type": "Point", "coordinates": [38.7, 116.6]},
                      "COORDINATES_SWAPPED"),
    "bow-tie": (lambda: polygon([EAST[0], EAST[2], EAST[1], EAST[3], EAST[0]]), "GEOMETRY_BAD"),
    "at zero": (lambda: polygon([[0, 0], [1, 0], [1, 1], [0, 0]]), "COORDINATES_OUTSIDE"),
    "on the other side": (lambda: polygon([[x - 180, y] for x, y in EAST]),
                          "COORDINATES_OUTSIDE"),
    "another province": (lambda: polygon([[x - 5, y - 5] for x, y in EAST]), "LOST_FROM_PARENT"),
    "another province, a point": (lambda: {"type": "Point", "coordinates": [110.0, 30.0]},
                                  "LOST_FROM_PARENT"),
    "off the earth": (lambda: polygon([[x * 1e300, y] for x, y in EAST]), "COORDINATES_OUTSIDE"),
    "in metres": (lambda: polygon([[x * 1e5, y * 1e5] for x, y in EAST]), "COORDINATES_OUTSIDE"),
    "a line": (lambda: {"type": "LineString", "coordinates": EAST}, "GEOMETRY_BAD"),
    "no area": (lambda: polygon([[116.4, 38.5], [116.8, 38.5], [116.4, 38.5], [116.4, 38.5]]),
                "GEOMETRY_BAD"),
    "a million vertices": (lambda: polygon(circle(1_000_000)), "GEOMETRY_TOO_DETAILED"),
    "just too many vertices": (lambda: polygon(circle(MOST_VERTICES + 1)),
                               "GEOMETRY_TOO_DETAILED"),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_bad_shape_is_named_by_its_row(name: str, store: Store, tmp_path: Path) -> None:
    make, code = SHAPES[name]
    path = write(tmp_path, feature(COUNTY, polygon(BOX)), feature(OTHER, make()))
    with store.unit(SYSTEM) as unit:
        before = unit.status()
    with grows_less_than(400):
        report = load_file(store, SYSTEM, path, Request(), registry.pairs())
    assert not report.committed and report.has_errors
    errors = {(issue.code, issue.row) for issue in report.issues if issue.severity == "error"}
    assert errors == {(code, 2)}, [issue.message for issue in report.issues]
    assert report.rows_rejected == 1
    with store.unit(SYSTEM) as unit:
        assert unit.status() == before


def test_columns_swapped_far_off_and_not_numbers(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "clinics.csv"
    rows = [
        ("38.7", "116.6", "COORDINATES_SWAPPED"),
        ("NaN", "38.7", "COORDINATE_INCOMPLETE"),
        ("1e400", "38.7", "BAD_COORDINATE"),
        ("16.6", "48.2", "COORDINATES_OUTSIDE"),
        ("110", "30", "LOST_FROM_PARENT"),
    ]
    text = "".join(f"J{n},甲{n},designated,{CITY},{x},{y}\n" for n, (x, y, _) in enumerate(rows))
    path.write_text("institution_id,name,kind,place_id,lon,lat\n" + text, encoding="utf-8")
    report = load_file(store, SYSTEM, path, Request(dataset="institutions"), registry.pairs())
    assert not report.committed
    named = {(issue.code, issue.row) for issue in report.issues}
    assert named == {(code, n) for n, (_, _, code) in enumerate(rows, start=2)}


def test_a_detailed_shape_below_the_bound_is_taken(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, feature(OTHER, polygon(circle(MOST_VERTICES))))
    report = load_file(store, SYSTEM, path, Request(), registry.pairs(), dry_run=True)
    assert not report.has_errors, [issue.message for issue in report.issues]
    assert report.rows_valid == 1

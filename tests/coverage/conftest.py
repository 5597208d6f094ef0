"""A small county in a real store: two townships of four villages, two months."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
import shapely
import shapely.geometry

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.store.unit import Unit
from geodata.model import Level

START = pd.Timestamp("2020-01-01")


def county_places() -> tuple[pd.DataFrame, np.ndarray]:
    rows, shapes = [], []

    def add(place_id: str, name: str, level: Level, parent: str | None, box: object) -> None:
        rows.append(
            (place_id, name, int(level), parent, START, pd.NaT, 116.5, 39.5, level > Level.COUNTY)
        )
        shapes.append(box)

    add("C", "甲县", Level.COUNTY, None, shapely.box(116, 39, 116.4, 39.2))
    for t in range(2):
        left = 116 + t * 0.2
        add(f"T{t}", f"{t}镇", Level.TOWNSHIP, "C", shapely.box(left, 39, left + 0.2, 39.2))
        for v in range(4):
            x = left + v * 0.05
            # The last village of each township has no polygon.
            box = None if v == 3 else shapely.box(x, 39, x + 0.05, 39.2)
            add(f"T{t}V{v}", f"{t}-{v}村", Level.VILLAGE, f"T{t}", box)
    columns = ["id", "name", "level", "parent_id", "valid_from", "valid_to", "lon", "lat"]
    frame = pd.DataFrame(rows, columns=[*columns, "indicative"])
    return frame, np.array(shapes, dtype=object)


def county_figures() -> pd.DataFrame:
    rows: list[tuple[str, str, str, float]] = []

    def report(place: str, month: str, persons: float | None, signed: float | None) -> None:
        for measure, value in (("registered_persons", persons), ("contracted_persons", signed)):
            if value is not None:
                rows.append((place, month, measure, value))

    for month, shift in (("2026-08", 0), ("2026-10", 10)):
        report("T0V0", month, 100, 60 + shift)
        report("T0V1", month, 100, 80 + shift)
        report("T0V2", month, 0, 0)
        report("T0V3", month, 50, None)
        report("T1V0", month, 200, 190)
    report("T1", "2026-10", 210, 190)
    for village, built in (("T0V0", 1), ("T0V1", 0)):
        rows.append((village, "2026-10", "planned_village_clinics", 1))
        rows.append((village, "2026-10", "standard_village_clinics", built))
    rows.append(("T0V2", "2026-10", "planned_village_clinics", 0))
    rows.append(("T0V2", "2026-10", "standard_village_clinics", 0))
    frame = pd.DataFrame(rows, columns=["place_id", "month", "measure", "value"])
    return frame.assign(source="reported", value=frame["value"].astype(float))


def _institutions() -> pd.DataFrame:
    rows = [
        (f"K{v}", f"{v}号村卫生室", "village_clinic", f"T0V{v}", 116.01 + v / 20, 39.1)
        for v in range(4)
    ]
    rows.append(("H", "0镇卫生院", "township_centre", "T0", np.nan, np.nan))
    return pd.DataFrame(rows, columns=["id", "name", "kind", "place_id", "lon", "lat"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(tmp_path_factory.mktemp("coverage"))
    frame, shapes = county_places()
    for change in (
        Change(dataset="places", frame=frame, geometries=shapes),
        Change(dataset="institutions", frame=_institutions()),
        Change(dataset="figures", frame=county_figures()),
    ):
        commit(opened, SYSTEM, change, registry.pairs())
    yield opened
    opened.close()


@pytest.fixture
def unit(store: Store) -> Iterator[Unit]:
    with store.unit(SYSTEM) as opened:
        yield opened

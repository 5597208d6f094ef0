"""A small county to test with: one city, two counties, four townships, twelve villages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from dashboard.store.model import Change, Geometries, Pair

PAIRS = (Pair("signed", "persons"), Pair("screened", "women"))
MEASURES = ("signed", "persons", "screened", "women")
VILLAGES = tuple(f"V{number:02d}" for number in range(12))

_NAMES = (
    "平舒", "旺村", "南赵扶", "留各庄", "权村", "里坦",
    "广安", "北魏", "臧屯", "大尚屯", "阜草", "臧庄",
)  # fmt: skip


def places() -> pd.DataFrame:
    """City C; counties A, B; townships A1, A2, B1, B2; villages V00 to V11, three a township."""
    rows: list[tuple[str, str, int, str | None]] = [
        ("C", "廊坊市", 2, None),
        ("A", "大城县", 3, "C"),
        ("B", "大厂县", 3, "C"),
        ("A1", "平舒镇", 4, "A"),
        ("A2", "旺村镇", 4, "A"),
        ("B1", "夏垫镇", 4, "B"),
        ("B2", "祁各庄镇", 4, "B"),
    ]
    townships = ("A1", "A2", "B1", "B2")
    rows += [
        (village, f"{_NAMES[number]}村", 5, townships[number // 3])
        for number, village in enumerate(VILLAGES)
    ]
    return place_rows(*rows)


def place_rows(
    *rows: tuple[str, str, int, str | None],
    valid_from: str | None = None,
    valid_to: str | None = None,
) -> pd.DataFrame:
    """Canonical rows from (id, name, level, parent)."""
    frame = pd.DataFrame(rows, columns=["id", "name", "level", "parent_id"])
    frame["valid_from"] = pd.Series(pd.Timestamp(valid_from), frame.index, "datetime64[s]")
    frame["valid_to"] = pd.Series(pd.Timestamp(valid_to), frame.index, "datetime64[s]")
    return frame.assign(lon=np.nan, lat=np.nan, indicative=False)


def outlines(frame: pd.DataFrame) -> Geometries:
    """A row of squares for the villages, none for the places above."""
    found = np.full(len(frame), None, dtype=object)
    for position, place_id in enumerate(frame["id"]):
        if place_id in VILLAGES:
            number = VILLAGES.index(place_id)
            west, south = 116.0 + 0.05 * (number % 4), 38.5 + 0.05 * (number // 4)
            found[position] = shapely.box(west, south, west + 0.05, south + 0.05)
    return found


def places_change(frame: pd.DataFrame | None = None, drawn: bool = True) -> Change:
    """The places as a file brings them."""
    frame = places() if frame is None else frame
    geometries = outlines(frame) if drawn else None
    return Change(dataset="places", frame=frame, geometries=geometries, file="places.gpkg")


def figures(
    *months: str,
    base: float = 100.0,
    place_ids: tuple[str, ...] = VILLAGES,
    source: str = "reported",
) -> pd.DataFrame:
    """Every measure of every village: ``base`` plus the village's number, whole halves below."""
    frame = pd.MultiIndex.from_product(
        [place_ids, months, MEASURES], names=["place_id", "month", "measure"]
    ).to_frame(index=False)
    number = frame["place_id"].map({place_id: i for i, place_id in enumerate(place_ids)})
    whole = frame["measure"].isin(["persons", "women"])
    frame["value"] = np.where(whole, base + number, (base + number) // 2).astype(float)
    return frame.assign(source=source)


def figures_change(frame: pd.DataFrame, file: str = "figures.csv") -> Change:
    """Figures as a file brings them."""
    return Change(dataset="figures", frame=frame, file=file, sha256="ab")


def institutions() -> pd.DataFrame:
    """A clinic in V00, one without a point in V01, a centre in B1."""
    return pd.DataFrame(
        {
            "id": ["I1", "I2", "I3"],
            "name": ["平舒村卫生室", "旺村卫生室", "夏垫镇卫生院"],
            "kind": ["village_clinic", "village_clinic", "township_centre"],
            "place_id": ["V00", "V01", "B1"],
            "lon": [116.02, np.nan, 116.1],
            "lat": [38.52, np.nan, 38.6],
        }
    )


def targets(*rows: tuple[str, str, int, float]) -> Change:
    """Targets as a file brings them: (layer, place, year, value)."""
    frame = pd.DataFrame(rows, columns=["layer", "place_id", "year", "value"])
    return Change(dataset="targets", frame=frame, file="targets.xlsx")

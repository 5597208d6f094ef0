"""Invented institutions: clinics, township centres, county hospitals, designated institutions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.demo.model import TroubleKind
from dashboard.demo.streams import stream
from dashboard.demo.troubles import CLINIC_SUFFIX, of_kind
from geodata.model import InstitutionKind, Level

_COMMITTEE = r"(?:社区)?(?:(?:村民|居民|街道)委员会|村委会|居委会)$"


def institutions(
    places: pd.DataFrame, planned: pd.Series, seats: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Institutions of the given places.

    Args:
        places: ``id, name, level, parent_id``.
        planned: clinics planned by village id; a village with a plan nearly always has a clinic.
        seats: ``lon, lat, room`` by place id: the seat in WGS84 degrees and how far, in degrees, an
            institution may stand from it without leaving the place. Places missing here get
            institutions without coordinates.

    Returns:
        Columns ``id, name, kind, place_id, lon, lat``.
    """
    parts = [
        _clinics(places.loc[places["level"] == Level.VILLAGE], planned, seed),
        _one_each(places, Level.TOWNSHIP, "-Z1", "卫生院", InstitutionKind.TOWNSHIP_CENTRE),
        _one_each(places, Level.COUNTY, "-H1", "县级医院(演示)", InstitutionKind.COUNTY_HOSPITAL),
        _one_each(places, Level.COUNTY, "-D1", "定点医院(演示)", InstitutionKind.DESIGNATED),
        _one_each(places, Level.COUNTY, "-D2", "定点康复医院(演示)", InstitutionKind.DESIGNATED),
    ]
    table = pd.concat(parts, ignore_index=True)
    table = _moved_with_their_village(table)
    at = seats.reindex(table["place_id"])
    angle, reach = (
        np.array([stream(seed, key[:12], key[12:]).random(2) for key in table["id"]])
        .reshape(-1, 2)
        .T
    )
    away = at["room"].to_numpy() * (0.1 + 0.5 * reach)
    table["lon"] = np.round(at["lon"].to_numpy() + away * np.cos(2 * np.pi * angle), 6)
    table["lat"] = np.round(at["lat"].to_numpy() + away * np.sin(2 * np.pi * angle), 6)
    lost = [trouble.id for trouble in of_kind(TroubleKind.CLINIC_WITHOUT_COORDINATES)]
    table.loc[table["id"].isin(lost), ["lon", "lat"]] = np.nan
    return table.sort_values("id", ignore_index=True)


def _clinics(villages: pd.DataFrame, planned: pd.Series, seed: int) -> pd.DataFrame:
    lost = {trouble.id for trouble in of_kind(TroubleKind.CLINIC_WITHOUT_COORDINATES)}
    chance = villages["id"].map(planned).fillna(0).gt(0).map({True: 0.98, False: 0.1})
    luck = np.array([stream(seed, key, "clinic").random() for key in villages["id"]])
    named = (villages["id"] + CLINIC_SUFFIX).isin(lost)
    found = villages.loc[(luck < chance.to_numpy()) | named.to_numpy()]
    urban = found["name"].str.contains("居民委员会|居委会|社区")
    stem = found["name"].str.replace(_COMMITTEE, "", regex=True)
    suffix = urban.map({True: "社区卫生服务站", False: "村卫生室"})
    stem = stem.mask(~urban, stem.str.replace(r"村$", "", regex=True))
    return pd.DataFrame(
        {
            "id": found["id"] + CLINIC_SUFFIX,
            "name": stem + suffix,
            "kind": InstitutionKind.VILLAGE_CLINIC.value,
            "place_id": found["id"],
        }
    )


def _one_each(
    places: pd.DataFrame, level: Level, id_suffix: str, name_suffix: str, kind: InstitutionKind
) -> pd.DataFrame:
    found = places.loc[places["level"] == level]
    return pd.DataFrame(
        {
            "id": found["id"] + id_suffix,
            "name": found["name"] + name_suffix,
            "kind": kind.value,
            "place_id": found["id"],
        }
    )


def _moved_with_their_village(table: pd.DataFrame) -> pd.DataFrame:
    """A merged village's clinic stays open and belongs to the village that took it over."""
    moves = {t.id: t.other_id for t in of_kind(TroubleKind.MERGED)}
    return table.assign(place_id=table["place_id"].replace(moves))

"""Invented persons: a few in the first villages of each township, for lists, reveals and erasures.

Nobody can be one of them. Identity numbers begin with 99, which is no region's code (their check
character is right, so that they pass the checks); phones begin with 154, which no operator has
issued; given names begin with 演.
"""

from __future__ import annotations

import pandas as pd

from dashboard.demo.streams import stream
from geodata.model import Level
from loaders.persons import check_character

VILLAGES_A_TOWNSHIP = 3
"""So many villages of each township, the first by code, have one person each."""

_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "兰梅荣华军强英芳平明玲勇杰娟涛红霞宁国春"
_WITHOUT_PHONE = 0.1


def persons(places: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Persons of the given places.

    Args:
        places: ``id, level``.

    Returns:
        Columns ``name, id_number, phone, place_id``, by village.
    """
    villages = places.loc[places["level"] == Level.VILLAGE, "id"].sort_values()
    chosen = villages.groupby(villages.str[:9]).head(VILLAGES_A_TOWNSHIP)
    return pd.DataFrame(
        [_person(place_id, seed) for place_id in chosen],
        columns=["name", "id_number", "phone", "place_id"],
    )


def _person(place_id: str, seed: int) -> tuple[str, str, str, str]:
    draw = stream(seed, place_id, "persons")
    name = f"{draw.choice(list(_SURNAMES))}演{draw.choice(list(_GIVEN))}"
    birth = f"{draw.integers(1936, 2011)}{draw.integers(1, 13):02d}{draw.integers(1, 29):02d}"
    body = f"99{draw.integers(10_000):04d}{birth}{draw.integers(1_000):03d}"
    phone = f"154{draw.integers(10**8):08d}" if draw.random() >= _WITHOUT_PHONE else ""
    return name, body + check_character(body), phone, place_id

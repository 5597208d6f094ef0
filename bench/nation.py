"""A nation of 600,000 villages with a year of service records, as a store keeps them.

Made county by county, so that it fits any memory, the same rows every time, and kept between runs.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bench import OUT
from dashboard.access import SYSTEM
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.engine import FORMAT
from dashboard.store.model import Change, month_end
from dashboard.store.records import schema_of
from geodata.model import Level
from loaders.registry import record_datasets

YEAR = 2026
MONTHS = tuple(f"{YEAR}-{month:02d}" for month in range(1, 13))
_AT_ONCE = 100
"""Counties written in one go."""
_TIERS = (("county", 0.1), ("township", 0.3), ("village", 0.6))
_KINDS = (
    ("follow_up", 0.42), ("exam", 0.14), ("managed", 0.12), ("treatment", 0.06), ("record", 0.05),
    ("vaccination", 0.03), ("vaccination_check", 0.03), ("cervical_screening", 0.02),
    ("breast_screening", 0.02), ("mental_follow_up", 0.03), ("mental_visit", 0.02),
    ("mental_drugs", 0.02), ("tb_visit", 0.01), ("mental_exam", 0.01), ("permit", 0.01),
    ("mental_diagnosis", 0.005), ("mental_admission", 0.005),
)  # fmt: skip
"""Shares of the kinds of services."""


@dataclass(frozen=True)
class Nation:
    """Provinces, cities, counties, townships and villages, the same number below each.

    Attributes:
        services: records of the year, spread evenly over counties and months.
    """

    provinces: int
    cities: int
    counties: int
    townships: int
    villages: int
    services: int

    @property
    def name(self) -> str:
        """Folder under bench/out/stores."""
        return f"nation-{self.village_total}x{self.services}"

    @property
    def village_total(self) -> int:
        """Number of villages."""
        return len(self.county_ids) * self.townships * self.villages

    @cached_property
    def county_ids(self) -> list[str]:
        """Ids of the counties in tree order."""
        return [
            f"{11 + province}{1 + city:02d}{1 + county:02d}000000"
            for province in range(self.provinces)
            for city in range(self.cities)
            for county in range(self.counties)
        ]

    def villages_of(self, county: str) -> list[str]:
        """Ids of the villages of a county."""
        return [
            f"{county[:6]}{1 + township:03d}{1 + village:03d}"
            for township in range(self.townships)
            for village in range(self.villages)
        ]


NATION = Nation(30, 10, 8, 10, 25, 50_000_000)
"""600,000 villages in 2,400 counties."""
MIDDLING = Nation(3, 10, 8, 10, 25, 5_000_000)
"""A tenth of it, for engines that are slower to start."""


def prepared(nation: Nation) -> Path:
    """Data directory of a nation; made now unless an earlier run left it whole."""
    directory = OUT / "stores" / nation.name
    mark = directory / "bench.json"
    wanted = json.dumps({**asdict(nation), "format": FORMAT})
    if mark.exists() and mark.read_text(encoding="utf-8") == wanted:
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    print(f"  making {nation.services:,} service records ...", flush=True)
    store = Store.open(directory)
    try:
        _fill(store, nation)
    finally:
        store.close()
    mark.write_text(wanted, encoding="utf-8")
    return directory


def _fill(store: Store, nation: Nation) -> None:
    commit(store, SYSTEM, Change(dataset="places", frame=places(nation)), ())
    # One record a month goes the way of every load and opens the batch; the others join it.
    first = nation.villages_of(nation.county_ids[0])[0]
    made = commit(store, SYSTEM, Change(dataset="services", frame=_opening(first)), ())
    ledger = store.records.ledgers["services"]
    left = nation.services - len(MONTHS)
    for start in range(0, len(nation.county_ids), _AT_ONCE):
        chosen = nation.county_ids[start : start + _AT_ONCE]
        rows = [_services(nation, county, left, made.batch or 0) for county in chosen]
        ledger.append(pa.concat_tables(rows))


def places(nation: Nation) -> pd.DataFrame:
    """Places rows, root first."""
    rows: list[tuple[str, int, str | None]] = [("0" * 12, Level.NATION, None)]
    provinces, cities = set(), set()
    for county in nation.county_ids:
        province, city = county[:2] + "0" * 10, county[:4] + "0" * 8
        if province not in provinces:
            rows.append((province, Level.PROVINCE, "0" * 12))
            provinces.add(province)
        if city not in cities:
            rows.append((city, Level.CITY, province))
            cities.add(city)
        rows.append((county, Level.COUNTY, city))
        for village in nation.villages_of(county):
            township = village[:9] + "000"
            if village.endswith("001"):
                rows.append((township, Level.TOWNSHIP, county))
            rows.append((village, Level.VILLAGE, township))
    table = pd.DataFrame(rows, columns=["id", "level", "parent_id"])
    return table.assign(
        name="测试" + table["id"],
        valid_from=pd.Timestamp("2020-01-01"),
        valid_to=pd.NaT,
        lon=np.nan,
        lat=np.nan,
        indicative=False,
    )


def _opening(village: str) -> pd.DataFrame:
    empty = record_datasets()["services"].empty_frame()
    rows = [
        {"person": f"{number:064x}", "day": month_end(month), "kind": "record",
         "tier": "village", "place_id": village, "provider": None}
        for number, month in enumerate(MONTHS)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(empty.columns)).astype(empty.dtypes.to_dict())


def _services(nation: Nation, county: str, total: int, batch: int) -> pa.Table:
    """A county's year of services, in the columns of the record store."""
    counties = len(nation.county_ids)
    position = nation.county_ids.index(county)
    number = (position + 1) * total // counties - position * total // counties
    rng = np.random.default_rng([YEAR, position])
    month = np.sort(rng.integers(0, 12, number))
    first = np.array([(date(YEAR, one + 1, 1) - date(1970, 1, 1)).days for one in range(12)])
    village = rng.integers(0, nation.townships * nation.villages, number)
    # 300 persons a village: the same person is served several times a year.
    person = (position * 10_000_000 + village * 1_000 + rng.integers(0, 300, number)) << 8
    columns = {
        "person": pa.array(person),
        "day": pa.array((first[month] + rng.integers(0, 28, number)).astype("int32")),
        "kind": _drawn(rng, _KINDS, number),
        "tier": _drawn(rng, _TIERS, number),
        "place_id": _named(nation.villages_of(county), village),
        "county": pa.repeat(county, number),
        "month": _named(list(MONTHS), month),
        "gone": pa.repeat(False, number),
        "batch": pa.repeat(pa.scalar(batch, pa.int64()), number),
    }
    schema = schema_of("services")
    arrays = [
        columns[field.name].cast(field.type)
        if field.name in columns
        else pa.nulls(number, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def _drawn(
    rng: np.random.Generator, shares: tuple[tuple[str, float], ...], number: int
) -> pa.Array:
    names, weights = zip(*shares, strict=True)
    return _named(list(names), rng.choice(len(names), number, p=weights))


def _named(names: list[str], codes: np.ndarray) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names)).cast(pa.string())

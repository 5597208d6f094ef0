"""Places and institutions: the nouns every floor above speaks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import IntEnum, StrEnum
from typing import Self


class Level(IntEnum):
    """Administrative level, larger is lower. Any of them can be the root of a tree."""

    NATION = 0
    PROVINCE = 1
    CITY = 2
    COUNTY = 3
    TOWNSHIP = 4
    VILLAGE = 5

    @property
    def key(self) -> str:
        """The lower-case name used in files, URLs and JSON: ``county``."""
        return self.name.lower()

    @property
    def title(self) -> str:
        """The Chinese word: ``县``."""
        return _LEVEL_TITLES[self]

    @classmethod
    def parse(cls, text: str | int) -> Self:
        """Read a level from its English key, Chinese word or number.

        Raises:
            ValueError: the text names no level.
        """
        found = _LEVEL_WORDS.get(str(text).strip().lower())
        if found is None:
            raise ValueError(f"unknown level: {text!r}")
        return cls(found)


_LEVEL_TITLES = {
    Level.NATION: "国",
    Level.PROVINCE: "省",
    Level.CITY: "市",
    Level.COUNTY: "县",
    Level.TOWNSHIP: "乡镇",
    Level.VILLAGE: "村",
}

_LEVEL_WORDS: dict[str, int] = {
    **{level.key: level.value for level in Level},
    **{str(level.value): level.value for level in Level},
    **{title: level.value for level, title in _LEVEL_TITLES.items()},
    **{
        word: level.value
        for level, words in {
            Level.NATION: ("国家", "全国", "country"),
            Level.PROVINCE: ("省级", "自治区", "直辖市"),
            Level.CITY: ("市级", "地级市", "地市", "prefecture"),
            Level.COUNTY: ("县级", "区县", "县区", "县(市、区)", "县(市区)", "区", "district"),
            Level.TOWNSHIP: ("乡", "镇", "乡级", "乡镇级", "街道", "镇街", "town"),
            Level.VILLAGE: ("村级", "村居", "社区", "行政村", "村(居)"),
        }.items()
        for word in words
    },
}


class InstitutionKind(StrEnum):
    """What an institution is; the map draws one marker shape for each."""

    VILLAGE_CLINIC = "village_clinic"
    TOWNSHIP_CENTRE = "township_centre"
    COUNTY_HOSPITAL = "county_hospital"
    DESIGNATED = "designated"

    @property
    def title(self) -> str:  # type: ignore[override]  # never the str method on a kind
        """The Chinese word: ``村卫生室``."""
        return _KIND_TITLES[self]


_KIND_TITLES = {
    InstitutionKind.VILLAGE_CLINIC: "村卫生室",
    InstitutionKind.TOWNSHIP_CENTRE: "乡镇卫生院",
    InstitutionKind.COUNTY_HOSPITAL: "县级医院",
    InstitutionKind.DESIGNATED: "定点医疗机构",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One administrative place during one period.

    Attributes:
        id: 12-digit division code in China, any other text elsewhere.
        path: ids from the root to this place, joined and ended by ``/``
            (``131000000000/131002000000/``), so "under this county" is a prefix test.
        valid_from, valid_to: half-open period; ``valid_to`` None means still valid.
        lon, lat: WGS84 degrees of a representative point, or None.
    """

    id: str
    name: str
    level: Level
    parent_id: str | None
    path: str
    valid_from: date
    valid_to: date | None = None
    lon: float | None = None
    lat: float | None = None

    def valid_on(self, day: date) -> bool:
        """Whether the place exists on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Institution:
    """A clinic or hospital with its home place; lon and lat are WGS84 degrees or both None."""

    id: str
    name: str
    kind: InstitutionKind
    place_id: str
    lon: float | None = None
    lat: float | None = None

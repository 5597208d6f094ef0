"""The target of a layer at a place in a month: the nearest one set, else the registry's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from dashboard.coverage import registry
from dashboard.coverage.model import Direction, Layer, Target
from dashboard.store.unit import Unit
from geodata.model import Place
from loaders.model import KnownLayer
from loaders.registry import measures


@dataclass(frozen=True, slots=True)
class Targets:
    """What is set for some places in one year.

    Attributes:
        stored: by layer and place id, in the layer's unit.
    """

    stored: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def of(self, layer: Layer, place: Place) -> Target | None:
        """What holds at a place: its own, else of the nearest place above, else the registry's.

        A count is a sum over the places below, so what a county is to count is nobody else's
        target: there only the place's own holds.
        """
        if self.stored:
            above = place.path.split("/")[:-1][::-1]
            for place_id in above[:1] if layer.is_count else above:
                value = self.stored.get((layer.id, place_id))
                if value is not None:
                    return Target(value, place_id)
        return None if layer.target is None else Target(layer.target)


NONE = Targets()
"""Nothing but the registry's."""


def read(unit: Unit, places: Iterable[Place], month: str) -> Targets:
    """The targets of some places in the year of ``YYYY-MM``, for all layers at once."""
    return read_years(unit, places, {month[:4]})[month[:4]]


def read_years(unit: Unit, places: Iterable[Place], years: Collection[str]) -> dict[str, Targets]:
    """The targets of some places in some years (``YYYY``)."""
    found = unit.targets(places, {int(year) for year in years})
    return {year: Targets(found[int(year)]) for year in years}


def of_place(unit: Unit, place_id: str) -> dict[str, Targets]:
    """The targets of one place in every published year (``YYYY``), for all layers at once."""
    years = {month[:4] for month in unit.months()}
    return read_years(unit, unit.versions(place_id), years)


@cache
def known_layers() -> tuple[KnownLayer, ...]:
    """Every layer as the loaders know it: by what names, and within what bounds, it has a target.

    A share lies within 0 and 100 %; anything else within the bounds of what it counts.
    """
    return tuple(map(_known, registry.layers().values()))


def _known(layer: Layer) -> KnownLayer:
    counted = measures()[layer.numerator]
    # 六个一·健康APP goes by 健康APP, 家庭医生签约率 by 家庭医生签约.
    short = layer.title.rpartition("·")[2]
    words = (layer.title, layer.title_en, short, short.removesuffix("率"))
    return KnownLayer(
        id=layer.id,
        title=layer.title,
        words=tuple(dict.fromkeys(words)),
        unit=layer.unit,
        lower=0.0,
        upper=100.0 if layer.unit == "%" else counted.upper,
        integer=layer.is_count and counted.integer,
        higher=layer.direction is Direction.HIGHER,
    )

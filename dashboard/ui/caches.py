"""What outlives a rerun: the store, and views already computed, one copy for all sessions.

Our own small memory rather than Streamlit's caches: the same entries serve the page and the routes
of ``server``, which run outside any session, and a browser's ``clear_cache`` message cannot empty
them. Every key holds the versions the value was computed from, so nothing goes stale, and the scope
of who asked, so nobody is answered from what another may see.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar, cast

from dashboard.coverage import drawing, modes, registry, service, targets
from dashboard.coverage.drawing import Outlines
from dashboard.coverage.forecast import YearEnd
from dashboard.coverage.funnel import Funnel
from dashboard.coverage.model import (
    Indicator,
    Payload,
    Profile,
    Site,
    Source,
    TrendPoint,
    View,
    ViewTable,
    previous_month,
)
from dashboard.coverage.modes import SAMPLED, Mode, Sample, Shade
from dashboard.coverage.plausibility import Flag
from dashboard.coverage.ranking import Ranked
from dashboard.coverage.service import Scene
from dashboard.coverage.targets import Targets
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store.memory import Memory
from dashboard.store.model import month_end
from dashboard.store.unit import Unit
from dashboard.ui.tiles import Tiles
from geodata.model import InstitutionKind, Level, Place

Value = TypeVar("Value")
_lock = Lock()


class _Process:
    """What this process serves."""

    settings: Settings | None = None
    store: Store | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A payload ready to send: as it is, and compressed once."""

    body: bytes
    zipped: bytes
    etag: str


_tables: Memory[ViewTable] = Memory(256)
_scenes: Memory[Scene] = Memory(64)
_profiles: Memory[Profile] = Memory(512)
_targets: Memory[dict[str, Targets]] = Memory(64)
_sites: Memory[list[Site]] = Memory(64)
_indicators: Memory[list[Indicator]] = Memory(64)
_doubts: Memory[list[Flag]] = Memory(64)
_rankings: Memory[list[Ranked]] = Memory(32)
_funnels: Memory[Funnel] = Memory(32)
_year_ends: Memory[YearEnd] = Memory(512)
_year_ends_below: Memory[list[YearEnd]] = Memory(32)
_answers: Memory[Answer] = Memory(256)
_outlines: Memory[Outlines] = Memory(64)
_counts: Memory[Mapping[InstitutionKind, tuple[int, int]]] = Memory(512)
_markup: Memory[object] = Memory(2_048)


def configure(settings: Settings) -> None:
    """Say which data directory this process serves; drops what another one left."""
    with _lock:
        store, _Process.store = _Process.store, None
        _Process.settings = settings
    for memory in (
        _tables,
        _scenes,
        _profiles,
        _targets,
        _sites,
        _indicators,
        _doubts,
        _rankings,
        _funnels,
        _year_ends,
        _year_ends_below,
        _answers,
        _outlines,
        _counts,
        _markup,
    ):
        memory.clear()
    if store is not None:
        store.close()


def settings() -> Settings:
    """The settings of this process."""
    with _lock:
        if _Process.settings is None:
            _Process.settings = Settings.load()
        return _Process.settings


def store() -> Store:
    """The store, opened once per process.

    Raises:
        DudaoError: the data directory cannot be opened.
    """
    chosen = settings()
    with _lock:
        if _Process.store is None:
            _Process.store = Store.open(
                chosen.data, chosen.database_url, chosen.keys, chosen.compute
            )
        return _Process.store


def tiles() -> Tiles:
    """The base tiles the settings ask for."""
    return Tiles.of(settings())


def version(unit: Unit, month: str) -> str:
    """What a view of ``month`` is computed from, as one path segment of our addresses."""
    return _version(unit, month, unit.places_version())


def timeline(unit: Unit, most: int) -> tuple[tuple[str, str], ...]:
    """The latest months, ascending, each with its ``version``."""
    known = history(unit)
    return markup(
        unit,
        ("timeline", most, known),
        lambda: tuple((month, _version(unit, month, known[0])) for month in unit.months()[-most:]),
    )


def _version(unit: Unit, month: str, places_version: object) -> str:
    parts = [places_version, unit.snapshot(month).version]
    before = previous_month(month)
    if before in unit.months():
        parts.append(unit.snapshot(before).version)
    return "-".join(str(part) for part in parts)


def table(unit: Unit, view: View, version: str) -> ViewTable:
    """``service.table``, remembered, from a scene all layers share."""
    return _tables.get(
        (unit.scope_key, view, version),
        lambda: service.table_of(
            scene(unit, view.place_id, view.month, version, view.source),
            registry.layer(view.layer_id),
        ),
    )


def scene(
    unit: Unit, place_id: str, month: str, version: str, source: Source = Source.REPORTED
) -> Scene:
    """``service.scene``, remembered."""
    key = (unit.scope_key, place_id, month, version, source)
    return _scenes.get(key, lambda: service.scene(unit, place_id, month, source))


def profile(
    unit: Unit,
    place_id: str,
    month: str,
    group: str,
    version: str,
    source: Source = Source.REPORTED,
) -> Profile:
    """``service.profile`` of a group of layers, remembered."""
    key = (unit.scope_key, place_id, month, group, version, source)
    return _profiles.get(key, lambda: service.profile(unit, place_id, month, group, source))


def indicators(unit: Unit, place_id: str, month: str, months: tuple[str, ...]) -> list[Indicator]:
    """``service.indicators``, remembered."""
    key = (unit.scope_key, place_id, month, months, history(unit))
    return _indicators.get(key, lambda: service.indicators(unit, place_id, month, months))


def ranking(unit: Unit, view: View, level: Level, by_interval: bool, minimum: int) -> list[Ranked]:
    """``service.ranking``, remembered."""
    key = (unit.scope_key, view, level, by_interval, minimum, version(unit, view.month))
    return _rankings.get(key, lambda: service.ranking(unit, view, level, by_interval, minimum))


def funnel(unit: Unit, view: View, level: Level) -> Funnel:
    """``service.funnel``, remembered."""
    key = (unit.scope_key, view, level, version(unit, view.month))
    return _funnels.get(key, lambda: service.funnel(unit, view, level))


def trend(unit: Unit, view: View) -> list[TrendPoint]:
    """``service.trend``; the targets, which all layers share, are remembered."""
    key = (unit.scope_key, view.place_id, history(unit))
    years = _targets.get(key, lambda: targets.of_place(unit, view.place_id))
    return service.trend(unit, view.place_id, view.layer_id, view.source, years)


def forecast(unit: Unit, view: View, points: list[TrendPoint] | None = None) -> YearEnd:
    """``service.forecast``, remembered."""
    key = (unit.scope_key, view, history(unit))
    return _year_ends.get(key, lambda: service.forecast(unit, view, points))


def forecasts(unit: Unit, view: View, level: Level) -> list[YearEnd]:
    """``service.forecasts``, remembered."""
    key = (unit.scope_key, view, level, history(unit))
    return _year_ends_below.get(key, lambda: service.forecasts(unit, view, level))


def doubts(unit: Unit, place_id: str, month: str, version: str) -> list[Flag]:
    """``service.quality``, quick and remembered."""
    key = (unit.scope_key, place_id, month, version)
    return _doubts.get(key, lambda: service.quality(unit, place_id, month, quick=True))


def doubt_answer(unit: Unit, place_id: str, month: str) -> Answer:
    """The body of ``/doubts``: how many doubts each place below has, at it or further below.

    Raises:
        DudaoError: as ``service.quality``.
    """
    computed = version(unit, month)
    return _answers.get(
        (unit.scope_key, "doubts", place_id, month, computed),
        lambda: _answer(
            service.doubt_payload(unit, place_id, month, doubts(unit, place_id, month, computed))
        ),
    )


def history(unit: Unit) -> tuple[object, ...]:
    """What a trend is computed from: every published month's version."""
    published = ((month, unit.snapshot(month).version) for month in unit.months())
    return unit.places_version(), *published


def sites(unit: Unit, place_id: str, month: str, version: str) -> list[Site]:
    """``service.sites``, remembered."""
    key = (unit.scope_key, place_id, month, version)
    return _sites.get(key, lambda: service.sites(unit, place_id, month))


def markup(unit: Unit, key: Hashable, make: Callable[[], Value]) -> Value:
    """Anything made for the screen, remembered; ``key`` must name its part and the language."""
    return cast(Value, _markup.get((unit.scope_key, key), make))


def layer_answer(
    unit: Unit, view: View, mode: Mode = Mode.VALUE, against: str | None = None
) -> Answer:
    """The body of ``/layers``.

    Args:
        against: the month a change is measured from.

    Raises:
        DudaoError: as ``service.table``.
    """
    crs = tiles().crs
    computed = version(unit, view.month)
    other = None if against is None else (against, version(unit, against))
    view, measured = modes.compared(view, mode, against)
    return _answers.get(
        (unit.scope_key, "layer", view, computed, mode, other, crs),
        lambda: _answer(
            drawing.payload(
                table(unit, view, computed),
                _drawn_outlines(unit, view, computed),
                mode,
                _other(unit, measured),
                _samples(unit, view, computed, mode),
            )
        ),
    )


def shades(
    unit: Unit, view: View, computed: str, mode: Mode, against: str | None
) -> dict[str, Shade]:
    """What the map says of each child of a view, by place id; as in ``layer_answer``."""
    view, measured = modes.compared(view, mode, against)
    shown, other = table(unit, view, computed), _other(unit, measured)
    others = {} if other is None else {cell.place.id: cell for cell in other.cells}
    found = modes.shades(shown, mode, others, _samples(unit, view, computed, mode))
    return {cell.place.id: one for cell, one in zip(shown.cells, found, strict=True)}


def _samples(unit: Unit, view: View, computed: str, mode: Mode) -> dict[str, Sample] | None:
    """The field samples that a mode is told of, else None."""
    if mode not in SAMPLED:
        return None
    seen = scene(unit, view.place_id, view.month, computed, view.source)
    return drawing.samples(seen, registry.layer(view.layer_id))


def _other(unit: Unit, view: View | None) -> ViewTable | None:
    """The table a difference is measured from."""
    return None if view is None else table(unit, view, version(unit, view.month))


def _drawn_outlines(unit: Unit, view: View, version: str) -> Outlines:
    crs = tiles().crs
    return _outlines.get(
        (unit.scope_key, view.place_id, view.month, unit.places_version(), crs),
        lambda: drawing.outlines(scene(unit, view.place_id, view.month, version), crs),
    )


def site_answer(unit: Unit, place_id: str, month: str) -> Answer:
    """The body of ``/sites``.

    Raises:
        DudaoError: as ``service.sites``.
    """
    crs = tiles().crs
    computed = version(unit, month)
    return _answers.get(
        (unit.scope_key, "site", place_id, month, computed, crs),
        lambda: _answer(drawing.site_payload(sites(unit, place_id, month, computed), crs)),
    )


def site_counts(unit: Unit, place: Place, month: str) -> Mapping[InstitutionKind, tuple[int, int]]:
    """``Unit.institution_counts``, remembered."""
    return _counts.get(
        (unit.scope_key, place.id, month, unit.places_version()),
        lambda: unit.institution_counts(place, month_end(month)),
    )


def _answer(payload: Payload) -> Answer:
    return Answer(payload.body, gzip.compress(payload.body, 6, mtime=0), payload.etag)

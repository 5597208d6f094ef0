"""The four tiles and the side panel: one place, every layer, its institutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any

from dashboard.coverage import pace, registry
from dashboard.coverage.model import (
    Cell,
    Direction,
    Layer,
    Profile,
    Site,
    SiteStatus,
    Source,
    Status,
)
from dashboard.coverage.pace import Standing
from dashboard.ui import blocks, format, targetwords
from dashboard.ui.state import Address
from dashboard.ui.tables import disagreement, measure_unit, tone
from dashboard.ui.texts import (
    _,
    group_name,
    kind_name,
    layer_title,
    level_name,
    site_status_name,
    source_name,
    standing_name,
    status_name,
    unit_name,
)
from geodata.model import Institution, InstitutionKind, Level, Place
from loaders.registry import measures

LISTED_SITES = 80
"""More institutions than this are counted by kind, not listed: the list belongs to a township."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure with its words.

    Attributes:
        tone: ``good``, ``bad`` or nothing.
        help: a rule.
        href: where a click on the figure leads, or nothing.
    """

    label: str
    figure: str
    under: str
    tone: str = ""
    help: str = ""
    href: str = ""


def tiles(layer: Layer, cell: Cell, month: str, source: Source = Source.REPORTED) -> list[Tile]:
    """Value, target, pace (else who reported), and change of one place in one layer."""
    wanted = pace.due(layer, cell.target, month)
    reporting = _reporting(layer, cell, source)
    return [
        _value(layer, cell, "" if wanted is None else reporting.figure, source),
        _target(layer, cell, month),
        reporting if wanted is None else _pace(layer, cell, wanted, month),
        _change(layer, cell),
    ]


def tiles_markup(layer: Layer, cell: Cell, address: Address) -> str:
    """The four tiles; a click on the value takes it apart."""
    value, *others = tiles(layer, cell, address.month, address.source)
    value = replace(value, href=address.explained(cell.place.id))
    return blocks.render("tiles.html", tiles=[value, *others])


def _value(layer: Layer, cell: Cell, reporting: str, source: Source) -> Tile:
    if cell.status is Status.NO_DATA:
        words = _("本月没有{source}数据").format(source=source_name(source))
        return Tile(layer_title(layer), status_name(cell.status), words)
    if cell.status is Status.SUPPRESSED:
        return Tile(layer_title(layer), format.MISSING, status_name(cell.status))
    if cell.status is Status.TOO_LOW and layer.lowest_level is not None:
        lowest = level_name(layer.lowest_level)
        return Tile(layer_title(layer), format.MISSING, _("只显示到{level}级").format(level=lowest))
    counted = format.fraction(layer, cell.numerator, cell.denominator)
    if cell.status is Status.NOT_APPLICABLE:
        return Tile(layer_title(layer), status_name(cell.status), counted)
    value = format.value(layer, cell.value, cell.aim)
    return Tile(layer_title(layer), value, _noted(counted, reporting))


def _target(layer: Layer, cell: Cell, month: str) -> Tile:
    if cell.target is None:
        return Tile(_("目标"), format.MISSING, _("未设目标"))
    label = targetwords.by_when(layer, cell.target, month)
    missing, whose = cell.shortfall(layer), targetwords.whose(cell)
    if missing is None:
        return Tile(label, format.MISSING, _noted(_("本月无法比较"), whose))
    if missing <= 0:
        return Tile(label, _("已达到"), whose, "good")
    under = (
        _("目标不超过 {count} {unit}")
        if layer.direction is Direction.LOWER
        else _("达到目标需 {count} {unit}")
    ).format(
        count=_wanted(layer, cell.wanted(layer)),
        unit=unit_name(measure_unit(layer.numerator)),
    )
    return Tile(label, targetwords.lacking(layer, cell), _noted(under, whose), "bad")


def _wanted(layer: Layer, numerator: float | None) -> str:
    """How much meets a target: whole things, on the side that meets it, as the gap is counted."""
    if numerator is not None and measures()[layer.numerator].integer:
        numerator = floor(numerator) if layer.direction is Direction.LOWER else ceil(numerator)
    return format.amount(layer.numerator, numerator)


def _noted(*words: str) -> str:
    return " · ".join(filter(None, words))


_TONES = {Standing.AHEAD: "good", Standing.BEHIND: "warn", Standing.LATE: "bad"}


def _pace(layer: Layer, cell: Cell, wanted: pace.Due, month: str) -> Tile:
    rule = targetwords.rule(layer)
    told = "\n".join([*rule.due, *(words for _colour, words in rule.colours)])
    found = pace.standing(layer, cell.target, cell.value, month)
    if found is None or cell.value is None:
        return Tile(_("序时进度"), format.MISSING, _("本月无法比较"), help=told)
    label = _("序时进度：{standing}").format(standing=standing_name(found))
    due = format.value(layer, wanted.pace)
    if layer.direction is Direction.LOWER:
        under, apart = _("应不超过 {value}").format(value=due), cell.value - wanted.pace
        words = _("超出 {gap}")
    else:
        under, apart = _("序时应达 {value}").format(value=due), wanted.pace - cell.value
        words = _("落后 {gap}")
    if found is Standing.AHEAD:
        return Tile(label, _("达到序时"), under, "good", told)
    # Who is short is never short of 0.0.
    gap = format.apart(layer, max(apart, 10.0**-layer.decimals))
    return Tile(label, words.format(gap=gap), under, _TONES[found], told)


def _change(layer: Layer, cell: Cell) -> Tile:
    if cell.change is None or cell.value is None:
        return Tile(_("较上月"), format.MISSING, _("上月或本月没有数据"))
    before = format.value(layer, cell.value - cell.change)
    moved = format.moved(layer, cell)
    return Tile(
        _("较上月"),
        format.change(layer, moved),
        _("上月 {value}").format(value=before),
        tone(layer, moved),
    )


def _reporting(layer: Layer, cell: Cell, source: Source) -> Tile:
    """How many places the value stands on: those that reported, have records, or were sampled."""
    label = {
        Source.REPORTED: _("上报情况"),
        Source.RECORDS: _("台账情况"),
        Source.VERIFIED: _("抽查情况"),
    }[source]
    level = level_name(layer.base_level)
    if layer.base_level is not Level.VILLAGE:
        return Tile(
            label,
            format.MISSING if cell.status is Status.NO_DATA else _("已上报"),
            _("由{level}级及以上填报").format(level=level),
        )
    if cell.expected == 0:
        return Tile(label, format.MISSING, _("没有应上报的单位"))
    missing = cell.expected - cell.reporting
    words = {
        Source.REPORTED: _("{done}/{all} {level}已报"),
        Source.RECORDS: _("{done}/{all} {level}有台账"),
        Source.VERIFIED: _("由 {done}/{all} {level}抽查推算"),
    }[source]
    figure = words.format(
        done=format.number(cell.reporting), all=format.number(cell.expected), level=level
    )
    if source is Source.VERIFIED:
        return Tile(label, figure, _("上报数按抽查中核实的比例折算"))
    if missing <= 0:
        return Tile(label, figure, _("全部上报") if source is Source.REPORTED else _("全部有台账"))
    lacking = (
        _("{count} {level}未报，未计入")
        if source is Source.REPORTED
        else _("{count} {level}没有台账，未计入")
    )
    under = lacking.format(count=format.number(missing), level=level)
    return Tile(label, figure, under, "warn")


def markup(profile: Profile, site: Site | None, home: Place | None, address: Address) -> str:
    """The place, the institution opened over it, and what is doubtful in the profile's layers."""
    layers = registry.layers()
    flags = [
        _("{layer}：{words}").format(
            layer=layer_title(layers[layer_id]), words=disagreement(layers[layer_id], cell)
        )
        for layer_id, cell in profile.cells.items()
        if cell.disagrees
    ]
    return blocks.render(
        "panel.html",
        site=_site_card(site, home, address) if site is not None else None,
        place=profile.place,
        level=level_name(profile.place.level),
        flags=flags,
    )


def indicators_markup(profile: Profile, address: Address) -> str:
    """The place's value in each of the profile's layers."""
    layers = registry.layers()
    chosen = layers[address.layer]
    return blocks.render(
        "indicators.html",
        group=group_name(chosen.group),
        month=format.month(profile.month),
        layers=[
            _layer_row(layers[layer_id], cell, profile, address, layers[layer_id] is chosen)
            for layer_id, cell in profile.cells.items()
        ],
    )


def _layer_row(
    layer: Layer, cell: Cell, profile: Profile, address: Address, chosen: bool
) -> dict[str, Any]:
    missing = cell.shortfall(layer)
    rank = ""
    if not layer.is_count and cell.rank is not None and profile.siblings > 1 and cell.ranked > 1:
        rank = _("第 {rank} 名 / {ranked}").format(rank=cell.rank, ranked=cell.ranked)
    return {
        "href": address.href(layer=layer.id),
        "why": address.explained(cell.place.id, layer=layer.id),
        "title": layer_title(layer),
        "chosen": chosen,
        "fraction": ""
        if cell.numerator is None
        else format.fraction(layer, cell.numerator, cell.denominator),
        "value": status_name(cell.status)
        if cell.value is None
        else format.value(layer, cell.value, cell.aim),
        "tone": "good" if missing == 0 else "",
        "rank": rank,
    }


def _coordinates(institution: Institution) -> str:
    if institution.lon is None or institution.lat is None:
        return _("无坐标，图上不显示")
    return f"{institution.lon:.5f}, {institution.lat:.5f}"


def _site_card(site: Site, home: Place | None, address: Address) -> dict[str, Any]:
    institution = site.institution
    return {
        "id": institution.id,
        "name": institution.name,
        "kind": kind_name(institution.kind),
        "home": home.name if home is not None else institution.place_id,
        "home_href": address.href(place=institution.place_id, site=institution.id),
        "close": address.href(site=None),
        "status": site_status_name(site.status),
        "tone": site.status.value,
        "coordinates": _coordinates(institution),
    }


def institutions_markup(
    kinds: Mapping[InstitutionKind, int], listed: Sequence[Site], address: Address
) -> str:
    """The institutions under a place.

    Args:
        kinds: how many of each kind.
        listed: the same with their status where they are few enough to be listed, else nothing.
    """
    total = sum(kinds.values())
    note = ""
    if not total:
        note = _("没有登记的医疗机构。导入机构表后在此列出。")
    elif not listed:
        note = _("机构较多，进入乡镇后逐个列出。")
    order = {SiteStatus.UNMET: 0, SiteStatus.NO_DATA: 1, SiteStatus.MET: 2}
    return blocks.render(
        "institutions.html",
        total=_("{count} 个").format(count=format.number(total)),
        kinds=[
            {"kind": kind_name(kind), "count": format.number(kinds[kind])}
            for kind in InstitutionKind
            if kinds.get(kind)
        ],
        sites=[
            _site_row(site, address)
            for site in sorted(listed, key=lambda site: order.get(site.status, 3))
        ],
        note=note,
    )


def _site_row(site: Site, address: Address) -> dict[str, Any]:
    institution = site.institution
    note = site_status_name(site.status)
    if institution.lon is None:
        note = _("{status} · 无坐标").format(status=note)
    return {
        "id": institution.id,
        "href": address.href(place=institution.place_id, site=institution.id),
        "name": institution.name,
        "note": note,
        "tone": site.status.value,
    }

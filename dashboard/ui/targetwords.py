"""Words of targets and pace: what is wanted, who set it, and the rule of the three colours."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from dashboard.coverage import wording
from dashboard.coverage.model import Cell, Direction, Layer, Pace, Target
from dashboard.coverage.modes import PACE_COLOURS
from dashboard.ui import format
from dashboard.ui.texts import _, level_name, unit_name
from loaders.registry import measures


def amount(layer: Layer, target: Target) -> str:
    """A target with its unit: ``95%``, ``120 次``."""
    return format.with_unit(format.limit(target.value), layer.unit)


def by_when(layer: Layer, target: Target, month: str) -> str:
    """A target with the day it is to be met: the year's end, where it is reached over the year."""
    if layer.pace is Pace.PROGRESS:
        return _("{year} 年底目标 {target}").format(year=month[:4], target=amount(layer, target))
    return _("目标 {target}").format(target=amount(layer, target))


def worst_first(layer: Layer, count: int) -> str:
    """How many places a table lists, and in what order: ``wording.ranked_by`` turned round."""
    if not layer.is_count:
        words = _("{count} 个单位，由差到好")
    elif layer.direction is Direction.HIGHER:
        words = _("{count} 个单位，由少到多")
    else:
        words = _("{count} 个单位，由多到少")
    return words.format(count=format.number(count))


def lacking(layer: Layer, cell: Cell) -> str:
    """How much is short of the target: ``还差 12 人``; nothing where it is met or not known."""
    missing = cell.shortfall(layer)
    if not missing:
        return ""
    words = (
        _("还差 {count} {unit}")
        if layer.direction is Direction.HIGHER
        else _("超出 {count} {unit}")
    )
    unit = unit_name(measures()[layer.numerator].unit)
    return words.format(count=format.number(ceil(missing)), unit=unit)


def whose(cell: Cell) -> str:
    """Who set a place's target; nothing where it is everybody's."""
    if cell.target is None or cell.target.place_id is None:
        return ""
    if cell.target.place_id != cell.place.id:
        return _("上级所定目标")
    return _("本{level}目标").format(level=level_name(cell.place.level))


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule in words, for ``pace_rule.html``.

    Attributes:
        due: how much is due at a month's end, in sentences.
        colours: colour on the map and words of each standing, best first.
        notes: further sentences, such as whose target counts.
    """

    due: tuple[str, ...]
    colours: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def rule(layer: Layer) -> Rule:
    """The rule of one layer; what it says is ``coverage.pace.standing``."""
    colours = zip(PACE_COLOURS, wording.pace_rule(layer, _), strict=True)
    return Rule((wording.due(layer, _),), tuple(colours)[::-1], (_whose_counts(layer),))


def general_rule(layers: list[Layer]) -> Rule | None:
    """The rule where several layers are listed; None for none.

    A kind of layer that none of them is of is not explained.
    """
    kinds = {(one.direction, one.pace): one for one in layers[::-1]}
    shown = next(
        (kinds[kind] for kind in _KINDS if kind in kinds), next(iter(kinds.values()), None)
    )
    if shown is None:
        return None
    found = rule(shown)
    due = found.due
    notes = tuple(dict.fromkeys(_whose_counts(one) for one in layers))
    if shown.pace is Pace.PROGRESS and any(one.pace is Pace.LEVEL for one in layers):
        due = (*due, _("须全年保持的指标，序时即目标。"))
    if any(one.direction is not shown.direction for one in layers):
        less = _("越低越好的指标：不高于目标为达到序时，超出 10% 以内为落后序时。")
        notes = (less, *notes)
    return Rule(due, found.colours, notes)


_KINDS = ((Direction.HIGHER, Pace.PROGRESS), (Direction.HIGHER, Pace.LEVEL))
"""What kind of layer the general rule is told by, the most telling first."""


def _whose_counts(layer: Layer) -> str:
    if layer.is_count:
        return _("计数指标只看本地自己的目标。")
    return _("目标以本地所定为先，其次是上级所定，再次是统一目标。")

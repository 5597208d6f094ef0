"""Figures that cannot well be true: rules of plausibility.toml, each with its reason.

A rule looks either at what one place reported of its own, or at the values of places that share a
parent, this month and the month before. A flag doubts; it never changes a figure.
"""

from __future__ import annotations

import tomllib
from calendar import monthrange
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from dashboard.coverage import registry
from dashboard.coverage.model import Cell, Layer, Pace, Status
from geodata.errors import DudaoError
from loaders.registry import Measure, measures

FILE = Path(__file__).with_name("plausibility.toml")

_SAME = 1e-6
_ALL = 100.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of plausibility.toml.

    Attributes:
        numbers: what else the row gives: least sizes, pairs of measures.
    """

    code: str
    title: str
    title_en: str
    reason: str
    reason_en: str
    enabled: bool
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flag:
    """One doubt.

    Attributes:
        code: of the rule, in capitals.
        place_id: whose figure it is; of a rule over siblings their parent.
        measures: ids the doubt is about.
        layer_id: the layer whose values are doubted, None for a place's own figures.
        values: the figures that gave rise to it, in the order of the rule's reason.
    """

    code: str
    place_id: str
    month: str
    measures: tuple[str, ...]
    layer_id: str | None
    values: tuple[float, ...]

    @property
    def rule(self) -> Rule:
        """The rule that raised it."""
        return rules()[self.code.lower()]

    def reason(self, english: bool = False) -> str:
        """The reason in words."""
        words = self.rule.reason_en if english else self.rule.reason
        return words.format(*(f"{value:,.10g}" for value in self.values))


@cache
def rules() -> dict[str, Rule]:
    """Every rule by id.

    Raises:
        DudaoError: PLAUSIBILITY_INVALID names the row and what is wrong with it.
    """
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, Rule]:
    """Read the rules from TOML text.

    Raises:
        DudaoError: PLAUSIBILITY_INVALID.
    """
    found: dict[str, Rule] = {}
    words = ("title", "title_en", "reason", "reason_en", "enabled")
    for code, row in tomllib.loads(text).items():
        if missing := [key for key in words if key not in row]:
            raise _invalid(code, f"缺少 {'、'.join(missing)}")
        if code not in _OWN and code not in _SIBLINGS:
            raise _invalid(code, "没有这条规则")
        for pair in row.get("pairs", ()):
            if unknown := [name for name in pair if name not in measures()]:
                raise _invalid(code, f"{unknown[0]} 不是已声明的指标")
        numbers = {key: value for key, value in row.items() if key not in words}
        found[code] = Rule(code, **{key: row[key] for key in words}, numbers=numbers)
    if missing := sorted(({*_OWN} | {*_SIBLINGS}) - set(found)):
        raise _invalid(missing[0], "没有登记")
    return found


def _invalid(code: str, problem: str) -> DudaoError:
    return DudaoError(
        "PLAUSIBILITY_INVALID", f"合理性规则 {code}：{problem}。", "请改正 plausibility.toml。"
    )


def own_flags(figures: pd.DataFrame, month: str) -> list[Flag]:
    """What is doubtful in places' own figures of a month.

    Args:
        figures: ``place_id, measure, value`` of one month and source, one row for each.
    """
    found: list[Flag] = []
    active = [(rule, _OWN[code]) for code, rule in rules().items() if code in _OWN and rule.enabled]
    for place_id, rows in figures.groupby("place_id", sort=True):
        values = dict(zip(rows["measure"], rows["value"].astype(float), strict=True))
        for rule, look in active:
            for about, numbers in look(rule, values, month):
                found.append(Flag(rule.code.upper(), str(place_id), month, about, None, numbers))
    return found


def sibling_flags(
    place_id: str, month: str, layer: Layer, cells: Sequence[Cell], before: Mapping[str, Cell]
) -> list[Flag]:
    """What is doubtful in the values of the places below one.

    Args:
        before: the cells of the month before by place id.
    """
    found: list[Flag] = []
    for code, rule in rules().items():
        if code in _SIBLINGS and rule.enabled:
            for where, numbers in _SIBLINGS[code](rule, layer, cells, before):
                about = tuple(dict.fromkeys((layer.numerator, layer.denominator)))
                found.append(Flag(code.upper(), where or place_id, month, about, layer.id, numbers))
    return found


# Rules over a place's own figures: (measures, values) of each doubt

Own = Iterator[tuple[tuple[str, ...], tuple[float, ...]]]


def _parts_differ(_rule: Rule, values: Mapping[str, float], _month: str) -> Own:
    for measure in _summed():
        if measure.id in values and all(part in values for part in measure.parts):
            total, parts = values[measure.id], sum(values[part] for part in measure.parts)
            if abs(total - parts) > _SAME * max(1.0, abs(total)) + 0.005:
                yield (measure.id, *measure.parts), (round(parts, 2), total)


@cache
def _summed() -> tuple[Measure, ...]:
    return tuple(measure for measure in measures().values() if measure.parts)


def _above_population(_rule: Rule, values: Mapping[str, float], _month: str) -> Own:
    for measure_id, value in values.items():
        for other in measures()[measure_id].rarely_above:
            if other in values and value > values[other]:
                yield (measure_id, other), (value, values[other])


def _same_subtotal(rule: Rule, values: Mapping[str, float], _month: str) -> Own:
    parts: dict[tuple[str, float], list[Measure]] = {}
    for measure_id, value in values.items():
        measure = measures()[measure_id]
        whole = measure.part_of or ""
        if whole in values and rule.numbers["least"] <= value < values[whole]:
            parts.setdefault((measure.unit, value), []).append(measure)
    for (_unit, value), found in parts.items():
        wholes = {values[str(measure.part_of)] for measure in found}
        if len(found) > 1 and len(wholes) == len(found):
            yield tuple(measure.id for measure in found), (value,)


def _unequal_pairs(rule: Rule, values: Mapping[str, float], _month: str) -> Own:
    for one, other in rule.numbers["pairs"]:
        if one in values and other in values and values[one] != values[other]:
            yield (one, other), (values[one], values[other])


def _mixed_scopes(rule: Rule, values: Mapping[str, float], _month: str) -> Own:
    for first, later in rule.numbers["pairs"]:
        if first in values and later in values and values[later] > values[first]:
            yield (first, later), (values[first], values[later])


def _too_many_times(rule: Rule, values: Mapping[str, float], month: str) -> Own:
    year, number = int(month[:4]), int(month[5:])
    days = sum(monthrange(year, one)[1] for one in range(1, number + 1))
    for times, persons in rule.numbers["pairs"]:
        if times in values and persons in values and values[times] > values[persons] * days:
            yield (times, persons), (values[times], values[persons])


# Rules over siblings: (place or None for their parent, values) of each doubt

Siblings = Iterator[tuple[str | None, tuple[float, ...]]]


def _all_hundred(
    rule: Rule, layer: Layer, cells: Sequence[Cell], before: Mapping[str, Cell]
) -> Siblings:
    if layer.unit != "%" or any(cell.status is Status.SUPPRESSED for cell in cells):
        return
    shown = [cell for cell in cells if cell.value is not None]
    last = [before.get(cell.place.id) for cell in shown]
    if (
        len(shown) >= rule.numbers["least"]
        and all(cell.value == _ALL for cell in shown)
        and all(cell is not None and cell.value == _ALL for cell in last)
    ):
        yield None, (len(shown),)


def _sudden_jump(
    rule: Rule, layer: Layer, cells: Sequence[Cell], before: Mapping[str, Cell]
) -> Siblings:
    if layer.unit != "%":
        return
    for cell in cells:
        last = before.get(cell.place.id)
        if last is None or last.value is None or cell.value is None:
            continue
        sizes = (cell.denominator or 0, last.denominator or 0)
        if (
            abs(cell.value - last.value) > rule.numbers["points"]
            and min(sizes) >= rule.numbers["least"]
        ):
            yield cell.place.id, (round(last.value, 1), round(cell.value, 1))


def _identical(
    rule: Rule, layer: Layer, cells: Sequence[Cell], _before: Mapping[str, Cell]
) -> Siblings:
    if layer.is_count:
        return
    alike = Counter((cell.numerator, cell.denominator) for cell in cells)
    for (top, bottom), count in sorted(alike.items(), key=str):
        if (
            top is not None
            and bottom is not None
            and count >= rule.numbers["least"]
            and min(top, bottom) >= rule.numbers["smallest"]
        ):
            yield None, (count, top, bottom)


def _not_moved(
    rule: Rule, layer: Layer, cells: Sequence[Cell], before: Mapping[str, Cell]
) -> Siblings:
    if layer.pace is not Pace.PROGRESS:
        return
    for cell in cells:
        last = before.get(cell.place.id)
        if last is None or cell.numerator is None or cell.numerator != last.numerator:
            continue
        # Where all is done nothing is left to grow.
        if rule.numbers["least"] <= cell.numerator and cell.numerator != cell.denominator:
            yield cell.place.id, (cell.numerator,)


def _digit_heaping(
    rule: Rule, layer: Layer, cells: Sequence[Cell], _before: Mapping[str, Cell]
) -> Siblings:
    """Whether more end in 0 or 5 than chance allows: one-sided binomial test at two in ten."""
    large = [
        int(cell.numerator)
        for cell in cells
        if cell.numerator is not None and cell.numerator >= rule.numbers["smallest"]
    ]
    if len(large) < rule.numbers["least"] or not measures()[layer.numerator].integer:
        return
    from scipy.stats import binomtest  # slow to import

    heaped = sum(number % 5 == 0 for number in large)
    if binomtest(heaped, len(large), 0.2, "greater").pvalue < rule.numbers["chance"]:
        yield None, (len(large), heaped)


_OWN: dict[str, Callable[[Rule, Mapping[str, float], str], Own]] = {
    "parts_differ": _parts_differ,
    "above_population": _above_population,
    "same_subtotal": _same_subtotal,
    "unequal_pairs": _unequal_pairs,
    "mixed_scopes": _mixed_scopes,
    "too_many_times": _too_many_times,
}
_SIBLINGS: dict[str, Callable[[Rule, Layer, Sequence[Cell], Mapping[str, Cell]], Siblings]] = {
    "all_hundred": _all_hundred,
    "sudden_jump": _sudden_jump,
    "identical": _identical,
    "not_moved": _not_moved,
    "digit_heaping": _digit_heaping,
}


def protected_layers(flag: Flag) -> list[Layer]:
    """The protected layers that one of a flag's measures belongs to."""
    return [
        layer
        for layer in registry.layers().values()
        if layer.protected and {layer.numerator, layer.denominator} & set(flag.measures)
    ]

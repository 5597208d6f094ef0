"""Numbers, shares and months as the reader's language writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from dashboard.coverage.model import Cell, Layer
from dashboard.ui.texts import _, language, unit_name
from loaders.registry import measures

MISSING = "—"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def number(value: float | None, decimals: int = 0) -> str:
    """``12,345``; a dash for nothing."""
    return MISSING if value is None else f"{value:,.{decimals}f}"


def amount(measure_id: str, value: float | None) -> str:
    """A measure's figure: whole things without decimals, money with two."""
    return number(value, measure_decimals(measure_id))


def measure_decimals(measure_id: str) -> int:
    """How many decimals a measure's figures are shown with."""
    return 0 if measures()[measure_id].integer else 2


def with_unit(text: str, unit: str) -> str:
    """``97.5%``, ``3.20 项/百户``."""
    return f"{text}{unit}" if unit == "%" else f"{text} {unit_name(unit)}"


def value(layer: Layer, amount: float | None, target: float | None = None) -> str:
    """A layer's value with its unit; of one that misses its target as ``Layer.written``."""
    if amount is None:
        return MISSING
    return with_unit(number(layer.written(amount, target), layer.decimals), layer.unit)


def between(
    layer: Layer, low: float | None, high: float | None, target: float | None = None
) -> str:
    """An interval of a layer's values: ``82.3%–87.1%``."""
    if low is None or high is None:
        return MISSING
    sign = "%" if layer.unit == "%" else ""
    least = number(layer.written(low, target), layer.decimals)
    return f"{least}{sign}–{value(layer, high, target)}"


def limit(amount: float) -> str:
    """A class limit or target, without needless decimals."""
    return f"{amount:,g}"


def moved(layer: Layer, cell: Cell) -> float | None:
    """The change on last month between the two values as shown, so that a reader's sum agrees."""
    if cell.change is None or cell.value is None:
        return None
    places = layer.decimals
    now, before = layer.written(cell.value, cell.aim), cell.value - cell.change
    return round(round(now, places) - round(before, places), places)


def change(layer: Layer, amount: float | None) -> str:
    """``▲ 1.2 个百分点`` for what ``moved`` says: percentages differ by points, not per cent."""
    if amount is None:
        return MISSING
    if amount == 0:
        return _("持平")
    return f"{'▲' if amount > 0 else '▼'} {apart(layer, abs(amount))}"


def apart(layer: Layer, amount: float) -> str:
    """How far two values of a layer lie from each other: ``1.2 个百分点``."""
    unit = _("个百分点") if layer.unit == "%" else unit_name(layer.unit)
    return f"{number(amount, layer.decimals)} {unit}"


def fraction(layer: Layer, numerator: float | None, denominator: float | None) -> str:
    """``20,714 / 22,444 人``, each with its unit where they differ; nothing for a mere count."""
    if layer.is_count:
        return ""
    top = measures()[layer.numerator].unit
    bottom = measures()[layer.denominator].unit
    above = amount(layer.numerator, numerator)
    if top != bottom:
        above = f"{above} {unit_name(top)}"
    return f"{above} / {amount(layer.denominator, denominator)} {unit_name(bottom)}"


def month(text: str) -> str:
    """``2026年10月`` or ``Oct 2026``."""
    year, _dash, number_ = text.partition("-")
    if language() == "en":
        return f"{_MONTHS[int(number_) - 1]} {year}"
    return f"{year}年{int(number_)}月"


def moment(at: datetime | float | str | None) -> str:
    """A time of this machine's zone: ``2026-11-22 08:03``; a dash for none."""
    if at is None or at == "":
        return MISSING
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    local = datetime.fromtimestamp(at) if isinstance(at, int | float) else at.astimezone()
    return local.strftime("%Y-%m-%d %H:%M")


def class_label(layer: Layer, index: int) -> str:
    """The words of one class: ``70% 以下``, ``70%–80%``, ``97% 及以上``."""
    return class_words(layer.breaks, "%" if layer.unit == "%" else "")[index]


def class_words(limits: Sequence[float], suffix: str) -> list[str]:
    """The words of the classes between inner limits, low value first."""
    signed = min(limits) < 0
    written = [
        f"{'+' if signed and amount > 0 else ''}{limit(amount)}{suffix}" for amount in limits
    ]
    range_of = _("{low} 至 {high}") if signed else "{low}–{high}"
    between = [range_of.format(low=low, high=high) for low, high in pairwise(written)]
    return [
        _("{limit} 以下").format(limit=written[0]),
        *between,
        _("{limit} 及以上").format(limit=written[-1]),
    ]

"""What the map's colours say, as a table's last columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dashboard.coverage import modes, verification, wording
from dashboard.coverage.model import Cell as Value
from dashboard.coverage.model import Layer, Status
from dashboard.coverage.modes import Mode, Shade
from dashboard.privacy.suppress import Shown
from dashboard.reports import tables
from dashboard.reports.model import Cell, Column
from dashboard.reports.tables import HIDDEN, Disclosure, Last

_WORDS_ALONE = (Mode.PACE, Mode.LQAS)
"""The value stands in the table already; households that failed are few, and so never listed."""
_LQAS = (
    f"LQAS 判定：按合格率 {verification.UPPER:.0%} 与 {verification.LOWER:.0%} 两档，"
    f"少于 {verification.DECIDES_FROM} 户为样本不足；只作判定，不作排名；不符的户数不列出"
)


def last(
    layer: Layer,
    mode: Mode,
    cells: Sequence[Value],
    shades: Mapping[str, Shade],
    disclosure: Disclosure,
    against: str | None,
) -> Last:
    """The number shown and the name of its class, only of places whose ratio is shown.

    What is left out of one source is left out of all, so what is told of the field sample goes by
    the view's own month; a change goes by the other month's ratio too.

    Args:
        shades: by place id.
        against: the month a change is measured from.
    """
    title, names = wording.mode_name(mode), wording.class_names(mode)
    if mode is Mode.CHANGE and against is not None:
        title = f"较{tables.month_words(against)}{title}"
    if mode in modes.DIFFERENCES:
        title = f"{title}({modes.unit(layer, mode)})"
    columns: tuple[Column, ...] = ()
    if mode not in _WORDS_ALONE:
        columns = (Column(title, modes.decimals(layer, mode)),)
    if names:
        columns += (Column("判断" if columns else title),)
    missing = tables.STATUS | wording.without_class(mode)

    def told(cell: Value) -> tuple[Cell, ...]:
        shade = shades[cell.place.id]
        if not _may_be_told(cell, disclosure):
            return (HIDDEN,) * len(columns)
        if shade.class_index is None or shade.value is None:
            return (missing[shade.status], *[None] * (len(columns) - 1))
        # Never a minus in front of nothing.
        number = round(shade.value, modes.decimals(layer, mode)) or 0.0
        found: list[Cell] = [] if mode in _WORDS_ALONE else [number]
        return (*found, *([names[shade.class_index]] if names else []))

    rules = [_LQAS] if mode is Mode.LQAS else wording.mode_rule(layer, mode)
    return Last(
        columns,
        {cell.place.id: told(cell) for cell in cells},
        ("；".join(one.rstrip("。") for one in rules) + "。",) if rules else (),
    )


def _may_be_told(cell: Value, disclosure: Disclosure) -> bool:
    other = disclosure.other.get(cell.place.id, Shown.ALL)
    return cell.status is not Status.TOO_LOW and disclosure.whole(cell) and other is Shown.ALL

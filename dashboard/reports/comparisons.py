"""The places of one level held against each other, as tables to take along.

A place whose ratio is left out is judged nowhere: it takes no rank, moves no limit, and its place
in an order tells nothing. Its absence from a list says neither that it would be on it nor that it
would not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from dashboard.coverage import forecast, funnel, ranking, wording
from dashboard.coverage.forecast import Forecast, YearEnd
from dashboard.coverage.model import Cell as Value
from dashboard.coverage.model import Direction, Layer, Part, View
from dashboard.coverage.ranking import Ranked
from dashboard.privacy.suppress import Shown
from dashboard.reports import tables
from dashboard.reports.model import Cell, Column, Sheet
from dashboard.reports.tables import Disclosure
from geodata.model import Level, Place
from loaders.registry import measures


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared, and what may be shown of it.

    Attributes:
        view, version: of the place above, in its month.
        places: all of the level, whatever is known of them.
        ways: by id, the names of the places between.
        disclosure: ``before`` is of all earlier months that a forecast may stand on.
    """

    view: View
    version: int
    layer: Layer
    above: Place
    level: Level
    places: Sequence[Place]
    ways: Mapping[str, str]
    disclosure: Disclosure
    by: str
    at: datetime
    leaving: bool

    def sheet(
        self,
        part: Part,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Cell]],
        said: Sequence[str],
    ) -> Sheet:
        """Columns and rows behind those that name a place, under a heading that says it all.

        Args:
            said: in sentences, what is judged how and of how many.
        """
        layer, above, level = self.layer, self.above, self.level.title
        name = f"{above.name}各{level} {layer.title}"
        place = f"{above.name}({above.id})各{level}"
        return Sheet(
            title=f"{name} {wording.part_name(part)} {tables.month_words(self.view.month)}",
            columns=(Column("地区"), Column("代码", width=18), Column("上级"), *columns),
            rows=rows,
            notes=(
                tables.about(place, layer.title, self.view, self.version),
                f"导出人：{self.by}；导出时间：{self.at:%Y-%m-%d %H:%M}",
                tables.rule(self.disclosure.threshold, self.leaving),
                # A line for each sentence: a longer one makes the printed table small.
                *"".join(said).replace("。", "。\n").splitlines(),
                layer.help,
            ),
        )

    def named(self, place: Place) -> tuple[Cell, Cell, Cell]:
        """A row's first cells; the place above stands for itself where nothing lies between."""
        return place.name, place.id, self.ways.get(place.id) or self.above.name


def _counted(judged: int, found: str, besides: str, hidden: int) -> str:
    """How many of how many places are listed, and how many of all of the level are not judged."""
    said = [f"{judged:,} 个单位中，{found}" if judged else "没有可以判断的单位", besides]
    left = f"因人数过少，有 {hidden:,} 个单位不列出数值，不作判断。" if hidden else ""
    return f"{'；'.join(filter(None, said))}。{left}"


def ranked(seen: Compared, cells: Sequence[Value], by_interval: bool, minimum: int) -> Sheet:
    """Every place: the ranked, the small, then those left out and those without a value, by code.

    Ranks count the ratios shown only.
    """
    layer, disclosure = seen.layer, seen.disclosure
    listed = ranking.rank(
        layer, [one for one in cells if disclosure.whole(one)], by_interval, minimum
    )
    hidden = sorted(
        (one for one in cells if not disclosure.whole(one)), key=lambda one: one.place.id
    )
    valued = [one for one in listed if one.cell.value is not None]
    others = [*(Ranked(one, None, False, None, None) for one in hidden), *listed[len(valued) :]]
    interval = ranking.has_interval(layer)
    limits = (
        (
            Column(f"95% 区间下限({layer.unit})", layer.decimals),
            Column(f"95% 区间上限({layer.unit})", layer.decimals),
        )
        if interval
        else ()
    )

    def row(one: Ranked) -> Sequence[Cell]:
        why = tables.status(one.cell, disclosure)
        return (
            *seen.named(one.cell.place),
            one.rank,
            *tables.numbers(one.cell, layer, disclosure),
            *((one.low, one.high) if interval else ()),
            wording.too_small(minimum) if one.small else why,
        )

    counted = sum(one.rank is not None for one in listed)
    small = f"；{wording.too_small(minimum)}" if ranking.has_minimum(layer) else ""
    said = f"{wording.ranked_by(layer, by_interval)}{small}；名次只在列出数值的单位中排列。"
    return seen.sheet(
        Part.RANK,
        (Column("名次", 0), *tables.counted(layer), *limits, Column("备注")),
        [row(one) for one in (*valued, *others)],
        (said, _counted(len(cells), f"{counted:,} 个排名", "", len(hidden))),
    )


def told(disclosure: Disclosure, one: YearEnd) -> bool:
    """Whether all values that a forecast stands on may be shown: December's own stands alone."""
    if not disclosure.whole(one.cell):
        return False
    alone = not forecast.months_left(one.month) and one.cell.value is not None
    return alone or disclosure.before.get(one.cell.place.id, Shown.ALL) is Shown.ALL


def misses(seen: Compared, found: Sequence[YearEnd]) -> Sheet:
    """The places that will miss, in the order given, of those whose months are all shown."""
    layer = seen.layer
    judged = [one for one in found if told(seen.disclosure, one)]
    unit, amount = layer.unit, measures()[layer.numerator].unit

    def row(one: YearEnd, december: Forecast) -> Sequence[Cell]:
        return (
            *seen.named(one.cell.place),
            *tables.numbers(one.cell, layer, seen.disclosure),
            *(
                tables.written(layer, value, one.target)
                for value in (december.value, december.low, december.high)
            ),
            one.target,
            *(None if lacks is None else ceil(lacks) for lacks in (one.short, one.monthly)),
            wording.verdict(one),
            wording.forecast_note(layer, one.cell),
        )

    rows = [row(one, one.december) for one in judged if one.misses and one.december is not None]
    silent = sum(not one.ahead for one in judged)
    surely = sum(one.surely for one in judged)
    return seen.sheet(
        Part.MISS,
        (
            *tables.counted(layer, "现值"),
            Column(f"年末预测({unit})", layer.decimals),
            Column(f"80% 区间下限({unit})", layer.decimals),
            Column(f"80% 区间上限({unit})", layer.decimals),
            Column(f"目标({unit})", 2, whole=True),
            Column(f"{'还差' if layer.direction is Direction.HIGHER else '超出'}({amount})", 0),
            Column(f"每月需({amount})", 0),
            Column("判断"),
            Column("备注"),
        ),
        rows,
        (
            wording.forecast_method(layer),
            _counted(
                len(judged) - silent,
                f"{len(rows):,} 个将完不成，其中 {surely:,} 个按区间上端也达不到",
                f"{silent:,} 个没有数值、目标或月份不足，不作预测" if silent else "",
                len(found) - len(judged),
            ),
        ),
    )


def outside(seen: Compared, cells: Sequence[Value], own: Value) -> Sheet:
    """The places outside the limits of the funnel, the clearly worse first, as the screen has them.

    Where ratios are left out, the limits stand on those shown only: a share or a scatter of all
    places would tell of the others. Then they are about the ratio of the place above if that is
    shown, for who is left out often did best; and of fewer than ``funnel.ENOUGH`` nobody is judged,
    for nothing tells how much places differ anyway, and who is as the others would be praised.

    Args:
        cells: of the level, those that have a value and limits.
        own: the place above.
    """
    layer, disclosure = seen.layer, seen.disclosure
    shown = [one for one in cells if disclosure.whole(one)]
    hidden = sum(disclosure.now.get(one.id, Shown.ALL) is not Shown.ALL for one in seen.places)
    common, about = None, "列出数值的单位合计"
    if hidden and own.value is not None and disclosure.whole(own):
        common, about = own.value / layer.factor, f"{seen.above.name}合计"
    few = hidden > 0 and len(shown) < funnel.ENOUGH
    drawn = funnel.draw([] if few else shown, common)
    rows = [
        (
            *seen.named(cell.place),
            *tables.numbers(cell, layer, disclosure),
            wording.funnel_name(tone),
        )
        for tone, cell in funnel.outside(layer, drawn)
    ]
    said = [f"{wording.funnel_rule()}。"]
    if drawn.cells:
        share = f"{drawn.share * layer.factor:.{layer.decimals}f}{layer.unit}"
        said += [f"界限围绕{about} {share}。", wording.widened(drawn.phi)]
    if drawn.share > 1:
        said.append(wording.above_whole())
    if few:
        said.append(f"列出数值的单位不足 {funnel.ENOUGH} 个，看不出平常相差多少，不作判断。")
    elif hidden:
        said.append("界限只由列出数值的单位算出，与页面所见可能不同。")
    without = len(seen.places) - hidden - len(shown)
    return seen.sheet(
        Part.FUNNEL,
        (*tables.counted(layer), Column("判断")),
        rows,
        (
            "".join(said),
            _counted(
                len(drawn.cells),
                f"{len(rows):,} 个在界限之外",
                f"{without:,} 个没有数值" if without else "",
                hidden,
            ),
        ),
    )

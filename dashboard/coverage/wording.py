"""What is said of figures, on screens and in files alike. Pure.

Each function takes ``_``, the reader's translation of a text; without it the words stand as they
are written here, in Chinese. ``tests/ui/test_texts.py`` finds them as it finds those of ``ui``.
"""

from __future__ import annotations

from collections.abc import Callable

from dashboard.coverage import forecast, ranking
from dashboard.coverage.forecast import YearEnd
from dashboard.coverage.model import Cell, Direction, Layer, Pace, Part, Status
from dashboard.coverage.modes import Mode
from dashboard.coverage.pace import STANDINGS, Standing

Say = Callable[[str], str]

# What the colours of a view say


def mode_name(mode: Mode, _: Say = str) -> str:
    """What the colours of a view say."""
    return {
        Mode.VALUE: _("数值"),
        Mode.PACE: _("序时进度"),
        Mode.CHANGE: _("变化"),
        Mode.GAP: _("上报减核实"),
        Mode.FACTOR: _("核实系数"),
        Mode.LQAS: _("LQAS 判定"),
    }[mode]


def class_names(mode: Mode, _: Say = str) -> list[str]:
    """The names of a mode's classes, low value first; none where limits say what they are."""
    if mode is Mode.PACE:
        return [standing_name(one, _) for one in STANDINGS]
    if mode is Mode.FACTOR:
        return [_("上报偏多(低于 0.90)"), _("基本一致"), _("上报偏少(高于 1.10)")]
    if mode is Mode.LQAS:
        return [_("不达标"), _("达标")]
    return []


def without_class(mode: Mode, _: Say = str) -> dict[Status, str]:
    """Why a place has no class, where a mode has other words for it than its status."""
    if mode is Mode.LQAS:
        return {Status.NO_DATA: _("未抽样"), Status.NOT_APPLICABLE: _("样本不足")}
    return {}


def mode_rule(layer: Layer, mode: Mode, _: Say = str) -> list[str]:
    """How a mode's numbers and classes are to be read, in sentences."""
    if mode is Mode.PACE:
        return [due(layer, _), *pace_rule(layer, _)[::-1]]
    if mode is Mode.GAP:
        return [_("正数：上报多于核实；负数：上报少于核实")]
    if mode is Mode.FACTOR:
        return [_("核实系数 = 核实数 ÷ 上报数")]
    return []


# Pace


def standing_name(standing: Standing, _: Say = str) -> str:
    """How a place stands against its pace."""
    return {
        Standing.AHEAD: _("达到序时"),
        Standing.BEHIND: _("落后序时"),
        Standing.LATE: _("严重滞后"),
    }[standing]


def due(layer: Layer, _: Say = str) -> str:
    """How much is due at a month's end."""
    if layer.pace is Pace.PROGRESS:
        return _("序时 = 年度目标 × 本年已过月数 ÷ 12。")
    return _("目标全年都应达到，序时即目标。")


def pace_rule(layer: Layer, _: Say = str) -> list[str]:
    """When a place stands how, worst first: what ``pace.standing`` does."""
    return [
        _("{standing}：{rule}").format(
            standing=standing_name(one, _), rule=_condition(layer, one, _)
        )
        for one in STANDINGS
    ]


def _condition(layer: Layer, standing: Standing, _: Say) -> str:
    if layer.direction is Direction.LOWER:
        return {
            Standing.AHEAD: _("不高于目标"),
            Standing.BEHIND: _("高于目标，不超过 10%"),
            Standing.LATE: _("高于目标 10% 以上"),
        }[standing]
    late = _("低于序时的 90%")
    if layer.pace is Pace.PROGRESS:
        late = _("低于序时的 90%，或年底未达目标")
    return {
        Standing.AHEAD: _("不低于序时"),
        Standing.BEHIND: _("低于序时，不低于序时的 90%"),
        Standing.LATE: late,
    }[standing]


# The places of one level


def part_name(part: Part, _: Say = str) -> str:
    """How the places of one level are compared."""
    return {
        Part.RANK: _("排名"),
        Part.MISS: _("将完不成"),
        Part.FUNNEL: _("漏斗图"),
    }[part]


def ranked_by(layer: Layer, by_interval: bool, _: Say = str) -> str:
    """How a ranking is ordered: a mere count is more or less, for places differ in size."""
    if by_interval:
        return _("按 95% 区间较差的一端，名次并列")
    if not layer.is_count:
        return _("由好到差，数值相同的名次并列")
    if layer.direction is Direction.HIGHER:
        return _("由多到少，数值相同的名次并列")
    return _("由少到多，数值相同的名次并列")


def too_small(least: int, _: Say = str) -> str:
    """Why a place takes no rank."""
    return _("分母小于 {least}，不排名").format(least=f"{least:,}")


def forecast_method(layer: Layer, _: Say = str) -> str:
    """How it is forecast, for people who will be asked."""
    how = (
        _(
            "从最近一个有数据的月份起，按今年以来平均每月的变化直线外推到 12 月"
            "（累计指标每年 1 月重新起算）。"
        )
        if forecast.adds_up(layer)
        else _("从最近一个有数据的月份起，按最近 12 个月平均每月的变化直线外推到 12 月。")
    )
    return how + _(
        "80% 区间由各月变化的大小不一得出：照同样的规律，五次里约有四次落在其中。"
        "没有考虑季节和工作安排；差多少按当月分母计算。"
    )


def verdict(end: YearEnd, _: Say = str) -> str:
    """How sure it is that a place will miss its target."""
    return _("上端也达不到") if end.surely else _("可能完不成")


def forecast_note(layer: Layer, cell: Cell, _: Say = str) -> str:
    """Why a forecast says less than others, or nothing."""
    if cell.denominator is None:
        return _("本月没有数据，按此前各月推算")
    if ranking.has_minimum(layer) and cell.denominator < ranking.MINIMUM:
        return _("分母小于 {least}，仅供参考").format(least=ranking.MINIMUM)
    return ""


def funnel_name(tone: str, _: Say = str) -> str:
    """A standing in the funnel: one of ``funnel.TONES``."""
    return {
        "far-worse": _("明显较差"),
        "worse": _("可能较差"),
        "inside": _("界限之内"),
        "better": _("可能较好"),
        "far-better": _("明显较好"),
    }[tone]


def funnel_rule(_: Say = str) -> str:
    """What it means to lie outside the limits."""
    return _("99.8% 界限之外的确实不同；95% 界限之外的，每 20 个本无差别的单位里也会有 1 个")


def above_whole(_: Say = str) -> str:
    """Why there is no funnel about a share above 1."""
    return _("合计分子大于分母，比率超过 100%，没有漏斗图。请先核对这个图层的数据。")


def widened(phi: float, _: Say = str) -> str:
    """That limits are wider than chance alone makes them; nothing where they are not."""
    if phi <= 1:
        return ""
    return _("各单位之间的差异超出偶然，界限已按离散系数 {phi} 放宽。").format(phi=f"{phi:,.1f}")

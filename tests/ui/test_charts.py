"""The trend: gaps stay gaps, ticks are round numbers, the forecast goes on. The funnel's points."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from dashboard.coverage import registry, wording
from dashboard.coverage.forecast import Forecast, YearEnd
from dashboard.coverage.funnel import TONES, Funnel, Standing, draw, tone_of
from dashboard.coverage.model import Cell, Direction, Status, Target, TrendPoint
from dashboard.ui import charts
from geodata.model import Level, Place

CONTRACT = registry.layer("contract_coverage")


def points(values: list[float | None]) -> list[TrendPoint]:
    return [
        TrendPoint(
            f"{2024 + index // 12}-{index % 12 + 1:02}", value, 100.0, value,
            Status.NO_DATA if value is None else Status.OK,
            Target(100.0 if index < 12 else 90.0, None if index < 12 else "C"),
        )
        for index, value in enumerate(values)
    ]  # fmt: skip


def test_a_month_without_a_value_breaks_the_line() -> None:
    drawn = charts.trend(CONTRACT, points([50, 60, None, 70, None, None, 80, 90]))
    assert drawn is not None
    assert [len(line) for line in drawn.lines] == [2, 1, 2]
    assert len(drawn.silent) == 3
    assert "没有数值" in drawn.silent[0].words


def test_the_target_line_steps_where_a_year_wants_another() -> None:
    drawn = charts.trend(CONTRACT, points([50.0] * 14))
    assert drawn is not None
    first, last = drawn.steps
    assert (first.left, last.right) == (charts.LEFT, charts.WIDTH - charts.RIGHT)
    assert first.right == last.left and first.at < last.at
    marks = drawn.lines[0]
    assert marks[11].x < last.left < marks[12].x
    # Two months are too narrow for the words: they end at the edge.
    assert [(step.label, step.at_end) for step in drawn.steps] == [
        ("目标 100%", False),
        ("目标 90%", True),
    ]


def test_a_share_that_is_all_of_it_in_all_months_has_no_axis_beyond_the_whole() -> None:
    drawn = charts.trend(CONTRACT, points([100.0] * 10))
    assert drawn is not None
    assert [tick.label for tick in drawn.values] == ["50%", "100%"]
    (line,) = drawn.lines
    assert {mark.y for mark in line} == {charts.TOP}


def test_the_month_in_view_is_said_and_marked_not_the_latest() -> None:
    markup = charts.markup(CONTRACT, points([50, 60, 70, 80]), "2024-02")
    assert "2024年2月：60.0%" in markup.partition("dd-readout")[2]
    drawn = charts.trend(CONTRACT, points([50, 60, 70, 80]))
    assert drawn is not None
    (now,) = re.findall(r'class="now" cx="([\d.]+)"', markup)
    assert float(now) == drawn.lines[0][1].x


def test_a_month_long_ago_is_drawn_with_the_months_before_it() -> None:
    long = points([50.0, 60.0, *[None] * 30])
    assert "各月都没有数值" in charts.markup(CONTRACT, long, "2026-08")
    markup = charts.markup(CONTRACT, long, "2024-02")
    assert "2024年2月：60.0%" in markup and 'class="now"' in markup


def test_it_says_since_when_the_place_has_been_off_pace() -> None:
    late = [100.0, 100.0, 80.0, None, 80.0]
    assert "2024年3月起一直未达序时。" in charts.markup(CONTRACT, points(late), "2024-05")
    assert "本月起未达序时。" in charts.markup(CONTRACT, points(late), "2024-03")
    assert "未达序时" not in charts.markup(CONTRACT, points(late), "2024-02")
    assert "未达序时" not in charts.markup(CONTRACT, points(late), "2024-04")
    always = charts.markup(CONTRACT, points([80.0, 81.0]), "2024-02")
    assert "有数据以来（2024年1月起）一直未达序时。" in always
    # As red, or as amber, as the pace itself.
    assert '"dd-since bad">有数据' in always
    near = charts.markup(CONTRACT, points([95.0]), "2024-01")
    assert '"dd-since warn">本月起未达序时' in near


def test_nothing_to_draw() -> None:
    assert charts.trend(CONTRACT, points([None, None])) is None
    assert charts.trend(CONTRACT, []) is None
    assert "各月都没有数值" in charts.markup(CONTRACT, [], "2024-01")


@given(st.lists(st.none() | st.floats(0, 1e6), min_size=1, max_size=40))
def test_everything_lies_inside_the_drawing(values: list[float | None]) -> None:
    drawn = charts.trend(CONTRACT, points(values))
    shown = values[-charts.MONTHS_SHOWN :]
    if drawn is None:
        assert all(value is None for value in shown)
        return
    marks = [mark for line in drawn.lines for mark in line]
    assert len(marks) == sum(value is not None for value in shown)
    assert all(charts.TOP <= mark.y <= charts.HEIGHT - charts.BOTTOM for mark in marks)
    assert all(charts.LEFT <= mark.x <= charts.WIDTH - charts.RIGHT for mark in marks)
    assert drawn.steps
    assert all(charts.TOP <= step.at <= charts.HEIGHT - charts.BOTTOM for step in drawn.steps)
    assert 2 <= len(drawn.values) <= 8


def year_end(month: str, *values: float) -> YearEnd:
    place = Place("1", "甲", Level.VILLAGE, None, "1/", date(2020, 1, 1))
    cell = Cell(place, 1.0, 1.0, 1.0, Status.OK, 0, 1, 1, None, 1, 1, None, None, True, False)
    told = tuple(Forecast(value, value - 5, value + 5, 12) for value in values)
    return YearEnd(cell, month, 100.0, told, 12, True, True, 1.0, 1.0)


def test_the_line_goes_on_to_december_from_the_latest_value() -> None:
    drawn = charts.trend(CONTRACT, points([50.0] * 8 + [60.0, 62.0]), year_end("2024-10", 64, 66))
    assert drawn is not None and len(drawn.ahead) == 2
    last = drawn.lines[-1][-1]
    assert drawn.begin == f"{last.x},{last.y}"
    assert last.x < drawn.ahead[0].x < drawn.ahead[1].x == charts.WIDTH - charts.RIGHT
    assert drawn.months[0].label == "24/12"
    assert "2024年12月预测：66.0%（80% 区间 61.0%–71.0%）" in drawn.ahead[-1].words
    corners = [tuple(map(float, corner.split(","))) for corner in drawn.band.split()]
    assert corners[0] == (last.x, last.y) and len(corners) == 5
    assert corners[2][1] < drawn.ahead[1].y < corners[3][1]


def test_a_forecast_from_an_earlier_month_lies_over_what_came() -> None:
    drawn = charts.trend(CONTRACT, points([50.0] * 12), year_end("2024-09", 51, 52, 53))
    assert drawn is not None and len(drawn.ahead) == 3
    assert drawn.ahead[0].x == drawn.lines[0][9].x
    # Of a year that is not drawn, nothing is.
    other = charts.trend(CONTRACT, points([50.0] * 12), year_end("2019-11", 51))
    assert other is not None and other.ahead == () and other.band == ""


def test_what_adds_up_begins_a_new_line_in_january() -> None:
    values: list[float | None] = [float(n % 12 + 1) for n in range(18)]
    breast = charts.trend(registry.layer("breast_screening"), points(values))
    assert breast is not None and [len(line) for line in breast.lines] == [12, 6]
    level = charts.trend(CONTRACT, points(values))
    assert level is not None and [len(line) for line in level.lines] == [18]


def test_in_december_nothing_is_dashed() -> None:
    drawn = charts.trend(CONTRACT, points([50.0] * 12), year_end("2024-12", 50))
    assert drawn is not None and drawn.ahead == () and drawn.band == "" and drawn.begin == ""


def spread(*counts: tuple[int, int]) -> Funnel:
    whole = year_end("2024-10").cell
    return draw(
        [
            replace(
                whole, place=replace(whole.place, id=str(at), name=f"<b>{at}村"),
                numerator=float(done), denominator=float(due), value=100 * done / due,
            )
            for at, (done, due) in enumerate(counts)
        ]
    )  # fmt: skip


def test_every_place_of_a_funnel_is_drawn_where_its_limits_say() -> None:
    found = spread((10, 100), (80, 100), (82, 100), (78, 100), (81, 100), (2, 2), (100, 100))
    markup = charts.funnel_markup(CONTRACT, found, {"0": "甲镇"})
    assert markup.count("data-words=") == 7 and found.phi == 1 and "<b>0村" not in markup
    assert "甲镇 &lt;b&gt;0村：10.0%，10 / 100 人，明显较差" in markup
    drawn = charts.funnel(CONTRACT, found, {})
    assert len(drawn.curves) == 4 and [one.style for one in drawn.curves].count("outer") == 2
    # Those outside stand last, so that nothing hides them.
    assert drawn.marks.rindex("<circle") < drawn.marks.index("<path")
    for tone in TONES:
        assert wording.funnel_name(tone) in markup


def test_where_less_is_better_below_is_better() -> None:
    lower = replace(CONTRACT, direction=Direction.LOWER)
    assert tone_of(CONTRACT, Standing.FAR_BELOW) == "far-worse"
    assert tone_of(lower, Standing.FAR_BELOW) == "far-better"
    assert tone_of(lower, Standing.INSIDE) == "inside"


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(1, 400)).map(lambda one: (min(one), one[1])),
        min_size=1,
        max_size=40,
    )
)
def test_every_point_lies_inside_the_plot(counts: list[tuple[int, int]]) -> None:
    drawn = charts.funnel(CONTRACT, spread(*counts), {})
    marks = re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"|d="M([-\d.]+),([-\d.]+)', drawn.marks)
    assert len(marks) == len(counts)
    for circle_x, circle_y, x, y in marks:
        assert 0 <= float(circle_x or x) <= charts.FUNNEL_WIDTH
        assert 0 <= float(circle_y or y) <= charts.FUNNEL_HEIGHT
    assert 1 <= len(drawn.values) <= 12 and 2 <= len(drawn.counts) <= 12

"""The trend: gaps stay gaps, the target is on the drawing, ticks are round numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboard.coverage import registry
from dashboard.coverage.model import Status, Target, TrendPoint
from dashboard.ui import charts

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


def test_nothing_to_draw() -> None:
    assert charts.trend(CONTRACT, points([None, None])) is None
    assert charts.trend(CONTRACT, []) is None
    assert "各月都没有数值" in charts.markup(CONTRACT, [])


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

"""Numbers, months and dates as people write them."""

from __future__ import annotations

import calendar
import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import parse

YEARS = st.integers(1949, 2100)
MONTHS = st.integers(1, 12)
WIDE = str.maketrans("0123456789.%-,", "０１２３４５６７８９．％－，")


def numbers(*words: str) -> parse.Numbers:
    return parse.numbers(np.array(words, dtype=object))


@given(YEARS, MONTHS, st.booleans())
def test_every_way_to_write_a_month(year: int, month: int, wide: bool) -> None:
    expected = f"{year}-{month:02d}"
    forms = [
        f"{year}-{month:02d}", f"{year}-{month}", f"{year}/{month}", f"{year}.{month:02d}",
        f"{year}{month:02d}", f"{year}年{month}月", f"{year}年{month:02d}月份",
        f" {year} 年 {month} 月 ", f"{year}-{month:02d}-15", f"{year}/{month}/1",
        f"{year}年{month}月28日", f"{year}{month:02d}09", f"{year}-{month:02d}-01 00:00:00",
    ]  # fmt: skip
    for form in forms:
        text = form.translate(WIDE) if wide else form
        assert parse.month(text) == expected, text


@given(YEARS, st.one_of(st.just(0), st.integers(13, 99)))
def test_no_such_month(year: int, month: int) -> None:
    for form in (f"{year}-{month:02d}", f"{year}年{month}月", f"{year}{month:02d}"):
        assert parse.month(form) is None


@pytest.mark.parametrize("text", ["2018-13", "2026", "10月", "2026-10-32", "0026-10", "x", "46296"])
def test_not_a_month(text: str) -> None:
    assert parse.month(text) is None


def test_a_month_cell_that_lost_its_zero_is_not_guessed() -> None:
    assert parse.month("2026.1") == parse.AMBIGUOUS_MONTH
    assert parse.month("2026.2") == "2026-02"


@pytest.mark.parametrize(
    ("title", "month"),
    [
        ("安次区2026年10月家庭医生签约统计表", "2026-10"),
        ("签约_2026-10", "2026-10"),
        ("签约202610", "2026-10"),
        ("2026年10月（截至2026年10月）", "2026-10"),
        ("2026-10-31 报表", None),
        ("2026年9月、2026年10月", None),
        ("131002101201", None),
        ("2026年度", None),
    ],
)
def test_months_in_titles(title: str, month: str | None) -> None:
    assert parse.month_in(title) == month


@given(st.dates(dt.date(1900, 1, 1), dt.date(2100, 12, 31)))
def test_dates(day: dt.date) -> None:
    forms = (f"{day}", f"{day:%Y/%m/%d}", f"{day.year}年{day.month}月{day.day}日", f"{day:%Y%m%d}")
    for form in forms:
        assert parse.date(form) == day
        assert parse.period_day(form) == day
    last = parse.month_last_day(f"{day:%Y-%m}")
    assert last == np.datetime64(day.replace(day=calendar.monthrange(day.year, day.month)[1]), "D")


def test_periods_may_start_with_a_month_or_year() -> None:
    assert parse.period_day("2020年5月") == dt.date(2020, 5, 1)
    assert parse.period_day("2020") == dt.date(2020, 1, 1)
    assert parse.period_day("2020-02-30") is None
    assert parse.is_open_end("长期") and parse.is_open_end("9999-12-31")


@given(st.integers(-(10**12), 10**12), st.booleans())
def test_integers_however_grouped_and_wide(number: int, wide: bool) -> None:
    words = [str(number), f"{number:,}", f" {number} ", f"{number}.0"]
    words = [word.translate(WIDE) for word in words] if wide else words
    found = numbers(*words)
    assert found.values.tolist() == [number] * 4
    assert not (found.blank | found.percent | found.bad).any()


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_floats_round_trip(number: float) -> None:
    found = numbers(repr(number), f"{number!r}%")
    assert found.values.tolist() == [number, number]
    assert found.percent.tolist() == [False, True]


@given(st.text(max_size=20))
def test_any_text_is_one_thing(text: str) -> None:
    found = numbers(text)
    kinds = [bool(found.blank[0]), bool(found.percent[0]), bool(found.bad[0])]
    assert sum(kinds) <= 1
    assert np.isnan(found.values[0]) == (kinds[0] or kinds[2])
    month = parse.month(text)
    assert month is None or month == parse.AMBIGUOUS_MONTH or len(month) == 7


def test_no_data_is_not_zero() -> None:
    blanks = ("", " ", "-", "—", "——", "…", "……", "N/A", "n/a", "无", "－", "#N/A", "NaN")
    found = numbers(*blanks)
    assert found.blank.all()
    assert np.isnan(found.values).all()


@pytest.mark.parametrize(
    "word", ["abc", "12人", "1.2万", "12,34", "½", "1e999", "inf", "1 2", "(5)"]
)
def test_bad_numbers(word: str) -> None:
    assert numbers(word).bad.tolist() == [True]


def test_percent_half_and_full_width() -> None:
    found = numbers("85%", "85％", "８５．５％", "%", "a%")
    assert found.percent.tolist() == [True, True, True, False, False]
    assert found.bad.tolist() == [False, False, False, True, True]
    assert found.values[:3].tolist() == [85, 85, 85.5]

"""Issues are counted, filtered and paged the same however many there are."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.intake.issues import PER_PAGE, Filter, IssueIndex, pages
from loaders.issues import block, make
from loaders.model import IssueLog, Severity


@pytest.fixture(scope="module")
def index() -> IssueIndex:
    log = IssueLog()
    log.append(make("CRS_MISSING"))
    rows = np.arange(2, 100_002, dtype=np.int64)
    values = np.array([f"很{number}" for number in rows], dtype=object)
    sheets = np.where(rows % 2 == 0, "甲", "乙").astype(object)
    log.add(block("BAD_NUMBER", rows, sheets, "签约人数", values))
    log.append(make("NEGATIVE_COUNT", sheet="甲", row=7, column="人口", value="-5"))
    log.append(make("DUPLICATE_ROW", sheet="乙", row=9, first=8, key="x"))
    return IssueIndex(log)


def test_errors_come_first_and_codes_are_counted(index: IssueIndex) -> None:
    assert len(index) == 100_003
    assert [(one.code, one.count) for one in index.codes()] == [
        ("BAD_NUMBER", 100_000), ("NEGATIVE_COUNT", 1), ("DUPLICATE_ROW", 1), ("CRS_MISSING", 1),
    ]  # fmt: skip
    first = index.codes()[0]
    assert (first.first_row, first.last_row, first.example.row) == (2, 100_001, 2)
    everything = index.select(Filter())
    assert index.page(everything, 0)[0].code == "BAD_NUMBER"
    assert len(index.page(everything, 0)) == PER_PAGE
    assert [one.code for one in index.page(everything, pages(len(everything)) - 1)][-1] == (
        "CRS_MISSING"
    )


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Filter(severity=Severity.WARNING), 1),
        (Filter(severity=Severity.ERROR), 100_001),
        (Filter(code="NEGATIVE_COUNT"), 1),
        (Filter(code="NO_SUCH"), 0),
        (Filter(sheet="甲"), 50_001),
        (Filter(sheet="甲", code="BAD_NUMBER"), 50_000),
        (Filter(column="人口"), 1),
        (Filter(column="没有"), 0),
        (Filter(text="很4711"), 11),
        (Filter(text="  -5 "), 1),
        (Filter(text="不是数字"), 100_000),
        (Filter(text="is not a number"), 100_000),
        (Filter(text="negative_count"), 1),
        (Filter(text="100001"), 1),
        (Filter(text="甲", severity=Severity.WARNING), 0),
        (Filter(text="{row}"), 0),
    ],
)
def test_filters_keep_what_they_say(index: IssueIndex, wanted: Filter, count: int) -> None:
    assert len(index.select(wanted)) == count


def test_sheets_and_columns_to_choose_from(index: IssueIndex) -> None:
    assert index.sheets == ("乙", "甲")
    assert index.columns == ("人口", "签约人数")


def test_nothing_is_one_empty_page() -> None:
    empty = IssueIndex(IssueLog())
    assert len(empty) == 0 and empty.codes() == [] and pages(0) == 1
    assert empty.page(empty.select(Filter(text="甲")), 0) == []
    assert empty.sheets == () and empty.columns == ()
    assert (pages(50), pages(51)) == (1, 2)

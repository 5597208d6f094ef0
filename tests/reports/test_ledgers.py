"""Ledgers as files: masked, nothing live in them, audited, and only for whom they may leave."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from dashboard.access import SYSTEM, Actor, NotAllowed, Role
from dashboard.coverage.ledgers import Period, Query
from dashboard.reports import service, sheets
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, Filter
from geodata.errors import DudaoError
from tests.reports.hostile import TEXTS
from tests.reports.test_service import Trail
from tests.security.actors import CLERK_A, HEAD_A1, LEADER_A, holding
from tests.store import records, world
from tests.store.test_records import load, load_all

MONTH = "2026-10"
VIEWER_A = holding((Role.VIEWER, "A"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store.open(tmp_path_factory.mktemp("ledgers"))
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    made = records.invented(41, persons=40)
    made["events"] = [
        {**made["events"][0], "place_id": "V00", "title": title, "persons": 3.0}
        for title in dict.fromkeys(TEXTS)
        if title
    ]
    load_all(store, made)
    person = made["residents"][0]
    register = pd.DataFrame(
        [(person["person"], person["place_id"], "张三丰", "0011", "13900001111", None, 1960)],
        columns=["key", "place_id", "name", "id_last4", "phone", "sex", "birth_year"],
    ).astype({"birth_year": "Int16"})
    commit(store, SYSTEM, Change(dataset="persons", frame=register, file="p.csv"), ())
    yield store
    store.close()


def table(
    store: Store, actor: Actor, dataset: str, place: str, **further: Any
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the CSV."""
    query = Query(dataset, place, MONTH, Period.ALL, **further)
    made = service.ledger_table(store, actor, query, format="csv")
    lines = list(csv.reader(StringIO(made.body.decode("utf-8-sig"), newline="")))
    head = next(number for number, line in enumerate(lines) if line[0] == "序号")
    return lines[head], lines[head + 1 :]


def test_the_file_holds_the_filtered_rows_with_words_and_units(loaded: Store) -> None:
    wanted = (Filter("kind", among=("water",)),)
    heads, rows = table(loaded, SYSTEM, "samples", "A", filters=wanted)
    assert heads == ["序号", "地区", "上级", "代码", "检测月份", "样品类别", "计划份数(份)",
                     "检测份数(份)"]  # fmt: skip
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert {row[5] for row in rows} == {"水氟水碘"} and {row[6] for row in rows} == {"20"}
    assert {(row[1], row[2]) for row in rows} >= {("平舒村", "平舒镇")}


def test_persons_leave_masked_and_the_file_says_so(loaded: Store) -> None:
    query = Query("residents", "C", MONTH, Period.ALL)
    for format in ("xlsx", "csv"):
        made = service.ledger_table(loaded, SYSTEM, query, format=format)
        if format == "xlsx":
            sheet = openpyxl.load_workbook(BytesIO(made.body)).active
            said = "\n".join(
                str(cell) for row in sheet.iter_rows(values_only=True) for cell in row if cell
            )
        else:
            said = made.body.decode("utf-8-sig")
        assert "张**" in said and "**************0011" in said and "不得转发" in said
        assert "张三丰" not in said and "13900001111" not in said
        assert made.name == f"廊坊市_贫困人口台账_2026-10.{format}"


def test_nothing_a_record_says_becomes_live(loaded: Store) -> None:
    query = Query("events", "V00", MONTH, Period.ALL)
    made = service.ledger_table(loaded, SYSTEM, query, format="xlsx")
    sheet = openpyxl.load_workbook(BytesIO(made.body)).active
    cells = [cell for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [cell for cell in cells if cell.data_type == "f"]
    heads, rows = table(loaded, SYSTEM, "events", "V00")
    at = heads.index("活动名称")
    assert {sheets.csv_text(row[at]) for row in rows} >= {"=1+1", "@SUM(1)", "+1", "-1"}
    assert not [row[at] for row in rows if row[at][:1] in ("=", "+", "-", "@", "\t", "\n")]


@pytest.mark.parametrize("dataset", ["residents", "services", "households", "visits", "revisits"])
def test_ledgers_of_persons_leave_only_with_who_may_see_them(loaded: Store, dataset: str) -> None:
    with pytest.raises(DudaoError) as told:
        table(loaded, LEADER_A, dataset, "A")
    assert told.value.code == "LEDGER_NOT_EXPORTED"
    assert table(loaded, CLERK_A, dataset, "A")[1]


def test_without_that_right_nothing_that_counts_persons_leaves(loaded: Store) -> None:
    """Small counts are left out of exports; here nobody could tell which are safe."""
    heads, rows = table(loaded, LEADER_A, "settlements", "A")
    assert "总费用(万元)" in heads and not [one for one in heads if "(人" in one]
    assert rows and "受益人次(人次)" in table(loaded, SYSTEM, "settlements", "A")[0]
    assert not [one for one in table(loaded, LEADER_A, "events", "A")[0] if "(人" in one]


def test_who_may_not_export_or_not_there_is_refused(loaded: Store) -> None:
    with pytest.raises(NotAllowed):
        table(loaded, VIEWER_A, "events", "A")
    for place in ("A2", "C"):
        with pytest.raises(DudaoError) as told:
            table(loaded, HEAD_A1, "events", place)
        assert told.value.code == "PLACE_NOT_FOUND"


def test_an_export_is_audited_before_it_is_handed_out(loaded: Store) -> None:
    trail = Trail(loaded)
    _, rows = table(loaded, HEAD_A1, "contracts", "A1", filters=(Filter("fee_paid", flag=True),))
    assert trail.rows() == [
        (HEAD_A1.id, "A1", "done", {
            "dataset": "contracts", "month": MONTH, "period": "all", "columns": ["fee_paid"],
            "format": "csv", "rows": len(rows),
        })
    ]  # fmt: skip


def test_more_rows_than_a_file_takes_are_refused(
    loaded: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_A_PAGE", 3)
    with pytest.raises(DudaoError) as told:
        table(loaded, SYSTEM, "events", "C")
    assert told.value.code == "TOO_MANY_ROWS" and "缩小" in told.value.remedy


def test_an_empty_ledger_is_an_empty_table(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    heads, rows = table(store, SYSTEM, "teams", "A")
    assert "成员数(人)" in heads and rows == []
    load(store, "teams", records.invented(2)["teams"])
    assert len(table(store, SYSTEM, "teams", "A")[1]) == 6
    store.close()

"""The children's table: what it shows, to whom, and the audit row each export leaves."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import date
from io import BytesIO, StringIO
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from sqlalchemy import text

from dashboard.access import SYSTEM, Actor, Grant, NotAllowed, Role, operator
from dashboard.coverage import registry
from dashboard.coverage.model import View
from dashboard.reports import service
from dashboard.reports.model import Format
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, Pair
from geodata.errors import DudaoError
from tests.store import world

LAYER = "contract_coverage"
HEAD = Actor("7", "乡镇甲", grants=(Grant(Role.TOWNSHIP_HEAD, "A1", ("C/A/A1/",)),))
VIEWER = Actor("8", "查看人员", grants=(Grant(Role.VIEWER, "C", ("C/",)),))
LATE = Actor(
    "9",
    "已离任",
    grants=(Grant(Role.COUNTY_LEADER, "C", ("C/",), date(2020, 1, 1), date(2021, 1, 1)),),
)


def figures(month: str, remaining: dict[str, int], without: tuple[str, ...] = ()) -> pd.DataFrame:
    """100 persons in the first village, one more in each next; so many of them not contracted."""
    rows = []
    for number, village in enumerate(world.VILLAGES):
        if village not in without:
            persons = 100.0 + number
            rows.append((village, month, "registered_persons", persons))
            rows.append(
                (village, month, "contracted_persons", persons - remaining.get(village, 20))
            )
    frame = pd.DataFrame(rows, columns=["place_id", "month", "measure", "value"])
    return frame.assign(source="reported")


def load(store: Store) -> Store:
    """Two months: in September a count of V02 is small, in October one of V00."""
    for change in (
        world.places_change(),
        Change(dataset="figures", frame=figures("2026-09", {"V01": 8, "V02": 2})),
        Change(dataset="figures", frame=figures("2026-10", {"V00": 3, "V04": 7}, ("V05",))),
    ):
        commit(store, SYSTEM, change, registry.pairs())
    return store


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = load(Store.open(tmp_path_factory.mktemp("reports")))
    yield store
    store.close()


Audited = list[tuple[str, str | None, str, dict[str, object]]]


class Trail:
    """The audit rows of exports since the test began: actor, place, outcome, details."""

    def __init__(self, store: Store) -> None:
        self._store, self._before = store, 0
        self._before = len(self.rows())

    def rows(self) -> Audited:
        statement = (
            "SELECT actor, place_id, outcome, details FROM audit"
            " WHERE action = 'figures.export' ORDER BY seq"
        )
        with self._store.engine.connect() as connection:
            found = connection.execute(text(statement)).all()
        return [
            (*row[:3], json.loads(row[3]) if isinstance(row[3], str) else row[3])
            for row in found[self._before :]
        ]


@pytest.fixture
def loaded(opened: Store) -> Store:
    return opened


@pytest.fixture
def trail(opened: Store) -> Trail:
    return Trail(opened)


def view(place: str, month: str = "2026-10") -> View:
    return View(place, LAYER, month)


def rows(
    store: Store,
    place: str,
    *,
    month: str = "2026-10",
    leaving: bool = False,
    actor: Actor = SYSTEM,
) -> dict[str, list[str]]:
    """The exported rows by code, from the number on."""
    made = service.children_table(store, actor, view(place, month), leaving=leaving, format="csv")
    lines = list(csv.reader(StringIO(made.body.decode("utf-8-sig"))))
    head = next(number for number, line in enumerate(lines) if line[0] == "地区")
    return {code: rest for _, code, *rest in lines[head + 1 :]}


def test_a_table_leaves_out_the_small_and_one_beside_it(loaded: Store) -> None:
    found = rows(loaded, "A1")
    assert list(found) == ["A1", "V02", "V00", "V01"]
    assert found["A1"][:3] == ["260", "303", "85.8"]
    assert found["V02"][:3] == ["82", "102", "80.4"]
    assert found["V00"][:3] == ["*", "100", "*"]
    assert found["V01"][:3] == ["*", "101", "*"]


def test_ranks_count_what_is_shown_only(loaded: Store) -> None:
    found = rows(loaded, "A1")
    assert [row[4] for row in found.values()] == ["", "1", "", ""]


def test_a_change_is_shown_only_where_both_months_are(loaded: Store) -> None:
    changes = {code: row[3] for code, row in rows(loaded, "A").items()}
    village = {code: row[3] for code, row in rows(loaded, "A1").items()}
    assert village["V00"] == village["V01"] == ""
    assert changes["A1"] != ""
    september = rows(loaded, "A1", month="2026-09")
    assert september["V02"][0] == "*"
    assert village["V02"] == ""


def test_what_leaves_the_county_leaves_out_more(loaded: Store) -> None:
    inside, leaving = rows(loaded, "A2"), rows(loaded, "A2", leaving=True)
    assert "*" not in inside["V04"]
    assert leaving["V04"][:3] == ["*", "104", "*"]
    assert leaving["V05"][-1].startswith("无数据")


def test_a_place_shows_the_same_whoever_asks_and_from_wherever(loaded: Store) -> None:
    from_above, own = rows(loaded, "A"), rows(loaded, "A1")
    assert from_above["A1"][:3] == own["A1"][:3]
    head = rows(loaded, "A1", actor=HEAD)
    assert {code: row[:3] for code, row in head.items()} == {
        code: row[:3] for code, row in own.items()
    }


def test_the_heading_says_what_who_when_and_the_rule(loaded: Store) -> None:
    for leaving, words in ((False, "县内使用：少于 5"), (True, "带出本县：少于 10")):
        made = service.children_table(loaded, HEAD, view("A1"), leaving=leaving, format="csv")
        top = made.body.decode("utf-8-sig").partition('"地区"')[0]
        for said in ("平舒镇", "家庭医生签约率", "2026年10月", "乡镇甲", words, "“*”"):
            assert said in top
        bound = "_报送县外" if leaving else ""
        assert made.name == f"平舒镇_家庭医生签约率_2026-10{bound}.csv"


def test_the_login_of_the_machine_stays_out_of_files(loaded: Store, trail: Trail) -> None:
    made = service.children_table(
        loaded, operator("machinelogin"), view("A1"), leaving=False, format="csv"
    )
    assert b"machinelogin" not in made.body
    assert "本机操作员" in made.body.decode("utf-8-sig")
    assert trail.rows()[-1][0] == "operator:machinelogin"


def test_each_export_is_audited_on_either_database(store: Store) -> None:
    trail = Trail(load(store))
    for format in Format:
        service.children_table(store, HEAD, view("A1"), leaving=True, format=format.value)
    for format, (actor, place, outcome, details) in zip(Format, trail.rows(), strict=True):
        assert (actor, place, outcome) == ("7", "A1", "done")
        assert details == {
            "layer": LAYER, "month": "2026-10", "source": "reported", "version": 1,
            "format": format.value, "leaving": True, "threshold": 10, "rows": 4, "left_out": 2,
        }  # fmt: skip


@pytest.mark.parametrize("place", ["A2", "C", "V05"])
def test_a_township_head_exports_no_other_place(loaded: Store, trail: Trail, place: str) -> None:
    with pytest.raises(DudaoError) as caught:
        service.children_table(loaded, HEAD, view(place), leaving=False, format="xlsx")
    assert caught.value.code == "PLACE_NOT_FOUND"
    assert [row[:3] for row in trail.rows()] == [("7", place, "denied")]


@pytest.mark.parametrize("actor", [VIEWER, LATE])
def test_who_may_not_export_does_not(loaded: Store, trail: Trail, actor: Actor) -> None:
    with pytest.raises(NotAllowed):
        service.children_table(loaded, actor, view("A1"), leaving=False, format="xlsx")
    assert [row[2] for row in trail.rows()] == ["denied"]


@pytest.mark.parametrize(
    ("wanted", "format", "code"),
    [
        (view("A1"), "exe", "FORMAT_UNKNOWN"),
        (view("A1", "2020-01"), "xlsx", "MONTH_NOT_FOUND"),
        (View("A1", "no_layer", "2026-10"), "xlsx", "LAYER_NOT_FOUND"),
    ],
)
def test_what_does_not_exist_is_refused(
    loaded: Store, trail: Trail, wanted: View, format: str, code: str
) -> None:
    with pytest.raises(DudaoError) as caught:
        service.children_table(loaded, SYSTEM, wanted, leaving=False, format=format)
    assert caught.value.code == code
    assert "done" not in [row[2] for row in trail.rows()]


def test_a_workbook_says_the_same_as_csv(loaded: Store) -> None:
    made = service.children_table(loaded, SYSTEM, view("A1"), leaving=False, format="xlsx")
    (worksheet,) = openpyxl.load_workbook(BytesIO(made.body))
    values = [[cell.value for cell in row[1:5]] for row in worksheet.iter_rows(min_row=7)]
    assert values[0][:3] == ["A1", 260, 303]
    assert values[-2:] == [["V00", "*", 100, "*"], ["V01", "*", 101, "*"]]
    assert np.isclose(values[1][3], 82 / 102 * 100)


def test_sums_that_do_not_add_up_stop_the_export(
    loaded: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wholes = loaded.snapshots.wholes

    def damaged(*asked: Any) -> dict[Pair, pd.DataFrame]:
        found = wholes(*asked)
        for frame in found.values():
            frame.loc[frame["place_id"] == "A1", "numerator"] += 1
        return found

    monkeypatch.setattr(loaded.snapshots, "wholes", damaged)
    with pytest.raises(DudaoError) as caught:
        service.children_table(loaded, SYSTEM, view("A1"), leaving=False, format="csv")
    assert caught.value.code == "FIGURES_INCONSISTENT"

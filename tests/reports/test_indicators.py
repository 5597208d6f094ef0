"""All indicators of a place as a file: nothing in it that the table of one layer leaves out."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BytesIO, StringIO

import openpyxl
import pytest

from dashboard.access import SYSTEM, NotAllowed
from dashboard.coverage import disclosure, registry
from dashboard.coverage.model import View
from dashboard.coverage.systems import State, systems
from dashboard.privacy.suppress import INSIDE, LEAVING, Shown
from dashboard.reports import service
from dashboard.store import Store
from geodata.errors import DudaoError
from tests.reports.test_service import HEAD, LAYER, VIEWER, Trail, load

MONTH = "2026-10"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = load(Store.open(tmp_path_factory.mktemp("indicators")))
    yield store
    store.close()


def rows(store: Store, place: str, *, leaving: bool = False) -> list[dict[str, str]]:
    made = service.indicator_table(store, SYSTEM, place, MONTH, leaving=leaving, format="csv")
    lines = list(csv.reader(StringIO(made.body.decode("utf-8-sig"))))
    head = next(number for number, line in enumerate(lines) if line[0] == "序号")
    return [dict(zip(lines[head], line, strict=True)) for line in lines[head + 1 :]]


def of_layer(store: Store, place: str, *, leaving: bool = False) -> dict[str, str]:
    title = registry.layer(LAYER).title
    (found,) = [row for row in rows(store, place, leaving=leaving) if row["指标"] == title]
    return found


def test_every_system_stands_there_with_every_layer(loaded: Store) -> None:
    found = rows(loaded, "C")
    assert sorted({int(row["序号"]) for row in found}) == list(range(1, 37))
    expected = [
        (str(system.number), layer.title) for system in systems() for layer in system.layers
    ]
    assert [(row["序号"], row["指标"]) for row in found if row["指标"]] == expected
    later = {one.title for one in systems() if one.state is State.LATER and not one.layers}
    assert {row["系统"] for row in found if row["备注"] == "后续建设"} == later != set()
    silent = [row for row in found if row["备注"] == "无数据"]
    assert silent and all(not row["数值"] for row in silent)


def test_a_value_has_its_numbers_target_pace_and_trend(loaded: Store) -> None:
    row = of_layer(loaded, "A")
    assert (row["数值"], row["单位"], row["分子"], row["分母"]) == ("86.3", "%", "440", "510")
    assert (row["分子单位"], row["目标"], row["进度"]) == ("人", "100", "严重滞后")
    assert (row["2026-09"], row["2026-10"]) == ("85.4", "86.3")
    assert row["可列出的最差下级"] == "平舒镇"


def test_what_is_small_is_left_out_with_its_trend_and_ranks_nobody(loaded: Store) -> None:
    village = of_layer(loaded, "V00")
    assert (village["数值"], village["分子"], village["分母"]) == ("*", "*", "100")
    assert village["2026-10"] == "*" and village["进度"] == ""
    september = of_layer(loaded, "V02")
    assert september["2026-09"] == "*" and september["2026-10"] == "80.4"
    assert of_layer(loaded, "A1")["可列出的最差下级"] == "南赵扶村"


@pytest.mark.parametrize("leaving", [False, True])
@pytest.mark.parametrize("place", ["C", "A", "A1", "A2", "B", "V00", "V01", "V02", "V04"])
def test_it_tells_no_more_than_the_table_of_the_layer(
    loaded: Store, place: str, leaving: bool
) -> None:
    made = service.children_table(
        loaded, SYSTEM, View(place, LAYER, MONTH), leaving=leaving, format="csv"
    )
    lines = list(csv.reader(StringIO(made.body.decode("utf-8-sig"))))
    head = next(number for number, line in enumerate(lines) if line[0] == "地区")
    own, *below = lines[head + 1 :]
    row = of_layer(loaded, place, leaving=leaving)
    assert [row["分子"], row["分母"]] == own[2:4]
    assert (row["数值"] == "*") is (own[4] == "*")
    shown = [line for line in below if line[4] not in ("*", "")]
    assert row["可列出的最差下级"] == (shown[0][0] if shown else "")


def test_all_patterns_at_once_are_those_of_each_layer(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        snapshot = unit.snapshot(MONTH)
    for least in (INSIDE, LEAVING):
        places = {"A1", "A2", "V00", "V01", "V02", "V04"}
        together = disclosure.of_exports(loaded.snapshots, snapshot, least, places)
        for layer in registry.layers().values():
            alone = disclosure.of_export(loaded.snapshots, snapshot, layer, least)
            mine = {place_id: shown for place_id, shown in alone.items() if place_id in places}
            assert together[layer.id] == mine
        assert Shown.DENOMINATOR in together[LAYER].values()


def test_a_workbook_shows_whole_numbers_without_decimals(loaded: Store) -> None:
    made = service.indicator_table(loaded, SYSTEM, "A", MONTH, leaving=False, format="xlsx")
    assert made.name == "大城县_各项指标_2026-10.xlsx"
    sheet = openpyxl.load_workbook(BytesIO(made.body)).active
    looks = {cell.value: cell.number_format for row in sheet.iter_rows() for cell in row}
    assert looks[440] == "#,##0" and looks[86.3] == "#,##0.00"


def test_it_is_audited_and_only_for_who_may_export_there(loaded: Store) -> None:
    trail = Trail(loaded)
    service.indicator_table(loaded, HEAD, "A1", MONTH, leaving=True, format="csv")
    ((actor, place, outcome, details),) = trail.rows()
    assert (actor, place, outcome) == (HEAD.id, "A1", "done")
    assert details["threshold"] == LEAVING and details["month"] == MONTH
    with pytest.raises(NotAllowed):
        service.indicator_table(loaded, VIEWER, "C", MONTH, leaving=False, format="csv")
    for place_id, month, code in (("A2", MONTH, "PLACE_NOT_FOUND"),
                                  ("A1", "2020-01", "MONTH_NOT_FOUND")):  # fmt: skip
        with pytest.raises(DudaoError) as told:
            service.indicator_table(loaded, HEAD, place_id, month, leaving=False, format="csv")
        assert told.value.code == code

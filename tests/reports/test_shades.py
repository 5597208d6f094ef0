"""What the map's colours say, in the file of its table: of places whose ratio is shown only."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from io import StringIO

import pytest

from dashboard.access import SYSTEM
from dashboard.coverage import registry, service
from dashboard.coverage.model import Layer, Source, Status, View, ViewTable
from dashboard.coverage.modes import Mode, Shade
from dashboard.privacy.suppress import Shown
from dashboard.reports import service as reports
from dashboard.reports import shades
from dashboard.reports.tables import Disclosure, children
from dashboard.store import Store
from geodata.errors import DudaoError
from tests.reports.test_service import LAYER, Trail, load

CONTRACT = registry.layer(LAYER)
VIEW = View("A1", LAYER, "2026-10")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = load(Store.open(tmp_path_factory.mktemp("shades")))
    yield store
    store.close()


@pytest.fixture(scope="module")
def table(loaded: Store) -> ViewTable:
    with loaded.unit(SYSTEM) as unit:
        return service.table(unit, VIEW)


def rows(
    store: Store, mode: Mode, against: str | None = None, view: View = VIEW
) -> dict[str, dict[str, str]]:
    made = reports.children_table(
        store, SYSTEM, view, leaving=False, format="csv", mode=mode, against=against
    )
    lines = list(csv.reader(StringIO(made.body.decode("utf-8-sig"))))
    head = next(number for number, line in enumerate(lines) if line[0] == "地区")
    return {line[1]: dict(zip(lines[head], line, strict=True)) for line in lines[head + 1 :]}


@pytest.mark.parametrize("source", Source)
def test_a_sample_ranks_nobody(table: ViewTable, source: Source) -> None:
    told = replace(table, view=replace(VIEW, source=source))
    made = children(told, Disclosure(5, {}), by="甲", at=datetime(2026, 11, 1), leaving=False)
    at = [column.title for column in made.columns].index("名次")
    assert any(row[at] for row in made.rows) is (source is not Source.VERIFIED)


def test_the_values_have_no_column_of_their_own(loaded: Store) -> None:
    assert "序时进度" not in rows(loaded, Mode.VALUE)["V02"]


def test_pace_is_said_in_words_and_of_the_whole_too(loaded: Store) -> None:
    found = {code: row["序时进度"] for code, row in rows(loaded, Mode.PACE).items()}
    assert found == {"A1": "严重滞后", "V02": "严重滞后", "V00": "*", "V01": "*"}


def test_a_change_is_told_only_where_both_months_are_shown(loaded: Store) -> None:
    heading = "较2026年9月变化(个百分点)"
    below = {code: row[heading] for code, row in rows(loaded, Mode.CHANGE, "2026-09").items()}
    # V02 is shown in October and was left out in September.
    assert below["V02"] == below["V00"] == "*"
    above = rows(loaded, Mode.CHANGE, "2026-09", View("A", LAYER, "2026-10"))
    with loaded.unit(SYSTEM) as unit:
        cell = service.table(unit, View("A", LAYER, "2026-10")).cells[0]
    assert cell.change is not None
    assert float(above[cell.place.id][heading]) == pytest.approx(cell.change, abs=0.05)
    with pytest.raises(DudaoError) as told:
        rows(loaded, Mode.CHANGE, "2020-01")
    assert told.value.code == "MONTH_NOT_FOUND"


def test_what_was_never_sampled_says_so(loaded: Store) -> None:
    factor, judged, gap = (rows(loaded, mode)["V02"] for mode in (Mode.FACTOR, Mode.LQAS, Mode.GAP))
    assert (factor["核实系数"], factor["判断"]) == ("无数据", "")
    assert judged["LQAS 判定"] == "未抽样" and gap["上报减核实(个百分点)"] == "无数据"


def test_the_audit_names_what_the_colours_said(loaded: Store) -> None:
    trail = Trail(loaded)
    rows(loaded, Mode.CHANGE, "2026-09")
    ((_actor, _place, _outcome, details),) = trail.rows()
    assert (details["mode"], details["against"]) == ("change", "2026-09")


FACTOR, FAILED = Shade(0.83, 0, Status.OK), Shade(3.0, 0, Status.OK)


@pytest.mark.parametrize(
    ("layer", "mode", "shade", "titles", "cells"),
    [
        (CONTRACT, Mode.FACTOR, FACTOR, ["核实系数", "判断"], (0.83, "上报偏多(低于 0.90)")),
        # How many households failed is a small count.
        (CONTRACT, Mode.LQAS, FAILED, ["LQAS 判定"], ("不达标",)),
        (CONTRACT, Mode.GAP, Shade(-0.04, 2, Status.OK), ["上报减核实(个百分点)"], (0.0,)),
        (
            registry.layer("leaflets_count"), Mode.CHANGE, Shade(12.34, 3, Status.OK),
            ["变化(%)"], (12.3,),
        ),
        (CONTRACT, Mode.LQAS, Shade(None, None, Status.NOT_APPLICABLE), ["LQAS 判定"],
         ("样本不足",)),
    ],
)  # fmt: skip
def test_a_number_and_its_class_stand_side_by_side(
    table: ViewTable,
    layer: Layer,
    mode: Mode,
    shade: Shade,
    titles: list[str],
    cells: tuple[object, ...],
) -> None:
    own = table.own
    known = {own.place.id: shade}
    found = shades.last(layer, mode, [own], known, Disclosure(5, {}), None)
    assert [column.title for column in found.columns] == titles
    assert found.cells[own.place.id] == cells
    for hidden in (
        Disclosure(5, {own.place.id: Shown.DENOMINATOR}),
        Disclosure(5, {}, {}, {own.place.id: Shown.NOTHING}),
    ):
        left = shades.last(layer, mode, [own], known, hidden, None)
        assert set(left.cells[own.place.id]) == {"*"} and left.columns == found.columns

"""The lists of the page 比较 as files: whole, audited, and telling nothing of what is left out."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO, StringIO
from typing import Any

import openpyxl
import pandas as pd
import pytest

from dashboard.access import SYSTEM, Actor, NotAllowed
from dashboard.coverage import registry, wording
from dashboard.coverage import service as coverage
from dashboard.coverage.forecast import YearEnd
from dashboard.coverage.funnel import outside
from dashboard.coverage.model import Cell, Part, Source, View
from dashboard.privacy.suppress import Shown
from dashboard.reports import comparisons, service, tables
from dashboard.reports.comparisons import Compared
from dashboard.reports.model import Format, Sheet, local_now
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, month_end
from geodata.errors import DudaoError
from geodata.model import Level
from tests.reports.test_service import HEAD, LAYER, VIEWER, Trail
from tests.store import world

CONTRACT = registry.layer(LAYER)
MONTH = "2026-10"
MONTHS = [f"2026-{number:02}" for number in range(1, 11)]
VIEW = View("C", LAYER, MONTH)
SMALL = {("V00", MONTH): 3, ("V05", "2026-06"): 2}
"""Persons not contracted: few in this month, few in an earlier one."""


def figures() -> pd.DataFrame:
    """100 persons in the first village, one more in each next; V08 is far behind the others."""
    rows: list[tuple[str, str, str, float]] = []
    for number, village in enumerate(world.VILLAGES):
        for month in MONTHS:
            left = SMALL.get((village, month), 30 - int(month[5:]) + number % 4)
            left += 60 if village == "V08" else 0
            whole = 100.0 + number
            rows.append((village, month, "registered_persons", whole))
            rows.append((village, month, "contracted_persons", whole - left))
    frame = pd.DataFrame(rows, columns=["place_id", "month", "measure", "value"])
    return frame.assign(source="reported")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store.open(tmp_path_factory.mktemp("comparisons"))
    commit(store, SYSTEM, world.places_change(), ())
    commit(store, SYSTEM, Change(dataset="figures", frame=figures()), registry.pairs())
    yield store
    store.close()


def exported(store: Store, part: Part, view: View = VIEW, **asked: Any) -> list[list[str]]:
    """The lines of the file, the heading's among them."""
    wanted = {"leaving": False, "format": "csv", **asked}
    made = service.comparison_table(store, SYSTEM, view, Level.VILLAGE, part, **wanted)
    return list(csv.reader(StringIO(made.body.decode("utf-8-sig"))))


def table(store: Store, part: Part, **asked: Any) -> list[dict[str, str]]:
    lines = exported(store, part, **asked)
    head = next(number for number, line in enumerate(lines) if line[0] == "地区")
    return [dict(zip(lines[head], line, strict=True)) for line in lines[head + 1 :]]


def top(store: Store, part: Part, **asked: Any) -> str:
    return "\n".join(line[0] for line in exported(store, part, **asked) if len(line) == 1)


def test_a_ranking_has_every_place_and_ranks_what_is_shown(loaded: Store) -> None:
    rows = table(loaded, Part.RANK)
    assert sorted(row["代码"] for row in rows) == list(world.VILLAGES)
    *ranked, first, second = rows
    assert [row["名次"] for row in ranked] == sorted((row["名次"] for row in ranked), key=int)
    assert ranked[0]["名次"] == "1" and ranked[-1]["代码"] == "V08"
    for row, village in ((first, "V00"), (second, "V01")):
        assert row["代码"] == village and row["名次"] == row["95% 区间下限(%)"] == ""
        assert row["数值(%)"] == "*" and row["备注"] == ""
    assert ranked[-1]["上级"] == "大厂县 夏垫镇"
    (seen,) = [row for row in ranked if row["代码"] == "V02"]
    assert (seen["签约人数(人)"], seen["建档立卡人口(人)"]) == ("80", "102")
    assert float(seen["95% 区间下限(%)"]) < float(seen["数值(%)"]) < float(seen["95% 区间上限(%)"])


def test_the_smallest_denominators_take_no_rank_and_say_so(loaded: Store) -> None:
    rows = table(loaded, Part.RANK, minimum=105, by_interval=True)
    small = [row for row in rows if row["备注"] == "分母小于 105，不排名"]
    # Whether one left out is small is not told.
    assert sorted(row["代码"] for row in small) == ["V02", "V03", "V04"]
    assert [row["代码"] for row in rows[-2:]] == ["V00", "V01"]
    said = top(loaded, Part.RANK, minimum=105, by_interval=True)
    assert "按 95% 区间较差的一端" in said and "分母小于 105" in said


def test_who_will_miss_is_told_of_those_alone_whose_months_are_all_shown(loaded: Store) -> None:
    rows = table(loaded, Part.MISS)
    codes = [row["代码"] for row in rows]
    left_out = {"V00", "V01"} | {
        village for village in ("V03", "V04", "V05") if village not in codes
    }
    assert "V05" in left_out and len(left_out) == 4
    assert codes[0] == "V08" and sorted(codes) == sorted(set(world.VILLAGES) - left_out)
    first = rows[0]
    assert first["判断"] == "上端也达不到" and first["目标(%)"] == "100"
    assert int(first["还差(人)"]) > 0 < int(first["每月需(人)"])
    assert float(first["80% 区间下限(%)"]) <= float(first["年末预测(%)"])
    said = top(loaded, Part.MISS)
    assert "8 个单位中，8 个将完不成" in said and "因人数过少，有 4 个单位不列出数值" in said
    assert wording.forecast_method(CONTRACT) in said.replace("\n", "")
    # In the ranking, which is of this month, V05 stands as the others do.
    assert [row["名次"] for row in table(loaded, Part.RANK) if row["代码"] == "V05"] != [""]


def test_the_funnel_is_drawn_about_the_place_above_and_judges_what_is_shown(loaded: Store) -> None:
    rows = table(loaded, Part.FUNNEL)
    assert [(row["代码"], row["判断"]) for row in rows] == [("V08", "明显较差")]
    said = top(loaded, Part.FUNNEL)
    assert "界限围绕廊坊市合计" in said and "因人数过少，有 2 个单位不列出数值" in said
    assert "与页面所见可能不同" in said
    few = top(loaded, Part.FUNNEL, view=View("A1", LAYER, MONTH))
    assert "不足 10 个" in few and "没有可以判断的单位" in few


def test_a_funnel_with_nothing_left_out_is_that_of_the_screen(loaded: Store) -> None:
    view = View("B", LAYER, MONTH)
    with loaded.unit(SYSTEM) as unit:
        drawn = coverage.funnel(unit, view, Level.VILLAGE)
    rows = [(row["代码"], row["判断"]) for row in table(loaded, Part.FUNNEL, view=view)]
    assert rows == [
        (cell.place.id, wording.funnel_name(tone)) for tone, cell in outside(CONTRACT, drawn)
    ]
    assert rows[0][0] == "V08" and "不列出数值" not in top(loaded, Part.FUNNEL, view=view)


@pytest.mark.parametrize("leaving", [False, True])
@pytest.mark.parametrize("part", Part)
def test_it_tells_no_more_than_the_table_of_the_map(
    loaded: Store, part: Part, leaving: bool
) -> None:
    known = {}
    for township in ("A1", "A2", "B1", "B2"):
        made = service.children_table(
            loaded, SYSTEM, View(township, LAYER, MONTH), leaving=leaving, format="csv"
        )
        for line in csv.reader(StringIO(made.body.decode("utf-8-sig"))):
            known[line[1] if len(line) > 1 else ""] = line[2:5]
    rows = table(loaded, part, leaving=leaving)
    assert rows or leaving
    value = "现值(%)" if part is Part.MISS else "数值(%)"
    for row in rows:
        assert [row["签约人数(人)"], row["建档立卡人口(人)"], row[value]] == known[row["代码"]]
        assert part is Part.RANK or row[value] != "*"


Make = Callable[[Compared, Sequence[Cell]], Sheet]


def _ends(cells: Sequence[Cell]) -> list[YearEnd]:
    return [
        YearEnd(cell, MONTH, 100.0, (), 0, cell.value is not None, False, None, None)
        for cell in cells
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda seen, cells: comparisons.ranked(seen, cells, True, 0),
        lambda seen, cells: comparisons.misses(seen, _ends(cells)),
        lambda seen, cells: comparisons.outside(seen, cells, replace(cells[0], value=None)),
        lambda seen, cells: comparisons.outside(seen, cells, cells[5]),
    ],
    ids=["rank", "miss", "funnel", "funnel about another"],
)
@pytest.mark.parametrize("shown", [Shown.NOTHING, Shown.DENOMINATOR])
def test_no_list_depends_on_what_is_left_out(loaded: Store, make: Make, shown: Shown) -> None:
    with loaded.unit(SYSTEM) as unit:
        on = month_end(MONTH)
        above = unit.place("C", on)
        places = unit.places_below(above, Level.VILLAGE, on)
        cells = [one.cell for one in coverage.ranking(unit, VIEW, Level.VILLAGE)]
        ways = unit.ways(above, places, on)
    hidden = {cells[0].place.id, cells[3].place.id}
    allowed = tables.Disclosure(5, dict.fromkeys(hidden, shown))
    seen = Compared(
        VIEW, 1, CONTRACT, above, Level.VILLAGE, places, ways, allowed, "", local_now(), False
    )
    before = make(seen, cells)
    for numerator, value in ((0.0, 0.0), (50.0, 50.0), (100.0, 100.0)):
        others = [
            replace(cell, numerator=numerator, value=value) if cell.place.id in hidden else cell
            for cell in cells
        ]
        assert make(seen, others) == before


def test_a_december_stands_alone(loaded: Store) -> None:
    with loaded.unit(SYSTEM) as unit:
        cell = coverage.ranking(unit, VIEW, Level.VILLAGE)[0].cell
    earlier = tables.Disclosure(5, {}, {cell.place.id: Shown.DENOMINATOR})
    end = replace(_ends([cell])[0], month="2026-12")
    assert comparisons.told(earlier, end)
    assert not comparisons.told(earlier, replace(end, cell=replace(cell, value=None)))
    assert not comparisons.told(earlier, replace(end, month=MONTH))
    now = tables.Disclosure(5, {cell.place.id: Shown.DENOMINATOR})
    assert not comparisons.told(now, end)


@pytest.mark.parametrize(("part", "format"), list(zip(Part, Format, strict=True)))
def test_the_heading_says_what_who_and_the_rule_and_each_is_audited(
    loaded: Store, part: Part, format: Format
) -> None:
    trail = Trail(loaded)
    view = View("A1", LAYER, MONTH)
    made = service.comparison_table(
        loaded, HEAD, view, Level.VILLAGE, part, leaving=True, format=format.value
    )
    title = wording.part_name(part)
    assert made.name == f"平舒镇各村_家庭医生签约率_{title}_{MONTH}_报送县外.{format.value}"
    ((actor, place, outcome, details),) = trail.rows()
    assert (actor, place, outcome) == (HEAD.id, "A1", "done")
    assert (details["part"], details["level"], details["threshold"]) == (part, "village", 10)
    said = top(loaded, part, view=view, leaving=True)
    for words in ("平舒镇(A1)各村", "2026年10月(第 1 版汇总)", "带出本县：少于 10", CONTRACT.help):
        assert words in said


def test_a_workbook_keeps_numbers(loaded: Store) -> None:
    made = service.comparison_table(
        loaded, SYSTEM, VIEW, Level.VILLAGE, Part.RANK, leaving=False, format="xlsx"
    )
    sheet = openpyxl.load_workbook(BytesIO(made.body)).active
    assert sheet.title.startswith("廊坊市各村 家庭医生签约率 排名")
    numbers = [cell for row in sheet.iter_rows() for cell in row if isinstance(cell.value, float)]
    assert numbers and {cell.number_format for cell in numbers} == {"#,##0.0"}


@pytest.mark.parametrize("part", Part)
def test_only_who_may_export_there_and_only_what_can_be_compared(loaded: Store, part: Part) -> None:
    def ask(actor: Actor, view: View, **asked: Any) -> None:
        service.comparison_table(
            loaded, actor, view, Level.VILLAGE, part, leaving=False, **{"format": "csv", **asked}
        )

    with pytest.raises(NotAllowed):
        ask(VIEWER, VIEW)
    for actor, view, asked, code in (
        (HEAD, View("A2", LAYER, MONTH), {}, "PLACE_NOT_FOUND"),
        (SYSTEM, View("C", LAYER, "2020-01"), {}, "MONTH_NOT_FOUND"),
        (SYSTEM, View("C", "none", MONTH), {}, "LAYER_NOT_FOUND"),
        (SYSTEM, VIEW, {"format": "exe"}, "FORMAT_UNKNOWN"),
        (SYSTEM, VIEW, {"version": 9}, "VERSION_NOT_FOUND"),
        (SYSTEM, View("C", LAYER, MONTH, Source.VERIFIED), {}, "SAMPLE_NOT_COMPARED"),
    ):
        with pytest.raises(DudaoError) as told:
            ask(actor, view, **asked)
        assert told.value.code == code

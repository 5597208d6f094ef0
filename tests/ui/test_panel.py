"""Tiles, table and side panel say what the cells hold, in words."""

from __future__ import annotations

import html as html_module
import re
from collections import Counter
from dataclasses import replace

import pytest

from dashboard.coverage import registry, service
from dashboard.coverage.model import Cell, Source, Status, Target, View
from dashboard.store import Unit
from dashboard.ui import panel, tables
from dashboard.ui.state import Address
from geodata.model import InstitutionKind

from .conftest import COUNTY, LATEST, TOWN, VILLAGE

CONTRACT = registry.layer("contract_coverage")
FINDINGS = registry.layer("open_findings_rate")
ADDRESS = Address(COUNTY, CONTRACT.id, LATEST)


@pytest.fixture
def cell(unit: Unit) -> Cell:
    """The county's own cell."""
    return service.profile(unit, COUNTY, LATEST).cells[CONTRACT.id]


def words(markup: str) -> str:
    return html_module.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", markup)))


def test_the_gap_to_the_target_is_counted_in_persons(cell: Cell) -> None:
    short = replace(cell, numerator=80.0, denominator=100.0, value=80.0, change=-1.5)
    value, target, pace, change = panel.tiles(CONTRACT, short, "2026-06")
    reported = f"{cell.reporting}/{cell.expected} 村已报"
    assert (value.figure, value.under) == ("80.0%", f"80 / 100 人 · {reported}")
    assert (pace.label, pace.figure) == ("序时进度：严重滞后", "落后 20.0 个百分点")
    assert (pace.under, pace.tone) == ("序时应达 100.0%", "bad")
    assert (target.figure, target.under, target.tone) == ("还差 20 人", "达到目标需 100 人", "bad")
    assert (change.figure, change.under, change.tone) == ("▼ 1.5 个百分点", "上月 81.5%", "bad")


def test_what_meets_the_target_and_the_gap_add_up_to_whole_persons(cell: Cell) -> None:
    short = replace(cell, numerator=800.0, denominator=857.0, value=93.35, target=Target(95.0))
    target = panel.tiles(CONTRACT, short, "2026-06")[1]
    # 95 % of 857 are 814.15: 814 do not meet it.
    assert (target.figure, target.under) == ("还差 15 人", "达到目标需 815 人")
    # 4.4 % of 750 are 33, which floating point makes a little more.
    few = replace(cell, numerator=30.0, denominator=750.0, value=4.0, target=Target(4.4))
    assert panel.tiles(CONTRACT, few, "2026-06")[1].under == "达到目标需 33 人"


def test_who_is_one_person_short_is_nowhere_written_as_there(cell: Cell) -> None:
    last = 3999 / 4000 * 100
    short = replace(
        cell, numerator=3999.0, denominator=4000.0, value=last, change=1.0, target=Target(100.0)
    )
    value, target, pace, change = panel.tiles(CONTRACT, short, "2026-06")
    assert (value.figure, target.figure) == ("99.9%", "还差 1 人")
    assert pace.figure == "落后 0.1 个百分点"
    assert (change.figure, change.under) == ("▲ 0.9 个百分点", "上月 99.0%")


def test_a_target_of_the_year_is_wanted_month_by_month(cell: Cell) -> None:
    breast = registry.layer("breast_screening")
    half = replace(cell, numerator=39.0, denominator=100.0, value=39.0, target=Target(80.0))
    pace = panel.tiles(breast, half, "2026-06")[2]
    assert (pace.label, pace.under, pace.tone) == ("序时进度：落后序时", "序时应达 40.0%", "warn")
    assert panel.tiles(breast, half, "2026-05")[2].figure == "达到序时"


def test_without_pace_the_third_tile_says_who_reported(cell: Cell) -> None:
    layer = registry.layer("leaflets_count")
    assert panel.tiles(layer, cell, LATEST)[2].label == "上报情况"


def test_what_a_value_stands_on_is_named_after_its_source(cell: Cell) -> None:
    some = replace(cell, reporting=53, expected=406)
    told = [panel.tiles(CONTRACT, some, LATEST, source)[0].under for source in Source]
    assert [under.rpartition(" · ")[2] for under in told] == [
        "53/406 村已报", "53/406 村有台账", "由 53/406 村抽查推算",
    ]  # fmt: skip
    layer = registry.layer("illness_caused_share")
    tiles = [panel.tiles(layer, some, LATEST, source)[2] for source in Source]
    assert [(tile.label, tile.under) for tile in tiles] == [
        ("上报情况", "353 村未报，未计入"),
        ("台账情况", "353 村没有台账，未计入"),
        ("抽查情况", "上报数按抽查中核实的比例折算"),
    ]


def test_a_layer_where_less_is_better_counts_the_excess(cell: Cell) -> None:
    over = replace(
        cell, numerator=7.0, denominator=200.0, value=3.5, change=-0.5, target=Target(0.0)
    )
    _, target, pace, change = panel.tiles(FINDINGS, over, LATEST)
    assert (pace.figure, pace.tone) == ("超出 3.50 项/百户", "bad")
    assert (target.figure, target.tone) == ("超出 7 项", "bad")
    assert change.tone == "good"


def test_no_data_and_not_applicable_are_never_zero(cell: Cell) -> None:
    nothing = replace(cell, numerator=None, denominator=None, value=None, change=None,
                      status=Status.NO_DATA, class_index=None, rank=None)  # fmt: skip
    assert [tile.figure for tile in panel.tiles(CONTRACT, nothing, LATEST)][:3] == [
        "无数据",
        "—",
        "—",
    ]
    said = panel.tiles(CONTRACT, nothing, LATEST, Source.VERIFIED)[0].under
    assert said == "本月没有核实数据"
    empty = replace(nothing, numerator=0.0, denominator=0.0, status=Status.NOT_APPLICABLE)
    assert panel.tiles(CONTRACT, empty, LATEST)[0].figure == "不适用"


def test_the_table_shows_every_child_worst_first_with_a_link(unit: Unit) -> None:
    shown = service.table(unit, View(COUNTY, CONTRACT.id, LATEST))
    markup = tables.markup(shown, ADDRESS)
    rows = re.findall(r'<tr data-id="(\d+)"><th scope="row"><a href="([^"]+)"', markup)
    assert [row[0] for row in rows] == [cell.place.id for cell in shown.cells]
    assert html_module.unescape(rows[0][1]) == ADDRESS.href(place=rows[0][0])
    assert markup.index("广安镇") < markup.index("平舒镇")
    assert "无数据" in words(markup) and "签约人数(人)" in words(markup)
    worst = shown.cells[0]
    assert worst.numerator is not None and worst.denominator is not None
    assert f"还差 {worst.denominator - worst.numerator:,.0f} 人" in words(markup)


def test_a_difference_between_own_figure_and_sum_is_flagged(unit: Unit) -> None:
    differing = "131025101000"
    shown = service.profile(unit, differing, LATEST)
    assert shown.cells[CONTRACT.id].disagrees
    text = words(panel.markup(shown, None, None, ADDRESS.moved(place=differing)))
    assert "本级填报与下级合计不一致" in text
    assert "合计不符" in tables.markup(
        service.table(unit, View(COUNTY, CONTRACT.id, LATEST)), ADDRESS
    )


def test_the_panel_lists_the_layers_of_the_group_and_the_empty_slot(unit: Unit) -> None:
    shown = service.profile(unit, TOWN, LATEST, CONTRACT.group)
    text = words(panel.markup(shown, None, None, ADDRESS.moved(place=TOWN)))
    assert "责任人待录入" in text and "平舒镇" in text
    text = words(panel.indicators_markup(shown, ADDRESS.moved(place=TOWN)))
    for layer in registry.layers().values():
        assert (layer.title in text) == (layer.group == CONTRACT.group)


def test_few_institutions_are_listed_many_are_counted(unit: Unit) -> None:
    sites = service.sites(unit, VILLAGE, LATEST)
    one = panel.institutions_markup(
        Counter(site.institution.kind for site in sites), sites, ADDRESS
    )
    assert f"site={VILLAGE}-W1" in one
    many = panel.institutions_markup({InstitutionKind.VILLAGE_CLINIC: 90}, [], ADDRESS)
    assert "90 个" in words(many) and "进入乡镇后逐个列出" in words(many)
    assert "没有登记的医疗机构" in words(panel.institutions_markup({}, [], ADDRESS))


def test_an_institution_without_coordinates_says_so(unit: Unit) -> None:
    village = "131025100213"
    (site,) = [
        found for found in service.sites(unit, village, LATEST)
        if found.institution.id == f"{village}-W1"
    ]  # fmt: skip
    shown = service.profile(unit, village, LATEST)
    text = words(panel.markup(shown, site, shown.place, ADDRESS.moved(place=village)))
    assert "无坐标，图上不显示" in text


def test_a_mere_count_is_more_or_less_never_better_or_worse(unit: Unit) -> None:
    persons = registry.layer("registered_persons_count")
    told = words(tables.markup(service.table(unit, View(COUNTY, persons.id, LATEST)), ADDRESS))
    assert "由少到多" in told and "由差到好" not in told
    town = service.profile(unit, "131025101000", LATEST, persons.group)
    rows = panel.indicators_markup(town, ADDRESS).split("<tr")
    assert any("名 /" in row for row in rows)
    assert not any("名 /" in row for row in rows if persons.title in row)

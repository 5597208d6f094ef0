"""这个数怎么来的: the dialog over the map, and the links that open it."""

from __future__ import annotations

import html as html_module
import re
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.coverage import service
from dashboard.coverage.explain import Explanation, Method, Recount
from dashboard.coverage.model import Source, Status, View
from dashboard.settings import Settings
from dashboard.store import Unit
from dashboard.ui import explainview, indicatorsview, panel, state, tables, texts
from dashboard.ui.state import Address

from .conftest import COUNTY, LATEST, TOWN, VILLAGE

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
CONTRACT, ILL = "contract_coverage", "hypertension_management"
ADDRESS = Address(TOWN, CONTRACT, LATEST)


def explained(
    unit: Unit, place: str, layer: str = CONTRACT, source: Source = Source.REPORTED
) -> Explanation:
    return service.explain(unit, View(place, layer, LATEST, source), service.QUICK_PLACES)


def words(markup: str) -> str:
    return html_module.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", markup)))


def test_the_sum_is_said_first_then_what_it_stands_on(unit: Unit) -> None:
    found = explained(unit, TOWN)
    text = words(explainview.markup(found))
    top, bottom = found.cell.numerator, found.cell.denominator
    assert top is not None and bottom is not None and found.cell.value is not None
    assert re.search(rf"{top:,.0f} 签约人数\(人\) ÷ {bottom:,.0f} 建档立卡人口\(人\)", text)
    assert f"× 100% = {found.cell.value:.1f}%" in text
    assert f"由 {found.rows_total} 个村自己的数字相加" in text
    assert "个单位缺分子或分母" in text and "缺签约人数" in text
    assert "figures.csv" in text and "计入" in text


def test_rows_come_a_page_at_a_time_and_lead_to_their_place(unit: Unit) -> None:
    found = explained(unit, COUNTY)
    first, second = (explainview.rows_markup(found, ADDRESS, page) for page in (0, 1))
    assert first.count('<th scope="row">') == explainview.ROWS_A_PAGE
    # A township that reported nothing is one place, and all its villages lack.
    silent = found.cell.expected - found.cell.reporting
    assert silent > found.absent_total
    assert f"个单位（共 {silent} 个村）缺分子或分母" in words(explainview.markup(found))
    worst = found.rows[0].cell.place
    assert worst.name in words(first) and worst.name not in words(second)
    assert f"place={worst.id}" in first
    assert explainview.rows_markup(found, ADDRESS, 99) == ""
    # Villages of different townships share names.
    told = explainview.rows_markup(found, ADDRESS, 0, {worst.id: "平舒镇"})
    assert f"{worst.name} 平舒镇" in words(told)


def test_records_and_samples_have_their_columns(unit: Unit) -> None:
    records = explained(unit, TOWN, source=Source.RECORDS)
    text = words(explainview.markup(records) + explainview.rows_markup(records, ADDRESS, 0))
    assert "人员和户的台账不显示文件名" in text and "csv" not in text
    assert re.search(r"签约记录 \d+ 条", text)
    reported = explained(unit, TOWN)
    found = Recount(215, 510.0, 532.0, 0, 17)
    sample = replace(
        reported,
        source=Source.VERIFIED,
        method=Method.ESTIMATE,
        sample=found,
        reported=reported.cell,
        rows=[replace(row, sample=found) for row in reported.rows],
    )
    text = words(explainview.markup(sample) + explainview.rows_markup(sample, ADDRESS, 0))
    assert re.search(r"签约人数：上报 [\d,]+ × 复核 510 ÷ 被复核户上报 532 = [\d,]+", text)
    assert "复核 215 户" in text and "无原始记录 17 户" in text
    assert "抽样复核的单位" in text and "台账记录" not in text
    # The reported numbers of places without a sample do count.
    assert sample.absent_total and "没有抽查：上报了的按抽查到的比例折算" in text
    assert "未计入" not in text.replace("不能复核，未计入", "")


def test_what_is_left_out_is_said_without_a_number(unit: Unit) -> None:
    table = service.table(unit, View(TOWN, ILL, LATEST))
    hidden = next(cell.place.id for cell in table.cells if cell.status is Status.SUPPRESSED)
    found = explained(unit, hidden, ILL)
    text = words(explainview.markup(found))
    assert "人数少于 5 人" in text and "谁何时导入" not in text
    assert explainview.rows_markup(found, ADDRESS, 0) == ""
    low = words(explainview.markup(explained(unit, VILLAGE, "mental_management")))
    assert "这个图层只显示到乡镇级" in low
    above = words(explainview.markup(explained(unit, COUNTY, ILL)))
    assert "个单位人数过少，数字计入合计" in above


@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("layer", [CONTRACT, ILL, "mental_management", "leaflets_count"])
def test_english_is_english(unit: Unit, layer: str, source: Source) -> None:
    texts.use("en")
    found = explained(unit, COUNTY, layer, source)
    text = words(explainview.markup(found) + explainview.rows_markup(found, ADDRESS, 0))
    # Names of places and of who loads stay as they are.
    names = {cell.place.name for cell in [found.cell, *(row.cell for row in found.rows)]}
    names |= {one.place.name for one in (*found.absent, *found.differing)}
    names |= {*found.names.values(), *(load.operator for load in found.loads or ())}
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "")
    assert not re.search("[\u4e00-\u9fff]", text), re.findall("[\u4e00-\u9fff]+", text)


def test_every_value_is_a_link_to_its_explanation(unit: Unit) -> None:
    table = service.table(unit, View(TOWN, CONTRACT, LATEST))
    markup = html_module.unescape(tables.markup(table, ADDRESS))
    for cell in table.cells:
        assert f"&explain={cell.place.id}" in markup
    profile = service.profile(unit, TOWN, LATEST, table.layer.group)
    assert f"explain={TOWN}" in panel.indicators_markup(profile, ADDRESS)
    assert f"explain={TOWN}" in panel.tiles_markup(table.layer, table.own, ADDRESS)
    shown = service.indicators(unit, COUNTY, LATEST, [LATEST])
    records = ADDRESS.moved(place=COUNTY, source=Source.RECORDS)
    links = re.findall(r'dd-why" href="([^"]+)"', indicatorsview.markup(shown, records))
    # That page shows what was reported, whatever the map showed before.
    assert len(links) == len(shown) and not any("source=" in link for link in links)


def test_the_address_carries_it_and_any_move_drops_it() -> None:
    link = ADDRESS.explained(VILLAGE, layer=ILL)
    assert link.endswith(f"&explain={VILLAGE}") and f"layer={ILL}" in link
    assert "explain" not in ADDRESS.href(place=VILLAGE)
    assert "explain" in state.FIELDS


def opened(**params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in params.items():
        app.query_params[name] = text
    return app.run()


def test_an_address_opens_the_dialog_and_its_pages_turn(configured: Settings) -> None:
    app = opened(place=COUNTY, layer=CONTRACT, month=LATEST, explain=COUNTY)
    assert not app.exception and not app.error
    assert app.button(key="explain-page-back").disabled
    app.button(key="explain-page-on").click().run()
    assert app.session_state["explain-page"] == 1
    assert not app.exception and not app.error
    without = opened(place=COUNTY, layer=CONTRACT, month=LATEST)
    assert not [button for button in without.button if button.key == "explain-page-on"]


def test_a_place_that_is_not_there_is_told_in_the_dialog(configured: Settings) -> None:
    app = opened(place=COUNTY, layer=CONTRACT, month=LATEST, explain="999")
    assert not app.exception
    assert "PLACE" in app.error[0].value

"""The page 台账: open, filter, sort, turn pages, take along, see who it is."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from streamlit.testing.v1 import AppTest

from dashboard.access import EVERYTHING, SYSTEM, Actor, Grant, Role
from dashboard.accounts.model import SignedIn
from dashboard.coverage import ledgers, registry
from dashboard.coverage.ledgers import Page, Period, Query
from dashboard.coverage.systems import systems
from dashboard.demo.records import TOWNSHIP
from dashboard.settings import Settings
from dashboard.store import Unit, database
from dashboard.store.model import Filter, month_end
from dashboard.store.tables import audit
from dashboard.ui import caches, indicatorsview, ledgersview, session, sourcesview, texts
from dashboard.ui.ledgersview import Opened
from dashboard.ui.sourcesview import Seen
from dashboard.ui.state import Address
from loaders.registry import record_datasets

from .conftest import COUNTY, LATEST, TOWN, VILLAGE
from .test_pages import shown

PAGE = Path(__file__).parents[2] / "pages" / "ledgers.py"
ADDRESS = Address(TOWN, "contract_coverage", LATEST)


def somebody(role: Role) -> Actor:
    return Actor(
        f"account:{role.value}", "某人", grants=(Grant(role, TOWN, (f"{COUNTY}/{TOWN}/",)),)
    )


HEAD, VIEWER = somebody(Role.TOWNSHIP_HEAD), somebody(Role.VIEWER)


def opened(actor: Actor = HEAD, **params: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    for name, text in ({"place": TOWN, "month": LATEST} | params).items():
        app.query_params[name.replace("where_", "w.")] = text
    return rerun(app, actor)


def rerun(app: AppTest, actor: Actor = HEAD) -> AppTest:
    with session.provide(lambda: SignedIn("s1", actor.id, actor, False)):
        app.run()
    assert not app.exception, app.exception
    return app


def params(app: AppTest) -> dict[str, str]:
    return {
        key: text if isinstance(text, str) else text[-1] for key, text in app.query_params.items()
    }


def words(markup: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", markup)))


def page_of(dataset: str, actor: Actor = HEAD, **further: Any) -> Page:
    return ledgers.read(caches.store(), actor, Query(dataset, TOWN, LATEST, **further))


def test_all_ledgers_stand_at_a_glance(configured: Settings, unit: Unit) -> None:
    told = ledgers.overview(unit, TOWN, LATEST, Period.COUNTED)
    place = unit.place(TOWN, month_end(LATEST))
    markup = ledgersview.overview_markup(told, place, Opened(ADDRESS))
    text = words(markup)
    assert all(one.title in text for one in record_datasets().values())
    assert f"{page_of('services').total:,}" in text
    assert markup.count('<th scope="row">') == len(record_datasets())
    app = opened()
    assert not app.error


def test_an_empty_place_says_what_to_do_next(configured: Settings, unit: Unit) -> None:
    below = unit.children(COUNTY, month_end(LATEST))
    other = next(one for one in below if not one.id.startswith(TOWNSHIP))
    told = ledgers.overview(unit, other.id, LATEST, Period.COUNTED)
    markup = ledgersview.overview_markup(told, other, Opened(ADDRESS))
    assert "请数据员在“数据”页上传" in words(markup)


@pytest.mark.parametrize("dataset", list(record_datasets()))
def test_every_ledger_opens(configured: Settings, dataset: str) -> None:
    app = opened(ledger=dataset)
    assert not app.error
    assert f"{page_of(dataset).total:,}" in shown(app)


def test_rows_have_words_and_links_and_who_it_is_masked(configured: Settings) -> None:
    page = page_of("residents", size=900)
    text = words(ledgersview.markup(page, Opened(ADDRESS, "residents")))
    assert "高血压" in text and "hypertension" not in text
    assert re.search(r"[王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗]\*\* \*{14}\d{3}[\dX]", text)
    assert not re.search(r"演[兰梅荣华军强英芳平明玲勇杰娟涛红霞宁国春]", text)
    assert "2026-01-01" in text and "是" in text


def test_who_may_not_see_persons_sees_numbers_only(configured: Settings) -> None:
    page = page_of("residents", VIEWER)
    text = words(ledgersview.markup(page, Opened(ADDRESS, "residents")))
    assert "姓名" not in text and "身份证号" not in text and "病种" not in text and "**" not in text
    app = opened(VIEWER, ledger="residents")
    keys = {one.key for one in app.button}
    assert "export-open" not in keys and "ledger-reveal-go" not in keys
    assert "看不到是谁" in shown(app)
    assert not [one for one in app.multiselect if "diseases" in str(one.key)]


def test_filters_write_the_address_and_read_it(configured: Settings) -> None:
    app = opened(ledger="services")
    whole = page_of("services").total
    box = app.multiselect(key="ledger-w-services-kind")
    box.set_value(["exam", "record"])
    rerun(app)
    assert params(app)["w.kind"] == "exam,record"
    found = page_of("services", filters=(Filter("kind", among=("exam", "record")),)).total
    assert 0 < found < whole and f"共 {found:,} 条" in shown(app)
    assert "服务类别：免费体检、建立健康档案" in shown(app)
    app.text_input(key="ledger-w-services-provider").set_value("无此机构")
    rerun(app)
    assert params(app)["w.provider"] == "无此机构" and "共 0 条" in shown(app)
    app.button(key="ledger-clear").click()
    rerun(app)
    assert not [key for key in params(app) if key.startswith("w.")]
    again = opened(ledger="services", where_kind="exam", where_day="2026-03-01..2026-03-31")
    assert again.multiselect(key="ledger-w-services-kind").value == ["exam"]
    assert str(again.date_input(key="ledger-w-services-day-low").value) == "2026-03-01"


def test_flags_and_numbers_are_filters_too(configured: Settings) -> None:
    app = opened(ledger="households")
    app.selectbox(key="ledger-w-households-kit").set_value("no")
    rerun(app)
    assert params(app)["w.kit"] == "no"
    app.number_input(key="ledger-w-households-persons-low").set_value(3.0)
    rerun(app)
    assert params(app)["w.persons"] == "3.." and "共" in shown(app)


def test_pages_are_turned_in_the_address(configured: Settings) -> None:
    app = opened(ledger="services", sort="day")
    app.button(key="ledgers-page-on").click()
    rerun(app)
    assert params(app)["page"] == "2" and params(app)["sort"] == "day"
    app.selectbox(key="ledgers-period").select(Period.ALL)
    rerun(app)
    assert "page" not in params(app) and params(app)["period"] == "all"
    app.button(key="month-before").click()
    rerun(app)
    assert params(app)["month"] == "2026-09" and params(app)["ledger"] == "services"


def test_a_page_beyond_the_last_shows_the_last(configured: Settings) -> None:
    app = opened(ledger="revisits", page="999")
    pages = -(-page_of("revisits").total // ledgers.PAGE)
    assert not app.error and f"第 {pages} 页，共 {pages} 页" in shown(app)


@pytest.mark.parametrize("wrong", [
    {"ledger": "persons"}, {"ledger": "residents", "where_diseases": "hiv"},
    {"ledger": "residents", "where_gone": "yes"}, {"ledger": "residents", "sort": "person"},
    {"ledger": "services", "where_day": "昨天", "period": "century", "page": "-1"},
    {"ledger": "services", "page": "1e9"}, {"ledger": "<b>x</b>"},
    {"ledger": "teams", "place": "9"},
    {"ledger": "services", "where_kind": "'; DROP TABLE place; --"},
    {"ledger": "..", "month": "x"},
])  # fmt: skip
def test_nonsense_in_the_address_is_told_not_traced(
    configured: Settings, wrong: dict[str, str]
) -> None:
    app = opened(**wrong)
    assert not app.error
    assert "ADDRESS_CORRECTED" in shown(app) and "<b>x</b>" not in shown(app)


def test_a_filter_one_may_not_use_is_left_out_for_a_viewer(configured: Settings) -> None:
    app = opened(VIEWER, ledger="services", where_kind="managed")
    assert "ADDRESS_CORRECTED" in shown(app)
    assert f"共 {page_of('services', VIEWER).total:,} 条" in shown(app)


def test_the_filtered_rows_are_taken_along(configured: Settings) -> None:
    app = opened(ledger="contracts", where_fee_paid="yes")
    app.button(key="export-open").click()
    rerun(app)
    app.segmented_control(key="export-format").set_value("csv")
    app.button(key="export-make").click()
    rerun(app)
    assert not app.error and "/download/" in shown(app)
    assert "签约记录_2026-10.csv" in shown(app)


def test_one_person_is_seen_in_full_for_a_reason_once(configured: Settings) -> None:
    app = opened(ledger="contracts", sort="place_id")
    app.text_input(key="ledger-reveal-why").set_value("看")
    app.button(key="ledger-reveal-go").click()
    rerun(app)
    assert ["没有写明事由" in one.value for one in app.error] == [True]
    app.text_input(key="ledger-reveal-why").set_value("随访核对联系电话")
    app.button(key="ledger-reveal-go").click()
    rerun(app)
    assert not app.error and re.search("[王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗]演.", shown(app))
    rerun(app)
    assert not re.search("[王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗]演.", shown(app))


def test_a_page_just_read_is_not_audited_again(configured: Settings) -> None:
    def count() -> int:
        with database.reading(caches.store().engine, EVERYTHING) as connection:
            asked = select(func.count()).where(audit.c.action == "records.persons")
            return int(connection.execute(asked).scalar_one())

    before = count()
    app = opened(ledger="contracts")
    rerun(app)
    assert count() == before + 1
    app.button(key="ledgers-page-on").click()
    rerun(app)
    assert count() == before + 2


def test_layers_and_documents_lead_to_their_ledgers(configured: Settings, unit: Unit) -> None:
    found = caches.indicators(unit, TOWN, LATEST, (LATEST,))
    markup = unescape(indicatorsview.markup(found, ADDRESS))
    assert f"{ADDRESS.href()}&ledger=contracts" in markup
    sources = unescape(sourcesview.markup(systems(), Seen.of(unit)))
    linked = set(re.findall(r"&ledger=(\w+)", sources))
    assert linked == {
        name for layer in registry.layers().values() for name in ledgers.ledgers_of(layer)
    }
    assert linked == set(record_datasets()) - {"revisits"}


def test_the_village_in_a_row_is_a_link_to_its_own_ledger(configured: Settings) -> None:
    page = page_of("contracts")
    markup = unescape(ledgersview.markup(page, Opened(ADDRESS, "contracts", page=2)))
    village = next(iter(page.names))
    assert f"?place={village}&" in markup and "ledger=contracts" in markup
    assert "page=2" not in markup


@pytest.mark.parametrize("dataset", list(record_datasets()))
def test_english_has_no_chinese_of_ours(configured: Settings, dataset: str) -> None:
    texts.use("en")
    page = ledgers.read(caches.store(), SYSTEM, Query(dataset, VILLAGE, LATEST))
    said = words(re.sub(r"<td>.*?</td>", "", ledgersview.markup(page, Opened(ADDRESS, dataset))))
    assert not re.search("[\u4e00-\u9fff]", said)

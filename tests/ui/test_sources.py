"""The page 源文件指标: every system, its figures, links to its layers, a file of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from openpyxl import load_workbook
from streamlit.testing.v1 import AppTest

from dashboard.access import SYSTEM, Actor, Grant, Role
from dashboard.accounts.model import SignedIn
from dashboard.coverage import registry
from dashboard.coverage.systems import systems
from dashboard.demo import documents
from dashboard.reports import service
from dashboard.reports.sources import SourceRow
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store.model import month_end
from dashboard.ui import caches, session, sourcesview, texts
from dashboard.ui.sourcesview import Seen
from tests.conftest import Demonstration

from .conftest import COUNTY, LATEST, TOWN
from .test_pages import shown

PAGE = Path(__file__).parents[2] / "pages" / "sources.py"
X = documents.DOCUMENTS[1]


def somebody(role: Role) -> Actor:
    path = f"{COUNTY}/{TOWN}/"
    return Actor("account:one", "某人", grants=(Grant(role, TOWN, (path,)),))


def opened(actor: Actor | None = None) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    if actor is None:
        return app.run()
    with session.provide(lambda: SignedIn("s1", actor.id, actor, False)):
        return app.run()


def links(markup: str) -> list[dict[str, str]]:
    return [dict(parse_qsl(unescape(href)[1:])) for href in re.findall(r'href="([^"]+)"', markup)]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_all_36_systems_stand_there_with_figures_targets_and_layers(
    configured: Settings, lang: str
) -> None:
    texts.use(lang)
    with caches.store().unit(SYSTEM) as unit:
        found = sourcesview.markup(systems(), Seen.of(unit))
    assert [int(number) for number in re.findall(r'data-system="(\d+)"', found)] == list(
        range(1, 37)
    )
    said = unescape(found)
    for system in systems():
        english = lang == "en"
        assert (system.figures_en if english else system.figures) in said
        assert (system.target_en if english else system.target) in said
    for text in documents.rows()["text"]:
        assert text in said
    wanted = {layer.id for system in systems() for layer in system.layers}
    assert {link["layer"] for link in links(found)} == wanted == set(registry.layers())


def test_an_amount_stands_in_full(configured: Settings) -> None:
    (money,) = (system for system in systems() if system.number == 22)
    assert "13,170.03 万元 (2017-12)" in sourcesview.markup([money], None)


def test_a_link_shows_the_layer_where_the_reader_is(configured: Settings) -> None:
    with caches.store().unit(SYSTEM) as unit:
        found = links(sourcesview.markup(systems(), Seen.of(unit)))
    assert {link["place"] for link in found} == {COUNTY}
    assert {link["month"] for link in found} == {LATEST}


@pytest.fixture(scope="module")
def xcounty(demonstration: Demonstration) -> Iterator[Store]:
    store = Store.open(demonstration("xcounty"))
    yield store
    store.close()


def test_a_link_leads_to_the_documents_own_figure_where_it_is_loaded(xcounty: Store) -> None:
    with xcounty.unit(SYSTEM) as unit:
        found = sourcesview.markup(systems(), Seen.of(unit))
    to = {link["layer"]: (link["place"], link["month"]) for link in links(found)}
    assert to["inpatient_compensation"] == (X.place_id, X.month)
    assert to["registered_persons_count"] == (X.place_id, X.month)
    assert to["contract_coverage"] == (X.place_id, LATEST)
    assert to["outpatient_permits_count"] == (X.place_id, LATEST), "only L speaks of it"
    assert "某县(虚构) 2017年12月" in found


def test_without_data_the_names_stand_without_links(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    with store.unit(SYSTEM) as unit:
        assert Seen.of(unit) is None
    store.close()
    assert links(sourcesview.markup(systems(), None)) == []


def test_the_page_narrows_and_says_so_when_nothing_is_left(configured: Settings) -> None:
    app = opened()
    assert not app.exception and not app.error
    assert "36 个系统" in shown(app)
    app.text_input(key="sources-text").set_value("狂犬病").run()
    assert "0 个系统" in shown(app) and not app.error
    app.text_input(key="sources-text").set_value("13170.03").run()
    assert "1 个系统" in shown(app)
    app.text_input(key="sources-text").set_value("").run()
    app.selectbox(key="sources-document").select("L").run()
    count = documents.rows().query("document == 'L'")["system"].nunique()
    assert f"{count} 个系统" in shown(app)
    app.selectbox(key="sources-state").select("later").run()
    assert "0 个系统" in shown(app)


def test_the_list_shown_is_taken_along_and_forgotten_when_it_changes(configured: Settings) -> None:
    app = opened()
    app.button(key="sources-export").click().run()
    assert not app.error and "/download/" in shown(app)
    app.text_input(key="sources-text").set_value("中医馆").run()
    assert "/download/" not in shown(app)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.TOWNSHIP_HEAD])
def test_whoever_is_signed_in_reads_it_and_exports_as_elsewhere(
    configured: Settings, role: Role
) -> None:
    app = opened(somebody(role))
    assert not app.exception and not app.error and "36 个系统" in shown(app)
    buttons = {button.key for button in app.button}
    assert ("sources-export" in buttons) is (role is Role.TOWNSHIP_HEAD)


def test_who_sees_one_township_is_led_nowhere_else(xcounty: Store) -> None:
    town = "990001100000"
    with xcounty.unit(SYSTEM) as unit:
        path = unit.place(town, month_end(LATEST)).path
    actor = Actor("account:two", "某人", grants=(Grant(Role.VIEWER, town, (path,)),))
    with xcounty.unit(actor) as unit:
        found = links(sourcesview.markup(systems(), Seen.of(unit)))
    assert {link["place"] for link in found} == {town}


def test_the_file_holds_what_was_shown_and_is_audited(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    row = SourceRow(
        1,
        "建档立卡人口",
        "户",
        "X：1",
        "",
        "已成图层",
        ("甲", "乙"),
        ("X：“=1+1”",),
        ("丙：丁",),
    )
    made = service.source_table(store, SYSTEM, [row], filtered="含“档”", format="xlsx")
    assert made.name == "源文件指标.xlsx"
    sheet = load_workbook(BytesIO(made.body)).active
    cells = [cell for line in sheet.iter_rows(values_only=True) for cell in line if cell]
    assert {"建档立卡人口", "X：1", "甲\n乙", "X：“=1+1”", "丙：丁"} <= set(cells)
    assert any("含“档”" in str(cell) for cell in cells)
    store.close()


def test_doubts_stand_beside_the_figures_they_are_about(xcounty: Store) -> None:
    with xcounty.unit(SYSTEM) as unit:
        seen = Seen.of(unit)
    assert seen is not None and set(seen.doubts) == {13, 22, 28}
    found = sourcesview.markup(systems(), seen)
    row = found[found.index('data-system="22"') : found.index('data-system="23"')]
    assert "12,755.9" in row and "12,749.9" in row and "3,572.17" in row
    texts.use("en")
    assert "Parts do not add up" in sourcesview.markup(systems(), seen)


def test_the_doubted_alone(xcounty: Store, configured: Settings) -> None:
    caches.configure(Settings(data=xcounty.directory))
    app = opened()
    app.toggle(key="sources-doubted").set_value(True).run()
    assert not app.error and "3 个系统" in shown(app)

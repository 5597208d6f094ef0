"""The map page as Streamlit runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.coverage import service
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.ui import caches

from .conftest import COUNTY, LATEST, TOWN, VILLAGE

APP = Path(__file__).parents[2] / "dashboard" / "app.py"


def opened(**params: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in params.items():
        app.query_params[name] = text
    return app.run()


def shown(app: AppTest) -> str:
    """The markup of the page's HTML elements."""
    return "\n".join(element.proto.body for element in app.get("html"))


@pytest.mark.parametrize("place", [COUNTY, TOWN, VILLAGE])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_level_opens_without_an_error(configured: Settings, place: str, lang: str) -> None:
    app = opened(place=place, layer="contract_coverage", month=LATEST, lang=lang)
    assert not app.exception and not app.error
    assert app.selectbox(key="month").value == LATEST


def test_the_month_steps_and_stops_at_the_ends(configured: Settings) -> None:
    app = opened(place=TOWN, layer="contract_coverage", month=LATEST)
    assert app.button(key="month-after").disabled
    app.button(key="month-before").click().run()
    assert app.query_params["month"] == "2026-09"
    app.selectbox(key="month").select("2024-11").run()
    assert app.query_params["month"] == "2024-11"
    assert app.button(key="month-before").disabled
    assert not app.exception


def test_the_widgets_follow_the_address(configured: Settings) -> None:
    app = opened(place=TOWN, layer="contract_coverage", month=LATEST)
    app.query_params["month"] = "2026-02"
    app.run()
    assert app.selectbox(key="month").value == "2026-02"


def test_search_lands_and_clears(configured: Settings) -> None:
    app = opened(place=COUNTY, layer="contract_coverage", month=LATEST)
    app.text_input(key="search").set_value("平舒镇").run()
    assert app.query_params["place"] == TOWN
    assert app.text_input(key="search").value == ""


def test_the_language_switch_writes_the_address(configured: Settings) -> None:
    app = opened(place=COUNTY, layer="contract_coverage", month=LATEST)
    app.segmented_control(key="lang").set_value("en").run()
    assert app.query_params["lang"] == "en"
    assert app.text_input(key="search").label == "Search"


def test_a_wrong_address_is_told_not_traced(configured: Settings) -> None:
    app = opened(place="999", layer="nothing", month="2018-13", site="x")
    assert not app.exception and not app.error
    assert "ADDRESS_CORRECTED" in shown(app)


def test_an_unexpected_fault_is_logged_and_told_in_plain_words(
    configured: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(service, "profile", broken)
    app = opened(place=COUNTY, layer="contract_coverage", month="2025-05")
    assert not app.exception
    assert "PAGE" in app.error[0].value and "secret" not in app.error[0].value
    assert "a secret detail" in caplog.text


def test_an_empty_data_directory_says_what_to_do(tmp_path: Path, configured: Settings) -> None:
    Store.open(tmp_path).close()
    caches.configure(Settings(data=tmp_path))
    app = opened()
    assert not app.exception
    assert "demo" in app.error[0].value


@pytest.mark.parametrize("way", [{}, {"beside": "contract_coverage~2025-10"}, {"show": "pace"}])
def test_a_row_of_the_table_leads_to_the_same_way_of_looking(
    configured: Settings, way: dict[str, str]
) -> None:
    """The table of a view is remembered; its links must be the view's all the same."""
    opened(place=COUNTY, layer="contract_coverage", month=LATEST)
    page = opened(place=COUNTY, layer="contract_coverage", month=LATEST, **way)
    told = "".join(str(block.proto) for block in page.get("bidi_component"))
    (link,) = set(
        re.findall(rf"<th scope=.{{2,4}}row.{{2,4}}><a href=.{{1,4}}(\?place={TOWN}[^>]*)>", told)
    )
    assert all(f"{name}=" in link for name in way)
    assert ("beside=" in link) is ("beside" in way)


def test_a_file_made_of_one_colouring_is_not_offered_under_another(configured: Settings) -> None:
    app = opened(place=TOWN, layer="contract_coverage", month=LATEST, show="pace")
    app.button(key="export-open").click().run()
    app.segmented_control(key="export-format").set_value("csv")
    app.button(key="export-make").click().run()
    assert not app.error and f"_{LATEST}.csv" in shown(app)
    app.query_params["show"] = "lqas"
    app.run()
    assert app.button(key="export-open") and ".csv" not in shown(app)

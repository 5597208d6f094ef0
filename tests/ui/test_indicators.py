"""The page 指标: every layer with figures, those off pace first."""

from __future__ import annotations

import html as html_module
import re
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.access import Actor, Grant, Role
from dashboard.accounts.service import SignedIn
from dashboard.coverage import service
from dashboard.coverage.model import Indicator
from dashboard.coverage.pace import standing
from dashboard.settings import Settings
from dashboard.store import Unit
from dashboard.ui import charts, indicatorsview, session
from dashboard.ui.state import Address

from .conftest import COUNTY, LATEST

PAGE = Path(__file__).parents[2] / "pages" / "indicators.py"
ADDRESS = Address(COUNTY, "contract_coverage", LATEST)
VIEWER = Actor("account:viewer", "查看丙", grants=(Grant(Role.VIEWER),))


@pytest.fixture
def shown(unit: Unit) -> list[Indicator]:
    return service.indicators(unit, COUNTY, LATEST, unit.months()[-12:])


def words(markup: str) -> str:
    return html_module.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", markup)))


def test_every_layer_with_figures_is_a_row_and_the_rest_are_counted(
    shown: list[Indicator],
) -> None:
    markup = indicatorsview.markup(shown, ADDRESS)
    assert markup.count('<th scope="row">') == len(shown) > 50
    text = words(markup)
    assert all(one.layer.title in text for one in shown)
    assert re.search(r"另有 \d+ 项本月无数据或不显示到本级", text)


def test_what_is_late_comes_first_in_its_group(shown: list[Indicator]) -> None:
    markup = indicatorsview.markup(shown, ADDRESS, "签约履约")
    tones = re.findall(r'dd-bar (\w+)"', markup)
    assert tones == sorted(tones, key=["late", "behind", "ahead"].index)
    assert "大病救治率" not in words(markup)


def test_only_what_is_off_pace_when_asked(shown: list[Indicator]) -> None:
    markup = indicatorsview.markup(shown, ADDRESS, only=True)
    off = [
        one
        for one in shown
        if standing(one.layer, one.cell.target, one.cell.value, LATEST) in ("late", "behind")
    ]
    assert markup.count('<th scope="row">') == len(off) > 0
    assert "达到序时" not in words(markup.partition("<table")[2])


def test_the_worst_place_below_is_a_link_to_it(shown: list[Indicator]) -> None:
    contract = next(one for one in shown if one.layer.id == "contract_coverage")
    assert contract.worst is not None and contract.worst.rank == contract.worst.ranked
    link = ADDRESS.href(place=contract.worst.place.id)
    assert html_module.escape(link) in indicatorsview.markup(shown, ADDRESS)


def test_a_best_place_is_never_called_the_worst_because_the_others_are_left_out(
    shown: list[Indicator],
) -> None:
    contract = next(one for one in shown if one.layer.id == "contract_coverage")
    assert contract.worst is not None and contract.cell.value is not None
    better = replace(contract.worst, value=contract.cell.value + 5)
    told = indicatorsview.markup([replace(contract, worst=better)], ADDRESS)
    assert contract.worst.place.name not in told
    assert contract.worst.place.name in indicatorsview.markup([contract], ADDRESS)


def test_it_says_how_many_are_short_and_what_has_no_figures(shown: list[Indicator]) -> None:
    contract = next(one for one in shown if one.layer.id == "contract_coverage")
    missing = contract.cell.shortfall(contract.layer)
    assert missing is not None
    text = words(indicatorsview.markup([contract], ADDRESS, "签约履约"))
    assert f"还差 {missing:,.0f} 人" in text
    assert "项本月无数据或不显示到本级：" in text and "签约团队" in text


def test_a_protected_layer_has_no_line_of_months(shown: list[Indicator]) -> None:
    for one in shown:
        assert (one.trend == ()) is one.layer.protected


def test_a_line_breaks_where_a_month_has_no_value() -> None:
    assert charts.spark([None, None]) == ()
    first, second = charts.spark([1.0, None, 2.0, 3.0])
    assert first.startswith("3.0,") and len(second.split()) == 2


def test_the_page_runs_for_a_viewer(configured: Settings) -> None:
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    app.query_params["place"] = COUNTY
    with session.provide(lambda: SignedIn("s1", VIEWER.id, VIEWER, False)):
        app.run()
        assert not app.exception and not app.error
        app.toggle(key="indicators-only").set_value(True).run()
        app.selectbox(key="indicators-group").set_value("签约履约").run()
    assert not app.exception and not app.error

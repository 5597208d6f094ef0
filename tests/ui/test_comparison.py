"""The page 比较: ranking, who will miss, funnel plot; and the forecast under the panel's trend."""

from __future__ import annotations

import html as html_module
import re
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.access import Actor, Grant, Role
from dashboard.accounts.service import SignedIn
from dashboard.coverage import forecast, funnel, registry, service, wording
from dashboard.coverage.funnel import Standing
from dashboard.coverage.model import Part, Status, View
from dashboard.settings import Settings
from dashboard.store import Unit
from dashboard.ui import charts, comparisonview, indicatorsview, outlook, session
from dashboard.ui.state import Address
from geodata.model import Level

from .conftest import COUNTY, LATEST, TOWN, VILLAGE

PAGE = Path(__file__).parents[2] / "pages" / "comparison.py"
CONTRACT, BREAST = registry.layer("contract_coverage"), registry.layer("breast_screening")
PROTECTED = registry.layer("hypertension_management")
ADDRESS = Address(COUNTY, CONTRACT.id, LATEST)
VIEW = View(COUNTY, CONTRACT.id, LATEST)
HEAD = Actor("account:head", "乡镇丁", grants=(Grant(Role.TOWNSHIP_HEAD, TOWN),))


def words(markup: str) -> str:
    return html_module.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", markup)))


def opened(**params: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    for name, text in {"place": COUNTY, "layer": CONTRACT.id, "month": LATEST, **params}.items():
        app.query_params[name] = text
    return app.run()


def html_of(app: AppTest) -> str:
    return words("\n".join(element.proto.body for element in app.get("html")))


# Lists


def test_small_ones_are_greyed_with_their_reason_and_take_no_rank(unit: Unit) -> None:
    found = service.ranking(unit, VIEW, Level.VILLAGE)
    markup = comparisonview.ranking_markup(CONTRACT, found, found, ADDRESS, {}, 30, False)
    rows = re.findall(r"<tr data-id=\"(\d+)\"( class=\"quiet\")?>(.*?)</tr>", markup, re.S)
    assert [row[0] for row in rows] == [one.cell.place.id for one in found]
    for one, (_id, quiet, body) in zip(found, rows, strict=True):
        assert bool(quiet) is (one.rank is None)
        assert ("分母小于 30，不排名" in body) is one.small
    assert ADDRESS.href(place=found[0].cell.place.id) in html_module.unescape(markup)
    assert "95% 区间" in words(markup)


def test_what_is_left_out_shows_no_number_in_any_list(unit: Unit) -> None:
    view = View(COUNTY, PROTECTED.id, LATEST)
    found = service.ranking(unit, view, Level.VILLAGE, minimum=0)
    hidden = [one for one in found if one.cell.status is Status.SUPPRESSED]
    assert hidden
    markup = comparisonview.ranking_markup(PROTECTED, hidden, found, ADDRESS, {}, 0, False)
    for _id, body in re.findall(r"<tr data-id=\"(\d+)\"[^>]*>.*?</th>(.*?)</tr>", markup, re.S):
        assert words(body).split() == ["—"] * 5 + ["人数过少，不予显示"]
    drawn = service.funnel(unit, view, Level.VILLAGE)
    plot = charts.funnel_markup(PROTECTED, drawn, {})
    missing = [one for one in service.forecasts(unit, view, Level.VILLAGE) if one.misses]
    listed = comparisonview.misses_markup(PROTECTED, missing, ADDRESS, {})
    outside = funnel.outside(PROTECTED, drawn)
    for one in hidden:
        assert one.cell.place not in [cell.place for cell in drawn.cells]
        assert one.cell.place.id not in listed
        assert one.cell.place not in [cell.place for _tone, cell in outside]
    assert len(re.findall("data-words", plot)) == len(drawn.cells)


def test_those_who_will_miss_say_by_how_much(unit: Unit) -> None:
    missing = [one for one in service.forecasts(unit, VIEW, Level.TOWNSHIP) if one.misses]
    text = words(comparisonview.misses_markup(CONTRACT, missing, ADDRESS, {}))
    first = missing[0]
    assert first.december is not None and first.short is not None
    assert f"{first.december.value:.1f}%" in text and "上端也达不到" in text
    assert "没有将完不成的单位" in words(comparisonview.misses_markup(CONTRACT, [], ADDRESS, {}))


def test_the_clearly_worse_stand_first_below_the_funnel(unit: Unit) -> None:
    drawn = service.funnel(unit, VIEW, Level.VILLAGE)
    outside = funnel.outside(CONTRACT, drawn)
    assert len(outside) == sum(stands is not Standing.INSIDE for stands in drawn.stands) > 0
    order = ["far-worse", "far-better", "worse", "better"]
    places = [order.index(tone) for tone, _cell in outside]
    assert places == sorted(places)


# The page


@pytest.mark.parametrize("part", list(Part))
@pytest.mark.parametrize(
    ("place", "level"), [(COUNTY, "village"), (TOWN, ""), (VILLAGE, "village")]
)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_part_opens_at_every_level(
    configured: Settings, part: Part, place: str, level: str, lang: str
) -> None:
    app = opened(place=place, level=level, part=part, lang=lang)
    assert not app.exception and not app.error


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"source": "verified"}, "只作判定，不作排名"),
        ({"layer": "leaflets_count", "part": "miss"}, "未设目标"),
        ({"layer": "clinic_standardisation", "part": "funnel"}, "以人或户为分母"),
        ({"layer": "open_findings_rate", "part": "funnel"}, "以人或户为分母"),
        ({"layer": "hiv_treated_share"}, "只统计到市级"),
        ({"month": "2024-11", "layer": "breast_screening", "part": "funnel"}, "没有可比的数值"),
    ],
)
def test_what_cannot_be_compared_says_why(
    configured: Settings, params: dict[str, str], said: str
) -> None:
    app = opened(**params)
    assert not app.exception and not app.error
    assert said in html_of(app)


def test_nonsense_in_the_address_is_told_and_mended(configured: Settings) -> None:
    app = opened(part="bar", level="star", by="magic", least="-5")
    assert not app.exception and not app.error
    for said in ("“bar”", "“star”", "“magic”", "“-5”"):
        assert said in html_of(app)
    assert app.number_input(key="comparison-least").value == 30
    level = opened(place=TOWN, level="county")
    assert not level.exception and not level.error


def test_switch_and_minimum_stand_in_the_address(
    configured: Settings, shown: dict[str, str]
) -> None:
    app = opened(level="village")
    app.toggle(key="comparison-wilson").set_value(True).run()
    assert app.query_params["by"] == "wilson"
    app.number_input(key="comparison-least").set_value(60).run()
    assert app.query_params["least"] == "60" and app.query_params["by"] == "wilson"
    assert not app.exception
    listed = words(shown["comparison-list"])
    assert "按 95% 区间较差的一端" in listed and "分母小于 60，不排名" in listed


def test_a_long_list_is_turned_page_by_page(configured: Settings, shown: dict[str, str]) -> None:
    app = opened(level="village", least="0")
    assert shown["comparison-list"].count("<tr data-id") == comparisonview.ROWS
    app.button(key="comparison-page-on").click().run()
    assert not app.exception
    assert shown["comparison-list"].count("<tr data-id") == comparisonview.ROWS
    # Another view begins at its first page.
    app.toggle(key="comparison-wilson").set_value(True).run()
    assert app.session_state["comparison-page"] == 0


@pytest.mark.parametrize("part", [Part.RANK, Part.FUNNEL])
def test_the_whole_list_is_taken_along_and_another_view_forgets_it(
    configured: Settings, part: Part
) -> None:
    app = opened(level="township", part=part)
    app.button(key="export-open").click().run()
    app.segmented_control(key="export-format").set_value("csv")
    app.button(key="export-make").click().run()
    assert not app.exception and not app.error
    assert "/download/" in "".join(element.proto.body for element in app.get("html"))
    assert f"大城县各乡镇_{CONTRACT.title}_{wording.part_name(part)}_{LATEST}.csv" in html_of(app)
    app.query_params["level"] = "village"
    app.run()
    assert app.button(key="export-open") and ".csv" not in html_of(app)


def test_a_refusal_offers_no_file_nor_does_a_page_for_who_may_not_export(
    configured: Settings,
) -> None:
    def keys(app: AppTest) -> list[str | None]:
        return [button.key for button in app.button]

    assert "export-open" not in keys(opened(source="verified"))
    assert "export-open" not in keys(opened(layer="leaflets_count", part="miss"))
    grant = Grant(Role.VIEWER, TOWN, paths=(f"{COUNTY}/{TOWN}/",))
    who = Actor("account:viewer", "某人", grants=(grant,))
    with session.provide(lambda: SignedIn("s3", who.id, who, False)):
        assert "export-open" not in keys(opened(place=TOWN))


def test_a_township_head_compares_the_own_villages_only(
    configured: Settings, shown: dict[str, str]
) -> None:
    path = f"{COUNTY}/{TOWN}/"
    who = replace(HEAD, grants=(Grant(Role.TOWNSHIP_HEAD, TOWN, paths=(path,)),))
    with session.provide(lambda: SignedIn("s2", who.id, who, False)):
        app = opened(place=COUNTY, level="village")
    assert not app.exception
    listed = set(re.findall(r"<tr data-id=\"(\d+)\"", "\n".join(shown.values())))
    assert listed and all(place_id.startswith(TOWN[:9]) for place_id in listed)


def test_the_map_keeps_none_of_it_in_its_address() -> None:
    compared = replace(ADDRESS, part=Part.RANK, level=Level.VILLAGE, wilson=True, least=5)
    said = {"part": "rank", "level": "village", "by": "wilson", "least": "5"}
    assert compared.params() == ADDRESS.params() | said
    assert compared.alone() == ADDRESS


def test_every_indicator_leads_to_its_comparison(unit: Unit) -> None:
    found = service.indicators(unit, COUNTY, LATEST, unit.months()[-12:])
    markup = html_module.unescape(indicatorsview.markup(found, ADDRESS))
    assert ADDRESS.href(part=Part.MISS) in markup
    assert ADDRESS.href(layer="registered_persons_count", part=Part.RANK) in markup


# The sentence


@pytest.fixture
def end(unit: Unit) -> forecast.YearEnd:
    return service.forecast(unit, VIEW)


def test_the_sentence_says_value_interval_gap_and_verdict(end: forecast.YearEnd) -> None:
    told = replace(
        end, ahead=(forecast.Forecast(78.4, 76.0, 81.0, 12),), misses=True, surely=True,
        short=311.2, monthly=155.6,
    )  # fmt: skip
    found = outlook.sentence(CONTRACT, told)
    assert found.words == (
        "截至2026年10月，照此下去，年末约 78.4%（80% 区间 76.0%–81.0%），将完不成目标 100%，"
        "差 312 人，今后每月需新增 156 人才能完成。"
    )
    assert found.tone == "bad"
    maybe = outlook.sentence(CONTRACT, replace(told, surely=False))
    assert "可能完不成" in maybe.words and maybe.tone == "warn"
    fine = outlook.sentence(CONTRACT, replace(told, misses=False, surely=False, short=0.0))
    assert "预计能完成目标 100%。" in fine.words and fine.tone == "good"
    unknown = outlook.sentence(CONTRACT, replace(told, short=None, monthly=None))
    assert unknown.words.endswith("将完不成目标 100%。")


def test_a_december_is_judged_not_forecast(end: forecast.YearEnd) -> None:
    over = replace(
        end, month="2025-12", ahead=(forecast.Forecast(90.0, 90.0, 90.0, 12),), misses=True,
        surely=True, short=20.0, monthly=None,
    )  # fmt: skip
    assert (
        outlook.sentence(CONTRACT, over).words == "2025 年末为 90.0%，未完成目标 100%，差 20 人。"
    )
    done = replace(over, misses=False, surely=False, short=0.0)
    assert outlook.sentence(CONTRACT, done).words == "2025 年末为 90.0%，已完成目标 100%。"


def test_too_few_months_say_how_many_are_wanted(end: forecast.YearEnd) -> None:
    few = replace(end, ahead=(), months=4, misses=False, surely=False, short=None, monthly=None)
    assert outlook.sentence(CONTRACT, few).words == (
        "最近 12 个月只有 4 个月有数据，满 6 个月才能预测年末。"
    )
    early = replace(few, months=2)
    assert outlook.sentence(BREAST, early).words == "今年只有 2 个月有数据，满 3 个月才能预测年末。"
    hidden = replace(few, months=0, cell=replace(end.cell, status=Status.SUPPRESSED, value=None))
    assert "没有可用的数值" in outlook.sentence(CONTRACT, hidden).words
    assert "未设目标" in outlook.sentence(CONTRACT, replace(few, target=None)).words


def test_where_less_is_better_the_words_turn_round(end: forecast.YearEnd) -> None:
    layer = registry.layer("without_team_share")
    over = replace(
        end, ahead=(forecast.Forecast(5.0, 4.0, 6.0, 12),), target=0.0, misses=True, surely=True,
        short=10.0, monthly=4.0,
    )  # fmt: skip
    text = outlook.sentence(layer, over).words
    assert "超出 10 人" in text and "今后每月需减少 4 人" in text

"""The base map never changes, whatever is shown on it; nothing on it comes from elsewhere."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO

import pytest
import streamlit_folium
from pytest import MonkeyPatch

from dashboard.access import SYSTEM
from dashboard.coverage import registry, service
from dashboard.coverage.model import Source, View
from dashboard.coverage.modes import Mode
from dashboard.reports import service as reports
from dashboard.settings import Settings
from dashboard.settings import Tiles as TileSource
from dashboard.store import Unit
from dashboard.ui import caches, tables
from dashboard.ui import map as drawing
from dashboard.ui.looks import _is_dark, class_words, column, look, looks, status_words
from dashboard.ui.state import Address
from dashboard.ui.texts import mode_name
from dashboard.ui.tiles import Tiles

from .conftest import COUNTY, LATEST, TOWN, VILLAGE

NO_TILES = Tiles()
HOSTILE = "</script>`${alert(1)}`'\"<b>"


def sent(
    monkeypatch: MonkeyPatch, *configs: dict[str, object], tiles: Tiles = NO_TILES
) -> list[dict[str, object]]:
    """What streamlit-folium would send to the browser for each configuration."""
    calls: list[dict[str, object]] = []
    monkeypatch.setattr(streamlit_folium, "_component_func", lambda **call: calls.append(call))
    for config in configs:
        drawing.show(tiles, config, lambda: None)
    return calls


@pytest.mark.parametrize("source", list(TileSource))
def test_only_the_carrier_changes_between_views(
    monkeypatch: MonkeyPatch, source: TileSource
) -> None:
    tiles = Tiles.of(Settings(tiles=source, tianditu_key="KEY"))
    first, second, third = sent(monkeypatch, {"url": "a"}, {"url": "b"}, {"url": "a"}, tiles=tiles)
    changed = {name for name in first if first[name] != second[name] and name != "on_change"}
    assert changed == {"feature_group"}
    assert first["feature_group"] == third["feature_group"]
    assert "dudao" not in str(first["script"])


def test_the_shared_map_keeps_nothing_of_a_session(monkeypatch: MonkeyPatch) -> None:
    base = drawing.base_map(Tiles())
    before = len(base._children), len(base.get_root().header.render())
    sent(monkeypatch, *({"url": str(number)} for number in range(50)))
    assert (len(base._children), len(base.get_root().header.render())) == before


def test_no_address_leads_off_the_machine(monkeypatch: MonkeyPatch) -> None:
    (call,) = sent(monkeypatch, {"url": "a"})
    assert not re.search(r"https?://", json.dumps(call, default=str))
    links = [*call["js_links"], *call["css_links"]]  # type: ignore[misc]
    assert links and all(link.startswith("../../assets/") for link in links)


def test_hostile_text_cannot_end_the_script(monkeypatch: MonkeyPatch) -> None:
    (call,) = sent(monkeypatch, {"title": HOSTILE})
    script = str(call["feature_group"])
    literal = re.search(r"dudao\.show\(map_div, (.*)\);", script)
    assert literal is not None
    assert json.loads(literal.group(1)) == {"title": HOSTILE}
    assert not set(literal.group(1)) & set("<>`$'")


def test_a_view_names_its_address_and_its_layers_look(unit: Unit) -> None:
    table = service.table(unit, View(COUNTY, "contract_coverage", LATEST))
    address = Address(COUNTY, "contract_coverage", LATEST)
    config = drawing.config(table, address, "1-2-3", 4, Settings(map_approval="GS(2026)1号"))
    assert (config["layer"], config["tail"]) == ("contract_coverage", f"{COUNTY}/{LATEST}/1-2-3")
    assert config["selected"] is None and config["sitesOn"] is False
    look = config["look"]
    assert len(look["colours"]) == len(look["classes"]) == table.layer.classes
    assert {"4 个机构无坐标", "示意边界，不作划界依据", "审图号：GS(2026)1号"} <= set(
        config["notes"]
    )


def test_every_layers_look_has_one_address_a_language(unit: Unit) -> None:
    table = service.table(unit, View(COUNTY, "contract_coverage", LATEST))
    config = drawing.config(table, Address(COUNTY, "contract_coverage", LATEST), "1", 0, Settings())
    answered = json.loads(looks("zh").body)
    assert list(answered) == list(registry.layers())
    assert answered["contract_coverage"] == json.loads(json.dumps(config["look"]))
    assert config["looksUrl"] == f"../../looks/zh/{looks('zh').mark}"
    assert looks("en").mark != looks("zh").mark


def test_a_village_is_marked_among_its_siblings_with_clinics_on(unit: Unit) -> None:
    table = service.table(unit, View(TOWN, "contract_coverage", LATEST))
    config = drawing.config(
        table, Address(VILLAGE, "contract_coverage", LATEST), "1", 0, Settings()
    )
    assert (config["place"], config["selected"], config["sitesOn"]) == (TOWN, VILLAGE, True)


def test_text_is_white_only_on_dark_colours() -> None:
    assert [_is_dark(c) for c in ("#ffffff", "#ffffcc", "#253494", "#993404")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_tiles_are_asked_for_only_by_the_settings() -> None:
    assert Tiles.of(Settings()) == Tiles()
    amap = Tiles.of(Settings(tiles="amap"))
    assert amap.crs == "gcj02" and "高德" in amap.attribution
    tianditu = Tiles.of(Settings(tiles="tianditu", tianditu_key="KEY"))
    assert len(tianditu.urls) == 2 and all("tk=KEY" in url for url in tianditu.urls)
    assert tianditu.crs == "wgs84"
    assert Tiles.of(Settings(tiles="osm")).attribution


@pytest.mark.parametrize("source", list(Source))
def test_doubts_stand_beside_what_was_reported_only(unit: Unit, source: Source) -> None:
    table = service.table(unit, View(COUNTY, "contract_coverage", LATEST, source))
    address = Address(COUNTY, "contract_coverage", LATEST, source=source)
    config = drawing.config(table, address, "1", 0, Settings())
    assert (config["doubtsUrl"] is None) is (source is not Source.REPORTED)


def test_the_legend_says_what_the_numbers_on_the_map_mean(unit: Unit) -> None:
    table = service.table(unit, View(COUNTY, "contract_coverage", LATEST))

    def notes(mode: Mode) -> str:
        address = Address(COUNTY, "contract_coverage", LATEST, show=mode)
        return " ".join(drawing.config(table, address, "1", 0, Settings())["notes"])

    assert "正数：上报多于核实" in notes(Mode.GAP)
    assert "核实系数 = 核实数 ÷ 上报数" in notes(Mode.FACTOR)
    assert "样本中不符的户数" in notes(Mode.LQAS)


def test_a_layer_of_the_county_says_why_its_townships_have_nothing(unit: Unit) -> None:
    paid = "inpatient_compensation"
    table = service.table(unit, View(COUNTY, paid, LATEST))
    config = drawing.config(table, Address(COUNTY, paid, LATEST), "1", 0, Settings())
    assert "由县级及以上填报，更低的各级没有数据" in config["notes"]


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.VALUE])
def test_the_table_says_what_the_colours_say(unit: Unit, mode: Mode) -> None:
    against = "2025-10" if mode is Mode.CHANGE else None
    view = View(TOWN, "contract_coverage", LATEST)
    version = caches.version(unit, LATEST)
    shown = caches.table(unit, view, version)
    shades = caches.shades(unit, view, version, mode, against)
    markup = tables.markup(
        shown,
        Address(TOWN, "contract_coverage", LATEST, show=mode, against=against),
        last=column(shown.layer, mode, shades),
    )
    answer = json.loads(caches.layer_answer(unit, view, mode, against).body)
    look_of = look(shown.layer, mode)
    assert f"{mode_name(mode)}" in markup.partition("<tbody")[0]
    rows = dict(re.findall(r'<tr data-id="(\d+)">(.*?)</tr>', markup, re.DOTALL))
    classed = 0
    for feature in answer["features"]:
        drawn = feature["properties"]
        last = rows[drawn["id"]].rpartition("<td")[2]
        if drawn["c"] >= 0:
            classed += 1
            assert look_of["colours"][drawn["c"]] in last
            if mode is not Mode.PACE:
                assert f"{abs(drawn['v']):,.{look_of['decimals']}f}" in last
        else:
            assert "background" not in last
    assert classed > 0


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.VALUE])
def test_the_file_says_what_the_colours_say(unit: Unit, mode: Mode) -> None:
    against = "2025-10" if mode is Mode.CHANGE else None
    view = View(TOWN, "contract_coverage", LATEST)
    shades = caches.shades(unit, view, caches.version(unit, LATEST), mode, against)
    made = reports.children_table(
        caches.store(), SYSTEM, view, leaving=False, format="csv", mode=mode, against=against
    )
    lines = list(csv.reader(StringIO(made.body.decode("utf-8-sig"))))
    head = next(number for number, line in enumerate(lines) if line[0] == "地区")
    layer = registry.layer(view.layer_id)
    heading = column(layer, mode, {})[0].partition("(")[0]
    at = next(n for n, title in enumerate(lines[head]) if heading in title and n > 5)
    told = {line[1]: line[at] for line in lines[head + 2 :] if line[at] != "*"}
    assert told and any(shades[place_id].class_index is not None for place_id in told)
    for place_id, written in told.items():
        shade = shades[place_id]
        if shade.class_index is None or shade.value is None:
            assert written == status_words(mode)[shade.status]
        elif mode in (Mode.PACE, Mode.LQAS):
            assert written == class_words(layer, mode)[shade.class_index]
        else:
            assert float(written) == pytest.approx(shade.value, abs=0.0501)

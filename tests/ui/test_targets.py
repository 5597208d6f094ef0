"""Targets on the screen: whose it is, the rule in words, and nothing shown of an old one."""

from __future__ import annotations

import html as html_module
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest

from dashboard.access import SYSTEM
from dashboard.coverage import registry, service
from dashboard.coverage.model import Cell, View
from dashboard.coverage.modes import PACE_COLOURS, Mode
from dashboard.intake.service import load_file
from dashboard.settings import Settings
from dashboard.store import Unit
from dashboard.store.undo import undo
from dashboard.ui import caches, indicatorsview, panel, tables, targetwords, texts
from dashboard.ui import map as drawing
from dashboard.ui.state import Address
from loaders import Request

from .conftest import COUNTY, LATEST, TOWN
from .test_pages import opened

OTHER_TOWN = "131025109000"
CERVICAL = registry.layer("cervical_screening")
CLINICS = registry.layer("free_clinics_count")
FINDINGS = registry.layer("open_findings_rate")


def words(markup: str) -> str:
    return html_module.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", markup)))


def cell(unit: Unit, place: str, layer: str = CERVICAL.id) -> Cell:
    return service.profile(unit, place, LATEST).cells[layer]


def test_the_tile_says_whose_target_it_is(unit: Unit) -> None:
    tile = panel.tiles(CERVICAL, cell(unit, COUNTY), LATEST)[1]
    assert tile.label == "2026 年底目标 95%" and tile.under.endswith(" · 本县目标")
    tile = panel.tiles(CERVICAL, cell(unit, TOWN), LATEST)[1]
    assert tile.label == "2026 年底目标 100%" and tile.under.endswith(" · 本乡镇目标")
    tile = panel.tiles(CERVICAL, cell(unit, OTHER_TOWN), LATEST)[1]
    assert tile.label == "2026 年底目标 95%" and tile.under.endswith(" · 上级所定目标")
    breast = registry.layer("breast_screening")
    tile = panel.tiles(breast, cell(unit, COUNTY, breast.id), LATEST)[1]
    assert tile.label == "2026 年底目标 80%" and "目标 " not in tile.under.replace("目标需", "")
    texts.use("en")
    tile = panel.tiles(CERVICAL, cell(unit, COUNTY), LATEST)[1]
    assert tile.under.endswith(" · this county's own target")


def test_a_count_has_a_pace_where_the_place_has_a_target(unit: Unit) -> None:
    own = cell(unit, COUNTY, CLINICS.id)
    _, target, pace, _ = panel.tiles(CLINICS, own, LATEST)
    assert (target.label, pace.under) == ("2026 年底目标 420 次", "序时应达 350 次")
    assert target.under == "达到目标需 420 次 · 本县目标"
    below = cell(unit, TOWN, CLINICS.id)
    _, target, reported, _ = panel.tiles(CLINICS, below, LATEST)
    assert target.under == "未设目标" and reported.label == "上报情况"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_rule_stands_in_words_wherever_pace_is_shown(unit: Unit, lang: str) -> None:
    texts.use(lang)
    address = Address(COUNTY, CERVICAL.id, LATEST)
    table = service.table(unit, View(COUNTY, CERVICAL.id, LATEST))
    rule = targetwords.rule(CERVICAL)
    sentences = [*rule.due, *(text for _colour, text in rule.colours)]
    assert [colour for colour, _text in rule.colours] == list(PACE_COLOURS[::-1])
    assert all("90%" in text for text in sentences[2:]) and "12" in sentences[0]
    markup = tables.markup(table, address)
    glance = indicatorsview.markup(service.indicators(unit, COUNTY, LATEST, ()), address)
    legend = drawing.config(table, address.moved(show=Mode.PACE), "1", 0, caches.settings())
    tile = panel.tiles_markup(CERVICAL, cell(unit, COUNTY), address)
    for sentence in sentences:
        assert sentence in words(markup) and sentence in words(glance)
        assert sentence in legend["notes"]
        assert sentence in html_module.unescape(tile)
    for colour in PACE_COLOURS:
        assert colour in markup and colour in glance
    plain = drawing.config(table, address, "1", 0, caches.settings())
    assert not set(sentences) & set(plain["notes"])


def test_where_less_is_better_the_rule_says_so() -> None:
    rule = targetwords.rule(FINDINGS)
    assert [text for _colour, text in rule.colours] == [
        "达到序时：不高于目标",
        "落后序时：高于目标，不超过 10%",
        "严重滞后：高于目标 10% 以上",
    ]
    assert targetwords.rule(CLINICS).notes == ("计数指标只看本地自己的目标。",)
    general = targetwords.general_rule([FINDINGS, CERVICAL, CLINICS])
    assert general is not None
    assert general.colours == targetwords.rule(CERVICAL).colours
    assert len(general.due) == 2 and len(general.notes) == 3
    assert targetwords.general_rule([FINDINGS]) == targetwords.rule(FINDINGS)
    assert targetwords.general_rule([]) is None


def test_a_child_with_a_target_of_its_own_is_marked_in_the_table(unit: Unit) -> None:
    table = service.table(unit, View(COUNTY, CERVICAL.id, LATEST))
    markup = tables.markup(table, Address(COUNTY, CERVICAL.id, LATEST))
    rows = re.findall(r'<tr data-id="(\d+)">(.*?)</tr>', markup)
    marked = [place for place, row in rows if "目标 100%" in row]
    assert marked == [TOWN]


@pytest.mark.parametrize(("lang", "said"), [("zh", "本县目标"), ("en", "this county's own target")])
def test_the_pages_say_so(
    configured: Settings, shown: dict[str, str], lang: str, said: str
) -> None:
    app = opened(place=COUNTY, layer=CERVICAL.id, month=LATEST, lang=lang, show="pace")
    assert not app.exception and not app.error
    assert said in html_module.unescape(shown["tiles"])


@pytest.fixture
def copied(demo_directory: Path, tmp_path: Path) -> Iterator[Path]:
    """This process serves a copy of the demonstration that may be changed."""
    shutil.copytree(demo_directory, tmp_path / "data")
    caches.configure(Settings(data=tmp_path / "data"))
    yield tmp_path
    caches.configure(Settings(data=demo_directory))


def seen() -> dict[str, object]:
    """Everything this process remembers of the county, asked for as the pages do."""
    view = View(COUNTY, CERVICAL.id, LATEST)
    with caches.store().unit(SYSTEM) as unit:
        version = caches.version(unit, LATEST)
        (indicator,) = (
            one
            for one in caches.indicators(unit, COUNTY, LATEST, (LATEST,))
            if one.layer is CERVICAL
        )
        group = caches.profile(unit, COUNTY, LATEST, CERVICAL.group, version)
        return {
            "address": version,
            "timeline": caches.timeline(unit, 3)[-1],
            "etag": caches.layer_answer(unit, view, Mode.PACE).etag,
            "table": caches.table(unit, view, version).own.target,
            "tile": group.cells[CERVICAL.id].target,
            "indicator": indicator.cell.target,
        }


def test_a_load_of_targets_is_shown_at_once_and_so_is_its_undo(copied: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["指标", "地区代码", "年度", "目标值"])
    book.active.append(["宫颈癌筛查率", int(COUNTY), 2026, 1.0])
    book.active.append(["宫颈癌筛查率", OTHER_TOWN, 2026, "60%"])
    path = copied / "目标.xlsx"
    book.save(path)
    before = seen()
    report = load_file(caches.store(), SYSTEM, path, Request(), registry.pairs())
    assert report.committed and report.dataset == "targets" and report.batch is not None
    after = seen()
    assert all(after[name] != before[name] for name in before)
    undo(caches.store(), SYSTEM, int(report.batch), registry.pairs())
    again = seen()
    # Versions only ever go up; what they stand for is as it was.
    assert again["address"] not in (before["address"], after["address"])
    for name in ("etag", "table", "tile", "indicator"):
        assert again[name] == before[name]

"""Every text of the interface is found by Babel and has its English."""

from __future__ import annotations

import re
from pathlib import Path

from babel.messages.extract import extract_from_dir

from dashboard.coverage import registry
from dashboard.coverage.model import SiteStatus, Status
from dashboard.ui import texts
from geodata.model import InstitutionKind, Level
from loaders.registry import measures

ROOT = Path(__file__).parents[2]
SOURCES = {
    "dashboard/ui": [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")],
    "dashboard/coverage": [("wording.py", "python")],
    "dashboard/gate": [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")],
    "pages": [("**.py", "python")],
}


def extracted() -> set[str]:
    """All msgids of the sources."""
    return {
        str(found[2])
        for folder, methods in SOURCES.items()
        for found in extract_from_dir(str(ROOT / folder), method_map=methods)
    }


def test_every_text_has_english_and_no_translation_is_unused() -> None:
    assert extracted() == set(texts.catalogue("en"))


def test_translations_keep_their_placeholders() -> None:
    for msgid, english in texts.catalogue("en").items():
        assert set(re.findall(r"{\w+}", msgid)) == set(re.findall(r"{\w+}", english)), msgid


def test_no_chinese_is_left_in_english() -> None:
    assert [
        text for text in texts.catalogue("en").values() if re.search("[\u4e00-\u9fff]", text)
    ] == []


def test_no_text_hides_in_an_f_string_where_babel_does_not_look() -> None:
    said = [ROOT / "dashboard" / "coverage" / "wording.py"]
    for folder in (ROOT / "dashboard" / "ui", ROOT / "pages"):
        said += folder.glob("*.py")
    for path in said:
        assert not re.search(r"\{_\(", path.read_text(encoding="utf-8")), path


def test_every_name_from_a_registry_has_english() -> None:
    texts.use("en")
    layers = registry.layers().values()
    names = [
        *(texts.layer_title(layer) for layer in layers),
        *(texts.layer_help(layer) for layer in layers),
        *(texts.group_name(layer.group) for layer in layers),
        *(texts.unit_name(layer.unit) for layer in layers),
        *(texts.unit_name(measure.unit) for measure in measures().values()),
        *(texts.level_name(level) for level in Level),
        *(texts.kind_name(kind) for kind in InstitutionKind),
        *(texts.status_name(status) for status in Status),
        *(texts.site_status_name(status) for status in SiteStatus),
    ]
    assert [name for name in names if re.search("[\u4e00-\u9fff]", name)] == []


def test_chinese_is_the_source() -> None:
    assert texts.catalogue("zh") == {}
    assert texts._("无数据") == "无数据"

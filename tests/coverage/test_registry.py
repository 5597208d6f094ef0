"""Every entry of layers.toml and measures.toml is complete, used and drawable."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from dashboard.coverage import registry
from dashboard.coverage.model import Layer
from dashboard.coverage.palettes import colours
from geodata.errors import DudaoError
from geodata.model import Level
from loaders import registry as datasets

GROUPS = {"签约履约", "疾病救治", "筛查防控", "机构标准", "保障政策", "健康促进", "督查整改"}
MEASURES = Path(__file__).parents[2] / "loaders" / "measures.toml"
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-layer.md"

ENTRY = {
    "title": "签约率",
    "title_en": "Coverage",
    "group": "签约履约",
    "base_level": "village",
    "numerator": "contracted_persons",
    "denominator": "registered_persons",
    "factor": 100,
    "unit": "%",
    "target": 100,
    "direction": "higher",
    "breaks": [70, 80, 90, 95],
    "palette": "YlGnBu",
    "help": "说明",
    "help_en": "Help",
    "systems": [3],
    "pace": "level",
}
COUNT = {
    **{
        key: value for key, value in ENTRY.items() if key not in ("denominator", "factor", "target")
    },
    "unit": "人",
}


@pytest.mark.parametrize("layer", registry.layers().values(), ids=lambda layer: layer.id)
def test_every_layer_can_be_shown(layer: Layer) -> None:
    assert layer.group in GROUPS
    assert re.fullmatch(r"[a-z][a-z0-9_]*", layer.id)
    assert len(set(colours(layer.palette, layer.classes))) == layer.classes
    assert layer.title_en != layer.title
    assert len(layer.help) > 10 and len(layer.help_en) > 10
    measures = datasets.measures()
    assert measures[layer.numerator].id == layer.numerator
    assert measures[layer.denominator].id == layer.denominator


def test_the_four_layers_of_the_first_work_exist() -> None:
    assert next(iter(registry.layers())) == "contract_coverage"
    assert set(registry.layers()) >= {
        "contract_coverage",
        "cervical_screening",
        "clinic_standardisation",
        "open_findings_rate",
    }


def test_what_identifies_the_sick_is_kept_above_them() -> None:
    for layer in registry.layers().values():
        if layer.id.startswith("hiv"):
            assert layer.lowest_level is Level.CITY
        elif layer.id.startswith(("mental", "tuberculosis")):
            assert layer.lowest_level is Level.TOWNSHIP
        if layer.group == "疾病救治" and layer.id != "outpatient_permits_count":
            assert layer.protected, layer.id
        assert layer.protected or layer.lowest_level is None, layer.id


def test_no_measure_is_collected_for_nothing() -> None:
    used = {m for layer in registry.layers().values() for m in (layer.numerator, layer.denominator)}
    used.update(part for measure in datasets.measures().values() for part in measure.parts)
    assert set(datasets.measures()) == used


def test_a_percent_layer_divides_a_part_by_its_whole() -> None:
    measures = datasets.measures()
    for layer in registry.layers().values():
        if layer.unit == "%":
            assert measures[layer.numerator].part_of == layer.denominator


@pytest.mark.parametrize("key", sorted(set(ENTRY) - {"target", "denominator", "factor"}))
def test_an_incomplete_entry_is_refused_by_name(key: str) -> None:
    with pytest.raises(DudaoError, match=rf"缺少 {key}"):
        registry.parse_layer("broken", {k: v for k, v in ENTRY.items() if k != key})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"numerator": "nobody_counts_this"}, "不是已声明的指标"),
        ({"breaks": [80, 70]}, "递增"),
        ({"breaks": []}, "递增"),
        ({"palette": "Rainbow"}, "色带"),
        ({"breaks": [1, 2, 3, 4, 5, 6, 7, 8]}, "色带"),
        ({"direction": "sideways"}, "sideways"),
        ({"base_level": "galaxy"}, "galaxy"),
        ({"factor": 0}, "factor"),
        ({"title": " "}, "title"),
        ({"colour": "red"}, "不认识的键 colour"),
        ({"site_kind": "pub"}, "pub"),
        ({"systems": []}, "systems"),
        ({"systems": [37]}, "systems"),
        ({"pace": "slow"}, "slow"),
        ({"lowest_level": "street"}, "street"),
        ({"protected": 1}, "protected"),
        ({"denominator": "contracted_persons"}, "不写 denominator"),
    ],
)
def test_a_wrong_entry_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(DudaoError, match=says) as caught:
        registry.parse_layer("broken", {**ENTRY, **change})
    assert caught.value.code == "LAYER_INVALID"


def test_an_entry_without_target_is_fine() -> None:
    layer = registry.parse_layer("free", {k: v for k, v in ENTRY.items() if k != "target"})
    assert layer.target is None


def test_an_entry_without_denominator_counts() -> None:
    layer = registry.parse_layer("count", COUNT)
    assert layer.is_count and layer.factor == 1 and layer.target is None


@pytest.mark.parametrize(
    ("change", "says"),
    [({"unit": "户"}, "unit 应为 人"), ({"target": 5}, "target"), ({"factor": 100}, "同时")],
)
def test_a_wrong_count_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(DudaoError, match=says):
        registry.parse_layer("count", {**COUNT, **change})


def test_two_layers_cannot_colour_one_kind_of_institution(tmp_path: Path) -> None:
    text = registry.LAYERS_FILE.read_text(encoding="utf-8")
    palette = 'palette = "YlOrBr"'
    doubled = text.replace(palette, f'{palette}\nsite_kind = "village_clinic"', 1)
    path = tmp_path / "layers.toml"
    path.write_text(doubled, encoding="utf-8")
    with pytest.raises(DudaoError, match="同一类机构"):
        registry.read_layers(path)


def test_an_unknown_layer_names_those_that_exist() -> None:
    with pytest.raises(DudaoError, match="contract_coverage") as caught:
        registry.layer("nonsense")
    assert caught.value.code == "LAYER_NOT_FOUND"


def test_the_guide_shows_an_entry_with_exactly_the_registry_keys() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    layer_entry = tomllib.loads(blocks[0])["breast_screening"]
    assert set(layer_entry) == set(ENTRY)
    measure = tomllib.loads(blocks[1])["measures"]["breast_screened_women"]
    shipped = tomllib.loads(MEASURES.read_text(encoding="utf-8"))["measures"]
    assert set(measure) == set(shipped["contracted_persons"])

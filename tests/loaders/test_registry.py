"""datasets.toml and measures.toml are complete, and wrong ones are refused by name."""

from __future__ import annotations

import pytest

from geodata.errors import DudaoError
from loaders import registry
from loaders.fold import fold
from loaders.mapping import vocabulary

MEASURE = """
[measures.a]
title = "甲数"
title_en = "A"
unit = "人"
lower = 0
upper = 10
integer = true
"""
DATASET = """
[datasets.figures]
title = "数"
title_en = "Figures"
key = ["place_id"]
[datasets.figures.columns]
place_id = { required = true, kind = "place", aliases = ["代码"] }
"""


def test_every_dataset_and_measure_of_the_first_work() -> None:
    assert list(registry.datasets()) == ["places", "institutions", "figures", "persons"]
    assert set(registry.measures()) >= {
        "registered_households",
        "registered_persons",
        "contracted_persons",
        "cervical_eligible_women",
        "cervical_screened_women",
        "planned_village_clinics",
        "standard_village_clinics",
        "open_findings",
    }
    for measure in registry.measures().values():
        assert measure.title and measure.title_en and measure.unit
        assert fold(measure.title) in vocabulary()
        assert measure.integer is (measure.unit != "万元"), measure.id
    assert registry.registry() is registry.registry()


def test_parts_add_up_in_the_unit_of_their_sum() -> None:
    measures = registry.measures()
    summed = [measure for measure in measures.values() if measure.parts]
    assert {measure.id for measure in summed} == {"inpatient_paid", "outpatient_paid"}
    for measure in summed:
        assert {measures[part].unit for part in measure.parts} == {measure.unit}


def test_a_minimal_declaration_is_read() -> None:
    found = registry.parse(DATASET, MEASURE)
    assert found.measures["a"].upper == 10
    assert found.datasets["figures"].columns["place_id"].required


@pytest.mark.parametrize(
    ("datasets", "measures", "named"),
    [
        (DATASET, MEASURE + "colour = 1\n", "colour"),
        (DATASET, MEASURE.replace('unit = "人"\n', ""), "unit"),
        (DATASET, MEASURE.replace('unit = "人"', 'unit = " "'), "unit"),
        (DATASET, MEASURE.replace("upper = 10", "upper = 0"), "lower"),
        (DATASET, MEASURE + 'part_of = "b"\n', "b"),
        (DATASET, MEASURE + 'part_of = "a"\n', "a"),
        (DATASET, MEASURE + 'rarely_above = ["c"]\n', "c"),
        (DATASET, MEASURE + 'parts = ["d"]\n', "d"),
        (DATASET, MEASURE + 'aliases = ["代码"]\n', "代码"),
        (DATASET.replace('"place"', '"places"'), MEASURE, "places"),
        (DATASET.replace('["place_id"]', '["month"]'), MEASURE, "month"),
        (DATASET + "month = { kind = 'month', aliases = [' 代 码：'] }\n", MEASURE, "代 码"),
        (DATASET, MEASURE + MEASURE.replace("measures.a", "measures.b"), "甲数"),
        ("", MEASURE, "datasets"),
        (DATASET, "[measures", "measures.toml"),
        (DATASET, "[measures]\na = 1\n", "measures.a"),
    ],
)
def test_a_wrong_declaration_is_refused_by_name(datasets: str, measures: str, named: str) -> None:
    with pytest.raises(DudaoError) as raised:
        registry.parse(datasets, measures)
    assert raised.value.code == "REGISTRY_INVALID"
    assert named in raised.value.message


def test_parts_may_not_form_a_ring() -> None:
    second = MEASURE.replace("measures.a", "measures.b").replace("甲数", "乙数")
    text = MEASURE + 'part_of = "b"\n' + second + 'part_of = "a"\n'
    with pytest.raises(DudaoError, match="循环"):
        registry.parse(DATASET, text)

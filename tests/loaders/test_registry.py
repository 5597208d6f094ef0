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
    assert list(registry.datasets())[:4] == ["places", "institutions", "figures", "persons"]
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


def test_records_are_dated_and_numbers_have_bounds() -> None:
    for dataset in registry.record_datasets().values():
        assert dataset.columns[dataset.dated].required, dataset.id
        assert all(dataset.columns[name].required for name in dataset.key), dataset.id
        for column in dataset.columns.values():
            if column.kind == "number" and dataset.id != "revisits":
                assert column.unit and column.lower < column.upper, (dataset.id, column.id)
            assert column.integer is (
                column.kind == "number" and column.unit not in ("万元", "平方米", "")
            ), (dataset.id, column.id)


def test_counted_measures_keep_their_unit_and_no_list_knows_of_hiv() -> None:
    datasets = registry.datasets()
    for measure in registry.measures().values():
        if measure.records is not None and measure.records.sum:
            columns = datasets[measure.records.dataset].columns
            assert {columns[name].unit for name in measure.records.sum} == {measure.unit}, (
                measure.id
            )
        if measure.id.startswith("hiv"):
            assert measure.records is None
    words = {
        word for found in registry.lists().values() for one in found.words.values() for word in one
    }
    assert not [word for word in words if "艾滋" in word or "HIV" in word.upper()]


def test_every_word_of_a_list_is_one_code() -> None:
    for found in registry.lists().values():
        for code, words in found.words.items():
            assert {found.codes[fold(word)] for word in (code, *words)} == {code}


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ('{ kind = "guess", dataset = "r" }', "guess"),
        ('{ kind = "stock", dataset = "figures" }', "figures"),
        ('{ kind = "stock", dataset = "r", where = { day = true } }', "day"),
        ('{ kind = "stock", dataset = "r", where = { poor = "yes" } }', "poor"),
        ('{ kind = "stock", dataset = "r", where = { sort = "z" } }', "z"),
        ('{ kind = "flow", dataset = "r", sum = ["poor"] }', "poor"),
        ('{ kind = "flow", dataset = "r", distinct = "nobody" }', "nobody"),
        ('{ kind = "reached", dataset = "r" }', "by"),
        ('{ kind = "fulfilment", dataset = "r", by = "r", times = 5 }', "times"),
    ],
)
def test_a_wrong_rule_of_counting_names_what_is_wrong(rule: str, named: str) -> None:
    records = (
        DATASET
        + """
[datasets.r]
title = "记"
title_en = "Records"
record = true
dated = "day"
key = ["day"]
[datasets.r.columns]
day = { required = true, kind = "date" }
place_id = { required = true, kind = "place" }
place_name = { kind = "text" }
parent_name = { kind = "text" }
poor = { kind = "flag" }
sort = { kind = "choice", list = "sorts" }
"""
    )
    lists = '[lists.sorts]\na = ["甲类"]\n'
    registry.parse(records, MEASURE + 'records = { kind = "stock", dataset = "r" }\n', lists)
    with pytest.raises(DudaoError) as caught:
        registry.parse(records, MEASURE + f"records = {rule}\n", lists)
    assert caught.value.code == "REGISTRY_INVALID"
    assert "measures.a.records" in caught.value.message and named in caught.value.message


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

"""Numbers, units, months and classes in words."""

from __future__ import annotations

from datetime import date

import pytest

from dashboard.coverage import registry
from dashboard.coverage.model import Cell, Status
from dashboard.ui import format, texts
from geodata.model import Level, Place

CONTRACT = registry.layer("contract_coverage")
FINDINGS = registry.layer("open_findings_rate")


def cell(value: float, change: float | None) -> Cell:
    place = Place("V", "村", Level.VILLAGE, None, "V/", date(2020, 1, 1))
    return Cell(
        place, 1, 1, value, Status.OK, 1, 1, 1, change, 1, 1, None, None, True, False
    )  # fmt: skip


def shown_change(of: Cell) -> str:
    return format.change(CONTRACT, format.moved(CONTRACT, of))


def test_values_carry_their_unit_and_thousands_separators() -> None:
    assert format.value(CONTRACT, 97.46) == "97.5%"
    assert format.value(FINDINGS, 1234.5) == "1,234.50 项/百户"
    assert format.value(CONTRACT, None) == format.number(None) == "—"
    assert format.number(1234567) == "1,234,567"


def test_a_value_is_never_written_as_a_target_that_it_misses() -> None:
    assert format.value(CONTRACT, 99.975, 100.0) == "99.9%"
    assert format.value(CONTRACT, 94.96, 95.0) == "94.9%"
    assert format.value(CONTRACT, 94.96, 94.96) == format.value(CONTRACT, 94.96) == "95.0%"
    assert format.value(CONTRACT, 100.0 - 1e-12, 100.0) == "100.0%"
    assert format.value(CONTRACT, 84.96, 100.0) == "85.0%"
    assert format.value(FINDINGS, 0.001, 0.0) == "0.01 项/百户"
    assert format.between(CONTRACT, 98.0, 99.99, 100.0) == "98.0%–99.9%"


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (1.24, "▲ 1.2 个百分点"),
        (-0.26, "▼ 0.3 个百分点"),
        (0.04, "持平"),
        (0.0, "持平"),
        (None, "—"),
    ],
)
def test_a_change_of_percentages_is_told_in_points(amount: float | None, words: str) -> None:
    assert shown_change(cell(80.0, amount)) == words


def test_the_change_agrees_with_the_two_values_shown() -> None:
    # The exact change is 0.13, but a reader subtracts 91.4 from 91.6.
    assert format.value(CONTRACT, 91.56) == "91.6%" and format.value(CONTRACT, 91.43) == "91.4%"
    assert shown_change(cell(91.56, 0.13)) == "▲ 0.2 个百分点"


def test_months_in_both_languages() -> None:
    assert format.month("2026-10") == "2026年10月"
    assert format.month("2026-03") == "2026年3月"
    texts.use("en")
    assert format.month("2026-10") == "Oct 2026"


def test_every_class_of_every_layer_has_its_own_words() -> None:
    for layer in registry.layers().values():
        words = [format.class_label(layer, index) for index in range(layer.classes)]
        assert len(set(words)) == layer.classes
        assert all(f"{limit:,g}" in " ".join(words) for limit in layer.breaks)
    assert format.class_label(CONTRACT, 0) == "70% 以下"
    assert format.class_label(CONTRACT, 4) == "95% 及以上"

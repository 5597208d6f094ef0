"""Every system of the source documents is there, and the first 32 are layers of the map."""

from __future__ import annotations

import re

import pytest

from dashboard.coverage import registry, systems
from dashboard.coverage.systems import State, System
from loaders.registry import measures

NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?%?")
CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize("system", systems.systems(), ids=lambda one: str(one.number))
def test_every_system_says_what_it_is(system: System) -> None:
    assert system.title and system.base and (system.figures or system.target)
    for chinese, english in (
        (system.title, system.title_en),
        (system.base, system.base_en),
        (system.figures, system.figures_en),
        (system.target, system.target_en),
    ):
        assert bool(chinese) is bool(english) and not CHINESE.search(english)
        # Money, tens of thousands and months are written otherwise in English.
        if not re.search("[万月]", chinese):
            assert set(NUMBER.findall(chinese)) == set(NUMBER.findall(english))


def test_rows_1_to_32_are_layers_and_the_rest_come_later() -> None:
    for system in systems.systems():
        assert (system.state is State.LAYER) is (system.number <= 32)
        assert bool(system.layers) or system.state is State.LATER


def test_no_layer_mixes_units() -> None:
    for layer in registry.layers().values():
        top, bottom = measures()[layer.numerator].unit, measures()[layer.denominator].unit
        if layer.unit == "%":
            assert top == bottom, layer.id
        elif layer.is_count:
            assert layer.unit == top

"""Which measures are protected, over every row of the registries."""

from __future__ import annotations

import pytest

from dashboard.coverage import disclosure, registry
from dashboard.privacy.suppress import INSIDE, LEAVING
from dashboard.reports import tables
from loaders.registry import measures


@pytest.mark.parametrize("measure_id", measures())
def test_every_unit_is_classed(measure_id: str) -> None:
    unit = measures()[measure_id].unit
    assert (unit in disclosure.PERSONAL_UNITS) is not (unit in disclosure.PUBLIC_UNITS)
    assert disclosure.is_personal(measure_id) is (unit in disclosure.PERSONAL_UNITS)


@pytest.mark.parametrize("layer_id", registry.layers())
def test_of_a_share_both_counts_are_personal_or_neither(layer_id: str) -> None:
    layer = registry.layer(layer_id)
    if disclosure.is_share(layer):
        assert disclosure.is_personal(layer.numerator) is disclosure.is_personal(layer.denominator)
    else:
        # Only a layer declared as no part of its whole may go without the remainder's protection.
        assert layer.is_count or measures()[layer.numerator].part_of is None


@pytest.mark.parametrize("threshold", [INSIDE, LEAVING])
def test_the_rule_is_said_in_words(threshold: int) -> None:
    said = tables.rule(threshold, leaving=threshold == LEAVING)
    assert f"少于 {threshold} " in said and tables.HIDDEN in said

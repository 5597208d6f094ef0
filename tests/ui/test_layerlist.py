"""The list of layers: every layer once, in its group, as a link to the same view."""

from __future__ import annotations

import re

import pytest

from dashboard.coverage import registry
from dashboard.ui import layerlist, texts
from dashboard.ui.state import Address

VIEW = Address("131025000000", "cervical_screening", "2026-08")


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_layer_is_a_link_to_the_same_place_and_month(lang: str) -> None:
    texts.use(lang)
    markup = layerlist.markup(VIEW)
    found = re.findall(r'<li data-id="(\w+)"><a href="\?place=131025000000&amp;layer=(\w+)', markup)
    assert [layer for layer, _ in found] == [layer for _, layer in found]
    assert sorted(layer for layer, _ in found) == sorted(registry.layers())
    texts.use("zh")


def test_only_the_group_in_view_is_open() -> None:
    opened = re.findall(r'<details data-key="([^"]+)" open>', layerlist.markup(VIEW))
    assert opened == [registry.layer("cervical_screening").group]

"""What a text finds, and when it lands without asking."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboard.store import Unit
from dashboard.ui import search
from dashboard.ui.state import Address

from .conftest import COUNTY, LATEST, TOWN


@pytest.mark.parametrize("text", ["平舒镇", "pingshuzhen", "131025100000"])
def test_one_exact_hit_lands(unit: Unit, text: str) -> None:
    place = search.landing(search.find(unit, text, LATEST), text)
    assert place is not None and place.id == TOWN


def test_part_of_a_name_lists(unit: Unit) -> None:
    found = search.find(unit, "平舒", LATEST)
    assert TOWN in [place.id for place in found]
    assert search.landing(found, "平舒") is None


def test_initials_find_the_place(unit: Unit) -> None:
    assert TOWN in [place.id for place in search.find(unit, "psz", LATEST)]


def test_the_same_name_twice_does_not_land(unit: Unit) -> None:
    place = search.find(unit, "王庄村民委员会", LATEST)[0]
    assert search.landing([place], "王庄村民委员会") == place
    assert search.landing([place, replace(place, id="another")], "王庄村民委员会") is None


def test_results_lead_to_the_places_or_say_how_to_search(unit: Unit) -> None:
    address = Address(COUNTY, "contract_coverage", LATEST)
    found = search.results_markup(unit, "平舒", address)
    assert f"?place={TOWN}&amp;" in found and "大城县" in found
    missing = search.results_markup(unit, "<b>没有</b>", address)
    assert "没有找到“&lt;b&gt;没有&lt;/b&gt;”" in missing


def test_nothing_found(unit: Unit) -> None:
    assert search.find(unit, "  ", LATEST) == []
    assert search.landing(search.find(unit, "没有这个地方", LATEST), "没有这个地方") is None

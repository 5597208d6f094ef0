"""The view in the address: round trips, defaults, and the nearest view for a wrong one."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.store import Unit
from dashboard.ui import state, texts
from dashboard.ui.state import Address

from .conftest import COUNTY, LATEST, TOWN, VILLAGE

names = st.text(min_size=1, max_size=12)


@given(names, names, names, st.none() | names, st.sampled_from(["zh", "en"]))
def test_a_link_says_all_of_a_view(
    place: str, layer: str, month: str, site: str | None, lang: str
) -> None:
    address = Address(place, layer, month, site, lang)
    read = dict(parse_qsl(address.href().removeprefix("?"), keep_blank_values=True))
    assert read == address.params()
    assert read.get("lang", "zh") == lang and read.get("site") == site


def test_another_place_closes_the_institution_and_another_layer_does_not() -> None:
    address = Address("1", "a", "2026-10", "clinic")
    assert address.moved(place="2").site is None
    assert address.moved(place="2", site="other").site == "other"
    assert address.moved(layer="b").site == "clinic"


def test_an_empty_address_is_the_root_in_the_latest_month(unit: Unit) -> None:
    found = state.parse({}, unit)
    assert found.problems == ()
    assert found.address == Address(COUNTY, "contract_coverage", LATEST)


def test_a_full_address_is_taken_as_it_is(unit: Unit) -> None:
    params = {
        "place": VILLAGE, "layer": "open_findings_rate", "month": "2026-03",
        "site": f"{VILLAGE}-W1", "lang": "en",
    }  # fmt: skip
    found = state.parse(params, unit)
    assert found.problems == ()
    assert found.address.params() == params
    assert found.site is not None and found.site.place_id == VILLAGE


@pytest.mark.parametrize(
    ("params", "field", "shown"),
    [
        ({"month": "2018-13"}, "month", LATEST),
        ({"month": "abc"}, "month", LATEST),
        ({"month": "2019-01"}, "month", "2024-11"),
        ({"month": "2031-01"}, "month", LATEST),
        ({"layer": "no_such_layer"}, "layer", "contract_coverage"),
        ({"place": "nowhere"}, "place", COUNTY),
        ({"place": "131025100999"}, "place", TOWN),
        ({"place": "131025999999"}, "place", COUNTY),
        ({"place": "999999999999"}, "place", COUNTY),
        ({"site": "no-such-clinic"}, "site", None),
        ({"lang": "fr"}, "lang", "zh"),
        ({"place": "<script>alert(1)</script>"}, "place", COUNTY),
    ],
)
def test_a_wrong_value_gives_the_nearest_view_and_says_so(
    unit: Unit, params: dict[str, str], field: str, shown: str | None
) -> None:
    found = state.parse(params, unit)
    assert getattr(found.address, field) == shown
    assert len(found.problems) == 1
    assert next(iter(params.values())) in found.problems[0]


def test_a_village_merged_away_leads_to_its_township(unit: Unit) -> None:
    merged = "131025100241"
    assert state.parse({"place": merged, "month": "2025-01"}, unit).address.place == merged
    later = state.parse({"place": merged, "month": LATEST}, unit)
    assert later.address.place == TOWN
    assert len(later.problems) == 1


def test_the_language_asked_for_is_taken_only_if_there_is_one() -> None:
    assert state.wanted_language({"lang": "en"}, "zh") == "en"
    assert state.wanted_language({"lang": "xx"}, "zh") == "zh"
    assert set(texts.LANGUAGES) == {"zh", "en"}

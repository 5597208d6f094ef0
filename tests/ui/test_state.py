"""The view in the address: round trips, defaults, and the nearest view for a wrong one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.coverage.modes import Mode
from dashboard.store import Store, Unit
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.ui import state, texts
from dashboard.ui.state import Address

from .conftest import COUNTY, LATEST, TOWN, VILLAGE

names = st.text(min_size=1, max_size=12)


@given(names, names, names, st.none() | names, st.none() | names, st.sampled_from(["zh", "en"]))
def test_a_link_says_all_of_a_view(
    place: str, layer: str, month: str, site: str | None, beside: str | None, lang: str
) -> None:
    address = Address(place, layer, month, site, beside=beside, lang=lang)
    read = dict(parse_qsl(address.href().removeprefix("?"), keep_blank_values=True))
    assert read == address.params()
    assert read.get("lang", "zh") == lang and read.get("site") == site


def test_another_place_closes_the_institution_and_another_layer_does_not() -> None:
    address = Address("1", "a", "2026-10", "clinic")
    assert address.moved(place="2").site is None
    assert address.moved(place="2", site="other").site == "other"
    assert address.moved(layer="b").site == "clinic"


def test_changes_are_measured_from_a_year_before_unless_asked(unit: Unit) -> None:
    months = unit.months()
    found = state.parse({"show": "change"}, unit).address
    assert found.show is Mode.CHANGE and found.against == f"{int(LATEST[:4]) - 1}{LATEST[4:]}"
    asked = state.parse({"show": "change", "against": months[3]}, unit).address
    assert asked.against == months[3]
    # Moved to the very month it is measured from, it is measured from another.
    same = state.parse({"show": "change", "against": LATEST, "month": LATEST}, unit).address
    assert same.against == found.against
    assert state.parse({"against": months[3]}, unit).address.against is None


def test_an_unknown_way_of_showing_is_told(unit: Unit) -> None:
    found = state.parse({"show": "magic"}, unit)
    assert found.address.show is Mode.VALUE and "magic" in found.problems[0]


@pytest.mark.parametrize("wanted", ["contract_coverage~1999-01", "nothing~2026-02", "~", "x"])
def test_a_second_map_of_nothing_is_closed_and_told(unit: Unit, wanted: str) -> None:
    found = state.parse({"beside": wanted}, unit)
    assert found.address.second() is None
    assert len(found.problems) == 1 and wanted in found.problems[0]


def test_an_empty_address_is_the_root_in_the_latest_month(unit: Unit) -> None:
    found = state.parse({}, unit)
    assert found.problems == ()
    assert found.address == Address(COUNTY, "contract_coverage", LATEST)


def test_a_full_address_is_taken_as_it_is(unit: Unit) -> None:
    params = {
        "place": VILLAGE, "layer": "open_findings_rate", "month": "2026-03",
        "site": f"{VILLAGE}-W1", "beside": "cervical_screening~2026-02", "lang": "en",
    }  # fmt: skip
    found = state.parse(params, unit)
    assert found.problems == ()
    assert found.address.second() == ("cervical_screening", "2026-02")
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
    said = next(iter(params.values()))
    in_words = {"2019-01": "2019年1月", "2031-01": "2031年1月"}
    assert in_words.get(said, said) in found.problems[0]


def test_a_village_merged_away_leads_to_its_township(unit: Unit) -> None:
    merged = "131025100241"
    assert state.parse({"place": merged, "month": "2025-01"}, unit).address.place == merged
    later = state.parse({"place": merged, "month": LATEST}, unit)
    assert later.address.place == TOWN
    assert len(later.problems) == 1


def test_a_clinic_is_not_opened_in_a_month_without_its_village(tmp_path: Path) -> None:
    places = pd.DataFrame(
        {
            "id": ["county", "stays", "goes"],
            "name": ["县", "留村", "撤村"],
            "level": [3, 5, 5],
            "parent_id": [None, "county", "county"],
            "valid_from": np.array(["2020-01-01"] * 3, dtype="datetime64[s]"),
            "valid_to": np.array(["NaT", "NaT", "2026-01-01"], dtype="datetime64[s]"),
            "lon": np.nan,
            "lat": np.nan,
            "indicative": False,
        }
    )
    clinic = {"id": "c", "name": "诊所", "kind": "village_clinic", "place_id": "goes"}
    figures = pd.DataFrame(
        [
            ("stays", month, measure, "reported", 5.0)
            for month in ("2025-12", "2026-01")
            for measure in ("contracted_persons", "registered_persons")
        ],
        columns=["place_id", "month", "measure", "source", "value"],
    )
    store = Store.open(tmp_path)
    for change in (
        Change(dataset="places", frame=places, geometries=np.array([None] * 3, dtype=object)),
        Change(dataset="institutions", frame=pd.DataFrame([clinic | {"lon": 1.0, "lat": 1.0}])),
        Change(dataset="figures", frame=figures),
    ):
        commit(store, SYSTEM, change, registry.pairs())
    with store.unit(SYSTEM) as opened:
        before = state.parse({"site": "c", "month": "2025-12"}, opened)
        after = state.parse({"site": "c", "month": "2026-01"}, opened)
    store.close()
    assert before.site is not None and before.problems == ()
    assert after.site is None and len(after.problems) == 1


def test_the_language_asked_for_is_taken_only_if_there_is_one() -> None:
    assert state.wanted_language({"lang": "en"}, "zh") == "en"
    assert state.wanted_language({"lang": "xx"}, "zh") == "zh"
    assert set(texts.LANGUAGES) == {"zh", "en"}


def test_a_second_click_before_the_page_has_run_keeps_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Query(dict[str, str]):
        def from_dict(self, params: dict[str, str]) -> None:
            self.clear()
            self.update(params)

        def to_dict(self) -> dict[str, str]:
            return dict(self)

    query = Query()
    session: dict[str, object] = {}
    monkeypatch.setattr(state.st, "query_params", query)
    monkeypatch.setattr(state.st, "session_state", session)
    here = Address("1", "a", "2026-10", "clinic")
    for first, second in ((True, False), (False, True)):
        state.remember(here)
        for by_link in (first, second):
            if by_link:
                state.follow(here.href(layer="b", place="2"))
            else:
                state.go(month="2026-09")
        # The other place closed the institution, and the month did not open it again.
        assert dict(query) == {"place": "2", "layer": "b", "month": "2026-09"}
    state.remember(Address("2", "b", "2026-09"))
    state.go(month="2026-08")
    assert dict(query) == {"place": "2", "layer": "b", "month": "2026-08"}

"""What a view shows, out of a real store: tables, profiles, trends, sites, payloads."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import shapely
import shapely.geometry

from dashboard.access import SYSTEM
from dashboard.coverage import drawing, registry, service
from dashboard.coverage.model import Payload, SiteStatus, Status, View
from dashboard.store import Store
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.model import Change
from dashboard.store.unit import Unit
from geodata.coverage_shapes import gaps_and_overlaps
from geodata.crs import wgs84_to_gcj02
from geodata.errors import DudaoError

from .conftest import county_figures, county_places


def view(place: str, month: str = "2026-10", layer: str = "contract_coverage") -> View:
    return View(place_id=place, layer_id=layer, month=month)


def drawn(unit: Unit, shown: View, crs: drawing.MapCrs = "wgs84") -> Payload:
    seen = service.scene(unit, shown.place_id, shown.month)
    return drawing.payload(service.table(unit, shown), drawing.outlines(seen, crs))


def test_children_come_worst_first_with_every_kind_of_missing(unit: Unit) -> None:
    shown = service.table(unit, view("T0"))
    assert [(c.place.id, c.status, c.value, c.rank, c.class_index) for c in shown.cells] == [
        ("T0V0", Status.OK, 70.0, 2, 1),
        ("T0V1", Status.OK, 90.0, 1, 3),
        ("T0V2", Status.NOT_APPLICABLE, None, None, None),
        ("T0V3", Status.NO_DATA, None, None, None),
    ]
    assert shown.class_counts == (0, 1, 0, 1, 0)
    assert shown.count(Status.NO_DATA) == 1
    assert shown.count(Status.NOT_APPLICABLE) == 1
    assert shown.without_boundary == 1
    assert shown.indicative
    assert shown.version == 1


def test_a_parent_sums_the_villages_that_reported_both(unit: Unit) -> None:
    own = service.table(unit, view("T0")).own
    assert (own.numerator, own.denominator, own.value) == (160, 200, 80.0)
    assert (own.reporting, own.expected) == (3, 4)
    assert own.rank == 2
    assert own.shortfall(registry.layer("contract_coverage")) == 40


def test_a_figure_of_its_own_that_differs_is_flagged_and_the_sum_is_shown(unit: Unit) -> None:
    cells = {cell.place.id: cell for cell in service.table(unit, view("C")).cells}
    assert (cells["T1"].numerator, cells["T1"].denominator) == (190, 200)
    assert (cells["T1"].own_numerator, cells["T1"].own_denominator) == (190, 210)
    assert cells["T1"].disagrees and not cells["T0"].disagrees


def test_change_needs_the_month_before(unit: Unit) -> None:
    # There is no September, so October has nothing to compare with.
    assert all(cell.change is None for cell in service.table(unit, view("T0")).cells)


def test_change_on_the_month_before(store: Store, tmp_path: Path) -> None:
    with Store.open(tmp_path).unit(SYSTEM) as empty:
        assert empty.months() == []
    fresh = Store.open(tmp_path / "two")
    frame, shapes = county_places()
    figures = county_figures()
    figures["month"] = figures["month"].replace("2026-08", "2026-09")
    for change in (
        Change(dataset="places", frame=frame, geometries=shapes),
        Change(dataset="figures", frame=figures),
    ):
        commit(fresh, SYSTEM, change, registry.pairs())
    with fresh.unit(SYSTEM) as unit:
        cells = {cell.place.id: cell for cell in service.table(unit, view("T0")).cells}
    assert cells["T0V0"].change == pytest.approx(10)
    assert cells["T0V3"].change is None
    fresh.close()


def test_a_layer_added_later_is_rolled_up_from_the_figures_already_there(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    first, *added = registry.pairs()
    frame, shapes = county_places()
    for change in (
        Change(dataset="places", frame=frame, geometries=shapes),
        Change(dataset="figures", frame=county_figures()),
    ):
        commit(store, SYSTEM, change, [first])
    clinics = view("T0", layer="clinic_standardisation")
    with store.unit(SYSTEM) as unit:
        assert service.table(unit, clinics).own.status is Status.NO_DATA
    assert len(ensure_snapshots(store, SYSTEM, [first, *added])) == 2
    with store.unit(SYSTEM) as unit:
        shown = service.table(unit, clinics)
    assert (shown.own.numerator, shown.own.denominator, shown.version) == (1, 2, 2)
    assert ensure_snapshots(store, SYSTEM, [first, *added]) == ()
    store.close()


def test_profile_has_every_layer_and_the_way_up(unit: Unit) -> None:
    profile = service.profile(unit, "T0V0", "2026-10")
    assert list(profile.cells) == list(registry.layers())
    assert [place.id for place in profile.ancestors] == ["C", "T0"]
    assert profile.siblings == 4
    assert profile.cells["clinic_standardisation"].value == 100.0
    assert profile.cells["open_findings_rate"].status is Status.NO_DATA
    assert profile.cells["contract_coverage"].rank == 2


def test_trend_keeps_every_published_month(unit: Unit) -> None:
    points = service.trend(unit, "T0V0", "contract_coverage")
    assert [(p.month, p.value) for p in points] == [("2026-08", 60.0), ("2026-10", 70.0)]
    clinics = service.trend(unit, "C", "clinic_standardisation")
    assert [(p.month, p.value, p.status) for p in clinics] == [
        ("2026-08", None, Status.NO_DATA),
        ("2026-10", 50.0, Status.OK),
    ]


def test_trend_of_a_place_nobody_knows_is_refused(unit: Unit) -> None:
    with pytest.raises(DudaoError) as caught:
        service.trend(unit, "X", "contract_coverage")
    assert caught.value.code == "PLACE_NOT_FOUND"


def test_a_village_that_reported_nothing_is_expected_to(unit: Unit) -> None:
    cells = {cell.place.id: cell for cell in service.table(unit, view("T0")).cells}
    assert (cells["T0V3"].reporting, cells["T0V3"].expected) == (0, 1)
    assert (cells["T0V0"].reporting, cells["T0V0"].expected) == (1, 1)


def test_institutions_take_their_status_from_the_layer_that_names_their_kind(unit: Unit) -> None:
    status = {s.institution.id: s.status for s in service.sites(unit, "C", "2026-10")}
    assert status == {
        "K0": SiteStatus.MET,
        "K1": SiteStatus.UNMET,
        "K2": SiteStatus.NOT_APPLICABLE,
        "K3": SiteStatus.NO_DATA,
        "H": SiteStatus.NOT_APPLICABLE,
    }
    body = json.loads(drawing.site_payload(service.sites(unit, "C", "2026-10")).body)
    assert [f["properties"]["id"] for f in body["features"]] == ["K0", "K1", "K2", "K3"]


def test_the_payload_is_what_the_table_says(unit: Unit) -> None:
    payload = drawn(unit, view("T0"))
    body = json.loads(payload.body)
    features = {f["properties"]["id"]: f for f in body["features"]}
    # T0V3 has no outline but is counted: no data; T0V2 has nobody registered.
    assert body["counts"] == [0, 1, 0, 1, 0, 1, 1, 0, 0]
    assert set(features) == {"T0V0", "T0V1", "T0V2"}
    first = features["T0V0"]["properties"]
    assert (first["n"], first["v"], first["a"], first["b"], first["c"], first["r"]) == (
        "0-0村", 70.0, 70, 100, 1, 2,
    )  # fmt: skip
    assert features["T0V2"]["properties"]["c"] == -2
    assert first["i"] == 1 and first["w"] > 1000
    assert drawn(unit, view("T0")).etag == payload.etag
    assert drawn(unit, view("T0", "2026-08")).etag != payload.etag


def test_the_payload_moves_with_tiles_drawn_in_gcj02(unit: Unit) -> None:
    plain = json.loads(drawn(unit, view("C")).body)["features"][0]
    moved = json.loads(drawn(unit, view("C"), "gcj02").body)["features"][0]
    x, y = plain["geometry"]["coordinates"][0][0]
    lon, lat = wgs84_to_gcj02(np.array([x]), np.array([y]))
    assert moved["geometry"]["coordinates"][0][0] == pytest.approx([lon[0], lat[0]], abs=2e-4)


def test_layers_and_months_of_a_place_share_their_outlines(unit: Unit) -> None:
    bodies = [
        json.loads(drawn(unit, shown).body)
        for shown in (view("T0"), view("T0", "2026-08"), view("T0", layer="cervical_screening"))
    ]
    assert len({body["shapes"] for body in bodies}) == 1
    assert json.loads(drawn(unit, view("T1")).body)["shapes"] != bodies[0]["shapes"]


def test_neighbours_stay_neighbours_in_the_payload(unit: Unit) -> None:
    features = json.loads(drawn(unit, view("C")).body)["features"]
    shapes = np.array([shapely.geometry.shape(f["geometry"]) for f in features], dtype=object)
    assert shapes[0].touches(shapes[1])
    assert gaps_and_overlaps(shapes) == (0.0, 0.0)


def test_a_leaf_is_drawn_among_its_siblings(unit: Unit) -> None:
    on = date(2026, 10, 31)
    assert service.drawn_place(unit, unit.place("T0V0", on), "2026-10").id == "T0"
    assert service.drawn_place(unit, unit.place("T0", on), "2026-10").id == "T0"
    assert service.drawn_place(unit, unit.place("C", on), "2026-10").id == "C"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (View("X", "contract_coverage", "2026-10"), "PLACE_NOT_FOUND"),
        (View("C", "nope", "2026-10"), "LAYER_NOT_FOUND"),
        (View("C", "contract_coverage", "2026-09"), "MONTH_NOT_FOUND"),
    ],
)
def test_an_unknown_view_is_refused(unit: Unit, bad: View, code: str) -> None:
    with pytest.raises(DudaoError) as caught:
        service.table(unit, bad)
    assert caught.value.code == code

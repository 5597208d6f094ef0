"""What the colours say: values, pace, change; every layer in every mode."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dashboard.coverage import drawing, modes, registry, service
from dashboard.coverage.model import Layer, Status, Target, View
from dashboard.coverage.modes import Mode, Shade
from dashboard.coverage.pace import STANDINGS, Standing
from dashboard.store.unit import Unit

CONTRACT = registry.layer("contract_coverage")


@pytest.mark.parametrize("layer", registry.layers().values(), ids=lambda layer: layer.id)
@pytest.mark.parametrize("mode", Mode)
def test_every_class_has_its_own_colour(layer: Layer, mode: Mode) -> None:
    colours = modes.colours(layer, mode)
    assert len(set(colours)) == len(colours)
    if mode not in (Mode.PACE, Mode.LQAS):
        assert len(modes.limits(layer, mode)) == len(colours) - 1


@pytest.mark.parametrize(
    ("now", "before", "moved"), [(80.0, 75.0, 5.0), (80.0, None, None), (None, 80.0, None)]
)
def test_percentages_change_by_points(
    now: float | None, before: float | None, moved: float | None
) -> None:
    assert modes.change(CONTRACT, now, before) == moved


def test_counts_change_in_per_cent_of_what_they_were() -> None:
    leaflets = registry.layer("leaflets_count")
    assert modes.change(leaflets, 150.0, 100.0) == 50.0
    assert modes.change(leaflets, 150.0, 0.0) is None


def test_a_change_is_measured_place_by_place(unit: Unit) -> None:
    table = service.table(unit, View("T0", CONTRACT.id, "2026-10"))
    before = {
        cell.place.id: cell
        for cell in service.table(unit, View("T0", CONTRACT.id, "2026-08")).cells
    }
    for cell, shade in zip(table.cells, modes.shades(table, Mode.CHANGE, before), strict=True):
        other = before.get(cell.place.id)
        if cell.value is None:
            assert shade == Shade(None, None, cell.status)
        elif other is None or other.value is None:
            assert shade.value is None and shade.status is not Status.OK
        else:
            assert shade.value == pytest.approx(cell.value - other.value)


def test_no_change_of_what_was_left_out_can_be_read(unit: Unit) -> None:
    table = service.table(unit, View("T0", CONTRACT.id, "2026-10"))
    hidden = {
        cell.place.id: replace(cell, value=None, status=Status.SUPPRESSED) for cell in table.cells
    }
    for cell, shade in zip(table.cells, modes.shades(table, Mode.CHANGE, hidden), strict=True):
        assert shade.value is None
        if cell.value is not None:
            assert shade.status is Status.SUPPRESSED


def test_the_payload_counts_standings(unit: Unit) -> None:
    scene = service.scene(unit, "T0", "2026-10")
    table = service.table_of(scene, CONTRACT)
    body = json.loads(drawing.payload(table, drawing.outlines(scene), Mode.PACE).body)
    shades = modes.shades(table, Mode.PACE, {})
    known = [shade.class_index for shade in shades if shade.class_index is not None]
    assert body["counts"][:3] == [known.count(at) for at in range(3)]
    assert known and sum(body["counts"]) == len(table.cells)
    assert STANDINGS[0] is Standing.LATE


@pytest.mark.parametrize("mode", [Mode.VALUE, Mode.PACE])
def test_the_map_gives_a_place_one_person_short_no_number_that_reads_as_met(
    unit: Unit, mode: Mode
) -> None:
    scene = service.scene(unit, "T0", "2026-10")
    table = service.table_of(scene, CONTRACT)
    cells = tuple(
        replace(cell, value=99.975, status=Status.OK, class_index=4, target=Target(100.0))
        for cell in table.cells
    )
    body = json.loads(
        drawing.payload(replace(table, cells=cells), drawing.outlines(scene), mode).body
    )
    assert {feature["properties"]["v"] for feature in body["features"]} == {99.9}

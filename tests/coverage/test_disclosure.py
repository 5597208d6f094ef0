"""What is left out of a month is kept beside its values, and made anew by other rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from dashboard.access import SYSTEM
from dashboard.coverage import disclosure, registry, service
from dashboard.coverage.model import Layer, Source, Status
from dashboard.privacy.suppress import Shown
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change, Snapshot
from dashboard.store.snapshots import BESIDE
from tests.coverage.conftest import county_places

MONTH = "2026-10"
LAYER = "hypertension_management"
PROTECTED = [one for one in registry.layers().values() if one.protected]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two of 41 patients are managed in one village; HIV patients are few everywhere."""
    opened = Store.open(tmp_path)
    frame, shapes = county_places()
    commit(
        opened, SYSTEM, Change(dataset="places", frame=frame, geometries=shapes), registry.pairs()
    )
    rows = [
        (f"T{t}V{v}", MONTH, measure, float(value))
        for t in range(2)
        for v in range(4)
        for measure, value in (
            ("hypertension_known", 40 + v),
            ("hypertension_managed", 2 if (t, v) == (0, 1) else 20 + v),
            ("hiv_patients", 9),
            ("hiv_treated", 6 + v % 2),
        )
    ]
    figures = pd.DataFrame(rows, columns=["place_id", "month", "measure", "value"])
    commit(
        opened,
        SYSTEM,
        Change(dataset="figures", frame=figures.assign(source="reported")),
        registry.pairs(),
    )
    forget()
    yield opened
    forget()
    opened.close()


def forget() -> None:
    """As another process would begin."""
    disclosure._left_out.clear()
    disclosure._months.clear()


def published(store: Store) -> Snapshot:
    with store.unit(SYSTEM) as unit:
        return unit.snapshot(MONTH)


def hidden(store: Store, layer_id: str = LAYER) -> frozenset[str]:
    forget()
    return disclosure.left_out(store.snapshots, published(store), registry.layer(layer_id))


def directly(store: Store, layer: Layer) -> frozenset[str]:
    frames = store.snapshots.wholes(
        published(store), Source.REPORTED, [disclosure._pair(one) for one in PROTECTED]
    )
    mates = disclosure.together(layer, PROTECTED)
    alone = [(one, disclosure._alone(frames, MONTH, one, disclosure.INSIDE)) for one in mates]
    return frozenset(disclosure.pattern(alone))


def beside(store: Store) -> Path:
    return store.directory / "snapshots" / (published(store).file + BESIDE)


def test_what_is_kept_is_what_the_rules_say(store: Store) -> None:
    disclosure.prepare(store.snapshots, [published(store)])
    for layer in PROTECTED:
        assert hidden(store, layer.id) == directly(store, layer), layer.id
    assert "T0V1" in hidden(store) and len(hidden(store)) >= 2
    assert hidden(store, "hiv_treated_share")


def test_layers_read_apart_say_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disclosure, "_ROWS_AT_ONCE", 0)
    for layer in PROTECTED:
        assert hidden(store, layer.id) == directly(store, layer), layer.id


def test_a_prepared_month_is_not_searched_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    disclosure.prepare(store.snapshots, [published(store)])
    expected = hidden(store)
    monkeypatch.setattr(store.snapshots, "wholes", None)
    assert hidden(store) == expected
    with store.unit(SYSTEM) as unit:
        (point,) = service.trend(unit, "T0V1", LAYER)
    assert point.status is Status.SUPPRESSED and point.numerator is None


def test_other_rules_make_it_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    disclosure.prepare(store.snapshots, [published(store)])
    assert "T0V1" in hidden(store)
    before = beside(store).read_bytes()
    # One more layer is protected: what is kept does not know it.
    layers = registry.layers()
    more = {
        key: dataclasses.replace(one, protected=True) if key == "contract_coverage" else one
        for key, one in layers.items()
    }
    monkeypatch.setattr(disclosure.registry, "layers", lambda: more)
    assert hidden(store, "contract_coverage") == frozenset()
    changed = beside(store).read_bytes()
    assert changed != before
    monkeypatch.setattr(disclosure, "INSIDE", 50)
    assert hidden(store) > {"T0V1"}
    assert beside(store).read_bytes() != changed


def test_damage_hides_no_less(store: Store) -> None:
    disclosure.prepare(store.snapshots, [published(store)])
    expected = hidden(store)
    beside(store).write_bytes(beside(store).read_bytes()[:-30])
    assert hidden(store) == expected != frozenset()


def test_a_month_that_cannot_be_judged_holds_no_load_up(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wholes = store.snapshots.wholes

    def damaged(*asked: object) -> object:
        found = wholes(*asked)  # type: ignore[arg-type]
        for frame in found.values():
            frame.loc[frame["place_id"] == "T0", "numerator"] += 1
        return found

    monkeypatch.setattr(store.snapshots, "wholes", damaged)
    disclosure.prepare(store.snapshots, [published(store)])
    assert "各级合计不一致" in caplog.text
    assert not beside(store).exists()


def test_a_part_that_exceeds_its_whole_in_the_records_is_no_share_and_can_be_judged(
    store: Store,
) -> None:
    """A plan without an examination: its group of layers could not be exported at all."""
    plans = registry.layer("plan_coverage")
    assert disclosure.is_share(plans)
    counts = {"plan_persons": 8.0, "examined_persons": 7.0, "registered_persons": 40.0}
    few = {"plan_persons": 3.0, "examined_persons": 3.0}
    rows = [
        (village, MONTH, measure, few.get(measure, value) if village == "T0V0" else value)
        for village in (f"T{t}V{v}" for t in range(2) for v in range(4))
        for measure, value in counts.items()
    ]
    figures = pd.DataFrame(rows, columns=["place_id", "month", "measure", "value"])
    commit(
        store,
        SYSTEM,
        Change(dataset="figures", frame=figures.assign(source="records")),
        registry.pairs(),
    )
    left_out = disclosure.of_export(store.snapshots, published(store), plans, 5)
    assert left_out["T0V0"] is Shown.NOTHING
    assert len([one for one in left_out if one.startswith("T0V")]) > 1, "and one to hide it"

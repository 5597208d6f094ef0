"""A place with many children lists the worst hundred first, and all of them when asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.settings import Settings
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from dashboard.ui import caches, tables
from geodata.model import Level

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
VILLAGES = 130


@pytest.fixture
def long(tmp_path: Path) -> Iterator[None]:
    store = Store.open(tmp_path)
    ids = ["T", *(f"V{number:03}" for number in range(VILLAGES))]
    places = pd.DataFrame(
        {
            "id": ids,
            "name": [f"{place_id}村" for place_id in ids],
            "level": [int(Level.TOWNSHIP), *[int(Level.VILLAGE)] * VILLAGES],
            "parent_id": [None, *["T"] * VILLAGES],
            "valid_from": pd.Timestamp("2020-01-01"),
            "valid_to": pd.NaT,
            "lon": 116.5,
            "lat": 39.5,
            "indicative": False,
        }
    )
    figures = pd.DataFrame(
        [
            (place_id, "2026-10", measure, value)
            for number, place_id in enumerate(ids[1:])
            for measure, value in (("registered_persons", 200.0), ("contracted_persons", number))
        ],
        columns=["place_id", "month", "measure", "value"],
    ).assign(source="reported")
    commit(store, SYSTEM, Change(dataset="places", frame=places), registry.pairs())
    commit(store, SYSTEM, Change(dataset="figures", frame=figures), registry.pairs())
    store.close()
    caches.configure(Settings(data=tmp_path))
    yield
    caches.configure(Settings(data=tmp_path))


def listed(page: AppTest) -> list[str]:
    (children,) = (
        block.proto.mixed.json if block.proto.HasField("mixed") else block.proto.json
        for block in page.get("bidi_component")
        if "dd-table" in str(block.proto)
    )
    return re.findall(r'tr data-id=\\"(V\d+)\\"', children)


def test_the_worst_hundred_then_all(long: None) -> None:
    page = AppTest.from_file(str(APP), default_timeout=60)
    page.run()
    assert not page.exception
    worst = [f"V{number:03}" for number in range(VILLAGES)]
    assert listed(page) == worst[: tables.ROWS_LISTED]
    page.button(key="whole-list").click().run()
    assert listed(page) == worst
    assert "whole-list" not in [button.key for button in page.button]

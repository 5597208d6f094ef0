"""Invented persons: nobody's numbers, the same every time, brought by the demonstration alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from dashboard.access import SYSTEM, operator
from dashboard.demo.persons import VILLAGES_A_TOWNSHIP, persons
from dashboard.demo.service import prepare_demo
from dashboard.privacy import service
from dashboard.store import Store
from geodata.errors import DudaoError
from loaders.persons import id_problem
from tests.privacy import world

TOWNSHIP = "131025101000"


def listed(*townships: str) -> pd.DataFrame:
    rows = [(f"{township}{number:03d}", 5) for township in townships for number in range(200, 210)]
    return pd.DataFrame(rows, columns=["id", "level"])


def test_numbers_are_well_formed_and_nobodys() -> None:
    found = persons(listed("131025101", "131025102"), 7)
    assert len(found) == 2 * VILLAGES_A_TOWNSHIP
    for row in found.itertuples():
        assert id_problem(row.id_number, date.today()) is None
        assert row.id_number.startswith("99") and row.name[1] == "演"
        assert row.phone == "" or (row.phone.startswith("154") and len(row.phone) == 11)
    assert found["id_number"].is_unique
    alone = persons(listed("131025102"), 7)
    assert alone.equals(found.tail(VILLAGES_A_TOWNSHIP).reset_index(drop=True))


def test_only_the_demonstration_brings_persons_into_one(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    prepare_demo(store, root=TOWNSHIP, actor=operator("t"))
    page = service.persons(store, SYSTEM, TOWNSHIP)
    assert page.total == VILLAGES_A_TOWNSHIP
    assert all(row.name[1:] == "**" for row in page.rows)
    with pytest.raises(DudaoError, match="DEMO_NO_PERSONS"):
        real = ("真人", world.id_number(5), "", "", page.rows[0].place_id)
        world.load(store, operator("t"), world.write(tmp_path / "r.csv", [real]))
    prepare_demo(store, root=TOWNSHIP, actor=operator("t"))
    assert service.persons(store, SYSTEM, TOWNSHIP).total == VILLAGES_A_TOWNSHIP
    store.close()

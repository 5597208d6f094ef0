"""The transcribed figures of the two source documents: complete, in declared units, uncorrected."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

import dashboard.demo

DATA = Path(dashboard.demo.__file__).parent / "data" / "seed_figures.csv"
UNITS = {"人", "人次", "户", "户次", "个", "份", "次", "万元", "%"}
WITHOUT_DIGITS = {"registration_fee_cut", "tuberculosis_visited", "tcm_halls"}
"""Items whose document gives the figure in words: 免收, 全部, 每个."""


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.read_csv(DATA, dtype={"period": str}, keep_default_na=False)


def value(rows: pd.DataFrame, item: str, document: str = "X") -> float:
    found = rows[(rows["document"] == document) & (rows["item"] == item)]
    return float(found["value"].item())


def test_every_row_has_a_document_a_system_a_unit_and_a_period_of_its_kind(rows):
    assert set(rows["document"]) == {"L", "X"}
    assert rows["system"].between(1, 36).all()
    assert set(rows["unit"]) <= UNITS
    assert not rows.duplicated(["document", "item"]).any()
    figures = rows[rows["kind"] == "figure"].set_index("document")["period"]
    assert set(figures["L"]) == {"2019-07"}
    assert set(figures["X"]) == {"2017-12"}
    targets = rows[rows["kind"] == "target"].set_index("document")["period"]
    assert set(targets["L"]) == {"2019"}
    assert set(targets["X"]) == {"2018"}


def test_each_value_and_qualifier_stands_in_the_words_quoted(rows):
    for row in rows.itertuples():
        said = {
            round(float(number) * (10_000 if tail.startswith("万") and tail != "万元" else 1), 2)
            for number, tail in re.findall(r"([\d.]+)余?(万元|万|)", row.text)
        }
        if row.item not in WITHOUT_DIGITS:
            assert round(row.value, 2) in said, row
        assert row.qualifier in row.text


def test_the_documents_contradictions_are_kept(rows):
    """Corrected figures would hide what the plausibility rules have to find."""
    funds = ("basic", "major", "aid", "government")
    assert sum(value(rows, f"inpatient_paid_{fund}") for fund in funds) == pytest.approx(12755.90)
    assert value(rows, "inpatient_paid") == 12749.9
    funds = ("basic", "aid", "government", "supplement")
    assert sum(value(rows, f"outpatient_paid_{fund}") for fund in funds) == pytest.approx(3572.17)
    assert value(rows, "outpatient_paid") == 3694.27
    registered = value(rows, "registered_persons")
    assert value(rows, "outpatient_persons") > registered
    assert value(rows, "free_examinations") > registered
    poor = {value(rows, f"{cancer}_screened_poor_women") for cancer in ("cervical", "breast")}
    assert poor == {5432}
    samples = [value(rows, f"pregnant_{kind}_samples", "L") for kind in ("urine", "salt")]
    assert samples == [3, 2]
    mental = [value(rows, f"mental_{what}", "L") for what in ("visited", "diagnosed")]
    assert mental == [275, 1448]

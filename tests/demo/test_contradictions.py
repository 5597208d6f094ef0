"""Loading the two documents raises the contradictions they hold, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.demo.documents import DOCUMENTS
from tests.conftest import Demonstration

EXPECTED: dict[str, list[tuple[str, set[str], list[float]]]] = {
    "L": [
        ("MIXED_SCOPES", {"mental_visited", "mental_diagnosed"}, [275, 1448]),
        ("UNEQUAL_PAIRS", {"pregnant_urine_samples", "pregnant_salt_samples"}, [3, 2]),
    ],
    "X": [
        ("ABOVE_POPULATION", {"free_examinations", "registered_persons"}, [50_000, 22_444]),
        ("ABOVE_POPULATION", {"outpatient_persons", "registered_persons"}, [39_800, 22_444]),
        (
            "PARTS_DIFFER",
            {"inpatient_paid", *(f"inpatient_paid_{one}" for one in
             ("basic", "major", "aid", "government"))},
            [12_755.90, 12_749.9],
        ),
        (
            "PARTS_DIFFER",
            {"outpatient_paid", *(f"outpatient_paid_{one}" for one in
             ("basic", "aid", "government", "supplement"))},
            [3_572.17, 3_694.27],
        ),
        (
            "SAME_SUBTOTAL",
            {"cervical_screened_poor_women", "breast_screened_poor_women"},
            [5_432],
        ),
    ],
}  # fmt: skip


def run(data: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["--data", str(data), *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.id)
def test_the_documents_contradictions_and_no_others(
    document: Any, demonstration: Demonstration
) -> None:
    data = demonstration({"L": "langfang", "X": "xcounty"}[document.id])
    asked = ("quality", "--place", document.place_id, "--month", document.month, "--json")
    flags = json.loads(run(data, *asked))["flags"]
    assert {flag["place"] for flag in flags} == {document.place_id}
    found = [(flag["code"], set(flag["measures"]), flag["values"]) for flag in flags]
    wanted = EXPECTED[document.id]
    assert len(found) == len(wanted)
    for code, measures, values in wanted:
        assert (code, measures, pytest.approx(values)) in found

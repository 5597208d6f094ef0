"""One load as a whole: the file that changes meanwhile, the report, the real lists."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import loaders
from loaders.model import Known, Request
from tests.loaders.world import DONGGUAN, codes, known_with

TEXT = f"place_id,month,contracted_persons\n{DONGGUAN},2026-10,3\n"


def test_exports() -> None:
    assert set(loaders.__all__) == {"Known", "Prepared", "Request", "inspect", "prepare"}


@pytest.mark.parametrize("how", ["rewritten", "replaced", "deleted", "same size"])
def test_a_file_replaced_while_it_is_read(how: str, write: Callable[..., Path]) -> None:
    path = write(TEXT)
    known = known_with()

    def meddle(
        place_ids: Sequence[str], months: Sequence[str], measures: Sequence[str]
    ) -> pd.DataFrame:
        # Called in the middle of the checks, after the file was read.
        if how == "rewritten":
            path.write_text(TEXT + f"{DONGGUAN},2026-11,4\n")
        elif how == "same size":
            path.write_text(TEXT.replace(",3\n", ",9\n"))
            os.utime(path, ns=(1, 1))
        elif how == "replaced":
            other = path.with_suffix(".new")
            other.write_text(TEXT)
            other.replace(path)
        else:
            path.unlink()
        return known.figures(place_ids, months, measures)

    prepared = loaders.prepare(path, Request(), replace(known, figures=meddle))
    assert codes(prepared) == {"FILE_CHANGED": 1}
    assert prepared.report.has_errors


def test_memory_errors_are_not_swallowed(write: Callable[..., Path], known: Known) -> None:
    def exhausted(
        place_ids: Sequence[str], months: Sequence[str], measures: Sequence[str]
    ) -> pd.DataFrame:
        raise MemoryError

    with pytest.raises(MemoryError):
        loaders.prepare(write(TEXT), Request(), replace(known, figures=exhausted))


def test_the_report_says_how_the_file_was_read(write: Callable[..., Path], known: Known) -> None:
    prepared = loaders.prepare(str(write(TEXT, encoding="gbk")), Request(), known)
    shown = prepared.report.as_dict()
    assert shown["dataset"] == "figures" and shown["file"] == "data.csv"
    assert shown["header_rows"] == {"": [1]}
    assert len(shown["sha256"]) == 64
    assert shown["counts"] == {"error": 0, "warning": 0, "info": 0}
    assert shown["rows_read"] == shown["rows_valid"] == 1


def test_rows_add_up_in_every_case(write: Callable[..., Path], known: Known) -> None:
    rows = [f"{DONGGUAN},2026-{n % 14:02d},{n % 7 - 1}" for n in range(200)]
    path = write("place_id,month,contracted_persons\n" + "\n".join(rows))
    report = loaders.prepare(path, Request(), known).report
    assert report.rows_read == 200
    assert report.rows_valid + report.rows_rejected == 200
    assert report.rows_rejected > 0

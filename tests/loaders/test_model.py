"""The report: many alike stay small, JSON shows the first of each code, the CSV has them all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from loaders.issues import block, make
from loaders.model import ImportReport, Severity

MANY = 100_000


def report_of_many() -> ImportReport:
    report = ImportReport(file="x.csv")
    rows = np.arange(2, MANY + 2)
    values = np.array(["=1+1"], dtype=object)[np.zeros(MANY, dtype=int)]
    report.issues.append(make("CRS_MISSING"))
    report.issues.add(block("BAD_NUMBER", rows, None, "户数", values))
    return report


def test_json_is_cut_and_counts_everything() -> None:
    shown = report_of_many().as_dict()
    assert shown["summary"] == [
        {"code": "BAD_NUMBER", "count": MANY, "shown": 100},
        {"code": "CRS_MISSING", "count": 1, "shown": 1},
    ]
    assert shown["counts"] == {"error": MANY, "warning": 0, "info": 1}
    assert len(shown["issues"]) == 101
    # Errors come first, whatever was found first.
    assert shown["issues"][0]["row"] == 2
    assert shown["issues"][-1]["code"] == "CRS_MISSING"
    json.dumps(shown, ensure_ascii=False)
    assert len(report_of_many().as_dict(limit=None)["issues"]) == MANY + 1


def test_csv_has_all_of_them_and_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "issues.csv"
    assert report_of_many().write_issues_csv(path) == MANY + 1
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.reader(stream))
    assert len(lines) == MANY + 2
    assert lines[2][:6] == ["BAD_NUMBER", "error", "", "2", "户数", "'=1+1"]


def test_every_formula_start_is_neutralised(tmp_path: Path) -> None:
    report = ImportReport(file="x.csv")
    for start in ("=", "+", "-", "@", "\t", "\r"):
        report.issues.append(
            make("BAD_NUMBER", sheet=f"{start}s", row=2, column=f"{start}c", value=f"{start}v")
        )
    path = tmp_path / "issues.csv"
    report.write_issues_csv(path)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.reader(stream))[1:]
    assert len(lines) == 6
    for line in lines:
        assert all(line[at].startswith("'") for at in (2, 4, 5))


def test_log_counts_iterates_and_keeps_texts() -> None:
    report = ImportReport(file="x.csv")
    assert not report.issues and not report.has_errors
    issue = make("BAD_MONTH", row=4, column="月份", value="{2018-13}")
    report.issues.extend([issue, make("CRS_MISSING")])
    assert next(iter(report.issues)) == issue
    assert len(report.issues) == 2
    assert report.issues.by_severity()[Severity.ERROR] == 1
    assert report.has_errors

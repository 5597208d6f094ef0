"""``ledger``: from files of records to single rows, masked, filtered, page by page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.privacy.world import id_number
from tests.test_cli import PLACES, run, run_json

EVENTS = """举办地代码,活动日期,活动类别,活动名称,参加人次
V1,2026-03-02,义诊,春季义诊,40
V2,2026-04-09,健康讲座,=1+1,25
V4,2026-09-20,义诊,秋季义诊,
"""
SERVICES = "\n".join(
    ["身份证号,服务日期,服务类别,服务层级,村代码"]
    + [f"{id_number(n)},2026-0{n}-05,{kind},村级,V1" for n, kind in enumerate(
        ("体检", "随访", "规范管理"), 1)]
)  # fmt: skip
PERSONS = f"姓名,身份证号,联系电话,村代码\n张甲壹,{id_number(1)},13900001111,V1\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    files = {"places": PLACES, "events": EVENTS, "services": SERVICES, "persons": PERSONS}
    for name, text in files.items():
        path = folder / f"{name}.csv"
        path.write_text(text, encoding="utf-8")
        code, out = run(folder / "data", "load", str(path), "--dataset", name)
        assert code == 0, out
    return folder / "data"


def test_rows_come_latest_first_with_codes_and_days(data: Path) -> None:
    found = run_json(data, "ledger", "--dataset", "events", "--place", "C1", "--month", "2026-09")
    assert (found["total"], found["period"], found["page"]) == (3, "counted", 1)
    assert found["rows"][0] == {
        "number": 1, "place_id": "V4", "day": "2026-09-20", "kind": "free_clinic",
        "title": "秋季义诊", "persons": None,
    }  # fmt: skip
    assert [row["day"] for row in found["rows"]] == ["2026-09-20", "2026-04-09", "2026-03-02"]


def test_filters_place_period_and_pages_narrow(data: Path) -> None:
    wanted = ("ledger", "--dataset", "events", "--month", "2026-09", "--place")
    clinics = run_json(
        data, *wanted, "C1", "--where", "kind=free_clinic", "--where", "day=..2026-06-30"
    )
    assert [row["title"] for row in clinics["rows"]] == ["春季义诊"]
    assert run_json(data, *wanted, "T2")["total"] == 1
    assert run_json(data, *wanted, "C1", "--period", "month")["total"] == 1
    second = run_json(data, *wanted, "C1", "--size", "2", "--page", "2", "--sort", "day")
    assert [(row["number"], row["title"]) for row in second["rows"]] == [(3, "秋季义诊")]


def test_persons_are_masked(data: Path) -> None:
    wanted = (
        "ledger",
        "--dataset",
        "services",
        "--place",
        "V1",
        "--month",
        "2026-09",
        "--sort",
        "day",
    )
    found = run_json(data, *wanted)
    assert [row["name"] for row in found["rows"]] == ["张**", None, None]
    assert found["rows"][0]["id_number"] == "*" * 14 + id_number(1)[-4:]
    code, out = run(data, *wanted)
    assert code == 0 and "共 3 条" in out and id_number(1) not in out and "张甲壹" not in out


@pytest.mark.parametrize("wrong", [
    ("--where", "kind=nonsense"), ("--where", "nonsense"), ("--where", "day=soon"),
    ("--sort", "batch"), ("--period", "century"), ("--page", "0"),
])  # fmt: skip
def test_nonsense_is_rejected(data: Path, wrong: tuple[str, str]) -> None:
    wanted = ("ledger", "--dataset", "events", "--place", "C1", "--month", "2026-09")
    assert run(data, *wanted, *wrong)[0] == 2


def test_unknown_ledgers_and_places_are_rejected(data: Path) -> None:
    assert run(data, "ledger", "--dataset", "persons", "--place", "C1")[0] == 2
    assert run(data, "ledger", "--dataset", "events", "--place", "C9")[0] == 2

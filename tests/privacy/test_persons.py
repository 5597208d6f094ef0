"""Persons as services see them: masked, revealed with a reason, traced, erased, kept no longer."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from dashboard.access import EVERYTHING, SYSTEM, NotAllowed, Role, operator
from dashboard.intake.copies import COPIES
from dashboard.intake.desk import receive
from dashboard.intake.service import load_file
from dashboard.intake.shelf import Shelf
from dashboard.privacy import service
from dashboard.privacy.model import Person, reason_of
from dashboard.store import Store, database, erasures
from dashboard.store.records import person_number
from dashboard.store.store import put_meta
from geodata.errors import DudaoError
from loaders.model import Request
from tests.privacy import world
from tests.privacy.world import LI, OUYANG, PEOPLE, WANG, ZHANG, id_number
from tests.security.actors import (
    ADMINISTRATOR,
    CLERK_A,
    HEAD_A1,
    HEAD_B1,
    LEADER_A,
    NOBODY,
    holding,
)

OPERATOR = operator("tester")
REVIEWER_A = holding((Role.REVIEWER, "A"))
ADMINISTRATOR_A = holding((Role.ADMINISTRATOR, "A"))
VIEWER = holding((Role.VIEWER, None))
REASON = "随访核对电话"

ONE_DATABASE = pytest.mark.parametrize("database_url", [None])
"""For what no SQL decides."""


@pytest.fixture
def held(store: Store, tmp_path: Path) -> Store:
    world.county(store)
    report = world.load(store, OPERATOR, world.write(tmp_path / "名册.csv", PEOPLE))
    assert report.committed
    return store


def key_of(store: Store, line: world.Line) -> str:
    return str(store.keys.mac("persons", line[1]))


def audit(store: Store, *, outcome: str = "done") -> list[dict[str, Any]]:
    with database.reading(store.engine, EVERYTHING) as connection:
        rows = connection.execute(
            text(
                "SELECT actor, action, place_id, subject, details FROM audit "
                "WHERE outcome = :outcome AND action LIKE 'persons.%' ORDER BY seq"
            ),
            {"outcome": outcome},
        ).mappings()
        return [dict(row) | {"details": json.loads(row["details"])} for row in rows]


# Looking


def test_a_list_is_masked_by_the_query(held: Store) -> None:
    page = service.persons(held, HEAD_A1, "A1")
    assert (page.total, page.page) == (2, 1)
    assert [(row.name, row.id_number, row.phone, row.sex) for row in page.rows] == [
        ("张**", "*" * 14 + ZHANG[1][-4:], "139****1111", "男"),
        ("李**", "*" * 14 + LI[1][-4:], "139****2222", "女"),
    ]
    shown = repr(page)
    assert not [value for line in PEOPLE for value in line[:3] if value and value in shown]
    assert {row.place_name for row in page.rows} == {"平舒村", "旺村村"}


@ONE_DATABASE
def test_pages_follow_each_other(held: Store) -> None:
    pages = [service.persons(held, SYSTEM, "C", page, 3) for page in (1, 2, 3)]
    assert [len(page.rows) for page in pages] == [3, 1, 0]
    keys = [row.key for page in pages for row in page.rows]
    assert sorted(keys) == sorted(key_of(held, line) for line in PEOPLE)
    assert len(service.persons(held, SYSTEM, "C", 1, 10**9).rows) == 4


def test_each_sees_their_places(held: Store) -> None:
    for actor, place_id, count in (
        (HEAD_A1, "V00", 1), (CLERK_A, "A", 3), (HEAD_B1, "B1", 1), (SYSTEM, "C", 4),
    ):  # fmt: skip
        assert service.persons(held, actor, place_id).total == count


def test_what_lies_outside_reads_as_missing(held: Store) -> None:
    for place_id in ("A2", "B1", "C", "nowhere"):
        with pytest.raises(DudaoError) as raised:
            service.persons(held, HEAD_A1, place_id)
        assert raised.value.code == "PLACE_NOT_FOUND"
    assert [row["place_id"] for row in audit(held, outcome="denied")] == ["A2", "B1", "C"]


@ONE_DATABASE
def test_who_does_not_need_persons_sees_none(held: Store) -> None:
    for actor in (LEADER_A, ADMINISTRATOR, VIEWER, NOBODY):
        with pytest.raises(NotAllowed):
            service.persons(held, actor, "A1")
        with pytest.raises(NotAllowed):
            service.reveal(held, actor, key_of(held, ZHANG), REASON)
    denied = [row["action"] for row in audit(held, outcome="denied")]
    assert denied == ["persons.view", "persons.reveal"] * 4


def test_a_reveal_needs_a_reason_and_leaves_a_row(held: Store) -> None:
    key = key_of(held, ZHANG)
    found = service.reveal(held, HEAD_A1, key, f"核对{ZHANG[0]}的电话 {ZHANG[2]}")
    assert isinstance(found, Person)
    assert (found.name, found.phone, found.id_last4) == (ZHANG[0], ZHANG[2], ZHANG[1][-4:])
    assert ZHANG[0] not in repr(found) and ZHANG[2] not in f"{found}"
    (row,) = audit(held)
    assert (row["actor"], row["subject"], row["place_id"]) == (HEAD_A1.id, key, "V00")
    # The audit outlives the person: it holds neither name nor phone.
    assert row["details"] == {"reason": "核对该人员的电话 (电话)"}


@ONE_DATABASE
def test_a_reason_that_says_nothing_shows_nothing(held: Store) -> None:
    empty = ("", "  ", "看看", "....", "1234567", "啊啊啊啊啊啊", "aaaa")
    for reason in empty:
        with pytest.raises(DudaoError) as raised:
            service.reveal(held, HEAD_A1, key_of(held, ZHANG), reason)
        assert raised.value.code == "REASON_NEEDED"
    failed = [row["action"] for row in audit(held, outcome="failed")]
    assert failed == ["persons.reveal"] * len(empty)


def test_a_reason_is_kept_in_one_line() -> None:
    assert reason_of("  随访\n核对   电话 ") == "随访 核对 电话"


def test_a_person_of_others_reads_as_none(held: Store) -> None:
    texts = set()
    for key in (key_of(held, WANG), "0" * 64, "", WANG[1], "' OR 1=1 --"):
        for call in (
            lambda key=key: service.reveal(held, HEAD_A1, key, REASON),
            lambda key=key: service.trace(held, REVIEWER_A, key),
            lambda key=key: service.erase(held, ADMINISTRATOR_A, key, REASON, COPIES),
        ):
            with pytest.raises(DudaoError) as raised:
                call()
            texts.add((raised.value.code, str(raised.value)))
    assert {code for code, _ in texts} == {"PERSON_NOT_FOUND"} and len(texts) == 1
    denied = audit(held, outcome="denied")
    assert {row["action"] for row in denied} == {"persons.reveal", "persons.trace", "persons.erase"}
    # Typed with the identity number, trace knows who was meant.
    assert {row["subject"] for row in denied} == {key_of(held, WANG)} and len(denied) == 4
    assert service.persons(held, HEAD_B1, "B1").total == 1


@ONE_DATABASE
def test_only_who_loads_may_ask_whether_somebody_is_registered(held: Store) -> None:
    with pytest.raises(NotAllowed):
        service.register_of(held, HEAD_B1)
    with database.reading(held.engine, EVERYTHING) as connection:
        asked = text(
            "SELECT count(*) FROM audit WHERE action = 'data.check' AND outcome = 'denied'"
        )
        assert connection.execute(asked).scalar() == 1
    assert service.register_of(held, CLERK_A)([ZHANG[1]]) == [(key_of(held, ZHANG), "")]


# A person's data path


def test_a_data_path_tells_everything_once_and_masked(held: Store, tmp_path: Path) -> None:
    key = key_of(held, ZHANG)
    changed = (ZHANG[0], ZHANG[1], "13900009999", "男", "V01")
    world.load(held, CLERK_A, world.write(tmp_path / "更正.csv", [changed, LI]))
    service.reveal(held, HEAD_A1, key, REASON)
    with pytest.raises(DudaoError):
        service.reveal(held, HEAD_B1, key, REASON)
    path = service.trace(held, REVIEWER_A, f" {ZHANG[1]} ")
    assert path.key == key and path.erasures == ()
    (now,) = path.held
    assert now.fields == {
        "姓名": "张**", "身份证号": "*" * 14 + ZHANG[1][-4:], "联系电话": "139****9999",
        "性别": "男", "出生年份": "1990",
    }  # fmt: skip
    assert (now.place_id, now.version, now.title) == ("V01", 2, "人员名册")
    assert now.keep_until == date.today() + timedelta(days=730) and now.keep_rule
    assert [(load.file, load.loaded_by, load.current) for load in path.origins] == [
        ("名册.csv", OPERATOR.name, False),
        ("更正.csv", CLERK_A.name, True),
    ]
    assert [(look.action, look.outcome, look.actor, look.reason) for look in path.accesses] == [
        ("persons.reveal", "done", HEAD_A1.id, REASON),
        ("persons.reveal", "denied", HEAD_B1.id, ""),
    ]
    assert ZHANG[0] not in repr(path) and "13900009999" not in repr(path)
    again = service.trace(held, REVIEWER_A, key)
    assert again.accesses[-1].action == "persons.trace"


# Erasing


def rows_of(store: Store) -> set[str]:
    return {row.key for row in service.persons(store, SYSTEM, "C").rows}


def test_an_erasure_is_proven_and_lasts(held: Store, tmp_path: Path) -> None:
    key = key_of(held, ZHANG)
    renamed = ("张改名", *ZHANG[1:])
    world.load(held, OPERATOR, world.write(tmp_path / "2.csv", [renamed]))
    result = service.erase(held, ADMINISTRATOR, key, "张改名本人申请删除", COPIES)
    (proof,) = result.proofs
    assert (proof.key, proof.rows, proof.by) == (key, 2, ADMINISTRATOR.id)
    assert proof.reason == "该人员本人申请删除" and not result.again
    assert erasures.is_genuine(held.keys, proof)
    assert rows_of(held) == {key_of(held, line) for line in (LI, OUYANG, WANG)}
    (row,) = audit(held)
    assert row["details"] == {"reason": "该人员本人申请删除", "rows": 2, "again": False}
    assert row["place_id"] == "V00"
    # The same file, and another one, bring everybody else.
    everybody = [*PEOPLE, ("新人", id_number(77), "", "", "V00")]
    for name in ("名册.csv", "3.csv"):
        report = world.load(
            held,
            OPERATOR,
            world.write(tmp_path / name, everybody),
        )
        assert report.issues.counts() == {"PERSON_ERASED": 1} and report.rows_rejected == 0
    assert key not in rows_of(held) and len(rows_of(held)) == 4
    assert service.erase(held, ADMINISTRATOR, key, REASON, COPIES).again
    path = service.trace(held, ADMINISTRATOR, ZHANG[1])
    assert path.held == () and path.erasures == (proof,)
    with pytest.raises(DudaoError, match="PERSON_NOT_FOUND"):
        service.trace(held, REVIEWER_A, key)


def test_a_person_is_only_admitted_again_with_a_reason(held: Store, tmp_path: Path) -> None:
    key = key_of(held, ZHANG)
    with pytest.raises(DudaoError, match="PERSON_NOT_FOUND"):
        service.admit(held, OPERATOR, key, REASON)
    service.erase(held, OPERATOR, key, REASON, COPIES)
    with pytest.raises(NotAllowed):
        service.admit(held, ADMINISTRATOR_A, key, "重新签约服务")
    with pytest.raises(DudaoError, match="REASON_NEEDED"):
        service.admit(held, OPERATOR, key, "")
    service.admit(held, OPERATOR, key, "重新签约服务")
    assert world.load(held, OPERATOR, world.write(tmp_path / "4.csv", PEOPLE)).rows_changed == 1
    assert key in rows_of(held)
    history = service.trace(held, OPERATOR, key).erasures
    assert [each.ends for each in history] == [False, True]
    # Erasing again makes a second proof.
    assert not service.erase(held, OPERATOR, key, REASON, COPIES).again


@ONE_DATABASE
def test_who_is_in_records_alone_is_traced_and_erased_too(held: Store, tmp_path: Path) -> None:
    number = id_number(55)
    key = str(held.keys.mac("persons", number))
    contracts = tmp_path / "contracts.csv"
    contracts.write_text(
        f"身份证号,签约日期,到期日期,村代码,团队编号\n{number},2026-01-01,2026-12-31,V00,T1\n"
    )
    assert load_file(held, OPERATOR, contracts, Request(dataset="contracts"), ()).committed
    with pytest.raises(DudaoError) as caught:
        service.trace(held, ADMINISTRATOR_A, key)
    assert caught.value.code == "PERSON_NOT_FOUND"
    with pytest.raises(DudaoError):
        service.erase(held, ADMINISTRATOR_A, key, "本人申请删除", COPIES)
    path = service.trace(held, ADMINISTRATOR, key)
    assert (path.held, path.records) == ((), (("contracts", 1),))
    done = service.erase(held, ADMINISTRATOR, key, "本人申请删除", COPIES)
    assert [(proof.key, proof.rows) for proof in done.proofs] == [(key, 1)]
    assert held.records.holding([person_number(key)]) == {}
    again = service.trace(held, ADMINISTRATOR, key)
    assert again.records == () and [each.key for each in again.erasures] == [key]
    # Brought again, they are left out, as anybody erased.
    contracts.write_text(contracts.read_text().replace("T1", "T2"))
    report = load_file(held, OPERATOR, contracts, Request(dataset="contracts"), ())
    assert not report.committed and "PERSON_ERASED" in report.issues.counts()
    assert service.erase(held, ADMINISTRATOR, key, "本人申请删除", COPIES).again


@ONE_DATABASE
def test_who_may_erase_here_may_not_elsewhere(held: Store) -> None:
    with pytest.raises(DudaoError, match="PERSON_NOT_FOUND"):
        service.erase(held, ADMINISTRATOR_A, key_of(held, WANG), REASON, COPIES)
    service.erase(held, ADMINISTRATOR_A, key_of(held, LI), REASON, COPIES)
    assert len(rows_of(held)) == 3
    for actor in (CLERK_A, HEAD_A1, REVIEWER_A):
        with pytest.raises(NotAllowed):
            service.erase(held, actor, key_of(held, ZHANG), REASON, COPIES)


def test_what_is_past_its_time_goes_with_one_command(held: Store) -> None:
    today = date.today()
    assert service.expire(held, OPERATOR, COPIES).proofs == ()
    with pytest.raises(NotAllowed):
        service.expire(held, ADMINISTRATOR_A, COPIES, today)
    kept_on = today + timedelta(days=730)
    assert service.expire(held, OPERATOR, COPIES, kept_on).proofs == ()
    result = service.expire(held, OPERATOR, COPIES, kept_on + timedelta(days=1))
    assert len(result.proofs) == 4 and rows_of(held) == set()
    assert {proof.reason for proof in result.proofs} == {service.EXPIRED}
    assert all(erasures.is_genuine(held.keys, proof) for proof in result.proofs)
    assert [row["details"].get("persons") for row in audit(held)] == [0, 0, 4]


@ONE_DATABASE
def test_staged_registers_go_too(held: Store, tmp_path: Path) -> None:
    waiting = world.write(tmp_path / "待导入.csv", [ZHANG])
    figures = tmp_path / "数据.csv"
    figures.write_text("村代码,月份,签约人数\nV00,2026-10,3\n", encoding="utf-8")
    broken = tmp_path / "坏.xlsx"
    broken.write_bytes(b"PK\x03\x04 not a workbook")
    for path in (waiting, figures, broken):
        with path.open("rb") as stream:
            receive(held, CLERK_A, path.name, stream, 1 << 20)
    result = service.erase(held, OPERATOR, key_of(held, ZHANG), REASON, COPIES)
    assert result.copies == {"uploads": 2}
    assert [upload.name for upload in Shelf(held.directory).all()] == ["数据.csv"]


def test_backups_made_meanwhile_are_named(held: Store) -> None:
    held.record(SYSTEM, "backup.make", subject="夜间备份.tar")
    result = service.erase(held, OPERATOR, key_of(held, ZHANG), REASON, COPIES)
    kinds = [(rest.what, rest.name) for rest in result.remaining]
    assert kinds[0] == ("backup", "夜间备份.tar") and "自动再次删除" in result.remaining[0].advice
    assert kinds[1:] == (
        [("database_log", "pg_wal")] if held.engine.dialect.name == "postgresql" else []
    )


# Demonstrations


@ONE_DATABASE
def test_real_persons_stay_out_of_a_demonstration(held: Store, tmp_path: Path) -> None:
    with database.writing(held.engine) as connection:
        put_meta(connection, "demonstration", "1")
    more = world.write(tmp_path / "5.csv", [("新人", id_number(78), "", "", "V00")])
    for actor in (OPERATOR, CLERK_A):
        with pytest.raises(DudaoError) as raised:
            world.load(held, actor, more)
        assert raised.value.code == "DEMO_NO_PERSONS"
    assert world.load(held, SYSTEM, more).committed


@ONE_DATABASE
def test_a_clerk_cannot_move_somebody_of_others_here(held: Store, tmp_path: Path) -> None:
    clerk = holding((Role.CLERK, "B1"))
    report = world.load(held, clerk, world.write(tmp_path / "6.csv", [(*ZHANG[:4], "V06")]))
    assert report.issues.counts() == {"PERSON_ELSEWHERE": 1} and not report.committed
    assert "V00" not in str(report.as_dict()) and "平舒" not in str(report.as_dict())

"""The chain of audit rows: appended with their effect, never forked, searched, verified."""

from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
import threading
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import DBAPIError

from dashboard.access import ACTIONS, SYSTEM, Actor, Grant, NotAllowed, Role
from dashboard.accounts import audit as service
from dashboard.accounts.audit import Query
from dashboard.store import Store, database
from dashboard.store import audit as chain
from dashboard.store.audit import Entry, Link, Outcome
from dashboard.store.commit import commit
from dashboard.store.keys import Keys
from dashboard.store.model import Change
from dashboard.store.tables import audit
from geodata.errors import DudaoError
from tests.conftest import OpenStore
from tests.store import world

ROOT = Path(__file__).resolve().parents[2]
TODAY = date.today()


def rows(store: Store) -> list[chain.Record]:
    with database.reading(store.engine, chain.EVERYTHING) as connection:
        return chain.find(connection, chain.Filters(), chain.EVERYTHING, limit=100_000)[::-1]


def verified(store: Store) -> chain.Verified:
    return chain.verify(store.engine, store.keys)


def load_places(store: Store) -> None:
    change = Change(dataset="places", frame=world.places(), file="places.csv", sha256="ab")
    commit(store, SYSTEM, change, world.PAIRS)


def user(name: str, *grants: Grant) -> Actor:
    return Actor(f"id-{name}", name, grants=grants)


REVIEWER = user("李审核", Grant(Role.REVIEWER))
COUNTY_REVIEWER = user("王审核", Grant(Role.REVIEWER, "A", ("C/A/",)))
CLERK = user("张三", Grant(Role.CLERK, "B", ("C/B/",)))


# Appending


def test_a_command_and_its_row_stand_and_fall_together(store: Store) -> None:
    with store.command(SYSTEM, "backup.make", subject="one", details={"files": 3}):
        pass
    with (
        pytest.raises(ZeroDivisionError),
        store.command(SYSTEM, "backup.make", subject="two") as command,
    ):
        command.connection.execute(text("INSERT INTO meta VALUES ('left', 'over')"))
        _ = 1 // 0
    with (
        pytest.raises(DudaoError, match="磁盘"),
        store.command(SYSTEM, "backup.make", subject="three") as command,
    ):
        command.connection.execute(text("INSERT INTO meta VALUES ('left', 'over')"))
        raise DudaoError("DISK_FULL", "磁盘已满。", "请清理。")
    found = rows(store)
    assert [(row.seq, row.subject, row.outcome) for row in found] == [
        (1, "one", "done"),
        (2, "three", "failed"),
    ]
    assert found[0].details == {"files": 3} and found[1].details == {"error": "DISK_FULL"}
    with store.unit(SYSTEM) as unit:
        assert unit.meta("left") is None
    assert verified(store) == chain.Verified(2, 2, None)


def test_a_denial_leaves_its_row(store: Store) -> None:
    load_places(store)
    before = len(rows(store))
    with pytest.raises(NotAllowed), store.command(CLERK, "backup.make"):
        pytest.fail("the body of a denied command ran")
    with (
        pytest.raises(DudaoError) as refused,
        store.command(CLERK, "data.load", at="A1"),
    ):
        pytest.fail("the body of a denied command ran")
    assert refused.value.code == "PLACE_NOT_FOUND"
    with store.unit(CLERK) as unit, pytest.raises(DudaoError):
        unit.place("A1", TODAY)
    denials = rows(store)[before:]
    assert [(row.action, row.outcome, row.actor_name) for row in denials] == [
        ("backup.make", "denied", "张三"),
        ("data.load", "denied", "张三"),
        ("places.view", "denied", "张三"),
    ]
    assert [row.place_id for row in denials[1:]] == ["A1", "A1"]
    assert verified(store).intact


@pytest.mark.parametrize(
    "statement",
    [
        update(audit).where(audit.c.seq == 1).values(actor_name="别人"),
        delete(audit).where(audit.c.seq == 1),
        delete(audit),
    ],
)
def test_the_database_refuses_to_change_a_row(store: Store, statement: object) -> None:
    store.record(SYSTEM, "backup.make")
    with (
        pytest.raises(DBAPIError, match="append-only"),
        database.writing(store.engine) as connection,
    ):
        connection.execute(statement)  # type: ignore[call-overload]
    assert len(rows(store)) == 1


def test_postgresql_refuses_to_truncate(store: Store) -> None:
    if store.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no TRUNCATE; its DELETE is tested above")
    store.record(SYSTEM, "backup.make")
    with (
        pytest.raises(DBAPIError, match="append-only"),
        database.writing(store.engine) as connection,
    ):
        connection.execute(text("TRUNCATE audit"))


def test_nothing_in_the_program_deletes_or_changes_audit_rows() -> None:
    """Kept at least 6 months: they are kept for ever."""
    for path in (ROOT / "dashboard").rglob("*.py"):
        if "versions" in path.parts:
            continue  # migrations: a step back drops the table with everything
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
                "delete",
                "update",
            ):
                told = {ast.unparse(part).split(".")[-1] for part in node.args}
                assert not told & {"audit", "audit_table"}, f"{path}:{node.lineno}"


def test_no_persons_number_gets_into_a_row(store: Store) -> None:
    digest = "a13812345678b" + "c" * 51
    store.record(
        SYSTEM,
        "persons.reveal",
        subject="13102519900101123X",
        details={
            "reason": "核对 131025 19900101 1234,电话 13812345678",
            "nested": [{"phone": 13812345678, "13812345678": True}],
            "address": "192.168.100.20",
            "sha256": digest,
            "place": "131025100205",
            "rows": 22444,
            "none": None,
        },
    )
    with database.reading(store.engine, chain.EVERYTHING) as connection:
        written = connection.execute(select(audit.c.subject, audit.c.details)).one()
    assert "19900101" not in f"{written.subject}{written.details}"
    assert "13812345678" not in f"{written.subject}{written.details}".replace(digest, "")
    kept = json.loads(written.details)
    assert written.subject.endswith("123X") and kept["nested"][0]["phone"] == "138****5678"
    assert kept["address"] == "192.168.100.20" and kept["sha256"] == digest
    assert kept["place"] == "131025100205" and kept["rows"] == 22444 and kept["none"] is None
    assert verified(store).intact


# One chain, whoever appends


def append_from_processes(data: Path, url: str | None, count: int, threads: int, each: int) -> None:
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.store.appending",
                data,
                url or "",
                f"{threads}",
                f"{each}",
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(count)
    ]
    assert [process.wait() for process in processes] == [0] * count


def test_processes_and_threads_never_fork_the_chain_nor_leave_a_gap(
    tmp_path: Path, database_url: str | None, open_store: OpenStore
) -> None:
    store = open_store()
    append_from_processes(tmp_path / "data", database_url, count=3, threads=3, each=12)
    found = rows(store)
    assert [row.seq for row in found] == list(range(1, 3 * 3 * 12 + 1))
    assert {row.outcome for row in found} == {"done", "failed"}
    assert verified(store) == chain.Verified(108, 108, None)


def test_a_verification_amid_appending_raises_no_false_alarm(store: Store) -> None:
    stop = threading.Event()

    def append() -> None:
        while not stop.is_set():
            store.record(SYSTEM, "backup.make")

    workers = [threading.Thread(target=append) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        found = [verified(store)]
        while found[-1].broken is None and (len(found) < 25 or found[-1].rows < 25):
            found.append(verified(store))
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert found[-1].broken is None and verified(store).rows >= found[-1].rows >= 25


def test_the_first_row_ever_written_amid_a_verification_raises_no_false_alarm(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = chain.read_anchor

    def before_the_first_row(keys: Keys) -> chain.Anchor:
        try:
            return read(keys)
        except chain.AnchorUnusable:
            monkeypatch.setattr(chain, "read_anchor", read)
            store.record(SYSTEM, "backup.make")
            raise

    monkeypatch.setattr(chain, "read_anchor", before_the_first_row)
    assert verified(store) == chain.Verified(1, 1, None)


@pytest.mark.slow
def test_kill_minus_nine_never_breaks_the_chain(
    tmp_path: Path, database_url: str | None, open_store: OpenStore
) -> None:
    store = open_store()
    dice = random.Random(25)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.appending", tmp_path / "data", database_url or "",
             "2", "0"],
            cwd=ROOT, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        time.sleep(dice.uniform(0.05, 0.4))
        process.kill()
        process.wait()
        process.stdout.close()
        assert verified(store).broken is None
        store.record(SYSTEM, "backup.make", subject="after")
        assert verified(store) == chain.Verified(len(rows(store)), len(rows(store)), None)


def test_a_crash_before_the_anchor_is_no_alarm_and_is_caught_up(store: Store) -> None:
    entry = Entry(SYSTEM, "backup.make")
    for expected in (0, 0, 3):
        with database.writing(store.engine) as connection:
            link = chain.append(connection, store.keys, entry)
        if expected:
            chain.anchor(store.keys, link)
        assert verified(store).broken is None
        assert chain.read_anchor(store.keys).seq == expected


def test_the_anchor_never_goes_back(store: Store) -> None:
    for _ in range(3):
        store.record(SYSTEM, "backup.make")
    known = chain.read_anchor(store.keys)
    chain.anchor(store.keys, Link(2, "0" * 64))
    assert chain.read_anchor(store.keys) == known and known.seq == 3


def test_a_full_disk_leaves_the_anchor_behind_and_the_change_done(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.record(SYSTEM, "backup.make")
    # A directory in the place of the file the anchor is first written to.
    blocked = store.keys.directory / "audit.part"
    blocked.mkdir()
    with store.command(SYSTEM, "backup.make", subject="two"):
        pass
    assert "could not be written" in caplog.text
    assert verified(store) == chain.Verified(2, 1, None)
    blocked.rmdir()
    store.record(SYSTEM, "backup.make")
    assert verified(store) == chain.Verified(3, 3, None)


def test_an_empty_audit_is_intact(store: Store) -> None:
    assert verified(store).intact and verified(store).rows == 0


# Searching


def filled(store: Store) -> None:
    load_places(store)
    store.record(CLERK, "data.load", at="B1", subject="7", details={"file": "10月.xlsx"})
    store.record(CLERK, "figures.export", at="V00", details={"layer": "contract_coverage"})
    store.record(REVIEWER, "persons.trace", subject="key", outcome=Outcome.DENIED)
    store.record(SYSTEM, "data.load", at="A", subject="8", details={"file": "100%_1.xlsx"})


def subjects(page: service.Page) -> list[tuple[str, str | None]]:
    return [(record.action, record.place_id) for record in page.records]


def test_search_finds_by_every_filter(store: Store) -> None:
    filled(store)
    for query, expected in (
        (Query(actor="张"), {("data.load", "B1"), ("figures.export", "V00")}),
        (Query(actor="id-张三", action="data.load"), {("data.load", "B1")}),
        (Query(action="persons"), {("persons.trace", None)}),
        (Query(place_id="A"), {("figures.export", "V00"), ("data.load", "A")}),
        (Query(outcome=Outcome.DENIED), {("persons.trace", None)}),
        (Query(text="10月", action="data"), {("data.load", "B1")}),
        (Query(text="%_1", action="data"), {("data.load", "A")}),
        (Query(text="CONTRACT_", action="figures"), {("figures.export", "V00")}),
        (Query(until=TODAY - timedelta(days=2)), set()),
        (Query(since=TODAY + timedelta(days=2)), set()),
        (Query(since=TODAY, until=TODAY, actor="张", action="data"), {("data.load", "B1")}),
    ):
        assert set(subjects(service.search(store, SYSTEM, query))) == expected, query


def test_search_pages_back_to_the_first_row_without_a_row_twice(store: Store) -> None:
    for number in range(7):
        store.record(SYSTEM, "backup.make", subject=str(number))
    page, found = service.search(store, SYSTEM, Query(action="backup"), limit=3), []
    while True:
        found += [record.subject for record in page.records]
        if page.older is None:
            break
        page = service.search(store, SYSTEM, Query(action="backup"), page.older, limit=3)
    assert found == list("6543210")


def test_search_shows_only_the_actors_places(store: Store) -> None:
    filled(store)
    page = service.search(store, COUNTY_REVIEWER, Query())
    assert set(subjects(page)) == {("figures.export", "V00"), ("data.load", "A")}
    everything = service.search(store, REVIEWER, Query())
    assert {("data.load", "B1"), ("persons.trace", None)} <= set(subjects(everything))
    with pytest.raises(DudaoError) as refused:
        service.search(store, COUNTY_REVIEWER, Query(place_id="B1"))
    assert refused.value.code == "PLACE_NOT_FOUND"
    with pytest.raises(NotAllowed):
        service.search(store, CLERK, Query())
    denials = service.search(store, SYSTEM, Query(action="audit", outcome=Outcome.DENIED))
    assert [(one.actor_name, one.place_id) for one in denials.records] == [
        ("张三", None),
        ("王审核", "B1"),
    ]


def test_searching_is_audited_once_per_question(store: Store) -> None:
    filled(store)
    page = service.search(store, REVIEWER, Query(actor="张"), limit=1)
    service.search(store, REVIEWER, Query(actor="张"), page.older, limit=1)
    last = rows(store)[-1]
    assert last.action == "audit.search" and last.details == {"actor": "张"}
    assert [row.action for row in rows(store)].count("audit.search") == 1


def test_verifying_is_audited_with_its_result(store: Store) -> None:
    store.record(SYSTEM, "backup.make")
    assert service.verify(store, REVIEWER).rows == 1
    assert rows(store)[-1].action == "audit.verify" and rows(store)[-1].details == {"rows": 1}
    with pytest.raises(NotAllowed):
        service.verify(store, COUNTY_REVIEWER)
    assert rows(store)[-1].outcome == "denied"


def test_every_break_has_its_words() -> None:
    for kind in chain.Break:
        told = chain.Broken(7, kind, 9, 2).message
        assert "{" not in told and told.endswith("。")


# Command line


def command_line(store: Store, database_url: str | None, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "dashboard", "--data", store.directory, "audit", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"} | ({"DATABASE_URL": database_url} if database_url else {}),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


def test_the_command_line_verifies_and_tails(store: Store, database_url: str | None) -> None:
    for number in range(5):
        store.record(SYSTEM, "backup.make", subject=str(number))
    code, told = command_line(store, database_url, "verify", "--json")
    assert code == 0
    assert json.loads(told) == {"ok": True, "rows": 5, "anchored": 5, "first_broken": None}
    code, told = command_line(store, database_url, "tail", "--limit", "3", "--json")
    records = json.loads(told)["records"]
    assert code == 0 and [record["seq"] for record in records] == [4, 5, 6]
    assert records[-1]["action"] == "audit.verify"
    assert records[-1]["actor"].startswith("operator:")
    code, told = command_line(store, database_url, "tail", "--limit", "0", "--json")
    assert code == 2 and json.loads(told)["error"]["code"] == "LIMIT_INVALID"


def test_every_recorded_action_is_declared(store: Store) -> None:
    with pytest.raises(KeyError):
        store.record(SYSTEM, "nothing.known")
    with database.reading(store.engine, chain.EVERYTHING) as connection:
        assert connection.scalar(select(func.count()).select_from(audit)) == 0
    assert {"audit.search", "audit.verify"} <= set(ACTIONS)

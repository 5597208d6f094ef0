"""Files left at the desk: kept, corrected, confirmed, stopped, thrown away; each its owner's."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Event

import openpyxl
import pytest

from dashboard.access import SYSTEM, Actor, Grant, NotAllowed, Role
from dashboard.intake import desk
from dashboard.intake.jobs import Job, JobState
from dashboard.intake.model import MOST_IN_HAND, Checked, Order, Step, Upload, step_of
from dashboard.intake.service import load_file
from dashboard.reports.model import Format
from dashboard.store import Store
from geodata.errors import DudaoError
from loaders.model import Request
from tests.intake.test_service import (
    COUNTY,
    PAIRS,
    TOWNSHIP,
    VILLAGES,
    figures_file,
    whole,
    write_places,
)

MB = 1 << 20
OTHER_TOWNSHIP = "131025101000"
GOOD = (
    "区划代码,月份,签约人数,建档立卡人口\n"
    f"{VILLAGES[0]},2026-10,80,100\n{VILLAGES[1]},2026-10,70,100\n"
)
HALF = (
    "区划代码,月份,签约人数,建档立卡人口\n"
    f"{VILLAGES[0]},2026-10,80,100\n{VILLAGES[1]},2026-10,很多,100\n"
)
NAMED = (
    "乡镇,村名,月份,签约人数,建档立卡人口\n"
    "平舒镇,东关,2026-10,80,100\n平舒镇,西关村,2026-10,70,100\n平舒镇,无此庄,2026-10,1,2\n"
)


def clerk(name: str = "a", place: str | None = None, paths: tuple[str, ...] = ()) -> Actor:
    return Actor(name, f"数据员{name}", grants=(Grant(Role.CLERK, place, paths),))


CLERK, OTHER = clerk("a"), clerk("b")
VIEWER = Actor("v", "查看", grants=(Grant(Role.VIEWER),))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one township, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    store = Store.open(folder / "data")
    report = load_file(store, SYSTEM, write_places(folder / "区划.gpkg"), Request(), PAIRS)
    assert report.committed
    store.close()
    return folder / "data"


@pytest.fixture
def stored(template: Path, tmp_path: Path) -> Iterator[Store]:
    """A store of its own with that township."""
    shutil.copytree(template, tmp_path / "copy")
    store = Store.open(tmp_path / "copy")
    yield store
    store.close()


def put(store: Store, text: str, name: str = "十月.csv", actor: Actor = CLERK) -> Upload:
    return desk.receive(store, actor, name, BytesIO(text.encode()), MB)


def checked(store: Store, upload: Upload, actor: Actor = CLERK, **said: object) -> Checked:
    request = replace(desk.upload(store, actor, upload.id).request, **said)  # type: ignore[arg-type]
    return desk.check(store, actor, upload.id, request)


def load(store: Store, upload: Upload, actor: Actor = CLERK, **order: object) -> Upload:
    job = desk.confirm(store, actor, [Order(upload.id, **order)], PAIRS)  # type: ignore[arg-type]
    assert job.wait(120)
    assert job.state is JobState.DONE and job.result is not None, job.error
    return job.result[0]


def denials(store: Store) -> list[tuple[str, str]]:
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT action, subject FROM audit WHERE outcome = 'denied' ORDER BY seq"
        )
        return [(row[0], row[1]) for row in rows]


def test_an_upload_is_kept_privately_and_found_again(stored: Store) -> None:
    found = put(stored, GOOD, "../../etc/表 十月.csv")
    assert found.name == "表 十月.csv" and found.size == len(GOOD.encode())
    folder = stored.directory / "uploads" / found.id
    assert {path.name for path in folder.iterdir()} == {"file.csv", "state.json"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    checked(stored, found, month="2026-10")
    # Another process, a later sign-in: only what lies on the disk is left.
    assert [again.request.month for again in desk.uploads(stored, CLERK)] == ["2026-10"]


def test_somebody_elses_upload_does_not_exist_and_the_try_is_audited(stored: Store) -> None:
    found = put(stored, GOOD)
    tries: list[Callable[[], object]] = [
        lambda: desk.upload(stored, OTHER, found.id),
        lambda: desk.begin_check(stored, OTHER, found.id, Request()),
        lambda: desk.job_of(stored, OTHER, found.id),
        lambda: desk.stop(stored, OTHER, found.id),
        lambda: desk.rejected_rows(stored, OTHER, found.id),
        lambda: desk.issue_list(stored, OTHER, found.id, Format.CSV),
        lambda: desk.confirm(stored, OTHER, [Order(found.id)], PAIRS),
        lambda: desk.discard(stored, OTHER, found.id),
    ]
    for act in tries:
        with pytest.raises(DudaoError) as refused:
            act()
        assert refused.value.code == "UPLOAD_NOT_FOUND"
    assert [subject for _, subject in denials(stored)] == [found.id] * len(tries)
    assert desk.uploads(stored, OTHER) == []
    assert [one.id for one in desk.uploads(stored, CLERK)] == [found.id]


@pytest.mark.parametrize("wrong", ["", "..", "../../store_id", "0" * 32, "A" * 32, "x" * 500])
def test_an_id_is_never_a_path(stored: Store, wrong: str) -> None:
    with pytest.raises(DudaoError) as refused:
        desk.discard(stored, CLERK, wrong)
    assert refused.value.code == "UPLOAD_NOT_FOUND"
    assert (stored.directory / "store_id").exists()


def test_who_may_not_load_gets_nowhere_and_is_audited(stored: Store) -> None:
    for act in (
        lambda: desk.uploads(stored, VIEWER),
        lambda: put(stored, GOOD, actor=VIEWER),
        lambda: desk.confirm(stored, VIEWER, [], PAIRS),
        lambda: desk.batches(stored, VIEWER),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert {action for action, _ in denials(stored)} == {
        "data.check", "data.load", "data.batches",
    }  # fmt: skip


def test_a_file_over_the_limit_leaves_nothing(stored: Store) -> None:
    with pytest.raises(DudaoError) as refused:
        desk.receive(stored, CLERK, "大.csv", BytesIO(b"x" * (2 * MB + 1)), 2 * MB)
    assert refused.value.code == "UPLOAD_TOO_LARGE"
    assert list((stored.directory / "uploads").iterdir()) == []


def test_nobody_keeps_more_than_so_many(stored: Store) -> None:
    for number in range(MOST_IN_HAND):
        put(stored, GOOD, f"{number}.csv")
    with pytest.raises(DudaoError) as refused:
        put(stored, GOOD)
    assert refused.value.code == "UPLOADS_TOO_MANY"
    put(stored, GOOD, actor=OTHER)


def test_an_upload_is_deleted_after_a_day(stored: Store) -> None:
    found = put(stored, GOOD)
    state = stored.directory / "uploads" / found.id / "state.json"
    told = json.loads(state.read_text(encoding="utf-8"))
    told["received"] = (datetime.now(UTC) - timedelta(hours=24, seconds=1)).isoformat()
    state.write_text(json.dumps(told), encoding="utf-8")
    assert desk.uploads(stored, CLERK) == []
    assert not state.parent.exists()


def test_a_folder_whose_state_was_never_written_is_deleted(stored: Store) -> None:
    put(stored, GOOD)
    broken = stored.directory / "uploads" / ("1" * 32)
    broken.mkdir()
    (broken / "file.csv").write_text("姓名")
    os.utime(broken, (0, 0))
    desk.sweep(stored)
    assert not broken.exists()
    assert len(desk.uploads(stored, CLERK)) == 1


def test_what_was_detected_can_be_corrected(stored: Store, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (
        ["2026年9月 家庭医生签约情况"],
        ["区划代码", "签约人数", "建档立卡人口"],
        [VILLAGES[0], 80, 100],
        [VILLAGES[1], 70, 100],
    ):
        sheet.append(row)
    path = tmp_path / "九月.xlsx"
    book.save(path)
    found = desk.receive(stored, CLERK, path.name, BytesIO(path.read_bytes()), MB)
    first = checked(stored, found)
    assert (first.prepared.dataset, first.months) == ("figures", ("2026-09",))
    (shown,) = first.prepared.sheets
    assert shown.table is not None and shown.table.header_rows == (2,)
    assert shown.read_as == ("place_id", "contracted_persons", "registered_persons")
    assert shown.top[0][0].startswith("2026年9月")
    again = checked(stored, found, headers={shown.name: (3, 3)})
    assert again.prepared.sheets[0].table is not None
    assert again.prepared.sheets[0].table.header_rows == (3,)
    assert not again.loadable
    conflict = checked(stored, found, headers={}, month="2026-10")
    assert conflict.report.issues.counts()["MONTH_CONFLICT"] == 1
    assert checked(stored, found, month=None, dataset="places").prepared.dataset == "places"


def test_a_month_in_the_file_name_counts_though_the_file_lies_elsewhere(stored: Store) -> None:
    text = f"区划代码,签约人数,建档立卡人口\n{VILLAGES[0]},80,100\n"
    assert checked(stored, put(stored, text, "2026年10月.csv")).months == ("2026-10",)


def test_an_encoding_that_cannot_be_told_is_asked_for(stored: Store) -> None:
    text = f"區劃代碼,月份,簽約人數,備註\n{VILLAGES[0]},2026-10,80,點選測試資料庫權限設定\n"
    found = desk.receive(stored, CLERK, "a.csv", BytesIO(text.encode("big5")), MB)
    first = checked(stored, found)
    if first.report.encoding != "big5":
        assert first.report.issues.counts()["ENCODING_UNKNOWN"] == 1
    assert checked(stored, found, encoding="big5").report.encoding == "big5"


def test_a_check_is_not_done_twice_for_the_same(stored: Store) -> None:
    found = put(stored, GOOD)
    first = checked(stored, found)
    assert checked(stored, found) is first
    other = put(stored, GOOD.replace("80", "81"), "另.csv")
    load(stored, other)
    # What is stored has changed, so is what it was checked against.
    assert checked(stored, found) is not first


def test_correct_rows_are_taken_only_when_agreed_to(stored: Store) -> None:
    found = put(stored, HALF)
    assert checked(stored, found).report.rows_rejected == 1
    refused = load(stored, found)
    assert refused.outcome is not None and refused.outcome.problem is not None
    assert refused.outcome.problem[0] == "FILE_HAS_ERRORS" and refused.has_file
    fewer = load(stored, found, accept_valid_rows=True, rejected=0)
    assert fewer.outcome is not None and fewer.outcome.problem is not None
    assert fewer.outcome.problem[0] == "CHANGED_SINCE_CHECK"
    with stored.unit(SYSTEM) as unit:
        assert unit.months() == []
    done = load(stored, found, accept_valid_rows=True, rejected=1)
    assert done.outcome is not None and done.is_done
    assert (done.outcome.valid, done.outcome.rejected, done.outcome.changed) == (1, 1, 2)
    assert done.outcome.reasons == (("BAD_NUMBER", "error", 1),)
    assert whole(stored, VILLAGES[0]) == (80.0, 100.0)


def test_after_the_load_the_file_is_gone_and_the_rejected_rows_remain(stored: Store) -> None:
    found = put(stored, HALF)
    before = openpyxl.load_workbook(BytesIO(desk.rejected_rows(stored, CLERK, found.id).body))
    done = load(stored, found, accept_valid_rows=True, rejected=1)
    folder = stored.directory / "uploads" / done.id
    assert {path.name for path in folder.iterdir()} == {"state.json", "rejected.xlsx"}
    after = openpyxl.load_workbook(BytesIO(desk.rejected_rows(stored, CLERK, done.id).body))
    for book in (before, after):
        texts = [str(cell.value) for row in book.worksheets[0].iter_rows() for cell in row]
        assert VILLAGES[1] in texts and VILLAGES[0] not in texts
        assert any("不是数字" in text for text in texts)
    with pytest.raises(DudaoError) as refused:
        desk.begin_check(stored, CLERK, done.id, Request())
    assert refused.value.code == "UPLOAD_DONE"
    desk.discard(stored, CLERK, done.id)
    assert not folder.exists()


def test_a_file_without_rejected_rows_leaves_nothing_behind(stored: Store) -> None:
    done = load(stored, put(stored, GOOD))
    folder = stored.directory / "uploads" / done.id
    assert {path.name for path in folder.iterdir()} == {"state.json"}
    (batch,) = [one for one in desk.batches(stored, CLERK) if one.file == "十月.csv"]
    assert batch.summary == {"read": 2, "valid": 2, "rejected": 0, "skipped": 0, "reasons": []}
    assert batch.operator == CLERK.name


def test_names_are_chosen_among_what_was_offered(stored: Store) -> None:
    found = put(stored, NAMED)
    first = checked(stored, found)
    offers = {offer.name: offer for offer in first.offers}
    assert set(offers) == {"东关", "无此庄"}
    best = offers["东关"].best
    assert best is not None
    assert (best.id, best.where) == (VILLAGES[0], ("廊坊市", "大城县", "平舒镇"))
    after = checked(stored, found, confirmed={offers["东关"].key: best.id})
    assert {offer.name for offer in after.offers} == {"无此庄"}
    assert after.report.rows_valid == first.report.rows_valid + 1
    # The choice can be taken back and made again, from what was offered before.
    assert len(checked(stored, found, confirmed={}).offers) == 2


def test_a_place_above_what_the_clerk_sees_is_not_named_beside_a_candidate(stored: Store) -> None:
    own = clerk("county", COUNTY, (f"131000000000/{COUNTY}/",))
    found = put(stored, NAMED, actor=own)
    offers = {offer.name: offer for offer in checked(stored, found, own).offers}
    best = offers["东关"].best
    assert best is not None and best.where == ("大城县", "平舒镇")


@pytest.mark.parametrize("forged", [COUNTY, "131025100999", "' OR 1=1 --", ""])
def test_a_forged_choice_is_refused_and_audited(stored: Store, forged: str) -> None:
    found = put(stored, NAMED)
    offer = checked(stored, found).offers[0]
    with pytest.raises(DudaoError) as refused:
        checked(stored, found, confirmed={offer.key: forged})
    assert refused.value.code == "CHOICE_NOT_OFFERED"
    with pytest.raises(DudaoError):
        checked(stored, found, confirmed={("从未问过", None): VILLAGES[0]})
    assert denials(stored) == [("data.check", found.id)] * 2
    assert desk.upload(stored, CLERK, found.id).request.confirmed == {}


def test_a_choice_whose_place_left_the_scope_is_refused(stored: Store) -> None:
    found = put(stored, NAMED)
    offer = next(one for one in checked(stored, found).offers if one.name == "东关")
    elsewhere = clerk("a", "x", ("/x/",))
    with pytest.raises(DudaoError) as refused:
        checked(stored, found, elsewhere, confirmed={offer.key: VILLAGES[0]})
    assert refused.value.code == "CHOICE_NOT_OFFERED"


def test_several_files_go_in_the_order_they_need_each_other(store: Store, tmp_path: Path) -> None:
    figures = put(store, GOOD)
    first = checked(store, figures)
    assert not first.loadable
    outlines = write_places(tmp_path / "区划.gpkg")
    places = desk.receive(store, CLERK, outlines.name, BytesIO(outlines.read_bytes()), 10 * MB)
    orders = [Order(figures.id, rejected=first.report.rows_rejected), Order(places.id)]
    job = desk.confirm(store, CLERK, orders, PAIRS)
    assert job.wait(120) and job.result is not None, job.error
    assert [one.id for one in job.result] == [places.id, figures.id]
    assert all(one.is_done for one in job.result), job.result
    assert whole(store) == (150.0, 200.0)
    steps = [line.step for line in job.lines]
    assert None not in steps and steps[-1] is Step.PUBLISH


def test_a_scoped_clerk_may_not_load_places(stored: Store, tmp_path: Path) -> None:
    outlines = write_places(tmp_path / "区划.gpkg")
    with stored.unit(SYSTEM) as unit:
        path = unit.versions(TOWNSHIP)[0].path
    scoped = clerk("s", TOWNSHIP, (path,))
    found = desk.receive(stored, scoped, "区划.gpkg", BytesIO(outlines.read_bytes()), 10 * MB)
    done = load(stored, found, scoped, accept_valid_rows=True, rejected=99)
    assert done.outcome is not None and done.outcome.problem is not None
    assert done.outcome.batch is None
    assert done.has_file


def test_a_stop_before_publishing_leaves_everything_as_it_was(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = put(stored, GOOD)
    checked(stored, found)
    _stop_at(monkeypatch, Step.ROLL_UP)
    job = desk.confirm(stored, CLERK, [Order(found.id)], PAIRS)
    assert job.wait(60)
    assert job.state is JobState.STOPPED
    assert job.error is not None and job.error.code == "LOAD_STOPPED"
    with stored.unit(SYSTEM) as unit:
        assert unit.months() == []
    assert stored.facts.months() == []
    again = desk.upload(stored, CLERK, found.id)
    assert again.has_file and again.outcome is None
    monkeypatch.undo()
    assert load(stored, again).is_done


def test_a_stop_once_publishing_comes_too_late(
    stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = put(stored, GOOD)
    checked(stored, found)
    _stop_at(monkeypatch, Step.PUBLISH, after=True)
    job = desk.confirm(stored, CLERK, [Order(found.id)], PAIRS)
    assert job.wait(60)
    assert job.state is JobState.DONE
    assert whole(stored) == (150.0, 200.0)


def _stop_at(monkeypatch: pytest.MonkeyPatch, step: Step, after: bool = False) -> None:
    """Press stop when a job reaches a step, before or after it says so."""
    tell = Job.tell

    def told(job: Job[object], text: str) -> None:
        if not after and step_of(text) is step:
            job.stop()
        tell(job, text)
        if after and step_of(text) is step:
            job.stop()

    monkeypatch.setattr(Job, "tell", told)


@pytest.fixture
def big_book() -> Iterator[bytes]:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("一")
    for number in range(150_000):
        sheet.append([number, "文字" * 8, number * 2, "内容"])
    target = BytesIO()
    book.save(target)
    yield target.getvalue()


def test_a_stop_while_reading_kills_the_reading_process(stored: Store, big_book: bytes) -> None:
    found = desk.receive(stored, CLERK, "大.xlsx", BytesIO(big_book), 100 * MB)
    job = desk.begin_check(stored, CLERK, found.id, Request())
    reading = _readers()
    for _ in range(500):
        reading = _readers()
        if reading:
            break
        job.wait(0.01)
    assert reading
    desk.stop(stored, CLERK, found.id)
    assert job.wait(20)
    assert job.state is JobState.STOPPED
    assert not reading & _readers()
    assert desk.upload(stored, CLERK, found.id).has_file


def _readers() -> set[int]:
    """Reading processes that this one started."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if int(status[1]) == os.getpid() and b"loaders.sandbox" in words:
                found.add(int(folder.name))
    return found


def test_a_load_waits_for_another_and_hears_a_stop_meanwhile(stored: Store) -> None:
    found = put(stored, GOOD)
    checked(stored, found)
    with stored.load_lock(timeout=5) as free:
        assert free
        job = desk.confirm(stored, CLERK, [Order(found.id)], PAIRS)
        while job.step is not Step.WAIT and not job.wait(0.05):
            pass
        with pytest.raises(DudaoError) as busy:
            desk.confirm(stored, CLERK, [Order(found.id)], PAIRS)
        assert busy.value.code == "UPLOAD_BUSY"
        desk.stop(stored, CLERK, found.id)
        assert job.wait(20)
    assert job.state is JobState.STOPPED


def test_a_failed_load_is_audited(stored: Store) -> None:
    found = put(stored, "区划代码,月份,签约人数\n1,2,3\n")
    load(stored, found)
    with stored.engine.connect() as connection:
        row = connection.exec_driver_sql(
            "SELECT actor, outcome, details FROM audit WHERE action = 'data.load'"
            f" AND subject = '{found.id}'"
        ).one()
    assert (row[0], row[1]) == (CLERK.id, "failed")
    assert json.loads(row[2]) == {"error": "NOTHING_TO_LOAD", "file": "十月.csv"}


def test_an_unexpected_fault_is_told_in_plain_words(
    stored: Store, caplog: pytest.LogCaptureFixture
) -> None:
    done = Event()

    def work(_job: Job[None]) -> None:
        done.set()
        raise RuntimeError("a secret detail")

    job: Job[None] = Job("check", 1.0, work)
    job.start()
    assert job.wait(10) and done.is_set()
    assert job.error is not None and job.error.code == "JOB_FAILED"
    assert "secret" not in job.error.message and "a secret detail" in caplog.text


def test_the_same_figures_again_are_said_to_be_there_already(stored: Store, tmp_path: Path) -> None:
    load_file(
        stored,
        SYSTEM,
        figures_file(tmp_path / "a.csv", *((one, "2026-10", 80, 100) for one in VILLAGES[:2])),
        Request(),
        PAIRS,
    )
    done = load(stored, put(stored, GOOD.replace("70", "80")))
    assert done.is_done and done.outcome is not None
    assert (done.outcome.batch, done.outcome.changed, done.outcome.unchanged) == (None, 0, 4)

"""The clerk's desk: files are left here, looked at, corrected, confirmed or thrown away.

An upload belongs to the account that brought it and to nobody else, and outlives page, connection
and sign-in. Reading and loading are jobs in threads of their own.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import repeat
from threading import Lock
from typing import IO, Any, TypeVar, cast

import numpy as np

from dashboard.access import Actor, acts
from dashboard.coverage import disclosure
from dashboard.intake import loading, service
from dashboard.intake.issues import IssueIndex
from dashboard.intake.jobs import Board, Job, Pace, Stopped, turn
from dashboard.intake.loading import CheckedFile
from dashboard.intake.model import (
    MOST_IN_HAND,
    Candidate,
    Checked,
    Name,
    Offer,
    Order,
    Outcome,
    Upload,
)
from dashboard.intake.shelf import Shelf
from dashboard.reports import service as reports
from dashboard.reports.model import Export, Format
from dashboard.reports.problems import RejectedRow
from dashboard.store import Store, audit
from dashboard.store import undo as undoing
from dashboard.store.commit import StaleCheck
from dashboard.store.model import Batch, Pair
from dashboard.store.publish import LOAD_TIMEOUT_S, state_of
from dashboard.store.undo import UndoResult
from geodata.errors import DudaoError, SystemProblem
from loaders.known import KnownPlaces
from loaders.masking import mask_text
from loaders.model import IssueBlock, Known, Request, Severity

_KEPT_CHECKS = 8
"""Checked files of all accounts kept in memory; another look reads the file again."""

_BUSY_TICK_S = 0.5
_STOP_S = 10.0
_TURNS = 5
"""How often an upload is checked again because others load at the same time."""
_UNDO_S = 4.0

Value = TypeVar("Value")

_board = Board()
_check_pace = Pace(start_s=1.0, unit_s=0.35)
_load_pace = Pace(start_s=2.0, unit_s=0.6)
_MB = 1 << 20


_Found = tuple[Checked, CheckedFile]


class _Checks:
    """The latest checks, the least recently used given up first."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, str], tuple[Hashable, _Found]] = OrderedDict()
        self._lock = Lock()

    def get(self, place: str, upload_id: str, key: Hashable) -> _Found | None:
        with self._lock:
            found = self._found.get((place, upload_id))
            if found is None or found[0] != key:
                return None
            self._found.move_to_end((place, upload_id))
            return found[1]

    def put(self, place: str, upload_id: str, key: Hashable, found: _Found) -> None:
        with self._lock:
            self._found[place, upload_id] = (key, found)
            self._found.move_to_end((place, upload_id))
            while len(self._found) > _KEPT_CHECKS:
                self._found.popitem(last=False)

    def forget(self, place: str, upload_id: str) -> None:
        with self._lock:
            self._found.pop((place, upload_id), None)


_checks = _Checks()


# Uploads


@acts("data.check")
def receive(store: Store, actor: Actor, name: str, stream: IO[bytes], most_bytes: int) -> Upload:
    """Keep an uploaded file for its owner.

    Args:
        name: the file's name as uploaded; only shown, never used as a path.
        most_bytes: the largest file taken.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_TOO_LARGE, UPLOADS_TOO_MANY.
        SystemProblem: UPLOAD_NOT_KEPT.
    """
    store.require(actor, "data.check")
    shelf = _shelf(store)
    sweep(store)
    if sum(upload.owner == actor.id for upload in shelf.all()) >= MOST_IN_HAND:
        raise DudaoError(
            "UPLOADS_TOO_MANY",
            f"待处理的文件已有 {MOST_IN_HAND} 个。",
            "请先确认或移除其中一些，再上传新的文件。",
        )
    return shelf.put(actor.id, name, stream, most_bytes)


@acts("data.check")
def uploads(store: Store, actor: Actor) -> list[Upload]:
    """The actor's uploads in hand, the oldest first.

    Raises:
        NotAllowed
    """
    store.require(actor, "data.check")
    sweep(store)
    mine = [upload for upload in _shelf(store).all() if upload.owner == actor.id]
    return sorted(mine, key=lambda upload: (upload.received, upload.id))


@acts("data.check")
def upload(store: Store, actor: Actor, upload_id: str) -> Upload:
    """One of the actor's uploads.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND; somebody else's upload is answered the same, and audited.
    """
    store.require(actor, "data.check")
    return _own(store, actor, upload_id, "data.check")


@acts("data.check")
def discard(store: Store, actor: Actor, upload_id: str) -> None:
    """Stop what is done with an upload and delete it.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND.
    """
    store.require(actor, "data.check")
    found = _own(store, actor, upload_id, "data.check")
    _board.forget(_place(store), found.id)
    _checks.forget(_place(store), found.id)
    _shelf(store).remove(found.id)


def sweep(store: Store) -> None:
    """Delete every upload past its time; for the server's housekeeping."""
    for upload_id in _shelf(store).sweep():
        _board.forget(_place(store), upload_id)
        _checks.forget(_place(store), upload_id)


# Checking


@acts("data.check")
def begin_check(store: Store, actor: Actor, upload_id: str, request: Request) -> Job[Checked]:
    """Read an upload and check it as its owner says, in a job of its own.

    What was said is kept with the upload. A check that is still good is not done again: its job is
    over at once. One under way for something else is stopped.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND; UPLOAD_BUSY; UPLOAD_DONE, its file is gone;
            CHOICE_NOT_OFFERED, a confirmed place was not among the candidates offered or lies
            outside the actor's scope (audited).
    """
    store.require(actor, "data.check")
    found = _with_file(_own(store, actor, upload_id, "data.check"))
    request = replace(request, name=found.name)
    if request.confirmed:
        _refuse_unoffered(store, actor, found, request.confirmed)
    if request != found.request:
        found = replace(found, request=request, outcome=None)
        _shelf(store).save(found)
    key = _key(store, actor, found)
    known = _checks.get(_place(store), found.id, key)
    if known is not None:
        return Job.finished("check", known[0])
    other = _board.of(_place(store), found.id)
    if other is not None and not other.is_over and other.kind == "check":
        if other.about == key:
            return cast(Job[Checked], other)
        other.stop()
        other.wait(_STOP_S)
    job: Job[Checked] = Job(
        "check",
        _check_pace.expect(found.size / _MB),
        lambda running: _checked(store, actor, found, cast(Job[object], running))[0],
        about=key,
    )
    _board.put(_place(store), [found.id], cast(Job[object], job))
    return job


@acts("data.check")
def check(store: Store, actor: Actor, upload_id: str, request: Request) -> Checked:
    """As ``begin_check``, waiting for its end.

    Raises:
        DudaoError: as ``begin_check``; LOAD_STOPPED.
    """
    job = begin_check(store, actor, upload_id, request)
    while not job.wait(60):
        pass
    if job.result is None:
        raise job.error or Stopped()
    return job.result


@acts("data.check")
def job_of(store: Store, actor: Actor, upload_id: str) -> Job[object] | None:
    """The latest job on an upload, None when there was none since the server started.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND.
    """
    store.require(actor, "data.check")
    return _board.of(_place(store), _own(store, actor, upload_id, "data.check").id)


@acts("data.check")
def stop(store: Store, actor: Actor, upload_id: str) -> None:
    """Stop the job on an upload: its reading process is killed, a load ends before it publishes.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND.
    """
    job = job_of(store, actor, upload_id)
    if job is not None:
        job.stop()


@acts("data.check")
def rejected_rows(store: Store, actor: Actor, upload_id: str) -> Export:
    """The rows of an upload that cannot be taken, as a workbook with the reason beside each cell.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND; NOTHING_REJECTED.
    """
    store.require(actor, "data.check")
    found = _own(store, actor, upload_id, "data.check")
    kept = _shelf(store).rejected(found)
    if kept is not None:
        stem = found.name.rpartition(".")[0] or found.name
        return Export(f"{stem}_未导入的行.xlsx", Format.XLSX.media_type, kept)
    return _rejected(actor, check(store, actor, upload_id, found.request))


@acts("data.check")
def issue_list(store: Store, actor: Actor, upload_id: str, format: Format) -> Export:
    """Every issue of an upload as a file.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND; UPLOAD_DONE.
    """
    store.require(actor, "data.check")
    found = _own(store, actor, upload_id, "data.check")
    checked = check(store, actor, upload_id, found.request)
    return reports.issue_list(actor, found.name, checked.report.issues, format)


# Loading


@acts("data.load")
def confirm(
    store: Store, actor: Actor, orders: Sequence[Order], pairs: Iterable[Pair]
) -> Job[list[Upload]]:
    """Load uploads, places before institutions before figures, in a job of its own.

    Each is its own all-or-nothing, and is checked again when what it was checked against has
    changed. Its file is deleted once it is loaded. What came of each is kept with it; one that is
    refused keeps its file.

    Returns:
        The job; its result is the uploads in the order they were dealt with.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_NOT_FOUND, UPLOAD_BUSY, UPLOAD_DONE, NOTHING_CHOSEN.
    """
    store.require(actor, "data.load")
    if not orders:
        raise DudaoError("NOTHING_CHOSEN", "没有选择要导入的文件。", "请先选择文件。")
    found = [_with_file(_own(store, actor, order.upload_id, "data.load")) for order in orders]
    wanted = tuple(pairs)
    chosen = tuple(zip(found, orders, strict=True))
    job: Job[list[Upload]] = Job(
        "load",
        sum(_load_pace.expect(upload.size / _MB) for upload in found),
        lambda running: _load(store, actor, chosen, wanted, running),
    )
    _board.put(_place(store), [upload.id for upload in found], cast(Job[object], job))
    return job


@acts("data.batches")
def batches(store: Store, actor: Actor, limit: int = 50) -> list[Batch]:
    """The latest loads the actor may know of, newest first.

    Raises:
        NotAllowed
    """
    with store.unit(actor, "data.batches") as unit:
        return unit.batches(limit)


@acts("data.undo")
def undo(store: Store, actor: Actor, batch_id: int, pairs: Iterable[Pair]) -> Job[UndoResult]:
    """Take a load back in a job of its own; until it publishes it can be stopped.

    Raises:
        NotAllowed
        DudaoError: UPLOAD_BUSY, it is being taken back already. The job's error is what
            ``dashboard.store.undo.undo`` raises.
    """
    store.require(actor, "data.undo")
    wanted = tuple(pairs)

    def work(job: Job[UndoResult]) -> UndoResult:
        done = _when_free(
            job, lambda: undoing.undo(store, actor, batch_id, wanted, job.tell, timeout=0)
        )
        disclosure.prepare(store.snapshots, done.snapshots)
        return done

    job = Job("undo", _UNDO_S, work, about=actor.id)
    _board.put(_place(store), [_batch_key(batch_id)], cast(Job[object], job))
    return job


@acts("data.undo")
def undo_job(store: Store, actor: Actor, batch_id: int) -> Job[object] | None:
    """The latest job the actor began to take a load back.

    Raises:
        NotAllowed
    """
    store.require(actor, "data.undo")
    job = _board.of(_place(store), _batch_key(batch_id))
    return job if job is not None and job.about == actor.id else None


# What it is made of


def _batch_key(batch_id: int) -> str:
    return f"batch {batch_id}"


def _shelf(store: Store) -> Shelf:
    return Shelf(store.directory)


def _place(store: Store) -> str:
    return str(store.directory)


def _own(store: Store, actor: Actor, upload_id: str, action_id: str) -> Upload:
    found = _shelf(store).find(upload_id)
    if found is not None and found.owner == actor.id:
        return found
    if found is not None:
        store.record(actor, action_id, subject=found.id, outcome=audit.Outcome.DENIED)
    raise DudaoError(
        "UPLOAD_NOT_FOUND",
        "没有这个上传的文件，或已过期删除。",
        "请在“数据”页面重新上传。",
    )


def _with_file(found: Upload) -> Upload:
    if not found.has_file:
        raise DudaoError(
            "UPLOAD_DONE",
            f"“{found.name}”已经处理完毕，文件已删除。",
            "如需再次导入，请重新上传。",
        )
    return found


def _refuse_unoffered(
    store: Store, actor: Actor, found: Upload, confirmed: Mapping[Name, str]
) -> None:
    """Refuse places no check of this upload offered, or that are no longer the actor's."""
    wrong = [
        place_id
        for name, place_id in confirmed.items()
        if place_id not in found.offered.get(name, ())
    ]
    if not wrong:
        with store.unit(actor, "data.check") as unit:
            chosen = list(dict.fromkeys(confirmed.values()))
            wrong = sorted(set(chosen) - unit.known_ids(chosen))
    if wrong:
        store.record(
            actor,
            "data.check",
            subject=found.id,
            details={"error": "CHOICE_NOT_OFFERED", "places": wrong[:5]},
            outcome=audit.Outcome.DENIED,
        )
        raise DudaoError(
            "CHOICE_NOT_OFFERED",
            "所选的地区不在系统给出的候选中。",
            "请从候选中选择；没有合适的，请在文件中改正名称或代码后重新上传。",
        )


def _key(store: Store, actor: Actor, found: Upload) -> Hashable:
    """All that a check depends on: what was said, what is stored, what the actor may see."""
    said = found.request
    with store.unit(actor, "data.check") as unit:
        stored = state_of(unit)
        scope = unit.scope.key
    asked = (
        said.dataset, said.month, said.crs, said.layer, said.encoding,
        tuple(said.headers.items()), tuple(said.confirmed.items()),
    )  # fmt: skip
    return asked, stored, scope


def _checked(
    store: Store, actor: Actor, found: Upload, job: Job[object]
) -> tuple[Checked, CheckedFile]:
    """Read and check an upload unless that was done for the very same; what it offers is kept."""
    path = _shelf(store).file(found)
    key = _key(store, actor, found)
    known = _checks.get(_place(store), found.id, key)
    if known is not None:
        return known
    with turn(job):
        began = job.elapsed_s
        stored = service.known(store, actor)
        entry = loading.check_file(path, found.request, stored, job.tell, job.asked_to_stop)
        if job.asked_to_stop():
            raise Stopped
        _check_pace.learn(found.size / _MB, job.elapsed_s - began)
    offers = _offers(entry, stored)
    offered = dict(found.offered)
    offered.update({one.key: tuple(place.id for place in one.candidates) for one in offers})
    if offered != found.offered:
        found = replace(found, offered=offered)
        _shelf(store).save(found)
    checked = Checked(
        upload=found,
        prepared=entry.prepared,
        offers=offers,
        months=loading.months_of(entry.prepared),
        index=IssueIndex(entry.prepared.report.issues),
        mark=secrets.token_hex(8),
    )
    _checks.put(_place(store), found.id, key, (checked, entry))
    return checked, entry


def _offers(entry: CheckedFile, stored: Known) -> tuple[Offer, ...]:
    """The names that wait for a choice, each candidate with the places above it."""
    suggestions = entry.prepared.report.suggestions
    if not suggestions:
        return ()
    places = KnownPlaces(stored.places)
    ids = list(dict.fromkeys(one[0] for each in suggestions for one in each.candidates))
    rows = places.positions(np.array(ids, dtype=object)) if ids else np.empty(0, dtype=np.int64)
    paths = {
        place_id: places.path(row)[:-1]
        for place_id, row in zip(ids, rows.tolist(), strict=True)
        if row >= 0
    }
    above = list(dict.fromkeys(place_id for path in paths.values() for place_id in path))
    known = places.names_of(np.array(above, dtype=object))
    # A place above that the clerk does not see has no name here, and is left out.
    names = {up: own[-1] for up, own in zip(above, known, strict=True) if own}
    return tuple(
        Offer(
            name=each.name,
            parent=each.parent_name,
            sheet=each.sheet,
            row=each.row,
            candidates=tuple(
                Candidate(
                    place_id,
                    name,
                    tuple(names[up] for up in paths.get(place_id, ()) if up in names),
                    score,
                )
                for place_id, name, score in each.candidates
            ),
        )
        for each in suggestions
    )


def _rejected(actor: Actor, checked: Checked) -> Export:
    """The workbook of a checked upload's rejected rows."""
    return reports.rejected_rows(
        actor, checked.upload.name, _bad_rows(checked), checked.report.issues
    )


def _bad_rows(checked: Checked) -> Iterable[RejectedRow]:
    """The rows of the file that have an error, as they stand in it."""
    wanted: dict[str | None, set[int]] = {}
    for block in checked.report.issues.blocks:
        if block.severity is Severity.ERROR:
            for issue_sheet, row in zip(_sheets_of(block), block.rows.tolist(), strict=True):
                wanted.setdefault(issue_sheet or None, set()).add(row)
    for sheet in checked.prepared.sheets:
        if sheet.table is None or not sheet.read_as:
            continue
        rows = np.array(sorted(wanted.get(sheet.name, ())), dtype=np.int64)
        at = np.flatnonzero(np.isin(sheet.table.rows, rows))
        cells = [column.take(at).texts().tolist() for column in sheet.table.columns]
        for position, row in enumerate(sheet.table.rows[at].tolist()):
            yield RejectedRow(
                sheet.name,
                row,
                {
                    heading: column[position]
                    for heading, column in zip(sheet.table.headings, cells, strict=True)
                },
            )


def _sheets_of(block: IssueBlock) -> Iterable[str | None]:
    """The sheet of each issue of a block."""
    if isinstance(block.sheet, np.ndarray):
        return cast(list[str | None], block.sheet.tolist())
    return repeat(block.sheet, len(block))


def _load(
    store: Store,
    actor: Actor,
    chosen: Sequence[tuple[Upload, Order]],
    pairs: Sequence[Pair],
    job: Job[list[Upload]],
) -> list[Upload]:
    running = cast(Job[object], job)
    began = {
        found.id: _checked(store, actor, found, running)[0].prepared.dataset or ""
        for found, _ in chosen
    }
    rank = {dataset: at for at, dataset in enumerate(loading.ORDER)}
    ordered = sorted(chosen, key=lambda one: rank.get(began[one[0].id], len(rank)))
    done: list[Upload] = []
    try:
        for found, order in ordered:
            done.append(_load_one(store, actor, found, order, pairs, running))
    except Stopped as stopped:
        left = [found for found, _ in ordered[len(done) :]]
        for found in left:
            _record_failure(store, actor, found, stopped)
        raise
    return done


def _record_failure(store: Store, actor: Actor, found: Upload, error: DudaoError) -> None:
    store.record(
        actor,
        "data.load",
        subject=found.id,
        details={"file": mask_text(found.name), "error": error.code},
        outcome=audit.Outcome.FAILED,
    )


def _load_one(
    store: Store,
    actor: Actor,
    found: Upload,
    order: Order,
    pairs: Sequence[Pair],
    job: Job[object],
) -> Upload:
    """Check again, commit, keep what came of it."""
    problem: DudaoError | None = None
    began = job.elapsed_s
    try:
        checked = _commit_checked(store, actor, found, order, pairs, job)
    except _NotLoaded as refused:
        checked, problem = refused.checked, refused.problem
        _record_failure(store, actor, found, problem)
    report, shelf = checked.report, _shelf(store)
    # The file is read anew for another load: the report now tells of this one.
    _checks.forget(_place(store), found.id)
    done = replace(
        checked.upload,
        outcome=Outcome.of(report, checked.months, datetime.now(UTC), problem),
        has_file=problem is not None,
    )
    if problem is None:
        _load_pace.learn(found.size / _MB, job.elapsed_s - began)
        if report.rows_rejected:
            _keep_rejected(actor, shelf, checked)
        shelf.drop_file(done)
    shelf.save(done)
    return done


class _NotLoaded(Exception):
    """Why a checked upload was not loaded."""

    def __init__(self, checked: Checked, problem: DudaoError) -> None:
        super().__init__(problem.code)
        self.checked = checked
        self.problem = problem


def _commit_checked(
    store: Store,
    actor: Actor,
    found: Upload,
    order: Order,
    pairs: Sequence[Pair],
    job: Job[object],
) -> Checked:
    """Commit an upload as its latest check left it, checking again when others loaded meanwhile.

    Raises:
        Stopped
        _NotLoaded
    """
    turns = 0
    while True:
        checked, entry = _checked(store, actor, found, job)
        turns += 1
        try:
            _refuse_worse(found, order, checked)
            _commit(store, actor, entry, pairs, order.accept_valid_rows, job)
            return checked
        except Stopped:
            raise
        except DudaoError as error:
            if not isinstance(error, StaleCheck) or turns == _TURNS:
                raise _NotLoaded(checked, error) from error


def _keep_rejected(actor: Actor, shelf: Shelf, checked: Checked) -> None:
    """Keep what its owner has to mend, now that the file goes."""
    try:
        made = _rejected(actor, checked)
    except DudaoError as error:
        if error.code != "NOTHING_REJECTED":
            raise
        return
    shelf.keep_rejected(checked.upload, made.body)


def _refuse_worse(found: Upload, order: Order, checked: Checked) -> None:
    """Refuse what its owner did not agree to.

    Raises:
        DudaoError: NOTHING_TO_LOAD, FILE_HAS_ERRORS, CHANGED_SINCE_CHECK.
    """
    report = checked.report
    if not checked.loadable:
        raise DudaoError(
            "NOTHING_TO_LOAD",
            f"“{found.name}”没有可以导入的行。",
            "请按问题清单改正后重新上传。",
        )
    if report.has_errors and not order.accept_valid_rows:
        raise DudaoError(
            "FILE_HAS_ERRORS",
            f"“{found.name}”有 {report.rows_rejected:,} 行不能导入，整份文件没有导入。",
            "请改正后重新上传，或选择“接收正确的行”。",
        )
    if report.rows_rejected > order.rejected:
        raise DudaoError(
            "CHANGED_SINCE_CHECK",
            f"核对之后已有数据发生变化，“{found.name}”现在有 {report.rows_rejected:,} 行不能导入，"
            f"核对时是 {order.rejected:,} 行。",
            "没有导入；请重新核对后再确认。",
        )


def _commit(
    store: Store,
    actor: Actor,
    entry: CheckedFile,
    pairs: Sequence[Pair],
    accept_valid_rows: bool,
    job: Job[object],
) -> None:
    _when_free(
        job,
        lambda: loading.commit_file(
            store, actor, entry, pairs, accept_valid_rows, job.tell, timeout=0
        ),
    )


def _when_free(job: Job[Any], act: Callable[[], Value]) -> Value:
    """Do what needs the load lock, trying in short spells, so that a stop is heard meanwhile.

    Raises:
        Stopped
        SystemProblem: LOAD_BUSY.
    """
    give_up = job.elapsed_s + LOAD_TIMEOUT_S
    while True:
        try:
            return act()
        except SystemProblem as busy:
            if busy.code != "LOAD_BUSY":
                raise
            if job.elapsed_s > give_up:
                raise SystemProblem(
                    "LOAD_BUSY",
                    f"另一个导入一直在进行，等待 {LOAD_TIMEOUT_S / 60:.0f} 分钟后放弃。",
                    "请等它完成后再试；未作任何改动。",
                ) from busy
        job.pause(_BUSY_TICK_S)

"""Persons for those whose work needs them: masked lists, reveals, data paths, erasure.

Erasing means: the row, its copies kept for undo, copies outside the database (staged uploads) and
the bytes in the database's files. What cannot be rewritten, backups above all, is named in the
result; restoring one erases the person again (``store.erasures.reapply``).

An erased person stays out: later loads leave the row out with the issue PERSON_ERASED, whatever
file brings it, until an administrator of the whole directory admits the person again with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

from dashboard.access import ACTIONS, Actor, acts
from dashboard.privacy.model import (
    KEY_FORM,
    Access,
    DataPath,
    ErasureResult,
    Held,
    Origin,
    PersonPage,
    Remainder,
    reason_of,
)
from dashboard.store import Store, erasures
from dashboard.store import persons as register
from dashboard.store.model import Erasure, Person, PersonRow
from dashboard.store.records import person_number
from dashboard.store.store import Command, paths_of
from geodata.errors import DudaoError, SystemProblem
from loaders.persons import id_problem, normalise_id
from loaders.registry import datasets

PAGE = 50
MOST_A_PAGE = 200
LOCK_PATIENCE_S = 60.0

EXPIRED = "超过保存期限"
"""The reason ``expire`` writes."""

Copies = Mapping[str, Callable[[Store], int]]
"""Where copies outside the database may lie -> what removes them and tells how many."""


class PersonNotFound(DudaoError):
    """PERSON_NOT_FOUND, for a person outside the scope and for none alike."""

    def __init__(self, exists: bool) -> None:
        super().__init__(
            "PERSON_NOT_FOUND",
            "没有登记这个人员。",
            "请核对后重试；如人员在其他地区登记，请联系有权限的人员。",
        )
        self.denied = exists


# Looking


@acts("persons.view")
def persons(
    store: Store, actor: Actor, place_id: str, page: int = 1, size: int = PAGE
) -> PersonPage:
    """The persons at or under a place, masked.

    Args:
        page: from 1; size: rows a page, at most ``MOST_A_PAGE``.

    Raises:
        NotAllowed: the actor's work needs no persons.
        DudaoError: PLACE_NOT_FOUND, also outside the scope, which is audited.
    """
    with store.unit(actor, "persons.view") as unit:
        versions = unit.versions(place_id)
        if not versions:
            unit.place(place_id, date.today())
    size = max(1, min(size, MOST_A_PAGE))
    page = max(1, page)
    paths = {version.path for version in versions}
    rows, total = register.page(store, actor, sorted(paths), (page - 1) * size, size)
    return PersonPage(tuple(rows), total, page, size)


@acts("persons.reveal")
def reveal(store: Store, actor: Actor, key: str, reason: str) -> Person:
    """A person in clear text; who looked and why is audited in the same transaction.

    Raises:
        NotAllowed
        DudaoError: REASON_NEEDED; PERSON_NOT_FOUND, also outside the scope, which is audited.
    """
    with store.command(actor, "persons.reveal", subject=_subject(key)) as command:
        said = reason_of(reason)
        _must_see(command, key)
        found = register.reveal(command.connection, key)
        command.details["reason"] = _without_name(said, found)
    return found


@acts("persons.trace")
def trace(store: Store, actor: Actor, key_or_id_number: str) -> DataPath:
    """What is held of a person, since when and from where, who looked and why, what was erased.

    Looking at a data path is audited, and shows in it from the next time on.

    Args:
        key_or_id_number: the number is only used to work out the key.

    Raises:
        NotAllowed
        DudaoError: PERSON_NOT_FOUND, nothing is known of the person, or they are outside the
            scope, which is audited; someone erased, or only in records, is only traced with a grant
            everywhere.
    """
    key = _key(store, key_or_id_number)
    with store.command(actor, "persons.trace", subject=_subject(key)) as command:
        connection = command.connection
        found = register.find(connection, key)
        past = erasures.history(connection, key)
        recorded = _recorded(store, key)
        if found is not None or not (past or recorded):
            _must_see(command, key)
        elif not actor.scope("persons.trace").everything:
            raise PersonNotFound(exists=True)
        loads = register.loads_of(connection, key)
        told = register.told_of(connection, key)
    return DataPath(
        key=key,
        held=() if found is None else (_held(found),),
        records=tuple(recorded.items()),
        origins=tuple(
            Origin(
                batch=load.batch,
                file=load.file,
                sha256=load.sha256,
                loaded_at=load.finished,
                loaded_by=load.by,
                current=found is not None and found.batch == load.batch,
            )
            for load in loads
        ),
        accesses=tuple(
            Access(
                seq=row.seq,
                at=row.at,
                actor=row.actor,
                actor_name=row.actor_name,
                via=row.via,
                action=row.action,
                title=ACTIONS[row.action].title if row.action in ACTIONS else row.action,
                outcome=row.outcome,
                reason=str(row.details.get("reason", "")),
            )
            for row in told
        ),
        erasures=tuple(past),
    )


def _held(found: PersonRow) -> Held:
    dataset = datasets()[found.dataset]
    fields = {
        "姓名": found.name,
        "身份证号": found.id_number,
        "联系电话": found.phone,
        "性别": found.sex,
        "出生年份": None if found.birth_year is None else str(found.birth_year),
    }
    return Held(
        dataset=found.dataset,
        title=dataset.title,
        place_id=found.place_id,
        place_name=found.place_name,
        fields={title: value for title, value in fields.items() if value},
        held_since=found.held_since,
        keep_until=found.keep_until,
        keep_rule=dataset.keep_rule,
        version=found.version,
    )


# Erasing


@acts("persons.erase")
def erase(store: Store, actor: Actor, key: str, reason: str, copies: Copies) -> ErasureResult:
    """Erase a person with every copy, and prove it.

    Erasing somebody who is erased already cleans the traces once more and answers with the proof
    there is.

    Args:
        copies: of ``dashboard.intake.copies``.

    Raises:
        NotAllowed
        DudaoError: REASON_NEEDED; PERSON_NOT_FOUND, also outside the scope, which is audited.
        SystemProblem: LOAD_BUSY, nothing was erased; ERASURE_UNFINISHED, the row is gone and its
            bytes not yet: it goes on with the next load or start, or when called again.
    """
    with _locked(store):
        with store.command(actor, "persons.erase", subject=_subject(key)) as command:
            said = reason_of(reason)
            connection = command.connection
            again = _erased_before(command, key)
            held_since = ""
            recorded = _recorded(store, key)
            if again is None and _only_recorded(command, key, recorded):
                of_records = {key: sum(recorded.values())}
                proofs = erasures.erase(connection, store.keys, (), said, actor.id, of_records)
            elif again is None:
                _must_see(command, key)
                found = register.reveal(connection, key)
                said = _without_name(said, found)
                masked = register.find(connection, key)
                held_since = "" if masked is None else masked.held_since
                proofs = erasures.erase(connection, store.keys, [key], said, actor.id)
            else:
                proofs = [again]
                erasures.mark(connection)
            command.details |= {"reason": said, "again": again is not None}
            command.details["rows"] = sum(proof.rows for proof in proofs)
            remaining = _remaining(command, held_since)
        return _finish(store, proofs, again is not None, remaining, copies)


@acts("persons.expire")
def expire(store: Store, actor: Actor, copies: Copies, on: date | None = None) -> ErasureResult:
    """Erase everybody whose time of keeping has passed on a day (today when None), with proofs.

    Raises:
        NotAllowed
        SystemProblem: as ``erase``.
    """
    with _locked(store):
        with store.command(actor, "persons.expire") as command:
            due = erasures.overdue(command.connection, on or date.today())
            proofs = erasures.erase(command.connection, store.keys, due, EXPIRED, actor.id)
            command.details |= {"reason": EXPIRED, "persons": len(proofs)}
            command.details["rows"] = sum(proof.rows for proof in proofs)
            remaining = _remaining(command, "") if proofs else ()
        return _finish(store, proofs, False, remaining, copies if proofs else {})


@acts("persons.admit")
def admit(store: Store, actor: Actor, key: str, reason: str) -> Erasure:
    """End a person's erasure: later loads may bring them again. The proof of the erasure stays.

    Raises:
        NotAllowed
        DudaoError: REASON_NEEDED; PERSON_NOT_FOUND, the person is not erased.
        SystemProblem: LOAD_BUSY.
    """
    with _locked(store):
        with store.command(actor, "persons.admit", subject=_subject(key)) as command:
            said = reason_of(reason)
            command.details["reason"] = said
            if not erasures.standing(command.connection, key):
                raise PersonNotFound(exists=False)
            proof = erasures.admit(command.connection, store.keys, key, said, actor.id)
        erasures.note(store)
    return proof


@acts("data.check")
def register_of(store: Store, actor: Actor) -> Callable[[Sequence[str]], list[tuple[str, str]]]:
    """``Known.persons`` for the checks of a file: identity numbers to (key, state).

    What it returns raises DEMO_NO_PERSONS in a demonstration, for everybody but the program.

    Raises:
        NotAllowed: who loads nothing could only use it to find out who is registered; audited.
    """
    store.require(actor, "data.check")

    def answer(id_numbers: Sequence[str]) -> list[tuple[str, str]]:
        keys = [register.key_of(store.keys, number) for number in id_numbers]
        return list(zip(keys, register.states(store, actor, keys), strict=True))

    return answer


# Helpers


def _subject(key: str) -> str:
    """What the audit names: never what somebody typed in place of a key."""
    return key if KEY_FORM.fullmatch(key) else ""


def _key(store: Store, text: str) -> str:
    """The key a person typed, or that of the identity number typed."""
    written = text.strip()
    if KEY_FORM.fullmatch(written.lower()):
        return written.lower()
    number = normalise_id(written)
    if id_problem(number, date.today()) is None:
        return register.key_of(store.keys, number)
    return ""


def _must_see(command: Command, key: str) -> None:
    """Check that a person is held where the command's actor may do this, and note the place.

    Raises:
        PersonNotFound
    """
    found = register.find(command.connection, key) if _subject(key) else None
    if found is None:
        raise PersonNotFound(exists=False)
    paths = paths_of(command.connection, found.place_id)
    scope = command.actor.scope(command.action.id)
    if not (scope.everything or (paths and scope.covers(paths[-1]))):
        raise PersonNotFound(exists=True)
    command.place_id = found.place_id
    command.path = paths[-1] if paths else None


def _recorded(store: Store, key: str) -> dict[str, int]:
    """How many rows records have of a person, by dataset."""
    return store.records.holding([person_number(key)]) if _subject(key) else {}


def _only_recorded(command: Command, key: str, recorded: Mapping[str, int]) -> bool:
    """Whether records have somebody who is in no register, for whom may do this everywhere.

    A ledger's row has a place, a person in it has none.
    """
    return (
        bool(recorded)
        and command.actor.scope(command.action.id).everything
        and register.find(command.connection, key) is None
    )


def _erased_before(command: Command, key: str) -> Erasure | None:
    """The standing proof of somebody who is erased, for whom may do this everywhere."""
    if not _subject(key) or not command.actor.scope(command.action.id).everything:
        return None
    return erasures.standing(command.connection, key)


def _without_name(said: str, found: Person) -> str:
    """A reason without the person's name and phone: the audit and the proofs outlive the data."""
    for written, shown in ((found.name, "该人员"), (found.phone, "(电话)")):
        if written:
            said = said.replace(written, shown)
    return said


def _remaining(command: Command, since: str) -> tuple[Remainder, ...]:
    """Copies made since a moment that no erasure can rewrite."""
    backups = register.backups_since(command.connection, since)
    found = [
        Remainder(
            what="backup",
            name=name,
            made_at=at,
            advice="备份不能改写，按备份保存期限到期销毁；用它恢复时会自动再次删除此人。",
        )
        for at, name in backups
    ]
    if command.connection.dialect.name == "postgresql":
        found.append(
            Remainder(
                what="database_log",
                name="pg_wal",
                made_at="",
                advice="PostgreSQL 的预写日志和归档由数据库管理员管理，随日志轮换清除。",
            )
        )
    return tuple(found)


def _finish(
    store: Store,
    proofs: Sequence[Erasure],
    again: bool,
    remaining: tuple[Remainder, ...],
    copies: Copies,
) -> ErasureResult:
    removed = {name: remove(store) for name, remove in copies.items()}
    erasures.finish(store)
    return ErasureResult(tuple(proofs), again, removed, remaining)


@contextmanager
def _locked(store: Store) -> Iterator[None]:
    """Hold the load lock: no load may be between its check and its end."""
    with store.load_lock(timeout=LOCK_PATIENCE_S) as free:
        if not free:
            raise SystemProblem(
                "LOAD_BUSY",
                "正在导入数据，暂时不能删除。",
                "请等导入完成后再执行；未作任何改动。",
            )
        yield

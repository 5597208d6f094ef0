"""Persons: the register later records join on by key, read masked, erased with every copy.

A person's key is the HMAC of the identity number; the number itself is never stored. Every query
here returns masked rows, except ``reveal``. How persons are erased stands in ``store.erasures``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
)
from sqlalchemy.exc import DBAPIError

from dashboard.access import EVERYTHING, Actor, Kind, Scope
from dashboard.store import database, images
from dashboard.store.keys import PERSONS, Keys
from dashboard.store.model import BatchState, Change, Person, PersonRow
from dashboard.store.records import person_number
from dashboard.store.tables import audit, batch, batch_before, erasure, meta, person, place
from geodata.errors import DudaoError, SystemProblem
from loaders.masking import mask_name, mask_phone
from loaders.registry import datasets

if TYPE_CHECKING:
    from dashboard.store.store import Store

DATASET = "persons"
COLUMNS = ("key", "place_id", "name", "id_last4", "phone", "sex", "birth_year")
"""What a load brings of a person."""

TABLE = person.name
"""The name under which ``batch_before`` keeps what loads replaced."""

_PROLONG_AFTER_DAYS = 30
"""A register submitted again prolongs the time of keeping when it gains more than this."""

_CHUNK = 1_000
_RANGES = 200
_MANY = 50_000


def key_of(keys: Keys, id_number: str) -> str:
    """The key of a person: HMAC of the normalised identity number (18 characters, X large).

    Raises:
        SystemProblem: KEY_MISSING.
    """
    return keys.mac(PERSONS, id_number)


def now() -> str:
    """This moment in UTC, ISO 8601, to the millisecond: erasures are ordered by it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


# Reading, masked


def page(
    store: Store, actor: Actor, paths: Collection[str], offset: int, limit: int
) -> tuple[list[PersonRow], int]:
    """Some persons at or under a place, by place and key, masked, and how many there are in all.

    Args:
        paths: every path of the place; what lies outside the actor's scope is not there.
    """
    scope = actor.scope("persons.view")
    home = select(place.c.id).where(within(scope), or_(false(), *map(_under, paths)))
    condition = person.c.place_id.in_(home)
    with database.reading(store.engine, scope, scope) as connection:
        total = connection.execute(select(func.count()).where(condition)).scalar_one()
        statement = (
            select(person)
            .where(condition)
            .order_by(person.c.place_id, person.c.key)
            .offset(offset)
            .limit(limit)
        )
        return _masked(connection, connection.execute(statement).mappings()), int(total)


def by_number(
    connection: Connection, scope: Scope, numbers: Collection[int]
) -> dict[int, PersonRow]:
    """The persons held in a scope by the number they go by in records, masked."""
    begins = sorted(f"{number % 2**64:016x}" for number in set(numbers))
    home = select(place.c.id).where(within(scope))
    found: dict[int, PersonRow] = {}
    for start in range(0, len(begins), _RANGES):
        ranges = [
            and_(person.c.key >= begin, person.c.key < f"{begin}g")
            for begin in begins[start : start + _RANGES]
        ]
        statement = select(person).where(or_(*ranges), person.c.place_id.in_(home))
        for row in _masked(connection, connection.execute(statement).mappings()):
            found[person_number(row.key)] = row
    return found


def find(connection: Connection, key: str) -> PersonRow | None:
    """One person, masked; None for a key that is not held."""
    rows = connection.execute(select(person).where(person.c.key == key)).mappings()
    return next(iter(_masked(connection, rows)), None)


def reveal(connection: Connection, key: str) -> Person:
    """One person in clear text. Only within the command that audits it.

    Raises:
        sqlalchemy.exc.NoResultFound: the key is not held.
    """
    columns = [person.c[name] for name in COLUMNS]
    row = connection.execute(select(*columns).where(person.c.key == key)).one()
    return Person(**row._mapping)


def _masked(connection: Connection, rows: Iterable[Any]) -> list[PersonRow]:
    listed = list(rows)
    names = _place_names(connection, {row["place_id"] for row in listed})
    return [
        PersonRow(
            key=row["key"],
            place_id=row["place_id"],
            place_name=names.get(row["place_id"], ""),
            name=mask_name(row["name"]),
            id_number="*" * 14 + row["id_last4"],
            phone=None if row["phone"] is None else mask_phone(row["phone"]),
            sex=row["sex"],
            birth_year=row["birth_year"],
            dataset=row["dataset"],
            held_since=row["held_since"],
            keep_until=row["keep_until"],
            batch=row["batch"],
            version=row["version"],
        )
        for row in listed
    ]


def _place_names(connection: Connection, place_ids: Collection[str]) -> dict[str, str]:
    statement = (
        select(place.c.id, place.c.name)
        .where(place.c.id.in_(sorted(place_ids)))
        .order_by(place.c.id, place.c.valid_from)
    )
    return {place_id: name for place_id, name in connection.execute(statement)}


def within(scope: Scope) -> ColumnElement[bool]:
    """A scope as a condition on ``place``."""
    if scope.everything:
        return true()
    return or_(false(), *map(_under, scope.paths))


def _under(path: str) -> ColumnElement[bool]:
    return and_(place.c.path >= path, place.c.path < path[:-1] + "0")


# What the checks of a file need to know


def states(store: Store, actor: Actor, keys: Sequence[str]) -> list[str]:
    """For each key ``erased``, ``elsewhere`` (held at a place the actor may not load) or empty.

    Raises:
        DudaoError: DEMO_NO_PERSONS.
    """
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        refuse_demonstration(connection, actor)
        gone = erased(connection, keys)
        foreign = _elsewhere(connection, actor, keys)
    return ["erased" if key in gone else "elsewhere" if key in foreign else "" for key in keys]


def refuse_demonstration(connection: Connection, actor: Actor) -> None:
    """Keep real persons out of a demonstration, whose accounts everybody knows.

    Raises:
        DudaoError: DEMO_NO_PERSONS.
    """
    if actor.kind is Kind.SYSTEM:
        return
    shown = connection.execute(
        select(meta.c.value).where(meta.c.key == "demonstration")
    ).scalar_one_or_none()
    if shown == "1":
        raise DudaoError(
            "DEMO_NO_PERSONS",
            "这是演示数据目录，演示账号是公开的，不能导入真实人员。",
            "请用 --data 指定正式的数据目录后再导入。",
        )


def erased(connection: Connection, keys: Collection[str]) -> set[str]:
    """Which keys are erased and have not been admitted again."""
    statement = select(erasure.c.key, erasure.c.rows).order_by(erasure.c.id)
    last: dict[str, int] = {}
    for part in _parts(keys):
        chosen = statement if part is None else statement.where(erasure.c.key.in_(part))
        last.update({key: rows for key, rows in connection.execute(chosen)})
    return {key for key, rows in last.items() if rows > 0}.intersection(keys)


def _elsewhere(connection: Connection, actor: Actor, keys: Collection[str]) -> set[str]:
    """Keys held at places where the actor may not load persons."""
    scopes = [actor.scope("data.load"), actor.scope("persons.view")]
    if all(scope.everything for scope in scopes):
        return set()
    own = select(place.c.id).where(*map(within, scopes))
    statement = select(person.c.key).where(person.c.place_id.not_in(own))
    found: set[str] = set()
    for part in _parts(keys):
        chosen = statement if part is None else statement.where(person.c.key.in_(part))
        found.update(connection.execute(chosen).scalars())
    return found.intersection(keys)


def _parts(keys: Collection[str]) -> Iterator[list[str] | None]:
    """The keys in handy parts; one None, for reading everything, when there are very many."""
    if len(keys) > _MANY:
        yield None
        return
    listed = sorted(set(keys))
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]


# Loading


@dataclass(frozen=True, slots=True)
class Changes:
    """What a load writes: rows as they will be; those that replace one have its ``held_since``."""

    rows: list[dict[str, Any]]

    def __repr__(self) -> str:
        return f"Changes({len(self.rows)} rows)"

    @property
    def keys(self) -> pd.DataFrame:
        """The keys of all rows."""
        return pd.DataFrame({"key": [row["key"] for row in self.rows]}, dtype="str")


def plan(store: Store, actor: Actor, change: Change) -> Changes:
    """Compare the rows of a file with what is stored. Only under the load lock.

    An empty phone says nothing: what is stored stays. A row equal to the stored one is no change,
    unless another file than before brings it and its time of keeping grows by more than a month.

    Raises:
        DudaoError: DEMO_NO_PERSONS; PERSONS_INVALID, a row without key, a key twice, somebody
            erased meanwhile or held at a place outside the actor's scope.
    """
    frame = change.frame[list(COLUMNS)].astype(object).where(change.frame[list(COLUMNS)].notna())
    rows = [_plain(row) for row in frame.to_dict("records")]
    keys = [row["key"] for row in rows]
    if not all(keys) or len(set(keys)) != len(keys):
        raise _invalid("名册中有空的或重复的身份证号。", "请重新检查文件后导入。")
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        refuse_demonstration(connection, actor)
        if erased(connection, keys):
            raise _invalid("名册中有检查之后才删除的人员。", "请重新检查文件后导入。")
        if _elsewhere(connection, actor, keys):
            raise _invalid(
                "名册中有人已登记在您无权导入的地区。", "请由有权限的人员导入，或改正名册。"
            )
        held = stored(connection, keys)
        seen_before = connection.execute(
            select(batch.c.id).where(
                batch.c.sha256 == change.sha256, batch.c.state == BatchState.COMMITTED.value
            )
        ).first()
    keep_until = keep_until_of(date.today())
    found = Changes([])
    for row in rows:
        old = held.get(row["key"])
        new = row | {"dataset": DATASET, "keep_until": keep_until, "version": 1}
        if old is not None:
            new["phone"] = new["phone"] or old["phone"]
            same = all(new[name] == old[name] for name in COLUMNS)
            if same and (seen_before or not _prolongs(old["keep_until"], keep_until)):
                continue
            new["version"] = old["version"] + 1
            new["held_since"] = old["held_since"]
        found.rows.append(new)
    return found


def keep_until_of(loaded: date) -> date | None:
    """The day a row loaded on a day is kept until, by the declaration of its dataset."""
    days = datasets()[DATASET].keep_days
    return None if days is None else loaded + timedelta(days=days)


def _prolongs(old: date | None, new: date | None) -> bool:
    if old is None or new is None:
        return old != new
    return new - old > timedelta(days=_PROLONG_AFTER_DAYS)


def _plain(row: dict[Any, Any]) -> dict[str, Any]:
    """A row of Python values, None for what is missing."""
    plain = {str(name): None if pd.isna(value) else value for name, value in row.items()}
    if plain["birth_year"] is not None:
        plain["birth_year"] = int(plain["birth_year"])
    return plain


def stored(connection: Connection, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    wanted = set(keys)
    found: dict[str, dict[str, Any]] = {}
    for part in _parts(keys):
        statement = select(person)
        if part is not None:
            statement = statement.where(person.c.key.in_(part))
        for row in connection.execute(statement).mappings():
            if row["key"] in wanted:
                found[row["key"]] = dict(row)
    return found


def _invalid(message: str, remedy: str) -> DudaoError:
    return DudaoError("PERSONS_INVALID", message, remedy)


def write(connection: Connection, changes: Changes, number: int) -> None:
    """Write planned rows as those of a batch.

    Raises:
        SystemProblem: PERSONS_NOT_WRITTEN; its text and traceback hold no value of a row.
    """
    moment = now()
    rows = [{"held_since": moment} | row | {"batch": number} for row in changes.rows]
    try:
        delete_persons(connection, [row["key"] for row in rows])
        for start in range(0, len(rows), _CHUNK):
            connection.execute(insert(person), rows[start : start + _CHUNK])
    except DBAPIError as error:
        raise _not_written(error) from None


def _not_written(error: DBAPIError) -> SystemProblem:
    # Both databases quote the row that failed in the text of the error.
    return SystemProblem(
        "PERSONS_NOT_WRITTEN",
        f"数据库拒绝写入人员名册({type(error.orig).__name__})。",
        "未作任何改动；请查看数据库状态和磁盘空间后重试。",
    )


def delete_persons(connection: Connection, keys: Collection[str]) -> None:
    listed = sorted(keys)
    for start in range(0, len(listed), _CHUNK):
        connection.execute(delete(person).where(person.c.key.in_(listed[start : start + _CHUNK])))


def not_erased(connection: Connection, _table: Table, rows: pa.Table) -> pa.Table:
    """Of the rows an undo would put back, those of nobody who was erased meanwhile."""
    gone = erased(connection, rows["key"].to_pylist())
    return rows.filter(pc.invert(pc.is_in(rows["key"], pa.array(sorted(gone), pa.string()))))


# A person's data path


@dataclass(frozen=True, slots=True)
class Load:
    """A committed load that brought or changed a person."""

    batch: int
    file: str
    sha256: str
    finished: str
    by: str


def loads_of(connection: Connection, key: str) -> list[Load]:
    """The loads that wrote a person's row, earliest first."""
    statement = select(batch_before.c.batch, batch_before.c.added)
    numbers = [
        number
        for number, added in connection.execute(statement.where(batch_before.c.table_name == TABLE))
        if key in images.unpack(added)["key"].to_pylist()
    ]
    current = select(person.c.batch).where(person.c.key == key)
    numbers += connection.execute(current).scalars()
    columns = (batch.c.id, batch.c.file, batch.c.sha256, batch.c.finished, batch.c.operator)
    statement_of = select(*columns).where(batch.c.id.in_(numbers)).order_by(batch.c.id)
    return [Load(*row) for row in connection.execute(statement_of)]


@dataclass(frozen=True, slots=True)
class Told:
    """One audit row about a person."""

    seq: int
    at: str
    actor: str
    actor_name: str
    via: str
    action: str
    outcome: str
    details: dict[str, Any]


def told_of(connection: Connection, key: str) -> list[Told]:
    """Every audit row whose subject is a person, earliest first."""
    columns = [audit.c[name] for name in (
        "seq", "at", "actor", "actor_name", "via", "action", "outcome", "details",
    )]  # fmt: skip
    statement = select(*columns).where(audit.c.subject == key).order_by(audit.c.seq)
    return [
        Told(**{**row._mapping, "details": json.loads(row.details)})
        for row in connection.execute(statement)
    ]


def backups_since(connection: Connection, moment: str) -> list[tuple[str, str]]:
    """(time, file) of every backup made since a moment, as the audit tells."""
    statement = (
        select(audit.c.at, audit.c.subject)
        .where(audit.c.action == "backup.make", audit.c.outcome == "done", audit.c.at >= moment)
        .order_by(audit.c.seq)
    )
    return [(row.at, row.subject) for row in connection.execute(statement)]

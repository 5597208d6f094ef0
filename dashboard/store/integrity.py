"""Is everything there, and does it agree: database, facts, snapshots, audit, references."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Table, exists, func, select, text
from sqlalchemy.exc import DBAPIError

from dashboard.access import EVERYTHING, Actor, acts
from dashboard.store import audit as chain
from dashboard.store import database, erasures, images, persons
from dashboard.store.engine import COLUMNS, VALUES
from dashboard.store.model import BatchState, Pair, Progress, Snapshot
from dashboard.store.publish import committed_batches, pairs_hash, quiet, read_pieces, rolled
from dashboard.store.records import numbers_of
from dashboard.store.snapshots import owner
from dashboard.store.store import RESTORE_PENDING, Store, snapshot_files
from dashboard.store.tables import (
    access_grant,
    account,
    batch,
    batch_before,
    boundary,
    institution,
    person,
    place,
    snapshot,
    target,
)
from geodata.errors import SystemProblem
from loaders.registry import record_datasets

ACTION = "store.check"
DAMAGED = "DATABASE_DAMAGED"

_SHOWN = 5
_PAIR = ("numerator_measure", "denominator_measure")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        code: names the kind; stable.
        message: what is wrong and what to do, for people.
        count: how many rows or files.
        examples: a few of them: ids or names of files, never a person's name or number.
    """

    code: str
    message: str
    count: int = 1
    examples: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON form in ``check --json``."""
        return {
            "code": self.code,
            "message": self.message,
            "count": self.count,
            "examples": list(self.examples),
        }


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check looked at and found.

    Attributes:
        checked: how many of each were looked at.
    """

    problems: tuple[Problem, ...]
    checked: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(slots=True)
class _Context:
    store: Store
    connection: Connection
    tell: Progress
    checked: dict[str, int] = field(default_factory=dict)
    facts_readable: bool = True
    pairs: tuple[Pair, ...] = ()


Check = Callable[[_Context], Iterator[Problem]]


@acts("store.check")
def check(
    store: Store,
    actor: Actor,
    progress: Progress | None = None,
    pairs: Iterable[Pair] = (),
) -> CheckResult:
    """Look at everything; changes nothing. Audited with what was found.

    Args:
        pairs: what the snapshots were made for; without them months that lack figures of any pair
            are not rolled up again to be compared.

    Raises:
        NotAllowed: audited.
        SystemProblem: KEY_MISSING.
    """
    store.require(actor, ACTION)
    tell = progress or quiet
    problems: list[Problem] = []
    checked: dict[str, int] = {}
    with (
        _noting_damage(problems),
        database.reading(store.engine, EVERYTHING, EVERYTHING) as connection,
    ):
        context = _Context(store, connection, tell, checked, pairs=tuple(pairs))
        for title, one in CHECKS.items():
            tell(f"正在检查{title}")
            problems += one(context)
    with store.load_lock(timeout=0) as at_rest:
        if at_rest:
            with database.reading(store.engine, EVERYTHING) as connection:
                problems += _leftovers(_Context(store, connection, tell, checked))
    found = {problem.code: problem.count for problem in problems}
    with _noting_damage(problems):
        store.record(actor, ACTION, details={"problems": found, "checked": checked})
    return CheckResult(tuple(problems), checked)


@contextmanager
def _noting_damage(problems: list[Problem]) -> Iterator[None]:
    """A database that fails is a finding; a damaged one may fail even at ending a transaction."""
    try:
        yield
    except DBAPIError as error:
        if all(problem.code != DAMAGED for problem in problems):
            problems.append(_damaged([str(error.orig).strip()]))


def _database(context: _Context) -> Iterator[Problem]:
    """The database's own structures, every row of every table read."""
    found = (
        _sqlite(context.connection)
        if context.connection.dialect.name == "sqlite"
        else _postgresql(context.store)
    )
    context.checked["tables"] = len(images.tables(context.connection))
    if found:
        yield _damaged(found)


def _damaged(found: list[str]) -> Problem:
    shown = tuple(found[:_SHOWN])
    return Problem(DAMAGED, "数据库已损坏，请从备份恢复。", len(found), shown)


def _sqlite(connection: Connection) -> list[str]:
    try:
        found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    except DBAPIError as error:
        return [str(error.orig)]
    return [str(line) for line in found if line != "ok"]


def _postgresql(store: Store) -> list[str]:
    """Check the indexes where the server has ``amcheck``; read every row in any case."""
    found: list[str] = []
    with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
        names = [each.name for each in images.tables(connection)]
        indexes = connection.execute(_INDEXES).scalars().all() if _amcheck(connection) else []
    statements = [f"SELECT bt_index_check('{name}'::regclass, true)" for name in indexes]
    statements += [f'SELECT sum(hashtext(t::text)::bigint) FROM "{name}" t' for name in names]
    for statement in statements:
        try:
            with database.reading(store.engine, EVERYTHING, EVERYTHING) as connection:
                connection.exec_driver_sql(statement).all()
        except DBAPIError as error:
            found.append(str(error.orig).strip())
    return found


_INDEXES = text(
    "SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND i.indisvalid "
    "AND c.relnamespace = current_schema()::regnamespace"
)


def _amcheck(connection: Connection) -> bool:
    """Whether the server can check its indexes, and lets us ask."""
    wanted = text(
        "SELECT coalesce(bool_or(has_function_privilege(p.oid, 'EXECUTE')), false) FROM pg_proc p "
        "WHERE p.proname = 'bt_index_check' AND p.pronargs = 2"
    )
    return bool(connection.execute(wanted).scalar_one())


def _constraints(context: _Context) -> Iterator[Problem]:
    if context.connection.dialect.name != "sqlite":
        return
    rows = context.connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if rows:
        named = tuple(f"{row[0]}:{row[1]}" for row in rows[:_SHOWN])
        yield Problem("FOREIGN_KEYS", "有行指向不存在的行。", len(rows), named)


# References that no constraint keeps, because places have one row for each period.

REFERENCES: dict[str, tuple[Table, str, str]] = {
    "PLACE_PARENT": (place, "parent_id", "区划的上级不存在"),
    "INSTITUTION_PLACE": (institution, "place_id", "机构所在的地区不存在"),
    "BOUNDARY_PLACE": (boundary, "place_id", "边界所属的地区不存在"),
    "GRANT_PLACE": (access_grant, "place_id", "授权的地区不存在"),
    "PERSON_PLACE": (person, "place_id", "人员所在的地区不存在"),
    "TARGET_PLACE": (target, "place_id", "目标所属的地区不存在"),
}
"""By code: the column that names a place, and what is wrong when there is none."""


def _references(context: _Context) -> Iterator[Problem]:
    known = place.alias("known")
    for code, (rows, name, message) in REFERENCES.items():
        named = rows.c[name]
        context.checked[rows.name] = context.connection.execute(
            select(func.count()).select_from(rows)
        ).scalar_one()
        missing = (
            select(named, func.count())
            .where(named.is_not(None), ~exists().where(known.c.id == named))
            .group_by(named)
            .order_by(named)
        )
        found = context.connection.execute(missing).all()
        if found:
            yield Problem(
                code,
                f"{message}。",
                sum(count for _, count in found),
                tuple(str(value) for value, _ in found[:_SHOWN]),
            )
    loose = (
        select(access_grant.c.id)
        .where(~exists().where(account.c.id == access_grant.c.account_id))
        .order_by(access_grant.c.id)
    )
    found_ids = list(context.connection.execute(loose).scalars())
    if found_ids:
        yield Problem("GRANT_ACCOUNT", "授权所属的账号不存在。", len(found_ids), _named(found_ids))


def _facts(context: _Context) -> Iterator[Problem]:
    """Every row readable, every row's batch known, every committed batch's rows there."""
    written: dict[str, dict[int, int]] = {}
    try:
        rows = context.store.facts.batches()
    except (OSError, pa.ArrowException) as error:
        context.facts_readable = False
        yield Problem("FACTS_UNREADABLE", f"月度数据文件无法读取({error})，请从备份恢复。")
        return
    context.checked["facts"] = sum(rows.values())
    context.checked["records"] = 0
    for name, ledger in context.store.records.ledgers.items():
        try:
            counted = ledger.batches()
        except (OSError, pa.ArrowException) as error:
            context.facts_readable = False
            title = ledger.dataset.title
            yield Problem("FACTS_UNREADABLE", f"{title}文件无法读取({error})，请从备份恢复。")
            continue
        written[name] = counted
        context.checked["records"] += sum(counted.values())
    known = {
        row.id: row
        for row in context.connection.execute(
            select(batch.c.id, batch.c.state, batch.c.dataset, batch.c.rows)
        )
    }
    context.checked["batches"] = len(known)
    written["figures"] = rows
    every = {number: count for found in written.values() for number, count in found.items()}
    stray = sorted(every.keys() - known.keys())
    if stray:
        yield Problem(
            "FACTS_BATCH_UNKNOWN",
            "月度数据或台账中有不属于任何导入批次的行。",
            sum(every[number] for number in stray),
            _named(stray),
        )
    # Of persons who were erased the rows are gone; a load also writes where a record was before.
    erased = bool(erasures.history(context.connection, None))
    short = sorted(
        number
        for number, row in known.items()
        if row.dataset in written
        and row.state == BatchState.COMMITTED.value
        and (
            written[row.dataset].get(number, 0) != row.rows
            if row.dataset == "figures"
            else written[row.dataset].get(number, 0) < row.rows
            and not (erased and record_datasets()[row.dataset].of_persons)
        )
    )
    if short:
        yield Problem(
            "FACTS_MISSING",
            "已导入批次的行数与记录不符，请从备份恢复。",
            len(short),
            _named(short),
        )


def _snapshots(context: _Context) -> Iterator[Problem]:
    """Every file there and readable; the published ones hold what the facts give."""
    missing: set[str] = set()
    damaged: list[str] = []
    published: dict[str, str] = {}
    tables: dict[str, pa.Table] = {}
    directory = context.store.directory / "snapshots"
    statement = select(snapshot).order_by(snapshot.c.month, snapshot.c.version)
    for row in context.connection.execute(statement):
        version = Snapshot.listed(row.month, row.version, row.file)
        try:
            rows = context.store.snapshots.read(version)
            rows.validate(full=True)
        except SystemProblem:
            # Also one that a load removed after it was listed.
            missing.update(name for name in version.files if not (directory / name).is_file())
            continue
        except (OSError, pa.ArrowException):
            damaged.append(version.file)
            continue
        published[row.month] = row.pairs_hash
        tables[row.month] = rows
    context.checked["snapshots"] = len(missing) + len(damaged) + len(tables)
    # A load may have published a newer version meanwhile and removed the oldest.
    with database.reading(context.store.engine, EVERYTHING) as fresh:
        listed = snapshot_files(fresh)
    absent = sorted(missing & listed)
    if absent:
        yield Problem(
            "SNAPSHOT_MISSING", "汇总文件缺失，请运行 publish。", len(absent), _named(absent)
        )
    if damaged:
        yield Problem(
            "SNAPSHOT_DAMAGED", "汇总文件无法读取，请运行 publish。", len(damaged), _named(damaged)
        )
    differing = _not_reproduced(context, published, tables)
    if differing:
        yield Problem(
            "SNAPSHOT_DIFFERS",
            "汇总结果与按月度数据重新计算的不同，请运行 publish。",
            len(differing),
            _named(differing),
        )


def _not_reproduced(
    context: _Context, published: dict[str, str], tables: dict[str, pa.Table]
) -> list[str]:
    """Published months whose values another roll-up does not give again."""
    by_pairs: dict[tuple[Pair, ...], list[str]] = {}
    for month, known in published.items():
        named = tables[month].group_by(list(_PAIR)).aggregate([]).to_pylist()
        pairs = tuple(sorted(Pair(*(row[name] for name in _PAIR)) for row in named))
        if set(pairs) <= set(context.pairs) and pairs_hash(context.pairs) == known:
            pairs = context.pairs
        # Made for other layers or by another roll-up: made anew at the next start.
        if pairs and pairs_hash(pairs) == known:
            by_pairs.setdefault(pairs, []).append(month)
    if not by_pairs or not context.facts_readable:
        return []
    tree = read_pieces(context.connection)
    committed = committed_batches(context.connection)
    return sorted(
        month
        for pairs, months in by_pairs.items()
        for month, rows, _ in rolled(context.store, months, pairs, tree, committed, context.tell)
        if not pa.Table.from_batches(rows, VALUES)
        .select(COLUMNS)
        .cast(tables[month].schema)
        .equals(tables[month])
    )


def _audit(context: _Context) -> Iterator[Problem]:
    found = chain.verify(context.store.engine, context.store.keys)
    context.checked["audit"] = found.rows
    if found.broken is not None:
        yield Problem("AUDIT_BROKEN", found.broken.message, 1, (str(found.broken.seq),))


def _erasures(context: _Context) -> Iterator[Problem]:
    """Who was erased is gone: from the register, and from what loads keep for undo."""
    proofs = erasures.history(context.connection, None)
    context.checked["erasures"] = len(proofs)
    forged = [proof.key for proof in proofs if not erasures.is_genuine(context.store.keys, proof)]
    if forged:
        yield Problem("ERASURE_FORGED", "个人数据删除证明被改动过。", len(forged), _short(forged))
    gone = persons.erased(context.connection, {proof.key for proof in proofs})
    held = sorted(persons.stored(context.connection, gone)) if gone else []
    if held:
        yield Problem("ERASED_PRESENT", "已删除的个人数据又出现在名册中。", len(held), _short(held))
    rows = sum(context.store.records.holding(numbers_of(gone)).values()) if gone else 0
    if rows:
        yield Problem("ERASED_PRESENT", "已删除的个人数据还在台账中。", rows)
    kept = select(batch_before.c.removed).where(batch_before.c.table_name == person.name)
    copies = [
        key
        for removed in context.connection.execute(kept).scalars()
        for key in images.unpack(removed)["key"].to_pylist()
        if key in gone
    ]
    if copies:
        yield Problem(
            "ERASED_KEPT", "已删除的个人数据还留在导入的撤销记录中。", len(copies), _short(copies)
        )


def _leftovers(context: _Context) -> Iterator[Problem]:
    """Files and loads nobody will finish. Only when no load is running."""
    directory = context.store.directory
    known = snapshot_files(context.connection)
    found = [
        path.relative_to(directory).as_posix()
        for path in [
            *context.store.scratch.iterdir(),
            *(
                path
                for path in (directory / "snapshots").iterdir()
                if owner(path.name) not in known
            ),
            *directory.glob("restoring-*/"),
            *directory.glob(RESTORE_PENDING),
        ]
    ]
    if found:
        yield Problem(
            "LEFTOVER_FILES", "有未完成的操作留下的临时文件。", len(found), _named(sorted(found))
        )
    unfinished = select(batch.c.id).where(batch.c.state == BatchState.OPEN.value)
    left = list(context.connection.execute(unfinished.order_by(batch.c.id)).scalars())
    if left:
        yield Problem("BATCH_UNFINISHED", "有没有完成的导入批次。", len(left), _named(left))


CHECKS: dict[str, Check] = {
    "数据库": _database,
    "约束": _constraints,
    "引用": _references,
    "月度数据": _facts,
    "汇总文件": _snapshots,
    "审计记录": _audit,
    "个人数据删除": _erasures,
}
"""By what they look at, for people. ``_leftovers`` comes after them, when no load is running."""


def _named(values: list[Any]) -> tuple[str, ...]:
    return tuple(str(value) for value in values[:_SHOWN])


def _short(keys: list[str]) -> tuple[str, ...]:
    """Keys of persons, too short to be told from one another outside."""
    return tuple(key[:8] for key in keys[:_SHOWN])

"""Who did what: searching the audit and verifying that nobody touched it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from dashboard.access import EVERYTHING, Actor, NotAllowed, acts
from dashboard.accounts import service as accounts
from dashboard.store import Store, audit, database
from dashboard.store.audit import Filters, Outcome, Record, Verified
from geodata.errors import DudaoError

KEPT_MONTHS = 6
"""What is promised at least; nothing in the program deletes an audit row at all."""

MOST = 1_000
MOST_TAKEN = 10_000
"""Rows of one file; who needs more narrows the days."""


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody looks for; what is None or empty does not limit.

    Attributes:
        since, until: days, both included.
        actor: part of the name, or the whole id.
        action: id of an action, or its part before the dot.
        place_id: a place and everything beneath it.
        outcome: done, denied or failed.
        text: part of the subject or the details.
    """

    since: date | None = None
    until: date | None = None
    actor: str = ""
    action: str = ""
    place_id: str | None = None
    outcome: Outcome | None = None
    text: str = ""

    def told(self) -> dict[str, str]:
        """What is not empty, for the audit."""
        found = {
            "since": self.since, "until": self.until, "actor": self.actor, "action": self.action,
            "outcome": self.outcome, "text": self.text,
        }  # fmt: skip
        return {name: str(value) for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of the audit, newest first.

    Attributes:
        more: whether older ones match.
    """

    records: tuple[Record, ...]
    more: bool

    @property
    def older(self) -> int | None:
        """What to pass as ``before`` for the next page, None on the last."""
        return self.records[-1].seq if self.more else None


@acts("audit.search")
def search(
    store: Store, actor: Actor, query: Query, before: int | None = None, limit: int = 50
) -> Page:
    """The newest rows that match: all for who may search everywhere, else those whose place lies
    in the actor's scope. The search is audited, a further page of it is not again.

    Raises:
        NotAllowed: audited.
        DudaoError: PLACE_NOT_FOUND, no such place in the scope, audited; LIMIT_INVALID.
    """
    if not 1 <= limit <= MOST:
        raise DudaoError(
            "LIMIT_INVALID", f"条数应在 1 至 {MOST} 之间，收到 {limit}。", "请改小或改大条数。"
        )
    paths: tuple[str, ...] = ()
    with store.unit(actor, "audit.search") as unit:
        if query.place_id is not None:
            # A place of the past counts too; of none at all, `place` says so.
            found = unit.versions(query.place_id) or [unit.place(query.place_id, date.today())]
            paths = tuple({version.path for version in found})
    filters = Filters(
        query.since, query.until, query.actor.strip(), query.action.strip(), paths, query.outcome,
        query.text.strip(),
    )  # fmt: skip
    with database.reading(store.engine, EVERYTHING) as connection:
        records = audit.find(connection, filters, actor.scope("audit.search"), before, limit + 1)
    if before is None:
        store.record(actor, "audit.search", at=query.place_id, details=query.told())
    return Page(tuple(records[:limit]), len(records) > limit)


@acts("audit.search")
def collect(store: Store, actor: Actor, query: Query, format: str) -> tuple[Record, ...]:
    """The newest rows that match, to be taken along as a file: at most ``MOST_TAKEN``; audited.

    Raises:
        as ``search``.
    """
    records: list[Record] = []
    page = search(store, actor, query, limit=MOST)
    records += page.records
    while page.older is not None and len(records) < MOST_TAKEN:
        page = search(store, actor, query, page.older, MOST)
        records += page.records
    store.record(
        actor,
        "audit.search",
        at=query.place_id,
        details={**query.told(), "format": format, "rows": len(records)},
    )
    return tuple(records)


@acts("accounts.view")
def last_sign_ins(store: Store, actor: Actor) -> dict[str, datetime]:
    """When each account the actor may see last signed in, by its id.

    Raises:
        NotAllowed: audited.
    """
    ids = [each.id for each in accounts.list_accounts(store, actor)]
    with database.reading(store.engine, EVERYTHING) as connection:
        return audit.last_done(connection, "session.sign_in", ids)


@acts("store.status")
def backups_made(store: Store, actor: Actor) -> dict[str, Record]:
    """The last backups the audit knows of, by the file's name; for who looks after everything.

    Raises:
        NotAllowed: audited.
    """
    if not actor.scope("store.status").everything:
        store.record(actor, "store.status", outcome=Outcome.DENIED)
        raise NotAllowed("store.status")
    wanted = Filters(action="backup.make", outcome=Outcome.DONE)
    with database.reading(store.engine, EVERYTHING) as connection:
        found = audit.find(connection, wanted, EVERYTHING, limit=MOST)
    return {record.subject: record for record in reversed(found)}


@acts("audit.verify")
def verify(store: Store, actor: Actor, progress: Callable[[int], None] | None = None) -> Verified:
    """Walk the whole audit and name its first broken link; the result is audited itself.

    Raises:
        NotAllowed: audited.
        SystemProblem: KEY_MISSING.
    """
    store.require(actor, "audit.verify")
    found = audit.verify(store.engine, store.keys, progress)
    told: dict[str, str | int] = {"rows": found.rows}
    if found.broken is not None:
        told |= {"broken": found.broken.seq, "kind": found.broken.kind.value}
    store.record(
        actor,
        "audit.verify",
        details=told,
        outcome=Outcome.DONE if found.intact else Outcome.FAILED,
    )
    return found

"""Attack 9: a township head, and one who holds every role there, at every service with others' ids.

Every public service function must have its attack here. Each ends refused, or finds nothing; a
refusal is audited; nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from dashboard.access import ACTIONS, DECLARED, EVERYTHING, SYSTEM, Actor, Role
from dashboard.accounts import audit as audit_service
from dashboard.accounts import service as accounts
from dashboard.accounts.model import Account, Change
from dashboard.coverage import ledgers, registry, service
from dashboard.coverage.ledgers import Period, Query
from dashboard.coverage.model import Part, View
from dashboard.demo import service as demo
from dashboard.intake import desk
from dashboard.intake import service as intake
from dashboard.intake.model import Order
from dashboard.privacy import service as privacy
from dashboard.reports import service as reports
from dashboard.store import Store, backup, database, integrity
from dashboard.store.commit import commit, ensure_snapshots, reroll
from dashboard.store.tables import audit, person
from dashboard.store.undo import undo
from geodata.errors import DudaoError
from geodata.model import Level
from loaders import Request
from tests.conftest import OpenStore
from tests.security.actors import HEAD_A1, holding
from tests.security.services import BEFORE_ANYBODY, functions, takes_actor
from tests.store import records, world
from tests.store.fingerprint import tables
from tests.store.world import PAIRS

MONTH = "2026-10"
THEIRS, THEIR_VILLAGE = "B1", "V06"
EVERY_ROLE_A1 = holding(*((role, "A1") for role in Role), name="every role at A1")
LAYER = next(iter(registry.layers()))
REFUSALS = {
    "NOT_ALLOWED", "PLACE_NOT_FOUND", "PERSON_NOT_FOUND", "ACCOUNT_NOT_FOUND",
    "SESSION_NOT_FOUND", "UPLOAD_NOT_FOUND", "BATCH_NOT_FOUND", "FIGURES_INVALID",
}  # fmt: skip


@dataclass
class World:
    """The county, with things that are B1's."""

    store: Store
    folder: Path
    batch: int
    victim: Account
    session: str
    upload: str
    key: str

    def file(self) -> Path:
        """A file with figures of others' villages."""
        path = self.folder / "figures.csv"
        path.write_text(
            "区划代码,名称,月份,建档立卡人数\n" + f"{THEIR_VILLAGE},村,{MONTH},5\n",
            encoding="utf-8",
        )
        return path


@pytest.fixture
def attacked(open_store: OpenStore, tmp_path: Path) -> Iterator[World]:
    store = open_store()
    commit(store, SYSTEM, world.places_change(), PAIRS)
    own = world.figures_change(world.figures(MONTH))
    commit(store, SYSTEM, own, PAIRS)
    theirs = world.figures(MONTH, base=300, place_ids=("V06", "V07"))
    batch = commit(store, SYSTEM, world.figures_change(theirs), PAIRS).batch
    assert batch is not None
    served = records.invented(5, persons=20)["services"]
    commit(
        store,
        SYSTEM,
        records.change("services", [{**row, "place_id": THEIR_VILLAGE} for row in served]),
        (),
    )
    link = accounts.add_account(
        store, SYSTEM, "victim", "夏垫镇数据员", role=Role.CLERK, place_id=THEIRS
    )
    accounts.set_password(store, link.token, "correct horse battery")
    token = accounts.sign_in(store, "victim", "correct horse battery", "127.0.0.1", "test")
    signed_in = accounts.signed_in(store, token)
    assert signed_in is not None
    text = f"区划代码,名称,月份,建档立卡人数\n{THEIR_VILLAGE},村,{MONTH},5\n".encode()
    upload = desk.receive(store, signed_in.actor, "theirs.csv", BytesIO(text), 10_000)
    with database.writing(store.engine) as connection:
        connection.execute(
            person.insert().values(
                key="ab" * 32, place_id=THEIR_VILLAGE, name="张三丰", id_last4="1234",
                phone="13800138000", dataset="persons", batch=batch,
                held_since="2026-10-01T00:00:00+00:00", version=1,
            )
        )  # fmt: skip
    yield World(
        store, tmp_path, batch, accounts.account(store, SYSTEM, "victim"),
        signed_in.session_id, upload.id, "ab" * 32,
    )  # fmt: skip


Attack = Callable[[World, Actor], Any]


def _reading(read: Callable[[Any], Any]) -> Attack:
    def attack(world: World, actor: Actor) -> Any:
        with world.store.unit(actor) as unit:
            return read(unit)

    return attack


def _outsider(world: World) -> Any:
    with world.store.unit(SYSTEM) as unit:
        return unit.versions(THEIRS)[-1]


def _drawn(world: World, actor: Actor) -> list[str]:
    place = _outsider(world)
    with world.store.unit(actor) as unit:
        shown = service.drawn_place(unit, place, MONTH)
        return [child.id for child in unit.children(shown.id, unit.root().valid_from)]


def _foreign(records: Iterable[audit_service.Record]) -> list[audit_service.Record]:
    """Audit rows of other places, and of none, which only concern who sees everything."""
    return [row for row in records if not (row.path or "").startswith("C/A/A1/")]


def _known(world: World, actor: Actor) -> list[str]:
    found = intake.known(world.store, actor)
    mine = {"A1", "V00", "V01", "V02"}
    leaked = set(found.places["id"]) - mine
    leaked |= set(found.figures([THEIR_VILLAGE], [MONTH], ["persons"])["place_id"])
    leaked |= set(found.shapes([THEIR_VILLAGE]))
    return sorted(leaked)


def _loaded(world: World, actor: Actor, many: bool) -> list[Any]:
    load: Any = intake.load_files if many else intake.load_file
    files: Any = [world.file()] if many else world.file()
    made = load(world.store, actor, files, Request(dataset="figures"), PAIRS)
    reports_made = made if many else [made]
    return [report for report in reports_made if report.committed or report.rows_valid]


def _register(world: World, actor: Actor) -> list[Any]:
    """The register may say that a number is taken, never whose it is."""
    found = privacy.register_of(world.store, actor)(["110101199003070011"])
    return [told for told in found if "张" in str(told)]


def _undo_job(world: World, actor: Actor) -> Any:
    """The attacker's own attempt may be looked at; it was refused."""
    job = desk.undo_job(world.store, actor, world.batch)
    return [] if job is None or getattr(job.error, "code", None) in REFUSALS else [job]


def _ended(job: Any) -> Any:
    while not job.wait(60):
        pass
    if job.error is not None:
        raise job.error
    return job.result


def _public_table(world: World, actor: Actor) -> list[str]:
    """The table holds the public rows it is given and nothing of any place."""
    made = reports.source_table(world.store, actor, [], filtered="", format="csv")
    said = made.body.decode("utf-8-sig")
    return [one for one in (THEIRS, THEIR_VILLAGE) if one in said]


def _ledger(world: World, actor: Actor) -> list[Any]:
    """Others' rows are in no ledger of one's own place, and theirs is not there at all."""
    own = ledgers.read(world.store, actor, Query("services", "A1", MONTH, Period.ALL))
    page = ledgers.read(world.store, actor, Query("services", THEIRS, MONTH, Period.ALL))
    return [*own.rows, *page.rows]


ATTACKS: dict[str, Attack] = {
    "dashboard.accounts.audit.backups_made": lambda w, a: audit_service.backups_made(w.store, a),
    "dashboard.accounts.audit.collect": lambda w, a: _foreign(
        audit_service.collect(w.store, a, audit_service.Query(), "csv")
    ),
    "dashboard.accounts.audit.last_sign_ins": lambda w, a: audit_service.last_sign_ins(w.store, a),
    "dashboard.accounts.audit.search": lambda w, a: _foreign(
        audit_service.search(w.store, a, audit_service.Query()).records
    ),
    "dashboard.accounts.audit.verify": lambda w, a: audit_service.verify(w.store, a),
    "dashboard.accounts.service.account": lambda w, a: accounts.account(w.store, a, "victim"),
    "dashboard.accounts.service.add_account": lambda w, a: accounts.add_account(
        w.store, a, "mallory", "我", role=Role.VIEWER, place_id=THEIRS
    ),
    "dashboard.accounts.service.change_account": lambda w, a: accounts.change_account(
        w.store, a, Change(w.victim, title="改了")
    ),
    "dashboard.accounts.service.change_accounts": lambda w, a: accounts.change_accounts(
        w.store, a, [Change(w.victim, title="改了")]
    ),
    "dashboard.accounts.service.close_account": lambda w, a: accounts.close_account(
        w.store, a, w.victim
    ),
    "dashboard.accounts.service.end_session": lambda w, a: accounts.end_session(
        w.store, a, w.session
    ),
    "dashboard.accounts.service.grant": lambda w, a: accounts.grant(
        w.store, a, w.victim, Role.ADMINISTRATOR, "A1"
    ),
    "dashboard.accounts.service.list_accounts": lambda w, a: accounts.list_accounts(w.store, a),
    "dashboard.accounts.service.reset": lambda w, a: accounts.reset(w.store, a, w.victim.id),
    "dashboard.accounts.service.revoke": lambda w, a: accounts.revoke(
        w.store, a, w.victim, [grant.id for grant in w.victim.grants]
    ),
    "dashboard.accounts.service.sessions": lambda w, a: accounts.sessions(w.store, a),
    "dashboard.coverage.ledgers.overview": _reading(
        lambda u: ledgers.overview(u, THEIRS, MONTH, Period.ALL)
    ),
    "dashboard.coverage.ledgers.read": _ledger,
    "dashboard.coverage.ledgers.sight": _reading(
        lambda u: ledgers.sight(u, "residents", THEIRS, MONTH)
    ),
    "dashboard.coverage.service.doubt_payload": _reading(
        lambda u: service.doubt_payload(u, THEIRS, MONTH, [])
    ),
    "dashboard.coverage.service.drawn_place": _drawn,
    "dashboard.coverage.service.explain": _reading(
        lambda u: service.explain(u, View(THEIRS, LAYER, MONTH))
    ),
    "dashboard.coverage.service.forecast": _reading(
        lambda u: service.forecast(u, View(THEIRS, LAYER, MONTH))
    ),
    "dashboard.coverage.service.forecasts": _reading(
        lambda u: service.forecasts(u, View(THEIRS, LAYER, MONTH), Level.VILLAGE)
    ),
    "dashboard.coverage.service.funnel": _reading(
        lambda u: service.funnel(u, View(THEIRS, LAYER, MONTH), Level.VILLAGE)
    ),
    "dashboard.coverage.service.indicators": _reading(
        lambda u: service.indicators(u, THEIRS, MONTH, [MONTH])
    ),
    "dashboard.coverage.service.profile": _reading(lambda u: service.profile(u, THEIRS, MONTH)),
    "dashboard.coverage.service.quality": _reading(lambda u: service.quality(u, THEIRS, MONTH)),
    "dashboard.coverage.service.ranking": _reading(
        lambda u: service.ranking(u, View(THEIRS, LAYER, MONTH), Level.VILLAGE)
    ),
    "dashboard.coverage.service.scene": _reading(lambda u: service.scene(u, THEIRS, MONTH)),
    "dashboard.coverage.service.sites": _reading(lambda u: service.sites(u, THEIRS, MONTH)),
    "dashboard.coverage.service.table": _reading(
        lambda u: service.table(u, View(THEIRS, LAYER, MONTH))
    ),
    "dashboard.coverage.service.trend": _reading(lambda u: service.trend(u, THEIRS, LAYER)),
    "dashboard.coverage.service.verify": _reading(
        lambda u: service.verify(u, View(THEIRS, "contract_coverage", MONTH))
    ),
    "dashboard.demo.service.prepare_demo": lambda w, a: demo.prepare_demo(w.store, actor=a),
    "dashboard.intake.desk.batches": lambda w, a: desk.batches(w.store, a),
    "dashboard.intake.desk.begin_check": lambda w, a: desk.begin_check(
        w.store, a, w.upload, Request()
    ),
    "dashboard.intake.desk.check": lambda w, a: desk.check(w.store, a, w.upload, Request()),
    "dashboard.intake.desk.confirm": lambda w, a: desk.confirm(
        w.store, a, [Order(w.upload)], PAIRS
    ),
    "dashboard.intake.desk.discard": lambda w, a: desk.discard(w.store, a, w.upload),
    "dashboard.intake.desk.issue_list": lambda w, a: desk.issue_list(w.store, a, w.upload, "csv"),
    "dashboard.intake.desk.job_of": lambda w, a: desk.job_of(w.store, a, w.upload),
    "dashboard.intake.desk.receive": lambda w, a: _loaded(w, a, many=False),
    "dashboard.intake.desk.rejected_rows": lambda w, a: desk.rejected_rows(w.store, a, w.upload),
    "dashboard.intake.desk.stop": lambda w, a: desk.stop(w.store, a, w.upload),
    "dashboard.intake.desk.undo": lambda w, a: _ended(desk.undo(w.store, a, w.batch, PAIRS)),
    "dashboard.intake.desk.undo_job": _undo_job,
    "dashboard.intake.desk.upload": lambda w, a: desk.upload(w.store, a, w.upload),
    "dashboard.intake.desk.uploads": lambda w, a: desk.uploads(w.store, a),
    "dashboard.intake.service.known": _known,
    "dashboard.intake.service.load_file": lambda w, a: _loaded(w, a, many=False),
    "dashboard.intake.service.load_files": lambda w, a: _loaded(w, a, many=True),
    "dashboard.privacy.service.admit": lambda w, a: privacy.admit(w.store, a, w.key, "核对身份"),
    "dashboard.privacy.service.erase": lambda w, a: privacy.erase(
        w.store, a, w.key, "本人要求删除", {}
    ),
    "dashboard.privacy.service.expire": lambda w, a: privacy.expire(w.store, a, {}),
    "dashboard.privacy.service.persons": lambda w, a: privacy.persons(w.store, a, THEIRS),
    "dashboard.privacy.service.register_of": lambda w, a: (
        [told for told in privacy.register_of(w.store, a)(["110101199003070011"]) if told[1]]
        and _register(w, a)
    ),
    "dashboard.privacy.service.reveal": lambda w, a: privacy.reveal(
        w.store, a, w.key, "入户核对身份"
    ),
    "dashboard.privacy.service.trace": lambda w, a: privacy.trace(w.store, a, w.key),
    "dashboard.reports.service.children_table": lambda w, a: reports.children_table(
        w.store, a, View(THEIRS, LAYER, MONTH), leaving=False, format="csv"
    ),
    "dashboard.reports.service.comparison_table": lambda w, a: reports.comparison_table(
        w.store,
        a,
        View(THEIRS, LAYER, MONTH),
        Level.VILLAGE,
        Part.RANK,
        leaving=False,
        format="csv",
    ),
    "dashboard.reports.service.indicator_table": lambda w, a: reports.indicator_table(
        w.store, a, THEIRS, MONTH, leaving=False, format="csv"
    ),
    "dashboard.reports.service.ledger_table": lambda w, a: reports.ledger_table(
        w.store, a, Query("events", THEIRS, MONTH), format="csv"
    ),
    "dashboard.reports.service.source_table": _public_table,
    "dashboard.store.backup.backup": lambda w, a: backup.backup(w.store, a, w.folder / "b.tar"),
    "dashboard.store.commit.commit": lambda w, a: commit(
        w.store, a, world.figures_change(world.figures(MONTH, place_ids=("V06",))), PAIRS
    ),
    "dashboard.store.commit.ensure_snapshots": lambda w, a: ensure_snapshots(w.store, a, PAIRS),
    "dashboard.store.commit.reroll": lambda w, a: reroll(w.store, a, MONTH, PAIRS),
    "dashboard.store.integrity.check": lambda w, a: integrity.check(w.store, a),
    "dashboard.store.undo.undo": lambda w, a: undo(w.store, a, w.batch, PAIRS),
}


def test_every_public_service_function_is_declared_and_told_who_asks() -> None:
    found = functions()
    assert len(found) > 50
    undeclared = [name for name in found if name not in DECLARED and name not in BEFORE_ANYBODY]
    assert undeclared == []
    unasked = [
        name
        for name, function in found.items()
        if not takes_actor(function) and name not in BEFORE_ANYBODY
    ]
    assert unasked == []
    assert set(BEFORE_ANYBODY) <= set(found), "rows of functions that are gone"


def test_every_declared_service_function_is_attacked() -> None:
    missing = set(functions()) - set(BEFORE_ANYBODY) - set(ATTACKS)
    assert missing == set()
    assert set(ATTACKS) <= set(functions()), "attacks on functions that are gone"


def test_every_action_is_somewhere() -> None:
    used = set(DECLARED.values()) | {
        "store.status", "data.load_places", "gate.refused", "records.persons",
        "session.sign_out", "session.sign_in", "session.password",
    }  # fmt: skip
    assert set(ACTIONS) - used == set()


def denials(store: Store) -> int:
    with database.reading(store.engine, EVERYTHING) as connection:
        counted = select(func.count()).where(audit.c.outcome == "denied")
        return int(connection.execute(counted).scalar_one())


@pytest.mark.parametrize("actor", [HEAD_A1, EVERY_ROLE_A1], ids=lambda actor: actor.name)
def test_nobody_reaches_another_township(attacked: World, actor: Actor) -> None:
    before = tables(attacked.store, without=("audit", "session", "batch"))
    faults = []
    for name, attack in ATTACKS.items():
        known = denials(attacked.store)
        try:
            found = attack(attacked, actor)
        except DudaoError as error:
            if error.code not in REFUSALS:
                faults.append((name, error.code))
            elif denials(attacked.store) == known and error.code != "FIGURES_INVALID":
                faults.append((name, "the refusal is not audited"))
            continue
        if found:
            faults.append((name, found))
    assert not faults, "\n".join(map(str, faults))
    assert tables(attacked.store, without=("audit", "session", "batch")) == before

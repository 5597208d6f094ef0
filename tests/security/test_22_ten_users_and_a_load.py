"""Attack 22: ten people read, one changes accounts, and loads follow one another, five minutes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from dashboard.access import SYSTEM, Role
from dashboard.accounts import service as accounts
from dashboard.store import Store
from tests.security.crowd import LOCKED, Record, Views, complaints, together, watch
from tests.security.served import OPERATOR, Served

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("DUDAO_TEST_22_SECONDS", "300"))
USERS = 10
THINK_S = (5.0, 15.0)
READ_S = 0.3
WRITE_S = 2.0


def _file(store: Store, path: Path, by: int) -> Path:
    """The registered persons of every village in the latest month, each raised."""
    with store.unit(SYSTEM) as unit:
        month = unit.months()[-1]
        rows = unit.figures(None, [month], ["registered_persons"])
    rows = rows[rows["source"] == "reported"].assign(registered_persons=lambda f: f["value"] + by)
    rows[["place_id", "month", "registered_persons"]].to_csv(path, index=False)
    return path


def _load_until(until: float, store: Store, scratch: Path, record: Record) -> None:
    for number in range(10_000):
        if time.monotonic() > until:
            return
        file = _file(store, scratch / f"figures-{number}.csv", number + 1)
        command = [sys.executable, "-m", "dashboard", "load", str(file), "--json"]
        with record.timed("load"):
            done = subprocess.run(
                [*command, "--data", str(store.directory)], cwd=ROOT, capture_output=True, text=True
            )
            said = done.stdout + done.stderr
            assert done.returncode == 0, said[-2000:]
            assert '"committed": true' in said
            assert not any(word in said for word in LOCKED), said


def _write_until(until: float, served: Served, record: Record) -> None:
    login = served.new_account("viewer")
    while time.monotonic() < until:
        seen = accounts.account(served.store, OPERATOR, login)
        with record.timed("write"):
            accounts.grant(served.store, OPERATOR, seen, Role.REVIEWER, None)
        seen = accounts.account(served.store, OPERATOR, login)
        with record.timed("write"):
            extra = [grant.id for grant in seen.grants if grant.role is Role.REVIEWER]
            accounts.revoke(served.store, OPERATOR, seen, extra)
        with record.timed("sign in"):
            served.stranger().sign_in(login, served.password)
        time.sleep(1.0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nobody_meets_a_lock_and_nobody_waits(product: Served, tmp_path: Path) -> None:
    views, record = Views.of(product.store), Record()
    clients = [product.sign_in("viewer") for _ in range(USERS)]
    warm = Record()
    brief = time.monotonic() + 10
    together(
        [
            partial(watch, client, views, warm, brief, lambda _: 1.0, random.Random(number))
            for number, client in enumerate(clients)
        ]
    )
    assert warm.problems == []
    until = time.monotonic() + SECONDS

    def think(chance: random.Random) -> float:
        return chance.uniform(*THINK_S)

    together(
        [
            *(
                partial(watch, client, views, record, until, think, random.Random(number))
                for number, client in enumerate(clients)
            ),
            partial(_load_until, until, product.store, tmp_path, record),
            partial(_write_until, until, product, record),
        ]
    )
    print(record.told())
    assert record.problems == []
    assert complaints(product.log.read_text(errors="replace")) == []
    assert len(record.times["load"]) >= 2
    assert record.p95("page", "layer") < READ_S
    assert record.p95("layer") < READ_S
    assert record.p95("write") < WRITE_S
    with product.store.unit(SYSTEM) as unit:
        loaded = sum(found.file.startswith("figures-") for found in unit.batches(10_000))
    assert loaded == len(record.times["load"])

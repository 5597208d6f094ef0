"""Attack 27: a hundred people sign in at once, then work side by side."""

from __future__ import annotations

import os
import random
import time
from functools import partial

import pytest

from tests.security.client import Client
from tests.security.crowd import Record, Views, complaints, together, watch
from tests.security.served import Served

PEOPLE = 100
SECONDS = float(os.environ.get("DUDAO_TEST_27_SECONDS", "150"))
THINK_S = 15.0
BURST_S = 20.0
PAGE_S = 1.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_people(product: Served) -> None:
    logins = [product.new_account("viewer") for _ in range(PEOPLE)]
    views, record = Views.of(product.store), Record()
    clients: list[Client] = []

    def sign_in(login: str) -> None:
        with record.timed("sign in"):
            clients.append(product.stranger().sign_in(login, product.password))

    began = time.monotonic()
    together([partial(sign_in, login) for login in logins])
    burst = time.monotonic() - began
    assert (record.problems, len(clients)) == ([], PEOPLE)
    until = time.monotonic() + SECONDS

    def think(chance: random.Random) -> float:
        return chance.uniform(0.5 * THINK_S, 1.5 * THINK_S)

    def come_and_work(number: int, client: Client) -> None:
        chance = random.Random(number)
        time.sleep(chance.uniform(0.0, THINK_S))
        watch(client, views, record, until, think, chance)

    together([partial(come_and_work, *each) for each in enumerate(clients)])
    print(f"burst {burst:.1f} s\n{record.told()}")
    assert record.problems == []
    assert complaints(product.log.read_text(errors="replace")) == []
    assert len(record.times["page"]) > PEOPLE * SECONDS / (2 * THINK_S)
    assert burst < BURST_S
    assert record.p95("page", "layer") < PAGE_S
    assert record.p95("page") < PAGE_S

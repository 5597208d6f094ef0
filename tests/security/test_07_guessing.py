"""Attack 7: guessing passwords, and guessing who has an account."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest
from sqlalchemy import delete

from dashboard.access import Role, operator
from dashboard.accounts import service as accounts
from dashboard.store import Store
from dashboard.store.tables import audit, sign_in_attempt
from geodata.errors import DudaoError
from tests.browser.serving import serving
from tests.security.client import Answer, Client
from tests.security.served import Served

OPERATOR = operator("tests")
PASSWORD = "巡查-7-straw-Kettle"
TIMED = 15


@pytest.fixture(autouse=True)
def forgotten(small: Served) -> None:
    """Every test comes from an address that has not failed yet."""
    with small.store.engine.begin() as connection:
        connection.execute(delete(sign_in_attempt))


def guess(served: Served, login: str, password: str = "not the password") -> Answer:
    return served.stranger().post("/login", {"login": login, "password": password})


@pytest.mark.parametrize("known", [True, False])
def test_the_sixth_try_is_not_judged(small: Served, known: bool) -> None:
    login = small.new_account("viewer") if known else "nobody-here"
    answers = [guess(small, login) for _ in range(6)]
    assert [answer.status for answer in answers] == [401] * 5 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 15 * 60 + 1
    assert "SIGN_IN_THROTTLED" in answers[-1].body.decode()
    if known:
        # The right one neither, and from wherever it comes: or guessing would go on unseen.
        assert guess(small, login, small.password).status == 429


def test_nothing_tells_whether_there_is_such_an_account(small: Served) -> None:
    login = small.new_account("viewer")
    known, unknown = guess(small, login), guess(small, "nobody-there")
    same = [
        re.sub(rb'value="(nobody-there|%b)"' % login.encode(), b"", answer.body)
        for answer in (known, unknown)
    ]
    assert same[0] == same[1]
    assert known.status == unknown.status
    assert {name: value for name, value in known.headers.items() if name not in _VARY} == {
        name: value for name, value in unknown.headers.items() if name not in _VARY
    }


_VARY = {"date", "content-length"}


def test_the_answer_keeps_the_name_and_drops_the_password(small: Served) -> None:
    answer = guess(small, 'x"><script>alert(1)</script>', "secret-typed-here")
    page = answer.body.decode()
    assert "secret-typed-here" not in page
    assert "<script" not in page
    assert "x&#34;&gt;&lt;script&gt;" in page
    assert "SIGN_IN_FAILED" in page


def test_thirty_guesses_from_one_address_end_it_for_every_login(small: Served) -> None:
    login = small.new_account("viewer")
    answers = [guess(small, f"login-{number}") for number in range(31)]
    assert [answer.status for answer in answers] == [401] * 30 + [429]
    assert guess(small, login, small.password).status == 429


def test_guesses_at_once_are_counted_one_by_one(small: Served) -> None:
    login = small.new_account("viewer")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: guess(small, login).status, range(16)))
    assert sorted(answers) == [401] * 5 + [429] * 11


def test_a_known_and_an_unknown_login_take_as_long(tmp_path: Path) -> None:
    """Medians within 20%: one try of each in turn, so that what else runs disturbs both alike."""
    store = Store.open(tmp_path)
    link = accounts.add_account(store, OPERATOR, "known", "某人", role=Role.VIEWER)
    accounts.set_password(store, link.token, PASSWORD)
    taken: dict[str, list[float]] = {"known": [], "unknown": []}
    for _ in range(TIMED):
        for login, times in taken.items():
            with store.engine.begin() as connection:
                connection.execute(delete(sign_in_attempt))
            begun = perf_counter()
            with pytest.raises(DudaoError):
                accounts.sign_in(store, login, "not the password", "192.0.2.7", "")
            times.append(perf_counter() - begun)
    store.close()
    known, unknown = median(taken["known"]), median(taken["unknown"])
    assert abs(known - unknown) <= 0.2 * max(known, unknown), (known, unknown)


@pytest.mark.slow
def test_a_burst_of_a_hundred_sign_ins_ends_in_time(tmp_path: Path) -> None:
    """A hundred people at once from one address: nobody is throttled, all are in within 20 s."""
    store = Store.open(tmp_path / "data")
    for number in range(100):
        link = accounts.add_account(store, OPERATOR, f"user{number}", "某人", role=Role.VIEWER)
        accounts.set_password(store, link.token, PASSWORD)
    with serving(tmp_path / "data", tmp_path) as address:
        Client(address).sign_in("user0", PASSWORD)

        def enter(number: int) -> int:
            form = {"login": f"user{number}", "password": PASSWORD}
            return Client(address).post("/login", form).status

        begun = perf_counter()
        with ThreadPoolExecutor(100) as pool:
            statuses = list(pool.map(enter, range(100)))
        took = perf_counter() - begun
    store.close()
    assert statuses == [303] * 100
    assert took < 20, took


def test_guesses_are_audited_without_what_was_typed(small: Served) -> None:
    login = small.new_account("viewer")
    guess(small, login, "typed-in-the-wrong-field")
    guess(small, "my-password-in-the-name-field")
    with small.store.engine.connect() as connection:
        rows = connection.execute(
            audit.select()
            .where(audit.c.action == "session.sign_in", audit.c.outcome == "denied")
            .order_by(audit.c.seq.desc())
            .limit(2)
        ).all()
    assert [row.subject for row in rows] == ["", accounts.account(small.store, OPERATOR, login).id]
    assert "typed-in" not in str(rows) and "my-password" not in str(rows)

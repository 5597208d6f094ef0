"""Sign-ins: what they rest on, when they end, and what is told of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event, func, select, update

from dashboard.access import Role
from dashboard.accounts import service, sessions
from dashboard.accounts.model import SignedIn, Throttled
from dashboard.store import Store, accounts
from dashboard.store.tables import account, audit, session, sign_in_attempt
from geodata.errors import DudaoError
from tests.accounts.conftest import PASSWORD, enrol

OFFICE = "192.0.2.7"


def token_of(store: Store, login: str = "wang") -> str:
    return service.sign_in(store, login, PASSWORD, OFFICE, "Firefox")


def wrong(store: Store, login: str = "wang", address: str = OFFICE, password: str = "x") -> str:
    """The code a wrong try ends with."""
    with pytest.raises(DudaoError) as caught:
        service.sign_in(store, login, password, address, "")
    return caught.value.code


def shift(store: Store, **columns: float) -> None:
    """Move the times of every session."""
    with store.engine.begin() as connection:
        connection.execute(
            update(session).values({name: session.c[name] + by for name, by in columns.items()})
        )


def looked_up(store: Store, token: str) -> SignedIn:
    found = service.signed_in(store, token)
    assert found is not None
    return found


def statements(store: Store, function: Callable[[], object]) -> int:
    """How many statements a call sends to the database inside its transactions."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        function()
    finally:
        event.remove(store.engine, "before_cursor_execute", note)
    return len(seen)


def test_every_sign_in_has_a_new_token_of_32_bytes(either: Store) -> None:
    enrol(either, "wang", Role.CLERK, "A1")
    one, other = token_of(either), token_of(either)
    assert one != other
    assert len(one) >= 43
    assert looked_up(either, one).session_id != looked_up(either, other).session_id
    assert service.signed_in(either, one[:-1]) is None
    assert service.signed_in(either, "") is None
    assert service.signed_in(either, looked_up(either, one).session_id) is None


def test_looking_a_session_up_is_one_query(county: Store) -> None:
    enrol(county, "wang", Role.CLERK, "A1")
    token = token_of(county)
    session_id = looked_up(county, token).session_id
    assert statements(county, lambda: service.signed_in(county, token)) == 1
    assert statements(county, lambda: service.session(county, session_id)) == 1
    assert statements(county, lambda: service.session_alive(county, session_id)) == 1


def test_an_unused_session_ends_and_asking_is_no_use(either: Store) -> None:
    enrol(either, "wang")
    token = token_of(either)
    session_id = looked_up(either, token).session_id
    shift(either, last_seen=-3_500)
    assert service.session_alive(either, session_id)
    shift(either, last_seen=-200)
    assert not service.session_alive(either, session_id)
    assert service.signed_in(either, token) is None


def test_use_keeps_a_session_and_is_noted_once_a_minute(county: Store) -> None:
    enrol(county, "wang")
    token = token_of(county)
    assert statements(county, lambda: looked_up(county, token)) <= 2
    shift(county, last_seen=-3_500)
    looked_up(county, token)
    shift(county, last_seen=-3_500)
    # This process has just touched it; another one touches it now.
    sessions._memories.clear()
    looked_up(county, token)
    shift(county, last_seen=-200)
    looked_up(county, token)


def test_a_session_ends_however_much_it_is_used(county: Store) -> None:
    enrol(county, "wang")
    token = token_of(county)
    shift(county, expires=-12 * 3600 - 1)
    assert service.signed_in(county, token) is None


def test_the_settings_decide_how_long(county: Store) -> None:
    enrol(county, "wang")
    county.set_meta(accounts.SESSION_IDLE_MINUTES, "5")
    county.set_meta(accounts.SESSION_HOURS, "1")
    token = token_of(county)
    shift(county, last_seen=-299)
    looked_up(county, token)
    sessions._memories.clear()
    shift(county, last_seen=-302)
    assert service.signed_in(county, token) is None
    with county.engine.connect() as connection:
        lasts = connection.execute(select(func.min(session.c.expires - session.c.created)))
        assert lasts.scalar() == 3_600


def test_sign_out_ends_one_session_and_is_audited_once(county: Store) -> None:
    enrol(county, "wang")
    one, other = token_of(county), token_of(county)
    session_id = looked_up(county, one).session_id
    service.sign_out(county, session_id)
    service.sign_out(county, session_id)
    service.sign_out(county, "no such session")
    assert service.signed_in(county, one) is None
    looked_up(county, other)
    with county.engine.connect() as connection:
        rows = connection.execute(select(audit).where(audit.c.action == "session.sign_out")).all()
    assert [json.loads(row.details)["session"] for row in rows] == [session_id]


def test_a_moved_place_changes_what_a_session_may_at_once(county: Store) -> None:
    enrol(county, "wang", Role.CLERK, "A1")
    token = token_of(county)
    before = looked_up(county, token).actor
    assert looked_up(county, token).actor is before
    with county.engine.connect() as connection:
        version = accounts.session_row(connection, token_hash=sessions.hash_of(token))
    assert version is not None
    county.set_meta("places_version", str(int(version.places_version) + 1))
    assert looked_up(county, token).actor is not before


def test_five_wrong_tries_and_the_sixth_is_not_judged(either: Store) -> None:
    enrol(either, "wang")
    assert [wrong(either) for _ in range(5)] == ["SIGN_IN_FAILED"] * 5
    with pytest.raises(Throttled) as caught:
        service.sign_in(either, "wang", PASSWORD, "198.51.100.9", "")
    assert 14 * 60 < caught.value.retry_after <= 15 * 60 + 1
    with either.engine.begin() as connection:
        connection.execute(update(sign_in_attempt).values(at=sign_in_attempt.c.at - 15 * 60))
    assert token_of(either)


def test_an_unknown_login_is_throttled_alike(county: Store) -> None:
    enrol(county, "wang")
    codes = {login: [wrong(county, login) for _ in range(6)] for login in ("wang", "nobody")}
    assert codes["wang"] == codes["nobody"] == ["SIGN_IN_FAILED"] * 5 + ["SIGN_IN_THROTTLED"]


def test_spelling_a_login_otherwise_gives_no_further_tries(county: Store) -> None:
    enrol(county, "wang")
    spellings = ["wang", "WANG", " wang", "ｗang", "Wang "]
    assert {wrong(county, spelling) for spelling in spellings} == {"SIGN_IN_FAILED"}
    assert wrong(county) == "SIGN_IN_THROTTLED"


def test_success_clears_the_account_and_not_the_address(county: Store) -> None:
    enrol(county, "wang")
    for _ in range(4):
        wrong(county)
    token_of(county)
    assert [wrong(county) for _ in range(5)] == ["SIGN_IN_FAILED"] * 5
    with county.engine.connect() as connection:
        assert len(accounts.failures(connection, 0, address=OFFICE)) == 5


def test_an_address_has_thirty_tries_over_all_logins(county: Store) -> None:
    enrol(county, "wang")
    with county.engine.begin() as connection:
        now = time.time()
        for number in range(30):
            accounts.note_attempt(connection, f"{number:064x}", OFFICE, now, False)
    with pytest.raises(Throttled):
        token_of(county)
    assert service.sign_in(county, "wang", PASSWORD, "198.51.100.9", "")


def test_tries_at_once_cannot_outrun_the_count(county: Store) -> None:
    enrol(county, "wang")
    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda _: wrong(county), range(20)))
    assert codes.count("SIGN_IN_FAILED") == 5
    assert codes.count("SIGN_IN_THROTTLED") == 15


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert sessions.network("2001:db8:1:2:3:4:5:6") == sessions.network("2001:db8:1:2::9")
    assert sessions.network("2001:db8:1:3::9") != sessions.network("2001:db8:1:2::9")
    assert sessions.network("::ffff:192.0.2.7") == "192.0.2.7"
    assert sessions.network("192.0.2.7") != sessions.network("192.0.2.8")
    assert sessions.network("no address") == "no address"


def test_nothing_typed_is_kept(county: Store) -> None:
    enrol(county, "wang")
    wrong(county, "我的口令误填在这里", password="wang")
    wrong(county, "wang", password="错的口令也不能留下")
    with county.engine.connect() as connection:
        rows = connection.execute(
            select(audit).where(audit.c.action == "session.sign_in", audit.c.outcome == "denied")
        ).all()
        tries = str(connection.execute(select(sign_in_attempt)).all())
    assert [row.actor for row in rows] == ["visitor", "visitor"]
    assert [bool(row.subject) for row in rows] == [False, True]
    assert [word for word in ("误填", "错的口令") if word in tries + str(rows)] == []


def test_a_weak_hash_is_renewed_by_signing_in(county: Store) -> None:
    enrol(county, "wang")
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with county.engine.begin() as connection:
        connection.execute(update(account).values(password_hash=weak))
    before = token_of(county)
    with county.engine.connect() as connection:
        assert "m=19456,t=2,p=1" in str(
            connection.execute(select(account.c.password_hash)).scalar()
        )
    looked_up(county, before)
    assert token_of(county)


def test_old_tries_and_old_sessions_are_forgotten(county: Store) -> None:
    enrol(county, "wang")
    wrong(county, "other")
    with county.engine.begin() as connection:
        connection.execute(update(sign_in_attempt).values(at=sign_in_attempt.c.at - 25 * 3600))
    token_of(county)
    shift(county, expires=-40 * 24 * 3600)
    token_of(county)
    with county.engine.connect() as connection:
        old = select(func.count()).where(sign_in_attempt.c.succeeded.is_(False))
        assert connection.execute(old).scalar() == 0
        assert connection.execute(select(func.count()).select_from(session)).scalar() == 1

"""A server under attack, and the accounts of those who attack it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from sqlalchemy import select

from dashboard.access import Role, operator
from dashboard.accounts import service as accounts
from dashboard.store import Store
from dashboard.store.tables import audit
from tests.security.client import COOKIE, Client

OPERATOR = operator("tests")
PASSWORD = "巡查-7-straw-Kettle"

_numbers = count(1)


@dataclass
class Served:
    """One server process, with its data directory opened here too, as another process.

    Attributes:
        log: what the process wrote.
        effects_file: what ``small_app`` wrote down.
        password: of every account made here.
    """

    address: str
    store: Store
    log: Path
    effects_file: Path
    password: str = PASSWORD
    _logins: dict[str, str] = field(default_factory=dict)
    _clients: dict[str, Client] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.store.directory

    def stranger(self) -> Client:
        """Somebody who is not signed in."""
        return Client(self.address)

    def new_account(self, role: str) -> str:
        """The login of a new account with a role everywhere."""
        login = f"{role}{next(_numbers)}"
        link = accounts.add_account(
            self.store, OPERATOR, login, f"测试账号 {login}", role=Role(role)
        )
        accounts.set_password(self.store, link.token, self.password)
        return login

    def login(self, role: str) -> str:
        """The login of the account of a role."""
        if role not in self._logins:
            self._logins[role] = self.new_account(role)
        return self._logins[role]

    def form(self, role: str) -> dict[str, str]:
        """What the sign-in form sends."""
        return {"login": self.login(role), "password": self.password}

    def sign_in(self, role: str) -> Client:
        """A new sign-in of the role's account."""
        return self.stranger().sign_in(**self.form(role))

    def as_administrator(self) -> Client:
        """The administrator, signed in once."""
        return self._as("administrator")

    def as_viewer(self) -> Client:
        """A viewer, signed in once."""
        return self._as("viewer")

    def _as(self, role: str) -> Client:
        if role not in self._clients:
            self._clients[role] = self.sign_in(role)
        return self._clients[role]

    def session_of(self, role: str) -> str:
        """The session id of the role's client."""
        return self.session_id(self._as(role))

    def session_id(self, client: Client) -> str:
        """The session id of a client."""
        found = accounts.signed_in(self.store, client.cookies[COOKIE])
        assert found is not None
        return found.session_id

    def actor_of(self, role: str) -> str:
        """The account id of the role's client."""
        return accounts.account(self.store, OPERATOR, self.login(role)).id

    def refusals(self) -> Counter[str]:
        """What the gate dropped, from the audit."""
        with self.store.engine.connect() as connection:
            rows = connection.execute(
                select(audit.c.subject).where(audit.c.action == "gate.refused")
            )
            return Counter(row.subject for row in rows)

    def effects(self) -> Counter[str]:
        """What ran on ``small_app``, by kind and actor."""
        return Counter(self.effects_file.read_text(encoding="utf-8").splitlines())

    def end(self, ending: str, login: str, client: Client) -> None:
        """End the sign-in of a client, by the name of the way."""
        _ENDINGS[ending](self, login, client)


def _sign_out(served: Served, login: str, client: Client) -> None:
    tab = Client(client.address, dict(client.cookies))
    assert tab.request("POST", "/logout", {"Origin": tab.address}, b"").status == 303


def _demote(served: Served, login: str, client: Client) -> None:
    seen = accounts.account(served.store, OPERATOR, login)
    accounts.revoke(served.store, OPERATOR, seen, [each.id for each in seen.grants])


def _close(served: Served, login: str, client: Client) -> None:
    accounts.close_account(served.store, OPERATOR, accounts.account(served.store, OPERATOR, login))


def _end(served: Served, login: str, client: Client) -> None:
    accounts.end_session(served.store, OPERATOR, served.session_id(client))


_ENDINGS: dict[str, Callable[[Served, str, Client], None]] = {
    "signed out in another tab": _sign_out,
    "demoted by another process": _demote,
    "account closed by another process": _close,
    "ended by an administrator elsewhere": _end,
}
ENDINGS = tuple(_ENDINGS)

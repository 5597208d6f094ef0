"""All public service functions: found, not listed, so that a new one cannot be forgotten."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import dashboard

FURTHER = (
    "dashboard.accounts.audit",
    "dashboard.accounts.sessions",
    "dashboard.coverage.ledgers",
    "dashboard.intake.desk",
    "dashboard.store.backup",
    "dashboard.store.commit",
    "dashboard.store.integrity",
    "dashboard.store.undo",
)
"""Service modules that are not called ``service``."""

OPENS = {"Store", "Unit"}

BEFORE_ANYBODY = {
    "dashboard.accounts.service.change_password": "acts as the sign-in it is handed",
    "dashboard.accounts.service.demonstration_accounts": "what the sign-in page offers",
    "dashboard.accounts.service.ensure_demonstration": "the program itself, at start",
    "dashboard.accounts.service.first_link": "the program itself, at first start",
    "dashboard.accounts.service.link_login": "who holds the link",
    "dashboard.accounts.service.set_password": "who holds the link",
    "dashboard.accounts.service.sign_in_identity": "whom the identity provider vouches for",
    "dashboard.accounts.sessions.actor_of_session": "looks up who asks",
    "dashboard.accounts.sessions.open_session": "opens the session of an account just proved",
    "dashboard.accounts.sessions.session": "looks up who asks",
    "dashboard.accounts.sessions.session_alive": "looks up who asks",
    "dashboard.accounts.sessions.sign_in": "who knows the password",
    "dashboard.accounts.sessions.sign_in_demonstration": "anybody, on invented data only",
    "dashboard.accounts.sessions.sign_out": "ends the session it is handed",
    "dashboard.accounts.sessions.signed_in": "looks up who asks",
    "dashboard.accounts.sessions.prove": "who knows the password",
    "dashboard.intake.desk.sweep": "housekeeping: removes what has expired, tells nothing",
}
"""Functions that take a store and no actor, and who stands behind them instead."""


def modules() -> list[str]:
    """Names of the service modules."""
    walked = pkgutil.walk_packages(dashboard.__path__, "dashboard.")
    return sorted(
        {found.name for found in walked if found.name.endswith(".service")} | set(FURTHER)
    )


def functions() -> dict[str, Callable[..., Any]]:
    """Public functions of the service modules that open the store or read from a unit."""
    found = {}
    for name in modules():
        module = importlib.import_module(name)
        for plain, function in inspect.getmembers(module, inspect.isfunction):
            if plain.startswith("_") or function.__module__ != name:
                continue
            kinds = [str(p.annotation) for p in inspect.signature(function).parameters.values()]
            if OPENS & set(kinds):
                found[f"{name}.{plain}"] = function
    return found


def takes_actor(function: Callable[..., Any]) -> bool:
    """Whether a function is told who asks: as an actor, or through the actor's unit."""
    kinds = {str(p.annotation) for p in inspect.signature(function).parameters.values()}
    return bool(kinds & {"Actor", "Unit"})

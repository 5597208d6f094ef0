"""The demonstration's accounts: one for each role, at a place that suits it, clearly marked."""

from __future__ import annotations

from datetime import date

from dashboard.access import SYSTEM, Role, acts
from dashboard.accounts.model import Demonstrated
from dashboard.accounts.service import ensure_demonstration
from dashboard.store import Store
from dashboard.store.unit import DEMONSTRATION, Unit
from geodata.model import Level, Place

SHOWN_COUNTY = "131025000000"
"""大城县, shown where the demonstration's root holds it."""

LEVELS = {
    Role.ADMINISTRATOR: None,
    Role.COUNTY_LEADER: Level.COUNTY,
    Role.REVIEWER: Level.COUNTY,
    Role.INSPECTION_TEAM: Level.CITY,
    Role.TOWNSHIP_HEAD: Level.TOWNSHIP,
    Role.CLERK: Level.COUNTY,
    Role.VIEWER: Level.TOWNSHIP,
}
"""The level of the place each role is shown at; None: everywhere."""


@acts("data.demonstrate")
def ensure(store: Store) -> None:
    """Make the demonstration's accounts that are missing; nothing in a directory of real data.

    Raises:
        DudaoError: as ``ensure_demonstration``.
    """
    with store.unit(SYSTEM) as unit:
        if unit.meta(DEMONSTRATION) != "1" or unit.is_empty():
            return
        wanted = _wanted(unit)
    ensure_demonstration(store, wanted)


def _wanted(unit: Unit) -> list[Demonstrated]:
    line = _line(unit)
    found = []
    for role, level in LEVELS.items():
        place = None
        if level is not None:
            above = [each.id for each in line if each.level <= level]
            place = above[-1] if above else line[0].id
        found.append(Demonstrated(login_of(role), f"演示·{role.title}", role, place))
    return found


def login_of(role: Role) -> str:
    """The login name of a role's demonstration account."""
    return f"demo-{role.value.replace('_', '-')}"


def _line(unit: Unit) -> list[Place]:
    """The demonstration's root, one county under it and one township under that."""
    line, today = [unit.root()], date.today()
    while line[-1].level < Level.TOWNSHIP:
        below = unit.children(line[-1].id, today)
        if not below:
            break
        line.append(next((each for each in below if each.id == SHOWN_COUNTY), below[0]))
    return line

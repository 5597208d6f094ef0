"""People of the small county of ``tests.store.world``, for attacks on each other's places."""

from __future__ import annotations

from dashboard.access import Actor, Grant, Role

PATHS = {
    "C": "C/",
    "A": "C/A/",
    "B": "C/B/",
    "A1": "C/A/A1/",
    "A2": "C/A/A2/",
    "B1": "C/B/B1/",
}


def holding(*held: tuple[Role, str | None], name: str = "") -> Actor:
    """An actor holding roles at places of that county; None: everywhere."""
    label = name or "+".join(f"{role.value}@{place_id}" for role, place_id in held)
    grants = tuple(
        Grant(role, place_id, (PATHS[place_id],) if place_id else ()) for role, place_id in held
    )
    return Actor(f"account:{label}", label, grants=grants)


HEAD_A1 = holding((Role.TOWNSHIP_HEAD, "A1"))
HEAD_B1 = holding((Role.TOWNSHIP_HEAD, "B1"))
CLERK_A = holding((Role.CLERK, "A"))
LEADER_A = holding((Role.COUNTY_LEADER, "A"))
ADMINISTRATOR = holding((Role.ADMINISTRATOR, None))
NOBODY = holding()

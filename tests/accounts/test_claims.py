"""Claims become roles by the settings' rules, and by nothing else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dashboard.access import Role
from dashboard.accounts.model import Wanted
from dashboard.gate.oidc import States, grants_of
from dashboard.settings import RoleRule, Settings
from geodata.errors import SystemProblem

ROLES = {
    "groups": (
        RoleRule(value="clerks", role=Role.CLERK, place_claim="division"),
        RoleRule(value="leaders", role=Role.COUNTY_LEADER, place="A"),
        RoleRule(value="root", role=Role.ADMINISTRATOR, everywhere=True),
    ),
    "post": (RoleRule(value="7", role=Role.VIEWER, place="B"),),
}
CLERK_A1 = Wanted(Role.CLERK, "A1")


@pytest.mark.parametrize(
    ("claims", "grants"),
    [
        ({}, ()),
        ({"groups": None, "division": "A1"}, ()),
        ({"groups": "clerks", "division": "A1"}, (CLERK_A1,)),
        ({"groups": ["clerks", "clerks"], "division": ["A1", "A1"]}, (CLERK_A1,)),
        ({"groups": ["clerks"], "division": ["A1", "B1"]}, (CLERK_A1, Wanted(Role.CLERK, "B1"))),
        ({"groups": ["clerks"]}, ()),
        ({"groups": ["clerks"], "division": ""}, ()),
        ({"groups": ["clerks"], "division": {"id": "A1"}}, ()),
        ({"groups": ["clerks"], "division": True}, ()),
        ({"groups": "clerks leaders", "division": "A1"}, ()),
        ({"groups": {"leaders": True}}, ()),
        ({"groups": ["root", "leaders"]},
         (Wanted(Role.COUNTY_LEADER, "A"), Wanted(Role.ADMINISTRATOR, None))),
        ({"post": 7}, (Wanted(Role.VIEWER, "B"),)),
        ({"role": "root", "roles": ["root"]}, ()),
    ],
)  # fmt: skip
def test_claims_map_to_grants(claims: dict[str, Any], grants: tuple[Wanted, ...]) -> None:
    assert grants_of(claims, ROLES) == grants


@pytest.mark.parametrize(
    "text",
    [
        'oidc_issuer = "https://id.example"',
        'oidc_issuer = "id.example"\noidc_client_id = "x"',
        "password_sign_in = false",
        '[[oidc_roles.groups]]\nvalue = "a"\nrole = "clerk"',
        '[[oidc_roles.groups]]\nvalue = "a"\nrole = "clerk"\nplace = "A"\neverywhere = true',
        '[[oidc_roles.groups]]\nvalue = "a"\nrole = "king"\nplace = "A"',
        '[[oidc_roles.groups]]\nvalue = "a"\nrole = "clerk"\nplaces = "A"',
    ],
)
def test_settings_that_do_not_hold_together_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dudao.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemProblem) as caught:
        Settings.load(tmp_path)
    assert caught.value.code == "SETTING_INVALID"


def test_a_state_is_given_out_once_and_not_too_many_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def used() -> None:
        states = States()
        await states.set("one", "1", 600)
        assert [await states.get("one"), await states.get("one")] == ["1", None]
        await states.set("late", "1", -1)
        assert await states.get("late") is None
        monkeypatch.setattr("dashboard.gate.oidc.STATES_MOST", 2)
        for key in ("a", "b", "c"):
            await states.set(key, key, 600)
        assert [await states.get(key) for key in ("a", "b", "c")] == [None, "b", "c"]

    # In a thread of its own: a browser test before may have left its loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(used())).result()

"""Names, and what differs between an account then and now."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from dashboard.access import Role
from dashboard.accounts.model import (
    Account,
    HeldGrant,
    State,
    checked_login,
    checked_title,
    differences,
    fitting_login,
    normal_login,
)
from geodata.errors import DudaoError

GRANT = HeldGrant(7, Role.CLERK, "A", "大城县", date(2026, 1, 1), None, "operator:tests")
SEEN = Account(
    "id", "wang", "王某", State.ACTIVE, 3, False, False, True, "2026-01-01", (GRANT,), False
)


def test_a_login_is_kept_narrow_and_lower() -> None:
    assert normal_login("　Ｗang.Min@Dacheng ") == "wang.min@dacheng"
    assert checked_login("王某-大城") == "王某-大城"


@pytest.mark.parametrize(
    "login", ["", "a", "a b", "-ab", ".ab", "a/b", "<script>", "x" * 65, "a\n"]
)
def test_a_login_that_cannot_be_typed_or_is_markup_is_refused(login: str) -> None:
    with pytest.raises(DudaoError) as caught:
        checked_login(login)
    assert caught.value.code == "LOGIN_INVALID"


@pytest.mark.parametrize("title", ["", "   ", "长" * 101, "a\u202eb", "a\x00b"])
def test_a_title_must_be_shown_as_it_is(title: str) -> None:
    with pytest.raises(DudaoError) as caught:
        checked_title(title)
    assert caught.value.code == "TITLE_INVALID"


@pytest.mark.parametrize("said", ["", " ", "<b>", "王 某", "a" * 500, "x'); DROP TABLE account;--"])
def test_any_name_of_a_provider_becomes_a_login(said: str) -> None:
    assert checked_login(fitting_login(said)) == fitting_login(said)


def test_differences_name_every_part_that_changed() -> None:
    other = replace(GRANT, id=9, role=Role.REVIEWER)
    longer = replace(GRANT, valid_to=date(2027, 1, 1))
    assert differences(SEEN, replace(SEEN, version=4, title="李某")) == (
        "姓名职务现为“李某”(原为“王某”)",
    )
    (told,) = differences(SEEN, replace(SEEN, state=State.CLOSED))
    assert "停用" in told
    assert [text[:4] for text in differences(SEEN, replace(SEEN, grants=(other,)))] == [
        "新增角色",
        "收回角色",
    ]
    (told,) = differences(SEEN, replace(SEEN, grants=(longer,)))
    assert "2027-01-01" in told
    assert differences(SEEN, replace(SEEN, version=5)) == ("已修改过并又改回",)

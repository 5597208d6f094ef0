"""``user``: forms, exit codes and JSON keys are a contract."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.accounts import service
from dashboard.store import Store
from tests.accounts.conftest import OPERATOR, PASSWORD, entered

Run = Callable[..., Result]


@pytest.fixture
def run(county: Store, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the small county."""
    monkeypatch.setenv("DUDAO_DATA", str(county.directory))
    monkeypatch.setenv("DUDAO_PUBLIC_URL", "https://dudao.example.gov.cn")

    def command(*words: str) -> Result:
        return CliRunner().invoke(app, [*words])

    return command


def test_add_prints_a_link_that_works_once(run: Run, county: Store) -> None:
    done = run("user", "add", "wang", "--title", "王敏", "--role", "clerk", "--place", "A1")
    assert done.exit_code == 0, done.output
    link = done.stdout.strip().splitlines()[-1]
    assert link.startswith("https://dudao.example.gov.cn/login/link/")
    service.set_password(county, link.rpartition("/")[2], PASSWORD)
    assert entered(county, "wang").scope("data.load").paths == ("C/A/A1/",)


def test_grant_revoke_and_list(run: Run, county: Store) -> None:
    service.add_account(county, OPERATOR, "wang", "王敏")
    words = ("user", "grant", "wang", "--role", "审核员", "--place", "A")
    assert run(*words, "--from", "2030-01-01", "--to", "2031-01-01").exit_code == 0
    assert run("user", "grant", "wang", "--role", "viewer", "--everywhere").exit_code == 0
    (user,) = json.loads(run("user", "list", "--json").stdout)["users"]
    assert user["login"] == "wang"
    assert user["state"] == "active"
    assert user["version"] == 3
    assert next(
        (grant["role"], grant["place"], grant["place_name"], grant["from"], grant["to"])
        for grant in user["grants"]
    ) == ("reviewer", "A", "大城县", "2030-01-01", "2031-01-01")
    assert run("user", "revoke", "wang", "--role", "viewer", "--place", "A").exit_code == 2
    assert run("user", "revoke", "wang", "--role", "viewer", "--everywhere").exit_code == 0
    assert run("user", "revoke", "wang", "--role", "reviewer").exit_code == 0
    (user,) = json.loads(run("user", "list", "--json").stdout)["users"]
    assert user["grants"] == []
    assert "wang\t王敏\t在用\t没有角色" in run("user", "list").stdout


def test_reset_voids_the_password(run: Run, county: Store) -> None:
    link = service.add_account(county, OPERATOR, "wang", "王敏")
    service.set_password(county, link.token, PASSWORD)
    done = run("user", "reset", "wang")
    assert done.exit_code == 0
    assert "/login/link/" in done.stdout
    assert not service.account(county, OPERATOR, "wang").has_password


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "a b", "--title", "某"), "LOGIN_INVALID"),
        (("add", "new", "--title", "某", "--role", "clerk"), "GRANT_FORM"),
        (("add", "new", "--title", "某", "--everywhere"), "GRANT_FORM"),
        (("add", "new", "--title", "某", "--role", "king", "--everywhere"), "ROLE_UNKNOWN"),
        (("grant", "wang", "--role", "clerk", "--place", "A", "--everywhere"), "GRANT_FORM"),
        (("grant", "wang", "--role", "clerk", "--place", "A", "--from", "1.7."), "DATE_INVALID"),
        (("grant", "wang", "--role", "clerk", "--place", "nowhere"), "PLACE_NOT_FOUND"),
        (("grant", "nobody", "--role", "clerk", "--place", "A"), "ACCOUNT_NOT_FOUND"),
        (("revoke", "wang", "--role", "clerk"), "GRANT_NOT_FOUND"),
        (("reset", "nobody"), "ACCOUNT_NOT_FOUND"),
    ],
)
def test_a_mistake_exits_with_2_and_says_how_to_mend(
    run: Run, county: Store, words: tuple[str, ...], code: str
) -> None:
    service.add_account(county, OPERATOR, "wang", "王敏")
    done = run("user", *words)
    assert done.exit_code == 2
    assert f"错误 {code}：" in done.stderr
    assert done.stdout == ""


def test_as_a_user_the_command_may_only_what_the_user_may(run: Run, county: Store) -> None:
    run("user", "add", "keeper", "--title", "甲", "--role", "administrator", "--place", "A")
    run("user", "add", "far", "--title", "乙", "--role", "clerk", "--place", "B")
    listed = json.loads(run("--as", "keeper", "user", "list", "--json").stdout)["users"]
    assert [user["login"] for user in listed] == ["keeper"]
    wanted = ("user", "grant", "keeper", "--role", "clerk", "--everywhere")
    denied = run("--as", "keeper", *wanted)
    assert denied.exit_code == 2
    assert "NOT_ALLOWED" in denied.stderr
    clerk = run("user", "list", "--json", "--as", "far")
    assert clerk.exit_code == 2
    assert json.loads(clerk.stdout)["error"]["code"] == "NOT_ALLOWED"

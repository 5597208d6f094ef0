"""Which paths exist, and that no spelling of a closed one is an open one."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.gate import rules

OPEN_ROOTS = ("/login", "/oidc", "/healthz", "/assets")

STREAMLIT_LEFT_OUT = (
    "/_stcore/metrics",
    "/_stcore/script-health-check",
    "/_stcore/message",
    "/_stcore/agent/interact",
    "/_stcore/agent/openapi.json",
    "/_stcore/agent/mcp",
    "/_stcore/allowed-message-origins",
    "/auth/login",
    "/auth/logout",
    "/oauth2callback/x",
    "/media",
    "/media/0123.svg",
    "/app/static/x",
    "/favicon.png",
    "/manifest.json",
    "/map/_stcore/health",
)

TRICKS = (
    "/login/../layers/x", "/login%2f..%2fmap", "//login", "/login//../map", "/./login",
    "/login/.", "/assets/..", "/assets/%2e%2e/layers", "/assets/..%2flayers/x", "/assets\\..\\map",
    "/login\x00", "/login%00/../map", "/\tlogin", "/healthz\n", "login", "",
)  # fmt: skip


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.path)
def test_only_the_four_are_open(rule: rules.Rule) -> None:
    assert rule.open == rule.path.rstrip("/").startswith(OPEN_ROOTS)
    assert rule.open is False or rule.methods <= rules.FORM


@pytest.mark.parametrize("path", STREAMLIT_LEFT_OUT)
def test_what_streamlit_serves_besides_does_not_exist(path: str) -> None:
    assert rules.rule_of(path) is None


@pytest.mark.parametrize("trick", TRICKS)
def test_no_spelling_opens_anything(trick: str) -> None:
    path = unquote(trick)
    assert rules.malformed(path)


@pytest.mark.parametrize(
    "path", ["/LOGIN", "/Login/", "/loginx", "/login;/map", "/healthz/", "/healthz.", "/oidc",
             "/assets", "/assets/", "/assets/%2e", "/login/;x", "/healthz;.css"],
)  # fmt: skip
def test_what_only_looks_open_is_closed(path: str) -> None:
    rule = rules.rule_of(path)
    assert rule is None or not rule.open


@given(st.text(max_size=30))
def test_an_open_path_is_plain_and_under_an_open_root(tail: str) -> None:
    for root in OPEN_ROOTS:
        path = root + tail
        rule = rules.rule_of(path)
        if not rules.malformed(path) and rule is not None and rule.open:
            assert path == root or path.startswith(f"{root}/")
            assert ".." not in path.split("/")


@pytest.mark.parametrize("path", ["/", "/map", "/data", "/admin"])
def test_pages(path: str) -> None:
    rule = rules.rule_of(path)
    assert rule is not None
    assert rule.policy is rules.Policy.PAGE and not rule.open

"""The cookie: one name, one value, never handed to pages."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from dashboard.gate import cookies
from dashboard.settings import Settings

PLAIN = Settings()
SECURE = Settings(public_url="https://dudao.example.cn")


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"dudao=abc", "abc"),
        (b"a=1; dudao=abc; b=2", "abc"),
        (b"dudao=abc; dudao=abc", "abc"),
        (b"dudao=abc; dudao=planted", None),
        (b"Dudao=abc", None),
        (b"__Host-dudao=abc", None),
        (b"dudao", None),
        (b"", None),
    ],
)
def test_reading(header: bytes, token: str | None) -> None:
    assert cookies.token([(b"cookie", header)], PLAIN) == token


def test_two_headers_with_two_tokens_are_none() -> None:
    assert cookies.token([(b"cookie", b"dudao=a"), (b"cookie", b"dudao=b")], PLAIN) is None


def test_the_plain_name_is_nothing_under_tls() -> None:
    assert cookies.token([(b"cookie", b"dudao=abc")], SECURE) is None
    assert cookies.token([(b"cookie", b"__Host-dudao=abc")], SECURE) == "abc"


def test_pages_do_not_see_the_token() -> None:
    assert cookies.without(b"a=1; dudao=abc; _streamlit_xsrf=2|x", PLAIN) == (
        b"a=1; _streamlit_xsrf=2|x"
    )


@pytest.mark.parametrize("settings", [PLAIN, SECURE])
def test_issued_out_of_reach_of_scripts(settings: Settings) -> None:
    response = Response()
    cookies.issue(response, settings, "abc")
    said = response.headers["set-cookie"]
    assert said.startswith(f"{cookies.name(settings)}=abc;")
    assert "HttpOnly" in said and "Path=/" in said and "SameSite=lax" in said
    assert ("Secure" in said) == settings.secure
    assert "Domain" not in said

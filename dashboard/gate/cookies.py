"""The one cookie that says who somebody is: an opaque token, out of any script's reach."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import Response

from dashboard.settings import Settings

PLAIN = "dudao"
HOST_BOUND = "__Host-dudao"
"""Browsers take a name with this prefix only over TLS, for this host alone."""


def name(settings: Settings) -> str:
    """The cookie's name, by whether the site is served over TLS."""
    return HOST_BOUND if settings.secure else PLAIN


def token(headers: Iterable[tuple[bytes, bytes]], settings: Settings) -> str | None:
    """The token a request carries; None too when it carries several that differ.

    A page of a sibling domain or port may have planted a second cookie: nobody can say which of
    the two the person meant.
    """
    wanted = name(settings)
    found = {value for key, value in _pairs(headers) if key == wanted}
    return found.pop() if len(found) == 1 else None


def _pairs(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[str, str]]:
    for header, value in headers:
        if header == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, separator, text = part.partition("=")
                if separator:
                    yield key.strip(), text.strip()


def without(cookies: bytes, settings: Settings) -> bytes:
    """A Cookie header with the token left out: pages are told the session, not the token."""
    wanted = name(settings).encode("latin-1")
    parts = [part.strip() for part in cookies.split(b";")]
    return b"; ".join(part for part in parts if part.partition(b"=")[0].strip() != wanted)


def issue(response: Response, settings: Settings, value: str) -> None:
    """Give a browser its token; it forgets it when it is closed, the server on its own clock.

    Lax, because coming back from an identity provider is a navigation from elsewhere.
    """
    response.set_cookie(
        name(settings), value, path="/", secure=settings.secure, httponly=True, samesite="lax"
    )


def withdraw(response: Response, settings: Settings) -> None:
    """Take the token away from a browser."""
    response.delete_cookie(
        name(settings), path="/", secure=settings.secure, httponly=True, samesite="lax"
    )

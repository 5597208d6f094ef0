"""Attack 2: a websocket from nobody, from elsewhere, or under another name."""

from __future__ import annotations

import pytest

from tests.security.client import Client
from tests.security.served import Served

FOREIGN = (
    None,
    "",
    "null",
    "http://evil.example",
    "http://localhost:{port}",
    "http://127.0.0.1:{other}",
    "http://127.0.0.1",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1:{port}.evil.example",
    "http://evil.example/?127.0.0.1:{port}",
)


def test_without_cookie(product: Served) -> None:
    assert product.stranger().refused() == 403


@pytest.mark.parametrize("token", ["", "x", "0" * 43, "a" * 5000, "é"])
def test_with_a_made_up_token(product: Served, token: str) -> None:
    made_up = Client(product.address, {"dudao": token})
    assert made_up.refused() == 403


@pytest.mark.parametrize("origin", FOREIGN)
def test_evil_or_absent_origin(product: Served, origin: str | None) -> None:
    client = product.as_administrator()
    port = int(client.netloc.rpartition(":")[2])
    asked = origin and origin.format(port=port, other=port + 1)
    assert client.refused(origin=asked) == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"]
)
def test_foreign_host(product: Served, host: str) -> None:
    client = product.as_administrator()
    named = host.format(port=client.netloc.rpartition(":")[2])
    assert client.refused(host=named) == 403
    assert client.refused(host=named, origin=f"http://{named}") == 403


@pytest.mark.parametrize(
    "path",
    ["/", "/map", "/login", "/login/_stcore/stream", "/oidc/_stcore/stream", "/assets/x",
     "//_stcore/stream", "/_stcore/stream/", "/_STCORE/stream", "/_stcore/./stream",
     "/login/../_stcore/stream", "/login/%2e%2e/_stcore/stream", "/map/_stcore/stream"],
)  # fmt: skip
def test_no_other_path_is_a_websocket(product: Served, path: str) -> None:
    assert product.stranger().refused(path=path) == 403
    assert product.as_administrator().refused(path=path) == 403


def test_signed_in_from_the_sites_own_page(product: Served) -> None:
    page = product.as_administrator().socket()
    assert page.run()
    page.close()

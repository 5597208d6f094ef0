"""Attack 13: somebody else's download, and what lies in Streamlit's public media store."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from tests.security.client import Client
from tests.security.served import Served
from tests.security.small_app import NAME, SECRET

OFFERED = re.compile(r"/download/[\w-]+")
MEDIA = re.compile(r"/media/[\w.]+")


def _texts(client: Client) -> str:
    page = client.socket()
    page.run()
    page.close()
    return page.texts()


def _offered(client: Client) -> str:
    found = OFFERED.search(_texts(client))
    assert found is not None
    return found[0]


def test_the_one_it_was_made_for_gets_it(small: Served) -> None:
    client = small.as_administrator()
    answer = client.get(_offered(client))
    assert answer.status == 200 and answer.body == SECRET
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment;")
    assert f"filename*=UTF-8''{quote(NAME)}" in disposition


def test_nobody_else_does(small: Served) -> None:
    url = _offered(small.as_administrator())
    for method in ("GET", "HEAD"):
        other = small.as_viewer().request(method, url)
        assert other.status == 403 and SECRET not in other.body
        again = small.sign_in("administrator").request(method, url)
        assert again.status == 403 and SECRET not in again.body
        stranger = small.stranger().request(method, url)
        assert stranger.status == 401 and SECRET not in stranger.body


def test_not_after_signing_out(small: Served) -> None:
    client = small.sign_in("viewer")
    url = _offered(client)
    old = dict(client.cookies)
    assert client.request("POST", "/logout", {"Origin": client.address}, b"").status == 303
    assert Client(small.address, old).get(url).status == 401
    assert small.as_viewer().get(url).status in (403, 404)


@pytest.mark.parametrize("token", ["x", "..", "%2e%2e", "a" * 5000, "", "x/y", "%00"])
def test_a_guess_finds_nothing(small: Served, token: str) -> None:
    assert small.as_administrator().get(f"/download/{token}").status in (400, 404)


def test_media_answers_nobody(small: Served) -> None:
    """The page puts bytes there by mistake, as a download button of Streamlit's does."""
    client = small.as_administrator()
    found = MEDIA.search(_texts(client))
    assert found is not None
    for each in (client, small.as_viewer()):
        assert each.get(found[0]).status == 404
        assert each.request("GET", found[0], {"Range": "bytes=0-3"}).status == 404
    assert small.stranger().get(found[0]).status == 401


@pytest.mark.parametrize("page_name", ["", "map", "sources", "data", "admin"])
def test_our_pages_put_nothing_in_media(product: Served, page_name: str) -> None:
    page = product.as_administrator().socket()
    page.run(page_name=page_name)
    page.close()
    assert "/media/" not in page.texts()

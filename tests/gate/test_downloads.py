"""Files on offer: whose they are, how long, how much."""

from __future__ import annotations

import pytest

from dashboard.gate.downloads import disposition
from dashboard.ui import downloads
from dashboard.ui.downloads import Downloads
from geodata.errors import DudaoError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _token(url: str) -> str:
    return url.removeprefix(downloads.PATH)


def test_an_offer_is_found_until_it_expires() -> None:
    clock = Clock()
    shelf = Downloads(clock)
    token = _token(shelf.offer("s1", "表.xlsx", "text/csv", b"1"))
    found = shelf.find(token)
    assert found is not None and found.make() == b"1" and found.session_id == "s1"
    clock.now = downloads.KEPT_S
    assert shelf.find(token) is None


def test_a_maker_runs_when_fetched() -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"x"

    shelf = Downloads()
    found = shelf.find(_token(shelf.offer("s1", "a", "text/plain", make)))
    assert found is not None and made == []
    assert found.make() == b"x" and made == [1]


def test_the_oldest_goes_when_there_is_too_much() -> None:
    shelf = Downloads()
    first = _token(shelf.offer("s1", "a", "text/plain", b"a"))
    for _ in range(downloads.MOST_OFFERS):
        last = _token(shelf.offer("s1", "a", "text/plain", b"a"))
    assert shelf.find(first) is None and shelf.find(last) is not None


def test_bytes_held_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MOST_BYTES", 10)
    shelf = Downloads()
    first = _token(shelf.offer("s1", "a", "text/plain", b"123456"))
    second = _token(shelf.offer("s1", "a", "text/plain", b"123456"))
    assert shelf.find(first) is None and shelf.find(second) is not None
    with pytest.raises(DudaoError) as refused:
        shelf.offer("s1", "a", "text/plain", b"x" * 11)
    assert refused.value.code == "DOWNLOAD_TOO_LARGE"


def test_a_sign_in_that_ended_leaves_nothing() -> None:
    shelf = Downloads()
    mine, other = (_token(shelf.offer(who, "a", "text/plain", b"a")) for who in ("s1", "s2"))
    shelf.forget("s1")
    assert shelf.find(mine) is None and shelf.find(other) is not None


@pytest.mark.parametrize(
    "name",
    ["十月 家医签约.xlsx", 'a"; filename="b.exe', "a\r\nSet-Cookie: x=1", "../../etc/passwd"],
)
def test_a_name_stays_inside_its_parameter(name: str) -> None:
    said = disposition(name)
    said.encode("latin-1")
    assert said.count('"') == 2
    assert not set("\r\n/") & set(said)

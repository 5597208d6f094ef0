"""Names the site answers to, and origins its pages come from."""

from __future__ import annotations

import pytest

from dashboard.gate.door import Door
from dashboard.settings import Settings

LAPTOP = Door.of(Settings(host="127.0.0.1", port=8501))
CITY = Door.of(Settings(host="0.0.0.0", port=8501, public_url="https://dudao.example.cn"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8501", "localhost:8501", "LOCALHOST:8501", "[::1]:8501"]
)
def test_local_names_are_known(host: str) -> None:
    assert LAPTOP.knows(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1", "127.0.0.1:8502", "localhost", "127.0.0.1:8501.evil.example",
     "evil.example:8501", "127.0.0.1:8501@evil.example", " 127.0.0.1:8501", "0.0.0.0:8501"],
)  # fmt: skip
def test_other_names_are_not(host: str) -> None:
    assert not LAPTOP.knows(host)


@pytest.mark.parametrize("host", ["dudao.example.cn", "dudao.example.cn:443", "Dudao.Example.CN"])
def test_the_public_name_is_known_with_its_schemes_port(host: str) -> None:
    assert CITY.knows(host)
    assert CITY.same_origin("https://dudao.example.cn", host)
    assert not CITY.same_origin("http://dudao.example.cn", host)


def test_names_from_the_settings() -> None:
    door = Door.of(Settings(hosts=("map.county.gov.cn", "10.1.2.3:8080")))
    assert door.knows("map.county.gov.cn") and door.knows("10.1.2.3:8080")
    assert not door.knows("10.1.2.3")


@pytest.mark.parametrize(
    "origin",
    [None, "", "null", "http://evil.example", "http://127.0.0.1:8502", "http://localhost:8501",
     "https://127.0.0.1:8501", "http://127.0.0.1:8501.evil.example", "127.0.0.1:8501",
     "http://127.0.0.1:8501/", "http://127.0.0.1"],
)  # fmt: skip
def test_other_origins_are_not_ours(origin: str | None) -> None:
    assert not LAPTOP.same_origin(origin, "127.0.0.1:8501")


def test_the_pages_own_origin_is() -> None:
    assert LAPTOP.same_origin("http://127.0.0.1:8501", "127.0.0.1:8501")

"""One small demonstration for all tests of the screen: Dacheng county, 24 months."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.access import SYSTEM, Actor, Grant, Role
from dashboard.accounts.model import SignedIn
from dashboard.settings import Settings
from dashboard.store import Unit
from dashboard.ui import blocks, caches, session, texts
from tests.conftest import Demonstration

COUNTY, TOWN, VILLAGE = "131025000000", "131025100000", "131025100205"
LATEST = "2026-10"


@pytest.fixture(scope="session")
def demo_directory(demonstration: Demonstration) -> Path:
    """A data directory with the demonstration of one county."""
    return demonstration(COUNTY)


@pytest.fixture
def configured(demo_directory: Path) -> Iterator[Settings]:
    """This process serves the demonstration."""
    settings = Settings(data=demo_directory)
    caches.configure(settings)
    yield settings
    caches.configure(Settings(data=demo_directory))


@pytest.fixture
def unit(configured: Settings) -> Iterator[Unit]:
    """Reads of the demonstration."""
    with caches.store().unit(SYSTEM) as opened:
        yield opened


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The latest markup of each block that the pages show, by its key."""
    seen: dict[str, str] = {}
    original = blocks.show

    def kept(key: str, markup: str, *args: Any, **options: Any) -> None:
        seen[key] = markup
        original(key, markup, *args, **options)

    monkeypatch.setattr(blocks, "show", kept)
    return seen


@pytest.fixture(autouse=True)
def administrator() -> Iterator[SignedIn]:
    """Pages are run by somebody who may see everything, unless a test says who else."""
    who = Actor("account:tests", "测试员", grants=(Grant(Role.ADMINISTRATOR),))
    found = SignedIn("tests", "tests", who, False)
    with session.provide(lambda: found):
        yield found


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    """Every test begins in Chinese."""
    texts.use("zh")
    yield
    texts.use("zh")

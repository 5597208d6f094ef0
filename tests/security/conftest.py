"""The servers under attack: the product with a county's demonstration, and a small page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.store import Store
from tests.browser.serving import serving
from tests.conftest import Demonstration
from tests.security.served import Served

COUNTY = "131025000000"


@pytest.fixture(scope="session")
def product(demonstration: Demonstration) -> Iterator[Served]:
    """The product as ``make run`` serves it."""
    data = demonstration(COUNTY)
    elsewhere = data.parent
    store = Store.open(data)
    with serving(data, elsewhere) as address:
        yield _served(address, store, elsewhere)
    store.close()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``small_app`` behind the real gate, uploads limited to 1 MB."""
    elsewhere = tmp_path_factory.mktemp("small")
    store = Store.open(elsewhere / "data")
    environment = {"DUDAO_TEST_EFFECTS": str(elsewhere / "effects"), "DUDAO_MAX_UPLOAD_MB": "1"}
    with serving(
        elsewhere / "data", elsewhere, environment, "tests.security.small_server"
    ) as address:
        yield _served(address, store, elsewhere)
    store.close()


def _served(address: str, store: Store, elsewhere: Path) -> Served:
    (log,) = elsewhere.glob("serve-*.log")
    return Served(address, store, log, elsewhere / "effects")

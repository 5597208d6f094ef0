"""Settings: environment over dudao.toml over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.settings import Settings, Tiles
from dashboard.store.model import Compute
from geodata.errors import SystemProblem


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DUDAO_DATA", "DUDAO_LANG", "DUDAO_TILES", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults() -> None:
    found = Settings.load()
    assert found.data == Path("data")
    assert (found.database_url, found.lang, found.tiles) == (None, "zh", Tiles.NONE)
    assert (found.host, found.port) == ("127.0.0.1", 8501)


def test_the_environment_and_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DUDAO_DATA", str(tmp_path / "a"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://x/y")
    monkeypatch.setenv("DUDAO_TILES", "tianditu")
    found = Settings.load()
    assert (found.data, found.database_url) == (tmp_path / "a", "postgresql://x/y")
    assert found.tiles is Tiles.TIANDITU
    assert Settings.load(tmp_path / "b").data == tmp_path / "b"


def test_the_file_in_the_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dudao.toml").write_text(
        'lang = "en"\nport = 9000\nmap_approval = "GS(2026)1"\ndatabase_url = "postgresql://f/g"\n',
        encoding="utf-8",
    )
    found = Settings.load(tmp_path)
    assert (found.lang, found.port, found.map_approval) == ("en", 9000, "GS(2026)1")
    assert found.database_url == "postgresql://f/g"
    monkeypatch.setenv("DUDAO_LANG", "zh")
    monkeypatch.setenv("DATABASE_URL", "postgresql://x/y")
    found = Settings.load(tmp_path)
    assert (found.lang, found.database_url) == ("zh", "postgresql://x/y")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('lang = "fr"', "lang"),
        ("port = 0", "port"),
        ("prot = 1", "prot"),
        ("lang = ", "dudao.toml"),
    ],
)
def test_what_cannot_be_taken_is_named(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "dudao.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemProblem) as caught:
        Settings.load(tmp_path)
    assert caught.value.code == "SETTING_INVALID"
    assert word in caught.value.message


def test_what_rolls_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().compute == Compute("duckdb", 2_000_000_000, None)
    monkeypatch.setenv("DUDAO_ENGINE", "spark")
    monkeypatch.setenv("DUDAO_MEMORY", "3GiB")
    monkeypatch.setenv("DUDAO_SPARK", "sc://cluster:15002/;token=x1y2")
    found = Settings.load()
    assert found.compute == Compute("spark", 3 * 2**30, "sc://cluster:15002/;token=x1y2")
    assert "x1y2" not in repr(found) + repr(found.compute)
    monkeypatch.setenv("DUDAO_MEMORY", "much")
    with pytest.raises(SystemProblem, match=r"SETTING_INVALID.*memory"):
        Settings.load()

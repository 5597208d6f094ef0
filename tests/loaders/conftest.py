"""Fixtures: what is stored, and files written on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from loaders.model import Known
from tests.loaders.world import known_with


@pytest.fixture
def known() -> Known:
    """The stored county without figures."""
    return known_with()


@pytest.fixture
def nothing() -> Known:
    """An empty store."""
    return Known.nothing()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a text file: ``write(text, name="data.csv", encoding="utf-8")``."""

    def _write(text: str, name: str = "data.csv", encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return _write


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """Write an xlsx: ``workbook({"sheet": rows}, merges={"sheet": ["A1:B1"]})``."""

    def _workbook(
        sheets: dict[str, list[list[Any]]],
        merges: dict[str, list[str]] | None = None,
        name: str = "data.xlsx",
    ) -> Path:
        book = openpyxl.Workbook()
        assert book.active is not None
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
            for cells in (merges or {}).get(title, []):
                sheet.merge_cells(cells)
        path = tmp_path / name
        book.save(path)
        return path

    return _workbook

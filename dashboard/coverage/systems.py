"""The systems the two source documents supervise: systems.toml, read once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from dashboard.coverage import registry
from dashboard.coverage.model import Layer
from geodata.errors import DudaoError

FILE = Path(__file__).with_name("systems.toml")


class State(StrEnum):
    """Whether a system works here: as layers of the map, or not yet."""

    LAYER = "layer"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class System:
    """One row of the source documents' systems.

    Attributes:
        number: 1 to 36.
        base, base_en: where it is counted, in words.
        figures, figures_en: what the documents say of it, each with its document (L or X).
        target, target_en: what was promised, empty where nothing was.
        state: ``later`` belongs to responsibility and supervision.
    """

    number: int
    title: str
    title_en: str
    base: str
    base_en: str
    figures: str
    figures_en: str
    target: str
    target_en: str
    state: State

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Its layers, in the registry's order."""
        return tuple(one for one in registry.layers().values() if self.number in one.systems)


@cache
def systems() -> tuple[System, ...]:
    """All of them, by number.

    Raises:
        DudaoError: SYSTEMS_INVALID, the file's rows are not 1 to 36.
    """
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["system"]
    found = tuple(System(**{**row, "state": State(row["state"])}) for row in rows)
    if [one.number for one in found] != list(range(1, registry.SYSTEMS + 1)):
        raise DudaoError(
            "SYSTEMS_INVALID", "systems.toml 应依次登记 36 个系统。", "请改正 systems.toml。"
        )
    return found

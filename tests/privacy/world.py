"""Invented persons for the small county of ``tests.store.world``.

Their identity numbers begin with 99: no region has that code, so they belong to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dashboard.access import SYSTEM, Actor
from dashboard.intake.service import load_file
from dashboard.store import Store
from dashboard.store.commit import commit
from loaders.model import ImportReport, Request
from tests.store import world
from tests.store.world import PAIRS

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
HEADINGS = ("姓名", "身份证号", "联系电话", "性别", "村代码")

Line = tuple[str, str, str, str, str]


def id_number(serial: int, birth: str = "19900307") -> str:
    """An identity number that belongs to nobody: region 999999, a serial number, a right check."""
    body = f"999999{birth}{serial:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


ZHANG: Line = ("张甲壹", id_number(11), "13900001111", "男", "V00")
LI: Line = ("李乙贰", id_number(22), "13900002222", "女", "V01")
OUYANG: Line = ("欧阳丙叁", id_number(33), "", "男", "V03")
WANG: Line = ("王丁肆", id_number(44), "13900004444", "女", "V06")
PEOPLE = (ZHANG, LI, OUYANG, WANG)
"""In townships A1, A1, A2 and B1."""


def county(store: Store) -> Store:
    """The store with the places of the small county."""
    commit(store, SYSTEM, world.places_change(), PAIRS)
    return store


def write(path: Path, lines: Sequence[Line], headings: Sequence[str] = HEADINGS) -> Path:
    """A register as a CSV file."""
    rows = [",".join(line) for line in (headings, *lines)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def load(store: Store, actor: Actor, path: Path, accept_valid_rows: bool = False) -> ImportReport:
    """Check and commit a register."""
    return load_file(store, actor, path, Request(), PAIRS, accept_valid_rows=accept_valid_rows)

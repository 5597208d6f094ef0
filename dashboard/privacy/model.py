"""What is known of a person and of the data held about them. Pure.

A person is named by a key: the HMAC of the identity number, 64 hexadecimal characters. Nothing here
holds a whole identity number, because nothing keeps one.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from dashboard.store.model import Erasure, Person, PersonRow
from geodata.errors import DudaoError

__all__ = [
    "KEY_FORM", "Access", "DataPath", "Erasure", "ErasureResult", "Held", "Origin", "Person",
    "PersonPage", "PersonRow", "Remainder", "reason_of",
]  # fmt: skip

KEY_FORM = re.compile(r"[0-9a-f]{64}")
REASON_LEAST = 4
"""Characters with a meaning that a reason has at least."""


@dataclass(frozen=True, slots=True)
class PersonPage:
    """Some of the persons at or under a place, by place and key.

    Attributes:
        total: how many there are in all; page counts from 1.
    """

    rows: tuple[PersonRow, ...]
    total: int
    page: int
    size: int


@dataclass(frozen=True, slots=True)
class Held:
    """What one dataset holds of a person, masked.

    Attributes:
        fields: what is held, title -> masked value.
        keep_rule: where the time of keeping comes from, in words.
    """

    dataset: str
    title: str
    place_id: str
    place_name: str
    fields: dict[str, str]
    held_since: str
    keep_until: date | None
    keep_rule: str
    version: int


@dataclass(frozen=True, slots=True)
class Origin:
    """A load that brought or changed the person's row.

    Attributes:
        current: whether the row held now comes from it.
    """

    batch: int
    file: str
    sha256: str
    loaded_at: str
    loaded_by: str
    current: bool


@dataclass(frozen=True, slots=True)
class Access:
    """One audit row about the person: who looked, exported, traced or erased, when and why."""

    seq: int
    at: str
    actor: str
    actor_name: str
    via: str
    action: str
    title: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remainder:
    """A copy made before an erasure that cannot be rewritten.

    Attributes:
        what: ``backup`` or ``database_log``.
        name: of the file, empty when there is none to name.
        advice: until when it is kept and what to do.
    """

    what: str
    name: str
    made_at: str
    advice: str


@dataclass(frozen=True, slots=True)
class ErasureResult:
    """What an erasure did.

    Attributes:
        proofs: the rows in the table of erasures, one a person.
        again: the person had been erased before; the traces were cleaned once more.
        copies: where copies outside the database were removed -> how many.
        remaining: copies that outlive it. Restoring one erases the person again.
    """

    proofs: tuple[Erasure, ...]
    again: bool
    copies: dict[str, int]
    remaining: tuple[Remainder, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form in ``erase --json``."""
        return {
            "erased": [asdict(proof) for proof in self.proofs],
            "again": self.again,
            "copies": self.copies,
            "remaining": [asdict(each) for each in self.remaining],
        }


@dataclass(frozen=True, slots=True)
class DataPath:
    """A person's data path: what is held, from where, who looked, what was erased.

    Attributes:
        records: the datasets of records that have rows of the person, and how many.
    """

    key: str
    held: tuple[Held, ...]
    records: tuple[tuple[str, int], ...]
    origins: tuple[Origin, ...]
    accesses: tuple[Access, ...]
    erasures: tuple[Erasure, ...]


def reason_of(text: str) -> str:
    """A reason without outer and doubled spaces.

    Raises:
        DudaoError: REASON_NEEDED, it says nothing.
    """
    said = " ".join(text.split())
    letters = [c for c in said if c.isalpha()]
    if len(letters) < REASON_LEAST or len(set(letters)) < REASON_LEAST - 1:
        raise DudaoError(
            "REASON_NEEDED",
            "没有写明事由。",
            "请用几个字写明为什么需要，例如“随访核对电话”；事由会记入审计。",
        )
    return said

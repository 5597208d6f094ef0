"""The figures of the two source documents, as the place each is about reported them.

What a document gives for a whole city or county stays at that place, in the document's month; it is
never split down. Contradictions are loaded as they stand: finding them is the program's task.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from dashboard.demo.divisions import INVENTED
from loaders.registry import measures

FILE = Path(__file__).parent / "data" / "seed_figures.csv"


@dataclass(frozen=True, slots=True)
class Document:
    """One source document.

    Attributes:
        place_id: the place it reports on.
        month: ``YYYY-MM`` its figures stand at; see data/SOURCES.md.
    """

    id: str
    place_id: str
    month: str


DOCUMENTS = (
    Document("L", "131000000000", "2019-07"),
    Document("X", INVENTED["xcounty"], "2017-12"),
)
FIRST_DAY = f"{min(document.month for document in DOCUMENTS)}-01"
"""Places of a demonstration begin no later, so that a document's month has somewhere to show."""


@cache
def rows() -> pd.DataFrame:
    """Every transcribed figure and target; columns as data/SOURCES.md lists them."""
    return pd.read_csv(FILE, dtype={"period": str}, keep_default_na=False)


def reported(place_ids: Iterable[str]) -> pd.DataFrame:
    """The documents' counts at the given places: ``place_id, month, measure, value``.

    A percentage without the counts behind it is left out: a numerator nobody published would have
    to be invented.
    """
    known = set(place_ids)
    table = rows()
    wanted = (table["kind"] == "figure") & table["item"].isin(list(measures()))
    parts = [
        table.loc[wanted & (table["document"] == document.id), ["item", "value"]].assign(
            place_id=document.place_id, month=document.month
        )
        for document in DOCUMENTS
        if document.place_id in known
    ]
    found = pd.concat(parts) if parts else pd.DataFrame(columns=["item", "value"])
    found = found.rename(columns={"item": "measure"})
    return found.reindex(columns=["place_id", "month", "measure", "value"]).reset_index(drop=True)

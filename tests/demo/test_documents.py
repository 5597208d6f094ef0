"""``demo --root langfang`` and ``--root xcounty``: the documents' figures at their places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboard.access import SYSTEM
from dashboard.coverage import registry, service
from dashboard.coverage.model import Status, View
from dashboard.demo import documents
from dashboard.demo.documents import DOCUMENTS, Document
from dashboard.store import Store
from dashboard.store.model import month_end
from dashboard.store.unit import DEMONSTRATION, Unit
from loaders.registry import measures
from tests.conftest import Demonstration

L, X = DOCUMENTS
ROOTS = {"L": "langfang", "X": "xcounty"}


@pytest.fixture(scope="module", params=DOCUMENTS, ids=lambda document: ROOTS[document.id])
def shown(
    request: pytest.FixtureRequest, demonstration: Demonstration
) -> Iterator[tuple[Document, Unit]]:
    document: Document = request.param
    store = Store.open(demonstration(ROOTS[document.id]))
    with store.unit(SYSTEM) as unit:
        yield document, unit
    store.close()


def test_the_documents_figures_stand_at_its_place_as_printed(shown: tuple[Document, Unit]) -> None:
    document, unit = shown
    assert unit.meta(DEMONSTRATION) == "1" and unit.root().id == document.place_id
    said = documents.reported([document.place_id]).set_index("measure")["value"]
    assert len(said) > 0
    stored = unit.figures([document.place_id], [document.month], list(measures()))
    assert set(stored["source"]) == {"reported"}
    assert stored.set_index("measure")["value"].to_dict() == said.to_dict()


def test_nothing_is_split_down(shown: tuple[Document, Unit]) -> None:
    document, unit = shown
    frame = unit.place_frame()
    others = frame.loc[frame["id"] != document.place_id, "id"].tolist()
    assert len(unit.children(document.place_id, month_end(document.month))) > 10
    assert unit.figures(others, [document.month], list(measures())).empty


def test_its_month_stands_alone_before_the_invented_ones(shown: tuple[Document, Unit]) -> None:
    document, unit = shown
    months = unit.months()
    assert months[0] == document.month and len(months) == 25


def test_a_place_no_document_speaks_of_has_none() -> None:
    assert documents.reported(["131025000000", "341300000000"]).empty


def test_every_count_of_the_documents_is_loaded_in_its_own_unit() -> None:
    """Percentages without their counts and kinds of diseases are read on the page only."""
    table = documents.rows()
    counts = table.loc[(table["kind"] == "figure") & (table["unit"] != "%")]
    known = documents.reported([document.place_id for document in DOCUMENTS])
    left = set(counts["item"]) - set(known["measure"])
    assert left == {"major_disease_kinds", "major_disease_kinds_before"}
    for row in counts.loc[~counts["item"].isin(left)].itertuples():
        assert measures()[row.item].unit == row.unit, row


def test_the_layers_of_its_figures_show_at_its_place(shown: tuple[Document, Unit]) -> None:
    document, unit = shown
    said = documents.reported([document.place_id]).set_index("measure")["value"]
    layers = [
        layer
        for layer in registry.layers().values()
        if {layer.numerator, layer.denominator} <= set(said.index)
    ]
    assert len(layers) > 15
    for layer in layers:
        seen = service.table(unit, View(document.place_id, layer.id, document.month))
        assert seen.own.status is Status.OK, layer.id
        assert seen.own.numerator == said[layer.numerator]
        assert seen.own.denominator == said[layer.denominator]
        assert not seen.own.disagrees
        below = {Status.NO_DATA, Status.TOO_LOW}
        assert {cell.status for cell in seen.cells} <= below, layer.id

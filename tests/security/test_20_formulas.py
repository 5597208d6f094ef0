"""Attack 20: formulas, DDE, markup and control characters in what is exported. Text stays text."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import BytesIO, StringIO
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import openpyxl
import pandas as pd
import pytest
from docx import Document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape
from python_calamine import CalamineWorkbook

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.coverage.model import View
from dashboard.reports import service, sheets, words
from dashboard.reports.files import table_export
from dashboard.reports.model import Column, Format, Sheet
from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.model import Change
from geodata.errors import DudaoError
from tests.reports.hostile import CONTROL, TEXTS
from tests.store.world import place_rows

LIVE = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20\ufe62")


def exported(texts: list[str], format: Format) -> bytes:
    """The texts as title, note, heading and cells of one table."""
    hostile = texts[0]
    heading = [hostile, *texts]
    return table_export(heading, [Column(hostile)], [[text] for text in texts], format).body


def xlsx_cells(body: bytes) -> list[str]:
    """What a program reads out of the first sheet, top to bottom."""
    (worksheet,) = openpyxl.load_workbook(BytesIO(body))
    cells = [cell for (cell,) in worksheet.iter_rows(max_col=1)]
    # An empty string and an empty cell are the same to a spreadsheet.
    return [unescape(cell.value or "") for cell in cells]


def csv_cells(body: bytes) -> list[str]:
    rows = csv.reader(StringIO(body.decode("utf-8-sig"), newline=""))
    return [sheets.csv_text(row[0]) for row in rows]


def docx_texts(body: bytes) -> list[str]:
    document = Document(BytesIO(body))
    (table,) = document.tables
    return [
        *(paragraph.text for paragraph in document.paragraphs),
        *(row.cells[0].text for row in table.rows),
    ]


def assert_no_live_xlsx(body: bytes) -> None:
    with ZipFile(BytesIO(body)) as file:
        names = file.namelist()
        for name in names:
            root = (
                ElementTree.fromstring(file.read(name))
                if name.endswith((".xml", ".rels"))
                else None
            )
            tags = set() if root is None else {tag(element) for element in root.iter()}
            assert not tags & {"f", "ddeLink", "oleLink", "externalReference", "hyperlink", "r_"}
            if root is not None and name.startswith("xl/worksheets/sheet"):
                kinds = {cell.get("t") for cell in root.iter() if tag(cell) == "c"}
                assert kinds <= {"s", "inlineStr", "n", None}
    assert not [n for n in names if re.search(r"external|vba|embed|activeX|connections", n)]


def assert_no_live_docx(body: bytes) -> None:
    with ZipFile(BytesIO(body)) as file:
        root = ElementTree.fromstring(file.read("word/document.xml"))
        tags = {tag(element) for element in root.iter()}
        assert not tags & {"fldSimple", "instrText", "fldChar", "hyperlink", "object", "altChunk"}
        relations = file.read("word/_rels/document.xml.rels").decode()
        assert 'TargetMode="External"' not in relations


def assert_no_live_csv(body: bytes) -> None:
    for row in csv.reader(StringIO(body.decode("utf-8-sig"), newline="")):
        for cell in row:
            assert not cell.lstrip("\ufeff\u200b\u2066\xa0 \u3000").startswith(LIVE), cell


def tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def test_a_workbook_keeps_every_text_and_runs_none() -> None:
    texts = list(TEXTS)
    body = exported(texts, Format.XLSX)
    assert xlsx_cells(body) == [texts[0], *texts, texts[0], *texts]
    assert_no_live_xlsx(body)


def test_another_reader_of_workbooks_finds_the_same_texts() -> None:
    texts = [text for text in TEXTS if text]
    workbook = CalamineWorkbook.from_filelike(BytesIO(exported(texts, Format.XLSX)))
    found = [row[0] for row in workbook.get_sheet_by_index(0).to_python()]
    assert found[-len(texts) :] == texts


def test_texts_that_look_like_formulas_are_marked_as_texts() -> None:
    body = exported(["=1+1", "甲"], Format.XLSX)
    (worksheet,) = openpyxl.load_workbook(BytesIO(body))
    quoted = {cell.value: cell.quotePrefix for (cell,) in worksheet.iter_rows(max_col=1)}
    assert quoted == {"=1+1": True, "甲": False}


def test_csv_keeps_every_text_and_no_cell_begins_like_a_formula() -> None:
    texts = list(TEXTS)
    body = exported(texts, Format.CSV)
    assert csv_cells(body) == [texts[0], *texts, texts[0], *texts]
    assert_no_live_csv(body)


def test_a_document_keeps_every_text_and_runs_none() -> None:
    texts = list(TEXTS)
    body = exported(texts, Format.DOCX)
    assert docx_texts(body) == [texts[0], *texts, texts[0], *texts]
    assert_no_live_docx(body)


@pytest.mark.parametrize("format", Format)
def test_control_characters_are_dropped_and_the_rest_arrives(format: Format) -> None:
    read = {Format.XLSX: xlsx_cells, Format.CSV: csv_cells, Format.DOCX: docx_texts}[format]
    kept = [re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe]", "", text) for text in CONTROL]
    assert read(exported(list(CONTROL), format))[-len(kept) :] == kept


texts = st.lists(st.text(max_size=40), min_size=1, max_size=6)
BOUNDED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
XML_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@BOUNDED
@given(texts)
def test_any_text_survives_a_workbook(cells: list[str]) -> None:
    body = exported(cells, Format.XLSX)
    # A carriage return comes back as the line feed XML makes of it.
    wanted = [lines(XML_FORBIDDEN.sub("", text)) for text in cells]
    assert [lines(text) for text in xlsx_cells(body)][-len(cells) :] == wanted
    assert_no_live_xlsx(body)


@BOUNDED
@given(texts)
def test_any_text_survives_csv(cells: list[str]) -> None:
    body = exported(cells, Format.CSV)
    assert csv_cells(body)[-len(cells) :] == [XML_FORBIDDEN.sub("", text) for text in cells]
    assert_no_live_csv(body)


@BOUNDED
@given(texts)
def test_any_text_survives_a_document(cells: list[str]) -> None:
    body = exported(cells, Format.DOCX)
    wanted = [lines(XML_FORBIDDEN.sub("", text)) for text in cells]
    assert [lines(text) for text in docx_texts(body)][-len(cells) :] == wanted
    assert_no_live_docx(body)


def lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("template", ["x.docx", b"PK", {"a": 1}, object()])
def test_templates_of_users_are_refused(template: object) -> None:
    with pytest.raises(DudaoError) as caught:
        words.docx([Sheet("表", (Column("列"),), [])], template)
    assert caught.value.code == "TEMPLATE_REFUSED"


@pytest.fixture(scope="module")
def hostile_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A township whose villages are called what hurts."""
    store = Store.open(tmp_path_factory.mktemp("hostile"))
    names = [name for name in TEXTS if name.strip()]
    rows = [("T", "=1+1镇<r>", 4, None)]
    rows += [(f"V{number:03d}", name, 5, "T") for number, name in enumerate(names)]
    frame = place_rows(*rows)
    villages = frame["id"][1:]
    figures = pd.DataFrame(
        [
            (village, "2026-10", measure, value)
            for village in villages
            for measure, value in (("registered_persons", 90.0), ("contracted_persons", 60.0))
        ],
        columns=["place_id", "month", "measure", "value"],
    ).assign(source="reported")
    for change in (
        Change(dataset="places", frame=frame, geometries=np.full(len(frame), None)),
        Change(dataset="figures", frame=figures),
    ):
        commit(store, SYSTEM, change, registry.pairs())
    yield store
    store.close()


@pytest.mark.parametrize("format", Format)
def test_hostile_names_of_places_come_out_of_the_program_as_text(
    hostile_store: Store, format: Format
) -> None:
    view = View("T", "contract_coverage", "2026-10")
    made = service.children_table(hostile_store, SYSTEM, view, leaving=False, format=format.value)
    read = {Format.XLSX: xlsx_cells, Format.CSV: csv_cells, Format.DOCX: docx_texts}[format]
    with hostile_store.unit(SYSTEM) as unit:
        names = {place.name for place in unit.all_places(pd.Timestamp("2026-10-31").date())}
    found = read(made.body)
    assert {name for name in names if name != "=1+1镇<r>"} <= set(found)
    assert found[0] == "=1+1镇<r> 家庭医生签约率 2026年10月"
    {
        Format.XLSX: assert_no_live_xlsx,
        Format.CSV: assert_no_live_csv,
        Format.DOCX: assert_no_live_docx,
    }[format](made.body)
    assert re.fullmatch(r"[\w.-]+", made.name)

"""Formats, file names and widths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.reports.files import export
from dashboard.reports.model import Column, Format, Sheet, file_name, half_widths
from geodata.errors import DudaoError


@pytest.mark.parametrize("format", Format)
def test_every_format_has_a_type_and_a_writer(format: Format) -> None:
    assert Format.parse(format.value) is format
    made = export([Sheet("表", (Column("列"),), [("甲",)])], ("表",), format)
    assert made.name == f"表.{format.value}"
    assert made.media_type == format.media_type and "/" in made.media_type
    assert made.body


def test_an_unknown_format_lists_the_others() -> None:
    with pytest.raises(DudaoError) as caught:
        Format.parse("exe")
    assert caught.value.code == "FORMAT_UNKNOWN"
    assert "xlsx、csv、docx" in caught.value.remedy


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("大城县", "家庭医生签约率", "2026-10"), "大城县_家庭医生签约率_2026-10.csv"),
        (("../../etc/passwd",), "etcpasswd.csv"),
        (("a\r\nSet-Cookie: x", "b"), "aSet-Cookiex_b.csv"),
        (("=cmd|' /C calc'!A0",), "cmdCcalc!A0.csv"),
        (("", "..", "\u202e"), "export.csv"),
    ],
)
def test_file_names(words: tuple[str, ...], name: str) -> None:
    assert file_name(words, Format.CSV) == name


@given(st.lists(st.text(max_size=60), max_size=4))
def test_no_file_name_leads_anywhere(words: list[str]) -> None:
    name = file_name(words, Format.XLSX)
    assert name.endswith(".xlsx") and not name.startswith(".")
    assert not set(name) & set("/\\:*?\"<>|'\r\n\t\x00 ")
    assert len(name) <= 85


def test_widths_follow_the_contents_within_reason() -> None:
    sheet = Sheet(
        "表",
        (Column("短"), Column("长"), Column("数", 1), Column("定", width=20)),
        [("甲", "长" * 100, 1234567.25, "x")],
    )
    short, long, number, fixed = sheet.widths()
    assert short < number < fixed < long == 50
    assert half_widths("甲a") == 3

"""Names: taken only when exact under an exactly named parent, else suggested and confirmed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from geodata.tree import arrange
from loaders.model import Known, Request
from loaders.prepare import prepare
from tests.loaders.world import DONGGUAN, DONGGUAN_2, NANZHUANG, codes, rows_of

Write = Callable[..., Path]
HEAD = "乡镇,村名,月份,户数\n"


def test_an_exact_name_under_an_exact_parent_is_taken_and_said(write: Write, known: Known) -> None:
    text = HEAD + "落垡镇,东关村,2026-10,1\n葛渔城镇,东关村,2026-10,2\n"
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"NAME_MATCHED": 2}
    assert prepared.frame["place_id"].tolist() == [DONGGUAN, DONGGUAN_2]
    assert prepared.report.suggestions == []


def test_nothing_else_is_taken_silently(write: Write, known: Known) -> None:
    rows = [
        "葛渔城镇,南庄村,2026-10,1",  # 村民委员会 left out
        "落垡镇,东 关 村,2026-10,1",  # spaced
        "落垡镇,东关屯,2026-10,1",  # a slip
        ",东关村,2026-10,1",  # no parent
        "落伐镇,东关村,2026-10,1",  # the parent has a slip
        "南尖塔镇,东关村,2026-10,1",  # exists, but under other townships
    ]
    prepared = prepare(write(HEAD + "\n".join(rows)), Request(), known)
    assert codes(prepared) == {"NAME_UNCONFIRMED": 6}
    assert rows_of(prepared, "NAME_UNCONFIRMED") == [2, 3, 4, 5, 6, 7]
    assert prepared.frame.empty
    first, spaced, slip, orphan, wrong_parent, elsewhere = prepared.report.suggestions
    assert first.candidates[0][:2] == (NANZHUANG, "南庄村民委员会")
    assert spaced.candidates[0][0] == DONGGUAN
    assert slip.candidates[0][0] == DONGGUAN
    assert {one[0] for one in orphan.candidates[:2]} == {DONGGUAN, DONGGUAN_2}
    assert wrong_parent.candidates[0][0] == DONGGUAN
    # Never outside the named parent.
    assert all(one[0].startswith("131003101") for one in elsewhere.candidates)
    assert (first.row, first.name, first.parent_name) == (2, "南庄村", "葛渔城镇")


def test_a_confirmed_name_is_taken(write: Write, known: Known) -> None:
    text = HEAD + "葛渔城镇,南庄村,2026-10,1\n,东关村,2026-10,2\n落垡镇,无名村,2026-10,3\n"
    confirmed = {
        ("南庄村", "葛渔城镇"): NANZHUANG,
        ("东关村", None): DONGGUAN_2,
        ("无名村", "落垡镇"): "131002101999",
    }
    prepared = prepare(write(text), Request(confirmed=confirmed), known)
    assert codes(prepared) == {"NAME_CONFIRMED": 2, "CONFIRMED_PLACE_UNKNOWN": 1}
    assert prepared.frame["place_id"].tolist() == [NANZHUANG, DONGGUAN_2]


def test_an_unknown_code_is_never_healed_by_a_name(write: Write, known: Known) -> None:
    text = (
        "区划代码,乡镇,村名,月份,户数\n"
        "131002101999,落垡镇,东关村,2026-10,1\n,落垡镇,东关村,2026-10,2\n,,,2026-10,3\n"
    )
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {
        "UNKNOWN_PLACE": 1, "NAME_UNCONFIRMED": 1, "NAME_MATCHED": 1, "MISSING_VALUE": 1,
    }  # fmt: skip
    assert prepared.frame["value"].tolist() == [2]
    (suggestion,) = prepared.report.suggestions
    assert suggestion.candidates[0][0] == DONGGUAN
    confirmed = {("东关村", "落垡镇"): DONGGUAN}
    again = prepare(write(text), Request(confirmed=confirmed), known)
    # Both rows are now the same village, with different figures.
    assert codes(again) == {"NAME_CONFIRMED": 2, "MISSING_VALUE": 1, "CONFLICTING_ROWS": 1}
    assert again.frame.empty


def test_a_parent_name_that_recurs_decides_nothing(write: Write, known: Known) -> None:
    extra = pd.DataFrame(
        {
            "id": ["131003102000", "131003102201"],
            "name": ["落垡镇", "东关村"],
            "level": [4, 5],
            "parent_id": ["131003000000", "131003102000"],
            "valid_from": pd.Timestamp("1900-01-01"),
            "valid_to": pd.NaT,
        }
    )
    places = pd.concat([known.places.drop(columns="path"), extra], ignore_index=True)
    twice = Known(places=arrange(places).frame, institutions=known.institutions)
    prepared = prepare(write(HEAD + "落垡镇,东关村,2026-10,1\n"), Request(), twice)
    assert codes(prepared) == {"NAME_UNCONFIRMED": 1}
    (suggestion,) = prepared.report.suggestions
    assert {one[0] for one in suggestion.candidates} >= {DONGGUAN, "131003102201"}


def test_one_suggestion_for_a_name_in_many_rows(write: Write, known: Known) -> None:
    rows = "".join(f"落垡镇,东关屯,20{year}-10,1\n" for year in range(10, 26))
    prepared = prepare(write(HEAD + rows), Request(), known)
    assert codes(prepared) == {"NAME_UNCONFIRMED": 16}
    assert len(prepared.report.suggestions) == 1
    assert prepared.report.as_dict()["suggestions"][0]["candidates"][0]["id"] == DONGGUAN


def test_institutions_match_by_name_too(write: Write, known: Known) -> None:
    text = "机构代码,机构名称,机构类别,乡镇,村名\nA1,东关卫生室,村卫生室,落垡镇,东关村\n"
    prepared = prepare(write(text), Request(), known)
    assert codes(prepared) == {"NAME_MATCHED": 1}
    assert prepared.frame["place_id"].tolist() == [DONGGUAN]

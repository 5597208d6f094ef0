"""The register of persons: every problem at once, by row, and no number in clear in any of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from loaders import registry
from loaders.model import PERSON_COLUMNS, Known, Prepared, Request
from loaders.persons import id_problem, normalise_id
from loaders.prepare import prepare
from tests.loaders.world import DONGGUAN, NANZHUANG, XIGUAN, codes, rows_of
from tests.privacy.world import id_number

Write = Callable[..., Path]
HEAD = "姓名,身份证号,联系电话,性别,出生日期,村代码\n"


@pytest.fixture
def register(known: Known) -> Known:
    """The stored county, whose register knows one erased person and one of another county."""
    states = {id_number(900): "erased", id_number(901): "elsewhere"}

    def persons(numbers: Sequence[str]) -> list[tuple[str, str]]:
        return [(f"key of {number[-4:]}", states.get(number, "")) for number in numbers]

    return replace(known, persons=persons)


def texts(prepared: Prepared, tmp_path: Path) -> str:
    """Everything a report says, in every form."""
    prepared.report.write_issues_csv(tmp_path / "issues.csv")
    return str(prepared.report.as_dict(limit=1000)) + (tmp_path / "issues.csv").read_text("utf-8")


def test_a_good_register_becomes_rows_without_identity_numbers(
    register: Known, write: Write
) -> None:
    text = HEAD + (
        f"张甲,{id_number(11)},139 0000 1111,男,1990-03-07,{DONGGUAN}\n"
        f"买买提·吐尔逊,{id_number(24)},,女性,,{XIGUAN}\n"
        f"John O'Neil,{id_number(37)},0316-2345678,1,1990年3月7日,{NANZHUANG}\n"
    )
    prepared = prepare(write(text), Request(), register)
    assert prepared.dataset == "persons" and codes(prepared) == {}
    frame = prepared.frame
    assert tuple(frame.columns) == PERSON_COLUMNS
    assert list(frame["name"]) == ["张甲", "买买提·吐尔逊", "John O'Neil"]
    assert list(frame["phone"].fillna("")) == ["13900001111", "", "03162345678"]
    assert list(frame["sex"]) == ["男", "女", "男"]
    assert list(frame["birth_year"]) == [1990, 1990, 1990]
    assert list(frame["id_last4"]) == [id_number(n)[-4:] for n in (11, 24, 37)]
    assert id_number(11) not in frame.to_csv()


def test_the_village_may_be_a_name(register: Known, write: Write) -> None:
    text = f"姓名,身份证号码,乡镇,村\n张甲,{id_number(11)},落垡镇,东关村\n"
    prepared = prepare(write(text), Request(), register)
    assert list(prepared.frame["place_id"]) == [DONGGUAN]
    assert codes(prepared) == {"NAME_MATCHED": 1}


def test_every_problem_at_once_and_none_in_clear(
    register: Known, write: Write, tmp_path: Path
) -> None:
    good = id_number(11)
    wrong_check = good[:17] + ("1" if good[17] != "1" else "2")
    lines = [
        f"张甲,{good},13900001111,男,,{DONGGUAN}",  # 2
        f"李乙,{good[:17]},13900002222,,,{DONGGUAN}",  # 3: 17 digits
        f"李乙,{wrong_check},,,,{DONGGUAN}",  # 4
        f"李乙,{id_number(12, '20990101')},,,,{DONGGUAN}",  # 5: not yet born
        f"李乙,{id_number(12, '19901341')},,,,{DONGGUAN}",  # 6: no such day
        f"李乙,1.31002E+17,,,,{DONGGUAN}",  # 7
        f"李乙,,,,,{DONGGUAN}",  # 8
        f"李乙13900003333,{id_number(13)},,,,{DONGGUAN}",  # 9: a phone in the name
        f",{id_number(14)},,,,{DONGGUAN}",  # 10
        f"李乙,{id_number(15)},1390000,,,{DONGGUAN}",  # 11: 7 digits are a landline
        f"李乙,{id_number(16)},139000033334,,,{DONGGUAN}",  # 12
        f"李乙,{id_number(17)},,女,,{DONGGUAN}",  # 13: a man's number
        f"李乙,{id_number(18)},,,1991-03-07,{DONGGUAN}",  # 14
        f"李乙,{id_number(19)},,,,131002999999",  # 15
        f"王丙,{id_number(900)},,,,{DONGGUAN}",  # 16
        f"王丙,{id_number(901)},,,,{DONGGUAN}",  # 17
        f"王丙,{id_number(20)},,,,{DONGGUAN}",  # 18
        f"王丙,{id_number(20)},,,,{XIGUAN}",  # 19: two villages
        f"王丙,{id_number(21)},,,,{DONGGUAN}",  # 20
        f"王丙,{id_number(21)},,,,{DONGGUAN}",  # 21: the same again
        f"王丙,{id_number(22)},,,,{id_number(23)}",  # 22: the number slipped
    ]
    prepared = prepare(write(HEAD + "\n".join(lines) + "\n"), Request(), register)
    expected = {
        "ID_NUMBER_FORM": [3],
        "ID_NUMBER_CHECK": [4],
        "ID_NUMBER_BIRTH": [5, 6],
        "CODE_LOST_DIGITS": [7],
        "MISSING_VALUE": [8, 10],
        "PERSON_NAME_BAD": [9],
        "PHONE_BAD": [12],
        "PERSON_SEX_DIFFERS": [13],
        "PERSON_BIRTH_DIFFERS": [14],
        "UNKNOWN_PLACE": [15, 22],
        "PERSON_ERASED": [16],
        "PERSON_ELSEWHERE": [17],
        "PERSON_TWICE": [19],
        "DUPLICATE_ROW": [21],
    }
    assert {code: sorted(rows_of(prepared, code)) for code in codes(prepared)} == expected
    assert list(prepared.frame["id_last4"]) == [id_number(n)[-4:] for n in (11, 15, 17, 18, 21)]
    told = texts(prepared, tmp_path)
    clear = [good[:17], wrong_check, "1391111", "13900003333", "139000033334", "131002E"]
    clear += [id_number(n) for n in (*range(12, 24), 900, 901)]
    assert [number for number in clear if number in told] == []
    assert "李乙" not in told and "王丙" not in told and "张甲" not in told
    assert good[-4:] not in told and id_number(20)[-4:] in told
    assert prepared.report.rows_rejected == 14


def test_numbers_in_wrong_columns_and_headings_stay_masked(
    register: Known, write: Write, tmp_path: Path
) -> None:
    # Without a header the first person stands where headings are looked for.
    text = f"张甲,{id_number(11)},13900001111\n李乙,{id_number(12)},13900002222\n"
    told = texts(prepare(write(text), Request(), register), tmp_path)
    assert id_number(11) not in told and "13900001111" not in told
    slipped = f"姓名,身份证号,乡镇,村\n东关村,{id_number(11)},{id_number(12)},13900001111\n"
    told = texts(prepare(write(slipped, "s.csv"), Request(), register), tmp_path)
    assert id_number(12) not in told and "13900001111" not in told
    figures = f"村代码,月份,签约人数\n{id_number(11)},2026-10,13900001111\n"
    told = texts(prepare(write(figures, "f.csv"), Request(), register), tmp_path)
    assert id_number(11) not in told and "13900001111" not in told


@pytest.mark.parametrize("text", ["110101199003070012", "11010119900307001a", "999999", ""])
def test_what_is_no_identity_number(text: str) -> None:
    assert id_problem(normalise_id(text), dt.date(2026, 11, 21)) is not None


@pytest.mark.parametrize("gap", [" ", "-", "\u3000", "\u200b", ""])
def test_one_person_has_one_written_form(gap: str) -> None:
    number = next(found for n in range(100) if (found := id_number(n))[-1] == "X")
    wide = "".join(chr(ord(c) + 0xFEE0) for c in number)
    for written in (number, number.lower(), wide, f"'{number}"):
        assert normalise_id(gap.join(written)) == number
        assert id_problem(normalise_id(gap.join(written)), dt.date(2026, 11, 21)) is None


def test_without_a_register_there_is_no_key(known: Known, write: Write) -> None:
    text = HEAD + f"张甲,{id_number(11)},,,,{DONGGUAN}\n"
    assert list(prepare(write(text), Request(), known).frame["key"]) == [""]


def test_the_time_of_keeping_is_declared_with_its_rule() -> None:
    persons = registry.datasets()["persons"]
    assert persons.keep_days == 730 and "个人信息保护法" in persons.keep_rule
    assert registry.datasets()["figures"].keep_days is None

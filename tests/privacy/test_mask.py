"""Names, identity numbers and phones are masked, in fields and in free text; nothing in between."""

from __future__ import annotations

import re
from datetime import date
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.privacy import mask

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def checked(number: str) -> str:
    """An identity number with its check character."""
    total = sum(int(digit) * weight for digit, weight in zip(number, WEIGHTS, strict=True))
    return number + "10X98765432"[total % 11]


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


digits = st.text("0123456789", min_size=1, max_size=20)
id_numbers = st.builds(
    lambda region, born, order: checked(f"{region:06d}{born:%Y%m%d}{order:03d}"),
    st.integers(110000, 659999),
    st.dates(min_value=date(1900, 1, 1)),
    st.integers(0, 999),
)
mobiles = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
# Words that hold no digits and none of the characters people group digits with.
words = st.text("甲乙丙村张电话号码,,;:()abc", max_size=8)


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("张三丰", "张**"),
        (" 张三 ", "张*"),
        ("欧阳修", "欧阳*"),
        ("欧阳娜娜", "欧阳**"),
        ("欧阳", "欧*"),
        ("买买提·吐尔逊", "买*·*"),
        ("买买提•吐尔逊·艾合", "买*·*·*"),
        ("John Smith", "J***"),
        ("王", "*"),
        ("", ""),
        ("𠮷野家", "𠮷**"),
    ],
)
def test_names(name: str, masked: str) -> None:
    assert mask.name(name) == masked


@given(st.text(max_size=12))
def test_of_a_name_no_more_than_a_surname_is_left(name: str) -> None:
    left = mask.name(name).replace("*", "").replace("·", "")
    assert len(left) <= 2
    assert len(left) < 2 or left in mask.COMPOUND_SURNAMES or len(normalize("NFKC", name[0])) > 1


@pytest.mark.parametrize("surname", sorted(mask.COMPOUND_SURNAMES))
def test_compound_surnames_have_two_characters(surname: str) -> None:
    assert re.fullmatch(r"[一-鿿]{2}", surname)


@given(id_numbers)
def test_an_identity_number_shows_its_last_four(number: str) -> None:
    assert mask.id_number(number) == "*" * 14 + number[-4:]
    assert mask.id_number(full_width(number)) == mask.id_number(number)


@pytest.mark.parametrize("text", ["", "1234", "12345678901"])
def test_too_short_for_an_identity_number_shows_nothing(text: str) -> None:
    assert mask.id_number(text) == "*" * len(text)


@pytest.mark.parametrize(
    ("phone", "masked"),
    [
        ("13812345678", "138****5678"),
        ("+86 138-1234-5678", "138****5678"),
        ("13812345678", "138****5678"),
        ("0316-5512345", "*********45"),
        ("120", "***"),
        ("没有电话", "****"),
    ],
)
def test_phones(phone: str, masked: str) -> None:
    assert mask.phone(phone) == masked


@given(words, id_numbers, words, st.sampled_from(["plain", "wide", "grouped", "lower"]))
def test_free_text_never_keeps_the_middle_of_an_identity_number(
    before: str, number: str, after: str, how: str
) -> None:
    written = {
        "plain": number,
        "wide": full_width(number),
        "grouped": f"{number[:6]} {number[6:14]}-{number[14:]}",
        "lower": number.lower(),
    }[how]
    text = f"{before}{written}{after}"
    masked = mask.mask_text(text)
    assert len(masked) == len(text)
    shown = normalize("NFKC", masked).upper()
    assert number[:14] not in re.sub(r"[^0-9X]", "", shown)
    assert not re.search(r"\d", shown.replace(number[-4:], "", 1))
    assert masked.startswith(before) and masked.endswith(after)


@given(words, mobiles, words, st.sampled_from(["plain", "wide", "grouped", "country"]))
def test_free_text_never_keeps_the_middle_of_a_mobile_number(
    before: str, number: str, after: str, how: str
) -> None:
    written = {
        "plain": number,
        "wide": full_width(number),
        "grouped": f"{number[:3]} {number[3:7]} {number[7:]}",
        "country": f"+86{number}",
    }[how]
    masked = normalize("NFKC", mask.mask_text(f"{before}{written}{after}"))
    kept = re.sub(r"[^0-9*]", "", masked).removeprefix("86")
    assert kept == f"{number[:3]}****{number[7:]}"


@pytest.mark.parametrize(
    "text",
    [
        "村 131025100201 第 12 行",
        "2026-10-31 08:30:00 导入 22,444 人",
        "figures_2026-10.xlsx",
        "批次 138123456789",
        "",
    ],
)
def test_codes_of_places_dates_and_counts_stay(text: str) -> None:
    assert mask.mask_text(text) == text


def test_an_identity_number_with_a_slip_is_still_masked() -> None:
    wrong = checked("13102519900307001")[:-1] + "0"
    assert mask.mask_text(f"名单 {wrong}.xlsx") == f"名单 {'*' * 14}{wrong[-4:]}.xlsx"


def test_a_first_generation_number_is_masked() -> None:
    assert mask.mask_text("131025900307001") == "*" * 11 + "7001"


@given(st.text(max_size=60))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask.mask_text(text)
    assert mask.mask_text(once) == once

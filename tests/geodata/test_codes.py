import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geodata.codes import (
    NATION_CODE,
    is_division_code,
    levels_and_parents,
    normalise,
    normalise_all,
    parse,
)
from geodata.model import Level

provinces = st.sampled_from(["11", "13", "34", "43", "44", "50", "65", "71", "82"])


def digits(count):
    return st.integers(0, 10**count - 1).map(lambda number: f"{number:0{count}d}")


segments = st.tuples(provinces, digits(2), digits(2), digits(3), digits(3))
division_codes = segments.map("".join)


@pytest.mark.parametrize(
    ("written", "id"),
    [
        ("131002000000", "131002000000"),
        ("131002", "131002000000"),
        ("13", "130000000000"),
        ("1310", "131000000000"),
        ("131002001", "131002001000"),
        ("131002.0", "131002000000"),
        ("131002001001.00", "131002001001"),
        (131002, "131002000000"),
        (131002001001, "131002001001"),
        (np.int64(1310), "131000000000"),
        (1.31002e11, "131002000000"),
        (np.float64(131002001001.0), "131002001001"),
        ("１３１００２００１００１", "131002001001"),
        ("１３１００２．０", "131002000000"),
        (" 131002 001 001\u3000", "131002001001"),
        ("131002\u00a0001001\t", "131002001001"),
        ("\ufeff131002", "131002000000"),
        ("'131002001001", "131002001001"),
        ("100000", NATION_CODE),
        # Not of China: digits stay digits, all else stays as it was.
        ("10", "10"),
        ("991234", "991234"),
        ("4501.0", "450100000000"),
        ("990.0", "990"),
        ("13100", "13100"),
        (" US-06 037 ", "US-06 037"),
        ("Ｖ１", "Ｖ１"),
        ("1.5", "1.5"),
        (1.5, "1.5"),
        (True, "True"),
        (None, ""),
        (float("nan"), ""),
        (float("inf"), "inf"),
        (pd.NA, ""),
        ("", ""),
    ],
)
def test_normalise(written, id):
    assert normalise(written) == id


def test_text_in_scientific_notation_is_not_guessed():
    # Excel shows 131002001001 as 1.31002E+11: the village is lost, and must not become the county.
    assert normalise("1.31002E+11") == "1.31002E+11"
    assert not is_division_code(normalise("1.31002E+11"))


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none()))
def test_normalise_is_idempotent_and_total(value):
    once = normalise(value)
    assert normalise(once) == once
    assert once == once.strip()


@given(division_codes)
def test_every_way_of_writing_a_code_is_one_id(code):
    full_width = code.translate({ord("0") + i: "０１２３４５６７８９"[i] for i in range(10)})
    spaced = " ".join([code[:6], code[6:9], code[9:]])
    for written in (code, full_width, spaced, f"{code}.0", int(code), float(code)):
        assert normalise(written) == code


@given(st.lists(st.one_of(division_codes, st.text(max_size=8), st.none()), max_size=30))
def test_normalise_all_is_normalise(values):
    column = pd.Series(values, dtype=object, index=range(5, 5 + len(values)))
    for given_column in (column, column.astype("str")):
        result = normalise_all(given_column)
        assert result.tolist() == [normalise(value) for value in values]
        assert result.index.equals(column.index)


def test_normalise_all_takes_numbers_and_leaves_clean_columns_alone():
    assert normalise_all(pd.Series([131002.0, np.nan])).tolist() == ["131002000000", ""]
    clean = pd.Series(["131002001001", "131002001002"], dtype="str")
    assert normalise_all(clean) is clean


@pytest.mark.parametrize(
    ("code", "level", "parent"),
    [
        (NATION_CODE, Level.NATION, None),
        ("130000000000", Level.PROVINCE, None),
        ("131000000000", Level.CITY, "130000000000"),
        ("131002000000", Level.COUNTY, "131000000000"),
        ("131002001000", Level.TOWNSHIP, "131002000000"),
        ("131002001001", Level.VILLAGE, "131002001000"),
        # A town directly under its city, a village directly under its county.
        ("441900003000", Level.TOWNSHIP, "441900000000"),
        ("441900003001", Level.VILLAGE, "441900003000"),
        ("131002000001", Level.VILLAGE, "131002000000"),
    ],
)
def test_parse(code, level, parent):
    parsed = parse(code)
    assert (parsed.code, parsed.level, parsed.parent_id) == (code, level, parent)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("131002", "12 digits"),
        ("13100200100a", "12 digits"),
        ("１３１００２００１００１", "12 digits"),
        ("", "12 digits"),
        ("131002001001\n", "12 digits"),
        ("990000000000", "province"),
        ("000000000000", "province"),
        ("100000000001", "province"),
    ],
)
def test_parse_says_what_is_wrong(code, reason):
    assert not is_division_code(code)
    with pytest.raises(ValueError, match=reason):
        parse(code)


@given(division_codes)
def test_parents_lead_up_to_a_province(code):
    level = parse(code).level
    while (parent := parse(code).parent_id) is not None:
        above = parse(parent)
        assert above.level < level
        assert code.startswith(parent.rstrip("0"))
        code, level = parent, above.level
    assert level is Level.PROVINCE


@given(st.lists(st.one_of(division_codes, st.text(max_size=13), st.just(NATION_CODE)), max_size=40))
def test_levels_and_parents_is_parse(ids):
    levels, parents = levels_and_parents(pd.Series(ids, dtype="str"))
    for id, level, parent in zip(ids, levels, parents, strict=True):
        if is_division_code(id):
            assert level == parse(id).level
            assert (None if pd.isna(parent) else parent) == parse(id).parent_id
        else:
            assert pd.isna(level)
            assert pd.isna(parent)


def test_levels_and_parents_of_missing_ids_keep_the_index():
    levels, parents = levels_and_parents(pd.Series(["131002001001", None], index=[7, 3]))
    assert levels.index.tolist() == parents.index.tolist() == [7, 3]
    assert levels.isna().tolist() == parents.isna().tolist() == [False, True]


def test_a_real_county_agrees_with_its_own_columns(fenghuang_places):
    levels, parents = levels_and_parents(fenghuang_places["code"])
    words = {"county": Level.COUNTY, "town": Level.TOWNSHIP, "village": Level.VILLAGE}
    assert levels.tolist() == [words[word] for word in fenghuang_places["level"]]
    assert parents.tolist() == fenghuang_places["parent"].tolist()

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geodata.tree import COLUMNS, arrange


def table(*rows):
    """Rows of (id, level, parent[, valid_from[, valid_to]]), numbered like a sheet's rows."""
    full = [
        (id, f"名{id}", level, parent, *(*period, None, None)[:2])
        for id, level, parent, *period in rows
    ]
    frame = pd.DataFrame(full, columns=list(COLUMNS), index=range(2, 2 + len(rows)))
    return frame.assign(
        valid_from=pd.to_datetime(frame["valid_from"]), valid_to=pd.to_datetime(frame["valid_to"])
    )


def kinds(tree):
    return [(problem.index, problem.kind) for problem in tree.problems]


def paths(tree):
    return tree.frame["path"].tolist()


def test_paths_from_several_roots_in_any_order():
    tree = arrange(
        table(("v", 5, "t"), ("t", 4, "c"), ("c", 3, None), ("other", 4, ""), ("w", 5, "other"))
    )
    assert tree.problems == []
    assert paths(tree) == ["c/t/v/", "c/t/", "c/", "other/", "other/w/"]
    assert list(tree.frame.columns) == [*COLUMNS, "path"]
    assert tree.frame.index.tolist() == [2, 3, 4, 5, 6]


def test_the_given_frame_is_left_alone_and_may_be_empty():
    given_rows = table(("c", 3, None))
    before = given_rows.copy()
    arrange(given_rows)
    pd.testing.assert_frame_equal(given_rows, before)
    assert arrange(table()).frame["path"].tolist() == []


def test_extra_columns_stay():
    tree = arrange(table(("c", 3, None)).assign(lon=116.5))
    assert tree.frame["lon"].tolist() == [116.5]


def test_an_unknown_parent_is_named_and_nothing_below_it_is_blamed():
    tree = arrange(table(("t", 4, "missing"), ("v", 5, "t"), ("c", 3, None)))
    assert kinds(tree) == [(2, "unknown_parent")]
    assert tree.problems[0].id == "t"
    assert tree.problems[0].detail == "missing"
    assert paths(tree) == [None, None, "c/"]


def test_a_cycle_is_named_by_its_ids():
    tree = arrange(
        table(("a", 3, "b"), ("b", 4, "x"), ("x", 5, "a"), ("below", 5, "a"), ("self", 4, "self"))
    )
    assert kinds(tree) == [(2, "cycle"), (3, "cycle"), (4, "cycle"), (6, "cycle")]
    assert tree.problems[0].detail == "a → b → x → a"
    assert tree.problems[3].detail == "self → self"
    assert paths(tree) == [None] * 5


def test_a_long_cycle_is_cut_short():
    n = 50_000
    tree = arrange(table(*((f"p{i}", 4, f"p{(i + 1) % n}") for i in range(n))))
    assert len(tree.problems) == n
    assert {problem.kind for problem in tree.problems} == {"cycle"}
    assert tree.problems[0].detail.endswith("p11 → … → p0")


@pytest.mark.parametrize(
    ("parent", "child", "detail"),
    [
        (4, 4, "乡镇 > 乡镇"),
        (5, 4, "村 > 乡镇"),
        (3, None, "县 > ?"),
        (3, 9, None),
        (None, 5, "? > 村"),
    ],
)
def test_levels_must_fall(parent, child, detail):
    tree = arrange(table(("p", parent, None), ("c", child, "p"), ("d", 5, "c")))
    found = [p for p in tree.problems if p.id == "c"]
    if detail is None:
        assert found == []
    else:
        assert [(p.kind, p.detail) for p in found] == [("level_order", detail)]
        assert paths(tree)[1:] == [None, None]


def test_levels_may_be_skipped():
    assert paths(arrange(table(("c", 2, None), ("v", 5, "c")))) == ["c/", "c/v/"]


def test_the_same_id_on_the_same_day_twice():
    tree = arrange(table(("c", 3, None), ("t", 4, "c", "2024-01-01"), ("t", 4, "c", "2024-01-01")))
    assert kinds(tree) == [(3, "duplicate_id"), (4, "duplicate_id")]
    assert tree.problems[0].detail == "2024-01-01"
    assert paths(tree) == ["c/", None, None]
    undated = arrange(table(("c", 3, None), ("c", 3, None)))
    assert kinds(undated) == [(2, "duplicate_id"), (3, "duplicate_id")]


def test_rows_below_a_duplicate_are_not_judged_by_either_of_the_two():
    tree = arrange(table(("p", 3, None), ("p", 5, None), ("t", 4, "p"), ("v", 5, "t")))
    assert kinds(tree) == [(2, "duplicate_id"), (3, "duplicate_id")]
    assert paths(tree) == [None] * 4


def test_periods_may_follow_each_other_but_not_overlap():
    touching = table(("c", 3, None, "2020-01-01", "2022-01-01"), ("c", 3, None, "2022-01-01"))
    assert arrange(touching).problems == []
    # The open period runs into both later ones, which do not touch each other.
    tree = arrange(
        table(
            ("c", 3, None, "2020-01-01"),
            ("c", 3, None, "2021-01-01", "2021-06-01"),
            ("c", 3, None, "2022-01-01", "2022-06-01"),
            ("d", 3, None, "2021-01-01", "2022-01-01"),
        )
    )
    assert kinds(tree) == [(i, "overlapping_periods") for i in (2, 3, 4)]
    assert [problem.detail for problem in tree.problems] == [
        "2020-01-01/..",
        "2021-01-01/2021-06-01",
        "2022-01-01/2022-06-01",
    ]


def test_a_period_that_ends_before_it_begins():
    tree = arrange(table(("c", 3, None, "2024-05-01", "2024-05-01"), ("t", 4, "c")))
    assert kinds(tree) == [(2, "empty_period")]
    assert paths(tree) == [None, None]


def test_ids_that_would_break_a_path():
    tree = arrange(table(("a/b", 3, None), (None, 3, None), ("", 3, None), ("t", 4, "a/b")))
    assert kinds(tree) == [(2, "bad_id"), (3, "bad_id"), (4, "bad_id")]
    assert paths(tree) == [None] * 4


def test_a_row_hangs_on_its_parents_version_of_that_day():
    tree = arrange(
        table(
            ("a", 3, None),
            ("b", 3, None),
            ("t", 4, "a", "2020-01-01", "2022-01-01"),
            ("t", 4, "b", "2022-01-01", "2023-01-01"),
            ("old", 5, "t", "2021-05-01"),
            ("new", 5, "t", "2022-01-01"),
            ("before", 5, "t", "2019-01-01"),
            ("always", 5, "t"),
            ("after", 5, "t", "2024-01-01"),
        )
    )
    assert tree.problems == []
    assert paths(tree)[4:] == ["a/t/old/", "b/t/new/", "a/t/before/", "a/t/always/", "b/t/after/"]


def test_columns_and_index_are_checked():
    with pytest.raises(ValueError, match="parent_id"):
        arrange(table(("c", 3, None)).drop(columns="parent_id"))
    with pytest.raises(ValueError, match="index"):
        arrange(pd.concat([table(("c", 3, None))] * 2))


def test_dates_may_be_python_dates():
    frame = table(("c", 3, None, "2024-01-01"))
    frame["valid_from"] = pd.Series([d.date() for d in frame["valid_from"]], index=frame.index)
    frame["valid_to"] = pd.Series([None], index=frame.index, dtype=object)
    assert paths(arrange(frame)) == ["c/"]


def test_six_hundred_thousand_villages():
    """Correct at full size; bench/ has the time (under a second)."""
    villages = np.arange(600_000)
    columns = [
        ("C", np.arange(3_000), None, 3),
        ("T", np.arange(60_000), "C", 4),
        ("V", villages, "T", 5),
    ]
    frames = []
    for letter, number, above, level in columns:
        ids = pd.Series(number).astype("str").radd(letter)
        parents = pd.Series(number // (20 if level == 4 else 10)).astype("str")
        parent_id = parents.radd(above) if above else None
        frames.append(
            pd.DataFrame({"id": ids, "name": ids, "level": level, "parent_id": parent_id})
        )
    frame = pd.concat(frames, ignore_index=True)
    frame["valid_from"] = pd.Timestamp("2024-01-01")
    frame["valid_to"] = pd.NaT
    tree = arrange(frame.sample(frac=1, random_state=1))
    assert tree.problems == []
    by_id = tree.frame.set_index("id")["path"]
    assert by_id["V599999"] == "C2999/T59999/V599999/"
    assert by_id.notna().all()


ids = st.sampled_from("abcdefgh")
days = st.integers(0, 6).map(lambda n: f"2024-01-0{n + 1}")
any_rows = st.lists(
    st.tuples(
        ids,
        st.integers(0, 5),
        st.one_of(st.none(), ids),
        st.one_of(st.none(), days),
        st.one_of(st.none(), days),
    ),
    max_size=14,
)


@settings(max_examples=120)
@given(any_rows)
def test_every_row_has_a_right_path_or_a_reason(rows):
    frame = table(*rows)
    tree = arrange(frame)
    blamed = {problem.index for problem in tree.problems}
    written = tree.frame["path"]
    by_id = frame.groupby("id").groups
    for row in frame.itertuples():
        path = written[row.Index]
        if row.Index in blamed:
            assert path is None
        elif path is None:
            # Not at fault itself: some version of its parent has no path either.
            assert any(written[i] is None for i in by_id[row.parent_id])
        else:
            segments = path.split("/")
            assert segments[-2:] == [row.id, ""]
            assert len(set(segments)) == len(segments)
            above = path.removesuffix(f"{row.id}/")
            if pd.isna(row.parent_id):
                assert above == ""
            else:
                matches = [i for i in by_id[row.parent_id] if written[i] == above]
                assert any(frame.at[i, "level"] < row.level for i in matches)
    # Rows the rules forbid together are never both accepted.
    accepted = frame[written.notna()]
    for _, versions in accepted.groupby("id"):
        ordered = versions.sort_values("valid_from", na_position="first")
        ends = ordered["valid_to"].tolist()[:-1]
        starts = ordered["valid_from"].tolist()[1:]
        assert all(end <= start for end, start in zip(ends, starts, strict=True))


@settings(max_examples=50)
@given(any_rows, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(rows, random):
    frame = table(*rows)
    shuffled = list(frame.index)
    random.shuffle(shuffled)
    first, second = arrange(frame), arrange(frame.loc[shuffled])
    pd.testing.assert_series_equal(first.frame["path"], second.frame["path"].sort_index())
    assert set(kinds(first)) == set(kinds(second))

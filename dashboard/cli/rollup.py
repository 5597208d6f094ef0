"""``rollup``: a month rolled up again from what is stored."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated

import typer

from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    actor,
    open_store,
    print_json,
    progress,
    reporting,
)
from dashboard.coverage import disclosure, registry
from dashboard.store.commit import reroll


def rollup(
    month: Annotated[str, typer.Option(help="要重新汇总的月份 YYYY-MM。")],
    engine: Annotated[
        str | None, typer.Option(help="计算引擎：duckdb 或 spark；不写则按设置 engine。")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """用已有的数据和台账重新汇总一个月，发布为新的版本。"""
    began = time.monotonic()
    with reporting(as_json), closing(open_store(data)) as store:
        made = reroll(store, actor(store, login), month, registry.pairs(), progress, engine=engine)
        rows = store.snapshots.rows(made)
        disclosure.prepare(store.snapshots, [made])
        used = engine or store.compute.engine
    took = time.monotonic() - began
    if as_json:
        found = {"month": made.month, "version": made.version, "engine": used, "rows": rows}
        print_json({**found, "seconds": round(took, 3)})
        return
    typer.echo(
        f"{made.month} 已重新汇总为第 {made.version} 版：{rows:,} 行，{took:.1f} 秒，{used}。"
    )

"""``ledger``: the records figures are counted from, row by row."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import Annotated, Any

import typer

from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    actor,
    open_store,
    print_json,
    reporting,
)
from dashboard.coverage import ledgers
from dashboard.coverage.ledgers import PAGE, Page, Period, Query
from geodata.errors import DudaoError
from loaders.registry import PERSON


def ledger(
    dataset: Annotated[str, typer.Option(help="台账：residents、contracts、services 等。")],
    place: Annotated[str, typer.Option(help="区划代码，列出它和它以下的记录。")],
    month: Annotated[str | None, typer.Option(help="月份 YYYY-MM；不写为最近一个月。")] = None,
    period: Annotated[
        Period, typer.Option(help="counted 计入当月指标的，month 只看当月，all 全部。")
    ] = Period.COUNTED,
    where: Annotated[
        list[str] | None,
        typer.Option(help="筛选，可重复：kind=exam,record、fee_paid=no、day=2026-01-01..。"),
    ] = None,
    sort: Annotated[str, typer.Option(help="按哪一列排序，前面加 - 为降序。")] = "",
    page: Annotated[int, typer.Option(min=1, help="第几页。")] = 1,
    size: Annotated[int, typer.Option(min=1, help="每页多少条。")] = PAGE,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """一地的台账逐条列出；涉及个人的脱敏，打开即记入审计。"""
    with reporting(as_json), closing(open_store(data)) as store:
        who = actor(store, login)
        with store.unit(who, "records.view") as unit:
            months = unit.months()
            chosen = month or (months[-1] if months else f"{date.today():%Y-%m}")
            seen = ledgers.sight(unit, dataset, place, chosen)
        filters = []
        for one in where or []:
            name, equals, text = one.partition("=")
            if not equals:
                raise DudaoError(
                    "LEDGER_FILTER", f"筛选“{one}”写法不对。", "请写作 列=值，例如 kind=exam。"
                )
            filters.append(ledgers.filter_of(seen, name.strip(), text))
        query = Query(
            dataset,
            place,
            chosen,
            period,
            tuple(filters),
            sort.removeprefix("-"),
            sort.startswith("-"),
            page,
            size,
        )
        found = ledgers.read(store, who, query)
    rows = _rows(found)
    if as_json:
        print_json(
            {
                "dataset": dataset,
                "place": place,
                "month": chosen,
                "period": period.value,
                "page": page,
                "total": found.total,
                "rows": rows,
            }
        )
        return
    columns = [*_head(found), *(name for name in found.sight.columns if name != PERSON)]
    typer.echo("\t".join(columns))
    for row in rows:
        typer.echo("\t".join(_text(row[one]) for one in columns))
    typer.echo(f"共 {found.total:,} 条")


def _text(value: Any) -> str:
    if value is None:
        return "—"
    return ",".join(value) if isinstance(value, list) else str(value)


def _head(page: Page) -> list[str]:
    return ["number", *(("name", "id_number") if page.persons else ())]


def _rows(page: Page) -> list[dict[str, Any]]:
    """Each row by canonical column; codes as codes, days as ``YYYY-MM-DD``."""
    rows = []
    for at, values in enumerate(page.rows):
        row: dict[str, Any] = {"number": page.first + at}
        if page.persons:
            person = page.persons[at]
            row["name"] = None if person is None else person.name
            row["id_number"] = None if person is None else person.id_number
        for (name, column), value in zip(page.sight.columns.items(), values, strict=True):
            if name == PERSON:
                continue
            if isinstance(value, date):
                row[name] = value.isoformat()
            elif column.kind == "choices" and isinstance(value, str):
                row[name] = value.split()
            else:
                row[name] = value
        rows.append(row)
    return rows

"""``audit verify`` and ``audit tail``.

Exit codes: 0 intact, 2 broken (the first broken link is named) or the input was rejected, 1
anything else.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dashboard.accounts import audit
from dashboard.accounts.audit import Query
from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    actor,
    open_store,
    print_json,
    reporting,
)
from dashboard.store.audit import Record, Verified

app = typer.Typer(help="审计记录：核验与查看。", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def verify(as_json: JsonOption = False, data: DataOption = None, login: AsOption = None) -> None:
    """核验全部审计记录是否被改动、删除、调换或截去。"""
    with reporting(as_json):
        store = open_store(data)
        found = audit.verify(store, actor(store, login))
    if as_json:
        print_json(_verified(found))
    elif found.broken is None:
        typer.echo(f"审计记录完好：共 {found.rows:,} 条，逐条核验无误。")
    else:
        typer.echo(f"审计记录已损坏：{found.broken.message}其前 {found.rows:,} 条完好。")
    if not found.intact:
        raise typer.Exit(2)


def _verified(found: Verified) -> dict[str, Any]:
    broken = found.broken
    return {
        "ok": found.intact,
        "rows": found.rows,
        "anchored": found.anchored,
        "first_broken": None
        if broken is None
        else {"seq": broken.seq, "kind": broken.kind.value, "message": broken.message},
    }


@app.command()
def tail(
    limit: Annotated[int, typer.Option(help="最近的条数，1 至 1000。")] = 20,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """列出最近的审计记录，最新的在最后。"""
    with reporting(as_json):
        store = open_store(data)
        page = audit.search(store, actor(store, login), Query(), limit=limit)
    records = page.records[::-1]
    if as_json:
        print_json({"records": [_record(record) for record in records]})
        return
    for record in records:
        when = record.at.astimezone().isoformat(" ", "seconds") if record.at else "?"
        told = json.dumps(record.details, ensure_ascii=False) if record.details else ""
        typer.echo(
            f"{record.seq}\t{when}\t{record.actor_name}\t{record.action}\t{record.outcome}"
            f"\t{record.place_id or '-'}\t{record.subject or '-'}\t{told}"
        )


def _record(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "at": record.at.isoformat() if record.at else None,
        "actor": record.actor,
        "actor_name": record.actor_name,
        "via": record.via,
        "action": record.action,
        "place_id": record.place_id,
        "subject": record.subject,
        "outcome": record.outcome,
        "details": record.details,
    }

"""``erase``: a person and every copy, with proof."""

from __future__ import annotations

from typing import Annotated

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
from dashboard.intake.copies import COPIES
from dashboard.privacy import service
from geodata.errors import DudaoError

UNSTATED = "依本人申请删除"
"""The reason that is kept when none is given."""


def erase(
    person: Annotated[
        str | None,
        typer.Option(
            "--person",
            metavar="KEY",
            help="人员标识(64 位，见“个人数据路径”)。不收身份证号：命令行会留在终端历史里。",
        ),
    ] = None,
    expired: Annotated[
        bool, typer.Option("--expired", help="改为清除所有超过保存期限的个人数据，可定时执行。")
    ] = False,
    reason: Annotated[str, typer.Option(help="事由，会随删除证明长期保存。")] = UNSTATED,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """删除一个人(或超过保存期限的人)的全部个人数据和副本，并留下删除证明。"""
    with reporting(as_json):
        store = open_store(data)
        who = actor(store, login)
        if expired == (person is not None):
            raise DudaoError(
                "ERASE_FORM",
                "没有说明要删除谁。",
                "请用 --person 指明一个人员标识，或用 --expired 清除超过保存期限的。",
            )
        if person is None:
            result = service.expire(store, who, COPIES)
        else:
            result = service.erase(store, who, person, reason, COPIES)
    if as_json:
        print_json({"ok": True, **result.as_dict()})
        return
    if not result.proofs:
        typer.echo("没有超过保存期限的个人数据。")
    for proof in result.proofs:
        again = "此前已删除，已再次清除痕迹" if result.again else "已删除"
        typer.echo(f"{again}：{proof.key}")
        typer.echo(f"  共删除 {proof.rows} 行，时间 {proof.at}，操作人 {proof.by}")
        typer.echo(f"  删除证明 {proof.proof}")
    for name, count in result.copies.items():
        typer.echo(f"  另删除暂存文件({name}) {count} 个")
    for rest in result.remaining:
        typer.echo(f"  仍存于 {rest.what} {rest.name} {rest.made_at}：{rest.advice}")

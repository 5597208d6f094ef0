"""``backup``, ``restore``, ``check`` and ``undo``.

Exit codes: 0 done, 2 the input was rejected or a check found something, 1 anything else.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    actor,
    only_operator,
    open_store,
    print_json,
    progress,
    reporting,
    settings,
)
from dashboard.coverage import disclosure, registry
from dashboard.store.archive import Manifest
from dashboard.store.backup import BackupResult, RestoreResult
from dashboard.store.backup import backup as make_backup
from dashboard.store.backup import restore as put_back
from dashboard.store.integrity import CheckResult
from dashboard.store.integrity import check as look_at_everything
from dashboard.store.undo import undo as take_back


def backup(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="备份文件，不得已存在。")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="连同密钥一起备份；建议同时加密。")
    ] = False,
    recipient: Annotated[
        str | None, typer.Option(metavar="AGE", help="age 公钥：备份加密后只有对应私钥能读。")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """把全部数据写成一个备份文件，网页不必停。"""
    with reporting(as_json), closing(open_store(data)) as store:
        made = make_backup(
            store,
            actor(store, login),
            out,
            with_keys=with_keys,
            recipient=recipient,
            progress=progress,
        )
    if as_json:
        print_json(_backup(made))
        return
    rows = sum(made.manifest.tables.values())
    typer.echo(f"已备份到 {made.file}：{rows:,} 行，{made.size / 1e6:,.1f} MB。")
    typer.echo(f"SHA-256 {made.sha256}")
    if made.with_keys and not made.encrypted:
        typer.echo("注意：密钥在备份中且没有加密，请严格保管。")
    if not made.with_keys:
        typer.echo(
            f"注意：密钥目录 {store.keys.directory} 不在备份中，请另行保管；"
            "没有它，恢复后无法核验审计记录，也无法对应个人数据。"
        )


def restore(
    source: Annotated[Path, typer.Option("--from", metavar="FILE", help="备份文件。")],
    replace: Annotated[
        bool, typer.Option("--replace", help="目标已有数据时也恢复；原有数据移到旁边保留。")
    ] = False,
    identity: Annotated[
        Path | None, typer.Option(metavar="FILE", help="age 私钥文件，备份加密时需要。")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """从备份文件恢复，恢复后自动检查。请先停止网页服务。"""
    with reporting(as_json):
        chosen = settings(data)
        done = put_back(
            source,
            chosen.data,
            chosen.database_url,
            only_operator(login, "restore"),
            keys=chosen.keys,
            replace=replace,
            identity=identity,
            progress=progress,
        )
    if as_json:
        print_json(_restored(done))
    else:
        typer.echo(f"已恢复 {done.manifest.created} 的备份到 {done.directory}。")
        if done.replaced is not None:
            typer.echo(f"原有数据保留为 {done.replaced}。")
        if done.erased:
            typer.echo(f"备份之后的 {done.erased} 条个人数据删除已重新执行。")
        typer.echo("所有人都需要重新登录；备份之后的账号和授权变动请重新办理。")
        _print_check(done.checked)
    if not done.checked.ok:
        raise typer.Exit(2)


def check(as_json: JsonOption = False, data: DataOption = None, login: AsOption = None) -> None:
    """检查数据库、月度数据、汇总文件、审计记录和相互引用是否完整。"""
    with reporting(as_json), closing(open_store(data)) as store:
        found = look_at_everything(store, actor(store, login), progress, registry.pairs())
    if as_json:
        print_json(_checked(found))
    else:
        _print_check(found)
    if not found.ok:
        raise typer.Exit(2)


def undo(
    batch: Annotated[int, typer.Argument(metavar="BATCH", help="导入批次号。")],
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """撤销一次导入，数据恢复到导入之前。"""
    with reporting(as_json), closing(open_store(data)) as store:
        done = take_back(store, actor(store, login), batch, registry.pairs(), progress)
        disclosure.prepare(store.snapshots, done.snapshots)
    if as_json:
        print_json(
            {
                "batch": done.batch,
                "rows": done.rows,
                "months": [
                    {"month": each.month, "version": each.version} for each in done.snapshots
                ],
                "withdrawn": list(done.withdrawn),
                "later": list(done.later),
            }
        )
        return
    typer.echo(f"第 {done.batch} 批导入已撤销，涉及 {done.rows:,} 行。")
    if done.later:
        listed = "、".join(str(number) for number in done.later)
        typer.echo(
            f"注意：第 {listed} 批也含这些月份；其中与被撤销批次相同的数值没有另存，"
            "请重新导入这些文件。"
        )


def _print_check(found: CheckResult) -> None:
    for problem in found.problems:
        examples = f"(如 {'、'.join(problem.examples)})" if problem.examples else ""
        typer.echo(f"{problem.code}\t{problem.count}\t{problem.message}{examples}")
    if found.ok:
        typer.echo("检查完成，没有发现问题。")


def _checked(found: CheckResult) -> dict[str, Any]:
    return {
        "ok": found.ok,
        "problems": [problem.as_dict() for problem in found.problems],
        "checked": found.checked,
    }


def _manifest(manifest: Manifest) -> dict[str, Any]:
    return {
        "created": manifest.created,
        "program": manifest.program,
        "schema": manifest.schema,
        "store_id": manifest.store_id,
        "tables": dict(manifest.tables),
        "chain": {"seq": manifest.chain[0], "mac": manifest.chain[1]},
    }


def _backup(made: BackupResult) -> dict[str, Any]:
    return {
        "file": str(made.file),
        "sha256": made.sha256,
        "bytes": made.size,
        "encrypted": made.encrypted,
        "with_keys": made.with_keys,
        "members": len(made.manifest.members),
        **_manifest(made.manifest),
    }


def _restored(done: RestoreResult) -> dict[str, Any]:
    return {
        "data": str(done.directory),
        "replaced": done.replaced,
        "erased_again": done.erased,
        **_manifest(done.manifest),
        "check": _checked(done.checked),
    }

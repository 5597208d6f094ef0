"""``user``: accounts and what they may, from the command line."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from dashboard.access import Role
from dashboard.accounts import service
from dashboard.accounts.model import Account, HeldGrant, Link
from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    actor,
    open_store,
    print_json,
    reporting,
    settings,
)
from geodata.errors import DudaoError

app = typer.Typer(help="账号与权限。", no_args_is_help=True, rich_markup_mode=None)

LoginArgument = Annotated[str, typer.Argument(metavar="LOGIN", help="账号名称。")]
RoleOption = Annotated[str, typer.Option("--role", help="角色:" + "、".join(Role) + "。")]
PlaceOption = Annotated[str | None, typer.Option("--place", help="区划代码，含其全部下级。")]
EverywhereOption = Annotated[bool, typer.Option("--everywhere", help="全部地区。")]
FromOption = Annotated[str | None, typer.Option("--from", help="起始日期 YYYY-MM-DD。")]
ToOption = Annotated[str | None, typer.Option("--to", help="截止日期 YYYY-MM-DD(不含该日)。")]


@app.command()
def add(
    login: LoginArgument,
    title: Annotated[str, typer.Option("--title", help="姓名和职务。")],
    role: Annotated[str | None, typer.Option("--role", help="同时授予的角色。")] = None,
    place: PlaceOption = None,
    everywhere: EverywhereOption = False,
    begin: FromOption = None,
    end: ToOption = None,
    data: DataOption = None,
    as_login: AsOption = None,
) -> None:
    """新建账号，给出设置口令的一次性链接(24 小时内有效)。"""
    with reporting(False):
        if role is not None:
            _place(place, everywhere)
        elif place is not None or everywhere or begin or end:
            raise DudaoError("GRANT_FORM", "没有写明角色。", "请用 --role 写明角色。")
        store = open_store(data)
        link = service.add_account(
            store,
            actor(store, as_login),
            login,
            title,
            role=None if role is None else Role.parse(role),
            place_id=place,
            valid_from=_day(begin),
            valid_to=_day(end),
        )
        _tell(link, data)


@app.command()
def grant(
    login: LoginArgument,
    role: RoleOption,
    place: PlaceOption = None,
    everywhere: EverywhereOption = False,
    begin: FromOption = None,
    end: ToOption = None,
    data: DataOption = None,
    as_login: AsOption = None,
) -> None:
    """授予账号一个角色；该账号的登录随即全部结束。"""
    with reporting(False):
        _place(place, everywhere)
        store = open_store(data)
        who = actor(store, as_login)
        seen = service.account(store, who, login)
        after = service.grant(store, who, seen, Role.parse(role), place, _day(begin), _day(end))
        typer.echo(_line(after))


@app.command()
def revoke(
    login: LoginArgument,
    role: RoleOption,
    place: PlaceOption = None,
    everywhere: EverywhereOption = False,
    data: DataOption = None,
    as_login: AsOption = None,
) -> None:
    """收回账号的角色(不写地区则收回该角色的全部地区);该账号的登录随即全部结束。"""
    with reporting(False):
        if place is not None and everywhere:
            _place(place, everywhere)
        wanted = Role.parse(role)
        store = open_store(data)
        who = actor(store, as_login)
        seen = service.account(store, who, login)
        taken = [
            each.id
            for each in seen.grants
            if each.role is wanted
            and (place is None or each.place_id == place)
            and (not everywhere or each.place_id is None)
        ]
        typer.echo(_line(service.revoke(store, who, seen, taken)))


@app.command("list")
def list_users(
    as_json: JsonOption = False, data: DataOption = None, as_login: AsOption = None
) -> None:
    """列出账号和角色。"""
    with reporting(as_json):
        store = open_store(data)
        found = service.list_accounts(store, actor(store, as_login))
    if as_json:
        print_json({"users": [_dict(each) for each in found]})
        return
    for each in found:
        typer.echo(_line(each))


@app.command()
def reset(login: LoginArgument, data: DataOption = None, as_login: AsOption = None) -> None:
    """使账号的口令失效，给出重新设置口令的一次性链接；该账号的登录随即全部结束。"""
    with reporting(False):
        store = open_store(data)
        who = actor(store, as_login)
        seen = service.account(store, who, login)
        _tell(service.reset(store, who, seen.id), data)


def _place(place: str | None, everywhere: bool) -> None:
    if (place is None) is not everywhere:
        raise DudaoError(
            "GRANT_FORM", "地区的写法不对。", "请写 --place 区划代码，或 --everywhere，二者取一。"
        )


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        raise DudaoError(
            "DATE_INVALID", f"日期“{text}”的写法不对。", "请写作 2026-07-01 这样的形式。"
        ) from error


def _tell(link: Link, data: Path | None) -> None:
    """Say the link whole when the site's address is known, else its path."""
    typer.echo(f"账号 {link.login}:请在 24 小时内打开下面的链接设置口令，链接只能使用一次。")
    typer.echo(settings(data).address + link.path)


def _line(each: Account) -> str:
    grants = ";".join(grant.words for grant in each.grants) or "没有角色"
    return f"{each.login}\t{each.title}\t{each.state.words}\t{grants}"


def _dict(each: Account) -> dict[str, Any]:
    return {
        "id": each.id,
        "login": each.login,
        "title": each.title,
        "state": each.state.value,
        "version": each.version,
        "demonstration": each.demonstration,
        "external": each.external,
        "has_password": each.has_password,
        "created": each.created,
        "grants": [_grant_dict(grant) for grant in each.grants],
        "elsewhere": each.elsewhere,
    }


def _grant_dict(grant: HeldGrant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "role": grant.role.value,
        "place": grant.place_id,
        "place_name": grant.place_name,
        "from": grant.valid_from.isoformat(),
        "to": grant.valid_to.isoformat() if grant.valid_to else None,
        "granted_by": grant.granted_by,
    }

"""Words of the page 管理: actions, details and outcomes by name, and an audit row as a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar

from dashboard.access import ACTIONS, Role
from dashboard.accounts.model import Account, HeldGrant, State
from dashboard.coverage import registry, wording
from dashboard.coverage.ledgers import Period
from dashboard.coverage.model import Part, Source
from dashboard.coverage.modes import Mode
from dashboard.store.audit import Break, Broken, Outcome, Record
from dashboard.ui import datawords, format
from dashboard.ui.ledgersview import period_name
from dashboard.ui.texts import (
    _,
    language,
    layer_title,
    level_name,
    mode_name,
    role_title,
    source_name,
)
from geodata.model import Level
from loaders.registry import datasets

_SHORT = 12


def action_name(action_id: str) -> str:
    """What an action is called."""
    return {
        "places.view": _("查看地图、区划和数据"),
        "figures.export": _("导出数据表"),
        "data.check": _("检查上传的文件"),
        "data.load": _("导入文件"),
        "data.load_places": _("导入区划"),
        "data.undo": _("撤销一次导入"),
        "data.batches": _("查看导入记录"),
        "data.publish": _("重新汇总"),
        "data.demonstrate": _("准备演示数据"),
        "records.view": _("查看台账"),
        "records.persons": _("查看涉及个人的台账(脱敏)"),
        "persons.view": _("查看人员名单(脱敏)"),
        "persons.reveal": _("查看人员完整信息"),
        "persons.trace": _("查看个人数据路径"),
        "persons.erase": _("删除个人数据"),
        "persons.admit": _("恢复登记已删除的人员"),
        "persons.expire": _("清除超过保存期限的个人数据"),
        "accounts.view": _("查看账号"),
        "accounts.add": _("新建账号"),
        "accounts.change": _("修改账号"),
        "accounts.grant": _("授予角色"),
        "accounts.revoke": _("收回角色"),
        "accounts.reset": _("重置登录"),
        "sessions.view": _("查看登录会话"),
        "sessions.end": _("结束他人登录"),
        "session.sign_in": _("登录"),
        "session.sign_out": _("退出登录"),
        "session.password": _("修改本人口令"),
        "gate.refused": _("向服务器发送不允许的请求"),
        "audit.search": _("查询审计记录"),
        "audit.verify": _("核验审计记录"),
        "backup.make": _("备份"),
        "backup.restore": _("恢复备份"),
        "store.check": _("检查数据完整性"),
        "store.status": _("查看数据目录概况"),
    }.get(action_id, ACTIONS[action_id].title if action_id in ACTIONS else action_id)


def group_name(group: str) -> str:
    """All actions of one subject, the part of their ids before the dot."""
    return {
        "places": _("地图和区划"),
        "figures": _("数据导出"),
        "data": _("数据导入"),
        "records": _("台账"),
        "persons": _("个人数据"),
        "accounts": _("账号和授权"),
        "sessions": _("登录会话"),
        "session": _("登录和退出"),
        "gate": _("被拦截的请求"),
        "audit": _("审计"),
        "backup": _("备份和恢复"),
        "store": _("数据目录"),
    }.get(group, group)


def outcome_name(outcome: str) -> str:
    """How an action ended."""
    return {
        Outcome.DONE.value: _("完成"),
        Outcome.DENIED.value: _("被拒绝"),
        Outcome.FAILED.value: _("未成功"),
    }.get(outcome, outcome)


def via_name(via: str) -> str:
    """From where somebody acted."""
    return {"web": _("网页"), "cli": _("命令行"), "system": _("系统")}.get(via, via)


def state_name(state: State) -> str:
    """Whether an account can be used."""
    return {State.ACTIVE: _("在用"), State.CLOSED: _("停用")}[state]


def detail_name(key: str) -> str:
    """What a detail of an audit row is called."""
    return {
        "file": _("文件"),
        "dataset": _("数据集"),
        "rows": _("行数"),
        "batch": _("批次"),
        "months": _("月份"),
        "month": _("月份"),
        "layer": _("图层"),
        "version": _("版本"),
        "format": _("格式"),
        "leaving": _("报送县外"),
        "threshold": _("隐去的下限"),
        "left_out": _("隐去的单元格"),
        "reason": _("理由"),
        "error": _("错误代码"),
        "login": _("账号"),
        "account": _("账号"),
        "title": _("姓名职务"),
        "state": _("状态"),
        "role": _("角色"),
        "grants": _("角色"),
        "changes": _("修改"),
        "place": _("地区"),
        "from": _("自"),
        "to": _("至"),
        "session": _("会话"),
        "address": _("地址"),
        "way": _("方式"),
        "typed": _("所填账号(摘要)"),
        "locked": _("已暂停登录"),
        "since": _("自"),
        "until": _("至"),
        "actor": _("人员"),
        "action": _("事项"),
        "outcome": _("结果"),
        "text": _("文字"),
        "broken": _("损坏处"),
        "kind": _("种类"),
        "again": _("再次执行"),
        "persons": _("人数"),
        "proofs": _("证明"),
        "columns": _("列"),
        "sha256": _("校验值"),
        "period": _("期间"),
        "page": _("页"),
        "source": _("数据来源"),
        "mode": _("图上颜色"),
        "against": _("与之相比的月份"),
        "level": _("单位级别"),
        "part": _("比较方式"),
    }.get(key, key)


def sentence(record: Record, accounts: Mapping[str, str]) -> str:
    """A row of the audit in plain words: who did what to whom, and how it ended.

    Args:
        accounts: login names by the id of the account, as far as the reader may know them.
    """
    words = {
        "who": record.actor_name,
        "what": action_name(record.action),
        "object": _object(record, accounts),
    }
    if record.outcome == Outcome.DONE.value:
        return _("{who} {what}{object}").format(**words)
    if record.outcome == Outcome.DENIED.value:
        return _("{who} 试图{what}{object}，被拒绝").format(**words)
    return _("{who} {what}{object}，未成功").format(**words)


def _object(record: Record, accounts: Mapping[str, str]) -> str:
    """What it was done to, in quotes behind the action; empty when the row does not say."""
    details = record.details
    named = accounts.get(record.subject) or details.get("login") or details.get("file")
    if not named and record.action.startswith("persons.") and record.subject:
        named = f"{record.subject[:_SHORT]}…"
    if not named or record.action == "session.sign_in":
        return ""
    return _("“{name}”").format(name=named)


def details(record: Record) -> list[tuple[str, str]]:
    """What a row tells beyond its sentence: name and value, in the order of the alphabet.

    Of what holds nothing (no months, no columns) nothing is told.
    """
    told = record.details
    dataset = told.get("dataset")
    return [
        (detail_name(key), _value(key, found, dataset))
        for key, found in told.items()
        if found not in ("", [], {})
    ]


def _value(key: str, found: Any, dataset: str | None = None) -> str:
    if isinstance(found, bool):
        return _("是") if found else _("否")
    if found is None:
        return "—"
    if key == "months":
        return datawords.months(tuple(found))
    if isinstance(found, list):
        return "；".join(_value(key, each, dataset) for each in found)
    if isinstance(found, dict):
        return "，".join(
            f"{detail_name(part)} {_value(part, each)}" for part, each in found.items()
        )
    if key in _COUNTS:
        return format.number(found)
    if key == "columns":
        return datawords.column_title(dataset, found)
    return _NAMES[key](found) if key in _NAMES else str(found)


_COUNTS = frozenset({"rows", "left_out", "persons"})

_Coded = TypeVar("_Coded", bound=StrEnum)


def _named(kind: type[_Coded], name: Callable[[_Coded], str]) -> Callable[[str], str]:
    """Names of the codes of a kind; a code that is no longer one stays as it is."""
    return lambda found: name(kind(found)) if found in set(kind) else found


def _layer(found: str) -> str:
    layer = registry.layers().get(found)
    return found if layer is None else layer_title(layer)


def _way(found: str) -> str:
    """How somebody signed in, or came to set a password."""
    return {
        "password": _("口令"),
        "demonstration": _("演示账号"),
        "oidc": _("统一身份认证"),
        "link": _("一次性链接"),
        "own": _("原口令"),
    }.get(found, found)


_NAMES: Mapping[str, Callable[[str], str]] = {
    "role": _named(Role, role_title),
    "grants": _named(Role, role_title),
    "state": _named(State, state_name),
    "source": _named(Source, source_name),
    "mode": _named(Mode, mode_name),
    "part": _named(Part, lambda part: wording.part_name(part, _)),
    "period": _named(Period, period_name),
    "action": lambda found: action_name(found) if "." in found else group_name(found),
    "outcome": outcome_name,
    "dataset": lambda found: datawords.dataset_title(found) if found in datasets() else found,
    "layer": _layer,
    "level": lambda found: {level.key: level_name(level) for level in Level}.get(found, found),
    "month": format.month,
    "against": format.month,
    "way": _way,
}
"""Words for the codes that details hold."""


def grant_words(grant: HeldGrant) -> str:
    """A grant: role, place, and the days where they matter."""
    where = _("全部地区") if grant.place_id is None else (grant.place_name or grant.place_id)
    words = _("{role}（{where}）").format(role=role_title(grant.role), where=where)
    if grant.valid_from > date.today():
        words += _("，{day} 起").format(day=grant.valid_from)
    if grant.valid_to is not None:
        words += _("，{day} 止").format(day=grant.valid_to)
    return words


def grants_words(account: Account) -> str:
    """Everything an account may be, as far as the reader may know."""
    found = [grant_words(grant) for grant in account.grants]
    if account.elsewhere:
        found.append(_("另有其他地区的角色"))
    return "；".join(found) or _("尚未授权")


def account_words(account: Account) -> str:
    """An account in a list to choose from."""
    closed = _("（停用）") if account.state is State.CLOSED else ""
    return f"{account.login}　{account.title}{closed}"


def broken_words(broken: Broken) -> str:
    """The first broken link of the audit, in the language in use."""
    template = {
        Break.EDITED: _("第 {seq} 条记录的内容与封印不符：被改动过，或不是本程序写入的。"),
        Break.ADDED: _("第 {seq} 条记录是多出来的，不是本程序写入的。"),
        Break.DELETED: _("第 {seq} 条记录被删除，连续缺少 {count} 条。"),
        Break.REORDERED: _("第 {seq} 条记录的位置被换过，它原来是第 {other} 条。"),
        Break.REPLACED: _("第 {seq} 条记录不是当时写入的那一条：到这一条为止的记录被整段替换过。"),
        Break.TRUNCATED: _("第 {seq} 条及其后的记录被截去；库外的记号记到第 {other} 条。"),
        Break.EMPTIED: _("审计记录被整体清空；库外的记号记到第 {other} 条。"),
        Break.ANCHOR_MISSING: _("库外的记号文件不见了，无法判断第 {seq} 条之后是否被截去。"),
        Break.ANCHOR_ALTERED: _("库外的记号文件被改动或损坏，无法判断第 {seq} 条之后是否被截去。"),
    }[broken.kind]
    return template.format(
        seq=format.number(broken.seq), other=format.number(broken.other), count=broken.count
    )


def browser_name(agent: str) -> str:
    """The browser and system of a user agent as people call them."""
    browsers = (
        ("MicroMessenger", _("微信")), ("Edg", "Edge"), ("QQBrowser", _("QQ 浏览器")),
        ("MetaSr", _("搜狗浏览器")), ("360", _("360 浏览器")), ("Firefox", "Firefox"),
        ("Chrome", "Chrome"), ("Safari", "Safari"),
    )  # fmt: skip
    systems = (
        ("Windows", "Windows"), ("Android", _("安卓")), ("iPhone", "iPhone"), ("iPad", "iPad"),
        ("Mac OS", "macOS"), ("Linux", "Linux"),
    )  # fmt: skip
    found = [
        next((name for mark, name in marks if mark in agent), "") for marks in (browsers, systems)
    ]
    return " · ".join(name for name in found if name) or agent[:40] or format.MISSING


def listed(names: list[str]) -> str:
    """Names one after the other."""
    return (", " if language() == "en" else "、").join(names)


def checked_name(name: str) -> str:
    """What a check looked at."""
    return {
        "tables": _("数据表"),
        "place": _("区划"),
        "institution": _("机构"),
        "boundary": _("边界"),
        "access_grant": _("授权"),
        "person": _("人员"),
        "target": _("年度目标"),
        "facts": _("月度数据行"),
        "records": _("台账记录"),
        "batches": _("导入批次"),
        "snapshots": _("汇总文件"),
        "audit": _("审计记录"),
        "erasures": _("删除证明"),
    }.get(name, name)


def field_name(title: str) -> str:
    """What a field held of a person is called."""
    return {
        "姓名": _("姓名"),
        "身份证号": _("身份证号"),
        "联系电话": _("联系电话"),
        "性别": _("性别"),
        "出生年份": _("出生年份"),
    }.get(title, title)

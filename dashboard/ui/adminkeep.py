"""管理 › 备份与检查: backups there are and a new one; checks, said in plain words."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.accounts import audit
from dashboard.store.audit import Verified
from dashboard.store.backup import backup
from dashboard.store.integrity import CheckResult, check
from dashboard.ui import adminwords, blocks, caches, escape, format, frame, session
from dashboard.ui.texts import _
from geodata.errors import DudaoError, SystemProblem

FOLDER = "backups"
"""In the data directory."""

_VERIFIED = "admin-verified"
_CHECKED = "admin-checked"


def show() -> None:
    """The section."""
    may = session.actor().may
    left, right = st.columns([3, 2], gap="medium")
    with right:
        if may("audit.verify"):
            _verifying()
        if may("store.check"):
            _checking()
    if may("backup.make"):
        with left:
            _backups()


# Backups


def _backups() -> None:
    with st.container(key="admin-backup-head", horizontal=True, vertical_alignment="center"):
        st.html(blocks.render("admin_heading.html", title=_("备份"), beside=""))
        wanted = st.button(
            _("立即备份"), key="admin-backup", type="primary", icon=":material/backup:"
        )
    if wanted:
        _back_up()
    folder = caches.store().directory / FOLDER
    st.html(
        blocks.render(
            "admin_backups.html",
            rows=_rows(folder),
            empty=_("还没有备份。备份时网页可以继续使用。"),
        )
    )
    st.caption(
        _("备份存放在服务器数据目录的 backups 文件夹，请定期复制到其他设备；")
        + _("密钥目录不在备份中，请另行保管。恢复须在服务器上用命令行进行。")
    )


def _back_up() -> None:
    store = caches.store()
    out = store.directory / FOLDER / f"dudao-{datetime.now():%Y%m%d-%H%M%S}.tar"
    with st.status(_("正在备份…")) as status:
        try:
            try:
                out.parent.mkdir(mode=0o700, exist_ok=True)
            except OSError as error:
                raise SystemProblem(
                    "BACKUP_UNWRITABLE",
                    f"备份文件夹 {FOLDER} 无法建立：{error.strerror}。",
                    "请检查数据目录的写入权限和剩余空间。",
                ) from error
            made = backup(
                store,
                session.actor(),
                out,
                progress=lambda words: status.update(label=escape.markdown(words)),
            )
        except DudaoError as error:
            status.update(label=_("没有备份"), state="error")
            frame.failed(error)
            return
        status.update(
            label=escape.markdown(
                _("已备份：{name}，{size}").format(name=made.file.name, size=_size(made.size))
            ),
            state="complete",
        )


def _rows(folder: Path) -> list[dict[str, Any]]:
    """The files there are, newest first, with what the audit says of each."""
    known = audit.backups_made(caches.store(), session.actor())
    found = []
    for path in sorted(folder.glob("*"), key=lambda each: each.name, reverse=True):
        if not path.is_file() or path.suffix == ".part":
            continue
        state = path.stat()
        record = known.get(path.name)
        found.append(
            {
                "name": path.name,
                "at": format.moment(record.at if record else state.st_mtime),
                "size": _size(state.st_size),
                "by": record.actor_name if record else format.MISSING,
                "sha256": record.details.get("sha256", "") if record else "",
                "told": _told(record.details, state.st_size) if record else _("不是本页所做的备份"),
            }
        )
    return found


def _told(details: dict[str, Any], size: int) -> str:
    if details.get("size") != size:
        return _("大小与备份时不符，不要使用")
    parts = [_("已加密") if details.get("encrypted") else _("未加密")]
    parts.append(_("含密钥") if details.get("with_keys") else _("不含密钥"))
    return adminwords.listed(parts)


def _size(amount: int) -> str:
    return f"{amount / 2**20:,.1f} MB"


# Checks


def _verifying() -> None:
    with st.container(border=True, key="admin-verify-box"):
        st.html(blocks.render("admin_heading.html", title=_("核验审计记录"), beside=""))
        st.caption(_("逐条核对审计记录有没有被改动、删除、调换或截去。"))
        if st.button(_("开始核验"), key="admin-verify", icon=":material/fact_check:"):
            _verify()
        found: tuple[datetime, Verified] | None = st.session_state.get(_VERIFIED)
        if found is not None:
            _verdict(*found)


def _verify() -> None:
    with st.status(_("正在核验…")) as status:
        try:
            found = audit.verify(
                caches.store(),
                session.actor(),
                lambda rows: status.update(
                    label=_("已核验 {count} 条").format(count=format.number(rows))
                ),
            )
        except DudaoError as error:
            status.update(label=_("没有核验"), state="error")
            frame.failed(error)
            return
        status.update(
            label=_("核验完成"), state="complete" if found.intact else "error", expanded=False
        )
    st.session_state[_VERIFIED] = (datetime.now().astimezone(), found)


def _verdict(at: datetime, found: Verified) -> None:
    when = format.moment(at)
    count = format.number(found.rows)
    if found.broken is None:
        st.success(_("{when} 核验：共 {count} 条，全部完好。").format(when=when, count=count))
        return
    st.error(
        escape.markdown(
            _("{when} 核验：审计记录已损坏。{what}其前 {count} 条完好。").format(
                when=when, what=adminwords.broken_words(found.broken), count=count
            )
        )
    )


def _checking() -> None:
    with st.container(border=True, key="admin-check-box"):
        st.html(blocks.render("admin_heading.html", title=_("检查数据完整性"), beside=""))
        st.caption(_("检查数据库、月度数据、汇总文件、审计记录和相互引用；不作任何改动。"))
        if st.button(_("开始检查"), key="admin-check", icon=":material/health_and_safety:"):
            _check()
        found: tuple[datetime, CheckResult] | None = st.session_state.get(_CHECKED)
        if found is not None:
            at, result = found
            st.html(
                blocks.render(
                    "admin_check.html",
                    at=format.moment(at),
                    problems=result.problems,
                    checked=[
                        (adminwords.checked_name(name), format.number(count))
                        for name, count in result.checked.items()
                    ],
                )
            )


def _check() -> None:
    with st.status(_("正在检查…")) as status:
        try:
            found = check(
                caches.store(),
                session.actor(),
                lambda words: status.update(label=escape.markdown(words)),
            )
        except DudaoError as error:
            status.update(label=_("没有检查"), state="error")
            frame.failed(error)
            return
        status.update(
            label=_("检查完成"), state="complete" if found.ok else "error", expanded=False
        )
    st.session_state[_CHECKED] = (datetime.now().astimezone(), found)

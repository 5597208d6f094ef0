"""The page 数据: what came of the last file, where to drop the next, and what was loaded before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from dashboard.access import Actor
from dashboard.coverage import registry
from dashboard.intake import desk
from dashboard.intake.jobs import JobState
from dashboard.intake.model import Upload
from dashboard.store.model import Batch, BatchState
from dashboard.store.unit import DEMONSTRATION
from dashboard.ui import (
    blocks,
    caches,
    datawords,
    escape,
    format,
    frame,
    progress,
    screens,
    session,
)
from dashboard.ui.dataupload import UploadView, map_link, note, show_notes
from dashboard.ui.texts import _, language
from geodata.errors import DudaoError

FIELDS = ("upload", "undo", "code", "lang")
"""What the page's address may say."""

SHOWN_BATCHES = 20
_ALL_BATCHES = 200
_ROUND = "data_round"
_WHOLE_HISTORY = "data_whole_history"


class DataView:
    """The page for one person; each part is drawn where it is called.

    Raises:
        DudaoError: PAGE_NOT_ALLOWED.
    """

    def __init__(self, actor: Actor) -> None:
        screens.require("data", actor)
        self.actor = actor
        self.store = caches.store()
        self.may_check = actor.may("data.check")
        self.uploads = desk.uploads(self.store, actor) if self.may_check else []
        self.batches = (
            desk.batches(self.store, actor, _ALL_BATCHES) if actor.may("data.batches") else []
        )
        wanted = st.query_params.get("upload")
        in_hand = {upload.id: upload for upload in self.uploads}
        self.chosen = in_hand.get(wanted or "") or next(iter(self.uploads[::-1]), None)
        st.html(blocks.render("data_style.html"))

    def sidebar(self) -> None:
        """The pages, language, account."""
        frame.sidebar_head("data", self.actor)
        with self.store.unit(self.actor, _reading(self.actor)) as unit:
            demonstration = unit.meta(DEMONSTRATION) == "1"
        frame.sidebar_foot(demonstration)

    def latest(self) -> None:
        """The last load: accepted, rejected, why, and what to do next."""
        last = next((one for one in self.batches if one.state is not BatchState.ABANDONED), None)
        blocks.show("latest", blocks.render("data_latest.html", **_latest(last)), follow=follow)
        if last is not None and last.state is BatchState.COMMITTED:
            map_link(last.months, "latest-map")

    def steps(self) -> None:
        """Where one is: upload, look through, confirm, done; nothing for who only looks on."""
        if not self.may_check:
            return
        names = (_("上传"), _("核对"), _("确认"), _("完成"))
        at = 0
        if self.chosen is not None:
            job = desk.job_of(self.store, self.actor, self.chosen.id)
            at = 1
            if self.chosen.is_done:
                at = 3
            elif job is not None and job.kind == "load" and not job.is_over:
                at = 2
        st.html(blocks.render("data_steps.html", names=names, at=at))

    def drop(self) -> None:
        """Where files are dropped."""
        if not self.may_check:
            return
        number = st.session_state.get(_ROUND, 0)
        with st.container(key="drop"):
            st.file_uploader(
                _("拖入或选择要导入的文件，可以一次选多个"),
                accept_multiple_files=True,
                key=f"drop-{number}",
                on_change=partial(_received, f"drop-{number}"),
            )
        show_notes()

    def in_hand(self) -> None:
        """The uploads not yet done with, and the one chosen."""
        if not self.may_check:
            return
        if self.chosen is None:
            st.html(blocks.render("data_empty.html"))
            return
        if len(self.uploads) > 1:
            rows = [_upload_row(self, upload) for upload in self.uploads]
            blocks.show(
                "uploads",
                blocks.render("data_uploads.html", rows=rows),
                selected=self.chosen.id,
                follow=follow,
            )
        undone = {one.id for one in self.batches if one.state is BatchState.UNDONE}
        UploadView(self.store, self.actor, self.chosen, self.uploads, undone).show()

    def history(self) -> None:
        """Every load: who, when, what, how many, and the way back."""
        if not self.actor.may("data.batches"):
            return
        with st.container(key="history"):
            self._undo()
            whole = bool(st.session_state.get(_WHOLE_HISTORY))
            shown = self.batches if whole else self.batches[:SHOWN_BATCHES]
            blocks.show(
                "batches",
                blocks.render(
                    "data_history.html",
                    rows=[self._batch_row(one) for one in shown],
                    count=len(self.batches),
                ),
                selected=st.query_params.get("undo"),
                follow=follow,
            )
            if len(shown) < len(self.batches):
                st.button(
                    _("显示全部 {count} 次导入").format(count=format.number(len(self.batches))),
                    key="whole-history",
                    on_click=partial(st.session_state.update, {_WHOLE_HISTORY: True}),
                )

    def _batch_row(self, one: Batch) -> dict[str, Any]:
        scope = self.actor.scope("data.undo")
        mine = scope.everything or (one.dataset != "places" and not scope.is_empty)
        undoable = one.state is BatchState.COMMITTED and mine
        summary = one.summary
        return {
            "id": one.id,
            "when": format.moment(one.finished or one.started),
            "who": one.operator,
            "file": one.file,
            "dataset": datawords.dataset_title(one.dataset),
            "months": datawords.months(one.months),
            "changed": format.number(one.rows),
            "accepted": format.number(summary.get("valid")),
            "rejected": format.number(summary.get("rejected")),
            "has_rejected": bool(summary.get("rejected")),
            "state": datawords.state_title(one.state),
            "committed": one.state is BatchState.COMMITTED,
            "undo": href(undo=str(one.id)) if undoable else None,
        }

    def _undo(self) -> None:
        """Ask before a load is taken back, show it being done, say what came of it."""
        wanted = st.query_params.get("undo", "")
        if not wanted.isdecimal() or not self.actor.may("data.undo"):
            return
        number = int(wanted)
        batch = next((one for one in self.batches if one.id == number), None)
        job = desk.undo_job(self.store, self.actor, number)
        if job is not None and not job.is_over:
            with st.container(key="undoing", border=True):
                progress.show(job, _("正在撤销第 {number} 批").format(number=number))
            return
        with st.container(key="undoing", border=True):
            if job is not None and job.state is JobState.DONE:
                st.success(
                    _("第 {number} 批已撤销，地图已按其余数据重新汇总。").format(number=number)
                )
            elif job is not None and job.error is not None:
                st.error(escape.markdown(job.error.message + job.error.remedy))
            if batch is not None and batch.state is BatchState.COMMITTED:
                st.html(
                    blocks.render(
                        "data_undo.html",
                        number=number,
                        file=batch.file,
                        dataset=datawords.dataset_title(batch.dataset),
                        months=datawords.months(batch.months),
                        rows=format.number(batch.rows),
                    )
                )
            elif job is None:
                st.warning(_("第 {number} 批不存在，或已不能撤销。").format(number=number))
            with st.container(key="undo-buttons", horizontal=True, gap="small"):
                if batch is not None and batch.state is BatchState.COMMITTED:
                    st.button(
                        _("确认撤销第 {number} 批").format(number=number),
                        key="undo-confirm",
                        type="primary",
                        on_click=partial(_begin_undo, number),
                    )
                st.button(_("关闭"), key="undo-close", on_click=partial(go, undo=None))


def href(**changes: str | None) -> str:
    """The address of this page after a change; None takes a field out."""
    found = {key: text for key, text in st.query_params.to_dict().items() if key in FIELDS}
    for key, text in changes.items():
        if text is None:
            found.pop(key, None)
        else:
            found[key] = text
    return "?" + urlencode(found)


def follow(link: str) -> None:
    """Move to the address of a clicked link of ours."""
    given = {key: text for key, text in parse_qsl(link.removeprefix("?")) if key in FIELDS}
    st.query_params.from_dict(given)


def go(**changes: str | None) -> None:
    """Move to the address after a change; for callbacks."""
    follow(href(**changes))


def _reading(actor: Actor) -> str:
    """An action under which this person may read."""
    return "data.batches" if actor.may("data.batches") else "data.check"


def _begin_undo(number: int) -> None:
    try:
        desk.undo(caches.store(), session.actor(), number, registry.pairs())
    except DudaoError as error:
        note(error)


def _received(key: str) -> None:
    """Take the dropped files to the desk, and out of Streamlit's memory."""
    files: Sequence[UploadedFile] = st.session_state.get(key) or ()
    store, actor = caches.store(), session.actor()
    most = caches.settings().max_upload_mb << 20
    last: Upload | None = None
    for file in files:
        try:
            last = desk.receive(store, actor, file.name, file, most)
        except DudaoError as error:
            note(error)
        finally:
            _let_go(file)
    # A fresh box: the old one would bring its files again with every rerun.
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    if last is not None:
        go(upload=last.id, code=None, undo=None)


def _let_go(file: UploadedFile) -> None:
    """Streamlit keeps an uploaded file as long as the page; ours lies with the desk."""
    context = get_script_run_ctx()
    if context is not None and isinstance(context.uploaded_file_mgr, MemoryUploadedFileManager):
        context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)


def _latest(last: Batch | None) -> dict[str, Any]:
    if last is None:
        return {"last": None}
    summary = last.summary
    reasons = [
        {"title": datawords.issue_title(code), "count": format.number(count), "severity": severity}
        for code, severity, count in summary.get("reasons", [])[:3]
    ]
    return {
        "last": {
            "id": last.id,
            "file": last.file,
            "dataset": datawords.dataset_title(last.dataset),
            "months": datawords.months(last.months),
            "who": last.operator,
            "when": format.moment(last.finished or last.started),
            "state": datawords.state_title(last.state),
            "committed": last.state is BatchState.COMMITTED,
            "accepted": format.number(summary.get("valid", last.rows)),
            "rejected": format.number(summary.get("rejected", 0)),
            "has_rejected": bool(summary.get("rejected")),
            "changed": format.number(last.rows),
            "reasons": reasons,
        }
    }


def _upload_row(view: DataView, upload: Upload) -> dict[str, Any]:
    job = desk.job_of(view.store, view.actor, upload.id)
    if job is not None and not job.is_over:
        state, tone = (_("正在导入") if job.kind == "load" else _("正在检查")), "busy"
    elif upload.is_done:
        state, tone = _("已处理"), "done"
    elif upload.outcome is not None:
        state, tone = _("未导入"), "bad"
    else:
        state, tone = _("待核对"), "wait"
    left = upload.expires - datetime.now(UTC)
    return {
        "id": upload.id,
        "name": upload.name,
        "size": datawords.size(upload.size),
        "received": format.moment(upload.received),
        "left": _("{hours} 小时后自动删除").format(hours=max(1, int(left.total_seconds() // 3600))),
        "state": state,
        "tone": tone,
        "href": href(upload=upload.id, code=None),
        "lang": language(),
    }

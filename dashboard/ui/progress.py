"""A job being done: its steps, how long it may still take, and a button that stops it."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from dashboard.intake.jobs import Job
from dashboard.intake.model import Step
from dashboard.ui import blocks, datawords
from dashboard.ui.texts import _

_EVERY_S = 0.7
_NEVER_MORE = 95
"""Per cent shown at most before the end: an estimate is no promise."""

STEPS = {
    "check": (Step.CHECK,),
    "load": (Step.CHECK, Step.COMPARE, Step.WRITE, Step.ROLL_UP, Step.PUBLISH),
    "undo": (Step.COMPARE, Step.ROLL_UP, Step.PUBLISH),
}
_FLOORS = {Step.COMPARE: 15, Step.SHAPES: 25, Step.WRITE: 30, Step.ROLL_UP: 45, Step.PUBLISH: 90}


def show(job: Job[Any], title: str) -> None:
    """Show a running job until it is over; then the page runs again."""
    st.fragment(partial(_show, job, title), run_every=_EVERY_S)()


def _show(job: Job[Any], title: str) -> None:
    if job.is_over:
        st.rerun()
    st.html(markup(job, title))
    if job.asked_to_stop():
        words = _("正在停止……") if job.stoppable else _("已在发布，来不及停止，马上完成。")
        st.html(blocks.render("data_note.html", words=words))
        return
    st.button(
        _("停止"),
        key=f"stop-{job.kind}",
        icon=":material/stop_circle:",
        disabled=not job.stoppable,
        on_click=job.stop,
        help=_("停止后不会写入任何数据。"),
    )


def markup(job: Job[Any], title: str) -> str:
    """The job's steps with the one under way, a bar, and the time."""
    at = job.step
    listed = list(STEPS[job.kind])
    if at is Step.SHAPES:
        listed.insert(listed.index(Step.WRITE), Step.SHAPES)
    if at is Step.WAIT:
        listed.insert(0, Step.WAIT)
    current = listed.index(at) if at in listed else 0
    return blocks.render(
        "data_progress.html",
        title=title,
        steps=[datawords.step_title(step) for step in listed],
        at=current,
        percent=percent(job),
        time=time_words(job),
    )


def percent(job: Job[Any]) -> int:
    """How much is thought to be done: by the time it takes as a rule, and no less than its step."""
    if job.is_over:
        return 100
    by_time = int(100 * job.elapsed_s / max(job.expected_s, 0.1))
    floor = _FLOORS.get(job.step, 0) if job.step is not None and job.kind != "check" else 0
    return min(_NEVER_MORE, max(by_time, floor))


def time_words(job: Job[Any]) -> str:
    """How long it has taken and may still take."""
    left = job.expected_s - job.elapsed_s
    spent = datawords.seconds(job.elapsed_s)
    if left < 0.5:
        return _("已用 {spent}，比预计的久，仍在进行。").format(spent=spent)
    return _("已用 {spent}，预计还需 {left}。").format(
        spent=spent, left=datawords.seconds(max(1, left))
    )

"""Words of the page 数据: datasets, columns, steps, states, and what an issue is about."""

from __future__ import annotations

import re
from functools import cache

from dashboard.intake.model import Step
from dashboard.store.model import BatchState
from dashboard.ui import format
from dashboard.ui.texts import _, language
from loaders import registry
from loaders.issues import CODES
from loaders.model import Issue, Severity

_BRACKETS = re.compile(r" ?[（(][^（()）]*\{[^（()）]*[)）]")
_HEAD = re.compile(
    r"^(第 \{row\} (行|个要素)|Rows? \{row\}|Feature \{row\}[,:]?)的?[:,]?\s*"
    r"(“\{column\}”的?[:,]?)?\s*(wants|must|is)?"
)
_VALUE = re.compile(r"^\s*“\{value\}”[:,]?的?\s*")
_FIELD = re.compile(r"\{[^}]*\}")
_LISTED = re.compile(r"[；;][^；;]*[：:]\s*\{\w+\}[。.]?$")
"""A last clause that only leads to a list, such as ``；可能是：{candidates}。``."""


def dataset_title(dataset_id: str | None) -> str:
    """A dataset's name; words for none."""
    found = registry.datasets().get(dataset_id or "")
    if found is None:
        return _("未识别")
    return found.title_en if language() == "en" else found.title


def column_title(dataset_id: str | None, name: str) -> str:
    """What a heading was taken for: a measure's name, or that of a column of the dataset."""
    measure = registry.measures().get(name)
    if measure is not None:
        return measure.title_en if language() == "en" else measure.title
    dataset = registry.datasets().get(dataset_id or "")
    column = None if dataset is None else dataset.columns.get(name)
    if column is None or language() == "en" or not column.aliases:
        return name
    return column.aliases[0]


def field_title(column: registry.Column) -> str:
    """What a column of a dataset is called."""
    return _worded(column.id) if language() == "en" else (*column.aliases, column.id)[0]


def code_title(column: registry.Column, code: str) -> str:
    """What a code of a column stands for; the code itself where nothing is declared."""
    if column.kind == "measure":
        measure = registry.measures().get(code)
        if measure is None:
            return code
        return measure.title_en if language() == "en" else measure.title
    words = {} if column.list is None else registry.lists()[column.list].words
    if code not in words:
        return code
    return _worded(code) if language() == "en" else words[code][0]


def _worded(code: str) -> str:
    """``breast_cancer`` as ``Breast cancer``."""
    return code.replace("_", " ").capitalize()


def severity_title(severity: Severity) -> str:
    """How grave an issue is."""
    return {
        Severity.ERROR: _("错误"),
        Severity.WARNING: _("警告"),
        Severity.INFO: _("提示"),
    }[severity]


def step_title(step: Step) -> str:
    """What a job is doing."""
    return {
        Step.WAIT: _("排队"),
        Step.CHECK: _("读取和检查"),
        Step.COMPARE: _("与已有数据比较"),
        Step.SHAPES: _("处理边界"),
        Step.WRITE: _("写入"),
        Step.ROLL_UP: _("汇总"),
        Step.PUBLISH: _("发布"),
    }[step]


def state_title(state: BatchState) -> str:
    """How a load stands."""
    return {
        BatchState.OPEN: _("正在导入"),
        BatchState.COMMITTED: _("已导入"),
        BatchState.ABANDONED: _("未完成，未写入"),
        BatchState.UNDONE: _("已撤销"),
    }[state]


@cache
def _shortened(code: str, chosen: str) -> str:
    entry = CODES.get(code)
    if entry is None:
        return code
    words = _LISTED.sub("", entry.message_en if chosen == "en" else entry.message)
    words = _BRACKETS.sub("", words)
    head = _HEAD.match(words)
    if head is not None:
        words = (head.group(4) or "") + words[head.end() :]
    words = _FIELD.sub("…", _VALUE.sub("", words)).strip(" 。.,，:：;；…")
    return words[:1].upper() + words[1:]


def issue_title(code: str) -> str:
    """What all issues of a code have in common, without row and value; the code if unknown."""
    named = {
        "PART_EXCEEDS_WHOLE": _("部分大于整体"),
        "IMPLAUSIBLE_TOTAL": _("数值偏大，少见"),
        "TOTAL_DIFFERS": _("填报数与下级之和不符"),
    }.get(code)
    return named or _shortened(code, language())


def message(issue: Issue) -> str:
    """An issue's own words."""
    return issue.message_en if language() == "en" else issue.message


def months(found: tuple[str, ...]) -> str:
    """Months in few words: one, a few, or from when to when and how many."""
    if not found:
        return format.MISSING
    if len(found) <= 2:
        return "、".join(format.month(month) for month in found)
    return _("{first}至{last}，共 {count} 个月").format(
        first=format.month(found[0]), last=format.month(found[-1]), count=len(found)
    )


def size(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 2**20:,.1f} MB" if count >= 2**20 else f"{max(1, count // 1024):,} KB"


def seconds(count: float) -> str:
    """A span of time in whole seconds or minutes."""
    if count < 90:
        return _("{count} 秒").format(count=round(count))
    return _("{count} 分钟").format(count=round(count / 60))

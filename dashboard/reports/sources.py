"""The source documents' systems as a table to take along: public figures, no persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.reports.model import Column, Sheet

TITLE = "源文件指标"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One system as a person reads it, in Chinese.

    Attributes:
        number: 1 to 36.
        base: where it is counted.
        figures, target: what the documents say; empty where they say nothing.
        quotes: the words the figures stand in.
        flags: what is implausible about the figures.
        layers: names of its layers.
    """

    number: int
    title: str
    base: str
    figures: str
    target: str
    state: str
    layers: tuple[str, ...]
    quotes: tuple[str, ...]
    flags: tuple[str, ...]


_COLUMNS = (
    Column("序号", 0),
    Column("系统"),
    Column("基本单位"),
    Column("文件数字", width=40),
    Column("目标", width=28),
    Column("状态"),
    Column("图层", width=32),
    Column("存疑", width=40),
    Column("原文", width=60),
)


def sheet(rows: Sequence[SourceRow], *, filtered: str, by: str, at: datetime) -> Sheet:
    """The rows shown, with who took them along.

    Args:
        filtered: in words, what the list was narrowed to; empty where it was not.
    """
    shown = f"筛选条件：{filtered}；" if filtered else ""
    return Sheet(
        title=TITLE,
        columns=_COLUMNS,
        rows=[
            (
                row.number,
                row.title,
                row.base,
                row.figures,
                row.target,
                row.state,
                "\n".join(row.layers),
                "\n".join(row.flags),
                "\n".join(row.quotes),
            )
            for row in rows
        ],
        notes=(
            f"{shown}共 {len(rows)} 项；导出人：{by}；导出时间：{at:%Y-%m-%d %H:%M}",
            "L：廊坊市健康扶贫报道(2019 年 7 月)；X：某县健康脱贫 2017 年总结和 2018 年计划。"
            "数字照录原文，自相矛盾之处不改。",
        ),
    )

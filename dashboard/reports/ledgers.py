"""A ledger's rows as a table to take along: persons masked, numbers with their units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from dashboard.coverage import ledgers
from dashboard.coverage.ledgers import Page, Period, Sight, Value
from dashboard.reports.model import Cell, Sheet
from dashboard.reports.model import Column as Heading
from dashboard.reports.tables import month_words
from dashboard.store.model import Filter, PersonRow
from loaders.registry import PERSON, Column, lists, measures

PERIODS = {
    Period.COUNTED: "截至{month}计入指标的记录",
    Period.MONTH: "{month}的记录",
    Period.ALL: "全部记录",
}
_RULE = "本表含个人信息(姓名、身份证号已脱敏)，仅限在职责范围内使用，不得转发；导出已记入审计。"


def sheet(page: Page, *, by: str, at: datetime) -> Sheet:
    """The rows with who took them along; nothing that ``ledgers.leaving`` keeps back."""
    seen = page.sight
    taken = ledgers.leaving(seen)
    headings, parts = _headings(page, taken)
    rows: list[Sequence[Cell]] = []
    for number, row in enumerate(page.rows):
        values = dict(zip(seen.columns, row, strict=True))
        person = page.persons[number] if page.persons else None
        rows.append((page.first + number, *(part(values, person) for part in parts)))
    said = PERIODS[page.query.period].format(month=month_words(page.query.month))
    narrowed = "；".join(words(seen, one) for one in page.query.filters)
    return Sheet(
        title=f"{seen.place.name} {seen.dataset.title}",
        columns=(Heading("序号", 0), *headings),
        rows=rows,
        notes=(
            f"地区：{seen.place.name}({seen.place.id})；{said}"
            f"{f'；筛选：{narrowed}' if narrowed else ''}；共 {page.total:,} 条",
            f"导出人：{by}；导出时间：{at:%Y-%m-%d %H:%M}",
            *([_RULE] if seen.personal else []),
        ),
    )


_Part = Callable[[dict[str, Value], PersonRow | None], Cell]


def _headings(page: Page, taken: Sequence[str]) -> tuple[list[Heading], list[_Part]]:
    headings: list[Heading] = []
    parts: list[_Part] = []

    def add(heading: Heading, part: _Part) -> None:
        headings.append(heading)
        parts.append(part)

    def add_place(index: int) -> _Part:
        return lambda values, _: page.names.get(str(values["place_id"]), ("", ""))[index]

    for name in taken:
        column = page.sight.columns[name]
        if name == PERSON:
            add(Heading("姓名"), lambda _, person: None if person is None else person.name)
            add(Heading("身份证号"), lambda _, person: None if person is None else person.id_number)
        elif name == "place_id":
            add(Heading("地区"), add_place(0))
            add(Heading("上级"), add_place(1))
            add(Heading("代码", width=18), lambda values, _: str(values["place_id"]))
        else:
            decimals = None
            if column.kind == "number":
                decimals = 0 if column.integer else 2
            add(Heading(heading(column), decimals), _value(name, column))
    return headings, parts


def _value(name: str, column: Column) -> _Part:
    return lambda values, _: cell(column, values[name])


def heading(column: Column) -> str:
    """A column's heading, with its unit."""
    return f"{column.aliases[0]}({column.unit})" if column.unit else column.aliases[0]


def cell(column: Column, value: Value) -> Cell:
    """A value as a cell: codes in their words, days as written."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "是" if value else "否"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value
    return "、".join(code_title(column, code) for code in _codes(column, value))


def _codes(column: Column, value: str) -> list[str]:
    return value.split() if column.kind == "choices" else [value]


def code_title(column: Column, code: str) -> str:
    """A code's word; a text as it stands."""
    if column.kind == "measure":
        found = measures().get(code)
        return code if found is None else found.title
    if column.list is None:
        return code
    return lists()[column.list].words.get(code, (code,))[0]


def words(seen: Sight, wanted: Filter) -> str:
    """A filter in words."""
    column = seen.columns[wanted.column]
    title = column.aliases[0]
    if wanted.flag is not None:
        return f"{title}：{'是' if wanted.flag else '否'}"
    if wanted.among:
        return f"{title}：{'、'.join(code_title(column, code) for code in wanted.among)}"
    if wanted.text:
        return f"{title}含“{wanted.text}”"
    return f"{title}：{ledgers.written(seen, wanted).replace('..', ' 至 ')}"

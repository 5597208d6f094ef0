"""Everything that was found in an upload: counted by kind, filtered, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from dashboard.intake import desk
from dashboard.intake.issues import PER_PAGE, CodeCount, Filter, IssueIndex, Positions, pages
from dashboard.intake.model import Checked
from dashboard.reports.model import Format
from dashboard.ui import blocks, datawords, format, offered, paging
from dashboard.ui.texts import _
from loaders.model import Severity

_MOST_IN_A_WORKBOOK = 10_000
"""More issues are offered as text: a workbook of 100,000 takes a minute to write."""

_ALL = ""
"""What a filter holds when it keeps everything."""


def show(checked: Checked) -> None:
    """The issues of a checked upload, with its workbooks to download."""
    index = checked.index
    if len(index) == 0:
        st.html(blocks.render("data_clean.html"))
        return
    prefix = f"issues-{checked.upload.id}"
    codes = index.codes()
    with st.container(key="issues"):
        blocks.show(
            "issue-codes",
            codes_markup(codes, len(index)),
            selected=st.session_state.get(f"{prefix}-code") or None,
            follow=partial(_only_code, prefix),
        )
        with st.container(key="issue-filters", horizontal=True, gap="small"):
            wanted = _filter(index, codes, prefix)
        positions = index.select(wanted)
        count = pages(len(positions))
        number = paging.number(f"{prefix}-page", count)
        blocks.show("issue-list", _list_markup(index, positions, number))
        paging.show(f"{prefix}-page", count)
        _downloads(checked)


def _only_code(prefix: str, link: str) -> None:
    """A click on a code's row lists its issues; another click lists all again."""
    key, chosen = f"{prefix}-code", link.removeprefix("?code=")
    st.session_state[key] = _ALL if st.session_state.get(key) == chosen else chosen
    st.session_state[f"{prefix}-page"] = 0


def _filter(index: IssueIndex, codes: Sequence[CodeCount], prefix: str) -> Filter:
    def back() -> None:
        st.session_state[f"{prefix}-page"] = 0

    def choose(
        field: str, label: str, options: Sequence[str], words: Callable[[str], str]
    ) -> str | None:
        key = f"{prefix}-{field}"
        if st.session_state.get(key, _ALL) not in (_ALL, *options):
            st.session_state[key] = _ALL
        chosen: str = st.selectbox(
            label,
            [_ALL, *options],
            key=key,
            format_func=lambda option: words(option) if option else _("全部"),
            on_change=back,
            filter_mode=None,
        )
        return chosen or None

    severities = list(dict.fromkeys(one.severity.value for one in codes))
    severity = choose(
        "severity", _("级别"), severities, lambda one: datawords.severity_title(Severity(one))
    )
    code = choose("code", _("问题"), [one.code for one in codes], datawords.issue_title)
    sheet = choose("sheet", _("工作表"), index.sheets, str) if len(index.sheets) > 1 else None
    column = choose("column", _("列"), index.columns, str) if len(index.columns) > 1 else None
    text = st.text_input(
        _("文字"),
        key=f"{prefix}-text",
        placeholder=_("行号、原值或说明中的字"),
        live="400ms",
        on_change=back,
        autocomplete="off",
    )
    return Filter(Severity(severity) if severity else None, code, sheet, column, text)


def _list_markup(index: IssueIndex, positions: Positions, number: int) -> str:
    return blocks.render(
        "data_issues.html",
        total=format.number(len(positions)),
        first=format.number(number * PER_PAGE + 1),
        last=format.number(min(len(positions), (number + 1) * PER_PAGE)),
        rows=[
            {
                "severity": datawords.severity_title(issue.severity),
                "tone": issue.severity.value,
                "sheet": issue.sheet,
                "row": issue.row,
                "column": issue.column,
                "value": issue.value,
                "message": datawords.message(issue),
            }
            for issue in index.page(positions, number)
        ],
    )


def codes_markup(codes: Sequence[CodeCount], total: int) -> str:
    """The kinds of issues, errors first, each with its number and an example."""
    return blocks.render(
        "data_codes.html",
        total=format.number(total),
        rows=[
            {
                "code": one.code,
                "tone": one.severity.value,
                "severity": datawords.severity_title(one.severity),
                "title": datawords.issue_title(one.code),
                "count": format.number(one.count),
                "rows": _rows_words(one.first_row, one.last_row),
                "example": datawords.message(one.example),
                "href": f"?code={one.code}",
            }
            for one in codes
        ],
    )


def _rows_words(first: int | None, last: int | None) -> str:
    if first is None or last is None:
        return format.MISSING
    if first == last:
        return _("第 {row} 行").format(row=format.number(first))
    return _("第 {first}–{last} 行").format(first=format.number(first), last=format.number(last))


def _downloads(checked: Checked) -> None:
    upload, mark = checked.upload, checked.mark
    links = []
    if checked.report.rows_rejected:
        links.append(
            (
                _("下载不能导入的行（Excel，逐格注明原因）"),
                offered.address(upload, mark, _("不能导入的行"), desk.rejected_rows),
            )
        )
    kind = Format.XLSX if len(checked.index) <= _MOST_IN_A_WORKBOOK else Format.CSV
    words = _("下载问题清单（Excel）") if kind is Format.XLSX else _("下载问题清单（CSV）")
    make = partial(desk.issue_list, format=kind)
    links.append((words, offered.address(upload, mark, _("问题清单"), make, kind)))
    st.html(blocks.render("data_downloads.html", links=links))

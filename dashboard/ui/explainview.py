"""这个数怎么来的: a value taken apart, in a dialog over the page, looked up when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import streamlit as st

from dashboard.coverage import service
from dashboard.coverage.explain import (
    Counted,
    Explanation,
    Lack,
    Load,
    Method,
    Part,
    Row,
    Words,
)
from dashboard.coverage.model import Cell, Layer, Source, Status
from dashboard.store.model import month_end
from dashboard.ui import blocks, caches, datawords, format, frame, paging, session, state, texts
from dashboard.ui.state import Address
from dashboard.ui.tables import heading, measure_title
from dashboard.ui.texts import (
    _,
    language,
    layer_title,
    level_name,
    source_name,
    status_name,
)

ROWS_A_PAGE = 50
LISTED = 30
"""So many of the places that are not counted are listed; the command line gives all."""

_PAGE = "explain-page"
_OF = "explain-of"
"""Session entry: the view the page of rows belongs to."""


def show(address: Address, place_id: str) -> None:
    """Open the dialog about one place's value in the view's layer, month and source."""
    view = address.moved(place=place_id).view()
    if st.session_state.get(_OF) != view:
        st.session_state.update({_OF: view, _PAGE: 0})
    title = _("这个数怎么来的")
    st.dialog(title, width="medium", on_dismiss=state.go)(_body)(address, place_id)


def _body(address: Address, place_id: str) -> None:
    """The dialog; runs again by itself when a page of rows is turned or a link is clicked."""
    texts.use(address.lang)
    if st.query_params.get(state.EXPLAIN) != place_id:
        st.rerun()
    with frame.reporting(), caches.store().unit(session.actor()) as unit:
        view = address.moved(place=place_id).view()
        if address.version is not None:
            unit.look_at(address.month, address.version)
        found = service.explain(unit, view, service.QUICK_PLACES)
        blocks.show("explain", markup(found))
        at = paging.number(_PAGE, ceil(found.rows_total / ROWS_A_PAGE))
        rows = found.rows[at * ROWS_A_PAGE : (at + 1) * ROWS_A_PAGE]
        ways = unit.ways(
            found.cell.place,
            [row.cell.place for row in rows],
            month_end(address.month),
        )
        blocks.show("explain-rows", rows_markup(found, address, at, ways))
        paging.show(_PAGE, ceil(found.rows_total / ROWS_A_PAGE))


def markup(found: Explanation) -> str:
    """The sum, what it stands on, what is left out, who loaded it."""
    layer, cell = found.layer, found.cell
    return blocks.render(
        "explain.html",
        place=cell.place.name,
        layer=layer_title(layer),
        about=_("{month} · {source}").format(
            month=format.month(found.month), source=source_name(found.source)
        ),
        terms=_terms(found),
        times="" if layer.is_count or layer.factor == 1 else _times(layer),
        result=_result(found),
        said=_said(found),
        notes=_notes(found),
        rules=_rules(found),
        records=[_record(one) for one in found.records if one.rows is not None],
        loads=[_load(one) for one in found.loads or ()],
        loads_note=_loads_note(found),
        unnamed=any(one.file is None for one in found.loads or ()),
        absent=[
            {
                "name": one.place.name,
                "lack": _lack(found, one.lack),
                "count": _villages(one.expected),
            }
            for one in found.absent[:LISTED]
        ],
        absent_title=_("没有抽查的单位") if found.method is Method.ESTIMATE else _("未计入的单位"),
        absent_total=format.number(found.absent_total),
        absent_more=_more(found.absent_total),
        differing=[_differing(layer, one) for one in found.differing[:LISTED]],
        differing_total=format.number(found.differing_total),
        doubts=[
            {"name": found.names[flag.place_id], "reason": flag.reason(language() == "en")}
            for flag in found.doubts[:LISTED]
        ],
        doubts_total=format.number(len(found.doubts)),
    )


def _hidden(found: Explanation) -> bool:
    return found.cell.status in (Status.SUPPRESSED, Status.TOO_LOW)


def _terms(found: Explanation) -> list[dict[str, str]]:
    """The two numbers with their names; one for a mere count, none for a value left out."""
    layer, cell = found.layer, found.cell
    if _hidden(found):
        return []
    both = [(layer.numerator, cell.numerator), (layer.denominator, cell.denominator)]
    return [
        {
            "amount": format.amount(measure, amount),
            "title": heading(measure),
        }
        for measure, amount in both[: 1 if layer.is_count else 2]
    ]


def _times(layer: Layer) -> str:
    return f"{layer.factor:g}" + ("%" if layer.unit == "%" else "")


def _result(found: Explanation) -> str:
    if found.cell.value is None:
        return status_name(found.cell.status)
    return format.value(found.layer, found.cell.value, found.cell.aim)


def _said(found: Explanation) -> str:
    """In one sentence what the value is."""
    layer, cell = found.layer, found.cell
    if cell.status is Status.SUPPRESSED:
        return _("人数少于 5 人，或会使别处的少数人被推算出来：不显示数字，也不说明由来。")
    if cell.status is Status.TOO_LOW and layer.lowest_level is not None:
        lowest = level_name(layer.lowest_level)
        return _("涉及少数患者，这个图层只显示到{level}级。").format(level=lowest)
    if found.missing is None:
        return _("这个图层没有此来源的数据")
    if found.missing:
        titles = _("、").join(datawords.dataset_title(one) for one in found.missing)
        return _("尚未导入：{datasets}").format(datasets=titles)
    if found.method is Method.NONE:
        return _("分子或分母没有，算不出数。")
    if found.method is Method.OWN:
        return _("{place}自己的数字，没有下级数字可相加。").format(place=cell.place.name)
    if found.method is Method.ESTIMATE:
        return _estimated(found)
    if found.near:
        return _("下级很多，这里只列下一级的合计；批次和未计入的单位请进入下级查看。")
    return _summed(found)


def _estimated(found: Explanation) -> str:
    """How the verified numerator is worked out, in its numbers."""
    layer, sample, reported = found.layer, found.sample, found.reported
    if sample is None or reported is None:
        return _("上报的分子 × 入户复核数 ÷ 被复核户的上报数，得到核实后的分子。")
    return _("{measure}：上报 {all} × 复核 {recount} ÷ 被复核户上报 {told} = {found}").format(
        measure=measure_title(layer.numerator),
        all=format.amount(layer.numerator, reported.numerator),
        recount=format.number(sample.recount),
        told=format.number(sample.reported),
        found=format.amount(layer.numerator, found.cell.numerator),
    )


def _summed(found: Explanation) -> str:
    levels = {row.cell.place.level for row in found.rows}
    count = format.number(found.rows_total)
    if len(levels) == 1:
        return _("由 {count} 个{level}自己的数字相加。").format(
            count=count, level=level_name(levels.pop())
        )
    return _("由 {count} 个下级单位自己的数字相加。").format(count=count)


def _notes(found: Explanation) -> list[str]:
    """What a reader must know before believing the value."""
    notes = []
    if found.sample is not None:
        notes.append(
            _(
                "复核 {units} 户：复核数 {recount}，上报数 {reported}。"
                "无服务 {nothing} 户、无原始记录 {lost} 户不能复核，未计入。"
            ).format(
                units=format.number(found.sample.units),
                recount=format.number(found.sample.recount),
                reported=format.number(found.sample.reported),
                nothing=format.number(found.sample.no_service),
                lost=format.number(found.sample.missing_source),
            )
        )
    if found.method is not Method.NONE and found.absent_total:
        notes.append(_absent(found))
    if found.differing_total:
        notes.append(
            _("{count} 处本级填报与下级合计不一致，按下级合计。").format(
                count=format.number(found.differing_total)
            )
        )
    if found.replaced:
        notes.append(
            _("{count} 个数字是更正，取代了以前导入的数字。").format(
                count=format.number(found.replaced)
            )
        )
    if found.hidden:
        notes.append(
            _("{count} 个单位人数过少，数字计入合计，但不逐个显示。").format(
                count=format.number(found.hidden)
            )
        )
    if found.floor and found.layer.lowest_level is not None:
        lowest = level_name(found.layer.lowest_level)
        notes.append(_("涉及少数患者，这个图层只显示到{level}级。").format(level=lowest))
    return notes


def _absent(found: Explanation) -> str:
    """How many are in neither sum, or not in the sample that stands for them, with the places of
    the base level that the tile counts."""
    count = format.number(found.absent_total)
    silent = found.cell.expected - found.cell.reporting
    sampled = found.method is Method.ESTIMATE
    if silent <= found.absent_total:
        words = (
            _("{count} 个单位没有抽查：上报了的按抽查到的比例折算，没有上报的不计。")
            if sampled
            else _("{count} 个单位缺分子或分母，两个数都未计入。")
        )
        return words.format(count=count)
    words = (
        _(
            "{count} 个单位（共 {silent} 个{level}）没有抽查："
            "上报了的按抽查到的比例折算，没有上报的不计。"
        )
        if sampled
        else _("{count} 个单位（共 {silent} 个{level}）缺分子或分母，两个数都未计入。")
    )
    return words.format(
        count=count,
        silent=format.number(silent),
        level=level_name(found.layer.base_level),
    )


def _rules(found: Explanation) -> list[dict[str, str]]:
    layer = found.layer
    both = [(layer.numerator, found.numerator), (layer.denominator, found.denominator)]
    return [
        {"title": measure_title(measure), "rule": _in_language(rule)}
        for measure, rule in both[: 1 if layer.is_count else 2]
    ]


def _in_language(words: Words) -> str:
    return words.en if language() == "en" else words.zh


def _record(one: Counted) -> dict[str, str]:
    part = {
        Part.NUMERATOR: _("计入分子"),
        Part.DENOMINATOR: _("计入分母"),
        Part.BOTH: _("计入分子和分母"),
    }[one.part]
    return {
        "dataset": datawords.dataset_title(one.dataset),
        "rows": format.number(one.rows),
        "part": part,
    }


def _load(one: Load) -> dict[str, str]:
    return {
        "id": str(one.id),
        "file": one.file or "",
        "dataset": datawords.dataset_title(one.dataset),
        "who": one.operator,
        "when": format.moment(one.finished),
        "rows": format.number(one.rows),
    }


def _loads_note(found: Explanation) -> str:
    if found.loads is not None or _hidden(found):
        return ""
    if found.near:
        return _("下级很多，批次请进入下级查看。")
    return _("涉及少数患者，不列出批次和记录条数。")


def _lack(found: Explanation, lack: Lack) -> str:
    layer = found.layer
    if lack is Lack.NO_FIGURE:
        return {
            Source.REPORTED: _("没有上报"),
            Source.RECORDS: _("没有台账记录"),
            Source.VERIFIED: _("没有核实"),
        }[found.source]
    absent = layer.denominator if lack is Lack.ONLY_NUMERATOR else layer.numerator
    return _("缺{measure}").format(measure=measure_title(absent))


def _villages(count: int) -> str:
    return _("含 {count} 个基层单位").format(count=format.number(count)) if count > 1 else ""


def _more(total: int) -> str:
    if total <= LISTED:
        return ""
    return _("列出前 {count} 个").format(count=format.number(LISTED))


def _differing(layer: Layer, cell: Cell) -> dict[str, str]:
    return {
        "name": cell.place.name,
        "own": _fraction(layer, cell.own_numerator, cell.own_denominator),
        "total": _fraction(layer, cell.numerator, cell.denominator),
    }


def _fraction(layer: Layer, numerator: float | None, denominator: float | None) -> str:
    if layer.is_count:
        return format.amount(layer.numerator, numerator)
    return format.fraction(layer, numerator, denominator)


def rows_markup(
    found: Explanation, address: Address, page: int, ways: Mapping[str, str] | None = None
) -> str:
    """The places the value stands on, one page of them; nothing where there are none.

    Args:
        page: from 0.
        ways: by id, the names of the places between.
    """
    layer = found.layer
    rows = found.rows[page * ROWS_A_PAGE : (page + 1) * ROWS_A_PAGE]
    counts = [layer.numerator] if layer.is_count else [layer.numerator, layer.denominator]
    return blocks.render(
        "explain_rows.html",
        title=_rows_title(found),
        total=_("共 {count} 个，由差到好").format(count=format.number(found.rows_total)),
        counts=[heading(one) for one in counts],
        value="" if layer.is_count else layer_title(layer),
        records=found.sample is None and any(row.counted for row in found.rows),
        sample=found.sample is not None,
        batches=found.loads is not None,
        rows=[_row(layer, row, address, (ways or {}).get(row.cell.place.id, "")) for row in rows],
    )


def _rows_title(found: Explanation) -> str:
    if found.near:
        return _("下一级")
    return _("抽样复核的单位") if found.sample is not None else _("逐个单位")


def _row(layer: Layer, row: Row, address: Address, way: str) -> dict[str, Any]:
    cell = row.cell
    sample = row.sample
    return {
        "name": cell.place.name,
        "way": way,
        "href": address.href(place=cell.place.id),
        "counts": [format.amount(layer.numerator, cell.numerator)]
        if layer.is_count
        else [
            format.amount(layer.numerator, cell.numerator),
            format.amount(layer.denominator, cell.denominator),
        ],
        "value": status_name(cell.status)
        if cell.value is None
        else format.value(layer, cell.value, cell.aim),
        "records": [
            _("{dataset} {count} 条").format(
                dataset=datawords.dataset_title(one.dataset), count=format.number(one.rows)
            )
            for one in row.counted
        ],
        "sample": ""
        if sample is None
        else _("{units} 户：{recount} / {reported}").format(
            units=format.number(sample.units),
            recount=format.number(sample.recount),
            reported=format.number(sample.reported),
        ),
        "batches": _("、").join(str(load) for load in row.loads),
    }

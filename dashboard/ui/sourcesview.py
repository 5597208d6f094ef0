"""The page 源文件指标: the 36 systems of the source documents and where each is on the map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from dashboard.access import Actor
from dashboard.coverage import registry
from dashboard.coverage.ledgers import ledgers_of
from dashboard.coverage.model import Layer
from dashboard.coverage.plausibility import Flag
from dashboard.coverage.systems import State, System, systems
from dashboard.demo import documents
from dashboard.demo.documents import Document
from dashboard.reports import service
from dashboard.reports.sources import SourceRow
from dashboard.store.model import month_end
from dashboard.store.unit import DEMONSTRATION, Unit
from dashboard.ui import (
    blocks,
    caches,
    datawords,
    downloads,
    escape,
    format,
    frame,
    screens,
    session,
    state,
    tomap,
)
from dashboard.ui.state import Address
from dashboard.ui.tables import measure_title
from dashboard.ui.texts import _, language, layer_title, unit_name
from geodata.errors import DudaoError

_GO = "sources-go"
"""Session entry: a layer's link that was clicked, until the map opens."""
_TEXT, _STATE, _DOCUMENT = "sources-text", "sources-state", "sources-document"
_DOUBTED = "sources-doubted"
_FILE = "sources-file"
"""Session entry: the rows of the file made last, and its address and name or the error."""
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the reader sees of the documents, and where a link to a layer leads.

    Attributes:
        here: the view the reader came from, else the top of what they may see, latest month.
        loaded: the documents whose place they may see and whose month is published.
        names: of those documents' places.
        doubts: what is implausible in the figures loaded from them, by system.
    """

    here: Address
    loaded: tuple[Document, ...]
    names: Mapping[str, str]
    doubts: Mapping[int, tuple[Flag, ...]]

    @classmethod
    def of(cls, unit: Unit) -> Seen | None:
        """What who looks may see; None where there is nothing to look at yet."""
        months = unit.months()
        if unit.is_empty() or not months:
            return None
        here = state.left() or Address(
            place=unit.root().id,
            layer=next(iter(registry.layers())),
            month=months[-1],
            default_lang=caches.settings().lang,
        )
        found = {}
        for document in documents.DOCUMENTS:
            if document.month in months:
                day = month_end(document.month)
                for place in unit.places([document.place_id], day):
                    found[document] = place.name
        return cls(
            here.moved(lang=language(), site=None, beside=None),
            tuple(found),
            {document.id: name for document, name in found.items()},
            _doubts(unit, found),
        )

    def to(self, layer: Layer) -> tuple[str, str]:
        """The link to a layer, and in words where it leads if that is a document's own figure."""
        for document in self.loaded:
            if {layer.numerator, layer.denominator} <= _measures_of(document.id):
                href = self.here.href(layer=layer.id, place=document.place_id, month=document.month)
                return href, f"{self.names[document.id]} {format.month(document.month)}"
        return self.here.href(layer=layer.id), ""


def _doubts(unit: Unit, loaded: Iterable[Document]) -> dict[int, tuple[Flag, ...]]:
    table = documents.rows()
    found: dict[int, tuple[Flag, ...]] = {}
    for document in loaded:
        version = caches.version(unit, document.month)
        flags = caches.doubts(unit, document.place_id, document.month, version)
        systems_of = table.loc[table["document"] == document.id].set_index("item")["system"]
        for flag in flags:
            # The first is what is doubted, the others what it was compared with.
            if flag.measures[0] in systems_of:
                system = int(systems_of[flag.measures[0]])
                found[system] = (*found.get(system, ()), flag)
    return found


def _measures_of(document: str) -> frozenset[str]:
    table = documents.rows()
    rows = table.loc[(table["document"] == document) & (table["kind"] == "figure")]
    return frozenset(rows["item"])


def show() -> None:
    """The whole page for who is signed in.

    Raises:
        DudaoError: PAGE_NOT_ALLOWED.
    """
    actor = session.actor()
    screens.require("sources", actor)
    tomap.leave(_GO, actor)
    with caches.store().unit(actor) as unit:
        seen = Seen.of(unit)
        demonstration = unit.meta(DEMONSTRATION) == "1"
    with st.sidebar:
        frame.sidebar_head("sources", actor)
        _filters(bool(seen and seen.doubts))
        frame.sidebar_foot(demonstration)
    doubts = {} if seen is None else seen.doubts
    doubted = st.session_state.get(_DOUBTED, False) and bool(doubts)
    found = [
        system
        for system in systems()
        if _wanted(system) and (not doubted or system.number in doubts)
    ]
    with st.container(key="sources-head", horizontal=True):
        st.html(
            blocks.render("sources_head.html", title=_("源文件指标"), counted=_counted(found)),
            width="content",
        )
        _export(actor, [_exported(system, doubts) for system in found], doubted)
    frame.line(
        "dd-help",
        _(
            "L：廊坊市健康扶贫报道(2019年7月)；X：某县健康脱贫 2017 年总结和 2018 年计划。"
            "数字照录原文，自相矛盾之处不改。"
        ),
    )
    blocks.show(
        "sources",
        markup(found, seen),
        follow=partial(st.session_state.__setitem__, _GO),
    )


def markup(found: Sequence[System], seen: Seen | None) -> str:
    """The systems as a table; ``seen`` None: nothing is loaded that a link could show."""
    return blocks.render(
        "sources.html",
        rows=[_row(system, seen) for system in found],
        empty=_("没有符合条件的系统。请放宽左侧的条件。"),
    )


# What is shown


def _filters(doubts: bool) -> None:
    keep = state.kept(_TEXT, _STATE, _DOCUMENT, _DOUBTED)
    st.text_input(_("查找"), key=_TEXT, placeholder=_("系统、数字或原文中的几个字"), on_change=keep)
    st.selectbox(
        _("状态"),
        [_ALL, *State],
        key=_STATE,
        format_func=lambda each: _("全部") if each == _ALL else state_name(each),
        on_change=keep,
    )
    st.selectbox(
        _("来源文件"),
        [_ALL, *(document.id for document in documents.DOCUMENTS)],
        key=_DOCUMENT,
        format_func=_document_name,
        on_change=keep,
    )
    if doubts:
        st.toggle(_("只看存疑的"), key=_DOUBTED, on_change=keep)


def _document_name(document: str) -> str:
    return {_ALL: _("全部"), "L": _("L 廊坊市 2019 年"), "X": _("X 某县 2017–2018 年")}[document]


def state_name(found: State) -> str:
    """How far a system is."""
    return {State.LAYER: _("已成图层"), State.LATER: _("后续建设")}[found]


def _wanted(system: System) -> bool:
    words: str = st.session_state.get(_TEXT) or ""
    status, document = st.session_state.get(_STATE, _ALL), st.session_state.get(_DOCUMENT, _ALL)
    if status != _ALL and system.state != status:
        return False
    said = _said(system)
    if document != _ALL and document not in set(said["document"]):
        return False
    text = "\n".join(
        (
            str(system.number), system.title, system.title_en, system.figures, system.figures_en,
            system.target, system.target_en, *said["text"],
            *(f"{layer.title}\n{layer.title_en}" for layer in system.layers),
        )
    )  # fmt: skip
    return words.strip().casefold() in text.casefold()


def _said(system: System) -> pd.DataFrame:
    table = documents.rows()
    return table.loc[table["system"] == system.number]


def _counted(found: Sequence[System]) -> str:
    counts = [
        f"{state_name(each)} {sum(system.state is each for system in found)}" for each in State
    ]
    return _("{count} 个系统：{states}").format(count=len(found), states=" · ".join(counts))


def _row(system: System, seen: Seen | None) -> dict[str, object]:
    english = language() == "en"
    quotes = _quotes(system)
    return {
        "number": system.number,
        "title": system.title_en if english else system.title,
        "base": system.base_en if english else system.base,
        "figures": system.figures_en if english else system.figures,
        "target": system.target_en if english else system.target,
        "state": state_name(system.state),
        "tone": system.state.value,
        "flags": []
        if seen is None
        else [_said_of(flag) for flag in seen.doubts.get(system.number, ())],
        "quoted": _("原文 {count} 处").format(count=len(quotes)),
        "quotes": quotes,
        "layers": [_link(layer, seen) for layer in system.layers],
        "ledgers": _ledgers(system, seen),
    }


def _said_of(flag: Flag) -> str:
    """What is doubted, why, and in which figures, in the language in use."""
    english = language() == "en"
    return _("存疑：{rule}。{reason}（{measures}）").format(
        rule=flag.rule.title_en if english else flag.rule.title,
        reason=flag.reason(english),
        measures=_("、").join(measure_title(measure) for measure in flag.measures),
    )


def _quotes(system: System) -> list[dict[str, str]]:
    """The words of the documents, each once, with the figures taken from them."""
    found = []
    for (document, text), rows in _said(system).groupby(["document", "text"], sort=False):
        figures = [
            f"{value:,.10g}{unit if unit == '%' else ' ' + unit_name(unit)}"
            for value, unit in zip(rows["value"], rows["unit"], strict=True)
        ]
        periods = _("、").join(dict.fromkeys(rows["period"]))
        said = _("、").join(figures)
        found.append({"words": f"{document}：“{text}”", "figures": f"{said} ({periods})"})
    return found


def _link(layer: Layer, seen: Seen | None) -> dict[str, str]:
    href, at = ("", "") if seen is None else seen.to(layer)
    return {"title": layer_title(layer), "href": href, "at": at}


def _ledgers(system: System, seen: Seen | None) -> list[dict[str, str]]:
    """The ledgers its layers are counted from, where there is data to open."""
    if seen is None:
        return []
    found = dict.fromkeys(one for layer in system.layers for one in ledgers_of(layer))
    return [
        {
            "title": datawords.dataset_title(one),
            "href": f"{seen.here.href()}&{urlencode({tomap.LEDGER: one})}",
        }
        for one in found
    ]


# Taking it along


def _export(actor: Actor, found: Sequence[SourceRow], doubted: bool) -> None:
    if not found or not actor.may("figures.export"):
        return
    st.button(
        _("导出表格"),
        key="sources-export",
        icon=":material/download:",
        on_click=partial(_make, tuple(found), _filtered(doubted)),
    )
    rows, made = st.session_state.get(_FILE, ((), None))
    if rows != tuple(found):
        return
    if isinstance(made, DudaoError):
        st.error(f"{escape.markdown(made.message)}{escape.markdown(made.remedy)}")
    else:
        address, name = made
        st.html(blocks.render("download.html", href=address, name=name))


def _make(found: tuple[SourceRow, ...], filtered: str) -> None:
    who = session.current()
    try:
        made = service.source_table(
            caches.store(),
            who.actor,
            found,
            filtered=filtered,
            format="xlsx",
        )
        address = downloads.offer(who.session_id, made.name, made.media_type, made.body)
    except DudaoError as error:
        st.session_state[_FILE] = found, error
        return
    st.session_state[_FILE] = found, (address, made.name)


def _filtered(doubted: bool) -> str:
    """What the list is narrowed to."""
    words: str = (st.session_state.get(_TEXT) or "").strip()
    parts = [f"含“{words}”"] if words else []
    if st.session_state.get(_STATE, _ALL) != _ALL:
        parts.append(_STATES[State(st.session_state[_STATE])])
    if st.session_state.get(_DOCUMENT, _ALL) != _ALL:
        parts.append(f"文件 {st.session_state[_DOCUMENT]}")
    if doubted:
        parts.append("存疑")
    return "、".join(parts)


_STATES = {State.LAYER: "已成图层", State.LATER: "后续建设"}
"""An export is in Chinese whatever the screen is in."""


def _exported(system: System, doubts: Mapping[int, tuple[Flag, ...]]) -> SourceRow:
    said = _said(system)
    quotes = dict.fromkeys(f"{row.document}：“{row.text}”" for row in said.itertuples())
    return SourceRow(
        number=system.number,
        title=system.title,
        base=system.base,
        figures=system.figures,
        target=system.target,
        state=_STATES[system.state],
        layers=tuple(layer.title for layer in system.layers),
        quotes=tuple(quotes),
        flags=tuple(
            f"{flag.rule.title}：{flag.reason()}" for flag in doubts.get(system.number, ())
        ),
    )

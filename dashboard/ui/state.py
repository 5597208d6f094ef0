"""The view in the address: what a copied link, a click and the browser's Back all mean.

Streamlit pushes one history entry whenever the query string changes and runs the page again when
Back changes it, so the address is the only state: widgets and clicks write it, the page reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import streamlit as st

from dashboard.coverage import registry
from dashboard.coverage.model import Part, Source, View
from dashboard.coverage.modes import Mode
from dashboard.coverage.ranking import MINIMUM
from dashboard.store.model import month_end
from dashboard.store.unit import Unit
from dashboard.ui import format
from dashboard.ui.texts import LANGUAGES, _, layer_title
from geodata import codes
from geodata.errors import DudaoError
from geodata.model import Institution, Level, Place

_KEY = "address"
_WRITTEN = "address-written"
"""Session entry: the view a click asked for, until a page has run for it."""
_KEPT = "kept"
"""Session entry: what was chosen in widgets of pages that may be left, by key."""
SEARCH = "search"
"""Key of the search box."""

EXPLAIN = "explain"
"""Parameter: the place whose value is taken apart in a dialog over the view; any move closes it."""

PAGE = "page"
"""The page turned to in a list; another view begins at the first."""

FIELDS = (
    "place", "layer", "month", "version", "site", "source", "show", "against", "beside", "lang",
    "part", "level", "by", "least", EXPLAIN,
)  # fmt: skip


LEAST_DIGITS = 5
"""Of the largest minimum denominator that can be asked for."""
WILSON = "wilson"
"""In ``by``: ranked on the worse end of Wilson's interval."""


@dataclass(frozen=True, slots=True)
class Address:
    """One view of a page; every field that may not be None always holds a valid value.

    Attributes:
        month: ``YYYY-MM``.
        version: an earlier version of the month, from before a correction; None: as it stands.
        site: institution opened in the side panel, or None.
        show: what the colours say.
        against: the month a change is measured from; None unless changes are shown.
        source: who says so; the second map always shows what was reported.
        beside: layer and month of the second map, as ``layer~YYYY-MM``, or None.
        lang: language of the interface; ``default_lang`` is left out of the address.
        part: of the page 比较; None on other pages. The following belong to it.
        level: of the places compared; None: of those directly below.
        wilson: ranked on the worse end of the interval.
        least: a smaller denominator takes no rank.
    """

    place: str
    layer: str
    month: str
    site: str | None = None
    show: Mode = Mode.VALUE
    against: str | None = None
    beside: str | None = None
    lang: str = "zh"
    default_lang: str = "zh"
    source: Source = Source.REPORTED
    version: int | None = None
    part: Part | None = None
    level: Level | None = None
    wilson: bool = False
    least: int = MINIMUM

    def view(self) -> View:
        """What the coverage service is asked."""
        return View(self.place, self.layer, self.month, self.source)

    def params(self) -> dict[str, str]:
        """The query parameters."""
        found = {"place": self.place, "layer": self.layer, "month": self.month}
        if self.version is not None:
            found["version"] = str(self.version)
        if self.site is not None:
            found["site"] = self.site
        if self.source is not Source.REPORTED:
            found["source"] = self.source.value
        if self.show is not Mode.VALUE:
            found["show"] = self.show.value
        if self.against is not None:
            found["against"] = self.against
        if self.beside is not None:
            found["beside"] = self.beside
        if self.lang != self.default_lang:
            found["lang"] = self.lang
        if self.part is not None:
            found["part"] = self.part.value
        if self.level is not None:
            found["level"] = self.level.key
        if self.wilson:
            found["by"] = WILSON
        if self.least != MINIMUM:
            found["least"] = str(self.least)
        return found

    def alone(self) -> Address:
        """The same view on a page that compares nothing."""
        return replace(self, part=None, level=None, wilson=False, least=MINIMUM)

    def second(self) -> tuple[str, str] | None:
        """Layer and month of the second map."""
        if self.beside is None:
            return None
        layer, _mark, month = self.beside.partition("~")
        return layer, month

    def moved(self, **changes: Any) -> Address:
        """The address after a change.

        Another place closes the institution; another month is shown as it stands.
        """
        if "place" in changes and "site" not in changes:
            changes["site"] = None
        if "month" in changes and "version" not in changes:
            changes["version"] = None
        return replace(self, **changes)

    def links(self) -> Callable[[str], str]:
        """What makes the link to the same view of another place, as an HTML attribute's value."""
        params = self.moved(place="").params()
        del params["place"]
        tail = _query(params).replace("&", "&amp;")
        return lambda place_id: f"?place={quoted(place_id)}&amp;{tail}"

    def explained(self, place_id: str, **changes: Any) -> str:
        """The link to the view after a change, with a place's value taken apart over it."""
        return f"{self.href(**changes)}&{EXPLAIN}={quoted(place_id)}"

    def href(self, **changes: Any) -> str:
        """The link to the view after a change: ``?place=…``."""
        return "?" + _query(self.moved(**changes).params())


@lru_cache(maxsize=16_384)
def quoted(text: str) -> str:
    """A value as it stands in an address; remembered, for a page writes the same few a lot."""
    return quote_plus(text)


def _query(params: Mapping[str, str]) -> str:
    """Parameters as a query; their names are ours and need no quoting."""
    return "&".join(f"{name}={quoted(text)}" for name, text in params.items())


@dataclass(frozen=True, slots=True)
class Resolved:
    """A valid view, the place and institution it names, and what had to be corrected."""

    address: Address
    place: Place
    site: Institution | None
    problems: tuple[str, ...]


def wanted_language(params: Mapping[str, str], default: str) -> str:
    """The language an address asks for; the default when it asks for none we have."""
    found = params.get("lang", default)
    return found if found in LANGUAGES else default


def parse(params: Mapping[str, str], unit: Unit, default_lang: str = "zh") -> Resolved:
    """Read a view from query parameters, replacing what is missing or wrong.

    A missing value takes its default without a word. A wrong one takes the nearest that holds: the
    closest published month, the first layer, the lowest existing place above. Each correction
    is told in ``problems``. The unit reads the month in the version asked for from now on.

    Raises:
        DudaoError: NO_PLACES or NO_MONTHS, there is nothing to show at all.
    """
    problems: list[str] = []
    lang = wanted_language(params, default_lang)
    if params.get("lang", lang) != lang:
        problems.append(_("没有语言“{lang}”。").format(lang=params["lang"]))
    layer = _layer(params.get("layer"), problems)
    if not unit.months():
        unit.root()  # that there is no place either is said first
    month = _month(params.get("month"), unit.months(), problems)
    version = _version(params.get("version"), month, unit, problems)
    place = _place(params.get("place"), month, unit, problems)
    site = _site(params.get("site"), month, unit, problems)
    beside = _beside(params.get("beside"), unit.months(), problems)
    show = _show(params.get("show"), problems)
    against = _against(params.get("against"), month, unit.months()) if show is Mode.CHANGE else None
    if show is Mode.CHANGE and against is None:
        show = Mode.VALUE
    address = Address(
        place.id,
        layer,
        month,
        site.id if site else None,
        show,
        against,
        beside,
        lang,
        default_lang,
        _source(params.get("source"), problems),
        version,
        _part(params.get("part"), problems),
        _level(params.get("level"), problems),
        _by(params.get("by"), problems),
        _least(params.get("least"), problems),
    )
    return Resolved(address, place, site, tuple(problems))


def _layer(wanted: str | None, problems: list[str]) -> str:
    layers = registry.layers()
    if wanted in layers:
        return str(wanted)
    first = next(iter(layers.values()))
    if wanted:
        problems.append(
            _("没有图层“{layer}”，已改为{shown}。").format(layer=wanted, shown=layer_title(first))
        )
    return first.id


def _month(wanted: str | None, months: Sequence[str], problems: list[str]) -> str:
    if not months:
        raise DudaoError("NO_MONTHS", "还没有任何月份的数据。", "请先导入月度数据，再打开地图。")
    if wanted in months:
        return str(wanted)
    if not wanted:
        return months[-1]
    try:
        day = month_end(wanted)
    except DudaoError:
        shown = months[-1]
        problems.append(
            _("月份“{month}”写法不对，已改为{shown}。").format(
                month=wanted, shown=format.month(shown)
            )
        )
        return shown
    shown = min(months, key=lambda month: abs((month_end(month) - day).days))
    problems.append(
        _("{month}没有数据，已改为最近的{shown}。").format(
            month=format.month(wanted), shown=format.month(shown)
        )
    )
    return shown


def _version(wanted: str | None, month: str, unit: Unit, problems: list[str]) -> int | None:
    """The earlier version asked for, where it is kept and is not the one that stands."""
    if not wanted:
        return None
    number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 9 else 0
    if number == unit.snapshot(month).version:
        return None
    try:
        unit.look_at(month, number)
    except DudaoError:
        problems.append(
            _("{month}没有第“{version}”版，或已不再保留，已改为现行版本。").format(
                month=format.month(month), version=wanted
            )
        )
        return None
    return number


def _source(wanted: str | None, problems: list[str]) -> Source:
    if wanted is None or wanted in set(Source):
        return Source(wanted or Source.REPORTED)
    problems.append(_("没有数据来源“{source}”，已改为上报数据。").format(source=wanted))
    return Source.REPORTED


def _part(wanted: str | None, problems: list[str]) -> Part | None:
    if not wanted:
        return None
    try:
        return Part(wanted)
    except ValueError:
        problems.append(_("没有比较方式“{wanted}”，已改为排名。").format(wanted=wanted))
        return Part.RANK


def _level(wanted: str | None, problems: list[str]) -> Level | None:
    if not wanted:
        return None
    found = next((level for level in Level if level.key == wanted), None)
    if found is None:
        problems.append(_("没有级别“{wanted}”，已改为直接下级。").format(wanted=wanted))
    return found


def _by(wanted: str | None, problems: list[str]) -> bool:
    if wanted and wanted != WILSON:
        problems.append(_("没有排名办法“{wanted}”，已改为按数值。").format(wanted=wanted))
    return wanted == WILSON


def _least(wanted: str | None, problems: list[str]) -> int:
    if not wanted:
        return MINIMUM
    if wanted.isascii() and wanted.isdigit() and len(wanted) <= LEAST_DIGITS:
        return int(wanted)
    problems.append(
        _("最小分母“{wanted}”应为 0 至 {most} 的整数，已改为 {least}。").format(
            wanted=wanted, most=10**LEAST_DIGITS - 1, least=MINIMUM
        )
    )
    return MINIMUM


def _show(wanted: str | None, problems: list[str]) -> Mode:
    if not wanted:
        return Mode.VALUE
    try:
        return Mode(wanted)
    except ValueError:
        problems.append(_("没有显示方式“{wanted}”，已改为数值。").format(wanted=wanted))
        return Mode.VALUE


def _against(wanted: str | None, month: str, months: Sequence[str]) -> str | None:
    """The month asked for, else that a year before or the first there is; None: there is no other.

    A month that is no other one takes the default: it is what remains of a move through months.
    """
    if wanted in months and wanted != month:
        return wanted
    others = [one for one in months if one < month] or [one for one in months if one > month]
    year_ago = f"{int(month[:4]) - 1:04}{month[4:]}"
    if year_ago in others:
        return year_ago
    return others[0] if others else None


def _beside(wanted: str | None, months: Sequence[str], problems: list[str]) -> str | None:
    if not wanted:
        return None
    layer, _mark, month = wanted.partition("~")
    if layer in registry.layers() and month in months:
        return wanted
    problems.append(_("并排对比“{wanted}”没有这个图层或月份，已关闭。").format(wanted=wanted))
    return None


def _place(wanted: str | None, month: str, unit: Unit, problems: list[str]) -> Place:
    if not wanted:
        return unit.root()
    try:
        return unit.place(wanted, month_end(month))
    except DudaoError:
        above = {place.id: place for place in unit.places(_codes_above(wanted), month_end(month))}
    found = next((above[code] for code in _codes_above(wanted) if code in above), None)
    nearest = found or unit.root()
    problems.append(_told(wanted, month, nearest))
    return nearest


def _codes_above(code: str) -> list[str]:
    """The codes of the places above a division code, nearest first."""
    found = []
    parent = codes.parse(code).parent_id if codes.is_division_code(code) else None
    while parent is not None:
        found.append(parent)
        parent = codes.parse(parent).parent_id
    return found


def _told(wanted: str, month: str, shown: Place) -> str:
    return _("{month}没有代码为“{place}”的地方，已改为{shown}。").format(
        month=format.month(month), place=wanted, shown=shown.name
    )


def _site(wanted: str | None, month: str, unit: Unit, problems: list[str]) -> Institution | None:
    """The institution asked for, if it and the place it belongs to exist in the month."""
    if not wanted:
        return None
    try:
        found = unit.institution(wanted)
        unit.place(found.place_id, month_end(month))
    except DudaoError:
        problems.append(
            _("{month}没有代码为“{site}”的机构。").format(month=format.month(month), site=wanted)
        )
        return None
    return found


def remember(address: Address) -> None:
    """Keep the view on screen, so that a callback knows what its change starts from."""
    st.session_state[_KEY] = address
    st.session_state.pop(_WRITTEN, None)


def left() -> Address | None:
    """The view last shown in this session, None before the first."""
    found: Address | None = st.session_state.get(_KEY)
    return found


def kept(*keys: str) -> Callable[[], None]:
    """Bring back what was chosen in some of a page's widgets before the page was left.

    Streamlit forgets a widget's value once another page is shown. To be called before the widgets;
    each of them is given the answer as its ``on_change``.
    """
    left_as: dict[str, Any] = st.session_state.setdefault(_KEPT, {})
    for key in keys:
        if key in left_as and key not in st.session_state:
            st.session_state[key] = left_as[key]
    return lambda: left_as.update({key: st.session_state.get(key) for key in keys})


def go(**changes: Any) -> None:
    """Move to another view: one new history entry, and the page runs again.

    To be called from widget callbacks, which run before the page does.
    """
    address = left()
    if address is not None:
        _move(address.moved(**changes).params())


def follow(href: str) -> None:
    """Move to the view of a clicked link written by ``Address.href``."""
    given = {key: text for key, text in parse_qsl(href.removeprefix("?")) if key in FIELDS}
    _move(given)


def _move(wanted: dict[str, str]) -> None:
    """Write a view that was reached from the one on screen.

    Two clicks may come before the page has run for the first: then the second changes what it
    changes and keeps the rest of the first.
    """
    address, written = left(), st.session_state.get(_WRITTEN)
    if written is not None and address is not None:
        before = address.params()
        changed = {key: text for key, text in wanted.items() if before.get(key) != text}
        kept = {key: text for key, text in written.items() if key in wanted or key not in before}
        wanted = kept | changed
    st.session_state[_WRITTEN] = wanted
    _write(wanted)


def _write(params: dict[str, str]) -> None:
    """One assignment, so one history entry; a search that was open has done its work.

    What a page keeps in the address beside the view stays.
    """
    own = {
        key: text for key, text in st.query_params.to_dict().items() if key not in (*FIELDS, PAGE)
    }
    st.query_params.from_dict({**params, **own})
    st.session_state[SEARCH] = ""

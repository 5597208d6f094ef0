"""Ledgers: the records figures are counted from, row by row (docs/decisions/0012).

Who may not see single persons reads of ledgers of persons and households only what the screens tell
anyway: no identity, no free text, nothing that tells of an illness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Any

import pandas as pd

from dashboard.access import Actor, acts
from dashboard.coverage import registry
from dashboard.coverage.disclosure import PERSONAL_UNITS
from dashboard.coverage.model import Layer
from dashboard.store import Store
from dashboard.store.model import Filter, PersonRow, Selection, month_end
from dashboard.store.records import LATEST
from dashboard.store.unit import Unit
from geodata.errors import DudaoError
from geodata.model import Level, Place
from loaders import parse
from loaders.registry import (
    PERSON,
    WRITTEN_NAMES,
    Column,
    Dataset,
    lists,
    measures,
    record_datasets,
)

PAGE = 50
MOST_A_PAGE = 50_000
PERSONAL = frozenset({PERSON, "household_id"})
"""Columns that name somebody; a ledger with one of them in its key is one of persons."""
OTHERS = "督查整改"
"""The group of ledgers that no layer is counted from."""

Value = str | float | bool | date | None


class Period(StrEnum):
    """Which rows of a ledger are meant by a month."""

    COUNTED = "counted"
    """Those its indicators count: in force on its last day, or dated since 1 January."""
    MONTH = "month"
    """Dated in the month itself."""
    ALL = "all"
    """All there are."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody may see of a ledger at a place.

    Attributes:
        columns: by canonical name: who, where, then in the order declared.
        left_out: by column, the codes whose rows are not shown.
        personal: whether the rows are of single persons or households.
        right: whether they may see single persons at the place at all.
    """

    dataset: Dataset
    place: Place
    columns: Mapping[str, Column]
    left_out: Mapping[str, frozenset[str]]
    personal: bool
    right: bool

    @property
    def persons(self) -> bool:
        """Whether the rows tell who it is, masked."""
        return self.personal and self.right

    @property
    def filtered(self) -> Mapping[str, Column]:
        """The columns rows can be filtered by."""
        return {name: one for name, one in self.columns.items() if name not in ("place_id", PERSON)}

    def codes(self, name: str) -> tuple[str, ...]:
        """The codes a column can be filtered by; none where it holds no codes."""
        column = self.columns[name]
        found: Iterable[str] = ()
        if column.kind == "measure":
            found = measures()
        elif column.list is not None:
            found = lists()[column.list].words
        hidden = self.left_out.get(name, frozenset())
        return tuple(code for code in found if code not in hidden)


@dataclass(frozen=True, slots=True)
class Query:
    """One page of one ledger.

    Attributes:
        month: ``YYYY-MM``.
        sort: column to order by; empty: the date, latest first.
        page: from 1; size: rows a page.
    """

    dataset: str
    place_id: str
    month: str
    period: Period = Period.COUNTED
    filters: tuple[Filter, ...] = ()
    sort: str = ""
    descending: bool = False
    page: int = 1
    size: int = PAGE


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Rows of a ledger as they may be shown.

    Attributes:
        sight: what is in it.
        rows: a value for each of ``sight.columns``; a person's is always None, choices are codes
            with blanks between.
        persons: beside ``rows`` where persons may be seen: who it is, masked; None for somebody who
            is not registered.
        names: name and name of the place above, by id of a place.
        total: rows in all.
        first: the running number of the first row.
    """

    query: Query
    sight: Sight
    rows: tuple[tuple[Value, ...], ...]
    persons: tuple[PersonRow | None, ...]
    names: Mapping[str, tuple[str, str]]
    total: int
    first: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """One ledger of a place at a glance.

    Attributes:
        group: of the layers most of which are counted from it.
        layers: how many layers are.
        rows: how many it has, as far as they may be seen.
        loaded_at: when the latest load that brought one of them ended, in UTC; empty for none.
    """

    dataset: Dataset
    group: str
    layers: int
    rows: int
    loaded_at: str


# Reading


@acts("records.view")
def overview(
    unit: Unit, place_id: str, month: str, period: Period = Period.COUNTED
) -> list[Ledger]:
    """Every ledger at a place, by the groups of the layers.

    Rows nobody without the right to see persons is shown are not counted for them either.

    Raises:
        DudaoError: PLACE_NOT_FOUND, MONTH_FORM.
    """
    place = unit.place(place_id, month_end(month))
    sights = [_sight(unit.actor, one, place) for one in record_datasets().values()]
    told = unit.ledgers(place, [_selection(one, month, period) for one in sights])
    found = {
        sight.dataset.id: Ledger(
            sight.dataset,
            groups()[sight.dataset.id],
            len(layers_of(sight.dataset.id)),
            rows,
            unit.loaded_at(latest),
        )
        for sight, (_, rows, latest) in zip(sights, told, strict=True)
    }
    return [found[name] for name in groups()]


@acts("records.view")
def sight(unit: Unit, dataset_id: str, place_id: str, month: str) -> Sight:
    """What of a ledger may be seen and filtered by at a place.

    Raises:
        DudaoError: LEDGER_NOT_FOUND, PLACE_NOT_FOUND, MONTH_FORM.
    """
    dataset = _dataset(dataset_id)
    return _sight(unit.actor, dataset, unit.place(place_id, month_end(month)))


@acts("records.view")
def read(store: Store, actor: Actor, query: Query) -> Page:
    """A page of a ledger; opening one that tells who somebody is, is audited before it is shown.

    Raises:
        NotAllowed
        DudaoError: LEDGER_NOT_FOUND; PLACE_NOT_FOUND, also outside the scope, which is audited;
            MONTH_FORM; LEDGER_FILTER, no such column or code to filter or sort by.
    """
    dataset = _dataset(query.dataset)
    on = month_end(query.month)
    with store.unit(actor, "records.view") as unit:
        place = unit.place(query.place_id, on)
        seen = _sight(actor, dataset, place)
        for one in query.filters:
            _check(seen, one)
        if query.sort and query.sort not in seen.columns:
            raise _wrong(seen, query.sort)
        size = max(1, min(query.size, MOST_A_PAGE))
        offset = (max(1, query.page) - 1) * size
        wanted = _selection(
            seen,
            query.month,
            query.period,
            filters=query.filters,
            sort="" if query.sort == PERSON else query.sort,
            descending=query.descending,
            offset=offset,
            limit=size,
        )
        ((frame, total, _),) = unit.ledgers(place, [wanted])
        names = _names(unit, frame["place_id"], on)
        persons: tuple[PersonRow | None, ...] = ()
        if seen.persons and PERSON in frame:
            known = unit.persons(frame[PERSON].tolist())
            persons = tuple(known.get(number) for number in frame[PERSON].tolist())
    if seen.persons:
        store.record(
            actor,
            "records.persons",
            at=place.id,
            subject=dataset.id,
            details={
                "dataset": dataset.id,
                "month": query.month,
                "period": query.period.value,
                "columns": sorted(one.column for one in query.filters),
                "page": max(1, query.page),
                "rows": len(frame),
            },
        )
    return Page(query, seen, _rows(seen, frame), persons, names, total, offset + 1)


def _dataset(dataset_id: str) -> Dataset:
    found = record_datasets().get(dataset_id)
    if found is None:
        known = "、".join(f"{one.id}({one.title})" for one in record_datasets().values())
        raise DudaoError("LEDGER_NOT_FOUND", f"没有台账“{dataset_id}”。", f"可用的台账：{known}。")
    return found


def _selection(seen: Sight, month: str, period: Period, **further: Any) -> Selection:
    """Which months' rows are meant, and what nobody without the right is shown."""
    dataset = seen.dataset
    months: dict[str, Any] = {}
    if period is Period.MONTH:
        months = {"since": month, "until": month}
    elif period is Period.COUNTED:
        months = {"until": month}
        if not dataset.makes_months:
            months["in_force"] = month_end(month)
        elif dataset.id not in LATEST:
            months["since"] = f"{month[:4]}-01"
    hidden = tuple(
        Filter(name, without=tuple(sorted(codes))) for name, codes in seen.left_out.items()
    )
    asked: tuple[Filter, ...] = further.pop("filters", ())
    if not further.get("sort"):
        further |= {"sort": dataset.dated, "descending": True}
    return Selection(dataset.id, **months, filters=(*asked, *hidden), **further)


def _rows(seen: Sight, frame: pd.DataFrame) -> tuple[tuple[Value, ...], ...]:
    columns = []
    for name in seen.columns:
        values = [None] * len(frame) if name == PERSON else frame[name].tolist()
        # Numbers that say nothing come as NaN, dates as NaT or None.
        columns.append([None if one is None or one != one else one for one in values])
    return tuple(zip(*columns, strict=True))


def _names(unit: Unit, ids: Iterable[str], on: date) -> dict[str, tuple[str, str]]:
    wanted = set(ids)
    places = {one.id: one for one in unit.places(wanted, on)}
    for gone in wanted - places.keys():
        places |= {one.id: one for one in unit.versions(gone)[-1:]}
    above = {
        one.id: one.name
        for one in unit.places((place.parent_id or "" for place in places.values()), on)
    }
    return {one.id: (one.name, above.get(one.parent_id or "", "")) for one in places.values()}


# What may be seen


def _sight(actor: Actor, dataset: Dataset, place: Place) -> Sight:
    columns = {
        PERSON if one.kind == "id_number" else name: one
        for name, one in dataset.columns.items()
        if name not in WRITTEN_NAMES
    }
    # Who and where come first.
    declared = {name: columns[name] for name in (PERSON, "place_id") if name in columns} | columns
    personal = bool(PERSONAL & set(dataset.canonical_key))
    right = actor.scope("records.persons").covers(place.path)
    if not personal:
        return Sight(dataset, place, declared, {}, personal, right)
    if right:
        never = {
            name: _measures_below(Level.CITY)
            for name, one in declared.items()
            if one.kind == "measure"
        }
        return Sight(dataset, place, declared, never, personal, right)
    flags, codes = _telling()[dataset.id]
    open_to_all = {
        name: one
        for name, one in declared.items()
        if name not in PERSONAL | flags | {"died"} and one.kind != "text"
    }
    codes = {name: found for name, found in codes.items() if name in open_to_all}
    return Sight(dataset, place, open_to_all, codes, personal, right)


@cache
def _telling() -> Mapping[str, tuple[frozenset[str], Mapping[str, frozenset[str]]]]:
    """By dataset what tells of an illness: columns, and codes of columns that hold one code each.

    That is whatever a measure of a protected layer asks of a row.
    """
    found: dict[str, tuple[set[str], dict[str, set[str]]]] = {
        name: (set(), {}) for name in record_datasets()
    }
    hidden = _of([one for one in registry.layers().values() if one.protected]) - _of(
        [one for one in registry.layers().values() if not one.protected]
    )
    for measure in hidden:
        rule = measures()[measure].records
        if rule is None:
            continue
        for dataset, conditions in ((rule.dataset, rule.where), (rule.by, rule.by_where)):
            for one in conditions:
                flags, codes = found[dataset or ""]
                column = record_datasets()[dataset or ""].columns[one.column]
                if column.kind == "choice":
                    told = one.value if isinstance(one.value, tuple) else (one.value,)
                    codes.setdefault(one.column, set()).update(map(str, told))
                elif one.value is not False:
                    flags.add(one.column)
    for dataset, declared in record_datasets().items():
        for name, column in declared.columns.items():
            if column.kind == "measure":
                found[dataset][1].setdefault(name, set()).update(hidden)
    return {
        name: (frozenset(flags), {one: frozenset(told) for one, told in codes.items()})
        for name, (flags, codes) in found.items()
    }


def _of(layers: Iterable[Layer]) -> frozenset[str]:
    return frozenset(name for one in layers for name in (one.numerator, one.denominator))


@cache
def _measures_below(level: Level) -> frozenset[str]:
    """The measures shown at no place below a level, to nobody."""
    return _of(
        one
        for one in registry.layers().values()
        if one.lowest_level is not None and one.lowest_level <= level
    )


def leaving(seen: Sight) -> tuple[str, ...]:
    """The columns that may leave in a file; none: the ledger may not.

    Without the right to see persons a file holds nothing that counts persons or households: small
    counts are left out of exports, and here nobody can tell which are safe.
    """
    if seen.personal and not seen.right:
        return ()
    return tuple(
        name for name, one in seen.columns.items() if seen.right or one.unit not in PERSONAL_UNITS
    )


@cache
def groups() -> Mapping[str, str]:
    """The ledgers in the order of the layers' groups, each with its own.

    That is the group most layers counted from it are in.
    """
    order = list(dict.fromkeys(layer.group for layer in registry.layers().values()))
    found = {}
    for name in record_datasets():
        counted = Counter(layer.group for layer in layers_of(name))
        found[name] = max(order, key=lambda group: counted[group]) if counted else OTHERS
    return dict(sorted(found.items(), key=lambda one: order.index(one[1])))


def layers_of(dataset_id: str) -> list[Layer]:
    """The layers counted from a ledger, in the registry's order."""
    return [layer for layer in registry.layers().values() if dataset_id in ledgers_of(layer)]


def ledgers_of(layer: Layer) -> tuple[str, ...]:
    """The ledgers a layer is counted from."""
    rules = (measures()[name].records for name in (layer.numerator, layer.denominator))
    return tuple(dict.fromkeys(one for rule in rules if rule is not None for one in rule.datasets))


# Filters in words: what an address and the command line say


def filter_of(seen: Sight, name: str, text: str) -> Filter:
    """A filter as written: ``exam,record``, ``yes``, ``no``, ``10..20``, ``2026-01-01..``, a text.

    Raises:
        DudaoError: LEDGER_FILTER.
    """
    column = seen.filtered.get(name)
    said = text.strip()
    if column is None or not said:
        raise _wrong(seen, name, text)
    if column.kind == "flag":
        if said not in ("yes", "no"):
            raise _wrong(seen, name, text)
        found = Filter(name, flag=said == "yes")
    elif seen.codes(name):
        found = Filter(name, among=tuple(dict.fromkeys(said.split(","))))
    elif column.kind in ("number", "date", "month"):
        low, dots, high = said.partition("..")
        ends = [_bound(column, low), _bound(column, high if dots else low)]
        if (low.strip() and ends[0] is None) or (high.strip() and ends[1] is None):
            raise _wrong(seen, name, text)
        found = Filter(name, low=ends[0], high=ends[1])
        if ends == [None, None]:
            raise _wrong(seen, name, text)
    else:
        found = Filter(name, text=said)
    _check(seen, found)
    return found


def _bound(column: Column, text: str) -> Any:
    """A date, number or month; None for what is none."""
    said = text.strip()
    if not said:
        return None
    if column.kind == "date":
        return parse.date(said)
    if column.kind == "month":
        return None if (month := parse.month(said)) == parse.AMBIGUOUS_MONTH else month
    try:
        number = float(said)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def written(seen: Sight, wanted: Filter) -> str:
    """A filter in the form ``filter_of`` reads."""
    if wanted.flag is not None:
        return "yes" if wanted.flag else "no"
    if wanted.among:
        return ",".join(wanted.among)
    if wanted.low is not None or wanted.high is not None:
        return "..".join("" if one is None else _end(one) for one in (wanted.low, wanted.high))
    return wanted.text


def _end(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check(seen: Sight, wanted: Filter) -> None:
    """Refuse what is not there to filter by: its answer would tell what is not shown."""
    if wanted.column not in seen.filtered:
        raise _wrong(seen, wanted.column)
    if not set((*wanted.among, *wanted.without)) <= set(seen.codes(wanted.column)):
        raise _wrong(seen, wanted.column, ",".join((*wanted.among, *wanted.without)))


def _wrong(seen: Sight, name: str, text: str = "") -> DudaoError:
    said = f"{name}={text}" if text else name
    usable = "、".join(f"{one}({column.aliases[0]})" for one, column in seen.filtered.items())
    return DudaoError(
        "LEDGER_FILTER",
        f"“{seen.dataset.title}”不能按“{said}”筛选或排序。",
        f"可用的列：{usable}。日期和数值写作 起..止，是否写作 yes 或 no，类别写代码、以逗号分隔。",
    )

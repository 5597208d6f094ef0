"""How records become figures: one ibis expression for each kind of counting (decision 0006).

No engine's own function, so the same expressions compile to another ibis backend. All figures are
whole numbers or sums of what the records hold: two engines agree to the last digit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _, selectors

from dashboard.store.facts import SCHEMA
from dashboard.store.model import (
    FOUND,
    LEAST_AREA,
    RECOUNT,
    REPORTED,
    RESIDENTS_ABOVE,
    SAMPLED,
    month_end,
)
from dashboard.store.records import schema_of
from loaders.registry import Condition, Count, measures, record_datasets

RECORDS, VERIFIED = "records", "verified"

MONTHS = pa.schema(
    {
        "month": pa.string(),
        "year": pa.int64(),
        "number": pa.int64(),
        "first": pa.date32(),
        "last": pa.date32(),
        "days": pa.int64(),
        "since": pa.string(),
    }
)
"""The months counted: ``number`` 1 to 12, ``first`` the 1 January, ``last`` the month's last day,
``days`` of the year, ``since`` the first month of the year after the one counted before."""

_FIGURE = ("place_id", "month", "measure", "value")
_YEAR = 12
PLACES = 6
"""Decimals kept of a sum: engines add in any order, and the last digits follow the order."""


def current(once: ir.Table, again: ir.Table, committed: ir.Table, key: Sequence[str]) -> ir.Table:
    """The records that count: of each key in a partition the latest load's row, if not gone."""
    latest = again.semi_join(committed, "batch").mutate(
        turn=ibis.row_number().over(
            ibis.window(
                group_by=list(dict.fromkeys(["county", "month", *key])), order_by=_.batch.desc()
            )
        )
    )
    both = ibis.union(once, latest.filter(latest.turn == 0).drop("turn"))
    return both.filter(~both.gone)


def _union(parts: Sequence[ir.Table]) -> ir.Table:
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


# What a row must fulfil


def holds(rows: ir.Table, conditions: Sequence[Condition]) -> ir.BooleanValue:
    """Whether a row fulfils all conditions; a flag that says nothing is not set.

    Every row has a place, so one without conditions holds always, and stays a column.
    """
    return reduce(
        lambda both, one: both & _holds(rows[one.column], one.value),
        conditions,
        rows.place_id.notnull(),
    )


@cache
def _several() -> frozenset[str]:
    """The columns that hold several codes in one text, with blanks between."""
    return frozenset(
        name
        for dataset in record_datasets().values()
        for name, column in dataset.columns.items()
        if column.kind == "choices"
    )


def _holds(column: ir.Value, wanted: Any) -> ir.BooleanValue:
    if isinstance(wanted, bool):
        return column.fill_null(False) == wanted
    if column.get_name() not in _several():
        return column.fill_null("").isin(sorted(_codes(wanted)))
    words = ibis.literal(" ").concat(column.fill_null("")).concat(" ")
    codes = (wanted,) if isinstance(wanted, str) else wanted
    return reduce(lambda any_, code: any_ | words.contains(f" {code} "), codes, ibis.literal(False))


def _asked(rules: Iterable[Count]) -> list[str]:
    """Columns that some rule wants to say something: a flag set, or a code."""
    return sorted({one.column for rule in rules for one in rule.where if one.value is not False})


def _in_force(rows: ir.Table, months: ir.Table, dataset: str, rules: Iterable[Count]) -> ir.Table:
    """Each row beside each month on whose last day it is in force.

    ``said_<column>`` is how many rows of the county say anything in a column that is asked for.
    """
    said = {f"said_{name}": rows[name].count() for name in _asked(rules)}
    told = rows.group_by("county").agg(rows=rows.count(), **said)
    rows = rows.join(told, "county")
    joined = rows.drop("month").cross_join(months)
    return joined.filter(_stands(joined, dataset, joined["last"]))


def _stands(rows: ir.Table, dataset: str, day: ir.Value) -> ir.BooleanValue:
    """Whether a row is in force on a day."""
    ends = [end for end in ("valid_to", "died") if end in record_datasets()[dataset].columns]
    return reduce(
        lambda both, end: both & (rows[end].isnull() | (rows[end] > day)),
        ends,
        rows.valid_from <= day,
    )


def counts(rows: ir.Table, dataset: str, rule: Count, month: str) -> ir.BooleanValue:
    """Whether a record has a part in a figure of a month.

    Args:
        rows: the records of ``dataset`` that count, one of the rule's datasets.
    """
    day = month_end(month)
    last, first = ibis.literal(day), ibis.literal(day.replace(month=1, day=1))
    of_year = (rows.month >= f"{day.year:04}-01") & (rows.month <= month)
    if dataset == rule.by:
        return of_year & holds(rows, rule.by_where)
    if rule.kind == "fulfilment":
        return (rows.valid_from <= last) & (rows.valid_to > first)
    if rule.kind == "checklist":
        return rows.day <= last
    if rule.kind == "flow":
        told = [rows[name].notnull() for name in rule.sum]
        fits = holds(rows, rule.where)
        return of_year & (fits & reduce(lambda any_, one: any_ | one, told) if told else fits)
    return _stands(rows, dataset, last) & holds(rows, rule.where)


_AT = ("place_id", "month")


def _long(wide: ir.Table, names: Sequence[str], keys: Sequence[str] = _AT) -> ir.Table:
    """Columns named as measures, below one another; in one pass, whatever the engine."""
    rounded = {name: wide[name].cast("float64").round(PLACES) for name in names}
    return wide.select(*keys, **rounded).pivot_longer(
        selectors.cols(*names), names_to="measure", values_to="value"
    )


def _told(rows: ir.Table, rule: Count, value: ir.Value) -> ir.Value:
    """A value where the county says anything in the columns asked for: a blank column says no."""
    asked = _asked([rule])
    if not asked:
        return value
    everything = reduce(
        lambda all_, name: all_ & (rows[f"said_{name}"] > 0), asked, rows.place_id.notnull()
    )
    return everything.ifelse(value, ibis.null())


def _amount(rows: ir.Table, rule: Count) -> ir.Value:
    """What the rows that fulfil a rule come to: their number, or the sum of some columns."""
    fits = holds(rows, rule.where)
    if not rule.sum:
        return fits.ifelse(1, 0).sum()
    said = reduce(lambda any_, name: any_ | rows[name].notnull(), rule.sum, ibis.literal(False))
    added = reduce(lambda sum_, name: sum_ + rows[name].fill_null(0.0), rule.sum, ibis.literal(0.0))
    return (fits & said).ifelse(added, ibis.null("float64")).sum()


# The kinds


def _stock(
    tables: Mapping[str, ir.Table], months: ir.Table, rules: Mapping[str, Count]
) -> ir.Table:
    """Rows in force on the month's last day."""
    parts = []
    for dataset in sorted({rule.dataset for rule in rules.values()}):
        mine = {name: rule for name, rule in rules.items() if rule.dataset == dataset}
        rows = _in_force(tables[dataset], months, dataset, mine.values())
        amounts = {}
        for name, rule in mine.items():
            fits = holds(rows, rule.where)
            if rule.distinct is None:
                amounts[name] = _told(rows, rule, fits.ifelse(1, 0)).sum()
            else:
                number = fits.ifelse(rows[rule.distinct], ibis.null()).nunique()
                told = _told(rows, rule, ibis.literal(1)) if rule.where else None
                amounts[name] = (
                    number if told is None else told.max().isnull().ifelse(ibis.null(), number)
                )
        parts.append(_long(rows.group_by("place_id", "month").agg(**amounts), list(mine)))
    return _union(parts)


def _flow(tables: Mapping[str, ir.Table], months: ir.Table, rules: Mapping[str, Count]) -> ir.Table:
    """Rows dated from 1 January to the month's last day; a place has a value where it has a row."""
    parts = []
    keys = ("place_id", "year", "number")
    for dataset in sorted({rule.dataset for rule in rules.values()}):
        rows = _by_asked(tables[dataset], months)
        mine = {name: rule for name, rule in rules.items() if rule.dataset == dataset}
        summed = {name: rule for name, rule in mine.items() if rule.sum}
        if summed:
            amounts = {name: _amount(rows, rule) for name, rule in summed.items()}
            parts.append(_long(rows.group_by(*keys).agg(**amounts), list(summed), keys))
        parts += [_numbers(rows, some) for some in _apart(mine, summed)]
    return _to_date(_union(parts), months)


def _apart(rules: Mapping[str, Count], without: Collection[str]) -> list[dict[str, Count]]:
    """Rules in as few groups as will do, so that no row fulfils two of a group.

    A group also counts at most one column's values once each: it is one pass over the rows.
    """
    groups: list[dict[str, Count]] = []
    for name, rule in rules.items():
        if name in without:
            continue
        for group in groups:
            distinct = {one.distinct for one in (rule, *group.values())} - {None}
            if len(distinct) < 2 and all(_exclude(rule, one) for one in group.values()):
                group[name] = rule
                break
        else:
            groups.append({name: rule})
    return groups


def _exclude(rule: Count, other: Count) -> bool:
    """Whether two rules want different codes of a column that holds one code."""
    wanted = {one.column: _codes(one.value) for one in other.where if one.column not in _several()}
    return any(
        one.column in wanted and wanted[one.column].isdisjoint(_codes(one.value))
        for one in rule.where
    )


def _with_codes(rows: ir.Table, rules: Collection[Count]) -> ir.Table:
    """Rows that some rule may want, by columns of which every rule wants a code: an engine reads
    such a filter with the files, and the rest is worked out for few rows.
    """
    asked = [
        {one.column: _codes(one.value) for one in rule.where if not isinstance(one.value, bool)}
        for rule in rules
    ]
    every = set.intersection(*(set(columns) for columns in asked)) - _several()
    for column in sorted(every):
        codes = set().union(*(columns[column] for columns in asked))
        rows = rows.filter(rows[column].isin(sorted(codes)))
    return rows


def _codes(value: Any) -> set[Any]:
    return set(value) if isinstance(value, tuple) else {value}


def _numbers(rows: ir.Table, rules: Mapping[str, Count]) -> ir.Table:
    """How many rows of each month fulfil rules of which a row fulfils one at most.

    Where a rule counts a column's values once a year, a value counts in its first month.
    """
    names = sorted(rules, key=lambda name: rules[name].distinct is None)
    rows = _with_codes(rows, rules.values())
    rule = ibis.cases(
        *(
            (holds(rows, rules[name].where), ibis.literal(at, "int16"))
            for at, name in enumerate(names)
        ),
        else_=ibis.null("int16"),
    )
    # What many rows are grouped by is narrow: that is what there is to keep of each.
    tagged = rows.mutate(rule=rule, year=rows.year.cast("int16"), number=rows.number.cast("int8"))
    tagged = tagged.filter(tagged.rule.notnull())
    once = sum(one.distinct is not None for one in rules.values())
    keys = ["place_id", "year", "rule"]
    if not once:
        found = tagged.group_by(*keys, "number").agg(n=tagged.count())
    else:
        (column,) = {one.distinct for one in rules.values()} - {None}
        values = tagged[column]
        apart = tagged.rule < once
        split = tagged.select(
            *keys,
            "number",
            who=apart.ifelse(values, ibis.null(values.type())),
            at=apart.ifelse(ibis.null("int8"), tagged.number),
        )
        first = split.group_by(*keys, "who", "at").agg(number=split.number.min(), n=split.count())
        found = first.group_by(*keys, "number").agg(n=(first.rule < once).ifelse(1, first.n).sum())
    measure = ibis.cases(*((found.rule == at, name) for at, name in enumerate(names)), else_=None)
    return found.select(
        "place_id",
        year=found.year.cast("int64"),
        number=found.number.cast("int64"),
        measure=measure,
        value=found.n.cast("float64"),
    )


def _by_asked(rows: ir.Table, months: ir.Table) -> ir.Table:
    """Rows with year and number of the first month asked for that they are in.

    A single month needs no figures of the months before it.
    """
    spans = months.select("since", "month", "year", "number")
    found = rows.rename(dated="month").join(spans, [_.dated >= spans.since, _.dated <= spans.month])
    return found.drop("month", "since").rename(month="dated")


def _dated(rows: ir.Table) -> ir.Table:
    """Rows with year and number of their month."""
    year = rows.month.substr(0, 4).cast("int64")
    return rows.mutate(year=year, number=rows.month.substr(5, 2).cast("int64"))


def _numbered(rows: ir.Table, months: ir.Table) -> ir.Table:
    """Rows of the years that are counted, with year and number of their month."""
    return _dated(rows).semi_join(months, "year")


def _to_date(each: ir.Table, months: ir.Table) -> ir.Table:
    """Sums from January to each month, of what came in each month of a year."""
    joined = each.join(
        months.select("month", "year", until=months.number), [each.year == months.year]
    )
    joined = joined.filter(joined.number <= joined.until)
    return joined.group_by("place_id", "month", "measure").agg(value=_.value.sum()).select(*_FIGURE)


def _reached(
    tables: Mapping[str, ir.Table], months: ir.Table, rules: Mapping[str, Count]
) -> ir.Table:
    """Rows in force that fulfil ``where`` and have had one of ``by`` since 1 January.

    Only where the county has any of these services that year: a county that did not bring them
    says nothing, not nought.
    """
    parts = []
    for dataset, by in sorted({(rule.dataset, rule.by or "") for rule in rules.values()}):
        mine = {n: rule for n, rule in rules.items() if (rule.dataset, rule.by) == (dataset, by)}
        (key,) = [name for name in record_datasets()[dataset].canonical_key if name != "valid_from"]
        rows = _in_force(tables[dataset], months, dataset, mine.values())
        served = _numbered(tables[by], months)
        never = ibis.null("int64")
        firsts = {
            name: holds(served, rule.by_where).ifelse(served.number, never).min()
            for name, rule in mine.items()
        }
        done = served.group_by("county", "year", key).agg(**firsts)
        brought = done.group_by("county", "year").agg(
            **{f"{name}_any": done[name].min() for name in mine}
        )
        joined = rows.left_join(done, ["county", "year", key]).drop(
            "county_right", "year_right", f"{key}_right"
        )
        joined = joined.join(brought, ["county", "year"])
        amounts = {}
        for name, rule in mine.items():
            fits = holds(joined, rule.where) & (joined[f"{name}_any"] <= joined.number)
            had = (joined[name] <= joined.number).fill_null(False).ifelse(1, 0)
            amounts[name] = fits.ifelse(_told(joined, rule, had), ibis.null("int8")).sum()
        parts.append(_long(joined.group_by("place_id", "month").agg(**amounts), list(mine)))
    return _union(parts)


def _fulfilment(
    tables: Mapping[str, ir.Table], months: ir.Table, rules: Mapping[str, Count]
) -> ir.Table:
    """Follow-ups due and done, one for each window of 12 / ``times`` months.

    Due: floor(times x days of the year the contract has run / days of the year), never more than
    the windows it has touched. Done: windows with a follow-up on a day of the contract, never more
    than due. Where the county brought no follow-ups of the tier that year, nothing is said.
    """
    parts = []
    for by_where in sorted({rule.by_where for rule in rules.values()}, key=repr):
        mine = {name: rule for name, rule in rules.items() if rule.by_where == by_where}
        rule = next(iter(mine.values()))
        due, done = _due(tables[rule.dataset], months, rule), _done(tables, months, rule)
        brought = done.group_by("county", "year").agg(since=done.number.min())
        each = due.join(brought, ["county", "year"]).filter(_.since <= _.until)
        met = (
            each.join(
                done.select("county", "year", "place_id", "person", "window", number=done.number),
                ["county", "year", "place_id", "person"],
            )
            .filter(_.number <= _.until)
            .group_by("month", "place_id", "person")
            .agg(met=_.window.nunique())
        )
        each = each.left_join(met, ["month", "place_id", "person"]).drop(
            "month_right", "place_id_right", "person_right"
        )
        wide = each.group_by("place_id", "month").agg(
            **{
                name: (ibis.least(each.met.fill_null(0), each.due) if one.done else each.due).sum()
                for name, one in mine.items()
            }
        )
        parts.append(_long(wide, list(mine)))
    return _union(parts)


def _due(contracts: ir.Table, months: ir.Table, rule: Count) -> ir.Table:
    """``county, year, month, until, place_id, person, due`` of everybody contracted that year."""
    span = _YEAR // rule.times
    joined = contracts.drop("month").cross_join(
        months.select("month", "year", "first", "last", "days", until=months.number)
    )
    joined = joined.filter(joined.valid_from <= joined["last"])
    joined = joined.filter(joined.valid_to > joined["first"])
    start = ibis.greatest(joined.valid_from, joined["first"])
    # A contract's last day is the day before valid_to.
    ends_within = joined.valid_to <= joined["last"]
    run = ends_within.ifelse(
        joined.valid_to.delta(start, unit="day"), joined["last"].delta(start, unit="day") + 1
    )
    end_month = ends_within.ifelse(
        (joined.valid_to - ibis.interval(days=1)).month(), joined["last"].month()
    )
    joined = joined.mutate(
        run=run.cast("int64"),
        begun=((start.month().cast("int64") - 1) // span).cast("int64"),
        ended=((end_month.cast("int64") - 1) // span).cast("int64"),
    )
    person = joined.group_by("county", "year", "month", "until", "days", "place_id", "person").agg(
        run=joined.run.sum(),
        # Contracts of one person do not overlap: from the first window to the last at most.
        touched=joined.ended.max() - joined.begun.min() + 1,
    )
    share = ((person.run * rule.times) // person.days).cast("int64")
    return person.select(
        "county", "year", "month", "until", "place_id", "person",
        due=ibis.least(share, person.touched),
    )  # fmt: skip


def _done(tables: Mapping[str, ir.Table], months: ir.Table, rule: Count) -> ir.Table:
    """The first month of each window with a follow-up on a day of a contract."""
    span = _YEAR // rule.times
    served = _numbered(tables[rule.by or ""], months)
    served = served.filter(holds(served, rule.by_where)).select(
        "county", "person", "day", "year", "number"
    )
    contracts = tables[rule.dataset].select(
        "county", "person", "place_id", "valid_from", "valid_to"
    )
    joined = served.join(contracts, ["county", "person"])
    joined = joined.filter((joined.valid_from <= joined.day) & (joined.day < joined.valid_to))
    joined = joined.mutate(window=((joined.number - 1) // span).cast("int64"))
    return joined.group_by("county", "year", "place_id", "person", "window").agg(
        number=joined.number.min()
    )


def _checklist(
    tables: Mapping[str, ir.Table], months: ir.Table, rules: Mapping[str, Count]
) -> ir.Table:
    """Clinics by their latest check; any critical item that is missing vetoes the standard."""
    (dataset,) = {rule.dataset for rule in rules.values()}
    joined = tables[dataset].drop("month").cross_join(months)
    joined = joined.filter(joined.day <= joined["last"])
    latest = joined.mutate(
        turn=ibis.row_number().over(
            ibis.window(group_by=["institution_id", "month"], order_by=_.day.desc())
        )
    )
    latest = latest.filter(latest.turn == 0)
    rooms = ("consultation", "treatment", "public_health", "pharmacy", "equipment")
    standard = reduce(
        lambda all_, name: all_ & latest[name].fill_null(False), rooms, latest.doctors >= 1
    ) & ((latest.residents <= RESIDENTS_ABOVE) | (latest.area >= LEAST_AREA))
    amounts = {
        name: (latest.count() if rule.all else standard.ifelse(1, 0).sum())
        for name, rule in rules.items()
    }
    return _long(latest.group_by("place_id", "month").agg(**amounts), list(rules))


def _sampled(revisits: ir.Table, months: ir.Table) -> ir.Table:
    """What the field sample says, from January to each month.

    A unit without service or without its source cannot be recounted. One without service fails the
    judgement; one without source is not judged.
    """
    rows = _numbered(revisits, months)
    counted = (rows.result == "ok") & rows.recount.notnull()
    judged = counted | (rows.result == "no_service")
    holds_good = counted & (rows.recount >= rows.reported)
    nothing = ibis.null("float64")
    columns = {
        RECOUNT: counted.ifelse(rows.recount, nothing).sum(),
        REPORTED: counted.ifelse(rows.reported, nothing).sum(),
        FOUND: judged.ifelse(holds_good.ifelse(1, 0), ibis.null("int8")).sum(),
        SAMPLED: judged.ifelse(1, 0).sum(),
    }
    keys = ("place_id", "year", "number")
    wide = rows.group_by(*keys, of=rows.measure).agg(**columns)
    each = _long(wide, list(columns), (*keys, "of"))
    return _to_date(each.mutate(measure=each.of + each.measure).drop("of"), months)


KINDS = {
    "stock": _stock,
    "flow": _flow,
    "reached": _reached,
    "fulfilment": _fulfilment,
    "checklist": _checklist,
}
"""By kind: the expression for all its measures."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Counting in an engine's SQL.

    Attributes:
        current: by dataset the records that count, over tables ``<dataset>_once``,
            ``<dataset>_again``, ``committed``.
        figures: a query a kind, as rows of observations, over tables named as the datasets and
            ``months``.
    """

    current: Mapping[str, str]
    figures: Sequence[str]


def compiled(datasets: Collection[str], dialect: str, batch: int) -> Queries:
    """Everything some datasets say, as observations of a load.

    A measure is counted when its datasets are here. Writing a query out takes ibis longer than
    DuckDB needs to run it on a county, so each is written once for the measures it counts.
    """
    rules = {
        one.id: one.records
        for one in measures().values()
        if one.records is not None and set(one.records.datasets) <= set(datasets)
    }
    by_kind = {kind: tuple(n for n, rule in rules.items() if rule.kind == kind) for kind in KINDS}
    figures = [_figures(kind, names, dialect, batch) for kind, names in by_kind.items() if names]
    if "revisits" in datasets:
        figures.append(_sample(dialect, batch))
    return Queries({name: _current(name, dialect) for name in datasets}, figures)


@cache
def _current(dataset: str, dialect: str) -> str:
    once, again = (_rows(dataset, f"{dataset}_{part}") for part in ("once", "again"))
    committed = ibis.table({"batch": "int64"}, name="committed")
    key = record_datasets()[dataset].canonical_key
    return str(ibis.to_sql(current(once, again, committed, key), dialect=dialect))


@cache
def _figures(kind: str, names: tuple[str, ...], dialect: str, batch: int) -> str:
    rules = {name: rule for name in names if (rule := measures()[name].records) is not None}
    needed = {dataset for rule in rules.values() for dataset in rule.datasets}
    tables = {name: _rows(name, name) for name in needed}
    return _observations(KINDS[kind](tables, _MONTHS, rules), RECORDS, dialect, batch)


@cache
def _sample(dialect: str, batch: int) -> str:
    found = _sampled(_rows("revisits", "revisits"), _MONTHS)
    return _observations(found, VERIFIED, dialect, batch)


_MONTHS = ibis.table(ibis.Schema.from_pyarrow(MONTHS), name="months")


def _rows(dataset: str, name: str) -> ir.Table:
    return ibis.table(ibis.Schema.from_pyarrow(schema_of(dataset)), name=name)


def _observations(found: ir.Table, source: str, dialect: str, batch: int) -> str:
    """``place_id, month, measure, value`` as rows of observations."""
    said = found.filter(found.value.notnull()).mutate(
        source=ibis.literal(source), batch=ibis.literal(batch, "int64")
    )
    return str(ibis.to_sql(said.select(*SCHEMA.names), dialect=dialect))

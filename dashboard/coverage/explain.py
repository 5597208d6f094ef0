"""How a value came about: what it stands on, in numbers and words. Pure.

Where small counts are left out (``Layer.protected``) an explanation holds no count that the table
does not hold: docs/decisions/0014.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dashboard.coverage import classify
from dashboard.coverage.model import Cell, Layer, Source, Status, View
from dashboard.coverage.plausibility import Flag
from dashboard.store.model import LEAST_AREA, RESIDENTS_ABOVE, Batch, month_end
from geodata.model import Place
from loaders import registry as datasets
from loaders.registry import Condition, Count, measures, record_datasets

FILE = Path(__file__).with_name("explain.toml")

LISTED = 50
"""So many places are listed of each kind; how many there are is always said."""


REVISITS = "revisits"
"""The dataset of the field sample."""


class Words(NamedTuple):
    """The same in Chinese and English."""

    zh: str
    en: str


class Method(StrEnum):
    """What a value is: a sum over places below, the place's own figure, an estimate, nothing."""

    SUM = "sum"
    OWN = "own"
    ESTIMATE = "estimate"
    NONE = "none"


class Lack(StrEnum):
    """Why a place below is in neither sum."""

    NO_FIGURE = "no_figure"
    ONLY_NUMERATOR = "only_numerator"
    ONLY_DENOMINATOR = "only_denominator"


class Part(StrEnum):
    """Which of the two numbers a record is counted in."""

    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Counted:
    """Records of one dataset that are counted in a number; ``rows`` None where they are not told.

    A record of what was done stands at the place where it was done.
    """

    part: Part
    dataset: str
    rows: int | None


@dataclass(frozen=True, slots=True)
class Recount:
    """What the field sample of a place found, from January on.

    Attributes:
        units: that could be recounted; ``recount`` and ``reported`` are their sums.
        no_service, missing_source: units that could not be, and are left out.
    """

    units: int
    recount: float
    reported: float
    no_service: int
    missing_source: int


@dataclass(frozen=True, slots=True)
class Row:
    """One place whose own figures the value stands on.

    Attributes:
        loads: numbers of the loads that its figures or records are of.
    """

    cell: Cell
    loads: tuple[int, ...] = ()
    counted: tuple[Counted, ...] = ()
    sample: Recount | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """A place below without the pair: in neither sum. ``expected``: base-level places in it."""

    place: Place
    expected: int
    lack: Lack


@dataclass(frozen=True, slots=True)
class Load:
    """A load that the value stands on.

    Attributes:
        file: None for records of persons or households: a file's name may say what they have.
        rows: figures, or records, of it that are counted; one counted in both numbers counts twice.
    """

    id: int
    file: str | None
    dataset: str
    operator: str
    finished: str
    rows: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Records of a dataset that a rule counts, and what they are counted in."""

    part: Part
    dataset: str
    rule: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How one value came about.

    Attributes:
        version: of the month's snapshot.
        cell: the value as every screen shows it.
        formula: of the value; ``numerator``, ``denominator``: how each is counted.
        missing: datasets of records never loaded; None: this source cannot tell of the layer.
        rows: the places it stands on, worst first, and ``rows_total`` of them; where ``near``, the
            places directly below instead, because there are very many.
        absent, absent_total: places below that are in neither sum.
        differing, differing_total: cells of places whose own figures differ from the sum below
            them, which is what counts.
        hidden: how many of the places it stands on are left out, so that nobody is recognised.
        floor: whether the places below are not shown in this layer.
        records: what of each dataset is counted.
        sample: of the place and all below it; ``reported``: the cell that an estimate is made of.
        loads: the latest first; None where they are not told.
        replaced: figures that stand in place of one of an earlier load.
        doubts: about this value and those directly below; ``names`` has their places.
    """

    layer: Layer
    month: str
    version: int
    source: Source
    cell: Cell
    method: Method
    formula: Words
    numerator: Words
    denominator: Words
    missing: Sequence[str] | None
    rows: Sequence[Row] = ()
    rows_total: int = 0
    near: bool = False
    absent: Sequence[Absent] = ()
    absent_total: int = 0
    differing: Sequence[Cell] = ()
    differing_total: int = 0
    hidden: int = 0
    floor: bool = False
    records: Sequence[Counted] = ()
    sample: Recount | None = None
    reported: Cell | None = None
    loads: Sequence[Load] | None = ()
    replaced: int = 0
    doubts: Sequence[Flag] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def stands_on(self) -> Source:
        """The source of the figures it is made of: an estimate is made of reported ones."""
        return Source.REPORTED if self.method is Method.ESTIMATE else self.source

    @property
    def secret(self) -> bool:
        """Whether records must not be told of: their number, or the name of their file, would
        tell of few persons."""
        return self.layer.protected and self.source is Source.RECORDS

    def asks(self) -> list[Ask]:
        """The records its two numbers are counted from, each once; none where they are secret."""
        if self.method is Method.ESTIMATE:
            same = Condition("measure", self.layer.numerator)
            return [Ask(Part.NUMERATOR, REVISITS, Count("flow", REVISITS, (same,)))]
        return [] if self.source is not Source.RECORDS or self.secret else asks(self.layer)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a value is the sum of.

    Attributes:
        bases: cells of the places whose pairs are made of their own figures.
        absent: cells of the highest places below that have no pair.
        differing: cells of places whose own figures differ from the sum below them.
        floor: whether the places further down are not shown in the layer.
    """

    bases: Sequence[Cell]
    absent: Sequence[Cell]
    differing: Sequence[Cell]
    floor: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is stored at a place and below.

    Attributes:
        paths: of the places, by id.
        figures: ``place_id, measure, value, batch, replaced`` of the layer's two measures.
        records: what was asked for and ``place_id, batch, rows`` of it.
        loads: that the figures and records are of.
        samples: by place; ``sample`` of all together.
    """

    paths: Mapping[str, str]
    figures: pd.DataFrame
    records: Sequence[tuple[Ask, pd.DataFrame]]
    loads: Sequence[Batch]
    samples: Mapping[str, Recount]
    sample: Recount | None


def begin(
    view: View,
    layer: Layer,
    cell: Cell,
    version: int,
    estimated: bool,
    missing: Sequence[str] | None,
) -> Explanation:
    """What can be said of a value before anything under it is looked at.

    Args:
        estimated: whether it is worked out from a field sample.
    """
    method = Method.SUM
    if cell.status not in (Status.OK, Status.NOT_APPLICABLE):
        method = Method.NONE
    elif estimated:
        method = Method.ESTIMATE
    below = Source.REPORTED if method is Method.ESTIMATE and not layer.is_count else view.source
    return Explanation(
        layer=layer,
        month=view.month,
        version=version,
        source=view.source,
        cell=cell,
        method=method,
        formula=formula(layer),
        numerator=counting(layer.numerator, view.source, method, view.month),
        denominator=counting(layer.denominator, below, method, view.month),
        missing=missing,
    )


def finish(
    begun: Explanation,
    stands: Standing,
    evidence: Evidence,
    most: int,
    sampled: Sequence[Cell] | None = None,
) -> Explanation:
    """Add what the value stands on.

    Args:
        most: so many places of each kind are listed.
        sampled: of an estimate, the cells of the places with a field sample: its rows.
    """
    layer, paths = begun.layer, evidence.paths
    bases = {cell.place.id for cell in stands.bases}
    figures = evidence.figures
    base_of = used(figures, paths, bases)
    kept = figures.loc[np.array([one is not None for one in base_of], dtype=np.bool_)]
    brought = [(one, int(load), 1) for one, load in zip(base_of, figures["batch"], strict=True)]
    having: dict[str, list[str]] = {layer.numerator: [], layer.denominator: []}
    if not begun.secret:
        for place_id, measure in zip(figures["place_id"], figures["measure"], strict=True):
            having[measure].append(paths[place_id])
    counted: dict[str, list[Counted]] = defaultdict(list)
    whole: list[Counted] = []
    for ask, rows in evidence.records:
        at = [under(paths[one], bases) for one in rows["place_id"]]
        sums: Counter[str] = Counter()
        for place_id, base, load, number in zip(
            rows["place_id"], at, rows["batch"], rows["rows"], strict=True
        ):
            brought.append((base, int(load), int(number)))
            for measure in _measures(ask.part, layer):
                having[measure].append(paths[place_id])
            if base is not None:
                sums[base] += int(number)
        for base, number in sums.items():
            counted[base].append(Counted(ask.part, ask.dataset, number))
        whole.append(Counted(ask.part, ask.dataset, sum(sums.values())))
    if begun.secret:
        whole = [Counted(ask.part, ask.dataset, None) for ask in asks(layer)]
    loads_at = by_base((base, load) for base, load, _rows in brought)
    cells = stands.bases if sampled is None else sampled
    rows_found = worst_first(
        layer,
        [
            Row(cell)
            if cell.status is Status.SUPPRESSED
            else Row(
                cell,
                loads_at.get(cell.place.id, ()),
                tuple(counted.get(cell.place.id, ())),
                evidence.samples.get(cell.place.id),
            )
            for cell in cells
        ],
    )
    absent = [
        Absent(
            cell.place,
            cell.expected,
            _lack(cell.place.path, having[layer.numerator], having[layer.denominator]),
        )
        for cell in sorted(stands.absent, key=lambda cell: cell.place.path)
    ]
    differing = sorted(stands.differing, key=lambda cell: cell.place.path)
    own = begun.method is Method.SUM and bases == {begun.cell.place.id}
    told = begun.secret or begun.near
    return replace(
        begun,
        method=Method.OWN if own else begun.method,
        floor=stands.floor,
        rows=rows_found[:most],
        rows_total=len(rows_found),
        absent=absent[:most],
        absent_total=len(absent),
        differing=differing[:most],
        differing_total=len(differing),
        hidden=sum(row.cell.status is Status.SUPPRESSED for row in rows_found),
        records=whole,
        sample=evidence.sample,
        loads=None if told else _loads(evidence.loads, brought),
        replaced=int(kept["replaced"].sum()),
    )


def _measures(part: Part, layer: Layer) -> list[str]:
    if part is Part.BOTH:
        return [layer.numerator, layer.denominator]
    return [layer.numerator if part is Part.NUMERATOR else layer.denominator]


# Words


@cache
def _templates() -> dict[str, Words]:
    entries = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: Words(entry["zh"], entry["en"]) for name, entry in entries.items()}


def _say(template: str, zh: Mapping[str, object], en: Mapping[str, object]) -> Words:
    found = _templates()[template]
    return Words(found.zh.format_map(zh), found.en.format_map(en))


def formula(layer: Layer) -> Words:
    """What is divided by what."""
    top, bottom = measures()[layer.numerator], measures()[layer.denominator]
    if layer.is_count:
        return Words(top.title, top.title_en)
    times = ""
    if layer.factor != 1:
        times = f" × {layer.factor:g}" + ("%" if layer.unit == "%" else "")
    return Words(
        f"{top.title} ÷ {bottom.title}{times}", f"{top.title_en} ÷ {bottom.title_en}{times}"
    )


def counting(measure_id: str, source: Source, method: Method, month: str) -> Words:
    """How a measure is counted by a source, in words."""
    measure = measures()[measure_id]
    titles = {"title": measure.title}, {"title": measure.title_en}
    if source is Source.VERIFIED:
        return _say("verified" if method is Method.ESTIMATE else "filed", *titles)
    if source is Source.REPORTED:
        return _say("reported", *titles)
    if measure.records is None:
        return _say("uncounted", *titles)
    rule, day = measure.records, month_end(month)
    given = {
        "day": day,
        "first": date(day.year, 1, 1),
        "times": rule.times,
        "span": 12 // (rule.times or 12),
        "area": LEAST_AREA,
        "residents": RESIDENTS_ABOVE,
    }
    return _say(_template(rule), given | _of_rule(rule, False), given | _of_rule(rule, True))


def _template(rule: Count) -> str:
    if rule.kind == "fulfilment":
        return "done" if rule.done else "due"
    if rule.kind == "checklist":
        return "checked" if rule.all else "standard"
    return rule.kind


def _of_rule(rule: Count, english: bool) -> dict[str, str]:
    return {
        "dataset": _dataset(rule.dataset, english),
        "by": "" if rule.by is None else _dataset(rule.by, english),
        "where": _where(rule.dataset, rule.where, english),
        "by_where": "" if rule.by is None else _where(rule.by, rule.by_where, english),
        "what": _what(rule, english),
    }


def _dataset(dataset: str, english: bool) -> str:
    found = record_datasets()[dataset]
    return found.title_en if english else found.title


def _what(rule: Count, english: bool) -> str:
    at = 1 if english else 0
    if rule.sum:
        names = [_column(rule.dataset, name, english) for name in rule.sum]
        return _templates()["total"][at].format(columns=(", " if english else "、").join(names))
    of_persons = rule.distinct is not None or (
        rule.kind == "reached" and record_datasets()[rule.dataset].of_persons
    )
    return _templates()["persons" if of_persons else "rows"][at]


def _column(dataset: str, name: str, english: bool) -> str:
    aliases = record_datasets()[dataset].columns[name].aliases
    return name.replace("_", " ") if english or not aliases else aliases[0]


def _where(dataset: str, conditions: Sequence[Condition], english: bool) -> str:
    """Conditions in brackets; nothing for none."""
    said = [f"{_column(dataset, one.column, english)}" + (": " if english else "：")
            + _value(dataset, one, english) for one in conditions]  # fmt: skip
    if not said:
        return ""
    return f" ({'; '.join(said)})" if english else f"（{'；'.join(said)}）"


def _value(dataset: str, condition: Condition, english: bool) -> str:
    if isinstance(condition.value, bool):
        yes, no = ("yes", "no") if english else ("是", "否")
        return yes if condition.value else no
    codes = (condition.value,) if isinstance(condition.value, str) else condition.value
    listed = record_datasets()[dataset].columns[condition.column].list
    words = datasets.lists()[listed].words if listed is not None else {}
    if english:
        return ", ".join(code.replace("_", " ") for code in codes)
    return "、".join(words[code][0] if code in words else code for code in codes)


# Which records are asked for


def asks(layer: Layer) -> list[Ask]:
    """The records that a layer's two numbers are counted from, each once."""
    found: dict[tuple[object, ...], Ask] = {}
    both = [(Part.NUMERATOR, layer.numerator), (Part.DENOMINATOR, layer.denominator)]
    for part, measure_id in both[: 1 if layer.is_count else 2]:
        rule = measures()[measure_id].records
        for dataset in () if rule is None else rule.datasets:
            assert rule is not None
            done = dataset == rule.by
            # Due and done of a tier are counted from the same rows.
            window = "stock" if rule.kind == "reached" else rule.kind
            key = (dataset, done, rule.by_where if done else (window, rule.where, rule.sum))
            earlier = found.get(key)
            found[key] = Ask(part if earlier is None else Part.BOTH, dataset, rule)
    return list(found.values())


# What stands under a value


def worst_first(layer: Layer, rows: Sequence[Row]) -> list[Row]:
    """Rows by value, the worst first; those without one last."""
    numbers = np.array(
        [(row.cell.numerator, row.cell.denominator, row.cell.value) for row in rows],
        dtype=np.float64,
    ).reshape(-1, 3)
    return [rows[at] for at in classify.worst_first(layer, *numbers.T)]


def under(path: str, chosen: Collection[str]) -> str | None:
    """The lowest of some places that a path leads through; None for none of them."""
    return next((step for step in reversed(path.split("/")[:-1]) if step in chosen), None)


def used(
    figures: pd.DataFrame, paths: Mapping[str, str], bases: Collection[str]
) -> list[str | None]:
    """For each figure the place of ``bases`` whose number it is part of; None: it counts nowhere.

    A measure's figure counts where no place below has one too (docs/architecture.md, roll-up rule).

    Args:
        figures: ``place_id, measure``.
        paths: of the places, by id.
        bases: the places whose pairs are made of their own figures or of figures below.
    """
    pairs = list(zip(figures["place_id"], figures["measure"], strict=True))
    above = {
        (step, measure)
        for place_id, measure in pairs
        if place_id in paths
        for step in paths[place_id].split("/")[:-2]
    }
    return [
        under(paths[place_id], bases) if place_id in paths and (place_id, measure) not in above
        else None
        for place_id, measure in pairs
    ]  # fmt: skip


def _lack(path: str, numerators: Iterable[str], denominators: Iterable[str]) -> Lack:
    """Which of the two a place lacks, by the paths of the places that have one."""
    if any(one.startswith(path) for one in numerators):
        return Lack.ONLY_NUMERATOR
    if any(one.startswith(path) for one in denominators):
        return Lack.ONLY_DENOMINATOR
    return Lack.NO_FIGURE


def by_base(rows: Iterable[tuple[str | None, int]]) -> dict[str, tuple[int, ...]]:
    """The loads of each place, ascending, of (place, load)."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for place_id, load in rows:
        if place_id is not None:
            found[place_id].add(load)
    return {place_id: tuple(sorted(loads)) for place_id, loads in found.items()}


def _loads(found: Iterable[Batch], brought: Iterable[tuple[str | None, int, int]]) -> list[Load]:
    """The loads with what they brought to places the value stands on, the latest first."""
    rows: Counter[int] = Counter()
    for base, load, number in brought:
        if base is not None:
            rows[load] += number
    told = [
        Load(
            one.id,
            None if of_somebody(one.dataset) else one.file,
            one.dataset,
            one.operator,
            one.finished or one.started,
            rows[one.id],
        )
        for one in found
        if rows[one.id]
    ]
    return sorted(told, key=lambda one: -one.id)


def of_somebody(dataset: str) -> bool:
    """Whether a dataset's records are of single persons or households."""
    found = record_datasets().get(dataset)
    return found is not None and (found.of_persons or "household_id" in found.columns)


def recounts(rows: pd.DataFrame) -> dict[str, Recount]:
    """The field sample of each place, of ``place_id, result, reported, recount``."""
    return {str(place_id): recount(part) for place_id, part in rows.groupby("place_id")}


def recount(rows: pd.DataFrame) -> Recount:
    """The field sample of all rows together."""
    counted = rows[(rows["result"] == "ok") & rows["recount"].notna()]
    nothing = int((rows["result"] == "no_service").sum())
    return Recount(
        len(counted),
        float(counted["recount"].sum()),
        float(counted["reported"].sum()),
        nothing,
        len(rows) - len(counted) - nothing,
    )

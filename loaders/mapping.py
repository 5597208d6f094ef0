"""Which column of a table means what, and which dataset a table is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from geodata.codes import is_division_code, normalise
from loaders import parse, registry
from loaders.fold import bracketed, fold, without_brackets
from loaders.issues import make
from loaders.model import Issue
from loaders.registry import Dataset, Measure
from loaders.table import Factor, Table

_TOTAL_LEAVES = frozenset({"合计", "小计", "总计", "计", "总数", "数量", "total"})
_NEUTRAL = re.compile(
    r"(情况|工作|进展|服务|统计|数据|指标|基本|本月|当月|其中|填报|项目|建设|管理|内容)"
)
_COUNTED = re.compile(r"(户|人口|人|数)+$")
_SPECIFIC, _SHARED_START = 4, 3
_SAMPLE = 50
_UNITS: dict[str, frozenset[str]] = {
    "人": frozenset({"人", "名", "位", "person", "persons"}),
    "户": frozenset({"户", "household", "households"}),
    "个": frozenset({"个", "所", "家", "处"}),
    "项": frozenset({"项", "个", "条", "件"}),
}
_UNIT = re.compile(
    r"[十百千万亿]*(人次|户次|人|户|个|项|所|家|处|名|位|条|件|份|元|次|套|例|张)|[万亿]|%|‰"
    r"|households?|persons?"
)
_UNIT_LINE = re.compile(r"(?:计量)?单位[:：]\s*(.+)")

# How well a heading fits: the whole heading before its lowest level, ids and titles before aliases.
_WHOLE, _WITHOUT_TOTAL, _LOWEST, _CUT_SHORT = 0, 1000, 2000, 3000
_DBF_NAME = 10


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """A table read as one dataset.

    Attributes:
        columns, measures: canonical column or measure id -> position in the table.
        unused: positions of columns without a meaning.
        missing: canonical columns that are required and absent; for figures ``measure`` stands for
            "a measure column, or measure and value".
        issues: ambiguous headings and wrong units.
    """

    table: Table
    dataset: Dataset
    columns: Mapping[str, int]
    measures: Mapping[str, int]
    unused: tuple[int, ...]
    missing: tuple[str, ...]
    issues: tuple[Issue, ...]

    @property
    def matched(self) -> int:
        """How many columns have a meaning."""
        return len(self.columns) + len(self.measures)


@cache
def vocabulary() -> frozenset[str]:
    """Every folded heading that any dataset or measure knows."""
    words: set[str] = set()
    for dataset in registry.datasets().values():
        for column in dataset.columns.values():
            words.update(fold(word) for word in (column.id, *column.aliases))
    for measure in registry.measures().values():
        words.update(_measure_words(measure))
    return frozenset(words)


def read_as(table: Table, dataset: Dataset) -> ColumnMap:
    """Give every column of the table its meaning in a dataset."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    unused: list[int] = []
    for position, levels in enumerate(table.levels):
        best = _meaning(levels, dataset)
        if best is None:
            unused.append(position)
        else:
            found[best[1]].append((best[0], position))
    issues: list[Issue] = []
    chosen: dict[str, int] = {}
    all_measures = registry.measures()
    for target, options in found.items():
        candidates = sorted(options)
        if len(candidates) > 1 and target in dataset.columns:
            candidates, strays = _real_codes(table, dataset.columns[target].kind, candidates)
            unused += strays
        chosen[target] = candidates[0][1]
        for quality, position in candidates[1:]:
            other = table.headings[candidates[0][1]]
            same = quality == candidates[0][0] or target in all_measures
            issues.append(
                make(
                    "DUPLICATE_COLUMN" if same else "COLUMN_PREFERRED",
                    sheet=table.sheet,
                    column=table.headings[position],
                    name=_title(target, dataset),
                    other=other,
                )
            )
    columns = {name: at for name, at in chosen.items() if name in dataset.columns}
    measures = {name: at for name, at in chosen.items() if name not in dataset.columns}
    if "measure" in columns and "value" in columns:
        # A long file: what looks like a measure column beside measure and value is no figure.
        unused += measures.values()
        measures = {}
    issues += _wrong_units(table, measures)
    return ColumnMap(
        table=table,
        dataset=dataset,
        columns=columns,
        measures=measures,
        unused=tuple(sorted(unused)),
        missing=_missing(dataset, columns, measures, table.geometries is not None),
        issues=tuple(issues),
    )


def _real_codes(
    table: Table, kind: str, candidates: list[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Candidates without the ``id`` that exports add of their own beside a column of real codes."""
    if kind not in ("id", "place"):
        return candidates, []
    shares = {position: _code_share(table.columns[position]) for _, position in candidates}
    best = max(shares.values())
    strays = [position for position, share in shares.items() if best > 0.5 and share == 0]
    return [one for one in candidates if one[1] not in strays], strays


def _code_share(column: Factor) -> float:
    """How many of a column's first distinct words are division codes."""
    words = [word for word in column.words[: _SAMPLE + 1].tolist() if word]
    return sum(is_division_code(normalise(word)) for word in words) / max(1, len(words))


def _title(target: str, dataset: Dataset) -> str:
    if target in dataset.columns:
        return target
    return registry.measures()[target].title


def _missing(
    dataset: Dataset, columns: Mapping[str, int], measures: Mapping[str, int], shapes: bool
) -> tuple[str, ...]:
    missing = [
        name for name, one in dataset.columns.items() if one.required and name not in columns
    ]
    if "place_name" in columns and "place_id" in missing:
        missing.remove("place_id")
    if shapes and dataset.id == "places" and "name" in missing:
        # A boundary file may carry codes only; names then come from what is stored.
        missing.remove("name")
    if dataset.id == "figures" and not measures and not {"measure", "value"} <= columns.keys():
        missing.append("value" if "measure" in columns else "measure")
    return tuple(missing)


def _meaning(levels: tuple[str, ...], dataset: Dataset) -> tuple[int, str] | None:
    """(quality, canonical column or measure id), smaller is better."""
    options: list[tuple[int, str]] = []
    for penalty, form, groups in _forms(levels):
        for name, column in dataset.columns.items():
            rank = _rank(form, tuple(fold(word) for word in (name, *column.aliases)))
            if rank is not None:
                options.append((penalty + rank, name))
        if dataset.id == "figures":
            for measure in registry.measures().values():
                rank = _rank(form, _measure_words(measure))
                if rank is not None and all(_related(group, form, measure) for group in groups):
                    options.append((penalty + rank, measure.id))
    if not options and len(levels) == 1:
        options = _cut_short(levels[0], dataset)
    return min(options, default=None, key=lambda option: option[0])


def _cut_short(heading: str, dataset: Dataset) -> list[tuple[int, str]]:
    """The one meaning a heading can have that a Shapefile cut to its 10 bytes."""
    form = fold(heading)
    lengths = {len(heading.encode(one)) for one in ("utf-8", "gb18030")}
    # A character cut in two is gone: up to two bytes of it are missing.
    if not lengths & {_DBF_NAME - 2, _DBF_NAME - 1, _DBF_NAME}:
        return []
    meant = {
        name
        for name, column in dataset.columns.items()
        if any(fold(word).startswith(form) for word in (name, *column.aliases))
    }
    if dataset.id == "figures":
        meant |= {
            measure.id
            for measure in registry.measures().values()
            if any(word.startswith(form) for word in _measure_words(measure))
        }
    return [(_CUT_SHORT, name) for name in meant] if len(meant) == 1 else []


def _forms(levels: tuple[str, ...]) -> list[tuple[int, str, tuple[str, ...]]]:
    """The readings of a heading: (penalty, folded text, group headings it leaves out)."""
    # A month over a group of columns says when, not what.
    folded = [fold(level) for level in levels if len(levels) == 1 or not parse.month(level)]
    if len(folded) > 1 and _UNIT.fullmatch(folded[-1].strip("()")):
        folded = folded[:-1]
    forms = [(_WHOLE, "".join(folded), ())]
    if len(folded) > 1 and folded[-1] in _TOTAL_LEAVES:
        forms.append((_WITHOUT_TOTAL, "".join(folded[:-1]), ()))
    readings: list[tuple[int, str, tuple[str, ...]]] = [*forms]
    if len(folded) > 1:
        readings.append((_LOWEST, folded[-1], tuple(folded[:-1])))
    return readings


def _rank(form: str, words: tuple[str, ...]) -> int | None:
    if not form:
        return None
    for text in (form, without_brackets(form)):
        if text in words:
            return words.index(text)
    return None


@cache
def _measure_words(measure: Measure) -> tuple[str, ...]:
    return tuple(fold(word) for word in (measure.id, measure.title, *measure.aliases))


@cache
def _related(group: str, lowest: str, measure: Measure) -> bool:
    """Whether a group heading speaks of the measure, so that its lowest level alone may name it.

    "乳腺癌筛查 | 应筛查人数" is not the cervical measure although 应筛查人数 is an alias of it, and
    "边缘户 | 人数" not the registered persons.
    """
    core = _COUNTED.sub("", _NEUTRAL.sub("", without_brackets(group)))
    if not core or core in _TOTAL_LEAVES:
        return True
    words = _measure_words(measure)
    if any(core in word for word in words):
        return True
    # A specific lowest level needs less: 宫颈癌筛查 and 宫颈癌应筛查人数 begin alike.
    return len(lowest) >= _SPECIFIC and any(
        word[:_SHARED_START] == core[:_SHARED_START] for word in words
    )


def _wrong_units(table: Table, measures: Mapping[str, int]) -> list[Issue]:
    declared = _declared_units(table.titles)
    all_measures = registry.measures()
    issues: list[Issue] = []
    for name, position in measures.items():
        measure = all_measures[name]
        accepted = _UNITS.get(measure.unit, frozenset({measure.unit}))
        own = {
            unit
            for level in table.levels[position]
            for unit in (*bracketed(fold(level)), fold(level).strip("()"))
            if _UNIT.fullmatch(unit)
        }
        units = own or declared
        if units and not units & accepted:
            issues.append(
                make(
                    "UNIT_MISMATCH",
                    sheet=table.sheet,
                    row=table.header_rows[-1] if table.header_rows else None,
                    column=table.headings[position],
                    found="、".join(sorted(units)),
                    unit=measure.unit,
                )
            )
    return issues


def _declared_units(titles: tuple[str, ...]) -> set[str]:
    """The units of a line like 单位：户、人; empty when it names an office instead."""
    for title in titles:
        found = _UNIT_LINE.fullmatch(title)
        if found is not None:
            units = {unit for unit in re.split(r"[、,，/\s]+", found[1]) if unit}
            if all(_UNIT.fullmatch(unit) for unit in units):
                return units
    return set()


def choose(
    table: Table, month_given: bool
) -> tuple[ColumnMap | None, tuple[ColumnMap, ColumnMap] | None]:
    """The dataset a table must be, from its headings and geometry.

    Returns:
        the map, or None with the two readings between which only a person can decide.
    """
    maps = {name: read_as(table, one) for name, one in registry.datasets().items()}
    whole = {name: one for name, one in maps.items() if not one.missing}
    if table.geometries is None:
        if "targets" in whole:
            # No other file names a layer, a year and a target.
            return whole["targets"], None
        record, others = _record(whole)
        if others is not None:
            return None, others
        if record is not None:
            return record, None
    if "persons" in whole:
        # No other file of these carries names beside identity numbers.
        return whole["persons"], None
    if table.geometries is not None:
        whole.pop("figures", None)
    places, institutions, figures = (
        whole.get(name) for name in ("places", "institutions", "figures")
    )
    if institutions is not None:
        if figures is not None and "month" in figures.columns:
            return None, (institutions, figures)
        return institutions, None
    if places is not None and figures is not None:
        structure = places.columns.keys() & {"level", "parent_id", "valid_from", "valid_to"}
        if "month" in figures.columns or not structure:
            return figures, None
        if month_given:
            return figures, None
        return None, (places, figures)
    return figures or places, None


def _record(
    whole: Mapping[str, ColumnMap],
) -> tuple[ColumnMap | None, tuple[ColumnMap, ColumnMap] | None]:
    """The records a table is, when more of its columns mean something as these than otherwise."""
    ranked = sorted(whole.values(), key=lambda one: -one.matched)
    if not ranked or not ranked[0].dataset.record:
        return None, None
    best = [one for one in ranked if one.matched == ranked[0].matched]
    if len(best) == 1:
        return best[0], None
    if all(one.dataset.record for one in best):
        return None, (best[0], best[1])
    return None, None


def nearest(table: Table) -> ColumnMap | None:
    """The one dataset the table comes closest to, when it is complete for none."""
    maps = sorted(
        (read_as(table, one) for one in registry.datasets().values()),
        key=lambda one: (len(one.missing), -one.matched),
    )
    best, second = maps[0], maps[1]
    if best.matched < 2 or (len(best.missing), best.matched) == (
        len(second.missing),
        second.matched,
    ):
        return None
    return best

"""The datasets a file can be (``datasets.toml``), its measures (``measures.toml``), its words
(``lists.toml``)."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from geodata.errors import DudaoError
from loaders.fold import fold

Kind = Literal[
    "id",
    "text",
    "level",
    "date",
    "longitude",
    "latitude",
    "flag",
    "institution_kind",
    "place",
    "month",
    "measure",
    "value",
    "source",
    "id_number",
    "phone",
    "sex",
    "code",
    "number",
    "choice",
    "choices",
    "layer",
    "year",
]

Counting = Literal["stock", "flow", "reached", "fulfilment", "checklist"]
"""The kinds of counting; ``dashboard/store/counting.py`` has one expression for each."""

_FILES = ("datasets.toml", "measures.toml", "lists.toml")
_LISTED = ("choice", "choices")

PERSON = "person"
"""What stands in a checked frame for an identity number: the person's key."""


@dataclass(frozen=True, slots=True)
class Column:
    """One canonical column; ``aliases`` are the other headings it goes by.

    Attributes:
        unit, lower, upper, integer: of a ``number``: what it counts, inclusive bounds, whether it
            counts whole things.
        part_of: the ``number`` of the same row that this one can never exceed, or None.
        list: of a ``choice`` or ``choices``: the word list.
    """

    id: str
    kind: Kind
    required: bool
    aliases: tuple[str, ...]
    unit: str = ""
    lower: float = -math.inf
    upper: float = math.inf
    integer: bool = False
    part_of: str | None = None
    list: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of file; ``key`` names the columns that identify a record.

    Attributes:
        keep_days: how long a record is kept after the last file that brought it; None: for good.
            Declared for data of single persons only.
        keep_rule: where that time comes from, in words.
        record: whether its rows are records the program counts itself.
        dated: of records, the column whose month a row belongs to.
        makes_months: of records, whether a row makes its month one that has figures.
    """

    id: str
    title: str
    title_en: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    keep_days: int | None = None
    keep_rule: str = ""
    record: bool = False
    dated: str = ""
    makes_months: bool = False

    @property
    def canonical(self) -> tuple[str, ...]:
        """The columns of a checked frame of records."""
        return tuple(map(_canonical, (one for one in self.columns if one not in WRITTEN_NAMES)))

    @property
    def canonical_key(self) -> tuple[str, ...]:
        """The columns of a checked frame that identify a record."""
        return tuple(map(_canonical, self.key))

    def dtype(self, name: str) -> str:
        """The pandas type of a canonical column."""
        column = self.columns.get(name)
        return "str" if column is None else _TYPES.get(column.kind, "str")

    def empty_frame(self) -> pd.DataFrame:
        """A frame of records without rows."""
        return pd.DataFrame({one: pd.Series(dtype=self.dtype(one)) for one in self.canonical})

    @property
    def of_persons(self) -> bool:
        """Whether its records are of single persons."""
        return PERSON in self.canonical


_TYPES = {"date": "datetime64[s]", "number": "float64", "flag": "boolean"}
"""Of canonical columns; all others are texts, None where nothing is said."""

WRITTEN_NAMES = ("place_name", "parent_name")
"""Columns that only help to find the place."""


def _canonical(column: str) -> str:
    return PERSON if column == "id_number" else column


Value = bool | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One column of a record and what it must be.

    Attributes:
        value: of a flag whether it is set (not set and unsaid are one), of a choice the code or
            codes it may be, of choices the code or codes of which it must have one.
    """

    column: str
    value: Value


@dataclass(frozen=True, slots=True)
class Count:
    """How a measure is counted from records (docs/decisions/0006).

    Attributes:
        where: what a row of ``dataset`` must fulfil; ``by_where``: a row of ``by``.
        sum: columns added up instead of counting rows.
        distinct: count each value of this column once a year.
        by: of ``reached`` and ``fulfilment``: the records of what was done.
        times: of ``fulfilment``: follow-ups due in a year; ``done``: whether done or due ones.
        all: of ``checklist``: every clinic checked, not only those that meet the standard.
    """

    kind: Counting
    dataset: str
    where: tuple[Condition, ...] = ()
    sum: tuple[str, ...] = ()
    distinct: str | None = None
    by: str | None = None
    by_where: tuple[Condition, ...] = ()
    times: int = 0
    done: bool = False
    all: bool = False

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets it needs."""
        return (self.dataset,) if self.by is None else (self.dataset, self.by)


@dataclass(frozen=True, slots=True)
class Measure:
    """One counted thing.

    Attributes:
        unit: the seeds' own unit (人, 户, 个, 项 ...); units are never mixed.
        lower, upper: inclusive bounds of a believable figure.
        integer: whether the figure counts whole things.
        part_of: id of the whole that this one can never exceed, or None.
        rarely_above: ids of measures this one is implausible above: a flag, not an error.
        parts: ids of measures that add up to this one; where they do not, it is doubted.
        records: how it is counted from records; None: it is only ever reported.
    """

    id: str
    title: str
    title_en: str
    unit: str
    lower: float
    upper: float
    integer: bool
    part_of: str | None
    rarely_above: tuple[str, ...]
    parts: tuple[str, ...]
    aliases: tuple[str, ...]
    records: Count | None = None


@dataclass(frozen=True)
class WordList:
    """What a column may hold: code -> its words, the title first."""

    id: str
    words: Mapping[str, tuple[str, ...]]

    @cached_property
    def codes(self) -> Mapping[str, str]:
        """Folded word or code -> code."""
        return {fold(word): code for code, words in self.words.items() for word in (code, *words)}


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything the three files declare."""

    datasets: Mapping[str, Dataset]
    measures: Mapping[str, Measure]
    lists: Mapping[str, WordList]


def datasets() -> Mapping[str, Dataset]:
    """The declared datasets by id."""
    return registry().datasets


def measures() -> Mapping[str, Measure]:
    """The declared measures by id."""
    return registry().measures


def lists() -> Mapping[str, WordList]:
    """The declared word lists by id."""
    return registry().lists


def record_datasets() -> Mapping[str, Dataset]:
    """The datasets of records by id."""
    return {name: one for name, one in datasets().items() if one.record}


@cache
def registry() -> Registry:
    """Read and validate the declaration once.

    Raises:
        DudaoError: one of the files is not valid.
    """
    folder = Path(__file__).parent
    return parse(*((folder / name).read_text(encoding="utf-8") for name in _FILES))


def parse(datasets_text: str, measures_text: str, lists_text: str = "lists = {}") -> Registry:
    """Read a declaration from the TOML texts of the three files.

    Raises:
        DudaoError: code REGISTRY_INVALID, naming the entry that is wrong.
    """
    bodies = [
        _table(name, text, key)
        for name, text, key in zip(
            _FILES,
            (datasets_text, measures_text, lists_text),
            ("datasets", "measures", "lists"),
            strict=True,
        )
    ]
    found_lists = {name: _list(name, body) for name, body in bodies[2].items()}
    found_datasets = {name: _dataset(name, body, found_lists) for name, body in bodies[0].items()}
    found_measures = {
        name: _measure(name, body, found_datasets, found_lists) for name, body in bodies[1].items()
    }
    for measure in found_measures.values():
        others = [measure.part_of] if measure.part_of is not None else []
        for other in (*others, *measure.rarely_above, *measure.parts):
            if other not in found_measures or other == measure.id:
                raise _invalid(f"measures.{measure.id}", f"没有名为 {other} 的另一指标")
    _no_chain(found_measures)
    for dataset in found_datasets.values():
        _no_collision(
            f"datasets.{dataset.id}",
            ((name, (name, *column.aliases)) for name, column in dataset.columns.items()),
        )
    figures = found_datasets.get("figures")
    columns = {} if figures is None else figures.columns
    _no_collision(
        "measures",
        [
            *((name, (name, *column.aliases)) for name, column in columns.items()),
            *((one.id, (one.id, one.title, *one.aliases)) for one in found_measures.values()),
        ],
    )
    return Registry(found_datasets, found_measures, found_lists)


def _table(file: str, text: str, key: str) -> Mapping[str, Any]:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(file, str(error)) from error
    _keys(file, raw, required={key})
    found: Mapping[str, Any] = raw[key]
    return found


def _list(name: str, body: Mapping[str, Any]) -> WordList:
    where = f"lists.{name}"
    words = {code: tuple(found) for code, found in body.items()}
    empty = [code for code, found in words.items() if not found]
    if empty or not words:
        raise _invalid(where, f"没有列出词语：{empty}")
    _no_collision(where, ((code, (code, *found)) for code, found in words.items()))
    return WordList(name, words)


_NUMERIC = frozenset({"unit", "lower", "upper", "integer", "part_of"})


def _column(
    where: str, name: str, entry: Mapping[str, Any], lists: Mapping[str, WordList]
) -> Column:
    _keys(where, entry, {"kind"}, {"required", "aliases", "list", *_NUMERIC})
    kind = entry["kind"]
    if kind not in get_args(Kind):
        raise _invalid(where, f"kind 不认识：{kind}")
    if kind != "number" and _NUMERIC & entry.keys():
        raise _invalid(where, "只有 number 列可写 unit、lower、upper、integer、part_of")
    if kind == "number" and not {"lower", "upper"} <= entry.keys():
        raise _invalid(where, "number 列应写明 lower 和 upper")
    if (kind in _LISTED) != ("list" in entry) or entry.get("list", None) not in (None, *lists):
        raise _invalid(where, "choice、choices 列应以 list 指明已有的词表")
    return Column(
        id=name,
        kind=kind,
        required=bool(entry.get("required", False)),
        aliases=tuple(entry.get("aliases", ())),
        unit=entry.get("unit", ""),
        lower=float(entry.get("lower", -math.inf)),
        upper=float(entry.get("upper", math.inf)),
        integer=bool(entry.get("integer", False)),
        part_of=entry.get("part_of"),
        list=entry.get("list"),
    )


def _dataset(name: str, body: Mapping[str, Any], lists: Mapping[str, WordList]) -> Dataset:
    where = f"datasets.{name}"
    _keys(
        where,
        body,
        required={"title", "title_en", "key", "columns"},
        optional={"keep_days", "keep_rule", "record", "dated", "makes_months"},
    )
    columns = {
        column: _column(f"{where}.{column}", column, entry, lists)
        for column, entry in body["columns"].items()
    }
    for column in body["key"]:
        if column not in columns:
            raise _invalid(where, f"key 中的 {column} 不是已声明的列")
    for one in columns.values():
        if one.part_of is not None and getattr(columns.get(one.part_of), "kind", "") != "number":
            raise _invalid(f"{where}.{one.id}", f"part_of 指的 {one.part_of} 不是 number 列")
    keep_days, keep_rule = body.get("keep_days"), str(body.get("keep_rule", ""))
    if (keep_days is None) != (not keep_rule) or (keep_days is not None and keep_days < 1):
        raise _invalid(where, "keep_days 应为正整数，并用 keep_rule 写明依据")
    record, dated = bool(body.get("record", False)), str(body.get("dated", ""))
    if record and getattr(columns.get(dated), "kind", "") not in ("date", "month"):
        raise _invalid(where, "记录类数据应以 dated 指明日期或月份列")
    if record and not {"place_id", *WRITTEN_NAMES} <= columns.keys():
        raise _invalid(where, "记录类数据应有 place_id、place_name、parent_name 三列")
    return Dataset(
        name,
        body["title"],
        body["title_en"],
        tuple(body["key"]),
        columns,
        keep_days,
        keep_rule,
        record,
        dated,
        bool(body.get("makes_months", False)),
    )


def _measure(
    name: str,
    body: Mapping[str, Any],
    datasets: Mapping[str, Dataset],
    lists: Mapping[str, WordList],
) -> Measure:
    where = f"measures.{name}"
    _keys(
        where,
        body,
        required={"title", "title_en", "unit", "lower", "upper", "integer"},
        optional={"part_of", "rarely_above", "parts", "aliases", "records"},
    )
    if not str(body["unit"]).strip():
        raise _invalid(where, "unit 不能为空")
    if not body["lower"] < body["upper"]:
        raise _invalid(where, "lower 必须小于 upper")
    rule = body.get("records")
    return Measure(
        id=name,
        title=body["title"],
        title_en=body["title_en"],
        unit=body["unit"],
        lower=float(body["lower"]),
        upper=float(body["upper"]),
        integer=bool(body["integer"]),
        part_of=body.get("part_of"),
        rarely_above=tuple(body.get("rarely_above", ())),
        parts=tuple(body.get("parts", ())),
        aliases=tuple(body.get("aliases", ())),
        records=None if rule is None else _count(f"{where}.records", rule, datasets, lists),
    )


def _count(
    where: str,
    body: Mapping[str, Any],
    datasets: Mapping[str, Dataset],
    lists: Mapping[str, WordList],
) -> Count:
    _keys(
        where,
        body,
        required={"kind", "dataset"},
        optional={"where", "sum", "distinct", "by", "by_where", "times", "done", "all"},
    )
    if body["kind"] not in get_args(Counting):
        raise _invalid(where, f"kind 不认识：{body['kind']}")
    by = datasets.get(body.get("by", ""))
    found = Count(
        kind=body["kind"],
        dataset=body["dataset"],
        where=_conditions(where, body.get("where", {}), datasets.get(body["dataset"]), lists),
        sum=tuple(body.get("sum", ())),
        distinct=body.get("distinct"),
        by=body.get("by"),
        by_where=_conditions(where, body.get("by_where", {}), by, lists),
        times=int(body.get("times", 0)),
        done=bool(body.get("done", False)),
        all=bool(body.get("all", False)),
    )
    for one in found.datasets:
        if one not in datasets or not datasets[one].record:
            raise _invalid(where, f"{one} 不是记录类数据")
    columns = datasets[found.dataset].columns
    wrong = [one for one in found.sum if getattr(columns.get(one), "kind", "") != "number"]
    if found.distinct is not None and found.distinct not in datasets[found.dataset].canonical:
        wrong.append(found.distinct)
    if wrong:
        raise _invalid(where, f"{found.dataset} 没有可用的列 {wrong}")
    if (found.kind in ("reached", "fulfilment")) != (found.by is not None):
        raise _invalid(where, "reached 和 fulfilment 应以 by 指明服务记录，其他不应")
    if (found.kind == "fulfilment") != (found.times > 0) or 12 % (found.times or 1):
        raise _invalid(where, "fulfilment 应以 times 写明一年应随访次数(12 的约数)")
    return found


def _conditions(
    where: str,
    body: Mapping[str, Any],
    dataset: Dataset | None,
    lists: Mapping[str, WordList],
) -> tuple[Condition, ...]:
    found = []
    for name, value in body.items():
        column = None if dataset is None else dataset.columns.get(name)
        wanted = tuple(value) if isinstance(value, list) else value
        if column is None or column.kind not in ("flag", *_LISTED):
            raise _invalid(where, f"条件列 {name} 不是 flag、choice 或 choices 列")
        if isinstance(wanted, bool) != (column.kind == "flag"):
            raise _invalid(where, f"条件 {name} 的值 {value} 与列的类型不符")
        if column.list is not None:
            codes = (wanted,) if isinstance(wanted, str) else wanted
            unknown = [code for code in codes if code not in lists[column.list].words]
            if unknown:
                raise _invalid(where, f"词表 {column.list} 中没有 {unknown}")
        found.append(Condition(name, wanted))
    return tuple(found)


def _no_chain(found: Mapping[str, Measure]) -> None:
    for start in found.values():
        seen = {start.id}
        current = start.part_of
        while current is not None:
            if current in seen:
                raise _invalid(f"measures.{start.id}", "part_of 形成了循环")
            seen.add(current)
            current = found[current].part_of


def _no_collision(where: str, entries: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    owner: dict[str, str] = {}
    for entry, words in entries:
        for word in words:
            if owner.setdefault(fold(word), entry) != entry:
                raise _invalid(where, f"别名“{word}”同时属于 {owner[fold(word)]} 和 {entry}")


def _keys(
    where: str,
    body: object,
    required: set[str],
    optional: frozenset[str] | set[str] = frozenset(),
) -> None:
    if not isinstance(body, dict):
        raise _invalid(where, "应为一个表")
    missing = required - body.keys()
    unknown = body.keys() - required - optional
    if missing or unknown:
        raise _invalid(where, f"缺少的键：{sorted(missing)}；多余的键：{sorted(unknown)}")


def _invalid(where: str, detail: str) -> DudaoError:
    return DudaoError(
        "REGISTRY_INVALID",
        f"数据集登记 {where} 有误：{detail}。",
        "请改正 loaders 下的登记文件。",
    )

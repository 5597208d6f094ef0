"""The datasets a file can be (``datasets.toml``) and its measures (``measures.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

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
]

_FILES = ("datasets.toml", "measures.toml")


@dataclass(frozen=True, slots=True)
class Column:
    """One canonical column; ``aliases`` are the other headings it goes by."""

    id: str
    kind: Kind
    required: bool
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One kind of file; ``key`` names the columns that identify a record.

    Attributes:
        keep_days: how long a record is kept after the last file that brought it; None: for good.
            Declared for data of single persons only.
        keep_rule: where that time comes from, in words.
    """

    id: str
    title: str
    title_en: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    keep_days: int | None = None
    keep_rule: str = ""


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


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything the two files declare."""

    datasets: Mapping[str, Dataset]
    measures: Mapping[str, Measure]


def datasets() -> Mapping[str, Dataset]:
    """The declared datasets by id."""
    return registry().datasets


def measures() -> Mapping[str, Measure]:
    """The declared measures by id."""
    return registry().measures


@cache
def registry() -> Registry:
    """Read and validate the declaration once.

    Raises:
        DudaoError: one of the files is not valid.
    """
    folder = Path(__file__).parent
    return parse(*((folder / name).read_text(encoding="utf-8") for name in _FILES))


def parse(datasets_text: str, measures_text: str) -> Registry:
    """Read a declaration from the TOML texts of the two files.

    Raises:
        DudaoError: code REGISTRY_INVALID, naming the entry that is wrong.
    """
    bodies = [
        _table(name, text, key)
        for name, text, key in zip(
            _FILES, (datasets_text, measures_text), ("datasets", "measures"), strict=True
        )
    ]
    found_datasets = {name: _dataset(name, body) for name, body in bodies[0].items()}
    found_measures = {name: _measure(name, body) for name, body in bodies[1].items()}
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
    return Registry(found_datasets, found_measures)


def _table(file: str, text: str, key: str) -> Mapping[str, Any]:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(file, str(error)) from error
    _keys(file, raw, required={key})
    found: Mapping[str, Any] = raw[key]
    return found


def _dataset(name: str, body: Mapping[str, Any]) -> Dataset:
    where = f"datasets.{name}"
    _keys(
        where,
        body,
        required={"title", "title_en", "key", "columns"},
        optional={"keep_days", "keep_rule"},
    )
    columns: dict[str, Column] = {}
    for column, entry in body["columns"].items():
        _keys(f"{where}.{column}", entry, required={"kind"}, optional={"required", "aliases"})
        if entry["kind"] not in get_args(Kind):
            raise _invalid(f"{where}.{column}", f"kind 不认识：{entry['kind']}")
        columns[column] = Column(
            id=column,
            kind=entry["kind"],
            required=bool(entry.get("required", False)),
            aliases=tuple(entry.get("aliases", ())),
        )
    for column in body["key"]:
        if column not in columns:
            raise _invalid(where, f"key 中的 {column} 不是已声明的列")
    keep_days, keep_rule = body.get("keep_days"), str(body.get("keep_rule", ""))
    if (keep_days is None) != (not keep_rule) or (keep_days is not None and keep_days < 1):
        raise _invalid(where, "keep_days 应为正整数，并用 keep_rule 写明依据")
    return Dataset(
        name,
        body["title"],
        body["title_en"],
        tuple(body["key"]),
        columns,
        keep_days,
        keep_rule,
    )


def _measure(name: str, body: Mapping[str, Any]) -> Measure:
    where = f"measures.{name}"
    _keys(
        where,
        body,
        required={"title", "title_en", "unit", "lower", "upper", "integer"},
        optional={"part_of", "rarely_above", "parts", "aliases"},
    )
    if not str(body["unit"]).strip():
        raise _invalid(where, "unit 不能为空")
    if not body["lower"] < body["upper"]:
        raise _invalid(where, "lower 必须小于 upper")
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
    )


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

"""layers.toml read once into Layer objects, refused whole when any entry is incomplete."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from dashboard.coverage.model import Direction, Layer, Pace, Source
from dashboard.coverage.palettes import PALETTES
from dashboard.store.model import FOUND, RECOUNT, REPORTED, SAMPLED, Pair
from geodata.errors import DudaoError
from geodata.model import InstitutionKind, Level
from loaders import registry as datasets
from loaders.registry import Measure

LAYERS_FILE = Path(__file__).with_name("layers.toml")

_REQUIRED = frozenset(
    {
        "title",
        "title_en",
        "group",
        "base_level",
        "numerator",
        "unit",
        "direction",
        "breaks",
        "palette",
        "help",
        "help_en",
        "systems",
        "pace",
    }
)
_OPTIONAL = frozenset({"denominator", "factor", "target", "lowest_level", "protected", "site_kind"})
SYSTEMS = 36
"""Rows of the source documents' systems."""


def _bad(layer_id: str, problem: str) -> DudaoError:
    return DudaoError(
        "LAYER_INVALID",
        f"图层 {layer_id}:{problem}。",
        "请对照 docs/adding-a-layer.md 修改 layers.toml。",
    )


def parse_layer(layer_id: str, entry: dict[str, Any]) -> Layer:
    """Check one entry of layers.toml and build its Layer.

    Raises:
        DudaoError: LAYER_INVALID names the first key that is missing, unknown or wrong.
    """
    keys = set(entry)
    if missing := sorted(_REQUIRED - keys):
        raise _bad(layer_id, f"缺少 {'、'.join(missing)}")
    if unknown := sorted(keys - _REQUIRED - _OPTIONAL):
        raise _bad(layer_id, f"有不认识的键 {'、'.join(unknown)}")
    for key in ("title", "title_en", "group", "unit", "help", "help_en"):
        if not isinstance(entry[key], str) or not entry[key].strip():
            raise _bad(layer_id, f"{key} 不能为空")
    measures = datasets.measures()
    numerator = entry["numerator"]
    denominator = entry.get("denominator", numerator)
    for key, measure in (("numerator", numerator), ("denominator", denominator)):
        if measure not in measures:
            raise _bad(layer_id, f"{key} = {measure!r} 不是已声明的指标")
    if "denominator" in entry and numerator == denominator:
        raise _bad(layer_id, "只计数的图层不写 denominator")
    if ("factor" in entry) != ("denominator" in entry):
        raise _bad(layer_id, "denominator 与 factor 应同时写明")
    if "denominator" not in entry and entry["unit"] != measures[numerator].unit:
        raise _bad(layer_id, f"计数图层的 unit 应为 {measures[numerator].unit}")
    if "denominator" not in entry and "target" in entry:
        raise _bad(layer_id, "计数图层各级目标不同，不能登记统一的 target")
    breaks = tuple(float(limit) for limit in entry["breaks"])
    if not breaks or any(low >= high for low, high in pairwise(breaks)):
        raise _bad(layer_id, "breaks 应为递增的数")
    palette = entry["palette"]
    if palette not in PALETTES or len(breaks) + 1 not in PALETTES[palette]:
        raise _bad(layer_id, f"没有 {len(breaks) + 1} 级的色带 {palette!r}")
    factor = float(entry.get("factor", 1))
    if factor <= 0:
        raise _bad(layer_id, "factor 应大于 0")
    systems = tuple(entry["systems"])
    if not systems or any(type(row) is not int or not 1 <= row <= SYSTEMS for row in systems):
        raise _bad(layer_id, f"systems 应为 1 至 {SYSTEMS} 的系统序号")
    if type(entry.get("protected", False)) is not bool:
        raise _bad(layer_id, "protected 应为 true 或 false")
    try:
        base_level = Level.parse(entry["base_level"])
        lowest = Level.parse(entry["lowest_level"]) if "lowest_level" in entry else None
        direction = Direction(entry["direction"])
        pace = Pace(entry["pace"])
        site_kind = InstitutionKind(entry["site_kind"]) if "site_kind" in entry else None
    except ValueError as error:
        raise _bad(layer_id, str(error)) from error
    return Layer(
        id=layer_id,
        title=entry["title"],
        title_en=entry["title_en"],
        group=entry["group"],
        base_level=base_level,
        numerator=numerator,
        denominator=denominator,
        factor=factor,
        unit=entry["unit"],
        target=float(entry["target"]) if "target" in entry else None,
        direction=direction,
        breaks=breaks,
        palette=palette,
        help=entry["help"],
        help_en=entry["help_en"],
        decimals=_decimals(entry["unit"], measures[numerator], numerator == denominator),
        systems=systems,
        pace=pace,
        lowest_level=lowest,
        protected=bool(entry.get("protected", False)),
        site_kind=site_kind,
    )


def _decimals(unit: str, numerator: Measure, counts: bool) -> int:
    if counts:
        return 0 if numerator.integer else 2
    return 1 if unit == "%" else 2


def read_layers(path: Path) -> dict[str, Layer]:
    """Every layer of a file, in the file's order.

    Raises:
        DudaoError: LAYER_INVALID as ``parse_layer``, or when two layers claim one kind of site.
    """
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    layers = {layer_id: parse_layer(layer_id, entry) for layer_id, entry in entries.items()}
    kinds = [layer.site_kind for layer in layers.values() if layer.site_kind is not None]
    if len(kinds) != len(set(kinds)):
        raise _bad("*", "同一类机构只能由一个图层着色")
    return layers


@cache
def layers() -> dict[str, Layer]:
    """The registry: layer id to Layer, in the order screens list them."""
    return read_layers(LAYERS_FILE)


def layer(layer_id: str) -> Layer:
    """One layer.

    Raises:
        DudaoError: LAYER_NOT_FOUND names the ids that exist.
    """
    found = layers().get(layer_id)
    if found is None:
        raise DudaoError(
            "LAYER_NOT_FOUND", f"没有图层“{layer_id}”。", f"可用图层：{'、'.join(layers())}。"
        )
    return found


def pairs() -> tuple[Pair, ...]:
    """The distinct pairs the roll-up has to produce: of every layer, and of its field samples."""
    every = [Pair(entry.numerator, entry.denominator) for entry in layers().values()]
    every += [pair for entry in layers().values() for pair in sampled_pairs(entry)]
    return tuple(dict.fromkeys(every))


def recount_pair(layer: Layer) -> Pair:
    """What the households revisited for a layer count to, over what was reported of them."""
    return Pair(layer.numerator + RECOUNT, layer.numerator + REPORTED)


def judged_pair(layer: Layer) -> Pair:
    """The households revisited that hold what was reported, over all that could be judged."""
    return Pair(layer.numerator + FOUND, layer.numerator + SAMPLED)


def sampled_pairs(layer: Layer) -> tuple[Pair, ...]:
    """What a field sample says of a layer; nothing of one whose small counts are left out."""
    return () if layer.protected else (recount_pair(layer), judged_pair(layer))


def uncounted(layer: Layer, source: Source, loaded: Collection[str]) -> list[str] | None:
    """Datasets of records a layer is counted from that were never loaded, by id.

    Args:
        loaded: the datasets any load brought.

    Returns:
        None where no record could tell of the layer; empty where nothing stands in the way.
    """
    if source is Source.REPORTED:
        return []
    if source is Source.VERIFIED:
        needed = ["revisits"] if sampled_pairs(layer) else None
    else:
        both = (layer.numerator, layer.denominator)
        rules = [datasets.measures()[measure].records for measure in both]
        needed = [one for rule in rules if rule is not None for one in rule.datasets]
        needed = None if None in rules else needed
    if needed is None:
        return None
    return [one for one in dict.fromkeys(needed) if one not in loaded]

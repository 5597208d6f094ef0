"""What is left out of a layer so that nobody can work small counts out: docs/decisions/0008.

Layers that share a count of persons are decided together, for their figures can be put together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from dashboard.coverage import registry
from dashboard.coverage.model import Layer
from dashboard.privacy import suppress
from dashboard.privacy.suppress import INSIDE, Shown
from dashboard.store.memory import Memory
from dashboard.store.model import Pair, Snapshot
from dashboard.store.snapshots import Snapshots
from geodata.errors import SystemProblem
from loaders.registry import measures

PERSONAL_UNITS = frozenset({"人", "人次", "户", "户次"})
"""Units that count persons or households: small counts in them are left out."""
PUBLIC_UNITS = frozenset({"个", "项", "份", "次", "万元"})
"""Units that count institutions, findings, samples, events and money."""

Pattern = dict[str, Shown]
"""What may be shown, by place; places shown whole are not listed."""

_left_out: Memory[frozenset[str]] = Memory(256)
_months: Memory[dict[str, pa.Scalar]] = Memory(64)
_exported: Memory[dict[str, Pattern]] = Memory(256)

_RULES = b"rules"
_PLACES = pa.list_(pa.string())
_ROWS_AT_ONCE = 2_000_000
"""Of a file with more rows not all protected layers are read at once."""
_ROWS_REMEMBERED = 500_000
"""What is left out of a month with more rows is read anew for every layer, to spare memory."""

_log = logging.getLogger(__name__)


def is_personal(measure_id: str) -> bool:
    """Whether small counts of a measure are left out; a unit nobody classed is taken for one."""
    return measures()[measure_id].unit not in PUBLIC_UNITS


def is_share(layer: Layer) -> bool:
    """Whether the numerator is a part of the denominator."""
    return measures()[layer.numerator].part_of == layer.denominator


def together(layer: Layer, among: Sequence[Layer]) -> list[Layer]:
    """The layers of ``among`` that hang together with one through counts of persons they share."""
    counts = {one.id: _counts(one) for one in among}
    found, reached = [layer], _counts(layer)
    waiting = [one for one in among if one.id != layer.id]
    while joined := [one for one in waiting if counts[one.id] & reached]:
        found += joined
        reached = reached.union(*(counts[one.id] for one in joined))
        waiting = [one for one in waiting if one not in joined]
    return found


def _counts(layer: Layer) -> set[str]:
    return {measure for measure in (layer.numerator, layer.denominator) if is_personal(measure)}


def pattern(found: Sequence[tuple[Layer, Pattern | None]]) -> Pattern:
    """What is left out of the first of some layers that hang together.

    Where more than one of them has figures, a place left out of any is left out of all: then all
    counts of a group are hidden alike, and whatever one of them may be, the others may be too.
    Shares of one whole keep it where each of them alone would; where one layer's numerator is
    another's denominator, all counts go.

    Args:
        found: the layers, each with what is left out of it by itself; None without figures.
    """
    known = [(layer, one) for layer, one in found if one is not None]
    if len(known) < 2:
        return found[0][1] or {}
    alike = len({layer.denominator for layer, _ in known}) == 1
    joint: Pattern = {}
    for layer, one in known:
        for place_id, shown in one.items():
            whole_too = not alike or layer.is_count or shown is Shown.NOTHING
            least = Shown.NOTHING if whole_too else Shown.DENOMINATOR
            joint[place_id] = max(joint.get(place_id, Shown.ALL), least)
    if found[0][0].is_count:
        return {place_id: shown for place_id, shown in joint.items() if shown is Shown.NOTHING}
    return joint


def _alone(
    frames: Mapping[Pair, pd.DataFrame], month: str, layer: Layer, threshold: int
) -> Pattern | None:
    """What is left out of one layer by itself; None where it has no figures.

    Args:
        frames: the layer's pair at all places of a month.

    Raises:
        SystemProblem: FIGURES_INCONSISTENT, the stored sums do not add up.
    """
    personal = (is_personal(layer.numerator), is_personal(layer.denominator))
    if not any(personal):
        return None
    rows = frames[_pair(layer)]
    if rows["denominator"].isna().all():
        return None
    try:
        found = suppress.suppress(
            suppress.parents(rows["place_id"], rows["parent_id"]),
            rows["numerator"].to_numpy(np.float64),
            rows["denominator"].to_numpy(np.float64),
            threshold,
            share=is_share(layer),
            personal=personal,
        )
    except ValueError as error:
        raise SystemProblem(
            "FIGURES_INCONSISTENT",
            f"{month} 的“{layer.title}”各级合计不一致，不能判断哪些数字可以显示。",
            "请管理员运行 python -m dashboard publish 重新汇总后再试。",
        ) from error
    ids = rows["place_id"].to_numpy()
    return {ids[at]: Shown(found.shown[at]) for at in np.flatnonzero(found.shown)}


def _pair(layer: Layer) -> Pair:
    return Pair(layer.numerator, layer.denominator)


def left_out(whole: Snapshots, snapshot: Snapshot, layer: Layer) -> frozenset[str]:
    """The places every screen and answer leaves out of a layer in a month; none unless protected.

    What is left out of one source is left out of all: they speak of the same persons.

    Raises:
        SystemProblem: FIGURES_INCONSISTENT.
    """
    if not layer.protected:
        return frozenset()
    return _left_out.get(
        (snapshot.file, layer.id),
        lambda: frozenset(_kept(whole, snapshot)[layer.id].as_py()),
    )


def prepare(whole: Snapshots, snapshots: Iterable[Snapshot]) -> None:
    """Work out beforehand what is left out of months, so that no page waits for it.

    A month that cannot be judged is logged: who asks for it is told.
    """
    for snapshot in snapshots:
        try:
            _kept(whole, snapshot)
        except SystemProblem as problem:
            _log.warning("%s", problem)


def _kept(whole: Snapshots, snapshot: Snapshot) -> dict[str, pa.Scalar]:
    """The places left out of each protected layer of a month, as kept beside its values."""
    if whole.rows(snapshot) > _ROWS_REMEMBERED:
        return _read(whole, snapshot)
    # A trend asks for every month: one file for all layers, not one for each.
    return _months.get(snapshot.file, lambda: _read(whole, snapshot))


def _read(whole: Snapshots, snapshot: Snapshot) -> dict[str, pa.Scalar]:
    """What is not there, or was made by other rules, is made anew and kept."""
    protected = [one for one in registry.layers().values() if one.protected]
    rules = _rules(protected)
    kept = whole.beside(snapshot)
    if kept is None or (kept.schema.metadata or {}).get(_RULES) != rules:
        found = _of_layers(whole, snapshot, protected, INSIDE, protected)
        kept = pa.table(
            {
                "layer": pa.array([one.id for one in protected], pa.string()),
                "places": pa.array([sorted(found[one.id]) for one in protected], _PLACES),
            }
        ).replace_schema_metadata({_RULES: rules})
        whole.put_beside(snapshot, kept)
    return dict(zip(kept["layer"].to_pylist(), kept["places"], strict=True))


def _rules(protected: Sequence[Layer]) -> bytes:
    """Names all that decides what is left out of a month: the layers, the threshold, this code."""
    layers = [
        (
            *(one.id, one.numerator, one.denominator, is_share(one), one.is_count),
            *(is_personal(one.numerator), is_personal(one.denominator)),
        )
        for one in protected
    ]
    return sha256(json.dumps([_code(), INSIDE, layers]).encode()).hexdigest().encode()


@cache
def _code() -> str:
    """A change of the rules makes everything anew, whether or not somebody thought of it."""
    files = (Path(__file__), Path(suppress.__file__))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _of_layers(
    whole: Snapshots,
    snapshot: Snapshot,
    layers: Sequence[Layer],
    least: int,
    asked: Sequence[Layer],
    places: frozenset[str] | None = None,
) -> dict[str, Pattern]:
    """What is left out of some layers in a month, of all sources together.

    Reads the file once a source, or where that takes much memory once for each group of layers.

    Args:
        layers: the layers asked for and those that hang together with them.
        places: tell of these only.
    """
    many = whole.rows(snapshot) > _ROWS_AT_ONCE
    lots = _groups(layers) if many else [list(layers)]
    found: dict[str, Pattern] = {one.id: {} for one in asked}
    for source in whole.sources(snapshot):
        for lot in lots:
            frames = whole.wholes(snapshot, source, [_pair(one) for one in lot])
            alone = {one.id: _alone(frames, snapshot.month, one, least) for one in lot}
            for one in (layer for layer in lot if layer in asked):
                joined = pattern([(other, alone[other.id]) for other in together(one, lot)])
                known = found[one.id]
                for place_id in joined.keys() if places is None else places & joined.keys():
                    known[place_id] = max(known.get(place_id, Shown.ALL), joined[place_id])
    return found


def _groups(layers: Sequence[Layer]) -> list[list[Layer]]:
    groups: list[list[Layer]] = []
    for one in layers:
        if not any(one in group for group in groups):
            groups.append(together(one, layers))
    return groups


def of_export(whole: Snapshots, snapshot: Snapshot, layer: Layer, least: int) -> Pattern:
    """What an export leaves out of a layer in a month, whether protected or not, of all sources.

    Raises:
        SystemProblem: FIGURES_INCONSISTENT.
    """
    layers = together(layer, list(registry.layers().values()))
    return _of_layers(whole, snapshot, layers, least, [layer])[layer.id]


def of_exports(
    whole: Snapshots, snapshot: Snapshot, least: int, places: Collection[str]
) -> Mapping[str, Pattern]:
    """``of_export`` of every layer of a month at once, of some places, remembered.

    Raises:
        SystemProblem: FIGURES_INCONSISTENT.
    """
    layers, wanted = list(registry.layers().values()), frozenset(places)
    return _exported.get(
        (snapshot.file, least, wanted),
        lambda: _of_layers(whole, snapshot, layers, least, layers, wanted),
    )

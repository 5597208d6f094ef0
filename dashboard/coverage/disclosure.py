"""What is left out of a layer so that nobody can work small counts out: docs/decisions/0008.

Layers that share a count of persons are decided together, for their figures can be put together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from dashboard.coverage import registry
from dashboard.coverage.model import Layer
from dashboard.privacy import suppress
from dashboard.privacy.suppress import INSIDE, Shown
from dashboard.store.memory import Memory
from dashboard.store.model import Pair, Snapshot
from geodata.errors import SystemProblem
from loaders.registry import measures

PERSONAL_UNITS = frozenset({"人", "人次", "户", "户次"})
"""Units that count persons or households: small counts in them are left out."""
PUBLIC_UNITS = frozenset({"个", "项", "份", "次", "万元"})
"""Units that count institutions, findings, samples, events and money."""

Pattern = dict[str, Shown]
"""What may be shown, by place; places shown whole are not listed."""

Wholes = Callable[[Snapshot, str, Collection[Pair]], dict[Pair, pd.DataFrame]]
"""``Snapshots.wholes``."""

_patterns: Memory[dict[str, Pattern]] = Memory(64)


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


def pattern(
    frames: Mapping[Pair, pd.DataFrame], month: str, layers: Sequence[Layer], threshold: int
) -> Pattern:
    """What is left out of the first of some layers that hang together.

    Where more than one of them has figures, a place left out of any is left out of all: then all
    counts of a group are hidden alike, and whatever one of them may be, the others may be too.
    Shares of one whole keep it where each of them alone would; where one layer's numerator is
    another's denominator, all counts go.

    Args:
        frames: every layer's pair at all places of a month.

    Raises:
        SystemProblem: FIGURES_INCONSISTENT, the stored sums do not add up.
    """
    found = [(layer, _alone(frames, month, layer, threshold)) for layer in layers]
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
    if layers[0].is_count:
        return {place_id: shown for place_id, shown in joint.items() if shown is Shown.NOTHING}
    return joint


def _alone(
    frames: Mapping[Pair, pd.DataFrame], month: str, layer: Layer, threshold: int
) -> Pattern | None:
    """What is left out of one layer by itself; None where it has no figures."""
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


def left_out(wholes: Wholes, snapshot: Snapshot, source: str, layer: Layer) -> Pattern:
    """What every screen and answer leaves out of a layer in a month; nothing unless protected.

    Worked out for all protected layers at once: the file is read once.

    Raises:
        SystemProblem: FIGURES_INCONSISTENT.
    """
    if not layer.protected:
        return {}
    return _patterns.get((snapshot.file, source), lambda: _of_month(wholes, snapshot, source))[
        layer.id
    ]


def _of_month(wholes: Wholes, snapshot: Snapshot, source: str) -> dict[str, Pattern]:
    protected = [one for one in registry.layers().values() if one.protected]
    frames = wholes(snapshot, source, [_pair(one) for one in protected])
    return {
        one.id: pattern(frames, snapshot.month, together(one, protected), INSIDE)
        for one in protected
    }


def of_export(wholes: Wholes, snapshot: Snapshot, source: str, layer: Layer, least: int) -> Pattern:
    """What an export leaves out of a layer in a month, whether protected or not.

    Raises:
        SystemProblem: FIGURES_INCONSISTENT.
    """
    layers = together(layer, list(registry.layers().values()))
    frames = wholes(snapshot, source, [_pair(one) for one in layers])
    return pattern(frames, snapshot.month, layers, least)

"""Figures of all other systems for one county: invented, twelve months, at each layer's base level.

What a layer divides comes from the registry, so a layer added there shows something here at once.
A share grows through the year where its target is reached over the year, else it stays about level;
no part exceeds its whole, and running totals never fall within a year.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.coverage import plausibility, registry
from dashboard.coverage.model import Direction, Layer, Pace
from dashboard.demo.figures import MEASURES
from dashboard.demo.streams import stream
from geodata.model import Level
from loaders.registry import measures

COUNTY = "131025000000"
"""The county whose map shows every system."""
CITY = "131000000000"
MONTHS = 12

Table = NDArray[np.float64]
"""Shape (months, places)."""

# How often a whole occurs: persons or households out of those registered, institutions and samples
# a place; where nothing is said, one in twenty.
_OFTEN = {
    "major_diagnosed": 0.03, "nine_patients": 0.015, "six_patients": 0.015,
    "oesophageal_patients": 0.004, "gastric_patients": 0.004, "breast_patients": 0.003,
    "cervical_patients": 0.002, "scheme_due_patients": 0.03, "single_payment_due": 0.02,
    "hypertension_known": 0.22, "diabetes_known": 0.08, "coronary_known": 0.05,
    "stroke_known": 0.04, "tuberculosis_known": 0.002, "tuberculosis_found": 0.002,
    "mental_known": 0.012, "mental_severe": 0.005, "breast_eligible_women": 0.24,
    "children_checked": 0.12, "delivery_due": 0.1, "winter_due_households": 0.45,
    "aware_asked": 0.3, "satisfaction_asked": 0.3,
}  # fmt: skip
_POPULATION = {"人": "registered_persons", "户": "registered_households"}
_FOLLOW_UPS = {
    "county_follow_ups_due": 2, "township_follow_ups_due": 4, "village_follow_ups_due": 6,
}  # fmt: skip
_PER_PLACE = {
    "township_centres": 1, "designated_institutions": 3, "one_stop_due": 2, "green_channel_due": 2,
    "fee_cut_sampled": 2, "inpatient_total": 900, "outpatient_total": 300, "supplement_due": 40,
    "system_records": 6000, "system_treatments": 900, "system_costs": 400, "system_new": 120,
}  # fmt: skip
_COUNTS = {
    "leaflets": 60, "policy_cards": 12, "posters": 6, "education_household_visits": 12,
    "support_tools": 5, "free_examinations": 20, "inpatient_persons": 900, "inpatient_visits": 1800,
    "outpatient_persons": 4000, "outpatient_visits": 30000, "special_paid": 90,
    "paying_after_uses": 120, "protective_kits": 3,
}  # fmt: skip
"""How many a place counts in a year, where it is not about one."""
_OFTEN_ELSE, _PER_PLACE_ELSE = 0.05, 25
_GOOD = 0.88
"""About what share of a target that holds at all times is met."""


def system_figures(
    figures: pd.DataFrame, places: pd.DataFrame, months: tuple[str, ...], seed: int
) -> pd.DataFrame:
    """Figures of every measure the villages' own files do not have.

    Args:
        figures: the villages' figures (``place_id, month`` and ``MEASURES``) as they were sent.
        places: ``id, level, parent_id`` of the whole demonstration.

    Returns:
        ``place_id, month`` and one column a measure; no rows where the county is not among the
        places.
    """
    shown = months[-MONTHS:]
    below = places.loc[places["id"].str.startswith(COUNTY[:6])]
    if below.empty:
        return pd.DataFrame(columns=["place_id", "month"])
    levels = {
        Level.VILLAGE: sorted(below.loc[below["level"] == Level.VILLAGE, "id"]),
        Level.TOWNSHIP: sorted(below.loc[below["level"] == Level.TOWNSHIP, "id"]),
        Level.COUNTY: [COUNTY],
        Level.CITY: [CITY] if CITY in set(places["id"]) else [],
    }
    parts = [
        _at_level(ids, level, figures, shown, seed)
        for level, ids in levels.items()
        if any(place_id in set(places["id"]) for place_id in ids)
    ]
    return pd.concat(parts, ignore_index=True)


def _at_level(
    ids: list[str], level: Level, figures: pd.DataFrame, months: tuple[str, ...], seed: int
) -> pd.DataFrame:
    """The figures of the layers counted at one level."""
    known = _known(ids, figures, months) if level == Level.VILLAGE else {}
    given = set(known)
    rng = stream(seed, COUNTY, f"systems {level.key}")
    care = np.clip(rng.normal(_GOOD, 0.08, len(ids)), 0.4, 1)
    for layer in _layers_at(level):
        if layer.denominator not in known:
            make = _counted if layer.is_count else _whole
            known[layer.denominator] = make(layer.denominator, known, len(ids), months, rng)
        if layer.numerator not in known:
            known[layer.numerator] = _part(layer, known[layer.denominator], care, months, rng)
        known.update(_funds(layer.numerator, known[layer.numerator]))
    _agree(known)
    made = {name: table.ravel() for name, table in known.items() if name not in given}
    rows = pd.DataFrame(
        {
            "place_id": np.tile(ids, len(months)),
            "month": np.repeat(np.array(months), len(ids)),
            **made,
        }
    )
    if level == Level.VILLAGE:
        # Who sent nothing that month, or was there no more, sends nothing of this either.
        rows = rows.merge(figures[["place_id", "month"]], on=["place_id", "month"])
    return rows.astype({name: "Int64" for name in made if measures()[name].integer})


def _layers_at(level: Level) -> list[Layer]:
    """Wholes before the parts that are wholes themselves."""
    found = [one for one in registry.layers().values() if one.base_level == level]
    return sorted(found, key=lambda layer: _depth(layer.numerator))


def _depth(measure_id: str) -> int:
    whole = measures()[measure_id].part_of
    return 0 if whole is None else 1 + _depth(whole)


def _known(ids: list[str], figures: pd.DataFrame, months: tuple[str, ...]) -> dict[str, Table]:
    """What the places' own files say, blanks and missing months filled from the months beside."""
    mine = figures.loc[figures["place_id"].isin(ids)]
    if mine.empty:
        return {}
    found = {}
    for name in MEASURES:
        table = mine.pivot(index="month", columns="place_id", values=name).astype(float)
        table = table.reindex(index=list(months), columns=ids).ffill().bfill().fillna(0)
        found[name] = table.to_numpy()
    return found


def _whole(
    measure_id: str,
    known: dict[str, Table],
    count: int,
    months: tuple[str, ...],
    rng: np.random.Generator,
) -> Table:
    """The whole of a share."""
    if measure_id in _FOLLOW_UPS:
        return np.floor(known["contracted_persons"] * _FOLLOW_UPS[measure_id] * _of_year(months))
    base = known.get(_POPULATION.get(measures()[measure_id].unit, ""))
    if base is not None:
        often = _OFTEN.get(measure_id, _OFTEN_ELSE)
        found = np.floor(base * often * rng.gamma(4, 0.25, count) + rng.random(count))
        return np.minimum(found, base)
    mean = _PER_PLACE.get(measure_id, _PER_PLACE_ELSE)
    return np.tile(np.maximum(rng.poisson(mean, count), 1).astype(float), (len(months), 1))


def _counted(
    measure_id: str,
    known: dict[str, Table],
    count: int,
    months: tuple[str, ...],
    rng: np.random.Generator,
) -> Table:
    """What is merely counted: a total that runs from January and grows month by month."""
    mean = _COUNTS.get(measure_id, 1.0 if count > 1 else 60.0)
    arriving = rng.poisson(mean / 12, (len(months), count)).astype(float)
    years = np.array([month[:4] for month in months])
    total = np.empty_like(arriving)
    for year in np.unique(years):
        total[years == year] = np.cumsum(arriving[years == year], axis=0)
    for most in measures()[measure_id].rarely_above:
        total = np.minimum(total, known.get(most, total))
    return total


def _of_year(months: tuple[str, ...]) -> Table:
    """The share of the year that has passed, a row a month."""
    return np.array([int(month[5:]) for month in months])[:, None] / 12


def _part(
    layer: Layer, whole: Table, care: Table, months: tuple[str, ...], rng: np.random.Generator
) -> Table:
    """A part of a whole; the same draw in all months, so that a total grows and never falls."""
    luck = rng.random(whole.shape[1])
    share = np.clip(care + rng.normal(0, 0.05, whole.shape[1]), 0.05, 1)
    if layer.direction is Direction.LOWER:
        share = 1 - share
    grown = _of_year(months) if layer.pace is Pace.PROGRESS else np.ones((len(months), 1))
    if not measures()[layer.numerator].integer:
        return np.round(whole * share, 2)
    return np.minimum(np.floor(whole * share * grown + luck), whole)


def _funds(measure_id: str, total: Table) -> dict[str, Table]:
    """The parts a sum is made of; the last is what is left."""
    parts = measures()[measure_id].parts
    found: dict[str, Table] = {}
    for part, share in zip(parts[:-1], (0.7, 0.1, 0.1), strict=False):
        found[part] = np.round(total * share, 2)
    if parts:
        found[parts[-1]] = np.round(total - sum(found.values()), 2)
    return found


def _agree(known: dict[str, Table]) -> None:
    """What goes in pairs is equal, and no later step exceeds an earlier one."""
    for one, other in plausibility.rules()["unequal_pairs"].numbers["pairs"]:
        for first, second in ((one, other), (f"{one}_planned", f"{other}_planned")):
            if first in known and second in known:
                known[second] = known[first]
    for first, later in plausibility.rules()["mixed_scopes"].numbers["pairs"]:
        if first in known and later in known:
            known[later] = np.minimum(known[later], known[first])

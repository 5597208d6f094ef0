"""Monthly figures of every village: invented, whole numbers, and consistent with each other.

A county's and a township's diligence shift all of its villages together, so that the map shows
areas and not noise. No numerator exceeds its denominator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.demo.model import TroubleKind
from dashboard.demo.streams import stream
from dashboard.demo.troubles import of_kind
from geodata.model import Level

MEASURES = (
    "registered_households",
    "registered_persons",
    "contracted_persons",
    "cervical_eligible_women",
    "cervical_screened_women",
    "planned_village_clinics",
    "standard_village_clinics",
    "open_findings",
)

Table = NDArray[np.float64]
"""Shape (months, villages)."""

_SCREENING_BY_MONTH = np.array([0, 0, 1, 3, 4, 3, 1, 0, 2, 4, 3, 1]) / 22
"""Share of a year's screening done in each calendar month: a spring and an autumn campaign."""
_VISITS_BY_MONTH = np.array([6, 3, 10, 8, 8, 14, 8, 8, 14, 8, 8, 14]) / 109 * 12
"""Findings arise on visits: monthly supervision, more at each quarter's end, few at New Year."""


@dataclass(frozen=True, slots=True)
class Diligence:
    """How well a county or township works, in plain shares.

    Attributes:
        contract: share of the registered persons contracted once the roll-out is over.
        delay: months the roll-out runs behind.
        screening: share of the eligible women screened by the end.
        clinics: share of the planned clinics built by the end.
        findings: how many findings arise, against the usual number.
        closing: share of the open findings closed in a month.
    """

    contract: float
    delay: float
    screening: float
    clinics: float
    findings: float
    closing: float


def months_until(last_month: str, count: int) -> tuple[str, ...]:
    """``count`` months ``YYYY-MM`` ending in ``last_month``, ascending."""
    return tuple(pd.period_range(end=last_month, periods=count, freq="M").astype(str))


def village_figures(places: pd.DataFrame, months: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Undisturbed figures, one row a village and month.

    Args:
        places: ``id, name, level, parent_id`` of whole townships.

    Returns:
        Columns ``place_id, month`` and one float column for each of MEASURES.
    """
    villages = places.loc[places["level"] == Level.VILLAGE]
    parts = [
        _township_figures(str(township), rows, months, seed)
        for township, rows in villages.groupby("parent_id", sort=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _county_diligence(county: str, seed: int) -> Diligence:
    rng = stream(seed, county, "diligence")
    lagging = any(trouble.id == county for trouble in of_kind(TroubleKind.LAGGING))
    contract = rng.uniform(0.76, 1.0)
    delay = rng.uniform(0, 3)
    return Diligence(
        contract=0.66 if lagging else contract,
        delay=delay + (4 if lagging else 0),
        screening=rng.uniform(0.55, 0.88),
        clinics=rng.uniform(0.68, 1.0),
        findings=rng.lognormal(0.3, 0.6),
        closing=rng.uniform(0.45, 0.7),
    )


def _township_diligence(township: str, seed: int) -> Diligence:
    county = _county_diligence(township[:6] + "000000", seed)
    rng = stream(seed, township, "diligence")
    lagging = any(trouble.id == township for trouble in of_kind(TroubleKind.LAGGING))
    contract = 0.55 if lagging else county.contract + rng.normal(0, 0.025)
    closing = 0.15 if lagging else county.closing + rng.normal(0, 0.06)
    return Diligence(
        contract=float(np.clip(contract, 0.3, 1)),
        delay=county.delay + rng.uniform(0, 2),
        screening=float(np.clip(county.screening + rng.normal(0, 0.06), 0.2, 0.97)),
        clinics=float(np.clip(county.clinics + rng.normal(0, 0.12), 0.2, 1)),
        findings=county.findings * rng.lognormal(0, 0.3),
        closing=float(np.clip(closing, 0.1, 0.85)),
    )


def _township_figures(
    township: str, villages: pd.DataFrame, months: tuple[str, ...], seed: int
) -> pd.DataFrame:
    ways = _township_diligence(township, seed)
    rng = stream(seed, township, "figures")
    count = len(villages)
    urban = villages["name"].str.contains("居委会|居民委员会|社区").to_numpy()
    ago = np.arange(1 - len(months), 1, dtype=float)[:, None]
    calendar = pd.PeriodIndex(months, freq="M").month.to_numpy() - 1

    households, persons = _registered(count, urban, ago, rng)
    eligible = np.maximum(np.rint(persons * rng.uniform(0.18, 0.32, count)), 1)
    planned = (rng.random(count) < np.where(urban, 0.08, 0.88)).astype(float)
    columns = {
        "registered_households": households,
        "registered_persons": persons,
        "contracted_persons": _contracted(persons, ways, ago, rng),
        "cervical_eligible_women": eligible,
        "cervical_screened_women": _screened(eligible, ways, calendar, rng),
        "planned_village_clinics": np.broadcast_to(planned, persons.shape),
        "standard_village_clinics": planned * _built(count, ways, ago, rng),
        "open_findings": _open_findings(households, ways, calendar, rng),
    }
    return pd.DataFrame(
        {
            "place_id": np.tile(villages["id"].to_numpy(), len(months)),
            "month": np.repeat(np.array(months), count),
            **{name: columns[name].ravel() for name in MEASURES},
        }
    )


def _registered(
    count: int, urban: NDArray[np.bool_], ago: Table, rng: np.random.Generator
) -> tuple[Table, Table]:
    """Households fall as they leave the register, most of them at the turn of the year."""
    at_start = np.clip(np.rint(rng.lognormal(1.85, 0.6, count)), 2, 80)
    at_start = np.where(urban, np.minimum(at_start, 4), at_start)
    leaving = rng.uniform(0.02, 0.16, count)
    moment = rng.random(count)
    years_gone = 1 + np.floor((ago + 10) / 12 - 0.15 * moment)
    households = np.maximum(np.rint(at_start * (1 - leaving * (years_gone + 1) / 2)), 1)
    size = rng.uniform(2.1, 2.6, count)
    return households, np.rint(households * size)


def _contracted(persons: Table, ways: Diligence, ago: Table, rng: np.random.Generator) -> Table:
    """An S-curve from about two fifths to the village's ceiling."""
    count = persons.shape[1]
    ceiling = np.clip(ways.contract + rng.normal(0.005, 0.045, count), 0.2, 1)
    start = rng.uniform(0.3, 0.5, count) * ceiling
    middle = -17 + ways.delay + rng.normal(0, 1.5, count)
    share = start + (ceiling - start) / (1 + np.exp(-(ago - middle) / 2.2))
    share = np.where(ceiling == 1, np.where(share > 0.985, 1, share), share)
    return np.minimum(np.floor(share * persons + rng.random(count)), persons)


def _screened(
    eligible: Table, ways: Diligence, calendar: NDArray[np.int_], rng: np.random.Generator
) -> Table:
    """Running total of a campaign over three years, growing in spring and autumn."""
    count = eligible.shape[1]
    final = np.clip(ways.screening + rng.normal(0, 0.07, count), 0.05, 1)
    start = final * rng.uniform(0.2, 0.35, count)
    done = np.cumsum(_SCREENING_BY_MONTH[calendar])[:, None]
    share = start + (final - start) * done / max(done[-1, 0], 1e-9)
    return np.asarray(np.minimum(np.floor(share * eligible + rng.random(count)), eligible))


def _built(count: int, ways: Diligence, ago: Table, rng: np.random.Generator) -> Table:
    """1 from the month in which a village's clinic passed, else 0."""
    passes = rng.random(count) < ways.clinics
    month = np.rint(rng.normal(-12, 6, count))
    return (passes & (ago >= np.minimum(month, 0))).astype(float)


def _open_findings(
    households: Table, ways: Diligence, calendar: NDArray[np.int_], rng: np.random.Generator
) -> Table:
    """Findings arrive with the visits and are closed at the township's own speed."""
    count = households.shape[1]
    care = ways.findings * rng.lognormal(-0.3, 0.7, count)
    open_now = np.asarray(rng.poisson(0.1 * care), dtype=float)
    table = np.empty_like(households)
    for step, month in enumerate(calendar):
        open_now -= rng.binomial(open_now.astype(int), ways.closing)
        arriving = (0.03 + 0.006 * households[step]) * care * _VISITS_BY_MONTH[month]
        open_now += rng.poisson(arriving)
        table[step] = open_now
    return table

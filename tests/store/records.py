"""Random records of the small county, and their figures counted a second time, row by row."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from dashboard.store.model import Change, month_end
from loaders.registry import Condition, Count, measures, record_datasets
from tests.store.world import VILLAGES

Row = dict[str, Any]
Records = dict[str, list[Row]]

COUNTY = {village: "AABB"[number // 3] for number, village in enumerate(VILLAGES)}


def key_of(number: int) -> str:
    """A person's key."""
    return f"{number:064x}"[::-1]


def invented(seed: int, persons: int = 120) -> Records:
    """Persons of all villages with contracts, services and whatever else is counted."""
    chance = random.Random(seed)
    day = date(2025, 1, 1)

    def some_day(until: date = date(2026, 10, 31)) -> date:
        return day + timedelta(days=chance.randrange((until - day).days + 1))

    made: Records = {name: [] for name in record_datasets()}
    kinds = ("exam", "record", "plan", "follow_up", "treatment", "managed", "cervical_screening",
             "mental_visit", "mental_follow_up", "tb_visit", "permit")  # fmt: skip
    diseases = ("hypertension", "diabetes", "tuberculosis", "severe_mental", "gastric_cancer")
    flags = {
        name for name, one in record_datasets()["residents"].columns.items() if one.kind == "flag"
    }
    for number in range(persons):
        person, village = key_of(number + 1), chance.choice(VILLAGES)
        household = f"H{number // 3}"
        began = date(2024, 6, 1) if chance.random() < 0.7 else some_day()
        made["residents"].append(
            {
                "person": person, "valid_from": began, "place_id": village,
                "valid_to": some_day() if chance.random() < 0.15 else None,
                "died": some_day() if chance.random() < 0.05 else None,
                "household_id": household,
                "diseases": " ".join(sorted(chance.sample(diseases, chance.randrange(3)))) or None,
            }
            | {
                # County B has no column for two of the flags.
                name: None
                if COUNTY[village] == "B" and name in ("exited", "cervical_eligible")
                else chance.choice((True, False, None))
                for name in sorted(flags)
            }
        )  # fmt: skip
        if number % 3 == 0:
            row = {"household_id": household, "valid_from": began, "place_id": village,
                   "valid_to": None, "persons": 3.0}  # fmt: skip
            for name, column in record_datasets()["households"].columns.items():
                if column.kind == "flag":
                    row[name] = chance.choice((True, False, None))
            made["households"].append(row)
            for _ in range(chance.randrange(4)):
                kind = chance.choice(("delivery", "winter", "education", "farm"))
                made["visits"].append({"household_id": household, "day": some_day(), "kind": kind,
                                       "place_id": village})  # fmt: skip
            made["revisits"].append(
                {
                    "household_id": household, "day": some_day(), "place_id": village,
                    "measure": chance.choice(("contracted_persons", "examined_persons")),
                    "result": chance.choice(("ok", "ok", "ok", "no_service", "missing_source")),
                    "reported": float(chance.randrange(1, 5)),
                    "recount": float(chance.randrange(5)) if chance.random() < 0.9 else None,
                }
            )  # fmt: skip
        start = some_day(date(2026, 6, 1))
        end = start + timedelta(days=chance.randrange(20, 300))
        paid = chance.choice((True, None)) if COUNTY[village] == "A" else None
        made["contracts"].append({"person": person, "valid_from": start, "valid_to": end,
                                  "place_id": village, "team_id": "T", "doctor": None,
                                  "fee_paid": paid})  # fmt: skip
        if chance.random() < 0.5:
            made["contracts"].append({"person": person, "valid_from": end, "place_id": village,
                                      "valid_to": end + timedelta(days=366), "team_id": "T",
                                      "doctor": None, "fee_paid": None})  # fmt: skip
        # County B brings no exams and no follow-ups at all.
        mine = kinds if COUNTY[village] == "A" else kinds[1:3] + kinds[4:]
        for _ in range(chance.randrange(12)):
            made["services"].append(
                {"person": person, "day": some_day(), "kind": chance.choice(mine),
                 "tier": chance.choice(("county", "township", "village")),
                 "place_id": village, "provider": None}
            )  # fmt: skip
    for village in VILLAGES:
        for _ in range(3):
            made["clinic_checks"].append(
                {"institution_id": f"I{village}", "day": some_day(), "place_id": village,
                 "doctors": float(chance.randrange(3)), "area": chance.choice((55.0, 60.0)),
                 "residents": float(chance.choice((700, 900)))}
                | dict.fromkeys(("consultation", "treatment", "public_health", "pharmacy"), True)
                | {"equipment": chance.random() < 0.7}
            )  # fmt: skip
        month = f"2026-{chance.randrange(1, 11):02d}"
        made["samples"].append({"place_id": village, "month": month, "kind": "water",
                                "planned": 20.0, "done": float(chance.randrange(20))})  # fmt: skip
        made["settlements"].append(
            {"place_id": village, "month": month, "total": 30.25,
             "setting": chance.choice(("inpatient", "outpatient")),
             "basic": 10.5, "major": chance.choice((None, 0.1)), "aid": 0.2,
             "government": None, "supplement": None, "visits": 7.0}
        )  # fmt: skip
        made["events"].append({"place_id": village, "day": some_day(), "kind": "free_clinic",
                               "title": "义诊", "persons": 20.0})  # fmt: skip
        made["teams"].append({"team_id": f"T{village}", "valid_from": date(2025, 2, 1),
                              "name": "队", "valid_to": None, "place_id": village,
                              "tier": "township", "members": 4.0})  # fmt: skip
    return {name: _once(name, rows) for name, rows in made.items()}


def _once(dataset: str, rows: list[Row]) -> list[Row]:
    """Of equal keys the first."""
    key = record_datasets()[dataset].canonical_key
    return list({tuple(row[name] for name in key): row for row in reversed(rows)}.values())


def frame(dataset: str, rows: list[Row]) -> pd.DataFrame:
    """Rows in canonical columns, as ``loaders.prepare`` hands them over."""
    empty = record_datasets()[dataset].empty_frame()
    return pd.DataFrame(rows, columns=list(empty.columns)).astype(empty.dtypes.to_dict())


def change(dataset: str, rows: list[Row]) -> Change:
    """Records as a file brings them."""
    return Change(dataset=dataset, frame=frame(dataset, rows), file=f"{dataset}.csv", sha256="ab")


# Counted again, in plain Python


def _holds(row: Row, conditions: Iterable[Condition]) -> bool:
    for one in conditions:
        value = row.get(one.column)
        if isinstance(one.value, bool):
            if bool(value) is not one.value:
                return False
        else:
            wanted = {one.value} if isinstance(one.value, str) else set(one.value)
            if not wanted & set((value or "").split()):
                return False
    return True


def _month_of(dataset: str, row: Row) -> str:
    dated = row[record_datasets()[dataset].dated]
    return dated if isinstance(dated, str) else f"{dated:%Y-%m}"


def _this_year(dataset: str, rows: list[Row], month: str) -> list[Row]:
    return [row for row in rows if month[:4] + "-01" <= _month_of(dataset, row) <= month]


def _in_force(rows: list[Row], last: date) -> list[Row]:
    ends = ("valid_to", "died")
    return [
        row
        for row in rows
        if row["valid_from"] <= last
        and all(row.get(end) is None or row[end] > last for end in ends)
    ]


def _told(records: Records, rule: Count) -> set[str]:
    """Counties whose rows say anything in every column a rule asks for."""
    asked = [one.column for one in rule.where if one.value is not False]
    rows = records[rule.dataset]
    return {
        county
        for county in ("A", "B")
        if all(
            any(COUNTY[row["place_id"]] == county and row.get(name) is not None for row in rows)
            for name in asked
        )
    }


def _stock(records: Records, rule: Count, month: str) -> dict[str, float]:
    told = _told(records, rule)
    found: dict[str, float] = {}
    seen: set[tuple[Any, ...]] = set()
    for row in _in_force(records[rule.dataset], month_end(month)):
        if COUNTY[row["place_id"]] not in told:
            continue
        found.setdefault(row["place_id"], 0.0)
        once = (row["place_id"], row[rule.distinct]) if rule.distinct else None
        if _holds(row, rule.where) and (once is None or once not in seen):
            found[row["place_id"]] += 1
            seen |= {once} if once else set()
    return found


def _flow(records: Records, rule: Count, month: str) -> dict[str, float]:
    found: dict[str, float] = {}
    seen: set[tuple[Any, ...]] = set()
    for row in _this_year(rule.dataset, records[rule.dataset], month):
        if not _holds(row, rule.where):
            continue
        amount = 1.0
        if rule.sum:
            said = [row[name] for name in rule.sum if row[name] is not None]
            if not said:
                continue
            amount = sum(said)
        if rule.distinct:
            once = (row["place_id"], row[rule.distinct])
            if once in seen:
                continue
            seen.add(once)
        found[row["place_id"]] = found.get(row["place_id"], 0.0) + amount
    return found


def _reached(records: Records, rule: Count, month: str) -> dict[str, float]:
    key = "person" if rule.dataset == "residents" else "household_id"
    served = [
        row for row in _this_year(rule.by or "", records[rule.by or ""], month)
        if _holds(row, rule.by_where)
    ]  # fmt: skip
    by_county: dict[str, set[Any]] = {}
    for row in served:
        by_county.setdefault(COUNTY[row["place_id"]], set()).add(row[key])
    told = _told(records, rule)
    found: dict[str, float] = {}
    for row in _in_force(records[rule.dataset], month_end(month)):
        county = COUNTY[row["place_id"]]
        if county in by_county and county in told and _holds(row, rule.where):
            found.setdefault(row["place_id"], 0.0)
            found[row["place_id"]] += row[key] in by_county[county]
    return found


def _fulfilment(records: Records, rule: Count, month: str) -> dict[str, float]:
    last = month_end(month)
    first, span = date(last.year, 1, 1), 12 // rule.times
    days_in_year = (date(last.year + 1, 1, 1) - first).days
    served = [
        row for row in _this_year("services", records["services"], month)
        if _holds(row, rule.by_where)
    ]  # fmt: skip
    due: dict[tuple[str, str], set[date]] = {}
    done: dict[tuple[str, str], set[int]] = {}
    counties = set()
    for contract in records["contracts"]:
        who = (contract["place_id"], contract["person"])
        start, end = contract["valid_from"], contract["valid_to"]
        ran = [
            first + timedelta(days=n)
            for n in range((last - first).days + 1)
            if start <= first + timedelta(days=n) < end
        ]
        if ran:
            due.setdefault(who, set()).update(ran)
        for row in served:
            same = row["person"] == contract["person"]
            if same and start <= row["day"] < end:
                counties.add(COUNTY[row["place_id"]])
                done.setdefault(who, set()).add((row["day"].month - 1) // span)
    found: dict[str, float] = {}
    for who, ran in due.items():
        if COUNTY[who[0]] not in counties:
            continue
        windows = [(one.month - 1) // span for one in ran]
        number = min(len(ran) * rule.times // days_in_year, max(windows) - min(windows) + 1)
        reached = min(number, len(done.get(who, ())))
        found[who[0]] = found.get(who[0], 0.0) + (reached if rule.done else number)
    return found


def _checklist(records: Records, rule: Count, month: str) -> dict[str, float]:
    latest: dict[str, Row] = {}
    for row in sorted(records["clinic_checks"], key=lambda one: one["day"]):
        if row["day"] <= month_end(month):
            latest[row["institution_id"]] = row
    rooms = ("consultation", "treatment", "public_health", "pharmacy", "equipment")
    found: dict[str, float] = {}
    for row in latest.values():
        good = row["doctors"] >= 1 and all(row[name] for name in rooms)
        good = good and (row["residents"] <= 800 or row["area"] >= 60)
        found.setdefault(row["place_id"], 0.0)
        found[row["place_id"]] += 1 if rule.all or good else 0
    return found


_COUNT: Mapping[str, Callable[[Records, Count, str], dict[str, float]]] = {
    "stock": _stock, "flow": _flow, "reached": _reached, "fulfilment": _fulfilment,
    "checklist": _checklist,
}  # fmt: skip


def counted(records: Records, month: str) -> dict[tuple[str, str], float]:
    """(measure, village) -> figure of a month, of every measure whose datasets have a row."""
    found = {}
    for measure in measures().values():
        rule = measure.records
        if rule is not None and all(records.get(name) for name in rule.datasets):
            for place_id, value in _COUNT[rule.kind](records, rule, month).items():
                found[measure.id, place_id] = value
    return found


def sampled(records: Records, month: str) -> dict[tuple[str, str], float]:
    """What the field sample says of a month: (measure, village) -> figure."""
    found: dict[tuple[str, str], float] = {}

    def add(name: str, place_id: str, value: float) -> None:
        found[name, place_id] = found.get((name, place_id), 0.0) + value

    for row in _this_year("revisits", records["revisits"], month):
        name, place_id = row["measure"], row["place_id"]
        could = row["result"] == "ok" and row["recount"] is not None
        if could:
            add(f"{name}@recount", place_id, row["recount"])
            add(f"{name}@reported", place_id, row["reported"])
        if could or row["result"] == "no_service":
            add(f"{name}@found", place_id, float(could and row["recount"] >= row["reported"]))
        add(f"{name}@sampled", place_id, float(could or row["result"] == "no_service"))
    return found


def as_dict(rows: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Counted figures by measure and village."""
    keys = zip(rows["measure"], rows["place_id"], strict=True)
    return dict(zip(keys, np.round(rows["value"], 6).tolist(), strict=True))

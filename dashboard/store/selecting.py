"""Reading single records: which rows of a ledger are wanted, as one ibis expression.

No engine's own function, as in ``counting``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir

from dashboard.store.counting import holds
from dashboard.store.model import Filter, Selection
from loaders.registry import Condition, Dataset


def chosen(rows: ir.Table, wanted: Selection, dataset: Dataset) -> ir.Table:
    """The rows that fulfil everything; which months they are of was chosen before."""
    if wanted.in_force is not None:
        day = ibis.literal(wanted.in_force)
        rows = rows.filter(rows.valid_from <= day)
        for end in ("valid_to", "died"):
            if end in dataset.columns:
                rows = rows.filter(rows[end].isnull() | (rows[end] > day))
    for one in wanted.filters:
        rows = rows.filter(_fits(rows, one))
    return rows


def _fits(rows: ir.Table, wanted: Filter) -> ir.BooleanValue:
    column = rows[wanted.column]
    parts: list[ir.BooleanValue] = []
    if wanted.flag is not None:
        parts.append(holds(rows, [Condition(wanted.column, wanted.flag)]))
    if wanted.among:
        parts.append(holds(rows, [Condition(wanted.column, wanted.among)]))
    if wanted.without:
        parts.append(~holds(rows, [Condition(wanted.column, wanted.without)]))
    if wanted.low is not None:
        parts.append((column >= wanted.low).fill_null(False))
    if wanted.high is not None:
        parts.append((column <= wanted.high).fill_null(False))
    if wanted.text:
        parts.append(column.lower().contains(wanted.text.lower()).fill_null(False))
    return reduce(lambda both, one: both & one, parts, rows.place_id.notnull())


def ordered(rows: ir.Table, wanted: Selection, key: Sequence[str]) -> ir.Table:
    """The rows of the page, in an order that is the same whenever it is asked for."""
    names = dict.fromkeys([*key, "county", "place_id"])
    by = [rows[name].asc() for name in names if name != wanted.sort]
    if wanted.sort:
        first = rows[wanted.sort]
        by.insert(0, first.desc() if wanted.descending else first.asc())
    return rows.order_by(by).limit(wanted.limit, offset=wanted.offset)

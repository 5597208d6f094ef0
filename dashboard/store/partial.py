"""A correction rolls up the part of each month it touches; the rest stands as it was (0015).

The part is the counties touched and the places above them. What lies beside them is taken from the
version before: its values from the snapshot, its measures from what is kept with the snapshot. The
roll-up is the same as for a whole month, with these places given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Column, ColumnElement, Connection, Row, func, select

from dashboard.store.engine import VALUES, Given
from dashboard.store.model import Snapshot, month_end
from dashboard.store.periods import month_trees
from dashboard.store.snapshots import Over, Snapshots
from dashboard.store.tables import place, snapshot
from dashboard.store.unit import chunks, county_ids, county_of, frame, under, valid

_LARGEST = 0.5
"""Above this share of all places, or of all rows of the version before, a whole month is quicker:
it also makes one file of many."""

_COLUMNS = ["id", "parent_id", "level", "path"]
_EVER = pd.Timestamp("1900-01-01")
_ROOTS = ""


@dataclass(frozen=True, slots=True)
class Touched:
    """What a load or an undo changes the figures of.

    Attributes:
        places: places with other figures.
        counties: counties with other records.
    """

    places: frozenset[str] = frozenset()
    counties: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Part:
    """What of a month is rolled up again.

    Attributes:
        tree: its places and those beside them, as ``periods.month_trees`` makes it.
        counties: whose records are counted.
        given: what is known of the places beside.
        over: what the new rows lie over.
        kept: of the measures kept with the version before, those of places not in the tree.
        flags: how many places of the version before have figures of their own that differ and lie
            outside the part.
        known: sources and measures of pairs that had a row at the top.
    """

    tree: pd.DataFrame
    counties: frozenset[str]
    given: Given
    over: Over
    kept: pa.Table
    flags: int
    known: frozenset[tuple[str, ...]]


def parts(
    connection: Connection,
    snapshots: Snapshots,
    months: Sequence[str],
    touched: Touched,
    pairs_hash: str,
) -> dict[str, Part]:
    """By month what to roll up; months that have to be rolled up whole are left out.

    Those are months without a version for these pairs, and where the part would be most of all.

    Args:
        pairs_hash: of the pairs wanted (``publish.pairs_hash``).
    """
    wanted = snapshot.c.month.in_(months)
    rows = connection.execute(select(snapshot).where(wanted).order_by(snapshot.c.version))
    published = {row.month: row for row in rows}
    total = int(connection.execute(select(func.count()).select_from(place)).scalar_one())
    most = _LARGEST * total
    if len(touched.places) > most:
        return {}
    reader = _Reader(connection, touched)
    found = {}
    for month in months:
        row = published.get(month)
        if row is None or row.pairs_hash != pairs_hash:
            continue
        before = Snapshot.listed(month, row.version, row.file)
        newest, *older = snapshots.sizes(before)
        if older and newest + sum(older[:-1]) > _LARGEST * older[-1]:
            continue
        part = _part(reader, snapshots, month, before, row.flags, most)
        if part is not None:
            found[month] = part
    return found


def _part(
    reader: _Reader,
    snapshots: Snapshots,
    month: str,
    before: Snapshot,
    flags: int,
    most: float,
) -> Part | None:
    """The part of a month; None where it has to be rolled up whole."""
    resolved = snapshots.resolved(before)
    if resolved is None:
        return None
    nodes = reader.nodes(month_end(month))
    if nodes is None or not nodes.above or len(nodes.places) > most:
        return None
    families = snapshots.rows_of(before, [_ROOTS, *nodes.above])
    beside = families.filter(_among(families["place_id"], nodes.beside))
    tree = month_trees(nodes.places, [month])
    is_beside = tree["place_id"].isin(nodes.beside)
    tree["given"] = is_beside
    tree["leaf"] &= ~is_beside
    # How many leaf places lie below those above is known from before: the places are the same.
    expected = dict(
        zip(families["place_id"].to_pylist(), families["expected"].to_pylist(), strict=True)
    )
    above = tree["place_id"].isin(nodes.above) & ~tree["leaf"]
    if not set(tree.loc[above, "place_id"]) <= expected.keys():
        return None
    tree.loc[above, "leaves"] = tree.loc[above, "place_id"].map(expected).astype("int64")
    stays = nodes.above | {_ROOTS}
    parents = stays.union(tree.loc[~tree["leaf"] & ~is_beside, "place_id"])
    anew = frozenset(tree.loc[~is_beside, "place_id"])
    values = beside.append_column("month", pa.repeat(month, len(beside))).select(VALUES.names)
    measures = resolved.filter(_among(resolved["place_id"], nodes.beside))
    return Part(
        tree=tree,
        counties=nodes.counties,
        given=Given(
            measures.append_column("month", pa.repeat(month, len(measures))),
            values.filter(pc.is_valid(values["numerator"])),
        ),
        over=Over(before, parents, stays, anew),
        kept=resolved.filter(pc.invert(_among(resolved["place_id"], tree["place_id"]))),
        flags=flags - len(snapshots.flagged(before, parents) & anew),
        known=known(families),
    )


def known(rows: pa.Table | pa.RecordBatch) -> frozenset[tuple[str, ...]]:
    """Sources and measures of the pairs that the places at the top have a row of."""
    top = rows.filter(pc.equal(rows["parent_id"], _ROOTS))
    names = ("source", "numerator_measure", "denominator_measure")
    return frozenset(zip(*(top[name].to_pylist() for name in names), strict=True))


def joined(months: Sequence[str], by_month: Mapping[str, Part]) -> tuple[pd.DataFrame, Given]:
    """Some months' trees, numbered on, and what is given of them."""
    trees, count = [], 0
    for month in months:
        tree = by_month[month].tree
        parent = tree["parent"]
        trees.append(
            tree.assign(node=tree["node"] + count, parent=parent.where(parent < 0, parent + count))
        )
        count += len(tree)
    given = [by_month[month].given for month in months]
    return pd.concat(trees, ignore_index=True), Given(
        pa.concat_tables([one.measures for one in given]),
        pa.concat_tables([one.values for one in given]),
    )


@dataclass(frozen=True, slots=True)
class _Nodes:
    """The places of a part.

    Attributes:
        places: all, with those beside, in the columns ``month_trees`` asks for.
        above: those above counties, whose other places below are not in the part.
        beside: the other places below them.
        counties: whose records are counted.
    """

    places: pd.DataFrame
    above: frozenset[str]
    beside: frozenset[str]
    counties: frozenset[str]


class _Reader:
    """Reads the part of the tree that is needed, and no more."""

    def __init__(self, connection: Connection, touched: Touched) -> None:
        self._connection = connection
        self._counties = county_ids(connection)
        self._shared = self._moved()
        self._touched = self._closed(touched.counties)
        columns = (place.c.path, place.c.valid_from, place.c.valid_to)
        self._versions: list[tuple[str, date, date | None]] = [
            (path, since, until)
            for chunk in chunks(sorted(touched.places))
            for path, since, until in connection.execute(
                select(*columns).where(place.c.id.in_(chunk))
            )
        ]

    def nodes(self, day: date) -> _Nodes | None:
        """The places of the part on a day; None where not all lie under one another."""
        counties, above = set(self._touched), set[str]()
        for path, since, until in self._versions:
            if since <= day and (until is None or day < until):
                county = county_of(path, self._counties)
                if county is None:
                    above.update(path.split("/")[:-1])
                else:
                    counties.add(county)
        tops = self._rows(place.c.id, counties, day)
        above.update(one for row in tops for one in row.path.split("/")[:-2])
        rows = [row for top in tops for row in self._find(under(top.path), day)]
        inner = {row.id for row in rows}
        higher = self._rows(place.c.id, above, day)
        if len(higher) < len(above):
            return None
        below = self._rows(place.c.parent_id, above, day)
        found = frame([*rows, *higher, *below], _COLUMNS).drop_duplicates("id")
        return _Nodes(
            found.assign(valid_from=_EVER, valid_to=None),
            frozenset(above),
            frozenset(row.id for row in below if row.id not in inner and row.id not in above),
            frozenset(self._closed(counties)),
        )

    def _moved(self) -> list[set[str]]:
        """The counties of each place that was in several: its records may lie in any of them."""
        again = select(place.c.id).group_by(place.c.id).having(func.count() > 1)
        found: dict[str, set[str]] = {}
        rows = select(place.c.id, place.c.path).where(place.c.id.in_(again))
        for place_id, path in self._connection.execute(rows):
            county = county_of(path, self._counties)
            if county is not None:
                found.setdefault(place_id, set()).add(county)
        return [counties for counties in found.values() if len(counties) > 1]

    def _closed(self, counties: Collection[str]) -> set[str]:
        """Some counties and all that share a place's records with them."""
        found = set(counties)
        while more := {
            one for shared in self._shared if not shared.isdisjoint(found) for one in shared - found
        }:
            found |= more
        return found

    def _rows(
        self, column: Column[Any], values: Collection[str], day: date
    ) -> list[Row[tuple[Any, ...]]]:
        return [
            row for chunk in chunks(sorted(values)) for row in self._find(column.in_(chunk), day)
        ]

    def _find(self, condition: ColumnElement[bool], day: date) -> Sequence[Row[tuple[Any, ...]]]:
        columns = (place.c[name] for name in _COLUMNS)
        return self._connection.execute(select(*columns).where(condition, valid(day))).all()


def _among(column: pa.ChunkedArray, values: Collection[str] | pd.Series) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(sorted(values), pa.string()))

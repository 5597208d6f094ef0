"""Reads. One ``Unit`` is one read transaction of one actor: one state, and only their part."""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from datetime import date
from functools import cache, cached_property
from itertools import islice
from typing import Any
from unicodedata import normalize as normalise

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Date,
    Row,
    Select,
    String,
    Table,
    and_,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)

from dashboard.access import Actor, Scope
from dashboard.store import database
from dashboard.store.appended import Between
from dashboard.store.facts import Facts
from dashboard.store.model import (
    Batch,
    BatchState,
    Edition,
    Pair,
    PairValues,
    PersonRow,
    Selection,
    Shape,
    Siblings,
    Snapshot,
    month_end,
)
from dashboard.store.persons import by_number as persons_by_number
from dashboard.store.pinyin import fold
from dashboard.store.records import Records, person_number
from dashboard.store.snapshots import Snapshots
from dashboard.store.tables import batch, boundary, institution, meta, place, snapshot, target
from geodata.errors import DudaoError
from geodata.model import Institution, InstitutionKind, Level, Place
from loaders.registry import PERSON, Count, record_datasets

ROOT = "root"
DEMONSTRATION = "demonstration"
PLACES_VERSION = "places_version"

_CHUNK = 1_000
_MANY = 50_000
"""So many ids are looked up faster by reading the whole column."""

_BATCHES_SHOWN = 20
_LAST_CHARACTER = "\U0010ffff"

_PLACE = (
    place.c.id, place.c.name, place.c.level, place.c.parent_id, place.c.path,
    place.c.valid_from, place.c.valid_to, place.c.lon, place.c.lat,
)  # fmt: skip
_BY_ID = (place.c.id, place.c.valid_from)


class Unit:
    """Reads of places, institutions, shapes, months and values. Get one from ``Store.unit(actor)``.

    What lies outside the scope reads as what does not exist.

    Attributes:
        actor: who reads.
        scope: the places they may read; ``scope_key`` names it in the keys of caches.
        refused: places and institutions asked for that are not there to see: table and id.
    """

    def __init__(
        self,
        connection: Connection,
        facts: Facts,
        records: Records,
        snapshots: Snapshots,
        actor: Actor,
        scope: Scope,
    ) -> None:
        self._connection = connection
        self._facts = facts
        self._records = records
        self._snapshots = snapshots
        self.actor = actor
        self.scope = scope
        self.scope_key = scope.key
        self.refused: list[tuple[Table, str]] = []
        self._seen_whole: dict[str, bool] = {}
        self._children: dict[tuple[str, date], list[Place]] = {}
        self._versions: dict[str, list[Place]] = {}
        self._answered: set[int] = set()

    # Places

    def is_empty(self) -> bool:
        """Whether there is no place to see."""
        seen = select(place.c.id).where(self._within()).limit(1)
        return self._connection.execute(seen).first() is None

    def tops(self) -> list[Place]:
        """The highest places of the scope, by level and id, each as of today or its latest."""
        if self.scope.everything:
            wanted = [root_id] if (root_id := self.meta(ROOT)) is not None else []
        else:
            wanted = list(dict.fromkeys(path.split("/")[-2] for path in self.scope.paths))
        today = date.today()
        found = []
        for place_id in wanted:
            versions = self._places(place.c.id == place_id)
            if versions:
                current = (each for each in versions if each.valid_on(today))
                found.append(next(current, versions[-1]))
        return sorted(found, key=lambda top: (top.level, top.id))

    def root(self) -> Place:
        """The place everything to be seen lies under, the first of ``tops``.

        Raises:
            DudaoError: NO_PLACES when there is none.
        """
        tops = self.tops()
        if not tops:
            raise DudaoError(
                "NO_PLACES",
                "数据目录里还没有行政区划。",
                "请先导入区划文件(load),或用 demo 准备演示数据。",
            )
        return tops[0]

    def place(self, place_id: str, on: date) -> Place:
        """One place as it is on a day.

        Raises:
            DudaoError: PLACE_NOT_FOUND.
        """
        versions = self.versions(place_id)
        for found in versions:
            if found.valid_on(on):
                return found
        if not versions:
            self.refused.append((place, place_id))
            raise DudaoError(
                "PLACE_NOT_FOUND",
                f"没有代码为“{place_id}”的地区。",
                "请核对代码，或用搜索找到该地区。",
            )
        periods = "、".join(f"{found.valid_from} 至 {found.valid_to or '今'}" for found in versions)
        raise DudaoError(
            "PLACE_NOT_FOUND",
            f"{versions[-1].name}({place_id})在 {on} 不存在，有效期为 {periods}。",
            "请选择有效期内的月份。",
        )

    def places(self, place_ids: Iterable[str], on: date) -> list[Place]:
        """The places of some ids on a day, by id; ids unknown on that day are left out."""
        return [
            found
            for chunk in chunks(sorted(set(place_ids)))
            for found in self._places(place.c.id.in_(chunk), on)
        ]

    def versions(self, place_id: str) -> list[Place]:
        """Every version of one place, earliest first; none for an unknown id."""
        found = self._versions.get(place_id)
        if found is None:
            found = self._versions[place_id] = self._places(place.c.id == place_id)
        return list(found)

    def all_places(self, on: date) -> list[Place]:
        """Every place on a day, by id."""
        return self._places(place.c.id.is_not(None), on)

    def places_below(self, above: Place, level: Level, on: date) -> list[Place]:
        """Every place of one level below another on a day, by id."""
        return self._places(
            place.c.path.startswith(above.path, autoescape=True) & (place.c.level == level), on
        )

    def places_under(self, above: Place, on: date) -> list[Place]:
        """Every place below another on a day, by id."""
        return self._places(_below(above), on)

    def more_under(self, above: Place, on: date, most: int) -> bool:
        """Whether more than ``most`` places lie below another on a day; counts no further."""
        some = select(place.c.id).where(_below(above), valid(on), self._within()).limit(most + 1)
        counted = select(func.count()).select_from(some.subquery())
        return int(self._connection.execute(counted).scalar_one()) > most

    def children(self, place_id: str, on: date) -> list[Place]:
        """The places directly below, by level and id."""
        found = self._children.get((place_id, on))
        if found is None:
            found = self._places(
                place.c.parent_id == place_id, on, order=(place.c.level, place.c.id)
            )
            self._children[place_id, on] = found
        return list(found)

    def ancestors(self, below: Place, on: date) -> list[Place]:
        """The places above that may be seen, root first, without the place itself."""
        ids = below.path.split("/")[:-2]
        found = {above.id: above for above in self.places(ids, on)}
        return [found[above_id] for above_id in ids if above_id in found]

    def ways(self, above: Place, below: Sequence[Place], on: date) -> dict[str, str]:
        """The names of the places between one and each of some below it, by id: names repeat."""
        skipped = above.path.count("/")
        paths = {one.id: one.path.split("/")[skipped:-2] for one in below}
        between = self.places({step for steps in paths.values() for step in steps}, on)
        names = {one.id: one.name for one in between}
        return {
            place_id: " ".join(names[step] for step in steps if step in names)
            for place_id, steps in paths.items()
        }

    def search(self, text: str, limit: int, on: date) -> list[Place]:
        """Places by name, pinyin, pinyin initials or start of the code.

        Whole matches come before beginnings, beginnings before inner parts; higher levels first
        among equals. Whole matches and beginnings read a few index ranges of at most ``limit``
        rows; only inner parts (of two characters or more, when the others found too few) are looked
        for by reading through.
        """
        wanted = fold(text)
        if not wanted or limit < 1:
            return []
        given = {
            "wanted": wanted,
            "after": wanted + _LAST_CHARACTER,
            "code": (code := normalise("NFKC", text).strip()),
            "after_code": code + _LAST_CHARACTER,
            "day": on,
            "most": limit,
        } | self._bounds()
        found: dict[str, Place] = {}
        ranges = None if self.scope.everything else len(self.scope.paths)
        statements = _searches(wanted.isascii(), self._connection.dialect.name, ranges)
        for statement in statements if len(wanted) > 1 else statements[:2]:
            for row in self._connection.execute(statement, given):
                found.setdefault(row.id, _place(row))
            if len(found) >= limit:
                break
        return list(islice(found.values(), limit))

    def known_ids(self, place_ids: Iterable[str]) -> set[str]:
        """Which of some ids a place that may be seen has or ever had."""
        wanted = sorted(set(place_ids))
        seen = select(place.c.id).where(self._within())
        if len(wanted) > _MANY:
            return set(self._connection.execute(seen).scalars()).intersection(wanted)
        return {
            known
            for chunk in chunks(wanted)
            for known in self._connection.execute(seen.where(place.c.id.in_(chunk))).scalars()
        }

    def paths(self, place_ids: Iterable[str]) -> set[str]:
        """Every path that some places, as far as they may be seen, have or had."""
        return set(self._paths(place_ids))

    def _paths(self, place_ids: Iterable[str]) -> Iterator[str]:
        """The paths of some places, of each the latest last."""
        wanted = sorted(set(place_ids))
        seen = select(place.c.path).where(self._within()).order_by(place.c.valid_from)
        if len(wanted) > _MANY:
            rows = self._connection.execute(seen.add_columns(place.c.id))
            chosen = set(wanted)
            yield from (path for path, place_id in rows if place_id in chosen)
            return
        for chunk in chunks(wanted):
            yield from self._connection.execute(seen.where(place.c.id.in_(chunk))).scalars()

    def _within(self) -> ColumnElement[bool]:
        """The scope as a condition on ``place``: one index range for each of its paths."""
        if self.scope.everything:
            return true()
        return or_(false(), *(under(path) for path in self.scope.paths))

    def _bounds(self) -> dict[str, str]:
        """The scope as parameters of ``_searches``."""
        return {
            name: text
            for number, path in enumerate(self.scope.paths)
            for name, text in ((f"from_{number}", path), (f"to_{number}", path[:-1] + "0"))
        }

    def _places(
        self,
        condition: ColumnElement[bool],
        on: date | None = None,
        order: tuple[ColumnElement[Any], ...] = _BY_ID,
    ) -> list[Place]:
        statement = select(*_PLACE).where(condition, self._within()).order_by(*order)
        if on is not None:
            statement = statement.where(valid(on))
        return [_place(row) for row in self._connection.execute(statement)]

    # Institutions

    def institutions(self, home: Place, on: date | None = None) -> list[Institution]:
        """Every institution at or under a place, by id.

        ``on`` places each by its home's version of that day; without it, by its home's latest.
        """
        if on is None:
            later = place.alias()
            version = ~exists().where(
                later.c.id == place.c.id, later.c.valid_from > place.c.valid_from
            )
        else:
            version = valid(on)
        statement = (
            select(institution)
            .join(place, place.c.id == institution.c.place_id)
            .where(under(home.path), self._within(), version)
            .order_by(institution.c.id)
        )
        return [_institution(row) for row in self._connection.execute(statement)]

    def institution_counts(self, home: Place, on: date) -> dict[InstitutionKind, tuple[int, int]]:
        """By kind: how many institutions lie at or under a place, how many of them lack a point."""
        statement = (
            select(institution.c.kind, func.count(), func.count(institution.c.lon))
            .join(place, place.c.id == institution.c.place_id)
            .where(under(home.path), self._within(), valid(on))
            .group_by(institution.c.kind)
        )
        return {
            InstitutionKind(kind): (total, total - located)
            for kind, total, located in self._connection.execute(statement)
        }

    def institution(self, institution_id: str) -> Institution:
        """One institution.

        Raises:
            DudaoError: INSTITUTION_NOT_FOUND.
        """
        row = self._connection.execute(
            select(institution).where(institution.c.id == institution_id)
        ).first()
        if row is None or not self.known_ids([row.place_id]):
            self.refused.append((institution, institution_id))
            raise DudaoError(
                "INSTITUTION_NOT_FOUND",
                f"没有代码为“{institution_id}”的机构。",
                "请核对机构代码。",
            )
        return _institution(row)

    # Targets

    def targets(
        self, places: Iterable[Place], years: Collection[int]
    ) -> dict[int, dict[tuple[str, str], float]]:
        """The targets set at some places or above them: by year, then by layer and place id.

        One set above the scope counts too: who sees a township sees what its county wants of it.
        """
        above = {place_id for path in self.scope.paths for place_id in path.split("/")[:-1]}
        seen = or_(
            target.c.place_id.in_(above),
            exists().where(place.c.id == target.c.place_id, self._within()),
        )
        wanted = sorted({one for each in places for one in each.path.split("/")[:-1]})
        found: dict[int, dict[tuple[str, str], float]] = {year: {} for year in years}
        columns = target.c.year, target.c.layer, target.c.place_id, target.c.value
        for chunk in chunks(wanted):
            statement = select(*columns).where(
                target.c.place_id.in_(chunk), target.c.year.in_(sorted(years))
            )
            if not self.scope.everything:
                statement = statement.where(seen)
            for year, layer, place_id, value in self._connection.execute(statement):
                found[year][layer, place_id] = value
        return found

    # Shapes

    def shapes(self, place_ids: Iterable[str], on: date) -> dict[str, Shape]:
        """What the map draws of some places on a day; a place without polygon is left out.

        A version of a place that brought no polygon of its own keeps the one before.
        """
        found: dict[str, Shape] = {}
        wanted = set(place_ids)
        if not self.scope.everything:
            wanted = self.known_ids(wanted)
        for chunk in chunks(sorted(wanted)):
            statement = (
                select(
                    boundary.c.place_id, boundary.c.display, boundary.c.indicative,
                    boundary.c.label_lon, boundary.c.label_lat, boundary.c.label_radius,
                )
                .where(boundary.c.place_id.in_(chunk), boundary.c.valid_from <= on)
                .order_by(boundary.c.place_id, boundary.c.valid_from)
            )  # fmt: skip
            for place_id, wkb, *rest in self._connection.execute(statement):
                found[place_id] = Shape(bytes(wkb), *rest)
        return found

    # Values

    @cached_property
    def _kept(self) -> dict[str, list[Row[Any]]]:
        """The rows of every month's versions, latest first; months ascending."""
        found: dict[str, list[Row[Any]]] = {}
        for row in self._connection.execute(
            select(snapshot).order_by(snapshot.c.month, snapshot.c.version.desc())
        ):
            found.setdefault(row.month, []).append(row)
        return found

    @cached_property
    def _published(self) -> dict[str, Snapshot]:
        return {
            month: Snapshot.listed(month, kept[0].version, kept[0].file)
            for month, kept in self._kept.items()
        }

    def editions(self, month: str) -> list[Edition]:
        """The versions of a month that can be looked at, latest first.

        One that another version of the program rolled up holds other columns, and is left out.

        Raises:
            DudaoError: as ``snapshot``.
        """
        self.snapshot(month)
        kept = self._kept[month]
        held = kept[0].pairs_hash
        return [Edition(one.version, one.created) for one in kept if one.pairs_hash == held]

    def look_at(self, month: str, version: int) -> None:
        """From now on read a month as that version of it said, though it was corrected since.

        Raises:
            DudaoError: VERSION_NOT_FOUND names the versions there are; as ``snapshot``.
        """
        known = [edition.version for edition in self.editions(month)]
        if version not in known:
            listed = "、".join(str(one) for one in known)
            raise DudaoError(
                "VERSION_NOT_FOUND",
                f"{month} 没有第 {version} 版，或已不再保留。",
                f"现有第 {listed} 版。",
            )
        (files,) = (one.file for one in self._kept[month] if one.version == version)
        self._published[month] = Snapshot.listed(month, version, files)

    def looks_back(self, month: str) -> bool:
        """Whether a month is read in a version that was corrected since."""
        return self.snapshot(month).version != self.editions(month)[0].version

    def months(self) -> list[str]:
        """Published months, ascending."""
        return list(self._published)

    def snapshot(self, month: str) -> Snapshot:
        """The published snapshot of a month: its highest version, or the one ``look_at`` chose.

        Raises:
            DudaoError: MONTH_NOT_FOUND names the months there are, MONTH_FORM.
        """
        found = self._published.get(month)
        if found is not None:
            return found
        month_end(month)
        months = self.months()
        known = f"现有月份：{months[0]} 至 {months[-1]}(共 {len(months)} 个)" if months else ""
        listed = f":{'、'.join(months)}" if 0 < len(months) <= 36 else ""
        raise DudaoError(
            "MONTH_NOT_FOUND",
            f"没有 {month} 的数据。",
            f"{known}{listed}。" if months else "请先导入月度数据。",
        )

    def values(self, published: Snapshot, parent_id: str) -> pd.DataFrame:
        """Values of the places directly below ``parent_id``; reads only their part of the file.

        Columns ``place_id, parent_id, source, numerator_measure, denominator_measure, numerator,
        denominator, reporting, expected, own_numerator, own_denominator``. A place with places
        below has a row for every source and pair of the month (numerator NaN where there is no
        value); a place with none below has rows only for the pairs it reported.
        """
        rows = self._snapshots.values(published, parent_id)
        if self.sees_whole(parent_id):
            return rows
        seen = rows["place_id"].isin(self.known_ids(rows["place_id"]))
        return rows[seen].reset_index(drop=True)

    def siblings(self, published: Snapshot, parent_id: str | None) -> Siblings:
        """The same values as arrays by source and pair; None for the roots' own."""
        parent = parent_id or ""
        found = self._snapshots.siblings(published, parent)
        if self.sees_whole(parent):
            return found
        seen = self.known_ids(place_id for values in found.values() for place_id in values.at)
        return {pair: _only(values, seen) for pair, values in found.items()}

    def families(
        self, published: Snapshot, parent_ids: Collection[str], pairs: Collection[Pair]
    ) -> Siblings:
        """Some pairs' values of the places directly below any of some parents."""
        found = self._snapshots.families(published, parent_ids, pairs)
        if all(self.sees_whole(parent_id) for parent_id in parent_ids):
            return found
        seen = self.known_ids({place_id for values in found.values() for place_id in values.at})
        return {pair: _only(values, seen) for pair, values in found.items()}

    @property
    def whole(self) -> Snapshots:
        """The published values, which know no scope.

        What small counts are left out is decided on the whole tree, so that two who see different
        parts of it cannot put theirs together. Nothing of it may be shown.
        """
        return self._snapshots

    def value_of(self, published: Snapshot, of: Place) -> pd.DataFrame:
        """The rows of one place, columns as ``values``."""
        rows = self.values(published, of.parent_id or "")
        return rows[rows["place_id"] == of.id].reset_index(drop=True)

    def sees_whole(self, parent_id: str | None) -> bool:
        """Whether every place ever below a parent may be seen."""
        if self.scope.everything:
            return True
        if parent_id is None:
            return False
        whole = self._seen_whole.get(parent_id)
        if whole is None:
            every = select(place.c.path).where(place.c.id == parent_id)
            paths = list(self._connection.execute(every).scalars())
            whole = bool(paths) and all(self.scope.covers(path) for path in paths)
            self._seen_whole[parent_id] = whole
        return whole

    # Whole tables, for the loaders

    def place_frame(self) -> pd.DataFrame:
        """All places to be seen, as declared.

        Columns ``id, name, level, parent_id, path, valid_from, valid_to``.
        """
        later = place.alias()
        last_piece = ~exists().where(
            later.c.id == place.c.id,
            later.c.declared_from == place.c.declared_from,
            later.c.valid_from > place.c.valid_from,
        )
        rows = self._connection.execute(
            select(
                place.c.id, place.c.name, place.c.level, place.c.parent_id, place.c.path,
                cast(place.c.declared_from, String), cast(place.c.declared_to, String),
            )
            .where(last_piece, self._within())
            .order_by(place.c.id, place.c.declared_from)
        ).all()  # fmt: skip
        columns = ["id", "name", "level", "parent_id", "path", "valid_from", "valid_to"]
        return with_dates(frame(rows, columns), "valid_from", "valid_to")

    def institution_frame(self) -> pd.DataFrame:
        """All institutions to be seen: ``id, name, kind, place_id, lon, lat``."""
        statement = select(institution).order_by(institution.c.id)
        if not self.scope.everything:
            home = exists().where(place.c.id == institution.c.place_id, self._within())
            statement = statement.where(home)
        rows = self._connection.execute(statement).all()
        found = frame(rows, [column.name for column in institution.c])
        return found.astype({"lon": "float64", "lat": "float64"})

    def figures(
        self,
        place_ids: Collection[str] | None,
        months: Collection[str],
        measures: Collection[str] | None,
    ) -> pd.DataFrame:
        """Stored figures: ``place_id, month, measure, value, source``; None asks for all."""
        if not self.scope.everything:
            seen = select(place.c.id).where(self._within()).distinct()
            place_ids = (
                list(self._connection.execute(seen).scalars())
                if place_ids is None
                else self.known_ids(place_ids)
            )
        # The engine takes a second to import, which screens and listings never need.
        from dashboard.store.engine import Engine

        observations = self._facts.observations(months)
        with Engine() as engine:
            return engine.figures(observations, self.committed(), place_ids, months, measures)

    def records(self, dataset: str, column: str, values: Collection[str]) -> pd.DataFrame:
        """The records of places to be seen that have one of some values in a column.

        Args:
            column: canonical; persons are asked for, and answered, by key.
        """
        from dashboard.store.engine import Engine

        declared = record_datasets()[dataset]
        empty = declared.empty_frame()
        keys = {person_number(one): one for one in values} if column == PERSON else {}
        wanted: Collection[object] = keys or values
        committed = self.committed()
        pieces = self._records.ledgers[dataset].pieces(committed)
        if not values or not pieces.any:
            return empty
        with Engine() as engine:
            found = engine.records(declared, pieces, committed, column, wanted)
        rows: pd.DataFrame = found.select(list(declared.canonical)).to_pandas()
        if PERSON in rows:
            rows[PERSON] = rows[PERSON].map(keys)
        rows = rows.astype(empty.dtypes.to_dict())
        rows = rows[rows["place_id"].isin(self.known_ids(rows["place_id"]))]
        return rows.reset_index(drop=True)

    def ledgers(
        self, above: Place, wanted: Iterable[Selection]
    ) -> list[tuple[pd.DataFrame, int, int]]:
        """Pages of the records at or under a place.

        A place that moved is found under each place it ever lay in. Only the counties and months
        asked for are read, and of them only the columns it takes.

        Returns:
            For each selection the page in canonical columns, persons by number; how many rows there
            are in all; the id of the latest load that brought one of them, 0 for none.
        """
        from dashboard.store.engine import Engine

        committed = self.committed()
        ids, counties = self._under(above)
        found = []
        with Engine() as engine:
            for one in wanted:
                declared = record_datasets()[one.dataset]
                ledger = self._records.ledgers[one.dataset]
                only: dict[str, Container[str | None]] = (
                    {} if counties is None else {"county": counties}
                )
                if one.since is not None or one.until is not None:
                    only["month"] = Between(one.since or "", one.until or "9999-12")
                pieces = ledger.pieces(committed, **only)
                if ids and pieces.any:
                    rows, total, latest = engine.select(declared, pieces, committed, ids, one)
                else:
                    rows, total, latest = pieces.once.schema.empty_table(), 0, 0
                found.append((rows.select(list(declared.canonical)).to_pandas(), total, latest))
        return found

    def _under(self, above: Place) -> tuple[set[str], set[str] | None]:
        """The ids at or under a place, and what their records' counties are among; None: any."""
        below = select(place.c.id).where(under(above.path), self._within())
        ids = set(self._connection.execute(below).scalars())
        if above.level < Level.COUNTY:
            return ids, None
        # A record stays in the county it was loaded to, wherever its place lies by now.
        return ids, {part for path in self.paths(ids) for part in path.split("/")}

    def persons(self, numbers: Collection[int]) -> dict[int, PersonRow]:
        """Registered persons by the number they go by in records, masked.

        Only those held where the actor may see persons.
        """
        scope = self.actor.scope("persons.view")
        return persons_by_number(self._connection, scope, numbers)

    def loaded_at(self, batch_id: int) -> str:
        """When a load that counts ended, in UTC; empty for none."""
        found = select(batch.c.finished).where(batch.c.id == batch_id)
        return self._connection.execute(found).scalar() or ""

    def observed(
        self, place_ids: Collection[str], month: str, measures: Collection[str] | None
    ) -> pd.DataFrame:
        """The stored figures of some places that count, with the loads they are of.

        Columns ``place_id, measure, source, value, batch, replaced``: how many figures of earlier
        loads each stands in place of.

        Args:
            measures: ids; None asks for all.
        """
        seen = pa.array(sorted(self.known_ids(place_ids)), pa.string())
        wanted = ds.field("place_id").isin(seen)
        if measures is not None:
            wanted = wanted & ds.field("measure").isin(sorted(measures))
        key = ["place_id", "measure", "source"]
        stored = self._facts.observations([month])
        rows: pd.DataFrame = stored.to_table([*key, "value", "batch"], filter=wanted).to_pandas()
        rows = rows[rows["batch"].isin(self.committed())].sort_values([*key, "batch"])
        replaced = rows.groupby(key)["batch"].cumcount()
        latest = rows.assign(replaced=replaced).drop_duplicates(key, keep="last")
        self._answered |= set(latest["batch"].tolist())
        return latest.reset_index(drop=True)

    def counted(
        self, place_ids: Collection[str], month: str, dataset: str, rule: Count
    ) -> pd.DataFrame:
        """How many records of a dataset at some places a rule counts in a month, by load.

        Columns ``place_id, batch, rows``.
        """
        from dashboard.store.engine import Engine

        seen = self.known_ids(place_ids)
        counties = set(self.counties(seen).values())
        only = {} if "" in counties else {"county": counties}
        committed = self.committed()
        pieces = self._records.counted_in(dataset, [month], committed, **only)
        if not seen or not pieces.any:
            return pd.DataFrame({"place_id": [], "batch": [], "rows": []})
        with Engine() as engine:
            rows = engine.counted(record_datasets()[dataset], pieces, committed, rule, month, seen)
        self._answered |= set(rows["batch"].tolist())
        return rows

    def loads(self, numbers: Collection[int]) -> list[Batch]:
        """Loads by number, of which this unit answered a figure or record; others are left out."""
        wanted = self._answered.intersection(numbers)
        statement = select(batch).where(batch.c.id.in_(sorted(wanted))).order_by(batch.c.id)
        return [_batch(row) for row in self._connection.execute(statement)]

    def counties(self, place_ids: Iterable[str]) -> dict[str, str]:
        """The county of some places, as far as they may be seen; empty text for one above counties.

        Of a place that moved between counties, the one it lies in last.
        """
        known = county_ids(self._connection)
        return {
            path.split("/")[-2]: county_of(path, known) or "" for path in self._paths(place_ids)
        }

    def figures_stored(self, month: str) -> int:
        """How many figures a month's facts hold, those of batches that count no more included."""
        return int(self._facts.observations([month]).count_rows())

    # State

    @cached_property
    def _meta(self) -> dict[str, str]:
        return {row.key: row.value for row in self._connection.execute(select(meta))}

    def meta(self, key: str) -> str | None:
        """One entry of the meta table, as it was when this unit first asked."""
        return self._meta.get(key)

    def places_version(self) -> int:
        """Counts up when a place, boundary, institution or target changes: part of cache keys."""
        return int(self.meta(PLACES_VERSION) or 0)

    def loaded_datasets(self) -> set[str]:
        """The datasets any load that counts brought."""
        counts = batch.c.state == BatchState.COMMITTED.value
        return set(self._connection.execute(select(batch.c.dataset).where(counts)).scalars())

    def committed(self) -> list[int]:
        """Ids of the batches that count."""
        statement = select(batch.c.id).where(batch.c.state == BatchState.COMMITTED.value)
        return list(self._connection.execute(statement).scalars())

    def batches(self, limit: int) -> list[Batch]:
        """The latest loads, newest first: the actor's own, and those wholly within the scope."""
        statement = select(batch).order_by(batch.c.id.desc()).limit(limit)
        if not self.scope.everything:
            within = [_between(batch.c.path, path) for path in self.scope.paths]
            statement = statement.where(or_(batch.c.actor == self.actor.id, *within))
        return [_batch(row) for row in self._connection.execute(statement)]

    def status(self) -> dict[str, Any]:
        """An overview as JSON-ready values: what is stored, as of today."""
        execute = self._connection.execute
        today = date.today()
        drawn = exists().where(boundary.c.place_id == place.c.id, boundary.c.valid_from <= today)
        counts: dict[int, int] = {}
        without: dict[int, int] = {}
        for level, has_polygon, number in execute(
            select(place.c.level, drawn, func.count())
            .where(valid(today), self._within())
            .group_by(place.c.level, drawn)
        ):
            counts[level] = counts.get(level, 0) + number
            if not has_polygon:
                without[level] = number
        located = func.count(institution.c.lon)
        counted = select(func.count(), located).select_from(institution)
        if not self.scope.everything:
            counted = counted.where(
                exists().where(place.c.id == institution.c.place_id, self._within())
            )
        total, with_point = execute(counted).one()
        published = execute(
            select(snapshot.c.month, func.max(snapshot.c.version))
            .group_by(snapshot.c.month)
            .order_by(snapshot.c.month)
        ).all()
        flags = execute(
            select(snapshot.c.month, snapshot.c.flags)
            .order_by(snapshot.c.month.desc(), snapshot.c.version.desc())
            .limit(1)
        ).first()
        roots = execute(
            select(func.count()).where(place.c.parent_id.is_(None), valid(today), self._within())
        ).scalar_one()
        return {
            "schema": database.revision(self._connection),
            "database": self._connection.dialect.name,
            "demonstration": self.meta(DEMONSTRATION) == "1",
            "root": self.meta(ROOT),
            "roots": roots,
            "places_version": self.places_version(),
            "places": {Level(level).key: counts[level] for level in sorted(counts)},
            "without_polygon": {Level(level).key: without[level] for level in sorted(without)},
            "institutions": {
                "total": total, "with_point": with_point, "without_point": total - with_point,
            },
            "months": [{"month": month, "version": version} for month, version in published],
            "quality_flags": {
                "month": flags.month if flags else None,
                "places_disagreeing": flags.flags if flags else 0,
            },
            "batches": [found.as_dict() for found in self.batches(_BATCHES_SHOWN)],
        }  # fmt: skip


def frame(rows: Iterable[Row[*tuple[Any, ...]]], columns: list[str]) -> pd.DataFrame:
    """Rows of a query as a DataFrame with text columns of Python strings and None."""
    return pd.DataFrame.from_records(list(map(tuple, rows)), columns=columns)


def with_dates(found: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Turn columns of ISO text into ``datetime64[s]``."""
    for column in columns:
        found[column] = pd.to_datetime(found[column], format="%Y-%m-%d").astype("datetime64[s]")
    return found


def county_ids(connection: Connection) -> set[str]:
    """Every place that is or was a county."""
    counties = select(place.c.id).where(place.c.level == Level.COUNTY.value)
    return set(connection.execute(counties).scalars())


def county_of(path: str, counties: Collection[str]) -> str | None:
    """The county at or above the end of a path; None for a place above counties."""
    return next((one for one in reversed(path.split("/")) if one in counties), None)


def _below(above: Place) -> ColumnElement[bool]:
    return place.c.path.startswith(above.path, autoescape=True) & (place.c.id != above.id)


def valid(on: date) -> ColumnElement[bool]:
    """Valid on a day."""
    return and_(place.c.valid_from <= on, or_(place.c.valid_to.is_(None), place.c.valid_to > on))


def under(path: str) -> ColumnElement[bool]:
    """At or under a path. Paths end in ``/``, whose next character is ``0``."""
    return _between(place.c.path, path)


def _between(column: Column[Any], path: str) -> ColumnElement[bool]:
    return and_(column >= path, column < path[:-1] + "0")


def _only(values: PairValues, seen: Collection[str]) -> PairValues:
    """The values of some of the siblings."""
    kept = {place_id: at for place_id, at in values.at.items() if place_id in seen}
    rows = list(kept.values())
    return PairValues(
        {place_id: at for at, place_id in enumerate(kept)},
        values.numerator[rows],
        values.denominator[rows],
        values.reporting[rows],
        values.expected[rows],
        values.own_numerator[rows],
        values.own_denominator[rows],
    )


@cache
def _searches(latin: bool, dialect: str, ranges: int | None) -> tuple[Select[Any], ...]:
    """The statements for whole matches, beginnings and inner parts.

    Parameters: ``wanted`` and ``code`` (the text, folded and as written), ``after`` and
    ``after_code`` (beyond everything that begins so), ``day``, ``most``, and ``from_N, to_N`` for
    each of the scope's path ``ranges`` (None: no limit). Latin text may also be a
    code or pinyin. Inner parts are looked for in names and initials.

    Each part asks one level for one column in the order of that column: then every part is a range
    of one index, whatever the planner believes about the table.
    """
    # Both take their text as it is: no pattern characters, and several times as fast as LIKE.
    position = func.instr if dialect == "sqlite" else func.strpos
    columns: list[Column[Any]] = [place.c.folded]
    if latin:
        columns += [place.c.id, place.c.initials, place.c.pinyin]
    parts: list[list[Select[Any]]] = [[], [], []]
    for level in Level:
        for column in columns:
            code = "code" if column is place.c.id else "wanted"
            after = "after_code" if column is place.c.id else "after"
            parts[0].append(_at_most(level, column, column == bindparam(code), ranges))
            parts[1].append(
                _at_most(
                    level,
                    column,
                    (column >= bindparam(code)) & (column < bindparam(after)),
                    ranges,
                )
            )
            if column is place.c.folded or column is place.c.initials:
                inner = position(column, bindparam(code)) > 0
                parts[2].append(_at_most(level, column, inner, ranges))
    return tuple(_in_turn(each) for each in parts)


def _at_most(
    level: Level, column: ColumnElement[Any], condition: ColumnElement[bool], ranges: int | None
) -> Select[Any]:
    """The first ``most`` places of a level on ``day`` that meet a condition on one column."""
    day = bindparam("day", type_=Date)
    valid = and_(place.c.valid_from <= day, or_(place.c.valid_to.is_(None), place.c.valid_to > day))
    statement = select(*_PLACE).where(place.c.level == level.value, condition, valid)
    if ranges is not None:
        within = [
            and_(place.c.path >= bindparam(f"from_{n}"), place.c.path < bindparam(f"to_{n}"))
            for n in range(ranges)
        ]
        statement = statement.where(or_(false(), *within))
    return statement.order_by(column).limit(bindparam("most"))


def _in_turn(parts: list[Select[Any]]) -> Select[Any]:
    """The rows of several selects, each after the one before."""
    numbered = [
        select(literal(number).label("turn"), part.subquery()) for number, part in enumerate(parts)
    ]
    rows = union_all(*numbered).subquery()
    columns = [column for column in rows.c if column.name != "turn"]
    return select(*columns).order_by(rows.c.turn, rows.c.level, rows.c.id)


def chunks(ids: list[str]) -> Iterator[list[str]]:
    """Ids a bounded number at a time, for one statement each."""
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def _place(row: Row[*tuple[Any, ...]]) -> Place:
    return Place(row[0], row[1], Level(row[2]), *row[3:])


def _institution(row: Row[*tuple[Any, ...]]) -> Institution:
    return Institution(row.id, row.name, InstitutionKind(row.kind), row.place_id, row.lon, row.lat)


def _batch(row: Row[*tuple[Any, ...]]) -> Batch:
    return Batch(
        id=row.id,
        file=row.file,
        sha256=row.sha256,
        dataset=row.dataset,
        rows=row.rows,
        months=tuple(row.months.split()),
        started=row.started,
        finished=row.finished,
        operator=row.operator,
        state=BatchState(row.state),
        summary=json.loads(row.summary),
    )

"""Rows to places: by code; failing that by name within the parent, which a person must confirm.

Without a code, the exact full name of one place directly under an exactly named parent is taken,
and said so. Everything looser (spelling, 村委会 left out, no parent, an unknown code) only makes
a suggestion: village names recur within a county, so nothing is matched outside the named parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rapidfuzz import fuzz, process

from geodata.codes import normalise_all
from loaders.fold import fold, plain, stem
from loaders.known import KnownPlaces, Pool
from loaders.masking import mask_text
from loaders.model import Request, Suggestion
from loaders.parse import blanks, is_blank, is_scientific
from loaders.rows import FileRows
from loaders.table import Factor, Flags, Rows, Words

_CANDIDATES = 5
_LEAST_SCORE = 50.0
_PARENT_SCORE = 60.0
_COMPARISONS = 3_000_000
"""At most so many name comparisons a file: names beyond that are reported without candidates."""

Candidate = tuple[str, str, float]


@dataclass(frozen=True, slots=True)
class PlaceColumn:
    """The place of every row: ``ids[codes]``; code -1 where the row has none."""

    codes: NDArray[np.int64]
    ids: NDArray[np.object_]


def normalise_ids(words: Words) -> NDArray[np.object_]:
    """Place ids in their one written form, empty for blank cells."""
    ids = normalise_all(pd.Series(words, dtype="str")).to_numpy(dtype=object).copy()
    ids[blanks(words)] = ""
    return ids


def match_places(
    rows: FileRows, known: KnownPlaces, request: Request, name: str, parent: str
) -> PlaceColumn:
    """Find each row's place and report the rows that have none.

    Args:
        name, parent: canonical columns with the place's and its parent's written names.
    """
    written = rows.columns.get("place_id", Factor.constant("", len(rows)))
    word_ids = normalise_ids(written.words)
    code_of_word, ids = pd.factorize(word_ids)
    exists = known.contains(ids) & (ids != "")
    found = np.where(exists, np.arange(len(ids)), -1)[code_of_word][written.codes]
    blank = written.where(word_ids == "")
    unresolved = found < 0
    if name not in rows.columns:
        _report_codes(rows, written, blank, unresolved)
        return PlaceColumn(found, ids)
    names = rows.columns[name]
    if unresolved.any():
        nameless = names.where(blanks(names.words))
        _report_codes(rows, written, blank, unresolved & nameless)
        by_name = _ByName(rows, known, request, name, parent)
        extra = by_name.match(np.flatnonzero(unresolved & ~nameless), blank)
        if extra:
            every = np.concatenate([ids, np.array([one for _, one in extra], dtype=object)])
            unique_code, unique_ids = pd.factorize(every)
            found = np.where(found >= 0, unique_code[found], -1)
            for index, (positions, _) in enumerate(extra):
                found[positions] = unique_code[len(ids) + index]
            ids = unique_ids
    _compare_names(rows, known, PlaceColumn(found, ids), names, ~unresolved, name)
    return PlaceColumn(found, ids)


def _report_codes(rows: FileRows, written: Factor, blank: Flags, wrong: Flags) -> None:
    """Rows that only a code could place: blank, in scientific notation, or unknown."""
    if not wrong.any():
        return
    column = "place_id"
    rows.flag("MISSING_VALUE", np.flatnonzero(wrong & blank), column)
    used = np.zeros(len(written.words), dtype=bool)
    used[written.codes[wrong & ~blank]] = True
    lost = np.zeros(len(written.words), dtype=bool)
    lost[used] = [is_scientific(word) for word in written.words[used].tolist()]
    scientific = wrong & ~blank & written.where(lost)
    rows.flag("CODE_LOST_DIGITS", np.flatnonzero(scientific), column)
    rows.flag("UNKNOWN_PLACE", np.flatnonzero(wrong & ~blank & ~scientific), column)


def _compare_names(
    rows: FileRows,
    known: KnownPlaces,
    places: PlaceColumn,
    names: Factor,
    by_code: Flags,
    column: str,
) -> None:
    """Warn where a row's name does not agree with its code: rows may have slipped."""
    at = np.flatnonzero(by_code & ~names.where(blanks(names.words)))
    if len(at) == 0:
        return
    pair = places.codes[at] * len(names.words) + names.codes[at]
    unique, inverse = np.unique(pair, return_inverse=True)
    place, word = np.divmod(unique, len(names.words))
    used, at_used = np.unique(place, return_inverse=True)
    names_of = known.names_of(places.ids[used])
    stored = [names_of[index] for index in at_used.tolist()]
    differs = np.array(
        [
            not any(stem(written) == stem(one) or fold(written).endswith(fold(one)) for one in own)
            for written, own in zip(names.words[word].tolist(), stored, strict=True)
        ],
        dtype=bool,
    )
    chosen = differs[inverse]
    shown = np.array([own[-1] if own else "" for own in stored], dtype=object)
    rows.flag(
        "NAME_CODE_MISMATCH",
        at[chosen],
        column,
        place=places.ids[place][inverse][chosen],
        name=shown[inverse][chosen],
    )


class _ByName:
    """Name matching for the rows of one file."""

    def __init__(
        self, rows: FileRows, known: KnownPlaces, request: Request, name: str, parent: str
    ) -> None:
        self.rows = rows
        self.known = known
        self.confirmed = {
            (plain(written), plain(above) if above else None): place_id
            for (written, above), place_id in request.confirmed.items()
        }
        self.column = name
        self.names = rows.columns[name]
        self.parents = rows.columns.get(parent, Factor.constant("", len(rows)))
        self.budget = _COMPARISONS
        self.notes: dict[str, list[tuple[Rows, dict[str, str]]]] = {}

    def match(self, at: Rows, blank: Flags) -> list[tuple[Rows, str]]:
        """Groups of rows with the place each belongs to; the others are reported."""
        if len(at) == 0:
            return []
        width = len(self.parents.words)
        pair = (self.names.codes[at].astype(np.int64) * width + self.parents.codes[at]) * 2
        pair += blank[at]
        unique, first, inverse = np.unique(pair, return_index=True, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        bounds = np.searchsorted(inverse[order], np.arange(len(unique) + 1))
        found: list[tuple[Rows, str]] = []
        for index in np.argsort(first).tolist():
            group = at[order[bounds[index] : bounds[index + 1]]]
            place_id = self._one(group, bool(unique[index] % 2))
            if place_id is not None:
                found.append((group, place_id))
        for code, notes in self.notes.items():
            self._report(code, notes)
        return found

    def _note(self, code: str, group: Rows, **params: str) -> None:
        self.notes.setdefault(code, []).append((group, params))

    def _report(self, code: str, notes: list[tuple[Rows, dict[str, str]]]) -> None:
        """All notes of one code as one block, in the order of the rows."""
        rows = np.concatenate([group for group, _ in notes])
        order = np.argsort(rows, kind="stable")
        sizes = [len(group) for group, _ in notes]
        spread: dict[str, Any] = {}
        for name in notes[0][1]:
            words = np.array([params[name] for _, params in notes], dtype=object)
            spread[name] = np.repeat(words, sizes)[order]
        column = "place_id" if code == "UNKNOWN_PLACE" else self.column
        self.rows.flag(code, rows[order], column, **spread)

    def _one(self, group: Rows, no_code: bool) -> str | None:
        """The place of rows that share a written name and parent, or None with a suggestion."""
        row = int(group[0])
        name = str(self.names.words[self.names.codes[row]]).strip()
        above = str(self.parents.words[self.parents.codes[row]]).strip()
        parent = None if is_blank(above) else above
        chosen = self.confirmed.get((plain(name), plain(parent) if parent else None))
        if chosen is not None:
            exists = chosen in self.known.id_set
            self._note(
                "NAME_CONFIRMED" if exists else "CONFIRMED_PLACE_UNKNOWN", group, place=chosen
            )
            return chosen if exists else None
        parent_ids = self.known.named(parent) if parent is not None else []
        if no_code and len(parent_ids) == 1:
            exact = self.known.child_named(parent_ids[0], name)
            if len(exact) == 1:
                self._note("NAME_MATCHED", group, parent=parent or "", place=exact[0])
                return exact[0]
        candidates = self._candidates(name, parent, parent_ids)
        self._suggest(group, name, parent, candidates, no_code)
        return None

    def _suggest(
        self,
        group: Rows,
        name: str,
        parent: str | None,
        candidates: tuple[Candidate, ...],
        no_code: bool,
    ) -> None:
        rows, row = self.rows, int(group[0])
        sheet = rows.sheet[row] if isinstance(rows.sheet, np.ndarray) else rows.sheet
        written = f"{name} {parent or ''}"
        if mask_text(written) == written:
            # What holds somebody's number is no place, and suggestions are shown and kept.
            rows.report.suggestions.append(
                Suggestion(sheet or None, int(rows.number[row]), name, parent, candidates)
            )
        listed = "、".join(f"{one}（{place_id}）" for place_id, one, _ in candidates)
        listed_en = ", ".join(f"{one} ({place_id})" for place_id, one, _ in candidates)
        if not no_code:
            self._note("UNKNOWN_PLACE", group)
        self._note(
            "NAME_UNCONFIRMED",
            group,
            parent=parent or "未写明",
            parent_en=parent or "not given",
            candidates=f"候选：{listed}" if listed else "也没有相近的名称",
            candidates_en=f"candidates: {listed_en}" if listed else "no similar name exists",
        )

    def _candidates(
        self, name: str, parent: str | None, parent_ids: list[str]
    ) -> tuple[Candidate, ...]:
        """The most similar places: under the named parent, else under similarly named ones."""
        if parent is None:
            pool = self.known.pool
        else:
            if not parent_ids:
                similar = self._extract(parent, self.known.pool, _PARENT_SCORE)
                parent_ids = [place_id for place_id, _, _ in similar]
            pool = Pool(self.known.children(parent_ids))
        return tuple(self._extract(name, pool, _LEAST_SCORE))

    def _extract(self, name: str, pool: Pool, least: float) -> list[Candidate]:
        if len(pool.places) > self.budget:
            return []
        self.budget -= len(pool.places)
        found = process.extract(
            stem(name), pool.stems, scorer=fuzz.WRatio, limit=_CANDIDATES, score_cutoff=least
        )
        return [(*pool.places[index], float(score)) for _, score, index in found]

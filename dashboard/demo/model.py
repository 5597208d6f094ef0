"""What the demonstration writes, and the troubles it plants. Pure types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class TroubleKind(StrEnum):
    """The ways of real data that the demonstration contains on purpose."""

    MISSING_MONTHS = "missing_months"
    NEVER_REPORTED = "never_reported"
    ZERO_DENOMINATOR = "zero_denominator"
    MERGED = "merged"
    RENAMED = "renamed"
    CLINIC_WITHOUT_COORDINATES = "clinic_without_coordinates"
    NO_BOUNDARY = "no_boundary"
    OWN_FIGURE_DIFFERS = "own_figure_differs"
    ONLY_AT_TOWNSHIP = "only_at_township"
    BLANK_NUMERATOR = "blank_numerator"
    LAGGING = "lagging"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One planted trouble.

    Attributes:
        id: the place (or, for a clinic, the institution) it sits on.
        months_back: months it touches, counted back from the last month (0 is the last month);
            empty where it is not about months. For MERGED and RENAMED the one entry names the first
            month in which the change holds.
        other_id: the place merged into, for MERGED.
        text: what was done, in one sentence.
    """

    kind: TroubleKind
    id: str
    text: str
    months_back: tuple[int, ...] = ()
    other_id: str | None = None


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """The canonical files of one demonstration.

    Attributes:
        places: GeoPackage of the places with an outline; None where no place has one.
        places_without_outline: CSV of the places that have a code and no outline, or None.
        institutions: CSV.
        figures: CSV, wide: one row a place and month, one column a measure.
        systems: CSV of the same form, one county's figures of all other measures; None where that
            county is not there.
        document_figures: CSV, long: what the source documents report of a place here; None where
            they are about none of them.
        targets: CSV of a county's own targets, None where the county is not there.
        persons: CSV of invented persons.
        records: ``(dataset, CSV)`` of invented records of one township; none where it is not there.
        months: ``YYYY-MM``, ascending.
        troubles: the planted troubles that lie under the root.
    """

    directory: Path
    root: str
    seed: int
    months: tuple[str, ...]
    places: Path | None
    places_without_outline: Path | None
    institutions: Path
    figures: Path
    systems: Path | None
    document_figures: Path | None
    targets: Path | None
    persons: Path
    records: tuple[tuple[str, Path], ...]
    troubles: tuple[Trouble, ...]

    def in_load_order(self) -> tuple[tuple[str, Path], ...]:
        """``(dataset, path)`` pairs; a parent's file comes before its children's."""
        ordered = (
            ("places", self.places),
            ("places", self.places_without_outline),
            ("institutions", self.institutions),
            ("figures", self.figures),
            ("figures", self.systems),
            ("figures", self.document_figures),
            ("targets", self.targets),
            ("persons", self.persons),
            *self.records,
        )
        return tuple((dataset, path) for dataset, path in ordered if path is not None)

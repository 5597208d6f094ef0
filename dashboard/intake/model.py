"""An upload in hand: what was said about its file, what was found, what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from dashboard.intake.issues import IssueIndex
from geodata.errors import DudaoError
from loaders.model import ImportReport, Prepared, Request, Severity

KEPT = timedelta(hours=24)
"""An upload nobody confirmed is removed after so long, its file with it."""

MOST_IN_HAND = 20
"""Uploads one account may have in hand."""

Name = tuple[str, str | None]
"""A name as written and its parent's name as written: what ``Request.confirmed`` is keyed by."""


class Step(StrEnum):
    """What a job is doing, in the order a load goes through it."""

    WAIT = "wait"
    CHECK = "check"
    COMPARE = "compare"
    SHAPES = "shapes"
    WRITE = "write"
    ROLL_UP = "roll_up"
    PUBLISH = "publish"


_STARTS = {
    "正在排队": Step.WAIT,
    "另一个导入正在进行": Step.WAIT,
    "正在检查": Step.CHECK,
    "正在与已有数据比较": Step.COMPARE,
    "正在核对后续导入": Step.COMPARE,
    "正在处理": Step.SHAPES,
    "正在写入": Step.WRITE,
    "正在汇总": Step.ROLL_UP,
    "正在发布": Step.PUBLISH,
}


def step_of(line: str) -> Step | None:
    """The step a line of progress tells of; None for a line that is no step."""
    return next((step for start, step in _STARTS.items() if line.startswith(start)), None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of confirming an upload.

    Attributes:
        batch: number of the load, None when nothing was written.
        read, valid, rejected: rows of the file.
        changed, unchanged: records written, and records that were stored already.
        months: months it brought figures for.
        reasons: (code, severity, how often), the most frequent errors first.
        problem: why it was not loaded; None when it was, or changed nothing.
    """

    dataset: str | None
    batch: int | None
    read: int
    valid: int
    rejected: int
    changed: int
    unchanged: int
    months: tuple[str, ...]
    reasons: tuple[tuple[str, str, int], ...]
    at: str
    problem: tuple[str, str, str] | None = None

    @classmethod
    def of(
        cls,
        report: ImportReport,
        months: tuple[str, ...],
        at: datetime,
        problem: DudaoError | None = None,
    ) -> Outcome:
        """The outcome of a load with its report, and of one that ended with an error."""
        return cls(
            dataset=report.dataset,
            batch=None if report.batch is None else int(report.batch),
            read=report.rows_read,
            valid=report.rows_valid,
            rejected=report.rows_rejected,
            changed=report.rows_changed,
            unchanged=report.rows_unchanged,
            months=months,
            reasons=reasons(report),
            at=at.isoformat(timespec="seconds"),
            problem=None if problem is None else (problem.code, problem.message, problem.remedy),
        )

    def as_dict(self) -> dict[str, Any]:
        """The form kept beside the file."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Outcome:
        """The inverse of ``as_dict`` after JSON."""
        problem = found["problem"]
        return cls(
            **{
                **found,
                "months": tuple(found["months"]),
                "reasons": tuple((code, level, count) for code, level, count in found["reasons"]),
                "problem": None if problem is None else (problem[0], problem[1], problem[2]),
            }
        )


def reasons(report: ImportReport) -> tuple[tuple[str, str, int], ...]:
    """(code, severity, how often) of every error and warning, errors first, then by number."""
    severities = {block.code: block.severity for block in report.issues.blocks}
    rank = list(Severity)
    counted = [
        (code, severities[code].value, count)
        for code, count in report.issues.counts().items()
        if severities[code] is not Severity.INFO
    ]
    return tuple(sorted(counted, key=lambda one: (rank.index(Severity(one[1])), -one[2], one[0])))


def summary(report: ImportReport) -> dict[str, Any]:
    """What a batch keeps of its file's report, JSON-ready."""
    return {
        "read": report.rows_read,
        "valid": report.rows_valid,
        "rejected": report.rows_rejected,
        "skipped": report.rows_skipped,
        "reasons": [list(one) for one in reasons(report)],
    }


@dataclass(frozen=True, slots=True)
class Upload:
    """A file somebody uploaded and has not yet done with.

    Attributes:
        id: random; also the name of its folder.
        owner: id of the account; nobody else may see it.
        name: the file's name as uploaded: to show, never a path.
        suffix: of the stored file.
        size: bytes.
        received: when.
        request: what its owner said about it.
        offered: names and the place ids a check offered for each: a choice must be among them.
        outcome: what came of confirming it, None before.
        has_file: whether the file is still kept.
    """

    id: str
    owner: str
    name: str
    suffix: str
    size: int
    received: datetime
    request: Request = field(default_factory=Request)
    offered: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)
    outcome: Outcome | None = None
    has_file: bool = True

    @property
    def expires(self) -> datetime:
        """When it is removed at the latest."""
        return self.received + KEPT

    @property
    def is_done(self) -> bool:
        """Whether it was loaded, or turned out to hold nothing new."""
        return self.outcome is not None and self.outcome.problem is None

    def as_dict(self) -> dict[str, Any]:
        """The form kept beside the file."""
        said = self.request
        return {
            "id": self.id,
            "owner": self.owner,
            "name": self.name,
            "suffix": self.suffix,
            "size": self.size,
            "received": self.received.isoformat(),
            "request": {
                "dataset": said.dataset,
                "month": said.month,
                "crs": said.crs,
                "layer": said.layer,
                "encoding": said.encoding,
                "headers": [[sheet, *span] for sheet, span in said.headers.items()],
                "confirmed": [[*name, place_id] for name, place_id in said.confirmed.items()],
            },
            "offered": [[*name, list(ids)] for name, ids in self.offered.items()],
            "outcome": None if self.outcome is None else self.outcome.as_dict(),
            "has_file": self.has_file,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Upload:
        """The inverse of ``as_dict`` after JSON."""
        said = found["request"]
        return cls(
            id=found["id"],
            owner=found["owner"],
            name=found["name"],
            suffix=found["suffix"],
            size=found["size"],
            received=datetime.fromisoformat(found["received"]).astimezone(UTC),
            request=Request(
                dataset=said["dataset"],
                month=said["month"],
                crs=said["crs"],
                layer=said["layer"],
                encoding=said["encoding"],
                headers={sheet: (first, last) for sheet, first, last in said["headers"]},
                confirmed={(name, parent): one for name, parent, one in said["confirmed"]},
                name=found["name"],
            ),
            offered={(name, parent): tuple(ids) for name, parent, ids in found["offered"]},
            outcome=None if found["outcome"] is None else Outcome.from_dict(found["outcome"]),
            has_file=found["has_file"],
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place a written name may mean.

    Attributes:
        where: names of the places above it, from the top.
        score: likeness of the names, 0-100.
    """

    id: str
    name: str
    where: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Offer:
    """A written name without a place, and the places it may mean, the likeliest first."""

    name: str
    parent: str | None
    sheet: str | None
    row: int
    candidates: tuple[Candidate, ...]

    @property
    def key(self) -> Name:
        """What ``Request.confirmed`` is keyed by."""
        return self.name, self.parent

    @property
    def best(self) -> Candidate | None:
        """The candidate that may be taken without looking: ahead of all others."""
        if not self.candidates:
            return None
        first, *others = self.candidates
        return None if others and others[0].score >= first.score else first


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """An upload read and checked against what is stored.

    Attributes:
        upload: as it was when checked, with what its owner had said.
        offers: names that wait for a choice.
        months: months of a figures file, ascending.
        index: its issues, to look through.
        mark: another one for every check.
    """

    upload: Upload
    prepared: Prepared
    offers: tuple[Offer, ...]
    months: tuple[str, ...]
    index: IssueIndex
    mark: str

    @property
    def report(self) -> ImportReport:
        """What was found."""
        return self.prepared.report

    @property
    def loadable(self) -> bool:
        """Whether any row can be taken at all."""
        broken = self.report.issues.counts()
        whole = not any(broken[code] for code in NEVER_LOADED)
        return self.prepared.dataset is not None and not self.prepared.frame.empty and whole


NEVER_LOADED = ("FILE_CHANGED", "READ_STOPPED")
"""Issues after which no row of a file can be trusted."""


@dataclass(frozen=True, slots=True)
class Order:
    """One upload to load, as its owner saw it.

    Attributes:
        accept_valid_rows: take the valid rows though others are rejected.
        rejected: how many rows the owner was told are rejected; more than that are not accepted.
    """

    upload_id: str
    accept_valid_rows: bool = False
    rejected: int = 0

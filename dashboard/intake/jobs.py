"""Work that outlives the page that started it: a thread with its progress, and a way to stop it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from threading import BoundedSemaphore, Event, Lock, Thread
from typing import Generic, TypeVar

from dashboard.intake.model import Step, step_of
from geodata.errors import DudaoError, SystemProblem

_log = logging.getLogger(__name__)

_AT_ONCE = 2
"""Files read at the same time; each is a process with a core to itself."""

_TICK_S = 0.1

Result = TypeVar("Result")


class JobState(StrEnum):
    """How a job stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class Stopped(DudaoError):
    """LOAD_STOPPED: the person asked for it, and nothing was written."""

    def __init__(self) -> None:
        super().__init__(
            "LOAD_STOPPED", "已按您的要求停止，没有写入任何数据。", "如需导入，请重新开始。"
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line of progress and the seconds since the job began."""

    text: str
    step: Step | None
    at_s: float


class Job(Generic[Result]):
    """One piece of work in a thread of its own.

    Attributes:
        kind: ``check`` or ``load``.
        about: tells it from another of its kind.
        expected_s: how long it was thought to take, by what such work took before.
        error: why it failed; None while it runs and when it did not.
        result: what it gave; None before its end.
    """

    def __init__(
        self,
        kind: str,
        expected_s: float,
        work: Callable[[Job[Result]], Result],
        about: Hashable = None,
    ) -> None:
        self.kind = kind
        self.about = about
        self.expected_s = expected_s
        self.error: DudaoError | None = None
        self.result: Result | None = None
        self._work = work
        self._began = time.monotonic()
        self._ended: float | None = None
        self._asked = Event()
        self._over = Event()
        self._lock = Lock()
        self._lines: list[Line] = []
        self._state = JobState.RUNNING

    @classmethod
    def finished(cls, kind: str, result: Result) -> Job[Result]:
        """A job that had nothing to do."""
        job = cls(kind, 0.0, lambda _running: result)
        job._run()
        return job

    def start(self) -> None:
        """Begin; once only."""
        Thread(target=self._run, name=f"dudao-{self.kind}", daemon=True).start()

    def _run(self) -> None:
        try:
            self.result = self._work(self)
            state = JobState.DONE
        except Stopped as stopped:
            self.error, state = stopped, JobState.STOPPED
        except DudaoError as error:
            self.error, state = error, JobState.FAILED
        except Exception:
            _log.exception("a %s failed", self.kind)
            self.error = SystemProblem(
                "JOB_FAILED",
                "程序出错，没有写入任何数据。",
                "请重试；若仍出错，请把出现的时间告诉维护人员。",
            )
            state = JobState.FAILED
        self._ended = time.monotonic()
        self._state = state
        self._over.set()

    @property
    def state(self) -> JobState:
        """How it stands."""
        return self._state

    @property
    def is_over(self) -> bool:
        """Whether it has ended, however."""
        return self._over.is_set()

    @property
    def lines(self) -> tuple[Line, ...]:
        """Its progress so far."""
        with self._lock:
            return tuple(self._lines)

    @property
    def step(self) -> Step | None:
        """What it is doing."""
        return next((line.step for line in reversed(self.lines) if line.step is not None), None)

    @property
    def stoppable(self) -> bool:
        """Whether a stop still comes in time: publishing is one short transaction."""
        return not self.is_over and self.step is not Step.PUBLISH

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began, until its end."""
        return (self._ended or time.monotonic()) - self._began

    def wait(self, seconds: float) -> bool:
        """Wait for its end; whether it came."""
        return self._over.wait(seconds)

    def stop(self) -> None:
        """Ask it to end; it does at the next chance, or not at all once it publishes."""
        self._asked.set()

    def asked_to_stop(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked.is_set()

    def tell(self, text: str) -> None:
        """Note a line of progress, once if it repeats; ends the job here when a stop was asked for.

        Raises:
            Stopped
        """
        if self.asked_to_stop():
            raise Stopped
        with self._lock:
            if not self._lines or self._lines[-1].text != text:
                self._lines.append(Line(text, step_of(text), time.monotonic() - self._began))

    def pause(self, seconds: float) -> None:
        """Wait inside the work.

        Raises:
            Stopped: a stop was asked for meanwhile.
        """
        if self._asked.wait(seconds):
            raise Stopped


_turns = BoundedSemaphore(_AT_ONCE)


@contextmanager
def turn(job: Job[Result]) -> Iterator[None]:
    """Wait for one of the few places in which files are read.

    Raises:
        Stopped
    """
    if not _turns.acquire(blocking=False):
        job.tell("正在排队，等待其他文件读完")
        while not _turns.acquire(timeout=_TICK_S):
            job.pause(0)
    try:
        yield
    finally:
        _turns.release()


class Pace:
    """How long such work takes, learnt from what was done: seconds for a start and for a unit."""

    def __init__(self, start_s: float, unit_s: float) -> None:
        self._start_s = start_s
        self._unit_s = unit_s
        self._lock = Lock()

    def expect(self, units: float) -> float:
        """Seconds that so many units are expected to take."""
        with self._lock:
            return self._start_s + self._unit_s * units

    def learn(self, units: float, took_s: float) -> None:
        """Move a third of the way to what was just seen."""
        with self._lock:
            seen_s = max(0.0, took_s - self._start_s) / max(units, 1e-6)
            if units >= 1:
                self._unit_s += (seen_s - self._unit_s) / 3
            else:
                self._start_s += (max(took_s, 0.1) - self._start_s) / 3


class Board:
    """The jobs of this process by what they work on; the latest of each."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Job[object]] = {}
        self._lock = Lock()

    def put(self, place: str, upload_ids: Iterable[str], job: Job[object]) -> None:
        """Start a job on some uploads.

        Raises:
            DudaoError: UPLOAD_BUSY, another one is at work on one of them.
        """
        wanted = [(place, upload_id) for upload_id in upload_ids]
        with self._lock:
            for key in wanted:
                other = self._jobs.get(key)
                if other is not None and not other.is_over:
                    raise DudaoError(
                        "UPLOAD_BUSY", "这个文件正在检查或导入。", "请等它完成，或先停止它。"
                    )
            self._jobs.update(dict.fromkeys(wanted, job))
        job.start()

    def of(self, place: str, upload_id: str) -> Job[object] | None:
        """The latest job on an upload."""
        with self._lock:
            return self._jobs.get((place, upload_id))

    def forget(self, place: str, upload_id: str) -> None:
        """Stop an upload's job and forget it."""
        with self._lock:
            job = self._jobs.pop((place, upload_id), None)
        if job is not None:
            job.stop()

"""Many people at once against the real server: timed, each with a sign-in and a page."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import numpy as np
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from dashboard.access import SYSTEM
from dashboard.coverage import registry
from dashboard.store import Store
from tests.security.client import Client

MONTHS_USED = 6


@dataclass
class Record:
    """What happened: seconds by kind, and whatever went wrong."""

    times: dict[str, list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Time one thing; what it raises is a problem, and told no further."""
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            self.problems.append(f"{kind}: {type(error).__name__}: {error}")
        else:
            self.times.setdefault(kind, []).append(time.perf_counter() - began)

    def p95(self, *kinds: str) -> float:
        """The 95th percentile of some kinds taken together, in seconds."""
        return float(np.percentile([t for kind in kinds for t in self.times[kind]], 95))

    def told(self) -> str:
        """One line for each kind."""
        return "\n".join(
            f"{kind}: {len(times)} times, median {np.median(times):.3f} s, "
            f"p95 {np.percentile(times, 95):.3f} s, longest {max(times):.3f} s"
            for kind, times in sorted(self.times.items())
        )


@dataclass(frozen=True)
class Views:
    """Views people look at: places with places below, months, layers."""

    places: tuple[str, ...]
    months: tuple[str, ...]
    layers: tuple[str, ...]

    @classmethod
    def of(cls, store: Store) -> Views:
        """The views of a store: its root, counties and townships, and the latest months."""
        with store.unit(SYSTEM) as unit:
            found = [unit.root().id]
            frame = unit.place_frame()
            found += frame.loc[frame["level"].isin([3, 4]), "id"].tolist()
            months = unit.months()[-MONTHS_USED:]
        return cls(tuple(dict.fromkeys(found)), tuple(months), tuple(registry.layers()))

    def any(self, chance: random.Random) -> tuple[str, str, str]:
        """Place, month and layer."""
        return chance.choice(self.places), chance.choice(self.months), chance.choice(self.layers)


def watch(
    client: Client,
    views: Views,
    record: Record,
    until: float,
    think: Callable[[random.Random], float],
    chance: random.Random,
) -> None:
    """Look at one view after another until a moment of ``time.monotonic``.

    People do not open their pages in the same instant: the first view waits its turn too.
    """
    page = client.socket()
    try:
        time.sleep(max(0.0, min(think(chance), until - time.monotonic())))
        while time.monotonic() < until:
            place, month, layer = views.any(chance)
            with record.timed("page"):
                query = urlencode({"place": place, "month": month, "layer": layer})
                assert_shown(page.run(query=query))
            page.said.clear()
            with record.timed("layer"):
                answer = client.get(f"/layers/{layer}/{place}/{month}/0")
                assert answer.status == 200, answer.status
            time.sleep(max(0.0, min(think(chance), until - time.monotonic())))
    except Exception as error:
        record.problems.append(f"{type(error).__name__}: {error}")
    finally:
        page.close()


def assert_shown(heard: list[ForwardMsg]) -> None:
    """A run that ended well and shows no error.

    Raises:
        AssertionError
    """
    finished = heard[-1].script_finished
    assert finished == ForwardMsg.FINISHED_SUCCESSFULLY, finished
    shown = [said.delta.new_element for said in heard if said.WhichOneof("type") == "delta"]
    wrong = [each.exception.type for each in shown if each.WhichOneof("type") == "exception"]
    assert not wrong, wrong


def together(work: list[Callable[[], None]]) -> None:
    """Run all at once, each in a thread, to their ends."""
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


LOCKED = ("database is locked", "OperationalError", "LockNotAvailable", "deadlock", "Traceback")
"""What a server's log holds when a lock was not waited for, or something else went wrong."""


def complaints(log: str) -> list[str]:
    """Lines of a log that should not be there."""
    return [line for line in log.splitlines() if any(word in line for word in LOCKED)]

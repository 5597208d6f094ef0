"""A process that loads on command, so that tests can kill it or run it beside another.

Each line of standard input is a JSON order; each is answered by one line on standard output. The
orders run in forks of this process: it has imported everything and started no thread yet.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from dashboard.access import SYSTEM
from dashboard.store import Store
from dashboard.store.audit import anchor
from dashboard.store.commit import commit
from dashboard.store.engine import compiled
from dashboard.store.undo import undo
from geodata.errors import DudaoError
from tests.store import world


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Load the figures of an order, or undo its batch; the answer says what came of it."""
    store = Store.open(order["data"], order["url"])
    lines: list[str] = []
    counter = _Killer(order.get("kill_after"), order.get("kill_behind"))
    sys.setprofile(counter)
    try:
        if "undo" in order:
            batch: int | None = undo(store, SYSTEM, order["undo"], world.PAIRS).batch
        else:
            change = world.figures_change(world.figures(*order["months"], base=order["base"]))
            batch = commit(store, SYSTEM, change, world.PAIRS, lines.append).batch
    except DudaoError as error:
        return {"error": error.code}
    finally:
        sys.setprofile(None)
    return {"batch": batch, "events": counter.seen, "visible": counter.visible, "progress": lines}


class _Killer:
    """Counts calls and returns, and ends the process without any goodbye at the chosen one.

    Args:
        after: calls and returns until then.
        behind: calls and returns behind the commit of the promoting transaction.

    Attributes:
        visible: the count when that was committed.
    """

    def __init__(self, after: int | None, behind: int | None) -> None:
        self._limit = after
        self._behind = behind
        self.seen = 0
        self.visible = 0

    def __call__(self, frame: Any, _event: str, _argument: Any) -> None:
        self.seen += 1
        if not self.visible and frame.f_code is anchor.__code__:
            self.visible = self.seen
            if self._behind is not None:
                self._limit = self.seen + self._behind
        if self.seen == self._limit:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Answer orders until the input ends."""
    # Once for all forks: most of the calls of a small load are ibis writing this out.
    compiled((1, 2, 3, 4), "duckdb")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            print(json.dumps(run(json.loads(line))), flush=True)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            print(json.dumps({"killed": os.WTERMSIG(status)}), flush=True)
        elif os.WEXITSTATUS(status):
            print(json.dumps({"failed": os.WEXITSTATUS(status)}), flush=True)


if __name__ == "__main__":
    main()

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

from dashboard.store import Store
from dashboard.store.commit import commit
from dashboard.store.engine import compiled
from geodata.errors import DudaoError
from tests.store import world


def run(order: dict[str, Any]) -> dict[str, Any]:
    """Load the figures of an order; the answer says what came of it."""
    store = Store.open(order["data"], order["url"])
    change = world.figures_change(world.figures(*order["months"], base=order["base"]))
    lines: list[str] = []
    counter = _KillAfter(order.get("kill_after"))
    sys.setprofile(counter)
    try:
        result = commit(store, change, world.PAIRS, lines.append)
    except DudaoError as error:
        return {"error": error.code}
    finally:
        sys.setprofile(None)
    return {"batch": result.batch, "events": counter.seen, "progress": lines}


class _KillAfter:
    """Counts calls and returns, and ends the process without any goodbye at the chosen one."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.seen = 0

    def __call__(self, _frame: Any, _event: str, _argument: Any) -> None:
        self.seen += 1
        if self.seen == self._limit:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Answer orders until the input ends."""
    # Once for all forks: most of the calls of a small load are ibis writing this out.
    compiled((1, 2, 3, 4))
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

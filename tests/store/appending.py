"""Appends to the audit from several threads until told to stop or killed: run by test_audit."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from dashboard.access import SYSTEM
from dashboard.store import Store
from geodata.errors import DudaoError


def main(directory: str, url: str, threads: int, rows: int) -> None:
    """Each thread does ``rows`` things (0: without end): notes, changes, changes that fail."""
    store = Store.open(Path(directory), url or None)
    print("open", flush=True)

    def work(number: int) -> None:
        done = 0
        while not rows or done < rows:
            subject = f"{number}/{done}"
            if done % 3 == 0:
                store.record(SYSTEM, "backup.make", subject=subject)
            elif done % 3 == 1:
                with store.command(SYSTEM, "backup.make", subject=subject):
                    pass
            else:
                try:
                    with store.command(SYSTEM, "backup.make", subject=subject):
                        raise DudaoError("DISK_FULL", "磁盘已满。", "请清理。")
                except DudaoError:
                    pass
            done += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

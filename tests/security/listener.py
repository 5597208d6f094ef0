"""A real TCP listener that notes every connection."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Listener:
    """Listens on 127.0.0.1 while entered; ``seen`` holds what was sent to it."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._noted = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def prove_that_it_listens(self) -> None:
        """Connect and see that it is noted."""
        with socket.create_connection(("127.0.0.1", self.port)) as caller:
            caller.sendall(b"hello")
        with self._noted:
            assert self._noted.wait_for(lambda: b"hello" in self.seen, 10)

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            with caller:
                caller.settimeout(2)
                try:
                    said = caller.recv(1000)
                except OSError:
                    said = b""
            with self._noted:
                self.seen.append(said)
                self._noted.notify_all()

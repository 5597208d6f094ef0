"""One request put to an ASGI application without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[Header]
    body: bytes

    def header(self, name: str) -> str:
        """A header's value, empty without one."""
        return next((value.decode() for key, value in self.headers if key == name.encode()), "")


async def _call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def ask(
    app: ASGIApp,
    path: str,
    headers: Sequence[Header],
    method: str = "GET",
    body: bytes = b"",
    scheme: str = "http",
) -> Answer:
    """Put one request, the path already decoded as a server does."""
    sent: list[Message] = []
    coming = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": list(headers), "scheme": scheme, "root_path": "",
        "http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8501),
    }  # fmt: skip
    # A thread of its own: the browser tests' Playwright keeps a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(_call(app, scope, receive, send))).result()
    start = next(message for message in sent if message["type"] == "http.response.start")
    said = b"".join(
        message.get("body", b"") for message in sent if message["type"] == "http.response.body"
    )
    return Answer(start["status"], list(start["headers"]), said)

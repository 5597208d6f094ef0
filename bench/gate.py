"""What the gate adds to a request and to a page's message, with a sign-in looked up each time.

In one process and without a socket: the same small application asked through the gate and without
it, and a message handed on by the gate's socket and without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from bench.processes import signed_in
from dashboard.accounts import service as accounts
from dashboard.gate.cookies import PLAIN
from dashboard.gate.middleware import Gate
from dashboard.gate.sockets import Pages, Socket
from dashboard.settings import Settings
from dashboard.store import Store

TURNS = 500
_HOST = b"127.0.0.1:8501"


def run() -> dict[str, Any]:
    """Medians in milliseconds."""
    with TemporaryDirectory() as directory:
        store = Store.open(directory)
        try:
            return asyncio.run(_measure(store, signed_in(store)))
        finally:
            store.close()


async def _measure(store: Store, token: str) -> dict[str, Any]:
    settings = Settings(host="127.0.0.1", port=8501)
    gate = Gate(_application, settings, lambda: store)
    headers = [(b"host", _HOST), (b"cookie", f"{PLAIN}={token}".encode())]
    scope = {
        "type": "http", "method": "GET", "path": "/layers/a/b/c/d", "query_string": b"",
        "headers": headers, "root_path": "", "client": ("127.0.0.1", 1),
    }  # fmt: skip
    found = accounts.signed_in(store, token)
    if found is None:
        raise RuntimeError("the sign-in does not hold")
    message = BackMsg()
    message.rerun_script.query_string = "place=131025000000&layer=contract_coverage"
    coming: Message = {"type": "websocket.receive", "bytes": message.SerializeToString()}

    async def receive() -> Message:
        return coming

    socket = Socket(
        found.session_id,
        receive,
        _nowhere,
        Pages(),
        partial(accounts.session_alive, store, found.session_id),
        lambda kind: None,
    )
    await socket.receive()
    through = await _median(lambda: gate(scope, receive, _nowhere))
    alone = await _median(lambda: _application(scope, receive, _nowhere))
    judged = await _median(socket.receive)
    return {
        "turns": TURNS,
        "request_ms": through - alone,
        "message_ms": judged,
        "look_up_ms": await _median(partial(_look_up, store, token)),
    }


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _nowhere(message: Message) -> None:
    return


async def _look_up(store: Store, token: str) -> None:
    accounts.signed_in(store, token)


async def _median(once: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(TURNS):
        began = time.perf_counter()
        await once()
        taken.append(1000 * (time.perf_counter() - began))
    return median(taken)

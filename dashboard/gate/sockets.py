"""The page's websocket: who is on it, what it may say, and its end when the sign-in ends.

Streamlit itself asks nobody who they are after the handshake. Here every message looks the sign-in
up again before Streamlit sees it, only the kinds of message the pages need pass, and what one
person's page is called (Streamlit's session id) is of use to nobody else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from google.protobuf.message import DecodeError
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

_log = logging.getLogger(__name__)

ENDED = 4401
"""Close code: the sign-in ended; the page goes to the sign-in page."""
NOT_BINARY, UNREADABLE = 1003, 1002

MESSAGE_BYTES = 4 * 2**20
"""The most a page may say at once; the websocket server closes with 1009 beyond it."""

WATCH_EVERY_S = 2.0
PAGES_REMEMBERED = 20_000

MESSAGES = frozenset({"rerun_script", "stop_script", "file_urls_request"})
"""What a page may send: run again, stop running, where to upload a file. The rest of Streamlit's
messages empty caches for everybody, read the repository, watch files, install software or query
frames past the page, and no page needs them."""


class Pages:
    """Which sign-in each of Streamlit's sessions belongs to, the oldest forgotten first."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def belongs(self, page: str, session_id: str) -> bool:
        """Whether a page was opened under this sign-in."""
        with self._lock:
            return self._owners.get(page) == session_id

    def learn(self, page: str, session_id: str) -> None:
        """Note who opened a page; the first who did keeps it."""
        with self._lock:
            self._owners.setdefault(page, session_id)
            if len(self._owners) > PAGES_REMEMBERED:
                self._owners.popitem(last=False)

    def forget(self, session_id: str) -> None:
        """Forget the pages of a sign-in that ended: they cannot be resumed."""
        with self._lock:
            for page in [page for page, owner in self._owners.items() if owner == session_id]:
                del self._owners[page]


class Sockets:
    """The open websockets of this process by sign-in."""

    def __init__(self) -> None:
        self._open: dict[str, set[Socket]] = {}
        self._lock = Lock()

    def add(self, socket: Socket) -> None:
        """A socket was opened."""
        with self._lock:
            self._open.setdefault(socket.session_id, set()).add(socket)

    def remove(self, socket: Socket) -> None:
        """A socket is done with."""
        with self._lock:
            left = self._open.get(socket.session_id, set())
            left.discard(socket)
            if not left:
                self._open.pop(socket.session_id, None)

    def sessions(self) -> list[str]:
        """The sign-ins that have a socket open."""
        with self._lock:
            return list(self._open)

    def end(self, session_ids: Iterable[str]) -> None:
        """Close every socket of these sign-ins now; may be called from any thread."""
        with self._lock:
            ended = [socket for each in session_ids for socket in self._open.get(each, ())]
        for socket in ended:
            socket.end_soon()


class Socket:
    """One websocket between a page and Streamlit.

    Args:
        alive: whether the sign-in still holds; asked in a thread for every message.
        refused: told the kind of a message that was dropped, once a kind.
    """

    def __init__(
        self,
        session_id: str,
        receive: Receive,
        send: Send,
        pages: Pages,
        alive: Callable[[], bool],
        refused: Callable[[str], None],
    ) -> None:
        self.session_id = session_id
        self._receive = receive
        self._send = send
        self._pages = pages
        self._alive = alive
        self._refused = refused
        self._dropped: set[str] = set()
        self._page: str | None = None
        self._connected = self._closed = False
        self._ended = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Serve the page until either side ends it."""
        await app(scope, self.receive, self.send)
        if self._closing is not None:
            await self._closing

    def end_soon(self) -> None:
        """Close with 4401 as soon as the loop turns; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._end, ENDED)

    def _end(self, code: int) -> None:
        if not self._ended.is_set():
            self._ended.set()
            # A page that reads nothing must not hold the close back, nor what follows it.
            self._closing = self._loop.create_task(self._close(code))

    async def _close(self, code: int) -> None:
        if self._closed:
            return
        try:
            await self._send({"type": "websocket.close", "code": code})
        except OSError:
            _log.info("a page was gone before its socket was closed")

    async def receive(self) -> Message:
        """The next message that may pass; a disconnect once the sign-in has ended."""
        while True:
            message = await self._next()
            if message["type"] != "websocket.receive":
                return message
            code = await self._judge(message)
            if code is None:
                return message
            if code:
                self._end(code)

    async def _next(self) -> Message:
        if not self._connected:
            self._connected = True
            return await self._receive()
        if not self._ended.is_set():
            coming = asyncio.ensure_future(self._receive())
            ended = asyncio.ensure_future(self._ended.wait())
            try:
                await asyncio.wait((coming, ended), return_when=asyncio.FIRST_COMPLETED)
                if coming.done() and not self._ended.is_set():
                    return coming.result()
            finally:
                coming.cancel()
                ended.cancel()
        return {"type": "websocket.disconnect", "code": ENDED}

    async def _judge(self, message: Message) -> int | None:
        """None to let a message pass, 0 to drop it, else the code to close with."""
        data = message.get("bytes")
        if data is None:
            return NOT_BINARY
        if not await run_in_threadpool(self._alive):
            return ENDED
        if self._ended.is_set():
            return 0
        try:
            kind = BackMsg.FromString(data).WhichOneof("type") or "empty"
        except DecodeError:
            return UNREADABLE
        if kind in MESSAGES:
            return None
        if kind not in self._dropped:
            self._dropped.add(kind)
            await run_in_threadpool(self._refused, kind)
        return 0

    async def send(self, message: Message) -> None:
        """Pass what Streamlit says on to the page; nothing after the sign-in has ended."""
        if self._ended.is_set():
            return
        self._closed = self._closed or message["type"] == "websocket.close"
        if self._page is None and message["type"] == "websocket.send":
            self._read_page(message["bytes"])
        await self._send(message)

    def _read_page(self, data: bytes) -> None:
        """Learn from the first run's first message what Streamlit calls this page."""
        said = ForwardMsg.FromString(data)
        if said.WhichOneof("type") == "new_session":
            self._page = said.new_session.initialize.session_id
            self._pages.learn(self._page, self.session_id)

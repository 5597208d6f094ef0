"""Files made for one person: kept in memory for a while, handed out under that sign-in only.

Streamlit's ``/media`` answers whoever knows an address and keeps what it holds as long as the page
lives, so nothing of ours is put there. The route that hands them out is the gate's.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from geodata.errors import DudaoError

KEPT_S = 15 * 60
MOST_OFFERS = 500
MOST_BYTES = 256 * 2**20
PATH = "/download/"


@dataclass(frozen=True, slots=True)
class Offer:
    """One file.

    Attributes:
        make: gives its bytes when it is fetched.
        held: bytes it holds in memory until then.
        until: on the monotonic clock.
    """

    session_id: str
    name: str
    media_type: str
    make: Callable[[], bytes]
    held: int
    until: float


class Downloads:
    """What is on offer, the oldest given up first when there is too much."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._lock = Lock()

    def offer(
        self, session_id: str, name: str, media_type: str, content: bytes | Callable[[], bytes]
    ) -> str:
        """Put a file on offer to one sign-in for 15 minutes; gives its address.

        ``content`` is the bytes, or makes them whenever the file is fetched.

        Raises:
            DudaoError: DOWNLOAD_TOO_LARGE.
        """
        if isinstance(content, bytes):
            held = content
            make, size = (lambda: held), len(held)
        else:
            make, size = content, 0
        if size > MOST_BYTES:
            raise DudaoError(
                "DOWNLOAD_TOO_LARGE",
                f"文件“{name}”有 {size // 2**20} MB，超过可下载的 {MOST_BYTES // 2**20} MB。",
                "请缩小范围后分次下载。",
            )
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._expire()
            self._offers[token] = Offer(
                session_id, name, media_type, make, size, self._clock() + KEPT_S
            )
            while (
                len(self._offers) > MOST_OFFERS
                or sum(offer.held for offer in self._offers.values()) > MOST_BYTES
            ):
                self._offers.popitem(last=False)
        return PATH + token

    def find(self, token: str) -> Offer | None:
        """The offer of a token, None when there is none or no longer."""
        with self._lock:
            self._expire()
            return self._offers.get(token)

    def forget(self, session_id: str) -> None:
        """Give up what was offered to a sign-in that ended."""
        with self._lock:
            for token in [
                token for token, offer in self._offers.items() if offer.session_id == session_id
            ]:
                del self._offers[token]

    def _expire(self) -> None:
        now = self._clock()
        for token in [token for token, offer in self._offers.items() if offer.until <= now]:
            del self._offers[token]


_downloads = Downloads()
offer = _downloads.offer
find = _downloads.find
forget = _downloads.forget

"""What every answer says to the browser about itself."""

from __future__ import annotations

from urllib.parse import urlsplit

from dashboard.gate.door import Door
from dashboard.gate.rules import Policy
from dashboard.settings import Settings
from dashboard.ui.tiles import Tiles

HEADERS_DROPPED = frozenset({b"server", b"x-powered-by"})
HEADERS_DROPPED_PREFIX = b"access-control-"

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (
        b"permissions-policy",
        b"accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
        b"magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class Headers:
    """The headers of one site: computed once, given to every answer.

    Inline style is allowed to pages because Streamlit's own components write style elements and
    attributes. Scripts of a page come from our own files only; WebAssembly, which Streamlit's
    message reader asks for its 64-bit numbers, may be compiled. The map's frame is the exception:
    streamlit-folium runs the map as the text of a script element and each rerun's layers with
    ``eval``. Event handlers in attributes, which is what hostile text in a popup would use, are
    refused there too, and no policy lets a script load or send anything elsewhere.
    """

    def __init__(self, settings: Settings, door: Door) -> None:
        self._door = door
        self._common = _ALWAYS + ((_STRICT_TRANSPORT,) if settings.secure else ())
        self._images = " ".join(["'self'", "data:", "blob:", *_tile_hosts(settings)])

    def of(self, policy: Policy, host: str) -> list[tuple[bytes, bytes]]:
        """The headers an answer of this policy gets, asked for under ``host``."""
        framed = policy is Policy.FRAME
        return [
            *self._common,
            (b"x-frame-options", b"SAMEORIGIN" if framed else b"DENY"),
            (b"content-security-policy", self._content(policy, host).encode("latin-1")),
        ]

    def _content(self, policy: Policy, host: str) -> str:
        ends = "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors "
        if policy is Policy.PLAIN:
            return (
                "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
                f"script-src 'self'; {ends}'none'"
            )
        connect = f"connect-src 'self' {self._door.socket_origin(host)}"
        common = (
            f"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src {self._images}; "
            f"font-src 'self' data:; {connect}; "
        )
        if policy is Policy.FRAME:
            return (
                f"{common}script-src 'self' 'unsafe-inline' 'unsafe-eval'; script-src-attr 'none'; "
                f"frame-src 'none'; worker-src 'none'; {ends}'self'"
            )
        return (
            f"{common}script-src 'self' 'wasm-unsafe-eval' blob:; frame-src 'self'; "
            f"worker-src 'self' blob:; {ends}'none'"
        )


def _tile_hosts(settings: Settings) -> list[str]:
    """The hosts tiles come from, as sources: ``{s}`` stands for one of several subdomains."""
    tiles = Tiles.of(settings)
    hosts = set()
    for url in tiles.urls:
        parts = urlsplit(url)
        if "{s}" in parts.netloc:
            hosts |= {
                f"{parts.scheme}://{parts.netloc.replace('{s}', part)}" for part in tiles.subdomains
            }
        else:
            hosts.add(f"{parts.scheme}://{parts.netloc}")
    return sorted(hosts)

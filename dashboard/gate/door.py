"""Under which names the site may be asked for, and from which origin a request may come."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from dashboard.settings import ANY_ADDRESS, Settings

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Door:
    """The names of the site.

    Attributes:
        hosts: values of ``Host`` taken, in lower case and without the scheme's own port.
        scheme: ``https`` when the site is served over TLS, by itself or by a proxy before it.
    """

    hosts: frozenset[str]
    scheme: str

    @classmethod
    def of(cls, settings: Settings) -> Door:
        """The address listened on, the local names with the same port, and what was set."""
        scheme = "https" if settings.secure else "http"
        hosts = {f"{name}:{settings.port}" for name in LOCAL_NAMES}
        if settings.host not in ANY_ADDRESS:
            bare = f"[{settings.host}]" if ":" in settings.host else settings.host
            hosts.add(f"{bare}:{settings.port}")
        hosts |= set(settings.hosts)
        if settings.public_url:
            hosts.add(urlsplit(settings.public_url).netloc)
        return cls(frozenset(_plain(host, scheme) for host in hosts), scheme)

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` is a name of the site."""
        return _plain(host, self.scheme) in self.hosts

    def same_origin(self, origin: str | None, host: str) -> bool:
        """Whether a request's ``Origin`` is the site it asks, scheme and port included."""
        if origin is None:
            return False
        scheme, separator, asked = origin.partition("://")
        return (
            bool(separator)
            and scheme == self.scheme
            and _plain(asked, scheme) == _plain(host, self.scheme)
        )

    def socket_origin(self, host: str) -> str:
        """The origin of websockets to the site, for the content security policy."""
        return f"{'wss' if self.scheme == 'https' else 'ws'}://{host}"


def _plain(host: str, scheme: str) -> str:
    return host.lower().removesuffix(_DEFAULT_PORTS[scheme])

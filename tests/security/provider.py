"""The identity provider of attack 8, and a browser that walks through it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx2

SOURCE = Path(__file__).with_name("oidc")
CACHE = Path(__file__).parents[1] / "out" / "oidc"
"""Where npm installs it; not in git."""

FILES = ("package.json", "package-lock.json", "provider.mjs")
WITHIN_S = 30
_STEPS_MOST = 12


def installed() -> Path:
    """A folder with the provider and what it needs, by the lock file; made once."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = CACHE / hashlib.sha256(lock).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(SOURCE / name, folder / name)
    if not (folder / ".installed").exists():
        subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        (folder / ".installed").touch()
    return folder


@contextmanager
def providing(port: int, site: str) -> Iterator[str]:
    """Run the provider for a site; gives the issuer."""
    folder, issuer = installed(), f"http://127.0.0.1:{port}"
    with (folder / "provider.log").open("wb") as log:
        process = subprocess.Popen(
            ["node", "provider.mjs", str(port), site], cwd=folder, stdout=log, stderr=log
        )
        try:
            _wait(issuer, process, folder / "provider.log")
            yield issuer
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(issuer: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + WITHIN_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            if httpx2.get(f"{issuer}/.well-known/openid-configuration").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the provider did not start:\n{log.read_text(errors='replace')}")


@dataclass
class Visitor:
    """One browser: its cookies, and the way through the provider's own pages."""

    site: str
    issuer: str

    def __post_init__(self) -> None:
        self.browser = httpx2.Client(timeout=WITHIN_S)

    def get(self, address: str) -> httpx2.Response:
        """Open an address of the site; nothing is followed."""
        return self.browser.get(urljoin(self.site, address))

    def post(self, address: str) -> httpx2.Response:
        """Send an empty form as a page of the site does."""
        return self.browser.post(urljoin(self.site, address), headers={"Origin": self.site})

    def start(self, target: str = "/data") -> str:
        """Begin a sign-in; gives the provider's address it leads to."""
        answer = self.browser.get(f"{self.site}/oidc/login", params={"next": target})
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    def walk(self, address: str, name: str) -> str:
        """Sign in at the provider under a name; gives the address it sends the browser back to."""
        for _ in range(_STEPS_MOST):
            if address.startswith(self.site):
                return address
            answer = self.browser.get(address)
            if answer.status_code == 200:
                (prompt,) = re.findall(r'name="prompt" value="(\w+)"', answer.text)
                answer = self.browser.post(
                    address, data={"prompt": prompt, "login": name, "password": "x"}
                )
            assert answer.status_code in (302, 303), (address, answer.status_code, answer.text)
            address = urljoin(address, answer.headers["location"])
        raise AssertionError(f"lost at {address}")

    def come_back(self, name: str) -> str:
        """Begin a sign-in and go through the provider; gives the address back, not opened."""
        return self.walk(self.start(), name)

    def enter(self, name: str) -> httpx2.Response:
        """The whole way in."""
        return self.get(self.come_back(name))

    @property
    def token(self) -> str | None:
        """The session token the site gave."""
        return self.browser.cookies.get("dudao")

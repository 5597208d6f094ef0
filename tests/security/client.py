"""A client without manners: sends what a browser never would, byte for byte."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

COOKIE = "dudao"
STREAM = "/_stcore/stream"
_DEMONSTRATION = re.compile(r'class="person" name="login" value="([^"]+)"')
WITHIN_S = 30


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def code(self) -> str:
        """The code of our error, or nothing."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return ""
        return str(said["error"]["code"]) if isinstance(said, dict) and "error" in said else ""


@dataclass
class Client:
    """One browser's worth of cookies against one server.

    Attributes:
        address: ``http://127.0.0.1:PORT``.
    """

    address: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def netloc(self) -> str:
        return urlsplit(self.address).netloc

    def _peer(self) -> tuple[str, int]:
        host, _, port = self.netloc.rpartition(":")
        return host, int(port)

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: Any = None,
        host: str | None = None,
        keep: bool = True,
    ) -> Answer:
        """Send one request as it is written: the path is not normalised.

        Args:
            host: another ``Host``; empty: none at all.
            keep: whether cookies that come back are kept.
        """
        connection = http.client.HTTPConnection(self.netloc, timeout=WITHIN_S)
        connection._validate_path = lambda url: None  # type: ignore[attr-defined]
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            sent = {"Host": self.netloc if host is None else host}
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
            sent |= headers or {}
            if isinstance(body, bytes) and "Transfer-Encoding" not in sent:
                sent.setdefault("Content-Length", str(len(body)))
            for key, value in sent.items():
                if key != "Host" or value:
                    connection.putheader(key, value)
            connection.endheaders()
            self._send_body(connection, body)
            got = connection.getresponse()
            answer = Answer(got.status, got.headers, got.read())
        finally:
            connection.close()
        if keep:
            self._take_cookies(answer)
        return answer

    @staticmethod
    def _send_body(connection: http.client.HTTPConnection, body: Any) -> None:
        """Bytes, or an iterable of chunks; a server that has answered may have hung up."""
        try:
            if isinstance(body, bytes):
                connection.send(body)
            elif body is not None:
                for chunk in body:
                    connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return

    def _take_cookies(self, answer: Answer) -> None:
        for line in answer.headers.get_all("set-cookie", []):
            key, _, value = line.split(";")[0].partition("=")
            value = value.strip('"')
            if value:
                self.cookies[key] = value
            else:
                self.cookies.pop(key, None)

    def get(self, path: str, **headers: str) -> Answer:
        """A plain GET."""
        return self.request("GET", path, {key.replace("_", "-"): v for key, v in headers.items()})

    def post(
        self, path: str, form: dict[str, str], headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a form as a page of the site does."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.address}
        return self.request("POST", path, sent | (headers or {}), urlencode(form).encode())

    def sign_in(self, login: str, password: str) -> Client:
        """Sign in through the form.

        Raises:
            AssertionError: the site did not let this account in.
        """
        answer = self.post("/login", {"login": login, "password": password})
        assert answer.status == 303, (answer.status, answer.body.decode(errors="replace")[:400])
        assert self.cookies.get(COOKIE)
        self.get("/_stcore/health")
        return self

    def enter_demonstration(self, login: str | None = None) -> Client:
        """Sign in as a demonstration account, the first on the sign-in page when none is named.

        Raises:
            AssertionError: there is none, or the site did not let it in.
        """
        if login is None:
            offered = _DEMONSTRATION.search(self.get("/login").body.decode())
            assert offered is not None, "no demonstration account on the sign-in page"
            login = offered[1]
        answer = self.post("/login/demonstration", {"login": login})
        assert answer.status == 303, (answer.status, answer.body.decode(errors="replace")[:400])
        self.get("/_stcore/health")
        return self

    def browser_cookies(self) -> list[Any]:
        """The cookies, as a browser's context takes them."""
        return [
            {"name": name, "value": value, "url": self.address}
            for name, value in self.cookies.items()
        ]

    def socket(
        self,
        origin: str | None = "own",
        host: str | None = None,
        headers: dict[str, str] | None = None,
        resume: str | None = None,
        cookie: bool = True,
        path: str = STREAM,
    ) -> Page:
        """Open the page's websocket.

        Args:
            origin: ``own`` for the site's, None for no header.
            resume: a Streamlit session to resume.

        Raises:
            InvalidStatus: refused.
        """
        sent = dict(headers or {})
        if cookie and self.cookies:
            sent["Cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        protocols = ["streamlit", "token", *([resume] if resume else [])]
        return Page(
            connect(
                f"ws://{host or self.netloc}{path}",
                sock=socket.create_connection(self._peer(), WITHIN_S),
                origin=Origin(self.address) if origin == "own" else (origin and Origin(origin)),
                additional_headers=sent,
                subprotocols=[Subprotocol(each) for each in protocols],
                max_size=None,
                proxy=None,
                legacy=True,
            )
        )

    def refused(self, **asked: Any) -> int:
        """The status a websocket is refused with.

        Raises:
            AssertionError: it was let in.
        """
        try:
            page = self.socket(**asked)
        except InvalidStatus as error:
            return error.response.status_code
        page.close()
        raise AssertionError(f"let in: {asked}")


class Page:
    """A page as Streamlit's front end runs it, without a screen."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.session = ""
        self.said: list[ForwardMsg] = []

    def close(self) -> None:
        """Hang up."""
        self.connection.close()

    def send(self, message: BackMsg) -> None:
        """Send one message."""
        self.connection.send(message.SerializeToString())

    def run(
        self, query: str = "", fragment: str = "", button: str = "", page_name: str = ""
    ) -> list[ForwardMsg]:
        """Ask for a run, of a fragment or with a button pressed, and wait for its end."""
        self.send(rerun(query, fragment, button, page_name))
        return self.until("script_finished")

    def until(self, kind: str) -> list[ForwardMsg]:
        """Read until a message of this kind.

        Raises:
            ConnectionClosed: the server hung up.
        """
        heard = []
        while True:
            said = ForwardMsg.FromString(_bytes(self.connection.recv(timeout=WITHIN_S)))
            heard.append(said)
            self.said.append(said)
            if said.WhichOneof("type") == "new_session":
                self.session = said.new_session.initialize.session_id
            if said.WhichOneof("type") == kind:
                return heard

    def closed_with(self, within_s: float = WITHIN_S) -> int | None:
        """The code the server closes with; whatever it still says is read and dropped."""
        end = time.monotonic() + within_s
        try:
            while time.monotonic() < end:
                self.connection.recv(timeout=max(0.01, end - time.monotonic()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        except TimeoutError:
            pass
        raise AssertionError("the server did not close")

    def deltas(self) -> list[Any]:
        """Every delta heard so far."""
        return [said.delta for said in self.said if said.WhichOneof("type") == "delta"]

    def texts(self) -> str:
        """Everything heard so far as text, to look for what must not be there."""
        return "\n".join(str(said) for said in self.said).replace("\\'", "'")


def _bytes(data: str | bytes) -> bytes:
    assert isinstance(data, bytes)
    return data


def rerun(query: str = "", fragment: str = "", button: str = "", page_name: str = "") -> BackMsg:
    """A message that asks for a run."""
    message = BackMsg()
    message.rerun_script.query_string = query
    message.rerun_script.fragment_id = fragment
    message.rerun_script.page_name = page_name
    if button:
        state = message.rerun_script.widget_states.widgets.add()
        state.id = button
        state.trigger_value = True
    return message

"""Every path the server answers, by whom and how it may be asked. What is not here does not exist.

Streamlit's metrics, script health check, message, agent and sign-in routes and its public media
store are left out on purpose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

READ = frozenset({"GET", "HEAD"})
FORM = READ | {"POST"}
FORM_BYTES = 64 * 1024


class Policy(StrEnum):
    """Which content security policy an answer carries."""

    PAGE = "page"
    FRAME = "frame"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Rule:
    """One path, or all beneath it.

    Attributes:
        path: exact, or a prefix when it ends in ``/`` and something must follow.
        methods: what it may be asked with; empty for a websocket.
        open: whether it answers people who are not signed in.
        policy: of its answers.
        body: the most bytes a request may carry; None: the setting ``max_upload_mb``.
    """

    path: str
    methods: frozenset[str]
    open: bool = False
    policy: Policy = Policy.PLAIN
    body: int | None = 0

    def covers(self, path: str) -> bool:
        """Whether it is about this path."""
        if self.path.endswith("/") and self.path != "/":
            return path.startswith(self.path) and path != self.path
        return path == self.path


HEALTH = "/_stcore/health"
HOST_CONFIG = "/_stcore/host-config"
STREAM = "/_stcore/stream"
STATIC = "/static/"
UPLOADS = "/_stcore/upload_file/"

RULES = (
    Rule("/healthz", READ, open=True),
    Rule("/assets/", READ, open=True),
    Rule("/login", FORM, open=True, body=FORM_BYTES),
    Rule("/login/", FORM, open=True, body=FORM_BYTES),
    Rule("/oidc/", FORM, open=True, body=FORM_BYTES),
    Rule("/logout", frozenset({"POST"}), body=FORM_BYTES),
    Rule("/layers/", READ),
    Rule("/sites/", READ),
    Rule("/doubts/", READ),
    Rule("/looks/", READ),
    Rule("/download/", READ),
    Rule(HEALTH, READ),
    Rule(HOST_CONFIG, READ),
    Rule(STREAM, frozenset()),
    Rule(UPLOADS, frozenset({"PUT", "DELETE"}), body=None),
    Rule("/_stcore/bidi-components/", READ),
    Rule(STATIC, READ),
    Rule("/component/", READ, policy=Policy.FRAME),
    Rule("/", READ, policy=Policy.PAGE),
)

_PAGE = Rule("/{page}", READ, policy=Policy.PAGE)
_PAGE_PATH = re.compile(r"/[a-z][a-z0-9_-]{0,39}")
_RESERVED = frozenset(
    {"/media", "/static", "/component", "/assets", "/oidc", "/auth", "/oauth2callback"}
)

_MALFORMED = re.compile(r"[\x00-\x1f\x7f\\]|//|/\.{1,2}(/|$)")
_OPEN_PATH = re.compile(r"[A-Za-z0-9._@/-]*")


def malformed(path: str) -> bool:
    """Whether a path, percent-decoded once as the router sees it, is one no page of ours has.

    Control characters, backslashes, empty segments and dot segments are refused outright, so
    that no two readers of a path can disagree about it.
    """
    return not path.startswith("/") or _MALFORMED.search(path) is not None


def rule_of(path: str) -> Rule | None:
    """The rule of a path, None when there is no such path.

    An open path holds only plain characters; anything escaped twice, a ``;`` or a ``%`` is not one.
    """
    for rule in RULES:
        if rule.covers(path):
            return rule if not rule.open or _OPEN_PATH.fullmatch(path) else None
    if _PAGE_PATH.fullmatch(path) and path not in _RESERVED:
        return _PAGE
    return None

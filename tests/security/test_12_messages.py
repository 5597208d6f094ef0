"""Attack 12: messages Streamlit obeys and no page of ours sends."""

from __future__ import annotations

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from dashboard.gate.sockets import ENDED, MESSAGE_BYTES, MESSAGES, NOT_BINARY, UNREADABLE
from tests.security.client import rerun
from tests.security.served import Served

KINDS = [each.name for each in BackMsg.DESCRIPTOR.oneofs_by_name["type"].fields]
FORBIDDEN = sorted(set(KINDS) - MESSAGES)


def _message(kind: str) -> BackMsg:
    message = BackMsg()
    field = message.DESCRIPTOR.fields_by_name[kind]
    if field.message_type is None:
        setattr(message, kind, True)
    else:
        getattr(message, kind).SetInParent()
    assert message.WhichOneof("type") == kind
    return message


def test_the_dangerous_ones_are_forbidden() -> None:
    assert {
        "clear_cache",
        "load_git_info",
        "set_run_on_save",
        "debug_disconnect_websocket",
        "debug_shutdown_runtime",
        "app_heartbeat",
        "backend_operation_request",
    } <= set(FORBIDDEN)


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_dropped_and_logged_once(small: Served, kind: str) -> None:
    client = small.as_administrator()
    page = client.socket()
    page.run()
    before = small.refusals()
    page.send(_message(kind))
    page.send(_message(kind))
    heard = page.run()
    answers = {said.WhichOneof("type") for said in heard}
    assert answers <= {"new_session", "delta", "script_finished", "session_status_changed",
                       "page_info_changed", "page_config_changed", "session_event"}  # fmt: skip
    assert small.refusals() - before == {f"message:{kind}": 1}
    page.close()


def test_an_empty_message_is_dropped(small: Served) -> None:
    page = small.as_administrator().socket()
    page.send(BackMsg())
    assert page.run()
    page.close()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("text", NOT_BINARY),
        (b"\xff\xff\xff", UNREADABLE),
        (b"\x00" * (MESSAGE_BYTES + 1), 1009),
    ],
    ids=["text", "no message", "too big"],
)
def test_what_is_no_message_ends_the_socket(small: Served, frame: str | bytes, code: int) -> None:
    page = small.as_administrator().socket()
    page.connection.send(frame)
    assert page.closed_with() == code
    assert code != ENDED


def test_a_message_of_another_version_is_still_judged(small: Served) -> None:
    """A field Streamlit does not know is no kind, so nothing passes that was not looked at."""
    page = small.as_administrator().socket()
    page.connection.send(b"\xa2\x06\x01x" + rerun().SerializeToString())
    assert page.until("script_finished")
    page.close()

"""Attack 11: the browser reports edits, additions and deletions the table does not offer.

The table of accounts under 管理 lets titles and states be edited. Streamlit hands over whatever a
websocket message says; nothing but titles and states of the accounts shown may ever be saved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from dashboard.access import Role
from dashboard.accounts import service as accounts
from dashboard.accounts.model import Account, State
from tests.security.client import Client, Page, rerun
from tests.security.served import OPERATOR, Served

_numbers = count(1)

ADMIN = {"page_name": "admin", "query": "section=accounts"}


class Table:
    """The page 管理 as somebody's browser has it open, who then says what they like."""

    def __init__(self, client: Client) -> None:
        self.page: Page = client.socket()
        self.shown = self.run(rerun(**ADMIN))

    def run(self, message: BackMsg) -> list[Any]:
        """Send a message; the elements of the run it sets off."""
        self.page.send(message)
        heard = self.page.until("script_finished")
        return [said.delta.new_element for said in heard if said.WhichOneof("type") == "delta"]

    @property
    def editor(self) -> str:
        """The id of the table."""
        return next(
            element.dataframe.id
            for element in self.shown
            if element.WhichOneof("type") == "dataframe" and element.dataframe.id
        )

    def button(self, label: str) -> str | None:
        """The id of a button, None when it is not there."""
        return next(
            (
                element.button.id
                for element in self.shown
                if element.WhichOneof("type") == "button" and element.button.label.startswith(label)
            ),
            None,
        )

    def report(self, press: str | None = None, **edits: Any) -> None:
        """Report edits, with a button pressed or not."""
        message = rerun(**ADMIN)
        state = message.rerun_script.widget_states.widgets.add()
        state.id = self.editor
        state.string_value = json.dumps(
            {"edited_rows": {}, "added_rows": [], "deleted_rows": []} | edits
        )
        if press is not None:
            pressed = message.rerun_script.widget_states.widgets.add()
            pressed.id, pressed.trigger_value = press, True
        self.shown = self.run(message)

    def said(self) -> str:
        """What the page shows in words."""
        return "\n".join(
            element.alert.body for element in self.shown if element.WhichOneof("type") == "alert"
        )


@pytest.fixture
def table(product: Served) -> Iterator[Table]:
    opened = Table(product.as_administrator())
    yield opened
    opened.page.close()


def row_of(served: Served, login: str) -> int:
    listed = accounts.list_accounts(served.store, OPERATOR)
    return [each.login for each in listed].index(login)


def everything(served: Served) -> list[Account]:
    return accounts.list_accounts(served.store, OPERATOR)


def save_button(served: Served, table: Table) -> str:
    """The id of the save button, got by an honest edit."""
    table.report(edited_rows={row_of(served, "demo-viewer"): {"title": f"演示·{next(_numbers)}"}})
    found = table.button("保存")
    assert found is not None
    return found


def test_an_honest_edit_is_saved(product: Served, table: Table) -> None:
    """The attacks below would work: the same messages do save what is offered."""
    save = save_button(product, table)
    row = row_of(product, "demo-viewer")
    table.report(press=save, edited_rows={row: {"title": "演示·查看", "state": "closed"}})
    saved = accounts.account(product.store, OPERATOR, "demo-viewer")
    assert (saved.title, saved.state) == ("演示·查看", State.CLOSED)


ATTACKS: dict[str, dict[str, Any]] = {
    "a locked column": {"edited_rows": {"0": {"login": "evil"}}},
    "the roles": {"edited_rows": {"0": {"grants": "系统管理员（全部地区）"}}},
    "the last sign-in": {"edited_rows": {"0": {"last": "2020-01-01"}}},
    "a column there is not": {"edited_rows": {"0": {"password_hash": "x"}}},
    "the index": {"edited_rows": {"0": {"_index": "7"}}},
    "an added row": {"added_rows": [{"login": "evil", "title": "evil", "state": "active"}]},
    "a deleted row": {"deleted_rows": [0]},
    "a row that was not shown": {"edited_rows": {"9999": {"title": "evil"}}},
    "a row before the first": {"edited_rows": {"-1": {"title": "evil"}}},
    "a state there is not": {"edited_rows": {"0": {"state": "administrator"}}},
    "no text at all": {"edited_rows": {"0": {"title": ["evil"]}}},
    "nothing": {"edited_rows": {"0": {"title": None}}},
    "an honest edit beside a forged one": {
        "edited_rows": {"1": {"title": "evil"}, "0": {"login": "evil"}}
    },
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_edit_is_refused_and_audited(product: Served, table: Table, attack: str) -> None:
    save = save_button(product, table)
    before, refused = everything(product), product.refusals()
    table.report(press=save, **ATTACKS[attack])
    assert everything(product) == before
    assert "EDIT&#95;REFUSED" in table.said() or "EDIT_REFUSED" in table.said()
    assert product.refusals()["admin.accounts"] > refused["admin.accounts"]
    # The page goes on, with a table that has forgotten what was forged.
    assert table.button("保存") is None and table.button("刷新") is not None


def test_who_may_not_change_accounts_saves_nothing(product: Served) -> None:
    """A reviewer may open the page; the table and its button are not theirs, whatever they send."""
    administrators = Table(product.as_administrator())
    editor, save = administrators.editor, save_button(product, administrators)
    administrators.page.close()
    page = product.sign_in(Role.REVIEWER.value).socket()
    page.run(**ADMIN)
    message = rerun(**ADMIN)
    state = message.rerun_script.widget_states.widgets.add()
    state.id, state.string_value = (
        editor,
        json.dumps({"edited_rows": {"0": {"title": "evil"}}, "added_rows": [], "deleted_rows": []}),
    )
    pressed = message.rerun_script.widget_states.widgets.add()
    pressed.id, pressed.trigger_value = save, True
    before = everything(product)
    page.send(message)
    page.until("script_finished")
    assert everything(product) == before
    assert not any(delta.new_element.WhichOneof("type") == "dataframe" for delta in page.deltas())
    page.close()

"""Edits made in the table of accounts, as the browser reports them: judged, never trusted.

Streamlit hands over whatever the browser sends: cells of locked columns, rows added and deleted
where that is not offered. Only titles and states of accounts that were shown are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard.accounts.model import Account, Change, State
from geodata.errors import DudaoError

TITLE, STATE = "title", "state"
EDITABLE = (TITLE, STATE)

Typed = dict[str, dict[str, str]]
"""By account id what was typed: column -> value."""


class EditRefused(DudaoError):
    """EDIT_REFUSED: the browser reports edits the table does not offer.

    Attributes:
        what: what kind of edit, for the audit.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            "EDIT_REFUSED",
            "收到了表格不允许的修改，全部修改均未保存。",
            "请刷新页面后重试；只能修改姓名职务和状态。",
        )
        self.what = what


def judged(shown: Sequence[Account], reported: Mapping[str, Any]) -> Typed:
    """What was typed into the columns that may be edited.

    Args:
        shown: the accounts in the order of the table's rows.
        reported: ``edited_rows``, ``added_rows``, ``deleted_rows`` as Streamlit keeps them.

    Raises:
        EditRefused: there is anything else.
    """
    for kind in ("added_rows", "deleted_rows"):
        if reported.get(kind):
            raise EditRefused(kind)
    typed: Typed = {}
    for number, cells in (reported.get("edited_rows") or {}).items():
        row = _row(number, len(shown))
        for column, value in cells.items():
            if column not in EDITABLE:
                raise EditRefused(f"column {column}"[:60])
            if not isinstance(value, str) or (column == STATE and value not in set(State)):
                raise EditRefused(f"value of {column}")
            typed.setdefault(shown[row].id, {})[column] = value
    return typed


def _row(number: Any, count: int) -> int:
    try:
        row = int(number)
    except (TypeError, ValueError):
        raise EditRefused("row") from None
    if not 0 <= row < count:
        raise EditRefused("row")
    return row


def changes(shown: Sequence[Account], typed: Typed) -> list[Change]:
    """What the service is asked for; cells typed back to what was shown ask for nothing."""
    found = []
    for account in shown:
        cells = typed.get(account.id, {})
        title, state = cells.get(TITLE), cells.get(STATE)
        change = Change(
            account,
            title if title is not None and title != account.title else None,
            State(state) if state is not None and state != account.state else None,
        )
        if change.title is not None or change.state is not None:
            found.append(change)
    return found


def merged(before: Typed, after: Typed) -> Typed:
    """Both, the later cells in the place of the earlier."""
    return {
        account_id: before.get(account_id, {}) | after.get(account_id, {})
        for account_id in [*before, *(each for each in after if each not in before)]
    }

"""Leaving: the sign-in ends for every tab at once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.accounts import service as accounts
from dashboard.accounts.service import SignedIn
from dashboard.gate import cookies
from dashboard.ui import caches


def sign_out(request: Request) -> Response:
    """Answer ``POST /logout``: end the sign-in, close its pages, go to the sign-in page."""
    signed_in: SignedIn = request.state.signed_in
    accounts.sign_out(caches.store(), signed_in.session_id)
    request.state.gate.end([signed_in.session_id])
    response = RedirectResponse("/login?out=1", 303, {"Cache-Control": "no-store"})
    cookies.withdraw(response, caches.settings())
    return response

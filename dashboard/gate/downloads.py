"""The route that hands out what ``ui.downloads`` keeps on offer."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from dashboard.accounts.service import SignedIn
from dashboard.gate.refusals import NO_STORE, refused, told
from dashboard.ui import downloads
from geodata.errors import DudaoError, SystemProblem


def download(request: Request) -> Response:
    """Answer ``/download/{token}`` to the sign-in it was offered to."""
    signed_in: SignedIn = request.state.signed_in
    found = downloads.find(request.path_params["token"])
    if found is None:
        return refused("DOWNLOAD_GONE", request.scope)
    if found.session_id != signed_in.session_id:
        return refused("DOWNLOAD_NOT_YOURS", request.scope)
    try:
        content = found.make()
    except DudaoError as error:
        return told(error, 500 if isinstance(error, SystemProblem) else 404, request.scope)
    return Response(
        content,
        media_type=found.media_type,
        headers={
            "Content-Disposition": disposition(found.name),
            **NO_STORE,
        },
    )


def disposition(name: str) -> str:
    """``Content-Disposition`` for a name in any language (RFC 6266 and 5987)."""
    plain = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "._- ") else "_" for sign in name
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

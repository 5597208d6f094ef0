"""The one ASGI application: Streamlit's pages and, beside them, every route of our own.

The gate of the access work will be one middleware in front of all of it, so no route is added
anywhere else.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.web import bootstrap

from dashboard.coverage import registry
from dashboard.coverage.model import View
from dashboard.settings import Settings
from dashboard.store.commit import ensure_snapshots
from dashboard.store.unit import Unit
from dashboard.ui import caches, frame, state
from dashboard.ui.assets import MEDIA_TYPES, asset_path
from dashboard.ui.caches import Answer
from geodata.errors import DudaoError, SystemProblem

APP_SCRIPT = Path(__file__).with_name("app.py")
CONFIG_FILE = Path(__file__).parents[1] / ".streamlit" / "config.toml"

REVALIDATE = "private, no-cache"
IMMUTABLE = "public, max-age=31536000, immutable"

GEOJSON = "application/geo+json"


def create_app(settings: Settings) -> st.App:
    """The application for one data directory; the store is opened, so its problems show here.

    Months published before a layer was added are rolled up again first.

    Raises:
        DudaoError: the data directory cannot be opened.
    """
    _configure_streamlit(settings)
    caches.configure(settings)
    ensure_snapshots(caches.store(), registry.pairs(), partial(print, flush=True))
    return st.App(
        APP_SCRIPT,
        routes=routes(),
        middleware=[Middleware(CanonicalAddress, settings=settings)],
        on_script_error=frame.failed,
    )


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until interrupted.

    Raises:
        DudaoError: the data directory cannot be opened, or PORT_IN_USE.
    """
    app = create_app(settings)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", server_header=False, ws_max_size=2**26
    )
    try:
        listener = config.bind_socket()
    except SystemExit as stopped:
        raise SystemProblem(
            "PORT_IN_USE",
            f"地址 {host}:{port} 无法监听，可能已被其他程序占用。",
            "请关闭占用该端口的程序，或用 --port 换一个端口。",
        ) from stopped
    print(f"督导一张图 http://{host}:{port}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def _configure_streamlit(settings: Settings) -> None:
    """Set Streamlit's options from our file, wherever the process was started from.

    Streamlit itself looks for ``.streamlit/`` in the working directory and beside the entry script.
    """
    options = _flat(tomllib.loads(CONFIG_FILE.read_text(encoding="utf-8")))
    bootstrap.load_config_options(
        {**options, "server.address": settings.host, "server.port": settings.port}
    )


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def routes() -> list[BaseRoute]:
    """Our own routes; each answers GET and HEAD."""
    return [
        Route("/layers/{layer}/{place}/{month}/{version}", layers),
        Route("/sites/{place}/{month}/{version}", sites),
        Route("/assets/{name:path}", assets),
        Route("/healthz", healthz),
    ]


def layers(request: Request) -> Response:
    """The children of a place coloured by a layer, as GeoJSON; always of the current version."""
    part = request.path_params
    view = View(part["place"], part["layer"], part["month"])
    return _answer(request, partial(caches.layer_answer, view=view))


def sites(request: Request) -> Response:
    """The institutions under a place, as GeoJSON points."""
    part = request.path_params
    return _answer(
        request, partial(caches.site_answer, place_id=part["place"], month=part["month"])
    )


def _answer(request: Request, make: Callable[[Unit], Answer]) -> Response:
    try:
        with caches.store().unit() as unit:
            answer = make(unit)
    except DudaoError as error:
        status = 500 if isinstance(error, SystemProblem) else 404
        return JSONResponse({"error": error.as_dict()}, status, {"Cache-Control": "no-store"})
    headers = {"ETag": answer.etag, "Cache-Control": REVALIDATE, "Vary": "Accept-Encoding"}
    known = request.headers.get("if-none-match", "")
    if answer.etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(answer.zipped, headers=headers, media_type=GEOJSON)
    return Response(answer.body, headers=headers, media_type=GEOJSON)


def assets(request: Request) -> Response:
    """A front-end file of the few folders that may be read."""
    path = asset_path(request.path_params["name"])
    if path is None:
        return Response("没有这个文件。", 404, media_type="text/plain")
    return FileResponse(
        path, media_type=MEDIA_TYPES[path.suffix], headers={"Cache-Control": IMMUTABLE}
    )


def healthz(request: Request) -> Response:
    """Whether the store answers."""
    try:
        with caches.store().unit() as unit:
            months = unit.months()
    except DudaoError as error:
        return JSONResponse({"status": "failed", "error": error.as_dict()}, 503)
    return JSONResponse({"status": "ok", "latest_month": months[-1] if months else None})


class CanonicalAddress:
    """Sends a bare address to the full one, so that what is copied names place, layer and month.

    Done before the page loads: written by the page it would be a second history entry, and Back
    from the first view would lead nowhere.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._lang = settings.lang

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET":
            request = Request(scope)
            if not request.query_params.keys() & {"place", "layer", "month"}:
                target = await run_in_threadpool(self._target, dict(request.query_params))
                if target is not None:
                    headers = {"Cache-Control": "no-store"}
                    await RedirectResponse(target, 302, headers)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _target(self, params: dict[str, str]) -> str | None:
        """The full address, or None when there is nothing to show yet: the page then says so."""
        try:
            with caches.store().unit() as unit:
                return state.parse(params, unit, self._lang).address.href()
        except DudaoError:
            return None

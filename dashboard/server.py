"""The one ASGI application: Streamlit's pages and, beside them, every route of our own.

The gate stands around all of it, so no route is added anywhere else; what it lets in is listed in
``gate.rules``.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
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

from dashboard.access import SYSTEM, Actor
from dashboard.accounts import service as accounts
from dashboard.accounts.service import SignedIn
from dashboard.coverage import disclosure, forecast, registry
from dashboard.coverage.model import Source, View
from dashboard.coverage.modes import Mode
from dashboard.demo import accounts as demonstration
from dashboard.gate import oidc, page, signin
from dashboard.gate.downloads import download
from dashboard.gate.middleware import Gate
from dashboard.gate.refusals import refused
from dashboard.gate.signout import sign_out
from dashboard.gate.sockets import MESSAGE_BYTES
from dashboard.intake import desk
from dashboard.settings import ANY_ADDRESS, Settings
from dashboard.store.commit import ensure_snapshots
from dashboard.store.unit import Unit
from dashboard.ui import caches, frame, state
from dashboard.ui.assets import MEDIA_TYPES, asset_path
from dashboard.ui.caches import Answer
from dashboard.ui.looks import looks as layer_looks
from dashboard.ui.texts import LANGUAGES
from geodata.errors import DudaoError, SystemProblem

_log = logging.getLogger(__name__)

APP_SCRIPT = Path(__file__).with_name("app.py")
CONFIG_FILE = Path(__file__).parents[1] / ".streamlit" / "config.toml"

REVALIDATE = "private, no-cache"
FOR_GOOD = "max-age=31536000, immutable"
IMMUTABLE = f"public, {FOR_GOOD}"

PREFIXES = ("/login/", "/oidc/", "/layers/", "/sites/", "/doubts/", "/looks/", "/download/")

GEOJSON = "application/geo+json"


def create_app(settings: Settings, script: Path = APP_SCRIPT) -> Gate:
    """The application for one data directory; the store is opened, so its problems show here.

    Months published before a layer was added are rolled up again first. ``script`` is what every
    page runs.

    Raises:
        DudaoError: the data directory cannot be opened.
    """
    _configure_streamlit(settings)
    caches.configure(settings)
    ensure_snapshots(caches.store(), SYSTEM, registry.pairs(), partial(print, flush=True))
    desk.sweep(caches.store())
    demonstration.ensure(caches.store())
    with caches.store().unit(SYSTEM) as unit:
        published = [unit.snapshot(month) for month in unit.months()]
    disclosure.prepare(caches.store().snapshots, published)
    app = st.App(
        script,
        routes=routes(settings),
        middleware=[Middleware(CanonicalAddress, settings=settings)],
        on_script_error=frame.failed,
    )
    return Gate(app, settings, caches.store)


def serve(settings: Settings, host: str, port: int, script: Path = APP_SCRIPT) -> None:
    """Serve until interrupted.

    Raises:
        DudaoError: the data directory cannot be opened, or PORT_IN_USE.
    """
    settings = settings.model_copy(update={"host": host, "port": port})
    app = create_app(settings, script)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        ws_max_size=MESSAGE_BYTES,
    )
    try:
        listener = config.bind_socket()
    except SystemExit as stopped:
        raise SystemProblem(
            "PORT_IN_USE",
            f"地址 {host}:{port} 无法监听，可能已被其他程序占用。",
            "请关闭占用该端口的程序，或用 --port 换一个端口。",
        ) from stopped
    _announce(settings)
    # Nobody's first page waits for what takes a second to import.
    Thread(target=forecast.prepare).start()
    uvicorn.Server(config).run(sockets=[listener])


def _announce(settings: Settings) -> None:
    """Say where the site is and, while it has no administrator, how to become one."""
    print(f"督导一张图 {settings.address}", flush=True)
    link = (
        accounts.first_link(caches.store(), settings.address) if settings.password_sign_in else None
    )
    if link is not None:
        print("还没有系统管理员。请在 24 小时内打开下面的链接，设置管理员口令：", flush=True)
        print(link, flush=True)
    if settings.host in ANY_ADDRESS and not (settings.public_url or settings.hosts):
        print(
            "提示：尚未设置 public_url 或 hosts，其他电脑的访问会被拒绝。"
            "请在 dudao.toml 中写明本系统的访问地址。",
            flush=True,
        )


def _configure_streamlit(settings: Settings) -> None:
    """Set Streamlit's options from our file, wherever the process was started from.

    Streamlit itself looks for ``.streamlit/`` in the working directory and beside the entry script.
    """
    options = _flat(tomllib.loads(CONFIG_FILE.read_text(encoding="utf-8")))
    bootstrap.load_config_options(
        {
            **options,
            "server.address": settings.host,
            "server.port": settings.port,
            "server.maxUploadSize": settings.max_upload_mb,
        }
    )


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def routes(settings: Settings) -> list[BaseRoute]:
    """Our own routes. The gate decides who may ask for them and how (``gate.rules``)."""
    start = partial(page.start, lang=settings.lang)
    return [
        Route("/healthz", healthz),
        Route("/assets/{name:path}", assets),
        *signin.routes(caches.store(), settings),
        *oidc.routes(caches.store(), settings),
        Route("/logout", sign_out, methods=["POST"]),
        Route("/layers/{layer}/{place}/{month}/{version}", layers),
        Route("/sites/{place}/{month}/{version}", sites),
        Route("/doubts/{place}/{month}/{version}", doubts),
        Route("/looks/{lang}/{mark}", looks),
        Route("/download/{token}", download),
        # Streamlit answers whatever nobody else does with its start page.
        *(Route(f"{path}{{rest:path}}", nothing_here) for path in PREFIXES),
        Route("/", start),
        Route("/{page}", start),
    ]


def nothing_here(request: Request) -> Response:
    """Answer an address beneath one of ours that is none."""
    return refused("NOT_FOUND", request.scope)


def layers(request: Request) -> Response:
    """The children of a place coloured by a layer, as GeoJSON; always of the current version.

    ``?source=`` chooses who says so (``Source``), ``show=`` what the colours say (``Mode``),
    ``against=`` the month a change is measured from, ``version=`` (also of the two below) an
    earlier version of the month.
    """
    part, asked = request.path_params, request.query_params
    try:
        mode = Mode(asked.get("show", Mode.VALUE))
        source = Source(asked.get("source", Source.REPORTED))
    except ValueError:
        return nothing_here(request)
    view = View(part["place"], part["layer"], part["month"], source)
    against = asked.get("against") if mode is Mode.CHANGE else None
    return _answer(request, partial(caches.layer_answer, view=view, mode=mode, against=against))


def sites(request: Request) -> Response:
    """The institutions under a place, as GeoJSON points."""
    part = request.path_params
    return _answer(
        request, partial(caches.site_answer, place_id=part["place"], month=part["month"])
    )


def doubts(request: Request) -> Response:
    """How many figures are doubted in each place below one, as JSON."""
    part = request.path_params
    return _answer(
        request, partial(caches.doubt_answer, place_id=part["place"], month=part["month"])
    )


def looks(request: Request) -> Response:
    """How every layer is drawn, in one language; an address names one content for good."""
    part = request.path_params
    if part["lang"] not in LANGUAGES or part["mark"] != layer_looks(part["lang"]).mark:
        return nothing_here(request)
    return Response(
        layer_looks(part["lang"]).body,
        headers={"Cache-Control": f"private, {FOR_GOOD}"},
        media_type="application/json",
    )


def actor_of(request: Request) -> Actor:
    """Whose request it is; the gate lets nobody in without."""
    signed_in: SignedIn = request.state.signed_in
    return signed_in.actor


def _answer(request: Request, make: Callable[[Unit], Answer]) -> Response:
    try:
        with caches.store().unit(actor_of(request)) as unit:
            _look_at(unit, request.query_params.get("version"))
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


def _look_at(unit: Unit, asked: str | None) -> None:
    """Read a month in an earlier version of it, asked for as ``YYYY-MM~N``."""
    if asked is not None:
        month, _mark, number = asked.partition("~")
        plain = number.isascii() and number.isdecimal() and len(number) < 9
        unit.look_at(month, int(number) if plain else 0)


def assets(request: Request) -> Response:
    """A front-end file of the few folders that may be read."""
    path = asset_path(request.path_params["name"])
    if path is None:
        return Response("没有这个文件。", 404, media_type="text/plain")
    return FileResponse(
        path, media_type=MEDIA_TYPES[path.suffix], headers={"Cache-Control": IMMUTABLE}
    )


def healthz(request: Request) -> Response:
    """Whether the store answers; says nothing else, because everybody may ask."""
    try:
        with caches.store().unit(SYSTEM) as unit:
            unit.months()
    except DudaoError:
        _log.exception("the store does not answer")
        return JSONResponse({"status": "failed"}, 503, {"Cache-Control": "no-store"})
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


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
                target = await run_in_threadpool(
                    self._target, dict(request.query_params), actor_of(request)
                )
                if target is not None:
                    headers = {"Cache-Control": "no-store"}
                    await RedirectResponse(target, 302, headers)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _target(self, params: dict[str, str], actor: Actor) -> str | None:
        """The full address, or None when there is nothing to show yet: the page then says so."""
        try:
            with caches.store().unit(actor) as unit:
                return state.parse(params, unit, self._lang).address.href()
        except DudaoError:
            return None

"""The page every screen starts from: Streamlit's own, without what leads elsewhere.

Streamlit's start page has an inline script, English words for people without JavaScript and a
pointer to its agent API. Ours loads the same bundles, named from the installed version, and one
script of our own before them, which takes the person to the sign-in page when the sign-in ends and
says in Chinese when the connection is lost.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2b
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from streamlit import file_util

from dashboard.ui.assets import asset_path
from geodata.errors import SystemProblem

_BUNDLE = re.compile(
    r'<script type="module"[^>]*\ssrc="\./(?P<script>static/[^"]+)"'
    r'|<link rel="modulepreload"[^>]*\shref="\./(?P<module>static/[^"]+)"'
    r'|<link rel="stylesheet"[^>]*\shref="\./(?P<style>static/[^"]+)"'
)
_TEXTS = {
    "zh": ("zh-CN", "督导一张图", "本页面需要启用 JavaScript 才能使用。"),
    "en": ("en", "Dudao", "This page needs JavaScript."),
}


@cache
def start_page(lang: str) -> str:
    """The start page's HTML.

    Raises:
        SystemProblem: STREAMLIT_CHANGED when the installed version's start page names no bundle.
    """
    original = Path(file_util.get_static_dir(), "index.html").read_text(encoding="utf-8")
    named = list(_BUNDLE.finditer(original))
    scripts = [found["script"] for found in named if found["script"]]
    if not scripts:
        raise SystemProblem(
            "STREAMLIT_CHANGED",
            "已安装的 Streamlit 版本与本程序不符：起始页中没有找到脚本。",
            "请按 requirements.txt 重新安装依赖。",
        )
    language, title, no_script = _TEXTS[lang]
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="{language}">',
        "<head>",
        '<meta charset="UTF-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1, shrink-to-fit=no">',
        f'<link rel="icon" href="{asset("ui/icon.svg")}">',
        f"<title>{title}</title>",
        f'<script src="{asset("ui/gate.js")}"></script>',
        *(f'<script type="module" crossorigin src="/{name}"></script>' for name in scripts),
        *(
            f'<link rel="modulepreload" crossorigin href="/{found["module"]}">'
            for found in named
            if found["module"]
        ),
        *(
            f'<link rel="stylesheet" crossorigin href="/{found["style"]}">'
            for found in named
            if found["style"]
        ),
        "</head>",
        f'<body><noscript>{no_script}</noscript><div id="root"></div></body>',
        "</html>",
    ]
    return "\n".join(lines)


@cache
def bundles() -> frozenset[str]:
    """The paths of Streamlit's front-end files. For any other it answers with its start page."""
    root = Path(file_util.get_static_dir())
    return frozenset(
        f"/{path.relative_to(root).as_posix()}"
        for path in (root / "static").rglob("*")
        if path.is_file() and path.suffix != ".map"
    )


def asset(name: str) -> str:
    """An asset's address from anywhere on the site, changing whenever its bytes do.

    Raises:
        FileNotFoundError: there is no such asset.
    """
    path = asset_path(name)
    if path is None:
        raise FileNotFoundError(name)
    return f"/assets/{name}?v={blake2b(path.read_bytes(), digest_size=6).hexdigest()}"


def start(request: Request, lang: str) -> Response:
    """Answer any page's address; which page it is, Streamlit's script decides."""
    return HTMLResponse(start_page(lang), headers={"Cache-Control": "private, no-cache"})


def host_config() -> Response:
    """What Streamlit's front end may do for a page around it: nothing, there is none.

    Its own English dialogs are off; ``gate.js`` says what a person must know.
    """
    return JSONResponse(
        {
            "allowedOrigins": [],
            "useExternalAuthToken": False,
            "enableCustomParentMessages": False,
            "enforceDownloadInNewTab": False,
            "metricsUrl": "",
            "blockErrorDialogs": True,
            "resourceCrossOriginMode": None,
        },
        headers={"Cache-Control": "no-cache"},
    )

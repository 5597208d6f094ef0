"""How a request is refused: a page for a person, JSON for a script; the same words in both."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from dashboard.gate import page
from dashboard.gate.signin import render
from geodata.errors import DudaoError

NO_STORE = {"Cache-Control": "no-store"}

REFUSALS: dict[str, tuple[int, str, str]] = {
    "BAD_PATH": (400, "地址格式不正确。", "请检查地址。"),
    "HOST_UNKNOWN": (421, "不能用这个主机名访问本系统。", "请使用管理员告知的地址。"),
    "ORIGIN_REFUSED": (403, "请求不是从本系统的页面发出的。", "请在本系统的页面上操作。"),
    "SIGN_IN_REQUIRED": (401, "您尚未登录或登录已失效。", "请重新登录。"),
    "NOT_FOUND": (404, "没有这个地址。", "请检查地址。"),
    "METHOD_REFUSED": (405, "这个地址不接受这种请求。", "请检查请求方式。"),
    "UPLOAD_REFUSED": (403, "不能向这个页面上传文件。", "请刷新自己的页面后重新上传。"),
    "TOO_LARGE": (413, "内容超过大小限制。", "请减小文件或联系管理员调整限制。"),
    "DOWNLOAD_GONE": (404, "没有这个文件，或已过期。", "请回到页面重新生成后下载。"),
    "DOWNLOAD_NOT_YOURS": (403, "这个文件不是为您生成的。", "请在自己的页面上生成后下载。"),
}
"""Every way a request is refused: status, what is wrong, what to do."""


def navigates(scope: Scope) -> bool:
    """Whether a person opens an address, rather than a script."""
    return scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")


def refused(code: str, scope: Scope) -> Response:
    """The answer of one of ``REFUSALS``."""
    status, message, remedy = REFUSALS[code]
    return told(DudaoError(code, message, remedy), status, scope)


def told(error: DudaoError, status: int, scope: Scope) -> Response:
    """The answer that says an error."""
    if not navigates(scope):
        return JSONResponse({"error": error.as_dict()}, status, NO_STORE)
    return render(
        "refused.html", status, lang="zh", error=error, other=("/?lang=en", "English"),
        asset=page.asset,
    )  # fmt: skip

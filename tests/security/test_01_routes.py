"""Attack 1: every route, every spelling of it and every method, without a cookie."""

from __future__ import annotations

import pytest

from dashboard.gate import rules
from tests.security.client import Client
from tests.security.served import Served

HTML = {"Accept": "text/html,application/xhtml+xml"}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECTX")

CLOSED = (
    "/", "/map", "/data", "/admin", "/?place=131025000000", "/nothing-here", "/favicon.png",
    "/manifest.json", "/index.html", "/robots.txt", "/logout",
    "/layers/contract_coverage/131025000000/2026-10/0", "/sites/131025000000/2026-10/0",
    "/looks/zh/0", "/doubts/131025000000/2026-10/0",
    "/download/x", "/media/0.png", "/media/", "/static/js/index.js", "/static/",
    "/component/streamlit_folium.st_folium/index.html", "/component/",
    "/_stcore/health", "/_stcore/host-config", "/_stcore/stream", "/_stcore/metrics",
    "/_stcore/message", "/_stcore/script-health-check", "/_stcore/allowed-message-origins",
    "/_stcore/upload_file/a/b", "/_stcore/bidi-components/a/b.js",
    "/_stcore/agent/interact", "/_stcore/agent/openapi.json", "/_stcore/agent/mcp",
    "/auth/login", "/auth/logout", "/oauth2callback", "/app/static/a.png",
    "/map/_stcore/health", "/_stcore", "/oidc", "/assets", "/healthzz",
)  # fmt: skip

SPELLINGS = (
    "//", "//map", "///layers/a/b/c/d", "/./map", "/map/.", "/map/..", "/login/../map",
    "/login/..%2fmap", "/login%2f..%2fmap", "/login/%2e%2e/map", "/login/%252e%252e/map",
    "/login%00/map", "/login;/../map", "/login;x=1", "/assets/../layers/a/b/c/d",
    "/assets/..%2f..%2flayers/a/b/c/d", "/assets/%2e%2e/_stcore/health", "/assets//../map",
    "/assets\\..\\map", "/assets%5c..%5cmap", "/LOGIN", "/Login", "/HEALTHZ", "/Assets/ui/icon.svg",
    "/login.", "/login..", "/login ", "/login%20", "/login%0a", "/healthz/", "/healthz/../map",
    "/healthz%2f", "/%6cogin/../map", "/%2e/login", "/login\x0b", "/oidc/../map",
    "/oidc/%2e%2e%2fmap", "/\\map", "/%5cmap", "/map%00", "/map?/login", "/map#/login",
    "/?next=/login", "/login%3f/../map", "/base/login", "/a/../login/../map", "http://evil/map",
)  # fmt: skip
"""Ways of writing a path so that one reader sees an open one and another a closed one."""

OPEN = {
    "/healthz": 200, "/login": 200, "/assets/ui/icon.svg": 200, "/assets/ui/page.css": 200,
}  # fmt: skip


def _told_nothing(client: Client, method: str, path: str) -> None:
    for headers in ({}, HTML, {"Accept": "application/json"}, {"Origin": client.address}):
        body = b"" if method in ("POST", "PUT", "PATCH") else None
        answer = client.request(method, path, headers, body)
        told = (method, path, headers, answer.status, answer.body[:200])
        if answer.status == 303:
            assert answer.headers["location"].startswith("/login"), told
            assert method == "GET", told
            assert answer.body == b"", told
        else:
            assert answer.status in (400, 401, 403, 404), told
            assert b'id="root"' not in answer.body, told
            assert b"Streamlit" not in answer.body, told
        assert "set-cookie" not in answer.headers, told


@pytest.mark.parametrize("path", CLOSED)
def test_closed_to_strangers(product: Served, path: str) -> None:
    for method in METHODS:
        _told_nothing(product.stranger(), method, path)


@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_opens_a_closed_one(product: Served, path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        _told_nothing(product.stranger(), method, path)


def test_every_rule_is_walked_here() -> None:
    listed = [*CLOSED, *OPEN]
    for rule in rules.RULES:
        below_open = rule.open and rule.path.endswith("/")
        assert below_open or any(rule.covers(path.partition("?")[0]) for path in listed)


@pytest.mark.parametrize("path", OPEN)
def test_only_these_answer(product: Served, path: str) -> None:
    answer = product.stranger().get(path)
    assert answer.status == OPEN[path]


def test_health_tells_only_that(product: Served) -> None:
    assert product.stranger().get("/healthz").body == b'{"status":"ok"}'


def test_a_person_is_sent_back_to_what_was_wanted(product: Served) -> None:
    answer = product.stranger().request("GET", "/map?place=131025000000&layer=x", HTML)
    assert answer.status == 303
    assert answer.headers["location"] == "/login?next=%2Fmap%3Fplace%3D131025000000%26layer%3Dx"


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example",
     "javascript:alert(1)", "http:evil.example", "/login/..//evil.example",
     "///evil.example/%2f.."],
)  # fmt: skip
def test_nobody_is_sent_elsewhere_after_signing_in(product: Served, wanted: str) -> None:
    client = product.stranger()
    answer = client.post("/login", {**product.form("administrator"), "next": wanted})
    assert answer.status == 303
    target = answer.headers["location"]
    assert target.startswith("/") and not target.startswith(("//", "/\\"))
    assert "evil" not in target or target.startswith("/login?")


@pytest.mark.parametrize("host", ["", "evil.example", "127.0.0.1", "localhost", "127.0.0.1:1"])
def test_under_another_name_nothing_answers(product: Served, host: str) -> None:
    client = product.as_administrator()
    for path in ("/", "/map", "/healthz", "/login", "/assets/ui/icon.svg"):
        answer = client.request("GET", path, HTML, host=host)
        assert answer.status in (400, 421), (path, host, answer.status)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_a_form_from_elsewhere_does_nothing(product: Served, origin: str) -> None:
    client = product.sign_in("viewer")
    headers = {"Origin": origin} if origin else {}
    assert client.request("POST", "/logout", headers, b"").status == 403
    assert client.get("/map").status == 200
    stranger = product.stranger()
    assert stranger.request("POST", "/login", headers, b"login=a&password=b").status == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/map"), ("OPTIONS", "/map"), ("TRACE", "/map"), ("PUT", "/layers/a/b/c/d"),
     ("GET", "/logout"), ("GET", "/_stcore/upload_file/a/b"), ("DELETE", "/_stcore/health")],
)  # fmt: skip
def test_signed_in_only_by_the_methods_of_the_rule(product: Served, method: str, path: str) -> None:
    client = product.as_administrator()
    assert client.request(method, path, {"Origin": client.address}, b"").status == 405


@pytest.mark.parametrize(
    "path",
    ["/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent/openapi.json",
     "/_stcore/agent/mcp", "/media/x", "/auth/login", "/oauth2callback", "/manifest.json",
     "/component/../../../etc/passwd", "/component/streamlit_folium.st_folium/../../../x",
     "/component/streamlit_folium.st_folium/%2e%2e/%2e%2e/__init__.py", "/static/../../config.py",
     "/assets/ui/../map.py", "/component/nothing/index.html", "/component/streamlit_folium/",
     "/static/js/nothing.js", "/layers/a/b/c", "/login/x/y", "/oidc/nothing/x", "/download/a/b",
     "/layers/a/b/c/d", "/sites/%00/x/y", "/looks/zh/0", "/looks/xx/0", "/doubts/x/y/z"],
)  # fmt: skip
def test_signed_in_no_path_of_the_machine_leaks(product: Served, path: str) -> None:
    answer = product.as_administrator().request("GET", path, HTML)
    assert answer.status in (400, 404), (path, answer.status)
    said = answer.body.decode(errors="replace")
    for leak in ("Traceback", "site-packages", ".venv", "/usr/", "/home", "/work", "/tmp",
                 str(product.data), ".py"):  # fmt: skip
        assert leak not in said, (path, said)


@pytest.mark.parametrize(
    "path", ["/", "/map", "/login", "/healthz", "/assets/ui/page.css", "/nothing/here", "/%00",
             "/_stcore/health", "/component/streamlit_folium.st_folium/index.html"],
)  # fmt: skip
def test_every_answer_carries_the_headers(product: Served, path: str) -> None:
    for client in (product.stranger(), product.as_administrator()):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] in ("DENY", "SAMEORIGIN")
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "object-src 'none'" in policy and "base-uri 'none'" in policy
        assert "server" not in headers
        assert not [name for name in headers if name.lower().startswith("access-control")]
        if "/component/" not in path or client.cookies == {}:
            script = policy.partition("script-src ")[2].partition(";")[0]
            assert "unsafe-inline" not in script and "'unsafe-eval'" not in script
            assert "frame-ancestors 'none'" in policy


def test_what_a_browser_may_do_for_a_page_around_ours(product: Served) -> None:
    answer = product.as_administrator().get("/_stcore/host-config")
    assert b'"allowedOrigins":[]' in answer.body and b"http" not in answer.body


def test_a_form_too_large_is_refused(product: Served) -> None:
    client = product.stranger()
    answer = client.request(
        "POST", "/login", {"Origin": client.address}, b"login=" + b"a" * rules.FORM_BYTES
    )
    assert answer.status == 413
    streamed = client.request(
        "POST",
        "/login",
        {
            "Origin": client.address,
            "Transfer-Encoding": "chunked",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        iter([b"login=" + b"a" * rules.FORM_BYTES, b"b"]),
    )
    assert streamed.status == 413


def test_a_person_is_refused_in_words(product: Served) -> None:
    """A page for who opens an address, JSON for a script, with the same code."""
    client = product.as_administrator()
    for path, code in (("/download/x", "DOWNLOAD_GONE"), ("/media/x.png", "NOT_FOUND")):
        shown = client.request("GET", path, HTML)
        assert shown.status == 404 and code in shown.body.decode()
        assert shown.headers["content-type"].startswith("text/html")
        assert client.get(path).code() == code

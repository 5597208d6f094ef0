"""Size of one ``/layers`` answer for 300 villages, and what a repeat costs."""

from __future__ import annotations

import gzip
from typing import Any

from bench import OUT
from bench.processes import get, product
from bench.trees import ROOT, Spec, prepared
from dashboard.coverage import registry

VILLAGES = 300


def run() -> dict[str, Any]:
    """The largest answer over all layers, bytes, and the status of asking again with its ETag."""
    data = prepared(Spec(1, 1, VILLAGES, months=4, wide=True))
    sizes: dict[str, int] = {}
    repeats: list[int] = []
    plain = 0
    with product(data, OUT / "payload_runs.jsonl") as served:
        for layer in registry.layers():
            url = f"{served.address}/layers/{layer}/{ROOT}-0-0/2026-10/0"
            status, headers, body = get(url, **{"Accept-Encoding": "gzip"}, **served.headers)
            if status != 200 or headers.get("content-encoding") != "gzip":
                raise RuntimeError(f"/layers answered {status}, {headers}")
            sizes[layer] = len(body)
            plain = max(plain, len(gzip.decompress(body)))
            again, _, rest = get(
                url,
                **{"Accept-Encoding": "gzip", "If-None-Match": headers["etag"]},
                **served.headers,
            )
            if rest:
                raise RuntimeError("a repeat sent a body")
            repeats.append(again)
    return {
        "villages": VILLAGES,
        "compressed_bytes": max(sizes.values()),
        "plain_bytes": plain,
        "by_layer": sizes,
        "repeat_status": max(repeats),
    }

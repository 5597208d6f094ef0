"""The measured figures against the bars, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.processes import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- recorded -->\n", "<!-- end of recorded -->\n"


@dataclass(frozen=True, slots=True)
class Line:
    """One figure and what it has to be; ``holds`` is None where nothing was promised."""

    what: str
    measured: str
    bar: str
    holds: bool | None


def lines(results: dict[str, Any]) -> list[Line]:
    """A line for each figure of the parts that ran."""
    found: list[Line] = []
    for part, make in _PARTS.items():
        if part in results:
            found += make(results[part])
    return found


def _switch(result: dict[str, Any]) -> list[Line]:
    found = []
    for size, (times, excess) in {"300": (2.5, 0.25), "3000": (4.0, 0.35)}.items():
        one = result[size]
        middle = one["median"]
        seconds = ", ".join(f"{page} {middle[page]:.3f} s" for page in ("ours", "naive", "static"))
        ratio, more = one["naive_over_ours"], one["ours_minus_static"]
        found += [
            Line(f"layer switch, {size} polygons, median of {one['switches']}", seconds, "", None),
            Line("  naive ÷ ours", f"{ratio:.2f}", f"≥ {times}", ratio >= times),
            Line("  ours − static", f"{more:.3f} s", f"≤ {excess} s", more <= excess),
            Line("  ours, a layer shown before", f"{middle['ours_again']:.3f} s", "", None),
        ]
    return found


def _rerun(result: dict[str, Any]) -> list[Line]:
    found = []
    for kind, words in (("first", "view not seen before"), ("again", "view seen before")):
        small, large = result["small"][kind]["median_ms"], result["large"][kind]["median_ms"]
        small_apart, large_apart = (_apart(result[size][kind]) for size in ("small", "large"))
        ratio = result["large_over_small"][kind]
        found += [
            Line(
                f"Python of one rerun, {result['children']} children, {words}",
                f"{small:.1f} ms ({small_apart})", "< 30 ms", small < 30,
            ),
            Line(
                f"  root over {result['large']['villages']:,} villages ÷ over "
                f"{result['small']['villages']:,}",
                f"{ratio:.2f}: {large:.1f} ms ({large_apart})", "≤ 1.3", ratio <= 1.3,
            ),
        ]  # fmt: skip
    wide = result["wide"]
    for kind, words in (("first", "view not seen before"), ("again", "view seen before")):
        took = wide[kind]["median_ms"]
        found.append(
            Line(
                f"  with figures for {wide['layers']} layers and {wide['months']} months, {words}",
                f"{took:.1f} ms ({_apart(wide[kind])})", "< 30 ms", took < 30,
            )
        )  # fmt: skip
    return found


def _apart(taken: dict[str, Any]) -> str:
    """What the clock's time is made of."""
    ran, waited = taken["median_cpu_ms"], taken["median_waiting_ms"]
    return f"processor {ran:.1f} ms, waiting for one {waited:.1f} ms"


def _payload(result: dict[str, Any]) -> list[Line]:
    size = result["compressed_bytes"] / 1000
    status = result["repeat_status"]
    return [
        Line(
            f"/layers of {result['villages']} villages, compressed",
            f"{size:.1f} kB (plain {result['plain_bytes'] / 1000:.0f} kB)", "≤ 60 kB", size <= 60,
        ),
        Line("  asked again", str(status), "304", status == 304),
    ]  # fmt: skip


def _loading(result: dict[str, Any]) -> list[Line]:
    return [
        Line(
            f"load of {result['rows']:,} rows from CSV",
            f"{result['load_s']:.1f} s, {result['load_rows_per_s']:,.0f} rows/s", "", None,
        ),
        Line(
            "  bare pandas.read_csv + groupby",
            f"{result['pandas_s']:.2f} s, {result['pandas_rows_per_s']:,.0f} rows/s", "", None,
        ),
        Line("  load ÷ pandas", f"{result['load_over_pandas']:.1f}", "stated", None),
        Line("  the same file again", f"{result['load_again_s']:.1f} s", "", None),
    ]  # fmt: skip


def _rollup(result: dict[str, Any]) -> list[Line]:
    ours, engines = result["ours"], result["engines"]
    over, faster = result["ours_over_bare"], result["pandas_over_ours"]
    found = [
        Line(
            f"{result['services']:,} services of {result['villages']:,} villages to every level",
            f"{ours['seconds']:.1f} s (processor {ours['cpu_s']:.1f} s), {ours['rows']:,} rows",
            "", None,
        ),
        Line("  peak memory", f"{ours['peak_gb']:.2f} GB", "< 4 GB", ours["peak_gb"] < 4),
        Line(
            "  ÷ bare DuckDB, the same figures of villages only",
            f"{over:.2f}: {_took(result['bare'])}", "≤ 2", over <= 2,
        ),
        Line(
            "  ÷ bare DuckDB, services by village and kind, persons not told apart",
            f"{result['ours_over_plain']:.2f}: {_took(result['plain'])}", "stated", None,
        ),
        Line(
            "  pandas, the same rows written from the same files, ÷ ours",
            f"{faster:.2f}: {_took(result['pandas'])}, {result['pandas']['peak_gb']:.2f} GB",
            "≥ 5", faster >= 5,
        ),
    ]  # fmt: skip
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in engines["per_core"].items())
    return [
        *found,
        Line(
            f"Spark = DuckDB on {engines['services']:,} services, to the last digit",
            "equal" if engines["equal"] else "different", "equal", engines["equal"],
        ),
        Line("  services a second and core, start included", rates, "stated", None),
    ]  # fmt: skip


def _reroll(result: dict[str, Any]) -> list[Line]:
    whole = result["whole"]
    lines = [
        Line(
            f"a month of {result['villages']:,} villages rolled up whole, tree read",
            _took(whole), "", None,
        )
    ]  # fmt: skip
    for number, one in result["counties"].items():
        share = one["cpu_s"] / whole["cpu_s"]
        lines.append(
            Line(
                f"  after a correction in {number} of {result['county_total']:,} counties, "
                "processor ÷ whole",
                f"{share:.3f}: {_took(one)}, {one['rows']:,} rows; the load with it "
                f"{one['load']:.1f} s",
                "≤ 0.1", share <= 0.1,
            )
        )  # fmt: skip
    return lines


def _took(one: dict[str, Any]) -> str:
    return f"{one['seconds']:.1f} s (processor {one['cpu_s']:.1f} s)"


def _gate(result: dict[str, Any]) -> list[Line]:
    return [
        Line(
            f"the gate, {what}, median of {result['turns']}",
            f"{result[key]:.2f} ms",
            "< 3 ms",
            result[key] < 3,
        )
        for what, key in (("one request", "request_ms"), ("one message of a page", "message_ms"))
    ]


_PARTS = {
    "gate": _gate, "payload": _payload, "rerun": _rerun, "layer_switch": _switch,
    "loading": _loading, "rollup": _rollup, "reroll": _reroll,
}  # fmt: skip


def markdown(machine: dict[str, str], found: list[Line]) -> str:
    """The machine and the table."""
    words = {True: "yes", False: "**no**", None: ""}
    head = [f"- {key}: {text}" for key, text in machine.items()]
    rows = [
        f"| {line.what.replace('  ', '&emsp;')} | {line.measured} | {line.bar} | "
        f"{words[line.holds]} |"
        for line in found
    ]
    return "\n".join(
        [*head, "", "| what | measured | bar | holds |", "|---|---|---|---|", *rows, ""]
    )


def record(text: str) -> None:
    """Put the table between the marks of docs/performance.md."""
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    DOCUMENT.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")

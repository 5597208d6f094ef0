"""``python -m bench [PART ...] [--record]``: measure, write bench/out/*.json, print the table.

With ``--record`` the table also replaces the one in docs/performance.md; then all parts must run.
"""

from __future__ import annotations

import argparse
import json

from bench import OUT, gate, layer_switch, loading, machine, payload, report, reroll, rerun, rollup

PARTS = {
    "gate": gate.run,
    "payload": payload.run,
    "rerun": rerun.run,
    "layer_switch": layer_switch.run,
    "loading": loading.run,
    "rollup": rollup.run,
    "reroll": reroll.run,
}


def main() -> None:
    """Run the named parts, all when none is named."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART")
    parser.add_argument("--record", action="store_true", help="update docs/performance.md")
    asked = parser.parse_args()
    if asked.record and asked.parts:
        parser.error("--record needs all parts")
    OUT.mkdir(exist_ok=True)
    where = machine.describe()
    results = {}
    for name in asked.parts or PARTS:
        print(f"{name} ...", flush=True)
        results[name] = PARTS[name]()
        text = json.dumps({"machine": where, **results[name]}, ensure_ascii=False, indent=1)
        (OUT / f"{name}.json").write_text(text, encoding="utf-8")
    text = report.markdown(where, report.lines(results))
    print("\n" + text)
    if asked.record:
        report.record(text)


if __name__ == "__main__":
    main()

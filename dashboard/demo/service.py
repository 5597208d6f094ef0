"""Prepare a data directory with demonstration data."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.access import SYSTEM, Actor, acts
from dashboard.coverage import registry
from dashboard.demo import accounts, divisions
from dashboard.demo.build import DEFAULT_ROOT, DEFAULT_SEED, build
from dashboard.intake.service import load_files
from dashboard.store import Store
from dashboard.store.commit import ensure_snapshots
from dashboard.store.unit import DEMONSTRATION
from geodata.errors import DudaoError
from loaders import Request
from loaders.registry import datasets

__all__ = ["DEFAULT_ROOT", "DEFAULT_SEED", "DEMONSTRATION_OF", "prepare_demo"]

DEMONSTRATION_OF = "demonstration_of"
"""Meta entry: ``root/seed`` of the demonstration in this data directory."""


@acts("data.demonstrate")
def prepare_demo(
    store: Store,
    root: str = DEFAULT_ROOT,
    seed: int = DEFAULT_SEED,
    progress: Callable[[str], None] | None = None,
    actor: Actor = SYSTEM,
) -> None:
    """Write the demonstration's files into ``demo/`` of the data directory and load them.

    The demonstration flag is set before the first row goes in, so that invented figures never
    show without the banner. Preparing the same demonstration again changes nothing.

    Args:
        root: any code of the shipped lists, or a name of ``divisions.NAMED``.
        seed: of every random number.
        progress: receives one line of text at a time.
        actor: who asked for it.

    Raises:
        DudaoError: DEMO_ROOT_UNKNOWN; DEMO_ON_REAL_DATA, the directory holds places that are no
            demonstration; DEMO_ANOTHER, it holds a demonstration of another root or seed;
            DEMO_REJECTED, the loaders found errors in the files.
    """
    say = progress or _silent
    root = divisions.code_of(root)
    name = f"{root}/{seed}"
    _refuse_other_data(store, actor, name)
    say(f"正在生成演示数据(范围 {root}，种子 {seed})……")
    files = build(store.directory / "demo", root=root, seed=seed)
    store.set_meta(DEMONSTRATION, "1")
    store.set_meta(DEMONSTRATION_OF, name)
    for dataset, path in files.in_load_order():
        say(f"正在导入 {path.name} ……")
        # Nobody but the program itself may bring persons into a demonstration: these are invented.
        personal = dataset == "persons" or datasets()[dataset].of_persons
        who = SYSTEM if personal else actor
        (report,) = load_files(store, who, [path], Request(dataset=dataset), (), progress=progress)
        if report.has_errors:
            first = next(issue for issue in report.issues if issue.severity == "error")
            raise DudaoError(
                "DEMO_REJECTED",
                f"演示数据 {path.name} 未能导入：{first.message}",
                "这是程序的问题，请把这段文字告诉维护人员。",
            )
    # Once for all files: each of them touches most months.
    ensure_snapshots(store, SYSTEM, registry.pairs(), progress)
    accounts.ensure(store)
    say("演示数据已就绪。")


def _refuse_other_data(store: Store, actor: Actor, name: str) -> None:
    with store.unit(actor, "data.demonstrate") as unit:
        present = unit.meta(DEMONSTRATION_OF)
        empty = unit.is_empty()
    if not empty and present is None:
        raise DudaoError(
            "DEMO_ON_REAL_DATA",
            f"数据目录 {store.directory} 中已有数据，不能再放入演示数据。",
            "请用 --data 指定一个空目录。",
        )
    if not empty and present != name:
        raise DudaoError(
            "DEMO_ANOTHER",
            f"数据目录 {store.directory} 中已有另一套演示数据(范围/种子 {present})。",
            "请用 --data 指定一个空目录，或先删除原有的演示数据目录。",
        )


def _silent(line: str) -> None:
    """Nobody waits for this."""

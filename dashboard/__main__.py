"""The command line. Forms, exit codes and JSON keys are a contract: other scripts call them.

Exit codes: 0 done, 2 the input was rejected, 1 anything else.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from dashboard.access import SYSTEM
from dashboard.cli import audit, durability, user
from dashboard.cli.common import (
    AsOption,
    DataOption,
    JsonOption,
    LayerOption,
    MonthOption,
    actor,
    open_store,
    print_json,
    progress,
    reading,
    remember,
    reporting,
    settings,
    source_of,
)
from dashboard.cli.erase import erase
from dashboard.cli.explain import explain
from dashboard.cli.forecast import forecast
from dashboard.cli.funnel import funnel
from dashboard.cli.ledger import ledger
from dashboard.cli.quality import quality
from dashboard.cli.rank import rank
from dashboard.cli.rollup import rollup
from dashboard.cli.verify import verify
from dashboard.coverage import disclosure, modes, pace, registry, service
from dashboard.coverage.model import Cell, Layer, Source, View
from dashboard.demo.service import DEFAULT_ROOT, DEFAULT_SEED, prepare_demo
from dashboard.intake.service import load_files
from dashboard.store import Store
from dashboard.store.commit import ensure_snapshots
from geodata.errors import DudaoError
from geodata.model import Place
from loaders import Request
from loaders.model import ImportReport, Severity
from loaders.registry import record_datasets

app = typer.Typer(
    help="Dudao 督导一张图：健康工作现场督导地图。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(audit.app, name="audit")
app.add_typer(user.app, name="user")
app.command()(erase)
app.command()(rank)
app.command()(forecast)
app.command()(funnel)
app.command()(rollup)
app.command()(verify)
app.command()(quality)
app.command()(ledger)
app.command()(explain)
for command in (durability.backup, durability.restore, durability.check, durability.undo):
    app.command()(command)

_SHOWN = 20
_SEVERITIES = {Severity.ERROR: "错误", Severity.WARNING: "注意", Severity.INFO: "说明"}


@app.callback()
def main(data: DataOption = None, login: AsOption = None) -> None:
    """Take options that stand before the command."""
    remember(data, login)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="监听地址。")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口。")] = None,
    data: DataOption = None,
) -> None:
    """启动网页。"""
    from dashboard.server import serve as run_server

    with reporting(False):
        chosen = settings(data)
        run_server(chosen, host or chosen.host, port or chosen.port)


@app.command()
def demo(
    root: Annotated[
        str, typer.Option(help="区划代码；langfang 为廊坊市，xcounty 为虚构的县。")
    ] = DEFAULT_ROOT,
    seed: Annotated[int, typer.Option(help="随机种子，同一种子得到同样的数据。")] = DEFAULT_SEED,
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="数据目录已有数据时什么也不做。")
    ] = False,
    data: DataOption = None,
) -> None:
    """在数据目录中准备演示数据。"""
    with reporting(False), closing(open_store(data)) as store:
        if if_empty and _has_places(store):
            return
        prepare_demo(store, root, seed, progress, actor(store))


def _has_places(store: Store) -> bool:
    with store.unit(SYSTEM) as unit:
        return not unit.is_empty()


@app.command()
def load(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="要导入的文件。")
    ] = None,
    undo: Annotated[
        int | None, typer.Option(metavar="BATCH", help="撤销这一批导入(同 undo 命令)，不导入文件。")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="数据集:places、institutions、figures、targets 或 persons。")
    ] = None,
    month: Annotated[str | None, typer.Option(help="文件没有月份列时的月份 YYYY-MM。")] = None,
    crs: Annotated[
        str | None, typer.Option(help="坐标系:EPSG 代号、gcj02 或 bd09,覆盖文件自报的坐标系。")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="文本文件的编码，程序认不准时由人指定，例如 big5。")
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(help="人工确认的名称对应，写作 名称=代码 或 上级名称/名称=代码，可多次给出。"),
    ] = None,
    issues: Annotated[
        Path | None, typer.Option(help="把完整问题清单写成 CSV(每个文件一份时自动编号)。")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="只检查，不写入。")] = False,
    accept_valid_rows: Annotated[
        bool, typer.Option("--accept-valid-rows", help="有错误时仍接收正确的行。")
    ] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """导入区划、机构或月度数据文件，一次报告全部问题。"""
    if undo is not None and not files:
        durability.undo(undo, as_json, data, login)
        return
    with reporting(as_json):
        if undo is not None or not files:
            raise DudaoError(
                "LOAD_WHAT", "导入和撤销要二选一。", "请给出要导入的文件，或用 --undo 给出批次号。"
            )
        request = Request(
            dataset=dataset,
            month=month,
            crs=crs,
            encoding=encoding,
            confirmed=_confirmed(match or []),
        )
        store = open_store(data)
        reports = load_files(
            store,
            actor(store, login),
            files,
            request,
            registry.pairs(),
            dry_run=dry_run,
            accept_valid_rows=accept_valid_rows,
            progress=progress,
        )
    for number, report in enumerate(reports, start=1):
        if issues is not None:
            report.write_issues_csv(_numbered(issues, number, len(reports)))
        if not as_json:
            _print_report(report, dry_run)
    rejected = [r for r in reports if r.has_errors and not (accept_valid_rows and r.rows_valid)]
    if as_json:
        print_json({"ok": not rejected, "files": [report.as_dict() for report in reports]})
    if rejected:
        raise typer.Exit(2)


def _numbered(path: Path, number: int, count: int) -> Path:
    return path if count == 1 else path.with_stem(f"{path.stem}-{number}")


def _confirmed(pairs: list[str]) -> dict[tuple[str, str | None], str]:
    confirmed: dict[tuple[str, str | None], str] = {}
    for pair in pairs:
        written, separator, place_id = pair.rpartition("=")
        if not separator or not written or not place_id:
            raise DudaoError(
                "MATCH_FORM",
                f"--match 的写法不对：“{pair}”。",
                "请写作 名称=代码 或 上级名称/名称=代码。",
            )
        parent, slash, name = written.rpartition("/")
        confirmed[(name, parent if slash else None)] = place_id
    return confirmed


def _print_report(report: ImportReport, dry_run: bool) -> None:
    state = "只检查，未写入" if dry_run else "已写入" if report.committed else "未写入"
    if not dry_run and not report.committed and not report.has_errors:
        state = "与已有数据一致，无变化"
    typer.echo(f"{report.file}：{report.dataset or '未识别'}，{state}")
    typer.echo(
        f"  读取 {report.rows_read:,} 行，有效 {report.rows_valid:,}，"
        f"拒绝 {report.rows_rejected:,}，跳过合计与说明 {report.rows_skipped:,}；"
        f"变化 {report.rows_changed:,}，未变 {report.rows_unchanged:,}"
    )
    for issue in report.issues.first(_SHOWN):
        sheet = f"工作表“{issue.sheet}”：" if issue.sheet else ""
        typer.echo(f"  {_SEVERITIES[issue.severity]} {issue.code} {sheet}{issue.message}")
    for code, count in report.issues.counts().items():
        if count > _SHOWN:
            typer.echo(
                f"  {code} 共 {count:,} 条，以上列出 {_SHOWN} 条；完整清单用 --issues 写出。"
            )
    for suggestion in report.suggestions[:_SHOWN]:
        offered = "、".join(f"{name}({place_id})" for place_id, name, _ in suggestion.candidates)
        typer.echo(
            f"  第 {suggestion.row} 行“{suggestion.name}”可能是：{offered or '没有相近的名称'}"
        )


@app.command()
def places(
    parent: Annotated[str | None, typer.Option(help="只列出该地的下级。")] = None,
    search: Annotated[str | None, typer.Option(help="名称、拼音首字母或代码。")] = None,
    limit: Annotated[int, typer.Option(help="搜索结果的最多条数。")] = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """列出或搜索区划。"""
    with reporting(as_json), reading(data, login) as unit:
        today = date.today()
        if search is not None:
            found = unit.search(search, limit, today)
            if parent is not None:
                path = unit.place(parent, today).path
                found = [place for place in found if place.path.startswith(path)]
        elif parent is not None:
            found = unit.children(unit.place(parent, today).id, today)
        else:
            found = unit.all_places(today)
        drawn = unit.shapes([place.id for place in found], today)
    if as_json:
        print_json({"places": [_place_dict(place, place.id in drawn) for place in found]})
        return
    for place in found:
        typer.echo(f"{place.id}\t{place.level.title}\t{place.name}")


def _place_dict(place: Place, has_boundary: bool) -> dict[str, Any]:
    return {
        "id": place.id,
        "name": place.name,
        "level": place.level.key,
        "parent_id": place.parent_id,
        "path": place.path,
        "valid_from": place.valid_from.isoformat(),
        "valid_to": place.valid_to.isoformat() if place.valid_to else None,
        "lon": place.lon,
        "lat": place.lat,
        "has_boundary": has_boundary,
    }


@app.command()
def layers(as_json: JsonOption = False) -> None:
    """列出覆盖图层。"""
    with reporting(as_json):
        found = list(registry.layers().values())
    if as_json:
        print_json({"layers": [_layer_dict(layer) for layer in found]})
        return
    for layer in found:
        typer.echo(f"{layer.id}\t{layer.title}\t{layer.unit}")


def _layer_dict(layer: Layer) -> dict[str, Any]:
    return {
        "id": layer.id,
        "title": layer.title,
        "title_en": layer.title_en,
        "group": layer.group,
        "base_level": layer.base_level.key,
        "numerator": layer.numerator,
        "denominator": layer.denominator,
        "factor": layer.factor,
        "unit": layer.unit,
        "target": layer.target,
        "direction": layer.direction.value,
        "breaks": list(layer.breaks),
        "palette": layer.palette,
        "help": layer.help,
    }


@app.command()
def coverage(
    layer: LayerOption,
    place: Annotated[str, typer.Option(help="区划代码，列出它的下级。")],
    month: MonthOption,
    source: Annotated[
        str, typer.Option(help="来源：reported、records、verified，或 gap(上报减核实)。")
    ] = Source.REPORTED.value,
    compare: Annotated[str | None, typer.Option(help="与该月 YYYY-MM 相比的变化。")] = None,
    version: Annotated[
        int | None, typer.Option(metavar="N", help="该月更正以前的第 N 版。")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
    login: AsOption = None,
) -> None:
    """一个图层在一地各下级的数值，与地图完全一致。"""
    with reporting(as_json), reading(data, login) as unit:
        chosen = Source.REPORTED if source == GAP else source_of(source, GAP)
        if version is not None:
            unit.look_at(month, version)
        view = View(place_id=place, layer_id=layer, month=month, source=chosen)
        shown = service.table(unit, view)
        other = service.table(unit, replace(view, month=compare)) if compare else None
        against = replace(view, source=Source.VERIFIED)
        verified = service.table(unit, against) if source == GAP else None
        wanted = (against if verified else view).source
        missing = registry.uncounted(shown.layer, wanted, unit.loaded_datasets())
    before = {cell.place.id: cell for cell in other.cells} if other else {}
    found_out = {cell.place.id: cell.value for cell in verified.cells} if verified else {}
    if as_json:
        found: dict[str, Any] = {
            "layer": layer,
            "place": place,
            "month": month,
            "version": shown.version,
            "children": [_cell_dict(shown.layer, cell, month) for cell in shown.cells],
        }
        if source != Source.REPORTED:
            found["source"] = source
            found["missing"] = missing
        if verified is not None:
            for entry in found["children"]:
                entry["verified"] = found_out[entry["id"]]
                entry["gap"] = _gap(entry["value"], entry["verified"])
        if other is not None:
            found["compare"] = {"month": compare, "version": other.version}
            for entry in found["children"]:
                was = before.get(entry["id"])
                entry["before"] = None if was is None else was.value
                moved = modes.change(shown.layer, entry["value"], entry["before"])
                entry["change"] = moved
        print_json(found)
        return
    for line in _missing_words(missing):
        typer.echo(line, err=True)
    for cell in shown.cells:
        value = (
            cell.status.value
            if cell.value is None
            else f"{cell.value:,.{shown.layer.decimals}f}{shown.layer.unit}"
        )
        line = f"{cell.rank or '—'}\t{cell.place.id}\t{cell.place.name}\t{value}"
        if verified is not None:
            really = found_out[cell.place.id]
            gap = _gap(cell.value, really)
            line += "\t—" if gap is None else f"\t核实 {really:,.1f}\t差 {gap:+,.1f}"
        if other is not None:
            was = before.get(cell.place.id)
            moved = modes.change(shown.layer, cell.value, None if was is None else was.value)
            unit_of = "个百分点" if shown.layer.unit == "%" else "%"
            line += "\t—" if moved is None else f"\t{moved:+.1f}{unit_of}"
        typer.echo(line)


GAP = "gap"
"""Asks for reported figures beside verified ones."""


def _gap(reported: float | None, verified: float | None) -> float | None:
    return None if reported is None or verified is None else reported - verified


def _missing_words(missing: list[str] | None) -> list[str]:
    if missing is None:
        return ["这个图层没有此来源的数据：没有登记怎样由台账计算。"]
    titles = "、".join(record_datasets()[one].title for one in missing)
    return [f"尚未导入：{titles}。请先导入(load)，再看此来源的数据。"] if missing else []


def _whole(number: float | None) -> float | int | None:
    """Counts print as integers."""
    return int(number) if number is not None and number.is_integer() else number


def _cell_dict(layer: Layer, cell: Cell, month: str) -> dict[str, Any]:
    wanted = pace.due(layer, cell.target, month)
    found = pace.standing(layer, cell.target, cell.value, month)
    return {
        "id": cell.place.id,
        "name": cell.place.name,
        "numerator": _whole(cell.numerator),
        "denominator": _whole(cell.denominator),
        "value": cell.value,
        "status": cell.status.value,
        "class": cell.class_index,
        "rank": cell.rank,
        "target": None if cell.target is None else cell.target.value,
        "pace": None if wanted is None else wanted.pace,
        "standing": None if found is None else found.value,
    }


@app.command()
def status(as_json: JsonOption = False, data: DataOption = None, login: AsOption = None) -> None:
    """数据目录的概况。"""
    with reporting(as_json), reading(data, login) as unit:
        summary = unit.status()
    if as_json:
        print_json(summary)
        return
    for key, value in summary.items():
        typer.echo(f"{key}: {json.dumps(value, ensure_ascii=False, default=str)}")


@app.command()
def publish(data: DataOption = None) -> None:
    """图层增减后，重新汇总受影响的月份。"""
    with reporting(False):
        store = open_store(data)
        made = ensure_snapshots(store, actor(store), registry.pairs(), progress)
        disclosure.prepare(store.snapshots, made)


if __name__ == "__main__":
    sys.exit(app())

"""Exports: what leaves the program as a file, suppressed, audited, with nothing live in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from dashboard.access import Actor, Kind, acts, check
from dashboard.coverage import (
    disclosure,
    drawing,
    forecast,
    ledgers,
    modes,
    registry,
    targets,
    wording,
)
from dashboard.coverage import service as coverage
from dashboard.coverage.disclosure import Pattern
from dashboard.coverage.ledgers import MOST_A_PAGE, Query
from dashboard.coverage.model import Part, View, ViewTable, previous_month
from dashboard.coverage.modes import Mode, Shade
from dashboard.coverage.ranking import MINIMUM
from dashboard.coverage.systems import systems
from dashboard.privacy.suppress import INSIDE, LEAVING, Shown
from dashboard.reports import comparisons, indicators, problems, shades, sources, tables
from dashboard.reports import ledgers as ledger_sheets
from dashboard.reports.comparisons import Compared
from dashboard.reports.files import export
from dashboard.reports.model import Export, Format, Sheet, local_now
from dashboard.reports.problems import RejectedRow
from dashboard.reports.sources import SourceRow
from dashboard.store import Store
from dashboard.store.model import month_end
from dashboard.store.unit import Unit
from geodata.errors import DudaoError
from geodata.model import Level
from loaders.model import Issue


@acts("figures.export")
def children_table(
    store: Store,
    actor: Actor,
    view: View,
    *,
    leaving: bool,
    format: str,
    version: int | None = None,
    mode: Mode = Mode.VALUE,
    against: str | None = None,
) -> Export:
    """The table of a view as a file, for use inside the county or for taking it out.

    What is left out is decided on the whole tree of the month, whatever part is exported and
    whoever asks, so that exports of different places and levels cannot be played off against each
    other. The export is audited before it is handed out.

    Args:
        version: of the month, where an earlier one is wanted.
        mode: what the map's colours say; other than the values they stand in the last columns.
        against: the month a change is measured from.

    Raises:
        NotAllowed: the actor may export nowhere.
        DudaoError: FORMAT_UNKNOWN; LAYER_NOT_FOUND, MONTH_NOT_FOUND, VERSION_NOT_FOUND;
            PLACE_NOT_FOUND, no such place where the actor may export.
        SystemProblem: FIGURES_INCONSISTENT, the stored sums do not add up.
    """
    wanted = Format.parse(format)
    with store.unit(actor, "figures.export") as unit:
        if version is not None:
            unit.look_at(view.month, version)
        table = coverage.table(unit, view)
        colours = None if mode is Mode.VALUE else _shades(unit, table, mode, against)
        months = [view.month, previous_month(view.month), *([] if against is None else [against])]
        known = {one: unit.snapshot(one) for one in months if one in unit.months()}
    threshold = LEAVING if leaving else INSIDE
    patterns = {
        month: disclosure.of_export(store.snapshots, snapshot, table.layer, threshold)
        for month, snapshot in known.items()
    }
    allowed = tables.Disclosure(threshold, *(patterns.get(month, {}) for month in months))
    last = None
    if colours is not None:
        cells = (table.own, *table.cells)
        last = shades.last(table.layer, mode, cells, colours, allowed, against)
    sheet = tables.children(
        table, allowed, by=_name(actor), at=local_now(), leaving=leaving, last=last
    )
    names = (table.place.name, table.layer.title, view.month, *_bound(leaving))
    made = export([sheet], names, wanted)
    store.record(
        actor,
        "figures.export",
        at=table.place.id,
        details={
            **_of(sheet, view.month, table.version, wanted, threshold),
            "layer": table.layer.id,
            "source": view.source.value,
            **({} if mode is Mode.VALUE else {"mode": mode.value, "against": against}),
        },
    )
    return made


def _shades(unit: Unit, table: ViewTable, mode: Mode, against: str | None) -> dict[str, Shade]:
    """What the map's colours say of a table's place and the places below, by id."""
    coloured, measured = modes.compared(table.view, mode, against)
    shown = table if coloured == table.view else coverage.table(unit, coloured)
    other = None if measured is None else coverage.table(unit, measured)
    samples = None
    if mode in modes.SAMPLED:
        seen = coverage.scene(unit, table.place.id, table.view.month, table.view.source)
        samples = drawing.samples(seen, table.layer)
    cells = (shown.own, *shown.cells)
    others = {} if other is None else {one.place.id: one for one in (other.own, *other.cells)}
    found = modes.shades(replace(shown, cells=cells), mode, others, samples)
    return {cell.place.id: one for cell, one in zip(cells, found, strict=True)}


def _of(
    sheet: Sheet, month: str, version: int, wanted: Format, threshold: int
) -> dict[str, str | int | bool]:
    """What the audit keeps of every export of a month: its version, its form, what was left out."""
    return {
        "month": month,
        "version": version,
        "format": wanted.value,
        "leaving": threshold == LEAVING,
        "threshold": threshold,
        "rows": len(sheet.rows),
        "left_out": tables.left_out(sheet),
    }


def _bound(leaving: bool) -> tuple[str, ...]:
    """The end of the name of a file that may leave the county: the one for inside must not be
    taken for it."""
    return ("报送县外",) if leaving else ()


def _name(actor: Actor) -> str:
    """Who exported, for the heading; a login of the operating system stays in the audit."""
    return actor.name if actor.kind is Kind.USER else "本机操作员"


@acts("figures.export")
def comparison_table(
    store: Store,
    actor: Actor,
    view: View,
    level: Level,
    part: Part,
    *,
    leaving: bool,
    format: str,
    version: int | None = None,
    by_interval: bool = False,
    minimum: int = MINIMUM,
) -> Export:
    """The places of one level below a view's place, compared: the whole list as a file.

    What is left out is decided as for ``children_table``; a forecast is left out with any of the
    months it stands on. The export is audited before it is handed out.

    Args:
        version: of the month, where an earlier one is wanted.
        by_interval, minimum: of a ranking, as in ``coverage.service.ranking``.

    Raises:
        NotAllowed: the actor may export nowhere.
        DudaoError: FORMAT_UNKNOWN, or TOO_MANY_ROWS for a Word document; LAYER_NOT_FOUND,
            MONTH_NOT_FOUND, VERSION_NOT_FOUND; PLACE_NOT_FOUND, no such place where the actor may
            export; SAMPLE_NOT_COMPARED, RANK_NO_INTERVAL, FUNNEL_NO_SHARE.
        SystemProblem: FIGURES_INCONSISTENT, the stored sums do not add up.
    """
    wanted = Format.parse(format)
    layer, on = registry.layer(view.layer_id), month_end(view.month)
    with store.unit(actor, "figures.export") as unit:
        if version is not None:
            unit.look_at(view.month, version)
        snapshot, above = unit.snapshot(view.month), unit.place(view.place_id, on)
        places = unit.places_below(above, level, on)
        ways = unit.ways(above, places, on)
        make = _comparison(unit, view, level, part, by_interval, minimum)
        rests_on = forecast.rests_on(layer, view.month) if part is Part.MISS else [view.month]
        past = [unit.snapshot(one) for one in rests_on[:-1] if one in unit.months()]
    threshold = LEAVING if leaving else INSIDE
    now, *before = (
        disclosure.of_export(store.snapshots, one, layer, threshold) for one in (snapshot, *past)
    )
    sheet = make(
        Compared(
            view=view,
            version=snapshot.version,
            layer=layer,
            above=above,
            level=level,
            places=places,
            ways=ways,
            disclosure=tables.Disclosure(threshold, now, _most(before)),
            by=_name(actor),
            at=local_now(),
            leaving=leaving,
        )
    )
    title = wording.part_name(part)
    names = (f"{above.name}各{level.title}", layer.title, title, view.month, *_bound(leaving))
    made = export([sheet], names, wanted)
    store.record(
        actor,
        "figures.export",
        at=above.id,
        subject=title,
        details={
            **_of(sheet, view.month, snapshot.version, wanted, threshold),
            "layer": layer.id,
            "source": view.source.value,
            "level": level.key,
            "part": part.value,
        },
    )
    return made


def _comparison(
    unit: Unit, view: View, level: Level, part: Part, by_interval: bool, minimum: int
) -> Callable[[Compared], Sheet]:
    """Reads a comparison; what makes its sheet once it is known what may be shown."""
    if part is Part.RANK:
        ranks = coverage.ranking(unit, view, level, by_interval, minimum)
        return lambda seen: comparisons.ranked(
            seen, [one.cell for one in ranks], by_interval, minimum
        )
    if part is Part.MISS:
        ends = coverage.forecasts(unit, view, level)
        return lambda seen: comparisons.misses(seen, ends)
    layer = registry.layer(view.layer_id)
    drawn = coverage.funnel(unit, view, level)
    profile = coverage.profile(unit, view.place_id, view.month, layer.group, view.source)
    return lambda seen: comparisons.outside(seen, drawn.cells, profile.cells[layer.id])


def _most(patterns: Iterable[Pattern]) -> Pattern:
    """What is left out of any of several months."""
    joined: Pattern = {}
    for one in patterns:
        for place_id, shown in one.items():
            joined[place_id] = max(joined.get(place_id, Shown.ALL), shown)
    return joined


@acts("figures.export")
def source_table(
    store: Store, actor: Actor, rows: Sequence[SourceRow], *, filtered: str, format: str
) -> Export:
    """The source documents' systems as a file; the export is audited before it is handed out.

    Args:
        filtered: what the list was narrowed to, in words.

    Raises:
        NotAllowed: the actor may export nowhere.
        DudaoError: FORMAT_UNKNOWN, or TOO_MANY_ROWS for a Word document.
    """
    check(actor, "figures.export")
    sheet = sources.sheet(rows, filtered=filtered, by=_name(actor), at=local_now())
    made = export([sheet], (sources.TITLE,), Format.parse(format))
    store.record(
        actor,
        "figures.export",
        subject=sources.TITLE,
        details={"format": format, "rows": len(rows), "filtered": filtered},
    )
    return made


TREND_MONTHS = 12


@acts("figures.export")
def indicator_table(
    store: Store,
    actor: Actor,
    place_id: str,
    month: str,
    *,
    leaving: bool,
    format: str,
    version: int | None = None,
) -> Export:
    """Every system of a place in a month as a file, with twelve months of trend.

    What is left out is decided as for ``children_table``, for each month of the trend too. The
    export is audited before it is handed out.

    Args:
        version: of the month, where an earlier one is wanted.

    Raises:
        NotAllowed: the actor may export nowhere.
        DudaoError: FORMAT_UNKNOWN; MONTH_NOT_FOUND, VERSION_NOT_FOUND; PLACE_NOT_FOUND, no such
            place where the actor may export.
        SystemProblem: FIGURES_INCONSISTENT, the stored sums do not add up.
    """
    wanted = Format.parse(format)
    with store.unit(actor, "figures.export") as unit:
        if version is not None:
            unit.look_at(month, version)
        scene = coverage.scene(unit, place_id, month)
        wants = targets.read(unit, [scene.place], month)
        months = [one for one in unit.months() if one <= month][-TREND_MONTHS:]
        found = {one.layer.id: one for one in coverage.indicators(unit, place_id, month, months)}
        snapshots = [unit.snapshot(one) for one in months]
    threshold = LEAVING if leaving else INSIDE
    below = {name: coverage.table_of(scene, one.layer) for name, one in found.items()}
    places = {cell.place.id for table in below.values() for cell in table.cells} | {place_id}
    seen = indicators.Overview(
        place=scene.place,
        version=scene.version,
        targets=wants,
        found=found,
        below=below,
        months=months,
        patterns=[
            disclosure.of_exports(store.snapshots, one, threshold, places) for one in snapshots
        ],
    )
    sheet = indicators.sheet(
        seen, systems(), threshold=threshold, leaving=leaving, by=_name(actor), at=local_now()
    )
    made = export([sheet], (scene.place.name, "各项指标", month, *_bound(leaving)), wanted)
    store.record(
        actor,
        "figures.export",
        at=scene.place.id,
        details=_of(sheet, month, scene.version, wanted, threshold),
    )
    return made


@acts("figures.export")
def ledger_table(store: Store, actor: Actor, query: Query, *, format: str) -> Export:
    """All rows of a ledger that a query finds, as a file; audited before it is handed out.

    Raises:
        NotAllowed: the actor may export nowhere.
        DudaoError: FORMAT_UNKNOWN; as ``ledgers.read``, the place being one where the actor may
            export; LEDGER_NOT_EXPORTED, the rows are of single persons and the actor may not see
            who they are; TOO_MANY_ROWS.
    """
    wanted = Format.parse(format)
    with store.unit(actor, "figures.export") as unit:
        seen = ledgers.sight(unit, query.dataset, query.place_id, query.month)
    if not ledgers.leaving(seen):
        raise DudaoError(
            "LEDGER_NOT_EXPORTED",
            f"“{seen.dataset.title}”逐条涉及个人，您没有导出的权限。",
            "如确因工作需要，请由有权查看人员名单的人员导出。",
        )
    page = ledgers.read(store, actor, replace(query, page=1, size=MOST_A_PAGE))
    if page.total > MOST_A_PAGE:
        raise DudaoError(
            "TOO_MANY_ROWS",
            f"共 {page.total:,} 条，一次最多导出 {MOST_A_PAGE:,} 条。",
            "请缩小地区、期间或增加筛选条件后再导出。",
        )
    sheet = ledger_sheets.sheet(page, by=_name(actor), at=local_now())
    made = export([sheet], (seen.place.name, seen.dataset.title, query.month), wanted)
    store.record(
        actor,
        "figures.export",
        at=seen.place.id,
        subject=seen.dataset.id,
        details={
            "dataset": seen.dataset.id,
            "month": query.month,
            "period": query.period.value,
            "columns": sorted(one.column for one in query.filters),
            "format": wanted.value,
            "rows": len(sheet.rows),
        },
    )
    return made


@acts("data.check")
def rejected_rows(
    actor: Actor, file: str, rows: Iterable[RejectedRow], issues: Iterable[Issue]
) -> Export:
    """The rows of an uploaded file that could not be taken, as a workbook with the reasons.

    Args:
        file: the uploaded file's name, for the heading and the name of the workbook.
        rows: any rows of the file; those without an error are passed over.
        issues: of the whole file.

    Raises:
        NotAllowed
        DudaoError: NOTHING_REJECTED, no row has an error.
    """
    check(actor, "data.check")
    found = problems.rejected(file, rows, issues)
    return export(found, (file.rpartition(".")[0] or file, "未导入的行"), Format.XLSX)


@acts("data.check")
def issue_list(actor: Actor, file: str, issues: Iterable[Issue], format: str) -> Export:
    """Every issue of an uploaded file.

    Raises:
        NotAllowed
        DudaoError: FORMAT_UNKNOWN, or TOO_MANY_ROWS for a Word document.
    """
    check(actor, "data.check")
    stem = file.rpartition(".")[0] or file
    return export([problems.listed(file, issues)], (stem, "问题清单"), Format.parse(format))

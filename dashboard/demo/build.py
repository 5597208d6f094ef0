"""One demonstration: places, institutions and figures as files a data clerk could have sent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from dashboard.demo import divisions, documents
from dashboard.demo.figures import MEASURES, months_until, village_figures
from dashboard.demo.institutions import institutions
from dashboard.demo.model import DemoFiles, TroubleKind
from dashboard.demo.outlines import outlines_of
from dashboard.demo.persons import persons
from dashboard.demo.records import records
from dashboard.demo.streams import stream
from dashboard.demo.systems import system_figures
from dashboard.demo.targets import targets
from dashboard.demo.troubles import OLD_NAME, of_kind, planted
from geodata.model import Level
from geodata.plane import Geometries, as_geometries

DEFAULT_ROOT = "131000000000"
DEFAULT_SEED = 20260
DEFAULT_MONTHS = 24
LAST_MONTH = "2026-10"
"""Fixed, so that the same seed writes the same figures on any day."""

PLACE_COLUMNS = (
    "id", "name", "level", "parent_id", "valid_from", "valid_to", "lon", "lat", "indicative",
)  # fmt: skip
_LIST_DATE = "2023-06-30"
"""Day the shipped division list stands for."""
_DEGREE_DIGITS = 6


def build(
    out_dir: Path | str,
    root: str = DEFAULT_ROOT,
    seed: int = DEFAULT_SEED,
    months: int = DEFAULT_MONTHS,
    last_month: str = LAST_MONTH,
) -> DemoFiles:
    """Write one demonstration into ``out_dir``, created where missing, files replaced.

    Args:
        root: a code of the shipped lists or a name of ``divisions.NAMED``; the tree starts there.
        months: number of months, at least 1, ending in ``last_month`` (``YYYY-MM``).

    Raises:
        DudaoError: DEMO_ROOT_UNKNOWN.
    """
    directory = Path(out_dir)
    directory.mkdir(parents=True, exist_ok=True)
    span = months_until(last_month, months)
    listed = divisions.under(root)
    outlines = _outlines(listed, seed)
    undisturbed = _figures_around(listed, span, seed)

    places = _dated_places(listed, outlines, span)
    figures = _disturbed(undisturbed, listed, span, seed)
    planned = undisturbed.groupby("place_id")["planned_village_clinics"].last()
    clinics = institutions(listed, planned, _seats(outlines), seed)

    registered = persons(listed, seed)
    numbers = dict(zip(registered["place_id"], registered["id_number"], strict=True))

    drawn = places.geometry.notna()
    return DemoFiles(
        directory=directory,
        root=root,
        seed=seed,
        months=span,
        places=_write_vector(places.loc[drawn], directory / "places.gpkg"),
        places_without_outline=_write_table(
            pd.DataFrame(places.loc[~drawn, list(PLACE_COLUMNS)]),
            directory / "places_without_outline.csv",
        ),
        institutions=_write_csv(clinics, directory / "institutions.csv"),
        figures=_write_csv(figures, directory / "figures.csv"),
        systems=_write_table(
            system_figures(figures, listed, span, seed), directory / "systems.csv"
        ),
        document_figures=_write_table(
            documents.reported(listed["id"]), directory / "document_figures.csv"
        ),
        targets=_write_table(targets(listed), directory / "targets.csv"),
        persons=_write_csv(registered, directory / "persons.csv"),
        records=tuple(
            (dataset, _write_csv(rows, directory / f"{dataset}.csv"))
            for dataset, rows in records(figures, span, seed, numbers).items()
        ),
        troubles=planted(set(listed["id"]), set(clinics["id"])),
    )


def _outlines(listed: pd.DataFrame, seed: int) -> pd.DataFrame:
    """``lon, lat, geometry, indicative`` by place id, for the places that have an outline."""
    shapes = divisions.county_shapes()
    rows: list[pd.DataFrame] = []
    for county in divisions.counties_of(listed):
        if county in shapes:
            made = outlines_of(county, shapes[county], seed)
            rows.append(made.assign(indicative=True))
    published: dict[str, shapely.Geometry] = {
        key: shapes[key] for key in listed["id"] if key in shapes
    }
    for city in listed.loc[listed["level"] == Level.CITY, "id"]:
        published[city] = shapely.union_all(
            [shape for key, shape in shapes.items() if key[:4] == city[:4]]
        )
    inner = shapely.point_on_surface(np.array(list(published.values()), dtype=object))
    rows.append(
        pd.DataFrame(
            {
                "id": list(published),
                "lon": shapely.get_x(inner),
                "lat": shapely.get_y(inner),
                "geometry": np.array(list(published.values()), dtype=object),
                "indicative": np.array(
                    [divisions.is_invented(key) for key in published], dtype=bool
                ),
            }
        )
    )
    table = pd.concat(rows, ignore_index=True).set_index("id")
    return table.loc[table.index.isin(listed["id"])]


def _figures_around(listed: pd.DataFrame, span: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Figures of the whole townships the listed villages are in, so that every root agrees."""
    low = listed.loc[listed["level"] >= Level.TOWNSHIP, "id"]
    townships = set(low.str[:9])
    whole = pd.concat([divisions.whole_county(key) for key in divisions.counties_of(listed)])
    return village_figures(whole.loc[whole["id"].str[:9].isin(townships)], span, seed)


def _dated_places(
    listed: pd.DataFrame, outlines: pd.DataFrame, span: tuple[str, ...]
) -> gpd.GeoDataFrame:
    """Places with their periods and outlines; merged and renamed ones have a row a period."""
    since = min(_LIST_DATE, documents.FIRST_DAY, f"{span[0]}-01", _first_day(span, DEFAULT_MONTHS))
    table = listed.assign(valid_from=since, valid_to=None).join(outlines, on="id")
    table["indicative"] = table["indicative"].fillna(False).astype(bool)
    table.index = pd.Index(table["id"], name="place")
    parts = [table]

    for trouble in of_kind(TroubleKind.MERGED):
        if {trouble.id, trouble.other_id} <= set(table.index):
            change = _first_day(span, trouble.months_back[0])
            both = [trouble.id, trouble.other_id]
            joined = shapely.union_all(table.loc[both, "geometry"].to_numpy())
            parts.append(
                table.loc[both[1:]].assign(geometry=as_geometries([joined]), valid_from=change)
            )
            table.loc[both, "valid_to"] = change

    for trouble in of_kind(TroubleKind.RENAMED):
        if trouble.id in table.index:
            change = _first_day(span, trouble.months_back[0])
            parts.append(table.loc[[trouble.id]].assign(valid_from=change))
            table.loc[trouble.id, ["name", "valid_to"]] = [OLD_NAME, change]

    table = pd.concat(parts)
    table[["lon", "lat"]] = table[["lon", "lat"]].astype(float).round(_DEGREE_DIGITS)
    table = table.sort_values(["level", "id", "valid_from"], ignore_index=True)
    return gpd.GeoDataFrame(table, geometry="geometry", crs="EPSG:4326")


def _month(span: tuple[str, ...], back: int) -> str:
    return str(pd.Period(span[-1], "M") - back)


def _first_day(span: tuple[str, ...], back: int) -> str:
    return f"{_month(span, back)}-01"


def _disturbed(
    figures: pd.DataFrame, listed: pd.DataFrame, span: tuple[str, ...], seed: int
) -> pd.DataFrame:
    """The figures with the planted troubles and a scatter of gaps, as wide rows with blanks."""
    table = _merged(figures, span)
    place, month = table["place_id"], table["month"]

    for trouble in of_kind(TroubleKind.ZERO_DENOMINATOR):
        table.loc[place == trouble.id, list(MEASURES)] = 0
    for trouble in of_kind(TroubleKind.BLANK_NUMERATOR):
        hit = (place == trouble.id) & month.isin(_months(span, trouble.months_back))
        table.loc[hit, "contracted_persons"] = np.nan

    gone = _scattered(table, seed, "gaps", 0.006)
    table.loc[_scattered(table, seed, "blanks", 0.004), "contracted_persons"] = np.nan
    for trouble in of_kind(TroubleKind.NEVER_REPORTED):
        gone |= place == trouble.id
    for trouble in of_kind(TroubleKind.MISSING_MONTHS):
        under = place.str.startswith(trouble.id[:9] if trouble.id.endswith("000") else trouble.id)
        gone |= under & month.isin(_months(span, trouble.months_back))
    table = table.loc[~gone]

    table = _with_township_rows(table)
    table = table.loc[table["place_id"].isin(listed["id"])]
    table = table.sort_values(["month", "place_id"], ignore_index=True)
    return table.astype(dict.fromkeys(MEASURES, "Int64"))


def _months(span: tuple[str, ...], back: Iterable[int]) -> list[str]:
    return [_month(span, count) for count in back]


def _merged(figures: pd.DataFrame, span: tuple[str, ...]) -> pd.DataFrame:
    """From the month of a merger on, the leaving village's figures count in the taking one's."""
    table = figures.copy()
    for trouble in of_kind(TroubleKind.MERGED):
        late = table["month"] >= _month(span, trouble.months_back[0])
        table.loc[late & (table["place_id"] == trouble.id), "place_id"] = trouble.other_id
    return table.groupby(["place_id", "month"], as_index=False, sort=False)[list(MEASURES)].sum()


def _scattered(table: pd.DataFrame, seed: int, purpose: str, share: float) -> pd.Series:
    """A seeded choice of rows, the same for a township whatever the root."""
    hit = pd.Series(False, index=table.index)
    for township, rows in table.groupby(table["place_id"].str[:9]):
        draw = stream(seed, f"{township}000", purpose).random(len(rows))
        hit.loc[rows.index] = draw < share
    return hit


def _with_township_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Own figures of the townships that have some, and the villages' blanks beside them."""
    table = table.copy()
    own: list[pd.DataFrame] = []
    for trouble in of_kind(TroubleKind.OWN_FIGURE_DIFFERS):
        sums = _sums(table, trouble.id, ["registered_persons", "contracted_persons"])
        said = sums["contracted_persons"] + np.ceil(0.04 * sums["registered_persons"])
        sums["contracted_persons"] = np.minimum(said, sums["registered_persons"])
        own.append(sums)
    for trouble in of_kind(TroubleKind.ONLY_AT_TOWNSHIP):
        pair = ["cervical_eligible_women", "cervical_screened_women"]
        own.append(_sums(table, trouble.id, pair))
        table.loc[table["place_id"].str.startswith(trouble.id[:9]), pair] = np.nan
    return pd.concat([table, *own], ignore_index=True)


def _sums(table: pd.DataFrame, township: str, measures: list[str]) -> pd.DataFrame:
    rows = table.loc[table["place_id"].str.startswith(township[:9])]
    return rows.groupby("month", as_index=False)[measures].sum().assign(place_id=township)


def _seats(outlines: pd.DataFrame) -> pd.DataFrame:
    """``lon, lat, room`` by place id; room is the seat's distance to the outline in degrees."""
    seats = outlines[["lon", "lat"]].astype(float)
    points = shapely.points(seats["lon"].to_numpy(), seats["lat"].to_numpy())
    rims = shapely.boundary(outlines["geometry"].to_numpy())
    return seats.assign(room=np.minimum(shapely.distance(points, rims), 0.02))


def _write_vector(places: gpd.GeoDataFrame, path: Path) -> Path | None:
    path.unlink(missing_ok=True)
    if places.empty:
        return None
    columns = [*PLACE_COLUMNS, "geometry"]
    polygons = places[columns].assign(geometry=_multipolygons(places.geometry.to_numpy()))
    pyogrio.write_dataframe(polygons, path, layer="places")
    return path


def _multipolygons(shapes: Geometries) -> Geometries:
    """One geometry type for the whole layer, as a GeoPackage wants it."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    return as_geometries(shapely.multipolygons(parts, indices=owner))


def _write_table(rows: pd.DataFrame, path: Path) -> Path | None:
    path.unlink(missing_ok=True)
    return None if rows.empty else _write_csv(rows, path)


def _write_csv(rows: pd.DataFrame, path: Path) -> Path:
    rows.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    return path

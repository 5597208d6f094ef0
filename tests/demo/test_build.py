"""The files of a demonstration: the same for the same seed, tiling, consistent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from dashboard.demo import DEFAULT_ROOT, DEFAULT_SEED, LAST_MONTH, DemoFiles, build
from dashboard.demo.figures import MEASURES
from geodata.coverage_shapes import gaps_and_overlaps
from geodata.errors import DudaoError
from geodata.model import InstitutionKind, Level
from loaders.registry import measures

COUNTY = "131025000000"


@dataclass(frozen=True)
class Read:
    """One demonstration, read back from its files."""

    files: DemoFiles
    drawn: gpd.GeoDataFrame
    undrawn: pd.DataFrame
    institutions: pd.DataFrame
    figures: pd.DataFrame

    @classmethod
    def of(cls, files: DemoFiles) -> Read:
        text = {"id": str, "parent_id": str, "place_id": str}
        assert files.places is not None
        return cls(
            files=files,
            drawn=gpd.read_file(files.places),
            undrawn=(
                pd.DataFrame(columns=["id", "level"])
                if files.places_without_outline is None
                else pd.read_csv(files.places_without_outline, dtype=text)
            ),
            institutions=pd.read_csv(files.institutions, dtype=text),
            figures=pd.read_csv(files.figures, dtype=text),
        )

    def now(self) -> gpd.GeoDataFrame:
        return self.drawn.loc[self.drawn["valid_to"].isna()]


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Read:
    return Read.of(build(tmp_path_factory.mktemp("city")))


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Read:
    return Read.of(build(tmp_path_factory.mktemp("county"), root=COUNTY))


def test_the_whole_division_list_is_there(city: Read) -> None:
    ids = pd.concat([city.drawn["id"], city.undrawn["id"]])
    levels = pd.concat([city.drawn["level"], city.undrawn["level"]])
    counts = levels[~ids.duplicated()].value_counts()
    assert counts.to_dict() == {
        Level.CITY: 1, Level.COUNTY: 11, Level.TOWNSHIP: 123, Level.VILLAGE: 3619,
    }  # fmt: skip
    roots = pd.concat([city.drawn, city.undrawn])["parent_id"].isna()
    assert ids[roots].tolist() == [DEFAULT_ROOT]


def test_the_same_seed_writes_the_same(county: Read, tmp_path: Path) -> None:
    again = Read.of(build(tmp_path, root=COUNTY))
    assert again.files.figures.read_bytes() == county.files.figures.read_bytes()
    assert again.files.institutions.read_bytes() == county.files.institutions.read_bytes()
    pd.testing.assert_frame_equal(
        again.drawn.drop(columns="geometry"), county.drawn.drop(columns="geometry")
    )
    assert (shapely.to_wkb(again.drawn.geometry) == shapely.to_wkb(county.drawn.geometry)).all()


def test_another_seed_writes_something_else(county: Read, tmp_path: Path) -> None:
    other = Read.of(build(tmp_path, root=COUNTY, seed=DEFAULT_SEED + 1))
    assert other.files.figures.read_bytes() != county.files.figures.read_bytes()
    villages = county.drawn["level"] == Level.VILLAGE
    same = shapely.equals_exact(
        shapely.normalize(other.drawn.geometry[villages].to_numpy()),
        shapely.normalize(county.drawn.geometry[villages].to_numpy()),
        1e-9,
    )
    assert not same.any()


@pytest.mark.parametrize("root", [COUNTY, "131025100000", "131025100230"])
def test_a_place_is_the_same_under_any_root(city: Read, root: str, tmp_path: Path) -> None:
    own = Read.of(build(tmp_path, root=root))
    ids = set(own.drawn["id"])
    assert root in ids
    for name in ("figures", "institutions"):
        whole, part = getattr(city, name), getattr(own, name)
        expected = whole.loc[whole["place_id"].isin(ids)].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, expected, check_dtype=False)
    shapes = city.drawn.loc[city.drawn["id"].isin(ids)].geometry.to_numpy()
    assert (shapely.to_wkb(own.drawn.geometry.to_numpy()) == shapely.to_wkb(shapes)).all()
    assert own.drawn.loc[own.drawn["parent_id"].isna(), "id"].tolist() == [root]


def test_children_tile_their_parent(city: Read) -> None:
    """No gap, no overlap, border points shared vertex by vertex; at every level, at both dates."""
    for current in (city.now(), city.drawn.loc[~city.drawn.duplicated("id")]):
        shapes = current.set_index("id").geometry
        for parent, children in current.loc[current["parent_id"].notna()].groupby("parent_id"):
            cells = children.geometry.to_numpy()
            assert shapely.coverage_is_valid(cells), parent
            joined = shapely.union_all(cells)
            left = shapely.area(shapely.symmetric_difference(joined, shapes[parent]))
            assert left < 1e-9 * shapely.area(shapes[parent]), parent


def test_no_square_metre_is_lost_between_neighbours(county: Read) -> None:
    villages = county.now().loc[lambda rows: rows["level"] == Level.VILLAGE].geometry.to_numpy()
    gap, overlap = gaps_and_overlaps(villages)
    assert gap < 1 and overlap < 1


def test_outlines_made_here_say_so(city: Read) -> None:
    made = city.drawn["level"] >= Level.TOWNSHIP
    assert (city.drawn["indicative"].astype(bool) == made).all()
    assert shapely.is_valid(city.drawn.geometry.to_numpy()).all()
    seats = shapely.points(city.drawn["lon"], city.drawn["lat"])
    assert shapely.intersects(shapely.buffer(city.drawn.geometry.to_numpy(), 2e-6), seats).all()


def test_cells_are_denser_somewhere(county: Read) -> None:
    villages = county.now().loc[lambda rows: rows["level"] == Level.VILLAGE]
    areas = shapely.area(villages.geometry.to_numpy())
    assert np.quantile(areas, 0.9) > 3 * np.quantile(areas, 0.1)


def test_figures_are_whole_and_consistent(city: Read) -> None:
    table = city.figures
    assert table["month"].nunique() == 24 and table["month"].max() == LAST_MONTH
    assert not table.duplicated(["place_id", "month"]).any()
    values = table[list(MEASURES)]
    assert values.min().min() == 0
    assert (values.fillna(0) % 1 == 0).all().all()
    for measure in (measures()[name] for name in MEASURES):
        if measure.part_of is not None:
            assert not (table[measure.id] > table[measure.part_of]).any(), measure.id
    assert not (table["registered_households"] > table["registered_persons"]).any()
    assert not (table["cervical_eligible_women"] > table["registered_persons"]).any()


def test_the_figures_of_all_systems_are_whole_and_consistent(city: Read) -> None:
    assert city.files.systems is not None
    table = pd.read_csv(city.files.systems, dtype={"place_id": str})
    assert not table.duplicated(["place_id", "month"]).any()
    assert set(table.columns) - {"place_id", "month"} == set(measures()) - set(MEASURES)
    sent = city.figures.merge(table, on=["place_id", "month"], suffixes=("", "_"))
    for measure in measures().values():
        values = sent[measure.id] if measure.id in MEASURES else table[measure.id]
        assert values.notna().any() and not (values < 0).any(), measure.id
        if measure.integer:
            assert (values.dropna() % 1 == 0).all(), measure.id
        if measure.part_of is not None:
            assert not (sent[measure.id] > sent[measure.part_of]).any(), measure.id
        if measure.parts:
            parts = table[list(measure.parts)].sum(axis=1)[table[measure.id].notna()]
            assert np.allclose(parts, table[measure.id].dropna(), atol=0.05)
    hiv = table.loc[table["hiv_patients"].notna(), "place_id"]
    assert set(hiv) == {"131000000000"}


def test_figures_are_plausible(city: Read) -> None:
    by_month = city.figures.loc[~city.figures["place_id"].str.endswith("000")].groupby("month")
    sums = by_month[list(MEASURES)].sum()
    first, last = sums.iloc[0], sums.iloc[-1]
    assert 20_000 < last["registered_households"] < first["registered_households"] < 30_000
    assert 2.1 < last["registered_persons"] / last["registered_households"] < 2.6
    assert first["contracted_persons"] / first["registered_persons"] < 0.5
    assert 0.8 < last["contracted_persons"] / last["registered_persons"] < 0.9
    assert 0.2 < last["open_findings"] / len(by_month.get_group(LAST_MONTH)) < 0.5
    growing = sums["cervical_screened_women"].diff().dropna()
    assert growing.loc[["2026-05", "2025-05"]].min() > 5 * growing.loc[["2026-02", "2026-08"]].max()


def test_neighbouring_villages_resemble_each_other(city: Read) -> None:
    """A township explains much of its villages' coverage: areas on the map, not noise."""
    last = city.figures.loc[city.figures["month"] == LAST_MONTH]
    last = last.loc[~last["place_id"].str.endswith("000") & (last["registered_persons"] > 0)]
    share = (last["contracted_persons"] / last["registered_persons"]).dropna()
    township = share.groupby(last["place_id"].str[:9]).transform("mean")
    assert np.var(township) / np.var(share) > 0.35


def test_institutions_by_kind(city: Read) -> None:
    counts = city.institutions["kind"].value_counts()
    assert counts[InstitutionKind.TOWNSHIP_CENTRE] == 123
    assert counts[InstitutionKind.COUNTY_HOSPITAL] == 11
    assert counts[InstitutionKind.DESIGNATED] == 22
    assert counts[InstitutionKind.VILLAGE_CLINIC] > 0.7 * 3619
    assert city.institutions["id"].is_unique
    assert not city.institutions["name"].str.contains("委员会|委会").any()


def test_institutions_stand_in_their_place(city: Read) -> None:
    located = city.institutions.dropna(subset=["lon"])
    shapes = city.now().set_index("id").geometry.reindex(located["place_id"]).to_numpy()
    assert shapely.contains_xy(shapes, located["lon"], located["lat"]).all()


def test_months_can_be_chosen(tmp_path: Path) -> None:
    files = build(tmp_path, root="131025106000", months=3, last_month="2025-01")
    assert files.months == ("2024-11", "2024-12", "2025-01")
    assert set(pd.read_csv(files.figures)["month"]) == {"2024-11", "2024-12"}


def test_the_second_city(tmp_path: Path) -> None:
    read = Read.of(build(tmp_path, root="341300000000", months=1))
    assert (read.undrawn["level"] == Level.COUNTY).sum() == 2
    assert read.files.troubles == ()


def test_a_zone_without_outlines_can_be_the_root(tmp_path: Path) -> None:
    files = build(tmp_path, root="131071000000")
    assert files.places is None and files.places_without_outline is not None
    assert files.targets is None
    assert len(pd.read_csv(files.places_without_outline)) == 1 + 2 + 23


def test_unknown_root(tmp_path: Path) -> None:
    with pytest.raises(DudaoError) as caught:
        build(tmp_path, root="999999000000")
    assert caught.value.code == "DEMO_ROOT_UNKNOWN"

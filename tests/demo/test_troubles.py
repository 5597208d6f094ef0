"""Every planted trouble is really in the files, at the place TROUBLES names."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from dashboard.demo import TROUBLES, DemoFiles, Trouble, TroubleKind, build

ROOT = "131000000000"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return build(tmp_path_factory.mktemp("troubles"), root=ROOT)


@pytest.fixture(scope="module")
def figures(files: DemoFiles) -> pd.DataFrame:
    return pd.read_csv(files.figures, dtype={"place_id": str})


@pytest.fixture(scope="module")
def places(files: DemoFiles) -> gpd.GeoDataFrame:
    assert files.places is not None
    return gpd.read_file(files.places)


def _of(kind: TroubleKind) -> list[Trouble]:
    found = [trouble for trouble in TROUBLES if trouble.kind is kind]
    assert found
    return found


def _months(files: DemoFiles, trouble: Trouble) -> list[str]:
    return [files.months[-1 - back] for back in trouble.months_back]


def _below(figures: pd.DataFrame, township: str) -> pd.DataFrame:
    place = figures["place_id"]
    return figures.loc[place.str.startswith(township[:9]) & (place != township)]


def test_every_kind_is_planted(files: DemoFiles) -> None:
    assert {trouble.kind for trouble in TROUBLES} == set(TroubleKind)
    assert files.troubles == TROUBLES


def test_troubles_outside_the_root_are_not_claimed(tmp_path: Path) -> None:
    kinds = {trouble.kind for trouble in build(tmp_path, root="131026000000", months=1).troubles}
    assert kinds == {TroubleKind.LAGGING}


def test_missing_months(files: DemoFiles, figures: pd.DataFrame) -> None:
    for trouble in _of(TroubleKind.MISSING_MONTHS):
        prefix = trouble.id[:9] if trouble.id.endswith("000") else trouble.id
        reported = figures.loc[figures["place_id"].str.startswith(prefix), "month"]
        missing = set(_months(files, trouble))
        assert missing and missing.isdisjoint(reported)
        assert reported.nunique() >= len(files.months) - len(missing) - 2


def test_never_reported(figures: pd.DataFrame, places: gpd.GeoDataFrame) -> None:
    for trouble in _of(TroubleKind.NEVER_REPORTED):
        assert trouble.id in set(places["id"])
        assert trouble.id not in set(figures["place_id"])


def test_zero_denominator(figures: pd.DataFrame) -> None:
    for trouble in _of(TroubleKind.ZERO_DENOMINATOR):
        rows = figures.loc[figures["place_id"] == trouble.id]
        assert len(rows) > 20
        assert (rows[["registered_households", "registered_persons"]] == 0).all().all()
        assert (rows[["contracted_persons", "cervical_eligible_women"]].fillna(0) == 0).all().all()


def test_merged(files: DemoFiles, figures: pd.DataFrame, places: gpd.GeoDataFrame) -> None:
    for trouble in _of(TroubleKind.MERGED):
        (change,) = _months(files, trouble)
        assert figures.loc[figures["place_id"] == trouble.id, "month"].max() < change
        (leaving,) = places.loc[places["id"] == trouble.id].itertuples()
        before, after = places.loc[places["id"] == trouble.other_id].itertuples()
        assert leaving.valid_to == before.valid_to == after.valid_from == f"{change}-01"
        assert leaving.parent_id == after.parent_id
        assert after.geometry.geom_type == "Polygon" or len(after.geometry.geoms) == 1
        area = shapely.area([leaving.geometry, before.geometry, after.geometry])
        assert area[2] == pytest.approx(area[0] + area[1])

        taking = figures.loc[figures["place_id"] == trouble.other_id].set_index("month")
        persons = taking["registered_persons"]
        assert persons[persons.index >= change].iloc[0] > persons[persons.index < change].iloc[-1]


def test_renamed(files: DemoFiles, places: gpd.GeoDataFrame) -> None:
    for trouble in _of(TroubleKind.RENAMED):
        (change,) = _months(files, trouble)
        old, new = places.loc[places["id"] == trouble.id].itertuples()
        assert old.name != new.name
        assert old.valid_to == new.valid_from == f"{change}-01"
        assert old.geometry.equals(new.geometry)


def test_clinic_without_coordinates(files: DemoFiles) -> None:
    clinics = pd.read_csv(files.institutions, dtype={"id": str}).set_index("id")
    for trouble in _of(TroubleKind.CLINIC_WITHOUT_COORDINATES):
        assert clinics.loc[trouble.id, ["lon", "lat"]].isna().all()
    zone = clinics.index.str.startswith("131071")
    lost = clinics.index[clinics["lon"].isna() & ~zone]
    assert lost.tolist() == [t.id for t in _of(TroubleKind.CLINIC_WITHOUT_COORDINATES)]


def test_no_boundary(files: DemoFiles, figures: pd.DataFrame, places: gpd.GeoDataFrame) -> None:
    assert files.places_without_outline is not None
    listed = pd.read_csv(files.places_without_outline, dtype=str)
    for trouble in _of(TroubleKind.NO_BOUNDARY):
        under = listed.loc[listed["id"].str.startswith(trouble.id[:6])]
        assert len(under) == 1 + 2 + 23
        assert under[["lon", "lat"]].isna().all().all()
        assert not places["id"].str.startswith(trouble.id[:6]).any()
        assert figures["place_id"].str.startswith(trouble.id[:6]).any()


def test_own_figure_differs(files: DemoFiles, figures: pd.DataFrame) -> None:
    for trouble in _of(TroubleKind.OWN_FIGURE_DIFFERS):
        own = figures.loc[figures["place_id"] == trouble.id].set_index("month")
        sums = _below(figures, trouble.id).groupby("month")["contracted_persons"].sum()
        assert list(own.index) == list(files.months)
        assert (own["contracted_persons"] > sums).all()
        assert (own["contracted_persons"] <= own["registered_persons"]).all()


def test_only_at_township(files: DemoFiles, figures: pd.DataFrame) -> None:
    pair = ["cervical_eligible_women", "cervical_screened_women"]
    for trouble in _of(TroubleKind.ONLY_AT_TOWNSHIP):
        assert _below(figures, trouble.id)[pair].isna().all().all()
        own = figures.loc[figures["place_id"] == trouble.id]
        assert len(own) == len(files.months)
        assert (own[pair] > 0).all().all()
        assert own["registered_persons"].isna().all()


def test_blank_numerator(files: DemoFiles, figures: pd.DataFrame) -> None:
    for trouble in _of(TroubleKind.BLANK_NUMERATOR):
        rows = figures.loc[figures["place_id"] == trouble.id].set_index("month")
        blank = rows.loc[_months(files, trouble)]
        assert blank["contracted_persons"].isna().all()
        assert (blank["registered_persons"] > 0).all()


def test_lagging_places_stand_out(files: DemoFiles, figures: pd.DataFrame) -> None:
    last = figures.loc[figures["month"] == files.months[-1]]
    last = last.loc[~last["place_id"].str.endswith("000")].dropna(subset=["contracted_persons"])

    def coverage(digits: int) -> pd.Series:
        sums = last.groupby(last["place_id"].str[:digits])[
            ["contracted_persons", "registered_persons"]
        ].sum()
        return sums["contracted_persons"] / sums["registered_persons"]

    counties, townships = coverage(6), coverage(9)
    for trouble in _of(TroubleKind.LAGGING):
        if trouble.id.endswith("000000"):
            own = counties[trouble.id[:6]]
            assert (counties.drop(trouble.id[:6]) > own + 0.08).all()
        else:
            assert townships[trouble.id[:9]] < 0.7

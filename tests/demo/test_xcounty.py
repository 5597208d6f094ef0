"""The invented county of document X: no real place, labelled so, drawn as indicative throughout."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd

from dashboard.demo import build
from geodata.codes import is_division_code


def test_every_place_is_invented_and_says_so(tmp_path: Path) -> None:
    files = build(tmp_path, root="xcounty", months=2)
    assert files.places is not None
    assert files.places_without_outline is None
    places = gpd.read_file(files.places)
    assert places["level"].value_counts().to_dict() == {3: 1, 4: 16, 5: 180}
    assert places["name"].str.contains("虚构").all()
    assert not places["id"].map(is_division_code).any()
    assert places["indicative"].all()
    assert places["id"].is_unique
    assert places["name"].is_unique

import numpy as np
import pytest
import shapely
from shapely import Point

from geodata import crs
from geodata.detect import offset_kind
from geodata.thiessen import cells, seeded_points

DISGUISES = {"gcj02": crs.wgs84_to_gcj02, "bd09": crs.wgs84_to_bd09}


def roughened(polygons, metres, seed=0):
    """The same places as another surveyor drew them: every vertex moved at random."""
    rng = np.random.default_rng(seed)

    def move(coordinates):
        distinct, number = np.unique(coordinates, axis=0, return_inverse=True)
        noise = rng.normal(0, metres, distinct.shape) / (86_000.0, 111_000.0)
        return coordinates + noise[number.ravel()]

    moved = shapely.transform(shapely.segmentize(polygons, 0.02), move)
    return shapely.make_valid(moved, method="structure")


@pytest.fixture(scope="module")
def villages(langfang_file):
    """300 cells and their points in Langfang, with the county of each."""
    points, shapes, homes = [], [], []
    for i, county in enumerate(langfang_file):
        spread = seeded_points(county, 30, np.random.default_rng(i))
        points.extend(spread)
        shapes.extend(cells(spread, county))
        homes.extend([county] * 30)
    return np.array(points), np.array(shapes), np.array(homes)


@pytest.mark.parametrize("kind", ["gcj02", "bd09"])
@pytest.mark.parametrize("noise", [0, 150])
def test_counties_loaded_again_in_another_system(langfang, shift, kind, noise):
    loaded = roughened(shift(langfang, DISGUISES[kind]), noise)
    finding = offset_kind(loaded, langfang)
    assert finding is not None
    assert finding.kind == kind
    assert finding.compared == 10
    assert finding.better >= 9
    assert finding.fit_after > finding.fit_before
    if kind == "gcj02":
        assert finding.east_m == pytest.approx(512, abs=10)
        assert finding.north_m == pytest.approx(112, abs=10)


def test_one_county_is_enough(langfang, shift):
    for i in range(10):
        finding = offset_kind(shift(langfang[i : i + 1], crs.wgs84_to_gcj02), langfang[i : i + 1])
        assert finding is not None
        assert finding.kind == "gcj02"


@pytest.mark.parametrize("noise", [0, 150, 400])
def test_a_rough_drawing_in_wgs84_is_not_suspected(langfang, noise):
    for seed in range(5):
        rough = roughened(langfang, noise, seed)
        assert offset_kind(rough, langfang) is None
        assert offset_kind(langfang, rough) is None


@pytest.mark.parametrize("kind", ["gcj02", "bd09"])
def test_villages_against_their_counties(villages, shift, kind):
    points, shapes, homes = villages
    for children in (points, shapes):
        finding = offset_kind(shift(children, DISGUISES[kind]), homes)
        if children is points and kind == "gcj02" and finding is None:
            # Thirty points a county leave few at its border; silence is allowed, error is not.
            continue
        assert finding is not None
        assert finding.kind == kind
    assert offset_kind(points, homes) is None
    assert offset_kind(shapes, homes) is None


def test_village_points_against_their_townships(villages, shift):
    """Small parents: the shift carries many points out of them."""
    rng = np.random.default_rng(8)
    _, shapes, _ = villages
    points = np.concatenate([seeded_points(shape, 4, rng) for shape in shapes])
    homes = np.repeat(shapes, 4)
    assert offset_kind(points, homes) is None
    for kind, disguise in DISGUISES.items():
        finding = offset_kind(shift(points, disguise), homes)
        assert finding is not None
        assert finding.kind == kind
        assert finding.fit_after > 0.98
        assert finding.better > 10 * max(finding.worse, 1)


def test_real_points_of_fenghuang(fenghuang_points, fenghuang_outline, shift):
    """239 GCJ-02 points: three fall outside the true outline, none once the shift is undone."""
    outline = shift(fenghuang_outline, crs.gcj02_to_wgs84)
    finding = offset_kind(fenghuang_points, [outline] * 239)
    assert finding is not None
    assert (finding.kind, finding.better, finding.worse) == ("gcj02", 3, 0)
    assert finding.fit_after == 1.0
    assert finding.east_m == pytest.approx(460, abs=5)
    assert finding.north_m == pytest.approx(-373, abs=5)
    assert offset_kind(fenghuang_points, [fenghuang_outline] * 239) is None
    true_points = shift(fenghuang_points, crs.gcj02_to_wgs84)
    assert offset_kind(true_points, [outline] * 239) is None


@pytest.mark.parametrize(
    "east_north", [(512, -112), (-512, -112), (150, 30), (-112, 512), (0, 2000)]
)
def test_other_displacements_are_not_taken_for_the_shift(langfang, villages, east_north):
    points, shapes, homes = villages
    step = np.array(east_north) / (86_000, 111_000)
    moved = [shapely.transform(g, lambda c: c + step) for g in (langfang, points, shapes)]
    assert offset_kind(moved[0], langfang) is None
    assert offset_kind(moved[1], homes) is None
    assert offset_kind(moved[2], homes) is None


def test_outside_china_there_is_no_shift(langfang):
    abroad = shapely.transform(langfang, lambda c: c - (150, 0))
    moved = shapely.transform(abroad, lambda c: c + 0.005)
    assert offset_kind(moved, abroad) is None


def test_unknown_and_unusable_pairs_are_passed_over(langfang, shift):
    loaded = shift(langfang, crs.wgs84_to_gcj02)
    bow_tie = shapely.Polygon([(116, 39), (117, 40), (117, 39), (116, 40)])
    children = [*loaded, None, Point(), Point(np.nan, 39), Point(116.5, 39.2), bow_tie]
    parents = [*langfang, langfang[0], langfang[0], langfang[0], None, langfang[0]]
    finding = offset_kind(children, parents)
    assert finding is not None
    assert finding.compared == 10
    assert offset_kind([], []) is None
    assert offset_kind(children[10:], parents[10:]) is None


def test_lengths_must_agree(langfang):
    with pytest.raises(ValueError, match="10 children but 9"):
        offset_kind(langfang, langfang[:9])


def test_nothing_is_changed(langfang, shift):
    loaded = shift(langfang, crs.wgs84_to_gcj02)
    before = shapely.to_wkb(loaded)
    offset_kind(loaded, langfang)
    assert (shapely.to_wkb(loaded) == before).all()

"""Plans by both methods, held against the definition on random tiles."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import TileError
from workbench.extraction import Tile, ViewRules, plan_summary, temporal_views
from workbench.extraction.views import PLAN_COLUMNS, area_seen_twice
from workbench.geo.dates import tile_dates
from workbench.geo.footprint import area_m2, split_at_antimeridian
from workbench.geo.zones import Zone, utm_crs, zone_codes
from workbench.synthetic.footprints import simulated_footprints

METHODS = ("coverage", "combinations")
SMALL = {"patch_size": 40, "gsd": 30.0}  # squares of 1.2 km
START = datetime(2022, 6, 1, tzinfo=UTC)
SITES = {
    "inside a zone": (10.0, 50.0),
    "on the border of two zones": (12.0, 50.0),
    "on the equator": (33.02, 0.0),
    "at the antimeridian": (180.0, -20.0),
    "far north": (20.0, 78.0),
}


def tile(name, footprint, day=0, group=None):
    (footprint,) = split_at_antimeridian([footprint])
    centre = shapely.get_parts(footprint)[0].centroid
    return Tile(
        name, START + timedelta(days=day), footprint, utm_crs(centre.x, centre.y), group=group
    )


def square_km(lon, lat, side, x=0.0, y=0.0, turn=0.0):
    """A square of `side` km, `x` km east and `y` km north of a point, turned by degrees."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2
    angle = np.radians(turn)
    corners = corners @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]] + [x, y]
    degrees = corners / 111.2
    return shapely.polygons(
        np.column_stack([lon + degrees[:, 0] / np.cos(np.radians(lat)), lat + degrees[:, 1]])
    )


@st.composite
def footprints(draw, lon, lat):
    """A rotated square; some with a bite (concave), a hole, or a second part."""

    def one():
        return square_km(
            lon, lat, draw(st.floats(3, 7)), draw(st.floats(-4, 4)), draw(st.floats(-4, 4)),
            draw(st.floats(-45, 45)),
        )  # fmt: skip

    ground = one()
    kind = draw(st.sampled_from(["plain", "plain", "bitten", "parts"]))
    if kind == "bitten":
        ground = ground.difference(shapely.affinity.scale(one(), 0.4, 0.4))
    if kind == "parts":
        ground = ground.union(shapely.affinity.translate(one(), 0.09, 0.0))
    return ground if ground.geom_type in ("Polygon", "MultiPolygon") and ground.area else one()


@st.composite
def campaigns(draw):
    lon, lat = SITES[draw(st.sampled_from(sorted(SITES)))]
    size = draw(st.integers(0, 6))
    return [
        tile(
            f"t{i}",
            draw(footprints(lon, lat)),
            day=draw(st.integers(0, 2)) + draw(st.sampled_from([0, 4 / 86400, 0.02, 0.06])),
            group=draw(st.sampled_from(["a", "b", None])),
        )
        for i in range(size)
    ]


def holders_by_definition(geometry, tiles):
    return {t.id for t in tiles if t.footprint.covers(geometry)}


def overlap_on_ground(plan):
    """Largest area, as a share of a patch, that two locations of a plan share."""
    worst = 0.0
    rows = list(plan.itertuples())
    polygons = plan.geometry.to_numpy()
    pairs = shapely.STRtree(polygons).query(polygons, predicate="intersects").T
    for a, b in ((rows[i], rows[j]) for i, j in pairs if i < j):
        if a.crs == b.crs:
            wide = min(a.xmax, b.xmax) - max(a.xmin, b.xmin)
            high = min(a.ymax, b.ymax) - max(a.ymin, b.ymin)
            shared = max(wide, 0) * max(high, 0)
        else:
            shared = area_m2([a.geometry.intersection(b.geometry)])[0]
        worst = max(worst, shared / (a.xmax - a.xmin) ** 2)
    return worst


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(tiles=campaigns())
def test_a_plan_keeps_every_promise(method, tiles):
    rules = ViewRules(method=method, **SMALL)
    plan = temporal_views(tiles, rules)
    by_id = {t.id: t for t in tiles}
    date_of = dict(zip(by_id, tile_dates(tiles).tolist(), strict=True))

    assert tuple(plan.columns) == PLAN_COLUMNS
    assert plan.location_id.is_unique
    assert overlap_on_ground(plan) == 0
    for row in plan.itertuples():
        assert set(row.tile_ids) == holders_by_definition(row.geometry, tiles)
        times = [by_id[i].acquired for i in row.tile_ids]
        assert times == sorted(times)
        assert row.n_acquisitions == len({date_of[i] for i in row.tile_ids}) >= 1
        assert (row.xmax - row.xmin, row.ymax - row.ymin) == (1200, 1200)
        assert row.xmin % 30 == row.ymin % 30 == 0
        code = int(row.crs.removeprefix("EPSG:"))
        centre = shapely.get_coordinates(row.geometry.centroid)[0]
        assert zone_codes(*centre) == code
    assert plan.n_acquisitions.is_monotonic_decreasing

    shuffled = temporal_views(tiles[::-1], rules)
    assert shuffled.equals(plan)


@settings(max_examples=40, deadline=None)
@given(tiles=campaigns())
def test_no_free_square_of_the_rows_is_left(tiles):
    """Where a tile holds ground no location touches, a square with a pixel to spare is planned."""
    plan = temporal_views(tiles, ViewRules(**SMALL))
    for t in tiles:
        free = t.footprint.difference(shapely.union_all(plan.geometry.to_numpy()))
        # Room for squares 3 times as wide cannot be missed by rows of any position.
        roomy = shapely.box(*shapely.get_parts(free)[0].bounds) if free.area else None
        if roomy is not None and free.geom_type == "Polygon":
            inner = free.buffer(-2.6 / 111.2)
            assert inner.is_empty


@pytest.mark.parametrize("method", METHODS)
def test_no_tiles_no_locations(method):
    plan = temporal_views([], ViewRules(method=method))
    assert len(plan) == 0
    assert tuple(plan.columns) == PLAN_COLUMNS
    assert plan.crs == "EPSG:4326"
    assert plan_summary(plan, []).locations == 0


@pytest.mark.parametrize("method", METHODS)
def test_one_tile_gives_single_acquisitions_and_none_if_two_are_asked_for(method):
    tiles = [tile("only", square_km(10, 50, 10))]
    plan = temporal_views(tiles, ViewRules(method=method, **SMALL))
    assert set(plan.n_acquisitions) == {1}
    assert 49 <= len(plan) <= 69  # 10 km / 1.2 km = 8.3: 7 or 8 on a side
    several = temporal_views(tiles, ViewRules(method=method, min_acquisitions=2, **SMALL))
    assert len(several) == 0


@pytest.mark.parametrize("method", METHODS)
def test_identical_footprints_give_every_location_all_dates(method):
    ground = square_km(10, 50, 8, turn=12)
    tiles = [tile(f"t{day}", ground, day) for day in range(5)]
    plan = temporal_views(tiles, ViewRules(method=method, **SMALL))
    assert len(plan) >= 20
    assert set(plan.tile_ids) == {("t0", "t1", "t2", "t3", "t4")}


@pytest.mark.parametrize("method", METHODS)
def test_two_tiles_of_one_acquisition_are_one_date(method):
    ground = square_km(10, 50, 8)
    tiles = [tile("a", ground, 1, "DT1"), tile("b", ground, 1, "DT1"), tile("c", ground, 1, "DT2")]
    plan = temporal_views(tiles, ViewRules(method=method, **SMALL))
    assert set(plan.tile_ids) == {("a", "b", "c")}
    assert set(plan.n_acquisitions) == {2}


@pytest.mark.parametrize("method", METHODS)
def test_a_clique_of_thirty_tiles_is_planned(method):
    rng = np.random.default_rng(3)
    tiles = [
        tile(f"t{i:02d}", square_km(10, 50, 9, *rng.uniform(-1, 1, 2), turn=12), day=i)
        for i in range(30)
    ]
    plan = temporal_views(tiles, ViewRules(method=method, **SMALL))
    assert plan.n_acquisitions.max() == 30
    assert all(len(set(ids)) == len(ids) for ids in plan.tile_ids)


def test_locations_meet_at_a_zone_border_without_overlap():
    tiles = [tile(f"t{d}", square_km(12.0, 50, 20), day=d) for d in (0, 1)]
    plan = temporal_views(tiles, ViewRules(**SMALL))
    assert set(plan["crs"]) == {"EPSG:32632", "EPSG:32633"}
    assert overlap_on_ground(plan) == 0
    # Only a strip along the border is lost: less than two squares in each of the rows.
    assert len(plan) > (20 / 1.2) ** 2 * 0.8


def test_ground_on_both_sides_of_the_antimeridian_is_planned():
    tiles = [tile("t", square_km(180.0, -20, 20))]
    plan = temporal_views(tiles, ViewRules(**SMALL))
    assert set(plan["crs"]) == {"EPSG:32701", "EPSG:32760"}
    bounds = plan.geometry.bounds
    assert (bounds.maxx - bounds.minx).max() < 0.1  # none reaches round the Earth
    assert bounds.minx.min() < -179.9
    assert bounds.maxx.max() > 179.9


def test_beyond_utm_locations_are_polar_stereographic():
    tiles = [tile("t", square_km(25.0, 85.0, 20))]
    plan = temporal_views(tiles, ViewRules(**SMALL))
    assert set(plan["crs"]) == {"EPSG:32661"}
    assert len(plan) > 150


@pytest.mark.parametrize("method", METHODS)
def test_a_tolerance_holds_squares_that_fill_their_tile_exactly(method):
    """Footprints cut on the pixel grid of their zone: nothing is lost at their edges."""
    from workbench.geo.footprint import projected

    box = shapely.segmentize(shapely.box(500_010, 5_500_020, 503_610, 5_503_620), 1200)
    (ground,) = projected([box], "EPSG:32632", "EPSG:4326")
    rules = ViewRules(method=method, patch_size=120, gsd=10.0, tolerance=0.1)
    assert len(temporal_views([tile("t", ground)], rules)) == 9
    strict = ViewRules(method=method, patch_size=120, gsd=10.0)
    assert len(temporal_views([tile("t", ground)], strict)) == 4


def test_coverage_yields_at_least_what_algorithm_1_yields():
    tiles = simulated_footprints(120, seed=7)
    plans = {m: temporal_views(tiles, ViewRules(method=m)) for m in METHODS}
    reached = {m: plan_summary(plan, tiles) for m, plan in plans.items()}
    assert reached["coverage"].multi_date_locations >= reached["combinations"].multi_date_locations
    assert reached["coverage"].pairs >= reached["combinations"].pairs
    assert reached["coverage"].locations >= reached["combinations"].locations


def test_exhaustive_combinations_find_the_longest_series_there_is():
    tiles = [tile(f"t{i}", square_km(10, 50, 8, x=i * 0.8), day=i) for i in range(6)]
    rules = ViewRules(method="combinations", keep_largest=None, **SMALL)
    assert temporal_views(tiles, rules).n_acquisitions.max() == 6


def test_the_longest_combination_takes_its_ground_first():
    tiles = [tile(f"t{i}", square_km(10, 50, 8, x=i * 1.1), day=i) for i in range(5)]
    rules = {"method": "combinations", **SMALL}
    everything = temporal_views(tiles, ViewRules(**rules))
    longest = temporal_views(tiles, ViewRules(min_acquisitions=5, **rules))
    assert len(longest) > 3
    assert set(longest.location_id) <= set(everything.location_id)
    pairs_first = temporal_views(tiles, ViewRules(visit="shortest", **rules))
    assert not set(longest.location_id) <= set(pairs_first.location_id)


def test_visiting_from_every_member_keeps_the_invariants():
    tiles = simulated_footprints(40, seed=1)
    plan = temporal_views(tiles, ViewRules(method="combinations", canonical=False))
    assert overlap_on_ground(plan) == 0
    assert set(plan.tile_ids.iloc[0]) == holders_by_definition(plan.geometry.iloc[0], tiles)


def test_components_planned_in_two_processes_give_the_same_plan():
    tiles = simulated_footprints(40, seed=1)
    rules = ViewRules(method="combinations")
    assert temporal_views(tiles, rules, workers=2).equals(temporal_views(tiles, rules))


def test_the_summary_counts_what_the_plan_holds():
    ground = square_km(10, 50, 12)
    tiles = [tile("a", ground), tile("b", ground, 3), tile("c", square_km(11, 50, 6), 4)]
    rules = ViewRules(**SMALL)
    plan = temporal_views(tiles, rules)
    found = plan_summary(plan, tiles, rules)
    assert found.locations == len(plan)
    assert found.views == 2 * found.multi_date_locations + (plan.n_acquisitions == 1).sum()
    assert found.pairs == found.multi_date_locations
    assert found.longest_series == 2
    assert found.bound_locations == pytest.approx(area_m2([ground])[0] / 1200**2)
    assert 0.6 < found.yield_of_bound <= 1
    assert found.area_km2 == pytest.approx(len(plan) * 1.44)


def test_ground_seen_twice_on_one_date_is_not_seen_twice():
    ground = square_km(10, 50, 12)
    assert area_seen_twice([tile("a", ground, 1, "DT"), tile("b", ground, 1, "DT")]) == 0


def test_two_tiles_of_one_id_are_refused():
    twins = [tile("t", square_km(10, 50, 5)), tile("t", square_km(10, 50, 5), 1)]
    with pytest.raises(
        TileError, match=r"Tile ids must be distinct, but 1 occur twice, e\.g\. 't'"
    ):
        temporal_views(twins)


@pytest.mark.parametrize(
    "wrong",
    [
        {"patch_size": 0},
        {"gsd": 0.0},
        {"method": "tuples"},
        {"min_acquisitions": 0},
        {"tolerance": 20.0},
        {"row_positions": 0},
        {"min_overlap": -1.0},
        {"keep_largest": 0},
        {"visit": "random"},
        {"max_conflict": 1.0},
    ],
)
def test_rules_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=rf"ViewRules\.{next(iter(wrong))} must be"):
        ViewRules(**wrong)


def test_a_zone_knows_its_bounds():
    assert Zone(32632).bounds == (6.0, 0.0, 12.0, 84.0)
    assert Zone(32760).bounds == (174.0, -80.0, 180.0, 0.0)
    assert Zone(32661).bounds == (-180.0, 84.0, 180.0, 90.0)


@pytest.mark.parametrize("method", METHODS)
def test_pieces_of_one_pass_are_one_date(method):
    """Two pieces of a datatake, 4 s apart, overlap by a strip; a third tile sees it days later."""
    north = tile("n", square_km(10, 50, 6, y=0.7), group="DT1")
    south = tile("s", square_km(10, 50, 6, y=-0.7), day=4 / 86400, group="DT1")
    later = tile("z", square_km(10, 50, 10), day=9, group="DT2")
    strip = temporal_views([north, south], ViewRules(method=method, **SMALL))
    assert set(strip.n_acquisitions) == {1}
    assert area_seen_twice([north, south]) == 0
    plan = temporal_views([north, south, later], ViewRules(method=method, **SMALL))
    assert set(plan.n_acquisitions) <= {1, 2}
    seen = plan[plan.tile_ids.map(len) == 3]
    assert len(seen)
    assert set(seen.n_acquisitions) == {2}
    twice = {**SMALL, "min_acquisitions": 2}
    assert temporal_views([north, south], ViewRules(method=method, **twice)).empty


def test_interleaved_passes_are_counted_once_each():
    ground = square_km(10, 50, 6)
    tiles = [tile(f"{i}", ground, day=i / 1440, group="ab"[i % 2]) for i in range(4)]
    tiles.append(tile("4", ground, day=4 / 1440))
    plan = temporal_views(tiles, ViewRules(**SMALL))
    assert set(plan.n_acquisitions) == {3}
    assert set(plan.tile_ids) == {("0", "1", "2", "3", "4")}

"""Splits keep together what they promise; label fractions are nested and in proportion."""

import logging
from datetime import datetime

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely import box, segmentize

from workbench.extraction.splits import BUFFER, label_fractions, split_locations
from workbench.geo.tile import Tile

SIDE = 3840.0
ZONES = ("EPSG:32632", "EPSG:32633")
PARTS = ("train", "val", "test")


@pytest.fixture(scope="session")
def campaign(plan_of, to_lonlat):
    """Random square tiles in one zone, and every lattice square that some tile holds whole."""

    def make(seed, n_tiles=24, span=260_000.0, size=20_000.0):
        rng = np.random.default_rng(seed)
        corner = np.round(rng.uniform(0, span, (n_tiles, 2)) / 30) * 30 + [400_000, 5_400_000]
        lattice = np.unique(np.floor(corner / SIDE), axis=0) * SIDE
        steps = np.stack(np.meshgrid(np.arange(7), np.arange(7)), axis=-1).reshape(-1, 2) * SIDE
        squares = np.unique((lattice[:, None] + steps).reshape(-1, 2), axis=0)
        inside = (squares[:, None] >= corner) & (squares[:, None] + SIDE <= corner + size)
        holds = inside.all(axis=2)
        some = holds.any(axis=1)
        ids = [tuple(f"t{i}" for i in np.flatnonzero(row)) for row in holds[some]]
        outlines = [to_lonlat(segmentize(box(*c, *(c + size)), 500), ZONES[0]) for c in corner]
        tiles = [
            Tile(f"t{i}", datetime(2022, 6, 1 + i % 28), outline, ZONES[0])
            for i, outline in enumerate(outlines)
        ]
        return plan_of(squares[some], ids), tiles

    return make


def pixels(plan, gsd=960.0):
    """Every pixel of every patch, as (tile, column, row): what a model gets to see."""
    steps = range(int(SIDE / gsd))
    return {
        (tile, round(row.xmin / gsd) + i, round(row.ymin / gsd) + j)
        for row in plan.itertuples()
        for tile in row.tile_ids
        for i in steps
        for j in steps
    }


def pairs_of_sides(plan, split):
    parts = [plan[(split == name).to_numpy()] for name in split.unique()]
    return [(one, other) for i, one in enumerate(parts) for other in parts[i + 1 :]]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_component_split_shares_no_pixel_no_place_no_tile_and_no_ground_of_tiles(campaign, seed):
    plan, tiles = campaign(seed)
    split = split_locations(plan, by="component", seed=seed, tiles=tiles)
    footprint = {tile.id: tile.footprint for tile in tiles}
    for one, other in pairs_of_sides(plan, split):
        assert not pixels(one) & pixels(other)
        assert not {p[1:] for p in pixels(one)} & {p[1:] for p in pixels(other)}
        ours, theirs = ({t for ids in part.tile_ids for t in ids} for part in (one, other))
        assert not ours & theirs
        assert all(footprint[a].intersection(footprint[b]).area == 0 for a in ours for b in theirs)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_components_are_those_of_a_brute_force_graph(campaign, seed):
    plan, _ = campaign(seed)
    graph = nx.Graph()
    for row in plan.itertuples():
        graph.add_edges_from((row.location_id, tile) for tile in row.tile_ids)
    split = split_locations(plan, by="component", seed=seed, fractions=(0.5, 0.2, 0.3))
    assert split.attrs["groups"] == nx.number_connected_components(graph)
    for component in nx.connected_components(graph):
        assert split[sorted(component & set(split.index))].nunique() == 1


def test_ground_links_locations_that_share_no_tile(plan_of):
    squares = [(5e5, 0), (5e5 + SIDE - 30, 0), (6e5, 0), (7e5, 0)]
    plan = plan_of(squares, [("a",), ("b",), ("c",), ("d",)])
    by_ground = split_locations(plan, by="component", seed=0)
    assert by_ground["00000"] == by_ground["00001"]
    assert by_ground.attrs["groups"] == 3
    assert split_locations(plan, by="tile", seed=0).attrs["groups"] == 4


def test_squares_that_touch_are_apart_even_staggered_in_the_north(plan_of):
    squares = [(3e5, 7.9e6), (3e5 + SIDE / 3, 7.9e6 + SIDE), (3e5 + SIDE, 7.9e6)]
    plan = plan_of(squares, [("a",), ("b",), ("c",)])
    assert plan.geometry[0].intersection(plan.geometry[1]).area > 0  # as polygons, a sliver
    assert split_locations(plan, by="component", seed=0).attrs["groups"] == 3


def test_overlap_is_seen_across_a_zone_border(plan_of):
    x, y = Transformer.from_crs(*ZONES, always_xy=True).transform(720_000, 5_500_000)
    crs = [ZONES[0], ZONES[1], ZONES[0], ZONES[0]]
    squares = [(720_000, 5_500_000), (x, y), (5e5, 5.5e6), (4e5, 5.5e6)]
    split = split_locations(plan_of(squares, [("a",), ("b",), ("c",), ("d",)], crs), seed=0)
    assert split.attrs["groups"] == 3
    assert split["00000"] == split["00001"]


@pytest.mark.parametrize("by", ["component", "tile", "block", "random"])
def test_the_order_of_the_plan_does_not_matter(campaign, by):
    plan, _ = campaign(3)
    shuffled = plan.sample(frac=1, random_state=1)
    options = {"by": by, "seed": 5, "block_size_m": 40_000}
    split, again = split_locations(plan, **options), split_locations(shuffled, **options)
    assert again.index.tolist() == shuffled["location_id"].tolist()
    assert again.reindex(split.index).equals(split)


@pytest.mark.parametrize("by", ["component", "tile", "block", "random"])
def test_the_seed_decides(campaign, by):
    plan, _ = campaign(3)
    draws = [split_locations(plan, by=by, seed=s, block_size_m=20_000) for s in (1, 1, 2, 3)]
    assert draws[0].equals(draws[1])
    assert not all(draws[0].equals(other) for other in draws[2:])


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=3, max_size=40),
    seed=st.integers(0, 100),
    test=st.floats(0.05, 0.5),
)
def test_fractions_are_met_as_far_as_groups_allow_and_no_part_is_empty(plan_of, sizes, seed, test):
    tile_ids = [(f"t{g}",) for g, size in enumerate(sizes) for _ in range(size)]
    squares = [(1e5 + i % 100 * SIDE, i // 100 * SIDE) for i in range(len(tile_ids))]
    fractions = (0.9 - test, 0.1, test)
    split = split_locations(plan_of(squares, tile_ids), by="tile", fractions=fractions, seed=seed)
    assert split.groupby([t[0] for t in tile_ids]).nunique().eq(1).all()
    counts = split.value_counts()
    assert set(counts.index) == set(PARTS)
    for name, wanted in split.attrs["wanted"].items():
        assert abs(counts[name] - wanted * len(split)) <= 2 * max(sizes) + 1
        assert split.attrs["achieved"][name] == pytest.approx(counts[name] / len(split))


@pytest.mark.parametrize("n", [10, 11, 997])
def test_a_random_split_meets_its_fractions_and_is_called_leaky(plan_of, n, caplog):
    plan = plan_of([(1e5 + i % 100 * SIDE, i // 100 * SIDE) for i in range(n)], [("t",)] * n)
    with caplog.at_level(logging.WARNING):
        split = split_locations(plan, by="random", seed=0)
    assert split.attrs["leaky"]
    assert "patch-random split is leaky" in caplog.text
    counts = split.value_counts()
    assert abs(counts["train"] - 0.7 * n) < 1
    assert abs(counts["val"] - 0.1 * n) < 1


def test_blocks_hold_what_lies_in_one_square_of_a_zone(plan_of):
    rng = np.random.default_rng(0)
    squares = np.round(rng.uniform(400_000, 600_000, (200, 2)))
    plan = plan_of(squares, [("t",)] * 200, [ZONES[i % 2] for i in range(200)])
    split = split_locations(plan, by="block", block_size_m=50_000, seed=0)
    block = [f"{i % 2} {(xy + SIDE / 2) // 50_000}" for i, xy in enumerate(squares)]
    assert split.groupby(block).nunique().eq(1).all()
    assert split.attrs["groups"] == len(set(block))


def test_a_buffer_keeps_the_centres_of_two_parts_apart_and_spares_the_smallest_part(plan_of):
    grid = [(4e5 + i * SIDE, 5.4e6 + j * SIDE) for i in range(30) for j in range(30)]
    plan = plan_of(grid, [("t",)] * len(grid))
    options = {"by": "block", "block_size_m": 20_000, "seed": 1}
    bare = split_locations(plan, **options)
    split = split_locations(plan, **options, buffer_m=8_000)
    for one, other in pairs_of_sides(plan[(split != BUFFER).to_numpy()], split[split != BUFFER]):
        a, b = (part[["xmin", "ymin"]].to_numpy() for part in (one, other))
        distance = np.linalg.norm(a[:, None] - b[None], axis=2)
        assert distance.min() >= 8_000 * 0.995  # the zone's scale, and a sphere for the ellipsoid
    assert (split == BUFFER).any()
    assert (split[split != BUFFER] == bare[split != BUFFER]).all()
    assert (split == "val").sum() == (bare == "val").sum()


def test_parts_may_have_other_names(plan_of):
    plan = plan_of([(1e5 + i * 9e3, 0.0) for i in range(8)], [(f"t{i}",) for i in range(8)])
    split = split_locations(plan, fractions={"fold1": 0.5, "fold2": 0.5}, seed=0)
    assert split.value_counts().to_dict() == {"fold1": 4, "fold2": 4}


def test_a_part_of_share_zero_stays_empty(plan_of):
    plan = plan_of([(1e5 + i * 9e3, 0.0) for i in range(8)], [(f"t{i}",) for i in range(8)])
    assert set(split_locations(plan, fractions=(0.5, 0, 0.5), seed=0)) == {"train", "test"}


def test_an_empty_plan_gives_an_empty_split(plan_of):
    assert split_locations(plan_of([], []), seed=0).empty


def test_too_few_components_are_an_error_that_says_what_to_do(plan_of):
    plan = plan_of([(1e5, 0), (2e5, 0)], [("a", "b"), ("b",)])
    with pytest.raises(ValueError, match="into 3 parts needs at least 3 groups of locations, but"):
        split_locations(plan, by="component", seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "tiles"}, "A split is by 'component', 'tile', 'block' or 'random', got 'tiles'"),
        ({"fractions": (0.7, 0.3)}, "Fractions of train, val and test are >= 0 and add up to 1"),
        ({"fractions": (0.7, 0.2, 0.2)}, "Fractions of train, val and test are >= 0 and add up"),
        ({"fractions": (1.2, -0.2, 0.0)}, "Fractions of train, val and test are >= 0 and add up"),
        ({"fractions": (0.7, 0.1, 0.1, 0.1)}, "Fractions of train, val and test are >= 0 and"),
        ({"fractions": {"buffer": 1.0}}, "'buffer' is no name for a part"),
        ({"by": "block", "block_size_m": 0}, "Blocks need block_size_m > 0 and buffer_m >= 0"),
    ],
)
def test_arguments_out_of_range(plan_of, options, message):
    plan = plan_of([(1e5 + i * 9e3, 0.0) for i in range(5)], [(f"t{i}",) for i in range(5)])
    with pytest.raises(ValueError, match=message):
        split_locations(plan, seed=0, **options)


def test_repeated_location_ids_are_refused(plan_of):
    plan = plan_of([(1e5, 0), (2e5, 0), (3e5, 0)], [("a",), ("b",), ("c",)])
    plan["location_id"] = ["x", "y", "x"]
    with pytest.raises(ValueError, match="Location ids must be distinct, but 'x' is there 2 times"):
        split_locations(plan, seed=0)


@settings(max_examples=50, deadline=None)
@given(
    classes=st.lists(st.integers(0, 6), min_size=1, max_size=120),
    fractions=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_label_fractions_are_nested_distinct_and_in_proportion(classes, fractions, seed):
    labels = pd.Series(classes, index=[f"p{i:03d}" for i in range(len(classes))])
    drawn = label_fractions(labels, fractions, seed=seed)
    assert drawn.index.equals(labels.index)
    for fraction in drawn:
        count = max(1, round(fraction * len(labels)))
        assert drawn[fraction].sum() == count
        expected = labels.value_counts() * count / len(labels)
        found = labels[drawn[fraction]].value_counts().reindex(expected.index, fill_value=0)
        assert (found - expected).abs().max() < 1
    for smaller, larger in zip(drawn.columns, drawn.columns[1:], strict=False):
        assert not (drawn[smaller] & ~drawn[larger]).any()


def test_label_fractions_depend_on_the_seed_and_not_on_order_or_other_fractions():
    labels = pd.Series(list("aabbbcccc") * 20)
    drawn = label_fractions(labels, (0.1, 0.5), seed=1)
    again = label_fractions(labels.sample(frac=1, random_state=0), (0.1, 0.3), seed=1)
    assert drawn[0.1].equals(again[0.1].sort_index())
    assert not drawn[0.1].equals(label_fractions(labels, (0.1,), seed=2)[0.1])


def test_every_sample_of_a_class_is_drawn_equally_often():
    labels = pd.Series(list("aaaabb"))
    draws = sum(label_fractions(labels, (0.5,), seed=s)[0.5].astype(int) for s in range(600))
    assert draws.between(250, 350).all()


@pytest.mark.parametrize(
    ("labels", "fractions", "message"),
    [
        ([1, 2], (0.0, 0.5), r"Label fractions are in \(0, 1\], got \[0.0, 0.5\]"),
        ([1, 2], (1.5,), r"Label fractions are in \(0, 1\]"),
        ([1, 2], (), r"Label fractions are in \(0, 1\], got \[\]"),
        ([1, None], (0.5,), "Labels need distinct ids and a class each, but 0 ids repeat and 1"),
    ],
)
def test_label_fractions_refuse_what_they_cannot_draw(labels, fractions, message):
    with pytest.raises(ValueError, match=message):
        label_fractions(pd.Series(labels), fractions, seed=0)

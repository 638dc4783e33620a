"""Squares of one zone are compared exactly; others as polygons, where slivers do not count."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from shapely import union_all

from workbench.extraction.ground import centres, overlapping_pairs, shared_ground_m2

SIDE = 3840.0
ZONES = ("EPSG:32632", "EPSG:32633")
CORNER = st.tuples(st.integers(0, 12), st.integers(0, 12))


@settings(max_examples=40, deadline=None)
@given(left=st.lists(CORNER, max_size=12), right=st.lists(CORNER, max_size=12))
def test_pairs_of_one_zone_are_those_of_brute_force(plan_of, left, right):
    a, b = (np.array(xy, dtype=float).reshape(-1, 2) * 960 + [4e5, 6e6] for xy in (left, right))
    found = overlapping_pairs(*(plan_of(xy, [("t",)] * len(xy)) for xy in (a, b)))
    expected = {
        (i, j) for i, p in enumerate(a) for j, q in enumerate(b) if (np.abs(p - q) < SIDE).all()
    }
    assert set(zip(*(side.tolist() for side in found), strict=True)) == expected


@settings(max_examples=25, deadline=None)
@given(shift=st.tuples(st.integers(-6000, 6000), st.integers(-6000, 6000)))
def test_across_zones_pairs_are_those_whose_polygons_overlap(plan_of, shift):
    x, y = Transformer.from_crs(*ZONES, always_xy=True).transform(720_000, 5_500_000)
    west = plan_of([(720_000, 5_500_000)], [("a",)])
    east = plan_of([(x + shift[0], y + shift[1])], [("b",)], ZONES[1])
    share = west.geometry[0].intersection(east.geometry[0]).area / west.geometry[0].area
    found = len(overlapping_pairs(west, east)[0])
    assert found == (share > 1e-3) or share == pytest.approx(1e-3, rel=0.1)


def test_tables_without_bounds_are_compared_as_polygons(plan_of):
    squares = [(3e5, 7.9e6), (3e5 + 1000, 7.9e6 + SIDE), (3e5 + 500, 7.9e6 + 500)]
    bare = plan_of(squares, [("t",)] * 3)[["location_id", "geometry"]]
    first, second = overlapping_pairs(bare, bare)
    pairs = {(i, j) for i, j in zip(first.tolist(), second.tolist(), strict=True) if i < j}
    assert pairs == {(0, 2), (1, 2)}


def test_ground_is_counted_once_however_many_squares_cover_it(plan_of):
    left = plan_of([(5e5, 6e6)], [("a",)])
    right = plan_of([(5e5 + 960, 6e6), (5e5 + 960, 6e6), (5e5 + 1920, 6e6)], [("b",)] * 3)
    shared = left.geometry[0].intersection(union_all(right.geometry.to_numpy()))
    area = abs(Geod(ellps="WGS84").geometry_area_perimeter(shared)[0])
    found = shared_ground_m2(left, right, overlapping_pairs(left, right))
    assert found == pytest.approx(area, rel=1e-4)


def test_no_pairs_share_no_ground(plan_of):
    left, right = plan_of([(5e5, 6e6)], [("a",)]), plan_of([(6e5, 6e6)], [("b",)])
    assert shared_ground_m2(left, right, overlapping_pairs(left, right)) == 0


def test_centres_measure_distances_across_a_zone_border(plan_of):
    x, y = Transformer.from_crs(*ZONES, always_xy=True).transform(721_920, 5_511_920)
    plan = plan_of(
        [(720_000, 5_500_000), (x - SIDE / 2, y - SIDE / 2)], [("a",), ("b",)], list(ZONES)
    )
    apart = np.linalg.norm(np.diff(centres(plan), axis=0))
    assert apart == pytest.approx(10_000, rel=5e-3)

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, box

from workbench.geo.tile import Tile
from workbench.viz.sketch import drawn_footprint, spread_positions


def stairs(n=60, cell=0.01):
    cells = [
        box(i * cell, j * cell, (i + 1) * cell, (j + 1) * cell) for i in range(n) for j in range(i)
    ]
    return shapely.union_all(cells)


def test_outline_is_lighter_and_moves_less_than_the_tolerance():
    footprint = stairs()
    drawn = drawn_footprint(footprint, 0.02)
    assert shapely.get_num_coordinates(drawn) < shapely.get_num_coordinates(footprint) / 5
    assert shapely.hausdorff_distance(drawn, footprint) <= 0.02 * 2**0.5


def test_small_holes_vanish_and_large_ones_stay():
    holed = box(0, 0, 2, 2) - box(0.5, 0.5, 0.53, 0.53) - box(1, 1, 1.6, 1.6)
    assert len(drawn_footprint(holed, 0.02).interiors) == 1


def test_far_parts_stay_apart():
    parts = MultiPolygon([box(179, 0, 180, 1), box(-180, 0, -179, 1)])
    assert len(shapely.get_parts(drawn_footprint(parts, 0.02))) == 2


def test_tiny_footprint_is_drawn_as_it_is():
    tiny = box(0, 0, 1e-5, 1e-5)
    assert not drawn_footprint(tiny, 0.02).is_empty


def test_tiles_apart_stand_on_their_centroids(tiles):
    expected = [[tile.footprint.centroid.x, tile.footprint.centroid.y] for tile in tiles]
    np.testing.assert_allclose(spread_positions(tiles), expected)


@pytest.mark.parametrize("count", [2, 5, 30])
def test_repeated_scenes_do_not_hide_each_other(tiles, count):
    again = [
        replace(tiles[0], id=f"t{i}", acquired=tiles[0].acquired + timedelta(days=i))
        for i in range(count)
    ]
    place = spread_positions(again, spacing_m=1000)
    metres = place * [111_195 * np.cos(np.radians(47.15)), 111_195]
    apart = np.linalg.norm(metres[:, None] - metres[None], axis=2) + 1e9 * np.eye(count)
    assert apart.min() > 700
    assert np.abs(place - place.mean(axis=0)).max() < 0.1


def test_positions_follow_the_tiles_not_their_order(tiles):
    again = [
        *tiles,
        *(replace(t, id=f"{t.id}2", acquired=t.acquired + timedelta(1)) for t in tiles),
    ]
    forward = spread_positions(again)
    backward = spread_positions(again[::-1])
    np.testing.assert_allclose(forward, backward[::-1])


def test_tiles_over_the_antimeridian_stand_beside_it():
    halves = shapely.MultiPolygon([box(179.9, 0, 180, 0.3), box(-180, 0, -179.8, 0.3)])
    start = datetime(2022, 6, 1, tzinfo=UTC)
    tiles = [Tile(f"t{k}", start, halves, "EPSG:32660") for k in range(5)]
    longitudes = spread_positions(tiles)[:, 0]
    assert (np.abs(longitudes) > 179).all()

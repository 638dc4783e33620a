"""Grids: windows, snapping, shifts and intersections against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid, Window, crs_name

GRID = PixelGrid("EPSG:32632", (30, 0, 600_000, 0, -30, 5_400_000), (100, 200))


def moved(east: float, south: float, shape=(50, 60)) -> PixelGrid:
    """A grid whose corner lies so many pixels from GRID's."""
    return PixelGrid(GRID.crs, (30, 0, 600_000 + 30 * east, 0, -30, 5_400_000 - 30 * south), shape)


def test_bounds_and_centres_follow_from_the_transform():
    assert GRID.bounds == (600_000, 5_397_000, 606_000, 5_400_000)
    assert (GRID.x[0], GRID.x[-1]) == (600_015, 605_985)
    assert (GRID.y[0], GRID.y[-1]) == (5_399_985, 5_397_015)
    assert PixelGrid.from_bounds("epsg:32632", GRID.bounds, 30) == GRID


whole = st.integers(-300, 300)
size = st.integers(1, 300)


@given(whole, whole, size, size)
def test_a_window_and_the_grid_of_its_bounds_are_one(row, col, height, width):
    window = Window(row, col, height, width)
    assert GRID.window(GRID.crop(window).bounds) == window


@given(whole, whole, st.floats(-0.499, 0.499), st.floats(-0.499, 0.499))
def test_the_shift_is_the_part_of_a_pixel(east, south, part_east, part_south):
    found = GRID.shift(moved(east + part_east, south + part_south))
    assert found == pytest.approx((part_east, part_south), abs=1e-6)


@given(st.floats(-250, 250), st.floats(-250, 250), size, size)
def test_the_intersection_is_what_both_cover_with_whole_pixels(east, south, height, width):
    east, south = round(east, 1), round(south, 1)
    common = GRID.intersect(moved(east, south, (height, width)))
    cols = [c for c in range(200) if east - 1e-6 <= c and c + 1 <= east + width + 1e-6]
    rows = [r for r in range(100) if south - 1e-6 <= r and r + 1 <= south + height + 1e-6]
    if not cols or not rows:
        assert common is None
    else:
        assert common is not None
        assert GRID.window(common.bounds) == (rows[0], cols[0], len(rows), len(cols))
        assert GRID.agrees(common)


def test_snapping_grows_to_grid_lines():
    xmin, ymin, xmax, ymax = GRID.bounds
    assert GRID.snap((xmin + 1, ymin + 31, xmax - 29, ymax)) == (xmin, ymin + 30, xmax, ymax)
    assert GRID.snap((xmin - 0.01, ymin, xmax + 0.01, ymax)) == GRID.bounds
    assert GRID.snap((xmin - 1, ymin, xmax, ymax + 1)) == (xmin - 30, ymin, xmax, ymax + 30)


def test_half_a_pixel_is_moved_to_a_neighbour():
    assert GRID.window(moved(3.4, 5.6).bounds) == (6, 3, 50, 60)


def test_grids_agree_if_lines_and_pixels_do():
    assert GRID.agrees(moved(7, -3))
    assert not GRID.agrees(moved(0.5, 0))
    assert not GRID.agrees(PixelGrid("EPSG:32633", GRID.transform, GRID.shape))
    assert not GRID.agrees(PixelGrid.from_bounds(GRID.crs, GRID.bounds, 10))


def test_only_windows_inside_are_held():
    assert GRID.holds(GRID.whole)
    assert not GRID.holds(Window(-1, 0, 2, 2))
    assert not GRID.holds(Window(0, -1, 2, 2))
    assert GRID.holds(Window(0, 0, 2, 2))
    assert not GRID.holds(Window(99, 0, 2, 2))


def test_window_slices_cut_an_array():
    array = np.arange(20_000).reshape(100, 200)
    assert array[Window(2, 3, 1, 2).slices].tolist() == [[403, 404]]


def test_grids_of_two_systems_are_not_compared():
    other = PixelGrid("EPSG:32633", GRID.transform, GRID.shape)
    with pytest.raises(CRSMismatchError, match="must share one CRS, but have: EPSG:32632, EPSG:3"):
        GRID.intersect(other)


def test_grids_of_two_pixel_sizes_are_not_compared():
    with pytest.raises(TileError, match="must share one pixel size"):
        GRID.shift(PixelGrid.from_bounds(GRID.crs, GRID.bounds, 10))


@pytest.mark.parametrize("crs", ["", "EPSG:99999", "no crs"])
def test_a_grid_needs_a_known_crs(crs):
    with pytest.raises(CRSMismatchError, match="A grid needs a CRS"):
        PixelGrid(crs, GRID.transform, GRID.shape)


@pytest.mark.parametrize("transform", [(30, 1, 0, 0, -30, 0), (30, 0, 0, 0, 30, 0)])
def test_rotated_and_flipped_rasters_are_refused(transform):
    with pytest.raises(TileError, match="A pixel grid is north-up"):
        PixelGrid("EPSG:32632", transform, (2, 2))


def test_an_empty_grid_is_refused():
    with pytest.raises(TileError, match="at least one pixel"):
        PixelGrid("EPSG:32632", GRID.transform, (0, 5))


def test_a_crs_without_code_keeps_its_text():
    assert crs_name("+proj=laea +lat_0=12 +lon_0=3").startswith("PROJCRS")


def test_a_small_difference_of_size_counts_over_the_whole_raster():
    """Lines 1e-5 of a pixel apart for each pixel: a thousandth after 100, a tenth after 10,000."""
    own, other = (30.0, 0, 0, 0, -30.0, 0), (30.0003, 0, 0, 0, -30.0003, 0)
    small, wide, tall = (20, 20), (20, 10_000), (10_000, 20)
    assert PixelGrid("EPSG:32632", own, small).agrees(PixelGrid("EPSG:32632", other, small))
    for shape in (wide, tall):
        assert not PixelGrid("EPSG:32632", own, small).agrees(PixelGrid("EPSG:32632", other, shape))
        assert not PixelGrid("EPSG:32632", own, shape).agrees(PixelGrid("EPSG:32632", other, small))

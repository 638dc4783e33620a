"""Grid lines: offsets, names, families, and why pixels cannot be copied."""

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import CRSMismatchError, TileError
from workbench.geo.grid import PixelGrid
from workbench.geo.lines import (
    GridLines,
    families,
    most_common,
    require_same_pixels,
    why_resampled,
)


def grid(left=0.0, top=0.0, size=30.0, crs="EPSG:32632", shape=(100, 100), high=None):
    return PixelGrid(crs, (size, 0, left, 0, -(high or size), top), shape)


@given(st.integers(-30_000, 30_000), st.integers(-30_000, 30_000), st.sampled_from([0, 7.5, 15]))
def test_whole_pixels_away_the_lines_are_the_same(cols, rows, offset):
    lines = GridLines.of(grid(30 * cols + offset, 30 * rows - offset))
    assert lines.offset == pytest.approx((offset, (30 - offset) % 30))
    assert (
        why_resampled(
            grid(30 * cols + offset, 30 * rows - offset), GridLines.of(grid(offset, -offset))
        )
        == ""
    )


def test_rounding_is_no_offset():
    assert GridLines("EPSG:32632", 30, (30 - 1e-9, -1e-9)).offset == (0.0, 0.0)
    assert GridLines("EPSG:32632", 30, (29.99, 0)).offset == (29.99, 0.0)


def test_names_say_what_makes_lines_differ():
    own = pyproj.CRS.from_proj4("+proj=tmerc +lon_0=11.3 +k=1 +x_0=500000 +ellps=GRS80 +units=m")
    names = [
        GridLines("EPSG:32632", 30).name,
        GridLines("EPSG:32632", 30, (15, 15)).name,
        GridLines("EPSG:25832", 30).name,
        GridLines("ESRI:102001", 30).name,
        GridLines(own.to_wkt(), 30).name,
    ]
    assert names[:4] == ["32632", "32632-e15-n15", "25832", "esri102001"]
    assert names[4].startswith("crs")
    assert len(names[4]) == 11
    assert len(set(names)) == 5


@given(st.permutations(range(7)))
def test_families_are_numbered_from_the_largest_whatever_the_order(order):
    grids = [
        grid(15, 15), grid(30_015, 45), grid(15 + 1e-4, 15), grid(0, 0),
        grid(3000, 90), grid(0, 0, crs="EPSG:25832"), grid(0, 0, size=20),
    ]  # fmt: skip
    number = families([grids[i] for i in order])
    found = np.empty(7, int)
    found[list(order)] = number
    assert found[:3].tolist() == [0, 0, 0]
    assert found[3] == found[4] == 1
    assert sorted(found[5:]) == [2, 3]


def test_the_pixel_size_of_most():
    assert most_common([]) is None
    assert most_common([30.0, 20.0, 30.0]) == 30.0
    assert most_common([30.0, 20.0]) == 20.0
    assert most_common([30.48, 30.480061, 30.480061, 10]) == 30.480061


def test_reasons_name_what_differs():
    there = GridLines.of(grid())
    assert (
        why_resampled(grid(crs="EPSG:25832"), there)
        == "pixels in EPSG:25832, location in EPSG:32632"
    )
    assert why_resampled(grid(size=20), there) == "pixels of 20 m, location of 30 m"
    assert why_resampled(grid(high=60), there) == "pixels of 30 × 60 m, location of 30 m"
    assert why_resampled(grid(10, 0), there) == (
        "lines of the location -0.333 columns and +0 rows off those of the pixels"
    )
    drifting = grid(size=30.0009, shape=(10, 10_000))
    assert why_resampled(drifting, there) == "pixels of 30.0009 × 30.0009, location of 30"


def test_other_pixels_are_refused():
    there = GridLines.of(grid())
    require_same_pixels(grid(15, 15, crs="EPSG:25832"), there)
    feet = grid(size=30 / 0.3048006096, crs="EPSG:2264")
    require_same_pixels(feet, there)
    with pytest.raises(TileError, match="tile a has pixels of 20 m"):
        require_same_pixels(grid(size=20), there, name="Tile a")
    with pytest.raises(TileError, match="30 × 60 m"):
        require_same_pixels(grid(high=60), there)
    with pytest.raises(CRSMismatchError, match="in degrees"):
        require_same_pixels(grid(size=0.0003, crs="EPSG:4326"), there)

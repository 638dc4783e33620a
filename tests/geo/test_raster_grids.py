"""Arrays on other grids: codes stay what they are, whatever they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from workbench.geo.grid import PixelGrid, Window
from workbench.geo.raster_grids import pixels_under, resampled

MAP = PixelGrid("EPSG:3035", (10, 0, 4_321_000, 0, -10, 3_210_200), (24, 24))
TYPES = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
         "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1),
         "float64": (-1, 1)}  # fmt: skip


@given(
    st.sampled_from(sorted(TYPES)),
    st.sampled_from(["low", "high", "zero", "none"]),
    st.integers(0, 9),
)
def test_codes_come_out_unchanged_whatever_is_nodata(dtype, which, seed):
    low, high = TYPES[dtype]
    rng = np.random.default_rng(seed)
    codes = rng.choice(np.array([low, 0, 1, high], dtype=dtype), MAP.shape)
    nodata = {"low": low, "high": high, "zero": 0, "none": None}[which]
    found = resampled(codes, MAP, MAP.crop(Window(3, 4, 9, 7)), nodata=nodata)
    assert found.dtype == codes.dtype
    assert (found == codes[3:12, 4:11]).all()


@pytest.mark.parametrize("fill", [0, 1, 7])
def test_what_lies_outside_is_filled_and_nothing_else(fill):
    codes = np.random.default_rng(0).integers(0, 3, (2, *MAP.shape)).astype(np.uint8)
    found = resampled(codes, MAP, MAP.crop(Window(-2, 0, 6, 24)), fill=fill)
    assert (found[:, :2] == fill).all()
    assert (found[:, 2:] == codes[:, :4]).all()


@pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
@pytest.mark.parametrize("value", [0, 255])
def test_a_mixture_of_one_number_is_that_number(method, value):
    same = np.full(MAP.shape, value, np.uint8)
    found = resampled(same, MAP, MAP.crop(Window(4, 4, 8, 8)), method=method, fill=value)
    assert (found == value).all()


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:25832", "EPSG:4326"])
def test_the_pixel_under_a_centre_is_that_of_the_projection(crs):
    to = Transformer.from_crs("EPSG:3035", crs, always_xy=True)
    x, y = to.transform(4_321_000, 3_210_200)
    size = 30.0 if crs != "EPSG:4326" else 3e-4
    target = PixelGrid(crs, (size, 0, x, 0, -size, y), (64, 64))
    row, col, _ = pixels_under(MAP, target)
    back = Transformer.from_crs(crs, "EPSG:3035", always_xy=True)
    mx, my = back.transform(*np.meshgrid(target.x, target.y))
    at = (3_210_200 - my) / 10, (mx - 4_321_000) / 10
    clear = np.logical_and.reduce([np.abs(v - np.round(v)) > 1e-5 for v in at])
    assert clear.mean() > 0.99
    assert (row == np.floor(at[0]))[clear].all()
    assert (col == np.floor(at[1]))[clear].all()

"""The one rule of what is no measurement, in NumPy and in torch, against its definition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.datasets.normalization import valid_numbers
from workbench.datasets.statistics import patch_statistics
from workbench.nodata import can_store, is_missing, nodata_as
from workbench.sensors import InputContract

TYPES = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
NODATA = [None, 0.0, -9999.0, 255.0, -32768.0, 65535.0, -2147483648.0, 0.5, math.nan, math.inf]


@given(st.sampled_from(TYPES), st.sampled_from(NODATA), st.integers(0, 99))
def test_missing_is_nodata_or_no_finite_number(dtype, nodata, seed):
    rng = np.random.default_rng(seed)
    pool = [0, 1, 7] if dtype[0] != "f" else [0.0, 1.5, np.nan, np.inf, -np.inf]
    if nodata is not None and can_store(dtype, nodata):
        pool.append(nodata)
    numbers = rng.choice(np.array(pool, dtype=dtype), (2, 5, 4))
    wanted = [not math.isfinite(v) or v == nodata for v in numbers.ravel().tolist()]
    assert is_missing(numbers, nodata).ravel().tolist() == wanted
    assert (~valid_numbers(torch.from_numpy(numbers), nodata)).ravel().tolist() == wanted
    contract = InputContract("DN", 1.0, 0.0, nodata, ("a", "b"), (None,) * 2, (None,) * 2, 30.0)
    found = patch_statistics(numbers, contract)
    left = [v for v, gone in zip(numbers.ravel().tolist(), wanted, strict=True) if not gone]
    assert found.count.sum() == len(left)
    if left:
        assert found.minimum.min() == min(left)
        assert found.maximum.max() == max(left)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.m2).all()


def test_large_whole_numbers_are_compared_exactly():
    near = np.array([-2147483648, -2147483647, -2147483600], dtype=np.int32)
    assert is_missing(near, -2147483648.0).tolist() == [True, False, False]
    assert valid_numbers(torch.from_numpy(near), -2147483648.0).tolist() == [False, True, True]
    wide = np.array([2**53, 2**53 + 1], dtype=np.int64)
    assert is_missing(wide, float(2**53)).tolist() == [True, False]


def test_float32_knows_its_own_rounding_of_nodata():
    lowest = np.array([np.finfo(np.float32).min, 1], dtype=np.float32)
    assert is_missing(lowest, float(np.finfo(np.float32).min)).tolist() == [True, False]
    tenth = np.array([0.1], dtype=np.float32)
    assert is_missing(tenth, 0.1).tolist() == [True]


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", -1), ("int16", 0.5), ("int16", math.nan)])
def test_a_type_that_cannot_hold_nodata_has_none(dtype, nodata):
    assert nodata_as(dtype, nodata) is None
    assert not can_store(dtype, nodata)

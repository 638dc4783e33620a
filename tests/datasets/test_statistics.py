"""Band statistics against the two-pass definition, in any grouping, order and number of workers."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.datasets.files import file_checksum
from workbench.datasets.statistics import (
    band_statistics,
    combined,
    patch_statistics,
    read_statistics,
    write_statistics,
)
from workbench.errors import ContractMismatchError, ManifestError
from workbench.sensors import sensor

CONTRACT = sensor("enmap").contract(["B001", "B002", "B003"])
NODATA = -32768


class Patches:
    """Patches in memory; a top-level class, so that it can be sent to workers."""

    def __init__(self, array):
        self.array = array

    def read(self, row):
        return self.array[row]


@pytest.fixture
def patches():
    rng = np.random.default_rng(5)
    array = rng.normal([[[800]], [[3000]], [[60]]], 400, size=(70, 3, 6, 6)).astype(np.int16)
    array[rng.random(array.shape) < 0.1] = NODATA
    return array


def two_passes(array, nodata=NODATA):
    """(C,) count, mean and standard deviation by their definitions; array (N, C, ...)."""
    found = []
    for band in np.moveaxis(array, 1, 0):
        numbers = band[band != nodata].astype(float)
        mean = numbers.sum() / numbers.size
        found.append((numbers.size, mean, math.sqrt(((numbers - mean) ** 2).sum() / numbers.size)))
    return np.array(found).T


def test_one_pass_equals_two(patches):
    found = band_statistics(Patches(patches).read, range(70), CONTRACT)
    count, mean, std = two_passes(patches)
    np.testing.assert_array_equal(found.count, count)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, std, rtol=1e-12)
    valid = np.where(patches == NODATA, 0, patches)
    np.testing.assert_array_equal(found.maximum, valid.max(axis=(0, 2, 3)))
    assert found.patches == 70


def test_only_the_rows_asked_for_count(patches):
    found = band_statistics(Patches(patches).read, [3, 41, 7], CONTRACT)
    np.testing.assert_allclose(found.mean, two_passes(patches[[3, 7, 41]])[1], rtol=1e-12)


@pytest.mark.slow  # two fresh processes import torch
def test_workers_change_no_bit(patches):
    read = Patches(patches).read
    alone = band_statistics(read, range(70), CONTRACT)
    shared = band_statistics(read, range(70), CONTRACT, workers=2)
    for name in ("count", "mean", "m2", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(shared, name))


def test_progress_counts_patches(patches):
    told = []
    band_statistics(
        Patches(patches).read, range(70), CONTRACT, progress=lambda *seen: told.append(seen)
    )
    assert told == [(32, 70), (64, 70), (70, 70)]


@given(
    values=arrays(np.int16, st.tuples(st.integers(1, 12), st.just(3), st.integers(1, 5))),
    cut=st.lists(st.integers(0, 12), max_size=4),
)
def test_any_grouping_gives_the_same_statistics(values, cut):
    whole = patch_statistics(np.moveaxis(values, 1, 0), CONTRACT)
    edges = [0, *sorted(min(c, len(values)) for c in cut), len(values)]
    groups = [values[a:b] for a, b in pairwise(edges)]
    merged = combined(patch_statistics(np.moveaxis(group, 1, 0), CONTRACT) for group in groups)
    np.testing.assert_array_equal(merged.count, whole.count)
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(merged.m2, whole.m2, rtol=1e-9, atol=1e-4)
    np.testing.assert_array_equal(merged.minimum, whole.minimum)


def test_large_offsets_lose_nothing():
    numbers = 1e9 + np.array([4.0, 7.0, 13.0, 16.0])
    parts = [patch_statistics(np.full((3, 1), n), CONTRACT) for n in numbers]
    np.testing.assert_allclose(combined(parts).std, math.sqrt(22.5), rtol=1e-12)


def test_a_band_without_numbers_has_no_spread_and_spoils_no_merge():
    empty = patch_statistics(np.full((3, 2, 2), NODATA, np.int16), CONTRACT)
    assert empty.count.tolist() == [0, 0, 0]
    assert np.isnan(empty.std).all()
    some = patch_statistics(np.arange(12, dtype=np.int16).reshape(3, 4), CONTRACT)
    for merged in (empty.merged(some), some.merged(empty)):
        np.testing.assert_array_equal(merged.std, some.std)


def test_nan_counts_as_nodata():
    found = patch_statistics(np.array([[1.0, np.nan], [2, 4], [3, 3]]), CONTRACT)
    assert found.count.tolist() == [1, 2, 2]


def test_statistics_come_back_as_they_were_written(patches, tmp_path):
    made_from = {"manifest": "a" * 64, "choice of patches": "b" * 64}
    found = band_statistics(Patches(patches).read, range(9), CONTRACT)
    path = write_statistics(found, tmp_path / "statistics.json", made_from=made_from)
    again = read_statistics(path, made_from=made_from)
    assert again.contract == CONTRACT
    for name in ("count", "mean", "m2", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["statistics.json"]


def test_an_empty_band_survives_json(tmp_path):
    empty = patch_statistics(np.full((3, 2), NODATA, np.int16), CONTRACT)
    path = write_statistics(empty, tmp_path / "s.json", made_from={})
    np.testing.assert_array_equal(read_statistics(path).minimum, np.inf)


def test_statistics_of_other_patches_are_refused(patches, tmp_path):
    found = patch_statistics(patches[0], CONTRACT)
    path = write_statistics(found, tmp_path / "s.json", made_from={"manifest": "a", "choice": "b"})
    with pytest.raises(ManifestError, match=r"from the patches in use, .* checksum of the choice"):
        read_statistics(path, made_from={"manifest": "a", "choice": "c"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There are no band statistics"),
        ("{", "holds no band statistics"),
        ("[]", "holds no band statistics"),
        (json.dumps({"format": 99}), "must be of format 1"),
    ],
)
def test_what_is_no_statistics_is_refused(tmp_path, text, message):
    path = tmp_path / "statistics.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_statistics(path)


def test_no_patch_gives_no_statistics():
    with pytest.raises(ManifestError, match="need at least one patch"):
        band_statistics(Patches(np.zeros((0, 3, 2, 2))).read, [], CONTRACT)


def test_a_patch_with_other_bands_is_refused():
    with pytest.raises(ContractMismatchError, match="a band for each of the contract's 3"):
        patch_statistics(np.zeros((2, 4, 4), np.int16), CONTRACT)


def test_parts_of_two_contracts_do_not_merge(patches):
    other = sensor("enmap").contract(["B001", "B002", "B004"])
    with pytest.raises(ContractMismatchError, match="must keep the expected input contract"):
        patch_statistics(patches[0], CONTRACT).merged(patch_statistics(patches[0], other))


def test_a_checksum_needs_a_file(tmp_path):
    with pytest.raises(ManifestError, match="needs a file"):
        file_checksum(tmp_path / "none")

"""Blocks are found with their size; smooth maps have none."""

import math

import numpy as np
import pytest
from scipy import ndimage

from workbench.errors import EvaluationError
from workbench.evaluation.blockiness import blockiness
from workbench.evaluation.detail_bound import through_stride


def smooth(seed: int, n: int = 24, side: int = 128) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n, 3, side, side))
    return ndimage.gaussian_filter(noise, (0, 0, 5, 5)).argmax(1).astype(np.uint8)


def test_smooth_maps_have_no_blocks():
    found = blockiness(smooth(0), classes=3)
    assert found.period is None
    assert found.score == 0
    assert max(abs(s) for s in found.by_period.values()) < 0.06
    assert abs(blockiness(smooth(0), classes=3, token_size=16).score) < 0.06


@pytest.mark.parametrize("size", [4, 8, 16])
def test_the_size_of_blocks_is_found(size):
    blocky = through_stride(smooth(1), stride=size, classes=3, enlarged="nearest")
    found = blockiness(blocky, classes=3)
    assert found.period == size
    assert found.score == pytest.approx(1)
    assert blockiness(blocky, classes=3, token_size=size, target=smooth(1)).score > 0.9


@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize(("size", "offset"), [(4, (1, 3)), (8, (5, 0)), (16, (3, 11))])
def test_blocks_that_begin_anywhere_are_found_among_noise(size, offset, seed):
    rng = np.random.default_rng(seed)
    blocky = through_stride(smooth(seed), stride=size, classes=3, enlarged="nearest")
    noise = rng.random(blocky.shape) < 0.02  # lone wrong pixels, whose edges lie anywhere
    blocky = np.where(noise, rng.integers(0, 3, blocky.shape), blocky)
    window = blocky[:, size - offset[0] :, size - offset[1] :][:, :104, :104]
    found = blockiness(window, classes=3, offset=None)
    assert found.period == size
    assert found.offset == offset
    assert found.score > 0.2
    assert blockiness(window, classes=3, token_size=size, offset=offset).score > 0.2
    misplaced = (offset[0] + size // 2, offset[1] + size // 2)
    assert blockiness(window, classes=3, token_size=size, offset=misplaced).score < 0.05


@pytest.mark.parametrize("seed", range(5, 9))
def test_smooth_and_noisy_maps_have_no_blocks_wherever_they_might_begin(seed):
    rng = np.random.default_rng(seed)
    for maps in (smooth(seed), smooth(seed, n=6), rng.integers(0, 3, (4, 64, 64))):
        found = blockiness(maps, classes=3, offset=None, periods=(4, 8, 16))
        assert found.period is None
        assert max(abs(s) for s in found.by_period.values()) < 0.08


def test_the_score_rises_with_the_share_of_blocky_images():
    maps, blocky = smooth(2), through_stride(smooth(2), stride=16, classes=3, enlarged="nearest")
    scores = []
    for share in (0, 6, 12, 24):
        mixed = np.concatenate([blocky[:share], maps[share:]])
        scores.append(blockiness(mixed, classes=3, token_size=16).score)
    assert scores == sorted(scores)
    assert scores[1] > 0.1


def test_maps_without_edges_and_edges_of_ignored_ground():
    flat = np.zeros((2, 64, 64), int)
    assert math.isnan(blockiness(flat, classes=2, token_size=8).score)
    target = flat.copy()
    target[:, :32] = 5
    pred = np.where(target == 5, 1, 0)
    assert math.isnan(blockiness(pred, classes=2, target=target, ignore_index=5).score)
    with pytest.raises(EvaluationError, match="Periods must be from 2 to half a side"):
        blockiness(flat, classes=2, token_size=40)

"""Do intervals hold the truth as often as they say, where neighbouring images are alike?"""

import numpy as np
import pytest

from workbench.evaluation.resampling import bootstrap_interval

SIMULATIONS, SIDE, PER_BLOCK = 2500, 8, 14


def field(rng: np.random.Generator, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of images on a plane of 8 × 8 blocks (side 1), alike over `reach` (exponentially).

    Returns:
        (S, N) scores of mean 0 and (N,) blocks.
    """
    corner = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2)
    block = np.repeat(np.arange(len(corner)), PER_BLOCK)
    at = corner[block] + rng.random((len(block), 2))
    apart = np.linalg.norm(at[:, None] - at[None], axis=-1)
    root = np.linalg.cholesky(np.exp(-apart / reach) + 1e-9 * np.eye(len(at)))
    return rng.normal(size=(SIMULATIONS, len(at))) @ root.T, block


def components(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores of images in overlap components of 1 to 12: what they share and what they do not."""
    block = np.repeat(np.arange(40), rng.integers(1, 13, size=40))
    shared = rng.normal(0, 0.7, (SIMULATIONS, 40))
    return shared[:, block] + rng.normal(0, 0.7, (SIMULATIONS, len(block))), block


def coverage(scores: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator) -> float:
    found = [bootstrap_interval(row, groups=groups, draws=400, rng=rng) for row in scores]
    return float(np.mean([i.low <= 0 <= i.high for i in found]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["field", "components"])
def test_intervals_over_blocks_cover_and_those_over_images_do_not(kind):
    rng = np.random.default_rng(20)
    scores, block = field(rng, reach=1 / 12) if kind == "field" else components(rng)
    assert 0.93 <= coverage(scores, block, rng) <= 0.97
    assert coverage(scores[:800], None, rng) < 0.90

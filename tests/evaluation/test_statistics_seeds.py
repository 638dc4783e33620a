import numpy as np
import pytest
from scipy import stats

from workbench.evaluation.statistics_seeds import (
    MIN_SEEDS,
    compare_seeds,
    interquartile_mean,
    summarise_seeds,
)


def runs(rng, mean, n_seeds, n_images, hard, *, of_seed=0.01, of_image=0.02):
    """(S, N) scores of a method: seeds differ, images are hard or easy for all of them."""
    seed = rng.normal(mean, of_seed, (n_seeds, 1))
    return seed + hard + rng.normal(0, of_image, (n_seeds, n_images))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13])
def test_the_interquartile_mean_leaves_a_quarter_out_at_either_end(n):
    values = np.random.default_rng(n).random(n)
    cut = n // 4
    assert interquartile_mean(values) == pytest.approx(np.sort(values)[cut : n - cut].mean())


def test_fewer_than_five_seeds_claim_nothing():
    rng = np.random.default_rng(0)
    few = summarise_seeds([0.7, 0.71, 0.72, 0.73], rng=rng)
    assert not few.claims
    assert np.isnan(few.low)
    assert "no significance claimed" in str(few)
    hard = np.zeros(50)
    found = compare_seeds(
        list(runs(rng, 0.9, 4, 50, hard)), list(runs(rng, 0.2, 5, 50, hard)), rng=rng
    )
    assert found.difference > 0.6
    assert not found.claims
    assert found.better == "tie"


def test_the_interval_of_seeds_holds_the_true_mean():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        found = summarise_seeds(rng.normal(0.5, 0.1, 8), draws=500, rng=rng)
        held += found.low <= 0.5 <= found.high
    assert 0.92 <= held / 400 <= 0.99


def test_methods_that_differ_are_told_apart_and_equal_ones_are_not():
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 0.2, 120)
    groups = np.repeat(np.arange(30), 4)
    called = {0.0: 0, 0.05: 0}
    for truth in called:
        for _ in range(100):
            a = list(runs(rng, 0.6 + truth, MIN_SEEDS, 120, hard))
            b = list(runs(rng, 0.6, MIN_SEEDS, 120, hard))
            found = compare_seeds(a, b, groups=groups, draws=400, rng=rng)
            called[truth] += not found.is_tie
    assert called[0.0] <= 9
    assert called[0.05] >= 95


def test_a_lucky_seed_on_many_images_is_no_better_method():
    """One checkpoint beats another on every image; as methods, both come from the same seeds."""
    rng = np.random.default_rng(3)
    seeds = rng.normal(0.7, 0.02, (2, 5))
    flat = np.zeros(1000)
    found = compare_seeds(
        [np.full(1000, s) + flat for s in seeds[0]], [np.full(1000, s) for s in seeds[1]], rng=rng
    )
    assert found.is_tie
    assert stats.ttest_ind(*seeds).pvalue > 0.05


def test_methods_on_other_images_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"on the same images.*1 and 1 seeds on \[3, 4\]"):
        compare_seeds([np.ones(3)], [np.ones(4)], rng=rng)
    with pytest.raises(ValueError, match="finite numbers"):
        summarise_seeds([0.1, np.nan], rng=rng)

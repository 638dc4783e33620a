import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workbench.evaluation.statistics import paired_bootstrap, paired_permutation

TESTS = pytest.mark.parametrize("test", [paired_bootstrap, paired_permutation])


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_three_groups_claim_nothing_however_small_the_spread():
    """Two of the eight swaps are as extreme: p = 0.25, and that is said."""
    found = paired_bootstrap([0.80, 0.81, 0.79], [0.79, 0.80, 0.785], rng=seeded())
    assert found.p_value == 0.25
    assert found.better == "tie"
    assert "no difference is claimed from 3 groups" in found.warning
    assert "no difference is claimed from 3 groups" in str(found)


@pytest.mark.parametrize("n", [2, 3, 5, 6, 9, 14])
def test_p_is_floored_by_groups_and_not_by_draws(n):
    """A difference in every group: of 2 ** n swaps two are as extreme."""
    base, gain = seeded(n).random((2, n))
    found = paired_bootstrap(base + 1 + 0.1 * gain, base, draws=100, rng=seeded())
    assert found.p_value == 2 / 2**n
    assert found.claims == (n >= 6)
    assert found.is_tie == (n < 6)


def test_a_claim_needs_the_p_value_and_the_interval():
    """All six groups gain, so p = 2 / 2 ** 6; one gains ten times the others, so 0 is within."""
    found = paired_bootstrap([0.1, 0.1, 0.1, 0.1, 0.1, 1.0], np.zeros(6), rng=seeded())
    assert found.p_value == 2 / 2**6
    assert found.claims
    assert found.low < 0 < found.high
    assert found.better == "tie"
    assert "tied, as the interval holds zero (a claim needs p and interval)" in str(found)
    even = paired_bootstrap([0.1, 0.9, 0.2, 0.95, 0.15, 0.99], np.zeros(6), rng=seeded())
    assert even.p_value == 2 / 2**6
    assert even.better == "a"
    assert "a claim needs" not in str(even)


def test_drawn_swaps_count_the_difference_as_it_is():
    """No drawn swap of 40 groups is as extreme, so p = 1 / (1 + draws): never 0."""
    base = seeded().random(40)
    assert paired_permutation(base + 1, base, draws=400, rng=seeded()).p_value == 1 / 401
    assert paired_bootstrap(base + 1, base, draws=400, rng=seeded()).p_value == 1 / 20_001


def test_images_of_a_group_are_swapped_together():
    a, b = seeded(2).random((2, 12))
    groups = np.repeat(range(6), 2)
    gaps = (a - b).reshape(6, 2).sum(axis=1)
    signs = np.array(np.meshgrid(*[[-1, 1]] * 6)).reshape(6, -1).T
    by_hand = (np.abs(signs @ gaps) >= abs(gaps.sum()) - 1e-12).mean()
    assert paired_bootstrap(a, b, groups=groups, rng=seeded()).p_value == by_hand


def test_of_even_groups_the_interval_is_at_least_that_of_student():
    gaps = seeded(4).normal(0.02, 0.05, 12)
    found = paired_bootstrap(gaps, np.zeros(12), rng=seeded())
    by_scipy = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert found.low <= by_scipy.low + 1e-12
    assert found.high >= by_scipy.high - 1e-12
    few = paired_bootstrap(gaps[:4], np.zeros(4), rng=seeded())
    ends = stats.ttest_1samp(gaps[:4], 0).confidence_interval(0.95)
    assert (few.low, few.high) == pytest.approx(tuple(ends))


@TESTS
def test_infinite_values_are_refused(test):
    with pytest.raises(ValueError, match=r"must be finite.*inf is the value of image 1"):
        test([0.1, np.inf, 0.3], [0.1, 0.2, 0.3], rng=seeded())


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [6, 9, 40])
def test_size_and_coverage_hold_from_six_groups_on(n_groups):
    """Clustered scores, symmetric and skewed; three standard errors of the simulation are left."""
    rng, runs = seeded(n_groups), 500
    called = held = skewed = 0
    for _ in range(runs):
        group = np.repeat(np.arange(n_groups), rng.integers(1, 13, n_groups))
        gap = 0.7 * rng.normal(size=n_groups)[group] + 0.7 * rng.normal(size=len(group))
        test = paired_bootstrap(gap, np.zeros_like(gap), groups=group, draws=400, rng=rng)
        called += not test.is_tie
        held += test.low <= 0 <= test.high
        leaning = rng.exponential(size=n_groups)
        own = paired_bootstrap(leaning, np.zeros(n_groups), draws=400, rng=rng)
        skewed += own.low <= 1 <= own.high
    slack = 3 * (0.05 * 0.95 / runs) ** 0.5
    assert called / runs <= 0.06 + slack
    assert 0.93 - slack <= held / runs <= 0.97 + slack
    assert 0.93 - slack <= skewed / runs <= 0.97 + slack


@TESTS
def test_a_model_ties_with_itself(test):
    values = seeded().random(50)
    found = test(values, values.copy(), rng=seeded())
    assert found.is_tie
    assert found.better == "tie"
    assert found.difference == 0
    assert found.p_value == 1


@TESTS
def test_a_constant_difference_is_found_however_hard_the_images(test):
    hard = seeded().normal(0.6, 0.25, 60)
    found = test(hard + 0.01, hard, rng=seeded())
    assert found.better == "a"
    assert found.difference == pytest.approx(0.01)
    assert found.p_value < 0.01
    assert test(hard, hard + 0.01, rng=seeded()).better == "b"


@TESTS
def test_gains_and_losses_that_cancel_are_a_tie(test):
    a = np.tile([0.9, 0.5], 40)
    b = np.tile([0.5, 0.9], 40)
    assert test(a, b, rng=seeded()).is_tie


@TESTS
def test_many_images_of_few_groups_are_few_pieces_of_evidence(test):
    """100 images of 4 tiles: three tiles gain, one loses. Independent images would say "better"."""
    groups = np.repeat(list("wxyz"), 100)
    gain = np.repeat([0.03, 0.05, 0.04, -0.05], 100)
    base = seeded().random(400)
    assert test(base + gain, base, rng=seeded()).better == "a"
    found = test(base + gain, base, groups=groups, rng=seeded())
    assert found.is_tie
    assert found.n_groups == 4


def test_few_groups_are_swapped_in_every_way_once():
    a, b = np.array([0.1, 0.4, 0.3, 0.9]), np.array([0.0, 0.6, 0.1, 0.5])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1).T
    means = (signs * (a - b)).mean(axis=1)
    by_hand = (np.abs(means) >= abs((a - b).mean()) - 1e-12).mean()
    assert paired_permutation(a, b, rng=seeded()).p_value == by_hand


def test_the_permutation_test_keeps_its_size():
    """Of 400 pairs of equal models, about one in twenty is called different."""
    rng = seeded(3)
    p = [
        paired_permutation(*rng.normal(size=(2, 30)), draws=400, rng=rng).p_value
        for _ in range(400)
    ]
    assert 0.025 <= np.mean(np.array(p) <= 0.05) <= 0.08


@TESTS
def test_images_without_a_value_are_left_out_for_both(test):
    a = np.array([0.5, np.nan, 0.7, 0.9, 0.4])
    b = np.array([0.4, 0.3, np.nan, 0.8, 0.4])
    found = test(a, b, groups=list("abcde"), rng=seeded())
    assert (found.n_images, found.left_out) == (3, 2)
    assert found.difference == pytest.approx((0.1 + 0.1 + 0.0) / 3)


@given(st.integers(0, 1000))
def test_the_order_of_images_does_not_matter_to_an_exact_test(seed):
    rng = seeded(seed)
    a, b = rng.random((2, 8))
    order = rng.permutation(8)
    p = paired_permutation(a, b, rng=rng).p_value
    assert paired_permutation(a[order], b[order], rng=rng).p_value == pytest.approx(p)


@TESTS
@pytest.mark.parametrize(
    ("a", "b", "options", "message"),
    [
        (np.ones(3), np.ones(4), {}, "same images, but there are 3 and 4 values"),
        (np.ones(3), np.ones(3), {"groups": ["t"] * 3}, "at least 2 groups of images"),
        (np.ones(3), np.ones(3), {"groups": ["t"] * 2}, "3 images and 2 groups"),
        (np.ones((2, 3)), np.ones((2, 3)), {}, r"one number an image.*\(2, 3\)"),
        (np.ones(3), np.ones(3), {"draws": 10}, "at least 100 draws, got 10"),
        (np.full(3, np.nan), np.ones(3), {}, "At least 2 images must have a value for both"),
    ],
)
def test_what_cannot_be_paired_is_refused(test, a, b, options, message):
    with pytest.raises(ValueError, match=message):
        test(a, b, rng=seeded(), **options)

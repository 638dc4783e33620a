import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.evaluation.statistics import paired_bootstrap, paired_permutation

TESTS = pytest.mark.parametrize("test", [paired_bootstrap, paired_permutation])


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


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

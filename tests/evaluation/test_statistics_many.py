from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.evaluation.statistics import paired_bootstrap
from workbench.evaluation.statistics_many import compare_all, holm, resolution_floor, tie_letters


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_step_down_procedure_rejects(p, size):
    """Smallest first, each against size / (tests left), until one is kept."""
    rejected = set()
    order = sorted(range(len(p)), key=lambda i: p[i])
    for step, i in enumerate(order):
        if p[i] * (len(p) - step) > size:
            break
        rejected.add(i)
    assert {i for i, value in enumerate(holm(p)) if value <= size} == rejected


@given(st.data())
def test_two_models_share_a_letter_exactly_if_they_are_tied(data):
    names = [f"m{i}" for i in range(data.draw(st.integers(1, 6)))]
    pairs = list(combinations(names, 2))
    tied = [pair for pair in pairs if data.draw(st.booleans())]
    letters = tie_letters(names, tied)
    for a, b in pairs:
        assert bool(set(letters[a]) & set(letters[b])) == ((a, b) in tied)
    assert "a" in letters[names[0]]


def models(rng, means, n_seeds=5, n_images=100):
    hard = rng.normal(0, 0.2, n_images)
    return {
        name: [
            rng.normal(mean, 0.002) + hard + rng.normal(0, 0.02, n_images) for _ in range(n_seeds)
        ]
        for name, mean in means.items()
    }


def test_clear_differences_are_called_and_ties_are_grouped():
    rng = np.random.default_rng(0)
    found = compare_all(models(rng, {"dino": 0.8, "moco": 0.8, "random": 0.6}), rng=rng)
    assert found.best == {"dino", "moco"}
    assert found.letters["dino"] == found.letters["moco"] == "a"
    assert found.letters["random"] == "b"
    assert found.claims
    assert found.table.set_index(["a", "b"])["separated"].tolist() == [False, True, True]


def test_of_errors_the_lowest_is_best():
    rng = np.random.default_rng(0)
    found = compare_all(models(rng, {"x": 0.2, "y": 0.6}), higher_is_better=False, rng=rng)
    assert found.best == {"x"}


def test_few_seeds_separate_nothing():
    rng = np.random.default_rng(0)
    found = compare_all(models(rng, {"x": 0.2, "y": 0.9}, n_seeds=3), rng=rng)
    assert not found.claims
    assert found.best == {"x", "y"}
    assert not found.table["separated"].any()


def test_differences_of_the_floor_are_found_with_the_power_it_states():
    rng = np.random.default_rng(4)

    def pair(gain):
        hard = np.repeat(rng.normal(0, 0.3, 25), 4)
        shared = np.repeat(rng.normal(gain, 0.02, 25), 4)  # a group gains as one
        return hard + shared + rng.normal(0, 0.02, 100), hard + rng.normal(0, 0.02, 100)

    groups = np.repeat(np.arange(25), 4)
    options = {"groups": groups, "rng": rng}
    floor = np.mean([resolution_floor(*pair(0), **options).smallest for _ in range(20)])
    found = [paired_bootstrap(*pair(floor), draws=400, **options).better for _ in range(300)]
    assert 0.73 <= np.mean(np.array(found) == "a") <= 0.88
    with pytest.raises(ValueError, match="power is in"):
        resolution_floor(*pair(0), power=1.0, **options)


@pytest.mark.parametrize("n_models", [6, 8])
def test_families_of_equal_models_on_nine_groups_claim_nothing(n_models):
    """Of 9 groups the least p is 2 / 2 ** 9; corrected for 15 or 28 pairs it is above 0.05."""
    rng = np.random.default_rng(9)
    groups = np.repeat(range(9), 4)
    for _ in range(10):
        base = rng.random(36)
        each = {f"m{i}": [base + rng.normal(0, 0.1, 36)] for i in range(n_models)}
        found = compare_all(each, groups=groups, draws=100, rng=rng)
        pairs = n_models * (n_models - 1) // 2
        assert (found.table["p_holm"] > 0.05).all()
        assert found.least_p == pytest.approx(pairs * 2 / 2**9)
        assert (found.table["p_value"] * 256 % 1 == 0).all()  # shares of 512 swaps, in twos


def test_nothing_is_told_apart_from_five_groups():
    floor = resolution_floor(np.arange(5.0), np.zeros(5), rng=np.random.default_rng(0))
    assert np.isinf(floor.smallest)
    assert "at least 6 are needed" in str(floor)

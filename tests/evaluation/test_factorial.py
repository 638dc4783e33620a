"""Effects of a factorial: those that were put in come out, apart from each other."""

from itertools import product

import numpy as np
import pytest

from workbench.errors import EvaluationError
from workbench.evaluation.factorial import factor_effects

FACTORS = {"stem": ["standard", "detail"], "loss": ["plain", "boundary"], "decoder": ["a", "b"]}


def made(effects, *, seeds=5, images=60, noise=0.02, rng=None):
    """Scores with known effects on images of very different difficulty."""
    rng = rng or np.random.default_rng(0)
    hard = rng.normal(0.6, 0.15, images)
    scores = {}
    for cell in product(*FACTORS.values()):
        here = sum(effects.get(level, 0.0) for level in cell)
        here += effects.get(cell[:2], 0.0)
        scores[cell] = hard + here + rng.normal(0, noise, (seeds, images))
    return scores


def row(table, effect, level):
    found = table[(table["effect"] == effect) & (table["level"] == level)]
    assert len(found) == 1
    return found.iloc[0]


def test_known_effects_come_back_and_nothing_else_is_claimed():
    scores = made({"detail": 0.05, "boundary": 0.02})
    table = factor_effects(scores, FACTORS, rng=np.random.default_rng(1))
    stem, loss = row(table, "stem", "detail"), row(table, "loss", "boundary")
    assert stem.estimate == pytest.approx(0.05, abs=0.005)
    assert loss.estimate == pytest.approx(0.02, abs=0.005)
    assert stem.low <= 0.05 <= stem.high
    assert table[table.clear].effect.tolist() == ["stem", "loss"]


def test_an_interaction_is_told_from_the_main_effects():
    scores = made({("detail", "boundary"): 0.08})
    table = factor_effects(scores, FACTORS, rng=np.random.default_rng(1))
    both = row(table, "stem × loss", "detail × boundary")
    assert both.estimate == pytest.approx(0.08, abs=0.01)
    assert both.clear
    assert row(table, "stem", "detail").estimate == pytest.approx(0.04, abs=0.005)
    assert not row(table, "stem × decoder", "detail × b").clear


def test_estimates_are_plain_differences_of_means():
    rng = np.random.default_rng(3)
    scores = {cell: rng.random((3, 7)) for cell in product(*FACTORS.values())}
    table = factor_effects(scores, FACTORS, draws=100, rng=rng)
    of = {cell: values.mean() for cell, values in scores.items()}
    expected = np.mean([of["detail", loss, d] - of["standard", loss, d]
                        for loss, d in product(FACTORS["loss"], FACTORS["decoder"])])  # fmt: skip
    assert row(table, "stem", "detail").estimate == pytest.approx(expected)
    change = np.mean([
        of["detail", "boundary", d] - of["standard", "boundary", d]
        - of["detail", "plain", d] + of["standard", "plain", d]
        for d in FACTORS["decoder"]
    ])  # fmt: skip
    assert row(table, "stem × loss", "detail × boundary").estimate == pytest.approx(change)


def test_the_interval_knows_that_images_of_a_group_are_alike():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 20)
    shift = rng.normal(0, 0.1, 6)[groups]  # the effect differs from place to place
    scores = {
        cell: 0.5 + (shift if cell[0] == "detail" else 0) + rng.normal(0, 0.01, (3, 120))
        for cell in product(*FACTORS.values())
    }
    blind = factor_effects(scores, FACTORS, rng=np.random.default_rng(1))
    aware = factor_effects(scores, FACTORS, groups=groups, rng=np.random.default_rng(1))
    widths = [row(t, "stem", "detail").high - row(t, "stem", "detail").low for t in (blind, aware)]
    assert widths[1] > 2 * widths[0]


def test_images_without_a_score_are_left_out():
    scores = made({"detail": 0.05})
    for values in scores.values():
        values[:, :10] = np.nan
    table = factor_effects(scores, FACTORS, rng=np.random.default_rng(1))
    assert row(table, "stem", "detail").estimate == pytest.approx(0.05, abs=0.006)


def test_an_incomplete_factorial_is_refused():
    scores = made({})
    del scores["detail", "plain", "a"]
    with pytest.raises(EvaluationError, match="1 missing, 0 unknown"):
        factor_effects(scores, FACTORS, rng=np.random.default_rng(0))
    with pytest.raises(EvaluationError, match="0 missing, 1 unknown"):
        factor_effects(
            {**made({}), ("x", "y", "z"): np.zeros((1, 60))}, FACTORS, rng=np.random.default_rng(0)
        )
    odd = made({})
    odd["detail", "plain", "a"] = np.zeros((5, 3))
    with pytest.raises(EvaluationError, match="same images"):
        factor_effects(odd, FACTORS, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least 2 groups"):
        factor_effects(made({}), FACTORS, groups=[0] * 60, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="draws >= 100"):
        factor_effects(made({}), FACTORS, draws=5, rng=np.random.default_rng(0))


def test_effects_of_single_seeds_or_few_groups_are_not_called_clear():
    """One training of each combination says nothing about other trainings."""
    rng = np.random.default_rng(5)
    single = factor_effects(made({"detail": 0.2}, seeds=1), FACTORS, rng=rng)
    assert row(single, "stem", "detail").low > 0
    assert not single["clear"].any()
    groups = np.repeat(range(5), 12)
    few = factor_effects(made({"detail": 0.2}), FACTORS, groups=groups, rng=rng)
    assert not few["clear"].any()
    assert (few["p_value"] >= 2 / 2**5).all()


def test_p_values_of_effects_are_corrected_for_their_number():
    """Six effects of three factors: the least p counts six times, and so on."""
    table = factor_effects(made({}), FACTORS, rng=np.random.default_rng(1))
    p = np.sort(table["p_value"])
    by_hand = np.minimum(1, np.maximum.accumulate(p * np.arange(6, 0, -1)))
    np.testing.assert_allclose(np.sort(table["p_holm"]), by_hand)

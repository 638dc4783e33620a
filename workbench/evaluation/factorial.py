"""What each choice is worth when several are varied together: effects apart, with intervals.

Stem, loss, decoder and token size are changed at once in practice, and a table of the combinations
does not say which of them did it. Where every combination was trained, the effect of one choice is
the mean over all the others of the difference it makes, on the same images.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.evaluation.resampling import MIN_GROUPS, GroupScore, by_group, group_numbers
from workbench.evaluation.statistics_many import holm
from workbench.evaluation.statistics_seeds import MIN_SEEDS, contrast_test, variance_of_seeds

Floats: TypeAlias = NDArray[np.float64]


def factor_effects(
    scores: Mapping[tuple[Any, ...], Floats],
    factors: Mapping[str, Sequence[Any]],
    *,
    groups: Sequence[Any] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Estimate main effects and two-way interactions of a full factorial.

    The effect of a level is the mean, over all combinations of the other factors, of the difference
    to the factor's first level. An interaction is how much the effect of one level changes when
    another factor leaves its first level. Intervals and p-values are over groups of images, the
    same for all combinations, and over seeds: they hold for other images and other runs. Of single
    seeds they are of these runs only. p-values are corrected for the number of effects (Holm).

    Args:
        scores: For each combination of levels, in the order of `factors`, (S, N) scores of S seeds
            on the same N images; NaN where an image has none. Higher is better.
        factors: Levels of each factor; the first one is what the others are compared with.
        groups: (N,) group of each image, drawn as a whole; None if images are independent.
        draws: Number of draws, >= 100.
        level: Level of the intervals, in (0, 1).
        rng: Source of the draws.

    Returns:
        One row for each effect: `effect` ("stem", or "stem × loss"), `level` ("detail", or
        "detail × boundary"), `estimate`, `low`, `high` in the unit of the scores, `p_value`,
        `p_holm`, `clear` (True if p_holm is at most 1 - level and the interval does not hold 0;
        never with fewer than 5 seeds or 6 groups), `seeds` (fewest of a combination), `images` and
        `groups`.

    Raises:
        EvaluationError: If a combination is missing or unknown, or images differ.
        ValueError: If `draws` or `level` is out of its range, or there are fewer than two groups.

    References:
        Fisher 1935, The Design of Experiments, chapter VI.
    """
    if draws < 100 or not 0 < level < 1:
        raise ValueError(f"Intervals need draws >= 100 and level in (0, 1), got {draws}, {level}.")
    cells = list(product(*factors.values()))
    images = _require_full(scores, cells)
    group, n_groups = group_numbers(groups, images)
    each = {c: [by_group(row, group, n_groups) for row in scores[c]] for c in cells}
    seeds = min(len(scores[cell]) for cell in cells)
    rows = []
    for effect, levels, contrast in _contrasts(factors):
        score, variance = _contrast_score(each, contrast)
        found = contrast_test(score, variance, seeds - 1, level=level, draws=draws, rng=rng)
        rows.append((effect, levels, found.value, found.low, found.high, found.p_value))
    table = pd.DataFrame(
        rows, columns=["effect", "level", "estimate", "low", "high", "p_value"]
    ).assign(p_holm=lambda t: holm(t["p_value"]))
    return with_clear(table.assign(clear=False, seeds=seeds, images=images, groups=n_groups), level)


def with_clear(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """Say anew which effects are clear, by the corrected p-values in the table."""
    enough = (table["seeds"] >= MIN_SEEDS) & (table["groups"] >= MIN_GROUPS)
    apart = (table["low"] > 0) | (table["high"] < 0)
    return table.assign(clear=enough & apart & (table["p_holm"] <= 1 - level))


def _contrast_score(
    each: Mapping[tuple[Any, ...], Sequence[GroupScore]], contrast: Mapping[tuple[Any, ...], float]
) -> tuple[GroupScore, float]:
    """A contrast of means over seeds by the groups' weights, and its variance over seeds."""

    def under(weights: Floats) -> Floats:
        parts = [
            sign * np.mean([seed.under(weights) for seed in each[cell]], axis=0)
            for cell, sign in contrast.items()
        ]
        total: Floats = np.sum(parts, axis=0)
        return total

    everything = np.ones((1, next(iter(each.values()))[0].n_groups))
    variance = sum(
        sign**2 * variance_of_seeds([seed.under(everything)[0] for seed in each[cell]])
        for cell, sign in contrast.items()
    )
    share = np.mean([seed.share for cell in contrast for seed in each[cell]], axis=0)
    return GroupScore(under, share), float(variance)


def _require_full(
    scores: Mapping[tuple[Any, ...], Floats], cells: Sequence[tuple[Any, ...]]
) -> int:
    missing = [cell for cell in cells if cell not in scores]
    strange = [cell for cell in scores if cell not in set(cells)]
    if missing or strange:
        what = f"{missing[0]} is missing" if missing else f"{strange[0]} is none of its levels"
        raise EvaluationError(
            f"Effects need scores of every combination of the factors, but {what} "
            f"({len(missing)} missing, {len(strange)} unknown).\nRun the whole factorial."
        )
    sizes = {scores[cell].shape[-1] for cell in cells if scores[cell].ndim == 2}
    if len(sizes) != 1 or any(scores[cell].ndim != 2 or not len(scores[cell]) for cell in cells):
        shapes = sorted({scores[cell].shape for cell in cells})
        raise EvaluationError(
            f"Scores are (seeds, images) on the same images, but have the shapes {shapes}."
        )
    return sizes.pop()


def _contrasts(
    factors: Mapping[str, Sequence[Any]],
) -> list[tuple[str, str, dict[tuple[Any, ...], float]]]:
    """Name, levels and the weight of each combination, of all main effects and interactions."""
    names = list(factors)
    found = []
    for i, name in enumerate(names):
        for one in list(factors[name])[1:]:
            found.append((name, str(one), _signed(factors, {i: one})))
    for i, j in combinations(range(len(names)), 2):
        for one, other in product(list(factors[names[i]])[1:], list(factors[names[j]])[1:]):
            label, levels = f"{names[i]} × {names[j]}", f"{one} × {other}"
            found.append((label, levels, _signed(factors, {i: one, j: other})))
    return found


def _signed(
    factors: Mapping[str, Sequence[Any]], at: Mapping[int, Any]
) -> dict[tuple[Any, ...], float]:
    """Weights of a difference of differences: plus at the levels, minus at the first ones."""
    values = list(factors.values())
    free = [v if i not in at else [at[i], v[0]] for i, v in enumerate(values)]
    cells = list(product(*free))
    share = len(cells) / 2 ** len(at)
    return {
        cell: float(np.prod([1.0 if cell[i] == one else -1.0 for i, one in at.items()]) / share)
        for cell in cells
    }

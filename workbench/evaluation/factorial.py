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
    another factor leaves its first level. Intervals come from drawing groups of images, the same
    for all combinations, and seeds, anew for each: they hold for other images and other runs.

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
        "detail × boundary"), `estimate`, `low`, `high` in the unit of the scores, `clear` (True if
        the interval does not hold 0), `seeds` (fewest of a combination) and `images`.

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
    weights = _group_weights(images, groups, draws, rng)
    means = {cell: _draws_of(scores[cell], weights, rng) for cell in cells}
    seeds = min(len(scores[cell]) for cell in cells)
    rows = []
    for effect, levels, contrast in _contrasts(factors):
        drawn = np.sum([sign * means[cell] for cell, sign in contrast.items()], axis=0)
        low, high = np.nanquantile(drawn[1:], [(1 - level) / 2, (1 + level) / 2])
        rows.append((effect, levels, drawn[0], low, high, not low <= 0 <= high, seeds, images))
    columns = ["effect", "level", "estimate", "low", "high", "clear", "seeds", "images"]
    return pd.DataFrame(rows, columns=columns)


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


def _group_weights(
    images: int, groups: Sequence[Any] | None, draws: int, rng: np.random.Generator
) -> Floats:
    """(1 + draws, N) how often each image counts: first each once, then as its group was drawn."""
    of = np.arange(images) if groups is None else np.unique(list(groups), return_inverse=True)[1]
    count = int(of.max()) + 1 if len(of) else 0
    if len(of) != images or count < 2:
        raise ValueError(
            f"Intervals need a group for each of {images} images and two groups, got {len(of)} "
            f"images in {count} groups."
        )
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    return np.concatenate([np.ones((1, images)), drawn[:, of]])


def _draws_of(scores: Floats, weights: Floats, rng: np.random.Generator) -> Floats:
    """(1 + draws,) mean of a combination: of all its seeds, then of seeds drawn anew."""
    known = ~np.isnan(scores)
    total = weights @ np.where(known, scores, 0.0).T  # (1 + draws, S)
    mean = total / np.maximum(weights @ known.T, 1e-12)
    size = len(scores)
    times = rng.multinomial(size, np.full(size, 1 / size), size=len(weights)).astype(float)
    times[0] = 1.0
    found: Floats = (mean * times).sum(axis=1) / size
    return found


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

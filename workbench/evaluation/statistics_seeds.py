"""Several seeds of one method: their interquartile mean, and whether two methods differ.

A checkpoint is one draw of its method. A claim about methods has to hold for other seeds *and*
other images, so both are drawn again. With fewer than five seeds the numbers are printed and no
significance is claimed.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.evaluation.resampling import (
    Floats,
    Resampled,
    as_score,
    draw_scores,
    group_numbers,
    quantiles_at,
)

log = logging.getLogger(__name__)

MIN_SEEDS = 5
"""With fewer seeds no significance is claimed."""


@dataclass(frozen=True)
class SeedSummary:
    """What several seeds of one method score."""

    iqm: float
    """Interquartile mean over the seeds."""
    low: float
    """Lower end of its interval; NaN with fewer than `MIN_SEEDS` seeds."""
    high: float
    """Upper end."""
    n_seeds: int
    """Seeds."""

    @property
    def claims(self) -> bool:
        """True if there are enough seeds to claim anything."""
        return self.n_seeds >= MIN_SEEDS

    def __str__(self) -> str:
        if self.claims:
            return f"{self.iqm:.4f} [{self.low:.4f}, {self.high:.4f}] ({self.n_seeds} seeds)"
        return f"{self.iqm:.4f} ({self.n_seeds} seeds: no significance claimed)"


@dataclass(frozen=True)
class SeededDifference:
    """What a comparison of two methods, several seeds each, found."""

    difference: float
    """Interquartile mean of `a` minus that of `b`."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end."""
    p_value: float
    """Chance of a difference as large if the methods were equal, two-sided, in (0, 1]."""
    level: float
    """Level of the interval, in (0, 1)."""
    n_seeds: tuple[int, int]
    """Seeds of `a` and `b`."""
    n_images: int
    """Images both were judged on."""
    n_groups: int
    """Groups of images that were drawn."""
    standard_error: float
    """Of the difference, over seeds and images."""

    @property
    def claims(self) -> bool:
        """True if both have enough seeds to claim anything."""
        return min(self.n_seeds) >= MIN_SEEDS

    @property
    def is_tie(self) -> bool:
        """True if the two are not separated, or may not be called so for want of seeds."""
        return not self.claims or self.low <= 0 <= self.high

    @property
    def better(self) -> str:
        """The method with the higher score, "a" or "b"; "tie" if they are not separated."""
        if self.is_tie:
            return "tie"
        return "a" if self.difference > 0 else "b"


def interquartile_mean(values: ArrayLike, axis: int = -1) -> Any:
    """Mean of the middle half: a quarter of the values, rounded down, is left out at either end.

    Args:
        values: Any shape with at least one value along the axis.
        axis: Axis to average over.

    Example:
        >>> float(interquartile_mean([0.0, 0.5, 0.5, 0.5, 1.0]))
        0.5
    """
    from scipy import stats

    return stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25, axis=axis)


def summarise_seeds(
    scores: ArrayLike, *, level: float = 0.95, draws: int = 2000, rng: np.random.Generator
) -> SeedSummary:
    """Give the interquartile mean of a method's seeds, with its interval over seeds.

    Args:
        scores: (S,) one score a seed.
        level: Level of the interval, in (0, 1).
        draws: Number of draws of seeds, >= 100.
        rng: Source of the draws.

    Raises:
        ValueError: If there is no score, or one is not finite.

    Example:
        >>> print(summarise_seeds([0.71, 0.73], rng=np.random.default_rng(0)))
        0.7200 (2 seeds: no significance claimed)
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"Scores of seeds are (S,) finite numbers, S >= 1, got {values}.")
    n = len(values)
    if n < MIN_SEEDS:
        log.info("%d seeds are fewer than %d: no significance claimed.", n, MIN_SEEDS)
        return SeedSummary(float(interquartile_mean(values)), math.nan, math.nan, n)
    drawn = interquartile_mean(values[rng.integers(n, size=(draws, n))])
    low, high = quantiles_at(drawn, level, n - 1, 1 / (n - 1))
    return SeedSummary(float(interquartile_mean(values)), low, high, n)


def score_of_seeds(
    seeds: Sequence["ArrayLike | Resampled"],
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> SeedSummary:
    """Give the interquartile mean of a method's seeds, with its interval over seeds and images.

    Args:
        seeds: For each seed (N,) values, one an image; or a score of N images.
        groups: (N,) group of each image, drawn as a whole; None if the images are independent.
        level: Level of the interval, in (0, 1).
        draws: Number of draws, >= 100.
        rng: Source of the draws.

    Raises:
        ValueError: If the images differ, there is no seed, or there are fewer than two groups.
    """
    scores = [as_score(one) for one in seeds]
    if len({n for _, n in scores}) != 1:
        raise ValueError(
            f"Seeds are judged on the same images, but have {sorted({n for _, n in scores})}."
        )
    n_images, n = scores[0][1], len(scores)
    everything = np.ones((1, n_images))
    iqm = float(interquartile_mean([score(everything)[0] for score, _ in scores]))
    if n < MIN_SEEDS:
        return SeedSummary(iqm, math.nan, math.nan, n)
    group, n_groups = group_numbers(groups, n_images)
    drawn = draw_scores([score for score, _ in scores], group, n_groups, draws, rng)
    both = _other_seeds(drawn, rng)
    freedom, slack = _freedom(both, interquartile_mean(drawn, 0), n, n_groups)
    return SeedSummary(iqm, *quantiles_at(both, level, freedom, slack), n)


def compare_seeds(
    a: Sequence["ArrayLike | Resampled"],
    b: Sequence["ArrayLike | Resampled"],
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> SeededDifference:
    """Draw seeds and images again, the same images for both methods, and look at the difference.

    The interval is moved outwards as far as few seeds and few groups demand, each by its share of
    the variance (Satterthwaite's degrees of freedom).

    Args:
        a: For each seed (N,) values without NaN, one an image; or a score of N images.
        b: The same of the other method, on the same images.
        groups: (N,) group of each image, drawn as a whole; None if the images are independent.
        level: Level of the interval, in (0, 1).
        draws: Number of draws, >= 100.
        rng: Source of the draws.

    Raises:
        ValueError: If the images differ, a method has no seed, or there are fewer than two groups.
    """
    scores = [[as_score(one) for one in method] for method in (a, b)]
    sizes = {n for method in scores for _, n in method}
    if not all(scores) or len(sizes) != 1:
        raise ValueError(
            "Methods are compared on the same images with at least one seed each, but have "
            f"{len(a)} and {len(b)} seeds on {sorted(sizes)} images."
        )
    n_images = sizes.pop()
    group, n_groups = group_numbers(groups, n_images)
    flat = [score for method in scores for score, _ in method]
    drawn = draw_scores(flat, group, n_groups, draws, rng)
    first, second = drawn[: len(a)], drawn[len(a) :]
    over_images = interquartile_mean(first, 0) - interquartile_mean(second, 0)
    over_both = _other_seeds(first, rng) - _other_seeds(second, rng)
    everything = np.ones((1, n_images))
    point = [float(interquartile_mean([s(everything)[0] for s, _ in m])) for m in scores]
    seeds = (len(a), len(b))
    freedom, slack = _freedom(over_both, over_images, min(seeds), n_groups)
    low, high = quantiles_at(over_both, level, freedom, slack)
    beyond = min((over_both <= 0).sum(), (over_both >= 0).sum())
    p = min(1.0, 2 * (1 + float(beyond)) / (1 + draws))
    error = float(np.nanstd(over_both) * math.sqrt(1 + slack))
    difference = point[0] - point[1]
    return SeededDifference(
        difference, low, high, p, level, seeds, n_images, n_groups, error
    )  # fmt: skip


def _other_seeds(drawn: Floats, rng: np.random.Generator) -> Floats:
    """(D,) interquartile means of S seeds drawn with replacement, from (S, D) scores."""
    n_seeds, draws = drawn.shape
    chosen = rng.integers(n_seeds, size=(n_seeds, draws))
    return interquartile_mean(np.take_along_axis(drawn, chosen, axis=0), 0)


def _freedom(both: Floats, images: Floats, n_seeds: int, n_groups: int) -> tuple[float, float]:
    """Degrees of freedom of a difference over seeds and images, and the variance drawn too little.

    A variance drawn from n things comes out (n - 1) / n of its size.
    """
    total, of_images = float(np.nanvar(both)), float(np.nanvar(images))
    share = 1 - min(1.0, of_images / total) if total > 0 else 0.0
    spare = [max(n - 1, 1) for n in (n_seeds, n_groups)]
    freedom = 1 / (share**2 / spare[0] + (1 - share) ** 2 / spare[1])
    return freedom, share / spare[0] + (1 - share) / spare[1]

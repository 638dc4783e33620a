"""Do two models differ on these images? Paired draws, paired permutations, and what can be told.

Both models are judged on the *same* draws of images, so what makes an image hard cancels out.
Groups keep images together that are one piece of evidence: overlap components, spatial blocks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.evaluation.resampling import (
    Floats,
    Resampled,
    as_score,
    as_values,
    draw_scores,
    expanded_quantiles,
    group_numbers,
    is_score,
)

_SAME = 1e-12
"""Differences nearer than this are equal: sums in another order differ by as much."""


@dataclass(frozen=True)
class PairedDifference:
    """What a paired comparison of two models found."""

    difference: float
    """Score of `a` minus score of `b`, on the images as they are."""
    low: float
    """Lower end of the interval of the difference; NaN from a permutation test."""
    high: float
    """Upper end; NaN from a permutation test."""
    p_value: float
    """Chance of a difference as large if the models were equal, two-sided, in (0, 1]."""
    level: float
    """Level of the interval, in (0, 1); of a test, 1 minus its size."""
    n_images: int
    """Images on which both models have a value."""
    n_groups: int
    """Groups of images that were drawn or swapped."""
    left_out: int
    """Images without a value for one of the two."""

    @property
    def is_tie(self) -> bool:
        """True if these images do not separate the two models."""
        if math.isnan(self.low):
            return self.p_value > 1 - self.level + _SAME
        return self.low <= 0 <= self.high

    @property
    def better(self) -> str:
        """The model with the higher score, "a" or "b"; "tie" if they are not separated."""
        if self.is_tie:
            return "tie"
        return "a" if self.difference > 0 else "b"


def paired_bootstrap(
    a: "ArrayLike | Resampled",
    b: "ArrayLike | Resampled",
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> PairedDifference:
    """Draw the same images for two models again and again, and look at the difference.

    Args:
        a: (N,) one number an image, of which the mean is compared; or a score of N images. NaN
            where an image has no value: it is left out for both.
        b: The same of the other model, images in the same order.
        groups: (N,) group of each image, drawn as a whole; None if the images are independent.
        draws: Number of draws, >= 100.
        level: Level of the interval of the difference, in (0, 1).
        rng: Source of the draws.

    Returns:
        The difference a - b with its interval. Its p-value is twice the smaller share of draws on
        one side of zero, corrected for the number of draws.

    Raises:
        ValueError: If the images differ, or there are fewer than two groups.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> hard = rng.normal(0.7, 0.2, 100)  # some images are harder than others, for both
        >>> paired_bootstrap(hard + rng.normal(0.02, 0.01, 100), hard, rng=rng).better
        'a'
        >>> paired_bootstrap(hard, hard, rng=rng).better
        'tie'
    """
    pair = _pair(a, b, groups)
    first, second = draw_scores(pair.scores, pair.group, pair.n_groups, draws, rng)
    drawn = first - second
    low, high = expanded_quantiles(drawn, level, pair.n_groups)
    defined = drawn[~np.isnan(drawn)]
    beyond = min((defined <= _SAME).sum(), (defined >= -_SAME).sum())
    p = min(1.0, 2 * (1 + float(beyond)) / (1 + len(defined)))
    low, high = (0.0 if abs(end) <= _SAME else end for end in (low, high))
    return pair.found(low, high, p, level)


def paired_permutation(
    a: "ArrayLike | Resampled",
    b: "ArrayLike | Resampled",
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> PairedDifference:
    """Swap the two models within groups, and count how often the difference is as large.

    If the models were equal, which is called `a` would not matter, group by group. With few groups
    every swap is tried once and the p-value is exact; else `draws` of them are drawn.

    Args:
        a: (N,) one number an image, of which the mean is compared. NaN where an image has no
            value: it is left out for both.
        b: The same of the other model, images in the same order.
        groups: (N,) group of each image, swapped as a whole; None if the images are independent.
        draws: Number of swaps drawn, >= 100.
        level: 1 minus the size of the test, in (0, 1).
        rng: Source of the swaps.

    Raises:
        ValueError: If the images differ, or there are fewer than two groups.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = paired_permutation(np.ones(6), np.zeros(6), rng=rng)
        >>> found.p_value  # two of 2 ** 6 swaps are as extreme
        0.03125
    """
    if draws < 100:
        raise ValueError(f"A permutation test needs at least 100 draws, got {draws}.")
    pair = _pair(a, b, groups)
    is_exact = 2.0**pair.n_groups <= draws
    if is_exact:
        codes = np.arange(2**pair.n_groups)
        swaps = (codes[:, None] >> np.arange(pair.n_groups)) & 1
    else:
        swaps = rng.integers(2, size=(draws, pair.n_groups))
    swapped = swaps[:, pair.group].astype(np.float64)
    differences = pair.swapped(swapped)
    extreme = int((np.abs(differences) >= abs(pair.difference) - _SAME).sum())
    p = extreme / len(swaps) if is_exact else (1 + extreme) / (1 + len(swaps))
    return pair.found(math.nan, math.nan, p, level)


@dataclass(frozen=True)
class _Pair:
    """Two models on the same images, ready to be drawn or swapped."""

    scores: tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]
    both: Callable[[Floats], Floats]
    """Score of the 2 N images of both."""
    group: NDArray[np.int64]
    n_groups: int
    left_out: int

    @property
    def difference(self) -> float:
        everything = np.ones((1, len(self.group)))
        return float((self.scores[0](everything) - self.scores[1](everything))[0])

    def swapped(self, swaps: Floats) -> Floats:
        """(D,) differences after swaps (D, N), 1 where an image changes sides."""
        stays = 1 - swaps
        first = self.both(np.concatenate([stays, swaps], axis=1))
        return first - self.both(np.concatenate([swaps, stays], axis=1))

    def found(self, low: float, high: float, p: float, level: float) -> PairedDifference:
        n = len(self.group)
        return PairedDifference(
            self.difference, low, high, p, level, n, self.n_groups, self.left_out
        )


def _pair(
    a: "ArrayLike | Resampled",
    b: "ArrayLike | Resampled",
    groups: Sequence[Any] | NDArray[Any] | None,
) -> _Pair:
    if is_score(a) and is_score(b):
        if list(a.images) != list(b.images):
            raise ValueError(
                f"Paired models are judged on the same images in one order, but of "
                f"{len(a.images)} and {len(b.images)} images "
                f"{len(set(a.images) & set(b.images))} are in both.\n"
                "Evaluate both on one test set."
            )
        group, n_groups = group_numbers(groups, len(a.images))
        return _Pair((a.under, b.under), a.joined(b).under, group, n_groups, 0)
    if is_score(a) or is_score(b):
        raise ValueError("A pair is two scores or two lists of values, but one of each was given.")
    first, second = as_values(a), as_values(b)
    if first.shape != second.shape:
        raise ValueError(
            f"Paired models are judged on the same images, but there are {len(first)} and "
            f"{len(second)} values.\nEvaluate both on one test set."
        )
    known = ~(np.isnan(first) | np.isnan(second))
    if known.sum() < 2 <= len(known):
        raise ValueError(
            f"At least 2 images must have a value for both models, but {known.sum()} of "
            f"{len(known)} has."
        )
    if groups is not None and len(groups) == len(known):
        groups = [name for name, is_known in zip(groups, known, strict=True) if is_known]
    first, second = first[known], second[known]
    group, n_groups = group_numbers(groups, len(first))
    both, _ = as_score(np.concatenate([first, second]))
    scores = (as_score(first)[0], as_score(second)[0])
    return _Pair(scores, both, group, n_groups, int((~known).sum()))

"""Drawing images again: whole groups of them at once, and the interval that follows.

Images of one tile or of neighbouring ground are no independent evidence. Resampling therefore
draws *groups* (overlap components, spatial blocks) with replacement, each with all of its images.
Without groups every image is a group of its own, which is right only if images are independent.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats: TypeAlias = NDArray[np.float64]

_CELLS_AT_ONCE = 4_000_000
"""Weights held at a time, in numbers: 32 MB."""


class Resampled(Protocol):
    """A score of a set of images that can be computed anew for the same images drawn again."""

    @property
    def images(self) -> Sequence[str]:
        """(N,) ids of the images."""
        ...

    def under(self, weights: Floats) -> Floats:
        """(D,) scores, for (D, N) numbers of times that each image was drawn; NaN if undefined."""
        ...

    def joined(self, other: Self) -> Self:
        """Score of the images of both, 2 N of them, those of `other` last."""
        ...


@dataclass(frozen=True)
class Interval:
    """An estimate and where it may lie."""

    estimate: float
    """Of the images as they are."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    level: float
    """Share of such intervals that hold the true value, in (0, 1)."""
    n_images: int
    """Images the estimate is from."""
    n_groups: int
    """Groups that were drawn; equal to `n_images` without groups."""

    def __str__(self) -> str:
        return f"{self.estimate:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap_interval(
    values: "ArrayLike | Resampled",
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    rng: np.random.Generator,
) -> Interval:
    """Say where a mean or a score may lie, had other images of the same kind been tested.

    The ends are quantiles of the score over draws of whole groups, moved outwards as far as few
    groups demand (the expanded percentile interval).

    Blocks must be large against the distance over which images are alike: with sides of 12 times
    that distance 95 % intervals held the truth in 94 % of simulations, with 8 times in 92 %.

    Args:
        values: (N,) one number an image, of which the mean is meant; or a score. NaN where an
            image has no value; it is left out.
        groups: (N,) group of each image; None if the images are independent.
        level: Share of such intervals that shall hold the true value, in (0, 1).
        draws: Number of draws, >= 100.
        rng: Source of the draws.

    Raises:
        ValueError: If there are fewer than two groups, or an argument is out of its range.

    References:
        Hesterberg: What Teachers Should Know About the Bootstrap (2015), arXiv 1411.5279, §5.3.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = bootstrap_interval(rng.normal(0.8, 0.1, 400), rng=rng)
        >>> found.low < 0.8 < found.high
        True
    """
    score, n = as_score(values)
    group, n_groups = group_numbers(groups, n)
    drawn = draw_scores([score], group, n_groups, draws, rng)[0]
    low, high = expanded_quantiles(drawn, level, n_groups)
    return Interval(float(score(np.ones((1, n)))[0]), low, high, level, n, n_groups)


def is_score(values: "ArrayLike | Resampled") -> TypeGuard[Resampled]:
    """True for a score, False for plain values."""
    return hasattr(values, "under")


def as_values(values: Any) -> Floats:
    """(N,) numbers, one an image.

    Raises:
        ValueError: If they have another shape.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(
            f"Values are one number an image, (N,), but have the shape {array.shape}.\n"
            "Give a score for what is no mean over images, or one seed at a time."
        )
    return array


def as_score(values: "ArrayLike | Resampled") -> tuple[Callable[[Floats], Floats], int]:
    """Give a function of weights (D, N), and N; for plain values it is their weighted mean."""
    if is_score(values):
        return values.under, len(values.images)
    array = as_values(values)
    known = ~np.isnan(array)
    if not known.any():
        raise ValueError(f"At least one image must have a value, but all {len(array)} are NaN.")
    filled = np.where(known, array, 0.0)

    def mean(weights: Floats) -> Floats:
        count = weights @ known.astype(np.float64)
        with np.errstate(invalid="ignore"):
            return np.where(count > 0, (weights @ filled) / np.maximum(count, 1e-300), np.nan)

    return mean, len(array)


def group_numbers(
    groups: Sequence[Any] | NDArray[Any] | None, n_images: int
) -> tuple[NDArray[np.int64], int]:
    """(N,) number of each image's group, and how many groups there are: at least two.

    Raises:
        ValueError: If there is not one group an image, or fewer than two of them.
    """
    if groups is None:
        number, count = np.arange(n_images), n_images
    else:
        names = np.asarray([str(name) for name in groups])
        if len(names) != n_images:
            raise ValueError(
                f"Each image needs its group, but there are {n_images} images and "
                f"{len(names)} groups."
            )
        found, number = np.unique(names, return_inverse=True)
        count = len(found)
    if count < 2:
        raise ValueError(
            f"Resampling needs at least 2 groups of images, but there is {count}.\n"
            "One overlap component is one piece of evidence: use smaller blocks, or more ground."
        )
    return number, count


def iter_weights(
    group: NDArray[np.int64], n_groups: int, draws: int, rng: np.random.Generator
) -> Iterator[Floats]:
    """Yield weights (d, N) until `draws` draws are made: how often each image was drawn."""
    if draws < 100:
        raise ValueError(f"An interval needs at least 100 draws, got {draws}.")
    at_once = max(1, _CELLS_AT_ONCE // max(len(group), n_groups))
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        chosen = rng.integers(n_groups, size=(size, n_groups))
        chosen += n_groups * np.arange(size)[:, None]
        times = np.bincount(chosen.ravel(), minlength=size * n_groups).reshape(size, n_groups)
        yield times.astype(np.float64)[:, group]


def draw_scores(
    scores: Sequence[Callable[[Floats], Floats]],
    group: NDArray[np.int64],
    n_groups: int,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """(S, D) scores of S models on the same D draws of images; NaN where one is undefined."""
    parts = [
        np.stack([score(weights) for score in scores])
        for weights in iter_weights(group, n_groups, draws, rng)
    ]
    return np.concatenate(parts, axis=1)


def expanded_quantiles(drawn: Floats, level: float, n_groups: int) -> tuple[float, float]:
    """Ends of the expanded percentile interval of (D,) drawn scores from `n_groups` groups."""
    return quantiles_at(drawn, level, n_groups - 1, 1 / (n_groups - 1))


def quantiles_at(drawn: Floats, level: float, freedom: float, slack: float) -> tuple[float, float]:
    """Quantiles of (D,) drawn scores that lie as far out as Student's t does.

    Args:
        drawn: (D,) scores; NaN are left out.
        level: Level of the interval, in (0, 1).
        freedom: Degrees of freedom, > 0.
        slack: Share by which the variance of the draws is too small, >= 0.
    """
    from scipy import stats

    if not 0 < level < 1:
        raise ValueError(f"A level is in (0, 1), got {level!r}.")
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return math.nan, math.nan
    tail = stats.norm.cdf(-math.sqrt(1 + slack) * stats.t.ppf((1 + level) / 2, freedom))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)

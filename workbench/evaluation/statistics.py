"""Do two models differ on these images? Swap (permutation) tests and intervals over groups.

Both models are judged on the *same* images, so what makes an image hard cancels out. Groups keep
images together that are one piece of evidence: overlap components, spatial blocks. P-values are
those of the swap test: if the models were equal, it would not matter which one is called `a`, group
by group. With G groups no p-value can be below 2 / 2 ** G, whatever the number of draws, so fewer
than six groups cannot separate two models at 5 %, and no difference is claimed from them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.evaluation.resampling import (
    MIN_GROUPS,
    Floats,
    GroupScore,
    Resampled,
    as_values,
    by_group,
    coverage_warning,
    group_numbers,
    in_parts,
    interval_of,
    is_score,
    leave_out,
)

_SAME = 1e-12
"""Differences nearer than this are equal: sums in another order differ by as much."""
SWAPS = 20_000
"""Swaps drawn by default: p-values down to 0.00005, for families of a thousand comparisons."""
_ALL_SWAPS = 2**14
"""If there are no more ways to swap the groups, each is tried once and p is exact."""
_SIGNS_AT_ONCE = 40_000_000
"""Swaps times groups in all: fewer swaps are drawn of very many groups."""


@dataclass(frozen=True)
class PairedDifference:
    """What a paired comparison of two models found."""

    difference: float
    """Score of `a` minus score of `b`, on the images as they are."""
    low: float
    """Lower end of the interval of the difference; NaN from a permutation test alone."""
    high: float
    """Upper end; NaN from a permutation test alone."""
    p_value: float
    """Chance of a difference as large if the models were equal, two-sided, in (0, 1]: of the swap
    test, and never below 2 / 2 ** n_groups."""
    level: float
    """Level of the interval, in (0, 1); of a test, 1 minus its size."""
    n_images: int
    """Images on which both models have a value."""
    n_groups: int
    """Groups of images that were drawn or swapped."""
    left_out: int
    """Images without a value for one of the two."""
    skewness: float = 0.0
    """Skewness of what each group adds to the difference; 0 if they spread evenly."""
    p_holm: float | None = None
    """The p-value corrected for a family of comparisons; None if this is the only one."""

    @property
    def claims(self) -> bool:
        """True if there are groups enough to claim any difference (`MIN_GROUPS`)."""
        return self.n_groups >= MIN_GROUPS

    @property
    def p_corrected(self) -> float:
        """The p-value that decides: corrected for the family, if there is one."""
        return self.p_value if self.p_holm is None else self.p_holm

    @property
    def is_tie(self) -> bool:
        """True if these images do not separate the two models.

        They do if there are at least `MIN_GROUPS` groups, the (corrected) p-value is at most
        1 - level, and the interval, if there is one, does not hold zero.
        """
        if not self.claims or self.p_corrected > 1 - self.level + _SAME:
            return True
        return self.low <= 0 <= self.high  # False for NaN

    @property
    def better(self) -> str:
        """The model with the higher score, "a" or "b"; "tie" if they are not separated."""
        if self.is_tie:
            return "tie"
        return "a" if self.difference > 0 else "b"

    @property
    def warning(self) -> str:
        """What a reader must know about groups and coverage; empty if there is nothing."""
        if not self.claims:
            return (
                f"no difference is claimed from {self.n_groups} groups of images: fewer than "
                f"{MIN_GROUPS} cannot give p below {2 / 2 ** (MIN_GROUPS - 1):g}"
            )
        if math.isnan(self.low):
            return ""
        return coverage_warning(self.n_groups, self.skewness)

    def __str__(self) -> str:
        ends = "" if math.isnan(self.low) else f" [{self.low:+.4f}, {self.high:+.4f}]"
        p = f"p = {self.p_value:.3g}"
        if self.p_holm is not None:
            p += f", corrected {self.p_holm:.3g}"
        said = {"a": "a is better", "b": "b is better", "tie": "tied"}[self.better]
        if self.claims and self.is_tie and self.p_corrected <= 1 - self.level + _SAME:
            said += ", as the interval holds zero (a claim needs p and interval)"
        more = f"; {self.warning}" if self.warning else ""
        return f"{self.difference:+.4f}{ends}, {p}, {self.n_groups} groups: {said}{more}"


def paired_bootstrap(
    a: "ArrayLike | Resampled",
    b: "ArrayLike | Resampled",
    *,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> PairedDifference:
    """Compare two models on the same images: difference, interval, and p-value of the swap test.

    Args:
        a: (N,) one number an image, of which the mean is compared; or a score of N images. NaN
            where an image has no value: it is left out for both.
        b: The same of the other model, images in the same order.
        groups: (N,) group of each image, drawn and swapped as a whole; None if the images are
            independent.
        draws: Number of bootstrap draws behind the interval, >= 100.
        level: Level of the interval of the difference, in (0, 1).
        rng: Source of the draws.

    Returns:
        The difference a - b with its interval, as `bootstrap_interval` makes it, and its p-value:
        every swap of groups is tried where there are at most 2 ** 14 (p is exact), else at least
        20,000 are drawn, fewer of more than 2,000 groups. It claims nothing below 6 groups.

    Raises:
        ValueError: If the images differ, a value is infinite, or there are fewer than two groups.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> hard = rng.normal(0.7, 0.2, 100)  # some images are harder than others, for both
        >>> paired_bootstrap(hard + rng.normal(0.02, 0.01, 100), hard, rng=rng).better
        'a'
        >>> paired_bootstrap(hard, hard, rng=rng).better
        'tie'
        >>> paired_bootstrap([0.80, 0.81, 0.79], [0.79, 0.80, 0.785], rng=rng).p_value
        0.25
    """
    pair = _pair(a, b, groups)
    spread = leave_out(pair.score)
    low, high = interval_of(pair.score, spread, level=level, draws=draws, rng=rng)
    low, high = (0.0 if abs(end) <= _SAME else end for end in (low, high))
    p = pair.p_value(pair.swaps_for(draws), rng)
    return pair.found(low, high, p, level, spread.skewness)


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
    every swap is tried once and the p-value is exact; else `draws` of them are drawn, and the
    difference as it is counts as one more, so that p is never 0.

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
    return pair.found(math.nan, math.nan, pair.p_value(draws, rng), level)


def sign_flip_p(parts: Floats, rng: np.random.Generator, *, swaps: int = SWAPS) -> float:
    """P-value of a sum of contributions if each might as well have the other sign, two-sided.

    Args:
        parts: (G,) what each group adds to a difference.
        rng: Source of the swaps, if not all are tried.
        swaps: Swaps drawn if there are more than 2 ** 14 of them, >= 100.

    Example:
        >>> sign_flip_p(np.array([0.1, 0.2, 0.1, 0.3, 0.2, 0.4]), np.random.default_rng(0))
        0.03125
    """
    total = float(parts.sum())
    return _share_as_extreme(lambda swap: total - 2 * (swap @ parts), len(parts), total, swaps, rng)


def _share_as_extreme(
    difference_after: Callable[[Floats], Floats],
    n_groups: int,
    difference: float,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """Share of swaps whose difference is as large; of drawn ones with the one as it is."""
    is_exact = 2.0**n_groups <= max(_ALL_SWAPS, draws)
    total = 2**n_groups if is_exact else draws
    least, extreme = abs(difference) - _SAME, 0
    for swap in _swaps(n_groups, total, None if is_exact else rng):
        extreme += int((np.abs(difference_after(swap)) >= least).sum())
    return extreme / total if is_exact else (1 + extreme) / (1 + total)


def _swaps(n_groups: int, total: int, rng: np.random.Generator | None) -> Iterator[Floats]:
    """(D, G) 1 where a group changes sides, in parts: all swaps in order, or drawn ones."""
    rows = max(1, 2_000_000 // n_groups)
    for start in range(0, total, rows):
        stop = min(total, start + rows)
        if rng is None:
            codes = np.arange(start, stop)
            yield ((codes[:, None] >> np.arange(n_groups)) & 1).astype(np.float64)
        else:
            yield rng.integers(2, size=(stop - start, n_groups), dtype=np.int8).astype(np.float64)


@dataclass(frozen=True)
class _Pair:
    """Two models on the same images, ready to be drawn or swapped by group."""

    score: GroupScore
    """Difference of the two by the groups' weights."""
    both: Callable[[Floats], Floats]
    """Score under the weights of the groups of `a` and of `b`, (D, 2 G)."""
    is_cheap: bool
    """Whether counts add up over groups, so that many swaps cost little."""
    n_images: int
    n_groups: int
    left_out: int
    parts: Floats | None = None
    """(G,) what each group adds to a difference of means; None of a score."""

    @property
    def difference(self) -> float:
        return float(self.score.under(np.ones((1, self.n_groups)))[0])

    def swapped(self, swaps: Floats) -> Floats:
        """(D,) differences after swaps (D, G), 1 where a group changes sides."""
        if self.parts is not None:
            return self.parts.sum() - 2 * (swaps @ self.parts)
        stays = 1 - swaps
        first = self.both(np.concatenate([stays, swaps], axis=1))
        return first - self.both(np.concatenate([swaps, stays], axis=1))

    def swaps_for(self, draws: int) -> int:
        """How many swaps are drawn where not all can be tried."""
        if not self.is_cheap:
            return draws
        return max(draws, min(SWAPS, _SIGNS_AT_ONCE // self.n_groups))

    def p_value(self, draws: int, rng: np.random.Generator) -> float:
        return _share_as_extreme(self.swapped, self.n_groups, self.difference, draws, rng)

    def found(
        self, low: float, high: float, p: float, level: float, skewness: float = 0.0
    ) -> PairedDifference:
        return PairedDifference(
            self.difference, low, high, p, level, self.n_images, self.n_groups, self.left_out,
            skewness,
        )  # fmt: skip


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
        score = by_group(a, group, n_groups).minus(by_group(b, group, n_groups))
        both, is_cheap = _joined(a, b, group, n_groups)
        return _Pair(score, both, is_cheap, len(group), n_groups, 0)
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
    score = by_group(first, group, n_groups).minus(by_group(second, group, n_groups))
    parts = np.bincount(group, weights=first - second, minlength=n_groups) / len(first)
    return _Pair(score, score.under, True, len(first), n_groups, int((~known).sum()), parts)


def _joined(
    a: Any, b: Any, group: NDArray[np.int64], n_groups: int
) -> tuple[Callable[[Floats], Floats], bool]:
    """Score of the groups of both by their weights (D, 2 G), and whether its counts add up."""
    if hasattr(a, "summed") and hasattr(b, "summed"):
        return a.summed(group, n_groups).joined(b.summed(group, n_groups)).under, True
    under = a.joined(b).under
    images = np.concatenate([group, group + n_groups])
    return lambda weights: in_parts(lambda w: under(w[:, images]), weights, len(images)), False

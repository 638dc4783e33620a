"""A score that knows its definition, its images, and its value had other images been drawn.

Nearly every metric is a function of counts that add up over images: confusions, sums of errors,
bins of confidence. A `Score` keeps the counts of each image, so that per-image values, bootstrap
draws and swaps between models are all the same function of other sums.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Metric:
    """What a number means, and how it follows from counts."""

    name: str
    """Short name, as in tables: "macro_miou"; of one class: "iou/Corn"."""
    definition: str
    """One sentence that leaves no other reading."""
    compute: Callable[[Floats], Floats]
    """From summed counts (D, ...) to (D,) values; NaN where there is nothing to judge."""
    higher_is_better: bool = True
    """False for errors."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """Least and greatest value there can be; no interval goes beyond them."""


@dataclass(frozen=True, eq=False)
class Score:
    """One metric of one model on a set of images."""

    metric: Metric
    """What it is."""
    images: tuple[str, ...]
    """(N,) ids of the images."""
    counts: Floats
    """(N, ...) counts of each image, which add up."""

    @property
    def name(self) -> str:
        """Short name of the metric."""
        return self.metric.name

    @property
    def definition(self) -> str:
        """One sentence that says what the number is."""
        return self.metric.definition

    @cached_property
    def value(self) -> float:
        """The score of all images together."""
        return float(self.metric.compute(self.counts.sum(axis=0, keepdims=True))[0])

    @cached_property
    def per_image(self) -> Floats:
        """(N,) score of each image on its own; NaN where it has nothing to judge.

        Their mean is another number than `value` unless the metric is a mean over images.
        """
        return self.metric.compute(self.counts)

    def under(self, weights: Floats) -> Floats:
        """(D,) scores, for (D, N) numbers of times that each image was drawn."""
        flat = weights @ self.counts.reshape(len(self.counts), -1)
        return self.metric.compute(flat.reshape(len(weights), *self.counts.shape[1:]))

    def joined(self, other: "Score") -> "Score":
        """Score of the images of both, those of `other` last."""
        counts = np.concatenate([self.counts, other.counts])
        return Score(self.metric, self.images + other.images, counts)

    def summed(self, group: NDArray[np.int64], n_groups: int) -> "Score":
        """Score with the counts of each group of images in place of each image's.

        Args:
            group: (N,) number of each image's group, from 0.
            n_groups: Number of groups.
        """
        counts = np.zeros((n_groups, *self.counts.shape[1:]))
        np.add.at(counts, group, self.counts)
        return Score(self.metric, tuple(map(str, range(n_groups))), counts)

    def __str__(self) -> str:
        return f"{self.name} = {self.value:.4f} on {len(self.images)} images: {self.definition}"


@dataclass(frozen=True, eq=False)
class RankingScore:
    """Average precision: it depends on the order of all images, so no counts add up to it."""

    metric: Metric
    """What it is; its function is of flat relevance and is not used."""
    images: tuple[str, ...]
    """(N,) ids of the images."""
    confidence: Floats
    """(N, K) what the model gave each class, higher for surer."""
    truth: NDArray[np.bool_]
    """(N, K) True where the class is present."""
    pooled: bool
    """True: all classes ranked in one list (micro); False: the mean over classes (macro)."""

    @property
    def name(self) -> str:
        """Short name of the metric."""
        return self.metric.name

    @property
    def definition(self) -> str:
        """One sentence that says what the number is."""
        return self.metric.definition

    @cached_property
    def value(self) -> float:
        """The score of all images together."""
        return float(self.under(np.ones((1, len(self.images))))[0])

    @property
    def per_image(self) -> None:
        """A ranking of images has no value for one image."""
        return None

    def under(self, weights: Floats) -> Floats:
        """(D,) scores, for (D, N) numbers of times that each image was drawn."""
        classes = self.truth.shape[1]
        if self.pooled:
            per_draw = max(1, _CELLS_AT_ONCE // self.truth.size)
            parts = [weights[i : i + per_draw] for i in range(0, len(weights), per_draw)]
            flat = (self.confidence.ravel(), self.truth.ravel())
            return np.concatenate(
                [average_precision(*flat, np.repeat(part, classes, axis=1)) for part in parts]
            )
        each = np.stack(
            [
                average_precision(self.confidence[:, k], self.truth[:, k], weights)
                for k in range(classes)
            ]
        )
        return mean_of_defined(each, axis=0)

    def joined(self, other: "RankingScore") -> "RankingScore":
        """Score of the images of both, those of `other` last."""
        return RankingScore(
            self.metric,
            self.images + other.images,
            np.concatenate([self.confidence, other.confidence]),
            np.concatenate([self.truth, other.truth]),
            self.pooled,
        )

    def __str__(self) -> str:
        return f"{self.name} = {self.value:.4f} on {len(self.images)} images: {self.definition}"


AnyScore: TypeAlias = Score | RankingScore


def average_precision(confidence: Floats, truth: NDArray[np.bool_], weights: Floats) -> Floats:
    """(D,) average precision of one ranking under D sets of weights.

    The sum over distinct confidences of precision times the recall gained there; equal confidences
    come at once, so that their order does not matter.

    Args:
        confidence: (N,) higher for surer.
        truth: (N,) True where it is right to be sure.
        weights: (D, N) how often each counts, >= 0.

    Returns:
        (D,) values in [0, 1]; NaN without anything that is true.

    Example:
        >>> ranked = np.array([0.9, 0.8, 0.7])
        >>> average_precision(ranked, np.array([True, False, True]), np.ones((1, 3))).round(4)
        array([0.8333])
    """
    order = np.argsort(-confidence, kind="stable")
    last_of_equals = np.append(np.diff(confidence[order]) != 0, True)
    drawn = weights[:, order]
    hits = np.cumsum(drawn * truth[order], axis=1)[:, last_of_equals]
    seen = np.cumsum(drawn, axis=1)[:, last_of_equals]
    gained = np.diff(hits, axis=1, prepend=0.0)
    total = hits[:, -1]
    area = (gained * hits / np.maximum(seen, 1e-300)).sum(axis=1)
    return np.where(total > 0, area / np.maximum(total, 1e-300), np.nan)


def mean_of_defined(values: Floats, axis: int) -> Floats:
    """Mean along an axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def ratio(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where the whole is 0."""
    return np.where(whole != 0, part / np.where(whole != 0, whole, 1.0), np.nan)

"""The definitions: what each printed number is, as one sentence and one function of counts.

Confusions are (..., K, K): truth by row, prediction by column, ignored pixels in neither.
"""

import math
from collections.abc import Sequence

import numpy as np

from workbench.evaluation.scores import Floats, Metric, mean_of_defined, ratio

SHARE = (0.0, 1.0)
"""Limits of what is a share."""


def _hits(confusion: Floats) -> Floats:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _union(confusion: Floats) -> Floats:
    return confusion.sum(-1) + confusion.sum(-2) - _hits(confusion)


def _overall_accuracy(confusion: Floats) -> Floats:
    return ratio(_hits(confusion).sum(-1), confusion.sum((-2, -1)))


def _micro_iou(confusion: Floats) -> Floats:
    return ratio(_hits(confusion).sum(-1), _union(confusion).sum(-1))


def class_ious(confusion: Floats) -> Floats:
    """(..., K) intersection over union of each class; NaN where it is in neither map."""
    return ratio(_hits(confusion), _union(confusion))


def _macro_miou(confusion: Floats) -> Floats:
    return mean_of_defined(class_ious(confusion), axis=-1)


def _macro_f1(confusion: Floats) -> Floats:
    both = confusion.sum(-1) + confusion.sum(-2)
    return mean_of_defined(ratio(2 * _hits(confusion), both), axis=-1)


def segmentation_metrics(classes: Sequence[str]) -> list[Metric]:
    """Metrics of label maps, of confusions (..., K, K); the last K are the IoU of each class."""
    metrics = [
        Metric(
            "overall_accuracy",
            "Share of labelled pixels whose class is right (OA), all images pooled.",
            _overall_accuracy,
            limits=SHARE,
        ),
        Metric(
            "macro_miou",
            "Intersection over union of each class over all images pooled, then the plain mean "
            "over the classes that are in the labels or the predictions.",
            _macro_miou,
            limits=SHARE,
        ),
        Metric(
            "micro_iou",
            "Intersection over union of all classes pooled, which is OA / (2 - OA): it says "
            "nothing that overall accuracy does not.",
            _micro_iou,
            limits=SHARE,
        ),
        Metric(
            "macro_f1",
            "F1 of each class over all images pooled, then the plain mean over the classes that "
            "are in the labels or the predictions; micro F1 of label maps is overall accuracy.",
            _macro_f1,
            limits=SHARE,
        ),
    ]
    return metrics + [_one_class(k, name) for k, name in enumerate(classes)]


def _one_class(k: int, name: str) -> Metric:
    return Metric(
        f"iou/{name}",
        f"Intersection over union of the class {name!r} over all images pooled.",
        lambda confusion: class_ious(confusion)[..., k],
        limits=SHARE,
    )


def multilabel_metrics(threshold: float = 0.5) -> list[Metric]:
    """Metrics of label vectors, of counts (..., K, 3): hits, false alarms, misses."""

    def f1(counts: Floats) -> Floats:
        return ratio(2 * counts[..., 0], 2 * counts[..., 0] + counts[..., 1] + counts[..., 2])

    rule = f"a class counts as predicted above a probability of {threshold:g}"
    return [
        Metric(
            "micro_f1",
            f"F1 of all classes and images pooled; {rule}.",
            lambda counts: f1(counts.sum(-2)),
            limits=SHARE,
        ),
        Metric(
            "macro_f1",
            "F1 of each class over all images, then the plain mean over the classes that are in "
            f"the labels or the predictions; {rule}.",
            lambda counts: mean_of_defined(f1(counts), axis=-1),
            limits=SHARE,
        ),
    ]


def _unused(counts: Floats) -> Floats:
    raise NotImplementedError("A ranking is computed from its images, not from counts.")


MICRO_MAP = Metric(
    "micro_map",
    "Average precision of one ranking of all pairs of image and class, without interpolation.",
    _unused,
    limits=SHARE,
)
MACRO_MAP = Metric(
    "macro_map",
    "Average precision of each class's ranking of images, without interpolation, then the plain "
    "mean over the classes that are in the labels.",
    _unused,
    limits=SHARE,
)


def density_metrics(unit: str = "the unit of the labels") -> list[Metric]:
    """Metrics of densities, of sums (..., 4): pixels, squared errors, values, squared values."""

    def rmse(sums: Floats) -> Floats:
        return np.sqrt(ratio(sums[..., 1], sums[..., 0]))

    def r2(sums: Floats) -> Floats:
        spread = sums[..., 3] - ratio(sums[..., 2] ** 2, sums[..., 0])
        return 1 - ratio(sums[..., 1], np.where(spread > 1e-9 * sums[..., 3], spread, 0.0))

    return [
        Metric(
            "rmse",
            f"Root of the mean squared error over all labelled pixels pooled, in {unit}.",
            rmse,
            higher_is_better=False,
            limits=(0.0, math.inf),
        ),
        Metric(
            "r2",
            "1 minus squared errors over the squared deviations from the mean label, all labelled "
            "pixels pooled; 0 is what the mean would score.",
            r2,
            limits=(-math.inf, 1.0),
        ),
    ]


def calibration_metric(bins: int) -> Metric:
    """Expected calibration error, of sums (..., bins, 3): pixels, confidence, right ones."""

    def ece(sums: Floats) -> Floats:
        gap = np.abs(sums[..., 1] - sums[..., 2]).sum(-1)
        return ratio(gap, sums[..., 0].sum(-1))

    return Metric(
        "ece",
        f"Expected calibration error: mean gap between confidence and accuracy over {bins} equal "
        "bins of the highest class probability, weighted by labelled pixels.",
        ece,
        higher_is_better=False,
        limits=SHARE,
    )

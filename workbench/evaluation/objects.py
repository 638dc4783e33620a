"""Objects and shapes: which are found, by their size, and how the maps' geometry differs.

Objects are 8-connected parts of one class, so that a diagonal line is one object. Two ways of being
found are told apart: *matched* by IoU > 0.5 (then at most one object matches), as in panoptic
quality; and *touched*, that is seen at all, which is what counts for small ones.

References:
    Panoptic quality: Kirillov et al., CVPR 2019, arXiv 1801.00868.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.evaluation.attribution import label_objects
from workbench.evaluation.label_maps import Classes, LabelPair, Labels, label_pair, positive_spacing
from workbench.evaluation.surfels import perimeters

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Objects:
    """The objects of one map."""

    number: Ints
    """(N, H, W) number of each pixel's object, from 1; 0 where ignored or of no scored class."""
    label: Ints
    """(O + 1,) class of each object; -1 for object 0."""
    pixels: Ints
    """(O + 1,) size of each object."""


def object_scores(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    sizes_m2: Sequence[float] = (),
    gsd: float = 1.0,
    ignore_index: int | None = None,
) -> pd.DataFrame:
    """Count the objects of each class that are found, by their size, over all images.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        sizes_m2: Largest area of each part, rising, in m²; larger objects follow as the last part.
        gsd: Ground size of a pixel in metres.
        ignore_index: Value of target pixels that are left out.

    Returns:
        One row for each class and part: class, from_m2 (excluded), to_m2 (included), targets,
        touched_recall, matched_recall, predictions, touched_precision, matched_precision, pq (of
        the true and predicted objects of that size). Shares are NaN without objects.

    Raises:
        EvaluationError: If the maps do not fit each other or the classes, or sizes do not rise.
    """
    size, limits = positive_spacing(gsd), np.array([*map(float, sizes_m2), np.inf])
    if (np.diff(limits) <= 0).any() or (limits <= 0).any():
        raise EvaluationError(f"Areas must be positive and rise, but are {list(sizes_m2)} m².")
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    found, true = (_objects(pair, which) for which in ("pred", "target"))
    inter, of_pred, of_true = _overlaps(found, true)
    iou = inter / (found.pixels[of_pred] + true.pixels[of_true] - inter)
    matched = iou > 0.5
    columns = {}
    for name, objects, of in (("pred", found, of_pred), ("target", true, of_true)):
        touched, match = (np.zeros(len(objects.label)) for _ in range(2))
        touched[of], match[of[matched]] = 1, iou[matched]
        columns[name] = _by_class_and_size(
            objects, touched, match, limits, size[0] * size[1], len(pair.classes)
        )
    (n_pred, touched_pred, matched_pred, _), (n_true, touched_true, matched_true, quality) = (
        columns["pred"],
        columns["target"],
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        values = {
            "targets": n_true.astype(int),
            "touched_recall": touched_true / n_true,
            "matched_recall": matched_true / n_true,
            "predictions": n_pred.astype(int),
            "touched_precision": touched_pred / n_pred,
            "matched_precision": matched_pred / n_pred,
            "pq": 2 * quality / (n_pred + n_true),
        }
    bins = len(limits)
    frame = {
        "class": np.repeat(pair.classes, bins),
        "from_m2": np.tile([0.0, *limits[:-1]], len(pair.classes)),
        "to_m2": np.tile(limits, len(pair.classes)),
    }
    return pd.DataFrame(frame | {name: v.ravel() for name, v in values.items()})


def geometry(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    gsd: float = 1.0,
    ignore_index: int | None = None,
    border: bool = False,
) -> pd.DataFrame:
    """Compare the shapes of two maps, over all images.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        gsd: Ground size of a pixel in metres.
        ignore_index: Value of target pixels that are left out.
        border: Whether the edge of the image counts as perimeter.

    Returns:
        One row a class: class; perimeter_m and fragments (number of objects) of the target;
        perimeter_ratio, fragment_ratio and compactness_ratio (4 π area / perimeter²), prediction
        over target, NaN if the target has none; euler_difference (objects less holes), prediction
        less target.

    Raises:
        EvaluationError: If the maps do not fit each other or the classes.
    """
    spacing = positive_spacing(gsd)
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    k = len(pair.classes)
    measured = {}
    for which, codes in (("pred", pair.pred), ("target", pair.target)):
        length = perimeters(codes, pair.valid, k, spacing=spacing, border=border).sum(0)
        objects = _objects(pair, which)
        count = np.bincount(objects.label[1:], minlength=k)
        area = np.bincount(objects.label[1:], weights=objects.pixels[1:], minlength=k)
        measured[which] = length.cpu().numpy(), count, area * spacing[0] * spacing[1]
    (long_p, count_p, area_p), (long_t, count_t, area_t) = measured["pred"], measured["target"]
    euler = [_euler_numbers(pair, which) for which in ("pred", "target")]
    with np.errstate(invalid="ignore", divide="ignore"):
        compact = [4 * math.pi * a / p**2 for a, p in ((area_p, long_p), (area_t, long_t))]
        return pd.DataFrame(
            {
                "class": pair.classes,
                "perimeter_m": long_t,
                "fragments": count_t,
                "perimeter_ratio": np.where(long_t > 0, long_p / long_t, np.nan),
                "fragment_ratio": np.where(count_t > 0, count_p / count_t, np.nan),
                "compactness_ratio": compact[0] / compact[1],
                "euler_difference": euler[0] - euler[1],
            }
        )


def _objects(pair: LabelPair, which: str) -> _Objects:
    codes = getattr(pair, which).cpu().numpy()
    valid = codes < len(pair.classes)
    if pair.valid is not None:
        valid &= pair.valid.cpu().numpy()
    number = label_objects(codes, valid)
    flat = number.ravel()
    label = np.full(int(flat.max(initial=0)) + 1, -1)
    label[flat] = codes.ravel()
    label[0] = -1
    return _Objects(number, label, np.bincount(flat, minlength=len(label)))


def _overlaps(found: _Objects, true: _Objects) -> tuple[Ints, Ints, Ints]:
    """Pixels that a predicted and a true object of one class share, and the numbers of the two."""
    p, t = found.number.ravel(), true.number.ravel()
    same = (p > 0) & (t > 0) & (found.label[p] == true.label[t])
    key, inter = np.unique(p[same] * np.int64(len(true.label)) + t[same], return_counts=True)
    return inter, key // len(true.label), key % len(true.label)


def _by_class_and_size(
    objects: _Objects,
    touched: NDArray[np.float64],
    match: NDArray[np.float64],
    limits: NDArray[np.float64],
    pixel_m2: float,
    classes: int,
) -> list[NDArray[np.float64]]:
    """(K, B) objects, those touched, those matched, and the sum of the matches' IoU."""
    part = np.searchsorted(limits * (1 + 1e-9), objects.pixels[1:] * pixel_m2)
    cell = objects.label[1:] * len(limits) + part
    sums = (np.ones(len(part)), touched[1:], match[1:] > 0, match[1:])
    shape = (classes, len(limits))
    cells = shape[0] * shape[1]
    return [np.bincount(cell, w, minlength=cells).reshape(shape).astype(float) for w in sums]


def _euler_numbers(pair: LabelPair, which: str) -> Ints:
    """(K,) 8-connected objects less their holes, from counts of 2 × 2 corners."""
    codes = getattr(pair, which)
    if pair.valid is not None:
        codes = codes.masked_fill(~pair.valid, len(pair.classes))
    found = []
    for k in range(len(pair.classes)):
        mask = np.pad((codes == k).cpu().numpy(), ((0, 0), (1, 1), (1, 1))).astype(np.int8)
        four = mask[:, :-1, :-1], mask[:, 1:, 1:], mask[:, :-1, 1:], mask[:, 1:, :-1]
        total = four[0] + four[1] + four[2] + four[3]
        crossed = (total == 2) & (four[0] == four[1])
        # Gray 1971, for 8 neighbours: (Q1 - Q3 - 2 QD) / 4
        found.append(((total == 1).sum() - (total == 3).sum() - 2 * crossed.sum()) // 4)
    return np.array(found)

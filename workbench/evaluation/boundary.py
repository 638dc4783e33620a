"""Scores near boundaries, where maps of equal area score differ: Boundary IoU and the trimap.

Per image and class, with ignored pixels left out: they are in no score and make no boundary, so a
prediction that is right on every other pixel scores exactly 1. A class that is in neither map
scores NaN, one that is in only one of them scores 0. `accumulated=True` sums pixels over all images
before dividing, as many leaderboards do.

References:
    Boundary IoU: Cheng et al., CVPR 2021, https://arxiv.org/abs/2103.16562
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from workbench.errors import EvaluationError
from workbench.evaluation.bands import inner_band
from workbench.evaluation.contours import contour_pixels, distance_to
from workbench.evaluation.label_maps import Classes, LabelPair, Labels, label_pair, positive_spacing


def boundary_iou(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    dilation: int | float = 0.02,
    dilation_m: float | None = None,
    gsd: float | None = None,
    ignore_index: int | None = None,
    border: bool = True,
    accumulated: bool = False,
) -> Any:
    """Give the IoU of the inner boundary bands of prediction and target.

    The band of a mask is what an erosion by `dilation` steps of 3 × 3 removes from it. A band wider
    than the object is the whole object, and the score then its ordinary IoU.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        dilation: Width of the band: whole pixels from 1, or a share of the image's diagonal in
            (0, 1), rounded to at least 1 pixel; 0.02 is the paper's.
        dilation_m: Width of the band in metres instead, rounded to at least 1 pixel; needs `gsd`.
        gsd: Ground size of a pixel in metres.
        ignore_index: Value of target pixels that are left out.
        border: Whether the edge of the image is a boundary, as in the paper.
        accumulated: Sum over all images before dividing.

    Returns:
        (..., K) float64, numpy or torch as the input, in [0, 1] or NaN; (K,) if accumulated.

    Raises:
        EvaluationError: If maps do not fit each other or the classes, or the width is not one.

    Example:
        >>> import numpy as np
        >>> target = np.zeros((8, 8), int)
        >>> target[2:6, 2:6] = 1
        >>> shrunk = np.zeros((8, 8), int)
        >>> shrunk[3:5, 3:5] = 1
        >>> boundary_iou(shrunk, target, classes=[1], dilation=1).tolist()
        [0.0]
    """
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    width = band_width(pair.shape[2:], dilation, dilation_m, gsd)
    p, t = (inner_band(m, pair.valid, width, border=border) for m in (pair.pred, pair.target))
    return _iou(pair, p, t, accumulated=accumulated)


def iou(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    ignore_index: int | None = None,
    accumulated: bool = False,
) -> Any:
    """Give the ordinary IoU, in the form of `boundary_iou`."""
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    everywhere = pair.only_valid(torch.ones_like(pair.pred, dtype=torch.bool))
    return _iou(pair, everywhere, everywhere, accumulated=accumulated)


def trimap_iou(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    distances: Sequence[float],
    spacing: float | tuple[float, float] = 1.0,
    around: Literal["target", "both"] = "target",
    ignore_index: int | None = None,
    border: bool = False,
    accumulated: bool = False,
) -> Any:
    """Give the IoU of the pixels near any boundary, for several distances at once.

    A pixel lies on a boundary if one of its four neighbours is of another class, scored or not.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        distances: Largest distance of a pixel's centre from the nearest boundary pixel's, in units
            of `spacing`, from 0.
        spacing: Size of a pixel, or (height, width).
        around: Boundaries of the "target" only, as is common, which does not see a false boundary
            far from every true one; or of "both" maps.
        ignore_index: Value of target pixels that are left out.
        border: Whether the edge of the image is a boundary.
        accumulated: Sum over all images before dividing.

    Returns:
        (..., D, K) float64 for D distances, in [0, 1] or NaN; (D, K) if accumulated.

    Raises:
        EvaluationError: If maps do not fit each other or the classes, or a distance is negative.
        ValueError: If `around` is another word.
    """
    if around not in ("target", "both"):
        raise ValueError(f"`around` must be 'target' or 'both', not {around!r}.")
    limits = tolerance_list(distances)
    size = positive_spacing(spacing)
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    edge = contour_pixels(pair.target, pair.valid, border=border)
    if around == "both":
        edge |= contour_pixels(pair.pred, pair.valid, border=border)
    away = distance_to(edge, spacing=size, limit=max(limits))
    near = [pair.only_valid(away <= limit * _SLACK) for limit in limits]
    scores = [_iou(pair, where, where, accumulated=accumulated, raw=True) for where in near]
    together = torch.stack(scores, dim=-2)
    if not accumulated:
        return pair.deliver(together)
    return together.cpu().numpy() if pair.as_numpy else together


_SLACK = 1 + 1e-9  # three pixels of 0.1 m are 0.30000000000000004 m


def band_width(
    shape: Sequence[int], dilation: int | float, dilation_m: float | None, gsd: float | None
) -> int:
    """Width of a boundary band in pixels.

    Args:
        shape: Height and width of the image.
        dilation: As in `boundary_iou`.
        dilation_m: As in `boundary_iou`.
        gsd: As in `boundary_iou`.

    Raises:
        EvaluationError: If the width is not positive, or metres come without `gsd`.
    """
    if dilation_m is not None:
        if gsd is None:
            raise EvaluationError(
                f"A band of {dilation_m} m needs the size of a pixel.\nGive it as `gsd`, in metres."
            )
        pixels = dilation_m / positive_spacing(gsd)[0]
    elif isinstance(dilation, float) and 0 < dilation < 1:
        pixels = dilation * math.hypot(*shape)
    elif dilation >= 1 and dilation == int(dilation):
        pixels = float(dilation)
    else:
        raise EvaluationError(
            "The width of a boundary band must be whole pixels from 1, or a share of the diagonal "
            f"in (0, 1), but is {dilation!r}."
        )
    if not 0 < pixels < math.inf:
        raise EvaluationError(f"The width of a boundary band must be positive, not {dilation_m} m.")
    return max(1, round(pixels))


def tolerance_list(tolerances: Sequence[float]) -> list[float]:
    """Check tolerances: at least one, none negative.

    Raises:
        EvaluationError: If one is negative or no number.
    """
    found = [float(t) for t in tolerances]
    if not found or not all(0 <= t < math.inf for t in found):
        raise EvaluationError(f"Tolerances must be numbers from 0, at least one, but are {found}.")
    return found


def _iou(
    pair: LabelPair, in_pred: Tensor, in_target: Tensor, *, accumulated: bool, raw: bool = False
) -> Any:
    """IoU of the pixels of each class that lie in each map's region."""
    same = in_pred & in_target & (pair.pred == pair.target)
    both = pair.count(pair.target, same)
    union = pair.count(pair.pred, in_pred) + pair.count(pair.target, in_target) - both
    if accumulated:
        both, union = both.sum(0), union.sum(0)
    score = both.double() / union.double()  # 0 / 0 is NaN: the class is in neither map
    if raw:
        return score
    if accumulated:
        return score.cpu().numpy() if pair.as_numpy else score
    return pair.deliver(score)

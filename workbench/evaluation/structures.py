"""Lines and their width: clDice, skeleton recall, and the recall of structures by width.

A road of two pixels hardly counts in IoU. Its skeleton says whether it is still connected; its
width says which models keep what is thin. Scores are per image and class, with ignored pixels in
neither map.

References:
    clDice: Shit et al., CVPR 2021, arXiv 2003.07311. Skeleton recall: Kirchhoff et al., ECCV 2024,
    arXiv 2404.03010.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import EvaluationError
from workbench.evaluation.bands import widths
from workbench.evaluation.label_maps import Classes, LabelPair, Labels, label_pair, positive_spacing

_WIDEST = 250  # pixels


@dataclass(frozen=True)
class SkeletonScores:
    """How well the lines of each class are kept, (..., K) each; NaN without a skeleton."""

    precision: Any
    """Share of the predicted skeleton that lies inside the true mask."""
    recall: Any
    """Share of the true skeleton that lies inside the predicted mask: skeleton recall."""
    cldice: Any
    """Harmonic mean of the two; 0 if only one map shows the class."""


def skeleton_scores(
    pred: Labels, target: Labels, *, classes: Classes, ignore_index: int | None = None
) -> SkeletonScores:
    """Give clDice and its two parts.

    Skeletons are those of `skimage.morphology.skeletonize`, computed on the CPU, of each mask
    without its ignored pixels; a line of one pixel is its own skeleton.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        ignore_index: Value of target pixels that are left out.

    Raises:
        EvaluationError: If the maps do not fit each other or the classes.

    Example:
        >>> import numpy as np
        >>> target = np.zeros((9, 9), int)
        >>> target[4, 1:8] = 1
        >>> broken = target.copy()
        >>> broken[4, 4] = 0
        >>> round(float(skeleton_scores(broken, target, classes=[1]).recall[0]), 3)
        0.857
    """
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    n, k, _, _ = pair.shape
    shares = np.full((2, n, k), np.nan)
    p, t = (m.cpu().numpy() for m in (pair.pred, pair.target))
    valid = np.ones(p.shape, bool) if pair.valid is None else pair.valid.cpu().numpy()
    for i, c in np.ndindex(n, k):
        masks = [(m[i] == c) & valid[i] for m in (p, t)]
        if not (masks[0].any() or masks[1].any()):
            continue
        for row, (own, other) in enumerate((masks, masks[::-1])):
            shares[row, i, c] = _kept(own, other)
    precision, recall = shares
    both = precision + recall
    with np.errstate(invalid="ignore"):
        cldice = np.where(both > 0, 2 * precision * recall / np.where(both > 0, both, 1), both)
    found = [torch.from_numpy(x).to(pair.pred.device) for x in (precision, recall, cldice)]
    return SkeletonScores(*(pair.deliver(x) for x in found))


def _kept(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Share of the mask's skeleton inside the other mask; 0 without a skeleton."""
    from skimage.morphology import skeletonize

    if not mask.any():
        return 0.0
    line = skeletonize(mask)
    # a few shapes, as a square of 2 × 2, may be thinned to nothing: then the mask is the line
    return float(other[line if line.any() else mask].mean())


@dataclass(frozen=True)
class WidthRecall:
    """How much of the true structures is predicted, by their width."""

    limits_m: tuple[float, ...]
    """(B,) largest width of each part in metres; the last one is infinite."""
    recall: Any
    """(..., B, K) share of the pixels of such structures that are predicted; NaN without any."""
    pixels: Any
    """(..., B, K) int64 true pixels of such structures."""


def width_recall(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    widths_m: Sequence[float],
    gsd: float,
    ignore_index: int | None = None,
) -> WidthRecall:
    """Give the recall of the true structures of each class, by how wide they are.

    The width of a pixel's structure is the side of the largest square of its class that holds it.
    What the edge of the image or ignored pixels cut is taken to go on there.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        widths_m: Largest width of each part, rising, in metres; wider structures follow as the last
            part.
        gsd: Ground size of a pixel in metres.
        ignore_index: Value of target pixels that are left out.

    Raises:
        EvaluationError: If the maps do not fit each other or the classes, or widths do not rise.

    Example:
        >>> import numpy as np
        >>> target = np.zeros((12, 12), int)
        >>> target[2:4], target[6:10] = 1, 1  # 2 and 4 pixels wide
        >>> pred = target.copy()
        >>> pred[2:4, :6] = 0
        >>> width_recall(pred, target, classes=[1], widths_m=[30], gsd=10).recall.ravel().tolist()
        [0.5, 1.0]
    """
    (size, _), limits = positive_spacing(gsd), [float(x) for x in widths_m]
    in_pixels = [int(x / size + 1e-9) for x in limits]
    if not limits or in_pixels != sorted(set(in_pixels)) or not 1 <= in_pixels[-1] <= _WIDEST:
        raise EvaluationError(
            f"Widths must rise by a pixel ({size:g} m) or more, up to {_WIDEST * size:g} m, but "
            f"are {limits} m."
        )
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    width = widths(pair.target, pair.valid, in_pixels[-1])
    part = torch.bucketize(width.int(), torch.tensor(in_pixels, device=width.device))
    parts = len(limits) + 1
    right = pair.only_valid(pair.pred == pair.target)
    everything = pair.only_valid(torch.ones_like(right))
    hit, pixels = (_by_part(pair, where, part, parts) for where in (right, everything))
    recall = hit.double() / pixels.double()
    return WidthRecall((*limits, float("inf")), pair.deliver(recall), pair.deliver(pixels))


def _by_part(pair: LabelPair, where: Tensor, part: Tensor, parts: int) -> Tensor:
    """(N, B, K) pixels of each part and class where `where` is True."""
    return torch.stack([pair.count(pair.target, where & (part == b)) for b in range(parts)], dim=1)

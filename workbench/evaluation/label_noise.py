"""Labels that are not exact: moved, or unsure near their boundaries.

Label maps are registered to a pixel at best, and smoothed to a smallest mapped size. A boundary
score tighter than that measures the labels. So: how does the score change if the labels are moved,
by how much do they seem to be moved, and what is the score where labels are certain?
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.errors import EvaluationError
from workbench.evaluation.bands import inner_band
from workbench.evaluation.contours import contour_pixels, distance_to
from workbench.evaluation.label_maps import (
    Classes,
    LabelPair,
    Labels,
    label_pair,
    positive_spacing,
)


@dataclass(frozen=True)
class LabelShift:
    """How labels seem to be moved against predictions."""

    rows: float
    """Downwards, in pixels, to a fraction of one."""
    columns: float
    """To the right, in pixels."""
    whole: tuple[int, int]
    """The best whole shift, rows and columns."""
    gain: float
    """Boundary score at the best whole shift, less that of the labels as they are; >= 0."""
    searched: int = 0
    """Shifts up to so many pixels each way were tried in the end."""
    at_edge: bool = False
    """True if the best shift lies at the edge of the search: the labels are moved by at least as
    much, and `rows` and `columns` are no estimate."""

    def __str__(self) -> str:
        y, x = self.whole
        if self.at_edge:
            return (
                f"labels moved by at least {max(abs(y), abs(x))} px: the best of the shifts tried "
                f"({y:+d} rows, {x:+d} columns) lies at the edge of the search"
            )
        return f"labels moved by {self.rows:+.1f} rows and {self.columns:+.1f} columns"


def shift_scores(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    largest: int = 3,
    dilation: int = 2,
    ignore_index: int | None = None,
) -> pd.DataFrame:
    """Score predictions as if the labels lay somewhere else.

    A shift says how the labels are assumed to be displaced; each score is of the labels moved back
    by it. All shifts are scored on the same middle part of the images, so they can be compared.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        largest: Shifts up to so many pixels each way are tried.
        dilation: Width of the boundary band of Boundary IoU in pixels.
        ignore_index: Value of target pixels that are left out.

    Returns:
        One row a shift: rows (downwards) and columns (to the right) in pixels, miou and
        boundary_iou (means over classes, all images pooled), in [0, 1].

    Raises:
        EvaluationError: If the maps do not fit each other or the classes, or are too small for the
            shifts.
    """
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    _, _, h, w = pair.shape
    if largest < 0 or min(h, w) <= 2 * (largest + dilation):
        raise EvaluationError(
            f"Images must be larger than twice the largest shift and the band, but are {h} × {w} "
            f"for {largest} + {dilation} px."
        )
    bands = [inner_band(m, pair.valid, dilation, border=False) for m in (pair.pred, pair.target)]
    steps = range(-largest, largest + 1)
    rows = []
    for dy, dx in product(steps, steps):
        if pair.valid is not None:  # the prediction's band ends where the moved labels end
            known = pair.valid.roll((-dy, -dx), (1, 2))
            bands[0] = inner_band(pair.pred, known, dilation, border=False)
        moved = _Moved(pair, bands, largest + dilation, dy, dx)
        rows.append((dy, dx, moved.score(banded=False), moved.score(banded=True)))
    return pd.DataFrame(rows, columns=["rows", "columns", "miou", "boundary_iou"])


def estimate_shift(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    largest: int = 3,
    dilation: int = 2,
    ignore_index: int | None = None,
    widest: int | None = None,
) -> LabelShift:
    """Estimate how labels are displaced against predictions of unmoved ground.

    The shift with the highest Boundary IoU is taken, and refined by a parabola through its
    neighbours. If it lies at the edge of the search, the search is widened, twofold each time, as
    far as `widest` and the images allow; if it still does, the result says so. Predictions of a
    model that was trained on labels with the same displacement share it, and then nothing is found.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        largest: Shifts up to so many pixels each way are tried first.
        dilation: Width of the boundary band in pixels.
        ignore_index: Value of target pixels that are left out.
        widest: Shifts up to so many pixels are tried if need be, >= largest; None: four times
            `largest`.

    Raises:
        EvaluationError: As `shift_scores`, or if no shift has a score, as without boundaries.
    """
    limit = 4 * largest if widest is None else widest
    if limit < largest:
        raise EvaluationError(f"The widest shift must be at least {largest} px, not {limit}.")
    rules: dict[str, Any] = {"classes": classes, "dilation": dilation, "ignore_index": ignore_index}
    side = min(np.shape(pred)[-2:]) if np.ndim(pred) >= 2 else 0
    while True:
        scores = _shift_grid(shift_scores(pred, target, largest=largest, **rules), largest)
        y, x = _best_shift(scores)
        at_edge = largest > 0 and max(abs(y - largest), abs(x - largest)) == largest
        wider = min(2 * largest, limit, (side - 1) // 2 - dilation)
        if not at_edge or wider <= largest:
            break
        largest = wider
    fine = _peak(scores[:, x], y), _peak(scores[y], x)
    gain = float(scores[y, x] - scores[largest, largest])
    return LabelShift(
        fine[0] - largest, fine[1] - largest, (y - largest, x - largest), gain, largest, at_edge
    )


def _shift_grid(table: pd.DataFrame, largest: int) -> Any:
    """Boundary IoU by rows and columns of the shift."""
    side = 2 * largest + 1
    scores = table["boundary_iou"].to_numpy().reshape(side, side)
    if np.isnan(scores).all():
        raise EvaluationError("A shift is seen at boundaries, but neither map has one.")
    return scores


def _best_shift(scores: Any) -> tuple[int, int]:
    """Place of the best score; of equal ones that of the smallest shift."""
    largest = len(scores) // 2
    far = np.abs(np.arange(len(scores)) - largest)
    near_first = scores - 1e-12 * (far[:, None] + far)
    y, x = np.unravel_index(int(np.nanargmax(near_first)), scores.shape)
    return int(y), int(x)


def certain_target(
    target: Labels,
    *,
    distance: float,
    ignore_index: int,
    spacing: float | tuple[float, float] = 1.0,
) -> Any:
    """Give labels with all pixels near a boundary ignored, for scores on what is certain.

    Args:
        target: (..., H, W) class indices, numpy or torch.
        distance: Pixels whose centre is nearer than this to a label boundary, which runs between
            pixels, are unsure; in units of `spacing`, > 0.
        ignore_index: What unsure pixels become; pixels that have it already stay.
        spacing: Size of a pixel, or (height, width).

    Returns:
        The same shape and kind.

    Raises:
        EvaluationError: If `distance` is not positive, or the labels are no whole numbers.
    """
    if not distance > 0:
        raise EvaluationError(f"The distance from a boundary must be positive, not {distance}.")
    size = positive_spacing(spacing)
    as_tensor = torch.as_tensor(target) if not isinstance(target, Tensor) else target
    flat = as_tensor.reshape(-1, *as_tensor.shape[-2:])
    codes = flat.masked_fill(flat == ignore_index, 0)
    valid = flat != ignore_index
    edge = contour_pixels(codes, valid, border=False)
    # a contour pixel's centre is half a pixel from the boundary between the pixels
    away = distance_to(edge, spacing=size, limit=distance) + min(size) / 2
    unsure = (away < distance).reshape(as_tensor.shape)
    found = as_tensor.masked_fill(unsure, ignore_index)
    return found if isinstance(target, Tensor) else found.numpy()


class _Moved:
    """Prediction and labels moved back, both cut to the middle that every shift has."""

    def __init__(self, pair: LabelPair, bands: list[Tensor], margin: int, dy: int, dx: int) -> None:
        _, k, h, w = pair.shape

        def cut(values: Tensor, y: int, x: int) -> Tensor:
            return values[:, margin + y : h - margin + y, margin + x : w - margin + x]

        self.classes = k
        self.pred, self.target = cut(pair.pred, 0, 0), cut(pair.target, dy, dx)
        self.valid = None if pair.valid is None else cut(pair.valid, dy, dx)
        self.bands = cut(bands[0], 0, 0), cut(bands[1], dy, dx)

    def score(self, *, banded: bool) -> float:
        """Mean IoU of the classes that are there, of all pixels or of the bands."""
        ious = []
        for k in range(self.classes):
            p, t = self.pred == k, self.target == k
            if banded:
                p, t = p & self.bands[0], t & self.bands[1]
            if self.valid is not None:
                p, t = p & self.valid, t & self.valid
            union = int((p | t).sum())
            if union:
                ious.append(int((p & t).sum()) / union)
        return float(np.mean(ious)) if ious else float("nan")


def _peak(scores: Any, at: int) -> float:
    """Place of the top of a parabola through the best score and its two neighbours."""
    if at in (0, len(scores) - 1):
        return float(at)
    before, top, after = scores[at - 1 : at + 2]
    bend = before - 2 * top + after
    return at + float(0.5 * (before - after) / bend) if bend < 0 else float(at)

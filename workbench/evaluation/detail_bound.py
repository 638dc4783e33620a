"""How much detail class shares on a coarse grid can keep: the truth, seen through that grid.

A network that decides on a grid of every 8th pixel and enlarges its class scores cannot draw what
lies between. The true map, reduced to the shares of its classes on that grid and enlarged again,
scores what is left for such a network without any other error. A decoder that carries more than
class scores from cell to pixel is not held to it: on the simulated thin structures, networks with
feature maps of stride 2 and 4 rose above it once they were trained for 600 steps.
"""

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from workbench.errors import EvaluationError
from workbench.evaluation.boundary import boundary_iou, iou
from workbench.evaluation.curves import TOLERANCES_M, boundary_curve, curve_areas
from workbench.evaluation.label_maps import Labels, label_pair

Enlarged = Literal["bilinear", "nearest"]


def through_stride(
    target: Labels,
    *,
    stride: int,
    classes: int,
    enlarged: Enlarged = "bilinear",
    ignore_index: int | None = None,
) -> Any:
    """Reduce a map to class shares on a grid, enlarge them, and take the largest share.

    Args:
        target: (..., H, W) class indices, numpy or torch; the stride divides both sides.
        stride: Pixels of the map for each cell of the grid, >= 1; 1 gives the map itself.
        classes: Number of classes.
        enlarged: How cells become pixels: "bilinear", as most heads do with their logits, or
            "nearest".
        ignore_index: Value of pixels that are in no share.

    Returns:
        (..., H, W) class indices, also where the target is ignored.

    Raises:
        EvaluationError: If the stride does not divide the image, or a label is no class.
        ValueError: If `enlarged` is another word.
    """
    if enlarged not in ("bilinear", "nearest"):
        raise ValueError(f"`enlarged` must be 'bilinear' or 'nearest', not {enlarged!r}.")
    pair = label_pair(target, target, classes=classes, ignore_index=ignore_index)
    _, _, h, w = pair.shape
    if stride < 1 or h % stride or w % stride:
        raise EvaluationError(
            f"A stride must be a whole number that divides the image, but {stride} does not divide "
            f"{h} × {w}.\nCut the image to a multiple of it."
        )
    per = max(1, 2**24 // (classes * h * w))
    parts = [
        _coarse(part, valid, stride, classes, enlarged)
        for part, valid in _chunks(pair.target, pair.valid, per)
    ]
    found = torch.cat(parts) if parts else pair.target.long()
    return pair.deliver(found.to(pair.target.dtype))


def stride_bounds(
    target: Labels,
    *,
    classes: int,
    strides: Sequence[int] = (1, 2, 4, 8, 16),
    gsd: float,
    enlarged: Enlarged = "bilinear",
    dilation: int | float = 0.02,
    tolerances_m: Sequence[float] = TOLERANCES_M,
    ignore_index: int | None = None,
) -> pd.DataFrame:
    """Score the truth seen through each stride: the detail that class shares on its grid keep.

    It is the bound of heads that enlarge class scores, such as "linear" and "fcn", as long as these
    stay between 0 and 1. Features of many channels, decoded at the pixels, can know where in a cell
    an edge runs.

    Args:
        target: (..., H, W) class indices, numpy or torch.
        classes: Number of classes.
        strides: Pixels for each cell.
        gsd: Ground size of a pixel in metres.
        enlarged: As in `through_stride`.
        dilation: Band of Boundary IoU: pixels, or a share of the diagonal.
        tolerances_m: Tolerances of the boundary curve in metres, rising.
        ignore_index: Value of target pixels that are left out.

    Returns:
        One row for each stride and class: stride, class, iou, boundary_iou (pixels of all images
        pooled), curve_area (mean over images), in [0, 1], NaN for a class that is nowhere.

    Raises:
        EvaluationError: If a stride does not divide the image, or as `boundary_curve`.
    """
    rules: dict[str, Any] = {"classes": classes, "ignore_index": ignore_index}
    parts = []
    for stride in strides:
        coarse = through_stride(target, stride=stride, enlarged=enlarged, **rules)
        whole = {"accumulated": True, **rules}
        curve = boundary_curve(
            coarse, target, gsd=gsd, tolerances_m=tolerances_m, border=False, draws=100, **rules
        )
        bands = boundary_iou(coarse, target, dilation=dilation, border=False, **whole)
        columns = {"iou": iou(coarse, target, **whole), "boundary_iou": bands}
        plain = {name: torch.as_tensor(v).cpu().numpy() for name, v in columns.items()}
        parts.append(
            pd.DataFrame({"stride": stride, "class": range(classes), **plain}).assign(
                curve_area=curve_areas(curve).to_numpy()
            )
        )
    return pd.concat(parts, ignore_index=True)


def _chunks(codes: Tensor, valid: Tensor | None, per: int) -> list[tuple[Tensor, Tensor | None]]:
    rest = [None] * -(-len(codes) // per) if valid is None else list(valid.split(per))
    return list(zip(codes.split(per), rest, strict=False))


def _coarse(
    codes: Tensor, valid: Tensor | None, stride: int, classes: int, enlarged: Enlarged
) -> Tensor:
    """(n, H, W) the class with the largest enlarged share; of equals the first."""
    one_hot = torch.nn.functional.one_hot(codes.long(), classes).movedim(-1, 1).float()
    if valid is not None:
        one_hot *= valid[:, None]
    shares = torch.nn.functional.avg_pool2d(one_hot, stride)
    smooth = {"align_corners": False} if enlarged == "bilinear" else {}
    large = torch.nn.functional.interpolate(shares, scale_factor=stride, mode=enlarged, **smooth)
    return large.argmax(1)

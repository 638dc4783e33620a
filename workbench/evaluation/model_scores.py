"""The scores of one model on every patch, from which all comparisons follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from workbench.errors import EvaluationError
from workbench.evaluation.boundary import band_width, boundary_iou
from workbench.evaluation.curves import area_under, image_curves
from workbench.evaluation.definitions import segmentation_metrics
from workbench.evaluation.distances import contour_distances
from workbench.evaluation.label_maps import label_pair
from workbench.evaluation.predictions import Predictions
from workbench.evaluation.scores import Score

_CHUNK = 2**22  # pixels scored at once


@dataclass(frozen=True)
class ModelScores:
    """The scores of one model on every image."""

    name: str
    """Name of the model."""
    miou: Score
    """Macro mIoU, with the confusions of each image."""
    boundary: NDArray[np.float64]
    """(N,) mean over the classes that are there."""
    curves: NDArray[np.float64]
    """(N, T) likewise."""
    area: NDArray[np.float64]
    """(N,) area under each curve."""

    def row(self) -> dict[str, Any]:
        """The scores of all images, as one row of a table."""
        return {
            "model": self.name,
            "miou": self.miou.value,
            "boundary_iou": mean_of_known(self.boundary, 0),
            "curve_area": mean_of_known(self.area, 0),
        }


def score_model(
    name: str,
    maps: NDArray[Any],
    truth: Predictions,
    tolerances_m: Sequence[float],
    dilation: int | float,
) -> ModelScores:
    """Score a model's maps patch by patch; the edge of a patch is no boundary.

    Args:
        name: Name of the model.
        maps: (N, H, W) class indices, in the order of the targets.
        truth: The targets, with their classes and pixel size.
        tolerances_m: Tolerances of the boundary curve in metres, rising.
        dilation: Band of Boundary IoU: pixels, or a share of the diagonal in (0, 1).

    Raises:
        EvaluationError: If the maps do not fit the targets or the classes.
    """
    if maps.shape != truth.maps.shape:
        raise EvaluationError(
            f"Maps of {name!r} must be {truth.maps.shape[1:]} pixels as the targets, but are "
            f"{maps.shape[1:]}."
        )
    k, (n, h, w) = len(truth.classes), maps.shape
    rules: dict[str, Any] = {"classes": k, "ignore_index": truth.ignore_index}
    width = band_width((h, w), dilation, None, None)
    confusions, bands, curves = [], [], []
    per = max(1, _CHUNK // (h * w))
    for start in range(0, n, per):
        p, t = (np.asarray(m[start : start + per]) for m in (maps, truth.maps))
        confusions.append(_confusions(p, t, **rules))
        bands.append(boundary_iou(p, t, dilation=width, border=False, **rules))
        found = contour_distances(p, t, spacing=truth.gsd, border=False, **rules)
        curves.append(mean_of_known(image_curves(found, tolerances_m), -1))
    metric = next(m for m in segmentation_metrics(truth.classes) if m.name == "macro_miou")
    curve = np.concatenate(curves)
    return ModelScores(
        name,
        Score(metric, truth.ids, np.concatenate(confusions)),
        mean_of_known(np.concatenate(bands), -1),
        curve,
        area_under(tolerances_m, curve),
    )


def _confusions(pred: Any, target: Any, *, classes: int, ignore_index: int | None) -> Any:
    """(N, K, K) pixels by true and predicted class."""
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    where = pair.only_valid(torch.ones_like(pair.pred, dtype=torch.bool))
    image = where.nonzero()[:, 0]
    cell = (image * classes + pair.target[where].long()) * classes + pair.pred[where].long()
    flat = torch.bincount(cell, minlength=len(pair.pred) * classes**2)
    return flat.reshape(-1, classes, classes).double().numpy()


def mean_of_known(values: NDArray[np.float64], axis: int) -> Any:
    """Mean along an axis without NaN; NaN where there is nothing else."""
    known = ~np.isnan(values)
    count = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

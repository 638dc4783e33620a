"""Scores against tolerance: how good a map is, said for every width of its boundary at once.

One tolerance can rank two maps either way; the whole curve shows where each is better. Tolerances
are metres, so maps of 10 m and of 30 m pixels can stand in one figure.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.evaluation.distances import ContourDistances, contour_distances
from workbench.evaluation.label_maps import Classes, Labels
from workbench.evaluation.resampling import by_group, group_numbers, interval_of, leave_out

Measure = Literal["surface_dice", "boundary_f1"]
Floats = NDArray[np.float64]

TOLERANCES_M = tuple(float(t) for t in np.linspace(0, 100, 21))
"""0 to 100 m in steps of 5 m."""


def boundary_curve(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    tolerances_m: Sequence[float] = TOLERANCES_M,
    gsd: float,
    ignore_index: int | None = None,
    measure: Measure = "surface_dice",
    elements: Literal["pixels", "surfels"] = "pixels",
    border: bool = True,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    draws: int = 1000,
    rng: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Score the boundaries of each class against the tolerance, with a band over images.

    Every image counts once for each class that has a contour in it, in the prediction or the
    target. Distances are measured once for all tolerances. The score never falls with the
    tolerance.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        tolerances_m: Distances in metres at which a boundary still counts as found, from 0.
        gsd: Ground size of a pixel in metres, > 0.
        ignore_index: Value of target pixels that are left out.
        measure: "surface_dice", the share of both contours within the tolerance of the other one;
            or "boundary_f1", the harmonic mean of the two shares.
        elements: Contour "pixels" or line elements between pixels ("surfels").
        border: Whether the edge of the image is a boundary.
        groups: Group of each image, drawn as a whole; None if images are independent.
        level: Level of the band, in (0, 1).
        draws: Bootstrap draws of images behind the band, >= 100.
        rng: Source of the draws; None for the same draws every time.

    Returns:
        One row for each class and tolerance: class, tolerance_m, score, low, high, precision,
        recall, images. Scores are means over images in [0, 1], NaN for a class without a contour
        anywhere; low and high are NaN with fewer than two groups of images.

    Raises:
        EvaluationError: If maps do not fit each other or the classes, a tolerance is negative, or
            `gsd` is not positive.

    Example:
        >>> import numpy as np
        >>> target = np.zeros((9, 9), int)
        >>> target[2:6, 2:6] = 1
        >>> moved = np.roll(target, 1, axis=1)
        >>> curve = boundary_curve(moved, target, classes=[1], tolerances_m=[0, 10], gsd=10)
        >>> curve[["tolerance_m", "score"]].values.tolist()
        [[0.0, 0.5], [10.0, 1.0]]
    """
    found = contour_distances(
        pred,
        target,
        classes=classes,
        spacing=gsd,
        ignore_index=ignore_index,
        border=border,
        elements=elements,
    )
    n = found.pair.shape[0]
    score = image_curves(found, tolerances_m, measure)
    low, high = curve_band(score, groups=groups, level=level, draws=draws, rng=rng)
    columns = {
        "score": _mean(score),
        "low": low,
        "high": high,
        "precision": _mean(_plain(found.precision(tolerances_m), n)),
        "recall": _mean(_plain(found.recall(tolerances_m), n)),
        "images": (~np.isnan(score)).sum(0),
    }
    t = len(tolerances_m)
    return pd.DataFrame(
        {
            "class": np.repeat(found.pair.classes, t),
            "tolerance_m": np.tile(np.asarray(tolerances_m, float), len(found.pair.classes)),
            **{name: values.T.ravel() for name, values in columns.items()},
        }
    )


def image_curves(
    found: ContourDistances, tolerances: Sequence[float], measure: Measure = "surface_dice"
) -> Floats:
    """(N, T, K) scores of every image, tolerance and class.

    Raises:
        ValueError: If `measure` is another word.
    """
    if measure not in ("surface_dice", "boundary_f1"):
        raise ValueError(f"`measure` must be 'surface_dice' or 'boundary_f1', not {measure!r}.")
    return _plain(getattr(found, measure)(tolerances), found.pair.shape[0])


def curve_band(
    curves: Floats,
    *,
    groups: Sequence[Any] | None = None,
    level: float = 0.95,
    draws: int = 1000,
    rng: np.random.Generator | None = None,
) -> tuple[Floats, Floats]:
    """Give the ends of a bootstrap band of the mean curve, point by point.

    Args:
        curves: (N, T, K) scores of images in [0, 1], NaN where a class is not in an image.
        groups: (N,) group of each image, drawn as a whole.
        level: Level at each point, in (0, 1).
        draws: Number of draws, >= 100.
        rng: Source of the draws; None for the same draws every time.

    Returns:
        (T, K) lower and upper ends, NaN with fewer than two groups of images.
    """
    n, t, k = curves.shape
    nothing = np.full((t, k), np.nan)
    if n < 2 or (groups is not None and len(set(groups)) < 2):
        return nothing, nothing.copy()
    group, n_groups = group_numbers(groups, n)
    rng = rng or np.random.default_rng(0)
    ends = []
    for column in curves.reshape(n, -1).T:
        if np.isnan(column).all():
            ends.append((np.nan, np.nan))
            continue
        score = by_group(column, group, n_groups)
        ends.append(interval_of(score, leave_out(score), level=level, draws=draws, rng=rng))
    low, high = np.clip(np.array(ends), 0.0, 1.0).T.reshape(2, t, k)
    return low, high


def area_under(tolerances: ArrayLike, scores: ArrayLike) -> Floats:
    """Give the area under curves, as a share of the range of tolerances.

    Args:
        tolerances: (T,) rising.
        scores: (..., T) scores.

    Returns:
        (...) float64: the mean score over the range, in the scores' range; for one tolerance, its
        score.
    """
    at, values = np.asarray(tolerances, float), np.asarray(scores, float)
    if len(at) == 1:
        return values[..., 0]
    return np.trapezoid(values, at, axis=-1) / (at[-1] - at[0])


def curve_areas(curve: pd.DataFrame) -> "pd.Series[float]":
    """Area under the curve of each class, indexed by class: the mean score over the tolerances."""
    ordered = curve.sort_values(["class", "tolerance_m"])
    areas = {
        number: float(area_under(rows["tolerance_m"], rows["score"]))
        for number, rows in ordered.groupby("class")
    }
    return pd.Series(areas, name="area", dtype=float)


def _mean(values: Floats) -> Floats:
    """Mean over images, NaN where none has a value (and no warning about it)."""
    known = ~np.isnan(values)
    count = known.sum(0)
    total = np.where(known, values, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _plain(values: Any, n: int) -> Floats:
    """(N, T, K) as numpy, whatever came in."""
    array = values if isinstance(values, np.ndarray) else values.cpu().numpy()
    return array.reshape(n, *array.shape[-2:])

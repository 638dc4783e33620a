"""What one model gets right and the other does not: by class, distance, object size and width.

Every pixel that exactly one of two models gets right is counted in four tables at once: which class
it is, how far it lies from the true boundary, how large its true object is, and how wide the true
structure is there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workbench.evaluation.bands import widths
from workbench.evaluation.contours import contour_pixels, distance_to

Ints = NDArray[np.int64]

DISTANCES_PX = (1, 2, 4, 8)
WIDTHS_PX = (1, 2, 3, 6)
OBJECTS_PX = (9, 99, 999)
_CHUNK = 2**21  # pixels at once


def attribution(
    first: NDArray[Any],
    second: NDArray[Any],
    target: NDArray[Any],
    *,
    classes: Sequence[str],
    gsd: float,
    ignore_index: int | None = None,
) -> pd.DataFrame:
    """Count what each of two models alone gets right.

    Args:
        first: (N, H, W) class indices of one model.
        second: (N, H, W) class indices of the other.
        target: (N, H, W) true class indices.
        classes: (K,) names.
        gsd: Ground size of a pixel in metres.
        ignore_index: Value of target pixels that are left out.

    Returns:
        One row for each part of each table: by ("class", "distance_m" from the nearest true
        boundary, "object_m2", "width_m" of the true structure), part (name), from and to (the
        part's limits in that unit, to included), pixels, first and second (share of them that each
        model gets right, NaN without pixels), only_first and only_second (pixels that one alone
        gets right), lost (only_first - only_second).
    """
    tables = _tables(classes, gsd)
    counts = {name: np.zeros((len(parts), 4), np.int64) for name, parts in tables.items()}
    per = max(1, _CHUNK // (target.shape[1] * target.shape[2]))
    for start in range(0, len(target), per):
        t, a, b = (np.asarray(m[start : start + per]) for m in (target, first, second))
        valid = np.ones(t.shape, bool) if ignore_index is None else t != ignore_index
        right = (a == t)[valid] + 2 * (b == t)[valid]  # 0 neither, 1 first, 2 second, 3 both
        for name, place in _places(t, valid, len(classes), gsd).items():
            size = len(counts[name])
            counts[name] += np.bincount(4 * place + right, minlength=4 * size).reshape(size, 4)
    parts = [_frame(name, tables[name], counts[name]) for name in tables]
    return pd.concat(parts, ignore_index=True)


def _tables(classes: Sequence[str], gsd: float) -> dict[str, list[tuple[str, float, float]]]:
    """The parts of each table: name, and from where to where."""
    found: dict[str, list[tuple[str, float, float]]] = {
        "class": [(name, k, k) for k, name in enumerate(classes)]
    }
    steps = {
        "distance_m": ("m from a boundary", DISTANCES_PX, gsd, 0.0),
        "object_m2": ("m² objects", OBJECTS_PX, gsd**2, 1.0),
        "width_m": ("m wide structures", WIDTHS_PX, gsd, 1.0),
    }
    for name, (unit, limits, factor, least) in steps.items():
        starts = [least, *(limit + (1.0 if least else 0.0) for limit in limits)]
        ends = [*map(float, limits), np.inf]
        found[name] = [
            (_named(s * factor, e * factor, unit), s * factor, e * factor)
            for s, e in zip(starts, ends, strict=True)
        ]
    return found


def _named(start: float, end: float, unit: str) -> str:
    if end == np.inf:
        return f"over {start:,g} {unit}"
    return f"{start:,g} {unit}" if start == end else f"{start:,g} to {end:,g} {unit}"


def _places(
    target: NDArray[Any], valid: NDArray[np.bool_], classes: int, gsd: float
) -> dict[str, Ints]:
    """(P,) the part that each valid pixel belongs to, in each table."""
    codes = torch.from_numpy(np.where(valid, target, 0).astype(np.int16))
    known = torch.from_numpy(valid)
    edge = contour_pixels(codes, known, border=False)
    away = distance_to(edge, limit=DISTANCES_PX[-1]).numpy()[valid]
    width = widths(codes, known, WIDTHS_PX[-1]).numpy()[valid]
    return {
        "class": target[valid].astype(np.int64),
        "distance_m": np.searchsorted(DISTANCES_PX, away - 1e-9),
        "object_m2": np.searchsorted(OBJECTS_PX, object_sizes(target, valid)[valid]),
        "width_m": np.searchsorted(WIDTHS_PX, width),
    }


def object_sizes(labels: NDArray[Any], valid: NDArray[np.bool_]) -> Ints:
    """(N, H, W) pixels of the 8-connected object of one class that each pixel belongs to."""
    number = label_objects(labels, valid)
    sizes = np.bincount(number.ravel())
    return sizes[number]


def label_objects(labels: NDArray[Any], valid: NDArray[np.bool_]) -> Ints:
    """(N, H, W) number of each pixel's 8-connected object of one class; 0 where not valid."""
    from skimage.measure import label

    n, h, w = labels.shape
    # a frame keeps objects of neighbouring images apart
    framed = np.pad(np.where(valid, labels.astype(np.int64) + 1, 0), ((0, 0), (1, 0), (1, 0)))
    number = label(framed.reshape(-1, w + 1), connectivity=2)
    return number.reshape(n, h + 1, w + 1)[:, 1:, 1:]


def _frame(name: str, parts: list[tuple[str, float, float]], counts: Ints) -> pd.DataFrame:
    pixels = counts.sum(1)
    seen = np.where(pixels > 0, pixels, np.nan)
    return pd.DataFrame(
        {
            "by": name,
            "part": [part[0] for part in parts],
            "from": [part[1] for part in parts],
            "to": [part[2] for part in parts],
            "pixels": pixels,
            "first": (counts[:, 1] + counts[:, 3]) / seen,
            "second": (counts[:, 2] + counts[:, 3]) / seen,
            "only_first": counts[:, 1],
            "only_second": counts[:, 2],
            "lost": counts[:, 1] - counts[:, 2],
        }
    )

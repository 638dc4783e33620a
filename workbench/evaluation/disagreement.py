"""Where two models draw different maps: patches ranked by what the models dispute, not by error.

No target is needed. A patch that both models get equally wrong ranks last; one where a road is
there for one model and not for the other ranks first, though it may be a hundredth of the pixels.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import EvaluationError
from workbench.evaluation.bands import inner_band, widths
from workbench.evaluation.label_maps import Labels, label_pair

_CHUNK = 2**21  # pixels handled at once
MEASURES = ("area", "boundary", "thin", "objects")
_WEIGHTS = {"area": 1, "boundary": 2, "thin": 2, "objects": 1}  # area is what mIoU sees anyway


@dataclass(frozen=True)
class DisagreementRules:
    """What counts as a boundary, as thin, and as an object.

    Raises:
        EvaluationError: If a size is not positive.
    """

    band: int = 2
    """Width of the boundary band, pixels."""
    thin: int = 3
    """Largest width of a thin structure, pixels."""
    object_pixels: int = 4
    """Fewest pixels of an object; smaller ones are taken as noise."""

    def __post_init__(self) -> None:
        if min(self.band, self.thin, self.object_pixels) < 1:
            raise EvaluationError(f"Sizes must be at least 1 pixel, but are {self}.")


def disagreement(
    first: Labels,
    second: Labels,
    *,
    classes: int,
    rules: DisagreementRules | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """Measure how far two models' maps of each patch disagree; symmetric in the two.

    Args:
        first: (N, H, W) class indices of one model.
        second: (N, H, W) class indices of the other one.
        classes: Number of classes.
        rules: Sizes; None for the defaults.
        valid: (N, H, W) False where a pixel does not count; None if all count.

    Returns:
        One row a patch, in the given order:

        - area: share of pixels with different classes.
        - boundary: share of pixels that the models dispute near a boundary of either map, in strips
          up to 2 `band` + 1 wide: boundaries that are shifted, ragged or missing, and lines. A
          disputed field is wider than that and counts as area only.
        - thin: share of pixels that belong to a thin structure of one map and to another class in
          the other map.
        - objects: objects of one map of which the other has not a single pixel (8-connected).
        - score: mean of the patch's ranks by these four, boundary and thin counted twice, in
          [0, 1]; 0 if the maps agree everywhere.

    Raises:
        EvaluationError: If the maps do not fit each other or the classes.

    Example:
        >>> import numpy as np
        >>> maps = np.zeros((2, 16, 16), np.uint8)
        >>> maps[:, 2:9, 2:9] = 1
        >>> other = maps.copy()
        >>> maps[1, 12, 2:14] = 1  # a line that the other model does not have
        >>> disagreement(maps, other, classes=2)[["objects", "score"]].values.tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """
    rules = rules or DisagreementRules()
    pair = label_pair(first, second, classes=classes)
    a, b = (m if len(pair.batch) == 1 else m.flatten(0, -3) for m in (pair.pred, pair.target))
    known = None if valid is None else torch.as_tensor(np.asarray(valid)).reshape(a.shape)
    n, h, w = a.shape
    if n == 0:
        return pd.DataFrame({name: pd.Series(dtype=float) for name in (*MEASURES, "score")})
    chunks = torch.arange(n).split(max(1, _CHUNK // (h * w)))

    def measured(chunk: Tensor) -> NDArray[np.float64]:
        part = slice(int(chunk[0]), int(chunk[-1]) + 1)
        return _measured(a[part], b[part], None if known is None else known[part], rules)

    # threads: torch, numpy and the labelling of objects let other threads run meanwhile
    with (
        _one_thread_each(),
        ThreadPoolExecutor(max_workers=min(len(chunks), os.cpu_count() or 1)) as pool,
    ):
        values = np.concatenate(list(pool.map(measured, chunks)))
    table = pd.DataFrame(values, columns=list(MEASURES))
    return table.assign(score=_mean_rank(table))


def rank_patches(ids: Sequence[str], measured: pd.DataFrame, *, by: str = "score") -> pd.DataFrame:
    """Order patches by disagreement, the most disputed first; ties by id.

    Args:
        ids: (N,) ids of the patches.
        measured: What `disagreement` gave for them, in the same order.
        by: The column that decides: score, area, boundary, thin or objects.

    Raises:
        EvaluationError: If there is no such column.
    """
    if by not in measured:
        raise EvaluationError(
            f"Patches are ranked by {', '.join((*MEASURES, 'score'))}, not by {by!r}."
        )
    table = measured.assign(id=list(ids)).sort_values([by, "id"], ascending=[False, True])
    return table[["id", *measured.columns]].reset_index(drop=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep torch from starting threads of its own under each of ours."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mean_rank(table: pd.DataFrame) -> "pd.Series[float]":
    """Weighted mean of the ranks in [0, 1] by each measure; equal patches share a middle rank."""
    others = max(1, len(table) - 1)
    ranks = (table[list(_WEIGHTS)].rank(method="average") - 1) / others
    weights = pd.Series(_WEIGHTS)
    score: pd.Series[float] = (ranks * weights).sum(axis=1) / weights.sum()
    return score.where(table["area"] > 0, 0.0)


def _measured(
    a: Tensor, b: Tensor, known: Tensor | None, rules: DisagreementRules
) -> NDArray[np.float64]:
    """(n, 4) the measures of some patches."""
    differ = a != b if known is None else (a != b) & known
    near = inner_band(a, known, rules.band, border=False)
    near |= inner_band(b, known, rules.band, border=False)
    strips = _thin(differ.to(torch.uint8), known, 2 * rules.band + 1)
    thin = _thin(a, known, rules.thin) | _thin(b, known, rules.thin)
    pixels = a[0].numel() if known is None else np.maximum(_sum(known), 1)
    disputed = differ.cpu().numpy()
    lost = sum(_lost_objects(m.cpu().numpy(), disputed, rules.object_pixels) for m in (a, b))
    shares = [_sum(where) / pixels for where in (differ, differ & near & strips, differ & thin)]
    return np.column_stack([*shares, lost])


def _sum(where: Tensor) -> NDArray[np.float64]:
    # one by one: numpy counts a whole block of booleans far faster than it sums along an axis
    return np.array([np.count_nonzero(one) for one in where.cpu().numpy()], np.float64)


def _thin(codes: Tensor, known: Tensor | None, largest: int) -> Tensor:
    """Pixels of structures up to `largest` wide: no square of one pixel more holds them."""
    width = widths(codes, known, largest, least=largest)
    return (width > 0) & (width <= largest)


def _lost_objects(
    labels: NDArray[np.integer], disputed: NDArray[np.bool_], least: int
) -> NDArray[np.int64]:
    """(n,) objects of each map that lie wholly in disputed ground.

    Only the disputed parts are labelled: such a part is an object if it touches no pixel of its
    class that both maps share. All maps stand in one tall image, each in a frame of its own, so
    that a neighbour is a step along its flat array.
    """
    from skimage.measure import label

    n, h, w = labels.shape
    dtype = np.int16 if labels.max(initial=0) == 255 else labels.dtype  # 0 is the frame
    framed = np.zeros((n, h + 2, w + 2), dtype)
    framed[:, 1:-1, 1:-1] = labels
    framed[:, 1:-1, 1:-1] += 1
    there = np.zeros(framed.shape, bool)
    there[:, 1:-1, 1:-1] = disputed
    parts, shared = framed * there, (framed * ~there).ravel()
    number, count = label(parts.reshape(-1, w + 2), return_num=True, connectivity=2)
    number, own = number.ravel(), parts.ravel()
    held = np.zeros(count + 1, bool)
    held[number[_touching(own, shared, (1, w + 1, w + 2, w + 3))]] = True
    inside = number[np.flatnonzero(own)]
    lost = ~held & (np.bincount(inside, minlength=count + 1) >= least)
    lost[0] = False
    # numbers rise along the image, so those up to a map's largest are of it and of those before
    largest = np.maximum.accumulate(number.reshape(n, -1).max(axis=1))
    return np.bincount(np.searchsorted(largest, np.flatnonzero(lost)), minlength=n)


def _touching(
    own: NDArray[np.integer], shared: NDArray[np.integer], steps: Sequence[int]
) -> NDArray[np.bool_]:
    """Where a pixel of `own` has one of the same class in `shared` these steps before or after."""
    found = np.zeros(len(own), bool)
    for step in steps:
        found[:-step] |= own[:-step] == shared[step:]
        found[step:] |= own[step:] == shared[:-step]
    return found & (own > 0)

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
_SWEEPS = 8  # steps that shared ground spreads before objects are labelled
MEASURES = ("area", "boundary", "thin", "objects")
# Chosen on made pairs that no test uses; area is what mIoU sees anyway.
_WEIGHTS = {"area": 1, "boundary": 8, "thin": 2, "objects": 1}


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
        - score: how many times as disputed as the average patch; the mean of the four ratios,
          boundary counted eightfold and thin twice. 0 if the maps agree everywhere.

    Raises:
        EvaluationError: If the maps do not fit each other or the classes.

    Example:
        >>> import numpy as np
        >>> maps = np.zeros((2, 16, 16), np.uint8)
        >>> maps[:, 2:9, 2:9] = 1
        >>> other = maps.copy()
        >>> maps[1, 12, 2:14] = 1  # a line that the other model does not have
        >>> disagreement(maps, other, classes=2)[["objects", "score"]].values.tolist()
        [[0.0, 0.0], [1.0, 2.0]]
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
    return table.assign(score=_times_the_average(table))


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


def _times_the_average(table: pd.DataFrame) -> "pd.Series[float]":
    """Weighted mean of each measure over its mean; a measure that is 0 everywhere does not count.

    Ratios and not ranks: a patch that lost all its lines stands out from sixty with a few pixels
    each, while ranks would put it one place above the next.
    """
    means = table[list(_WEIGHTS)].mean()
    weights = pd.Series(_WEIGHTS)[means > 0]
    ratios = table[weights.index] / means[weights.index]
    return (ratios * weights).sum(axis=1) / max(1, weights.sum())


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

    Such an object is a disputed part of one class that touches no pixel of its class that both maps
    share. Labelling is dear, so what shared ground reaches in a few steps is taken away before. All
    maps stand in one tall image, each in a frame of its own, so that a neighbour is a step along
    its flat array.
    """
    from skimage.measure import label

    n, h, w = labels.shape
    wide, full = w + 2, -(-n // 8) * 8
    dtype = np.int16 if labels.max(initial=0) == 255 else labels.dtype  # 0 is the frame
    framed = np.zeros((full, h + 2, wide), dtype)
    framed[:n, 1:-1, 1:-1] = labels
    framed[:n, 1:-1, 1:-1] += 1
    own = np.zeros(framed.shape, bool)
    own[:n, 1:-1, 1:-1] = disputed
    apart, held = _spread(
        framed.reshape(full, -1), own.reshape(full, -1), (1, wide - 1, wide, wide + 1)
    )
    number, count = label(
        (framed.ravel() * apart).reshape(-1, wide), return_num=True, connectivity=2
    )
    number = number.ravel()
    lost = np.bincount(number[np.flatnonzero(apart)], minlength=count + 1) >= least
    lost[0], lost[number[np.flatnonzero(held)]] = False, False
    # numbers rise along the image, so those up to a map's largest are of it and of those before
    largest = np.maximum.accumulate(number.reshape(full, -1).max(axis=1))
    return np.bincount(np.searchsorted(largest, np.flatnonzero(lost)), minlength=full)[:n]


def _spread(
    labels: NDArray[np.integer], own: NDArray[np.bool_], steps: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Let shared ground spread into disputed ground of its class for some steps, at its speed.

    Args:
        labels: (N, L) flat maps, N a multiple of 8.
        own: (N, L) where they are disputed.
        steps: From a pixel to its neighbours after it.

    Returns:
        (N × L,) the disputed pixels that are left, and those of them that it would reach next.
    """
    same = [_bits(labels[:, :-step] == labels[:, step:]) for step in steps]
    left = _bits(own)
    shared = ~left
    for sweep in range(_SWEEPS + 1):
        reached = np.zeros_like(left)
        for step, alike in zip(steps, same, strict=True):
            reached[:, :-step] |= alike & shared[:, step:]
            reached[:, step:] |= alike & shared[:, :-step]
        reached &= left
        if sweep < _SWEEPS:
            left ^= reached
            shared |= reached
    return _flat(left), _flat(reached)


def _bits(where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(N / 8, L) bytes that hold eight maps each, so that one operation serves all eight."""
    found = where[0::8].astype(np.uint8)
    for bit in range(1, 8):
        found |= where[bit::8].view(np.uint8) << np.uint8(bit)
    return found


def _flat(bits: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N × L,) the maps of `_bits`, one after the other."""
    found = np.empty((8 * len(bits), bits.shape[1]), bool)
    for bit in range(8):
        np.not_equal(bits & np.uint8(1 << bit), 0, out=found[bit::8])
    return found.ravel()

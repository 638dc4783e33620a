"""Predict a scene larger than memory: overlapping tiles, of each only the middle is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from workbench.datasets.files import whole_file
from workbench.datasets.normalization import valid_numbers
from workbench.errors import TrainingError
from workbench.training.features import Standardise

ReadWindow: TypeAlias = Callable[[int, int, int, int], NDArray[Any]]
"""(row, column, height, width) to (C, height, width) stored numbers."""


NO_CLASS = 255
"""Number of a map's pixels without data; see `predict_scene`."""


@dataclass(frozen=True)
class Piece:
    """One tile of a scene, along one axis: what is read, and which part of it is kept."""

    start: int
    """First pixel that is read."""
    keep: tuple[int, int]
    """First pixel kept, and the one after the last, counted in the scene."""


def pieces(length: int, tile: int, overlap: int) -> list[Piece]:
    """Divide an axis into tiles of one size; at the scene's ends the margin is kept too.

    Args:
        length: Pixels of the axis.
        tile: Side of a tile, pixels; at most `length`.
        overlap: Pixels at a tile's edges that are predicted and not kept; less than half a tile.

    Example:
        >>> [(p.start, p.keep) for p in pieces(20, 10, 2)]
        [(0, (0, 8)), (6, (8, 14)), (10, (14, 20))]
    """
    step = tile - 2 * overlap
    starts = [*range(0, max(1, length - tile), step), max(0, length - tile)]
    starts = sorted(set(starts))
    found, done = [], 0
    for i, start in enumerate(starts):
        end = length if i == len(starts) - 1 else start + tile - overlap
        found.append(Piece(start, (done, end)))
        done = end
    return found


def even_side(length: int, tile: int, overlap: int, multiple: int = 1) -> int:
    """Give the smallest side of tiles of which no more are needed than of the largest ones.

    Tiles of the largest size would meet the scene's end with one that is nearly all overlap.

    Args:
        length: Pixels of the axis.
        tile: Largest side of a tile, pixels.
        overlap: As for `pieces`.
        multiple: The side is a multiple of it, if the largest one allows.

    Example:
        >>> even_side(1024, 512, 16, 32)
        384
    """
    if tile >= length:
        return length
    count = -(-(length - 2 * overlap) // (tile - 2 * overlap))
    least = -(-(length - 2 * overlap) // count) + 2 * overlap
    return min(tile, -(-least // multiple) * multiple)


def predict_scene(
    model: nn.Module,
    read: ReadWindow,
    shape: tuple[int, int],
    out: Path,
    *,
    standardise: Standardise,
    tile: int = 256,
    overlap: int = 32,
    multiple: int = 32,
    batch_size: int = 4,
    device: torch.device | str = "cpu",
    nodata: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Predict the class of each pixel of a scene, tile by tile; memory does not grow with it.

    Where the overlap is as wide as what the model sees of a pixel's surroundings, and tile and
    overlap are multiples of its largest stride, no seam shows: the result is that of the whole
    scene at once. The scene is then continued at the right and at the bottom with its last pixels
    up to a multiple of the stride, as `SegmentationModel` does, so that every tile begins on it.

    Args:
        model: (B, C, h, w) to (B, K, h, w) logits, K at most 255; it is put into eval mode.
        read: Gives the stored numbers of a window.
        shape: (H, W) of the scene.
        out: File NAME.npy of the result, written whole or not at all.
        standardise: From stored numbers to what the model takes.
        tile: Largest side of a tile, pixels; tiles are as small as the same number of them allows.
        overlap: Pixels at each edge that are predicted twice, in [0, tile / 2).
        multiple: The model's largest stride, of which sides of tiles are multiples where they can.
        batch_size: Tiles at once.
        device: Where to compute.
        nodata: Stored number that is no measurement; None: that of the contract which
            `standardise` was made for (`Normalizer`). NaN and infinite numbers are none either.
        progress: Called with (tiles done, tiles in all).

    Returns:
        (H, W) class indices, mapped from the file; `NO_CLASS` (255) where a band of the scene has
        no measurement. The model sees the bands' means there, as in training.

    Raises:
        TrainingError: If overlap and tile do not fit, the model has more classes than fit the
            file, or gives NaN.
    """
    out = Path(out)
    if nodata is None:
        nodata = getattr(getattr(standardise, "contract", None), "nodata", None)
    if not 0 <= overlap < tile / 2 or min(batch_size, multiple) < 1:
        raise TrainingError(
            "Tiles need 0 <= overlap < tile / 2, and batch_size and multiple >= 1, got "
            f"overlap={overlap}, tile={tile}, batch_size={batch_size}, multiple={multiple}."
        )
    height, width = (even_side(n, tile, overlap, multiple) for n in shape)
    rows, cols = (
        _axis(n, side, overlap, multiple) for n, side in zip(shape, (height, width), strict=True)
    )
    plan = [(row, col) for row in rows for col in cols]
    model.eval().to(device)
    with whole_file(out) as unfinished:
        found = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
        done = 0
        for group in _groups(plan, batch_size):
            windows = [_window(read, r.start, c.start, (height, width), shape) for r, c in group]
            stored = torch.from_numpy(np.stack(windows)).to(device)
            valid = valid_numbers(stored, nodata).all(1)
            images = standardise(stored)
            images = torch.where(torch.isfinite(images), images, torch.zeros_like(images))
            predicted = _classes(model, images, valid)
            for (row, col), classes in zip(group, predicted, strict=True):
                _keep(found, classes, row, col)
            done += len(group)
            if progress is not None:
                progress(done, len(plan))
        found.flush()
        del found
    mapped: NDArray[np.uint8] = np.load(out, mmap_mode="r")
    return mapped


def _axis(length: int, tile: int, overlap: int, multiple: int) -> list[Piece]:
    """Tiles of an axis that begin on a multiple of the stride, if tile and overlap are ones."""
    if tile >= length:
        return pieces(length, tile, 0)
    aligned = tile % multiple == 0 and overlap % multiple == 0
    whole = -(-length // multiple) * multiple if aligned else length
    found = [
        Piece(p.start, (p.keep[0], min(p.keep[1], length))) for p in pieces(whole, tile, overlap)
    ]
    return [p for p in found if p.keep[0] < p.keep[1]]


def _window(
    read: ReadWindow, row: int, col: int, size: tuple[int, int], shape: tuple[int, int]
) -> NDArray[Any]:
    """Read a tile; what of it lies beyond the scene continues the last pixels."""
    height, width = min(size[0], shape[0] - row), min(size[1], shape[1] - col)
    found = read(row, col, height, width)
    if (height, width) == size:
        return found
    return np.pad(found, ((0, 0), (0, size[0] - height), (0, size[1] - width)), mode="edge")


@torch.no_grad()
def _classes(model: nn.Module, images: Tensor, valid: Tensor) -> NDArray[np.uint8]:
    logits = model(images)
    if logits.shape[1] > NO_CLASS:
        raise TrainingError(
            f"A map holds at most {NO_CLASS} classes (0 to {NO_CLASS - 1}, and {NO_CLASS} for no "
            f"data), but the model has {logits.shape[1]}.\nMerge classes, or map parts of them."
        )
    if torch.isnan(logits).any():
        share = float(torch.isnan(logits).any(1).float().mean())
        raise TrainingError(
            f"A model must give numbers, but {share:.1%} of the pixels of a tile are NaN.\n"
            "Its weights are damaged or its training diverged; the scene's own gaps are not NaN."
        )
    found: NDArray[np.uint8] = (
        logits.argmax(1).masked_fill(~valid, NO_CLASS).to(torch.uint8).cpu().numpy()
    )
    return found


def _keep(out: NDArray[np.uint8], classes: NDArray[np.uint8], row: Piece, col: Piece) -> None:
    """Write the part of a predicted tile that is kept."""
    (top, bottom), (left, right) = row.keep, col.keep
    down = slice(top - row.start, bottom - row.start)
    across = slice(left - col.start, right - col.start)
    out[top:bottom, left:right] = classes[down, across]


def _groups(plan: list[tuple[Piece, Piece]], size: int) -> Iterator[list[tuple[Piece, Piece]]]:
    for first in range(0, len(plan), size):
        yield plan[first : first + size]

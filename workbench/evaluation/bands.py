"""Square windows over label maps: which pixels lie within a few pixels of another class.

A pixel keeps its class under an erosion by the (2 d + 1)² square exactly if all of that square
shows one label. The largest and the smallest label in a window say so for every class at once, and
windows of any size cost a few comparisons of shifted copies, log2 of their side.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_Op = Callable[[Tensor, Tensor], Tensor]


def window_extreme(
    values: Tensor, before: int, after: int, *, largest: bool, outside: int
) -> Tensor:
    """Give the largest or smallest value in a square window around every pixel.

    Args:
        values: (..., H, W).
        before: Rows above and columns left of the pixel that belong to its window.
        after: Rows below and columns right of it.
        largest: Largest value, or smallest.
        outside: Value of what lies outside of the image.

    Returns:
        The same shape and type.
    """
    op: _Op = torch.maximum if largest else torch.minimum
    for axis in (-1, -2):
        length = values.shape[axis]
        first, last = min(before, length), min(after, length)
        pad = (first, last) if axis == -1 else (0, 0, first, last)
        values = _running(
            torch.nn.functional.pad(values, pad, value=outside), first + last + 1, op, axis
        )
    return values


def _running(values: Tensor, side: int, op: _Op, axis: int) -> Tensor:
    """Windows [i, i + side) along an axis. Invariant: `values` covers windows of `reach`."""
    reach = 1
    while reach < side:
        step = min(reach, side - reach)
        rest = values.shape[axis] - step
        values = op(values.narrow(axis, 0, rest), values.narrow(axis, step, rest))
        reach += step
    return values


def extremes(
    codes: Tensor, valid: Tensor | None, before: int, after: int, *, border: bool
) -> tuple[Tensor, Tensor]:
    """Give the smallest and largest label in a window, without ignored pixels.

    Args:
        codes: (N, H, W) uint8 or int16 labels, not negative.
        valid: (N, H, W) bool, False where a pixel is ignored: it belongs to every class.
        before: As in `window_extreme`.
        after: As in `window_extreme`.
        border: Whether what lies outside of the image is another class, or belongs to every class.

    Returns:
        Smallest and largest label; they differ where a window shows several classes.
    """
    top = torch.iinfo(codes.dtype).max
    low = codes if valid is None else codes.masked_fill(~valid, top)
    high = codes if valid is None else codes.masked_fill(~valid, 0)
    outside = top if border else 0
    return (
        window_extreme(low, before, after, largest=False, outside=top),
        window_extreme(high, before, after, largest=True, outside=outside),
    )


def inner_band(
    codes: Tensor, valid: Tensor | None, distance: int, *, border: bool = True
) -> Tensor:
    """Say which pixels an erosion of their class by `distance` steps of 3 × 3 removes.

    Args:
        codes: (N, H, W) labels.
        valid: (N, H, W) bool or None; ignored pixels make no boundary and are in no band.
        distance: Pixels, at least 1.
        border: Whether the edge of the image is a boundary.

    Returns:
        (N, H, W) bool.
    """
    low, high = extremes(codes, valid, distance, distance, border=border)
    band = low != high
    return band if valid is None else band & valid


def widths(codes: Tensor, valid: Tensor | None, largest: int, *, least: int = 1) -> Tensor:
    """Give the width of the structure that each pixel belongs to, in pixels.

    The width is the side of the largest square of one label that holds the pixel, so a road of two
    pixels is 2 wide, whichever way it runs along the grid. What is cut by the edge of the image or
    by ignored pixels is taken to go on there.

    Args:
        codes: (N, H, W) labels.
        valid: (N, H, W) bool or None.
        largest: Widths are measured up to here, at most 250 pixels.
        least: Widths below it are not told apart, and come out as it.

    Returns:
        (N, H, W) uint8 in [least, largest + 1]; largest + 1 means wider; 0 where ignored.
    """
    n, h, w = codes.shape
    # what lies outside of the image is ignored too: it belongs to every class
    around, top = (largest,) * 4, torch.iinfo(codes.dtype).max
    low = codes if valid is None else codes.masked_fill(~valid, top)
    high = codes if valid is None else codes.masked_fill(~valid, 0)
    low = torch.nn.functional.pad(low, around, value=top)
    high = torch.nn.functional.pad(high, around, value=0)
    found = torch.full((n, h, w), least, dtype=torch.uint8, device=codes.device)
    for side in range(least + 1, largest + 2):
        before, after = side // 2, side - 1 - side // 2
        smallest = window_extreme(low, before, after, largest=False, outside=top)
        greatest = window_extreme(high, before, after, largest=True, outside=0)
        fits = (smallest >= greatest).to(torch.uint8)  # of the square around this pixel
        held = window_extreme(fits, after, before, largest=True, outside=0)
        found += held[:, largest : largest + h, largest : largest + w]
    return found if valid is None else found.masked_fill_(~valid, 0)

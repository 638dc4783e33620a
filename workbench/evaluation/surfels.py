"""Contours as line elements between pixels: the marching-squares family of surface measures.

Every corner where four pixels meet and not all of them are of one class holds a piece of that
class's contour, as long as the shape of the corner says. Perimeters and the surfel form of surface
Dice count lengths and not pixels, so a diagonal edge is as long as it is.
"""

import math

import torch
from torch import Tensor


def corner_elements(
    codes: Tensor,
    valid: Tensor | None,
    classes: int,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    border: bool = True,
) -> tuple[Tensor, Tensor]:
    """Find the contour elements of every class.

    Args:
        codes: (N, H, W) labels.
        valid: (N, H, W) bool or None; a corner that touches an ignored pixel holds no element.
        classes: K, labels from K on have no contour of their own.
        spacing: Height and width of a pixel.
        border: Whether there are contours along the edge of the image.

    Returns:
        (P, 3) int64 group (image × K + class), row and column in the (H + 1, W + 1) lattice of
        corners; and (P,) float64 their lengths.
    """
    outside = classes + 1  # in no class
    around = torch.nn.functional.pad(codes, (1, 1, 1, 1), value=outside)
    known = None if valid is None else torch.nn.functional.pad(valid, (1, 1, 1, 1), value=True)
    corners, usable = _four(around), None if known is None else _four(known).all(0)
    mixed = (corners != corners[0]).any(0)
    if usable is not None:
        mixed &= usable
    if not border:
        mixed[:, 0], mixed[:, -1], mixed[:, :, 0], mixed[:, :, -1] = False, False, False, False
    image, row, column = mixed.nonzero(as_tuple=True)
    here = corners[:, image, row, column]  # (4, P) labels: top left, top right, bottom left, right
    table = _lengths(spacing).to(codes.device)
    points, lengths = [], []
    for k in range(4):
        label = here[k]
        first = (here[:k] != label).all(0) & (label < classes)  # each class of a corner once
        bits = (here[:, first] == label[first]).long()
        shape = bits[0] * 8 + bits[1] * 4 + bits[2] * 2 + bits[3]
        group = image[first] * classes + label[first].long()
        points.append(torch.stack([group, row[first], column[first]], dim=1))
        lengths.append(table[shape])
    return torch.cat(points), torch.cat(lengths)


def perimeters(
    codes: Tensor,
    valid: Tensor | None,
    classes: int,
    *,
    spacing: tuple[float, float] = (1.0, 1.0),
    border: bool = True,
) -> Tensor:
    """(N, K) float64 length of every class's contour; arguments as in `corner_elements`."""
    points, lengths = corner_elements(codes, valid, classes, spacing=spacing, border=border)
    total = torch.zeros(len(codes) * classes, dtype=torch.float64, device=codes.device)
    return total.index_add_(0, points[:, 0], lengths).reshape(len(codes), classes)


def _four(values: Tensor) -> Tensor:
    """(4, N, H - 1, W - 1) the four pixels of every corner."""
    return torch.stack(
        [values[:, :-1, :-1], values[:, :-1, 1:], values[:, 1:, :-1], values[:, 1:, 1:]]
    )


def _lengths(spacing: tuple[float, float]) -> Tensor:
    """(16,) length of the contour in a corner, by which of its four pixels are in the class."""
    high, wide = spacing
    cut = 0.5 * math.hypot(high, wide)  # one pixel alone, or one missing
    of = {0b0011: wide, 0b1100: wide, 0b0101: high, 0b1010: high, 0b0110: 2 * cut, 0b1001: 2 * cut}
    return torch.tensor(
        [0.0] + [of.get(shape, cut) for shape in range(1, 15)] + [0.0], dtype=torch.float64
    )

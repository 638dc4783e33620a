"""Contours of all classes at once, and the exact distance from any pixel to the nearest one.

The distance transform is taken apart along the axes. One sweep down and one up every column give
the distance to the nearest contour pixel in the column; then a point looks along its row, and stops
as soon as the columns it has not seen lie farther away than what it has found. Only points that are
asked for look, and they look all at once, on whatever device the maps are.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

_FAR = 15_000  # rows: more than an image has, and twice as much still fits int16
_CHUNK = 2**23  # elements of one table of column distances
_LOOKS = 2**16  # places that are looked at in one step


def contour_pixels(codes: Tensor, valid: Tensor | None, *, border: bool = True) -> Tensor:
    """Say which pixels have a neighbour of another class, among four neighbours.

    Args:
        codes: (N, H, W) labels.
        valid: (N, H, W) bool or None; ignored pixels are no contour and make none.
        border: Whether pixels at the edge of the image are contour pixels.

    Returns:
        (N, H, W) bool.
    """
    edge = torch.zeros(codes.shape, dtype=torch.bool, device=codes.device)
    for axis in (1, 2):
        rest = codes.shape[axis] - 1
        here, there = codes.narrow(axis, 0, rest), codes.narrow(axis, 1, rest)
        differ = here != there
        if valid is not None:
            differ &= valid.narrow(axis, 0, rest) & valid.narrow(axis, 1, rest)
        edge.narrow(axis, 0, rest).logical_or_(differ)
        edge.narrow(axis, 1, rest).logical_or_(differ)
        if border:
            edge.narrow(axis, 0, 1).fill_(True)
            edge.narrow(axis, rest, 1).fill_(True)
    return edge if valid is None else edge & valid


def distance_to(
    edge: Tensor, *, spacing: tuple[float, float] = (1.0, 1.0), limit: float = math.inf
) -> Tensor:
    """Give every pixel's distance to the nearest True pixel of its image.

    Args:
        edge: (N, H, W) bool.
        spacing: Height and width of a pixel.
        limit: Distances above it need not be exact: they come out above it.

    Returns:
        (N, H, W) float64, infinite in an image without a True pixel.
    """
    n, h, w = edge.shape
    away = torch.full((n, h, w), math.inf, dtype=torch.float64, device=edge.device)
    some = edge.flatten(1).any(1).nonzero()[:, 0]
    per = max(1, _CHUNK // (32 * h * w))  # each pixel is a point, with some numbers of its own
    for chosen in some.split(per):
        flat = edge[chosen].nonzero()
        group = torch.arange(len(chosen), device=edge.device)
        points = torch.stack(torch.meshgrid(group, *_axes(edge), indexing="ij"), dim=-1)
        found = _search(points.reshape(-1, 3), flat, (len(chosen), h, w), spacing, limit)
        away[chosen] = found.reshape(-1, h, w)
    return away


def nearest(
    points: Tensor, others: Tensor, shape: tuple[int, int, int], spacing: tuple[float, float]
) -> Tensor:
    """Give each point's distance to the nearest other point of its group.

    Args:
        points: (P, 3) int64, group, row and column, sorted by group.
        others: (Q, 3) int64, likewise.
        shape: Number of groups, height and width.
        spacing: Height and width of a pixel.

    Returns:
        (P,) float64, infinite where the group has no other points.
    """
    groups, h, w = shape
    away = torch.full((len(points),), math.inf, dtype=torch.float64, device=points.device)
    has = torch.zeros(groups, dtype=torch.bool, device=points.device)
    has[others[:, 0]] = True
    asked = torch.zeros_like(has)
    asked[points[:, 0]] = True
    matched = (has & asked).nonzero()[:, 0]
    place = torch.full((groups,), -1, device=points.device)
    for chosen in matched.split(max(1, _CHUNK // (h * w))):
        place.fill_(-1)
        place[chosen] = torch.arange(len(chosen), device=points.device)
        where, of = ((place[x[:, 0]] >= 0).nonzero()[:, 0] for x in (points, others))
        here, there = points[where], others[of]
        here[:, 0], there[:, 0] = place[here[:, 0]], place[there[:, 0]]
        away[where] = _search(here, there, (len(chosen), h, w), spacing, math.inf)
    return away


def _axes(edge: Tensor) -> tuple[Tensor, Tensor]:
    return (
        torch.arange(edge.shape[1], device=edge.device),
        torch.arange(edge.shape[2], device=edge.device),
    )


def _column_distances(others: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(H, G, W) rows to the nearest of the others in the column; `_FAR` or more if none is."""
    groups, h, w = shape
    kind = torch.int16 if h < _FAR else torch.int32
    table = torch.full(
        (h, groups, w), _FAR if h < _FAR else 2**29, dtype=kind, device=others.device
    )
    table[others[:, 1], others[:, 0], others[:, 2]] = 0
    rows = table.unbind(0)
    for above, below in pairwise(rows):
        torch.minimum(below, above + 1, out=below)
    for below, above in pairwise(rows[::-1]):
        torch.minimum(above, below + 1, out=above)
    return table


def _search(
    points: Tensor,
    others: Tensor,
    shape: tuple[int, int, int],
    spacing: tuple[float, float],
    limit: float,
) -> Tensor:
    """Look left and right along the rows of the table of column distances.

    Invariant: `best` is the squared distance to the nearest contour pixel less than `seen` columns
    away; a point is done once `seen` columns alone are farther than that.
    """
    groups, _, w = shape
    high, wide = spacing
    square = high == wide
    unit = (1, 1) if square else (high, wide)
    whole = torch.int32 if max(shape[1:]) < _FAR else torch.int64  # holds the sum of two squares
    kind = whole if square else torch.float64
    table = _column_distances(others, shape).reshape(-1)
    small = torch.int32 if len(table) < 2**31 else torch.int64
    row = ((points[:, 1] * groups + points[:, 0]) * w).to(small)
    column = points[:, 2].to(small)
    best = (table.index_select(0, row + column).to(kind) * unit[0]) ** 2
    open_ = torch.arange(len(points), device=points.device)
    found, seen, farthest = best, 1, limit / wide if square else limit
    while seen < w and seen * unit[1] <= farthest:
        keep = (found > (seen * unit[1]) ** 2).nonzero()[:, 0]
        if not len(keep):
            break
        open_, row, column, found = (x[keep] for x in (open_, row, column, found))
        count = min(w - seen, max(1, min(64, _LOOKS // len(open_))))
        found = torch.minimum(found, _look(table, row, column, (seen, count, w), unit, kind))
        best[open_] = found
        seen += count
    away = best.double().sqrt_()
    return away.mul_(high) if square else away


def _look(
    table: Tensor,
    row: Tensor,
    column: Tensor,
    where: tuple[int, int, int],
    unit: tuple[float, float],
    kind: torch.dtype,
) -> Tensor:
    """(P,) least squared distance among columns `seen` to `seen + count - 1` away, of `w`."""
    seen, count, w = where
    step = torch.arange(seen, seen + count, device=row.device, dtype=row.dtype)[:, None]
    # outside of the image the last column stands in: it is nearer than assumed, and was seen
    left = table.index_select(0, (row + (column - step).clamp_(min=0)).reshape(-1))
    right = table.index_select(0, (row + (column + step).clamp_(max=w - 1)).reshape(-1))
    rows = torch.minimum(left, right).reshape(count, -1).to(kind)  # (count, P)
    squared = (rows * unit[0]) ** 2 + (step.to(kind) * unit[1]) ** 2
    return squared[0] if count == 1 else squared.amin(0)

"""Distances between the contours of prediction and target, measured once and used by every metric.

`contour_distances` finds for every contour pixel how far the other map's contour of the same class
is. Hausdorff distances, mean distances, boundary F1 and surface Dice at any number of tolerances
are then only statistics of these numbers. A class with a contour in neither map is NaN everywhere.
With a contour in only one of them its distances are infinite (or NaN, as chosen) and its shares are
0.

References:
    Boundary F1: Perazzi et al., CVPR 2016 (DAVIS). Surface Dice: Nikolov et al., arXiv 1809.04430.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from workbench.errors import EvaluationError
from workbench.evaluation.boundary import tolerance_list
from workbench.evaluation.contours import contour_pixels, nearest
from workbench.evaluation.label_maps import Classes, LabelPair, Labels, label_pair, positive_spacing
from workbench.evaluation.surfels import corner_elements

_SLACK = 1 + 1e-9  # three pixels of 0.1 m are 0.30000000000000004 m


@dataclass(frozen=True)
class DirectedDistances:
    """From each contour element of one map to the other map's contour of its class."""

    group: Tensor
    """(P,) int64, image × K + class."""
    distance: Tensor
    """(P,) float64, infinite where the other map has no contour of the class."""
    weight: Tensor
    """(P,) float64, 1 for a pixel, its length for a line element."""
    groups: int
    """Number of groups."""

    @cached_property
    def total(self) -> Tensor:
        """(G,) float64 number of contour pixels, or length of the contour."""
        return self._sum(self.group, self.weight, self.groups)

    @cached_property
    def summed(self) -> Tensor:
        """(G,) float64 sum of weighted distances."""
        return self._sum(self.group, self.weight * self.distance, self.groups)

    def within(self, tolerances: Sequence[float]) -> Tensor:
        """(G, T) float64 weight of the elements not farther than each tolerance, sorted or not."""
        limits = torch.tensor(tolerances, dtype=torch.float64, device=self.distance.device)
        ordered, order = limits.sort()
        # element i counts from the first tolerance on that is not below its distance
        first = torch.searchsorted(ordered * _SLACK, self.distance)
        cells = self.groups * (len(limits) + 1)
        sums = self._sum(self.group * (len(limits) + 1) + first, self.weight, cells)
        reached = sums.reshape(self.groups, -1)[:, :-1].cumsum(1)
        return reached[:, order.argsort()]

    def percentile(self, percent: float) -> Tensor:
        """(G,) float64 percentile of distances between order statistics, linear; NaN if empty."""
        order = self.distance.argsort(stable=True)
        order = order[self.group[order].argsort(stable=True)]
        ordered = self.distance[order]
        size = torch.bincount(self.group, minlength=self.groups)
        start = size.cumsum(0) - size
        rank = (size - 1).clamp(min=0).double() * (percent / 100)
        low = rank.floor().long()
        high = torch.minimum(low + 1, (size - 1).clamp(min=0))
        if not len(ordered):
            return torch.full((self.groups,), torch.nan, dtype=torch.float64, device=order.device)
        last = len(ordered) - 1  # an empty group reads anything, and is NaN
        below, above = (ordered[(start + r).clamp(max=last)] for r in (low, high))
        share = rank - low
        found = torch.where(share > 0, below + (above - below) * share, below)
        found = torch.where(below.isinf(), below, found)
        return found.masked_fill(size == 0, torch.nan)

    @staticmethod
    def _sum(cell: Tensor, values: Tensor, cells: int) -> Tensor:
        return torch.bincount(cell, weights=values, minlength=cells)


@dataclass(frozen=True)
class ContourDistances:
    """All distances between the contours of two label maps, in units of the spacing."""

    pair: LabelPair
    """The two maps."""
    of_pred: DirectedDistances
    """From each predicted element to the true contour."""
    of_target: DirectedDistances
    """From each true element to the predicted contour."""
    empty: Literal["inf", "nan"]
    """What a distance is for a class with a contour in only one of the maps."""

    def hausdorff(self, percent: float = 100.0) -> Any:
        """Give the larger of the two directed percentiles: 100 for HD, 95 for HD95.

        Args:
            percent: Percentile of each direction's distances, in [0, 100].

        Returns:
            (..., K) float64, in units of the spacing.

        Raises:
            EvaluationError: If `percent` is no percentage.
        """
        if not 0 <= percent <= 100:
            raise EvaluationError(f"A percentile must be in [0, 100], not {percent}.")
        both = [d.percentile(percent) for d in (self.of_pred, self.of_target)]
        return self._distance(torch.fmax(*both))

    def assd(self) -> Any:
        """Average symmetric surface distance: (..., K), the mean over both contours, pooled."""
        return self._distance(self._ratio(self.of_pred.summed + self.of_target.summed))

    def masd(self) -> Any:
        """Mean average surface distance: (..., K), the mean of the two directed means."""
        means = [d.summed / d.total for d in (self.of_pred, self.of_target)]
        return self._distance((means[0] + means[1]) / 2)

    def surface_dice(self, tolerances: Sequence[float]) -> Any:
        """Give the share of both contours within each tolerance of the other one (NSD).

        Args:
            tolerances: T distances from 0, in units of the spacing.

        Returns:
            (..., T, K) float64 in [0, 1] or NaN, never falling with the tolerance.
        """
        limits = tolerance_list(tolerances)
        near = self.of_pred.within(limits) + self.of_target.within(limits)
        return self._deliver(self._ratio(near.T).T)

    def precision(self, tolerances: Sequence[float]) -> Any:
        """Share of the predicted contour within each tolerance of the true one, (..., T, K)."""
        return self._deliver(self._shares(tolerances)[0])

    def recall(self, tolerances: Sequence[float]) -> Any:
        """Share of the true contour within each tolerance of the predicted one, (..., T, K)."""
        return self._deliver(self._shares(tolerances)[1])

    def boundary_f1(self, tolerances: Sequence[float]) -> Any:
        """Harmonic mean of `precision` and `recall`, (..., T, K)."""
        precision, recall = self._shares(tolerances)
        both = precision + recall
        f1 = torch.where(both > 0, 2 * precision * recall / both, both)
        return self._deliver(f1)

    def _shares(self, tolerances: Sequence[float]) -> tuple[Tensor, Tensor]:
        """(G, T) precision and recall; 0 where only the other map has a contour."""
        limits = tolerance_list(tolerances)
        found = []
        some = (self.of_pred.total + self.of_target.total)[:, None] > 0
        for directed in (self.of_pred, self.of_target):
            share = directed.within(limits) / directed.total[:, None]
            found.append(torch.where(some & share.isnan(), torch.zeros_like(share), share))
        return found[0], found[1]

    def _ratio(self, sums: Tensor) -> Tensor:
        return sums / (self.of_pred.total + self.of_target.total)

    def _distance(self, values: Tensor) -> Any:
        alone = (self.of_pred.total > 0) != (self.of_target.total > 0)
        far = torch.inf if self.empty == "inf" else torch.nan
        n, k, _, _ = self.pair.shape
        return self.pair.deliver(values.masked_fill(alone, far).reshape(n, k))

    def _deliver(self, shares: Tensor) -> Any:
        n, k, _, _ = self.pair.shape
        return self.pair.deliver(shares.reshape(n, k, -1).transpose(1, 2))


def contour_distances(
    pred: Labels,
    target: Labels,
    *,
    classes: Classes,
    spacing: float | tuple[float, float] = 1.0,
    ignore_index: int | None = None,
    border: bool = True,
    elements: Literal["pixels", "surfels"] = "pixels",
    empty: Literal["inf", "nan"] = "inf",
) -> ContourDistances:
    """Measure the distances between the contours of two label maps, once for every metric.

    Args:
        pred: (..., H, W) class indices, numpy or torch.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        spacing: Ground size of a pixel, or (height, width), > 0; distances come out in its unit.
        ignore_index: Value of target pixels that are left out: they make no contour.
        border: Whether pixels at the edge of the image are contour.
        elements: Contour "pixels", those of a class with one of four neighbours outside of it; or
            "surfels", the line elements between pixels, weighted with their length.
        empty: What a distance is for a class with a contour in only one map.

    Returns:
        Distances, from which every metric follows.

    Raises:
        EvaluationError: If maps do not fit each other or the classes, or the spacing is not > 0.

    Example:
        >>> import numpy as np
        >>> target = np.zeros((9, 9), int)
        >>> target[2:6, 2:6] = 1
        >>> moved = np.roll(target, 1, axis=1)
        >>> found = contour_distances(moved, target, classes=[1], spacing=10.0)
        >>> found.hausdorff().tolist(), found.boundary_f1([0, 10]).ravel().tolist()
        ([10.0], [0.5, 1.0])
    """
    if elements not in ("pixels", "surfels") or empty not in ("inf", "nan"):
        raise ValueError(
            "`elements` must be 'pixels' or 'surfels' and `empty` 'inf' or 'nan', not "
            f"{elements!r} and {empty!r}."
        )
    size = positive_spacing(spacing)
    pair = label_pair(pred, target, classes=classes, ignore_index=ignore_index)
    n, k, h, w = pair.shape
    maps = [
        _elements(pair, codes, elements, size, border=border) for codes in (pair.pred, pair.target)
    ]
    lattice = (n * k, h, w) if elements == "pixels" else (n * k, h + 1, w + 1)
    directed = [
        DirectedDistances(a[:, 0], nearest(a, b, lattice, size), weight, n * k)
        for (a, weight), (b, _) in (maps, maps[::-1])
    ]
    return ContourDistances(pair, directed[0], directed[1], empty)


def _elements(
    pair: LabelPair, codes: Tensor, elements: str, spacing: tuple[float, float], *, border: bool
) -> tuple[Tensor, Tensor]:
    """(P, 3) group, row and column of the contour elements of all classes, and (P,) weights."""
    k = len(pair.classes)
    if elements == "surfels":
        return corner_elements(codes, pair.valid, k, spacing=spacing, border=border)
    edge = contour_pixels(codes, pair.valid, border=border) & (codes < k)
    points = edge.nonzero()
    points[:, 0] = points[:, 0] * k + codes[edge].long()
    return points, torch.ones(len(points), dtype=torch.float64, device=codes.device)

"""Cross-entropy with more weight near the boundaries of a label map, in three documented forms."""

import math
from typing import Literal, TypeAlias

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from workbench.errors import TrainingError

Form: TypeAlias = Literal["band", "gaussian", "objects"]
FORMS = ("band", "gaussian", "objects")
_REACH = 4.0  # times sigma: beyond, a Gaussian's weight is below 4e-4 and taken as nothing


class BoundaryWeightedLoss(nn.Module):
    """Cross-entropy whose pixels near a change of label weigh more; their mean weight stays 1.

    Before division by their mean over the labelled pixels of the batch, weights are
    1 + strength · g, where d is the distance in pixels to the nearest pixel that has a neighbour
    above, below, left or right of another class:

    - "band": g = 1 where d < width, else 0. With width 1 these are the two rows of pixels along
      each change.
    - "gaussian": g = exp(-d² / (2 sigma²)).
    - "objects": U-Net's form, g = exp(-(d1 + d2)² / (2 sigma²)), with the distances to the
      nearest and the second nearest object. Objects are the connected regions of each class other
      than `background`; the narrow gaps between two of them weigh most. It is computed on the CPU,
      region by region: slower than the others.

    Ignored pixels have no weight and make no boundary: not where they begin, nor by cutting an
    object in two. The frame of the image is no boundary either. With strength 0 this is
    `torch.nn.functional.cross_entropy`, bit for bit. A batch without any label gives 0.

    Args:
        form: "band", "gaussian" or "objects".
        strength: Weight added at a boundary, >= 0. U-Net has 10.
        width: Of the band on each side, in pixels, > 0.
        sigma: Of the Gaussian, in pixels, > 0. U-Net has 5.
        ignore_index: Label of pixels that do not count; None: all count.
        background: Class that is no object, for "objects"; None: every class has objects.

    Raises:
        TrainingError: If there is no such form, or a number is out of its range.

    Example:
        >>> target = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
        >>> weights = BoundaryWeightedLoss("band", strength=2.0, width=1).weights(target)
        >>> [round(weight, 3) for weight in weights[0, 0].tolist()]
        [0.6, 0.6, 1.8, 1.8, 0.6, 0.6]

    References:
        Ronneberger et al. 2015, equation 2, https://arxiv.org/abs/1505.04597, for "objects". The
        talk that this package follows says no more than "a higher weight on the boundary pixels".
    """

    def __init__(
        self,
        form: Form = "band",
        *,
        strength: float = 5.0,
        width: float = 2.0,
        sigma: float = 3.0,
        ignore_index: int | None = None,
        background: int | None = None,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise TrainingError(f"No boundary loss {form!r}.\nForms are {', '.join(FORMS)}.")
        if not (strength >= 0 and math.isfinite(strength) and width > 0 and sigma > 0):
            raise TrainingError(
                "A boundary loss needs strength >= 0, width > 0 and sigma > 0, got "
                f"strength={strength}, width={width}, sigma={sigma}."
            )
        self.form, self.strength = form, strength
        self.width, self.sigma = width, sigma
        self.ignore_index, self.background = ignore_index, background

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: (B, K, H, W).
            target: (B, H, W) int64 classes.

        Returns:
            The weighted mean over the labelled pixels, a scalar.
        """
        known = self._known(target)
        if not known.any():
            return logits.sum() * 0.0
        ignored = -100 if self.ignore_index is None else self.ignore_index
        if self.strength == 0:
            return F.cross_entropy(logits, target, ignore_index=ignored)
        each = F.cross_entropy(logits, target, ignore_index=ignored, reduction="none")
        return (each * self.weights(target)).sum() / known.sum()

    @torch.no_grad()
    def weights(self, target: Tensor) -> Tensor:
        """Give the weights of a batch's pixels.

        Args:
            target: (B, H, W) int64 classes.

        Returns:
            (B, H, W) float32 of mean 1 over labelled pixels, 0 where ignored.
        """
        known = self._known(target)
        raw = (1 + self.strength * self._nearness(target, known)) * known
        return raw * (known.sum() / raw.sum().clamp_min(1e-12))

    def _known(self, target: Tensor) -> Tensor:
        if self.ignore_index is None:
            return torch.ones_like(target, dtype=torch.bool)
        return target != self.ignore_index

    def _nearness(self, target: Tensor, known: Tensor) -> Tensor:
        """Give g in [0, 1], (B, H, W) float32."""
        reach = math.ceil(self.width if self.form == "band" else _REACH * self.sigma)
        if self.form == "objects":
            distance = two_object_distance(target, known, self.background, reach)
            return torch.exp(-distance.square() / (2 * self.sigma**2))
        squared = squared_distance(label_changes(target, known), reach)
        if self.form == "band":
            return (squared < self.width**2).float()
        return torch.exp(-squared / (2 * self.sigma**2))


def label_changes(target: Tensor, known: Tensor) -> Tensor:
    """Find pixels with a labelled neighbour of another class, of the four beside them.

    Args:
        target: (B, H, W) classes.
        known: (B, H, W) bool, False where ignored.

    Returns:
        (B, H, W) bool.
    """
    found = torch.zeros_like(known)
    for axis in (1, 2):
        one, other = target.narrow(axis, 0, n := target.shape[axis] - 1), target.narrow(axis, 1, n)
        both = known.narrow(axis, 0, n) & known.narrow(axis, 1, n)
        change = (one != other) & both
        found.narrow(axis, 0, n).logical_or_(change)
        found.narrow(axis, 1, n).logical_or_(change)
    return found


def squared_distance(seeds: Tensor, reach: int) -> Tensor:
    """Squared Euclidean distance in pixels to the nearest seed, up to a reach: then infinite.

    Works where the seeds are, CPU or GPU: the nearest in each row first, then over rows.

    Args:
        seeds: (B, H, W) bool.
        reach: Rows and columns looked at on each side, in pixels, >= 1.

    Returns:
        (B, H, W) float32.
    """
    squared = torch.where(seeds, 0.0, torch.inf)
    for axis in (2, 1):
        nearest = squared.clone()
        size = squared.shape[axis]
        for step in range(1, min(reach, size - 1) + 1):
            one, other = (nearest.narrow(axis, at, size - step) for at in (0, step))
            torch.minimum(one, squared.narrow(axis, step, size - step) + step**2, out=one)
            torch.minimum(other, squared.narrow(axis, 0, size - step) + step**2, out=other)
        squared = nearest
    return squared


def two_object_distance(
    target: Tensor, known: Tensor, background: int | None, reach: int
) -> Tensor:
    """Sum of the distances to the nearest and to the second nearest object, up to a reach.

    Args:
        target: (B, H, W) classes.
        known: (B, H, W) bool, False where ignored.
        background: Class that is no object.
        reach: Distance beyond which an object is not looked for, in pixels.

    Returns:
        (B, H, W) float32 in pixels, infinite where there are not two objects in reach.
    """
    labels, is_known = target.cpu().numpy(), known.cpu().numpy()
    found = [_of_image(a, b, background, reach) for a, b in zip(labels, is_known, strict=True)]
    return torch.from_numpy(np.stack(found)).to(target.device)


def _of_image(
    labels: np.ndarray, known: np.ndarray, background: int | None, reach: int
) -> np.ndarray:
    first = np.full(labels.shape, np.inf, dtype=np.float32)
    second = first.copy()
    for value in np.unique(labels[known]):
        if value == background:
            continue
        mine = (labels == value) & known
        # what is ignored may hide the rest of an object: it does not cut it in two
        regions, _ = ndimage.label(mine | ~known, structure=np.ones((3, 3)))
        regions = np.where(mine, regions, 0)
        for number, box in enumerate(ndimage.find_objects(regions), start=1):
            if box is None:
                continue
            near = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in box)
            distance = ndimage.distance_transform_edt(regions[near] != number)
            distance[distance > reach] = np.inf
            low, high = first[near], second[near]
            np.minimum(high, np.maximum(low, distance), out=high)
            np.minimum(low, distance, out=low)
    return first + second

"""Two label maps that may be compared: checked once, and brought into one form.

Every measure of this room takes predictions and targets as numpy arrays or torch tensors of any
batch shape, (..., H, W), and gives back what it was given: arrays for arrays, tensors on the same
device for tensors. Inside, a map is one small integer for each pixel, its class's place among the
classes that are scored; so all classes are handled in one pass and not one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import EvaluationError

Labels = NDArray[Any] | Tensor
"""Class indices, (..., H, W): integers, or booleans for the classes 0 and 1."""
Classes = int | Sequence[int]
"""How many classes there are, numbered from 0; or the class indices to score, others being
"other"."""


_LARGEST_TABLE = 2**16


@dataclass(frozen=True)
class LabelPair:
    """Prediction and target on one grid, as codes: place among `classes`, or len(classes)."""

    pred: Tensor
    """(N, H, W) uint8 or int16."""
    target: Tensor
    """(N, H, W) of the same type."""
    valid: Tensor | None
    """(N, H, W) bool, False where the target is ignored; None if it is nowhere."""
    batch: tuple[int, ...]
    """Shape of the batch as it was given; its product is N."""
    classes: tuple[int, ...]
    """The K class indices that are scored, in the order of the results."""
    as_numpy: bool
    """Whether results are numpy arrays."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, K, H and W."""
        n, h, w = self.pred.shape
        return n, len(self.classes), h, w

    def deliver(self, values: Tensor) -> Any:
        """Give (N, ...) values back in the batch shape, as the kind of array that came in."""
        shaped = values.reshape(*self.batch, *values.shape[1:])
        return shaped.cpu().numpy() if self.as_numpy else shaped

    def count(self, codes: Tensor, where: Tensor) -> Tensor:
        """(N, K) int64: how many pixels of each class lie where `where` is True."""
        n, k, _, _ = self.shape
        image, _, _ = where.nonzero(as_tuple=True)
        flat = torch.bincount(image * (k + 1) + codes[where], minlength=n * (k + 1))
        return flat.reshape(n, k + 1)[:, :k]

    def only_valid(self, where: Tensor) -> Tensor:
        """`where` without ignored pixels."""
        return where if self.valid is None else where & self.valid


def label_pair(
    pred: Labels, target: Labels, *, classes: Classes, ignore_index: int | None = None
) -> LabelPair:
    """Check two label maps against each other and bring them into one form.

    Args:
        pred: (..., H, W) class indices; what it holds where the target is ignored does not matter.
        target: (..., H, W) class indices.
        classes: Number of classes, or the class indices to score.
        ignore_index: Value of target pixels that are left out, None if there are none.

    Raises:
        EvaluationError: If the shapes differ, values are not whole numbers, or a label is none of
            the classes.
    """
    as_numpy = not (isinstance(pred, Tensor) or isinstance(target, Tensor))
    device = next((x.device for x in (pred, target) if isinstance(x, Tensor)), None)
    maps = [_integers(x, device, name) for x, name in ((pred, "prediction"), (target, "target"))]
    if maps[0].shape != maps[1].shape:
        raise EvaluationError(
            "Prediction and target must have one shape, (..., H, W), but they have "
            f"{tuple(maps[0].shape)} and {tuple(maps[1].shape)}.\n"
            "Class scores become class indices with `argmax` over the class axis."
        )
    if maps[0].ndim < 2 or 0 in maps[0].shape[-2:]:
        raise EvaluationError(
            f"Label maps must be (..., H, W) with pixels, but have {tuple(maps[0].shape)}."
        )
    scored, total = _scored(classes)
    batch = tuple(maps[0].shape[:-2])
    p, t = (m.reshape(-1, *m.shape[-2:]) for m in maps)
    valid = None if ignore_index is None else t != ignore_index
    if valid is not None and bool(valid.all()):
        valid = None
    p, t = (_codes(m, valid, scored, total, name) for m, name in ((p, "prediction"), (t, "target")))
    return LabelPair(p, t, valid, batch, scored, as_numpy)


def positive_spacing(spacing: float | tuple[float, float]) -> tuple[float, float]:
    """Check the ground size of a pixel, and give it as (height, width).

    Raises:
        EvaluationError: If it is not positive and finite.
    """
    is_one = np.ndim(spacing) == 0  # a number of Python, NumPy or a 0-d array
    pair: tuple[Any, ...] = (spacing, spacing) if is_one else tuple(spacing)  # type: ignore[arg-type]
    is_number = all(np.asarray(s).dtype.kind in "iuf" and np.ndim(s) == 0 for s in pair)
    if len(pair) != 2 or not is_number or not all(np.isfinite(s) and s > 0 for s in pair):
        raise EvaluationError(
            f"The size of a pixel must be positive and finite, but is {spacing}.\n"
            "Give metres, as 30.0 or as (height, width)."
        )
    return float(pair[0]), float(pair[1])


def _integers(labels: Labels, device: torch.device | None, name: str) -> Tensor:
    if isinstance(labels, np.ndarray):
        if labels.dtype.kind not in "biu":
            raise EvaluationError(_not_whole(name, str(labels.dtype)))
        kind = {"u": {2: np.int32, 4: np.int64, 8: np.int64}}.get(labels.dtype.kind, {})
        whole = labels.astype(kind.get(labels.dtype.itemsize, labels.dtype), copy=False)
        # torch takes neither negative strides nor another byte order
        native = np.ascontiguousarray(whole, dtype=whole.dtype.newbyteorder("="))
        if not native.flags.writeable:
            native = native.copy()
        return torch.from_numpy(native).to(device or "cpu")
    if not isinstance(labels, Tensor):
        raise EvaluationError(
            f"A {name} must be a numpy array or a torch tensor, but is {type(labels).__name__}."
        )
    if labels.is_floating_point() or labels.is_complex():
        raise EvaluationError(_not_whole(name, str(labels.dtype)))
    return labels.to(device)


def _not_whole(name: str, found: str) -> str:
    return (
        f"Class indices must be whole numbers, but the {name} is {found}.\n"
        "Scores become class indices with `argmax` over the class axis."
    )


def _scored(classes: Classes) -> tuple[tuple[int, ...], int | None]:
    """The classes to score, and how many there are if that is known."""
    if isinstance(classes, int | np.integer) and not isinstance(classes, bool):
        if not 1 <= classes <= 32_000:
            raise EvaluationError(
                f"There must be at least one class (and at most 32,000), not {classes}."
            )
        return tuple(range(int(classes))), int(classes)
    listed = tuple(int(c) for c in classes)  # type: ignore[union-attr]
    if not listed or len(set(listed)) < len(listed) or min(listed) < 0:
        raise EvaluationError(
            f"Classes to score must be distinct indices from 0, but are {list(listed)}."
        )
    return listed, None


def _codes(
    labels: Tensor, valid: Tensor | None, scored: tuple[int, ...], total: int | None, name: str
) -> Tensor:
    """Each label as its place among the scored classes; all other labels share the next number."""
    kind = torch.uint8 if len(scored) < 250 else torch.int16
    numbers = labels.to(torch.uint8) if labels.dtype == torch.bool else labels
    if valid is not None:
        numbers = numbers.masked_fill(~valid, scored[0])
    low, high = (int(v) for v in numbers.aminmax()) if numbers.numel() else (0, 0)
    if low < 0 or (total is not None and high >= total):
        found = low if low < 0 else high
        limits = f"0 … {total - 1}" if total is not None else "0 and up"
        raise EvaluationError(
            f"Every label of the {name} must be a class, {limits}, but {found} occurs "
            f"({int((numbers == found).sum())} pixels).\n"
            "Give the number of unlabelled pixels as `ignore_index`, or more `classes`."
        )
    if total is not None:
        return numbers.to(kind)
    if high > _LARGEST_TABLE:  # as of a nodata of 4294967295: no table of all numbers up to it
        order = torch.tensor(sorted(scored), device=labels.device)
        near = torch.searchsorted(order, numbers.long()).clamp(max=len(scored) - 1)
        places = torch.tensor([scored.index(int(c)) for c in order], device=labels.device)
        is_scored = order[near] == numbers
        return torch.where(is_scored, places[near], len(scored)).to(kind)
    table = torch.full((high + 1,), len(scored), dtype=kind, device=labels.device)
    for place, label in enumerate(scored):
        if label <= high:
            table[label] = place
    return table[numbers.long()]

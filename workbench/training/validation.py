"""Losses of the tasks, and the one score by which a run is watched on its validation part.

The scores that are reported come from `workbench.evaluation`; this one only says how learning goes.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from workbench.datasets.examples import Examples
from workbench.errors import TrainingError
from workbench.training.finetune_settings import FinetuneSettings

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

SCORES = {
    "classes": "macro mIoU",
    "change": "macro mIoU",
    "presence": "micro F1",
    "density": "R²",
}
"""What the validation score of each kind of task is."""

_FITTING = {
    "cross_entropy": ("classes", "change"),
    "boundary": ("classes", "change"),
    "bce": ("presence",),
    "mse": ("density",),
}


def task_loss(examples: Examples, settings: FinetuneSettings) -> Loss:
    """Make the loss of a task.

    Raises:
        TrainingError: If the loss asked for does not go with the task.
    """
    automatic = {"classes": "cross_entropy", "change": "cross_entropy", "presence": "bce"}
    name = settings.loss
    chosen = automatic.get(examples.kind, "mse") if name == "auto" else name
    if examples.kind not in _FITTING[chosen]:
        raise TrainingError(
            f"The loss {chosen!r} is for {' and '.join(_FITTING[chosen])}, but the task is "
            f"{examples.kind!r}.\nUse loss='auto'."
        )
    if chosen == "boundary":
        from workbench.training.boundary_loss import BoundaryWeightedLoss

        options: dict[str, Any] = {
            "ignore_index": examples.ignore_index,
            **(settings.boundary or {}),
        }
        weighted: Loss = BoundaryWeightedLoss(**options)
        return weighted
    if chosen == "cross_entropy":
        ignored = -100 if examples.ignore_index is None else examples.ignore_index
        return lambda logits, target: _cross_entropy(logits, target, ignored)
    if chosen == "bce":
        return functional.binary_cross_entropy_with_logits
    return _density_error


def _cross_entropy(logits: Tensor, target: Tensor, ignored: int) -> Tensor:
    if not (target != ignored).any():  # the mean over no pixel is NaN; nothing is to be learned
        return logits.sum() * 0.0
    return functional.cross_entropy(logits, target, ignore_index=ignored)


def _density_error(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of shares in [0, 1], where there is a label."""
    known = ~torch.isnan(target)
    if not known.any():
        return logits.sum() * 0.0
    return functional.mse_loss(logits.squeeze(1).sigmoid()[known], target[known])


class ValidationScore:
    """The score of a kind of task over batches; NaN before the first.

    Args:
        examples: Of which task.
    """

    def __init__(self, examples: Examples) -> None:
        self.kind, self.classes = examples.kind, len(examples.class_names)
        self.ignored = examples.ignore_index
        self._counts = torch.zeros(self.classes, self.classes, dtype=torch.float64)
        self._sums = torch.zeros(4, dtype=torch.float64)

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch."""
        logits, target = logits.detach().cpu(), target.cpu()
        if self.kind == "presence":
            found, there = logits > 0, target > 0
            hits = (found & there).sum()
            self._sums += torch.stack([hits, found.sum(), there.sum(), hits]).double()
        elif self.kind == "density":
            known = ~torch.isnan(target)
            truth, guess = target[known].double(), logits.squeeze(1).sigmoid()[known].double()
            errors = (truth - guess).square().sum()
            one = torch.tensor(float(len(truth)), dtype=torch.float64)
            self._sums += torch.stack([one, truth.sum(), truth.square().sum(), errors])
        else:
            known = torch.ones_like(target, dtype=torch.bool)
            if self.ignored is not None:
                known = target != self.ignored
            cell = target[known] * self.classes + logits.argmax(1)[known]
            counted = torch.bincount(cell, minlength=self.classes**2)
            self._counts += counted.reshape(self.classes, self.classes)

    @property
    def value(self) -> float:
        """What `SCORES` names: at most 1, higher is better."""
        if self.kind == "presence":
            hits, found, there, _ = self._sums.tolist()
            return 2 * hits / (found + there) if found + there else float("nan")
        if self.kind == "density":
            number, total, squares, errors = self._sums.tolist()
            spread = squares - total**2 / number if number else 0.0
            return 1 - errors / spread if spread > 0 else float("nan")
        hits_of = self._counts.diagonal()
        union = self._counts.sum(0) + self._counts.sum(1) - hits_of
        return float((hits_of / union)[union > 0].mean())

"""Losses of the tasks, and the one score by which a run is watched on its validation part.

The scores that are reported come from `workbench.evaluation`; this one only says how learning goes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from workbench.datasets.examples import Examples, Ints
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
    classes, ignored = len(examples.class_names), examples.ignore_index
    if chosen == "boundary":
        from workbench.training.boundary_loss import BoundaryWeightedLoss

        options: dict[str, Any] = {
            "ignore_index": examples.ignore_index,
            **(settings.boundary or {}),
        }
        return _within(BoundaryWeightedLoss(**options), classes, ignored)
    if chosen == "cross_entropy":
        left = -100 if ignored is None else ignored
        return _within(
            lambda logits, target: _cross_entropy(logits, target, left), classes, ignored
        )
    if chosen == "bce":
        return functional.binary_cross_entropy_with_logits
    return _density_error


def _within(loss: Loss, classes: int, ignored: int | None) -> Loss:
    """Refuse labels outside the legend before a loss sees them."""

    def checked(logits: Tensor, target: Tensor) -> Tensor:
        strange = (target < 0) | (target >= classes)
        if ignored is not None:
            strange &= target != ignored
        if strange.any():
            found = ", ".join(str(v) for v in target[strange].unique()[:5].tolist())
            raise TrainingError(
                f"Labels must be 0 to {classes - 1} or the ignored {ignored}, but "
                f"{int(strange.sum())} of a batch are not ({found}).\nIs this the right legend?"
            )
        return loss(logits, target)

    return checked


def is_labelled(target: Tensor, ignored: int | None) -> bool:
    """Whether a batch of targets, of any kind, has anything to learn from or to judge by."""
    known = ~torch.isnan(target) if target.is_floating_point() else target != ignored
    return bool(torch.as_tensor(known).any())


def require_labels(examples: Examples, part: str, rows: Sequence[int] | Ints | None = None) -> None:
    """Refuse a part of a split in which nothing is labelled, before anything is trained.

    Targets are read until one of them has a label.

    Args:
        examples: Of the part.
        part: Its name, for the error: "training", "validation" or "test".
        rows: Numbers of the examples that count; None: all.

    Raises:
        TrainingError: If none of them has a label.
    """
    chosen = range(len(examples)) if rows is None else [int(i) for i in rows]
    if any(is_labelled(examples[i][1], examples.ignore_index) for i in chosen):
        return
    named = f" ({examples.ids[chosen[0]]!r} …)" if len(chosen) else ""
    raise TrainingError(
        f"The {part} part needs a label, but all {len(chosen)} images of it{named} have only "
        f"ignored pixels.\nIs ignore_index ({examples.ignore_index}) right, and do the label maps "
        "cover these images?"
    )


def step_to_share(steps: Sequence[int], scores: Sequence[float], share: float = 0.95) -> float:
    """Give the step of the first look whose score is at least a share of the final one.

    The final score is that of the last look, not the best; looks without a score do not count.
    This is the one definition of the time to a share, of single runs and of studies.

    Args:
        steps: Of the looks, rising.
        scores: After these steps.
        share: In (0, 1].

    Returns:
        The step; NaN if the final score is not above zero.
    """
    looks = [(step, s) for step, s in zip(steps, scores, strict=True) if not math.isnan(s)]
    if not looks or not looks[-1][1] > 0:
        return math.nan
    return float(next(step for step, score in looks if score >= share * looks[-1][1]))


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

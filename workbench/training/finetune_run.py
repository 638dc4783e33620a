"""One fine-tuning run: its batches, its steps, its looks at validation, and the best weights."""

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.datasets.examples import Examples
from workbench.errors import TrainingError
from workbench.training.batchnorm import require_values
from workbench.training.features import FrozenFeatures, Standardise
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.protocols import Protocol, rate_factors, set_training
from workbench.training.schedules import along_cosine
from workbench.training.validation import Loss, ValidationScore, is_labelled

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """One look at the validation part."""

    step: int
    """Steps done."""
    train_loss: float
    """Mean of the labelled batches since the last look; NaN if there was none."""
    val_loss: float
    """Mean over the labelled validation batches."""
    val_score: float
    """`SCORES` of the task."""


class LiveImages:
    """Images that go through the encoder each time."""

    def __init__(
        self, model: Any, examples: Examples, standardise: Standardise, device: torch.device | str
    ) -> None:
        self.model, self.examples, self.standardise = model, examples, standardise
        self.device = device

    def __len__(self) -> int:
        return len(self.examples)

    def batch(self, rows: np.ndarray, turn: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Images and targets of some examples, turned at random with a generator."""
        images, targets = self.examples.batch(rows)
        images = self.standardise(images.to(self.device))
        if turn is not None:
            images, targets = _turned(images, targets, turn)
        return images, targets.to(self.device)

    def logits(self, images: Any) -> Tensor:
        """Logits of what `batch` gave."""
        found: Tensor = self.model(images)
        return found


class KeptFeatures:
    """Features that were computed once."""

    def __init__(self, model: Any, features: FrozenFeatures, device: torch.device | str) -> None:
        self.model, self.features, self.device = model, features, device

    def __len__(self) -> int:
        return len(self.features)

    def batch(
        self, rows: np.ndarray, turn: torch.Generator | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Feature maps and targets of some examples; features cannot be turned."""
        maps, targets = self.features.batch(rows)
        return [m.to(self.device) for m in maps], targets.to(self.device)

    def logits(self, maps: Any) -> Tensor:
        """Logits of what `batch` gave."""
        found: Tensor = self.model.decode(maps, self.features.size)
        return found


def _turned(images: Tensor, targets: Tensor, turn: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flip and turn a batch by one of the eight symmetries of the square."""
    kind = int(torch.randint(8, (1,), generator=turn))
    with_pixels = targets.ndim >= 3
    for k, dims in ((1, [-1]), (2, [-2])):
        if kind & k:
            images = images.flip(dims)
            targets = targets.flip(dims) if with_pixels else targets
    if kind & 4:
        images = images.transpose(-1, -2)
        targets = targets.transpose(-1, -2) if with_pixels else targets
    return images, targets


class Run:
    """One training run: steps, looks at validation, and the best weights so far."""

    def __init__(
        self,
        model: nn.Module,
        protocol: Protocol,
        settings: FinetuneSettings,
        loss: Loss,
        parts: tuple[LiveImages | KeptFeatures, LiveImages | KeptFeatures],
        rows: np.ndarray,
        examples: Examples,
        seed: int,
    ) -> None:
        self.model, self.protocol, self.settings, self.loss = model, protocol, settings, loss
        self.parts, self.rows, self.examples = parts, rows, examples
        self.rng = np.random.default_rng([seed, 1])
        self.turn = torch.Generator().manual_seed(seed) if settings.flips else None
        groups = rate_factors(model, protocol)
        self.factors = [factor for factor, _ in groups]
        self.optimiser = torch.optim.AdamW(
            [{"params": params} for _, params in groups],
            weight_decay=settings.weight_decay,
            fused=True,
        )
        # of a frozen encoder nothing needs to be kept, and it may be large
        self.changing: nn.Module = model.decoder if protocol.features_stay else model  # type: ignore[assignment]
        self.flops = 0.0
        self.steps_made = 0
        self.steps_ignored = 0
        """Steps whose batch had no label: they change nothing."""

    def train(self, progress: Callable[[int, int], None] | None) -> tuple[list[Look], int]:
        """Do all steps; the model ends with the weights of the best look."""
        total = self.settings.steps
        history = [self.look(0, float("nan"))]
        best, kept, losses = history[0], self.state(), []
        self.require_batchnorm_values()
        for step in range(total):
            loss = self.step(step)
            losses += [] if loss is None else [loss]
            if (step + 1) % self.settings.eval_every == 0 or step + 1 == total:
                mean = float(np.mean(losses)) if losses else float("nan")
                history.append(self.look(step + 1, mean))
                losses = []
                # the untrained head is no candidate, however lucky
                if history[-1].val_loss < best.val_loss or best.step == 0:
                    best, kept = history[-1], self.state()
            if progress is not None:
                progress(step + 1, total)
        self.flops *= self.steps_made
        if self.steps_ignored:
            log.warning(
                "%d of %d steps were left out: their batches have no label",
                self.steps_ignored,
                total,
            )
        if not self.steps_made:
            raise TrainingError(
                f"A step needs a labelled pixel to learn from, but the images of all {total} steps "
                "have none.\nTake more steps or larger batches, or leave unlabelled images out."
            )
        self.changing.load_state_dict(kept)
        return history, best.step

    def step(self, step: int) -> float | None:
        """Do one step and give its loss; None if nothing in its batch is labelled.

        Such a batch is not shown to the model at all: neither weights nor BatchNorm's statistics
        nor the optimiser's moments move.
        """
        self.set_rates(step)
        set_training(self.model, self.protocol)
        batch = self.draw()
        shown, targets = self.parts[0].batch(batch, self.turn)
        if not is_labelled(targets, self.examples.ignore_index):
            self.steps_ignored += 1
            return None
        if not self.steps_made:
            from torch.utils.flop_counter import FlopCounterMode

            with FlopCounterMode(display=False) as counter:
                loss = self.backward(shown, targets)
            self.flops = float(counter.get_total_flops())
        else:
            loss = self.backward(shown, targets)
        self.steps_made += 1
        if not np.isfinite(loss):
            ids = ", ".join(self.examples.ids[i] for i in batch)
            raise TrainingError(
                f"The loss must be a number, but is {loss} in step {step + 1}, on {ids}.\n"
                "Lower the learning rate, or look at these."
            )
        self.optimiser.step()
        return loss

    def backward(self, shown: Any, targets: Tensor) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(self.parts[0].logits(shown), targets)
        loss.backward()
        return float(loss.detach())

    def require_batchnorm_values(self) -> None:
        """Refuse batches of one image where BatchNorm would see one value, before any step."""
        if self.settings.batch_size > 1:
            return
        set_training(self.model, self.protocol)
        shown, _ = self.parts[0].batch(self.rows[:1])
        cure = "Use batch_size >= 2"
        require_values(self.model, lambda: self.parts[0].logits(shown), cure=cure)

    def draw(self) -> np.ndarray:
        """Examples of a batch: a new order each time all have been seen."""
        size = self.settings.batch_size
        queue = getattr(self, "_queue", np.zeros(0, np.int64))
        while len(queue) < size:
            queue = np.concatenate([queue, self.rng.permutation(self.rows)])
        self._queue = queue[size:]
        found: np.ndarray = queue[:size]
        return found

    def set_rates(self, step: int) -> None:
        warm = self.settings.warmup * self.settings.steps
        if step < warm:
            rate = (step + 1) / warm
        else:
            rate = along_cosine((step - warm) / max(1.0, self.settings.steps - warm), 1.0, 0.0)
        for factor, group in zip(self.factors, self.optimiser.param_groups, strict=True):
            group["lr"] = self.settings.lr * rate * factor

    @torch.no_grad()
    def look(self, step: int, train_loss: float) -> Look:
        """Judge the validation part."""
        self.model.eval()
        score, losses, size = ValidationScore(self.examples), [], self.settings.batch_size
        judged = 0
        for first in range(0, len(self.parts[1]), size):
            rows = np.arange(first, min(first + size, len(self.parts[1])))
            shown, targets = self.parts[1].batch(rows)
            if not is_labelled(targets, self.examples.ignore_index):
                continue
            logits = self.parts[1].logits(shown)
            losses.append(float(self.loss(logits, targets)) * len(rows))
            score.add(logits, targets)
            judged += len(rows)
        return Look(step, train_loss, sum(losses) / judged, score.value)

    def state(self) -> dict[str, Tensor]:
        return copy.deepcopy(self.changing.state_dict())

"""One fine-tuning run: its batches, its steps, its looks at validation, and the best weights."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.datasets.examples import Examples
from workbench.errors import TrainingError
from workbench.training.features import FrozenFeatures, Standardise
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.protocols import Protocol, rate_factors, set_training
from workbench.training.schedules import along_cosine
from workbench.training.validation import Loss, ValidationScore, is_labelled


@dataclass(frozen=True)
class Look:
    """One look at the validation part."""

    step: int
    """Steps done."""
    train_loss: float
    """Mean of the batches since the last look; NaN before the first step."""
    val_loss: float
    """Mean over the validation batches."""
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

    def logits(
        self, rows: np.ndarray, turn: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits and targets of some examples, turned at random with a generator."""
        images, targets = self.examples.batch(rows)
        images = self.standardise(images.to(self.device))
        if turn is not None:
            images, targets = _turned(images, targets, turn)
        return self.model(images), targets.to(self.device)


class KeptFeatures:
    """Features that were computed once."""

    def __init__(self, model: Any, features: FrozenFeatures, device: torch.device | str) -> None:
        self.model, self.features, self.device = model, features, device

    def __len__(self) -> int:
        return len(self.features)

    def logits(
        self, rows: np.ndarray, turn: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits and targets of some examples; features cannot be turned."""
        maps, targets = self.features.batch(rows)
        maps = [m.to(self.device) for m in maps]
        return self.model.decode(maps, self.features.size), targets.to(self.device)


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
        self.has_learned = False

    def train(self, progress: Callable[[int, int], None] | None) -> tuple[list[Look], int]:
        """Do all steps; the model ends with the weights of the best look."""
        total = self.settings.steps
        history = [self.look(0, float("nan"))]
        best, kept, losses = history[0], self.state(), []
        for step in range(total):
            losses.append(self.step(step))
            if (step + 1) % self.settings.eval_every == 0 or step + 1 == total:
                history.append(self.look(step + 1, float(np.mean(losses))))
                losses = []
                # the untrained head is no candidate, however lucky
                if history[-1].val_loss < best.val_loss or best.step == 0:
                    best, kept = history[-1], self.state()
            if progress is not None:
                progress(step + 1, total)
        if not self.has_learned:
            raise TrainingError(
                f"A step needs a labelled pixel to learn from, but the images of all {total} steps "
                "have none.\nTake more steps or larger batches, or leave unlabelled images out."
            )
        self.changing.load_state_dict(kept)
        return history, best.step

    def step(self, step: int) -> float:
        """Do one step and give its loss."""
        self.set_rates(step)
        set_training(self.model, self.protocol)
        batch = self.draw()
        if step == 0:
            from torch.utils.flop_counter import FlopCounterMode

            with FlopCounterMode(display=False) as counter:
                loss = self.backward(batch)
            self.flops = float(counter.get_total_flops()) * self.settings.steps
        else:
            loss = self.backward(batch)
        if not np.isfinite(loss):
            ids = ", ".join(self.examples.ids[i] for i in batch)
            raise TrainingError(
                f"The loss must be a number, but is {loss} in step {step + 1}, on {ids}.\n"
                "Lower the learning rate, or look at these."
            )
        self.optimiser.step()
        return loss

    def backward(self, batch: np.ndarray) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        logits, targets = self.parts[0].logits(batch, self.turn)
        loss = self.loss(logits, targets)
        if not self.has_learned:
            self.has_learned = is_labelled(targets, self.examples.ignore_index)
        loss.backward()
        return float(loss.detach())

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
        for first in range(0, len(self.parts[1]), size):
            rows = np.arange(first, min(first + size, len(self.parts[1])))
            logits, targets = self.parts[1].logits(rows)
            losses.append(float(self.loss(logits, targets)) * len(rows))
            score.add(logits, targets)
        return Look(step, train_loss, sum(losses) / len(self.parts[1]), score.value)

    def state(self) -> dict[str, Tensor]:
        return copy.deepcopy(self.changing.state_dict())

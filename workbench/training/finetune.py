"""Fine-tuning: a model, a protocol and labelled examples in; the best model on validation out."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from workbench.datasets.examples import Examples
from workbench.errors import ContractMismatchError, TrainingError
from workbench.training.features import FeatureCache, Standardise
from workbench.training.finetune_run import KeptFeatures, LiveImages, Look, Run
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.neighbours import NeighbourModel
from workbench.training.protocols import (
    Protocol,
    apply_protocol,
    encoder_parameters,
    trained_parameters,
)
from workbench.training.validation import (
    ValidationScore,
    require_labels,
    step_to_share,
    task_loss,
)

log = logging.getLogger(__name__)


@dataclass
class FinetuneResult:
    """What a run gave."""

    model: nn.Module
    """The model as it was at the best look, in eval mode."""
    history: list[Look]
    """Looks at the validation part, the first before any step."""
    best_step: int
    """Step of the smallest validation loss, which chose the model; the test part is never seen."""
    parameters_trained: int
    """Weights that were trained."""
    encoder_parameters_trained: int
    """Those of the encoder among them."""
    flops: float
    """Floating point operations of training: all steps, forward and backward, as counted on the
    first. Where features are computed once: the head's steps, and one forward pass of the encoder
    over the images trained on, whoever else shares it. Looks at validation are not counted."""
    seconds: float
    """Wall time."""
    seeds: dict[str, int] = field(default_factory=dict)
    """What was seeded."""
    steps_ignored: int = 0
    """Steps that were left out, as nothing in their batch was labelled."""

    def steps_to(self, share: float = 0.95) -> float:
        """Give the first step at which the validation score is this share of its final one.

        Args:
            share: In (0, 1].

        Returns:
            As `step_to_share`: NaN if the final score is not above zero.
        """
        steps, scores = zip(*((look.step, look.val_score) for look in self.history), strict=True)
        return step_to_share(steps, scores, share)


def finetune(
    model: nn.Module,
    train: Examples,
    val: Examples,
    *,
    protocol: Protocol | str,
    standardise: Standardise,
    settings: FinetuneSettings = FinetuneSettings(),  # noqa: B008  # frozen
    chosen: Sequence[int] | np.ndarray | None = None,
    cache: FeatureCache | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> FinetuneResult:
    """Train a model on a task, under a protocol.

    Args:
        model: With `.encoder`, `.decoder`, `.features(images)` and `.decode(features, size)`; it is
            changed.
        train: Labelled examples to learn from.
        val: Labelled examples by which the best step is chosen, in no group of `train`.
        protocol: What is trained; a name for one without options.
        standardise: From stored numbers to what the encoder takes, as the checkpoint's
            `Card.normalizer()`.
        settings: How long and how fast.
        chosen: Numbers of the training examples that count, as from `label_fraction`; None: all.
        cache: Features of frozen encoders, shared by runs of a sweep; None: one of this run.
        seed: Of batches, flips and dropout, >= 0; not of the initial weights.
        device: Where to compute.
        progress: Called with (steps done, steps in all).

    Raises:
        ContractMismatchError: If encoder and data differ in bands, or train and val in contract.
        TrainingError: If a group is in train and val, the protocol does not go with the model or
            the task, nothing is labelled, a batch of one image leaves BatchNorm one value, or the
            loss is no number.
    """
    rules = Protocol(protocol) if isinstance(protocol, str) else protocol  # type: ignore[arg-type]
    rows = np.arange(len(train)) if chosen is None else np.asarray(chosen, dtype=np.int64)
    _require_fit(model, train, val, rows)
    started = time.perf_counter()
    model.to(device)
    features = FeatureCache(device=device) if cache is None else cache
    if rules.name == "knn":
        return _nearest(model, train, val, rows, features, standardise, settings, started)
    apply_protocol(model, rules)
    cached = features if rules.features_stay else None
    parts, of_image = _parts(model, train, val, cached, standardise, device)
    run = Run(model, rules, settings, task_loss(train, settings), parts, rows, train, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        history, best_step = run.train(progress)
    weights = trained_parameters(model), encoder_parameters(model)
    spent = of_image * len(rows) + run.flops, time.perf_counter() - started
    return FinetuneResult(
        model.eval(), history, best_step, *weights, *spent, {"training": seed}, run.steps_ignored
    )


def _parts(
    model: nn.Module,
    train: Examples,
    val: Examples,
    cache: FeatureCache | None,
    standardise: Standardise,
    device: torch.device | str,
) -> tuple[tuple[LiveImages | KeptFeatures, LiveImages | KeptFeatures], float]:
    """What steps and looks see, and the operations that each training image costs beforehand."""
    if cache is None:
        live = [LiveImages(model, part, standardise, device) for part in (train, val)]
        return (live[0], live[1]), 0.0
    kept, judged = (cache.of(model, part, standardise) for part in (train, val))
    parts = KeptFeatures(model, kept, device), KeptFeatures(model, judged, device)
    return parts, kept.flops_per_image


def _require_fit(model: nn.Module, train: Examples, val: Examples, rows: np.ndarray) -> None:
    val.contract.require_same(train.contract, thing="The validation part")
    encoder: Any = model.encoder
    has = len(train.contract.band_names) * (2 if train.kind == "change" else 1)
    if encoder.bands != has:
        raise ContractMismatchError(
            f"The encoder must take the bands of the data, but takes {encoder.bands} and they have "
            f"{has}.\nMake it with `bands` of the data; change has two dates of them."
        )
    if shared := sorted(set(train.groups) & set(val.groups)):
        raise TrainingError(
            f"Training and validation must not share ground, but group {shared[0]!r} and "
            f"{len(shared) - 1} more are in both.\nSplit by component or block (`split_locations`)."
        )
    require_labels(train, "training", rows)
    require_labels(val, "validation")


def _nearest(
    model: Any,
    train: Examples,
    val: Examples,
    rows: np.ndarray,
    cache: FeatureCache,
    standardise: Standardise,
    settings: FinetuneSettings,
    started: float,
) -> FinetuneResult:
    """Let the nearest training images vote; nothing is trained."""
    if train.kind != "presence":
        raise TrainingError(
            f"Nearest neighbours vote on whole images, but the task gives {train.kind!r} for each "
            "pixel.\nUse 'linear' or 'frozen'."
        )
    features = cache.of(model, train, standardise)
    maps, targets = features.batch(rows)
    voting = NeighbourModel(model.encoder, maps[0], targets, settings.neighbours)
    loss, score = task_loss(train, settings), ValidationScore(val)
    maps, targets = cache.of(model, val, standardise).batch(np.arange(len(val)))
    with torch.no_grad():
        logits = voting.decode(maps, (0, 0))
    score.add(logits, targets)
    look = Look(0, float("nan"), float(loss(logits, targets)), score.value)
    flops = features.flops_per_image * len(rows)
    return FinetuneResult(voting.eval(), [look], 0, 0, 0, flops, time.perf_counter() - started)

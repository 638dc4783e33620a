"""One cell of a study: build the model, train it under its protocol, judge it on the test part."""

import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from workbench.datasets.examples import Examples
from workbench.datasets.fractions import label_fraction
from workbench.errors import EvaluationError
from workbench.evaluation.metrics import SegmentationTally
from workbench.evaluation.metrics_density import DensityTally
from workbench.evaluation.metrics_labels import MultiLabelTally
from workbench.evaluation.results import CellResult, Cost
from workbench.evaluation.score_records import ScoreRecord
from workbench.evaluation.study import StudyCell
from workbench.evaluation.tasks import Task
from workbench.models import segmentation_model
from workbench.models.heads import ClassificationModel, SiameseEncoder
from workbench.training.features import FeatureCache
from workbench.training.finetune import FinetuneResult, finetune
from workbench.training.finetune_settings import FinetuneSettings
from workbench.training.protocols import Protocol
from workbench.training.validation import is_labelled, require_labels

MakeEncoder: TypeAlias = Callable[[StudyCell, Task], nn.Module]
"""Gives the encoder of a cell, with the weights that its `init` names; a new one each time."""

_OPTIONS_OF_PROTOCOL = ("as_published", "layer_decay", "lora_rank")
_OPTIONS_OF_RUN = tuple(setting.name for setting in fields(FinetuneSettings))


@dataclass
class Bench:
    """Runs cells: what all of them share. Call it with a cell, or give it to `run_study`.

    Nothing here changes what a training gives. How long and how fast it trains is among the options
    of the cell (`settings_of`), and so in its key: other settings are other cells.
    """

    tasks: Mapping[str, Task]
    """Tasks by name."""
    make_encoder: MakeEncoder
    """Makes the encoder of a cell."""
    cache: FeatureCache | None = None
    """Features of frozen encoders, shared by the cells."""
    device: str = "cpu"
    """Where to compute."""
    keep: Callable[[StudyCell, FinetuneResult, Tensor], None] | None = None
    """Called with cell, run and (N, ...) predictions of the test part."""
    _judgeable: set[str] = field(default_factory=set, init=False, repr=False)

    def __call__(self, cell: StudyCell) -> CellResult:
        """Train and judge one cell.

        Raises:
            EvaluationError: If there is no such task, the cell makes no sense, or a test image of
                densities has no label.
            TrainingError: If the training cannot start or had to stop.
        """
        if cell.task not in self.tasks:
            known = ", ".join(self.tasks)
            raise EvaluationError(f"There is no task {cell.task!r}.\nTasks are {known}.")
        task = self.tasks[cell.task]
        if cell.task not in self._judgeable:
            require_judgeable(task)
            self._judgeable.add(cell.task)
        cache = self.cache if self.cache is not None else FeatureCache(device=self.device)
        protocol = protocol_of(cell)
        model = build_model(task, self.make_encoder(cell, task), cell)
        chosen = None
        if cell.fraction < 1:
            chosen = label_fraction(task.train.occurrence(), cell.fraction, draw=cell.draw)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        run = finetune(
            model,
            task.train,
            task.val,
            protocol=protocol,
            standardise=task.standardise.to(self.device),
            settings=settings_of(cell),
            chosen=chosen,
            cache=cache,
            seed=cell.seed,
            device=self.device,
        )
        frozen = cache if protocol.features_stay else None
        logits = predict(run.model, task.test, task, cache=frozen, device=self.device)
        if self.keep is not None:
            self.keep(cell, run, logits if task.test.kind == "presence" else hard(logits, task))
        cost = Cost(run.parameters_trained, run.flops, run.seconds, _peak_memory_mb())
        record, group = (
            judged(logits, task.test),
            dict(zip(task.test.ids, task.test.groups, strict=True)),
        )
        notes = {"best_step": str(run.best_step), "protocol": str(protocol)}
        if protocol.features_stay:
            notes["flops"] = (
                "the head's steps and one pass of the encoder over the images trained on"
            )
        return CellResult(
            record.grouped([group[i] for i in record.images]),
            task.stamp,
            cost,
            seeds={**run.seeds, "head": cell.seed},
            curve=tuple((look.step, look.val_score) for look in run.history),
            notes=notes,
        )


def protocol_of(cell: StudyCell) -> Protocol:
    """The protocol of a cell, with its options."""
    options = {k: cell.options[k] for k in _OPTIONS_OF_PROTOCOL if k in cell.options}
    return Protocol(cell.protocol, **options)  # type: ignore[arg-type]


def settings_of(cell: StudyCell) -> FinetuneSettings:
    """The settings of a cell: its options of these names, and else the usual ones."""
    own = {k: cell.options[k] for k in _OPTIONS_OF_RUN if k in cell.options}
    return FinetuneSettings(**own)


def build_model(task: Task, encoder: nn.Module, cell: StudyCell) -> nn.Module:
    """Put an encoder and a decoder together for a task, its head drawn from the cell's seed.

    Raises:
        EvaluationError: If task, decoder and protocol make no sense together.
        ModelError: If encoder and decoder do not fit.
    """
    require_sensible(task, cell)
    kind = task.train.kind
    if kind == "change":
        encoder = SiameseEncoder(encoder)
    with torch.random.fork_rng():
        torch.manual_seed(cell.seed)
        if kind == "presence":
            return ClassificationModel(encoder, task.train.outputs)
        model: nn.Module = segmentation_model(encoder, cell.decoder, task.train.outputs)
        return model


def require_sensible(task: Task, cell: StudyCell) -> None:
    """Refuse a combination that means nothing, with a sentence that says why.

    Raises:
        EvaluationError: If so.
    """
    per_pixel = task.train.kind != "presence"
    told = None
    if not per_pixel and cell.decoder != "linear":
        told = f"{task.name} labels whole images, so its decoder is 'linear', not {cell.decoder!r}"
    elif per_pixel and cell.protocol == "knn":
        told = f"neighbours vote on whole images, but {task.name} labels pixels"
    elif cell.protocol == "linear" and cell.decoder != "linear":
        told = f"the protocol 'linear' has a linear head, but the decoder is {cell.decoder!r}"
    elif cell.protocol == "scratch" and cell.init != "random":
        told = f"'scratch' starts from random weights, but init is {cell.init!r}"
    if told is not None:
        raise EvaluationError(f"This cell makes no sense: {told} ({cell}).")


def require_judgeable(task: Task) -> None:
    """Refuse a test part that cannot be judged, before anything is trained for it.

    Label maps of classes may be without a label here and there: such images are left out, counted
    and logged by `judged`. Densities are read once, each of them needs a label.

    Raises:
        EvaluationError: If a test image of densities has no labelled pixel.
        TrainingError: If no test image has one.
    """
    test = task.test
    require_labels(test, "test")
    if test.kind != "density":
        return
    empty = [name for k, name in enumerate(test.ids) if not is_labelled(test[k][1], None)]
    if empty:
        raise EvaluationError(
            f"Each test image of {task.name} needs a labelled pixel, but {len(empty)} of "
            f"{len(test)} have none, such as {empty[0]!r}.\nLeave them out: make the task with "
            "`least_labelled` above 0."
        )


@torch.no_grad()
def predict(
    model: nn.Module,
    examples: Examples,
    task: Task,
    *,
    cache: FeatureCache | None = None,
    batch_size: int = 16,
    device: str = "cpu",
) -> Tensor:
    """Give the logits of examples.

    Args:
        model: (B, C, H, W) to (B, K, ...) logits; it is put into eval mode.
        examples: Of the task.
        task: By whose statistics images are standardised.
        cache: Features of a frozen encoder; None: images go through the model.
        batch_size: Images at once.
        device: Where to compute.

    Returns:
        (N, K) or (N, K, H, W), in memory.
    """
    network: Any = model.eval().to(device)
    kept = None if cache is None else cache.of(network, examples, task.standardise)
    found = []
    for first in range(0, len(examples), batch_size):
        rows = torch.arange(first, min(first + batch_size, len(examples)))
        if kept is not None:
            maps, _ = kept.batch(rows.numpy())
            logits = network.decode([m.to(device) for m in maps], kept.size)
        else:
            images, _ = examples.batch(rows.tolist())
            logits = network(task.standardise(images.to(device)))
        found.append(logits.float().cpu())
    return torch.cat(found)


def hard(logits: Tensor, task: Task) -> Tensor:
    """Turn logits of pixels into class indices, or densities in [0, 1]."""
    if task.test.kind == "density":
        return logits.squeeze(1).sigmoid()
    return logits.argmax(1).to(torch.uint8)


def judged(logits: Tensor, examples: Examples) -> ScoreRecord:
    """Judge logits: counts of each image, from which every metric of the task follows.

    Label maps without a labelled pixel are left out, counted and logged.

    Raises:
        ContractMismatchError: If no image has a label, or a label is outside the legend.
    """
    _, target = examples.batch(range(len(examples)))
    if examples.kind == "presence":
        labels = MultiLabelTally(examples.class_names)
        labels.add(logits, target, examples.ids)
        return labels.record()
    if examples.kind == "density":
        density = DensityTally()
        density.add(logits.squeeze(1).sigmoid(), target, examples.ids)
        return density.record()
    ignored = examples.ignore_index
    tally = SegmentationTally(examples.class_names, ignore_index=ignored, empty="drop")
    tally.add(logits, target, examples.ids)
    return tally.record()


def _peak_memory_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

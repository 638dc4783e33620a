"""The loop of a run on Lightning Fabric: batches, views, loss, step, state.

Every step is a function of the state before it, the seed and its number. So a run may end between
any two steps, and the next one goes on as if nothing had happened.
"""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.datasets.augmentations import ViewPipeline, view_dates
from workbench.datasets.temporal_patches import TemporalBatch, TemporalPatches
from workbench.errors import TrainingError
from workbench.progress import Progress, ProgressBar
from workbench.training.batches import (
    Share,
    batch_loader,
    mask_generator,
    network_seed,
    view_generator,
)
from workbench.training.checkpoint import Card, require_weights, save_checkpoint
from workbench.training.devices import set_up
from workbench.training.feeding import on_device
from workbench.training.interrupts import PatientInterrupt
from workbench.training.logs import MetricsLog
from workbench.training.optimisers import build_optimiser, set_rates
from workbench.training.run_state import RunState, full_state, restore, write_state
from workbench.training.schedules import learning_rate, weight_decay
from workbench.training.settings import PretrainSettings
from workbench.training.watching import Watcher, require_number

if TYPE_CHECKING:
    from lightning.fabric import Fabric

CHECKPOINT = "encoder.safetensors"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """All that a run is made from."""

    method: Any
    """The pretext method, a `methods.PretextMethod`."""
    dataset: TemporalPatches
    """The locations."""
    views: ViewPipeline
    """Stored numbers to standardised views."""
    settings: PretrainSettings
    """Of the run."""
    seed: int
    """Of order, views and masks."""
    out: Path
    """Folder of the run."""
    identity: dict[str, Any]
    """What the run is, as its state keeps it."""
    card: Card
    """Of the checkpoint, but for what is known at the end only."""

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.settings.total_steps(len(self.dataset))


@dataclass
class StepResult:
    """What a step gave."""

    loss: float
    """Mean over all processes."""
    embeddings: Tensor
    """(N, D) of this process's last part of the batch."""
    projections: Tensor | None
    """(N, P) of the same; None if the method has none."""
    diagnostics: dict[str, Tensor]
    """Of the same."""
    locations: Tensor
    """Numbers of the locations of this process."""


class Loop:
    """A run in progress.

    Args:
        plan: What to do.
        fabric: On what.
        state: Where to go on; None: from the start. The method then has the state's weights,
            whatever it had before.
        watcher: Looks at every step.
    """

    def __init__(
        self, plan: Plan, fabric: "Fabric", state: RunState | None, watcher: Watcher
    ) -> None:
        self.plan, self.fabric, self.watcher = plan, fabric, watcher
        self.share = Share(fabric.global_rank, fabric.world_size)
        _require_parts(plan, self.share)
        self.model, self.is_sharded = set_up(fabric, plan.method, plan.settings)
        self.method: nn.Module = self.model.module.method  # type: ignore[union-attr, assignment]
        optimiser = build_optimiser(self.method, plan.settings)
        self.start = self.done = 0
        self.last: dict[str, float] = {}
        self.checkpoint_step: int | None = None
        """Step of the checkpoint in the folder; None if there is none."""
        if state is not None:
            restore(self.method, optimiser, state, is_sharded=self.is_sharded)
            self.start = self.done = self.checkpoint_step = state.step
            self.last = dict(state.last)
            watcher.restore(state.watch)
        self.optimiser: Any = fabric.setup_optimizers(optimiser)
        self.views = plan.views.to(fabric.device)

    @property
    def stop(self) -> int:
        """Step at which this call ends."""
        return min(self.plan.total, self.plan.settings.stop_after or self.plan.total)

    def leave_as_found(self) -> None:
        """Put the method into the mode in which a run leaves it, where no step is left to do.

        A missing checkpoint is written again from the state.

        Raises:
            CheckpointError: If the checkpoint in the folder holds other weights than the state.
        """
        self.model.train()
        path = self.plan.out / CHECKPOINT
        if not path.is_file():
            log.warning("%s is missing and is written again from the state of the run", path)
            self.fabric.barrier()
            self.save(self.start)
        elif not self.is_sharded:
            encoder: Any = self.method.encoder
            require_weights(path, encoder.state_dict())

    def run(self, progress: bool | Progress) -> dict[str, float]:
        """Do all steps that are left, up to `stop_after`.

        An interrupt lets the step at hand end and keeps the state; with several processes, which
        would not stop at the same step, it strikes at once and the last checkpoint counts.

        Returns:
            The last row of the metrics, with the loss.

        Raises:
            TrainingError: If the loss is no number, or the watcher is to stop at a collapse.
            KeyboardInterrupt: If interrupted; the same call goes on.
        """
        settings, total, stop = self.plan.settings, self.plan.total, self.stop
        is_first = self.share.rank == 0
        loggers = settings.loggers if is_first else ()
        metrics = MetricsLog(self.plan.out, loggers, start=self.start)
        bar = ProgressBar(progress if is_first else False, total=total, start=self.start)
        batches = on_device(self._loader(stop), self.fabric.device)
        self.model.train()
        patient = PatientInterrupt(wanted=self.share.processes == 1)
        try:
            with patient as interrupt:
                for step in range(self.start, stop):
                    began = time.perf_counter()
                    found = self._step(step, batches)
                    self._watch(step, found)
                    self.done = step + 1
                    is_last = step + 1 == stop
                    if is_last or step % settings.log_every == 0:
                        self.last = self._row(step, found, time.perf_counter() - began)
                        self.last |= self.watcher.probes(step, last=is_last) if is_first else {}
                        metrics.row(step, self.last)
                    is_kept = is_last or (step + 1) % settings.checkpoint_every == 0
                    if is_kept:
                        self.save(step + 1)
                    bar.done(step + 1, {"loss": found.loss})
                    if interrupt.asked:
                        self._keep(step + 1, is_kept=is_kept)
        finally:
            metrics.close()
            bar.close()
        return self.last

    def save(self, steps: int) -> None:
        """Write the state of the run, then the encoder with its card; the first process does."""
        optimiser = getattr(self.optimiser, "optimizer", self.optimiser)
        method, inner = full_state(self.method, optimiser, is_sharded=self.is_sharded)
        if self.share.rank == 0:
            encoder = {
                name.removeprefix("encoder."): value
                for name, value in method.items()
                if name.startswith("encoder.")
            }
            finite = {k: v for k, v in self.last.items() if math.isfinite(v)}
            card = {**vars(self.plan.card), "steps": steps, "metrics": finite}
            save_checkpoint(self.plan.out / CHECKPOINT, encoder, Card(**card))
            state = RunState(
                steps, self.plan.identity, method, inner, dict(self.last), self.watcher.state()
            )
            write_state(self.plan.out, state)
        self.checkpoint_step = steps
        self.fabric.barrier()

    @property
    def told_of_checkpoint(self) -> str:
        """What is left of the run if it ends here, for messages."""
        if self.checkpoint_step is None:
            return "No checkpoint was written yet."
        return f"The last checkpoint is kept: step {self.checkpoint_step}, in {self.plan.out}."

    def _keep(self, steps: int, *, is_kept: bool) -> None:
        """Keep the state after an interrupt, and let it take its course."""
        if not is_kept:
            self.save(steps)
        told = (
            f"Interrupted after step {steps} of {self.plan.total}; nothing is lost: the state is "
            f"kept in {self.plan.out}.\nThe same call goes on from there."
        )
        log.warning("%s", told)
        raise KeyboardInterrupt(told)

    def _loader(self, stop: int) -> Any:
        return batch_loader(
            self.plan.dataset,
            self.plan.settings,
            seed=self.plan.seed,
            start=self.start,
            stop=stop,
            share=self.share,
            device=self.fabric.device,
        )

    def _step(self, step: int, batches: Iterator[TemporalBatch]) -> StepResult:
        settings, seed, total = self.plan.settings, self.plan.seed, self.plan.total
        rate = learning_rate(
            settings, step, total=total, per_epoch=settings.steps_per_epoch(len(self.plan.dataset))
        )
        set_rates(self.optimiser, rate, weight_decay(settings, step, total=total))
        self.optimiser.zero_grad()
        device = self.fabric.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(network_seed(seed, step, self.share))
            found = self._gradients(step, batches)
            self._require_number(step, found)
            if settings.clip_gradients is not None:
                self.fabric.clip_gradients(
                    self.model,
                    self.optimiser,
                    max_norm=settings.clip_gradients,
                    error_if_nonfinite=False,
                )
            self.optimiser.step()
            self.method.update((step + 1) / total)  # type: ignore[operator]
        return found

    def _gradients(self, step: int, batches: Iterator[TemporalBatch]) -> StepResult:
        parts = self.plan.settings.accumulate
        masks = mask_generator(self.plan.seed, step, self.share)
        losses, locations = [], []
        for k in range(parts):
            batch = next(batches)
            views = self._views(batch, step, k)
            with self.fabric.no_backward_sync(self.model, enabled=k + 1 < parts):  # type: ignore[arg-type]
                loss, embeddings, projections, diagnostics = self.model(views, masks)
                self.fabric.backward(loss / parts)
            losses.append(loss.detach())
            locations.append(batch["location"])
        mean: Any = torch.stack(losses).mean()
        if self.share.processes > 1:
            mean = self.fabric.all_reduce(mean, reduce_op="mean")
        shown = torch.cat(locations).unique()
        return StepResult(float(mean), embeddings, projections, diagnostics, shown)

    def _views(self, batch: TemporalBatch, step: int, part: int) -> list[Tensor]:
        parts = self.plan.settings.accumulate
        images = batch["images"].to(self.fabric.device, non_blocking=True)
        place = self.share.rank * parts + part, self.share.processes * parts
        generator = view_generator(self.plan.seed, step)
        found: list[Tensor] = self.views(images, generator, dates=view_dates(batch), part=place)
        return found

    def _require_number(self, step: int, found: StepResult) -> None:
        if math.isfinite(found.loss):
            return
        ids = self.plan.dataset.patches.index.location[found.locations.numpy()]
        names = [name.decode() for name in ids]
        require_number(found.loss, step, names, self.told_of_checkpoint)

    def _watch(self, step: int, found: StepResult) -> None:
        finding = self.watcher.look(
            step, found.loss, found.embeddings, found.diagnostics, found.projections
        )
        stops = finding is not None and finding.stops
        if self.share.processes > 1 and self.plan.settings.watch == "stop":
            stops = any(self.fabric.all_gather(torch.tensor(stops)).tolist())  # type: ignore[union-attr]
        if stops:
            told = finding.reason if finding else f"Step {step}: another process saw a collapse."
            raise TrainingError(f"{told}\n{self.told_of_checkpoint}")

    def _row(self, step: int, found: StepResult, seconds: float) -> dict[str, float]:
        per_epoch = self.plan.settings.steps_per_epoch(len(self.plan.dataset))
        return {
            "epoch": step / per_epoch,
            "loss": found.loss,
            "lr": float(self.optimiser.param_groups[0]["lr"]),
            "samples_per_second": self.plan.settings.batch_size / seconds,
            **self.watcher.numbers(step, found.embeddings, found.diagnostics, found.projections),
        }


def _require_parts(plan: Plan, share: Share) -> None:
    settings = plan.settings
    parts = share.processes * settings.accumulate
    size, rest = divmod(settings.batch_size, parts)
    if rest:
        raise TrainingError(
            f"A batch of {settings.batch_size} must be cut into equal parts, but there are {parts} "
            f"({share.processes} processes × accumulate={settings.accumulate})."
        )
    if size < plan.method.smallest_batch:
        raise TrainingError(
            f"{type(plan.method).__name__} compares the locations of a batch, so each part needs "
            f"at least {plan.method.smallest_batch}, but gets {size}.\n"
            "Raise `batch_size`, or lower `accumulate`."
        )

"""Which locations each step sees, as a function of the seed and the step alone.

A run that is taken up again at step n asks for the batches from n on; nothing is remembered from
the steps before. Processes that train together take neighbouring parts of the same batch.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from workbench.datasets.temporal_patches import TemporalBatch, TemporalPatches, collate_views
from workbench.training.feeding import ReadBatches
from workbench.training.settings import PretrainSettings

CPU = torch.device("cpu")
_ORDER, _VIEWS, _MASKS, _NETWORK = range(4)  # what a stream of random numbers is for


@dataclass(frozen=True)
class Share:
    """Which part of each batch a process takes."""

    rank: int = 0
    """Number of the process, from 0."""
    processes: int = 1
    """How many train together."""


class StepBatches(Sampler[list[tuple[int, int]]]):
    """The parts of all batches from a step on: lists of (epoch, location).

    Args:
        locations: Number of locations of the data.
        settings: Of the run: `accumulate` parts follow one another for each step.
        seed: Of the run.
        start: First step, from 0.
        stop: Step after the last.
        share: Of this process.
    """

    def __init__(
        self,
        locations: int,
        settings: PretrainSettings,
        *,
        seed: int,
        start: int,
        stop: int,
        share: Share,
    ) -> None:
        self.locations, self.settings, self.seed = locations, settings, seed
        self.start, self.stop, self.share = start, stop, share

    def __len__(self) -> int:
        return (self.stop - self.start) * self.settings.accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        size = self.settings.batch_size
        parts = self.share.processes * self.settings.accumulate
        per_epoch = self.settings.steps_per_epoch(self.locations)
        shown = -1
        for step in range(self.start, self.stop):
            epoch, within = divmod(step, per_epoch)
            if epoch != shown:
                order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(
                    self.locations
                )
                shown = epoch
            batch = order[within * size : (within + 1) * size].reshape(parts, -1)
            first = self.share.rank * self.settings.accumulate
            for part in batch[first : first + self.settings.accumulate]:
                yield [(epoch, int(i)) for i in part]


class OfEpoch(Dataset[Any]):
    """A dataset that is asked for (epoch, location), so that workers may run ahead of an epoch."""

    def __init__(self, dataset: TemporalPatches) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, asked: tuple[int, int]) -> Any:
        epoch, location = asked
        return self.dataset.sample(location, epoch)


def batch_loader(
    dataset: TemporalPatches,
    settings: PretrainSettings,
    *,
    seed: int,
    start: int,
    stop: int,
    share: Share = Share(),
    device: torch.device = CPU,
) -> "DataLoader[TemporalBatch] | ReadBatches":
    """Load the batches of the steps from `start` to `stop`.

    Processes read for a CPU, or this one if `settings.workers` is 0. For a GPU threads do, into
    pinned memory; with 0, one for each core, 8 at most.
    """
    batches = StepBatches(len(dataset), settings, seed=seed, start=start, stop=stop, share=share)
    if device.type == "cuda":
        threads = settings.workers or min(8, len(os.sched_getaffinity(0)))
        return ReadBatches(dataset, batches, threads=threads, pin=True)
    return DataLoader(
        OfEpoch(dataset),
        batch_sampler=batches,
        collate_fn=collate_views,
        num_workers=settings.workers,
        prefetch_factor=4 if settings.workers else None,
        generator=torch.Generator().manual_seed(seed),  # else it draws from the caller's numbers
    )


def view_generator(seed: int, step: int) -> torch.Generator:
    """Give the random numbers of a step's views: the same in all processes."""
    return _generator(seed, _VIEWS, step)


def mask_generator(seed: int, step: int, share: Share) -> torch.Generator:
    """Give the random numbers of a step's masks: each process has its own."""
    return _generator(seed, _MASKS, step, share.rank)


def network_seed(seed: int, step: int, share: Share) -> int:
    """Give the seed of what the network itself draws in a step, as stochastic depth."""
    return _generator(seed, _NETWORK, step, share.rank).initial_seed()


def _generator(*words: int) -> torch.Generator:
    state = np.random.SeedSequence(words).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 31 ^ int(state[1]))

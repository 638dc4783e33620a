"""A location and its acquisitions as a torch Dataset: positive pairs, or one acquisition at a time.

A sample is one location. Which acquisitions it shows is drawn from (seed, epoch, index) alone, so
that it does not depend on who draws it: the same for any number of workers and any batch size.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from workbench.datasets.acquisitions import DAY, Acquisitions, Ints
from workbench.datasets.patches import Patches
from workbench.datasets.positives import PairPolicy, Pairs, allowed_pairs
from workbench.errors import ManifestError
from workbench.sensors import InputContract

log = logging.getLogger(__name__)


class TemporalSample(TypedDict):
    """One location."""

    images: Tensor
    """(V, C, H, W) stored numbers: two acquisitions of different dates, or one."""
    time: Tensor
    """(V,) float64, seconds since 1970 (UTC)."""
    location: int
    """Number of the location in the dataset."""


class TemporalBatch(TypedDict):
    """Several locations; those with one acquisition give one image, not the same one twice."""

    images: Tensor
    """(I, C, H, W) stored numbers of all images, I between B and 2 B."""
    time: Tensor
    """(I,) float64, seconds since 1970 (UTC)."""
    location: Tensor
    """(I,) number of each image's location in the dataset."""
    pairs: Tensor
    """(P, 2) int64: which two images are a positive pair."""
    singles: Tensor
    """(S,) int64: which images have no partner, P + S = B."""


@dataclass(frozen=True)
class LocationCounts:
    """What became of the locations of a manifest."""

    paired: int
    """In the dataset, with at least one allowed pair."""
    single: int
    """In the dataset, with one acquisition per sample."""
    too_few_dates: int
    """Left out: fewer dates than `min_acquisitions`."""
    no_allowed_pair: int
    """Left out: enough dates, but no two that the policy allows."""
    too_cloudy: int
    """Left out: no acquisition is clear enough for the policy."""


class TemporalPatches(Dataset[TemporalSample]):
    """Locations with positive pairs of acquisitions.

    Args:
        patches: The extraction, or its training part.
        min_acquisitions: Dates a location must have, >= 1. From 2 on, every sample is a pair, and
            locations without an allowed pair are left out. With 1, they stay as single images;
            `counts` says how many. An image is never its own partner.
        pairs: Which two acquisitions may be a pair; None for single acquisitions throughout.
        seed: Seed of the draws, >= 0; each epoch draws anew (`set_epoch`).

    Raises:
        ManifestError: If no location is left, or a pair is wanted and no location has an allowed
            one.
        ValueError: If `min_acquisitions` or `seed` is out of its range.
    """

    counts: LocationCounts
    """What became of the locations; also logged."""

    def __init__(
        self,
        patches: Patches,
        *,
        min_acquisitions: int,
        pairs: PairPolicy | None = PairPolicy(),  # noqa: B008  # frozen
        seed: int = 0,
    ) -> None:
        if min_acquisitions < 1 or seed < 0:
            raise ValueError(
                f"TemporalPatches needs min_acquisitions >= 1 and seed >= 0, "
                f"got {min_acquisitions!r} and {seed!r}."
            )
        self.seed, self.policy = seed, pairs
        keep, self.counts = _chosen(patches.index, pairs, min_acquisitions)
        log.info("locations of the dataset: %s", asdict(self.counts))
        index = patches.index.select(keep)
        self.patches = replace(patches, index=index)
        self._pairs = _no_pairs(index) if pairs is None else allowed_pairs(index, pairs)
        self._usable = np.flatnonzero((pairs or PairPolicy()).usable(index.cloud))
        self._first_usable = np.searchsorted(self._usable, index.first)
        # in shared memory, so that workers that live on see the next epoch
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.patches.index)

    def __getitem__(self, i: int) -> TemporalSample:
        return self.sample(i, self.epoch)

    def sample(self, i: int, epoch: int) -> TemporalSample:
        """Give location `i` as an epoch shows it, whichever epoch the dataset is set to."""
        if not 0 <= i < len(self):
            raise IndexError(f"The dataset has {len(self)} locations, so none is number {i}.")
        shown = self.draw(i, epoch)
        images = np.empty((len(shown), *self.patches.shape), self.patches.store.dtype)
        for image, acquisition in zip(images, shown, strict=True):
            self.patches.read(acquisition, out=image)
        time = torch.from_numpy(self.patches.index.time[list(shown)])
        return {"images": torch.from_numpy(images), "time": time, "location": i}

    @property
    def contract(self) -> InputContract:
        """How the numbers of the images are to be read."""
        return self.patches.contract

    @property
    def epoch(self) -> int:
        """The epoch whose draws are given, from 0."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Draw other pairs: call it before each pass, as with a distributed sampler."""
        self._epoch.fill_(epoch)

    def draw(self, i: int, epoch: int | None = None) -> tuple[int, ...]:
        """Draw which acquisitions a location shows in an epoch, by their numbers in the index.

        Every allowed pair is equally likely, in either order. The cost does not depend on the
        number of locations.

        Args:
            i: The location, in [0, len).
            epoch: From 0; None: the one that the dataset is set to.
        """
        rng = np.random.default_rng((self.seed, self.epoch if epoch is None else epoch, i))
        low, high = int(self._pairs.first[i]), int(self._pairs.first[i + 1])
        if low == high:
            low, high = int(self._first_usable[i]), int(self._first_usable[i + 1])
            return (int(self._usable[rng.integers(low, high)]),)
        pair, swap = int(rng.integers(low, high)), rng.random() < 0.5
        two = int(self._pairs.earlier[pair]), int(self._pairs.later[pair])
        return two[::-1] if swap else two

    def series(self, i: int) -> TemporalSample:
        """Give all acquisitions of a location in order of time, clear or not: V = T."""
        chosen = self.patches.index.of_location(i)
        numbers = range(chosen.start, chosen.stop)
        images = np.stack([self.patches.read(n) for n in numbers])
        time = torch.from_numpy(self.patches.index.time[chosen])
        return {"images": torch.from_numpy(images), "time": time, "location": i}

    def pair_days(self) -> np.ndarray:
        """Give the days between the two of every allowed pair, (P,): what a policy does."""
        time = self.patches.index.time
        return (time[self._pairs.later] - time[self._pairs.earlier]) / DAY


def collate_views(samples: Sequence[TemporalSample]) -> TemporalBatch:
    """Put samples of one or two images into one batch: `collate_fn` of a DataLoader.

    Example:
        >>> one = {"images": torch.zeros(1, 3, 2, 2), "time": torch.zeros(1), "location": 7}
        >>> two = {"images": torch.zeros(2, 3, 2, 2), "time": torch.zeros(2), "location": 9}
        >>> batch = collate_views([two, one, two])
        >>> batch["pairs"].tolist(), batch["singles"].tolist(), batch["location"].tolist()
        ([[0, 1], [3, 4]], [2], [9, 9, 7, 9, 9])
    """
    images = [s["images"] for s in samples]
    sizes = [len(i) for i in images]
    out = images[0].new_empty((sum(sizes), *images[0].shape[1:]))
    if get_worker_info() is not None:  # else the batch would be copied once more on its way out
        out = out.share_memory_()
    time = torch.cat([s["time"] for s in samples])
    return batch_of(torch.cat(images, out=out), time, [s["location"] for s in samples], sizes)


def batch_of(
    images: Tensor, time: Tensor, locations: Sequence[int], sizes: Sequence[int]
) -> TemporalBatch:
    """Say of a batch's images which of them belong together.

    Args:
        images: (I, C, H, W) of all samples, one sample after the other.
        time: (I,) seconds since 1970.
        locations: Number of each sample's location.
        sizes: Images of each sample, 1 or 2.
    """
    size = torch.tensor(sizes)
    start = torch.cumsum(size, 0) - size
    return {
        "images": images,
        "time": time,
        "location": torch.tensor(locations).repeat_interleave(size),
        "pairs": torch.stack([start, start + 1], dim=1)[size == 2],
        "singles": start[size == 1],
    }


def _chosen(
    index: Acquisitions, policy: PairPolicy | None, min_acquisitions: int
) -> tuple[np.ndarray, LocationCounts]:
    """(N,) which locations stay, and why the others do not."""
    pairs = _no_pairs(index) if policy is None else allowed_pairs(index, policy)
    if policy is not None and not len(pairs.earlier):
        raise ManifestError(
            f"A positive pair needs a location with two dates that {policy} allows, but none of "
            f"the {len(index)} locations has them ({int((index.n_dates > 1).sum())} have more than "
            "one date).\nWiden the policy, or take single images: pairs=None, min_acquisitions=1."
        )
    enough = index.n_dates >= min_acquisitions
    has_pair = pairs.count > 0
    clear = (policy or PairPolicy()).usable(index.cloud)
    has_clear = np.bincount(index.of[clear], minlength=len(index)) > 0
    needs_pair = policy is not None and min_acquisitions > 1
    keep = enough & has_clear & (has_pair | (not needs_pair))
    if not keep.any():
        raise ManifestError(
            f"A dataset needs a location with at least {min_acquisitions} dates, but the most that "
            f"one of the {len(index)} has is {int(index.n_dates.max())}.\n"
            "Lower min_acquisitions."
        )
    counts = LocationCounts(
        paired=int((keep & has_pair).sum()),
        single=int((keep & ~has_pair).sum()),
        too_few_dates=int((~enough).sum()),
        no_allowed_pair=int((enough & has_clear & ~keep).sum()),
        too_cloudy=int((enough & ~has_clear).sum()),
    )
    return keep, counts


def _no_pairs(index: Acquisitions) -> Pairs:
    none: Ints = np.zeros(0, np.int64)
    return Pairs(np.zeros(len(index) + 1, np.int64), none, none)

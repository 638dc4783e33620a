"""Patches with labels as torch Datasets: classification, segmentation, density, and change."""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from workbench.datasets.acquisitions import Acquisitions, Ints
from workbench.datasets.alignment import AlignedLabels
from workbench.datasets.patches import Patches
from workbench.errors import ManifestError

log = logging.getLogger(__name__)

Dates = Literal["all", "first", "clearest"]


class LabelledSample(TypedDict):
    """One acquisition and the label of its location."""

    image: Tensor
    """(C, H, W) stored numbers."""
    target: Tensor
    """"classes": (H, W) int64, `ignore_index` where there is none; "presence": (K,) float32, 0 or
    1; "density": (H, W) float32 in [0, 1], NaN where there is none."""
    location: int
    """Number of the location in the dataset's `patches.index`."""


class ChangeSample(TypedDict):
    """Two acquisitions of a location, before and after an event, and what changed."""

    before: Tensor
    """(C, H, W) stored numbers."""
    after: Tensor
    """(C, H, W) stored numbers."""
    target: Tensor
    """As in `LabelledSample`."""
    location: int
    """Number of the location in the dataset's `patches.index`."""


@dataclass(frozen=True)
class LabelCounts:
    """What became of the locations that were asked for."""

    labelled: int
    """In the dataset."""
    unlabelled: int
    """Left out: no label; `AlignedLabels.skipped` says why."""
    unsuitable: int
    """Left out: labelled, but without a date that is wanted."""


class LabelledPatches(Dataset[LabelledSample]):
    """Acquisitions with the label of their location.

    Args:
        patches: The extraction, or one part of a split.
        labels: Labels aligned with it (`align_labels`).
        dates: Which acquisitions of a location are samples: "all", the "first", or the "clearest"
            (least cloud, then the earliest).

    Raises:
        ManifestError: If the labels are of another manifest, or no location has one.
        ValueError: If `dates` is another word.
    """

    counts: LabelCounts
    """What became of the locations; also logged."""

    def __init__(self, patches: Patches, labels: AlignedLabels, *, dates: Dates = "all") -> None:
        if dates not in ("all", "first", "clearest"):
            raise ValueError(
                f"LabelledPatches.dates is 'all', 'first' or 'clearest', got {dates!r}."
            )
        self.labels, self.dates = labels, dates
        self.patches, self._row, unlabelled = _with_labels(patches, labels)
        index = self.patches.index
        self._location = index.of
        self._shown = np.arange(len(index.place)) if dates == "all" else _one_each(index, dates)
        self.counts = LabelCounts(len(index), unlabelled, 0)
        log.info("locations of the dataset: %s", self.counts)

    def __len__(self) -> int:
        return len(self._shown)

    def __getitem__(self, i: int) -> LabelledSample:
        if not 0 <= i < len(self):
            raise IndexError(f"The dataset has {len(self)} samples, so none is number {i}.")
        acquisition = int(self._shown[i])
        location = int(self._location[acquisition])
        return {
            "image": torch.from_numpy(self.patches.read(acquisition)),
            "target": _target(self.labels, int(self._row[location])),
            "location": location,
        }

    @property
    def acquisitions(self) -> Ints:
        """(N,) number of each sample's acquisition in `patches.index`."""
        return self._shown

    def class_counts(self) -> NDArray[np.int64]:
        """Count pixels ("classes") or locations ("presence") of each class, (K,), each once.

        Raises:
            ValueError: If the labels are densities.
        """
        size = len(self.labels.class_names)
        if self.labels.kind == "density":
            raise ValueError("Densities have no classes to count.")
        found = np.zeros(size, dtype=np.int64)
        for row in self._row.tolist():
            label = self.labels.values[row]
            if self.labels.kind == "presence":
                found += label
            else:
                found += np.bincount(label.ravel(), minlength=size + 1)[:size]
        return found


class ChangePatches(Dataset[ChangeSample]):
    """The last acquisition before an event and the first one after it, with what changed.

    Args:
        patches: The extraction, or one part of a split.
        labels: What changed, aligned with it; usually of the kind "classes".
        event: When it changed; without a zone, read as UTC. What was acquired at that very time
            counts as after.
        max_cloud: Largest share of cloudy pixels in each of the two, in [0, 1]; below 1, an
            acquisition whose cloud is not known is not used.

    Raises:
        ManifestError: If the labels are of another manifest, or no labelled location has a usable
            date on each side of the event.
    """

    counts: LabelCounts
    """What became of the locations; also logged."""

    def __init__(
        self,
        patches: Patches,
        labels: AlignedLabels,
        *,
        event: datetime,
        max_cloud: float = 1.0,
    ) -> None:
        self.labels, self.event = labels, event if event.tzinfo else event.replace(tzinfo=UTC)
        self.patches, row, unlabelled = _with_labels(patches, labels)
        index = self.patches.index
        before, after = _around(index, self.event.timestamp(), max_cloud)
        has_both = (before >= 0) & (after >= 0)
        if not has_both.any():
            raise ManifestError(
                "Change needs a location with a usable date on each side of the event, but none of "
                f"the {len(index)} labelled ones has them (event {self.event:%Y-%m-%d}, "
                f"max_cloud={max_cloud:g}).\nIs the event within the dates of the manifest?"
            )
        self._location = np.flatnonzero(has_both)
        self._before, self._after, self._row = before[has_both], after[has_both], row[has_both]
        lost = len(index) - len(self._location)
        self.counts = LabelCounts(len(self._location), unlabelled, lost)
        log.info("locations of the dataset: %s", self.counts)

    @property
    def locations(self) -> Ints:
        """(N,) number of each sample's location in `patches.index`."""
        return self._location

    def __len__(self) -> int:
        return len(self._location)

    def __getitem__(self, i: int) -> ChangeSample:
        if not 0 <= i < len(self):
            raise IndexError(f"The dataset has {len(self)} samples, so none is number {i}.")
        return {
            "before": torch.from_numpy(self.patches.read(int(self._before[i]))),
            "after": torch.from_numpy(self.patches.read(int(self._after[i]))),
            "target": _target(self.labels, int(self._row[i])),
            "location": int(self._location[i]),
        }


def _with_labels(patches: Patches, labels: AlignedLabels) -> tuple[Patches, Ints, int]:
    """The locations that have a label, the row of each in the labels, and how many have none."""
    if labels.checksum != patches.checksum:
        raise ManifestError(
            "Labels must be aligned with the manifest in use, but these are of another "
            f"({labels.path.name}).\nAlign them again with `align_labels`."
        )
    skipped = np.array(sorted(labels.skipped), dtype=bytes)
    keep = ~np.isin(patches.index.location, skipped)
    if not keep.any():
        raise ManifestError(
            f"A dataset needs a labelled location, but none of these {len(keep)} has a label.\n"
            "`AlignedLabels.skipped` says why; another part of the split may have some."
        )
    found = replace(patches, index=patches.index.select(keep))
    row = np.searchsorted(labels.location, found.index.location)
    return found, row.astype(np.int64), int((~keep).sum())


def _one_each(index: Acquisitions, dates: Dates) -> Ints:
    """(N,) the first or the clearest acquisition of each location."""
    if dates == "first":
        return index.first[:-1]
    cloud = np.where(np.isnan(index.cloud), np.inf, index.cloud)
    order = np.lexsort((index.time, cloud, index.of))  # as many of each location as before
    return order[index.first[:-1]]


def _around(index: Acquisitions, event: float, max_cloud: float) -> tuple[Ints, Ints]:
    """(N,) last usable acquisition before the event, and first one from it on; -1 for none."""
    usable = np.ones(len(index.cloud), bool) if max_cloud == 1 else index.cloud <= max_cloud
    number, of, none = np.arange(len(index.time)), index.of, len(index.time)
    before, after = np.full(len(index), -1), np.full(len(index), none)
    is_before, is_after = usable & (index.time < event), usable & (index.time >= event)
    np.maximum.at(before, of[is_before], number[is_before])
    np.minimum.at(after, of[is_after], number[is_after])
    return before, np.where(after == none, -1, after)


def _target(labels: AlignedLabels, row: int) -> Tensor:
    kind: dict[str, Any] = {"classes": np.int64, "presence": np.float32, "density": np.float32}
    return torch.from_numpy(labels.values[row].astype(kind[labels.kind]))

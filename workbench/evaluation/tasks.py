"""Tasks: labelled examples in three parts that share no ground, and what their numbers mean.

The same code makes them from the simulated campaign, from an archive behind another catalog entry,
and from the two real scenes that everyone has.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from workbench.datasets.alignment import LabelSource, align_labels
from workbench.datasets.examples import Examples, examples_of, scene_examples
from workbench.datasets.labelled_patches import ChangePatches, Dates, LabelledPatches
from workbench.datasets.normalization import Normalizer
from workbench.datasets.patches import Patches, open_patches
from workbench.datasets.statistics import BandStatistics, combined, patch_statistics
from workbench.errors import EvaluationError, ManifestError
from workbench.evaluation.results import DataStamp
from workbench.extraction.leakage import leak_report
from workbench.extraction.manifest import read_manifest
from workbench.extraction.patches import MANIFEST
from workbench.extraction.tables import locations_of

if TYPE_CHECKING:
    from workbench.readers.samples import LabelledScene

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Task:
    """What models are trained on and judged by."""

    name: str
    """As "cdl"."""
    train: Examples
    """To learn from."""
    val: Examples
    """To choose by."""
    test: Examples
    """To judge by, once."""
    standardise: Normalizer
    """By the statistics of the training part."""
    stamp: DataStamp
    """Manifest, split and leak share, which every row of a table carries."""
    gsd_m: float
    """Side of a pixel, metres."""

    @property
    def bands(self) -> int:
        """Bands of one date."""
        return len(self.train.contract.band_names)

    @property
    def image_size(self) -> int:
        """Side of an image, pixels."""
        return int(self.train[0][0].shape[-1])

    def __repr__(self) -> str:
        sizes = " + ".join(str(len(part)) for part in (self.train, self.val, self.test))
        return f"<task {self.name}: {sizes} examples, {self.train.kind}, {self.bands} bands>"


class _TwoDates(Normalizer):
    """Standardise two dates side by side, each by the statistics of one."""

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        """(B, 2 C, H, W) to the same shape."""
        both = stored.unflatten(-3, (2, -1))
        found: torch.Tensor = super().forward(both)
        return found.flatten(-4, -3)


def patches_task(
    name: str,
    folder: str | Path,
    source: LabelSource,
    split: pd.Series,
    *,
    event: datetime | None = None,
    dates: Dates = "clearest",
    groups: Mapping[str, str] | None = None,
    bands: Sequence[str] | None = None,
    least_labelled: float = 0.0,
    allow_leak: bool = False,
) -> Task:
    """Make a task from an extraction, label maps and a split.

    Args:
        name: Name of the task, and of the labels beside the manifest.
        folder: Folder of the extraction.
        source: Label maps and how they are read.
        split: "train", "val" or "test" by location id, as `split_locations` gives it; locations
            with another word are in no part.
        event: With it the task is change: the last date before against the first from it on.
        dates: Which acquisitions of a location are examples, if the task is not change.
        groups: Group of each location, over which intervals are drawn; None: overlap components of
            the split's own kind are not known, so each location is one.
        bands: Bands to read; None: all.
        least_labelled: Locations with a smaller share of labelled pixels are left out.
        allow_leak: Whether a split may share tiles or ground between training and test; the share
            then stands in every row.

    Raises:
        EvaluationError: If the split leaks and that is not allowed, or a part is empty.
        ManifestError: If extraction, labels and split do not fit.
    """
    folder = Path(folder)
    manifest = read_manifest(folder / MANIFEST, kind="patches")
    leak = _leak_share(split, manifest)
    if leak > 0 and not allow_leak:
        raise EvaluationError(
            f"A test part must share no tile and no ground with training, but {leak:.0%} of its "
            f"patches do ({name}).\nSplit by component, or give allow_leak=True: every row of a "
            "table then says so."
        )
    patches = open_patches(folder)
    patches = patches if bands is None else patches.select(bands)
    labels = align_labels(folder, name, source, least_labelled=least_labelled)
    parts: dict[str, Examples] = {}
    for part in PARTS:
        mine = _part(patches, split, part, name)
        labelled: LabelledPatches | ChangePatches
        if event is None:
            labelled = LabelledPatches(mine, labels, dates=dates)
        else:
            labelled = ChangePatches(mine, labels, event=event)
        of = [i.decode() for i in labelled.patches.index.location]
        parts[part] = examples_of(labelled, None if groups is None else [groups[i] for i in of])
    training = _part(patches, split, "train", name)
    made: type[Normalizer] = Normalizer if event is None else _TwoDates
    stamp = DataStamp(patches.checksum, split_hash(split), leak, len(parts["train"]))
    return Task(
        name,
        **parts,
        standardise=made(training.statistics(), patches.contract, nodata_as=0.0),
        stamp=stamp,
        gsd_m=patches.contract.gsd_m,
    )


def scene_task(
    name: str,
    scene: "LabelledScene",
    *,
    size: int,
    block: int,
    seed: int,
    classes: Mapping[str, Sequence[str]] | None = None,
    fractions: tuple[float, float, float] = (0.6, 0.15, 0.25),
    least_labelled: float = 0.5,
) -> Task:
    """Make a task from one labelled scene: windows, dealt out by blocks of ground.

    Args:
        name: Name of the task.
        scene: Image and labels.
        size: Side of a window, pixels.
        block: Side of a block, windows.
        seed: Seed of the deal, >= 0.
        classes: New classes and the names of those they are made of; what is in none is ignored.
            None: the scene's own.
        fractions: Share of the blocks for train, val and test.
        least_labelled: Windows with a smaller share of labelled pixels are left out, in [0, 1].

    Raises:
        EvaluationError: If a part would be empty, or a class is not in the legend.
    """
    labels, names = _regrouped(scene, classes)
    image = scene.image.data.values
    found = scene_examples(
        image,
        labels,
        scene.image.contract,
        names,
        size=size,
        block=block,
        ignore_index=len(names),
        least_labelled=least_labelled,
    )
    blocks = sorted(set(found.groups))
    order = np.random.default_rng(seed).permutation(len(blocks))
    ends = np.rint(np.cumsum(fractions) / sum(fractions) * len(blocks)).astype(int)
    dealt = np.split(np.array(blocks)[order], ends[:-1])
    if any(len(part) == 0 for part in dealt):
        raise EvaluationError(
            f"Each part of a split needs a block, but {len(blocks)} blocks were dealt out as "
            f"{[len(p) for p in dealt]} ({name}).\nUse smaller blocks."
        )
    parts = dict(zip(PARTS, (found.where(part.tolist()) for part in dealt), strict=True))
    statistics = _window_statistics(parts["train"])
    split = pd.Series({i: part for part, e in parts.items() for i in e.ids})
    made_from = hashlib.sha256(np.ascontiguousarray(image).tobytes())
    made_from.update(labels.tobytes())
    return Task(
        name,
        **parts,
        standardise=Normalizer(statistics, scene.image.contract, nodata_as=0.0),
        stamp=DataStamp(made_from.hexdigest(), split_hash(split), 0.0, len(parts["train"])),
        gsd_m=scene.image.contract.gsd_m,
    )


def split_hash(split: pd.Series) -> str:
    """Stand for who is in which part, in whatever order: 16 hexadecimal digits."""
    text = "\n".join(f"{i}={part}" for i, part in sorted(split.astype(str).items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _part(patches: Patches, split: pd.Series, part: str, name: str) -> Patches:
    known = {i.decode() for i in patches.index.location}
    mine = [str(i) for i in split.index[split == part] if str(i) in known]
    if not mine:
        raise EvaluationError(
            f"Each part of a split needs locations, but {part!r} of {name} has none."
        )
    return patches.only(mine)


def _leak_share(split: pd.Series, manifest: Any) -> float:
    """Share of the test patches whose tile or ground is also in training."""
    missing = set(manifest["location_id"]) - set(split.index)
    if missing:
        raise ManifestError(
            f"A split must place every location of the manifest, but {len(missing)} are not in it, "
            f"such as {min(missing)!r}.\nSplit the locations of this manifest."
        )
    locations = locations_of(manifest)
    named = split[split.index.isin(locations["location_id"])]
    pairs = leak_report(named, locations).pairs
    rows = pairs[(pairs["judged"] == "test") & (pairs["seen"] == "train")]
    return float(rows["share"].max()) if len(rows) else 0.0


def _regrouped(
    scene: "LabelledScene", classes: Mapping[str, Sequence[str]] | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    own = scene.legend.names
    groups = {n: [n] for n in own} if classes is None else classes
    if unknown := sorted({n for members in groups.values() for n in members} - set(own)):
        raise EvaluationError(
            f"Classes are made of those of {scene.legend.name}, which has no {unknown[0]!r}.\n"
            f"It has {', '.join(own)}."
        )
    table = np.full(256, len(groups), dtype=np.uint8)
    for new, members in enumerate(groups.values()):
        for member in members:
            table[own.index(member)] = new
    return table[scene.labels], tuple(groups)


def _window_statistics(examples: Examples) -> BandStatistics:
    windows = (examples[i][0].numpy() for i in range(len(examples)))
    return combined(patch_statistics(window, examples.contract) for window in windows)

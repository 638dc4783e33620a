"""Tasks of published archives: images with a label map each, in the archive's own parts."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.datasets.examples import Examples
from workbench.datasets.normalization import Normalizer
from workbench.datasets.statistics import combined, patch_statistics
from workbench.errors import EvaluationError
from workbench.evaluation.campaign_tasks import FRACTIONS, TaskKind, task_kind
from workbench.evaluation.results import DataStamp
from workbench.evaluation.tasks import PARTS, Task, split_hash
from workbench.legends import tree_cover_density
from workbench.readers.images import Image, PatchFile, entry_paths
from workbench.readers.labels import open_labels
from workbench.readers.spectralearth import open_spectralearth, spectralearth_task
from workbench.readers.ssl4eo import eu_forest_patches, open_eu_forest

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.catalog import Entry

log = logging.getLogger(__name__)

_OF_EU_FOREST = ("forest_type", "tree_mask")


@dataclass(frozen=True)
class ArchivePatches:
    """Images of an archive with the label of each; files are opened when they are asked for."""

    patches: tuple[PatchFile, ...]
    """Each with a label map on the pixels of its image."""
    kind: TaskKind
    """How label maps are read."""
    open_image: "Callable[[Path], Image]"
    """Opens an image."""

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        """Give {"image": (C, H, W) stored numbers, "target"} as `LabelledPatches` does."""
        patch = self.patches[i]
        assert patch.label is not None
        image = torch.from_numpy(np.ascontiguousarray(self.open_image(patch.path).data.values))
        codes = open_labels(patch.label).values
        if codes.shape != image.shape[1:]:
            raise EvaluationError(
                f"A label map must have the pixels of its image, but {patch.label} has "
                f"{codes.shape} and the image {tuple(image.shape[1:])}."
            )
        told, legend = str(patch.label), self.kind.legend
        if legend is None:
            return {"image": image, "target": torch.from_numpy(tree_cover_density(codes))}
        if self.kind.kind == "presence":
            there = legend.present(codes, thing=told)
            return {"image": image, "target": torch.from_numpy(there.astype(np.float32))}
        classes = legend.encode(codes, thing=told).astype(np.int64)
        return {"image": image, "target": torch.from_numpy(classes)}


def archive_task(name: str, entry: "Entry", *, seed: int = 0, allow_leak: bool = False) -> Task:
    """Make a task of a published archive.

    Args:
        name: Of SpectralEarth a key of `campaign_tasks.TASKS` with a folder enmap_<name>: "corine",
            "cdl", "nlcd". Of SSL4EO-EU-Forest "forest_type" or "tree_mask".
        entry: Of layout spectralearth (with the split of its own files, in which nearly every test
            patch shares its tile with training) or ssl4eo_eu_forest (tiles are dealt out whole;
            images of a location from a second tile are left out, counted and logged).
        seed: Of the deal of EU-Forest.
        allow_leak: Whether tiles or locations may be in training and test; the share of the test
            images of which that is true then stands in every row.

    Raises:
        EvaluationError: If there is no such task, a part is empty, or the split leaks and that is
            not allowed.
        TileError: If files are missing or damaged.
    """
    kind = task_kind(name)
    root = entry_paths(entry)[0]
    if entry.layout == "spectralearth":
        found = spectralearth_task(root, name)
        parts = [str(patch.split) for patch in found]
        tiles = [patch.view for patch in found]
        opened = open_spectralearth
    elif name not in _OF_EU_FOREST:
        raise EvaluationError(
            f"SSL4EO-EU-Forest has the tasks {' and '.join(_OF_EU_FOREST)}, and not {name!r}."
        )
    else:
        found = _of_one_tile(eu_forest_patches(root))
        tiles = [_granule(patch) for patch in found]
        parts, opened = _dealt(tiles, seed), open_eu_forest
    leak = _leak_share(found, parts, tiles)
    if leak > 0 and not allow_leak:
        raise EvaluationError(
            f"A test part must share no tile with training, but {leak:.0%} of its images do "
            f"({name} of {entry.name}).\nGive allow_leak=True: every row of a table then says so."
        )
    made = {p: _examples(found, parts, tiles, p, kind, opened, entry.name) for p in PARTS}
    train = made["train"]
    statistics = combined(
        patch_statistics(train[i][0].numpy(), train.contract) for i in range(len(train))
    )
    ids = [f"{p.location}/{p.view}" for p in found]
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    split = split_hash(pd.Series(parts, index=ids))
    return Task(
        name,
        **made,
        standardise=Normalizer(statistics, train.contract, nodata_as=0.0),
        stamp=DataStamp(digest, split, leak, len(train)),
        gsd_m=train.contract.gsd_m,
    )


def _granule(patch: PatchFile) -> str:
    """The tile that an EU-Forest image is from, as "T33UUP"."""
    return patch.view.rsplit("_", 1)[-1]


def _of_one_tile(found: Sequence[PatchFile]) -> list[PatchFile]:
    """Keep the images of each location that are from the tile of its earliest one.

    Where two tiles overlap a location may be seen from both, and would be in two parts.
    """
    home: dict[str, str] = {}
    for patch in found:  # by location, then by time
        home.setdefault(patch.location, _granule(patch))
    kept = [patch for patch in found if _granule(patch) == home[patch.location]]
    if len(kept) < len(found):
        log.warning(
            "%d of %d images left out: they show a location from a second tile",
            len(found) - len(kept),
            len(found),
        )
    return kept


def _examples(
    found: Sequence[PatchFile],
    parts: Sequence[str],
    tiles: Sequence[str],
    part: str,
    kind: TaskKind,
    opened: "Callable[[Path], Image]",
    archive: str,
) -> Examples:
    rows = [i for i, name in enumerate(parts) if name == part]
    if not rows:
        raise EvaluationError(
            f"Each part of a split needs images, but {part!r} of {archive} has none."
        )
    mine = tuple(found[i] for i in rows)
    names = () if kind.legend is None else kind.legend.names
    return Examples(
        ArchivePatches(mine, kind, opened),
        tuple(f"{p.location}/{p.view}" for p in mine),
        # of a leaky split a tile would be in two parts; the part keeps its groups apart
        tuple(f"{part}/{tiles[i]}" for i in rows),
        kind.kind,
        names,
        len(names) if kind.kind == "classes" else None,
        opened(mine[0].path).contract,
    )


def _dealt(tiles: Sequence[str], seed: int) -> list[str]:
    """Part of each image: whole tiles, dealt out in an order drawn from the seed."""
    names = sorted(set(tiles))
    if len(names) < len(PARTS):
        raise EvaluationError(
            f"Three parts of whole tiles need three tiles, but the archive has {len(names)}."
        )
    order = np.random.default_rng(seed).permutation(len(names))
    ends = np.rint(np.cumsum(FRACTIONS) * len(names)).astype(int)
    ends = np.maximum(ends, [1, 2, 3])
    ends = np.minimum(ends, [len(names) - 2, len(names) - 1, len(names)])
    part = {names[i]: PARTS[int(np.searchsorted(ends, k, "right"))] for k, i in enumerate(order)}
    return [part[tile] for tile in tiles]


def _leak_share(found: Sequence[PatchFile], parts: Sequence[str], tiles: Sequence[str]) -> float:
    """Share of the test images of whose tile or location there is a training image."""
    pairs = list(zip(found, parts, tiles, strict=True))
    seen = {tile for _, part, tile in pairs if part == "train"}
    places = {patch.location for patch, part, _ in pairs if part == "train"}
    test = [
        tile in seen or patch.location in places for patch, part, tile in pairs if part == "test"
    ]
    return sum(test) / len(test) if test else 0.0

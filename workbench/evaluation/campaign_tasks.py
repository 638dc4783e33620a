"""The tasks of the benchmark, by name: of the simulated campaign and of an extraction of one's own.

What a task asks of its label maps stands here once, wherever images and maps are from. Published
archives are in `archive_tasks`; `named_tasks.open_task` makes any of them from a catalog entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pandas as pd

from workbench import extraction
from workbench.datasets.alignment import Kind, LabelSource, align_labels
from workbench.datasets.labelled_patches import ChangePatches, LabelledPatches
from workbench.datasets.patches import open_patches
from workbench.errors import EvaluationError
from workbench.evaluation.tasks import Task, patches_task
from workbench.extraction.grouping import location_groups
from workbench.extraction.manifest import read_manifest
from workbench.extraction.patches import MANIFEST
from workbench.legends import (
    CDL_14,
    CORINE_19,
    HRL_LEAF_TYPE,
    HRL_TREE_MASK,
    NLCD_15,
    Legend,
    LegendClass,
)
from workbench.readers.enmap import discover_enmap
from workbench.synthetic import CampaignTruth, simulate_campaign
from workbench.training.small_runs import scale_of

if TYPE_CHECKING:
    from workbench.catalog import Entry

FOREST_DISTURBANCE = Legend(
    "forest_disturbance",
    "Forest that is gone after an event",
    (LegendClass("no change", (0,), "#d9d9d9"), LegendClass("felled", (1,), "#d7301f")),
    {255: "no data"},
)
"""What changed between two dates."""


@dataclass(frozen=True)
class TaskKind:
    """What a task asks of its label maps, wherever they are from."""

    title: str
    """For people."""
    labels: str
    """Which label maps: "corine", "cdl", "nlcd", "leaf_type", "tree_density", "disturbance"."""
    kind: Kind
    """"classes", "presence" (label vector) or "density"."""
    legend: Legend | None
    """What the codes mean; None for densities."""
    majority: bool = False
    """Whether a pixel takes the most frequent class of a finer map."""
    is_change: bool = False
    """Whether images are two dates around an event."""

    def source(self, maps: Sequence[Path]) -> LabelSource:
        """Say how label maps are to be read for this task."""
        return LabelSource(tuple(maps), self.kind, self.legend, self.majority)


TASKS: Mapping[str, TaskKind] = MappingProxyType(
    {
        "corine": TaskKind("Land cover present, CORINE-19", "corine", "presence", CORINE_19),
        "cdl": TaskKind("Crops, CDL-14", "cdl", "classes", CDL_14),
        "nlcd": TaskKind("Land cover, NLCD-15", "nlcd", "classes", NLCD_15),
        "forest_type": TaskKind("Leaf type, HRL", "leaf_type", "classes", HRL_LEAF_TYPE, True),
        "tree_mask": TaskKind("Trees or none, HRL", "leaf_type", "classes", HRL_TREE_MASK, True),
        "tree_density": TaskKind("Tree cover density, HRL", "tree_density", "density", None),
        "disturbance": TaskKind(
            "Forest disturbance between two dates",
            "disturbance",
            "classes",
            FOREST_DISTURBANCE,
            is_change=True,
        ),
    }
)
"""The tasks of map labels, by name. CDL's and NLCD's other codes are ignored, as in the archive."""
FRACTIONS = (0.6, 0.15, 0.25)
"""Shares of locations to learn from, to choose by and to be judged by."""


@dataclass(frozen=True)
class CampaignData:
    """A simulated campaign, cut into patches, with its label maps."""

    truth: CampaignTruth
    """What was simulated."""
    folder: Path
    """The extraction."""
    patch_size: int
    """Side of a patch, pixels."""

    def maps(self, labels: str) -> tuple[Path, ...]:
        """Label maps of a kind, over all sites that have them."""
        return tuple(kinds[labels] for kinds in self.truth.labels.values() if labels in kinds)

    @property
    def event(self) -> datetime:
        """When forest was felled, UTC."""
        days = [s.disturbance.day for s in self.truth.campaign.sites.values() if s.disturbance]
        return datetime.fromisoformat(days[0]).replace(tzinfo=UTC)


def campaign_data(
    entry: "Entry", folder: str | Path, *, scale: str = "demo", seed: int = 0, workers: int = 1
) -> CampaignData:
    """Simulate a campaign and cut it into the patches of a scale; what is there is found again.

    Args:
        entry: Of layout enmap_simulated.
        folder: Gets campaign/SCALE-seedN and patches/SCALE-seedN-SIDEpx-pretraining, as in the
            notebooks.
        scale: Key of `training.small_runs.SCALES`.
        seed: Of the campaign.
        workers: Processes that cut.
    """
    root, side = Path(folder), scale_of(scale).image_size
    options: dict[str, Any] = dict(entry.source.parameters)  # type: ignore[union-attr]
    truth = simulate_campaign(
        root / "campaign" / f"{scale}-seed{seed}", scale=scale, seed=seed, **options
    )
    out = root / "patches" / f"{scale}-seed{seed}-{side}px-pretraining"
    tiles, _ = extraction.drop_duplicates(discover_enmap(truth.products)[0])
    plan = extraction.temporal_views(tiles, extraction.ViewRules(patch_size=side))
    limits = extraction.ValidityRules(cloud=0.1)
    extraction.extract_patches(plan, tiles, out, rules=limits, workers=workers)
    return CampaignData(truth, out, side)


def campaign_task(
    name: str, data: CampaignData, *, seed: int = 0, allow_leak: bool = True, **options: Any
) -> Task:
    """Make a task of a simulated campaign.

    Args:
        name: Key of `TASKS`.
        data: Of `campaign_data`.
        seed: Of the split.
        allow_leak: As in `open_task`.
        options: As in `maps_task`.

    Raises:
        EvaluationError: If there is no such task, or the split leaks and that is not allowed.
    """
    kind = task_kind(name)
    event = data.event if kind.is_change else None
    given = {"event": event, "allow_leak": allow_leak, "seed": seed, **options}
    return maps_task(name, data.folder, data.maps(kind.labels), **given)


def maps_task(
    name: str,
    folder: str | Path,
    maps: Sequence[str | Path],
    *,
    seed: int = 0,
    split: pd.Series | None = None,
    block_m: float | None = None,
    event: datetime | None = None,
    least_labelled: float = 0.05,
    allow_leak: bool = False,
    bands: Sequence[str] | None = None,
) -> Task:
    """Make a task of any extraction and label maps: real tiles and simulated ones alike.

    Args:
        name: Key of `TASKS`, which says how the maps are read.
        folder: Folder of the extraction.
        maps: Label maps; a patch takes the first that covers it.
        seed: Of the split.
        split: "train", "val" or "test" by location; None: blocks of ground are dealt out.
        block_m: Side of a block, metres, over which intervals are drawn. None: two patches; for a
            task of change one patch, and places that changed and places that did not are dealt out
            one after the other, as an event is often no larger than a block.
        event: When it changed; only for a task of change, and then needed.
        least_labelled: Locations with a smaller share of labelled pixels are left out.
        allow_leak: Whether parts may share tiles or ground.
        bands: Bands to read; None: all.

    Raises:
        EvaluationError: If there is no such task, an event is missing or makes no sense, or the
            split leaks and that is not allowed.
    """
    kind = task_kind(name)
    if kind.is_change != (event is not None):
        needs = "needs the day of the event" if kind.is_change else "knows no event"
        raise EvaluationError(f"The task {name!r} {needs}, got {event!r}.")
    source = kind.source([Path(p) for p in maps])
    manifest = read_manifest(Path(folder) / MANIFEST, kind="patches")
    locations = extraction.locations_of(manifest)
    side = float((locations["xmax"] - locations["xmin"]).iloc[0])
    block = (side if kind.is_change else 2 * side) if block_m is None else block_m
    if split is None:
        strata = _usable(name, Path(folder), source, event, least_labelled)
        split = _dealt(locations, strata, block, seed)
    groups = None  # of change: each location for itself
    if not kind.is_change:
        numbers = location_groups(locations, "block", block_size_m=block, tiles=None)
        ids = locations["location_id"].astype(str)
        groups = {i: f"b{n:04d}" for i, n in zip(ids, numbers, strict=True)}
    return patches_task(
        name,
        folder,
        source,
        split,
        event=event,
        groups=groups,
        bands=bands,
        least_labelled=least_labelled,
        allow_leak=allow_leak,
    )


def task_kind(name: str) -> TaskKind:
    """Look a task up.

    Raises:
        EvaluationError: If there is none of this name.
    """
    if name not in TASKS:
        raise EvaluationError(f"There is no task {name!r}.\nTasks are {', '.join(TASKS)}.")
    return TASKS[name]


def _usable(
    name: str, folder: Path, source: LabelSource, event: datetime | None, least: float
) -> pd.Series:
    """Locations with a label and the dates that the task needs, and whether they changed."""
    patches = open_patches(folder)
    labels = align_labels(folder, name, source, least_labelled=least)
    if event is None:
        found = LabelledPatches(patches, labels).patches.index.location
        return pd.Series(False, index=[i.decode() for i in found])
    change = ChangePatches(patches, labels, event=event)
    names = [change.patches.index.location[i].decode() for i in change.locations]
    changed = [bool((change[i]["target"] == 1).any()) for i in range(len(change))]
    return pd.Series(changed, index=names)


def _dealt(locations: Any, strata: pd.Series, block: float, seed: int) -> pd.Series:
    """Deal blocks of usable locations out, each stratum for itself; the others are in no part."""
    ids = locations["location_id"].astype(str)
    parts = []
    for stratum in sorted(set(strata)):
        mine = locations[ids.isin(strata.index[strata == stratum]).to_numpy()]
        try:
            parts.append(
                extraction.split_locations(
                    mine, by="block", block_size_m=block, fractions=FRACTIONS, seed=seed
                )
            )
        except ValueError as error:
            raise EvaluationError(
                f"{len(mine)} locations with labels are too few for three parts: {error}"
            ) from error
    return pd.concat(parts).reindex(ids.to_numpy()).fillna("unused")

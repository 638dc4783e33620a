"""From simulated products to samples: labels, changes and values that are known beforehand."""

from datetime import datetime

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from workbench.datasets import (
    ChangePatches,
    LabelledPatches,
    LabelSource,
    Normalizer,
    TemporalPatches,
    align_labels,
    collate_views,
    open_patches,
)
from workbench.extraction import (
    ViewRules,
    drop_duplicates,
    extract_patches,
    read_manifest,
    temporal_views,
)
from workbench.geo.grid import PixelGrid
from workbench.legends import CDL_14, CORINE_19, HRL_TREE_MASK, Legend, LegendClass
from workbench.readers.enmap import discover_enmap
from workbench.synthetic import simulate_campaign

pytestmark = pytest.mark.slow

CHANGE = Legend(
    "change",
    "Change",
    (LegendClass("no change", (0,), "#ffffff"), LegendClass("felled", (1,), "#ff0000")),
    {255: "no data"},
)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """The truth, and the folder of an extraction of 16 pixel patches."""
    folder = tmp_path_factory.mktemp("campaign")
    truth = simulate_campaign(folder / "simulated", scale="test")
    tiles, _ = drop_duplicates(discover_enmap(truth.products)[0])
    plan = temporal_views(tiles, ViewRules(patch_size=16))
    extract_patches(plan, tiles, folder / "patches", workers=1)
    return truth, folder / "patches"


def maps_of(truth, kind):
    return tuple(maps[kind] for maps in truth.labels.values() if kind in maps)


def grids_of(folder):
    """Grid of each location, by id."""
    rows = read_manifest(folder / "manifest.parquet").drop_duplicates("location_id")
    return {
        row.location_id: PixelGrid.from_bounds(
            row.crs, (row.xmin, row.ymin, row.xmax, row.ymax), 30
        )
        for row in rows.itertuples()
    }


def test_every_acquisition_of_the_manifest_can_be_drawn(campaign):
    _, folder = campaign
    manifest = read_manifest(folder / "manifest.parquet")
    dataset = TemporalPatches(open_patches(folder), min_acquisitions=1)
    dates = manifest.groupby("location_id")["acquired"].nunique()
    assert dataset.counts.paired == int((dates > 1).sum()) > 0
    assert dataset.counts.single == int((dates == 1).sum()) > 0
    for i in range(len(dataset)):
        times = set(dataset[i]["time"].tolist())
        mine = manifest[manifest.location_id == dataset.patches.index.location[i].decode()]
        assert times <= {t.timestamp() for t in mine["acquired"]}
        assert len(times) == min(2, len(mine))


def test_normalised_batches_are_standardised(campaign):
    patches = open_patches(campaign[1])
    normalizer = Normalizer(patches.statistics(), patches.contract)
    dataset = TemporalPatches(patches, min_acquisitions=1, pairs=None)
    (batch,) = DataLoader(dataset, len(dataset), collate_fn=collate_views)
    normalizer.require_plausible(batch["images"])
    found = normalizer(batch["images"])
    assert found.nanmean().abs() < 0.3
    assert 0.5 < found[~found.isnan()].std() < 1.5


def test_labels_cover_their_sites_only(campaign):
    truth, folder = campaign
    patches = open_patches(folder)
    american = {i for i, grid in grids_of(folder).items() if grid.crs == "EPSG:32616"}
    kinds = {"cdl": ("classes", CDL_14), "corine": ("presence", CORINE_19)}
    for kind, (how, legend) in kinds.items():
        labels = align_labels(folder, kind, LabelSource(maps_of(truth, kind), how, legend))
        dataset = LabelledPatches(patches, labels)
        with_label = {i.decode() for i in dataset.patches.index.location}
        assert with_label == {i for i in grids_of(folder) if (i in american) == (kind == "cdl")}


def test_tree_density_agrees_with_the_tree_mask(campaign):
    truth, folder = campaign
    patches = open_patches(folder)
    sources = {
        "tree_density": LabelSource(maps_of(truth, "tree_density"), "density"),
        "leaf_type": LabelSource(maps_of(truth, "leaf_type"), "classes", HRL_TREE_MASK, True),
    }
    found = {
        name: torch.stack([s["target"] for s in LabelledPatches(patches, labels, dates="first")])
        for name, source in sources.items()
        for labels in [align_labels(folder, name, source)]
    }
    trees = found["leaf_type"] == 1
    assert found["tree_density"][trees].mean() > 0.6
    assert found["tree_density"][~trees].mean() < 0.15


def test_what_changed_is_what_was_felled(campaign):
    truth, folder = campaign
    site = next(s for s in truth.campaign.sites.values() if s.disturbance)
    event = datetime.fromisoformat(site.disturbance.day)
    source = LabelSource(maps_of(truth, "disturbance"), "classes", CHANGE)
    labels = align_labels(folder, "change", source)
    dataset = ChangePatches(open_patches(folder), labels, event=event)
    assert dataset.counts.unlabelled > 0
    grids, felled = grids_of(folder), 0
    index = dataset.patches.index
    for sample in dataset:
        grid = grids[index.location[sample["location"]].decode()]
        known = _ever_felled(site, grid)
        assert not ((sample["target"].numpy() == 1) & ~known).any()
        felled += int((sample["target"] == 1).sum())
    assert felled > 0


def _ever_felled(site, grid):
    """True where any of 16 x 16 points in or half a pixel around a pixel lies in the clearing."""
    x, y = np.meshgrid(grid.x, grid.y)
    steps = (np.arange(16) - 7.5) / 8 * 30  # the map's own pixels may lie half a pixel off
    found = np.zeros(x.shape, dtype=bool)
    for dx in steps:
        for dy in steps:
            found |= site.landscape.felled(x + dx, y + dy, site.disturbance)
    return found

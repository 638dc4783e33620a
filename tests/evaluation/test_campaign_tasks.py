"""Every task by its name: of the simulated campaign, of archives as published, of real scenes."""

import logging

import numpy as np
import pytest
import torch

from tests.readers.made_archives import entry, grid, numbered
from workbench.catalog import open_catalog
from workbench.errors import ContractMismatchError, EvaluationError
from workbench.evaluation.campaign_tasks import (
    TASKS,
    campaign_data,
    campaign_task,
    maps_task,
)
from workbench.evaluation.named_tasks import open_task
from workbench.geo.raster import write_raster


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    logging.getLogger("workbench").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("tasks")
    return campaign_data(open_catalog()["enmap_simulated"], folder, scale="test")


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_a_task_of_the_campaign_has_three_parts_that_share_no_ground(campaign, name):
    task = campaign_task(name, campaign)
    parts = task.train, task.val, task.test
    assert min(map(len, parts)) > 0
    places = [{i.split("/")[0] for i in part.ids} for part in parts]
    assert not places[0] & places[1] | places[0] & places[2] | places[1] & places[2]
    assert not set(task.train.groups) & set(task.test.groups)
    image, target = task.train[0]
    assert image.shape == (202 * (2 if TASKS[name].is_change else 1), 8, 8)
    legend = TASKS[name].legend
    assert task.train.class_names == (() if legend is None else legend.names)
    if task.train.kind in ("classes", "change"):
        assert int(target.max()) <= task.train.ignore_index == len(legend)
    standard = task.standardise(torch.stack([task.train[i][0] for i in range(len(task.train))]))
    assert standard.mean().abs() < 0.5
    assert 0.2 < standard.std() < 2
    assert 0 < task.stamp.leak_share <= 1  # tiles of a site are in all parts, and it says so


@pytest.mark.slow
def test_felled_forest_is_in_every_part(campaign):
    for seed in (0, 1, 2):
        task = campaign_task("disturbance", campaign, seed=seed)
        for part in (task.train, task.val, task.test):
            assert part.occurrence().all(axis=1).any(), "a place with and without felled forest"


@pytest.mark.slow
def test_a_split_that_leaks_is_refused_unless_it_is_allowed(campaign):
    with pytest.raises(EvaluationError, match="must share no tile and no ground"):
        campaign_task("cdl", campaign, allow_leak=False)


@pytest.mark.slow
def test_another_seed_is_another_split_of_the_same_patches(campaign):
    one, other = (campaign_task("nlcd", campaign, seed=seed).stamp for seed in (0, 1))
    assert one.manifest_hash == other.manifest_hash
    assert one.split_hash != other.split_hash


@pytest.mark.slow
def test_what_cannot_be_a_task_is_told(campaign):
    maps = campaign.maps("disturbance")
    with pytest.raises(EvaluationError, match=r"There is no task 'sea'.*\nTasks are corine, cdl"):
        campaign_task("sea", campaign)
    with pytest.raises(EvaluationError, match="needs the day of the event"):
        maps_task("disturbance", campaign.folder, maps)
    with pytest.raises(EvaluationError, match="knows no event"):
        maps_task("cdl", campaign.folder, campaign.maps("cdl"), event=campaign.event)
    with pytest.raises(ContractMismatchError, match="must be in the legend"):  # NLCD's codes
        maps_task("forest_type", campaign.folder, campaign.maps("nlcd"), allow_leak=True)


def test_a_scene_has_one_task():
    with pytest.raises(EvaluationError, match="has one task, 'indian_pines', and not 'cdl'"):
        open_task("cdl", open_catalog()["indian_pines"], "unused")
    with pytest.raises(EvaluationError, match="have no labels"):
        open_task("cdl", open_catalog()["land_outline"], "unused")


def made_archive(root, *, tiles=("00001", "00002", "00003"), code=1):
    """CDL as SpectralEarth delivers it: two images in each part."""
    folder, rng = root / "enmap_cdl", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for k, (part, tile) in enumerate(zip(("train", "val", "test"), tiles, strict=True)):
        lines = [f"{2 * k + i:07d}/{tile}.tif" for i in range(2)]
        (folder / f"{part}.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            image = (numbered(202, 4) * 10 + rng.integers(0, 9, (202, 4, 4))).astype(np.int16)
            write_raster(folder / "enmap" / line, image, grid(4, 30))
            codes = np.array([[code, 5, 61, 0]] * 4, np.uint8)
            write_raster(folder / "cdl" / line, codes, grid(4, 30))


def test_an_archive_gives_the_same_kind_of_task(tmp_path):
    made_archive(tmp_path)
    task = open_task("cdl", entry(tmp_path, "spectralearth", tmp_path, "enmap"), tmp_path / "x")
    assert (len(task.train), len(task.val), len(task.test)) == (2, 2, 2)
    image, target = task.train[0]
    assert image.shape == (202, 4, 4)
    assert target[0].tolist() == [0, 4, 14, 14]  # corn, soybean, fallow and no data are ignored
    assert task.stamp.leak_share == 0
    assert task.bands == 202
    assert task.train.class_names == TASKS["cdl"].legend.names


def test_a_leaky_archive_says_how_leaky_it_is(tmp_path):
    made_archive(tmp_path, tiles=("00001", "00002", "00001"))
    source = entry(tmp_path, "spectralearth", tmp_path, "enmap")
    with pytest.raises(EvaluationError, match="must share no tile with training, but 100%"):
        open_task("cdl", source, tmp_path / "x")
    assert open_task("cdl", source, tmp_path / "x", allow_leak=True).stamp.leak_share == 1

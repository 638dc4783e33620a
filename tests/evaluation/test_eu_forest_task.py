"""SSL4EO-EU-Forest as a task: dealt out by tiles, trained on for a moment."""

import logging

import numpy as np
import pytest
import torch

from tests.readers.made_archives import entry, write_eu_forest
from workbench.errors import EvaluationError
from workbench.evaluation.benchmark import Bench
from workbench.evaluation.named_tasks import open_task
from workbench.evaluation.study import StudyCell
from workbench.models import resnet
from workbench.sensors import sensor

TILES = ("T31TCJ", "T32UQD", "T33UUP", "T34VEN", "T35TLM")
SIDE = 24  # as 264, no multiple of 16
SPRING = ("20180408T100031", "20180408T100452")
SUMMER = ("20180702T100031", "20180702T100452")


def cover(rng):
    """Stands of 8 px of the three codes, a corner that is unclassifiable, and their 12 bands."""
    mask = np.kron(rng.integers(0, 3, (SIDE // 8, SIDE // 8)), np.ones((8, 8), int))
    level = np.array([[1500, 700, 300], [1200, 3500, 2200]])[:, mask]  # visible, infrared
    image = np.concatenate([level[:1].repeat(5, 0), level[1:].repeat(7, 0)])
    mask[:2, :2] = 255
    return image + rng.integers(0, 200, image.shape), mask


@pytest.fixture
def archive(tmp_path):
    """Two locations a tile, two dates each; the first is seen from a second tile in autumn."""
    rng = np.random.default_rng(0)
    for k in range(2 * len(TILES)):
        tile = TILES[k // 2]
        views = [(*SPRING, tile, "spring"), (*SUMMER, tile, "summer")]
        if k == 0:
            views.append(("20181012T101001", "20181012T101005", TILES[1], "autumn"))
        write_eu_forest(tmp_path, f"{k:05d}", views, *cover(rng))
    return entry(tmp_path, "ssl4eo_eu_forest", tmp_path, "sentinel2_l2a")


def test_eu_forest_is_dealt_out_by_whole_tiles(archive, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="workbench"):
        task = open_task("forest_type", archive, tmp_path / "unused")
    assert "1 of 21 images left out: they show a location from a second tile" in caplog.text
    parts = (task.train, task.val, task.test)
    assert [len(part) for part in parts] == [12, 4, 4]
    for key in (0, -1):  # location and tile
        of = [{i.replace("/", "_").split("_")[key] for i in part.ids} for part in parts]
        assert not of[0] & of[1] | of[0] & of[2] | of[1] & of[2]
    assert task.stamp.leak_share == 0
    assert (task.bands, task.image_size, task.gsd_m) == (12, SIDE, 10)
    assert task.train.contract.band_names == sensor("sentinel2_l2a").kept
    assert task.train.class_names == ("No trees", "Broadleaved trees", "Coniferous trees")
    image, target = task.train[0]
    assert image.shape == (12, SIDE, SIDE)
    assert target[:2, :2].eq(task.train.ignore_index).all()
    assert set(target.unique().tolist()) <= {0, 1, 2, 3}
    again = open_task("forest_type", archive, tmp_path / "unused")
    assert again.stamp == task.stamp
    other = open_task("forest_type", archive, tmp_path / "unused", seed=3)
    assert other.stamp.split_hash != task.stamp.split_hash


def test_the_tree_mask_is_leaf_types_put_together(archive, tmp_path):
    kinds = open_task("forest_type", archive, tmp_path / "unused").train
    trees = open_task("tree_mask", archive, tmp_path / "unused").train
    for i in range(len(trees)):
        (_, kind), (_, tree) = kinds[i], trees[i]
        known = kind != kinds.ignore_index
        assert tree[known].equal((kind[known] > 0).long())
        assert tree[~known].eq(trees.ignore_index).all()


def test_a_network_learns_on_eu_forest(archive, tmp_path):
    def encoder(cell, task):
        torch.manual_seed(cell.seed)
        return resnet(18, task.bands)

    task = open_task("tree_mask", archive, tmp_path / "unused")
    options = {"steps": 20, "batch_size": 6, "lr": 2e-3, "eval_every": 10}
    cell = StudyCell("tree_mask", "resnet18", "random", "scratch", "unet", 0, options=options)
    found = Bench({"tree_mask": task}, encoder)(cell)
    scores = found.record.scores()
    assert scores["macro_miou"].value > 0.7
    assert found.curve[-1][1] > found.curve[0][1] + 0.2
    assert found.record.images == task.test.ids


def test_what_eu_forest_does_not_have_is_told(archive, tmp_path):
    with pytest.raises(EvaluationError, match="has the tasks forest_type and tree_mask, and not"):
        open_task("cdl", archive, tmp_path / "unused")


def test_three_parts_need_three_tiles(tmp_path):
    for k, tile in enumerate(TILES[:2]):
        image, mask = cover(np.random.default_rng(k))
        write_eu_forest(tmp_path, f"{k:05d}", [(*SPRING, tile, "spring")], image, mask)
    found = entry(tmp_path, "ssl4eo_eu_forest", tmp_path, "sentinel2_l2a")
    with pytest.raises(EvaluationError, match="need three tiles, but the archive has 2"):
        open_task("tree_mask", found, tmp_path / "unused")

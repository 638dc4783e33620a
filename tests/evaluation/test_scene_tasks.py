"""The two real scenes as tasks by name: the same code as for the campaign and the archives."""

import numpy as np
import pytest
import torch

from tests.conftest import needs_sample
from workbench.evaluation.benchmark import Bench
from workbench.evaluation.named_tasks import open_task
from workbench.evaluation.study import StudyCell
from workbench.training.encoders import build_encoder


@pytest.mark.parametrize(
    ("name", "entry", "bands", "side"),
    [("indian_pines", "indian_pines", 200, 8), ("forest", "nc_landsat_forest", 6, 32)],
)
def test_a_real_scene_is_dealt_out_in_blocks(name, entry, bands, side, tmp_path):
    task = open_task(name, needs_sample(entry), tmp_path / "unused")
    parts = (task.train, task.val, task.test)
    assert (task.bands, task.image_size) == (bands, side)
    assert len({i for part in parts for i in part.ids}) == sum(map(len, parts))
    assert len({g for part in parts for g in part.groups}) == sum(
        len(set(part.groups)) for part in parts
    )
    assert task.stamp.leak_share == 0
    standard = task.standardise(task.train.batch(range(len(task.train)))[0])
    assert abs(float(standard.mean())) < 0.2
    labels = np.concatenate([part.batch(range(len(part)))[1].ravel() for part in parts])
    assert labels.max() <= task.train.ignore_index == len(task.train.class_names)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_crops_of_the_real_hyperspectral_scene_are_learned(tmp_path):
    def encoder(cell, task):
        torch.manual_seed(cell.seed)
        return build_encoder("ViTEncoder", bands=task.bands, image_size=8, token_size=2,
                             size=[48, 2, 2], adapter=True)  # fmt: skip

    task = open_task("indian_pines", needs_sample("indian_pines"), tmp_path / "unused")
    options = {"steps": 60, "batch_size": 16, "lr": 3e-3, "eval_every": 20, "warmup": 0.1}
    cell = StudyCell("indian_pines", "vit", "random", "scratch", "upconv", 0, options=options)
    found = Bench({"indian_pines": task}, encoder)(cell)
    scores = found.record.scores()
    target = task.test.batch(range(len(task.test)))[1]
    known = target[target != task.test.ignore_index]
    always = float(known.bincount().max() / len(known))  # one class everywhere
    assert scores["overall_accuracy"].value > always + 0.15
    assert found.curve[-1][1] > found.curve[0][1]

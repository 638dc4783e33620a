"""Cells that are built, trained and judged; tasks whose parts share no ground."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import xarray as xr

from workbench.datasets.examples import SceneWindows
from workbench.errors import EvaluationError, ModelError, TrainingError
from workbench.evaluation.benchmark import Bench, judged, predict, settings_of
from workbench.evaluation.results import ResultsTable
from workbench.evaluation.studies import (
    convergence_study,
    fraction_study,
    protocol_study,
    varied_study,
)
from workbench.evaluation.study import StudyCell, run_study
from workbench.evaluation.tasks import scene_task, split_hash
from workbench.legends import Legend, LegendClass
from workbench.models import resnet
from workbench.readers.images import Image
from workbench.readers.samples import LabelledScene
from workbench.sensors import sensor
from workbench.training.features import FeatureCache
from workbench.training.finetune_settings import FinetuneSettings

LEGEND = Legend(
    "test",
    "Test",
    (
        LegendClass("field", (1,), "#ffff00"),
        LegendClass("wood", (2,), "#00ff00"),
        LegendClass("lake", (3,), "#0000ff"),
    ),
)


def made_scene(side=96, seed=0):
    """Squares of three covers, each with its own mean in three bands."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 3, (side // 8, side // 8)), np.ones((8, 8), int))
    image = rng.normal(0, 0.3, (3, side, side)) + np.eye(3)[labels].transpose(2, 0, 1)
    contract = sensor("enmap").contract(["B001", "B002", "B003"])
    data = xr.DataArray(image.astype(np.float32), dims=("band", "y", "x"))
    return LabelledScene(Image(data, contract), labels.astype(np.uint8), LEGEND)


@pytest.fixture(scope="module")
def task():
    return scene_task("cover", made_scene(), size=16, block=2, seed=0)


def make_encoder(cell, task):
    torch.manual_seed(100 + cell.seed)
    return resnet(18, task.bands, cell.options.get("stem", "standard"))


QUICK = {"steps": 4, "batch_size": 6, "lr": 2e-3, "eval_every": 4}


def test_parts_of_a_scene_share_no_block(task):
    parts = [set(e.groups) for e in (task.train, task.val, task.test)]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert len(task.train) + len(task.val) + len(task.test) == 36
    assert task.stamp.leak_share == 0
    again = scene_task("cover", made_scene(), size=16, block=2, seed=0)
    assert again.stamp == task.stamp
    other = scene_task("cover", made_scene(), size=16, block=2, seed=1)
    assert other.stamp.split_hash != task.stamp.split_hash
    assert other.stamp.manifest_hash == task.stamp.manifest_hash


def test_a_split_is_known_by_who_is_where():
    import pandas as pd

    one = pd.Series({"a": "train", "b": "test"})
    assert split_hash(one) == split_hash(one[::-1])
    assert split_hash(one) != split_hash(pd.Series({"a": "test", "b": "train"}))


def test_classes_of_a_scene_can_be_put_together():
    found = scene_task(
        "wood", made_scene(), size=16, block=2, seed=0,
        classes={"open": ["field"], "wood": ["wood"]},
    )  # fmt: skip
    assert found.train.class_names == ("open", "wood")
    assert found.train.ignore_index == 2  # the lakes
    with pytest.raises(EvaluationError, match="has no 'sea'"):
        scene_task("x", made_scene(), size=16, block=2, seed=0, classes={"a": ["sea"]})
    with pytest.raises(EvaluationError, match="needs a block"):
        scene_task("x", made_scene(), size=48, block=2, seed=0)


def test_a_study_fills_a_table_once(task, tmp_path):
    cells = varied_study(
        "cover", "resnet18", "unet", varied={"stem": ["standard", "detail"]}, seeds=(0, 1),
        **QUICK,
    )  # fmt: skip
    bench, table = Bench({"cover": task}, make_encoder), ResultsTable(tmp_path / "r.parquet")
    first = run_study(cells, bench, table)
    assert first.count("finished") == 4, first
    frame = table.frame()
    assert frame["macro_miou"].between(0, 1).all()
    assert set(frame["split_hash"]) == {task.stamp.split_hash}
    again = run_study(cells, bench, table)
    assert again.count("reused") == 4
    assert table.frame().equals(frame)


def test_whatever_is_set_for_a_training_is_part_of_its_key(task, tmp_path):
    assert not [f.name for f in fields(Bench) if "settings" in f.name]  # nothing beside the cell
    cell = StudyCell("cover", "resnet18", "random", "scratch", "fcn", 0, options=QUICK)
    other = {
        "steps": 3, "batch_size": 5, "lr": 1e-3, "weight_decay": 0.1, "warmup": 0.5,
        "loss": "boundary", "boundary": {"form": "band"}, "flips": False, "eval_every": 2,
        "neighbours": 3,
    }  # fmt: skip
    assert set(other) == {f.name for f in fields(FinetuneSettings)}
    keys = set()
    for name, value in other.items():
        needed = {"loss": "boundary"} if name == "boundary" else {}
        changed = replace(cell, options={**QUICK, **needed, name: value})
        assert getattr(settings_of(changed), name) == value
        keys.add(changed.key)
    assert len(keys | {cell.key}) == len(other) + 1
    bench, table = Bench({"cover": task}, make_encoder), ResultsTable(tmp_path / "r.parquet")
    twice = [cell, replace(cell, options={**QUICK, "lr": 1e-4})]
    assert run_study(twice[:1], bench, table).count("finished") == 1
    found = run_study(twice, bench, table)
    assert (found.count("reused"), found.count("finished")) == (1, 1)
    assert table.frame()["lr"].tolist() == [2e-3, 1e-4]


def test_training_beats_its_start_and_frozen_cells_share_features(task):
    cache = FeatureCache()
    options = {"steps": 30, "batch_size": 6, "lr": 5e-3, "eval_every": 15}
    kept = []
    bench = Bench(
        {"cover": task},
        lambda cell, t: make_encoder(StudyCell("cover", "", "", "full", "", 0), t),
        cache=cache,
        keep=lambda cell, run, found: kept.append(found),
    )
    cells = [
        StudyCell("cover", "resnet18", "random", "frozen", "unet", seed, f, options=options)
        for seed in (0, 1)
        for f in (0.5, 1.0)
    ]
    for cell in cells:
        found = bench(cell)
        curve = [score for _, score in found.curve]
        assert max(curve[1:]) > curve[0]
        assert found.cost.parameters_trained < 10_000_000
        assert "one pass of the encoder" in found.notes["flops"]
    assert cache.passes == 3  # train, val and test, once for all four
    assert kept[0].shape == (len(task.test), 16, 16)


def test_what_is_judged_is_what_was_predicted(task):
    model = torch.nn.Conv2d(3, 3, 1)
    logits = predict(model, task.test, task)
    images, target = task.test.batch(range(len(task.test)))
    with torch.no_grad():
        expected = model(task.standardise(images)).argmax(1)
    scores = judged(logits, task.test).scores()
    right = (expected == target).float().mean().item()
    assert scores["overall_accuracy"].value == pytest.approx(right)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"protocol": "knn"}, "labels pixels"),
        ({"protocol": "linear"}, "linear head"),
        ({"protocol": "scratch", "init": "dino"}, "starts from random"),
        ({"task": "sea"}, "no task 'sea'"),
    ],
)
def test_cells_that_make_no_sense_are_refused(task, change, sentence):
    values = {"task": "cover", "encoder": "resnet18", "init": "random", "protocol": "scratch"}
    cell = StudyCell(**{**values, "decoder": "unet", "seed": 0, "options": QUICK, **change})
    bench = Bench({"cover": task}, make_encoder)
    with pytest.raises(EvaluationError, match=sentence):
        bench(cell)


class Densities:
    """Densities in place of classes, and some images without any."""

    def __init__(self, examples, empty):
        self.examples, self.empty = examples, empty

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, i):
        image, target = self.examples[i]
        density = torch.full(target.shape, float("nan")) if i in self.empty else target / 2
        return {"image": image, "target": density.float()}


def of_densities(examples, empty=()):
    return replace(
        examples, source=Densities(examples, empty), kind="density", class_names=(),
        ignore_index=None, numbers=None,
    )  # fmt: skip


def test_a_test_image_without_a_density_is_told_before_anything_is_trained(task):
    parts = {"train": of_densities(task.train), "val": of_densities(task.val)}
    cell = StudyCell("cover", "resnet18", "random", "scratch", "fcn", 0, options=QUICK)
    kept = []

    def bench(empty):
        cover = replace(task, **parts, test=of_densities(task.test, empty))
        return Bench({"cover": cover}, make_encoder, keep=lambda *run: kept.append(run))

    assert "r2" in bench(())(cell).record.scores()
    assert len(kept) == 1
    told = rf"Each test image of cover .* 1 of {len(task.test)} have none, such as "
    with pytest.raises(EvaluationError, match=told + f"'{task.test.ids[2]}'") as why:
        bench({2})(cell)
    assert "with `least_labelled` above 0" in str(why.value)
    with pytest.raises(TrainingError, match="The test part needs a label, but all"):
        bench(set(range(len(task.test))))(cell)
    assert len(kept) == 1  # no other was trained


def test_class_maps_of_a_test_part_need_one_label_in_all(task):
    cell = StudyCell("cover", "resnet18", "random", "scratch", "fcn", 0, options=QUICK)
    source, unlabelled = task.test.source, np.full((96, 96), 255, np.uint8)
    blank = SceneWindows(source.image, unlabelled, source.size, source.corners)
    cover = replace(task, test=replace(task.test, source=blank, ignore_index=255))
    with pytest.raises(TrainingError, match="The test part needs a label, but all"):
        Bench({"cover": cover}, make_encoder)(cell)


def test_an_upconv_on_a_convnet_is_refused(task):
    cell = StudyCell("cover", "resnet18", "random", "scratch", "upconv", 0, options=QUICK)
    with pytest.raises(ModelError, match="transformer"):
        Bench({"cover": task}, make_encoder)(cell)


def test_studies_list_each_cell_once():
    large = protocol_study({"cdl": {"spectral_resnet50": "fcn", "spectral_vit_s": "upconv"}})
    # random: frozen and scratch; three methods: frozen, adapter, full
    assert len(large) == len(set(large)) == 2 * 5 * (2 + 3 * 3)
    assert not [c for c in large if c.init == "random" and c.protocol in ("adapter", "full")]
    few = fraction_study("cdl", {"a": "fcn"}, inits=["dino"], fractions=(0.1, 1.0), seeds=(0, 1))
    assert [(c.fraction, c.draw, c.seed) for c in few][:4] == [
        (0.1, 0, 0), (0.1, 1, 0), (0.1, 2, 0), (0.1, 0, 1),
    ]  # fmt: skip
    assert len([c for c in few if c.fraction == 1]) == 2
    slow = convergence_study("cdl", {"a": "fcn"}, inits=["random", "dino"], steps=100, seeds=(0,))
    assert [c.protocol for c in slow] == ["scratch", "full"]
    assert slow[0].options["eval_every"] == 10

"""Predictions of cells, kept and found again; the forest experiment's list of trainings."""

import numpy as np
import pytest
import torch
import xarray as xr

from workbench.errors import EvaluationError
from workbench.evaluation.benchmark import Bench
from workbench.evaluation.forest import FOREST_SCALES, cell_name, design_name, forest_cells
from workbench.evaluation.kept import KeptPredictions
from workbench.evaluation.study import StudyCell
from workbench.evaluation.tasks import scene_task
from workbench.legends import Legend, LegendClass
from workbench.models import resnet
from workbench.readers.images import Image
from workbench.readers.samples import LabelledScene
from workbench.sensors import sensor

LEGEND = Legend(
    "two", "Two", (LegendClass("open", (1,), "#ffff00"), LegendClass("wood", (2,), "#00ff00"))
)


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 2, (6, 6)), np.ones((8, 8), int))
    image = (rng.normal(0, 0.3, (2, 48, 48)) + labels).astype(np.float32)
    contract = sensor("enmap").contract(["B001", "B002"])
    data = xr.DataArray(image, dims=("band", "y", "x"))
    scene = LabelledScene(Image(data, contract), labels.astype(np.uint8), LEGEND)
    return scene_task("wood", scene, size=16, block=1, seed=0)


def test_what_a_cell_predicted_is_found_again(task, tmp_path):
    kept = KeptPredictions(tmp_path, {"wood": task})
    brief = {"steps": 2, "batch_size": 3, "eval_every": 2}
    cells = [
        StudyCell(
            "wood", "resnet18", "random", "scratch", "fcn", seed, options={"stem": stem, **brief}
        )
        for seed, stem in enumerate(("standard", "detail"))
    ]
    bench = Bench({"wood": task}, lambda c, t: resnet(18, t.bands, c.options["stem"]), keep=kept)
    records = [bench(cell).record for cell in cells]
    truth = kept.targets("wood")
    found = kept.by_option(cells, "stem")
    assert list(found) == ["standard", "detail"]
    for record, maps in zip(records, found.values(), strict=True):
        assert maps.ids == truth.ids == task.test.ids
        right = float((maps.maps == truth.maps).mean())
        assert record.scores()["overall_accuracy"].value == pytest.approx(right)
    assert torch.equal(
        torch.from_numpy(np.array(truth.maps)).long(), task.test.batch(range(len(task.test)))[1]
    )
    other = StudyCell("wood", "resnet18", "random", "scratch", "fcn", 7)
    with pytest.raises(EvaluationError, match="are not in"):
        kept.of(other)


def test_the_forest_experiment_is_three_decoders_and_a_factorial_on_the_unet():
    scale = FOREST_SCALES["demo"]
    cells = forest_cells("demo")
    assert len(cells) == len(set(cells)) == scale.seeds + 5 * scale.other_seeds
    unets = {(c.options["stem"], c.options["loss"]) for c in cells if c.decoder == "unet"}
    assert len(unets) == 4
    assert {c.decoder for c in cells} == {"unet", "deeplabv3+", "upconv"}
    assert all(("boundary" in c.options) == (c.options["loss"] == "boundary") for c in cells)
    assert len({cell_name(cell) for cell in cells}) == len(cells)
    assert len({design_name(cell) for cell in cells}) == 6
    with pytest.raises(EvaluationError, match="no scale 'large'"):
        forest_cells("large")
